"""The guard rails: how much one rule may do within a window, and what is held for approval beyond it. Pure.

How much was done already is counted by `connector.store.ledger.guard_used`; everything else about a rail is here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from connector.config.tables import Guard
from connector.model import Kind, State
from connector.pipeline.plan.parts import PlanPart, PlanTerms
from connector.store.ledger import HeldEntry, Used

#: Which guard rail of the file counts which kind of action.
RAILS: Mapping[Kind, str] = {Kind.SET_STAGE: "stage_changes", Kind.ASSIGN: "assign", Kind.CREATE_TASK: "tasks"}
#: Stages that go down have a rail of their own.
_BACKWARD = "backward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """The parts, those beyond a rail held; report: how each rail stands (see `Plan.guard`)."""

    parts: Sequence[PlanPart]
    report: Mapping[str, Mapping[str, int]]

    @property
    def held(self) -> int:
        """How many parts of this plan are held."""
        return sum(part.state is State.HELD for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Rail:
    """One rail of a rule: how much is wanted, how much was used, and the limit; in actions or in contacts."""

    wanted: int
    used: int
    limit: int

    @property
    def beyond(self) -> bool:
        return self.used + self.wanted > self.limit

    @property
    def fullness(self) -> float:
        return (self.used + self.wanted) / max(self.limit, 0.5)


def guarded(parts: Sequence[PlanPart], held: Sequence[HeldEntry], used: Used, terms: PlanTerms) -> Guarded:
    """Holds what is beyond a rail, and what stands behind it in its bundle.

    held: what waits for approval since earlier plans; it is still wanted, and counts. used: what rules did within the window.
    """
    share = max(1, math.ceil(terms.contacts_in_scope * terms.guard.rule_share - 1e-9))
    groups: dict[tuple[str, Kind], list[PlanPart]] = {}
    for part in parts:
        groups.setdefault(part.group, []).append(part)
    rails: dict[str, _Rail] = {}
    beyond: set[tuple[str, Kind]] = set()
    for group, members in groups.items():
        of_group = dict(_rails_of(members, [row for row in held if (row.rule, row.kind) == group], used, terms.guard, share))
        rails |= of_group
        if any(rail.beyond for rail in of_group.values()):
            beyond.add(group)
    result = list(_hold_bundles(parts, held, beyond))
    return Guarded(parts=result, report=_report(rails, result, held))


def _rails_of(
    members: Sequence[PlanPart], waiting: Sequence[HeldEntry], used: Used, guard: Guard, share: int
) -> Iterator[tuple[str, _Rail]]:
    """The rails of one rule and kind, by name: its own, and that of stages that go down. waiting: its rows that are held."""
    rule, kind = members[0].group
    if kind not in RAILS:
        return
    wanted = [part.proposal.contact for part in members] + [row.contact for row in waiting]
    yield f"{rule}/{kind}", _nearer((rule, kind), wanted, used, getattr(guard, RAILS[kind]), share)
    down = [part.proposal.contact for part in members if part.action.backward] + [row.contact for row in waiting if row.backward]
    if down:
        yield f"{rule}/{_BACKWARD}", _nearer((rule, _BACKWARD), down, used, guard.backward, share)


def _nearer(group: tuple[str, str], wanted: Sequence[int], used: Used, limit: int, share: int) -> _Rail:
    """Of the rail of actions and the rail of contacts the one nearer to its end. wanted: each action's contact.

    A stage that is written in two CRMs is two actions to one contact.
    """
    before = used.contacts.get(group, set())
    actions = _Rail(wanted=len(wanted), used=used.actions[group], limit=limit)
    contacts = _Rail(wanted=len({*wanted} - before), used=len(before), limit=share)
    return max(actions, contacts, key=lambda rail: rail.fullness)


def _hold_bundles(parts: Sequence[PlanPart], held: Sequence[HeldEntry], beyond: Collection[tuple[str, Kind]]) -> Iterator[PlanPart]:
    """The parts in their order; those of one bundle stand together. What is held joins the plan of what it waits with."""
    plan_of = {(row.rule, row.kind): row.plan for row in held}
    first_held = {row.bundle: row for row in sorted(held, key=lambda row: -row.position)}
    bundle, holding, plan = "", False, None
    for part in parts:
        if part.bundle != bundle:
            bundle, holding, plan = part.bundle, False, None
        before = first_held.get(bundle)
        if not holding and before is not None and before.position < part.position:
            holding, plan = True, before.plan
        if not holding and part.group in beyond:
            holding, plan = True, plan_of.get(part.group)
        yield replace(part, state=State.HELD, plan=plan) if holding else part


def _report(rails: Mapping[str, _Rail], parts: Sequence[PlanPart], held: Sequence[HeldEntry]) -> dict[str, dict[str, int]]:
    now = [part for part in parts if part.state is State.HELD]
    count = Counter(f"{part.proposal.rule}/{part.action.kind}" for part in now)
    count.update(f"{part.proposal.rule}/{_BACKWARD}" for part in now if part.action.backward)
    count.update(f"{row.rule}/{row.kind}" for row in held)
    count.update(f"{row.rule}/{_BACKWARD}" for row in held if row.backward)
    return {
        name: {"wanted": rail.wanted, "used": rail.used, "rail": rail.limit, "held": count[name]} for name, rail in rails.items()
    }
