"""The ledger: every action that was ever wanted, and what became of it. Nothing reaches a CRM but through it.

All functions take a connection and are one statement or a few; who calls them decides what is one transaction. A key is held by one row
at a time (all but shadow and superseded rows hold theirs), so the same cause acts once. Figures add up: planned = ends + still open.
Planning and looking are here; `connector.store.claims` is the side of it that write-back uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, and_, bindparam, case, func, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from connector.model import CRM_FACTS, CrmName, Kind, RecordRef, State, TaskSpec
from connector.store.tables import metadata

T = TypeVar("T")
_LEDGER = metadata.tables["ledger"]
_VALUE = metadata.tables["action_value"]
_PLAN = metadata.tables["plan"]
_ACTIVITY = metadata.tables["activity"]
#: What a task is called in the CRM of a ledger's row.
_TASK_OBJECT = case({crm: facts.tasks for crm, facts in CRM_FACTS.items()}, value=_LEDGER.c.crm)
_CONTACT = metadata.tables["contact"]

#: Rows a statement: SQLite takes 32,766 values in one.
SLICE = 1000

#: A row in one of these holds no key: the same cause may be planned again.
KEYLESS = (State.SHADOW, State.SUPERSEDED)
#: Not at their end; parked rows are tried again.
OPEN = (State.PLANNED, State.WAITING, State.HELD, State.APPROVED, State.SENDING, State.UNKNOWN, State.PARKED)
#: States that count against a guard rail are all but these.
_NOT_COUNTED = (State.HELD, State.SHADOW, State.SUPERSEDED, State.DROPPED)

#: Written out in the statement, not bound, and in the order of the partial indexes: SQLite uses those only for the very same text.
IS_OPEN = _LEDGER.c.state.in_(bindparam("open", OPEN, expanding=True, literal_execute=True))
HOLDS_KEY = _LEDGER.c.state.not_in(bindparam("keyless", KEYLESS, expanding=True, literal_execute=True))

#: How long a created task that no pull has brought yet is taken to be open.
UNSEEN_TASK = timedelta(days=1)
#: How far back plans are looked through for tasks that waited for today.
BACKLOG = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """A row to save. plan: a plan that stands already (a held one), None for the new one. why: the values that met the rule."""

    bundle: str
    position: int
    key: str
    kind: Kind
    rule: str
    contact: int
    record: RecordRef
    target: str
    state: State
    before: str | None
    after: str | None
    plan: int | None = None
    backward: bool = False
    new: bool = True
    urgency: float = 0.0
    retry_at: datetime | None = None
    why: Mapping[str, Any] = field(default_factory=dict)
    task: TaskSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An open row with its values, as write-back needs it.

    maybe_written: an earlier try was sent and may have taken effect (such rows keep `sent_at`; what was certainly not done has none).
    """

    id: int
    plan: int
    bundle: str
    position: int
    key: str
    kind: Kind
    rule: str
    contact: int
    record: RecordRef
    target: str
    state: State
    backward: bool
    urgency: float
    sent_at: datetime | None
    retry_at: datetime | None
    fence: int
    tries: int
    result_id: str | None
    before: str | None
    after: str | None
    task: TaskSpec | None
    maybe_written: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldEntry:
    """A row that waits for approval."""

    id: int
    plan: int
    key: str
    bundle: str
    position: int
    rule: str
    kind: Kind
    contact: int
    backward: bool
    planned_at: datetime


def sliced(things: Iterable[T], size: int = SLICE) -> Iterator[list[T]]:
    """The things in lists of at most `size`."""
    rest = iter(things)
    while part := list(islice(rest, size)):
        yield part


# ── Planning ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def standing(connection: Connection, keys: Iterable[str]) -> dict[str, State]:
    """Which of these keys are held, and by a row in which state."""
    states: dict[str, State] = {}
    for part in sliced(keys):
        query = select(_LEDGER.c.key, _LEDGER.c.state).where(_LEDGER.c.key.in_(part), HOLDS_KEY)
        states.update({key: State(state) for key, state in connection.execute(query)})
    return states


def held(connection: Connection) -> list[HeldEntry]:
    """Every row that waits for approval, the oldest first."""
    names = ("id", "plan", "key", "bundle", "position", "rule", "backward", "planned_at")
    columns = [_LEDGER.c[name] for name in names]
    query = select(*columns, _LEDGER.c.kind, _LEDGER.c.contact_id).where(IS_OPEN, _LEDGER.c.state == State.HELD).order_by(_LEDGER.c.id)
    return [
        HeldEntry(**{name: row[name] for name in names}, kind=Kind(row["kind"]), contact=row["contact_id"])
        for row in connection.execute(query).mappings()
    ]


def supersede(connection: Connection, rows: Sequence[HeldEntry], *, now: datetime, message: str) -> None:
    """Ends rows that hold no longer; their keys are free again, and their contacts are judged anew."""
    for part in sliced(rows):
        ids = [row.id for row in part]
        values = {"state": State.SUPERSEDED, "settled_at": now, "message": message}
        connection.execute(update(_LEDGER).where(_LEDGER.c.id.in_(ids), _LEDGER.c.state == State.HELD).values(values))
    make_due(connection, {row.contact for row in rows}, now=now)


@dataclass(slots=True)
class Used:
    """What rules did, or are about to do: by (rule, kind), and (rule, "backward") for stages that go down. contacts: to whom."""

    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    contacts: dict[tuple[str, str], set[int]] = field(default_factory=dict)

    def add(self, group: tuple[str, str], contact: int, number: int) -> None:
        """So many more to this contact."""
        self.actions[group] += number
        self.contacts.setdefault(group, set()).add(contact)


def guard_used(connection: Connection, rules: Iterable[str], kinds: Collection[Kind], *, since: datetime) -> Used:
    """How much of these kinds each of these rules did or is about to do since then."""
    columns = (_LEDGER.c.rule, _LEDGER.c.kind, _LEDGER.c.contact_id, _LEDGER.c.backward)
    used = Used()
    for part in sliced(sorted(set(rules))):
        index = and_(_LEDGER.c.rule.in_(part), _LEDGER.c.kind.in_(list(kinds)), _LEDGER.c.planned_at >= since)
        query = select(*columns, func.count()).where(index, _LEDGER.c.state.not_in(_NOT_COUNTED)).group_by(*columns)
        for rule, kind, contact, backward, number in connection.execute(query):
            used.add((rule, kind), contact, number)
            if backward:
                used.add((rule, "backward"), contact, number)
    return used


def open_tasks(connection: Connection, contacts: Iterable[int], *, now: datetime) -> set[tuple[int, str]]:
    """For which (contact, purpose) a task is open, in the CRM or on its way there.

    One that was created and that no pull has brought yet is open for a day; after that it is taken to be deleted.
    """
    task = and_(
        _ACTIVITY.c.crm == _LEDGER.c.crm,
        _ACTIVITY.c.object == _TASK_OBJECT,  # with it the key is whole: without, each task of the ledger searched all activities of its CRM
        _ACTIVITY.c.id == _LEDGER.c.result_id,
        _ACTIVITY.c.key != "",
    )
    on_its_way = _LEDGER.c.state.in_(OPEN)
    in_the_crm = and_(
        _LEDGER.c.state == State.APPLIED,
        or_(
            and_(_ACTIVITY.c.id.is_not(None), _ACTIVITY.c.done.is_(False), _ACTIVITY.c.archived.is_(False)),
            and_(_ACTIVITY.c.id.is_(None), _LEDGER.c.settled_at >= now - UNSEEN_TASK),
        ),
    )
    purposes: set[tuple[int, str]] = set()
    for part in sliced(sorted(set(contacts))):
        query = (
            select(_LEDGER.c.contact_id, _LEDGER.c.target)
            .select_from(_LEDGER.outerjoin(_ACTIVITY, task))
            .where(_LEDGER.c.contact_id.in_(part), _LEDGER.c.kind == Kind.CREATE_TASK, or_(on_its_way, in_the_crm))
        )
        purposes.update((contact, purpose) for contact, purpose in connection.execute(query))
    return purposes


def waiting_tasks(connection: Connection, *, now: datetime) -> list[Entry]:
    """Tasks that waited for a day that has come."""
    due = and_(_LEDGER.c.state == State.WAITING, _LEDGER.c.kind == Kind.CREATE_TASK, _LEDGER.c.retry_at <= now)
    return entries(connection, and_(IS_OPEN, due))


def tasks_of_day(connection: Connection, *, start: datetime, end: datetime) -> Counter[tuple[CrmName, str]]:
    """How many tasks each owner, (CRM, id), got or is about to get on the day from start to end (UTC)."""
    recent = select(func.min(_PLAN.c.id)).where(_PLAN.c.created_at >= start - BACKLOG).scalar_subquery()
    day = or_(
        and_(_LEDGER.c.planned_at >= start, _LEDGER.c.planned_at < end),
        and_(_LEDGER.c.retry_at >= start, _LEDGER.c.retry_at < end),
    )
    out = (*_NOT_COUNTED, State.WAITING, State.REFUSED, State.BLOCKED)
    query = (
        select(_LEDGER.c.crm, _VALUE.c.task)
        .select_from(_LEDGER.join(_VALUE, _VALUE.c.ledger == _LEDGER.c.id))
        .where(_LEDGER.c.plan >= recent, _LEDGER.c.kind == Kind.CREATE_TASK, _LEDGER.c.state.not_in(out), day)
    )
    owners = ((crm, task.get("owner_id")) for crm, task in connection.execute(query) if task)  # emptied for a privacy deletion: no owner
    return Counter((crm, owner) for crm, owner in owners if owner)


def free_waiting(connection: Connection, ids: Iterable[int]) -> None:
    """Their day has come: they are planned now."""
    for part in sliced(ids):
        connection.execute(update(_LEDGER).where(_LEDGER.c.id.in_(part), _LEDGER.c.state == State.WAITING).values(state=State.PLANNED))


def postpone_waiting(connection: Connection, ids: Iterable[int], *, until: datetime) -> None:
    """Their day is full again."""
    for part in sliced(ids):
        connection.execute(update(_LEDGER).where(_LEDGER.c.id.in_(part), _LEDGER.c.state == State.WAITING).values(retry_at=until))


def last_shadow(connection: Connection) -> tuple[int | None, dict[str, tuple[str | None, str | None]]]:
    """The last shadow plan and what it wanted: key → (before, after). (None, {}) where there was none."""
    plan = connection.execute(select(func.max(_PLAN.c.id)).where(_PLAN.c.mode == "shadow")).scalar()
    if plan is None:
        return None, {}
    query = (
        select(_LEDGER.c.key, _VALUE.c.before, _VALUE.c.after)
        .select_from(_LEDGER.join(_VALUE, _VALUE.c.ledger == _LEDGER.c.id))
        .where(_LEDGER.c.plan == plan)
    )
    return plan, {key: (before, after) for key, before, after in connection.execute(query)}


def no_longer_new(connection: Connection, plan: int) -> None:
    """A shadow plan that is as it was before: nothing of it is new now."""
    connection.execute(update(_LEDGER).where(_LEDGER.c.plan == plan, _LEDGER.c.new.is_(True)).values(new=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHead:
    """What is said of a plan as a whole."""

    run: int
    mode: str
    guard: Mapping[str, Any]
    config_version: str
    created_at: datetime


def save_plan(connection: Connection, head: PlanHead, entries: Sequence[NewEntry]) -> int:
    """Saves the rows and their values; returns the plan's id: a new one, unless all rows belong to plans that stand already."""
    own = next((entry.plan for entry in entries if entry.plan is not None), None)
    if own is None or any(entry.plan is None for entry in entries):
        values = {name: getattr(head, name) for name in ("run", "mode", "guard", "config_version", "created_at")}
        own = connection.execute(insert(_PLAN).values(**values).returning(_PLAN.c.id)).scalar_one()
    for part in sliced(entries):
        rows = [_row(entry, own, head) for entry in part]
        added = connection.execute(insert(_LEDGER).returning(_LEDGER.c.id, _LEDGER.c.key), rows)
        ids: dict[str, int] = {key: row_id for row_id, key in added}
        connection.execute(insert(_VALUE), [_values(entry, ids[entry.key]) for entry in part])
    return own


def _row(entry: NewEntry, plan: int, head: PlanHead) -> dict[str, Any]:
    same = ("bundle", "position", "key", "kind", "rule", "target", "state", "backward", "new", "urgency", "retry_at")
    return {
        **{name: getattr(entry, name) for name in same},
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


def _values(entry: NewEntry, ledger: int) -> dict[str, Any]:
    return {
        "ledger": ledger,
        "contact_id": entry.contact,
        "before": entry.before,
        "after": entry.after,
        "why": dict(entry.why),
        "task": None if entry.task is None else asdict(entry.task),
    }


# ── Shared with `connector.store.claims` ──────────────────────────────────────────────────────────────────────────────────────────────────


def make_due(connection: Connection, contacts: Collection[int], *, now: datetime) -> None:
    """These contacts are judged in the next pass, but for those who are gone."""
    for part in sliced(sorted(contacts)):
        later = and_(or_(_CONTACT.c.due_at.is_(None), _CONTACT.c.due_at > now), ~_CONTACT.c.gone)
        connection.execute(update(_CONTACT).where(_CONTACT.c.id.in_(part), later).values(due_at=now))


def entries(connection: Connection, which: Any) -> list[Entry]:
    """The rows that meet a condition on the ledger, oldest first, with their values."""
    query = (
        select(_LEDGER, _VALUE.c.before, _VALUE.c.after, _VALUE.c.task)
        .select_from(_LEDGER.outerjoin(_VALUE, _VALUE.c.ledger == _LEDGER.c.id))
        .where(which)
        .order_by(_LEDGER.c.id)
    )
    return [_entry(row) for row in connection.execute(query).mappings()]


def _entry(row: RowMapping) -> Entry:
    same = ("id", "plan", "bundle", "position", "key", "rule", "target", "backward", "urgency", "sent_at", "retry_at")
    more = ("fence", "tries", "result_id", "before", "after")
    return Entry(
        **{name: row[name] for name in (*same, *more)},
        kind=Kind(row["kind"]),
        state=State(row["state"]),
        contact=row["contact_id"],
        record=RecordRef(crm=row["crm"], object=row["object"], id=row["record_id"]),
        task=None if row["task"] is None else _task(row["task"]),
        maybe_written=row["sent_at"] is not None,
    )


def _task(values: Mapping[str, Any]) -> TaskSpec:
    moments = {name: datetime.fromisoformat(values[name]) for name in ("due_at", "reminder_at") if values.get(name)}
    return TaskSpec(**{**values, **moments})


# ── What others ask ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def rows_of_contact(connection: Connection, contact: int) -> list[dict[str, Any]]:
    """Everything the ledger says of a contact, the newest first, with its values (`explain`); shadow rows of the last plan only."""
    last = select(func.max(_PLAN.c.id)).where(_PLAN.c.mode == "shadow").scalar_subquery()
    query = (
        select(_LEDGER, _VALUE.c.before, _VALUE.c.after, _VALUE.c.found, _VALUE.c.why, _VALUE.c.task)
        .select_from(_LEDGER.outerjoin(_VALUE, _VALUE.c.ledger == _LEDGER.c.id))
        .where(_LEDGER.c.contact_id == contact, or_(_LEDGER.c.state != State.SHADOW, _LEDGER.c.plan == last))
        .order_by(_LEDGER.c.id.desc())
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def counts(connection: Connection) -> Counter[State]:
    """How many rows are still open, by state (`status`)."""
    query = select(_LEDGER.c.state, func.count()).where(IS_OPEN).group_by(_LEDGER.c.state)
    return Counter({State(state): number for state, number in connection.execute(query)})


def figures(connection: Connection, plan: int) -> Counter[State]:
    """How many rows of a plan stand in which state: their sum is what was planned."""
    query = select(_LEDGER.c.state, func.count()).where(_LEDGER.c.plan == plan).group_by(_LEDGER.c.state)
    return Counter({State(state): number for state, number in connection.execute(query)})


def plan_rows(connection: Connection, plan: int) -> list[dict[str, Any]]:
    """A saved plan's rows in their order, with their values."""
    query = (
        select(_LEDGER, _VALUE.c.before, _VALUE.c.after, _VALUE.c.why, _VALUE.c.task)
        .select_from(_LEDGER.outerjoin(_VALUE, _VALUE.c.ledger == _LEDGER.c.id))
        .where(_LEDGER.c.plan == plan)
        .order_by(_LEDGER.c.id)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def open_task_count(connection: Connection) -> int:
    """How many tasks of ours are open in the CRMs, as far as the mirror knows (`status`)."""
    ours = and_(_ACTIVITY.c.key != "", _ACTIVITY.c.done.is_(False), _ACTIVITY.c.archived.is_(False), _ACTIVITY.c.kind == "task")
    return connection.execute(select(func.count()).select_from(_ACTIVITY).where(ours)).scalar_one()
