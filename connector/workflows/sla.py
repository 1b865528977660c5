"""[[sla]]: what sales owes, as clocks in business time. Pure: a clock, the touches and now in; the clock and what happened out.

One clock of each kind an attempt: the first rule that fits when it starts. A new owner starts the response clock anew, at most twice;
the old owner's stays on record. Deadlines are computed once and stored with the calendar's version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

from connector.config.business_time import Calendar
from connector.config.tables import SlaRule, Then
from connector.workflows.attempts import AttemptState
from connector.workflows.touches import Touched, since

#: How often a new owner starts the response clock anew.
RESTARTS = 2
#: The states of a clock that still waits for touches in time.
TICKING = ("running", "warned")
_INSTANT = timedelta(microseconds=1)
Event = Literal["warn", "breach"]
#: What the states say that actions follow from.
EVENTS: Mapping[str, Event] = {"warned": "warn", "breached": "breach"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """A clock, as the table has it. state: running, warned, met, breached, ended, waived, paused.

    before_live: the last of its events that passed before the connector first wrote anything: listed, never acted on. config_version: the
    file's, under which it started.
    """

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
    config_version: str | None = None
    before_live: Event | None = None

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """What the clocks of a contact depend on.

    clocks: as stored: those of the present attempt, and those that still tick. attempts: as they stand now, by number; present: the one
    that the contact is in, or was in last. starting: the rules by which a new clock may start, in the file's order. assigned_at: when the
    owner got the contact. calendar: that of the owner's team. live_since: the first live pass; None in shadow. config_version: the file's
    now.
    """

    clocks: Sequence[ClockState]
    attempts: Mapping[int, AttemptState]
    present: AttemptState
    touches: Sequence[Touched]
    calendar: Calendar
    starting: Sequence[SlaRule] = ()
    owner: str | None = None
    assigned_at: datetime | None = None
    live_since: datetime | None = None
    config_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClocksNow:
    """How the clocks stand. changed: those that differ from what is stored. moments: when one says something else by time alone."""

    changed: tuple[ClockState, ...] = ()
    moments: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockEvent:
    """A warning or a breach that stands, whether or not it was acted on."""

    rule: SlaRule
    clock: ClockState
    event: Event

    @property
    def cause(self) -> str:
        """What its actions are keyed by."""
        return f"attempt:{self.clock.attempt}/{self.clock.kind}.{self.clock.number}/{self.event}"

    @property
    def then(self) -> tuple[Then, ...]:
        """What the rule wants of it."""
        return self.rule.on_warn if self.event == "warn" else self.rule.on_breach


def clocks_now(rules: Mapping[str, SlaRule], facts: ClockFacts, now: datetime) -> ClocksNow:
    """How the clocks stand by now: those of attempts that are over are closed, the present attempt's goes on or starts.

    rules: the file's, by id; a clock whose rule is not there stays as it is.
    """
    changed: list[ClockState] = []
    running: list[ClockState] = []
    for clock in facts.clocks:
        attempt, rule = facts.attempts.get(clock.attempt), rules.get(clock.sla)
        if attempt is None or rule is None:
            continue
        if attempt.number == facts.present.number and attempt.open:
            running.append(clock)
        else:
            changed.append(_closed(clock, rule, facts.touches, attempt.ended_at or now, now))
    running = running or _started(facts)
    for clock, successor in pairwise(running):
        if (rule := rules.get(clock.sla)) is not None:
            changed.append(_closed(clock, rule, facts.touches, successor.started_at, now))
    last = running[-1] if running else None
    rule = None if last is None else rules.get(last.sla)
    going_on = [] if last is None or rule is None else _go_on(last, rule, facts, now)
    moments = [moment for clock in going_on[-1:] if (moment := clock.next_moment(now)) is not None]
    marked = [mark_before_live(clock, facts.live_since) for clock in [*changed, *going_on]]
    return ClocksNow(changed=tuple(clock for clock in marked if clock not in facts.clocks), moments=tuple(moments))


def events(rules: Mapping[str, SlaRule], clocks: Iterable[ClockState], attempt: AttemptState) -> list[ClockEvent]:
    """The warnings and breaches that stand of an attempt, but for those from before going live. clocks: the later of two with one number
    counts."""
    present = {clock.number: clock for clock in clocks if clock.attempt == attempt.number}
    return [
        ClockEvent(rule=rules[clock.sla], clock=clock, event=event)
        for clock in present.values()
        if clock.sla in rules and (event := EVENTS.get(clock.state)) is not None and clock.before_live != event
    ]


def mark_before_live(clock: ClockState, live_since: datetime | None) -> ClockState:
    """The clock with its mark, where what it says came up before the first live pass. live_since: None in shadow, which marks nothing."""
    event = EVENTS.get(clock.state)
    passed_at = clock.warn_at if event == "warn" else clock.due_at
    if live_since is None or event is None or passed_at is None or passed_at >= live_since:
        return clock
    return replace(clock, before_live=event)


def _closed(clock: ClockState, rule: SlaRule, touches: Sequence[Touched], at: datetime, now: datetime) -> ClockState:
    """A clock whose time is over: by the touches that were made till then."""
    made = [touch for touch in touches if touch.at <= at]
    return end_with_attempt(advance(clock, rule, made, min(now, at)), at)


def _started(facts: ClockFacts) -> list[ClockState]:
    if not facts.present.open or facts.present.found:
        return []
    clock = start(facts.starting, facts.present, facts.owner, facts.assigned_at, facts.calendar)
    return [] if clock is None else [replace(clock, config_version=facts.config_version)]


def _go_on(clock: ClockState, rule: SlaRule, facts: ClockFacts, now: datetime) -> list[ClockState]:
    """The attempt's last clock, ticking on; or the old owner's and the new one's, where it was handed over."""
    begun = handed_over(clock, rule, facts.present, facts.owner, facts.assigned_at)
    pair = None if begun is None else restart(clock, rule, facts, begun)
    if pair is None:
        return [advance(clock, rule, facts.touches, now)]
    return [pair[0], advance(replace(pair[1], config_version=facts.config_version), rule, facts.touches, now)]


def start(
    rules: Sequence[SlaRule], attempt: AttemptState, owner: str | None, assigned_at: datetime | None, calendar: Calendar
) -> ClockState | None:
    """The response clock of an attempt: by the first rule that fits; None while nobody owns the contact, or none fits."""
    for rule in rules:
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


def restart(clock: ClockState, rule: SlaRule, facts: ClockFacts, begun: datetime) -> tuple[ClockState, ClockState] | None:
    """The old owner's clock as it stood when he gave the contact away, and the new owner's. None where the old one was met by then."""
    left = advance(clock, rule, [touch for touch in facts.touches if touch.at <= begun], begun)
    if left.state not in ("running", "warned", "breached"):
        return None
    return end_with_attempt(left, begun), _clock(rule, facts.present, facts.owner, begun, facts.calendar, number=clock.number + 1)


def advance(clock: ClockState, rule: SlaRule, touches: Sequence[Touched], now: datetime) -> ClockState:
    """The clock as it stands now.

    A touch logged late but dated in time makes a breached clock met again, and one that ended without a result.
    """
    counted = _counted(clock, touches)
    if clock.state in ("met", "waived", "paused"):
        return counted
    done_at = _done_at(rule, since(touches, clock.started_at))
    if done_at is not None and done_at <= min(clock.due_at, clock.ended_at or clock.due_at):
        return replace(counted, state="met", met_at=done_at)
    if clock.state == "ended":
        return counted
    if now > clock.due_at:
        return replace(counted, state="breached", met_at=done_at)
    if clock.warn_at is not None and now >= clock.warn_at and clock.state == "running":
        return replace(counted, state="warned")
    return counted


def end_with_attempt(clock: ClockState, ended_at: datetime) -> ClockState:
    """The attempt is over: what still ticked ends with it."""
    return replace(clock, state="ended", ended_at=ended_at) if clock.ticking else clock


def _counted(clock: ClockState, touches: Sequence[Touched]) -> ClockState:
    counted = since(touches, clock.started_at)
    return replace(clock, touches=len(counted), channels=len({touch.channel for touch in counted}))


def _done_at(rule: SlaRule, touches: Sequence[Touched]) -> datetime | None:
    """The moment at which touches and channels were enough."""
    channels: set[str] = set()
    for number, touch in enumerate(touches, start=1):
        channels.add(touch.channel)
        if number >= rule.touches and len(channels) >= rule.channels:
            return touch.at
    return None
