"""What the rules make of one contact: the attempt, its clocks, its rejection, and the actions wanted. Pure.

In order: rejections and clocks end or go on, then at most one transition, then what the other CRM still has to be told. Each table's part
is decided in its module of `connector.workflows`; here they are put together. Everything wanted is derived from what *is*, not from what
just changed, so that a pass that crashed wants it again; the ledger's keys see to it that it happens once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from connector.config.columns import field_column
from connector.config.tables import SlaRule, Transition
from connector.model import Proposal, own_rules
from connector.pipeline.evaluate.cases import ContactState, Decision
from connector.pipeline.evaluate.proposals import Cause, DecisionInputs, Proposer, value_of
from connector.store.snapshots import Beginning
from connector.workflows import rejection, scope, sla, task, transition
from connector.workflows.assign import RoundRobin
from connector.workflows.attempts import AttemptState
from connector.workflows.rejection import RejectionState
from connector.workflows.rejection_sign import SideValues, Sign, sign_of
from connector.workflows.sla import ClockEvent, ClockState
from connector.workflows.stages import MQL
from connector.workflows.touches import since


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selling:
    """How the go at selling stands. changed, clocks: states that differ from what is on record. moments: when to look again."""

    attempt: AttemptState | None = None
    changed: tuple[AttemptState, ...] = ()
    rejection: RejectionState | None = None
    clocks: tuple[ClockState, ...] = ()
    moments: tuple[datetime, ...] = ()

    @property
    def found(self) -> bool:
        """Whether it began before the clocks' start and goes on: shown, no cause of an action."""
        return self.attempt is not None and self.attempt.open and self.attempt.found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What is wanted of the CRMs. agreed: a stage that they show already. begins: the attempt that the step would begin. moments: when to
    look again.
    """

    proposals: tuple[Proposal, ...] = ()
    begins: Beginning | None = None
    agreed: str | None = None
    moments: tuple[datetime, ...] = ()


def decide(state: ContactState, inputs: DecisionInputs, turns: RoundRobin) -> Decision:
    """Everything that follows for one contact. turns: whose turn it is; it moves on with each lead that is given away."""
    contact = state.contact
    if contact.gone or not state.records:
        return Decision(contact=contact.id, next_look=state.answers.next_change)
    selling = _selling(state, inputs)
    acts = contact.ambiguous is None and not contact.excluded and not selling.found
    wanted = _wanted(state, selling, inputs, turns) if acts else _Wanted()
    moments = (*selling.moments, *wanted.moments)
    begun = selling.changed[-1].number if selling.changed else contact.attempt
    return Decision(
        contact=contact.id,
        attempts=selling.changed,
        begun=begun if begun != contact.attempt else None,
        begins=wanted.begins,
        rejection=selling.rejection if selling.rejection != state.rejection else None,
        clocks=selling.clocks,
        proposals=wanted.proposals,
        agreed=wanted.agreed,
        next_look=min((moment for moment in (*moments, state.answers.next_change) if moment is not None), default=None),
        decide_at=min(moments, default=None),
    )


# ── The attempt: rejected, ignored, out of scope, or going on with its clocks ────────────────────────────────────────────────────────


def _selling(state: ContactState, inputs: DecisionInputs) -> _Selling:
    attempt = state.attempt
    if attempt is None:
        return _Selling(rejection=state.rejection)
    changed, rejected = _attempts(state, attempt, inputs)
    present = changed[-1] if changed else attempt
    clocks = sla.clocks_now(_slas(inputs), _clock_facts(state, changed, present, inputs), inputs.now)
    moments = clocks.moments
    if present.open and present.ignored_at is not None and not since(state.touches, present.began_at):
        moments += (present.ignored_at,)
    return _Selling(attempt=present, changed=changed, rejection=rejected, clocks=clocks.changed, moments=moments)


def _attempts(
    state: ContactState, attempt: AttemptState, inputs: DecisionInputs
) -> tuple[tuple[AttemptState, ...], RejectionState | None]:
    """The attempts that differ from what is on record, and the rejection of the last one."""
    if state.contact.excluded:
        withdrawn = scope.left_scope(attempt, inputs.now)
        return (() if withdrawn == attempt else (withdrawn,)), state.rejection
    known = _known_rejection(state, inputs)
    if attempt.found:
        return (), known
    rule = None if inputs.suspended.rejection else inputs.config.rejection
    now = rejection.attempt_now(rule, attempt, _rejection_facts(state, inputs), inputs.run, inputs.now)
    return now.attempts, known if now.rejection is None else now.rejection


def _known_rejection(state: ContactState, inputs: DecisionInputs) -> RejectionState | None:
    """The rejection on record, with the reason that the CRM shows by now; sent back, where the contact is there already."""
    rule, known, stages = inputs.config.rejection, state.rejection, inputs.stages
    if rule is None or known is None or inputs.suspended.rejection:
        return known
    known = rejection.with_reason(rule, known, state.contact.values.get(field_column(rule.reason)), inputs.now)
    there = rule.send_back_to is not None and stages.rank(state.contact.stage) <= stages.rank(rule.send_back_to)
    return replace(known, sent_back=True) if there and not known.sent_back else known


def _rejection_facts(state: ContactState, inputs: DecisionInputs) -> rejection.ContactFacts:
    contact, rule = state.contact, inputs.config.rejection
    said = SideValues(values=contact.values, past=state.past)
    sign = (
        Sign(rejecting=False, at=inputs.now, crm=None)
        if rule is None
        else sign_of(inputs.config, rule, state.main, said, rejecting=state.answers.rejecting, now=inputs.now)
    )
    return rejection.ContactFacts(
        sign=sign,
        touches=state.touches,
        selling=contact.stage == MQL,
        known_since=contact.first_seen_at,
        was_rejecting=state.was_rejecting,
        calendar=inputs.calendars.of(contact.owner),
        reason=None if rule is None else contact.values.get(field_column(rule.reason)),
        owner=contact.owner,
        criteria_met=contact.criteria_met,
        score=contact.score,
    )


def _slas(inputs: DecisionInputs) -> Mapping[str, SlaRule]:
    return {rule.id: rule for rule in inputs.config.slas}


def _clock_facts(
    state: ContactState, changed: tuple[AttemptState, ...], present: AttemptState, inputs: DecisionInputs
) -> sla.ClockFacts:
    waiting = {rule.kind for rule in inputs.config.slas if rule.id in inputs.suspended.slas}  # which of a kind it is, is not known
    fits = [rule for rule, met in zip(inputs.config.slas, state.answers.slas, strict=True) if met]
    return sla.ClockFacts(
        clocks=state.clocks,
        attempts={**state.attempts, **{attempt.number: attempt for attempt in changed}},
        present=present,
        touches=state.touches,
        calendar=inputs.calendars.of(state.contact.owner),
        starting=[rule for rule in fits if rule.kind not in waiting],
        owner=state.contact.owner,
        assigned_at=state.contact.assigned_at,
        live_since=inputs.live_since,
        config_version=inputs.config.version,
    )


# ── What is wanted of the CRMs ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _wanted(state: ContactState, selling: _Selling, inputs: DecisionInputs, turns: RoundRobin) -> _Wanted:
    proposer = Proposer(state, inputs, turns)
    reminders = _reminders(proposer, selling)
    steps = rejection.next_steps(
        inputs.config.rejection, selling.rejection, inputs.run, inputs.now, suspended=inputs.suspended.rejection
    )
    given_back = _given_back(proposer, selling.rejection, steps)
    onward = _Wanted() if steps.keeps else _onward(proposer, selling)
    return _Wanted(
        proposals=(*reminders, *given_back.proposals, *onward.proposals),
        agreed=given_back.agreed or onward.agreed,
        begins=onward.begins,
        moments=(*steps.moments, *onward.moments),
    )


def _reminders(proposer: Proposer, selling: _Selling) -> list[Proposal]:
    """What warnings and breaches want."""
    state, inputs = proposer.state, proposer.inputs
    if selling.attempt is None or not selling.attempt.open:
        return []
    standing = sla.events(_slas(inputs), [*state.clocks, *selling.clocks], selling.attempt)
    return [proposal for event in standing for proposal in proposer.bundle(_event_cause(event, inputs), event.then)]


def _event_cause(event: ClockEvent, inputs: DecisionInputs) -> Cause:
    rule, clock = event.rule, event.clock
    due = task.shown(clock.due_at, inputs.zone)
    return Cause(
        rule=rule.id,
        key=event.cause,
        why={"sla": rule.name, "due_at": clock.due_at.isoformat(), "touches": clock.touches, "state": clock.state},
        texts={"sla": rule.name, "due": due, "touches": str(clock.touches), "needed": str(rule.touches)},
    )


def _given_back(proposer: Proposer, given: RejectionState | None, steps: rejection.NextSteps) -> _Wanted:
    """The task that asks for a reason, and the step back."""
    rule = proposer.inputs.config.rejection
    if rule is None or given is None or not (steps.asks_reason or steps.sends_back):
        return _Wanted()
    why = {"kind": given.kind, "reason": given.reason, "touches": given.touches}
    key = f"attempt:{given.attempt}"
    proposals: list[Proposal] = []
    if steps.asks_reason:
        asking = Cause(rule=own_rules.REJECTION, key=f"{key}/reason", why=why, texts={})
        proposals += proposer.bundle(asking, rule.missing_reason)
    if not steps.sends_back or rule.send_back_to is None:
        return _Wanted(proposals=tuple(proposals))
    writes = proposer.stage_writes(rule.send_back_to)
    proposals += proposer.proposal(Cause(rule=own_rules.REJECTION, key=key, why=why, texts={}), writes)
    agreed = rule.send_back_to if not writes and proposer.inputs.live else None
    return _Wanted(proposals=tuple(proposals), agreed=agreed)


def _onward(proposer: Proposer, selling: _Selling) -> _Wanted:
    """The step that the rules take; without one, what follows of a step that somebody else took, and what a CRM is still to be told."""
    state, inputs = proposer.state, proposer.inputs
    rules, contact = inputs.config.transitions, state.contact
    moved_back = any(evidence.moved_back_at is not None for evidence in state.evidence)  # no other looks at values
    basis = state.basis if moved_back else {}
    step = transition.next_step(rules, state.answers.transitions, contact.stage, state.evidence, basis, inputs.now)
    if step.rule is None:
        proposals = (*_followed_up(proposer, selling), *_told(proposer))
        return _Wanted(proposals=proposals, moments=step.moments)
    writes = proposer.stage_writes(step.rule.to)
    cause = Cause(rule=step.rule.id, key=f"spell:{contact.spell}", why=_why(proposer, step.rule), texts={})
    agreed = step.rule.to if not writes and inputs.live else None
    proposals = tuple(proposer.bundle(cause, step.rule.then, writes))
    return _Wanted(proposals=proposals, agreed=agreed, begins=_begins(proposer, selling, step.rule), moments=step.moments)


def _begins(proposer: Proposer, selling: _Selling, rule: Transition) -> Beginning | None:
    """The attempt that a step begins: one to MQL, or past it, of a contact that is below."""
    contact, stages = proposer.state.contact, proposer.inputs.stages
    if stages.at_least(contact.stage, MQL) or not stages.at_least(rule.to, MQL):
        return None
    number = 1 if selling.attempt is None else selling.attempt.number + 1
    return Beginning(contact.id, number, proposer.in_ledger(rule.id, f"spell:{contact.spell}"))


def _why(proposer: Proposer, rule: Transition) -> dict[str, Any]:
    """The rule and the values that met it."""
    types = proposer.inputs.config.condition_names()
    values = {name: value_of(proposer.state, name, types[name]) for name in sorted(rule.when.names)}
    return {"rule": rule.name} | {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _followed_up(proposer: Proposer, selling: _Selling) -> list[Proposal]:
    """A step that a person or another tool took: its `then` runs, its `when` is not asked. A step of our own is in the ledger, unless
    there was nothing to write and the pass died before its plan."""
    state, inputs = proposer.state, proposer.inputs
    contact, rules = state.contact, inputs.config.transitions
    sent_back = selling.rejection is not None and selling.rejection.sent_back
    if state.spell_by in (None, "found") or contact.stage_since is None or contact.stage_since < inputs.clocks_from:
        return []
    if sent_back and state.spell_by != "crm":
        return []
    key = f"spell:{contact.spell - 1}"
    rule = transition.taken_elsewhere(rules, state.evidence, contact.spell, lambda step: proposer.in_ledger(step.id, key))
    if rule is None:
        return []
    cause = Cause(rule=rule.id, key=key, why={"rule": rule.name, "taken_by": state.spell_by}, texts={})
    return proposer.bundle(cause, rule.then)


def _told(proposer: Proposer) -> list[Proposal]:
    """The stage, written to the CRM that does not show it yet."""
    contact = proposer.state.contact
    if contact.stage is None or contact.stage_differs:
        return []
    cause = Cause(rule=own_rules.STAGES, key=f"agreement:{contact.agreed_number}", why={"stage": contact.stage}, texts={})
    return proposer.proposal(cause, proposer.stage_writes(contact.stage, unmapped=False))
