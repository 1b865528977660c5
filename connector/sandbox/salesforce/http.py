"""What every handler of the sandbox's Salesforce needs: its org, the request's JSON, an answer."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from connector.sandbox.salesforce.errors import Refused
from connector.sandbox.salesforce.fields import Field
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.query import render_value
from connector.sandbox.salesforce.writes import Writer

JSON = "application/json;charset=UTF-8"
NOT_FOUND = "The requested resource does not exist"


def org_of(request: Request) -> Org:
    """The org behind the application."""
    org: Org = request.app.state.org
    return org


def base_of(request: Request) -> str:
    """`/services/data/v67.0`, as the request wrote it."""
    return f"/services/data/v{request.path_params['version']}"


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer; dates and datetimes in the service's own forms."""
    body = orjson.dumps(content, default=render_value, option=orjson.OPT_PASSTHROUGH_DATETIME)
    return Response(body, status, headers, media_type=JSON)


async def json_body(request: Request) -> dict[str, Any]:
    """The request's JSON object. Raises `Refused` where it is none, or is not called JSON."""
    if "json" not in request.headers.get("content-type", ""):
        raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", "the content type must be application/json")
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError as problem:
        raise Refused(400, "JSON_PARSER_ERROR", f"{problem}") from problem
    if not isinstance(body, dict):
        raise Refused(400, "JSON_PARSER_ERROR", "Cannot deserialize: expected a JSON object at [line:1, column:1]")
    return body


def object_of(request: Request) -> str:
    """The object named in the path. Raises `Refused` (404) where there is none."""
    found = org_of(request).schema.object_name(request.path_params["object"])
    if found is None:
        raise Refused(404, "NOT_FOUND", NOT_FOUND)
    return found


def key_of(request: Request, object_name: str) -> Field:
    """The External Id field named in the path, or Id."""
    name = request.path_params["key"]
    found = org_of(request).schema.field(object_name, name)
    if found is None or not (found.key or found.type == "id"):
        raise Refused(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {name}")
    return found


def writer_of(request: Request) -> Writer:
    """The request's writes. The assignment rule runs unless the request says FALSE: that is the service's default."""
    assign = request.headers.get("sforce-auto-assign", "TRUE").strip().upper() != "FALSE"
    return org_of(request).writer(assign=assign)
