"""The second judge itself: pass by pass, what it concludes of each contact, in the words of the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.support.reference.example_rules import CRITERIA, MINIMUM, STEPS, Reading, Step, excluded, rejecting, score
from tests.support.reference.facts import Facts
from tests.support.reference.selling import Selling
from tests.support.reference.touches import touches_of

#: By what a warning or a breach of the example file's SLA is known in a plan.
SLA = "first touch"


@dataclass(frozen=True, slots=True)
class Concluded:
    """What is concluded of one contact. values, attempts, clocks: as rows have them; fires: the rules that want something of a CRM."""

    values: Mapping[str, Any]
    attempts: list[tuple[Any, ...]]
    clocks: list[tuple[Any, ...]]
    fires: frozenset[str] = frozenset()


@dataclass(slots=True)
class Judge:
    """Judges everybody at every pass. clocks_from: as the file has it."""

    clocks_from: datetime
    _contacts: dict[int, Selling] = field(default_factory=dict)
    _passes: int = 0

    def book(self, contacts: Mapping[int, Facts], now: datetime) -> None:
        """Takes in what became of the stages."""
        for number, facts in contacts.items():
            selling = self._contacts.setdefault(number, Selling(self.clocks_from))
            selling.book(facts, touches_of(facts.happened, now))

    def judge(self, contacts: Mapping[int, Facts], now: datetime) -> dict[int, Concluded]:
        """One pass."""
        self._passes += 1
        self.book(contacts, now)
        return {number: self._judge(self._contacts[number], facts, now) for number, facts in contacts.items()}

    def _judge(self, selling: Selling, facts: Facts, now: datetime) -> Concluded:
        touches = touches_of(facts.happened, now)
        began = None if selling.attempt is None else selling.attempt.began_at
        counted = [touch for touch in touches if began is None or touch.at >= began]
        reading = Reading(facts, now, counted[-1].at if counted else None)
        met = sorted(name for name, asked in CRITERIA.items() if asked(reading))
        out, points = excluded(reading), score(reading)
        selling.judge(facts, touches, now, self._passes, excluded=out)
        values = {
            "excluded": out,
            "criteria": met,
            "criteria_met": len(met),
            "qualified": len(met) >= MINIMUM,
            "rejecting": rejecting(facts.values),
            "touch_count": len(counted),
            "touch_channels": len({touch.channel for touch in counted}),
            "first_touch_at": counted[0].at if counted else None,
            "last_touch_at": reading.last_touch_at,
        }
        attempts = [(one.number, one.began_at, one.ended_at, one.outcome, one.skipped, one.late, one.found) for one in selling.attempts]
        clocks = [(one.attempt, one.number, one.owner, one.started_at, one.warn_at, one.due_at, one.state) for one in selling.clocks]
        fires = frozenset() if out or facts.values["ambiguous"] else self._fires(selling, reading, len(met), points)
        return Concluded(values, attempts, sorted(clocks), fires)

    def _fires(self, selling: Selling, reading: Reading, met: int, points: float) -> frozenset[str]:
        attempt, given = selling.attempt, selling.rejection
        if attempt is not None and attempt.outcome == "open" and attempt.found:
            return frozenset()
        late = [clock for clock in selling.clocks if attempt is not None and clock.attempt == attempt.number]
        reminds = attempt is not None and attempt.outcome == "open" and any(one.state in ("warned", "breached") for one in late)
        step = None if given is not None and not given.sent_back else self._step(selling, reading, met, points)
        return frozenset({SLA} if reminds else set()) | frozenset({step.name} if step is not None else set())

    @staticmethod
    def _step(selling: Selling, reading: Reading, met: int, points: float) -> Step | None:
        stage = reading.facts.values["stage"]
        for step in STEPS:
            if (stage or "") in step.origins and step.when(reading, met, points) and not selling.waits(step, reading.facts, reading.now):
                return step
        return None
