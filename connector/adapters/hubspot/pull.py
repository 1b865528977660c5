"""Pulls one stream of HubSpot as pages: first all of it, then what changed since that began.

A cursor's "phase" tells which: "list" (see `first_read`), "changes" (see `changes`), or "none" for a stream that these credentials may not
read. Owners have "whole": their list is short and comes each time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connector.adapters.client import Caller
from connector.adapters.hubspot.associations import stuck
from connector.adapters.hubspot.first_read import TWO_CHAINS, FirstRead
from connector.adapters.hubspot.incremental import Changes
from connector.adapters.hubspot.pages import Pages
from connector.adapters.hubspot.wire.deals import lacks_scope
from connector.adapters.hubspot.wire.records import read_listing, read_owner
from connector.adapters.hubspot.wire.requests import Api, to_millis
from connector.errors import ObjectStopped
from connector.model import Cursor, Owner, Page, SetAside


def under_way(cursor: Cursor) -> bool:
    """Whether this cursor stands inside the first read, or inside a window of what changed."""
    return cursor.get("phase") == "list" or "until" in cursor


@dataclass(slots=True, kw_only=True)
class Pull:
    """One pull of one stream. caller, backfill: for what changed, and for reading everything; both this pull's own."""

    api: Api
    caller: Caller
    backfill: Caller
    stream: str
    wanted: Sequence[str]
    overlap: timedelta
    now: datetime

    def pages(self, cursor: Cursor | None) -> Iterator[Page]:
        """Pages from the cursor on; the last has `last`. Raises the tree of `errors.CrmError`."""
        if self.stream == "owners":
            return self._owners()
        return self._deals(cursor) if self.stream == "deals" else self._records(cursor)

    def _records(self, cursor: Cursor | None) -> Iterator[Page]:
        if cursor is not None and cursor.get("phase") == "changes":
            pages = Pages(api=self.api, caller=self.caller, stream=self.stream, wanted=self.wanted)
            return Changes(api=self.api, caller=self.caller, pages=pages, overlap=self.overlap, now=self.now).read(cursor)
        first = FirstRead(api=self.api, caller=self.backfill, stream=self.stream, wanted=self.wanted, overlap=self.overlap)
        return first.read(cursor if cursor is not None and cursor.get("phase") == "list" else self._beginning())

    def _beginning(self) -> dict[str, Any]:
        return {"phase": "list", "since": to_millis(self.now), **({"top": {}} if self.stream in TWO_CHAINS else {})}

    def _deals(self, cursor: Cursor | None) -> Generator[Page, None, None]:
        """Not everybody uses deals: where the token lacks the scope for them, there are none.

        Where some were read before, the scope was taken away since: what is here grows old, and that is said.
        """
        begun = cursor is not None and cursor.get("phase") != "none"
        try:
            for page in self._records(cursor):
                begun = True
                yield page
        except ObjectStopped as error:
            if begun or not lacks_scope(error):
                raise
            yield Page(crm="hubspot", object=self.stream, cursor={"phase": "none"}, seen=0, calls=1, last=True)

    def _owners(self) -> Iterator[Page]:
        owners: list[Owner] = []
        aside: list[SetAside] = []
        before = self.caller.count
        for archived in (False, True):
            after: str | None = None
            while True:
                listing = self.caller.ask(self.api.owners(after, archived=archived), read_listing)
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
            calls=self.caller.count - before,
            owners=owners,
            set_aside=aside,
            total=len(owners) + len(aside),
            last=True,
            full=True,
        )
