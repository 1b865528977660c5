"""The sandbox's HubSpot: an ASGI application that speaks HubSpot's API over the made-up world.

Here are routes and what is common to all of them (credentials, limits, errors); `hubspot_objects` answers for records, `hubspot_account`
for everything else. Every path exists in its v3/v4 form and in the dated one (`/crm/objects/2026-09/…`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox.hubspot_account import Account
from connector.sandbox.hubspot_answers import Refusal, invalid, missing_page, refused
from connector.sandbox.hubspot_associations import Associations
from connector.sandbox.hubspot_limits import Limits
from connector.sandbox.hubspot_objects import Objects
from connector.sandbox.hubspot_records import Records
from connector.sandbox.world import World

#: (request, body) → answer. The body is {} where there is none.
Handler = Callable[[Request, Any], Response]


def create_app(
    world: World,
    *,
    now: Callable[[], datetime],
    requests_per_10_seconds: int = 190,
    searches_per_second: int = 5,
    daily: int = 650_000,
    token: str = "sandbox-token",  # noqa: S107 - opens nothing but this sandbox
    ids_as_text: bool = False,
    search_lag_seconds: float = 0.0,
) -> Starlette:
    """A HubSpot over `world`, which it changes.

    token: the only access token it takes. ids_as_text: search compares hs_object_id as text (whether HubSpot does is not documented).
    search_lag_seconds: how long a write stays unseen by search, by the clock `now`.
    """
    records = Records(world, now)
    associations = Associations(world, records)
    limits = Limits(requests_per_10_seconds=requests_per_10_seconds, searches_per_second=searches_per_second, daily=daily, now=now)
    objects = Objects(records, associations, ids_as_text=ids_as_text, search_lag_seconds=search_lag_seconds)
    account = Account(world, now, token=token)
    gate = _Gate(limits, token)
    return Starlette(
        routes=[*_object_routes(objects, gate), *_association_routes(objects, gate), *_account_routes(account, gate)],
        exception_handlers={HTTPException: _http_error},
    )


class _Gate:
    """What every request passes: credentials, then limits, then its handler; whatever is refused becomes HubSpot's answer."""

    def __init__(self, limits: Limits, token: str) -> None:
        self._limits = limits
        self._token = token

    def route(self, path: str, handler: Handler, *methods: str, search: bool = False, open_to_all: bool = False) -> Route:
        """A route to the handler."""

        async def endpoint(request: Request) -> Response:
            raw = await request.body()  # always, so that a refused request leaves the connection usable
            try:
                headers = {} if open_to_all else self._enter(request, search=search)
                response = handler(request, _body(raw, request))
            except Refusal as refusal:
                return refusal.response()
            response.headers.update({"X-HubSpot-Correlation-Id": str(uuid.uuid4()), **headers})
            return response

        return Route(path, endpoint, methods=list(methods))

    def _enter(self, request: Request, *, search: bool) -> dict[str, str]:
        given = request.headers.get("authorization", "")
        if not given.startswith("Bearer ") or given[7:8] == " ":
            message = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
            raise refused("INVALID_AUTHENTICATION", message, status=401)
        if given[7:] != self._token:
            raise refused("INVALID_AUTHENTICATION", "The access token is invalid, expired or was revoked.", status=401)
        return self._limits.admit(search=search)


def _body(raw: bytes, request: Request) -> Any:
    if not raw or request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return raw or {}
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise invalid("Invalid input JSON") from None


def _object_routes(objects: Objects, gate: _Gate) -> list[Route]:
    routes = []
    for base in ("/crm/v3/objects/{type}", "/crm/objects/{version}/{type}"):
        routes += [
            gate.route(f"{base}/search", objects.search, "POST", search=True),
            gate.route(f"{base}/batch/read", objects.batch_read, "POST"),
            gate.route(f"{base}/batch/create", objects.batch_create, "POST"),
            gate.route(f"{base}/batch/update", objects.batch_update, "POST"),
            gate.route(f"{base}/batch/archive", objects.batch_archive, "POST"),
            gate.route(base, objects.list, "GET"),
            gate.route(base, objects.create, "POST"),
            gate.route(f"{base}/{{id}}", objects.read, "GET"),
            gate.route(f"{base}/{{id}}", objects.update, "PATCH"),
            gate.route(f"{base}/{{id}}", objects.archive, "DELETE"),
        ]
    return routes


def _association_routes(objects: Objects, gate: _Gate) -> list[Route]:
    routes = []
    for base in ("/crm/v4/associations/{from}/{to}/batch", "/crm/associations/{version}/{from}/{to}/batch"):
        routes += [
            gate.route(f"{base}/read", objects.associations_read, "POST"),
            gate.route(f"{base}/create", objects.associations_create, "POST"),
        ]
    for base in ("/crm/v4/objects/{type}/{id}/associations", "/crm/objects/{version}/{type}/{id}/associations"):
        routes += [
            gate.route(f"{base}/default/{{to}}/{{to_id}}", objects.associate_by_default, "PUT"),
            gate.route(f"{base}/{{to}}/{{to_id}}", objects.associate, "PUT"),
            gate.route(f"{base}/{{to}}/{{to_id}}", objects.dissociate, "DELETE"),
            gate.route(f"{base}/{{to}}", objects.associations_of, "GET"),
        ]
    return routes


def _account_routes(account: Account, gate: _Gate) -> list[Route]:
    routes = [
        gate.route("/account-info/{version}/details", account.details, "GET"),
        gate.route("/oauth/v2/private-apps/get/access-token-info", account.token_info, "POST", open_to_all=True),
        gate.route("/oauth/{version}/token", account.refresh_token, "POST", open_to_all=True),
    ]
    for base in ("/crm/v3/owners", "/crm/owners/{version}"):
        routes += [gate.route(base, account.owners, "GET"), gate.route(f"{base}/{{id}}", account.owner, "GET")]
    for base in ("/crm/v3/properties/{type}", "/crm/properties/{version}/{type}"):
        routes += [
            gate.route(base, account.properties, "GET"),
            gate.route(base, account.create_property, "POST"),
            gate.route(f"{base}/{{name}}", account.property, "GET"),
        ]
    return routes


def _http_error(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the signature is Starlette's
    """An unknown path (HTML, as HubSpot's), or a method that the path does not take (empty)."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return missing_page().response() if status == 404 else Response(status_code=status)
