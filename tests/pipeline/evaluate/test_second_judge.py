"""What is concluded is what a second judge concludes: one that is slow, written anew from the design, and looks at everybody each time.

Both see the same mirror; `tests.support.reference` says what the second one covers.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.people_at_work import PeopleAtWork
from tests.support.reference.beside import BothJudges
from tests.support.reference.example_rules import CRITERIA, MINIMUM, REASONS, STAGES, STEPS
from tests.support.sandbox_company import sandbox_company

MODES: tuple[Literal["shadow", "live"], ...] = ("shadow", "live")
EXAMPLE = tomllib.loads((Path(__file__).parents[3] / "config.example.toml").read_text(encoding="utf-8"))
#: The texts for which the second judge's rules stand: who changes one of them in the file changes its twin in `example_rules` too.
CONDITIONS = {
    "exclude": "domain(email) IN ('acme.example', 'competitor.example') OR job_title LIKE '%Student%'",
    "industry we serve": "industry IN ('software', 'logistics') OR starts(naics, '5112')",
    "company size and place": "employees BETWEEN 50 AND 5000 AND country IN ('Germany', 'Austria', 'Switzerland')",
    "decision maker or important role": "has(roles, 'DECISION_MAKER') OR has(roles, 'CHAMPION')"
    " OR job_title LIKE '%Director%' OR job_title LIKE '%Head of%'",
    "the right environment": "domain(email) NOT IN ('gmail.com', 'outlook.com', 'web.de')",
    "a documented decision process": "activities('meeting', '90 days') >= 1",
    "a known, unsolved problem": "pain_point IS NOT NULL",
    "budget available": "budget > 0",
    "competition known": "competitor_in_use IS NOT NULL",
    "urgency": "timeline IN ('now', 'this quarter')",
    "senior role": "job_title LIKE '%Director%' OR job_title LIKE '%VP%' OR job_title LIKE '%Chief%'",
    "recent conversion": "last_conversion_at IS NOT NULL",
    "keeps reading": "page_views > 0",
    "free mail address": "domain(email) IN ('gmail.com', 'outlook.com', 'web.de')",
    "engaged and qualified": "qualified AND score >= 50",
    "sales accepted": "hubspot.lead_status = 'CONNECTED' OR salesforce.lead_status = 'Qualified'",
    "went cold": "stage_since < ago('90 days') AND (last_touch_at IS NULL OR last_touch_at < ago('60 days'))",
    "rejection": "hubspot.lead_status = 'UNQUALIFIED' OR salesforce.lead_status = 'Closed - Not Converted'",
}


def test_the_second_judge_has_the_file_s_rules() -> None:
    named = [*EXAMPLE["qualification"]["criteria"], *EXAMPLE["score"], *EXAMPLE["transition"]]
    told = {rule["name"]: rule["when"] for rule in named}
    assert {"exclude": EXAMPLE["scope"]["exclude"], **told, "rejection": EXAMPLE["rejection"]["when"]} == CONDITIONS
    assert (EXAMPLE["qualification"]["minimum"], [stage["name"] for stage in EXAMPLE["stages"]]) == (MINIMUM, [*STAGES])
    assert {rule["name"] for rule in EXAMPLE["qualification"]["criteria"]} == CRITERIA.keys()
    assert [(step["name"], step["from"], step["to"]) for step in EXAMPLE["transition"]] == [
        (step.name, [*step.origins], step.to) for step in STEPS
    ]
    assert {name: rule.get("needs_touches", 0) for name, rule in EXAMPLE["rejection"]["reasons"].items()} == REASONS
    assert [(rule["touches"], rule["within"], rule["warn"], rule["starts"]) for rule in EXAMPLE["sla"]] == [
        (1, "4 business hours", "1 business hour", "assigned")
    ]
    assert EXAMPLE["rejection"]["ignored_after"] == "20 business days"


@pytest.mark.parametrize("mode", MODES)
def test_of_the_sandbox_s_people_the_same_is_concluded(either_url: str, mode: Literal["shadow", "live"]) -> None:
    with sandbox_company(either_url, mode=mode, contacts=140, leads=60) as company:
        both = BothJudges(company)
        for hours in (0, 1, 3, 20, 3 * 24, 30 * 24):
            company.later(hours=hours)
            both.run()
        assert {"engaged and qualified", "went cold", "first touch"} <= set(both.fired)


#: Hours until the next pass, and how much happens before it.
lives = st.lists(st.tuples(st.sampled_from([1, 2, 5, 14, 24, 3 * 24, 22 * 24]), st.integers(0, 8)), min_size=3, max_size=8)
worlds = st.integers(1, 10_000)
modes = st.sampled_from(MODES)
#: A touch logged late opens an attempt during which sales had said no; a warning, a hand-over, a second try; weeks without a pass.
REJECTED_LATE = [(1, 6)] * 7
LONG_ABSENCE = [(1, 8), (22 * 24, 8), (2, 8), (22 * 24, 0)]


@settings(max_examples=1)
@given(seed=worlds, mode=modes, life=lives)
@example(seed=2, mode="live", life=REJECTED_LATE)
@example(seed=5, mode="shadow", life=LONG_ABSENCE)
def test_of_any_world_the_same_is_concluded(
    kept_databases: Callable[[str], str], seed: int, mode: Literal["shadow", "live"], life: list[tuple[int, int]]
) -> None:
    lives_as_the_second_judge_says(kept_databases("one"), seed, mode, life)


@settings(max_examples=1)
@given(seed=worlds, mode=modes, life=lives)
def test_of_any_world_the_same_is_concluded_on_postgresql(
    kept_postgres: str, seed: int, mode: Literal["shadow", "live"], life: list[tuple[int, int]]
) -> None:
    lives_as_the_second_judge_says(kept_postgres, seed, mode, life)


@pytest.mark.long
@settings(max_examples=30)
@given(seed=worlds, mode=modes, life=lives)
def test_of_many_worlds_the_same_is_concluded(
    kept_databases: Callable[[str], str], kept_postgres: str, seed: int, mode: Literal["shadow", "live"], life: list[tuple[int, int]]
) -> None:
    lives_as_the_second_judge_says(kept_postgres if seed % 5 == 0 else kept_databases("one"), seed, mode, life)


def lives_as_the_second_judge_says(url: str, seed: int, mode: Literal["shadow", "live"], life: list[tuple[int, int]]) -> None:
    """A world of its own, and passes after so many hours and deeds each."""
    people = PeopleAtWork(contacts=40, leads=20, seed=seed)
    with sandbox_company(url, mode=mode, contacts=40, leads=20, seed=seed) as company:
        both = BothJudges(company)
        both.run()
        for place, (hours, deeds) in enumerate(life):
            company.later(hours=hours)
            people.work(company, place, deeds)
            both.run()
