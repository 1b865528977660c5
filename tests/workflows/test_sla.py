"""The response clock: from the owner's moment on, in business time, once for each event."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rule_world import SLA, World, moment, running_world, when

WITH_ROUTING = SLA.replace('starts = "assigned"', 'starts = "mql"')


def states(w: World) -> list[str]:
    return [row.state for row in w.clocks()]


def due(w: World) -> Any:
    return moment(w.contact().due_at)


def test_it_warns_breaches_and_tells_each_once(either_url: str) -> None:
    with running_world(either_url, SLA) as w:
        w.person(stage="mql", owner="anna", lastname="Ito")
        w.run()
        (clock,) = w.clocks()
        assert (moment(clock.started_at), moment(clock.warn_at), moment(clock.due_at)) == (
            when("18 10:05"),
            when("18 13:05"),
            when("18 14:05"),
        )
        assert due(w) == when("18 13:05")
        w.at("18 13:05")
        w.run()
        assert states(w) == ["warned"]
        assert [task.outcome for task in w.tasks()] == ["Chase Ito: 0 of 1 by 2026-11-18 14:05 (first touch)"]
        w.settle()
        assert due(w) == when("18 14:05")
        w.at("18 14:05")
        w.run()
        assert states(w) == ["warned"]
        w.at("18 14:06")
        w.run()
        assert states(w) == ["breached"]
        assert [(task.outcome, task.owner_id) for task in w.tasks("escalate")] == [("Late: Ito (anna@acme.example)", "desk")]
        for _ in range(3):
            w.later(hours=5)
            w.all_due()
            w.run()
        assert len(w.tasks()) == 2


def test_after_a_long_pause_only_what_holds_is_told(url: str) -> None:
    with running_world(url, SLA) as w:
        w.person(stage="mql", owner="anna")
        w.run()
        w.later(days=3)
        w.settle()
        assert (len(w.tasks("chase")), len(w.tasks("escalate"))) == (0, 1)


def test_a_touch_in_time_meets_it(url: str) -> None:
    with running_world(url, SLA) as w:
        w.person(stage="mql", owner="anna")
        w.run()
        w.at("18 12:00")
        w.touch()
        w.run()
        (clock,) = w.clocks()
        assert (clock.state, moment(clock.met_at), clock.touches) == ("met", when("18 12:00"), 1)
        w.later(days=2)
        w.all_due()
        assert w.run().planned == 0


def test_a_touch_before_the_clock_began_does_not(url: str) -> None:
    with running_world(url, SLA) as w:
        w.person(stage="lead", owner="anna")
        w.touch("18 10:04")
        w.run()
        w.later(minutes=10)
        w.edit(stage="mql")
        w.settle()
        assert states(w) == ["running"]


@pytest.mark.parametrize("dated", ["18 14:05", "18 14:06"])
def test_logged_late_but_dated_in_time_it_is_met_again(url: str, dated: str) -> None:
    with running_world(url, SLA) as w:
        w.person(stage="mql", owner="anna")
        w.run()
        w.at("18 16:00")
        w.settle()
        assert states(w) == ["breached"]
        w.later(hours=1)
        w.touch(dated)
        w.run()
        assert states(w) == ["met" if dated == "18 14:05" else "breached"]


def test_it_waits_while_nobody_owns_the_contact(url: str) -> None:
    with running_world(url, SLA) as w:
        w.person(stage="mql", owner="queue")
        w.run()
        assert w.clocks() == []
        w.at("18 16:00")
        w.edit(owner="ben")
        w.run()
        (clock,) = w.clocks()
        assert (clock.owner, moment(clock.started_at), moment(clock.due_at)) == ("ben@acme.example", when("18 16:00"), when("19 12:00"))


def test_from_mql_on_it_does_not_wait_for_an_owner(url: str) -> None:
    with running_world(url, WITH_ROUTING) as w:
        w.person(stage="mql")
        w.run()
        (clock,) = w.clocks()
        assert moment(clock.started_at) == when("18 10:05")


def test_a_new_owner_starts_it_anew_at_most_twice(either_url: str) -> None:
    with running_world(either_url, SLA) as w:
        w.person(stage="mql", owner="anna")
        w.run()
        for who in ("ben", "chiara", "anna"):
            w.later(hours=1)
            w.edit(owner=who)
            w.settle()
        found = w.clocks()
        assert [row.owner for row in found] == ["anna@acme.example", "ben@acme.example", "chiara@acme.example"]
        assert [row.state for row in found] == ["ended", "ended", "running"]
        assert moment(found[0].ended_at) == moment(found[1].started_at)


def test_a_new_owner_after_the_breach_has_a_clock_of_his_own(url: str) -> None:
    with running_world(url, SLA) as w:
        w.person(stage="mql", owner="anna")
        w.run()
        w.at("18 15:00")
        w.settle()
        w.edit(owner="ben")
        w.settle()
        assert states(w) == ["breached", "running"]
        w.touch("18 14:00")
        w.run()
        assert states(w) == ["met", "running"]


@pytest.mark.parametrize("looked", [True, False])
def test_met_by_the_old_owner_a_new_one_starts_none(url: str, looked: bool) -> None:
    """Whether or not a pass looked between the touch and the handing over."""
    with running_world(url, SLA) as w:
        w.person(stage="mql", owner="anna")
        w.run()
        w.later(hours=1)
        w.touch()
        if looked:
            w.run()
        w.later(hours=1)
        w.edit(owner="ben")
        w.settle()
        assert states(w) == ["met"]


def test_it_ends_with_the_attempt(either_url: str) -> None:
    with running_world(either_url, SLA) as w:
        w.person(stage="mql", owner="anna")
        w.run()
        w.later(hours=1)
        w.edit(stage="sql")
        w.run()
        (clock,) = w.clocks()
        assert (clock.state, moment(clock.ended_at)) == ("ended", w.now)
        w.later(days=2)
        w.all_due()
        assert w.run().planned == 0


def test_one_clock_an_attempt_the_first_rule_that_fits(url: str) -> None:
    fast = SLA.replace('"first touch"', '"fast"').replace('"4 business hours"', '"2 business hours"')
    fast = fast.replace("[[sla]]", '[[sla]]\nwhen = "score >= 50"')
    points = '[[score]]\nname = "keen"\npoints = 60\nwhen = "interest >= 10"\n'
    with running_world(url, points + fast + SLA) as w:
        w.person(stage="mql", owner="anna", interest="20")
        w.person("2", stage="mql", owner="anna")
        w.run()
        w.later(minutes=10)
        w.edit(interest="1")
        w.run()
        assert [row.sla for row in w.clocks()] == ["fast"]
        assert [row.sla for row in w.clocks("2")] == ["first touch"]


def test_the_calendar_of_the_owners_team(url: str) -> None:
    from tests.support.rule_world import HEAD

    head = HEAD.replace('manager = "desk@acme.example"', 'manager = "desk@acme.example"\ncalendar = "early"')
    with running_world(url, SLA + '[calendar.early]\nhours = { wed = "06:00-11:05", thu = "06:00-12:00" }\n', head=head) as w:
        w.person(stage="mql", owner="anna")
        w.run()
        (clock,) = w.clocks()
        assert moment(clock.due_at) == when("19 09:00")
