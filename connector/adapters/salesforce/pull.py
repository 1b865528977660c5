"""The pull of one stream as pages: a window of time walked by the key (SystemModstamp, Id), each page with the cursor to go on from.

What keeps it whole: the window is closed (nothing moves in while it is read); a page's cursor is a key of its own, so Salesforce's cursor
may vanish; the last minutes before the window's end (`overlap`) are never passed by a cursor but by the window's own end, since rows may be
committed late, and a row that changes while it is read moves there; the next window begins so much earlier.

A first read that would take more calls by REST than by a bulk job goes on by the job behind REST's first page, in the same window; where
the job leads nowhere, REST reads on from its own key.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.adapters.client import Caller, Request
from connector.adapters.salesforce.bulk_pull import BulkJob, GivenUp
from connector.adapters.salesforce.client import SalesforceClient
from connector.adapters.salesforce.pages import PageBuilder, empty_page
from connector.adapters.salesforce.position import PullPosition
from connector.adapters.salesforce.read_by_id import completed
from connector.adapters.salesforce.shared_activities import with_everyone
from connector.adapters.salesforce.streams import OPTIONAL, Stream
from connector.adapters.salesforce.wire import bulk as wire_bulk
from connector.adapters.salesforce.wire import errors as wire_errors
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Row
from connector.errors import ObjectStopped
from connector.model import Cursor, Page

log = logging.getLogger("connector.adapters.salesforce")

#: How often a vanished cursor is asked for again without getting on.
_RESTARTS = 5


def under_way(cursor: Cursor) -> bool:
    """Whether this cursor stands inside a window."""
    return "until" in cursor


def pull(
    client: SalesforceClient, stream: Stream, cursor: Cursor | None, *, overlap: timedelta, now: datetime, lacking: set[str]
) -> Iterator[Page]:
    """Pages from the cursor on; the last has `last`. lacking: optional fields that the org does not have; grows as they are found out.

    Of what can be done without (`OPTIONAL`) and was never shown to us comes one empty page; `check` tells. Raises `ObjectStopped` for what
    was shown once and is hidden now: what is mirrored of it would grow old in silence.
    """
    whole = wire_query.StampWindow.opened(cursor, now=now, overlap=overlap).full
    caller = client.caller("backfill" if whole else "normal")  # a read of everything lets the others pass
    caller.judge = wire_bulk.judge
    try:
        yield from Pull(stream=stream, caller=caller, cursor=cursor, now=now, overlap=overlap, lacking=lacking).pages()
    except ObjectStopped as error:
        hidden = error.code == "INVALID_TYPE" or error.code.startswith("INSUFFICIENT_ACCESS")
        if stream.object not in OPTIONAL or not hidden or cursor:
            raise
        yield empty_page(stream.object, cursor or {}, caller.count)


@dataclass(kw_only=True)
class Pull:
    """One pull of one stream, from a cursor on. lacking: optional fields that the org does not have; grows as they are found out."""

    stream: Stream
    caller: Caller
    cursor: Cursor | None
    now: datetime
    overlap: timedelta
    lacking: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._position = PullPosition(self.stream, self.cursor, lacking=self.lacking, now=self.now, overlap=self.overlap)
        self._columns = self._position.columns
        self._by_job = self._position.window.full
        self._place = wire_bulk.JobPlace.of(self.cursor) if self._by_job else None
        related = {name.partition(".")[0] for name in self.stream.others if "." in name}
        self._job = BulkJob(self.stream.object, caller=self.caller, related=related)
        self._builder = PageBuilder(stream=self.stream.object, read=self.stream.read)
        self._begun = False
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
            self._position.close_window(answer)
            self._position.learn_total(page)
            named = [row for row in page.rows if isinstance(row, dict)]
            rows = with_everyone(self.caller, self.stream.object, completed(self.caller, self.stream.object, named, self._columns.by_id))
            strange = len(page.rows) - len(rows)
            part = self._position.window.upper is not None
            if page.locator is not None:
                request = wire.more(page.locator, about=request.about)
                passed = self._position.advance(rows)
                self._restarts = 0 if passed else self._restarts
                if first and not part and passed and self._begin_job(page):
                    yield self._page(rows[:passed], strange=strange)
                    return
            else:
                self._position.window = self._position.window.part_done() if part else self._position.window
                request = self._first() if part else None
            first = False
            self._done = request is None
            yield self._page(rows, strange=strange)

    def _first(self) -> Request:
        soql = self._position.soql(self._columns.in_query, order=f"{self.stream.stamp}, Id")
        return wire.query(soql, all_rows=self.stream.all_rows, about=f"reading {self.stream.object}")

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
        soql = self._position.soql(self._columns.everything())
        try:
            self._place = self._job.begin(soql, all_rows=self.stream.all_rows, total=self._position.total)
        except GivenUp as problem:
            self._without_job(problem)
        self._begun = self._place is not None
        return self._begun

    def _without_job(self, problem: GivenUp) -> None:
        log.warning("salesforce: %s is read by REST, not by Bulk API: %s", self.stream.object, problem)
        self._place, self._by_job = None, False

    def _by_bulk(self, place: wire_bulk.JobPlace) -> Iterator[Page]:
        self._position.total = place.total
        wanted = {name.lower(): name for name in self._columns.everything()}
        for rows, behind in self._job.rest(place, begun=self._begun):
            self._place = place = behind
            if rows and not self._begun:  # the job is of a pull that was stopped: what it did without is told by what it has
                names = {name.lower() for name in rows[0]}
                self._columns.gone.update(name for lower, name in wanted.items() if lower not in names and name in self.stream.others)
            yield self._page(with_everyone(self.caller, self.stream.object, rows))
        self._job.end(place)
        self._done = True
        yield self._page(())

    # ── What helps ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

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
        half = self._position.window.halved()
        if half is None:
            return self._columns.lighten()
        self._position.window = half
        return True

    def _job_instead(self) -> bool:
        """A first read that is too long for a query is short enough for a job, which reads in chunks of its own."""
        before = self._position.window
        self._position.close_early()
        if self._have_job():
            self._position.fresh = False
            return True
        self._position.window = before
        return False

    # ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _page(self, rows: Sequence[Row], *, strange: int = 0) -> Page:
        calls, self._counted = self.caller.count - self._counted, self.caller.count
        return self._builder.page(
            rows,
            self._position.cursor(self._place, done=self._done),
            strange=strange,
            calls=calls,
            last=self._done,
            full=self._position.window.full,
            total=self._position.total,
            absent=self._columns.gone,
        )
