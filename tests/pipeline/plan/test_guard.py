"""What is held beyond a guard rail: figures in, rails and a report out; bundles in, what of them is held."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.config.tables import Guard
from connector.model import Kind, Proposal
from connector.pipeline.plan.guard import (
    Rails,
    amount_of,
    enough_contacts,
    held_amount_of,
    held_parts,
    rails_of,
    shapes_of,
)
from connector.pipeline.plan.parts import parts_of
from connector.store.ledger import Amount, RuleKind
from connector.store.shadow import counted
from tests.support.actions import assign, proposal, set_stage, task

STAGES = ("qualified", Kind.SET_STAGE)
DOWN = ("qualified", "backward")


def amount(actions: dict[RuleKind, int], contacts: dict[RuleKind, int] | None = None) -> Amount:
    made = Amount()
    for key, number in actions.items():
        made.add(key, number, number if contacts is None else contacts[key])
    return made


def stages(wanted: Amount, used: Amount | None = None, *, scope: int = 10_000, **rails: Any) -> Rails:
    return rails_of([STAGES], wanted, used or Amount(), Guard(**({"rule_share": 1.0} | rails)), scope)


@pytest.mark.parametrize(
    ("wanted", "used", "rail", "beyond"),
    [(2, 0, 2, False), (3, 0, 2, True), (2, 1, 2, True), (1, 0, 0, True), (0, 3, 3, False)],
)
def test_a_rule_beyond_its_rail_is_held(wanted: int, used: int, rail: int, beyond: bool) -> None:
    rails = stages(amount({STAGES: wanted}), amount({STAGES: used}), stage_changes=rail)
    assert set(rails.beyond) == ({STAGES} if beyond else set())
    held = amount({STAGES: wanted if beyond else 0})
    assert rails.report(held) == {"qualified/set_stage": {"wanted": wanted, "used": used, "rail": rail, "held": wanted if beyond else 0}}


@pytest.mark.parametrize(
    ("scope", "share", "limit"), [(100, 0.05, 5), (100, 0.051, 6), (101, 0.05, 6), (3, 0.01, 1), (0, 0.5, 1), (30, 0.1, 3)]
)
def test_the_share_of_contacts_is_a_rail_too(scope: int, share: float, limit: int) -> None:
    def at(number: int) -> Rails:
        return stages(amount({STAGES: number}), scope=scope, rule_share=share, stage_changes=1000)

    assert not at(limit).beyond
    assert set(at(limit + 1).beyond) == {STAGES}
    assert at(limit + 1).by_name["qualified/set_stage"].limit == limit


def test_the_share_counts_contacts_though_a_stage_is_written_in_both_crms() -> None:
    rails = stages(amount({STAGES: 6}, {STAGES: 3}), scope=60, rule_share=0.05, stage_changes=1000)
    assert not rails.beyond
    assert rails.by_name["qualified/set_stage"].wanted == 3


def test_stages_that_go_down_have_a_rail_of_their_own() -> None:
    rails = stages(amount({STAGES: 3, DOWN: 2}), stage_changes=100, backward=1)
    assert set(rails.beyond) == {STAGES}, "one rule and kind is held as a whole"
    assert rails.report(amount({STAGES: 3, DOWN: 2}))["qualified/backward"] == {"wanted": 2, "used": 0, "rail": 1, "held": 2}


def test_a_field_is_counted_by_no_rail() -> None:
    field = ("qualified", Kind.SET_FIELD)
    assert rails_of([field], amount({field: 9999}), Amount(), Guard(), 1) == Rails(by_name={}, beyond=set())


@given(
    limits=st.tuples(*[st.integers(0, 6)] * 3),
    share=st.sampled_from([0.01, 0.05, 0.1, 0.5, 1.0]),
    figures=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=2),
    more=st.integers(0, 10_000),
)
def test_no_more_contacts_need_be_counted_than_tell_the_same(
    limits: tuple[int, int, int], share: float, figures: list[tuple[int, int, int, int]], more: int
) -> None:
    guard = Guard(stage_changes=limits[0], assign=limits[1], backward=limits[2], tasks=0, rule_share=share)
    wanted, used = Amount(), Amount()
    for key, (actions, contacts, used_actions, used_contacts) in zip((STAGES, DOWN), figures, strict=True):
        wanted.add(key, actions, min(actions, contacts))  # each contact has an action
        used.add(key, used_actions, min(used_actions, used_contacts))
    enough = enough_contacts(guard)
    assert rails_of([STAGES], wanted, used, guard, enough) == rails_of([STAGES], wanted, used, guard, enough + more)


# ── Bundles ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_stands_behind_a_held_part_is_held_with_it_and_what_stands_before_is_not() -> None:
    parts = [part.entry() for part in parts_of([proposal(n, set_stage(n), assign(n), task(n)) for n in (1, 2)])]
    held = held_parts(parts, {("qualified", Kind.ASSIGN), ("qualified", Kind.CREATE_TASK)})
    assert [(part.contact, part.kind) for part, _ in held] == [
        (number, kind) for number in (1, 2) for kind in (Kind.ASSIGN, Kind.CREATE_TASK)
    ]
    assert {reason for _, reason in held} == {("qualified", Kind.ASSIGN)}, "the first that is beyond its rail tells why"


def test_the_next_bundle_begins_anew() -> None:
    bundles = [proposal(1, set_stage(1), rule="held"), proposal(1, set_stage(1), rule="free")]
    parts = [part.entry() for part in parts_of(bundles)]
    assert [part.rule for part, _ in held_parts(parts, {("held", Kind.SET_STAGE)})] == ["held"]


ACTIONS = st.lists(st.sampled_from([set_stage, assign, task]), min_size=1, max_size=3, unique=True)
BUNDLES = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["a", "b"]), st.integers(1, 3), ACTIONS), max_size=12)


def proposals(bundles: list[tuple[int, str, int, Any]]) -> list[Proposal]:
    made = {(n, rule, cause): proposal(n, *(act(n) for act in acts), rule=rule, cause=f"{cause}") for n, rule, cause, acts in bundles}
    return list(made.values())


@given(
    bundles=BUNDLES,
    beyond=st.sets(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([Kind.SET_STAGE, Kind.ASSIGN, Kind.CREATE_TASK]))),
)
def test_what_is_counted_of_bundles_by_their_shape_says_what_they_say_themselves(
    bundles: list[tuple[int, str, int, Any]], beyond: set[tuple[str, Kind]]
) -> None:
    entries = [part.entry() for part in parts_of(proposals(bundles))]
    counts = counted(entries)
    shapes = shapes_of(counts)
    wanted, held = amount_of(shapes, counts), held_amount_of(shapes, beyond)
    of_bundles = [part for part, _ in held_parts(entries, beyond)]
    for rule, kind in itertools.product(("a", "b"), (Kind.SET_STAGE, Kind.ASSIGN, Kind.CREATE_TASK)):
        same = [entry for entry in entries if (entry.rule, entry.kind) == (rule, kind)]
        assert wanted.actions[rule, kind] == len(same)
        assert wanted.contacts[rule, kind] == len({entry.contact for entry in same})
        assert held.actions[rule, kind] == sum((part.rule, part.kind) == (rule, kind) for part in of_bundles)
