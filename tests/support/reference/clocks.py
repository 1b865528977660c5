"""The response clock of the example file: one touch within four business hours of the assignment, a warning one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.support.reference.business_time import add_hours, subtract_hours
from tests.support.reference.touches import Touch

_WITHIN, _WARN = timedelta(hours=4), timedelta(hours=1)
TICKING = ("running", "warned")


@dataclass(slots=True, kw_only=True)
class Clock:
    """A clock of one owner's, number 1 to 3 of an attempt. state: running, warned, met, breached or ended."""

    attempt: int
    number: int
    owner: str
    started_at: datetime
    due_at: datetime
    warn_at: datetime
    state: str = "running"
    stopped_at: datetime | None = None


def start(attempt: int, number: int, owner: str, began: datetime) -> Clock:
    """A clock that begins now."""
    due = add_hours(began, _WITHIN)
    warn = max(began, subtract_hours(due, _WARN))
    return Clock(attempt=attempt, number=number, owner=owner, started_at=began, due_at=due, warn_at=warn)


def go_on(clock: Clock, touches: Sequence[Touch], now: datetime) -> None:
    """How it stands: met by a touch in time, whenever that was logged; breached once due has passed."""
    last = clock.due_at if clock.stopped_at is None else min(clock.due_at, clock.stopped_at)
    if any(clock.started_at <= touch.at <= last for touch in touches):
        clock.state = "met"
    elif clock.state not in ("met", "ended"):
        if now > clock.due_at:
            clock.state = "breached"
        elif now >= clock.warn_at:
            clock.state = "warned"


def stop(clock: Clock, touches: Sequence[Touch], at: datetime, now: datetime) -> None:
    """It is over at a moment, with the attempt or because the contact went to another owner: what still waits then has ended."""
    go_on(clock, [touch for touch in touches if touch.at <= at], min(at, now))
    if clock.state in TICKING:
        clock.state, clock.stopped_at = "ended", at
