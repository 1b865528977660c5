"""Moments that passed before the first live pass: marked once, listed, never acted on, whatever `clocks_from` says."""

from __future__ import annotations

from typing import Any

from connector.reports.explain import explain
from connector.reports.status import status
from tests.support.company import SLA, Company, config_of, new_company

SHADOW = config_of(SLA, edit=(('mode = "live"', 'mode = "shadow"'),))
LIVE = config_of(SLA)


def clocks(company: Company) -> list[tuple[str, str | None]]:
    return [(row.state, row.before_live) for row in company.rows("SELECT state, before_live FROM clock ORDER BY contact_id, number")]


def listed(company: Company) -> list[tuple[str, str]]:
    rows: list[dict[str, Any]] = status(company.store, company.config, now=company.now)["before_live"]["rows"]
    return [(row["sla"], row["event"]) for row in rows]


def test_a_breach_from_before_is_listed_and_one_from_after_is_acted_on(either_url: str) -> None:
    """Two attempts begun under `clocks_from`: one was due in the days of shadow, the other's warning only."""
    with new_company(either_url, SHADOW) as company:
        company.lead("00Q1", stage="Working", owner="anna")
        company.run()
        company.at("19 13:30")
        company.lead("00Q2", stage="Working", owner="ben")
        shadow = company.run()
        assert shadow.plan is not None
        assert [action.target for action in shadow.plan.actions] == ["escalate"]  # in shadow what the rules say is shown whole
        company.at("20 09:15")  # the second was warned of at 16:30 the day before, and is due at 09:30
        company.config = LIVE
        company.run()
        assert clocks(company) == [("breached", "breach"), ("warned", "warn")]
        assert company.tasks() == []
        assert listed(company) == [("first touch", "breach"), ("first touch", "warn")]
        for _ in range(3):
            company.later(hours=3)
            company.run()
        assert [task.owner_id for task in company.tasks("escalate")] == ["desk"]
        assert company.tasks("chase") == []
        assert clocks(company)[1] == ("breached", "warn")
        assert listed(company) == [("first touch", "breach")]


def test_what_is_marked_is_told_of_the_contact_and_goes_with_its_end(either_url: str) -> None:
    with new_company(either_url, SHADOW) as company:
        company.lead("00Q1", stage="Working", owner="anna")
        company.run()
        company.at("19 13:30")
        company.config = LIVE
        company.run()
        told = explain(company.store, company.config, "00Q1", now=company.now)
        assert [(clock["state"], clock["before_live"]) for clock in told["slas"]] == [("breached", "breach")]
        company.touch("18 11:00", on="00Q1")  # logged late, dated in time
        company.run()
        assert clocks(company) == [("met", "breach")]
        assert listed(company) == []


def test_what_began_after_going_live_is_acted_on(either_url: str) -> None:
    with new_company(either_url, LIVE) as company:
        company.run()
        company.later(minutes=5)
        company.lead("00Q1", stage="Working", owner="anna")
        company.run()
        company.later(days=1)
        company.run()
        assert clocks(company) == [("breached", None)]
        assert len(company.tasks("escalate")) == 1


def test_in_shadow_nothing_is_marked(either_url: str) -> None:
    with new_company(either_url, SHADOW) as company:
        company.lead("00Q1", stage="Working", owner="anna")
        company.run()
        company.later(days=2)
        company.run()
        assert clocks(company) == [("breached", None)]
        assert company.rows("SELECT value FROM meta WHERE name = 'live_since'") == []
