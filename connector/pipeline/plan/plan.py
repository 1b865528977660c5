"""From what rules want to a saved plan: bundles in their order, keys, guard rails, the day's tasks.

`Planner` saves what each slice of contacts came to, and their next moment with it, in transactions of at most `SLICE` rows; `finish`
decides over the whole what is held. Live plans are in `live`, the one that stands in shadow in `standing`; both go the same way, and shadow
ends there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, or_
from sqlalchemy.engine import RowMapping

from connector.model import CrmName, Kind, Proposal, State
from connector.pipeline.plan import live, standing
from connector.pipeline.plan.parts import JudgedContacts, PlanTerms, parts_of, pieces
from connector.store import plans, shadow
from connector.store.database import Store
from connector.store.tables import metadata

_LEDGER = metadata.tables["ledger"]

#: Rows that are saved in one transaction, or those of one contact; and contacts whose plan is looked at in one.
SLICE = 1_000
CONTACTS = 2_500

#: What is to be written with the plan of these contacts, in its transaction; first: with the first of a slice's transactions.
Settle = Callable[[Connection, Sequence[int], bool], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAction:
    """One action of a plan. object and id: the record by its CRM's own names; before and after: the CRM's own values.

    task: of a task what will be written.
    """

    key: str
    bundle: str
    kind: Kind
    rule: str
    contact: int
    crm: CrmName
    object: str
    id: str
    target: str
    before: str | None
    after: str | None
    why: Mapping[str, Any]
    state: State
    new: bool
    task: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, row: RowMapping, made: int | None) -> PlannedAction:
        """A row of the ledger as a plan shows it. made: the plan that this pass made: what stood in one before is not new."""
        state = State(row["state"])
        same = ("key", "bundle", "rule", "crm", "object", "target", "before", "after", "task")
        return cls(
            **{name: row[name] for name in same},
            kind=Kind(row["kind"]),
            contact=row["contact_id"],
            id=row["record_id"],
            why=row["why"] or {},
            state=state,
            new=bool(row["new"]) and (state is not State.SHADOW or row["plan"] == made),
        )

    def document(self) -> dict[str, Any]:
        """As `plan --json` prints it."""
        names = ("key", "bundle", "rule", "contact", "crm", "object", "id", "before", "new")
        return {
            **{name: getattr(self, name) for name in names},
            "kind": str(self.kind),
            "after": self.after if self.task is None else task_document(self.task),
            "why": dict(self.why),
            "state": str(self.state),
        }


def task_document(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task as it will be written. owner: his id in the CRM; moments as ISO texts in UTC."""
    same = ("subject", "body", "due_at", "reminder_at", "priority", "type")
    return {**{name: task.get(name) for name in same}, "owner": task.get("owner_id")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one pass wants; in shadow, all that stands. id: None where there is nothing. held: how many actions wait for approval.

    guard: "rule/kind" → {"wanted", "used", "rail", "held"}; "rule/backward" for stages that go down. Actions, or contacts where
    `rule_share` is the nearer rail; "held" are actions. counts: how many actions by rule, kind, CRM and state. read: the actions, from the
    store, as they are asked for, and at most so many.
    """

    id: int | None
    mode: Literal["shadow", "live"]
    counts: Mapping[plans.Group, int]
    held: int
    guard: Mapping[str, Mapping[str, int]]
    read: Callable[[int | None], Iterator[PlannedAction]] = field(compare=False, repr=False)

    @property
    def planned(self) -> int:
        """How many actions it has."""
        return sum(self.counts.values())

    @property
    def actions(self) -> tuple[PlannedAction, ...]:
        """All of them, in memory."""
        return tuple(self.read(None))


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as `plan --json` prints it, but for its actions."""
    return {"plan": plan.id, "held": plan.held, "guard": {key: dict(rail) for key, rail in plan.guard.items()}}


def actions_json(plan: Plan) -> dict[str, Any]:
    """The plan as `plan --json` prints it, with its actions."""
    return {**plan_document(plan), "actions": [action.document() for action in plan.actions]}


class Planner:
    """Makes the plan of one pass: `add` with each slice that was judged, `finish` once all were.

    in_scope: how many contacts rules judge, counted up to a number (more are that number). One finishes a plan; several may add to it
    (`add_within`).
    """

    def __init__(self, store: Store, terms: PlanTerms, in_scope: Callable[[int], int]) -> None:
        self._store = store
        self._terms = terms
        self._in_scope = in_scope
        self._head = plans.PlanHead(run=terms.run, mode=terms.mode, config_version=terms.config_version, created_at=terms.now)
        if terms.mode == "live":
            live.lapse(store, terms)
        with store.read() as connection:
            self._saved = self._stored(connection)

    def add(self, contacts: Sequence[int], proposals: Iterable[Proposal], settle: Settle | None = None) -> None:
        """Saves what is wanted for contacts that were judged, and what `settle` writes, a piece at a time; proposals: all of theirs."""
        for number, judged in enumerate(pieces(contacts, proposals, parts=SLICE, most=CONTACTS)):
            self._saved = self._store.write(partial(self._save, judged=judged, before=self._saved, first=number == 0, settle=settle))

    def add_within(
        self, connection: Connection, contacts: Sequence[int], proposals: Iterable[Proposal], settle: Settle, alone: Callable[[], None]
    ) -> Mapping[str, Any]:
        """The same in a transaction of the caller's, while other processes add to this plan; what who finishes it is to be told (`tell`).

        alone: returns once no other process does what this one is about to do, until the transaction ends: the plan is begun once.
        """
        before = self._stored(connection)
        if before.plan is None:
            alone()
            before = self._stored(connection)
        judged = JudgedContacts(contacts=contacts, parts=parts_of(proposals))  # in one piece: rows that all count in are locked in order
        return self._save(connection, judged, before, first=True, settle=settle).document()

    def tell(self, saved: Mapping[str, Any]) -> None:
        """What `add_within` saved, here or in another process, is part of the plan."""
        self._saved = self._saved.with_those(saved)

    def _stored(self, connection: Connection) -> live.Saved:
        """The plan that is there, if it is not yet decided."""
        last = plans.last_plan(connection, self._terms.mode)
        return live.Saved(plan=None if last is None or last.decided else last.id)

    def _save(
        self, connection: Connection, judged: JudgedContacts, before: live.Saved, first: bool, settle: Settle | None
    ) -> live.Saved:
        if self._terms.mode == "live":
            saved = live.save(connection, judged, self._terms, self._head, before)
        else:
            saved = before.more(standing.save(connection, judged, self._terms, self._head, before.plan), (), ())
        if settle is not None:
            settle(connection, judged.contacts, first)
        return saved

    def finish(self) -> Plan:
        """Decides what is held; the plan is whole."""
        if self._terms.mode == "live":
            decided = live.decide(self._store, self._saved, self._terms, self._in_scope)
            of_pass = _rows_of(decided.saved, self._saved.plan)
            return self._plan(decided.saved.plan, decided.counts, decided.held, decided.guard, of_pass)
        stands = standing.decide(self._store, self._saved.plan, self._terms, self._in_scope)
        return self._plan(stands.plan, stands.counts, stands.held, stands.guard, shadow.STANDS)

    def _plan(
        self,
        number: int | None,
        counts: Mapping[plans.Group, int],
        held: int,
        guard: Mapping[str, Mapping[str, int]],
        which: ColumnElement[bool],
    ) -> Plan:
        store, made = self._store, self._saved.plan

        def read(limit: int | None) -> Iterator[PlannedAction]:
            if counts:
                with store.read() as connection:
                    for row in plans.rows_in_order(connection, which, limit=limit):
                        yield PlannedAction.of(row, made)

        return Plan(id=number, mode=self._terms.mode, counts=counts, held=held, guard=guard, read=read)


def _rows_of(saved: live.Saved, own: int | None) -> ColumnElement[bool]:
    """The rows that a pass saved: those of its own plan, and those that joined others."""
    joined = and_(_LEDGER.c.plan.in_(sorted(saved.joined_plans)), _LEDGER.c.id >= (saved.first or 0))
    return joined if own is None else or_(_LEDGER.c.plan == own, joined)


def build_plan(
    store: Store, proposals: Sequence[Proposal], terms: PlanTerms, *, contacts_in_scope: int, judged: Collection[int] | None = None
) -> Plan:
    """Makes and saves a plan of these proposals. judged: the contacts whose rules were asked; None: those of the proposals."""
    planner = Planner(store, terms, lambda most: min(most, contacts_in_scope))
    contacts = sorted({proposal.contact for proposal in proposals}.union(judged or ()))
    planner.add(contacts, proposals)
    return planner.finish()
