"""The chain that reads a stream by search, from the highest id down."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connector.adapters.client import Caller
from connector.adapters.hubspot.first_read.chain import ChainPart, ChainRequest, numbers_of
from connector.adapters.hubspot.first_read.meeting import ChainMeeting
from connector.adapters.hubspot.pages import RawRecords
from connector.adapters.hubspot.wire.records import Listing, modified_millis, read_listing, read_total
from connector.adapters.hubspot.wire.requests import ASSOCIATION_LIMIT, BEYOND, SearchRange
from connector.adapters.hubspot.wire.values import record_id

#: Fewer records than this the list alone reads as quickly.
_WORTH_IT: Final = 2000


@dataclass(slots=True)
class SearchChain:
    """One thread's chain."""

    request: ChainRequest
    meeting: ChainMeeting
    caller: Caller

    def parts(self) -> Generator[ChainPart, None, None]:
        """The search from the highest id (or from where it stood) down to what the list has read; none where that is one page."""
        self.meeting.wait_for_list()
        if self.meeting.over:
            return
        try:
            yield from self._parts()
        finally:
            self.meeting.recalled()

    def _parts(self) -> Iterator[ChainPart]:
        meeting, caller = self.meeting, self.caller
        counted, records = caller.count, RawRecords()
        known, start = meeting.below, meeting.resume_from
        listing = self._search([] if start is None else [SearchRange(last=start)])
        bound, read = None if start is None else start + 1, list[tuple[int, bool]]()
        if not self._worth_it(listing) or not self._proved(listing, start is None):
            meeting.give_up()
        while not meeting.single and not meeting.over:
            page = self._descending(listing, bound)
            if page is None:
                meeting.give_up()
                break
            read += page
            records.add([raw for raw, (number, _) in zip(listing.results, page, strict=True) if known is None or number < known])
            above, bound = bound, page[-1][0] if page else 0
            if known is not None and (bound <= known or listing.after is None):
                meeting.came_down([row for row in read if row[0] >= known])
                meeting.show()
                meeting.recalled()
                read, known = [row for row in read if row[0] < known], None
            ended = listing.after is None or (known is None and bound <= meeting.high)
            if read and known is None and (ended or len(records) >= ASSOCIATION_LIMIT):
                yield ChainPart(records, meeting.came_down(read), caller.count - counted)
                meeting.show()
                meeting.recalled()
                counted, records, read = caller.count, RawRecords(), []
            if ended:
                break
            following = self._search([SearchRange(below=bound)])
            if self._skipped(listing, following, page, above):
                meeting.give_up()
            listing = following
        if caller.count > counted:
            yield ChainPart(RawRecords(), {}, caller.count - counted)

    def _search(self, spans: Sequence[SearchRange]) -> Listing:
        request = self.request.api.search(self.request.stream, self.request.properties, spans, down=True)
        return self.caller.ask(request, read_listing)

    def _worth_it(self, listing: Listing) -> bool:
        """Whether there is enough for two; a search chain that goes on had enough before."""
        if self.meeting.resume_from is None:
            self.meeting.total = listing.total
        return self.meeting.resume_from is not None or (listing.total is not None and listing.total >= _WORTH_IT)

    def _proved(self, listing: Listing, whole: bool) -> bool:
        """Whether nothing old lies beyond every id nor, of the whole, above its first one: ids are compared, and sorted, as numbers."""
        first = record_id(listing.results[0]) if listing.results else ""
        if not first:
            return not whole
        spans = [BEYOND, *([SearchRange(above=first)] if whole else [])]
        request = self.request.api.search(self.request.stream, self.request.properties[-1:], spans, down=True)
        beyond = self.caller.ask(request, read_listing)
        return beyond.total == len(beyond.results) and not any(self._quiet(raw) for raw in beyond.results)

    def _descending(self, listing: Listing, bound: int | None) -> list[tuple[int, bool]] | None:
        """The ids of a page and whether each is quiet; None where they are not numbers going down from below the bound."""
        numbers = numbers_of(listing.results)
        read = [(number, self._quiet(raw)) for number, raw in zip(numbers, listing.results, strict=True) if number is not None]
        lower = [number for number, _ in read]
        if len(read) < len(numbers) or lower != sorted(set(lower), reverse=True) or (not lower and listing.after is not None):
            return None
        return None if lower and bound is not None and lower[0] >= bound else read

    def _skipped(self, listing: Listing, following: Listing, page: Sequence[tuple[int, bool]], above: int | None) -> bool:
        """Whether quiet records lie in the stretch of a page that it did not show. Asked only where the totals do not add up."""
        if listing.total is None or following.total is None or following.total >= listing.total - len(listing.results) or not page:
            return False
        stretch = SearchRange(first=page[-1][0], below=page[0][0] + 1 if above is None else above, until=self.request.quiet_until)
        count = self.caller.ask(self.request.api.search(self.request.stream, [], [stretch], limit=1), read_total)
        return count > sum(quiet for _, quiet in page)

    def _quiet(self, raw: Any) -> bool:
        """Whether the changes afterwards will not bring it."""
        modified = modified_millis(self.request.stream, raw)
        return modified is None or modified <= self.request.quiet_until
