"""One contact's goes at selling: attempts, rejection, clocks, and which evidence is used. It lives on from pass to pass.

`book` takes in the stays in stages that are new, `judge` what time, touches, owners and lead status mean by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.support.reference import clocks
from tests.support.reference.business_time import add_days
from tests.support.reference.example_rules import MQL, REJECTING, SQL, STEPS, Step, rank, reason_accepted, rejecting
from tests.support.reference.facts import Facts, Stay
from tests.support.reference.touches import Touch


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One go. rejectable: the rejection's condition was false once since it began; None: nobody asked yet."""

    number: int
    began_at: datetime
    ignored_at: datetime | None
    outcome: str = "open"
    ended_at: datetime | None = None
    skipped: bool = False
    late: bool = False
    found: bool = False
    rejectable: bool | None = None

    def end(self, outcome: str, at: datetime) -> None:
        """It ends once."""
        self.outcome, self.ended_at = outcome, max(at, self.began_at)


@dataclass(slots=True)
class Rejection:
    """Why the present attempt was ended by sales. touches: made by then."""

    pass_number: int
    touches: int
    accepted: bool = False
    sent_back: bool = False


@dataclass(slots=True)
class Evidence:
    """A transition was taken. back_at: when the contact was moved back; barred: only a person moves it; basis: what stood there then."""

    back_at: datetime | None = None
    barred: bool = False
    basis: dict[str, Any] = field(default_factory=dict)


def between(touches: Sequence[Touch], first: datetime, last: datetime) -> list[Touch]:
    """Those from one moment to another."""
    return [touch for touch in touches if first <= touch.at <= last]


class Selling:
    """What became of one contact so far. clocks_from: attempts that began before are found."""

    def __init__(self, clocks_from: datetime) -> None:
        self._clocks_from = clocks_from
        self._stay = Stay(0, None, clocks_from, "found")
        self.attempts: list[Attempt] = []
        self.clocks: list[clocks.Clock] = []
        self.rejection: Rejection | None = None
        self.evidence: dict[str, Evidence] = {}

    @property
    def attempt(self) -> Attempt | None:
        """The present or last one."""
        return self.attempts[-1] if self.attempts else None

    def _begin(self, at: datetime, **how: Any) -> Attempt:
        number, found = len(self.attempts) + 1, at < self._clocks_from
        begun = Attempt(number=number, began_at=at, found=found, ignored_at=None if found else add_days(at, 20), **how)
        self.attempts.append(begun)
        self.rejection = None
        return begun

    # ── Stages ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def book(self, facts: Facts, touches: Sequence[Touch]) -> None:
        """Takes in the stays that are new since the last time."""
        for stay in facts.stays:
            if stay.number > self._stay.number:
                self._use_evidence(stay, facts)
                self._time_passes(touches, stay.at)
                self._move(stay, touches)
                self._stay = stay

    def _move(self, stay: Stay, touches: Sequence[Touch]) -> None:
        before, now, present = rank(self._stay.stage), rank(stay.stage), self.attempt
        if present is not None and present.outcome == "open":
            if now >= SQL:
                present.end("accepted", stay.at)
            elif now < MQL:
                present.end("expired" if between(touches, present.began_at, stay.at) else "ignored", stay.at)
            elif present.found and stay.by == "crm" and stay.at >= self._clocks_from:
                present.found = False
        elif now >= MQL and not (now >= SQL and before >= SQL):
            late = now >= SQL and present is not None and present.outcome == "ignored" and before == MQL
            begun = self._begin(stay.at, late=late, skipped=now > MQL and not late)
            if now >= SQL:
                begun.end("accepted", stay.at)

    def _use_evidence(self, stay: Stay, facts: Facts) -> None:
        before, now = rank(self._stay.stage), rank(stay.stage)
        rejected = self.rejection is not None and self.rejection.accepted
        for step in STEPS:
            goal, known = rank(step.to), self.evidence.get(step.name)
            if known is not None and known.barred and now >= MQL:
                known = self.evidence[step.name] = Evidence()
            stands = known is not None and known.back_at is None
            undone = (now < goal and (goal <= before or stands)) if step.up else (stands and now > goal)
            barred = rejected and step.to == "mql" and now < MQL <= before
            if undone or barred:
                self.evidence[step.name] = Evidence(stay.at, barred, {name: facts.values.get(name) for name in step.again})
            if _taken(step, self._stay.stage, stay):
                self.evidence[step.name] = Evidence()

    def waits(self, step: Step, facts: Facts, now: datetime) -> bool:
        """Whether a step needs new evidence."""
        known = self.evidence.get(step.name)
        if known is None:
            return False
        if known.back_at is None or known.barred:
            return True
        if step.again_after is not None and known.back_at + step.again_after <= now:
            return False
        return all(facts.values.get(name) == known.basis[name] for name in step.again)

    # ── Time, touches, lead status ───────────────────────────────────────────────────────────────────────────────────────────────

    def _time_passes(self, touches: Sequence[Touch], until: datetime) -> None:
        present, limit = self.attempt, None
        if present is not None and present.outcome == "open":
            limit = present.ignored_at
        if present is not None and limit is not None and limit <= until and not between(touches, present.began_at, limit):
            present.end("ignored", limit)
        if present is not None and present.outcome == "ignored" and present.ended_at is not None and self._stay.stage == "mql":
            again = between(touches, present.ended_at, until)
            if again:
                self._begin(again[0].at, late=True)

    def judge(self, facts: Facts, touches: Sequence[Touch], now: datetime, pass_number: int, *, excluded: bool) -> None:
        """What became of the present attempt by now."""
        present = self.attempt
        if present is None:
            return
        if excluded:
            if present.outcome == "open":
                present.end("withdrawn", now)
        else:
            self._reason(facts)
            if not present.found:
                self._reject_or_pass(present, facts, touches, now, pass_number)
        self._run_clocks(facts, touches, now)

    def _reject_or_pass(self, present: Attempt, facts: Facts, touches: Sequence[Touch], now: datetime, pass_number: int) -> None:
        says_no = rejecting(facts.values)
        since = became_true(facts, now) if says_no else now
        if present.outcome == "open" and (present.rejectable is None or not says_no):
            present.rejectable = not says_no or since > present.began_at
        no = says_no and present.outcome == "open" and bool(present.rejectable)
        self._time_passes(touches, since if no else now)
        present = self.attempts[-1]
        if no and present.outcome == "open":
            at = max(since, present.began_at)
            made = between(touches, present.began_at, at)
            present.end("disqualified" if made else "rejected", at)
            self.rejection = Rejection(pass_number, len(made))
            self._reason(facts)

    def _reason(self, facts: Facts) -> None:
        given = self.rejection
        if given is not None and not given.sent_back and not given.accepted:
            given.accepted = reason_accepted(facts.values.get("f_rejection_reason"), given.touches)
        if given is not None and rank(facts.values["stage"]) <= rank("lead"):
            given.sent_back = True

    def _run_clocks(self, facts: Facts, touches: Sequence[Touch], now: datetime) -> None:
        present = self.attempts[-1]
        for clock in self.clocks:
            attempt = self.attempts[clock.attempt - 1]
            if clock.stopped_at is not None:
                clocks.go_on(clock, touches, now)
            elif attempt.outcome != "open":
                clocks.stop(clock, touches, attempt.ended_at or now, now)
        owner, assigned_at = facts.values["owner"], facts.values["assigned_at"]
        if present.outcome != "open" or present.found:
            return
        running = [clock for clock in self.clocks if clock.attempt == present.number]
        last = running[-1] if running else None
        begun = None if assigned_at is None else max(present.began_at, assigned_at)
        if last is None:
            if owner is not None and begun is not None:
                self.clocks.append(clocks.start(present.number, 1, owner, begun))
        elif owner is not None and owner != last.owner and begun is not None and last.number <= 2:
            self._hand_over(last, owner, begun, touches)
        for clock in running[:-1]:
            clocks.go_on(clock, touches, now)
        if self.clocks and self.clocks[-1].attempt == present.number:
            clocks.go_on(self.clocks[-1], touches, now)

    def _hand_over(self, last: clocks.Clock, owner: str, begun: datetime, touches: Sequence[Touch]) -> None:
        """The contact went to a new owner: a clock that was not met by then is over, and one of his own begins."""
        clocks.go_on(last, [touch for touch in touches if touch.at <= begun], begun)
        if last.state != "met":
            clocks.stop(last, touches, begun, begun)
            self.clocks.append(clocks.start(last.attempt, last.number + 1, owner, begun))


def _taken(step: Step, before: str | None, stay: Stay) -> bool:
    """Whether a stay began with this step: of a stay that was found, every step up to it counts."""
    if stay.by == "found":
        return step.up and rank(step.to) <= rank(stay.stage)
    return step.to == stay.stage and (before or "") in step.origins


def became_true(facts: Facts, now: datetime) -> datetime:
    """Since when a lead status says no: by the CRM's history of it; where it has none, since the record's last edit."""
    status = {f"{crm[0]}_lead_status": facts.values.get(f"{crm[0]}_lead_status") for crm in REJECTING}
    for change in sorted(facts.changes, key=lambda change: change.at, reverse=True):
        status[f"{change.crm[0]}_lead_status"] = change.before
        if not rejecting(status):
            return min(change.at, now)
    side = "hubspot" if rejecting({"h_lead_status": facts.values.get("h_lead_status")}) else "salesforce"
    return min(facts.edited.get(side, now), now)
