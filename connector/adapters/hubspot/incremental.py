"""What changed in a stream since a moment: by search, in the order of the changes, without offsets, however many share one moment.

A cursor is {"phase": "changes", "since": …} between windows and, inside one, its bounds and where it stands beside them (see
`SearchWindow`); all moments in milliseconds since 1970. A window ends at the moment when it was begun (where our clock is ahead of
HubSpot's, at the moment that HubSpot's first answer bears), and begins `overlap` before the last one's end: the search index lags, so that
a change shows only some time later, and whatever shows within `overlap` is found.

Why nothing is lost inside a window, although nobody documents how HubSpot orders ids and how exactly it keeps to the order asked for:

* From one page to the next goes a keyset: the last moment of a page begins the next one, that moment included. A record that is edited
  meanwhile leaves the window upwards, and comes again with a later moment, in this window or the next.
* A page full of one millisecond (an import stamps all its records alike: github.com/airbytehq/airbyte/issues/43317) is followed by all
  records of that millisecond by id.
* Every answer tells how many records its search found. What the next search must still find is known before it is sent; where it finds
  fewer, the stretch just passed is counted. Where more lie there than the page showed (ids filtered as numbers but sorted as text, or rows
  out of order), that stretch is gone through again in pieces so small that one page holds each: then no order matters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from connector.adapters.client import Caller
from connector.adapters.hubspot.associations import stuck
from connector.adapters.hubspot.pages import PageBuilder, RawRecords
from connector.adapters.hubspot.wire.records import Listing, modified_millis, read_listing, read_total
from connector.adapters.hubspot.wire.requests import ASSOCIATION_LIMIT, SEARCH_LIMIT, Api, SearchRange, properties_to_ask, to_millis
from connector.adapters.hubspot.wire.values import record_id
from connector.model import Cursor, Page

#: Searches that make one page of the mirror: as many records as one reading of associations takes.
_SEARCHES = ASSOCIATION_LIMIT // SEARCH_LIMIT
#: How long the first piece is, where a stretch is gone through in pieces: milliseconds, or ids.
_FIRST_PIECE = 1000
_LAST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchWindow:
    """A closed stretch of last-modified moments, in milliseconds since 1970, of which the search has reached `low`.

    after_id: set while the records of the one millisecond `low` are gone through by id. width: set while pieces of so many milliseconds
    (or ids) are read. left: how many records the next search must find if the last one skipped none; start, rows: where that one began
    (a moment, or an id), and how many of its records lie before the place where the next begins.
    """

    low: int
    high: int
    after_id: str | None = None
    width: int | None = None
    left: int | None = None
    start: str | None = None
    rows: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing is left to ask for."""
        return self.low > self.high

    def cursor(self, since: int) -> dict[str, Any]:
        """Where a pull that began at `since` stands."""
        if self.empty:
            return {"phase": "changes", "since": self.high}
        place = {"after_id": self.after_id, "width": self.width, "left": self.left, "start": self.start, "rows": self.rows or None}
        known = {name: value for name, value in place.items() if value is not None}
        return {"phase": "changes", "since": since, "until": self.high, "low": self.low, **known}


def window_of(cursor: Cursor, overlap: timedelta, now: datetime) -> SearchWindow:
    """The window to read next: the one that a pull stopped inside, or a new one up to now."""
    if "until" in cursor:
        place = {name: cursor[name] for name in ("after_id", "width", "left", "start", "rows") if name in cursor}
        return SearchWindow(low=int(cursor["low"]), high=int(cursor["until"]), **place)
    since = int(cursor["since"])
    return SearchWindow(low=since - overlap // timedelta(milliseconds=1), high=max(since, to_millis(now)))


@dataclass(slots=True, kw_only=True)
class IncrementalRead:
    """One reading of one window: five searches bring 1,000 records. HubSpot allows five a second; less a headroom of 20%, 800 records."""

    api: Api
    caller: Caller
    builder: PageBuilder
    overlap: timedelta
    now: datetime
    _asked: list[str] = field(default_factory=list, init=False)

    def pages(self, cursor: Cursor) -> Iterator[Page]:
        """Pages from the cursor on; the last has `last`."""
        self._asked = properties_to_ask(self.builder.stream, self.builder.wanted)
        window = window_of(cursor, self.overlap, self.now)
        fresh = "until" not in cursor
        total: int | None = None
        while True:
            records, counted = RawRecords(), self.caller.count
            for _ in range(_SEARCHES):
                window, found = self._step(window, records, fresh=fresh)
                fresh = False
                total = found if total is None else total
                if window.empty:
                    break
            calls = self.caller.count - counted
            following = window.cursor(int(cursor["since"]))
            yield self.builder.page(records, following, calls=calls, last=window.empty, full=False, total=total)
            if window.empty:
                return

    def _step(self, window: SearchWindow, records: RawRecords, *, fresh: bool) -> tuple[SearchWindow, int | None]:
        """One search; where the window goes on after it, and how many records the search found in all.

        fresh: it is the window's first, which ends at HubSpot's time where ours is ahead.
        """
        if window.width is not None:
            return self._piece(window, window.width, records), None
        if window.after_id is None:
            listing = self._ask(SearchRange(since=window.low, until=window.high), by_moment=True)
            window = replace(window, high=listing.closed(window.high)) if fresh else window
            if window.empty:  # the last one ended at a moment of ours that HubSpot has not reached yet
                records.add(listing.results)
                return window, listing.total
        else:
            listing = self._ask(SearchRange(since=window.low, until=window.low, above=window.after_id), by_moment=False)
        if self._skipped(window, listing.total):
            return self._again(window), listing.total
        records.add(listing.results)
        advance = self._after_moments if window.after_id is None else self._after_ids
        return advance(window, listing), listing.total

    def _ask(self, span: SearchRange, *, by_moment: bool) -> Listing:
        request = self.api.search(self.builder.stream, self._asked, [span], by="modified" if by_moment else "id")
        return self.caller.ask(request, read_listing)

    # ── By a keyset ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _after_moments(self, window: SearchWindow, listing: Listing) -> SearchWindow:
        if listing.after is None:
            return SearchWindow(low=window.high + 1, high=window.high)
        # A row that shows a moment beyond the window was found by an older one, which the index still has: it tells nothing of the place.
        moments = [modified_millis(self.builder.stream, raw) for raw in listing.results]
        inside = [moment for moment in moments if moment is not None and window.low <= moment <= window.high]
        if not inside:
            return SearchWindow(low=window.low, high=window.high, width=_FIRST_PIECE)
        reached = max(inside)
        if reached == window.low:
            return SearchWindow(low=window.low, high=window.high, after_id="0")
        rows = sum(moment < reached for moment in inside) + len(moments) - len(inside)
        left = None if listing.total is None else listing.total - rows
        return SearchWindow(low=reached, high=window.high, left=left, start=str(window.low), rows=rows)

    def _after_ids(self, window: SearchWindow, listing: Listing) -> SearchWindow:
        if listing.after is None:
            return SearchWindow(low=window.low + 1, high=window.high)
        last = next((found for raw in reversed(listing.results) if (found := record_id(raw))), None)
        if last is None or last == window.after_id:
            raise stuck(self.builder.stream)
        rows = len(listing.results)
        left = None if listing.total is None else listing.total - rows
        return SearchWindow(low=window.low, high=window.high, after_id=last, left=left, start=window.after_id, rows=rows)

    def _skipped(self, window: SearchWindow, total: int | None) -> bool:
        """Whether records lie in the stretch just passed that its page did not show. Asked only where the totals do not add up."""
        if window.left is None or window.start is None or total is None or total >= window.left:
            return False
        if window.after_id is None:
            passed = SearchRange(since=int(window.start), until=window.low - 1)
        else:
            passed = SearchRange(since=window.low, until=window.low, above=window.start, last=window.after_id)
        count = self.caller.ask(self.api.search(self.builder.stream, [], [passed], limit=1), read_total)
        return count > window.rows

    def _again(self, window: SearchWindow) -> SearchWindow:
        """The stretch just passed in pieces; a millisecond from its first id."""
        if window.after_id is not None:
            return SearchWindow(low=window.low, high=window.high, after_id="0", width=_FIRST_PIECE)
        return SearchWindow(low=int(window.start or window.low), high=window.high, width=_FIRST_PIECE)

    # ── In pieces ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _piece(self, window: SearchWindow, width: int, records: RawRecords) -> SearchWindow:
        """A stretch of moments, or of ids with one number of digits, that one page holds whole; halved until one does.

        Whether ids are compared as numbers or as text: between numbers with the same number of digits lie the same numbers of so many
        digits; as text longer ones lie there too, and are read twice.
        """
        low = window.low if window.after_id is None else int(window.after_id) + 1
        top = window.high if window.after_id is None else min(10 ** len(str(low)) - 1, _LAST_ID)
        end = min(low + width - 1, top)
        if window.after_id is None:
            listing = self._ask(SearchRange(since=low, until=end), by_moment=True)
        else:
            listing = self._ask(SearchRange(since=window.low, until=window.low, first=low, last=end), by_moment=False)
        if listing.after is not None:
            return self._smaller(window, end - low + 1)
        records.add(listing.results)
        width = min(width * 8, _LAST_ID) if len(listing.results) < SEARCH_LIMIT // 8 else width
        if window.after_id is None:
            return SearchWindow(low=end + 1, high=window.high, width=width)
        if end == _LAST_ID:
            return SearchWindow(low=window.low + 1, high=window.high)
        return replace(window, after_id=str(end), width=width)

    def _smaller(self, window: SearchWindow, width: int) -> SearchWindow:
        if width > 1:
            return replace(window, width=width // 2)
        if window.after_id is not None:
            raise stuck(self.builder.stream)
        return SearchWindow(low=window.low, high=window.high, after_id="0")
