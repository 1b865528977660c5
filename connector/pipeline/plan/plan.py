"""From what rules want to a saved plan: bundles in their order, keys, guard rails, the day's tasks.

`build_plan` reads what the ledger says, decides (`_Planner`, without I/O), and saves, all in one transaction. Shadow mode and live run go
the same way; shadow rows take no key and end there. What a rule wants beyond its guard rail is held, with what depends on it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection

from connector.config.tables import Guard, TaskLimits
from connector.model import BUNDLE_ORDER, Action, CrmName, Kind, Proposal, State, bundle_name, key_part
from connector.store import ledger
from connector.store.database import Store

#: Which guard rail counts which kind of action.
_RAILS: Mapping[Kind, str] = {Kind.SET_STAGE: "stage_changes", Kind.ASSIGN: "assign", Kind.CREATE_TASK: "tasks"}
#: Positions in a bundle: a hundred for each kind, so that a bundle planned in two goes keeps its order.
_KIND_SPACE = 100
_NO_LONGER_TRUE = "the rule did not want it any more when the contact was judged again"
_LAPSED = "nobody approved it in time; the contact is judged anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAction:
    """One action of a plan. object and id: the record by its CRM's own names; before and after: the CRM's own values."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one pass wants. id: None where there was nothing to save. held: how many of its actions wait for approval.

    guard: "rule/kind" → {"wanted", "used", "rail", "held"}; "rule/backward" for stages that go down. Actions, or contacts where
    `rule_share` is the nearer rail; "held" are actions.
    """

    id: int | None
    mode: Literal["shadow", "live"]
    actions: tuple[PlannedAction, ...]
    held: int
    guard: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What a plan is made under. judged: the contacts that this pass judged; undecided: the rules that it did not ask."""

    mode: Literal["shadow", "live"]
    guard: Guard
    contacts_in_scope: int
    a_day_an_owner: int | None
    day_start: datetime
    next_day: datetime
    now: datetime
    judged: Collection[int]
    undecided: Collection[str]


@dataclass(slots=True, kw_only=True)
class _Part:
    """One action on its way into the plan."""

    proposal: Proposal
    action: Action
    position: int
    state: State = State.PLANNED
    plan: int | None = None
    retry_at: datetime | None = None
    new: bool = True
    key: str = field(init=False)
    bundle: str = field(init=False)

    def __post_init__(self) -> None:
        rule, contact, cause = key_part(self.proposal.rule), self.proposal.contact, key_part(self.proposal.cause)
        self.bundle = bundle_name(self.proposal.rule, contact, self.proposal.cause)
        self.key = f"{rule}|{contact}|{self.action.kind}|{self.action.record.crm}|{key_part(self.action.target)}|{cause}"

    @property
    def group(self) -> tuple[str, Kind]:
        return self.proposal.rule, self.action.kind

    @property
    def purpose(self) -> tuple[int, str]:
        return self.proposal.contact, self.action.target


def build_plan(  # noqa: PLR0913 - each of these is an input of its own; within, they travel as _Terms
    store: Store,
    proposals: Iterable[Proposal],
    *,
    run: int,
    mode: Literal["shadow", "live"],
    guard: Guard,
    contacts_in_scope: int,
    task_limits: TaskLimits,
    day_start: datetime,
    next_day: datetime,
    config_version: str,
    now: datetime,
    judged: Collection[int] | None = None,
    undecided: Collection[str] = (),
) -> Plan:
    """Makes and saves the plan of one pass.

    day_start, next_day: where the business's own day and the next begin, in UTC. judged: the contacts whose rules were asked in this
    pass, whether or not one fired: what is held for them and was not proposed again lapses (None: those of the proposals). undecided: ids
    of rules that could not be asked: what is held of them is as true as it was.
    """
    parts = _parts(proposals)
    terms = _Terms(
        mode=mode,
        guard=guard,
        contacts_in_scope=contacts_in_scope,
        a_day_an_owner=task_limits.a_day_an_owner,
        day_start=day_start,
        next_day=next_day,
        now=now,
        judged=frozenset(judged if judged is not None else (part.proposal.contact for part in parts)),
        undecided=frozenset(undecided),
    )
    head = ledger.PlanHead(run=run, mode=mode, guard={}, config_version=config_version, created_at=now)
    return store.write(lambda connection: _plan(connection, parts, terms, head))


def actions_json(plan: Plan) -> dict[str, Any]:
    """The plan as `plan --json` prints it."""
    names = ("key", "bundle", "kind", "rule", "contact", "crm", "object", "id", "before", "after", "why", "state", "new")
    actions = [{name: _json(getattr(action, name)) for name in names} for action in plan.actions]
    return {"plan": plan.id, "actions": actions, "held": plan.held, "guard": {key: dict(rail) for key, rail in plan.guard.items()}}


# ── One transaction: look, decide, save ──────────────────────────────────────────────────────────────────────────────────────────────


def _plan(connection: Connection, wanted: Sequence[_Part], terms: _Terms, head: ledger.PlanHead) -> Plan:
    """A transaction may be run again by the store: nothing of `wanted` is kept from an earlier try."""
    for part in wanted:
        part.state, part.plan, part.retry_at, part.new = State.PLANNED, None, None, True
    held = _retire_held(connection, wanted, terms) if terms.mode == "live" else []
    parts = _still_to_do(connection, wanted, terms)
    used = ledger.guard_used(connection, _rules(parts, held), _RAILS.keys(), since=terms.now - terms.guard.window.elapsed)
    rails = _Rails(terms, used, held)
    rails.hold(parts)
    if terms.mode == "live":
        _share_out_the_day(connection, parts, terms)
        plan = _save(connection, parts, head, rails.report) if parts else None
    else:
        plan = _save_shadow(connection, parts, head, rails.report)
    return Plan(id=plan, mode=terms.mode, actions=tuple(map(_planned, parts)), held=rails.held_now, guard=rails.report)


def _retire_held(connection: Connection, wanted: Sequence[_Part], terms: _Terms) -> list[ledger.HeldEntry]:
    """Ends what is held for too long or not true any more; returns what goes on waiting for approval."""
    proposed = {part.key for part in wanted}
    deadline = terms.now - terms.guard.hold_for.elapsed
    rows = ledger.held(connection)
    lapsed = [row for row in rows if row.planned_at <= deadline]
    asked = [row for row in rows if row.contact in terms.judged and row.rule not in terms.undecided]
    untrue = [row for row in asked if row.planned_at > deadline and row.key not in proposed]
    ledger.supersede(connection, lapsed, now=terms.now, message=_LAPSED)
    ledger.supersede(connection, untrue, now=terms.now, message=_NO_LONGER_TRUE)
    ended = {row.id for row in (*lapsed, *untrue)}
    return [row for row in rows if row.id not in ended]


def _still_to_do(connection: Connection, wanted: Sequence[_Part], terms: _Terms) -> list[_Part]:
    """Without what the ledger has had already, what is so already, and tasks for which one of the same purpose is open."""
    differing = [part for part in wanted if not _already_so(part.action)]
    known = ledger.standing(connection, [part.key for part in differing])
    fresh = [part for part in differing if part.key not in known]
    about = [part.proposal.contact for part in fresh if part.action.kind is Kind.CREATE_TASK]
    open_tasks = ledger.open_tasks(connection, about, now=terms.now)
    left = []
    for part in fresh:
        if part.action.kind is Kind.CREATE_TASK:
            if part.purpose in open_tasks:
                continue
            open_tasks.add(part.purpose)
        left.append(part)
    return left


def _rules(parts: Iterable[_Part], held: Iterable[ledger.HeldEntry]) -> set[str]:
    return {part.proposal.rule for part in parts} | {row.rule for row in held}


def _save(connection: Connection, parts: Sequence[_Part], head: ledger.PlanHead, report: Mapping[str, Any]) -> int:
    return ledger.save_plan(connection, replace(head, guard=report), [_entry(part) for part in parts])


def _save_shadow(connection: Connection, parts: Sequence[_Part], head: ledger.PlanHead, report: Mapping[str, Any]) -> int | None:
    """Saves what is wanted without taking keys. Where nothing differs from the shadow plan before, that plan stands."""
    before, known = ledger.last_shadow(connection)
    for part in parts:
        part.state, part.new = State.SHADOW, part.key not in known
    if before is not None and known == {part.key: (part.action.before, part.action.after) for part in parts}:
        ledger.no_longer_new(connection, before)
        return before
    return _save(connection, parts, head, report) if parts or known else None


# ── Guard rails ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Rails:
    """The guard rails of each rule and kind. report: how each stands; held_now: how many parts of this plan are held."""

    def __init__(self, terms: _Terms, used: ledger.Used, held: Sequence[ledger.HeldEntry]) -> None:
        self._terms = terms
        self._used = used
        self._held = held
        self._share = max(1, math.ceil(terms.contacts_in_scope * terms.guard.rule_share - 1e-9))
        self.report: dict[str, dict[str, int]] = {}
        self.held_now = 0

    def hold(self, parts: Sequence[_Part]) -> None:
        """Marks what is beyond a rail, and what stands behind it in its bundle, as held."""
        groups: dict[tuple[str, Kind], list[_Part]] = {}
        for part in parts:
            groups.setdefault(part.group, []).append(part)
        beyond = {group for group, members in groups.items() if self._is_beyond(group, members)}
        self._hold_bundles(parts, beyond)
        self._count(parts)

    def _is_beyond(self, group: tuple[str, Kind], members: Sequence[_Part]) -> bool:
        """What is held of the same rule and kind is still wanted, and counts."""
        rule, kind = group
        if kind not in _RAILS:
            return False
        waiting = [row for row in self._held if (row.rule, row.kind) == group]
        wanted = [*(part.proposal.contact for part in members), *(row.contact for row in waiting)]
        too_many = self._rail(rule, kind, getattr(self._terms.guard, _RAILS[kind]), wanted)
        down = [part.proposal.contact for part in members if part.action.backward] + [row.contact for row in waiting if row.backward]
        too_many_down = bool(down) and self._rail(rule, "backward", self._terms.guard.backward, down)
        return too_many or too_many_down

    def _rail(self, rule: str, kind: str, limit: int, wanted: Sequence[int]) -> bool:
        """Whether these are too many: actions by the rail's number, contacts by their share. wanted: each action's contact.

        The one of both that is nearer to its end is reported: a stage that is written in two CRMs is two actions to one contact.
        """
        group = (rule, kind)
        before = self._used.contacts.get(group, set())
        actions = {"wanted": len(wanted), "used": self._used.actions[group], "rail": limit, "held": 0}
        contacts = {"wanted": len({*wanted} - before), "used": len(before), "rail": self._share, "held": 0}
        nearer = max(actions, contacts, key=lambda one: (one["used"] + one["wanted"]) / max(one["rail"], 0.5))
        self.report[f"{rule}/{kind}"] = nearer
        return nearer["used"] + nearer["wanted"] > nearer["rail"]

    def _hold_bundles(self, parts: Sequence[_Part], beyond: Collection[tuple[str, Kind]]) -> None:
        """Parts of one bundle stand together, in their order."""
        plan_of = {(row.rule, row.kind): row.plan for row in self._held}
        first_held = {row.bundle: row for row in sorted(self._held, key=lambda row: -row.position)}
        bundle, holding, plan = "", False, None
        for part in parts:
            if part.bundle != bundle:
                bundle, holding, plan = part.bundle, False, None
            behind = first_held.get(bundle)
            if not holding and behind is not None and behind.position < part.position:
                holding, plan = True, behind.plan
            if not holding and part.group in beyond:
                holding, plan = True, plan_of.get(part.group)
            if holding:
                part.state, part.plan = State.HELD, plan

    def _count(self, parts: Sequence[_Part]) -> None:
        held = [part for part in parts if part.state is State.HELD]
        self.held_now = len(held)
        now = Counter(f"{part.proposal.rule}/{part.action.kind}" for part in held)
        now.update(f"{part.proposal.rule}/backward" for part in held if part.action.backward)
        now.update(f"{row.rule}/{row.kind}" for row in self._held)
        now.update(f"{row.rule}/backward" for row in self._held if row.backward)
        for name, rail in self.report.items():
            rail["held"] = now[name]


# ── The day's tasks ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A task that wants a place in its owner's day: a new part, or a row that waited for today."""

    owner: tuple[CrmName, str]
    urgency: float
    key: str
    part: _Part | None = None
    row: int | None = None


def _share_out_the_day(connection: Connection, parts: Sequence[_Part], terms: _Terms) -> None:
    """An owner gets so many tasks a day, the most urgent first; the rest waits for the next day, when it is ranked again."""
    candidates = [*_new_tasks(parts), *_waiting_tasks(connection, terms.now)]
    if not candidates:
        return
    limit = terms.a_day_an_owner
    given = ledger.tasks_of_day(connection, start=terms.day_start, end=terms.next_day) if limit is not None else Counter()
    free: list[int] = []
    full: list[int] = []
    for candidate in sorted(candidates, key=lambda each: (-each.urgency, each.key)):
        fits = limit is None or given[candidate.owner] < limit
        if fits:
            given[candidate.owner] += 1
        if candidate.row is not None:
            (free if fits else full).append(candidate.row)
        elif candidate.part is not None and not fits:
            candidate.part.state, candidate.part.retry_at = State.WAITING, terms.next_day
    ledger.free_waiting(connection, free)
    ledger.postpone_waiting(connection, full, until=terms.next_day)


def _new_tasks(parts: Iterable[_Part]) -> Iterable[_Candidate]:
    for part in parts:
        task = part.action.task
        if part.state is State.PLANNED and part.action.kind is Kind.CREATE_TASK and task is not None and task.owner_id:
            yield _Candidate(owner=(part.action.record.crm, task.owner_id), urgency=part.proposal.urgency, key=part.key, part=part)


def _waiting_tasks(connection: Connection, now: datetime) -> Iterable[_Candidate]:
    for row in ledger.waiting_tasks(connection, now=now):
        if row.task is not None and row.task.owner_id:
            yield _Candidate(owner=(row.record.crm, row.task.owner_id), urgency=row.urgency, key=row.key, row=row.id)


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parts(proposals: Iterable[Proposal]) -> list[_Part]:
    """The actions of all proposals, bundle by bundle and each in its order; the same key once."""
    parts: dict[str, _Part] = {}
    for proposal in proposals:
        places: Counter[Kind] = Counter()
        for action in sorted(proposal.actions, key=lambda action: BUNDLE_ORDER.index(action.kind)):
            position = BUNDLE_ORDER.index(action.kind) * _KIND_SPACE + places[action.kind]
            places[action.kind] += 1
            part = _Part(proposal=proposal, action=action, position=position)
            parts.setdefault(part.key, part)
    return sorted(parts.values(), key=lambda part: (part.proposal.rule, part.proposal.contact, part.bundle, part.position))


def _already_so(action: Action) -> bool:
    return action.kind is not Kind.CREATE_TASK and (action.before or None) == (action.after or None)


def _entry(part: _Part) -> ledger.NewEntry:
    action = part.action
    return ledger.NewEntry(
        plan=part.plan,
        bundle=part.bundle,
        position=part.position,
        key=part.key,
        kind=action.kind,
        rule=part.proposal.rule,
        contact=part.proposal.contact,
        record=action.record,
        target=action.target,
        state=part.state,
        before=action.before,
        after=action.after,
        backward=action.backward,
        new=part.new,
        urgency=part.proposal.urgency,
        retry_at=part.retry_at,
        why=part.proposal.why,
        task=action.task,
    )


def _planned(part: _Part) -> PlannedAction:
    action = part.action
    return PlannedAction(
        key=part.key,
        bundle=part.bundle,
        kind=action.kind,
        rule=part.proposal.rule,
        contact=part.proposal.contact,
        crm=action.record.crm,
        object=action.record.object,
        id=action.record.id,
        target=action.target,
        before=action.before,
        after=action.after,
        why=part.proposal.why,
        state=part.state,
        new=part.new,
    )


def _json(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value) if isinstance(value, Kind | State) else value
