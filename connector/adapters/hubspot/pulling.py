"""Pulls one stream of HubSpot as pages: first the whole list, then what changed since the list began.

A cursor is {"phase": "list", "since": began, "after": ...} or {"phase": "changes", "since": ...} and, inside a window, "until", "low" and
"after_id" beside it; all moments in milliseconds since 1970. Owners have none: their whole list is short and comes each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from connector.adapters.calling import Caller
from connector.adapters.hubspot.wire import (
    ASSOCIATION_LIMIT,
    ENGAGEMENTS,
    LIST_LIMIT,
    SEARCH_LIMIT,
    Api,
    Window,
    batches,
    properties_to_ask,
    to_millis,
)
from connector.adapters.hubspot.wire_activities import read_activity
from connector.adapters.hubspot.wire_records import (
    Links,
    inline_contacts,
    modified_millis,
    read_links,
    read_listing,
    read_owner,
    read_record,
)
from connector.adapters.hubspot.wire_values import record_id
from connector.errors import ObjectStopped
from connector.model import Activity, Cursor, Owner, Page, Record, SetAside

T = TypeVar("T")

#: Pages of the API that make one page of the mirror: as many records as one reading of associations takes.
_LIST_PAGES = ASSOCIATION_LIMIT // LIST_LIMIT
_SEARCH_PAGES = ASSOCIATION_LIMIT // SEARCH_LIMIT


@dataclass(slots=True)
class _Gathered:
    """Records as they came, by id: the last of two wins. `nameless` have none."""

    by_id: dict[str, Any] = field(default_factory=dict)
    nameless: list[Any] = field(default_factory=list)

    def add(self, results: Sequence[Any]) -> None:
        for raw in results:
            found = record_id(raw)
            if found:
                self.by_id[found] = raw
            else:
                self.nameless.append(raw)

    def all(self) -> list[Any]:
        return [*self.by_id.values(), *self.nameless]


@dataclass(slots=True, kw_only=True)
class Pull:
    """One pull of one stream. caller: this stream's own, so that its count tells what a page cost."""

    api: Api
    caller: Caller
    stream: str
    wanted: Sequence[str]
    overlap: timedelta
    now: datetime
    _counted: int = field(default=0, init=False)

    def pages(self, cursor: Cursor | None) -> Iterator[Page]:
        """Pages from the cursor on; the last has `last`. Raises the tree of `errors.CrmError`."""
        self._counted = self.caller.count
        if self.stream == "owners":
            return self._owners()
        if cursor is None or cursor.get("phase") == "list":
            return self._list(cursor or {"phase": "list", "since": to_millis(self.now)})
        return self._changes(cursor)

    # ── The whole list ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _list(self, cursor: Cursor) -> Iterator[Page]:
        since, after = int(cursor["since"]), cursor.get("after")
        asked = properties_to_ask(self.stream, self.wanted)
        while True:
            gathered = _Gathered()
            for _ in range(_LIST_PAGES):
                listing = self.caller.ask(self.api.list_page(self.stream, asked, after), read_listing)
                gathered.add(listing.results)
                if listing.after is not None and listing.after == after:
                    raise self._stuck()
                after = listing.after
                if after is None:
                    break
            following: dict[str, Any] = {"phase": "list", "since": since, "after": after}
            if after is None:
                following = {"phase": "changes", "since": since}
            yield self._page(gathered, following, last=after is None, full=True)
            if after is None:
                return

    # ── What changed ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _changes(self, cursor: Cursor) -> Iterator[Page]:
        """The window from the cursor's moment, less the overlap since search lags behind, up to now."""
        window = self._window(cursor)
        total: int | None = None
        while True:
            gathered = _Gathered()
            for _ in range(_SEARCH_PAGES):
                window, found = self._step(window, gathered)
                total = found if total is None else total
                if window.empty:
                    break
            following = {"phase": "changes", "since": window.high}
            if not window.empty:
                following = {"phase": "changes", "since": int(cursor["since"]), "until": window.high, "low": window.low}
                following |= {} if window.after_id is None else {"after_id": window.after_id}
            yield self._page(gathered, following, last=window.empty, full=False, total=total)
            if window.empty:
                return

    def _window(self, cursor: Cursor) -> Window:
        if "until" in cursor:  # a pull that stopped inside a window goes on there
            return Window(low=int(cursor["low"]), high=int(cursor["until"]), after_id=cursor.get("after_id"))
        since = int(cursor["since"])
        return Window(low=since - self.overlap // timedelta(milliseconds=1), high=max(since, to_millis(self.now)))

    def _step(self, window: Window, gathered: _Gathered) -> tuple[Window, int | None]:
        """One search; where the window goes on after it, and how many records the search found in all."""
        asked = properties_to_ask(self.stream, self.wanted)
        listing = self.caller.ask(self.api.changes(self.stream, asked, window), read_listing)
        gathered.add(listing.results)
        if window.after_id is not None:
            return self._after_one_moment(window, listing.results, more=listing.after is not None), listing.total
        if listing.after is None:
            return Window(low=window.high + 1, high=window.high), listing.total
        reached = max((found for raw in listing.results if (found := modified_millis(self.stream, raw)) is not None), default=window.low)
        if reached > window.low:
            return Window(low=min(reached, window.high), high=window.high), listing.total
        # A whole page of one millisecond: an import or a mass change stamps all its records alike
        # (github.com/airbytehq/airbyte/issues/43317). They are gone through by id, from the first.
        return Window(low=window.low, high=window.high, after_id="0"), listing.total

    def _after_one_moment(self, window: Window, results: Sequence[Any], *, more: bool) -> Window:
        if not more:
            return Window(low=window.low + 1, high=window.high)
        last = next((found for raw in reversed(results) if (found := record_id(raw))), None)
        if last is None or last == window.after_id:
            raise self._stuck()
        return Window(low=window.low, high=window.high, after_id=last)

    # ── Owners ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _owners(self) -> Iterator[Page]:
        owners: list[Owner] = []
        aside: list[SetAside] = []
        for archived in (False, True):
            after: str | None = None
            while True:
                listing = self.caller.ask(self.api.owners(after, archived=archived), read_listing)
                for raw in listing.results:
                    _sort(read_owner(raw, archived=archived), owners, aside)
                if listing.after is not None and listing.after == after:
                    raise self._stuck()
                after = listing.after
                if after is None:
                    break
        yield Page(
            crm="hubspot",
            object=self.stream,
            cursor={"phase": "whole", "since": to_millis(self.now)},
            seen=len(owners) + len(aside),
            calls=self._calls(),
            owners=owners,
            set_aside=aside,
            total=len(owners) + len(aside),
            last=True,
            full=True,
        )

    # ── From what came to a page ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _page(self, gathered: _Gathered, cursor: Mapping[str, Any], *, last: bool, full: bool, total: int | None = None) -> Page:
        raws = gathered.all()
        records: list[Record] = []
        activities: list[Activity] = []
        aside: list[SetAside] = []
        if self.stream in ENGAGEMENTS:
            contacts = self._contacts_of(raws, inline=full)
            for raw in raws:
                _sort(read_activity(self.stream, raw, contacts(raw)), activities, aside)
        else:
            links = self.links("companies", list(gathered.by_id)) if self.stream == "contacts" else Links()
            for raw in raws:
                _sort(read_record(self.stream, raw, self.wanted, links.primary(record_id(raw))), records, aside)
        return Page(
            crm="hubspot",
            object=self.stream,
            cursor=cursor,
            seen=len(raws),
            calls=self._calls(),
            records=records,
            activities=activities,
            set_aside=aside,
            total=total,
            last=last,
            full=full,
        )

    def _contacts_of(self, raws: Sequence[Any], *, inline: bool) -> Callable[[Any], list[str]]:
        """Which contacts an engagement is about: named in a list page, unless there are more than fit; read apart after a search."""
        named = {record_id(raw): inline_contacts(raw) for raw in raws}
        to_read = [found for found, (_, more) in named.items() if found and (more or not inline)]
        links = self.links("contacts", to_read)
        apart = set(to_read)
        return lambda raw: links.ids(record_id(raw)) if record_id(raw) in apart else named[record_id(raw)][0]

    def links(self, to_object: str, ids: Sequence[str]) -> Links:
        """What these records are linked to, whole: further pages of one record included."""
        return read_all_links(self.api, self.caller, self.stream, to_object, ids)

    def _calls(self) -> int:
        before, self._counted = self._counted, self.caller.count
        return self._counted - before

    def _stuck(self) -> ObjectStopped:
        return ObjectStopped(
            f"HubSpot answers the same page of {self.stream} again and again",
            crm="hubspot",
            code="STUCK",
            advice="The next pass tries again from here; if it lasts, contact HubSpot's support.",
        )


def read_all_links(api: Api, caller: Caller, from_object: str, to_object: str, ids: Sequence[str]) -> Links:
    """The links of any number of records."""
    whole = Links()
    for batch in batches(ids, ASSOCIATION_LIMIT):
        starts: list[tuple[str, str | None]] = [(record, None) for record in batch]
        while starts:
            part = caller.ask(api.associations(from_object, to_object, starts), read_links)
            for from_id, ends in part.to.items():
                whole.to.setdefault(from_id, []).extend(ends)
            if part.unfinished == starts:
                raise ObjectStopped(
                    f"HubSpot answers the same associations of {from_object} again and again",
                    crm="hubspot",
                    code="STUCK",
                    advice="The next pass tries again; if it lasts, contact HubSpot's support.",
                )
            starts = part.unfinished
    return whole


def _sort(value: T | SetAside, good: list[T], aside: list[SetAside]) -> None:
    if isinstance(value, SetAside):
        aside.append(value)
    else:
        good.append(value)
