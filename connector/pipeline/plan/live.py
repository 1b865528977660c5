"""The live plan: saved as held, slice by slice; once all of it is there and counted, what is within its guard rails is let go.

A bundle is let go, or held, in one transaction. A pass that dies in between leaves the plan undecided and its rows held: the next pass goes
on with it, counts again, and comes to the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from connector.model import Kind, State
from connector.pipeline.plan.daily_tasks import share_out_the_day
from connector.pipeline.plan.guard import RAILS, Rails, enough_contacts, held_parts, rails_of
from connector.pipeline.plan.parts import JudgedContacts, PlanPart, PlanTerms
from connector.pipeline.plan.to_do import still_to_do
from connector.store import ledger, plans
from connector.store.database import Store

#: Rows that are let go, or held, in one transaction.
SLICE = 1_000

_NO_LONGER_TRUE = "the rule did not want it any more when the contact was judged again"
_LAPSED = "nobody approved it in time; the contact is judged anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a pass saved so far. plan: its own one, None as long as there is nothing in it. first: its first row's number.

    joined: parts that wait with older ones in those one's plans, and are no rows of its own plan.
    """

    plan: int | None = None
    first: int | None = None
    joined: Counter[plans.Group] = field(default_factory=Counter)
    joined_plans: frozenset[int] = frozenset()

    def document(self) -> dict[str, Any]:
        """As another process that goes on with the plan is told of it."""
        joined = [[*group, number] for group, number in self.joined.items()]
        return {"plan": self.plan, "first": self.first, "joined": joined, "joined_plans": sorted(self.joined_plans)}

    def with_those(self, document: Mapping[str, Any]) -> Saved:
        """With what another process saved."""
        joined = Counter({(rule, Kind(kind), crm, State(state)): number for rule, kind, crm, state, number in document["joined"]})
        firsts = [first for first in (self.first, document["first"]) if first is not None]
        return Saved(
            plan=self.plan if document["plan"] is None else document["plan"],
            first=min(firsts, default=None),
            joined=self.joined + joined,
            joined_plans=self.joined_plans.union(document["joined_plans"]),
        )

    def more(self, plan: int | None, numbers: Sequence[int], parts: Sequence[PlanPart]) -> Saved:
        """With these parts, under these numbers."""
        joined = [part for part in parts if part.plan is not None]
        counted = Counter((part.proposal.rule, part.action.kind, part.action.record.crm, State.HELD) for part in joined)
        return Saved(
            plan=self.plan if plan is None else plan,
            first=self.first if self.first is not None or not numbers else numbers[0],
            joined=self.joined + counted,
            joined_plans=self.joined_plans | {part.plan for part in joined if part.plan is not None},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The plan of a pass, decided. held: how many of its parts wait for approval. guard: how the rails stand."""

    saved: Saved
    counts: Mapping[plans.Group, int]
    held: int
    guard: Mapping[str, Mapping[str, int]]


def lapse(store: Store, terms: PlanTerms) -> None:
    """Ends what is held for too long; its contacts are judged anew."""
    deadline = terms.now - terms.guard.hold_for.elapsed

    def work(connection: Connection) -> bool:
        rows = ledger.held_since(connection, deadline)
        ledger.supersede(connection, rows, now=terms.now, message=_LAPSED)
        return bool(rows)

    with store.read() as connection:
        any_lapsed = bool(ledger.held_since(connection, deadline, size=1))
    while any_lapsed:
        any_lapsed = store.write(work)


def save(connection: Connection, judged: JudgedContacts, terms: PlanTerms, head: plans.PlanHead, saved: Saved) -> Saved:
    """Saves what is wanted for these contacts, and ends what was held for them and is not true any more."""
    proposed = {part.key for part in judged.parts}
    rows = ledger.held_of(connection, judged.contacts)
    untrue = [row for row in rows if row.rule not in terms.undecided and row.key not in proposed]
    ledger.supersede(connection, untrue, now=terms.now, message=_NO_LONGER_TRUE)
    ended = {row.id for row in untrue}
    parts = _behind_held(still_to_do(connection, judged.parts, now=terms.now), [row for row in rows if row.id not in ended], saved.plan)
    plan = saved.plan
    if plan is None and any(part.plan is None for part in parts):
        plan = plans.begin(connection, head)
    numbers = plans.save(connection, [part.entry() for part in parts], head, plan or 0)  # 0: all name a plan of their own
    return saved.more(plan, numbers, parts)


def _behind_held(parts: Sequence[PlanPart], held: Sequence[ledger.HeldEntry], own: int | None) -> list[PlanPart]:
    """The parts, held; behind one that is held already they join its plan."""
    first = {row.bundle: row for row in sorted(held, key=lambda row: -row.position) if row.plan != own}

    def plan_of(part: PlanPart) -> int | None:
        row = first.get(part.bundle)
        return None if row is None or row.position >= part.position else row.plan

    return [replace(part, state=State.HELD, plan=plan_of(part)) for part in parts]


# ── The decision ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def decide(store: Store, saved: Saved, terms: PlanTerms, in_scope: Callable[[int], int]) -> Decided:
    """Lets go of what is within its guard rails, and shares out the day's tasks. in_scope: how many contacts, counted up to a number."""
    with store.read() as connection:
        groups = _groups(connection, saved)
        rails = _rails(connection, groups, terms, in_scope)
        older = ledger.plans_that_hold(connection, but=saved.plan or 0) if groups else {}
    moved, held = _let_go(store, saved.plan, rails, older, terms)
    with store.read() as connection:
        waits = bool(ledger.waiting_tasks(connection, now=terms.now))
    if waits:
        store.write(partial(share_out_the_day, terms=terms))
    return _closed(store, saved, rails, moved, held)


def _groups(connection: Connection, saved: Saved) -> set[tuple[str, Kind]]:
    """The rules and kinds of what the pass wants."""
    own = Counter[plans.Group]() if saved.plan is None else plans.count_groups(connection, plans.of_plan(saved.plan))
    return {(rule, kind) for rule, kind, _, _ in (*own, *saved.joined)}


def _rails(connection: Connection, groups: set[tuple[str, Kind]], terms: PlanTerms, in_scope: Callable[[int], int]) -> Rails:
    if not groups:
        return Rails(by_name={}, beyond=())
    rules, since = {rule for rule, _ in groups}, terms.now - terms.guard.window.elapsed
    wanted = ledger.held_amount(connection, rules)
    wanted.contacts -= ledger.wanted_again(connection, rules, RAILS.keys(), State.HELD, since=since)
    used = ledger.guard_used(connection, rules, RAILS.keys(), since=since)
    return rails_of(groups, wanted, used, terms.guard, in_scope(enough_contacts(terms.guard)))


def _let_go(
    store: Store, plan: int | None, rails: Rails, older: Mapping[tuple[str, Kind], int], terms: PlanTerms
) -> tuple[Counter[tuple[int, plans.Group]], int]:
    """Slice by slice: what is within its rails goes, the rest stays held. Returns what joined which older plan, and how many are held."""
    moved: Counter[tuple[int, plans.Group]] = Counter()
    held, after = 0, 0
    while plan is not None:
        slice_ = store.write(partial(_let_go_slice, plan=plan, after=after, rails=rails, older=older, terms=terms))
        if slice_ is None:
            break
        moved += slice_.moved
        held += slice_.held
        after = slice_.last
    return moved, held


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    """What became of a slice. last: its last contact. moved: parts that joined an older plan; held: with those, all that are held."""

    last: int
    moved: Counter[tuple[int, plans.Group]]
    held: int


def _let_go_slice(
    connection: Connection, plan: int, after: int, rails: Rails, older: Mapping[tuple[str, Kind], int], terms: PlanTerms
) -> _Slice | None:
    rows = plans.undecided_rows(connection, plan, after=after, size=SLICE)
    if not rows:
        return None
    held = held_parts(rows, rails.beyond)
    kept = {row.id for row, _ in held}
    ranked = terms.task_limits.a_day_an_owner is not None
    waits = [row for row in rows if row.id not in kept and row.owned and ranked]
    plans.free(connection, plan, [row for row in rows if row.id not in kept and not (row.owned and ranked)], State.PLANNED)
    plans.free(connection, plan, waits, State.WAITING, retry_at=terms.day_start)  # ranked once all are there
    moved: Counter[tuple[int, plans.Group]] = Counter()
    for into in sorted(set(older.values())):
        joining = [row for row, reason in held if older.get(reason) == into]
        plans.join(connection, plan, joining, into)
        moved.update((into, (row.rule, row.kind, row.crm, State.HELD)) for row in joining)
    return _Slice(last=rows[-1].contact, moved=moved, held=len(held))


def _closed(store: Store, saved: Saved, rails: Rails, moved: Counter[tuple[int, plans.Group]], held: int) -> Decided:
    """The plan is whole. One of which all joined older ones is none."""
    rules = {name.rpartition("/")[0] for name in rails.by_name}

    def work(connection: Connection) -> Decided:
        guard = rails.report(ledger.held_amount(connection, rules))
        counts = saved.joined + Counter[plans.Group]()
        for (_, group), number in moved.items():
            counts[group] += number
        plan = saved.plan
        if plan is not None:
            counts += plans.count_groups(connection, plans.of_plan(plan))
            plans.decide(connection, plan, guard)
            plan = None if plans.drop_empty(connection, plan) else plan
        others = saved.joined_plans | {into for into, _ in moved}
        end = replace(saved, plan=min(others, default=None) if plan is None else plan, joined_plans=frozenset(others))
        return Decided(saved=end, counts=counts, held=held + saved.joined.total(), guard=guard)

    return store.write(work) if saved.plan is not None or saved.joined else Decided(saved=saved, counts={}, held=0, guard={})
