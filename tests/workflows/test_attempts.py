"""Attempts: when one begins, how it ends, and what counts during it."""

from __future__ import annotations

import pytest

from connector.model import ActivityKind
from tests.support.rule_world import EVERYTHING, HEAD, QUALIFY, REJECTION, SLA, THEN, moment, running_world, when, world

IGNORED = '[rejection]\nwhen = "hubspot.lead_status = \'UNQUALIFIED\'"\nreason = "rejection_reason"\nignored_after = "5 business days"\n'
LATER = HEAD.replace("clocks_from = 2026-01-01", "")


@pytest.mark.parametrize(
    ("path", "outcomes", "skipped"),
    [
        (["lead", "mql"], ["open"], [False]),
        (["mql", "sql"], ["accepted"], [False]),
        (["lead", "sql"], ["accepted"], [True]),
        (["lead", "customer"], ["accepted"], [True]),
        (["sql", "customer"], ["accepted"], [True]),
        (["mql", "lead"], ["ignored"], [False]),
        (["mql", "lead", "mql"], ["ignored", "open"], [False, False]),
        (["mql", "sql", "mql"], ["accepted", "open"], [False, False]),
    ],
)
def test_beginning_and_end(url: str, path: list[str], outcomes: list[str], skipped: list[bool]) -> None:
    with running_world(url) as w:
        w.person(stage=path[0])
        w.run()
        for stage in path[1:]:
            w.later(hours=1)
            w.edit(stage=stage)
            w.run()
        found = w.attempts()
        assert [row.outcome for row in found] == outcomes
        assert [bool(row.skipped) for row in found] == skipped
        assert [row.number for row in found] == list(range(1, len(found) + 1))


def test_left_downwards_after_a_touch_it_is_expired(url: str) -> None:
    with running_world(url) as w:
        w.person(stage="mql")
        w.run()
        w.later(hours=1)
        w.touch()
        w.later(hours=1)
        w.edit(stage="lead")
        w.run()
        assert w.outcomes() == ["expired"]
        (row,) = w.attempts()
        assert moment(row.ended_at) == w.now


def test_a_touch_after_it_left_does_not_count(url: str) -> None:
    with running_world(url) as w:
        w.person(stage="mql")
        w.run()
        w.later(hours=1)
        w.edit(stage="lead")
        w.later(hours=1)
        w.touch()
        w.run()
        assert w.outcomes() == ["ignored"]


def test_ignored_after_so_much_business_time_without_a_touch(url: str) -> None:
    with running_world(url, IGNORED) as w:
        w.person(stage="mql")
        w.run()
        (row,) = w.attempts()
        assert moment(row.ignored_at) == when("25 10:05")
        w.at("25 10:04")
        w.run()
        assert w.outcomes() == ["open"]
        w.at("25 10:05")
        w.run()
        (row,) = w.attempts()
        assert (row.outcome, moment(row.ended_at)) == ("ignored", when("25 10:05"))
        assert w.stage() == "mql"


@pytest.mark.parametrize("looked", [True, False])
def test_a_late_touch_opens_the_next_attempt_in_the_same_spell(either_url: str, looked: bool) -> None:
    """Whether or not a pass looked between the end of the patience and the touch."""
    with running_world(either_url, IGNORED + SLA) as w:
        w.person(stage="mql", owner="anna")
        w.run()
        if looked:
            w.at("25 12:00")
            w.run()
        w.at("26 12:00")
        w.touch()
        w.settle()
        first, second = w.attempts()
        assert (first.outcome, moment(first.ended_at)) == ("ignored", when("25 10:05"))
        assert (second.outcome, bool(second.late), second.spell, moment(second.began_at)) == ("open", True, first.spell, when("26 12:00"))
        contact = w.contact()
        assert (contact.attempt, contact.touch_count) == (2, 1)


@pytest.mark.parametrize("looked", [True, False])
def test_a_late_acceptance_is_an_attempt_of_its_own(url: str, looked: bool) -> None:
    with running_world(url, IGNORED) as w:
        w.person(stage="mql")
        w.run()
        if looked:
            w.at("25 12:00")
            w.run()
        w.at("26 12:00")
        w.edit(stage="sql")
        w.run()
        assert [(row.outcome, bool(row.late), bool(row.skipped)) for row in w.attempts()] == [
            ("ignored", False, False),
            ("accepted", True, False),
        ]


def test_counts_begin_with_the_attempt(either_url: str) -> None:
    with running_world(either_url) as w:
        w.person(stage="lead")
        w.touch("10 12:00")
        w.touch("11 12:00", kind=ActivityKind.EMAIL)
        w.run()
        contact = w.contact()
        assert (contact.touch_count, contact.touch_channels, moment(contact.first_touch_at)) == (2, 2, when("10 12:00"))
        w.later(hours=1)
        w.edit(stage="mql")
        w.settle()
        assert (w.contact().touch_count, w.contact().first_touch_at) == (0, None)
        w.later(hours=1)
        w.touch(kind=ActivityKind.EMAIL)
        w.run()
        assert (w.contact().touch_count, moment(w.contact().last_touch_at)) == (1, w.now)


def test_a_meeting_to_come_is_a_touch_from_its_start_on(either_url: str) -> None:
    with running_world(either_url) as w:
        w.person(stage="mql")
        w.touch("19 14:00", kind=ActivityKind.MEETING)
        w.run()
        assert w.contact().touch_count == 0
        w.at("19 13:59")
        w.run()
        assert w.contact().touch_count == 0
        w.at("19 14:00")
        w.run()
        assert w.contact().touch_count == 1


def test_what_is_no_touch(either_url: str) -> None:
    """Incoming, not done, automatic, by nobody of sales, and the same call logged twice."""
    from connector.model import Direction

    with running_world(either_url) as w:
        w.person(stage="mql")
        w.lead(stage="Open")
        w.run()
        w.later(hours=1)
        w.touch(direction=Direction.INCOMING)
        w.touch(happened=False)
        w.touch(automatic=True)
        w.touch(by="desk")
        w.touch(archived=True)
        w.run()
        assert w.contact().touch_count == 0
        w.touch()
        w.later(minutes=9)
        w.touch(on="00Q1")
        w.run()
        assert w.contact().touch_count == 1
        w.touch(by="ben")
        w.later(minutes=11)
        w.touch()
        w.run()
        assert w.contact().touch_count == 3


def test_a_completed_call_task_of_ours_is_a_touch(url: str) -> None:
    with running_world(url, QUALIFY + THEN + EVERYTHING.split(THEN)[1]) as w:
        w.lead(stage="Nurturing")
        w.person(stage="lead", interest="50")
        w.settle()
        (task,) = w.tasks("alert")
        assert w.contact().touch_count == 0
        w.later(hours=1)
        w.salesforce.complete(task.id)
        w.run()
        assert w.contact().touch_count == 1


# ── Found ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

FOUND_RULES = SLA + REJECTION + '[[transition]]\nname = "cold"\nfrom = ["mql"]\nto = "lead"\nwhen = "touch_count = 0"\n'


def test_a_found_attempt_causes_nothing_until_somebody_else_moves_it(either_url: str) -> None:
    with world(either_url, FOUND_RULES, head=LATER) as w:
        w.person(stage="mql", owner="anna")
        w.person("2", stage="mql", owner="anna")
        w.later(hours=2)
        w.run()
        w.at("30 12:00")
        w.edit(interest="3")
        w.all_due()
        assert w.run().planned == 0
        assert [bool(row.found) for row in w.attempts()] == [True]
        assert w.outcomes() == ["open"]
        assert w.clocks() == []
        w.later(hours=1)
        w.edit(status="IN_PROGRESS")
        w.run()
        assert [bool(row.found) for row in w.attempts()] == [False]
        w.edit("2", stage="lead")
        w.later(hours=1)
        w.run()
        w.edit("2", stage="mql")
        w.run()
        assert [bool(row.found) for row in w.attempts("2")] == [True, False]
        assert w.clocks("2") != []


def test_a_found_stay_does_not_run_a_transitions_then(url: str) -> None:
    with world(url, EVERYTHING) as w:
        w.person(stage="mql", interest="50")
        assert w.run().planned == 0


# ── Withdrawn ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_withdrawn_when_the_record_is_gone(either_url: str) -> None:
    with running_world(either_url, SLA) as w:
        w.person(stage="mql", owner="anna")
        w.run()
        assert [row.state for row in w.clocks()] == ["running"]
        w.later(hours=1)
        w.hubspot.archive("contacts", "1")  # HubSpot's modified dates do not tell: the look for removals does
        assert w.look()["hubspot"]["contacts"].archived == 1
        w.run()
        assert w.outcomes() == ["withdrawn"]
        assert [row.state for row in w.clocks()] == ["ended"]
        assert w.contact().gone
        w.later(days=3)
        assert w.run().planned == 0


def test_withdrawn_several_at_once(either_url: str) -> None:
    with running_world(either_url, SLA) as w:
        for one in "12":
            w.person(one, stage="mql", owner="anna")
        w.run()
        w.later(hours=1)
        for one in "12":
            w.hubspot.archive("contacts", one)
        w.look()
        w.run()
        assert [w.outcomes(one) for one in "12"] == [["withdrawn"]] * 2
        assert [row.state for one in "12" for row in w.clocks(one)] == ["ended"] * 2


def test_withdrawn_when_it_is_excluded(either_url: str) -> None:
    with running_world(either_url, SLA + "[scope]\nexclude = \"job_title LIKE '%Student%'\"\n") as w:
        w.person(stage="mql", owner="anna")
        w.run()
        w.later(hours=1)
        w.edit(jobtitle="Student")
        w.run()
        assert w.outcomes() == ["withdrawn"]
        assert [row.state for row in w.clocks()] == ["ended"]
        w.later(days=3)
        w.all_due()
        assert w.run().planned == 0
