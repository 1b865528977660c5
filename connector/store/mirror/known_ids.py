"""Which ids the mirror knows: for comparing it with a CRM, by ranges of numbers and one by one.

A comparison that reads a whole object notes what it met in table `seen` (`mirror.commit_page(…, mark=True)`); what it did not meet is
`unseen`, and asked after. Ids stand as text; a number with more digits is larger, of as many digits text order is numeric order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Connection, and_, delete, exists, func, select, union
from sqlalchemy.sql.expression import TableClause

from connector.model import CrmName
from connector.store.bulk import find, plain, put
from connector.store.database import Store
from connector.store.mirror.activities import KEPT_SINCE
from connector.store.mirror.keys import by_object
from connector.store.mirror.rows import Key
from connector.store.tables import to_micros

_SEEN = plain("seen")
_ASIDE = plain("set_aside")
#: Before an object's name in `seen`: what was met in its recycle bin.
_BIN = "bin:"
#: In a version's changes: the record left the living.
_ARCHIVED = '"record.archived":[false,true]'
#: The tables that hold objects of CRMs by id; an object's rows are in one of them.
TABLES = ("record", "activity", "deal", "campaign", "campaign_member")
_TABLES = tuple(plain(name) for name in TABLES)


def known_ids(store: Store, crm: CrmName, object_name: str, *, after: str, limit: int) -> list[str]:
    """The next live ids of an object in text order, after this one ("": from the first)."""
    return _page(store, [_live(table, crm, object_name) & (table.c.id > after) for table in _TABLES], limit)


def unseen(store: Store, crm: CrmName, object_name: str, *, after: str, limit: int) -> list[str]:
    """The next live ids, in text order, that the comparison under way has not met."""

    def missed(table: TableClause) -> ColumnElement[bool]:
        met = exists().where(_SEEN.c.crm == crm, _SEEN.c.object == object_name, _SEEN.c.id == table.c.id)
        return and_(_live(table, crm, object_name), table.c.id > after, ~met)

    return _page(store, [missed(table) for table in _TABLES], limit)


def unseen_aside(store: Store, crm: CrmName, object_name: str, *, after: str, limit: int) -> list[str]:
    """The same of what is set aside."""
    met = exists().where(_SEEN.c.crm == crm, _SEEN.c.object == object_name, _SEEN.c.id == _ASIDE.c.id)
    return _page(store, [and_(_ASIDE.c.crm == crm, _ASIDE.c.object == object_name, _ASIDE.c.id > after, ~met)], limit, (_ASIDE,))


def clear_seen(store: Store, crm: CrmName, object_name: str) -> None:
    """A comparison begins, or is over: nothing is noted of it."""

    def work(connection: Connection) -> None:
        connection.execute(delete(_SEEN).where(_SEEN.c.crm == crm, _SEEN.c.object == object_name))

    store.write(work)


def mark_bin(connection: Connection, crm: str, object_name: str, ids: Iterable[str], *, anew: bool) -> None:
    """The look under way has met these in the CRM's recycle bin. anew: nobody before."""
    name = _BIN + object_name
    if anew:
        connection.execute(delete(_SEEN).where(_SEEN.c.crm == crm, _SEEN.c.object == name))
    put(connection, "seen", [{"crm": crm, "object": name, "id": row_id} for row_id in sorted(set(ids))], ("crm", "object", "id"))


def clear_bin(store: Store, crm: CrmName, object_name: str) -> None:
    """The look that met them is over."""
    clear_seen(store, crm, _BIN + object_name)


def missing_in_bin(store: Store, crm: CrmName, object_name: str, *, since: datetime, after: str, limit: int) -> list[str]:
    """The next ids, in text order, of people who went into the bin since then, by the CRM's word, and were not met in it.

    What else changed of them since then says nothing: their company may have been merged while they lay there.
    """
    record, version = plain("record"), plain("record_version")
    met = exists().where(_SEEN.c.crm == crm, _SEEN.c.object == _BIN + object_name, _SEEN.c.id == record.c.id)
    same = (version.c.crm == crm, version.c.object == object_name, version.c.id == record.c.id)
    went = exists().where(*same, version.c.at >= to_micros(since), version.c.changed.contains(_ARCHIVED))
    which = and_(record.c.crm == crm, record.c.object == object_name, record.c.archived, record.c.merged_into.is_(None))
    return _page(store, [and_(which, record.c.id > after, ~met, went)], limit, (record,))


def mark(connection: Connection, crm: str, keys: Collection[Key]) -> frozenset[Key]:
    """The comparison under way has met these; returns those that it had not met before."""
    met = {(name, row_id) for name, ids in by_object(keys) for (row_id,) in find(connection, "seen", ("id",), ids, crm=crm, object=name)}
    fresh = sorted(set(keys) - met)
    put(connection, "seen", [{"crm": crm, "object": name, "id": row_id} for name, row_id in fresh], ("crm", "object", "id"))
    return frozenset(fresh)


def count_live(connection: Connection, crm: str, keys: Collection[Key]) -> int:
    """How many of these live in the mirror."""
    rows = (find(connection, table, ("archived",), ids, crm=crm, object=name) for name, ids in by_object(keys) for table in TABLES)
    return sum(not archived for found in rows for (archived,) in found)


def count_known(store: Store, crm: CrmName, object_name: str, first: int, last: int) -> int:
    """How many ids from `first` to `last`, numbers both included, are known: live in the mirror, or set aside."""
    with store.read() as connection:
        return connection.scalar(select(func.count()).select_from(_between(crm, object_name, first, last).subquery())) or 0


def known_between(store: Store, crm: CrmName, object_name: str, first: int, last: int) -> list[str]:
    """The ids that `count_known` counts, as numbers in order."""
    with store.read() as connection:
        return sorted(connection.scalars(_between(crm, object_name, first, last)), key=int)


def recent_activity_ids(store: Store, crm: CrmName, object_name: str, *, since: datetime, after: str, limit: int) -> list[str]:
    """The next live ids of activities that happened since then (of deals: that changed), in text order."""
    moment = to_micros(since)
    activity, deal = plain("activity"), plain("deal")
    young = {
        "activity": func.coalesce(activity.c.at, activity.c.created_at) >= moment,
        "deal": func.coalesce(deal.c.modified_at, deal.c.created_at) >= moment,
    }
    return _page(store, [_live(t, crm, object_name) & (t.c.id > after) & young[t.name] for t in (activity, deal)], limit, (activity, deal))


def gone_lately(store: Store, crm: CrmName, object_name: str, *, since: datetime, after: str, limit: int) -> list[str]:
    """The next ids, in text order, of what left the living here since then; not what was merged into another record."""
    record, version, activity, deal = (plain(name) for name in ("record", "record_version", "activity", "deal"))
    moment = to_micros(since)
    same = (version.c.crm == record.c.crm, version.c.object == record.c.object, version.c.id == record.c.id)
    left = {
        "record": record.c.merged_into.is_(None) & exists().where(*same, version.c.seen_at >= moment),
        "activity": activity.c.modified_at >= moment,
        "deal": deal.c.modified_at >= moment,
    }
    tables = (record, activity, deal)
    which = [and_(t.c.crm == crm, t.c.object == object_name, t.c.archived, t.c.id > after, left[t.name]) for t in tables]
    return _page(store, which, limit, tables)


def largest(store: Store, crm: CrmName, object_name: str, *, created_before: datetime) -> str:
    """The live id with the most digits, of those the last in text order, of what was created till then; "" where there is none."""
    moment = to_micros(created_before)
    with store.read() as connection:
        for table in (plain(name) for name in ("record", "activity", "deal")):
            query = select(table.c.id).where(_live(table, crm, object_name), table.c.created_at <= moment)
            row_id = connection.scalar(query.order_by(func.length(table.c.id).desc(), table.c.id.desc()).limit(1))
            if row_id is not None:
                return str(row_id)
    return ""


def let_go(store: Store, crm: CrmName, object_name: str) -> bool:
    """Whether old ones of these are not here any more, because activities are kept for a while only (`connector.store.retention`)."""
    activity, meta = plain("activity"), plain("meta")
    with store.read() as connection:
        if connection.scalar(select(meta.c.value).where(meta.c.name == KEPT_SINCE)) is None:
            return False
        first = select(activity.c.id).where(activity.c.crm == crm, activity.c.object == object_name).limit(1)
        return connection.scalar(first) is not None


def standing(store: Store, crm: CrmName, object_name: str, ids: Collection[str]) -> dict[str, bool]:
    """Which of these ids are here, and whether they left the living."""
    with store.read() as connection:
        rows = [row for name in TABLES for row in find(connection, name, ("id", "archived"), ids, crm=crm, object=object_name)]
    return {str(row_id): bool(archived) for row_id, archived in rows}


def _live(table: TableClause, crm: str, object_name: str) -> ColumnElement[bool]:
    return and_(table.c.crm == crm, table.c.object == object_name, ~table.c.archived)


def _page(store: Store, which: list[ColumnElement[bool]], limit: int, tables: tuple[TableClause, ...] = _TABLES) -> list[str]:
    """The first ids in text order; those of an object are all in one table."""
    with store.read() as connection:
        for table, condition in zip(tables, which, strict=True):
            page = connection.scalars(select(table.c.id).where(condition).order_by(table.c.id).limit(limit)).all()
            if page:
                return list(page)
    return []


def _between(crm: str, object_name: str, first: int, last: int) -> CompoundSelect[Any]:
    where = [(table, _live(table, crm, object_name)) for table in _TABLES]
    where.append((_ASIDE, and_(_ASIDE.c.crm == crm, _ASIDE.c.object == object_name)))
    return union(*(select(table.c.id).where(live, within) for table, live in where for within in _ranges(table, first, last)))


def _ranges(table: TableClause, first: int, last: int) -> Iterator[ColumnElement[bool]]:
    """One range of text for each number of digits, so that the primary key serves as the index."""
    for digits in range(len(str(first)), len(str(last)) + 1):
        low, high = max(first, 10 ** (digits - 1) if digits > 1 else 0), min(last, 10**digits - 1)
        yield and_(table.c.id >= str(low), table.c.id <= str(high), func.length(table.c.id) == digits)
