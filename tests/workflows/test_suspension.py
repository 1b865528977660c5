"""Suspension: which rules say nothing while a field cannot be read, and what builds on them."""

from __future__ import annotations

import pytest

from connector.store.fields import FieldStatus
from connector.workflows import suspension
from connector.workflows.fields import columns_needed
from connector.workflows.suspension import NOTHING, Suspended
from tests.support.small_world import config

CONFIG = config()
COLUMNS = [column.name for column in columns_needed(CONFIG)]


def suspended(*columns: str, status: FieldStatus = "gone", blind: tuple[str, ...] = ()) -> Suspended:
    """What is suspended while these columns are in this state and all others present."""
    states: dict[str, FieldStatus] = {column: status if column in columns else "present" for column in COLUMNS}
    return suspension.of(CONFIG, states, blind)


def test_nothing_is_suspended_while_all_fields_are_present() -> None:
    assert suspended() == NOTHING
    assert NOTHING.halted is None


@pytest.mark.parametrize(
    ("column", "rules"),
    [
        ("f_industry", ("industry", "qualified", "by hand")),  # a criterion, and the transitions that ask whether criteria are met
        ("f_last_conversion_at", ("conversion", "qualified")),  # a score, and the transition that asks for it
        ("h_lead_status", ("accepted", "rejection")),
        ("f_rejection_reason", ("rejection",)),
        ("f_phone", ()),
    ],
)
def test_a_field_suspends_the_rules_that_read_it_and_what_builds_on_them(column: str, rules: tuple[str, ...]) -> None:
    statuses: tuple[FieldStatus, ...] = ("gone", "filling")
    for status in statuses:
        hit = suspended(column, status=status)
        assert hit.fields == {column: status}
        assert hit.rules == {column: rules}


def test_one_criterion_suspends_all_of_them_and_what_names_them() -> None:
    hit = suspended("f_industry")
    assert (hit.criteria, hit.score, hit.rejection, hit.scope) == (True, False, False, False)
    assert hit.transitions == {"qualified", "by hand"}
    assert hit.reading({"qualified", "criteria_met", "score", "industry", "email"}) == ["criteria_met", "industry", "qualified"]


def test_what_is_held_of_a_suspended_rule_is_undecided() -> None:
    assert suspended("h_lead_status").undecided == {"accepted", "rejection"}


def test_a_field_of_scope_and_a_property_that_all_rests_on_halt_everything() -> None:
    assert suspended("f_job_title").halted == "[scope] reads job_title: who is to be judged is not known"
    lacking = suspended(blind=("hubspot contacts.lifecyclestage",))
    assert lacking.halted == "hubspot contacts.lifecyclestage: without it nobody knows who is who and in which stage"
    assert lacking.fields == {}
