"""[rejection]: sales gives a lead back. Pure: what is on record and what the rule says now in, what to record and to want out.

The moment `when` becomes true during an open attempt ends it, as rejected (before any touch) or disqualified (after one). True when the
attempt begins, it says nothing until it has been false once. With an accepted reason the contact goes back in the next pass; without
one the owner gets a task, and it goes back all the same when `reason_within` is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from connector.config.business_time import Calendar
from connector.config.tables import RejectionRule
from connector.workflows.attempts import AttemptState, end
from connector.workflows.touches import Touched, since

#: The rule's id in keys and the ledger.
RULE = "rejection"


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionState:
    """A rejection, as the table has it."""

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

    def due_back(self, run: int, now: datetime) -> bool:
        """Whether the contact goes back now: with an accepted reason, or without one in time; never in the pass that logged it."""
        return not self.sent_back and self.run != run and (self.accepted or (self.reason_by is not None and self.reason_by <= now))

    def waits(self, now: datetime) -> bool:
        """Whether it waits for an accepted reason; at most till `reason_by`, where there is one."""
        return not self.sent_back and not self.accepted and (self.reason_by is None or self.reason_by > now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What a CRM says: rejecting now, since when by its word, and on which side."""

    rejecting: bool
    at: datetime
    crm: str | None


def ask(attempt: AttemptState, sign: Sign, *, known_since: datetime, before: bool | None) -> AttemptState:
    """Whether the attempt can be rejected: `when` must have been false once since it began.

    known_since: when the connector first saw the contact. before: what `when` said when the contact was judged before (None: it never
    was). Where both happened unseen, since then or before the connector came, the CRM's own times tell the order.
    """
    if not sign.rejecting:
        return attempt if attempt.rejectable else replace(attempt, rejectable=True)
    if attempt.rejectable is None:
        unseen = before is False or (before is None and attempt.began_at < known_since)
        return replace(attempt, rejectable=unseen and sign.at > attempt.began_at)
    return attempt


def reject(
    rule: RejectionRule, attempt: AttemptState, sign: Sign, touches: Sequence[Touched], facts: dict[str, Any], calendar: Calendar, run: int
) -> tuple[AttemptState, RejectionState]:
    """Ends the attempt and logs it. facts: reason, owner, criteria_met, score."""
    at = max(sign.at, attempt.began_at)
    counted = [one for one in since(touches, attempt.began_at) if one.at <= at]
    kind = "disqualified" if counted else "rejected"
    state = RejectionState(
        attempt=attempt.number,
        at=at,
        kind=kind,
        reason_by=None if rule.reason_within is None else calendar.add(at, rule.reason_within),
        run=run,
        owner=facts["owner"],
        touches=len(counted),
        channels=len({one.channel for one in counted}),
        criteria_met=facts["criteria_met"],
        score=facts["score"],
        crm=sign.crm,
    )
    return end(attempt, kind, at), with_reason(rule, state, facts["reason"], at)


def with_reason(rule: RejectionRule, state: RejectionState, reason: str | None, now: datetime) -> RejectionState:
    """The rejection with the reason that the CRM shows now; accepted where the file has it and the touches it needs were made."""
    if reason is None or state.accepted or state.sent_back:
        return state
    known = {one.name.casefold(): one for one in rule.reasons}
    entry = known.get(reason.casefold())
    accepted = entry is not None and state.touches >= entry.needs_touches
    return replace(
        state,
        reason=reason if entry is None else entry.name,
        reason_at=state.reason_at if state.reason == reason else now,
        accepted=accepted,
    )
