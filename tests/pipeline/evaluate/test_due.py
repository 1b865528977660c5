"""due_at: a contact is judged when anything could have changed for it by time alone; too early is allowed, too late never.

Two worlds live through the same: in one every contact is judged in every pass, in the other only those that are due. What is concluded,
and when, must be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connector.model import ActivityKind
from tests.support.company import ASSIGN, REJECTION, SLA, THEN, Company, running_company

RULES = (
    """
[qualification]
minimum = 1
[[qualification.criteria]]
name = "met lately"
when = "activities('meeting', '3 days') >= 1"
[[score]]
name = "keen"
points = 40
since = "seen_at"
half_life = "2 days"
when = "seen_at IS NOT NULL"
[[transition]]
name = "qualify"
from = ["", "subscriber", "lead"]
to = "mql"
when = "interest >= 10 AND (score >= 15 OR qualified)"
again_after = "4 days"
"""
    + THEN
    + """
[[transition]]
name = "accepted"
from = ["mql"]
to = "sql"
when = "interest >= 100"
[[transition]]
name = "cold"
from = ["mql"]
to = "lead"
when = "stage_since < ago('6 days') AND (last_touch_at IS NULL OR last_touch_at < ago('3 days')) OR touches('2 days') >= 3"
again_after = "8 days"
"""
    + ASSIGN
    + SLA
    + REJECTION
)

Event = tuple[str, Any]
EVENTS: dict[str, Callable[[Company, Any], None]] = {
    "stage": lambda company, value: company.edit(stage=value),
    "interest": lambda company, value: company.edit(interest=value),
    "owner": lambda company, value: company.edit(owner=value),
    "status": lambda company, value: company.edit(status=value),
    "reason": lambda company, value: company.edit(rejection_reason=value),
    "seen": lambda company, days: company.edit(seen_at=(company.now - timedelta(days=days)).isoformat()),
    "lead": lambda company, value: company.edit("00Q1", stage=value),
    "touch": lambda company, hours: company.touch(company.now - timedelta(hours=hours), by="ben"),
    "meeting": lambda company, hours: company.touch(company.now + timedelta(hours=hours), kind=ActivityKind.MEETING),
}
events = st.one_of(
    st.tuples(st.just("stage"), st.sampled_from(["subscriber", "lead", "mql", "sql"])),
    st.tuples(st.just("interest"), st.sampled_from(["0", "50", "200"])),
    st.tuples(st.just("owner"), st.sampled_from(["anna", "ben", "", "queue"])),
    st.tuples(st.just("status"), st.sampled_from(["NEW", "UNQUALIFIED"])),
    st.tuples(st.just("reason"), st.sampled_from(["No need", "Unreachable", "nonsense", ""])),
    st.tuples(st.just("seen"), st.integers(-1, 5)),
    st.tuples(st.just("lead"), st.sampled_from(["Nurturing", "Open", "Qualified", "Rejected"])),
    st.tuples(st.just("touch"), st.integers(0, 30)),
    st.tuples(st.just("meeting"), st.integers(-100, 60)),
)
minutes_on = st.sampled_from([1, 30, 60, 240, 241, 1440, 2880, 4 * 1440 + 7])
steps = st.lists(st.tuples(minutes_on, st.lists(events, max_size=2)), min_size=4, max_size=14)


def _concluded(company: Company) -> dict[str, Any]:
    """Everything concluded of the contact, and what was written."""
    found = {
        table: company.rows(f"SELECT * FROM {table} WHERE contact_id = :id ORDER BY 2, 3", id=company.contact().id)
        for table in ("spell", "attempt", "rejection", "clock", "evidence")
    }
    names = ("stage", "spell", "attempt", "owner", "touch_count", "last_touch_at", "criteria_met", "qualified", "rejected_before")
    contact = company.contact()
    found["contact"] = [getattr(contact, name) for name in names]
    found["written"] = [
        (effect.what, effect.record.id, effect.name, effect.value)
        for crm in company.crms.values()
        for effect in crm.log
        if effect.what == "set"
    ]
    found["tasks"] = [(task.key, task.due_at, task.owner_id, task.outcome) for task in company.tasks()]
    return found


@settings(max_examples=1)
@given(history=steps)
@example(history=[(1, [("stage", "mql"), ("owner", "anna")]), (4 * 60, []), (1, []), (4 * 1440, []), (2880, []), (2880, [])])
@example(history=[(1, [("interest", "50"), ("seen", 0)]), (1, []), (60, [("meeting", 40)]), (2880, []), (2880, []), (1440, [])])
@example(history=[(1, [("stage", "mql")]), (60, [("status", "UNQUALIFIED")]), (1440, []), (2880, []), (30, []), (4 * 1440 + 7, [])])
def test_judging_only_what_is_due_concludes_the_same(kept_databases: Callable[[str], str], history: list[tuple[int, list[Event]]]) -> None:
    concludes_the_same(kept_databases, history)


@pytest.mark.long
@settings(max_examples=40)
@given(history=steps)
def test_judging_only_what_is_due_concludes_the_same_at_length(
    kept_databases: Callable[[str], str], history: list[tuple[int, list[Event]]]
) -> None:
    concludes_the_same(kept_databases, history)


def concludes_the_same(kept_databases: Callable[[str], str], history: list[tuple[int, list[Event]]]) -> None:
    """One history, judged in both ways, pass by pass."""
    with running_company(kept_databases("one"), RULES) as some, running_company(kept_databases("other"), RULES) as every:
        for company in (some, every):
            company.person(stage="lead")
            company.lead(stage="Nurturing")
        for minutes, happened in history:
            for company in (some, every):
                company.later(minutes=minutes)
                for what, value in happened:
                    EVENTS[what](company, value)
            every.all_due()
            for company in (some, every):
                company.run()
            assert _concluded(some) == _concluded(every)


def test_one_that_is_never_written_to_is_judged_again_after_its_rejection(url: str) -> None:
    """A shared mailbox: nothing is wanted of it, so nothing else makes it due; but rules read rejected_before."""
    with running_company(url, RULES) as company:
        company.person(email="info@kunde.example", stage="mql", owner="anna")
        company.settle()
        company.later(hours=1)
        company.edit(status="UNQUALIFIED", rejection_reason="No need")
        company.run()
        assert company.outcomes() == ["rejected"]
        company.later(hours=1)
        company.run()
        assert company.contact().ambiguous
        assert company.contact().rejected_before


def test_a_quiet_contact_is_not_judged_again(url: str) -> None:
    with running_company(url, RULES) as company:
        company.person(stage="lead")
        company.run()
        assert company.run().evaluated == 0
        company.later(days=30)
        company.run()  # "cold" looks back six days: it may have become true
        company.later(days=300)
        assert company.run().evaluated == 0
