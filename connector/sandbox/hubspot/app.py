"""The sandbox's HubSpot: an ASGI application that speaks HubSpot's API over the made-up world.

Here are routes and what is common to all of them (paths, credentials, limits, errors); `objects` answers for records, `links` for
associations, `account` and `tokens` for the rest. Paths exist in their v3/v4 form and in the dated one
(`/crm/objects/2026-09/…`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox.hubspot.account import Account
from connector.sandbox.hubspot.actions import HubSpotActions
from connector.sandbox.hubspot.answers import Refusal, invalid, missing_page, too_long
from connector.sandbox.hubspot.associations import Associations
from connector.sandbox.hubspot.limits import Limits
from connector.sandbox.hubspot.links import Links
from connector.sandbox.hubspot.objects import Objects
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.hubspot.records import Records
from connector.sandbox.hubspot.removals import Removals
from connector.sandbox.hubspot.tokens import Tokens
from connector.sandbox.state import World

#: (request, body) → answer. The body is {} where there is none.
Handler = Callable[[Request, Any], Response]
#: Longer addresses were refused with 414 where several hundred properties stood in one.
_LONGEST_URL = 15_000
_USUAL = HubSpotOptions()


def create_app(world: World, options: HubSpotOptions = _USUAL, *, now: Callable[[], datetime]) -> Starlette:
    """A HubSpot over `world`, which it changes. `state.actions`: what people do in it, for tests and scenarios."""
    records = Records(world, now, options)
    associations = Associations(world, records)
    removals = Removals(records, associations)
    limits = Limits(lambda: records.options, now)
    tokens = Tokens(lambda: records.options, now)
    gate = _Gate(records, limits, tokens)
    app = Starlette(
        routes=[
            *_object_routes(Objects(records, associations, removals), gate),
            *_link_routes(Links(records, associations), gate),
            *_account_routes(Account(records), gate),
            *_token_routes(tokens, gate),
        ],
        exception_handlers={HTTPException: _http_error},
    )
    app.state.actions = HubSpotActions(records, associations, removals, limits, tokens)
    return app


class _Gate:
    """What every request passes: path and length, credentials, limits, then its handler; what is refused becomes HubSpot's answer."""

    def __init__(self, records: Records, limits: Limits, tokens: Tokens) -> None:
        self._records = records
        self._limits = limits
        self._tokens = tokens

    def route(
        self, path: str, handler: Handler, *methods: str, version: str = "", search: bool = False, open_to_all: bool = False
    ) -> Route:
        """A route to the handler. version: the version of the API whose path it is, where the path does not name it."""

        async def endpoint(request: Request) -> Response:
            raw = await request.body()  # always, so that a refused request leaves the connection usable
            try:
                self._look(request, version or request.path_params["version"])
                with self._records.lock:
                    headers = {} if open_to_all else self._enter(request, search=search)
                    response = handler(request, _body(raw, request))
            except Refusal as refusal:
                response, headers = refusal.response(), {}
            else:
                response.headers["X-HubSpot-Correlation-Id"] = str(uuid.uuid4())
            response.headers.update({"Date": format_datetime(self._records.now().astimezone(UTC), usegmt=True), **headers})
            return response

        return Route(path, endpoint, methods=list(methods))

    def _look(self, request: Request, version: str) -> None:
        if len(request.scope["raw_path"]) + len(request.scope["query_string"]) > _LONGEST_URL:
            raise too_long()
        if version != "v2" and version not in self._records.options.versions:  # v2: the one path that has no other form
            raise missing_page()

    def _enter(self, request: Request, *, search: bool) -> dict[str, str]:
        oauth = self._tokens.enter(request.headers.get("authorization", ""))
        return self._limits.admit(search=search, oauth=oauth)


def _body(raw: bytes, request: Request) -> Any:
    if not raw or request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return raw or {}
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise invalid("Invalid input JSON") from None


#: A path as it was in v3 or v4, and with the version behind the family; the version of the first.
_OBJECTS = (("/crm/v3/objects/{type}", "v3"), ("/crm/objects/{version}/{type}", ""))
_RECORD_LINKS = (("/crm/v4/objects/{type}/{id}/associations", "v4"), ("/crm/objects/{version}/{type}/{id}/associations", ""))
_LINK_BATCHES = (("/crm/v4/associations/{from}/{to}/batch", "v4"), ("/crm/associations/{version}/{from}/{to}/batch", ""))
_OWNERS = (("/crm/v3/owners", "v3"), ("/crm/owners/{version}", ""))
_PROPERTIES = (("/crm/v3/properties/{type}", "v3"), ("/crm/properties/{version}/{type}", ""))
_PIPELINES = (("/crm/v3/pipelines/{type}", "v3"), ("/crm/pipelines/{version}/{type}", ""))


def _object_routes(objects: Objects, gate: _Gate) -> list[Route]:
    routes = []
    for base, version in _OBJECTS:
        routes += [
            gate.route(base, objects.list, "GET", version=version),
            gate.route(base, objects.create, "POST", version=version),
            gate.route(f"{base}/search", objects.search, "POST", version=version, search=True),
            gate.route(f"{base}/merge", objects.merge, "POST", version=version),
            gate.route(f"{base}/gdpr-delete", objects.gdpr_delete, "POST", version=version),
            gate.route(f"{base}/batch/read", objects.batch_read, "POST", version=version),
            gate.route(f"{base}/batch/create", objects.batch_create, "POST", version=version),
            gate.route(f"{base}/batch/update", objects.batch_update, "POST", version=version),
            gate.route(f"{base}/batch/archive", objects.batch_archive, "POST", version=version),
            gate.route(f"{base}/{{id}}", objects.read, "GET", version=version),
            gate.route(f"{base}/{{id}}", objects.update, "PATCH", version=version),
            gate.route(f"{base}/{{id}}", objects.archive, "DELETE", version=version),
        ]
    return routes


def _link_routes(links: Links, gate: _Gate) -> list[Route]:
    routes = []
    for base, version in _LINK_BATCHES:
        routes += [
            gate.route(f"{base}/read", links.batch_read, "POST", version=version),
            gate.route(f"{base}/create", links.batch_create, "POST", version=version),
            gate.route(f"{base}/archive", links.batch_archive, "POST", version=version),
            gate.route(f"{base}/labels/archive", links.labels_archive, "POST", version=version),
        ]
    for base, version in _RECORD_LINKS:
        routes += [
            gate.route(f"{base}/default/{{to}}/{{to_id}}", links.associate_by_default, "PUT", version=version),
            gate.route(f"{base}/{{to}}/{{to_id}}", links.associate, "PUT", version=version),
            gate.route(f"{base}/{{to}}/{{to_id}}", links.dissociate, "DELETE", version=version),
        ]
    # reading one record's links has no dated path but this (openapi of associations 2026-09)
    for base, version in (_RECORD_LINKS[0], ("/crm/objects/2026-09-beta/{type}/{id}/associations", "2026-09")):
        routes.append(gate.route(f"{base}/{{to}}", links.of_record, "GET", version=version))
    return routes


def _account_routes(account: Account, gate: _Gate) -> list[Route]:
    routes = [
        gate.route("/account-info/{version}/details", account.details, "GET"),
        gate.route("/crm/v3/schemas", account.custom_objects, "GET", version="v3"),
    ]
    for base, version in _OWNERS:
        routes += [
            gate.route(base, account.owners, "GET", version=version),
            gate.route(f"{base}/{{id}}", account.owner, "GET", version=version),
        ]
    for base, version in _PROPERTIES:
        routes += [
            gate.route(base, account.properties, "GET", version=version),
            gate.route(base, account.create_property, "POST", version=version),
            gate.route(f"{base}/{{name}}", account.property, "GET", version=version),
        ]
    for base, version in _PIPELINES:
        routes += [
            gate.route(base, account.pipelines, "GET", version=version),
            gate.route(f"{base}/{{id}}", account.pipeline, "GET", version=version),
        ]
    return routes


def _token_routes(tokens: Tokens, gate: _Gate) -> list[Route]:
    return [
        gate.route("/oauth/v2/private-apps/get/access-token-info", tokens.info, "POST", version="v2", open_to_all=True),
        gate.route("/oauth/v1/token", tokens.token, "POST", version="v3", open_to_all=True),
        gate.route("/oauth/{version}/token", tokens.token, "POST", open_to_all=True),
        gate.route("/oauth/{version}/token/introspect", tokens.introspect, "POST", open_to_all=True),
    ]


def _http_error(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the signature is Starlette's
    """An unknown path (HTML, as HubSpot's), or a method that the path does not take (empty)."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return missing_page().response() if status == 404 else Response(status_code=status)
