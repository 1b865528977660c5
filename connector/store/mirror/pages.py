"""The mirror: a page and its cursor go in together, in one transaction, or not at all.

Rows that did not change are not rewritten; those that did leave a version behind (which properties, from what to what) and are marked
for `unify`. `commit_page` takes what a pull brought, `commit_partial` what a refill did, `apply_records` what was read back after our own
writes. What each kind of row means to others is in a module of its own beside this one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

from sqlalchemy import Connection

from connector.errors import SafetyStop
from connector.model import Page, Record, SetAside
from connector.store.database import Store
from connector.store.mirror import activities, deals, known_ids, owners, privacy_hashes, records, rows, set_aside
from connector.store.mirror.cursors import advance, cursors, drop_cursor, get_cursor, move, reset_cursors
from connector.store.mirror.rows import Brought, Key
from connector.store.mirror.set_aside import count_set_aside, list_set_aside

__all__ = [
    "PageResult", "apply_records", "commit_page", "commit_partial", "count_set_aside", "cursors", "drop_cursor", "get_cursor",
    "list_set_aside", "reset_cursors",
]  # fmt: skip

#: The lists of a page that are rows of some kind.
_LISTS = (*(kind.name for kind in fields(Brought)), "set_aside")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageResult:
    """What became of a page, each record once: seen = stored (new or changed) + unchanged + set aside.

    keys: what came, with an id, by object and id; stored_keys and aside_keys are of these. nameless: how many were set aside without an id.
    gone_keys: what the CRM shows as deleted; left: how many of these lived here (asked by a comparison only).
    """

    keys: frozenset[Key] = frozenset()
    stored_keys: frozenset[Key] = frozenset()
    aside_keys: frozenset[Key] = frozenset()
    nameless: int = 0
    gone_keys: frozenset[Key] = frozenset()
    left: int = 0

    def only(self, keys: frozenset[Key]) -> PageResult:
        """The same of these keys alone."""
        return replace(
            self,
            keys=self.keys & keys,
            stored_keys=self.stored_keys & keys,
            aside_keys=self.aside_keys & keys,
            gone_keys=self.gone_keys & keys,
        )

    @property
    def seen(self) -> int:
        """How many records came."""
        return len(self.keys) + self.nameless

    @property
    def stored(self) -> int:
        """How many of them were new or changed."""
        return len(self.stored_keys)

    @property
    def set_aside(self) -> int:
        """How many of them could not be stored."""
        return len(self.aside_keys) + self.nameless

    @property
    def unchanged(self) -> int:
        """What was there already, as it is; or was let go before, and does not come back."""
        return self.seen - self.stored - self.set_aside


def commit_page(
    store: Store, page: Page, *, now: datetime, shrink: float | None = None, under: str | None = None, mark: bool = False
) -> PageResult:
    """Stores a page and its cursor in one transaction.

    shrink: the share of the last whole read by which a whole read may see less (0.1: a tenth); None: no limit. under: the name that the
    cursor stands under, where this read is not the stream's pull ("reconcile:contacts"). mark: the ids of the page are noted as met by a
    comparison under way (see `connector.store.mirror.known_ids`).
    Raises `SafetyStop`, and stores nothing of the page, where the page is not whole or the stream shrank beyond that.
    """
    _check_whole(page)
    brought, unstorable = rows.page_rows(page, now=now)

    def work(connection: Connection) -> PageResult:
        held = privacy_hashes.hold_back(connection, brought, now)
        gone = frozenset(brought.gone())
        left = known_ids.count_live(connection, page.crm, gone) if mark else 0
        stored = _store(connection, page, held.brought, now)
        items = [*unstorable, *held.set_aside]
        set_aside.settle(connection, page.crm, brought.keys(), items, now)
        result = _result(brought.keys(), stored, items, gone=gone, left=left)
        if mark:
            result = result.only(known_ids.mark(connection, page.crm, result.keys))
        advance(connection, page, now, shrink, under)
        return result

    return store.write(work)


def commit_partial(store: Store, page: Page, *, under: str, now: datetime) -> PageResult:
    """Merges a page of a refill (a part of the properties of each record) into stored records, with its cursor, in one transaction.

    Records that the mirror does not hold are passed over. A contact is made anew only where a value changed: one that was read for the
    first time and is empty changes nothing. under: the name of the refill's cursor.
    """
    _check_whole(page)

    def work(connection: Connection) -> PageResult:
        merged = records.merge_in(connection, page.records, now, all_anew=False)
        set_aside.add(connection, page.set_aside, now)
        move(connection, page.crm, under, page.cursor, seen=page.seen, last=page.last, now=now)
        return _result(_keys(page.records), merged.changed, [*merged.set_aside, *page.set_aside])

    return store.write(work)


def apply_records(connection: Connection, read: Sequence[Record], *, now: datetime) -> PageResult:
    """Merges what was read again (all or a part of the properties) into stored records; no cursor moves.

    Records that the mirror does not hold are passed over: the next pull brings them whole.
    """
    merged = records.merge_in(connection, read, now, all_anew=True)
    return _result(_keys(read), merged.changed, merged.set_aside)


def _keys(read: Iterable[Record]) -> list[Key]:
    return [(record.object, record.id) for record in read]


def _result(
    came: Iterable[Key], stored: Collection[Key], aside: Sequence[SetAside], *, gone: frozenset[Key] = frozenset(), left: int = 0
) -> PageResult:
    """What became of rows; one that is set aside and came beside that, whole, counts as set aside."""
    named = frozenset((item.record.object, item.record.id) for item in aside if item.record.id)
    nameless = sum(not item.record.id for item in aside)
    keys = named.union(came)
    return PageResult(
        keys=keys, stored_keys=frozenset(stored) - named, aside_keys=named, nameless=nameless, gone_keys=gone - named, left=left
    )


def _store(connection: Connection, page: Page, brought: Brought, now: datetime) -> set[Key]:
    """Stores all kinds of rows; which were new or changed."""
    crm = page.crm
    stored: set[Key] = set()
    if brought.records:
        stored |= records.store_records(connection, crm, brought.records, now)
    if brought.activities:
        stored |= activities.store_activities(connection, crm, page.object, brought.activities, now)
    if brought.owners:
        stored |= owners.store_owners(connection, crm, brought.owners)
    if brought.changes:
        stored |= owners.store_changes(connection, crm, brought.changes)
    if brought.deals:
        stored |= deals.store_deals(connection, crm, brought.deals, now)
    if brought.deal_contacts:
        stored |= deals.store_deal_contacts(connection, crm, brought.deal_contacts, now)
    if brought.campaigns:
        stored |= deals.store_campaigns(connection, crm, brought.campaigns)
    if brought.campaign_members:
        stored |= deals.store_members(connection, crm, brought.campaign_members)
    return stored


def _check_whole(page: Page) -> None:
    brought = sum(len(getattr(page, name)) for name in _LISTS)
    if page.seen != brought:
        raise SafetyStop(
            f"{page.crm} sent {page.seen} {page.object}, {brought} arrived; nothing of this page was stored",
            advice="Run the pull again: it resumes at this page. Where it stays so, report it with the numbers.",
        )
