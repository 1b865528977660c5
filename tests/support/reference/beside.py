"""Runs passes of a company with the second judge beside them, and tells where the two differ."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connector.engine import PassResult, run_pass
from connector.model import Kind
from connector.pipeline.context import Step, Unwatched
from connector.store.tables import from_micros
from tests.support.company import Company
from tests.support.reference.example_rules import STEPS, Reading, score
from tests.support.reference.facts import Facts, read_facts
from tests.support.reference.judge import SLA, Concluded, Judge

#: Values that both have by the same name.
_FLAGS = ("excluded", "qualified", "rejecting")
_NUMBERS = ("criteria_met", "touch_count", "touch_channels")
_MOMENTS = ("first_touch_at", "last_touch_at")
_ATTEMPT = ("number", "began_at", "ended_at", "outcome", "skipped", "late", "found")
#: The stage to which each step leads.
_STEPS = {step.name: step.to for step in STEPS}
_CLOCK = ("attempt", "number", "owner", "started_at", "warn_at", "due_at", "state")


@dataclass(slots=True)
class _Snapshot:
    """What stood in the store when everybody was judged and nothing was written yet."""

    facts: dict[int, Facts]
    judged: dict[int, Concluded]


class _AfterJudging(Unwatched):
    """Reads what was concluded, slice by slice: what was read after the last one counts."""

    def __init__(self, beside: BothJudges) -> None:
        self._beside = beside
        self.seen: _Snapshot | None = None

    def step(self, name: Step, done: int, total: int | None) -> None:
        """Behind the last slice."""
        if name == "evaluate" and done == total:
            self.seen = self._beside.look()


@dataclass(slots=True)
class BothJudges:
    """A company, and the second judge of its contacts. passes: how many have been compared."""

    company: Company
    second: Judge = field(init=False)
    #: How often the second judge's rules wanted something, by rule.
    fired: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        clocks_from = self.company.config.adopt.clocks_from
        assert clocks_from is not None, "the first live pass is no part of what is compared"
        self.second = Judge(clocks_from)

    def run(self) -> PassResult:
        """One pass; fails where the two judges differ."""
        company, watcher = self.company, _AfterJudging(self)
        company.furnish()
        result = run_pass(company.context(progress=watcher))
        assert not result.errors
        seen = watcher.seen or self.look()
        expected = self.second.judge(seen.facts, company.now)
        wanted = self._wanted(result)
        differences = [
            f"contact {number} {what}: {found!r}, the second judge: {other!r}"
            for number in sorted(expected)
            for what, found, other in (
                *_compared(seen.judged[number], expected[number], seen.facts[number]),
                ("fires", wanted.get(number, set()), self._asked_of_crms(expected[number], seen.facts[number])),
            )
            if found != other
        ]
        assert not differences, f"at {company.now:%a %d %b %H:%M}:\n" + "\n".join(differences[:20])
        for number in expected:
            for rule in expected[number].fires:
                self.fired[rule] += 1
        self.second.book(read_facts(company.rows), company.now)
        return result

    def look(self) -> _Snapshot:
        """What stands in the store."""
        facts = read_facts(self.company.rows)
        return _Snapshot(facts, _judged(self.company, facts))

    def _wanted(self, result: PassResult) -> dict[int, set[str]]:
        """Which rules want something of whom, by the plan: a step a change of stage, the SLA a task."""
        found: defaultdict[int, set[str]] = defaultdict(set)
        for action in () if result.plan is None else result.plan.actions:
            if (action.kind is Kind.SET_STAGE and action.rule in _STEPS) or (action.rule == SLA and self._in_shadow):
                found[action.contact].add(action.rule)
        return found

    def _asked_of_crms(self, concluded: Concluded, facts: Facts) -> set[str]:
        """What of it leaves something to do. Live, a task that was made is wanted no more: the clock's state says enough of it."""
        steps = {rule for rule in concluded.fires & _STEPS.keys() if _to_write(_STEPS[rule], facts)}
        return steps | (concluded.fires & {SLA} if self._in_shadow else set())

    @property
    def _in_shadow(self) -> bool:
        return self.company.config.mode == "shadow"


def _compared(found: Concluded, other: Concluded, facts: Facts) -> list[tuple[str, Any, Any]]:
    """What both conclude, by name. The score is compared as of the moment for which it was stored: between its thresholds it may wait."""
    pairs = [(name, found.values[name], other.values[name]) for name in other.values]
    pairs += [("score", round(found.values["score"], 6), round(score(Reading(facts, found.values["judged_at"])), 6))]
    return [*pairs, ("attempts", found.attempts, other.attempts), ("clocks", found.clocks, other.clocks)]


def _to_write(to: str, facts: Facts) -> bool:
    """Whether a CRM has a record that may be written and does not show this stage yet."""
    return any(facts.values[f"stage_{crm}"] != to for crm in facts.writable)


def _judged(company: Company, facts: dict[int, Facts]) -> dict[int, Concluded]:
    attempts, clocks = _by_contact(company, "attempt", _ATTEMPT), _by_contact(company, "clock", _CLOCK)
    return {
        row.id: Concluded(_values(row), attempts[row.id], sorted(clocks[row.id]))
        for row in company.rows("SELECT * FROM contact")
        if row.id in facts
    }


def _values(row: Any) -> dict[str, Any]:
    return {
        **{name: bool(getattr(row, name)) for name in _FLAGS},
        **{name: getattr(row, name) for name in _NUMBERS},
        **{name: _moment(getattr(row, name)) for name in (*_MOMENTS, "judged_at")},
        "criteria": json.loads(row.criteria),
        "score": row.score,
    }


def _by_contact(company: Company, table: str, columns: tuple[str, ...]) -> defaultdict[int, list[tuple[Any, ...]]]:
    found: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in company.rows(f"SELECT * FROM {table} ORDER BY contact_id, number"):
        found[row.contact_id].append(tuple(_value(name, getattr(row, name)) for name in columns))
    return found


def _value(name: str, value: Any) -> Any:
    if name.endswith("_at"):
        return _moment(value)
    return bool(value) if name in ("skipped", "late", "found") else value


def _moment(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)
