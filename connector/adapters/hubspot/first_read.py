"""The first read of a stream: its list from the lowest id up and, beside it, a search from the highest id down, until they meet.

One list goes 100 records a call, each call after the last one's answer; HubSpot would allow three times as much. So people and companies
are read from both ends; association reads run in a third thread, and neither chain waits for them. Other streams go by the list alone.

Cursor: {"phase": "list", "since": when it began, "after": where the list goes on} and, with two chains, "high": the highest id that the
list has read, and "top": where the search stands ({} before its first page). The last page's is {"phase": "changes", "since"}.

Why no record is missing when they have met at an id H. Let C be `since` less the overlap, which is longer than the search index lags.
* What was changed or created since C comes with the changes, whose first window begins at C. That holds for whatever the index does not
  have yet, or has as it was. All others are *quiet*: unchanged since C, in the index all the time, under one id.
* A quiet record with an id up to H: the list read it, which goes by ids, upwards without a gap (checked page by page).
* A quiet record with an id above H: the search read it. It goes down by id, each page strictly descending and below the last one; that
  HubSpot compares ids as numbers is proved before (a search beyond every id, and above the first one, finds nothing old); every answer's
  total is what the last one left, or the stretch between is counted. At the meeting the quiet records above H are counted by a search of
  their own, and must not be more than were read. Their number can only fall, by deletions and edits, so what is missing cannot hide behind
  new records.
* Where any of this does not hold, the list goes on to its end, as if there were no search.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from connector.adapters.client import Caller
from connector.adapters.hubspot.associations import stuck
from connector.adapters.hubspot.concurrent_readers import ReaderThreads
from connector.adapters.hubspot.first_read_meeting import FirstReadMeeting
from connector.adapters.hubspot.pages import Gathered, Pages
from connector.adapters.hubspot.read_by_id import read_raw
from connector.adapters.hubspot.wire.records import Listing, modified_millis, read_listing, read_total
from connector.adapters.hubspot.wire.requests import (
    ASSOCIATION_LIMIT,
    BEYOND,
    ENGAGEMENTS,
    LIST_LIMIT,
    Api,
    Span,
    fits_an_address,
    properties_to_ask,
)
from connector.adapters.hubspot.wire.values import record_id
from connector.model import Cursor, Page

#: Streams that are worth two chains.
TWO_CHAINS: Final = ("companies", "contacts")
#: Fewer records than this the list alone reads as quickly.
_WORTH_IT: Final = 2000
_LIST_PAGES: Final = ASSOCIATION_LIMIT // LIST_LIMIT
#: … of streams whose links come in the list: no reading of associations wants more, and four of them are in memory at once.
_LINKED_PAGES: Final = 5


@dataclass(slots=True)
class Group:
    """What one chain read, for one page of the mirror; what the cursor says once it is stored; how many calls it took."""

    gathered: Gathered
    after: Mapping[str, Any]
    calls: int
    last: bool = False


@dataclass(slots=True, kw_only=True)
class FirstRead:
    """One first read of one stream. caller: as which requests go out; each thread has one of its own like it."""

    api: Api
    caller: Caller
    stream: str
    wanted: Sequence[str]
    overlap: timedelta
    _asked: list[str] = field(default_factory=list, init=False)
    _quiet_until: int = field(default=0, init=False)
    _since: int = field(default=0, init=False)

    def read(self, cursor: Cursor) -> Generator[Page, None, None]:
        """Pages from the cursor on; the last has `last`. When it ends, is closed or raises, its threads have ended."""
        self._asked = properties_to_ask(self.stream, self.wanted)
        self._since = int(cursor["since"])
        self._quiet_until = self._since - self.overlap // timedelta(milliseconds=1) - 1
        meeting, crew = FirstReadMeeting(cursor), ReaderThreads(f"first-read-{self.stream}")
        chains = [self.upwards(cursor.get("after"), meeting, crew.caller(self.caller))]
        if not meeting.single:
            chains.append(self.downwards(meeting, crew.caller(self.caller)))
        pages = Pages(api=self.api, caller=crew.caller(self.caller), stream=self.stream, wanted=self.wanted)
        return crew.beside(chains, lambda groups: self.finish(groups, cursor, meeting, pages))

    # ── Up the list ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def upwards(self, after: str | None, meeting: FirstReadMeeting, caller: Caller) -> Generator[Group, None, None]:
        """The list from a place on, until its end or the meeting."""
        try:
            yield from self._upwards(after, meeting, caller)
        finally:
            meeting.over = True
            meeting.begun()

    def _upwards(self, after: str | None, meeting: FirstReadMeeting, caller: Caller) -> Iterator[Group]:
        ended = False
        while not ended:
            gathered, counted = Gathered(), caller.count
            for _ in range(_LINKED_PAGES if self.stream in ENGAGEMENTS else _LIST_PAGES):
                results, following = self._listed(after, caller)
                gathered.add(results)
                if following is not None and following == after:
                    raise stuck(self.stream)
                after = following
                if after is not None:
                    meeting.begun()
                ended = after is None or meeting.came_up(_numbers(results), lambda high: self._quiet_above(high, caller))
                if ended:
                    meeting.over = True
                    break
            two = {} if meeting.single else {"high": meeting.high}
            yield Group(gathered, {"after": after, **two, **({"top": None} if meeting.single else {})}, caller.count - counted, ended)

    def _listed(self, after: str | None, caller: Caller) -> tuple[Sequence[Any], str | None]:
        """A page of the list and where the next begins. More names than an address holds go into a body, for the ids of the page."""
        short = fits_an_address(self._asked)
        listing = caller.ask(self.api.list_page(self.stream, self._asked if short else ["hs_object_id"], after), read_listing)
        self._since = listing.closed(self._since)  # the changes afterwards begin no later than HubSpot's own clock stood here
        if short:
            return listing.results, listing.after
        whole = read_raw(self.api, caller, self.stream, [found for raw in listing.results if (found := record_id(raw))], self._asked)
        # What is not there any more was deleted meanwhile; what has no id cannot be asked for, and is set aside as it is.
        named = [(record_id(raw), raw) for raw in listing.results]
        linked = {found: {"associations": raw["associations"]} for found, raw in named if found and "associations" in raw}
        full = [whole[found] | linked.get(found, {}) for found, _ in named if found in whole]
        return [*full, *(raw for found, raw in named if not found)], listing.after

    def _quiet_above(self, high: int, caller: Caller) -> int:
        spans = [Span(above=high, until=self._quiet_until)]
        return caller.ask(self.api.search(self.stream, [], spans, limit=1), read_total)

    # ── Down by search ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def downwards(self, meeting: FirstReadMeeting, caller: Caller) -> Generator[Group, None, None]:
        """The search from the highest id (or from where it stood) down to what the list has read; none where that is one page."""
        meeting.wait_for_list()
        if meeting.over:
            return
        try:
            yield from self._downwards(meeting, caller)
        finally:
            meeting.recalled()

    def _downwards(self, meeting: FirstReadMeeting, caller: Caller) -> Iterator[Group]:
        counted, gathered = caller.count, Gathered()
        known, start = meeting.below, meeting.resume_from
        listing = self._search([] if start is None else [Span(last=start)], caller)
        bound, read = None if start is None else start + 1, list[tuple[int, bool]]()
        if not self._worth_it(meeting, listing) or not self._proved(listing, start is None, caller):
            meeting.give_up()
        while not meeting.single and not meeting.over:
            page = self._descending(listing, bound)
            if page is None:
                meeting.give_up()
                break
            read += page
            gathered.add([raw for raw, (number, _) in zip(listing.results, page, strict=True) if known is None or number < known])
            above, bound = bound, page[-1][0] if page else 0
            if known is not None and (bound <= known or listing.after is None):
                meeting.came_down([each for each in read if each[0] >= known])
                meeting.show()
                meeting.recalled()
                read, known = [each for each in read if each[0] < known], None
            ended = listing.after is None or (known is None and bound <= meeting.high)
            if read and known is None and (ended or len(gathered) >= ASSOCIATION_LIMIT):
                yield Group(gathered, meeting.came_down(read), caller.count - counted)
                meeting.show()
                meeting.recalled()
                counted, gathered, read = caller.count, Gathered(), []
            if ended:
                break
            following = self._search([Span(below=bound)], caller)
            if self._skipped(listing, following, page, above, caller):
                meeting.give_up()
            listing = following
        if caller.count > counted:
            yield Group(Gathered(), {}, caller.count - counted)

    def _search(self, spans: Sequence[Span], caller: Caller) -> Listing:
        return caller.ask(self.api.search(self.stream, self._asked, spans, down=True), read_listing)

    def _worth_it(self, meeting: FirstReadMeeting, listing: Listing) -> bool:
        """Whether there is enough for two; a search chain that goes on had enough before."""
        if meeting.resume_from is None:
            meeting.total = listing.total
        return meeting.resume_from is not None or (listing.total is not None and listing.total >= _WORTH_IT)

    def _proved(self, listing: Listing, whole: bool, caller: Caller) -> bool:
        """Whether nothing old lies beyond every id nor, of the whole, above its first one: ids are compared, and sorted, as numbers."""
        first = record_id(listing.results[0]) if listing.results else ""
        if not first:
            return not whole
        spans = [BEYOND, *([Span(above=first)] if whole else [])]
        request = self.api.search(self.stream, self._asked[-1:], spans, down=True)
        beyond = caller.ask(request, read_listing)
        return beyond.total == len(beyond.results) and not any(self._quiet(raw) for raw in beyond.results)

    def _descending(self, listing: Listing, bound: int | None) -> list[tuple[int, bool]] | None:
        """The ids of a page and whether each is quiet; None where they are not numbers going down from below the bound."""
        numbers = _numbers(listing.results)
        read = [(number, self._quiet(raw)) for number, raw in zip(numbers, listing.results, strict=True) if number is not None]
        lower = [number for number, _ in read]
        if len(read) < len(numbers) or lower != sorted(set(lower), reverse=True) or (not lower and listing.after is not None):
            return None
        return None if lower and bound is not None and lower[0] >= bound else read

    def _skipped(self, listing: Listing, following: Listing, page: Sequence[tuple[int, bool]], above: int | None, caller: Caller) -> bool:
        """Whether quiet records lie in the stretch of a page that it did not show. Asked only where the totals do not add up."""
        if listing.total is None or following.total is None or following.total >= listing.total - len(listing.results) or not page:
            return False
        stretch = Span(first=page[-1][0], below=page[0][0] + 1 if above is None else above, until=self._quiet_until)
        return caller.ask(self.api.search(self.stream, [], [stretch], limit=1), read_total) > sum(quiet for _, quiet in page)

    def _quiet(self, raw: Any) -> bool:
        """Whether the changes afterwards will not bring it."""
        modified = modified_millis(self.stream, raw)
        return modified is None or modified <= self._quiet_until

    # ── Both into pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self, groups: Iterable[Group], cursor: Cursor, meeting: FirstReadMeeting, pages: Pages) -> Generator[Page, None, None]:
        """The groups as pages, in the order in which they came; the cursor of each is true for it and all before it."""
        state = dict(cursor)
        final: Group | None = None
        calls = 0
        for group in groups:
            calls += group.calls
            if group.last:
                final = group
            if final is not None:
                continue  # what the other chain had on its way is in the list as well
            state |= {"since": self._since, **group.after}
            if state.get("top", {}) is None:
                state = {name: value for name, value in state.items() if name not in ("top", "high")}
            if group.gathered:
                yield pages.page(group.gathered, dict(state), calls=calls, last=False, full=True, total=meeting.total)
                calls = 0
        if final is not None:
            following = {"phase": "changes", "since": self._since}
            yield pages.page(final.gathered, following, calls=calls, last=True, full=True, total=meeting.total)


def _numbers(results: Sequence[Any]) -> list[int | None]:
    """The ids of raw records as numbers, None for what has none."""
    return [int(found) if (found := record_id(raw)).isascii() and found.isdecimal() else None for raw in results]
