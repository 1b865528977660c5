"""Saved plans: their heads, and rows of the ledger on the way in and as a plan shows them.

A plan is saved in slices. Until it is decided (`decide`) all rows of a live one are held: how much a rule wants is known only once all of
it is there. One whose pass died stays undecided, and the next pass goes on with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, select, update
from sqlalchemy.engine import RowMapping

from connector.model import CrmName, Kind, State
from connector.store import numbers
from connector.store.ledger import VALUES_OF, NewEntry, sliced
from connector.store.tables import metadata

_LEDGER = metadata.tables["ledger"]
_VALUE = metadata.tables["action_value"]
_PLAN = metadata.tables["plan"]

#: What is counted of a plan: rule, kind, CRM, state.
Group = tuple[str, Kind, CrmName, State]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHead:
    """What is said of a plan as a whole."""

    run: int
    mode: str
    config_version: str
    created_at: datetime


class LastPlan(NamedTuple):
    """The last plan of a mode. decided: False where its pass did not come to its end."""

    id: int
    decided: bool


def last_plan(connection: Connection, mode: str) -> LastPlan | None:
    """The last plan of this mode; None where there was none."""
    query = select(_PLAN.c.id, _PLAN.c.decided).where(_PLAN.c.mode == mode).order_by(_PLAN.c.id.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else LastPlan(*row)


def begin(connection: Connection, head: PlanHead) -> int:
    """A new plan, not yet decided; its number."""
    values = {name: getattr(head, name) for name in ("run", "mode", "config_version", "created_at")}
    return int(connection.execute(insert(_PLAN).values(decided=False, **values).returning(_PLAN.c.id)).scalar_one())


def decide(connection: Connection, plan: int, guard: Mapping[str, Any]) -> None:
    """The plan is whole. guard: how the rails stand with it."""
    connection.execute(update(_PLAN).where(_PLAN.c.id == plan).values(decided=True, guard=dict(guard)))


def drop_empty(connection: Connection, plan: int) -> bool:
    """Takes back a plan of which no row is left; whether it was so."""
    empty = and_(_PLAN.c.id == plan, ~exists().where(_LEDGER.c.plan == plan))
    return bool(connection.execute(delete(_PLAN).where(empty)).rowcount)


def save(connection: Connection, entries: Sequence[NewEntry], head: PlanHead, plan: int) -> list[int]:
    """Saves rows with their values under this plan, unless they name another; their numbers."""
    ids = numbers.take(connection, len(entries))
    for part in sliced(list(zip(ids, entries, strict=True))):
        connection.execute(insert(_LEDGER), [_row(number, entry, plan, head) for number, entry in part])
        connection.execute(insert(_VALUE), [_values(number, entry) for number, entry in part])
    return ids


def _row(number: int, entry: NewEntry, plan: int, head: PlanHead) -> dict[str, Any]:
    same = ("bundle", "position", "key", "kind", "rule", "target", "state", "backward", "new", "urgency")
    return {
        **{name: getattr(entry, name) for name in same},
        "id": number,
        "plan": plan if entry.plan is None else entry.plan,
        "contact_id": entry.contact,
        "crm": entry.record.crm,
        "object": entry.record.object,
        "record_id": entry.record.id,
        "planned_at": head.created_at,
        "config_version": head.config_version,
        **dict.fromkeys(("code", "message", "next_step", "correlation_id"), ""),
        **dict.fromkeys(("fence", "tries"), 0),
    }


def _values(number: int, entry: NewEntry) -> dict[str, Any]:
    return {
        "ledger": number,
        "contact_id": entry.contact,
        "before": entry.before,
        "after": entry.after,
        "why": dict(entry.why),
        "task": None if entry.task is None else asdict(entry.task),
    }


# ── Rows that wait for the decision ──────────────────────────────────────────────────────────────────────────────────────────────────


class UndecidedRow(NamedTuple):
    """A row of a plan that is not yet decided. owned: a task that somebody is to get."""

    id: int
    contact: int
    bundle: str
    position: int
    rule: str
    kind: Kind
    crm: CrmName
    backward: bool
    owned: bool


def undecided_rows(connection: Connection, plan: int, *, after: int, size: int) -> list[UndecidedRow]:
    """The held rows of the next contacts behind this one, bundle by bundle in their order; about `size`, whole contacts only."""
    held = and_(_LEDGER.c.plan == plan, _LEDGER.c.state == State.HELD, _LEDGER.c.contact_id > after)
    ends = connection.scalars(select(_LEDGER.c.contact_id).where(held).order_by(_LEDGER.c.contact_id).limit(size)).all()
    if not ends:
        return []
    names = ("id", "contact_id", "bundle", "position", "rule", "kind", "crm", "backward")
    query = (
        select(*(_LEDGER.c[name] for name in names), _VALUE.c.task)
        .select_from(_LEDGER.outerjoin(_VALUE, VALUES_OF))
        .where(held, _LEDGER.c.contact_id <= ends[-1])
        .order_by(_LEDGER.c.contact_id, _LEDGER.c.bundle, _LEDGER.c.position)
    )
    return [
        UndecidedRow(
            **{name: row[name] for name in ("id", "bundle", "position", "rule", "crm", "backward")},
            contact=row["contact_id"],
            kind=Kind(row["kind"]),
            owned=row["kind"] == Kind.CREATE_TASK and bool((row["task"] or {}).get("owner_id")),
        )
        for row in connection.execute(query).mappings()
    ]


def free(connection: Connection, plan: int, rows: Sequence[UndecidedRow], state: State, *, retry_at: datetime | None = None) -> None:
    """These rows of the plan, of one slice, may go: planned, or waiting for their owner's day."""
    _change(connection, plan, rows, {"state": state, "retry_at": retry_at})


def join(connection: Connection, plan: int, rows: Sequence[UndecidedRow], into: int) -> None:
    """These rows of the plan, of one slice, wait for approval with those of another plan."""
    _change(connection, plan, rows, {"plan": into})


def _change(connection: Connection, plan: int, rows: Sequence[UndecidedRow], values: Mapping[str, Any]) -> None:
    for part in sliced(rows):
        span = _LEDGER.c.contact_id.between(part[0].contact, part[-1].contact)
        these = and_(_LEDGER.c.plan == plan, span, (_LEDGER.c.id + 0).in_([row.id for row in part]), _LEDGER.c.state == State.HELD)
        connection.execute(update(_LEDGER).where(these).values(**values))


# ── What a plan shows ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def of_plan(plan: int) -> ColumnElement[bool]:
    """The rows of one plan."""
    return _LEDGER.c.plan == plan


def added_to(plan: int, since: int) -> ColumnElement[bool]:
    """The rows of a plan that were numbered from this number on."""
    return and_(_LEDGER.c.plan == plan, _LEDGER.c.id >= since)


def count_groups(connection: Connection, which: ColumnElement[bool]) -> Counter[Group]:
    """How many of these rows there are, by rule, kind, CRM and state."""
    columns = (_LEDGER.c.rule, _LEDGER.c.kind, _LEDGER.c.crm, _LEDGER.c.state)
    rows = connection.execute(select(*columns, func.count()).where(which).group_by(*columns))
    return Counter({(rule, Kind(kind), crm, State(state)): number for rule, kind, crm, state, number in rows})


def rows_in_order(connection: Connection, which: ColumnElement[bool], *, limit: int | None = None) -> Iterator[RowMapping]:
    """These rows with their values: rule by rule, contact by contact, bundle by bundle; read as they are asked for."""
    query = (
        select(_LEDGER, _VALUE.c.before, _VALUE.c.after, _VALUE.c.why, _VALUE.c.task)
        .select_from(_LEDGER.outerjoin(_VALUE, VALUES_OF))
        .where(which)
        .order_by(_LEDGER.c.rule, _LEDGER.c.contact_id, _LEDGER.c.bundle, _LEDGER.c.position)
        .limit(limit)
    )
    yield from connection.execute(query, execution_options={"yield_per": 500}).mappings()
