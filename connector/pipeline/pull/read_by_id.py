"""Reads by id: which records are gone, and the live ones read and stored. For what no modified date and no list tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from connector.adapters.port import Removals
from connector.model import CrmName, Page, RemovalPage
from connector.pipeline.context import PassContext
from connector.store.bulk import find
from connector.store.mirror import known_ids, pages
from connector.store.mirror.removals import Removed, apply_removals

#: Ids asked after, or read, in one go.
BATCH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAgain:
    """The result of reading records by id: seen = changed + set_aside + those that were here as they are.

    changed: of these restored were archived here, and found were not here at all.
    """

    seen: int = 0
    changed: int = 0
    restored: int = 0
    found: int = 0
    set_aside: int = 0


def ask_after(context: PassContext, crm: Removals, object_name: str, ids: Sequence[str], now: datetime) -> tuple[Removed, list[str]]:
    """What became of these: what is gone is applied, and the ids of what lives come back. Raises `SafetyStop` by [guard] shrink."""
    gone = crm.fates(object_name, ids)
    removed = Removed()
    if gone:
        cursor = pages.get_cursor(context.store, crm.name, f"removals:{object_name}") or {}
        page = RemovalPage(crm=crm.name, object=object_name, cursor=cursor, calls=0, removals=list(gone.values()))
        removed = apply_removals(context.store, page, now=now, shrink=context.config.guard.shrink)
    return removed, [record_id for record_id in ids if record_id not in gone]


def end_look(context: PassContext, crm: Removals, object_name: str, now: datetime) -> None:
    """A look for what is gone is over: what it took away no longer counts towards [guard] shrink."""
    cursor = pages.get_cursor(context.store, crm.name, f"removals:{object_name}") or {}
    page = RemovalPage(crm=crm.name, object=object_name, cursor=cursor, calls=0, removals=(), last=True)
    apply_removals(context.store, page, now=now, shrink=None)


def bring_again(context: PassContext, crm: Removals, object_name: str, ids: Sequence[str], now: datetime) -> ReadAgain:
    """Reads any kind of record by id and stores what differs, also what was not here. Where the pull does not tell what is restored."""
    page = crm.bring(object_name, ids)
    archived_here = known_ids.standing(context.store, crm.name, object_name, ids)
    stored = pages.commit_page(context.store, page, now=now, under=f"found:{object_name}")
    read = [*(record.id for record in page.records), *(activity.id for activity in page.activities), *(deal.id for deal in page.deals)]
    return ReadAgain(
        seen=stored.seen,
        changed=stored.stored,
        restored=sum(archived_here.get(record_id, False) for record_id in read),
        found=sum(record_id not in archived_here for record_id in read),
        set_aside=stored.set_aside,
    )


def read_again(
    context: PassContext, crm: Removals, object_name: str, ids: Sequence[str], wanted: Mapping[str, Sequence[str]], now: datetime
) -> ReadAgain:
    """As `bring_again`; where the pull tells what is restored, people and companies by their properties alone, of other objects nothing.

    wanted: the properties to ask this CRM for, by object. Nobody waits for these: whatever else asks the CRM goes first.
    """
    if not ids:
        return ReadAgain()
    if not crm.tells_restored(object_name):
        return bring_again(context, crm, object_name, ids, now)
    if object_name not in wanted:
        return ReadAgain()
    read = crm.read(object_name, ids, wanted[object_name], lane="backfill")
    with context.store.read() as connection:
        rows = find(connection, "record", ("id", "archived"), list(read), crm=crm.name, object=object_name)
    archived_here = {row_id: bool(archived) for row_id, archived in rows}
    known = [record for record in read.values() if record.id in archived_here]
    missing = [record for record in read.values() if record.id not in archived_here]
    merged = context.store.write(partial(pages.apply_records, read=known, now=now))
    page = Page(crm=crm.name, object=object_name, cursor={}, seen=len(missing), calls=0, records=missing)
    stored = pages.commit_page(context.store, page, now=now, under=f"found:{object_name}")
    return ReadAgain(
        seen=len(read),
        changed=merged.stored + stored.stored,
        restored=sum(archived_here[record.id] and not record.archived for record in known),
        found=stored.stored,
        set_aside=merged.set_aside + stored.set_aside,
    )


def live_ids(context: PassContext, crm: CrmName, object_name: str) -> Iterator[list[str]]:
    """The ids that live here, in pieces."""
    after = ""
    while ids := known_ids.known_ids(context.store, crm, object_name, after=after, limit=10 * BATCH):
        after = ids[-1]
        yield ids
