"""One stream, page by page: a window of time walked by the key (SystemModstamp, Id), each page with the cursor to go on from.

What keeps it whole: the window is closed (nothing moves in while it is read); a page's cursor is a key of its own, so Salesforce's cursor
may vanish; the last minutes before the window's end (`overlap`) are never passed by a cursor but by the window's own end, since rows may be
committed late, and a row that changes while it is read moves there; the next window begins so much earlier.

A first read that would take more calls by REST than by a bulk job goes on by the job behind REST's first page, in the same window; where
the job leads nowhere, REST reads on from its own key.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from connector.adapters.client import Answer, Caller, Lane, Request
from connector.adapters.salesforce.bulk_pull import BulkJob, GivenUp
from connector.adapters.salesforce.shared_activities import with_everyone
from connector.adapters.salesforce.streams import Columns, Stream
from connector.adapters.salesforce.wire import bulk as wire_bulk
from connector.adapters.salesforce.wire import errors as wire_errors
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Row
from connector.errors import ObjectStopped
from connector.model import (
    Activity,
    Campaign,
    CampaignMember,
    Cursor,
    Deal,
    DealContact,
    FieldChange,
    Owner,
    Page,
    Record,
    RecordRef,
    SetAside,
)

log = logging.getLogger("connector.adapters.salesforce")

#: How often a vanished cursor is asked for again without getting on.
_RESTARTS = 5


def lane_of(cursor: Cursor | None, *, now: datetime, overlap: timedelta) -> Lane:
    """How urgent a pull is: a read of everything lets the others pass."""
    return "backfill" if wire_query.Window.opened(cursor, now=now, overlap=overlap).full else "normal"


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
        self._columns = Columns(self.stream, self.lacking, self.cursor, self.now)
        self._place = wire_bulk.Place.of(self.cursor) if self._window.full else None
        related = {name.partition(".")[0] for name in self.stream.others if "." in name}
        self._job = BulkJob(self.stream.object, caller=self.caller, related=related)
        self._begun = False
        self._by_job = self._window.full
        self._total: int | None = None
        self._done = False
        self._restarts = 0
        self._counted = 0

    def pages(self) -> Iterator[Page]:
        """The pages; the last has `last` set. Errors that a smaller or renewed query cures are cured."""
        while not self._done:
            try:
                yield from self._by_rest() if self._place is None else self._by_bulk(self._place)
            except ObjectStopped as error:
                self._recover(error)
            except GivenUp as problem:
                self._without_job(problem)

    # ── By REST ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _by_rest(self) -> Iterator[Page]:
        first = True
        request: Request | None = self._first()
        while request is not None:
            answer = self.caller.call(request)
            page = wire.query_page(answer, request.about)
            self._close_window(answer)
            self._learn_total(page)
            rows = self._with_everyone(self._completed([row for row in page.rows if isinstance(row, dict)]))
            strange = len(page.rows) - len(rows)
            part = self._window.upper is not None
            if page.locator is not None:
                request = wire.more(page.locator, about=request.about)
                passed = self._advance(rows)
                if first and not part and passed and self._begin_job(page):
                    yield self._page(rows[:passed], strange=strange)
                    return
            else:
                self._window = self._window.part_done() if part else self._window
                request = self._first() if part else None
            first = False
            self._done = request is None
            yield self._page(rows, strange=strange)

    def _first(self) -> Request:
        soql = self._soql(self._columns.in_query, order=f"{self.stream.stamp}, Id")
        return wire.query(soql, all_rows=self.stream.all_rows, about=f"reading {self.stream.object}")

    def _soql(self, fields: Sequence[str], *, order: str = "") -> str:
        where = " AND ".join(part for part in (self._window.where(self.stream.stamp), self.stream.where) if part)
        return wire_query.select(self.stream.object, fields, where=where, order=order)

    def _learn_total(self, page: wire.QueryPage) -> None:
        """The first query of a whole read tells the stream's size."""
        if self._window == wire_query.Window(until=self._window.until, full=True) and self.stream.all_told:
            self._total = page.total

    def _close_window(self, answer: Answer) -> None:
        """Ends the window at Salesforce's own time, where its clock is behind ours: what it stamps next must fall into the next window."""
        if self._fresh:
            server = wire.server_date(answer.headers)
            if server is not None and server < self._window.until:
                self._window = replace(self._window, until=server)
            self._fresh = False

    def _completed(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows with the fields for which the query had no room, read by id. What is deleted has these no more."""
        parts = self._columns.by_id
        ids = [row["Id"] for row in rows if isinstance(row.get("Id"), str) and row.get("IsDeleted") is not True]
        if not parts or not ids:
            return rows
        more: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for start in range(0, len(ids), wire.READ_BATCH):
            for part in parts:
                request = wire.retrieve(self.stream.object, ids[start : start + wire.READ_BATCH], ["Id", *part])
                for row in wire.retrieved(self.caller.call(request), request.about):
                    more[str(row.get("Id"))].update(row)
        return [{**more.get(str(row.get("Id")), {}), **row} for row in rows]

    def _with_everyone(self, rows: Sequence[Row]) -> Sequence[Row]:
        return with_everyone(self.caller, self.stream.object, rows) if self.stream.object in wire_records.RELATIONS else rows

    # ── By a bulk job ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin_job(self, page: wire.QueryPage) -> bool:
        """Has a job read what is left behind the key, where that takes fewer calls; whether it does."""
        left = (page.total or 0) - len(page.rows)
        by_rest = -(-left // max(1, len(page.rows))) * (1 + len(self._columns.by_id))
        return by_rest > wire_bulk.calls(left) and self._have_job()

    def _have_job(self) -> bool:
        """Has a job read what is left of the window, where a job may be; whether it does."""
        if not self._by_job or self._place is not None:
            return False
        soql = self._soql(self._columns.everything())
        try:
            self._place = self._job.begin(soql, all_rows=self.stream.all_rows, total=self._total)
        except GivenUp as problem:
            self._without_job(problem)
        self._begun = self._place is not None
        return self._begun

    def _without_job(self, problem: GivenUp) -> None:
        log.warning("salesforce: %s is read by REST, not by Bulk API: %s", self.stream.object, problem)
        self._place, self._by_job = None, False

    def _by_bulk(self, place: wire_bulk.Place) -> Iterator[Page]:
        self._total = place.total
        wanted = {name.lower(): name for name in self._columns.everything()}
        for rows, behind in self._job.rest(place, begun=self._begun):
            self._place = place = behind
            if rows and not self._begun:  # the job is of a pull that was stopped: what it did without is told by what it has
                names = {name.lower() for name in rows[0]}
                self._columns.gone.update(name for lower, name in wanted.items() if lower not in names and name in self.stream.others)
            yield self._page(self._with_everyone(rows))
        self._job.end(place)
        self._done = True
        yield self._page(())

    # ── Where it stands ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _advance(self, rows: Sequence[Row]) -> int:
        """Moves the key to the last row that is old enough not to have moved there while the window was read; how many rows that are."""
        safe = self._window.until - self.overlap
        for at in range(len(rows) - 1, -1, -1):
            row = rows[at]
            stamp, record_id = _moment(row.get(self.stream.stamp)), row.get("Id")
            if stamp is not None and stamp <= safe and isinstance(record_id, str):
                self._window = replace(self._window, key=(row[self.stream.stamp], record_id))
                self._restarts = 0
                return at + 1
        return 0

    def _recover(self, error: ObjectStopped) -> None:
        """Changes what is asked for so that asking again helps, or raises the error."""
        if error.code == wire_errors.LOST_CURSOR and self._restarts < _RESTARTS:
            self._restarts += 1
            return
        if error.code in wire_errors.TOO_HEAVY and self._lighter(error.code):
            return
        if not self._columns.without(error):
            raise error

    def _lighter(self, code: str) -> bool:
        """Asks for less: fewer fields where they are too complicated, else a job or a shorter window, and of these what is left to try."""
        if code == "QUERY_TOO_COMPLICATED" and self._columns.lighten():
            return True
        if self._job_instead():
            return True
        half = self._window.halved()
        if half is None:
            return self._columns.lighten()
        self._window = half
        return True

    def _job_instead(self) -> bool:
        """A first read that is too long for a query is short enough for a job, which reads in chunks of its own."""
        before = self._window
        if self._fresh:  # Salesforce's own time is not known yet; an earlier end is always right, whatever our clock says
            self._window = replace(before, until=before.until - self.overlap)
        if self._have_job():
            self._fresh = False
            return True
        self._window = before
        return False

    def _cursor(self) -> Cursor:
        if self._done:
            return {**self._window.done(), **self._columns.remembered()}
        bulk = {} if self._place is None else {"bulk": self._place.cursor()}
        return {**self._window.cursor(), **bulk, **self._columns.remembered()}

    # ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _page(self, rows: Sequence[Row], *, strange: int = 0) -> Page:
        aside = [_set_aside(self.stream.object, "", "it is no record")] * strange
        told: defaultdict[type, list[Any]] = defaultdict(list)
        seen, read = 0, self.stream.read
        for row in rows:
            try:
                value = read(row)
            except wire_records.Unreadable as problem:
                aside.append(_set_aside(self.stream.object, row.get("Id"), str(problem)))
                continue
            if value is not None:
                told[type(value)].append(value)
                seen += 1
        calls, self._counted = self.caller.count - self._counted, self.caller.count
        return Page(
            crm="salesforce",
            object=self.stream.object,
            cursor=self._cursor(),
            seen=seen + len(aside),
            calls=calls,
            records=told[Record],
            activities=told[Activity],
            owners=told[Owner],
            changes=told[FieldChange],
            deals=told[Deal],
            deal_contacts=told[DealContact],
            campaigns=told[Campaign],
            campaign_members=told[CampaignMember],
            set_aside=aside,
            total=self._total,
            last=self._done,
            full=self._window.full,
            absent=frozenset(self._columns.gone),
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
