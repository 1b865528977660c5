"""The shadow plan stands: what a pass did not judge stays in it, and what is counted of it is what its rows say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, text

from connector.config.tables import Guard
from connector.model import Proposal, State
from connector.pipeline.plan.parts import parts_of
from connector.pipeline.plan.plan import Plan
from connector.store import shadow
from connector.store.database import Store
from tests.support.actions import NOW, add_contacts, assign, due, handover, opened_for, plan, proposal, put_state, rows, set_stage, task
from tests.support.stores import empty_store, rerunning

LATER = NOW + timedelta(minutes=5)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with opened_for(request) as store:
        add_contacts(store, *range(1, 50))
        yield store


def shadow_plan(store: Store, *proposals: Proposal, **more: Any) -> Plan:
    return plan(store, *proposals, mode="shadow", **more)


def wanted(made: Plan) -> list[tuple[int, str, bool]]:
    return [(action.contact, action.kind, action.new) for action in made.actions]


def test_who_was_not_judged_stands_as_he_did(store: Store) -> None:
    shadow_plan(store, proposal(1, set_stage(1)), proposal(2, set_stage(2)))
    made = shadow_plan(store, proposal(2, set_stage(2)), proposal(3, set_stage(3)), now=LATER)
    assert wanted(made) == [(1, "set_stage", False), (2, "set_stage", False), (3, "set_stage", True)]
    assert made.planned == 3
    assert [row["planned_at"] for row in rows(store)] == [NOW, NOW, LATER]


def test_what_is_not_wanted_any_more_goes_with_the_contact_that_was_judged(store: Store) -> None:
    first = shadow_plan(store, handover(1), handover(2))
    made = shadow_plan(store, proposal(1, set_stage(1)), judged=[2], now=LATER)
    assert wanted(made) == [(1, "set_stage", False)]
    assert made.id != first.id
    assert made.guard == {"qualified/set_stage": {"wanted": 1, "used": 0, "rail": 200, "held": 0}}


def test_another_value_takes_the_place_of_the_one_before_and_is_not_new(store: Store) -> None:
    first = shadow_plan(store, proposal(1, set_stage(1), assign(1, "7")))
    made = shadow_plan(store, proposal(1, set_stage(1), assign(1, "8")), now=LATER)
    assert [(action.after, action.new) for action in made.actions] == [("mql", False), ("8", False)]
    assert made.id != first.id


def test_a_task_whose_due_moment_went_on_is_kept_up_to_date_and_no_difference(store: Store) -> None:
    first = shadow_plan(store, proposal(1, task(1)))
    action = task(1)
    assert action.task is not None
    moved = replace(action, task=replace(action.task, due_at=NOW + timedelta(hours=9)))
    made = shadow_plan(store, proposal(1, moved), now=LATER)
    assert made.id == first.id
    (shown,) = made.actions
    assert shown.task is not None
    assert shown.task["due_at"] == "2026-11-20T19:00:00+00:00"
    assert not shown.new


def test_the_plan_shows_what_of_a_task_will_be_written(store: Store) -> None:
    (document,) = (action.document() for action in shadow_plan(store, proposal(1, task(1))).actions)
    assert document["after"] == {
        "subject": "MQL: Ada",
        "body": "Call",
        "owner": "7",
        "due_at": "2026-11-20T14:00:00+00:00",
        "reminder_at": None,
        "priority": "high",
        "type": "call",
    }


def test_a_pass_in_which_nobody_was_judged_reads_and_writes_no_row_of_it(store: Store) -> None:
    before = shadow_plan(store, handover(1), handover(2), guard=Guard(rule_share=1.0, assign=1))
    told: list[str] = []

    def note(connection: Connection, cursor: object, statement: str, parameters: object, context: object, many: bool) -> None:
        told.append(statement)

    engines = [store._writer, store._reader]  # what the database is asked
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        quiet = shadow_plan(store, guard=Guard(rule_share=1.0, assign=1), now=LATER)
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)
    assert (quiet, quiet.held, quiet.planned) == (before, 4, 6)
    asked = [statement for statement in told if "ledger" in statement or "action_value" in statement]
    assert [statement for statement in asked if "planned_at >=" not in statement] == [], "but for what was done in the guard's window"
    assert not [statement for statement in told if statement.startswith(("INSERT", "UPDATE", "DELETE"))]


def test_a_rule_that_the_window_frees_is_not_held_any_more_without_anybody_judged(store: Store) -> None:
    guard = Guard(rule_share=1.0, stage_changes=2)
    plan(store, proposal(9, set_stage(9)), guard=guard)
    put_state(store, "qualified|9|set_stage|hubspot|lifecyclestage|spell 1", State.APPLIED)
    assert shadow_plan(store, proposal(1, set_stage(1)), proposal(2, set_stage(2)), guard=guard).held == 2
    assert shadow_plan(store, guard=guard, now=NOW + timedelta(days=2)).held == 0


def test_going_live_ends_it_and_its_contacts_are_judged_again(store: Store) -> None:
    shadow_plan(store, handover(1), handover(2), handover(3))
    assert due(store) == set()
    assert store.write(lambda connection: shadow.end(connection, now=NOW, size=2))
    assert due(store) == {1, 2}
    assert {row["contact_id"] for row in rows(store)} == {3}
    assert store.write(lambda connection: shadow.end(connection, now=NOW, size=2))
    assert not store.write(lambda connection: shadow.end(connection, now=NOW, size=2))
    assert counts(store) == Counter()


def test_nothing_stands_for_who_is_gone(store: Store) -> None:
    shadow_plan(store, handover(1), handover(2))
    store.write(lambda connection: shadow.drop(connection, [1, 7]))
    assert {row["contact_id"] for row in rows(store)} == {2}
    assert shadow_plan(store).planned == 3


def test_a_write_that_is_run_again_counts_once(store: Store) -> None:
    shadow_plan(rerunning(store), handover(1), handover(2))
    shadow_plan(rerunning(store), proposal(1, set_stage(1)), now=LATER)
    assert counts(store) == counted(store)


def counts(store: Store) -> Counter[tuple[str, str]]:
    with store.read() as connection:
        return shadow.counts(connection)


def counted(store: Store) -> Counter[tuple[str, str]]:
    """What the rows themselves come to."""
    with store.read() as connection:
        contacts = connection.scalars(text("SELECT DISTINCT contact_id FROM ledger WHERE state = 'shadow'")).all()
        return shadow.counted(shadow.standing(connection, contacts))


ACTIONS = st.lists(st.sampled_from([set_stage, assign, task]), max_size=3, unique=True)
WANTS = st.dictionaries(st.sampled_from(["a", "b"]), ACTIONS, max_size=2)
PASSES = st.lists(st.dictionaries(st.integers(1, 5), WANTS, max_size=4), max_size=5)


@settings(max_examples=25)
@given(passes=PASSES, rail=st.integers(1, 3))
def test_the_standing_plan_is_what_everybody_wanted_last(
    kept_databases: Callable[[str], str], passes: Sequence[dict[int, dict[str, list[Any]]]], rail: int
) -> None:
    guard = Guard(rule_share=1.0, stage_changes=rail, assign=rail, tasks=rail)
    last: dict[int, list[Proposal]] = {}
    with empty_store(kept_databases("standing")) as store:
        add_contacts(store, *range(1, 6))
        for number, judged in enumerate(passes):
            before = {action.key for proposals in last.values() for action in parts(proposals)}
            last |= {n: [proposal(n, *(act(n) for act in acts), rule=rule) for rule, acts in rules.items()] for n, rules in judged.items()}
            asked = [each for n in judged for each in last[n]]
            made = shadow_plan(store, *asked, judged=list(judged), guard=guard, now=NOW + timedelta(minutes=number))
            everybody = parts([each for proposals in last.values() for each in proposals])
            assert sorted((action.key, action.after) for action in made.actions) == sorted((part.key, part.after) for part in everybody)
            assert {action.key for action in made.actions if action.new} == {part.key for part in everybody} - before
            assert counts(store) == counted(store)
            assert made.planned == len(everybody)
    with empty_store(kept_databases("standing")) as store:
        add_contacts(store, *range(1, 6))
        at_once = shadow_plan(store, *(each for proposals in last.values() for each in proposals), guard=guard)
        if passes:
            assert (made.counts, made.held, made.guard) == (at_once.counts, at_once.held, at_once.guard)


def parts(proposals: Sequence[Proposal]) -> list[Any]:
    """The entries of these, a task of a purpose once a contact."""
    seen: set[tuple[int, str]] = set()
    entries = []
    for part in parts_of(proposals):
        if part.action.task is not None:
            if part.purpose in seen:
                continue
            seen.add(part.purpose)
        entries.append(part.entry())
    return entries
