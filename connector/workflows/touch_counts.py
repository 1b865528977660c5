"""What a contact's touches add up to, kept beside its fields so that conditions read them as columns.

Counted anew only where that can come out otherwise: `recount_at` of a contact is the first moment at which it can. It is set to now by
whoever changes what happened with the contact, or the attempt that the counts begin with; here it becomes the beginning of the next
meeting, which is a touch from then on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from hashlib import blake2b

import orjson
from sqlalchemy import BigInteger, ColumnElement, Connection, FromClause, Table, and_, case, func, or_, select, type_coerce, update

from connector.store import runs
from connector.store import tables as t
from connector.store.among import among
from connector.store.database import Store
from connector.store.tables import to_micros
from connector.workflows import touches

contact = t.metadata.tables["contact"]
attempt = t.metadata.tables["attempt"]
touch = t.metadata.tables["touch"]
link = t.metadata.tables["activity_link"]
owner = t.metadata.tables["owner"]
lost = contact.alias("lost")

#: Contacts marked in one transaction.
_SLICE = 5_000
#: Whose attempts were touches when last counted: a digest of the members' users.
_COUNTED_FOR = "touches_of"


def bring_up_to_date(connection: Connection, table: Table, ids: Collection[int], members: Collection[str], now: datetime) -> None:
    """Touches and counts of those of the contacts for whom the moment to count anew has come. table: contacts with the file's columns."""
    stale = connection.scalars(select(table.c.id).where(among(table.c.id, ids), table.c.recount_at <= now)).all()
    if stale:
        touches.refresh(connection, stale, members, now)
        _count(connection, table, stale, now)


def count_anew(connection: Connection, ids: Collection[int], now: datetime) -> None:
    """These contacts' counts no longer hold."""
    if ids:
        later = or_(contact.c.recount_at.is_(None), contact.c.recount_at > now)
        connection.execute(update(contact).where(among(contact.c.id, ids), later).values(recount_at=now))


def follow_members(store: Store, members: Collection[str], now: datetime) -> None:
    """Where the sales teams' users are not those who were counted for, everybody is counted anew; in slices."""
    with store.read() as connection:
        columns = (owner.c.crm, owner.c.id, owner.c.email)
        users = connection.execute(select(*columns).where(owner.c.email.in_(sorted(members))).order_by(*columns)).all()
        last = connection.scalar(select(func.max(contact.c.id))) or 0
    counted_for = blake2b(orjson.dumps([tuple(user) for user in users]), digest_size=8).hexdigest()
    if runs.get_meta(store, _COUNTED_FOR) == counted_for:
        return
    for start in range(0, last, _SLICE):
        store.write(partial(_mark, after=start, now=now))
    runs.set_meta(store, _COUNTED_FOR, counted_for)


def _mark(connection: Connection, after: int, now: datetime) -> None:
    of_slice = and_(contact.c.id > after, contact.c.id <= after + _SLICE, ~contact.c.gone)
    connection.execute(update(contact).where(of_slice).values(recount_at=now))


def _count(connection: Connection, table: Table, ids: Sequence[int], now: datetime) -> None:
    """touch_count, touch_channels, first_touch_at, last_touch_at since the present attempt began (without one: from the beginning),
    and rejected_before."""
    present = and_(attempt.c.contact_id == table.c.id, attempt.c.number == table.c.attempt)
    counted = and_(touch.c.contact_id == table.c.id, or_(attempt.c.began_at.is_(None), touch.c.at >= attempt.c.began_at))
    sums = (
        select(
            table.c.id.label("contact_id"),
            func.count(touch.c.at).label("touches"),
            func.count(func.distinct(touch.c.channel)).label("channels"),
            func.min(touch.c.at).label("first"),
            func.max(touch.c.at).label("last"),
        )
        .select_from(table.outerjoin(attempt, present).outerjoin(touch, counted))
        .where(among(table.c.id, ids))
        .group_by(table.c.id)
        .subquery()
    )
    connection.execute(
        update(table)
        .where(table.c.id == sums.c.contact_id, among(table.c.id, ids))
        .values(
            touch_count=sums.c.touches,
            touch_channels=sums.c.channels,
            first_touch_at=sums.c.first,
            last_touch_at=sums.c.last,
            rejected_before=_rejected_before(table),
            recount_at=_next_meeting(table, now),
            decide_at=now,
        )
    )


def _rejected_before(table: Table) -> ColumnElement[bool]:
    """Whether sales gave the contact, or one that turned out to be it, back."""
    theirs = attempt.alias("theirs")
    own = select(_given_back(attempt)).where(attempt.c.contact_id == table.c.id)
    merged = select(_given_back(theirs)).join(lost, lost.c.id == theirs.c.contact_id).where(lost.c.merged_into == table.c.id)
    return or_(*(func.coalesce(query.correlate(table).scalar_subquery(), 0) == 1 for query in (own, merged)))


def _given_back(of: FromClause) -> ColumnElement[int]:
    """1 where any of the attempts was given back. As a sum, not as a condition: SQLite would go through all attempts of that outcome."""
    return func.max(case((of.c.outcome.in_(("rejected", "disqualified")), 1), else_=0))


def _next_meeting(table: Table, now: datetime) -> ColumnElement[datetime]:
    """When the next thing happens that is on record already."""
    at = type_coerce(link.c.at, BigInteger)
    coming = select(func.min(at)).where(link.c.contact_id == table.c.id, link.c.counts, at > to_micros(now))
    return type_coerce(coming.correlate(table).scalar_subquery(), t.Moment)
