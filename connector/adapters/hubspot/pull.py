"""The pull of one stream as pages: first all of it, then what changed since that began.

A cursor's "phase" tells which: "list" (see `first_read`), "changes" (see `incremental`), or "none" for a stream that these credentials may
not read. Owners have "whole": their list is short and comes each time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.adapters.hubspot.associations import stuck
from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.first_read import TWO_CHAINS, FirstRead
from connector.adapters.hubspot.incremental import IncrementalRead
from connector.adapters.hubspot.pages import PageBuilder
from connector.adapters.hubspot.wire.deals import lacks_scope
from connector.adapters.hubspot.wire.records import read_listing, read_owner
from connector.adapters.hubspot.wire.requests import to_millis
from connector.errors import ObjectStopped
from connector.model import Cursor, Owner, Page, SetAside


def under_way(cursor: Cursor) -> bool:
    """Whether this cursor stands inside the first read, or inside a window of what changed."""
    return cursor.get("phase") == "list" or "until" in cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """One pull of one stream, from a cursor on."""

    client: HubSpotClient
    stream: str
    wanted: Sequence[str]
    cursor: Cursor | None
    overlap: timedelta
    now: datetime

    def pages(self) -> Iterator[Page]:
        """The pages; the last has `last`. Raises the tree of `errors.CrmError`."""
        if self.stream == "owners":
            return self._owners()
        return self._deals() if self.stream == "deals" else self._records()

    def _records(self) -> Iterator[Page]:
        cursor = self.cursor or {}
        if cursor.get("phase") == "changes":
            caller = self.client.caller()
            builder = PageBuilder(api=self.client.api, caller=caller, stream=self.stream, wanted=self.wanted)
            incremental = IncrementalRead(api=self.client.api, caller=caller, builder=builder, overlap=self.overlap, now=self.now)
            return incremental.pages(cursor)
        first = FirstRead(
            api=self.client.api, caller=self.client.caller("backfill"), stream=self.stream, wanted=self.wanted, overlap=self.overlap
        )
        return first.pages(cursor if cursor.get("phase") == "list" else self._beginning())

    def _beginning(self) -> Cursor:
        return {"phase": "list", "since": to_millis(self.now), **({"top": {}} if self.stream in TWO_CHAINS else {})}

    def _deals(self) -> Generator[Page, None, None]:
        """Not everybody uses deals: where the token lacks the scope for them, there are none.

        Where some were read before, the scope was taken away since: what is here grows old, and that is said.
        """
        begun = self.cursor is not None and self.cursor.get("phase") != "none"
        try:
            for page in self._records():
                begun = True
                yield page
        except ObjectStopped as error:
            if begun or not lacks_scope(error):
                raise
            yield Page(crm="hubspot", object=self.stream, cursor={"phase": "none"}, seen=0, calls=1, last=True)

    def _owners(self) -> Iterator[Page]:
        caller = self.client.caller()
        owners: list[Owner] = []
        aside: list[SetAside] = []
        for archived in (False, True):
            after: str | None = None
            while True:
                listing = caller.ask(self.client.api.owners(after, archived=archived), read_listing)
                for raw in listing.results:
                    owner = read_owner(raw, archived=archived)
                    if isinstance(owner, SetAside):
                        aside.append(owner)
                    else:
                        owners.append(owner)
                if listing.after is not None and listing.after == after:
                    raise stuck(self.stream)
                after = listing.after
                if after is None:
                    break
        yield Page(
            crm="hubspot",
            object=self.stream,
            cursor={"phase": "whole", "since": to_millis(self.now)},
            seen=len(owners) + len(aside),
            calls=caller.count,
            owners=owners,
            set_aside=aside,
            total=len(owners) + len(aside),
            last=True,
            full=True,
        )
