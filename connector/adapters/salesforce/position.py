"""Where a pull of one stream stands: its window of time, the key inside it, the columns that it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from connector.adapters.client import Answer
from connector.adapters.salesforce.streams import Columns, Stream
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.bulk import JobPlace
from connector.adapters.salesforce.wire.requests import Row
from connector.model import Cursor


class PullPosition:
    """fresh: the window was opened by this pull, and Salesforce's own time is not known yet; total: the stream's size, where it is told."""

    def __init__(self, stream: Stream, cursor: Cursor | None, *, lacking: set[str], now: datetime, overlap: timedelta) -> None:
        self.window = wire_query.StampWindow.opened(cursor, now=now, overlap=overlap)
        self.columns = Columns(stream, lacking, cursor, now)
        self.fresh = not (cursor and "until" in cursor)
        self.total: int | None = None
        self._stream = stream
        self._overlap = overlap

    def soql(self, fields: Sequence[str], *, order: str = "") -> str:
        """The query for what is left of the window."""
        where = " AND ".join(part for part in (self.window.where(self._stream.stamp), self._stream.where) if part)
        return wire_query.select(self._stream.object, fields, where=where, order=order)

    def learn_total(self, page: wire.QueryPage) -> None:
        """The first query of a whole read tells the stream's size."""
        if self.window == wire_query.StampWindow(until=self.window.until, full=True) and self._stream.all_told:
            self.total = page.total

    def close_window(self, answer: Answer) -> None:
        """Ends the window at Salesforce's own time, where its clock is behind ours: what it stamps next must fall into the next window."""
        if self.fresh:
            server = wire.server_date(answer.headers)
            if server is not None and server < self.window.until:
                self.window = replace(self.window, until=server)
            self.fresh = False

    def close_early(self) -> None:
        """Ends a window before Salesforce's own time is known: an earlier end is always right, whatever our clock says."""
        if self.fresh:
            self.window = replace(self.window, until=self.window.until - self._overlap)

    def advance(self, rows: Sequence[Row]) -> int:
        """Moves the key to the last row that is old enough not to have moved there while the window was read; how many rows that are."""
        safe = self.window.until - self._overlap
        for at in range(len(rows) - 1, -1, -1):
            row = rows[at]
            stamp, record_id = _moment(row.get(self._stream.stamp)), row.get("Id")
            if stamp is not None and stamp <= safe and isinstance(record_id, str):
                self.window = replace(self.window, key=(row[self._stream.stamp], record_id))
                return at + 1
        return 0

    def cursor(self, place: JobPlace | None, *, done: bool) -> Cursor:
        """What the mirror stores. place: where a job stands that reads the rest; done: nothing is left."""
        if done:
            return {**self.window.done(), **self.columns.remembered()}
        bulk = {} if place is None else {"bulk": place.cursor()}
        return {**self.window.cursor(), **bulk, **self.columns.remembered()}


def _moment(text: object) -> datetime | None:
    try:
        return wire.moment_of(text) if isinstance(text, str) else None
    except ValueError:
        return None
