"""All live records with a few properties alone: for a field that was named newly, and for formulas, whose changes no date tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from connector.adapters.client import Caller
from connector.adapters.hubspot.associations import stuck
from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.read_by_id import read_raw
from connector.adapters.hubspot.wire.records import absent, read_listing, read_record
from connector.adapters.hubspot.wire.requests import Api, fits_an_address, properties_to_ask
from connector.adapters.hubspot.wire.values import record_id
from connector.model import Cursor, Page, Record, SetAside

#: Pages of the API that make one page of the mirror.
_LIST_PAGES = 10


def refill(client: HubSpotClient, object_name: str, properties: Sequence[str], cursor: Cursor | None) -> Iterator[Page]:
    """Records with these properties alone. Cursors: {"phase": "refill", "after"}, and "done" on the last: from there nothing is read again.

    `company_id` is not read: it is an association.
    """
    names = tuple(dict.fromkeys(properties))
    return _Refill(api=client.api, caller=client.caller("backfill"), object_name=object_name, properties=names).pages(cursor)


@dataclass(slots=True, kw_only=True)
class _Refill:
    """One reading of one object. caller: its own, so that its count tells what a page cost."""

    api: Api
    caller: Caller
    object_name: str
    properties: Sequence[str]

    def pages(self, cursor: Cursor | None) -> Iterator[Page]:
        after = None if cursor is None else cursor.get("after")
        done = cursor is not None and bool(cursor.get("done"))
        while True:
            counted = self.caller.count
            raws: list[Any] = []
            for _ in range(0 if done else _LIST_PAGES):
                rows, following = self._rows(after)
                raws += rows
                if following is not None and following == after:
                    raise stuck(self.object_name)
                after, done = following, following is None
                if done:
                    break
            yield self._page(raws, after, done=done, calls=self.caller.count - counted)
            if done:
                return

    def _rows(self, after: str | None) -> tuple[list[Any], str | None]:
        """A page of the list and where the next begins. More names than an address holds go into a body, for the ids of the page."""
        asked = properties_to_ask(self.object_name, self.properties)
        short = fits_an_address(asked)
        request = self.api.plain_page(self.object_name, asked if short else ["hs_object_id"], after)
        listing = self.caller.ask(request, read_listing)
        if short:
            return list(listing.results), listing.after
        ids = [found for raw in listing.results if (found := record_id(raw))]
        return list(read_raw(self.api, self.caller, self.object_name, ids, asked).values()), listing.after

    def _page(self, raws: Sequence[Any], after: str | None, *, done: bool, calls: int) -> Page:
        read = [read_record(self.object_name, raw, self.properties) for raw in raws]
        return Page(
            crm="hubspot",
            object=self.object_name,
            cursor={"phase": "refill", "after": after} | ({"done": True} if done else {}),
            seen=len(raws),
            calls=calls,
            records=[record for record in read if isinstance(record, Record)],
            set_aside=[unreadable for unreadable in read if isinstance(unreadable, SetAside)],
            last=done,
            full=True,
            absent=absent(raws, self.properties),
        )
