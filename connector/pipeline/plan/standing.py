"""The shadow plan: what is wanted of the contacts that were judged takes the place of what stood for them; the rest stands.

How the guard rails would stand is told by what is counted of it. Rows take no key, nothing is let go, nothing leaves the machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Connection

from connector.model import State, TaskSpec
from connector.pipeline.plan.guard import RAILS, amount_of, enough_contacts, held_amount_of, rails_of, shapes_of
from connector.pipeline.plan.parts import JudgedContacts, PlanTerms
from connector.pipeline.plan.to_do import still_to_do
from connector.store import ledger, plans, shadow
from connector.store.database import Store
from connector.store.ledger import NewEntry
from connector.store.shadow import StandingRow

#: Of a task: moments that go on with each judging. They are kept up to date, and are no difference.
_MOVING = ("due_at", "reminder_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The shadow plan after a pass. plan: the last one in which something was otherwise than before, None where nothing stands.

    held: how many of its parts would wait for approval; guard: how the rails would stand.
    """

    plan: int | None
    counts: Mapping[plans.Group, int]
    held: int
    guard: Mapping[str, Mapping[str, int]]


def save(connection: Connection, judged: JudgedContacts, terms: PlanTerms, head: plans.PlanHead, plan: int | None) -> int | None:
    """What is wanted for these contacts stands from now on. The pass's plan: begun once something is otherwise than it stood."""
    before = {row.key: row for row in shadow.standing(connection, judged.contacts)}
    parts = still_to_do(connection, judged.parts, now=terms.now)
    wanted = [replace(part, state=State.SHADOW, new=part.key not in before).entry() for part in parts]
    same = {entry.key for entry in wanted if entry.key in before and _same(before[entry.key], entry)}
    changed = [entry for entry in wanted if entry.key not in same]
    removed = before.keys() - {entry.key for entry in wanted}
    if plan is None and (removed or any(_differs(before.get(entry.key), entry) for entry in changed)):
        plan = plans.begin(connection, head)
    shadow.no_longer_new(connection, [row for key, row in before.items() if key in same and row.plan != plan])
    shadow.take_away(connection, [row for key, row in before.items() if key not in same])
    plans.save(connection, [_under(entry, before.get(entry.key), plan) for entry in changed], head, plan or 0)
    shadow.change_counts(connection, list(before.values()), wanted)
    return plan


def _same(row: StandingRow, entry: NewEntry) -> bool:
    """Whether the row is as it would be saved now."""
    return not _differs(row, entry) and row.task == _as_stored(entry.task) and (row.why or {}) == _plain(entry.why)


def _differs(row: StandingRow | None, entry: NewEntry) -> bool:
    """Whether something else is wanted than stood there."""
    if row is None or (row.before, row.after, row.record, row.bundle, row.position) != (
        entry.before, entry.after, entry.record, entry.bundle, entry.position,
    ):  # fmt: skip
        return True
    return _unmoved(row.task) != _unmoved(_as_stored(entry.task))


def _under(entry: NewEntry, row: StandingRow | None, plan: int | None) -> NewEntry:
    """The entry under the plan in which it came to be what it is."""
    if row is None or _differs(row, entry):
        return replace(entry, plan=plan)
    return replace(entry, plan=row.plan, new=row.new and row.plan == plan)


def _as_stored(task: TaskSpec | None) -> dict[str, Any] | None:
    return None if task is None else dict(_plain(asdict(task)))


def _plain(values: Mapping[str, Any]) -> Any:
    """As JSON gives it back."""
    return orjson.loads(orjson.dumps(dict(values)))


def _unmoved(task: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if task is None else {name: value for name, value in task.items() if name not in _MOVING}


def decide(store: Store, plan: int | None, terms: PlanTerms, in_scope: Callable[[int], int]) -> Standing:
    """How the guard rails would stand with all of it. plan: the pass's own one. in_scope: how many contacts, counted up to a number."""
    with store.read() as connection:
        counts = shadow.counts(connection)
        shapes = shapes_of(counts)
        wanted = amount_of(shapes, counts)
        rules, since = {shape.parts[0].rule for shape in shapes}, terms.now - terms.guard.window.elapsed
        used = ledger.guard_used(connection, rules, RAILS.keys(), since=since)
        if used.actions:
            wanted.contacts -= ledger.wanted_again(connection, rules, RAILS.keys(), State.SHADOW, since=since)
        last = plans.last_plan(connection, "shadow") if counts else None
    groups = {(part.rule, part.kind) for shape in shapes for part in shape.parts}
    rails = rails_of(groups, wanted, used, terms.guard, in_scope(enough_contacts(terms.guard)) if groups else 0)
    held = held_amount_of(shapes, rails.beyond)
    guard = rails.report(held)
    if plan is not None:
        store.write(lambda connection: plans.decide(connection, plan, guard))
    by_group: Counter[plans.Group] = Counter()
    for shape in shapes:
        for part in shape.parts:
            by_group[part.rule, part.kind, part.crm, State.SHADOW] += shape.number
    standing = None if last is None else last.id
    number_held = sum(number for (_, kind), number in held.actions.items() if kind != "backward")
    return Standing(plan=standing if plan is None else plan, counts=by_group, held=number_held, guard=guard)
