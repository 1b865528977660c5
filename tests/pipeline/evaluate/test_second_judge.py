"""What is concluded is what a second judge concludes: one that is slow, written anew from the design, and looks at everybody each time.

Both see the same mirror; `tests.support.reference` says what the second one covers.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import pytest

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
