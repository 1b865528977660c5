"""Lets go of what is older than the file keeps, a slice at a time: at most 5,000 rows in one short transaction.

Each function does one slice from a position on and says where to go on, None at the end. Whatever a rule still reads stays, however old.
`connector.jobs.retention` knows the file and drives them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, TableClause, and_, bindparam, delete, exists, func, or_, select, tuple_

from connector.model import Kind, State
from connector.store.bulk import plain, put
from connector.store.database import Store
from connector.store.ledger import these
from connector.store.mirror import known_properties
from connector.store.mirror.activities import KEPT_SINCE
from connector.store.mirror.keys import FullKey
from connector.store.tables import metadata, to_micros

_T = metadata.tables
_LEDGER = _T["ledger"]
_PLAN = _T["plan"]
_LINK = plain("activity_link")
_ACTIVITY = plain("activity")
_RECORD = plain("record")
_LINK_CHANGE = plain("link_change")

#: Rows of one transaction.
SLICE = 5_000
#: Contacts whose old activities go in one transaction; several dozens each.
CONTACTS = 100
#: Rows of the ledger in one of these are at their end, and hold nothing up.
_ENDED = (State.APPLIED, State.ALREADY_SO, State.REFUSED, State.SUPERSEDED, State.COLLIDED, State.BLOCKED, State.DROPPED, State.UNDONE)
_WRITTEN = (State.APPLIED, State.ALREADY_SO)
_CAUSE = re.compile(r"^(spell|attempt|agreement):([0-9]+)")


@dataclass(frozen=True, slots=True)
class RetentionSlice:
    """What one slice did: how many rows went, and from where the next goes on (None: this was the last)."""

    dropped: int
    after: Any


# ── Versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def drop_versions(store: Store, before: datetime, after: Sequence[Any] | None, *, table: str = "record_version") -> RetentionSlice:
    """Versions of records (or of activities, of deals) that were seen before a moment. From then on alone the mirror knows what was when in
    records; that is noted before anything goes.
    """
    if table == "record_version":
        store.write(partial(known_properties.cut, before=before))
    version = plain(table)
    key = [version.c[name] for name in ("crm", "object", "id", "number")]
    query = select(*key, version.c.seen_at).order_by(*key).limit(SLICE)
    with store.read() as connection:
        rows = connection.execute(query if after is None else query.where(tuple_(*key) > tuple(after))).all()
    old = [tuple(row[:4]) for row in rows if row.seen_at < to_micros(before)]
    _delete_each(store, version, ("crm", "object", "id", "number"), old)
    return RetentionSlice(len(old), list(rows[-1][:4]) if len(rows) == SLICE else None)


def drop_link_changes(store: Store, before: datetime, after: Sequence[Any] | None) -> RetentionSlice:
    """What links began and ended before a moment, of activities and deals that are here no more."""
    names = ("crm", "object", "id", "source", "record_object", "record_id", "number")
    key = [_LINK_CHANGE.c[name] for name in names]
    here = [
        exists().where(table.c.crm == _LINK_CHANGE.c.crm, table.c.object == _LINK_CHANGE.c.object, table.c.id == _LINK_CHANGE.c.id)
        for table in (_ACTIVITY, plain("deal"))
    ]
    query = select(*key, _LINK_CHANGE.c.seen_at, or_(*here).label("here")).order_by(*key).limit(SLICE)
    with store.read() as connection:
        rows = connection.execute(query if after is None else query.where(tuple_(*key) > tuple(after))).all()
    old = [tuple(row[: len(names)]) for row in rows if row.seen_at < to_micros(before) and not row.here]
    _delete_each(store, _LINK_CHANGE, names, old)
    return RetentionSlice(len(old), list(rows[-1][: len(names)]) if len(rows) == SLICE else None)


# ── Ledger and plans ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def drop_ledger(store: Store, before: datetime, after: Sequence[int] | None) -> RetentionSlice:
    """Rows of the ledger that came to their end before a moment, with their values.

    A row stays while the cause that it was written for still stands, since the same cause must not act twice; so do the last stage that was
    written for a contact, and the row of a task that is still open.
    """

    def work(connection: Connection) -> RetentionSlice:
        rows = [_OldEntry._make(row) for row in connection.execute(_ledger_slice(before, after or (0, 0)))]
        ended = [row for row in rows if row.state in _ENDED and (row.settled_at or row.planned_at) < before]
        over = [row for row in ended if (row.retry_at is None or row.retry_at < before) and _is_over(row)]
        stays = _last_stages(connection, over) | _open_tasks(connection, over)
        keys = [(row.contact_id, row.id) for row in over if row.id not in stays]
        value = _T["action_value"]
        connection.execute(delete(value).where(these(value.c.contact_id, value.c.ledger, keys)))
        connection.execute(delete(_LEDGER).where(these(_LEDGER.c.contact_id, _LEDGER.c.id, keys)))
        return RetentionSlice(len(keys), [rows[-1].contact_id, rows[-1].id] if len(rows) == SLICE else None)

    return store.write(work)


class _OldEntry(NamedTuple):
    """A row of the ledger, and what its contact is in now (None: there is none): columns of `ledger`, then of `contact`."""

    id: int
    bundle: str
    kind: str
    crm: str
    contact_id: int
    state: str
    planned_at: datetime
    settled_at: datetime | None
    retry_at: datetime | None
    result_id: str | None
    gone: bool | None
    spell: int | None
    attempt: int | None
    agreed_number: int | None


_OF_CONTACT = ("gone", "spell", "attempt", "agreed_number")


def _ledger_slice(before: datetime, after: Sequence[int]) -> Select[Any]:
    contact = _T["contact"]
    of_entry = [_LEDGER.c[name] for name in _OldEntry._fields if name not in _OF_CONTACT]
    return (
        select(*of_entry, *(contact.c[name] for name in _OF_CONTACT))
        .select_from(_LEDGER.outerjoin(contact, contact.c.id == _LEDGER.c.contact_id))
        .where(tuple_(_LEDGER.c.contact_id, _LEDGER.c.id) > tuple(after), _LEDGER.c.planned_at < before)
        .order_by(_LEDGER.c.contact_id, _LEDGER.c.id)
        .limit(SLICE)
    )


def _is_over(row: _OldEntry) -> bool:
    """Whether the cause of an action is past. A step out of a spell is looked for as long as the spell that it led to lasts."""
    _, contact, cause = row.bundle.rsplit("|", 2)
    if row.gone is not False or contact != str(row.contact_id):
        return True  # nobody is judged by it any more; of a contact that became another one, nothing is looked up
    match = _CAUSE.match(cause)
    if match is None:
        return False
    number = int(match[2])
    if match[1] == "spell":
        return row.spell is not None and number + 1 < row.spell
    present = row.attempt if match[1] == "attempt" else row.agreed_number
    return present is not None and number < present


def _last_stages(connection: Connection, rows: Sequence[_OldEntry]) -> set[int]:
    """Of these rows, those that tell which stage was written last to a contact in a CRM."""
    contacts = sorted({row.contact_id for row in rows if row.kind == Kind.SET_STAGE and row.state in _WRITTEN})
    if not contacts:
        return set()
    last = (
        select(func.max(_LEDGER.c.id))
        .where(_LEDGER.c.contact_id.in_(contacts), _LEDGER.c.kind == Kind.SET_STAGE, _LEDGER.c.state.in_(_WRITTEN))
        .group_by(_LEDGER.c.contact_id, _LEDGER.c.crm)
    )
    return set(connection.scalars(last))


def _open_tasks(connection: Connection, rows: Sequence[_OldEntry]) -> set[int]:
    """Of these rows, those whose task is still open in its CRM."""
    made = {(row.crm, row.result_id): row.id for row in rows if row.kind == Kind.CREATE_TASK and row.result_id}
    if not made:
        return set()
    activity = _T["activity"]
    named = and_(activity.c.key != "", activity.c.id.in_([result for _, result in made]))
    still = select(activity.c.crm, activity.c.id).where(named, ~activity.c.done, ~activity.c.archived, activity.c.kind == "task")
    return {made[crm, row_id] for crm, row_id in connection.execute(still) if (crm, row_id) in made}


def drop_plans(store: Store, before: datetime, after: int | None) -> RetentionSlice:
    """Plans made before a moment of which the ledger holds no row any more; the last shadow plan stays, whatever it holds."""

    def work(connection: Connection) -> RetentionSlice:
        last = connection.scalar(select(func.max(_PLAN.c.id)).where(_PLAN.c.mode == "shadow"))
        old = and_(_PLAN.c.id > (after or 0), _PLAN.c.created_at < before)
        plans = connection.scalars(select(_PLAN.c.id).where(old).order_by(_PLAN.c.id).limit(SLICE)).all()
        ids = [plan for plan in plans if plan != last]
        empty = and_(_PLAN.c.id.in_(ids), _PLAN.c.decided, ~exists().where(_LEDGER.c.plan == _PLAN.c.id))
        gone = connection.execute(delete(_PLAN).where(empty)).rowcount
        return RetentionSlice(gone, plans[-1] if len(plans) == SLICE else None)

    return store.write(work)


# ── Activities ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def keep_since(store: Store, moment: datetime | None) -> None:
    """From now on activities before this moment that are not here do not come in again. None: all do."""

    def work(connection: Connection) -> None:
        connection.execute(delete(_T["meta"]).where(_T["meta"].c.name == KEPT_SINCE))
        if moment is not None:
            put(connection, "meta", [{"name": KEPT_SINCE, "value": str(to_micros(moment))}], ("name", "value"))

    store.write(work)


def contacts_with_old(store: Store, before: datetime, after: int | None) -> list[int]:
    """The next contacts, after this one, that have activities from before a moment."""
    old = (_LINK.c.contact_id > (after or 0), _LINK.c.at < to_micros(before))
    with store.read() as connection:
        query = select(_LINK.c.contact_id).where(*old).group_by(_LINK.c.contact_id).order_by(_LINK.c.contact_id).limit(CONTACTS)
        return list(connection.scalars(query))


def drop_activities(connection: Connection, contacts: Collection[int], before: datetime, held: Collection[FullKey]) -> int:
    """Takes these contacts' activities from before a moment away, but for those held and open tasks; how many links went.

    An activity goes with its last link.
    """
    same = (_ACTIVITY.c.crm == _LINK.c.crm, _ACTIVITY.c.object == _LINK.c.object, _ACTIVITY.c.id == _LINK.c.id)
    names = [_LINK.c[name] for name in ("crm", "object", "id", "record_object", "record_id")]
    query = (
        select(*names)
        .outerjoin(_ACTIVITY, and_(*same))
        .where(_LINK.c.contact_id.in_(contacts), _LINK.c.at < to_micros(before), or_(_ACTIVITY.c.id.is_(None), ~_is_open()))
    )
    links = [tuple(row) for row in connection.execute(query) if tuple(row[:3]) not in held]
    _delete_rows(connection, _LINK, ("crm", "object", "id", "record_object", "record_id"), links)
    alone = ~exists().where(*same)
    _delete_rows(connection, _ACTIVITY, ("crm", "object", "id"), sorted({link[:3] for link in links}), alone)
    return len(links)


def drop_unlinked(store: Store, before: datetime, after: Sequence[str] | None) -> RetentionSlice:
    """Activities from before a moment that are about nobody here: about no record of the mirror, or about no record at all."""
    key = [_ACTIVITY.c[name] for name in ("crm", "object", "id")]
    query = select(*key, _ACTIVITY.c.at, _about_somebody().label("linked"), _is_open().label("open")).order_by(*key).limit(SLICE)
    with store.read() as connection:
        rows = connection.execute(query if after is None else query.where(tuple_(*key) > tuple(after))).all()
    old = [tuple(row[:3]) for row in rows if row.at is not None and row.at < to_micros(before) and not row.linked and not row.open]
    _delete_each(store, _ACTIVITY, ("crm", "object", "id"), old)
    _delete_each(store, _LINK, ("crm", "object", "id"), old)
    return RetentionSlice(len(old), list(rows[-1][:3]) if len(rows) == SLICE else None)


def _about_somebody() -> ColumnElement[bool]:
    same = (_LINK.c.crm == _ACTIVITY.c.crm, _LINK.c.object == _ACTIVITY.c.object, _LINK.c.id == _ACTIVITY.c.id)
    record = (_RECORD.c.crm == _LINK.c.crm, _RECORD.c.object == _LINK.c.record_object, _RECORD.c.id == _LINK.c.record_id)
    return exists().where(*same, or_(_LINK.c.contact_id.is_not(None), exists().where(*record)))


def _is_open() -> ColumnElement[bool]:
    """A task that is still to be done."""
    return and_(_ACTIVITY.c.kind == "task", ~_ACTIVITY.c.done, ~_ACTIVITY.c.archived)


# ── Common ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _delete_each(store: Store, table: TableClause, names: Sequence[str], keys: Sequence[Sequence[Any]]) -> None:
    if keys:
        store.write(lambda connection: _delete_rows(connection, table, names, keys))


def _delete_rows(
    connection: Connection, table: TableClause, names: Sequence[str], keys: Sequence[Sequence[Any]], *more: ColumnElement[bool]
) -> None:
    if keys:
        same = (table.c[name] == bindparam(f"b_{name}") for name in names)
        rows = [{f"b_{name}": value for name, value in zip(names, key, strict=True)} for key in keys]
        connection.execute(delete(table).where(*same, *more), rows)
