"""HubSpot's answers: JSON by orjson, its error envelope, its two other error shapes (429, and 404 in HTML).

Sources: developers.hubspot.com/docs/api-reference/error-handling (envelope, 207), /docs/guides/apps/api-usage/usage-details (429); the HTML
of a 404 was observed against the real service.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.responses import Response

_CORRELATION = "X-HubSpot-Correlation-Id"
_JSON = "application/json;charset=utf-8"
_WORDS = {404: "Resource not found", 414: "URI Too Long"}


class Refusal(Exception):
    """A request, or one input of a batch, that HubSpot does not carry out."""

    def __init__(self, status: int, body: Mapping[str, Any] | None) -> None:
        super().__init__("" if body is None else body.get("message"))
        self.status = status
        self.body = body  # None: an HTML page

    def response(self) -> Response:
        """The whole answer."""
        if self.body is None:
            text = _WORDS[self.status]
            page = f"<html><head><title>Error {self.status}</title></head><body><h2>HTTP ERROR {self.status}</h2>{text}</body></html>"
            return Response(page, self.status, media_type="text/html;charset=iso-8859-1")
        correlation = str(uuid.uuid4())
        return answer({"status": "error", "correlationId": correlation, **self.body}, self.status, {_CORRELATION: correlation})


def refused(category: str, message: str, *, status: int = 400, **more: Any) -> Refusal:
    """An error in HubSpot's envelope."""
    return Refusal(status, {"status": "error", "message": message, "category": category, **more})


def invalid(message: str, **more: Any) -> Refusal:
    """400 VALIDATION_ERROR."""
    return refused("VALIDATION_ERROR", message, **more)


def invalid_properties(problems: Sequence[tuple[str, str, str]]) -> Refusal:
    """400 for properties: (name, code, message) each; the message of the whole embeds them as JSON."""
    embedded = [{"isValid": False, "message": message, "error": code, "name": name} for name, code, message in problems]
    return invalid(
        f"Property values were not valid: {orjson.dumps(embedded).decode()}",
        errors=[{"message": message, "code": code, "context": {"propertyName": [name]}} for name, code, message in problems],
    )


def missing_page() -> Refusal:
    """404 as it is for an id that names nothing: HTML."""
    return Refusal(404, None)


def too_long() -> Refusal:
    """414 for an address that is too long: HTML."""
    return Refusal(414, None)


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON; datetimes as HubSpot writes them."""
    return Response(orjson.dumps(content, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME), status, headers, _JSON)


def stamp(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return stamp(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def batch(results: Sequence[Any], errors: Sequence[Mapping[str, Any]], now: datetime, *, good: int = 200) -> Response:
    """A batch's answer: 207 where some inputs failed."""
    content: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
    if errors:
        content |= {"numErrors": len(errors), "errors": errors}
    return answer(content, 207 if errors else good)
