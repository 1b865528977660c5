"""Errors of the sandbox's Salesforce: those of a request and those of one row, in the service's own shapes.

A REST error is a list `[{"message", "errorCode", "fields"?}]`, a row of a collection says `statusCode` in place of `errorCode`
(https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm, and
…/resources_composite_sobjects_collections.htm).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: Errors of one row that a request for a single record answers with another status than 400.
_STATUS = {"ENTITY_IS_DELETED": 404, "NOT_FOUND": 404, "INVALID_TYPE": 404, "INSUFFICIENT_ACCESS_OR_READONLY": 403}


class Refused(Exception):
    """The whole request is refused with this HTTP status, code and message."""

    def __init__(self, status: int, code: str, message: str, fields: Sequence[str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = None if fields is None else list(fields)

    def body(self) -> list[dict[str, Any]]:
        """The answer's JSON."""
        error: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            error["fields"] = self.fields
        return [error]


class RowRefused(Exception):
    """One record is refused; in a collection the others go on."""

    def __init__(self, code: str, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = list(fields)

    def row(self) -> dict[str, Any]:
        """As a row of a collection's answer. The service leaves the id out; rows are told apart by their order."""
        return {"success": False, "errors": [{"statusCode": self.code, "message": self.message, "fields": self.fields}]}

    def alone(self) -> Refused:
        """As the answer to a request about one record."""
        about_the_record = not self.fields  # else a value of it points at something that is gone
        return Refused(_STATUS.get(self.code, 400) if about_the_record else 400, self.code, self.message, self.fields)


class SeveralMatch(Exception):
    """An upsert's external id stands on several records (HTTP 300 with their URLs)."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(f"{len(ids)} records")
        self.ids = list(ids)
