"""What an attempt looked like when it began and when it ended: taken once, and never made anew.

At its beginning it has the values of the decision, where a rule of ours moved the contact (`keep_decided` keeps them until the step is
seen), else those of the first look; at its end those of the look that saw it. An attempt that was over before the connector came has none:
nobody saw it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    type_coerce,
)

from connector.model import FieldType
from connector.store.among import among, among_named
from connector.store.bulk import put
from connector.store.rule_texts import APPLIED
from connector.store.tables import metadata, to_micros

_T = metadata.tables
_CONTACT, _ATTEMPT, _SPELL, _SNAPSHOT, _META, _FIELD = (
    _T[name] for name in ("contact", "attempt", "spell", "snapshot", "meta", "field")
)
_TOUCH, _LINK, _ACTIVITY, _OWNER = (_T[name] for name in ("touch", "activity_link", "activity", "owner"))
_COLUMNS = tuple(column.name for column in _SNAPSHOT.columns)
_KEYS = ("contact_id", "attempt", "which")

BEGIN, END, DECIDED = "begin", "end", "decided"
#: Activities of one touch lie so close to its first (`connector.workflows.touches.ONE_TOUCH`), in microseconds.
ONE_TOUCH = 600_000_000
#: The name in `meta` of the moment up to which no snapshots were taken, in microseconds since 1970.
FROM = "snapshots_from"
#: The fields that figures group by, or begin with, by the column of the snapshot; a file may have none of that name.
_FIELDS = {
    "lead_source": ("f_lead_source", None),
    "campaign": ("f_campaign", None),
    "conversion_at": ("f_last_conversion_at", FieldType.DATETIME),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A look at contacts. config_version: None for the file that was applied last. points: by contact and score rule; none: not known."""

    now: datetime
    config_version: str | None = None
    points: Mapping[int, Mapping[str, float]] = field(default_factory=dict)


class Beginning(NamedTuple):
    """An attempt that a decided step would begin. known: the step was decided before, and its values are kept since."""

    contact_id: int
    attempt: int
    known: bool


class ShownTouch(NamedTuple):
    """A touch, with what is told of the activity that it was: outcome in the CRM's words, seconds it took."""

    at: datetime
    person: str
    channel: str
    outcome: str | None
    seconds: float | None


class _Due(NamedTuple):
    """An attempt of which a snapshot is missing. withdrawn: it ends now."""

    contact_id: int
    attempt: int
    began_at: datetime
    ended_at: datetime | None
    outcome: str
    found: bool
    first_seen_at: datetime
    stage: str | None
    by: str | None
    has_begin: bool
    has_end: bool
    since: int


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def shown(touches: Sequence[ShownTouch], began_at: datetime) -> dict[str, Any]:
    """The columns that tell an attempt's touches, which are in order. gap: seconds since the touch before, else since the beginning."""
    listed = []
    before = began_at
    for touch in touches:
        gap = (touch.at - before).total_seconds()
        listed.append({"at": touch.at, "channel": touch.channel, "person": touch.person, "seconds": touch.seconds, "gap": gap})
        before = touch.at
    return {
        "touch_count": len(touches),
        "touch_channels": len({touch.channel for touch in touches}),
        "touches": _json(listed),
        "outcomes": _json([touch.outcome for touch in touches]),
    }


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


# ── Taking ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def freeze(connection: Connection, contacts: Collection[int], look: Look) -> None:
    """Takes the snapshots that are missing of attempts of these contacts which began or ended."""
    take(connection, due(connection, contacts), look)


def freeze_withdrawn(connection: Connection, contacts: Collection[int], look: Look) -> None:
    """Before these contacts go, or turn out to be others: their open attempts end now. Call it while their values are still there."""
    if not contacts:
        return
    open_ones = [row._replace(ended_at=look.now, outcome="withdrawn") for row in due(connection, contacts, ending=True)]
    take(connection, open_ones, look)


def due(connection: Connection, contacts: Collection[int], *, ending: bool = False) -> list[_Due]:
    """The attempts of which a snapshot is missing. ending: those that are open."""
    return [_Due._make(row) for row in connection.execute(_missing(ending), {"contacts": list(contacts)})]


def take(connection: Connection, missing: Sequence[_Due], look: Look) -> None:
    """Takes the missing snapshots."""
    if not missing:
        return
    contacts = sorted({row.contact_id for row in missing})
    version = look.config_version or _applied_version(connection)
    values, touches = _values(connection, contacts), _touches(connection, contacts)
    decided = _decided(connection, contacts)
    rows = []
    for row in missing:
        now = values[row.contact_id] | {"taken_at": to_micros(look.now), "config_version": version, "points": _points(look, row.contact_id)}
        if not row.has_begin:
            kept = decided.get((row.contact_id, row.attempt)) if row.by == "connector" else None
            rows.append(_begun(row, kept or now | shown(_during(touches, row, look.now), row.began_at), kept is not None))
        if row.ended_at is not None and not row.has_end:
            rows.append(_ended(row, now | shown(_during(touches, row, row.ended_at), row.began_at), row.ended_at))
    put(connection, "snapshot", [{name: row.get(name) for name in _COLUMNS} for row in rows], _COLUMNS)
    if decided:
        begun = _SNAPSHOT.alias("begun")
        same = (begun.c.contact_id == _SNAPSHOT.c.contact_id, begun.c.attempt == _SNAPSHOT.c.attempt, begun.c.which == BEGIN)
        over = (among(_SNAPSHOT.c.contact_id, contacts), _SNAPSHOT.c.which == DECIDED, exists().where(*same).correlate(_SNAPSHOT))
        connection.execute(delete(_SNAPSHOT).where(*over))


def keep_decided(connection: Connection, beginnings: Iterable[Beginning], look: Look) -> None:
    """Keeps the values on which steps were decided, each once: a step that waits keeps those that it was decided on."""
    listed = list(beginnings)
    if not listed:
        return
    values = _values(connection, sorted({row.contact_id for row in listed}))
    version = look.config_version or _applied_version(connection)
    for known in (False, True):
        rows = [
            dict.fromkeys(_COLUMNS)
            | values[row.contact_id]
            | shown((), look.now)
            | {"contact_id": row.contact_id, "attempt": row.attempt, "which": DECIDED, "late": False, "config_version": version}
            | {"at": to_micros(look.now), "taken_at": to_micros(look.now), "points": _points(look, row.contact_id)}
            for row in listed
            if row.known is known
        ]
        put(connection, "snapshot", rows, _COLUMNS, keys=() if known else _KEYS)


def _begun(row: _Due, values: Mapping[str, Any], decided: bool) -> dict[str, Any]:
    looked = not row.found and row.began_at >= row.first_seen_at and to_micros(row.began_at) > row.since
    own = {"contact_id": row.contact_id, "attempt": row.attempt, "which": BEGIN, "at": to_micros(row.began_at), "stage": row.stage}
    return {**values, **own, "late": not (decided or looked), "outcome": None}


def _ended(row: _Due, values: Mapping[str, Any], ended_at: datetime) -> dict[str, Any]:
    own = {"contact_id": row.contact_id, "attempt": row.attempt, "which": END, "at": to_micros(ended_at), "outcome": row.outcome}
    return {**values, **own, "late": ended_at < row.first_seen_at}


def _points(look: Look, contact: int) -> str | None:
    points = look.points.get(contact)
    return None if points is None else _json(points)


def _during(touches: Mapping[int, Sequence[ShownTouch]], row: _Due, until: datetime) -> list[ShownTouch]:
    return [touch for touch in touches.get(row.contact_id, ()) if row.began_at <= touch.at <= until]


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _missing(ending: bool) -> Select[Any]:
    """Attempts of which a snapshot is missing, but for those that were over before anybody looked. Parameter `contacts`: of these."""

    def there(which: str) -> ColumnElement[bool]:
        same = (_SNAPSHOT.c.contact_id == _ATTEMPT.c.contact_id, _SNAPSHOT.c.attempt == _ATTEMPT.c.number, _SNAPSHOT.c.which == which)
        return exists().where(*same).correlate(_ATTEMPT)

    stated = select(cast(_META.c.value, BigInteger)).where(_META.c.name == FROM).scalar_subquery()
    since = func.coalesce(stated, literal(0, BigInteger))
    over = _ATTEMPT.c.ended_at.is_not(None)
    before = _ATTEMPT.c.ended_at < _CONTACT.c.first_seen_at
    unseen = or_(type_coerce(_ATTEMPT.c.ended_at, BigInteger) <= since, and_(_ATTEMPT.c.found, before))
    wanted = _ATTEMPT.c.outcome == "open" if ending else or_(~there(BEGIN), and_(over, ~there(END)))
    of_attempt = [_ATTEMPT.c[name] for name in ("contact_id", "number", "began_at", "ended_at", "outcome", "found")]
    began = and_(_SPELL.c.contact_id == _ATTEMPT.c.contact_id, _SPELL.c.number == _ATTEMPT.c.spell)
    return (
        select(*of_attempt, _CONTACT.c.first_seen_at, _SPELL.c.stage, _SPELL.c.by, there(BEGIN), there(END), since)
        .select_from(_ATTEMPT.join(_CONTACT, _CONTACT.c.id == _ATTEMPT.c.contact_id).outerjoin(_SPELL, began))
        .where(among_named(_ATTEMPT.c.contact_id, "contacts"), wanted, or_(~over, ~unseen))
        .order_by(_ATTEMPT.c.contact_id, _ATTEMPT.c.number)
    )


def _values(connection: Connection, contacts: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What stands of these contacts now, as a snapshot has it."""
    columns = {row.name: row.type for row in connection.execute(select(_FIELD.c.name, _FIELD.c.type))}
    fields = [
        (literal_column(f"contact.{column}") if column in columns and kind in (None, columns[column]) else null()).label(name)
        for name, (column, kind) in _FIELDS.items()
    ]
    own = [_CONTACT.c[name] for name in ("stage", "owner", "criteria", "criteria_met", "qualified", "score")]
    rows = connection.execute(select(_CONTACT.c.id, *own, *fields).where(among(_CONTACT.c.id, contacts))).mappings()
    return {row["id"]: {name: value for name, value in row.items() if name != "id"} for row in rows}


def _touches(connection: Connection, contacts: Sequence[int]) -> dict[int, list[ShownTouch]]:
    """The touches of these contacts, in order. Of several activities that are one touch, the first that tells an outcome tells it."""
    first, logged = type_coerce(_TOUCH.c.at, BigInteger), type_coerce(_LINK.c.at, BigInteger)
    about = and_(_LINK.c.contact_id == _TOUCH.c.contact_id, logged.between(first, first + ONE_TOUCH))
    channel = case((_ACTIVITY.c.kind == "task", _ACTIVITY.c.channel), else_=_ACTIVITY.c.kind)
    same = and_(
        _ACTIVITY.c.crm == _LINK.c.crm, _ACTIVITY.c.object == _LINK.c.object, _ACTIVITY.c.id == _LINK.c.id, channel == _TOUCH.c.channel
    )
    his = _OWNER.c.email == _TOUCH.c.person
    said = [
        func.coalesce(case((his, told)), kept)
        for told, kept in ((_ACTIVITY.c.outcome, _TOUCH.c.outcome), (_ACTIVITY.c.duration_seconds, _TOUCH.c.seconds))
    ]
    query = (
        select(*(_TOUCH.c[name] for name in ("contact_id", "at", "person", "channel")), *said)
        .select_from(
            _TOUCH.outerjoin(_LINK, about)
            .outerjoin(_ACTIVITY, same)
            .outerjoin(_OWNER, and_(_OWNER.c.crm == _ACTIVITY.c.crm, _OWNER.c.id == _ACTIVITY.c.owner_id))
        )
        .where(among(_TOUCH.c.contact_id, contacts))
        .order_by(_TOUCH.c.contact_id, _TOUCH.c.at, _TOUCH.c.person, _TOUCH.c.channel, logged, _ACTIVITY.c.crm, _ACTIVITY.c.id)
    )
    found: dict[int, list[ShownTouch]] = {}
    for contact, *rest in connection.execute(query):
        touch, of_contact = ShownTouch._make(rest), found.setdefault(contact, [])
        last = of_contact[-1] if of_contact else None
        if last is None or (last.at, last.person, last.channel) != (touch.at, touch.person, touch.channel):
            of_contact.append(touch)
        else:
            outcome = touch.outcome if last.outcome is None else last.outcome
            of_contact[-1] = last._replace(outcome=outcome, seconds=touch.seconds if last.seconds is None else last.seconds)
    return found


def _decided(connection: Connection, contacts: Sequence[int]) -> dict[tuple[int, int], dict[str, Any]]:
    """The values on which steps were decided, as they are stored, by contact and attempt."""
    columns = [type_coerce(column, _STORED[column.name]).label(column.name) if column.name in _STORED else column for column in _SNAPSHOT.c]
    rows = connection.execute(select(*columns).where(among(_SNAPSHOT.c.contact_id, contacts), _SNAPSHOT.c.which == DECIDED)).mappings()
    return {(row["contact_id"], row["attempt"]): dict(row) for row in rows}


#: Columns that are handed on as they are stored.
_STORED: Mapping[str, Any] = {
    **dict.fromkeys(("at", "taken_at", "conversion_at"), BigInteger()),
    **dict.fromkeys(("criteria", "points", "touches", "outcomes"), Text()),
}


def _applied_version(connection: Connection) -> str:
    """The version of the file that everybody was judged by last; "" before the first pass."""
    return connection.scalar(select(_META.c.value).where(_META.c.name == APPLIED)) or ""


# ── Telling ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def snapshots_of(connection: Connection, contacts: Sequence[int]) -> dict[tuple[int, int], dict[str, dict[str, Any]]]:
    """The snapshots of these contacts' attempts, by contact, attempt and which ("begin", "end")."""
    told: dict[tuple[int, int], dict[str, dict[str, Any]]] = {}
    rows = connection.execute(select(_SNAPSHOT).where(among(_SNAPSHOT.c.contact_id, contacts), _SNAPSHOT.c.which != DECIDED)).mappings()
    for row in rows:
        values = {name: value for name, value in row.items() if name not in _KEYS}
        told.setdefault((row["contact_id"], row["attempt"]), {})[row["which"]] = values
    return told
