"""All live records with a few fields alone: for a field that was named newly, and for formulas, whose changes leave no mark.

Walked by Id, 2,000 at a time: each query is a short one by the primary key, and its cursor is an id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from connector.adapters.client import Caller, Request
from connector.adapters.salesforce.client import Asking, retrieved_by_id
from connector.adapters.salesforce.wire import errors as wire_errors
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Row
from connector.errors import ObjectStopped
from connector.model import Cursor, Page, Record, RecordRef, SetAside

#: Rows a query; a page may bring fewer, where rows are wide.
_A_QUERY = 2_000
#: Room in the URI for the names of fields; the rest are read by id.
_ROOM_FOR_FIELDS = wire.LONGEST_TARGET - 500


def refill(asking: Asking, object_name: str, properties: Sequence[str], cursor: Cursor | None) -> Iterator[Page]:
    """Records with these properties alone. The cursor is {"phase": "refill", "id": the last one read}."""
    caller = asking.caller("backfill")
    fields = _Fields(properties)
    about = f"reading {', '.join(properties[:3])} of {object_name}"
    last_id = str(cursor["id"]) if cursor else ""
    counted, whole = 0, False
    while not whole:
        in_query = 0
        request: Request | None = wire.query(_after(object_name, fields.here, last_id), all_rows=False, about=about)
        while request is not None:
            try:
                answer = wire.query_page(caller.call(request), about)
                rows = _completed(caller, object_name, [row for row in answer.rows if isinstance(row, dict)], fields.later)
            except ObjectStopped as error:
                lost = error.code == wire_errors.LOST_CURSOR and in_query > 0
                if not lost and not (error.code in wire_errors.TOO_HEAVY and fields.lighten()):
                    raise
                break  # the next query begins behind the last row read
            in_query += len(answer.rows)
            last_id = str(rows[-1].get("Id") or last_id) if rows else last_id
            whole = answer.locator is None and in_query < _A_QUERY  # the query's own end, not a page's, tells how many there were
            calls, counted = caller.count - counted, caller.count
            yield _page(object_name, rows, properties, last_id, calls=calls, strange=len(answer.rows) - len(rows), last=whole)
            request = None if answer.locator is None else wire.more(answer.locator, about=about)


class _Fields:
    """Which fields are queried, and which are read by id, part by part: half as many at once where they are too much (formulas are)."""

    def __init__(self, properties: Sequence[str]) -> None:
        # A related record's fields can be queried, not read by id.
        in_order = sorted(properties, key=lambda name: "." not in name)
        self.here, left = wire_query.split_fields(("Id",), in_order, room=_ROOM_FOR_FIELDS)
        self.later = [left] if left else []

    def lighten(self) -> bool:
        """Whether fewer at once were possible."""
        own = [name for name in self.here[1:] if "." not in name]
        most = max(len(own), *map(len, self.later), 0)
        if most <= 1:
            return False
        share, related = most // 2, [name for name in self.here if "." in name]
        left = own[share:] + [name for part in self.later for name in part]
        self.here = ["Id", *related, *own[:share]]
        self.later = [left[start : start + share] for start in range(0, len(left), share)]
        return True


def _after(object_name: str, fields: Sequence[str], last_id: str) -> str:
    where = f"Id > {wire_query.quoted(last_id)}" if last_id else ""
    return wire_query.select(object_name, fields, where=where, order="Id") + f" LIMIT {_A_QUERY}"


def _completed(caller: Caller, object_name: str, rows: list[dict[str, Any]], later: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    ids = [row["Id"] for row in rows if isinstance(row.get("Id"), str)]
    if not later or not ids:
        return rows
    more: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for part in later:
        for row in retrieved_by_id(caller, object_name, ids, ["Id", *part]):
            more[str(row.get("Id"))].update(row)
    return [{**more.get(str(row.get("Id")), {}), **row} for row in rows]


def _page(object_name: str, rows: Sequence[Row], properties: Sequence[str], last_id: str, *, calls: int, strange: int, last: bool) -> Page:
    records: list[Record] = []
    aside = [_set_aside(object_name, "", "it is no record")] * strange
    for row in rows:
        try:
            records.append(wire_records.record(object_name, row, properties))
        except wire_records.Unreadable as problem:
            aside.append(_set_aside(object_name, row.get("Id"), str(problem)))
    return Page(
        crm="salesforce",
        object=object_name,
        cursor={"phase": "refill", "id": last_id},
        seen=len(records) + len(aside),
        calls=calls,
        records=records,
        set_aside=aside,
        last=last,
        full=True,
    )


def _set_aside(object_name: str, record_id: object, reason: str) -> SetAside:
    return SetAside(
        record=RecordRef(crm="salesforce", object=object_name, id=record_id if isinstance(record_id, str) else ""),
        reason=f"salesforce sent a {object_name} that cannot be read: {reason}",
        next_step="Look at the record in Salesforce; give the connector's user access to the field, and it is read with its next change.",
    )
