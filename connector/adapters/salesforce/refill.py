"""All live records with a few fields alone: for a field that was named newly, and for formulas, whose changes leave no mark.

Walked by Id, 2,000 at a time: each query is a short one by the primary key, and its cursor is an id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connector.adapters.client import Request
from connector.adapters.salesforce.client import SalesforceClient
from connector.adapters.salesforce.pages import PageBuilder
from connector.adapters.salesforce.read_by_id import completed
from connector.adapters.salesforce.wire import errors as wire_errors
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.errors import ObjectStopped
from connector.model import Cursor, Page

#: Rows a query; a page may bring fewer, where rows are wide.
_A_QUERY = 2_000
#: Room in the URI for the names of fields; the rest are read by id.
_ROOM_FOR_FIELDS = wire.LONGEST_TARGET - 500


def refill(client: SalesforceClient, object_name: str, properties: Sequence[str], cursor: Cursor | None) -> Iterator[Page]:
    """Records with these properties alone. The cursor is {"phase": "refill", "id": the last one read}."""
    caller = client.caller("backfill")
    fields = _Fields(properties)
    builder = PageBuilder(stream=object_name, read=wire_records.reader(object_name, properties))
    about = f"reading {', '.join(properties[:3])} of {object_name}"
    last_id = str(cursor["id"]) if cursor else ""
    counted, whole = 0, False
    while not whole:
        queried = 0
        request: Request | None = wire.query(_after(object_name, fields.in_query, last_id), all_rows=False, about=about)
        while request is not None:
            try:
                answer = wire.query_page(caller.call(request), about)
                rows = completed(caller, object_name, [row for row in answer.rows if isinstance(row, dict)], fields.by_id)
            except ObjectStopped as error:
                lost = error.code == wire_errors.LOST_CURSOR and queried > 0
                if not lost and not (error.code in wire_errors.TOO_HEAVY and fields.lighten()):
                    raise
                break  # the next query begins behind the last row read
            queried += len(answer.rows)
            last_id = str(rows[-1].get("Id") or last_id) if rows else last_id
            whole = answer.locator is None and queried < _A_QUERY  # the query's own end, not a page's, tells how many there were
            calls, counted = caller.count - counted, caller.count
            cursor = {"phase": "refill", "id": last_id}
            yield builder.page(rows, cursor, strange=len(answer.rows) - len(rows), calls=calls, last=whole, full=True)
            request = None if answer.locator is None else wire.more(answer.locator, about=about)


class _Fields:
    """Which fields are queried, and which are read by id, part by part: half as many at once where they are too much (formulas are)."""

    def __init__(self, properties: Sequence[str]) -> None:
        # A related record's fields can be queried, not read by id.
        in_order = sorted(properties, key=lambda name: "." not in name)
        self.in_query, left = wire_query.split_fields(("Id",), in_order, room=_ROOM_FOR_FIELDS)
        self.by_id = [left] if left else []

    def lighten(self) -> bool:
        """Whether fewer at once were possible."""
        own = [name for name in self.in_query[1:] if "." not in name]
        most = max(len(own), *map(len, self.by_id), 0)
        if most <= 1:
            return False
        share, related = most // 2, [name for name in self.in_query if "." in name]
        left = own[share:] + [name for part in self.by_id for name in part]
        self.in_query = ["Id", *related, *own[:share]]
        self.by_id = [left[start : start + share] for start in range(0, len(left), share)]
        return True


def _after(object_name: str, fields: Sequence[str], last_id: str) -> str:
    where = f"Id > {wire_query.quoted(last_id)}" if last_id else ""
    return wire_query.select(object_name, fields, where=where, order="Id") + f" LIMIT {_A_QUERY}"
