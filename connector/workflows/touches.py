"""Touches: outgoing attempts of sales on a contact, one row however often they were logged.

A touch is a call, e-mail or meeting of a member of a sales team that happened, or a call or e-mail task of ours that such a member
completed; what the same person does on the same contact and channel within ten minutes of the first is one touch. Rebuilt in SQL for the
contacts at hand; those whose activities left the mirror (`connector.jobs.retention`) are kept as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)

from connector.store import tables as t
from connector.store.among import among
from connector.store.bulk import upsert

#: Attempts on the same contact by the same person in the same way, so close together, are one touch.
ONE_TOUCH = timedelta(minutes=10)
_GAP = ONE_TOUCH // timedelta(microseconds=1)
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


class _Logged(NamedTuple):
    """An activity that is a touch, as it was logged."""

    contact_id: int
    at: datetime
    person: str
    channel: str
    crm: str
    object: str
    id: str
    outcome: str | None
    seconds: float | None


def refresh(connection: Connection, contacts: Collection[int], members: Collection[str], now: datetime) -> None:
    """Makes the touches of these contacts anew from their activities up to now; `members` are the sales teams' folded e-mails.

    Kept ones, whose activities left the mirror, stay; an activity of theirs that came back makes no second one.
    """
    connection.execute(delete(touch).where(among(touch.c.contact_id, contacts), ~touch.c.kept))
    if not members:
        return
    chained = _chained(contacts, members, now)
    first = chained.c.at == chained.c.first
    columns = [chained.c[name] for name in _COLUMNS]
    connection.execute(insert(touch).from_select([*_COLUMNS, "kept"], select(*columns, false()).where(first).distinct()))
    beyond = _micros(chained.c.at) - _micros(chained.c.first) > _GAP
    rows = connection.execute(select(*columns, chained.c.first).where(beyond).order_by(*(chained.c[name] for name in _IN_ORDER)))
    again = list(_begun_again(map(_Chained._make, rows)))
    if again:
        connection.execute(insert(touch), again)


class _Chained(NamedTuple):
    """An attempt more than ten minutes after the first of a chain, of which each follows within ten minutes of the one before."""

    contact_id: int
    at: datetime
    person: str
    channel: str
    first: datetime


_COLUMNS = ("contact_id", "at", "person", "channel")
_IN_ORDER = ("contact_id", "person", "channel", "at")


def _chained(contacts: Collection[int], members: Collection[str], now: datetime) -> Subquery:
    """What was logged, each with the first of its chain. What is as near to a kept touch is that one, and left out."""
    logged = _logged(contacts, members).where(activity.c.at <= now).subquery("logged")
    partition = (logged.c.contact_id, logged.c.person, logged.c.channel)
    kept = touch.alias("kept")
    same = [kept.c[name] == logged.c[name] for name in ("contact_id", "person", "channel")]
    near = exists().where(*same, kept.c.kept, _micros(kept.c.at).between(_micros(logged.c.at) - _GAP, _micros(logged.c.at) + _GAP))
    before = func.lag(logged.c.at).over(partition_by=partition, order_by=logged.c.at)
    spaced = select(*partition, logged.c.at, before.label("before")).where(~near).subquery("spaced")
    begins = or_(spaced.c.before.is_(None), _micros(spaced.c.at) - _micros(spaced.c.before) > _GAP)
    so_far = (spaced.c.contact_id, spaced.c.person, spaced.c.channel)
    first = func.max(case((begins, spaced.c.at))).over(partition_by=so_far, order_by=spaced.c.at)
    return select(*so_far, spaced.c.at, type_coerce(first, spaced.c.at.type).label("first")).subquery("chained")


def _begun_again(rows: Iterable[_Chained]) -> Iterator[dict[str, Any]]:
    """The touches that begin within a chain: more than ten minutes after the one before them. rows: by contact, person, channel, moment."""
    for _, chain in groupby(rows, key=lambda row: (row.contact_id, row.person, row.channel, row.first)):
        last = None
        for row in chain:
            if row.at - (last or row.first) > ONE_TOUCH:
                last = row.at
                yield {**{name: getattr(row, name) for name in _COLUMNS}, "kept": False}


def keep(connection: Connection, contacts: Collection[int], members: Collection[str], since: datetime) -> set[tuple[str, str, str]]:
    """Marks the touches before a moment as kept, with what came of each, so that their activities may leave the mirror.

    Returns activities from before it that must stay for now, by (CRM, object, id): they are one touch with a later one.
    """
    if not members:
        return set()
    logged = _logged(contacts, members).subquery()
    in_order = (logged.c.contact_id, logged.c.person, logged.c.channel, logged.c.at)
    columns = [logged.c[name] for name in _Logged._fields]
    rows = map(_Logged._make, connection.execute(select(*columns).order_by(*in_order)))
    held: set[tuple[str, str, str]] = set()
    made: list[dict[str, Any]] = []
    for run in _runs(rows):
        first, last = run[0], run[-1]
        if last.at < since:
            made.append(_kept(run))
        elif first.at < since:
            held |= {(row.crm, row.object, row.id) for row in run}
    upsert(connection, touch, made)
    return held


def _kept(run: Sequence[_Logged]) -> dict[str, Any]:
    """The row of a touch whose activities go. The first that tells an outcome, or its length, tells it."""
    first = run[0]
    outcome = next((row.outcome for row in run if row.outcome is not None), None)
    seconds = next((row.seconds for row in run if row.seconds is not None), None)
    return {**{name: getattr(first, name) for name in _COLUMNS}, "kept": True, "outcome": outcome, "seconds": seconds}


def hand_over(connection: Connection, lost: int, kept: int) -> None:
    """The kept touches of a contact that turned out to be another one are that one's; the others are made anew from activities."""
    theirs = touch.alias("theirs")
    same = [theirs.c[name] == touch.c[name] for name in ("at", "person", "channel")]
    doubles = exists(select(1).where(theirs.c.contact_id == kept, *same).correlate(touch))
    connection.execute(delete(touch).where(touch.c.contact_id == kept, ~touch.c.kept))
    connection.execute(delete(touch).where(touch.c.contact_id == lost, or_(~touch.c.kept, doubles)))
    connection.execute(update(touch).where(touch.c.contact_id == lost).values(contact_id=kept))


def _runs(rows: Iterable[_Logged]) -> Iterator[list[_Logged]]:
    """Activities that are one touch: each at most ten minutes after the first. rows: in order, by contact, person and channel."""
    run: list[_Logged] = []
    for row in rows:
        same = bool(run) and (row.contact_id, row.person, row.channel) == (run[-1].contact_id, run[-1].person, run[-1].channel)
        if run and not (same and row.at - run[0].at <= ONE_TOUCH):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _logged(contacts: Collection[int], members: Collection[str]) -> Select[Any]:
    """Every activity of these contacts that is a touch, however often it was logged."""
    # Their links first, computed apart: SQLite begins with the owners otherwise, and goes through every link of their CRM.
    about = select(link.c.contact_id, link.c.crm, link.c.object, link.c.id).where(among(link.c.contact_id, contacts))
    theirs = about.cte("theirs").prefix_with("MATERIALIZED")
    channel = case((activity.c.kind == "task", activity.c.channel), else_=activity.c.kind)
    ours = and_(activity.c.kind == "task", activity.c.done, activity.c.key != "", activity.c.channel.in_(_OURS))
    outgoing = or_(activity.c.kind == "meeting", and_(activity.c.kind.in_(_OURS), activity.c.direction == "outgoing"))
    return (
        select(
            theirs.c.contact_id,
            activity.c.at,
            owner.c.email.label("person"),
            channel.label("channel"),
            activity.c.crm,
            activity.c.object,
            activity.c.id,
            activity.c.outcome,
            activity.c.duration_seconds.label("seconds"),
        )
        .join(activity, and_(activity.c.crm == theirs.c.crm, activity.c.object == theirs.c.object, activity.c.id == theirs.c.id))
        .join(owner, and_(owner.c.crm == activity.c.crm, owner.c.id == activity.c.owner_id))
        .where(
            ~activity.c.archived,
            ~activity.c.automatic,
            activity.c.at.is_not(None),
            owner.c.email.in_(sorted(members)),
            or_(ours, and_(outgoing, activity.c.happened)),
        )
    )


def _micros(moment: Any) -> ColumnElement[int]:
    return type_coerce(moment, BigInteger)


def by_contact(connection: Connection, contacts: Collection[int]) -> Mapping[int, Sequence[Touched]]:
    """The touches of these contacts, oldest first."""
    found: defaultdict[int, list[Touched]] = defaultdict(list)
    rows = connection.execute(
        select(touch.c.contact_id, touch.c.at, touch.c.channel).where(among(touch.c.contact_id, contacts)).order_by(touch.c.at)
    )
    for contact_id, at, channel in rows:
        found[contact_id].append(Touched(at, channel))
    return found


def since(touches: Iterable[Touched], moment: datetime | None) -> list[Touched]:
    """Those from a moment on; all without one."""
    return [touch for touch in touches if moment is None or touch.at >= moment]


def between(touches: Iterable[Touched], first: datetime, last: datetime) -> list[Touched]:
    """Those from one moment to another, both included."""
    return [touch for touch in touches if first <= touch.at <= last]
