"""One first read: the two chains beside each other, and what they bring as pages."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from connector.adapters.client import Caller
from connector.adapters.hubspot.first_read.chain import ChainPart, ChainRequest
from connector.adapters.hubspot.first_read.list_chain import ListChain
from connector.adapters.hubspot.first_read.meeting import ChainMeeting
from connector.adapters.hubspot.first_read.readers import ReaderThreads
from connector.adapters.hubspot.first_read.search_chain import SearchChain
from connector.adapters.hubspot.pages import PageBuilder
from connector.adapters.hubspot.wire.requests import Api, properties_to_ask
from connector.model import Cursor, Page

#: Streams that are worth two chains.
TWO_CHAINS: Final = ("companies", "contacts")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRead:
    """One first read of one stream. caller: as which requests go out; each thread has one of its own like it."""

    api: Api
    caller: Caller
    stream: str
    wanted: Sequence[str]
    overlap: timedelta

    def pages(self, cursor: Cursor) -> Generator[Page, None, None]:
        """Pages from the cursor on; the last has `last`. When it ends, is closed or raises, its threads have ended."""
        since = int(cursor["since"])
        request = ChainRequest(
            api=self.api,
            stream=self.stream,
            properties=properties_to_ask(self.stream, self.wanted),
            quiet_until=since - self.overlap // timedelta(milliseconds=1) - 1,
        )
        meeting, threads = ChainMeeting(cursor), ReaderThreads(f"first-read-{self.stream}")
        upwards = ListChain(request, meeting, threads.caller(self.caller), since)
        chains = [upwards.parts(cursor.get("after"))]
        if not meeting.single:
            chains.append(SearchChain(request, meeting, threads.caller(self.caller)).parts())
        pages = PageBuilder(api=self.api, caller=threads.caller(self.caller), stream=self.stream, wanted=self.wanted)
        return threads.run(chains, lambda parts: self._pages(parts, cursor, upwards, pages))

    def _pages(
        self, parts: Iterable[ChainPart], cursor: Cursor, upwards: ListChain, pages: PageBuilder
    ) -> Generator[Page, None, None]:
        """The parts as pages, in the order in which they came; the cursor of each is true for it and all before it."""
        state = dict(cursor)
        meeting, final = upwards.meeting, None
        calls = 0
        for part in parts:
            calls += part.calls
            if part.last:
                final = part
            if final is not None:
                continue  # what the other chain had on its way is in the list as well
            state |= {"since": upwards.since, **part.after}
            if state.get("top", {}) is None:
                state = {name: value for name, value in state.items() if name not in ("top", "high")}
            if part.records:
                yield pages.page(part.records, dict(state), calls=calls, last=False, full=True, total=meeting.total)
                calls = 0
        if final is not None:
            following = {"phase": "changes", "since": upwards.since}
            yield pages.page(final.records, following, calls=calls, last=True, full=True, total=meeting.total)
