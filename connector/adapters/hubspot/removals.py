"""What is gone from HubSpot: the recycle bin by pages, and what became of single records.

No modified date tells of any of it. The bin remembers 90 days, and cannot be asked for what came in since a day: it is gone through whole,
100 rows a request. What was merged away or deleted for privacy never lies in it; that only `fates` finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from connector.adapters.client import Caller
from connector.adapters.hubspot.associations import stuck
from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.read_by_id import only_missing
from connector.adapters.hubspot.wire.deals import lacks_scope
from connector.adapters.hubspot.wire.errors import NO_BIN, texts
from connector.adapters.hubspot.wire.records import Listing, decode, merged_ids, read_listing
from connector.adapters.hubspot.wire.requests import BATCH_LIMIT, MERGEABLE, NO_ARCHIVED_LISTING, Api, batches, from_millis, to_millis
from connector.adapters.hubspot.wire.values import moment_of, record_id
from connector.adapters.set_aside import Unreadable
from connector.errors import ObjectStopped, Rejected
from connector.model import Cursor, Fate, RecordRef, Removal, RemovalPage

#: Pages of the API that make one page of removals.
_LIST_PAGES = 10
#: A reading begins so long before the last one: HubSpot's clock and ours, and rows that the list showed late.
_OVERLAP = timedelta(days=1)
#: https://developers.hubspot.com/docs/guides/api/crm/using-object-apis: what was deleted can be restored for 90 days.
_REMEMBERED = timedelta(days=90)


@dataclass(slots=True)
class RecycleBins:
    """The objects' recycle bins, and which of them cannot be listed, as far as is known."""

    closed: set[str] = field(default_factory=lambda: set(NO_ARCHIVED_LISTING))


def removals(client: HubSpotClient, object_name: str, cursor: Cursor | None, *, bins: RecycleBins, now: datetime) -> Iterator[RemovalPage]:
    """What was archived since the cursor, from the whole recycle bin, which holds 90 days; no page for an object without one.

    Cursors: {"since", "began", "after"} within a reading, {"since"} when it is over; milliseconds since 1970. Raises `ObjectStopped`
    (TOO_LONG_AGO) where the bin does not reach back to it.
    """
    return _BinReading(api=client.api, caller=client.caller("backfill"), object_name=object_name, bins=bins, now=now).pages(cursor)


@dataclass(slots=True, kw_only=True)
class _BinReading:
    """One reading of one object's bin. caller: its own, so that its count tells what a page cost."""

    api: Api
    caller: Caller
    object_name: str
    bins: RecycleBins
    now: datetime

    def pages(self, cursor: Cursor | None) -> Iterator[RemovalPage]:
        if self.object_name in self.bins.closed or self.object_name == "owners":  # owners' pull brings the archived ones itself
            return
        since = None if cursor is None else cursor.get("since")
        if since is not None and from_millis(since) < self.now - _REMEMBERED:
            raise self._too_long_ago()
        began = to_millis(self.now) if cursor is None else int(cursor.get("began", to_millis(self.now)))
        after = None if cursor is None else cursor.get("after")
        first = cursor is None
        while True:
            counted = self.caller.count
            removals: list[Removal] = []
            held: list[str] = []
            begins = after is None
            for _ in range(_LIST_PAGES):
                listing = self._listing(after)
                if listing is None:
                    return
                held += [found for raw in listing.results if (found := record_id(raw))]
                removals += [removal for raw in listing.results if (removal := self._removal(raw, since)) is not None]
                if listing.after is not None and listing.after == after:
                    raise stuck(f"archived {self.object_name}")
                after = listing.after
                if after is None:
                    break
            yield RemovalPage(
                crm="hubspot",
                object=self.object_name,
                cursor={"since": began} if after is None else {"since": since, "began": began, "after": after},
                calls=self.caller.count - counted,
                removals=removals,
                last=after is None,
                since=self.now - _REMEMBERED if first else None,
                bin=held if self.object_name == "contacts" else None,  # nothing else is deleted for privacy
                begins=begins,
            )
            first = False
            if after is None:
                return

    def _listing(self, after: str | None) -> Listing | None:
        try:
            return self.caller.ask(self.api.archived_page(self.object_name, after), read_listing)
        except ObjectStopped as error:
            if self.object_name == "deals" and lacks_scope(error):  # not everybody uses them: nothing of theirs is here
                return None
            if error.code != NO_BIN:
                raise
            self.bins.closed.add(self.object_name)
            return None

    def _too_long_ago(self) -> ObjectStopped:
        return ObjectStopped(
            f"HubSpot remembers deleted {self.object_name} for {_REMEMBERED.days} days, and the last look is longer ago",
            crm="hubspot",
            code="TOO_LONG_AGO",
            advice="Every record at hand has to be looked up by its id: `connector pull --full --deletes`.",
        )

    def _removal(self, raw: Any, since: int | None) -> Removal | None:
        """None for what an earlier reading has told; a row without an id names nothing that could be here."""
        found, at = record_id(raw), _archived_at(raw)
        told_before = since is not None and at is not None and at < from_millis(since) - _OVERLAP
        return None if told_before or not found else _removed(self.object_name, found, Fate.ARCHIVED, at=at)


def fates(client: HubSpotClient, object_name: str, ids: Sequence[str]) -> dict[str, Removal]:
    """What became of records; live ones are left out. A request for 100 ids; for the missing a second, and single ones where it is unclear.

    Nothing is called deleted for good because it is missing in an answer: HubSpot named it as not found, or answered 404 to a request for
    it alone. A contact of which neither an archived row nor a survivor is left was deleted for privacy, or 90 days ago.
    """
    found: dict[str, Removal] = {}
    caller = client.caller("backfill")
    for batch in batches(ids, BATCH_LIMIT):
        found |= _fates(client.api, caller, object_name, batch)
    return found


def _fates(api: Api, caller: Caller, object_name: str, batch: Sequence[str]) -> dict[str, Removal]:
    asked = ["hs_object_id", "hs_merged_object_ids"] if object_name in MERGEABLE else ["hs_object_id"]
    live = caller.ask(api.batch_read(object_name, batch, asked), read_listing)
    only_missing(live)
    found = {
        old: _removed(object_name, old, Fate.MERGED, into=record_id(raw))
        for raw in live.results
        if record_id(raw) not in batch
        for old in merged_ids(raw)
        if old in batch
    }
    living = {record_id(raw) for raw in live.results}
    missing = [record for record in batch if record not in living and record not in found]
    if not missing:
        return found
    archived, gone = _in_the_bin(api, caller, object_name, missing)
    found |= archived
    for record in missing:
        if record in archived:
            continue
        removal = gone.get(record) if object_name not in MERGEABLE else None
        removal = removal or _asked_alone(api, caller, object_name, record)
        if removal is not None:
            found[record] = removal
    return found


def _in_the_bin(api: Api, caller: Caller, object_name: str, ids: Sequence[str]) -> tuple[dict[str, Removal], dict[str, Removal]]:
    """Those in the recycle bin, and those that HubSpot names as not found there either."""
    try:
        listing = caller.ask(api.batch_read(object_name, ids, ["hs_object_id"], archived=True), read_listing)
    except ObjectStopped as error:
        if error.code != NO_BIN:
            raise
        return {}, {}
    only_missing(listing)
    archived = {
        found: _removed(object_name, found, Fate.ARCHIVED, at=_archived_at(raw))
        for raw in listing.results
        if (found := record_id(raw)) in ids and isinstance(raw, dict) and raw.get("archived") is True
    }
    not_found = [record for error in listing.errors for record in _ids_of(error)]
    return archived, {record: _removed(object_name, record, Fate.DELETED) for record in not_found if record in ids}


def _ids_of(error: Any) -> list[str]:
    """context is {"ids": [...]} in the guides, {"id": [...]} in live answers."""
    context = error.get("context")
    return [record for key in ("id", "ids") for record in texts(context.get(key))] if isinstance(context, dict) else []


def _asked_alone(api: Api, caller: Caller, object_name: str, record: str) -> Removal | None:
    """What one record's own address answers: itself, its survivor, or that there is none.

    A survivor may lie in the bin: that is no deletion for good.
    """
    try:
        answered = record_id(caller.ask(api.single(object_name, record), decode))
    except Rejected:
        return _survivor_in_the_bin(api, caller, object_name, record)
    if not answered or answered == record:
        return None
    return _removed(object_name, record, Fate.MERGED, into=answered)


def _survivor_in_the_bin(api: Api, caller: Caller, object_name: str, record: str) -> Removal:
    """Archived, where the record that it was merged into is; else gone for good."""
    gone = _removed(object_name, record, Fate.PURGED if object_name == "contacts" else Fate.DELETED)
    if object_name not in MERGEABLE:
        return gone
    try:
        raw = caller.ask(api.single(object_name, record, archived=True), decode)
    except Rejected:
        return gone
    return _removed(object_name, record, Fate.ARCHIVED, at=_archived_at(raw)) if record_id(raw) else gone


def _removed(object_name: str, record: str, fate: Fate, *, into: str | None = None, at: datetime | None = None) -> Removal:
    return Removal(record=RecordRef(crm="hubspot", object=object_name, id=record), fate=fate, into=into, at=at)


def _archived_at(raw: Any) -> datetime | None:
    """`archivedAt`, which stands beside the properties; None where it cannot be read."""
    try:
        return moment_of(raw, "archivedAt") if isinstance(raw, dict) else None
    except Unreadable:
        return None
