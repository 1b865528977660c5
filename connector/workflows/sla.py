"""[[sla]]: what sales owes, as clocks in business time. Pure: a clock, the touches and now in; the clock and what happened out.

One clock of each kind an attempt: the first rule that fits when it starts. A new owner starts the response clock anew, at most twice;
the old owner's stays on record. Deadlines are computed once and stored with the calendar's version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from connector.config.business_time import Calendar
from connector.config.tables import SlaRule
from connector.workflows.attempts import AttemptState
from connector.workflows.touches import Touched, since

#: How often a new owner starts the response clock anew.
RESTARTS = 2
#: The states of a clock that still waits for touches in time.
TICKING = ("running", "warned")
_INSTANT = timedelta(microseconds=1)
Event = Literal["warn", "breach"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """A clock, as the table has it. state: running, warned, met, breached, ended, waived, paused."""

    attempt: int
    kind: str
    number: int
    sla: str
    owner: str | None
    started_at: datetime
    warn_at: datetime | None
    due_at: datetime
    calendar: str
    state: str = "running"
    met_at: datetime | None = None
    ended_at: datetime | None = None
    touches: int = 0
    channels: int = 0

    @property
    def ticking(self) -> bool:
        """Whether it still waits for touches in time."""
        return self.state in TICKING

    def next_moment(self, now: datetime) -> datetime | None:
        """When it says something else by time alone, None where it does not: at warn_at, at due_at, and the instant after it, which is
        when it is breached."""
        if not self.ticking:
            return None
        moments = (self.warn_at, self.due_at, self.due_at + _INSTANT)
        return min((moment for moment in moments if moment is not None and moment > now), default=None)


def start(
    rules: Sequence[tuple[SlaRule, bool]], attempt: AttemptState, owner: str | None, assigned_at: datetime | None, calendar: Calendar
) -> ClockState | None:
    """The response clock of an attempt: by the first rule that fits; None while nobody owns the contact, or none fits."""
    for rule, fits in rules:
        if not fits:
            continue
        if rule.starts == "assigned" and (owner is None or assigned_at is None):
            continue
        begun = attempt.began_at if rule.starts == "mql" or assigned_at is None else max(attempt.began_at, assigned_at)
        return _clock(rule, attempt, owner, begun, calendar, number=1)
    return None


def _clock(rule: SlaRule, attempt: AttemptState, owner: str | None, begun: datetime, calendar: Calendar, *, number: int) -> ClockState:
    due = calendar.add(begun, rule.within)
    return ClockState(
        attempt=attempt.number,
        kind=rule.kind,
        number=number,
        sla=rule.id,
        owner=owner,
        started_at=begun,
        warn_at=None if rule.warn is None else max(begun, calendar.subtract(due, rule.warn)),
        due_at=due,
        calendar=calendar.version,
    )


def handed_over(
    clock: ClockState, rule: SlaRule, attempt: AttemptState, owner: str | None, assigned_at: datetime | None
) -> datetime | None:
    """When a new owner took over and the clock starts anew for him; None where there is no reason, or no more restarts."""
    changed = owner is not None and clock.owner is not None and owner != clock.owner
    if rule.starts != "assigned" or not changed or assigned_at is None or clock.number > RESTARTS:
        return None
    return max(attempt.began_at, assigned_at)


def restart(
    clock: ClockState,
    rule: SlaRule,
    attempt: AttemptState,
    owner: str | None,
    begun: datetime,
    calendar: Calendar,
    touches: Sequence[Touched],
) -> tuple[ClockState, ClockState] | None:
    """The old owner's clock as it stood when he gave the contact away, and the new owner's. None where the old one was met by then."""
    left, _ = advance(clock, rule, [one for one in touches if one.at <= begun], begun)
    if left.state not in ("running", "warned", "breached"):
        return None
    return end_with_attempt(left, begun), _clock(rule, attempt, owner, begun, calendar, number=clock.number + 1)


def advance(clock: ClockState, rule: SlaRule, touches: Sequence[Touched], now: datetime) -> tuple[ClockState, Event | None]:
    """The clock as it stands now, and whether it just warned or was breached.

    A touch logged late but dated in time makes a breached clock met again, and one that ended without a result.
    """
    counted = _counted(clock, touches)
    if clock.state in ("met", "waived", "paused"):
        return counted, None
    done_at = _done_at(rule, since(touches, clock.started_at))
    if done_at is not None and done_at <= min(clock.due_at, clock.ended_at or clock.due_at):
        return replace(counted, state="met", met_at=done_at), None
    if clock.state == "ended":
        return counted, None
    if now > clock.due_at:
        return replace(counted, state="breached", met_at=done_at), None if clock.state == "breached" else "breach"
    if clock.warn_at is not None and now >= clock.warn_at and clock.state == "running":
        return replace(counted, state="warned"), "warn"
    return counted, None


def end_with_attempt(clock: ClockState, ended_at: datetime) -> ClockState:
    """The attempt is over: what still ticked ends with it."""
    return replace(clock, state="ended", ended_at=ended_at) if clock.ticking else clock


def _counted(clock: ClockState, touches: Sequence[Touched]) -> ClockState:
    counted = since(touches, clock.started_at)
    return replace(clock, touches=len(counted), channels=len({one.channel for one in counted}))


def _done_at(rule: SlaRule, touches: Sequence[Touched]) -> datetime | None:
    """The moment at which touches and channels were enough."""
    channels: set[str] = set()
    for number, one in enumerate(touches, start=1):
        channels.add(one.channel)
        if number >= rule.touches and len(channels) >= rule.channels:
            return one.at
    return None
