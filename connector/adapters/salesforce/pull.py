"""One stream, page by page: a window of time walked by the key (SystemModstamp, Id), each page with the cursor to go on from.

What keeps it whole: the window is closed (nothing moves in while it is read); a page's cursor is a key of its own, so Salesforce's cursor
may vanish; the last minutes before the window's end (`overlap`) are never passed by a cursor but by the window's own end, since rows may be
committed late, and a row that changes while it is read moves there; the next window begins so much earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from connector.adapters.calling import Answer, Caller, Request
from connector.adapters.salesforce import wire, wire_errors, wire_query, wire_records
from connector.adapters.salesforce.wire import Row
from connector.errors import ObjectStopped
from connector.model import Activity, Cursor, FieldChange, Owner, Page, Record, RecordRef, SetAside

#: What a row becomes; None: a row that says nothing of its own.
Value = Record | Activity | Owner | FieldChange | None

#: Room in the URI for the names of fields; the rest is the window's conditions, with the key twice.
_ROOM_FOR_FIELDS = wire.LONGEST_TARGET - 1_000
#: How often a vanished cursor is asked for again without getting on.
_RESTARTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What to read of one object. others: fields that may be read by id afterwards, where all together are too long for a URI.

    optional: fields that the pull can do without where the org has them not; instead: what is read in the place of one that is lacking.
    """

    object: str
    fields: Sequence[str]
    read: Callable[[Row], Value]
    others: Sequence[str] = ()
    instead: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    stamp: str = "SystemModstamp"
    all_rows: bool = True
    where: str = ""
    all_told: bool = True  # False: some rows say nothing of their own, so that the query's size is not the stream's


@dataclass(kw_only=True)
class Pull:
    """Reads one stream from a cursor on. lacking: optional fields that the org does not have; grows as they are found out."""

    stream: Stream
    caller: Caller
    cursor: Cursor | None
    now: datetime
    overlap: timedelta
    lacking: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._window = wire_query.Window.opened(self.cursor, now=self.now, overlap=self.overlap)
        self._fresh = not (self.cursor and "until" in self.cursor)
        self._restarts = 0
        self._counted = 0

    def pages(self) -> Iterator[Page]:
        """The pages; the last has `last` set. Errors that a smaller or renewed query cures are cured."""
        while True:
            try:
                yield from self._read()
            except ObjectStopped as error:
                self._recover(error)
            else:
                return

    def _read(self) -> Iterator[Page]:
        total: int | None = None
        request: Request | None = self._first()
        while request is not None:
            answer = self.caller.call(request)
            page = wire.query_page(answer, request.about)
            self._close_window(answer)
            if self._window == wire_query.Window(until=self._window.until, full=True) and self.stream.all_told:  # the first query
                total = page.total
            rows = self._completed([row for row in page.rows if isinstance(row, dict)])
            part = self._window.upper is not None
            if page.locator is not None:
                request = wire.more(page.locator, about=request.about)
                self._advance(rows)
            else:
                self._window = self._window.part_done() if part else self._window
                request = self._first() if part else None
            yield self._page(rows, strange=len(page.rows) - len(rows), total=total, last=request is None)

    def _first(self) -> Request:
        window, stream = self._window, self.stream
        where = " AND ".join(part for part in (window.where(stream.stamp), stream.where) if part)
        soql = wire_query.select(stream.object, self._in_query(), where=where, order=f"{stream.stamp}, Id")
        return wire.query(soql, all_rows=stream.all_rows, about=f"reading {stream.object}")

    def _close_window(self, answer: Answer) -> None:
        """Ends the window at Salesforce's own time, where its clock is behind ours: what it stamps next must fall into the next window."""
        if self._fresh:
            server = wire.server_date(answer.headers)
            if server is not None and server < self._window.until:
                self._window = replace(self._window, until=server)
            self._fresh = False

    # ── Fields ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _split(self) -> tuple[list[str], list[str]]:
        here = (self.stream.instead.get(name) if name in self.lacking else name for name in self.stream.fields)
        return wire_query.split_fields([name for name in here if name], self.stream.others, room=_ROOM_FOR_FIELDS)

    def _in_query(self) -> list[str]:
        return self._split()[0]

    def _completed(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows with the fields for which the URI had no room, read by id. What is deleted has these no more."""
        later = self._split()[1]
        ids = [row["Id"] for row in rows if isinstance(row.get("Id"), str) and row.get("IsDeleted") is not True]
        if not later or not ids:
            return rows
        more: dict[str, Row] = {}
        for start in range(0, len(ids), wire.READ_BATCH):
            request = wire.retrieve(self.stream.object, ids[start : start + wire.READ_BATCH], ["Id", *later])
            more.update((str(row.get("Id")), row) for row in wire.retrieved(self.caller.call(request), request.about))
        return [{**more.get(str(row.get("Id")), {}), **row} for row in rows]

    # ── Where it stands ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _advance(self, rows: Sequence[Row]) -> None:
        """Moves the key to the last row that is old enough not to have moved there while the window was read."""
        safe = self._window.until - self.overlap
        for row in reversed(rows):
            at, record_id = _moment(row.get(self.stream.stamp)), row.get("Id")
            if at is not None and at <= safe and isinstance(record_id, str):
                self._window = replace(self._window, key=(row[self.stream.stamp], record_id))
                self._restarts = 0
                return

    def _recover(self, error: ObjectStopped) -> None:
        """Changes what is asked for so that asking again helps, or raises the error."""
        if error.code == wire_errors.LOST_CURSOR and self._restarts < _RESTARTS:
            self._restarts += 1
            return
        if error.code in wire_errors.TOO_HEAVY:
            half = self._window.halved()
            if half is not None:
                self._window = half
                return
        if isinstance(error, wire_errors.NoSuchColumn):
            name = next((name for name in self.stream.optional if name.lower() == error.column.lower()), None)
            if name is not None and name not in self.lacking:
                self.lacking.add(name)
                return
        raise error

    # ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _page(self, rows: Sequence[Row], *, strange: int, total: int | None, last: bool) -> Page:
        values: list[Value] = []
        aside = [_set_aside(self.stream.object, "", "it is no record")] * strange
        for row in rows:
            try:
                values.append(self.stream.read(row))
            except wire_records.Unreadable as problem:
                aside.append(_set_aside(self.stream.object, row.get("Id"), str(problem)))
        told = [value for value in values if value is not None]
        calls, self._counted = self.caller.count - self._counted, self.caller.count
        return Page(
            crm="salesforce",
            object=self.stream.object,
            cursor=self._window.done() if last else self._window.cursor(),
            seen=len(told) + len(aside),
            calls=calls,
            records=[value for value in told if isinstance(value, Record)],
            activities=[value for value in told if isinstance(value, Activity)],
            owners=[value for value in told if isinstance(value, Owner)],
            changes=[value for value in told if isinstance(value, FieldChange)],
            set_aside=aside,
            total=total,
            last=last,
            full=self._window.full,
        )


def nothing(object_name: str, cursor: Cursor | None, calls: int) -> Page:
    """The one page of a stream that the org does not let us read, and that can be done without; its cursor stays."""
    return Page(crm="salesforce", object=object_name, cursor=cursor or {}, seen=0, calls=calls, last=True)


def _moment(text: object) -> datetime | None:
    try:
        return wire.moment_of(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _set_aside(object_name: str, record_id: object, reason: str) -> SetAside:
    return SetAside(
        record=RecordRef(crm="salesforce", object=object_name, id=record_id if isinstance(record_id, str) else ""),
        reason=f"salesforce sent a {object_name} that cannot be read: {reason}",
        next_step="Look at the record in Salesforce; give the connector's user access to the field, and it is read with its next change.",
    )
