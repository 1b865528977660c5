"""A plan of which only a part was saved or let go: nothing of it goes out, and the next pass completes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from connector.config.tables import Guard, TaskLimits
from connector.model import Proposal
from connector.pipeline.plan import live
from connector.pipeline.plan import plan as planning
from connector.pipeline.plan.parts import PlanTerms
from connector.pipeline.plan.plan import Planner
from connector.store import claims
from connector.store.database import Store
from tests.support.actions import DAY_START, NEXT_DAY, NOW, add_contacts, handover, opened_for, plan, rows, states

T = TypeVar("T")
MANY = Guard(rule_share=1.0, stage_changes=6, assign=6, tasks=6)


class Killed(Exception):
    """The process ended here."""


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(planning, "SLICE", 3)  # a bundle a slice
    monkeypatch.setattr(live, "SLICE", 3)
    with opened_for(request) as store:
        add_contacts(store, *range(1, 20))
        yield store


def killed_at(store: Store, monkeypatch: pytest.MonkeyPatch, number: int, *proposals: Proposal, **more: Any) -> None:
    """A pass whose process ends before so many writes went by."""
    left = iter(range(number))
    write = Store.write

    def counted(self: Store, work: Callable[[Connection], T]) -> T:
        if next(left, None) is None:
            raise Killed
        return write(self, work)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "write", counted)
        with pytest.raises(Killed):
            plan(store, *proposals, **more)


def sendable(store: Store) -> dict[str, list[str]]:
    """What write-back would take up, by bundle."""
    found: dict[str, list[str]] = {}
    with store.read() as connection:
        for entry in claims.due_entries(connection, now=NOW):
            found.setdefault(entry.bundle, []).append(entry.kind)
    return found


def transactions() -> range:
    """Four bundles are saved in four, let go in four, and one more closes the plan."""
    return range(1, 10)


@pytest.mark.parametrize("number", transactions())
@pytest.mark.parametrize(("guard", "state"), [(MANY, "planned"), (Guard(rule_share=1.0, assign=3), "held")], ids=["within", "beyond"])
def test_wherever_it_ends_the_next_pass_comes_to_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, guard: Guard, state: str
) -> None:
    bundles = [handover(contact) for contact in (1, 2, 3, 4)]
    if number == len(transactions()):
        plan(store, *bundles, guard=guard)
    else:
        killed_at(store, monkeypatch, number, *bundles, guard=guard)
    whole = {"set_stage", "assign", "create_task"} if state == "planned" else {"set_stage"}
    assert all(set(kinds) == whole for kinds in sendable(store).values()), "bundles are whole"
    if number < 5:
        assert sendable(store) == {}, "nothing goes before all of it is counted"
    saved = {row["contact_id"] for row in rows(store)}
    made = plan(store, *(each for each in bundles if each.contact not in saved), guard=guard)
    assert {row["state"] for row in rows(store) if row["kind"] == "assign"} == {state}
    assert {row["state"] for row in rows(store) if row["kind"] == "set_stage"} == {"planned"}
    assert len(rows(store)) == 12
    assert made.guard.get("qualified/assign", {"held": 0})["held"] == (4 if state == "held" else 0) or number == len(transactions())


def test_in_shadow_what_was_saved_stands_and_the_rest_comes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bundles = [handover(contact) for contact in (1, 2, 3)]
    killed_at(store, monkeypatch, 2, *bundles, mode="shadow")
    assert {row["contact_id"] for row in rows(store)} == {1, 2}
    made = plan(store, bundles[2], mode="shadow")
    assert {(action.contact, action.new) for action in made.actions} == {(1, True), (2, True), (3, True)}
    assert made.guard["qualified/assign"]["wanted"] == 3


def test_a_contact_is_settled_with_its_own_part_of_the_plan(store: Store) -> None:
    terms = PlanTerms(
        run=1, mode="live", guard=MANY, task_limits=TaskLimits(), day_start=DAY_START, next_day=NEXT_DAY, config_version="v1", now=NOW,
    )  # fmt: skip
    told: list[tuple[list[int], bool]] = []

    def settle(connection: Connection, contacts: Any, first: bool) -> None:
        told.append((list(contacts), first))
        if len(told) == 2:
            raise Killed

    with pytest.raises(Killed):
        Planner(store, terms, lambda most: most).add([1, 2, 3], [handover(1), handover(2), handover(3)], settle)
    assert told == [([1], True), ([2], False)]
    assert {key.split("|")[1] for key in states(store)} == {"1"}, "what is not settled is not in the plan"
