"""A month of the sandbox's people, a pass an hour: judged is who could turn, and what is concluded is what judging everybody concludes.

Two worlds live through the same, with the whole example file: one judges what is due, the other everybody in every pass. Who could turn is
found without the connector's own moments (due_at and the like): by comparing facts and answers of one pass with those of the pass before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import pytest

from tests.support.company import Company, moment
from tests.support.people_at_work import PeopleAtWork
from tests.support.reference.facts import Facts, read_facts
from tests.support.sandbox_company import sandbox_company

Mode = Literal["shadow", "live"]
MODES: tuple[Mode, ...] = ("shadow", "live")
#: A pass may judge so many more than twice those who could turn: what was decided is looked at once more.
FEW = 6
#: What a contact's row concludes. The score is none of it: between the numbers that rules compare it with it may be an older one.
_JUDGED = (
    "excluded", "criteria", "criteria_met", "qualified", "rejecting", "answers", "rejected_before", "stage", "stage_since", "spell",
    "attempt", "owner", "touch_count", "touch_channels", "first_touch_at", "last_touch_at", "agreed_hubspot", "agreed_salesforce",
)  # fmt: skip
_TABLES = ("spell", "attempt", "rejection", "clock", "evidence")
#: Moments at which something else is decided though the rules answer the same, with the table that tells them.
_MOMENTS = (
    "SELECT contact_id, warn_at FROM clock WHERE state = 'running'",
    "SELECT contact_id, due_at FROM clock WHERE state IN ('running', 'warned')",
    "SELECT contact_id, ignored_at FROM attempt WHERE outcome = 'open'",
    "SELECT contact_id, again_at FROM evidence",
    "SELECT contact_id, reason_by FROM rejection WHERE NOT sent_back",
)
#: In shadow the plan that stands, live every action that ever was.
_WANTED = """SELECT l.contact_id, l.rule, l.kind, l.key, l.crm, l.target, l.state, v.after FROM ledger l
    LEFT JOIN action_value v ON v.contact_id = l.contact_id AND v.ledger = l.id ORDER BY 1, 4, 3, 5, 7, l.id"""
#: The number with which the example file compares the score.
_ENOUGH = 50


@dataclass(slots=True)
class Turning:
    """Who could turn, from pass to pass, in the world where everybody is judged. decided: who is in another attempt since the last pass:
    touches count from its beginning.
    """

    company: Company
    at: datetime | None = None
    facts: Mapping[int, Facts] = field(default_factory=dict)
    answers: Mapping[int, Any] = field(default_factory=dict)
    attempts: Mapping[int, int | None] = field(default_factory=dict)
    decided: frozenset[int] = frozenset()

    def after_a_pass(self) -> frozenset[int]:
        """The contacts whose answer could be another one in this pass than in the one before."""
        before, now = self.at or self.company.now, self.company.now
        facts, answers = read_facts(self.company.rows), self._answers()
        found = {number for number in facts if facts[number] != self.facts.get(number) or answers[number] != self.answers.get(number)}
        found |= {number for number, told in facts.items() if any(one.at is not None and before < one.at <= now for one in told.happened)}
        found |= self._passed(before, now) | self.decided
        attempts = {row.id: row.attempt for row in self.company.rows("SELECT id, attempt FROM contact")}
        self.decided = frozenset(number for number in attempts if attempts[number] != self.attempts.get(number))
        self.at, self.facts, self.answers, self.attempts = now, facts, answers, attempts
        return frozenset(found)

    def _answers(self) -> dict[int, Any]:
        rows = self.company.rows("SELECT id, excluded, criteria, qualified, answers, score, touch_count, touch_channels FROM contact")
        return {row.id: (*row[1:5], row.score >= _ENOUGH, *row[6:]) for row in rows}

    def _passed(self, before: datetime, now: datetime) -> set[int]:
        rows = [(number, moment(at)) for statement in _MOMENTS for number, at in self.company.rows(statement)]
        return {number for number, at in rows if at is not None and before <= at <= now}


@pytest.mark.parametrize("mode", MODES)
def test_a_day_and_a_half(kept_databases: Callable[[str], str], mode: Mode) -> None:
    live_through(kept_databases, mode, hours=36, contacts=40, leads=20)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_a_month(kept_databases: Callable[[str], str], mode: Mode) -> None:
    live_through(kept_databases, mode, hours=24 * 30, contacts=200, leads=80)


def live_through(kept_databases: Callable[[str], str], mode: Mode, *, hours: int, contacts: int, leads: int) -> None:
    """Passes of both worlds, an hour apart; people work from eight to six, UTC, on seven days."""
    people = PeopleAtWork(contacts=contacts, leads=leads)
    judged, could = Counter[int](), Counter[int]()
    one, other = kept_databases("one"), kept_databases("other")
    with (
        sandbox_company(one, mode=mode, contacts=contacts, leads=leads) as some,
        sandbox_company(other, mode=mode, contacts=contacts, leads=leads) as every,
    ):
        turning = Turning(every)
        for hour in range(hours):
            if hour:
                every.all_due()
            result, all_of_them = some.run(), every.run()
            turned = turning.after_a_pass()
            same_in_both(some, every, hour)
            if hour:
                judged[hour], could[hour] = result.evaluated, len(turned)
                assert all_of_them.evaluated >= 0.9 * len(turning.facts), "everybody is judged in the other world"
            for company in (some, every):
                company.later(hours=1)
                if 8 <= company.now.hour < 18:
                    people.work(company, hour, deeds=max(1, contacts // 50))
    beyond = {hour: (judged[hour], could[hour]) for hour in judged if judged[hour] > 2 * could[hour] + FEW}
    told = f"{sum(judged.values())} judged, {sum(could.values())} could turn"
    assert beyond == {}, f"{told}; hour: (judged, could turn)"
    assert sum(judged.values()) <= 2 * sum(could.values()), told
    assert sum(judged.values()) > hours / 4, "something went on"


def same_in_both(some: Company, every: Company, hour: int) -> None:
    """What is concluded, wanted and written is the same in both worlds."""
    for name in ("contact", *_TABLES, "wanted", "written", "tasks"):
        found, others = concluded(some, name), concluded(every, name)
        differing = [pair for pair in zip(found, others, strict=False) if pair[0] != pair[1]]
        assert found == others, f"hour {hour}, {name}: {differing[:3]}"


def concluded(company: Company, name: str) -> list[Any]:
    """The rows of a table, what the plans want, or what was done in the CRMs."""
    if name == "contact":
        return company.rows(f"SELECT id, {', '.join(_JUDGED)} FROM contact ORDER BY id")
    if name == "wanted":
        return company.rows(_WANTED)
    if name == "written":
        effects = [effect for crm in company.crms.values() for effect in crm.log if effect.what == "set"]
        return sorted((one.record.crm, one.record.id, one.name, one.value or "") for one in effects)
    if name == "tasks":
        return sorted((crm.name, task.key, str(task.due_at), task.owner_id or "") for crm in company.crms.values() for task in crm.tasks())
    return company.rows(f"SELECT * FROM {name} ORDER BY contact_id, 2, 3, 4")
