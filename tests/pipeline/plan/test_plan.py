"""From proposals to a saved plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from connector.config.tables import Guard, TaskLimits
from connector.model import Kind, Proposal, State
from connector.pipeline.plan.plan import actions_json
from connector.store import ledger
from connector.store.database import Store
from connector.store.tables import metadata
from tests.support.actions import (
    LEDGER,
    NEXT_DAY,
    NOW,
    add_activity,
    add_contacts,
    assign,
    due,
    handover,
    opened_for,
    plan,
    proposal,
    put_state,
    rows,
    set_stage,
    states,
    task,
)
from tests.support.stores import empty_store, rerunning

LATER = NOW + timedelta(minutes=5)
TASK_KEY = "qualified|1|create_task|hubspot|mql-alert|spell 1"
STAGE_KEY = "qualified|1|set_stage|hubspot|lifecyclestage|spell 1"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with opened_for(request) as store:
        add_contacts(store, *range(1, 50))
        yield store


class TestBundles:
    def test_the_parts_of_a_bundle_stand_in_their_order(self, store: Store) -> None:
        made = plan(store, handover(1))
        assert [action.kind for action in made.actions] == [Kind.SET_STAGE, Kind.ASSIGN, Kind.CREATE_TASK]
        saved = rows(store)
        assert [row["position"] for row in saved] == sorted(row["position"] for row in saved)
        assert {row["bundle"] for row in saved} == {"qualified|1|spell 1"}

    def test_a_key_says_rule_contact_kind_crm_target_and_cause(self, store: Store) -> None:
        made = plan(store, handover(1))
        assert [action.key for action in made.actions] == [
            STAGE_KEY,
            "qualified|1|assign|hubspot|hubspot_owner_id|spell 1",
            TASK_KEY,
        ]

    def test_names_with_the_separator_do_not_run_into_each_other(self, store: Store) -> None:
        made = plan(store, proposal(1, set_stage(1), rule="a|1", cause="x"), proposal(1, set_stage(1), rule="a", cause="1|x"))
        assert len({action.bundle for action in made.actions}) == 2

    def test_the_plan_does_not_depend_on_the_order_of_proposals(self, store: Store) -> None:
        bundles = [handover(contact, rule=rule) for contact in (1, 2, 3) for rule in ("a", "b")]
        one = [action.key for action in plan(store, *bundles, mode="shadow").actions]
        plan(store, mode="shadow", judged=[1, 2, 3])
        assert [action.key for action in plan(store, *reversed(bundles), mode="shadow").actions] == one

    def test_values_and_reasons_stand_beside_the_row(self, store: Store) -> None:
        made = plan(store, handover(1))
        assert made.id is not None
        with store.read() as connection:
            saved = ledger.plan_rows(connection, made.id)
        assert [(row["before"], row["after"]) for row in saved] == [("lead", "mql"), (None, "7"), (None, "mql-alert")]
        assert saved[0]["why"] == {"score": 61.5, "industry": "software"}
        assert saved[2]["task"]["subject"] == "MQL: Ada"
        assert {row["config_version"] for row in saved} == {"v1"}


class TestWhatIsAlreadySo:
    def test_the_same_cause_is_planned_once(self, store: Store) -> None:
        plan(store, handover(1))
        again = plan(store, handover(1), now=LATER)
        assert (again.id, again.actions) == (None, ())
        assert len(rows(store)) == 3

    def test_a_new_cause_is_planned(self, store: Store) -> None:
        plan(store, proposal(1, set_stage(1)))
        assert len(plan(store, proposal(1, set_stage(1), cause="spell 3"), now=LATER).actions) == 1

    def test_what_was_superseded_is_planned_again_under_the_same_key(self, store: Store) -> None:
        plan(store, proposal(1, set_stage(1)))
        put_state(store, STAGE_KEY, State.SUPERSEDED)
        assert [action.key for action in plan(store, proposal(1, set_stage(1)), now=LATER).actions] == [STAGE_KEY]

    @pytest.mark.parametrize("state", [State.APPLIED, State.REFUSED, State.COLLIDED, State.DROPPED, State.PARKED, State.UNKNOWN])
    def test_every_other_end_keeps_its_key(self, store: Store, state: State) -> None:
        plan(store, proposal(1, set_stage(1)))
        put_state(store, STAGE_KEY, state)
        assert plan(store, proposal(1, set_stage(1)), now=LATER).actions == ()

    def test_a_value_that_stands_there_already_is_no_action(self, store: Store) -> None:
        made = plan(store, proposal(1, set_stage(1, "mql", "mql"), assign(1, before="7"), task(1)))
        assert [action.kind for action in made.actions] == [Kind.CREATE_TASK]

    def test_a_proposal_given_twice_counts_once(self, store: Store) -> None:
        assert len(plan(store, handover(1), handover(1)).actions) == 3

    def test_a_part_planned_later_stands_in_its_place(self, store: Store) -> None:
        plan(store, proposal(1, set_stage(1), task(1)))
        plan(store, proposal(1, assign(1)), now=LATER)
        by_place = sorted(rows(store), key=lambda row: row["position"])
        assert [row["kind"] for row in by_place] == ["set_stage", "assign", "create_task"]


class TestOneOpenTask:
    def test_while_one_is_on_its_way_no_other_is_planned(self, store: Store) -> None:
        plan(store, proposal(1, task(1)))
        assert plan(store, proposal(1, task(1), rule="other"), now=LATER).actions == ()

    def test_of_two_in_a_pass_one_is_planned(self, store: Store) -> None:
        assert len(plan(store, proposal(1, task(1)), proposal(1, task(1), rule="other")).actions) == 1

    def test_another_purpose_or_contact_is_another_task(self, store: Store) -> None:
        made = plan(store, proposal(1, task(1)), proposal(1, task(1, "follow-up")), proposal(2, task(2)))
        assert len(made.actions) == 3

    @pytest.mark.parametrize(
        ("mirrored", "wanted"), [({"done": False}, 0), ({"done": True}, 1), ({"archived": True}, 1)], ids=["open", "done", "deleted"]
    )
    def test_a_created_one_counts_while_the_mirror_says_that_it_is_open(self, store: Store, mirrored: dict[str, bool], wanted: int) -> None:
        plan(store, proposal(1, task(1)))
        put_state(store, TASK_KEY, State.APPLIED, result_id="900", settled_at=NOW - timedelta(days=9))
        add_activity(store, crm="hubspot", object="tasks", id="900", key="mark", **mirrored)
        assert len(plan(store, proposal(1, task(1), rule="other"), now=LATER).actions) == wanted

    @pytest.mark.parametrize(("age", "wanted"), [(timedelta(hours=1), 0), (timedelta(days=2), 1)])
    def test_one_that_no_pull_brought_counts_for_a_day(self, store: Store, age: timedelta, wanted: int) -> None:
        plan(store, proposal(1, task(1)))
        put_state(store, TASK_KEY, State.APPLIED, result_id="900", settled_at=NOW)
        assert len(plan(store, proposal(1, task(1), rule="other"), now=NOW + age).actions) == wanted


class TestGuard:
    def test_what_fits_goes(self, store: Store) -> None:
        made = plan(store, *(proposal(n, set_stage(n)) for n in (1, 2)), guard=Guard(stage_changes=2, rule_share=1.0))
        assert made.held == 0
        assert made.guard["qualified/set_stage"] == {"wanted": 2, "used": 0, "rail": 2, "held": 0}

    def test_beyond_it_all_of_that_rule_and_kind_are_held_with_what_depends_on_them(self, store: Store) -> None:
        bundles = [handover(n) for n in (1, 2, 3)] + [handover(4, rule="other")]
        made = plan(store, *bundles, guard=Guard(stage_changes=2, rule_share=1.0))
        assert {action.rule for action in made.actions if action.state is State.HELD} == {"qualified"}
        assert {action.rule for action in made.actions if action.state is State.PLANNED} == {"other"}
        assert made.held == 9
        assert made.guard["qualified/set_stage"] == {"wanted": 3, "used": 0, "rail": 2, "held": 3}

    def test_what_comes_before_the_held_part_goes_on(self, store: Store) -> None:
        made = plan(store, *(handover(n) for n in (1, 2, 3)), guard=Guard(assign=2, rule_share=1.0))
        assert {(action.kind, action.state) for action in made.actions} == {
            (Kind.SET_STAGE, State.PLANNED),
            (Kind.ASSIGN, State.HELD),
            (Kind.CREATE_TASK, State.HELD),
        }

    def test_the_window_counts_what_was_done_in_it(self, store: Store) -> None:
        guard = Guard(stage_changes=3, rule_share=1.0)
        plan(store, *(proposal(n, set_stage(n)) for n in (1, 2)), guard=guard)
        within = plan(store, *(proposal(n, set_stage(n)) for n in (3, 4)), guard=guard, now=NOW + timedelta(hours=23), judged=[])
        assert within.guard["qualified/set_stage"] == {"wanted": 2, "used": 2, "rail": 3, "held": 2}
        after = plan(store, *(proposal(n, set_stage(n)) for n in (5,)), guard=guard, now=NOW + timedelta(hours=25), judged=[])
        assert after.guard["qualified/set_stage"] == {"wanted": 3, "used": 0, "rail": 3, "held": 2}
        assert after.held == 0

    @pytest.mark.parametrize("state", [State.SUPERSEDED, State.DROPPED])
    def test_what_came_to_nothing_does_not_count(self, store: Store, state: State) -> None:
        plan(store, proposal(1, set_stage(1)))
        put_state(store, STAGE_KEY, state)
        made = plan(store, proposal(2, set_stage(2)), guard=Guard(stage_changes=1, rule_share=1.0), now=LATER)
        assert made.guard["qualified/set_stage"]["used"] == 0
        assert made.held == 0

    def test_stages_that_go_down_have_a_rail_of_their_own(self, store: Store) -> None:
        down = [proposal(n, set_stage(n, "sql", "lead", backward=True)) for n in (1, 2)]
        made = plan(store, *down, guard=Guard(backward=1, rule_share=1.0))
        assert made.held == 2
        assert made.guard["qualified/backward"] == {"wanted": 2, "used": 0, "rail": 1, "held": 2}

    def test_later_ones_that_go_down_add_to_those_held(self, store: Store) -> None:
        guard = Guard(backward=1, rule_share=1.0)
        plan(store, *(proposal(n, set_stage(n, "sql", "lead", backward=True)) for n in (1, 2)), guard=guard)
        assert plan(store, proposal(3, set_stage(3, "sql", "lead", backward=True)), guard=guard, now=LATER).held == 1

    @pytest.mark.parametrize(("scope", "rail"), [(100, 5), (101, 6), (10, 1), (0, 1), (10_000, 200)])
    def test_a_rule_gets_its_share_of_the_contacts_or_the_rail_whichever_is_less(self, store: Store, scope: int, rail: int) -> None:
        made = plan(store, proposal(1, set_stage(1)), guard=Guard(), contacts_in_scope=scope)
        assert made.guard["qualified/set_stage"]["rail"] == rail

    def test_the_share_counts_contacts_though_a_stage_is_written_in_both_crms(self, store: Store) -> None:
        def both(number: int) -> Proposal:
            return proposal(number, set_stage(number), set_stage(number, crm="salesforce"))

        made = plan(store, *map(both, (1, 2, 3)), guard=Guard(), contacts_in_scope=60)
        assert made.held == 0
        assert made.guard["qualified/set_stage"] == {"wanted": 3, "used": 0, "rail": 3, "held": 0}
        more = plan(store, both(4), guard=Guard(), contacts_in_scope=60, now=LATER)
        assert more.guard["qualified/set_stage"] == {"wanted": 1, "used": 3, "rail": 3, "held": 2}

    def test_later_passes_add_to_the_same_held_plan(self, store: Store) -> None:
        guard = Guard(stage_changes=2, rule_share=1.0)
        first = plan(store, *(handover(n) for n in (1, 2, 3)), guard=guard)
        second = plan(store, handover(4), guard=guard, now=LATER)
        assert second.held == 3
        assert {row["plan"] for row in rows(store)} == {first.id} == {second.id}

    def test_a_part_added_behind_a_held_one_is_held_with_it(self, store: Store) -> None:
        guard = Guard(stage_changes=1, rule_share=1.0)
        first = plan(store, *(proposal(n, set_stage(n)) for n in (1, 2)), guard=guard)
        second = plan(store, handover(1), proposal(3, assign(3)), guard=guard, now=LATER)
        assert {(action.contact, action.state) for action in second.actions} == {(1, State.HELD), (3, State.PLANNED)}
        assert {row["plan"] for row in rows(store) if row["contact_id"] == 1} == {first.id}

    def test_a_held_one_proposed_again_stays_and_is_not_doubled(self, store: Store) -> None:
        guard = Guard(stage_changes=1, rule_share=1.0)
        plan(store, *(handover(n) for n in (1, 2)), guard=guard)
        again = plan(store, *(handover(n) for n in (1, 2)), guard=guard, now=LATER)
        assert (again.id, again.actions) == (None, ())
        assert set(states(store).values()) == {"held"}

    def test_a_held_one_that_is_no_longer_true_is_superseded_and_the_contact_judged_again(self, store: Store) -> None:
        guard = Guard(stage_changes=1, rule_share=1.0)
        plan(store, *(proposal(n, set_stage(n)) for n in (1, 2, 3)), guard=guard)
        plan(store, proposal(1, set_stage(1)), guard=guard, now=LATER, judged=[1, 2])
        assert [row["state"] for row in rows(store)] == ["held", "superseded", "held"]  # 3 was not asked
        assert due(store) == {2}

    def test_a_held_one_lapses_and_may_be_planned_anew(self, store: Store) -> None:
        guard = Guard(stage_changes=1, rule_share=1.0)
        plan(store, *(proposal(n, set_stage(n)) for n in (1, 2)), guard=guard)
        made = plan(store, proposal(1, set_stage(1)), guard=guard, now=NOW + timedelta(days=2), judged=[1])
        assert [row["state"] for row in rows(store)] == ["superseded", "superseded", "planned"]
        assert made.held == 0
        assert due(store) == {1, 2}


class TestTheDaysTasks:
    LIMIT = TaskLimits(a_day_an_owner=2)

    def test_beyond_the_limit_the_least_urgent_wait_for_the_next_day(self, store: Store) -> None:
        bundles = [proposal(n, task(n), urgency=float(n)) for n in (1, 2, 3, 4)]
        made = plan(store, *bundles, task_limits=self.LIMIT)
        assert {action.contact for action in made.actions if action.state is State.PLANNED} == {3, 4}
        assert {row["retry_at"] for row in rows(store) if row["state"] == "waiting"} == {NEXT_DAY}

    def test_each_owner_has_his_own(self, store: Store) -> None:
        bundles = [proposal(n, task(n, owner=str(n % 2))) for n in (1, 2, 3, 4)]
        assert {action.state for action in plan(store, *bundles, task_limits=self.LIMIT).actions} == {State.PLANNED}

    def test_what_was_given_earlier_in_the_day_counts(self, store: Store) -> None:
        plan(store, proposal(1, task(1)), proposal(2, task(2)), task_limits=self.LIMIT)
        put_state(store, TASK_KEY, State.APPLIED)
        made = plan(store, proposal(3, task(3), urgency=99.0), task_limits=self.LIMIT, now=LATER)
        assert [action.state for action in made.actions] == [State.WAITING]

    def test_the_next_day_they_are_ranked_with_what_is_new(self, store: Store) -> None:
        plan(store, *(proposal(n, task(n), urgency=float(n)) for n in (1, 2, 3, 4)), task_limits=self.LIMIT)
        tomorrow: dict[str, Any] = {"now": NEXT_DAY + timedelta(hours=9), "day_start": NEXT_DAY, "next_day": NEXT_DAY + timedelta(days=1)}
        made = plan(store, proposal(5, task(5), urgency=5.0), task_limits=self.LIMIT, **tomorrow)
        assert [action.state for action in made.actions] == [State.PLANNED]
        by_contact = {row["contact_id"]: row for row in rows(store)}
        assert (by_contact[2]["state"], by_contact[1]["state"]) == ("planned", "waiting")
        assert by_contact[1]["retry_at"] == tomorrow["next_day"]
        again = plan(store, proposal(6, task(6), urgency=9.0), task_limits=self.LIMIT, **tomorrow)
        assert [action.state for action in again.actions] == [State.WAITING], "the one that waited for today counts today"

    def test_without_a_limit_what_waits_is_freed(self, store: Store) -> None:
        plan(store, *(proposal(n, task(n)) for n in (1, 2, 3)), task_limits=self.LIMIT)
        plan(store, now=NEXT_DAY, day_start=NEXT_DAY, next_day=NEXT_DAY + timedelta(days=1))
        assert set(states(store).values()) == {"planned"}


class TestShadow:
    def test_rows_end_in_shadow_and_take_no_key(self, store: Store) -> None:
        plan(store, handover(1), mode="shadow")
        live = plan(store, handover(1), now=LATER)
        assert len(live.actions) == 3
        assert [row["state"] for row in rows(store)] == ["shadow"] * 3 + ["planned"] * 3

    def test_it_tells_what_is_new_from_what_was_there_before(self, store: Store) -> None:
        first = plan(store, proposal(1, set_stage(1)), mode="shadow")
        assert [action.new for action in first.actions] == [True]
        second = plan(store, proposal(1, set_stage(1)), proposal(2, set_stage(2)), mode="shadow", now=LATER)
        assert {action.contact: action.new for action in second.actions} == {1: False, 2: True}

    def test_the_third_plan_equals_the_second_and_is_stored_once(self, store: Store) -> None:
        plan(store, handover(1), mode="shadow")
        second = plan(store, handover(1), mode="shadow", now=LATER)
        third = plan(store, handover(1), mode="shadow", now=LATER + timedelta(minutes=5))
        assert second == third
        assert {row["new"] for row in rows(store)} == {False}
        assert len(rows(store)) == 3

    def test_what_comes_back_after_an_empty_pass_is_new(self, store: Store) -> None:
        plan(store, handover(1), mode="shadow")
        plan(store, mode="shadow", now=LATER, judged=[1])
        assert {action.new for action in plan(store, handover(1), mode="shadow", now=LATER).actions} == {True}

    def test_it_says_what_would_be_held(self, store: Store) -> None:
        made = plan(store, *(proposal(n, set_stage(n)) for n in (1, 2)), mode="shadow", guard=Guard(stage_changes=1, rule_share=1.0))
        assert made.held == 2
        assert made.guard["qualified/set_stage"]["held"] == 2
        assert {action.state for action in made.actions} == {State.SHADOW}

    def test_it_leaves_live_rows_alone(self, store: Store) -> None:
        guard = Guard(stage_changes=1, rule_share=1.0)
        plan(store, *(proposal(n, set_stage(n)) for n in (1, 2)), guard=guard)
        plan(store, mode="shadow", guard=guard, now=NOW + timedelta(days=9), judged=[1, 2])
        assert set(states(store).values()) == {"held"}


class TestSaving:
    def test_an_empty_pass_saves_nothing(self, store: Store) -> None:
        assert plan(store).id is None
        assert plan(store, mode="shadow").id is None
        with store.read() as connection:
            assert connection.execute(select(metadata.tables["plan"])).all() == []

    def test_thousands_are_saved_in_slices(self, store: Store) -> None:
        made = plan(store, *(handover(n) for n in range(1, 1201)), guard=Guard(stage_changes=9999, assign=9999, tasks=9999, rule_share=1.0))
        assert len(made.actions) == 3600
        with store.read() as connection:
            values = metadata.tables["action_value"]
            joined = select(LEDGER.c.key, values.c.after).join(values, values.c.ledger == LEDGER.c.id)
            saved = dict(connection.execute(joined).tuples().all())
        assert saved == {action.key: action.after for action in made.actions}

    def test_the_machine_output_has_its_shape(self, store: Store) -> None:
        made = plan(store, proposal(1, set_stage(1)))
        assert actions_json(made) == {
            "plan": made.id,
            "actions": [
                {
                    "key": STAGE_KEY,
                    "bundle": "qualified|1|spell 1",
                    "kind": "set_stage",
                    "rule": "qualified",
                    "contact": 1,
                    "crm": "hubspot",
                    "object": "contacts",
                    "id": "1",
                    "before": "lead",
                    "after": "mql",
                    "why": {"score": 61.5, "industry": "software"},
                    "state": "planned",
                    "new": True,
                }
            ],
            "held": 0,
            "guard": {"qualified/set_stage": {"wanted": 1, "used": 0, "rail": 200, "held": 0}},
        }


@settings(max_examples=25)
@given(
    wanted=st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["a", "b"]), st.integers(1, 2)), max_size=12),
    rail=st.integers(1, 4),
    passes=st.integers(1, 3),
)
def test_no_rule_ever_exceeds_its_rail_and_no_key_is_held_twice(
    kept_databases: Callable[[str], str], wanted: list[tuple[int, str, int]], rail: int, passes: int
) -> None:
    with empty_store(kept_databases("plan")) as store:
        add_contacts(store, *range(1, 7))
        for number in range(passes):
            now = NOW + timedelta(minutes=number)
            bundles = [handover(contact, rule=rule, cause=f"spell {cause}") for contact, rule, cause in wanted[number::passes]]
            plan(store, *bundles, guard=Guard(stage_changes=rail, assign=rail, tasks=rail, rule_share=1.0), now=now, judged=[])
        going = [row for row in rows(store) if row["state"] == "planned"]
        for group in {(row["rule"], row["kind"]) for row in going}:
            assert sum((row["rule"], row["kind"]) == group for row in going) <= rail
        keys = [row["key"] for row in rows(store)]
        assert len(keys) == len(set(keys))
        held = {row["bundle"]: row["position"] for row in reversed(rows(store)) if row["state"] == "held"}
        assert all(row["position"] < held[row["bundle"]] for row in going if row["bundle"] in held)


def test_a_write_that_is_run_again_plans_the_same(store: Store) -> None:
    """PostgreSQL runs a transaction again that lost a deadlock: nothing of the first run may be left."""
    guard = Guard(rule_share=1.0, stage_changes=1)
    plan(rerunning(store), handover(1), guard=guard, task_limits=TaskLimits(a_day_an_owner=1))
    more = plan(rerunning(store), handover(2), handover(3), guard=guard, task_limits=TaskLimits(a_day_an_owner=1))
    assert {row["contact_id"]: row["state"] for row in rows(store) if row["kind"] == Kind.SET_STAGE} == {1: "planned", 2: "held", 3: "held"}
    assert more.guard["qualified/set_stage"] == {"wanted": 2, "used": 1, "rail": 1, "held": 2}
    assert more.held == 6
