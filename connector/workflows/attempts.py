"""Spells and attempts: what a change of stage means for the go at selling. Pure; rows in, rows out.

A spell is one stay in a stage. An attempt begins when the stage becomes mql or passes it, and ends once: accepted (SQL or beyond),
rejected, disqualified, ignored, expired, withdrawn. One that began before the clocks' start is *found*: shown, no cause of an action
until a person or another tool moves the contact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from connector.config.business_time import Calendar
from connector.config.tables import Transition
from connector.model.durations import Duration
from connector.workflows.stages import MQL, SQL, StageMap
from connector.workflows.touches import Touched, between

By = Literal["crm", "connector", "found"]
OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptState:
    """An attempt, as the table has it."""

    number: int
    spell: int
    began_at: datetime
    ended_at: datetime | None = None
    outcome: str = OPEN
    skipped: bool = False
    late: bool = False
    found: bool = False
    rejectable: bool | None = None
    ignored_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.outcome == OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceState:
    """What a transition was taken on."""

    rule: str
    spell: int
    taken_at: datetime
    moved_back_at: datetime | None = None
    again_at: datetime | None = None
    barred: bool = False
    basis: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is on record of a contact before the change."""

    stage: str | None
    spell: int
    attempt: AttemptState | None
    evidence: Sequence[EvidenceState] = ()
    touches: Sequence[Touched] = ()
    rejected: bool = False  # sales ended that attempt with an accepted reason


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """The contact is in `stage` since `at`, by whom. basis: the present values of fields that evidence may look at."""

    stage: str | None
    at: datetime
    by: By
    basis: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What the change means: the new spell's number, the attempts and evidence to store."""

    spell: int
    attempts: tuple[AttemptState, ...]
    evidence: tuple[EvidenceState, ...]


def move(history: History, change: StageChange, stages: StageMap, rules: Sequence[Transition], clocks_from: datetime) -> Moved:
    """Books a change of stage."""
    spell = history.spell + 1
    taken = {evidence.rule: evidence for evidence in _taken(history, change, spell, stages, rules)}
    back = {evidence.rule: evidence for evidence in (*_freed(history, change, stages), *_moved_back(history, change, stages, rules))}
    passed = _time_passed(history, change)
    present = replace(history, attempt=passed[-1]) if passed else history
    attempts = {state.number: state for state in (*passed, *_attempts(present, change, spell, stages, clocks_from))}
    return Moved(spell=spell, attempts=tuple(attempts.values()), evidence=tuple({**back, **taken}.values()))


def _time_passed(history: History, change: StageChange) -> list[AttemptState]:
    """What had become of the attempt by the moment of the change, whether or not anybody looked meanwhile."""
    if history.attempt is None:
        return []
    return let_time_pass(history.attempt, history.touches, change.at, selling=history.stage == MQL)


def let_time_pass(attempt: AttemptState, touches: Sequence[Touched], until: datetime, *, selling: bool) -> list[AttemptState]:
    """The attempts that differ, in order: ignored where its time ran out with no touch; a touch after that opens the next, marked late.

    selling: the contact is still MQL.
    """
    found = []
    limit = attempt.ignored_at if attempt.open else None
    if limit is not None and limit <= until and not between(touches, attempt.began_at, limit):
        attempt = end(attempt, "ignored", limit)
        found.append(attempt)
    if selling and attempt.outcome == "ignored" and attempt.ended_at is not None:
        later = between(touches, attempt.ended_at, until)
        if later:
            found.append(AttemptState(number=attempt.number + 1, spell=attempt.spell, began_at=later[0].at, late=True))
    return found


def _attempts(history: History, change: StageChange, spell: int, stages: StageMap, clocks_from: datetime) -> list[AttemptState]:
    present = history.attempt
    accepted, qualified = stages.at_least(change.stage, SQL), stages.at_least(change.stage, MQL)
    if present is not None and present.open:
        if accepted:
            return [end(present, "accepted", change.at)]
        if not qualified:
            touched = between(history.touches, present.began_at, change.at)
            return [end(present, "expired" if touched else "ignored", change.at)]
        taken_up = present.found and change.by == "crm" and change.at >= clocks_from
        return [replace(present, found=False)] if taken_up else []
    if not qualified or (accepted and _accepted_already(history, stages)):
        return []
    late = accepted and present is not None and present.outcome == "ignored" and history.stage == MQL
    begun = AttemptState(
        number=1 if present is None else present.number + 1,
        spell=spell,
        began_at=change.at,
        skipped=change.stage != MQL and not late,
        late=late,
        found=change.at < clocks_from,
    )
    return [end(begun, "accepted", change.at) if accepted else begun]


def _accepted_already(history: History, stages: StageMap) -> bool:
    """Beyond SQL already: moving on there is no new attempt."""
    return stages.at_least(history.stage, SQL)


def with_ignored_at(attempt: AttemptState, wait: Duration | None, calendar: Calendar) -> AttemptState:
    """The attempt with the moment at which it ends as ignored, where it is open and the file says how long it may go without a touch.

    calendar: that of the owner's team.
    """
    if wait is None or not attempt.open or attempt.found:
        return attempt
    return replace(attempt, ignored_at=calendar.add(attempt.began_at, wait))


def end(attempt: AttemptState, outcome: str, at: datetime) -> AttemptState:
    """The attempt, ended; never before it began."""
    return replace(attempt, outcome=outcome, ended_at=max(at, attempt.began_at))


def _taken(history: History, change: StageChange, spell: int, stages: StageMap, rules: Sequence[Transition]) -> list[EvidenceState]:
    """Every transition that leads here counts as taken, whoever took the step. Of a stay that was found, the way there is unknown:
    every step up to it counts, and no step down."""
    origin = history.stage or ""
    found = change.by == "found"
    return [
        EvidenceState(rule=rule.id, spell=spell, taken_at=change.at)
        for rule in rules
        if (found and upward(rule, stages) and stages.rank(rule.to) <= stages.rank(change.stage))
        or (not found and rule.to == change.stage and (rule.from_ is None or origin in rule.from_))
    ]


def _moved_back(history: History, change: StageChange, stages: StageMap, rules: Sequence[Transition]) -> list[EvidenceState]:
    """Evidence that this change used up: of a way up whose goal the contact fell below, of a way down that it went above.

    A way up counts as taken whoever led the contact there, and by whichever steps.
    """
    known = {evidence.rule: evidence for evidence in history.evidence}
    before, now = stages.rank(history.stage), stages.rank(change.stage)
    back = []
    for rule in rules:
        goal, evidence = stages.rank(rule.to), known.get(rule.id)
        standing = evidence is not None and evidence.moved_back_at is None
        barred = history.rejected and _leads_to_sales(rule, stages) and now < stages.rank(MQL) <= before
        undone = (now < goal and (goal <= before or standing)) if upward(rule, stages) else (standing and now > goal)
        if undone or barred:
            back.append(_used_up(evidence or EvidenceState(rule=rule.id, spell=0, taken_at=change.at), rule, change, barred=barred))
    return back


def _used_up(evidence: EvidenceState, rule: Transition, change: StageChange, *, barred: bool) -> EvidenceState:
    wait = rule.again_after
    return replace(
        evidence,
        moved_back_at=change.at,
        again_at=None if wait is None else change.at + wait.elapsed,
        barred=barred,
        basis={name: change.basis.get(name) for name in rule.again_if_changed},
    )


def _freed(history: History, change: StageChange, stages: StageMap) -> list[EvidenceState]:
    """Somebody made the contact MQL again, or more: what the rejection barred counts as taken, and waits as the rules say from then on."""
    if not stages.at_least(change.stage, MQL):
        return []
    barred = [evidence for evidence in history.evidence if evidence.barred]
    return [replace(evidence, barred=False, moved_back_at=None, again_at=None, basis=None) for evidence in barred]


def _leads_to_sales(rule: Transition, stages: StageMap) -> bool:
    """Whether the transition takes a contact that is below MQL there, or past it."""
    origins = stages.names if rule.from_ is None else rule.from_
    return stages.at_least(rule.to, MQL) and any(not stages.at_least(origin or None, MQL) for origin in origins)


def upward(rule: Transition, stages: StageMap) -> bool:
    """Whether the transition leads up from any of its origins."""
    origins = stages.names if rule.from_ is None else rule.from_
    return any(stages.rank(origin or None) < stages.rank(rule.to) for origin in origins)


def may_fire(evidence: EvidenceState | None, rule: Transition, basis: Mapping[str, Any], now: datetime) -> str | None:
    """None where the transition may fire, else what it waits for, in words."""
    if evidence is None:
        return None
    if evidence.moved_back_at is None:
        return "it was taken already, and the contact was not moved back since"
    if evidence.barred:
        return "sales rejected the contact with a reason: only a person moves it"
    if evidence.again_at is not None and evidence.again_at <= now:
        return None
    before = evidence.basis or {}
    if any(basis.get(name) != before.get(name) for name in rule.again_if_changed):
        return None
    waits = [f"until {evidence.again_at:%Y-%m-%d %H:%M} UTC"] if evidence.again_at is not None else []
    waits += [f"for a change of {', '.join(rule.again_if_changed)}"] if rule.again_if_changed else []
    return "the contact was moved back; it waits " + (" or ".join(waits) if waits else "for good: the rule says nothing about firing again")
