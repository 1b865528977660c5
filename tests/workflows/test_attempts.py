"""Attempts: when one begins, how it ends, and what counts during it."""

from __future__ import annotations

import pytest

from connector.model import ActivityKind
from tests.support.company import EVERYTHING, HEAD, QUALIFY, REJECTION, SLA, THEN, moment, new_company, running_company, when

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
    with running_company(url) as company:
        company.person(stage=path[0])
        company.run()
        for stage in path[1:]:
            company.later(hours=1)
            company.edit(stage=stage)
            company.run()
        found = company.attempts()
        assert [row.outcome for row in found] == outcomes
        assert [bool(row.skipped) for row in found] == skipped
        assert [row.number for row in found] == list(range(1, len(found) + 1))


def test_left_downwards_after_a_touch_it_is_expired(url: str) -> None:
    with running_company(url) as company:
        company.person(stage="mql")
        company.run()
        company.later(hours=1)
        company.touch()
        company.later(hours=1)
        company.edit(stage="lead")
        company.run()
        assert company.outcomes() == ["expired"]
        (row,) = company.attempts()
        assert moment(row.ended_at) == company.now


def test_a_touch_after_it_left_does_not_count(url: str) -> None:
    with running_company(url) as company:
        company.person(stage="mql")
        company.run()
        company.later(hours=1)
        company.edit(stage="lead")
        company.later(hours=1)
        company.touch()
        company.run()
        assert company.outcomes() == ["ignored"]


def test_ignored_after_so_much_business_time_without_a_touch(url: str) -> None:
    with running_company(url, IGNORED) as company:
        company.person(stage="mql")
        company.run()
        (row,) = company.attempts()
        assert moment(row.ignored_at) == when("25 10:05")
        company.at("25 10:04")
        company.run()
        assert company.outcomes() == ["open"]
        company.at("25 10:05")
        company.run()
        (row,) = company.attempts()
        assert (row.outcome, moment(row.ended_at)) == ("ignored", when("25 10:05"))
        assert company.stage() == "mql"


@pytest.mark.parametrize("looked", [True, False])
def test_a_late_touch_opens_the_next_attempt_in_the_same_spell(either_url: str, looked: bool) -> None:
    """Whether or not a pass looked between the end of the patience and the touch."""
    with running_company(either_url, IGNORED + SLA) as company:
        company.person(stage="mql", owner="anna")
        company.run()
        if looked:
            company.at("25 12:00")
            company.run()
        company.at("26 12:00")
        company.touch()
        company.settle()
        first, second = company.attempts()
        assert (first.outcome, moment(first.ended_at)) == ("ignored", when("25 10:05"))
        assert (second.outcome, bool(second.late), second.spell, moment(second.began_at)) == ("open", True, first.spell, when("26 12:00"))
        contact = company.contact()
        assert (contact.attempt, contact.touch_count) == (2, 1)


@pytest.mark.parametrize("looked", [True, False])
def test_a_late_acceptance_is_an_attempt_of_its_own(url: str, looked: bool) -> None:
    with running_company(url, IGNORED) as company:
        company.person(stage="mql")
        company.run()
        if looked:
            company.at("25 12:00")
            company.run()
        company.at("26 12:00")
        company.edit(stage="sql")
        company.run()
        assert [(row.outcome, bool(row.late), bool(row.skipped)) for row in company.attempts()] == [
            ("ignored", False, False),
            ("accepted", True, False),
        ]


def test_counts_begin_with_the_attempt(either_url: str) -> None:
    with running_company(either_url) as company:
        company.person(stage="lead")
        company.touch("10 12:00")
        company.touch("11 12:00", kind=ActivityKind.EMAIL)
        company.run()
        contact = company.contact()
        assert (contact.touch_count, contact.touch_channels, moment(contact.first_touch_at)) == (2, 2, when("10 12:00"))
        company.later(hours=1)
        company.edit(stage="mql")
        company.settle()
        assert (company.contact().touch_count, company.contact().first_touch_at) == (0, None)
        company.later(hours=1)
        company.touch(kind=ActivityKind.EMAIL)
        company.run()
        assert (company.contact().touch_count, moment(company.contact().last_touch_at)) == (1, company.now)


def test_a_meeting_to_come_is_a_touch_from_its_start_on(either_url: str) -> None:
    with running_company(either_url) as company:
        company.person(stage="mql")
        company.touch("19 14:00", kind=ActivityKind.MEETING)
        company.run()
        assert company.contact().touch_count == 0
        company.at("19 13:59")
        company.run()
        assert company.contact().touch_count == 0
        company.at("19 14:00")
        company.run()
        assert company.contact().touch_count == 1


def test_what_is_no_touch(either_url: str) -> None:
    """Incoming, not done, automatic, by nobody of sales, and the same call logged twice."""
    from connector.model import Direction

    with running_company(either_url) as company:
        company.person(stage="mql")
        company.lead(stage="Open")
        company.run()
        company.later(hours=1)
        company.touch(direction=Direction.INCOMING)
        company.touch(happened=False)
        company.touch(automatic=True)
        company.touch(by="desk")
        company.touch(archived=True)
        company.run()
        assert company.contact().touch_count == 0
        company.touch()
        company.later(minutes=9)
        company.touch(on="00Q1")
        company.run()
        assert company.contact().touch_count == 1
        company.touch(by="ben")
        company.later(minutes=11)
        company.touch()
        company.run()
        assert company.contact().touch_count == 3


def test_a_completed_call_task_of_ours_is_a_touch(url: str) -> None:
    with running_company(url, QUALIFY + THEN + EVERYTHING.split(THEN)[1]) as company:
        company.lead(stage="Nurturing")
        company.person(stage="lead", interest="50")
        company.settle()
        (task,) = company.tasks("alert")
        assert company.contact().touch_count == 0
        company.later(hours=1)
        company.salesforce.complete(task.id)
        company.run()
        assert company.contact().touch_count == 1


# ── Found ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

FOUND_RULES = SLA + REJECTION + '[[transition]]\nname = "cold"\nfrom = ["mql"]\nto = "lead"\nwhen = "touch_count = 0"\n'


def test_a_found_attempt_causes_nothing_until_somebody_else_moves_it(either_url: str) -> None:
    with new_company(either_url, FOUND_RULES, head=LATER) as company:
        company.person(stage="mql", owner="anna")
        company.person("2", stage="mql", owner="anna")
        company.later(hours=2)
        company.run()
        company.at("30 12:00")
        company.edit(interest="3")
        company.all_due()
        assert company.run().planned == 0
        assert [bool(row.found) for row in company.attempts()] == [True]
        assert company.outcomes() == ["open"]
        assert company.clocks() == []
        company.later(hours=1)
        company.edit(status="IN_PROGRESS")
        company.run()
        assert [bool(row.found) for row in company.attempts()] == [False]
        company.edit("2", stage="lead")
        company.later(hours=1)
        company.run()
        company.edit("2", stage="mql")
        company.run()
        assert [bool(row.found) for row in company.attempts("2")] == [True, False]
        assert company.clocks("2") != []


def test_a_found_stay_does_not_run_a_transitions_then(url: str) -> None:
    with new_company(url, EVERYTHING) as company:
        company.person(stage="mql", interest="50")
        assert company.run().planned == 0


# ── Withdrawn ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_withdrawn_when_the_record_is_gone(either_url: str) -> None:
    with running_company(either_url, SLA) as company:
        company.person(stage="mql", owner="anna")
        company.run()
        assert [row.state for row in company.clocks()] == ["running"]
        company.later(hours=1)
        company.hubspot.archive("contacts", "1")  # HubSpot's modified dates do not tell: the look for removals does
        assert company.look()["hubspot"]["contacts"].archived == 1
        company.run()
        assert company.outcomes() == ["withdrawn"]
        assert [row.state for row in company.clocks()] == ["ended"]
        assert company.contact().gone
        company.later(days=3)
        assert company.run().planned == 0


def test_withdrawn_several_at_once(either_url: str) -> None:
    with running_company(either_url, SLA) as company:
        for one in "12":
            company.person(one, stage="mql", owner="anna")
        company.run()
        company.later(hours=1)
        for one in "12":
            company.hubspot.archive("contacts", one)
        company.look()
        company.run()
        assert [company.outcomes(one) for one in "12"] == [["withdrawn"]] * 2
        assert [row.state for one in "12" for row in company.clocks(one)] == ["ended"] * 2


def test_withdrawn_when_it_is_excluded(either_url: str) -> None:
    with running_company(either_url, SLA + "[scope]\nexclude = \"job_title LIKE '%Student%'\"\n") as company:
        company.person(stage="mql", owner="anna")
        company.run()
        company.later(hours=1)
        company.edit(jobtitle="Student")
        company.run()
        assert company.outcomes() == ["withdrawn"]
        assert [row.state for row in company.clocks()] == ["ended"]
        company.later(days=3)
        company.all_due()
        assert company.run().planned == 0
