"""From what rules want to a saved plan: bundles in their order, keys, guard rails, the day's tasks.

`build_plan` reads what the ledger says, decides, and saves, all in one transaction: actions and keys in `parts`, what is held in `guard`,
which tasks wait in `daily_tasks`. Shadow mode and live run go the same way; shadow rows take no key and end there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection

from connector.model import CrmName, Kind, Proposal, State
from connector.pipeline.plan.daily_tasks import share_out_the_day
from connector.pipeline.plan.guard import RAILS, guarded
from connector.pipeline.plan.parts import PlanPart, PlanTerms, parts_of
from connector.store import ledger
from connector.store.database import Store

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

    @classmethod
    def of(cls, part: PlanPart) -> PlannedAction:
        """The part as a plan shows it."""
        action = part.action
        return cls(
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


def build_plan(store: Store, proposals: Iterable[Proposal], terms: PlanTerms) -> Plan:
    """Makes and saves the plan of one pass."""
    wanted = parts_of(proposals)
    return store.write(lambda connection: _plan(connection, wanted, terms))


def actions_json(plan: Plan) -> dict[str, Any]:
    """The plan as `plan --json` prints it."""
    names = ("key", "bundle", "kind", "rule", "contact", "crm", "object", "id", "before", "after", "why", "state", "new")
    actions = [{name: _json(getattr(action, name)) for name in names} for action in plan.actions]
    return {"plan": plan.id, "actions": actions, "held": plan.held, "guard": {key: dict(rail) for key, rail in plan.guard.items()}}


def _json(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return str(value) if isinstance(value, Kind | State) else value


# ── One transaction: look, decide, save ──────────────────────────────────────────────────────────────────────────────────────────────


def _plan(connection: Connection, wanted: Sequence[PlanPart], terms: PlanTerms) -> Plan:
    held = _retire_held(connection, wanted, terms) if terms.mode == "live" else []
    parts = _still_to_do(connection, wanted, terms)
    rules = {part.proposal.rule for part in parts} | {row.rule for row in held}
    used = ledger.guard_used(connection, rules, RAILS.keys(), since=terms.now - terms.guard.window.elapsed)
    result = guarded(parts, held, used, terms)
    head = ledger.PlanHead(
        run=terms.run, mode=terms.mode, guard=result.report, config_version=terms.config_version, created_at=terms.now
    )
    if terms.mode == "live":
        parts = share_out_the_day(connection, result.parts, terms)
        plan = _save(connection, parts, head) if parts else None
    else:
        parts, plan = _save_shadow(connection, result.parts, head)
    return Plan(id=plan, mode=terms.mode, actions=tuple(map(PlannedAction.of, parts)), held=result.held, guard=result.report)


def _retire_held(connection: Connection, wanted: Sequence[PlanPart], terms: PlanTerms) -> list[ledger.HeldEntry]:
    """Ends what is held for too long or not true any more; returns what goes on waiting for approval."""
    proposed = {part.key for part in wanted}
    judged = frozenset(terms.judged if terms.judged is not None else (part.proposal.contact for part in wanted))
    deadline = terms.now - terms.guard.hold_for.elapsed
    rows = ledger.held(connection)
    lapsed = [row for row in rows if row.planned_at <= deadline]
    asked = [row for row in rows if row.contact in judged and row.rule not in terms.undecided]
    untrue = [row for row in asked if row.planned_at > deadline and row.key not in proposed]
    ledger.supersede(connection, lapsed, now=terms.now, message=_LAPSED)
    ledger.supersede(connection, untrue, now=terms.now, message=_NO_LONGER_TRUE)
    ended = {row.id for row in (*lapsed, *untrue)}
    return [row for row in rows if row.id not in ended]


def _still_to_do(connection: Connection, wanted: Sequence[PlanPart], terms: PlanTerms) -> list[PlanPart]:
    """Without what the ledger has had already, what is so already, and tasks for which one of the same purpose is open."""
    differing = [part for part in wanted if not part.already_so]
    standing = ledger.standing(connection, [part.key for part in differing])
    fresh = [part for part in differing if part.key not in standing]
    contacts = [part.proposal.contact for part in fresh if part.action.kind is Kind.CREATE_TASK]
    open_tasks = ledger.open_tasks(connection, contacts, now=terms.now)
    to_do = []
    for part in fresh:
        if part.action.kind is Kind.CREATE_TASK:
            if part.purpose in open_tasks:
                continue
            open_tasks.add(part.purpose)
        to_do.append(part)
    return to_do


def _save(connection: Connection, parts: Sequence[PlanPart], head: ledger.PlanHead) -> int:
    return ledger.save_plan(connection, head, [part.entry() for part in parts])


def _save_shadow(connection: Connection, parts: Sequence[PlanPart], head: ledger.PlanHead) -> tuple[list[PlanPart], int | None]:
    """Saves what is wanted without taking keys. Where nothing differs from the shadow plan before, that plan stands."""
    before, shown = ledger.last_shadow(connection)
    shadow = [replace(part, state=State.SHADOW, new=part.key not in shown) for part in parts]
    if before is not None and shown == {part.key: (part.action.before, part.action.after) for part in parts}:
        ledger.no_longer_new(connection, before)
        return shadow, before
    return shadow, _save(connection, shadow, head) if parts or shown else None
