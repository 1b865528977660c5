"""The ledger: every action that was ever wanted, and what became of it. Nothing reaches a CRM but through it.

All functions take a connection and are one statement or a few; who calls them decides what is one transaction. A key is held by one row
at a time (all but shadow and superseded rows hold theirs), so the same cause acts once. Figures add up: planned = ends + still open.
What planning asks and looking are here; `connector.store.plans` saves plans, `connector.store.shadow` has the one that stands in shadow,
`connector.store.claims` is the side of it that write-back uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, case, func, or_, select, type_coerce, update
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

#: Waits for approval, or for the decision on its plan; written out as its index has it.
IS_HELD = _LEDGER.c.state == bindparam("held", State.HELD, literal_execute=True)

#: What joins a row and its values.
VALUES_OF = and_(_VALUE.c.contact_id == _LEDGER.c.contact_id, _VALUE.c.ledger == _LEDGER.c.id)

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


def these(contact: ColumnElement[int], number: ColumnElement[int], keys: Collection[tuple[int, int]]) -> ColumnElement[bool]:
    """Rows by (contact, number). They are looked up by contact: both columns at once would be each contact with each number."""
    return and_(contact.in_(sorted({key[0] for key in keys})), (number + 0).in_([key[1] for key in keys]))


def standing(connection: Connection, contacts: Iterable[int]) -> dict[str, State]:
    """Which keys of these contacts are held, and by a row in which state."""
    states: dict[str, State] = {}
    for part in sliced(sorted(set(contacts))):
        query = select(_LEDGER.c.key, _LEDGER.c.state).where(_LEDGER.c.contact_id.in_(part), HOLDS_KEY)
        states.update({key: State(state) for key, state in connection.execute(query)})
    return states


def held_of(connection: Connection, contacts: Iterable[int]) -> list[HeldEntry]:
    """Every row of these contacts that waits for approval, the oldest first."""
    rows = [row for part in sliced(sorted(set(contacts))) for row in _held(connection, _LEDGER.c.contact_id.in_(part))]
    return sorted(rows, key=lambda row: row.id)


def held_since(connection: Connection, deadline: datetime, *, size: int = SLICE) -> list[HeldEntry]:
    """So many rows that have been waiting for approval since this moment or longer."""
    return _held(connection, _LEDGER.c.planned_at <= deadline, size)


def _held(connection: Connection, which: ColumnElement[bool], size: int | None = None) -> list[HeldEntry]:
    names = ("id", "plan", "key", "bundle", "position", "rule", "backward", "planned_at")
    columns = [_LEDGER.c[name] for name in names]
    query = select(*columns, _LEDGER.c.kind, _LEDGER.c.contact_id).where(IS_HELD, which).limit(size)
    return [
        HeldEntry(**{name: row[name] for name in names}, kind=Kind(row["kind"]), contact=row["contact_id"])
        for row in connection.execute(query).mappings()
    ]


def supersede(connection: Connection, rows: Sequence[HeldEntry], *, now: datetime, message: str) -> None:
    """Ends rows that hold no longer; their keys are free again, and their contacts are judged anew."""
    values = {"state": State.SUPERSEDED, "settled_at": now, "message": message}
    for part in sliced(rows):
        waiting = and_(these(_LEDGER.c.contact_id, _LEDGER.c.id, [(row.contact, row.id) for row in part]), IS_HELD)
        connection.execute(update(_LEDGER).where(waiting).values(values))
    make_due(connection, {row.contact for row in rows}, now=now)


#: A rule and a kind, or a rule and "backward" for stages that go down.
RuleKind = tuple[str, str]


@dataclass(slots=True)
class Amount:
    """How many actions, and to how many contacts, by rule and kind."""

    actions: Counter[RuleKind] = field(default_factory=Counter)
    contacts: Counter[RuleKind] = field(default_factory=Counter)

    def add(self, key: RuleKind, actions: int, contacts: int) -> None:
        """So many more actions, to so many more contacts."""
        self.actions[key] += actions
        self.contacts[key] += contacts


def guard_used(connection: Connection, rules: Iterable[str], kinds: Collection[Kind], *, since: datetime) -> Amount:
    """How much of these kinds each of these rules did or is about to do since then."""
    return _amount(_rows_used(connection, rules, kinds, since))


def held_amount(connection: Connection, rules: Collection[str]) -> Amount:
    """How much of each of these rules waits: for approval, or for the decision on its plan."""
    # not looked up by rule: that would go through all that the rules ever did
    rows = connection.execute(_grouped(IS_HELD)).all()
    return _amount([row for row in rows if row.rule in rules])


def wanted_again(
    connection: Connection, rules: Iterable[str], kinds: Collection[Kind], state: State, *, since: datetime
) -> Counter[RuleKind]:
    """To how many of the contacts that `guard_used` counts a rule wants the same once more, by a row in this state."""
    more = _LEDGER.alias("more")
    same = and_(more.c.contact_id == _LEDGER.c.contact_id, more.c.rule == _LEDGER.c.rule, more.c.kind == _LEDGER.c.kind)
    again = select(more.c.id).where(same, more.c.state == state)
    amount = _amount(_rows_used(connection, rules, kinds, since, again.exists()))
    down = _amount(_rows_used(connection, rules, kinds, since, _LEDGER.c.backward, again.where(more.c.backward).exists()))
    return Counter({key: (down if key[1] == "backward" else amount).contacts[key] for key in amount.contacts})


def _rows_used(
    connection: Connection, rules: Iterable[str], kinds: Collection[Kind], since: datetime, *more: ColumnElement[bool]
) -> list[Row[Any]]:
    index = and_(_LEDGER.c.kind.in_(list(kinds)), _LEDGER.c.planned_at >= since)
    counted = and_(index, _LEDGER.c.state.not_in(_NOT_COUNTED), *more)
    parts = sliced(sorted(set(rules)))
    return [row for part in parts for row in connection.execute(_grouped(and_(_LEDGER.c.rule.in_(part), counted)))]


def _grouped(which: ColumnElement[bool]) -> Select[Any]:
    """By rule and kind: actions and contacts; those that go down alone."""
    down = case((_LEDGER.c.backward, _LEDGER.c.contact_id))  # NULL counts nothing
    numbers = (func.count(), func.count(_LEDGER.c.contact_id.distinct()), func.count(down), func.count(down.distinct()))
    return select(_LEDGER.c.rule, _LEDGER.c.kind, *numbers).where(which).group_by(_LEDGER.c.rule, _LEDGER.c.kind)


def _amount(rows: Iterable[Row[Any]]) -> Amount:
    amount = Amount()
    for rule, kind, actions, contacts, down, contacts_down in rows:
        amount.add((rule, kind), actions, contacts)
        amount.add((rule, "backward"), down, contacts_down)
    return amount


class HeldGroup(NamedTuple):
    """Rows of one plan, rule and kind that wait for approval: how many, and since when."""

    plan: int
    rule: str
    kind: str
    number: int
    since: datetime


def held_groups(connection: Connection) -> list[HeldGroup]:
    """What waits for approval; without plans that are not whole yet (`status`)."""
    since = type_coerce(func.min(_LEDGER.c.planned_at), _LEDGER.c.planned_at.type)
    columns = (_LEDGER.c.plan, _LEDGER.c.rule, _LEDGER.c.kind)
    query = select(*columns, func.count(), since).join(_PLAN, _PLAN.c.id == _LEDGER.c.plan).where(IS_HELD, _PLAN.c.decided)
    return [HeldGroup._make(row) for row in connection.execute(query.group_by(*columns).order_by(*columns))]


def plans_that_hold(connection: Connection, *, but: int) -> dict[tuple[str, Kind], int]:
    """In which plan a rule and kind waits for approval already, apart from this plan: the last, where there are several."""
    query = select(_LEDGER.c.rule, _LEDGER.c.kind, func.max(_LEDGER.c.plan)).where(IS_HELD, _LEDGER.c.plan + 0 != but)
    rows = connection.execute(query.group_by(_LEDGER.c.rule, _LEDGER.c.kind))
    return {(rule, Kind(kind)): plan for rule, kind, plan in rows}


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
        .select_from(_LEDGER.join(_VALUE, VALUES_OF))
        .where(_LEDGER.c.plan >= recent, _LEDGER.c.kind == Kind.CREATE_TASK, _LEDGER.c.state.not_in(out), day)
    )
    owners = ((crm, task.get("owner_id")) for crm, task in connection.execute(query) if task)  # emptied for a privacy deletion: no owner
    return Counter((crm, owner) for crm, owner in owners if owner)


def free_waiting(connection: Connection, rows: Iterable[Entry]) -> None:
    """Their day has come: they are planned now."""
    _change_waiting(connection, rows, {"state": State.PLANNED})


def postpone_waiting(connection: Connection, rows: Iterable[Entry], *, until: datetime) -> None:
    """Their day is full again."""
    _change_waiting(connection, rows, {"retry_at": until})


def _change_waiting(connection: Connection, rows: Iterable[Entry], values: Mapping[str, Any]) -> None:
    for part in sliced(rows):
        waiting = and_(these(_LEDGER.c.contact_id, _LEDGER.c.id, [(row.contact, row.id) for row in part]), _LEDGER.c.state == State.WAITING)
        connection.execute(update(_LEDGER).where(waiting).values(**values))


# ── Shared with `connector.store.claims` ──────────────────────────────────────────────────────────────────────────────────────────────────


def make_due(connection: Connection, contacts: Collection[int], *, now: datetime) -> None:
    """These contacts are judged in the next pass, but for those who are gone."""
    for part in sliced(sorted(contacts)):
        for moment in (_CONTACT.c.due_at, _CONTACT.c.decide_at):
            later = and_(or_(moment.is_(None), moment > now), ~_CONTACT.c.gone)
            connection.execute(update(_CONTACT).where(_CONTACT.c.id.in_(part), later).values({moment: now}))


def entries(connection: Connection, which: Any) -> list[Entry]:
    """The rows that meet a condition on the ledger, oldest first, with their values."""
    query = (
        select(_LEDGER, _VALUE.c.before, _VALUE.c.after, _VALUE.c.task)
        .select_from(_LEDGER.outerjoin(_VALUE, VALUES_OF))
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
    """Everything the ledger says of a contact, the newest first, with its values (`explain`)."""
    query = (
        select(_LEDGER, _VALUE.c.before, _VALUE.c.after, _VALUE.c.found, _VALUE.c.why, _VALUE.c.task)
        .select_from(_LEDGER.outerjoin(_VALUE, VALUES_OF))
        .where(_LEDGER.c.contact_id == contact)
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
        .select_from(_LEDGER.outerjoin(_VALUE, VALUES_OF))
        .where(_LEDGER.c.plan == plan)
        .order_by(_LEDGER.c.id)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def open_task_count(connection: Connection) -> int:
    """How many tasks of ours are open in the CRMs, as far as the mirror knows (`status`)."""
    ours = and_(_ACTIVITY.c.key != "", _ACTIVITY.c.done.is_(False), _ACTIVITY.c.archived.is_(False), _ACTIVITY.c.kind == "task")
    return connection.execute(select(func.count()).select_from(_ACTIVITY).where(ours)).scalar_one()
