"""What is held beyond a guard rail: parts and figures in, parts and a report out."""

from __future__ import annotations

from typing import Any

import pytest

from connector.config.tables import Guard, TaskLimits
from connector.model import Kind, Proposal, State
from connector.pipeline.plan.guard import Guarded, guarded
from connector.pipeline.plan.parts import PlanTerms, parts_of
from connector.store.ledger import HeldEntry, Used
from tests.support.actions import DAY_START, NEXT_DAY, NOW, assign, proposal, set_stage, task

STAGES = ("qualified", Kind.SET_STAGE)


def guarding(
    *proposals: Proposal, held: tuple[HeldEntry, ...] = (), used: Used | None = None, scope: int = 10_000, **rails: Any
) -> Guarded:
    terms = PlanTerms(
        run=1, mode="live", guard=Guard(**({"rule_share": 1.0} | rails)), contacts_in_scope=scope, task_limits=TaskLimits(),
        day_start=DAY_START, next_day=NEXT_DAY, config_version="v1", now=NOW,
    )  # fmt: skip
    return guarded(parts_of(proposals), held, used or Used(), terms)


def steps(*contacts: int, backward: bool = False) -> list[Proposal]:
    return [proposal(contact, set_stage(contact, backward=backward)) for contact in contacts]


def waiting(contact: int, *, kind: Kind = Kind.SET_STAGE, position: int = 0, bundle: str = "another", backward: bool = False) -> HeldEntry:
    return HeldEntry(
        id=contact, plan=7, key=f"held {contact}", bundle=bundle, position=position, rule="qualified", kind=kind, contact=contact,
        backward=backward, planned_at=NOW,
    )  # fmt: skip


def done(*contacts: int, group: tuple[str, str] = STAGES) -> Used:
    used = Used()
    for contact in contacts:
        used.add(group, contact, 1)
    return used


@pytest.mark.parametrize(
    ("wanted", "used", "held", "rail", "beyond"),
    [
        ((1, 2), (), (), 2, False),
        ((1, 2, 3), (), (), 2, True),
        ((1, 2), (9,), (), 2, True),    # what was done within the window counts
        ((1, 2), (), (9,), 2, True),    # so does what waits for approval
        ((1,), (), (), 0, True),
        ((), (1, 2, 3), (), 2, False),  # nothing is wanted, so nothing is held
    ],
)  # fmt: skip
def test_a_rule_beyond_its_rail_is_held_as_a_whole(
    wanted: tuple[int, ...], used: tuple[int, ...], held: tuple[int, ...], rail: int, beyond: bool
) -> None:
    result = guarding(*steps(*wanted), used=done(*used), held=tuple(map(waiting, held)), stage_changes=rail)
    assert {part.state for part in result.parts} == ({State.HELD if beyond else State.PLANNED} if wanted else set())
    assert result.held == (len(wanted) if beyond else 0)


@pytest.mark.parametrize(
    ("scope", "share", "limit"), [(100, 0.05, 5), (100, 0.051, 6), (101, 0.05, 6), (3, 0.01, 1), (0, 0.5, 1), (30, 0.1, 3)]
)
def test_the_share_of_contacts_is_a_rail_too(scope: int, share: float, limit: int) -> None:
    at_the_rail = guarding(*steps(*range(limit)), scope=scope, rule_share=share, stage_changes=1000)
    beyond = guarding(*steps(*range(limit + 1)), scope=scope, rule_share=share, stage_changes=1000)
    assert (at_the_rail.held, beyond.held) == (0, limit + 1)
    assert beyond.report["qualified/set_stage"] == {"wanted": limit + 1, "used": 0, "rail": limit, "held": limit + 1}


def test_stages_that_go_down_have_a_rail_of_their_own() -> None:
    result = guarding(*steps(1, 2, backward=True), *steps(3), stage_changes=100, backward=1)
    assert result.held == 3  # one rule and kind is held as a whole
    assert result.report["qualified/backward"] == {"wanted": 2, "used": 0, "rail": 1, "held": 2}
    assert result.report["qualified/set_stage"]["held"] == 3


def test_a_field_is_counted_by_no_rail() -> None:
    action = set_stage(1)
    result = guarding(proposal(1, type(action)(kind=Kind.SET_FIELD, record=action.record, target="x", before=None, after="y")))
    assert (result.held, result.report) == (0, {})


def test_what_stands_behind_a_held_part_is_held_with_it_and_what_stands_before_is_not() -> None:
    result = guarding(proposal(1, set_stage(1), assign(1), task(1)), assign=0)
    assert [part.state for part in result.parts] == [State.PLANNED, State.HELD, State.HELD]


def test_what_is_held_anew_joins_the_plan_in_which_its_rule_waits() -> None:
    result = guarding(*steps(1), held=(waiting(9),), stage_changes=1)
    assert [(part.state, part.plan) for part in result.parts] == [(State.HELD, 7)]


def test_a_part_behind_one_that_waits_since_an_earlier_plan_waits_too() -> None:
    bundle = parts_of([proposal(1, assign(1))])[0].bundle
    result = guarding(proposal(1, assign(1)), held=(waiting(1, bundle=bundle),))
    assert [(part.state, part.plan) for part in result.parts] == [(State.HELD, 7)]
