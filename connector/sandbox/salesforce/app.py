"""The sandbox's Salesforce: an ASGI application that answers as the REST API does, over a `World` that it changes in place.

Start reading here: the routes, and the gate that every request passes (size, version, session, the day's limit). Serve it over TLS, for
simple-salesforce knows nothing but https.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.sandbox.salesforce import bulk, deleted, login, reads, records
from connector.sandbox.salesforce.actions import SalesforceActions
from connector.sandbox.salesforce.errors import Refused
from connector.sandbox.salesforce.http import NOT_FOUND, answer
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import Schema
from connector.sandbox.state import World

#: URI and headers together (https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm, 414 and 431).
LONGEST_HEAD = 16_384
_USUAL = SalesforceOptions()

_VERSIONED = re.compile(r"/services/data/v(\d+)\.(\d)(?:/|$)")


class Gate:
    """What stands before every handler: too long a head, a version that is none, no session, no calls left.

    Adds `Date` by the sandbox's clock to every answer and `Sforce-Limit-Info` to those of the REST API. A request is read whole, then
    handled while the org's lock is held, then answered: so actions of other threads come between requests, and a slow reader keeps nobody
    waiting.
    """

    def __init__(self, app: ASGIApp, org: Org) -> None:
        self.app = app
        self.org = org

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await _whole(receive)
        versioned = _VERSIONED.match(scope["path"])
        kept: list[Message] = []

        async def given() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            kept.append(message)

        with self.org.lock:
            self.org.settle()
            await self._handle(scope, versioned, given, keep)
            headers = MutableHeaders(scope=kept[0])
            headers["date"] = format_datetime(self.org.now().astimezone(UTC), usegmt=True)
            if versioned is not None:
                headers["sforce-limit-info"] = f"api-usage={self.org.used()}/{self.org.options.daily}"
        for message in kept:
            await send(message)

    async def _handle(self, scope: Scope, versioned: re.Match[str] | None, receive: Receive, send: Send) -> None:
        status = _too_long(scope)
        if status:
            title = "414 URI Too Long" if status == 414 else "431 Request Header Fields Too Large"
            await HTMLResponse(f"<html><body><h1>{title}</h1></body></html>", status)(scope, receive, send)
            return
        if versioned is not None:
            try:
                self._admit(scope, versioned)
            except Refused as refusal:
                await answer(refusal.body(), refusal.status)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _admit(self, scope: Scope, versioned: re.Match[str]) -> None:
        number = int(versioned.group(1))
        if 20 < number < reads.VERSIONS.start:
            raise Refused(410, "UNSUPPORTED_API_VERSION", "The requested API version is retired")
        if number not in reads.VERSIONS or versioned.group(2) != "0":
            raise Refused(404, "NOT_FOUND", NOT_FOUND)
        authorization = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not self.org.signed_in(authorization.decode("latin-1")):
            raise Refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
        self.org.count_call()


async def _whole(receive: Receive) -> bytes:
    chunks, more = [], True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


def _too_long(scope: Scope) -> int:
    """414 where the URI alone is too long, 431 where it is so with the headers, else 0."""
    uri = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
    if uri > LONGEST_HEAD:
        return 414
    return 431 if uri + sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > LONGEST_HEAD else 0


async def _refused(_request: Request, problem: Exception) -> Response:
    """A `Refused` as its answer."""
    if not isinstance(problem, Refused):
        raise problem
    return answer(problem.body(), problem.status)


async def _unknown(_request: Request, problem: Exception) -> Response:
    """A path or method that there is not."""
    status = problem.status_code if isinstance(problem, HTTPException) else 404
    if status == 405:
        return answer(Refused(405, "METHOD_NOT_ALLOWED", "HTTP method not allowed").body(), 405)
    return answer(Refused(404, "NOT_FOUND", NOT_FOUND).body(), 404)


def _routes() -> list[Mount | Route]:
    versioned: list[Route] = [
        Route("/", reads.resources),
        Route("/limits", reads.limits),
        Route("/limits/recordCount", reads.record_count),
        Route("/jobs/query", bulk.create, methods=["POST"]),
        Route("/jobs/query", bulk.list_jobs, methods=["GET"]),
        Route("/jobs/query/{job}", bulk.show, methods=["GET"]),
        Route("/jobs/query/{job}", bulk.abort, methods=["PATCH"]),
        Route("/jobs/query/{job}", bulk.delete, methods=["DELETE"]),
        Route("/jobs/query/{job}/results", bulk.results, methods=["GET"]),
        Route("/query", reads.query),
        Route("/query/", reads.query),
        Route("/queryAll", reads.query_all),
        Route("/queryAll/", reads.query_all),
        Route("/query/{locator}", reads.next_page),
        Route("/queryAll/{locator}", reads.next_page),
        Route("/sobjects", reads.list_objects),
        Route("/sobjects/", reads.list_objects),
        Route("/composite/sobjects", records.create_collection, methods=["POST"]),
        Route("/composite/sobjects", records.update_collection, methods=["PATCH"]),
        Route("/composite/sobjects", records.delete_collection, methods=["DELETE"]),
        Route("/composite/sobjects/{object}", reads.retrieve, methods=["GET"]),
        Route("/composite/sobjects/{object}", reads.retrieve_by_body, methods=["POST"]),
        Route("/composite/sobjects/{object}/{key}", records.upsert_collection, methods=["PATCH"]),
    ]
    return [
        Route("/services/oauth2/token", login.token, methods=["POST"]),
        Route("/services/Soap/u/{version}", login.soap, methods=["POST"]),
        Route("/services/oauth2/userinfo", login.userinfo, methods=["GET", "POST"]),
        Route("/services/data", reads.versions),
        Route("/services/data/", reads.versions),
        Mount("/services/data/v{version}", routes=[*versioned, *_record_routes()]),
    ]


def _record_routes() -> list[Route]:
    found = [Route("/sobjects/{object}/describe", reads.describe)]
    for end in ("", "/"):  # simple-salesforce puts a slash behind the object
        found.append(Route("/sobjects/{object}/deleted" + end, deleted.deleted, methods=["GET"]))
        found.append(Route("/sobjects/{object}/updated" + end, deleted.updated, methods=["GET"]))
        found.append(Route("/sobjects/{object}" + end, reads.basic, methods=["GET"]))
        found.append(Route("/sobjects/{object}" + end, records.create, methods=["POST"]))
    return [
        *found,
        Route("/sobjects/{object}/{id}", reads.get_record, methods=["GET"]),
        Route("/sobjects/{object}/{id}", records.update, methods=["PATCH"]),
        Route("/sobjects/{object}/{id}", records.delete, methods=["DELETE"]),
        Route("/sobjects/{object}/{key}/{value:path}", reads.get_by_key, methods=["GET"]),
        Route("/sobjects/{object}/{key}/{value:path}", records.upsert, methods=["PATCH"]),
    ]


def create_app(world: World, options: SalesforceOptions = _USUAL, *, now: Callable[[], datetime]) -> Starlette:
    """The application over this world.

    now: aware; stamps, sessions and the day's limit go by it. For tests and scenarios, `app.state.actions` is what other people do in the
    org, and `app.state` has `org`, `hidden` (a set of (object, field) that the user may not see), `expire_sessions()` and `drop_cursors()`.
    """
    schema = Schema(world.salesforce, multi_currency=options.multi_currency, edits=world.edits)
    org = Org(world=world, now=now, schema=schema, options=options)
    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Gate, org=org)],
        exception_handlers={Refused: _refused, 404: _unknown, 405: _unknown},
    )
    app.router.redirect_slashes = False
    app.state.org = org
    app.state.actions = SalesforceActions(org)
    app.state.expire_sessions = org.expire_sessions
    app.state.drop_cursors = org.drop_cursors
    app.state.hidden = schema.hidden
    return app
