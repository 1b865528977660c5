"""The chain that reads the list of a stream, from the lowest id up."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connector.adapters.client import Caller
from connector.adapters.hubspot.associations import stuck
from connector.adapters.hubspot.first_read.chain import ChainPart, ChainRequest, numbers_of
from connector.adapters.hubspot.first_read.meeting import ChainMeeting
from connector.adapters.hubspot.pages import RawRecords
from connector.adapters.hubspot.read_by_id import read_raw
from connector.adapters.hubspot.wire.records import read_listing, read_total
from connector.adapters.hubspot.wire.requests import ASSOCIATION_LIMIT, ENGAGEMENTS, LIST_LIMIT, SearchRange, fits_an_address
from connector.adapters.hubspot.wire.values import record_id

_LIST_PAGES: Final = ASSOCIATION_LIMIT // LIST_LIMIT
#: … of streams whose links come in the list: no reading of associations wants more, and four of them are in memory at once.
_LINKED_PAGES: Final = 5


@dataclass(slots=True)
class ListChain:
    """One thread's chain. since: where the changes afterwards begin, in milliseconds; falls back to HubSpot's own clock."""

    request: ChainRequest
    meeting: ChainMeeting
    caller: Caller
    since: int

    def parts(self, after: str | None) -> Generator[ChainPart, None, None]:
        """The list from a place on, until its end or the meeting."""
        try:
            yield from self._parts(after)
        finally:
            self.meeting.over = True
            self.meeting.begun()

    def _parts(self, after: str | None) -> Iterator[ChainPart]:
        meeting = self.meeting
        ended = False
        while not ended:
            records, counted = RawRecords(), self.caller.count
            for _ in range(_LINKED_PAGES if self.request.stream in ENGAGEMENTS else _LIST_PAGES):
                results, following = self._listed(after)
                records.add(results)
                if following is not None and following == after:
                    raise stuck(self.request.stream)
                after = following
                if after is not None:
                    meeting.begun()
                ended = after is None or meeting.came_up(numbers_of(results), self._quiet_above)
                if ended:
                    meeting.over = True
                    break
            other = {"top": None} if meeting.single else {"high": meeting.high}
            yield ChainPart(records, {"after": after, **other}, self.caller.count - counted, ended)

    def _listed(self, after: str | None) -> tuple[Sequence[Any], str | None]:
        """A page of the list and where the next begins. More names than an address holds go into a body, for the ids of the page."""
        api, stream, properties = self.request.api, self.request.stream, self.request.properties
        short = fits_an_address(properties)
        listing = self.caller.ask(api.list_page(stream, properties if short else ["hs_object_id"], after), read_listing)
        self.since = listing.closed(self.since)  # the changes afterwards begin no later than HubSpot's own clock stood here
        if short:
            return listing.results, listing.after
        whole = read_raw(api, self.caller, stream, [found for raw in listing.results if (found := record_id(raw))], properties)
        # What is not there any more was deleted meanwhile; what has no id cannot be asked for, and is set aside as it is.
        named = [(record_id(raw), raw) for raw in listing.results]
        linked = {found: {"associations": raw["associations"]} for found, raw in named if found and "associations" in raw}
        full = [whole[found] | linked.get(found, {}) for found, _ in named if found in whole]
        return [*full, *(raw for found, raw in named if not found)], listing.after

    def _quiet_above(self, high: int) -> int:
        spans = [SearchRange(above=high, until=self.request.quiet_until)]
        return self.caller.ask(self.request.api.search(self.request.stream, [], spans, limit=1), read_total)
