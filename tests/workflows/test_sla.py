"""The response clock: from the owner's moment on, in business time, once for each event."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.company import SLA, Company, moment, running_company, when

WITH_ROUTING = SLA.replace('starts = "assigned"', 'starts = "mql"')


def states(company: Company) -> list[str]:
    return [row.state for row in company.clocks()]


def due(company: Company) -> Any:
    return moment(company.contact().due_at)


def test_it_warns_breaches_and_tells_each_once(either_url: str) -> None:
    with running_company(either_url, SLA) as company:
        company.person(stage="mql", owner="anna", lastname="Ito")
        company.run()
        (clock,) = company.clocks()
        assert (moment(clock.started_at), moment(clock.warn_at), moment(clock.due_at)) == (
            when("18 10:05"),
            when("18 13:05"),
            when("18 14:05"),
        )
        assert due(company) == when("18 13:05")
        company.at("18 13:05")
        company.run()
        assert states(company) == ["warned"]
        assert [task.outcome for task in company.tasks()] == ["Chase Ito: 0 of 1 by 2026-11-18 14:05 (first touch)"]
        company.settle()
        assert due(company) == when("18 14:05")
        company.at("18 14:05")
        company.run()
        assert states(company) == ["warned"]
        company.at("18 14:06")
        company.run()
        assert states(company) == ["breached"]
        assert [(task.outcome, task.owner_id) for task in company.tasks("escalate")] == [("Late: Ito (anna@acme.example)", "desk")]
        for _ in range(3):
            company.later(hours=5)
            company.all_due()
            company.run()
        assert len(company.tasks()) == 2


def test_after_a_long_pause_only_what_holds_is_told(url: str) -> None:
    with running_company(url, SLA) as company:
        company.person(stage="mql", owner="anna")
        company.run()
        company.later(days=3)
        company.settle()
        assert (len(company.tasks("chase")), len(company.tasks("escalate"))) == (0, 1)


def test_a_touch_in_time_meets_it(url: str) -> None:
    with running_company(url, SLA) as company:
        company.person(stage="mql", owner="anna")
        company.run()
        company.at("18 12:00")
        company.touch()
        company.run()
        (clock,) = company.clocks()
        assert (clock.state, moment(clock.met_at), clock.touches) == ("met", when("18 12:00"), 1)
        company.later(days=2)
        company.all_due()
        assert company.run().planned == 0


def test_a_touch_before_the_clock_began_does_not(url: str) -> None:
    with running_company(url, SLA) as company:
        company.person(stage="lead", owner="anna")
        company.touch("18 10:04")
        company.run()
        company.later(minutes=10)
        company.edit(stage="mql")
        company.settle()
        assert states(company) == ["running"]


@pytest.mark.parametrize("dated", ["18 14:05", "18 14:06"])
def test_logged_late_but_dated_in_time_it_is_met_again(url: str, dated: str) -> None:
    with running_company(url, SLA) as company:
        company.person(stage="mql", owner="anna")
        company.run()
        company.at("18 16:00")
        company.settle()
        assert states(company) == ["breached"]
        company.later(hours=1)
        company.touch(dated)
        company.run()
        assert states(company) == ["met" if dated == "18 14:05" else "breached"]


def test_it_waits_while_nobody_owns_the_contact(url: str) -> None:
    with running_company(url, SLA) as company:
        company.person(stage="mql", owner="queue")
        company.run()
        assert company.clocks() == []
        company.at("18 16:00")
        company.edit(owner="ben")
        company.run()
        (clock,) = company.clocks()
        assert (clock.owner, moment(clock.started_at), moment(clock.due_at)) == ("ben@acme.example", when("18 16:00"), when("19 12:00"))


def test_from_mql_on_it_does_not_wait_for_an_owner(url: str) -> None:
    with running_company(url, WITH_ROUTING) as company:
        company.person(stage="mql")
        company.run()
        (clock,) = company.clocks()
        assert moment(clock.started_at) == when("18 10:05")


def test_a_new_owner_starts_it_anew_at_most_twice(either_url: str) -> None:
    with running_company(either_url, SLA) as company:
        company.person(stage="mql", owner="anna")
        company.run()
        for who in ("ben", "chiara", "anna"):
            company.later(hours=1)
            company.edit(owner=who)
            company.settle()
        found = company.clocks()
        assert [row.owner for row in found] == ["anna@acme.example", "ben@acme.example", "chiara@acme.example"]
        assert [row.state for row in found] == ["ended", "ended", "running"]
        assert moment(found[0].ended_at) == moment(found[1].started_at)


def test_a_new_owner_after_the_breach_has_a_clock_of_his_own(url: str) -> None:
    with running_company(url, SLA) as company:
        company.person(stage="mql", owner="anna")
        company.run()
        company.at("18 15:00")
        company.settle()
        company.edit(owner="ben")
        company.settle()
        assert states(company) == ["breached", "running"]
        company.touch("18 14:00")
        company.run()
        assert states(company) == ["met", "running"]


@pytest.mark.parametrize("looked", [True, False])
def test_met_by_the_old_owner_a_new_one_starts_none(url: str, looked: bool) -> None:
    """Whether or not a pass looked between the touch and the handing over."""
    with running_company(url, SLA) as company:
        company.person(stage="mql", owner="anna")
        company.run()
        company.later(hours=1)
        company.touch()
        if looked:
            company.run()
        company.later(hours=1)
        company.edit(owner="ben")
        company.settle()
        assert states(company) == ["met"]


def test_it_ends_with_the_attempt(either_url: str) -> None:
    with running_company(either_url, SLA) as company:
        company.person(stage="mql", owner="anna")
        company.run()
        company.later(hours=1)
        company.edit(stage="sql")
        company.run()
        (clock,) = company.clocks()
        assert (clock.state, moment(clock.ended_at)) == ("ended", company.now)
        company.later(days=2)
        company.all_due()
        assert company.run().planned == 0


def test_one_clock_an_attempt_the_first_rule_that_fits(url: str) -> None:
    fast = SLA.replace('"first touch"', '"fast"').replace('"4 business hours"', '"2 business hours"')
    fast = fast.replace("[[sla]]", '[[sla]]\nwhen = "score >= 50"')
    points = '[[score]]\nname = "keen"\npoints = 60\nwhen = "interest >= 10"\n'
    with running_company(url, points + fast + SLA) as company:
        company.person(stage="mql", owner="anna", interest="20")
        company.person("2", stage="mql", owner="anna")
        company.run()
        company.later(minutes=10)
        company.edit(interest="1")
        company.run()
        assert [row.sla for row in company.clocks()] == ["fast"]
        assert [row.sla for row in company.clocks("2")] == ["first touch"]


def test_the_calendar_of_the_owners_team(url: str) -> None:
    from tests.support.company import HEAD

    head = HEAD.replace('manager = "desk@acme.example"', 'manager = "desk@acme.example"\ncalendar = "early"')
    with running_company(url, SLA + '[calendar.early]\nhours = { wed = "06:00-11:05", thu = "06:00-12:00" }\n', head=head) as company:
        company.person(stage="mql", owner="anna")
        company.run()
        (clock,) = company.clocks()
        assert moment(clock.due_at) == when("19 09:00")
