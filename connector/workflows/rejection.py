"""[rejection]: sales gives a lead back. Pure: what is on record and what the rule says now in; what to record and to do out.

The moment `when` becomes true during an open attempt ends it, as rejected (before any touch) or disqualified (after one). True when the
attempt begins, it says nothing until it has been false once. With an accepted reason the contact goes back in the next pass; without
one the owner gets a task, and it goes back all the same when `reason_within` is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connector.config.business_time import Calendar
from connector.config.tables import RejectionRule
from connector.workflows.attempts import AttemptState, end, let_time_pass
from connector.workflows.rejection_sign import Sign
from connector.workflows.touches import Touched, since


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionState:
    """A rejection, as the table has it. by: who rejected; known_by: how the moment is known (`Sign`)."""

    attempt: int
    at: datetime
    kind: str
    reason: str | None = None
    reason_at: datetime | None = None
    accepted: bool = False
    reason_by: datetime | None = None
    sent_back: bool = False
    run: int = 0
    owner: str | None = None
    touches: int = 0
    channels: int = 0
    criteria_met: int | None = None
    score: float | None = None
    crm: str | None = None
    by: str | None = None
    known_by: str | None = None

    def due_back(self, run: int, now: datetime) -> bool:
        """Whether the contact goes back now: with an accepted reason, or without one in time; never in the pass that logged it."""
        return not self.sent_back and self.run != run and (self.accepted or (self.reason_by is not None and self.reason_by <= now))

    def waits(self, now: datetime) -> bool:
        """Whether it waits for an accepted reason; at most till `reason_by`, where there is one."""
        return not self.sent_back and not self.accepted and (self.reason_by is None or self.reason_by > now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactFacts:
    """What the end of an attempt depends on, and a rejection keeps.

    selling: the contact is MQL. known_since: when the connector first saw it. was_rejecting: what `when` said when it was judged before,
    None where it never was. reason: the one that the CRM shows. calendar: that of the owner's team.
    """

    sign: Sign
    touches: Sequence[Touched]
    selling: bool
    known_since: datetime
    was_rejecting: bool | None
    calendar: Calendar
    reason: str | None = None
    owner: str | None = None
    criteria_met: int | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptNow:
    """What became of an attempt. attempts: those that differ from what is on record, in order. rejection: the one just made, if any."""

    attempts: tuple[AttemptState, ...] = ()
    rejection: RejectionState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextSteps:
    """What a rejection still wants. keeps: nothing else moves the contact until it was sent back. moments: when to look again."""

    keeps: bool = False
    asks_reason: bool = False
    sends_back: bool = False
    moments: tuple[datetime, ...] = ()


def attempt_now(rule: RejectionRule | None, attempt: AttemptState, facts: ContactFacts, run: int, now: datetime) -> AttemptNow:
    """What became of an attempt by now: what happened first counts, whether or not anybody looked meanwhile.

    rule: None where the file has none, or nobody knows what it says.
    """
    asked, sign = attempt, facts.sign
    if rule is not None and attempt.open:
        asked = ask(attempt, sign, known_since=facts.known_since, before=facts.was_rejecting)
    gives_back = asked.open and sign.rejecting and bool(asked.rejectable)
    passed = let_time_pass(asked, facts.touches, sign.at if gives_back else now, selling=facts.selling)
    last = passed[-1] if passed else asked
    states = {state.number: state for state in (asked, *passed)}
    made: RejectionState | None = None
    if rule is not None and gives_back and last.open:
        last, made = reject(rule, last, facts, run)
        states[last.number] = last
    return AttemptNow(attempts=tuple(state for state in states.values() if state != attempt), rejection=made)


def next_steps(rule: RejectionRule | None, state: RejectionState | None, run: int, now: datetime, *, suspended: bool = False) -> NextSteps:
    """What a rejection wants now. suspended: what the rule reads is not known: it keeps the contact, and wants nothing."""
    if rule is None or state is None or state.sent_back:
        return NextSteps()
    keeps = rule.send_back_to is not None
    if suspended:
        return NextSteps(keeps=keeps)
    waits, just_made = state.waits(now), state.run == run
    moments = [state.reason_by] if waits and state.reason_by is not None else []
    moments += [now] if just_made else []
    return NextSteps(keeps=keeps, asks_reason=waits, sends_back=keeps and state.due_back(run, now), moments=tuple(moments))


def ask(attempt: AttemptState, sign: Sign, *, known_since: datetime, before: bool | None) -> AttemptState:
    """Whether the attempt can be rejected: `when` must have been false once since it began.

    known_since: when the connector first saw the contact. before: what `when` said when the contact was judged before (None: it never
    was). The CRM's own history tells the order, also of an attempt that began with a touch logged late. Where it has none, and both
    happened unseen, since then or before the connector came, the record's times do.
    """
    if not sign.rejecting:
        return attempt if attempt.rejectable else replace(attempt, rejectable=True)
    if attempt.rejectable is None and sign.known_by == "history":
        return replace(attempt, rejectable=sign.at > attempt.began_at)
    if attempt.rejectable is None:
        unseen = before is False or (before is None and attempt.began_at < known_since)
        return replace(attempt, rejectable=unseen and sign.at > attempt.began_at)
    return attempt


def reject(rule: RejectionRule, attempt: AttemptState, facts: ContactFacts, run: int) -> tuple[AttemptState, RejectionState]:
    """Ends the attempt and logs it."""
    at = max(facts.sign.at, attempt.began_at)
    counted = [touch for touch in since(facts.touches, attempt.began_at) if touch.at <= at]
    kind = "disqualified" if counted else "rejected"
    state = RejectionState(
        attempt=attempt.number,
        at=at,
        kind=kind,
        reason_by=None if rule.reason_within is None else facts.calendar.add(at, rule.reason_within),
        run=run,
        owner=facts.owner,
        touches=len(counted),
        channels=len({touch.channel for touch in counted}),
        criteria_met=facts.criteria_met,
        score=facts.score,
        crm=facts.sign.crm,
        by=facts.sign.by,
        known_by=facts.sign.known_by,
    )
    return end(attempt, kind, at), with_reason(rule, state, facts.reason, at)


def with_reason(rule: RejectionRule, state: RejectionState, reason: str | None, now: datetime) -> RejectionState:
    """The rejection with the reason that the CRM shows now; accepted where the file has it and the touches it needs were made."""
    if reason is None or state.accepted or state.sent_back:
        return state
    known = {entry.name.casefold(): entry for entry in rule.reasons}
    entry = known.get(reason.casefold())
    accepted = entry is not None and state.touches >= entry.needs_touches
    return replace(
        state,
        reason=reason if entry is None else entry.name,
        reason_at=state.reason_at if state.reason == reason else now,
        accepted=accepted,
    )
