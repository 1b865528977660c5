"""What a contact's touches add up to, kept beside its fields so that conditions read them as columns."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table, and_, exists, func, or_, select, update

from connector.store import tables as t

attempt = t.metadata.tables["attempt"]
touch = t.metadata.tables["touch"]
lost = t.metadata.tables["contact"].alias("lost")


def refresh(connection: Connection, table: Table, ids: Sequence[int]) -> None:
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
        .where(table.c.id.in_(ids))
        .group_by(table.c.id)
        .subquery()
    )
    given = attempt.c.outcome.in_(("rejected", "disqualified"))
    theirs = select(lost.c.id).where(lost.c.merged_into == table.c.id).correlate(table)  # contacts that turned out to be this one
    rejected = exists().where(or_(attempt.c.contact_id == table.c.id, attempt.c.contact_id.in_(theirs)), given)
    connection.execute(
        update(table)
        .where(table.c.id == sums.c.contact_id)
        .values(
            touch_count=sums.c.touches,
            touch_channels=sums.c.channels,
            first_touch_at=sums.c.first,
            last_touch_at=sums.c.last,
            rejected_before=rejected.correlate(table),
        )
    )
