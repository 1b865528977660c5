"""Suspension as values: the states of fields in, the rules that may say nothing out."""

from __future__ import annotations

from typing import Any

import pytest

from connector.config.rule_conditions import RuleKey, RuleTable, rule_conditions
from connector.workflows import suspension
from connector.workflows.fields import columns_needed
from tests.workflows.values import config

COLUMNS = {column.name for column in columns_needed(config())}


def without(*gone: str) -> suspension.Suspended:
    assert set(gone) <= COLUMNS
    return suspension.of(config(), {name: "gone" if name in gone else "present" for name in COLUMNS})


def test_nothing_is_suspended_while_every_field_is_there() -> None:
    assert without() is suspension.NOTHING


@pytest.mark.parametrize(
    ("column", "rules", "more"),
    [
        # a criterion takes the count with it, and the transition that reads the count
        ("f_interest", ("interested", "qualify"), {"criteria": True, "transitions": {"qualify"}, "undecided": {"qualify"}}),
        ("f_visited_at", ("visits", "qualify"), {"score": True, "transitions": {"qualify"}, "undecided": {"qualify"}}),
        # an assignment takes the transition that asks it with it: who gets the contact is not known
        ("f_country", ("assign.inbound", "qualify"), {"assigns": {"inbound"}, "transitions": set(), "undecided": {"qualify"}}),
        ("s_lead_status", ("accept", "rejection"), {"rejection": True, "transitions": {"accept"}, "undecided": {"accept", ":rejection"}}),
        ("f_reason", ("rejection",), {"rejection": True, "transitions": set(), "undecided": {":rejection"}}),
        ("f_city", (), {"transitions": set(), "undecided": set()}),  # nobody reads it
    ],
)
def test_who_reads_a_field_and_what_builds_on_it(column: str, rules: tuple[str, ...], more: dict[str, Any]) -> None:
    suspended = without(column)
    assert suspended.rules == {column: rules}
    for name, expected in {"criteria": False, "score": False, "rejection": False, "scope": False, **more}.items():
        if name == "transitions":
            assert suspended.transitions >= expected
        else:
            assert getattr(suspended, name) == expected, name


def test_a_field_that_is_being_filled_suspends_as_one_that_is_gone() -> None:
    suspended = suspension.of(config(), {name: "filling" if name == "f_interest" else "present" for name in COLUMNS})
    assert suspended.document() == [{"field": "interest", "state": "filling", "rules": ["interested", "qualify"]}]


@pytest.mark.parametrize("when", ['exclude = "city = \'Nowhere\'"', 'only = "city = \'Vienna\'"'])
def test_without_scope_nobody_may_be_judged(when: str) -> None:
    file = config(f"[scope]\n{when}\n")
    suspended = suspension.of(file, {name: "gone" if name == "f_city" else "present" for name in COLUMNS})
    assert suspended.halted == "[scope] reads city: who is to be judged is not known"


def test_blind_stops_everything() -> None:
    suspended = suspension.of(config(), dict.fromkeys(COLUMNS, "present"), ["hubspot contacts.lifecyclestage"])
    assert suspended.halted == "hubspot contacts.lifecyclestage: without it nobody knows who is who and in which stage"


def test_every_rule_is_silenced_or_not_as_its_table_says() -> None:
    suspended = without("f_interest", "s_lead_status")
    silent = {rule.rule for rule in rule_conditions(config()) if suspended.silences(rule.rule)}
    assert silent == {
        RuleKey(RuleTable.CRITERION, "interested"),
        RuleKey(RuleTable.TRANSITION, "qualify"),
        RuleKey(RuleTable.TRANSITION, "accept"),
        RuleKey(RuleTable.REJECTION, ""),
    }


def test_what_builds_on_what_nobody_knows_is_unknown_too() -> None:
    assert suspension.unknown_names(without("f_interest")) == {"interest", "criteria_met", "qualified"}
    assert without("f_interest").reading({"interest", "score", "qualified"}) == ["interest", "qualified"]
