"""Touches: outgoing attempts of sales on a contact, one row however often they were logged.

A touch is a call, e-mail or meeting of a member of a sales team that happened, or a call or e-mail task of ours that such a member
completed; the same contact, person and channel within ten minutes is one touch. Rebuilt in SQL for the contacts at hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, and_, case, delete, func, insert, or_, select, type_coerce

from connector.store import tables as t

#: Attempts on the same contact by the same person in the same way, so close together, are one touch.
ONE_TOUCH = timedelta(minutes=10)
_OURS = ("call", "email")

activity = t.metadata.tables["activity"]
link = t.metadata.tables["activity_link"]
owner = t.metadata.tables["owner"]
touch = t.metadata.tables["touch"]


@dataclass(frozen=True, slots=True)
class Touched:
    """One touch, as clocks count it."""

    at: datetime
    channel: str


def refresh(connection: Connection, contacts: Collection[int], members: Collection[str], now: datetime) -> None:
    """Makes the touches of these contacts anew from their activities up to now; `members` are the sales teams' folded e-mails."""
    connection.execute(delete(touch).where(touch.c.contact_id.in_(contacts)))
    if not members:
        return
    channel = case((activity.c.kind == "task", activity.c.channel), else_=activity.c.kind)
    ours = and_(activity.c.kind == "task", activity.c.done, activity.c.key != "", activity.c.channel.in_(_OURS))
    theirs = or_(activity.c.kind == "meeting", and_(activity.c.kind.in_(_OURS), activity.c.direction == "outgoing"))
    before = func.lag(activity.c.at).over(partition_by=(link.c.contact_id, owner.c.email, channel), order_by=activity.c.at)
    logged = (
        select(
            link.c.contact_id,
            activity.c.at,
            owner.c.email.label("person"),
            channel.label("channel"),
            before.label("before"),
        )
        .join(activity, and_(activity.c.crm == link.c.crm, activity.c.object == link.c.object, activity.c.id == link.c.id))
        .join(owner, and_(owner.c.crm == activity.c.crm, owner.c.id == activity.c.owner_id))
        .where(
            link.c.contact_id.in_(contacts),
            ~activity.c.archived,
            ~activity.c.automatic,
            activity.c.at <= now,
            owner.c.email.in_(sorted(members)),
            or_(ours, and_(theirs, activity.c.happened)),
        )
        .subquery()
    )
    apart = type_coerce(logged.c.at, BigInteger) - type_coerce(logged.c.before, BigInteger)
    gap = apart > ONE_TOUCH // timedelta(microseconds=1)
    one_each = select(logged.c.contact_id, logged.c.at, logged.c.person, logged.c.channel).where(or_(logged.c.before.is_(None), gap))
    connection.execute(insert(touch).from_select(["contact_id", "at", "person", "channel"], one_each))


def by_contact(connection: Connection, contacts: Collection[int]) -> Mapping[int, Sequence[Touched]]:
    """The touches of these contacts, oldest first."""
    found: defaultdict[int, list[Touched]] = defaultdict(list)
    rows = connection.execute(
        select(touch.c.contact_id, touch.c.at, touch.c.channel).where(touch.c.contact_id.in_(contacts)).order_by(touch.c.at)
    )
    for contact_id, at, channel in rows:
        found[contact_id].append(Touched(at, channel))
    return found


def since(touches: Iterable[Touched], moment: datetime | None) -> list[Touched]:
    """Those from a moment on; all without one."""
    return [one for one in touches if moment is None or one.at >= moment]


def between(touches: Iterable[Touched], first: datetime, last: datetime) -> list[Touched]:
    """Those from one moment to another, both included."""
    return [one for one in touches if first <= one.at <= last]
