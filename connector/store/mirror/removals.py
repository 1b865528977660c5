"""What is gone from a CRM leaves the living here: archived, merged into another record, deleted for good, or deleted for privacy.

A page of removals and its cursor ("removals:<object>") are one transaction. A look that would take away too much is an error, never a mass
change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from connector.errors import SafetyStop
from connector.model import Fate, Removal, RemovalPage
from connector.store.bulk import find, plain
from connector.store.database import Store
from connector.store.mirror import activities, cursors, deals, known_ids, merges, privacy_forget, set_aside
from connector.store.mirror.keys import by_object, unify_people_of
from connector.store.mirror.known_ids import TABLES
from connector.store.mirror.rows import COMPANIES, Key
from connector.store.mirror.versions import add_versions
from connector.store.tables import to_micros

_RECORD = plain("record")
#: So many may always go, whatever share of an object they are.
ALWAYS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What became of a page's removals; they add up to all of them. unknown: not in the mirror, or not among the living before."""

    archived: int = 0
    merged: int = 0
    deleted: int = 0
    purged: int = 0
    unknown: int = 0


@dataclass(slots=True)
class _Sorted:
    """Removals by what is to be done: ids of each table that are live there; losers with their survivors; whom to forget."""

    live: dict[str, list[str]] = field(default_factory=dict)
    fate: dict[str, Fate] = field(default_factory=dict)
    pairs: dict[str, str] = field(default_factory=dict)
    purged: list[Removal] = field(default_factory=list)


def apply_removals(store: Store, page: RemovalPage, *, now: datetime, shrink: float | None) -> Removed:
    """Applies a page of removals; contacts concerned become due.

    shrink: the share of an object's live rows that one look may take away (0.1: a tenth; 20 rows always may go); None: no limit.
    Raises `SafetyStop`, and changes nothing, where this page would go beyond.
    """
    names = f"removals:{page.object}"

    def work(connection: Connection) -> tuple[Removed, privacy_forget.Erased]:
        removals = _sort(connection, page)
        gone = _gone(connection, page, removals)
        _check_size(connection, page, names, gone, shrink)
        removed = _apply(connection, page, removals, now)
        erased = privacy_forget.erase(connection, [removal.record for removal in removals.purged], now)
        if page.bin is not None:
            known_ids.mark_bin(connection, page.crm, page.object, page.bin, anew=page.begins)
        set_aside.take_off(connection, page.crm, ((removal.record.object, removal.record.id) for removal in page.removals))
        cursors.move(connection, page.crm, names, page.cursor, seen=gone, last=page.last, now=now)
        return removed, erased

    removed, erased = store.write(work)
    if erased.records:
        privacy_forget.scrub(store, erased)
    return removed


def _sort(connection: Connection, page: RemovalPage) -> _Sorted:
    result = _Sorted()
    by_id = {removal.record.id: removal for removal in page.removals}
    for removal in by_id.values():
        if removal.fate is Fate.PURGED:
            result.purged.append(removal)
        elif removal.fate is Fate.MERGED and removal.into is not None:
            result.pairs[removal.record.id] = removal.into
        else:
            result.fate[removal.record.id] = removal.fate
    for table in TABLES:
        merged = () if table == "record" else result.pairs  # only people and companies lead to the one that stands for them
        result.live[table] = _live(connection, table, page, sorted({*result.fate, *merged}))
    return result


def _live(connection: Connection, table: str, page: RemovalPage, ids: Sequence[str]) -> list[str]:
    rows = find(connection, table, ("id", "archived"), ids, lock=True, crm=page.crm, object=page.object)
    return sorted(row_id for row_id, archived in rows if not archived)


def _gone(connection: Connection, page: RemovalPage, removals: _Sorted) -> int:
    """How many rows this page takes away: of those that are live now, and, since it cannot be undone, all that are deleted for privacy."""
    live = sum(map(len, removals.live.values())) + len(_live(connection, "record", page, sorted(removals.pairs)))
    purged = sorted({removal.record.id for removal in removals.purged})
    return live + len(find(connection, "record", ("id",), purged, lock=True, crm=page.crm, object=page.object))


def _check_size(connection: Connection, page: RemovalPage, names: str, gone: int, shrink: float | None) -> None:
    before = cursors.counted(connection, page.crm, names)
    total = before + gone
    if shrink is None or total <= ALWAYS:
        return
    tables = [plain(name) for name in TABLES]
    same = [(table.c.crm == page.crm, table.c.object == page.object, ~table.c.archived) for table in tables]
    live = sum(
        connection.scalar(select(func.count()).select_from(table).where(*where)) or 0 for table, where in zip(tables, same, strict=True)
    )
    if total > (live + before) * shrink:
        raise SafetyStop(
            f"{page.crm} tells {total} of {live + before} {page.object} as removed, more than {shrink:.0%}; the page was not applied",
            advice="Check the credentials' permissions, and whether so many were really deleted; then raise `shrink` in [guard], once.",
        )


def _apply(connection: Connection, page: RemovalPage, removals: _Sorted, now: datetime) -> Removed:
    at = {removal.record.id: removal.at for removal in page.removals}
    _archive_records(connection, page, removals.live["record"], at, now)
    activities.archive(connection, page.crm, page.object, removals.live["activity"], now)
    deals.archive_deals(connection, page.crm, page.object, removals.live["deal"], now)
    deals.archive_campaigns(connection, page.crm, page.object, removals.live["campaign"])
    deals.archive_members(connection, page.crm, page.object, removals.live["campaign_member"])
    merges.note(connection, page.crm, page.object, removals.pairs, now)
    live = {row_id for ids in removals.live.values() for row_id in ids} - removals.pairs.keys()
    rest = sorted(removals.fate.keys() - live)
    roles = deals.drop_roles(connection, page.crm, rest, now) if rest and not _is_mirrored(connection, page) else set()
    deleted = sum(removals.fate[row_id] is Fate.DELETED for row_id in live | roles)
    return Removed(
        archived=len(live | roles) - deleted,
        merged=len(removals.pairs),
        deleted=deleted,
        purged=len(removals.purged),
        unknown=len(page.removals) - len(live | roles) - len(removals.pairs) - len(removals.purged),
    )


def _is_mirrored(connection: Connection, page: RemovalPage) -> bool:
    """Whether the object's rows stand in a table by their ids; contact roles of deals do not."""
    tables = [plain(name) for name in TABLES]
    return any(connection.scalar(select(t.c.id).where(t.c.crm == page.crm, t.c.object == page.object).limit(1)) for t in tables)


def _archive_records(
    connection: Connection, page: RemovalPage, ids: Sequence[str], at: Mapping[str, datetime | None], now: datetime
) -> None:
    """A tombstone stays of each: the record as it was, archived; whatever the CRM says of it next is a change."""
    changes: dict[Key, tuple[dict[str, list[bool]], int | None]] = {}
    for row_id in ids:
        moment = at[row_id]
        changes[page.object, row_id] = ({"record.archived": [False, True]}, None if moment is None else to_micros(moment))
    add_versions(connection, page.crm, changes, now)
    people = page.object not in COMPANIES
    for _, piece in by_object((page.object, row_id) for row_id in ids):
        same = (_RECORD.c.crm == page.crm, _RECORD.c.object == page.object, _RECORD.c.id.in_(piece))
        connection.execute(update(_RECORD).where(*same).values(archived=True, fingerprint=b"", unify=people))
    if not people:
        unify_people_of(connection, page.crm, ids)
