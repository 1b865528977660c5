"""From the ledger to the CRM and back: bundles and their order, people who edit meanwhile, pauses, several processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import select

from connector.errors import LeaseLost
from connector.model import State
from connector.pipeline.write_back import WriteBackTerms, WrittenBack, write_back
from connector.store import leases, pauses
from connector.store.mirror import pages
from connector.store.tables import metadata
from tests.pipeline.write_back.support import STAGE_KEY, TASK_KEY, World, found, row_of, wide, worlds
from tests.support.actions import (
    NOW,
    assign,
    due,
    handover,
    proposal,
    put_state,
    rows,
    set_stage,
    states,
    task,
)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with worlds(request) as made:
        yield made


class TestABundle:
    def test_is_written_in_its_order_and_read_again(self, world: World) -> None:
        world.plan(handover(1))
        result = world.run()
        assert result.outcomes == {State.APPLIED: 3}
        assert [(effect.what, effect.value) for effect in world.hubspot.log] == [("set", "mql"), ("set", "7"), ("task", "1")]
        assert [row["read_back"] for row in rows(world.store)] == [True] * 3
        assert found(world) == ["mql", "7", None]
        assert row_of(world, TASK_KEY)["result_id"] == world.hubspot.tasks()[0].id

    def test_the_task_is_on_the_right_record_and_owner(self, world: World) -> None:
        world.plan(handover(1))
        world.run()
        made = world.hubspot.tasks()[0]
        assert ([about.id for about in made.contacts], made.owner_id, made.channel) == (["1"], "7", "call")

    def test_the_mirror_takes_what_was_read_again_and_the_contact_is_due(self, world: World) -> None:
        page = next(world.hubspot.pull("contacts", None, now=NOW))
        pages.commit_page(world.store, page, now=NOW)
        world.plan(handover(1))
        world.run()
        record = metadata.tables["record"]
        with world.store.read() as connection:
            mirrored = connection.execute(select(record.c.properties).where(record.c.id == "1")).scalar_one()
        assert mirrored == {"lifecyclestage": "mql", "hubspot_owner_id": "7"}
        assert due(world.store) == {1}

    def test_many_go_in_batches(self, world: World) -> None:
        world.people(*range(10, 260))
        world.plan(*(proposal(n, set_stage(n)) for n in range(10, 260)), guard=wide())
        world.run()
        assert world.hubspot.requests == {"read": 6, "update": 3}

    def test_the_same_record_twice_goes_in_two_requests_and_the_second_sees_the_first(self, world: World) -> None:
        world.plan(proposal(1, set_stage(1)), proposal(1, set_stage(1, "lead", "customer"), rule="other"))
        result = world.run()
        assert result.outcomes == {State.APPLIED: 1, State.SUPERSEDED: 1}

    def test_a_part_waits_for_one_that_is_held(self, world: World) -> None:
        world.plan(handover(1))
        put_state(world.store, STAGE_KEY, State.HELD)
        assert world.run().outcomes == {}
        put_state(world.store, STAGE_KEY, State.APPROVED)
        assert world.run().outcomes == {State.APPLIED: 3}

    def test_a_part_planned_behind_a_failed_one_is_blocked(self, world: World) -> None:
        world.plan(proposal(1, set_stage(1)))
        put_state(world.store, STAGE_KEY, State.REFUSED)
        world.plan(handover(1))
        assert world.run().outcomes == {State.BLOCKED: 2}
        assert world.hubspot.log == []

    def test_waiting_tasks_go_when_their_day_comes(self, world: World) -> None:
        world.plan(proposal(1, task(1)))
        put_state(world.store, TASK_KEY, State.WAITING, retry_at=NOW + timedelta(hours=14))
        assert world.run().outcomes == {}
        assert world.run_later(hours=14).outcomes == {State.APPLIED: 1}

    def test_a_task_whose_values_were_deleted_for_privacy_is_not_created_and_others_are(self, world: World) -> None:
        world.plan(proposal(1, task(1)), proposal(2, task(2)))
        values = metadata.tables["action_value"]
        emptied = values.update().where(values.c.contact_id == 1).values(before=None, after=None, why=None, task=None)
        world.store.write(lambda connection: connection.execute(emptied))
        assert world.run().outcomes == {State.SUPERSEDED: 1, State.APPLIED: 1}

    def test_progress_is_told(self, world: World) -> None:
        told: list[tuple[int, int]] = []
        world.plan(handover(1), handover(2))
        world.run(progress=lambda done, known: told.append((done, known)))
        assert told == [(2, 6), (4, 6), (6, 6)]


class TestAPersonsEditWins:
    def test_what_changed_since_the_decision_is_not_written(self, world: World) -> None:
        world.plan(handover(1), handover(2))
        world.hubspot.edit("contacts", "1", lifecyclestage="customer")
        result = world.run()
        assert result.outcomes == {State.SUPERSEDED: 3, State.APPLIED: 3}
        assert world.stage(1) == "customer"
        assert world.hubspot.value("contacts", "1", "hubspot_owner_id") is None
        assert 1 in due(world.store)

    def test_the_mirror_learns_of_it(self, world: World) -> None:
        pages.commit_page(world.store, next(world.hubspot.pull("contacts", None, now=NOW)), now=NOW)
        world.plan(proposal(1, set_stage(1)))
        world.hubspot.edit("contacts", "1", lifecyclestage="customer")
        world.run()
        record = metadata.tables["record"]
        with world.store.read() as connection:
            mirrored = connection.execute(select(record.c.properties).where(record.c.id == "1")).scalar_one()
        assert mirrored["lifecyclestage"] == "customer"

    def test_what_a_person_did_already_is_already_so(self, world: World) -> None:
        world.plan(proposal(1, set_stage(1)))
        world.hubspot.edit("contacts", "1", lifecyclestage="mql")
        assert world.run().outcomes == {State.ALREADY_SO: 1}
        assert world.hubspot.log == []

    def test_empty_and_nothing_are_the_same_and_case_is_not(self, world: World) -> None:
        world.plan(proposal(1, assign(1, before="")), proposal(2, set_stage(2, "Lead")))
        assert world.run().outcomes == {State.APPLIED: 1, State.SUPERSEDED: 1}

    def test_an_edit_right_after_our_write_is_reported_and_stays(self, world: World) -> None:
        world.plan(handover(1))
        world.hubspot.between("update", lambda: world.hubspot.edit("contacts", "1", lifecyclestage="customer"))
        assert world.run().outcomes == {State.COLLIDED: 1, State.BLOCKED: 2}
        assert world.stage(1) == "customer"
        assert row_of(world, STAGE_KEY)["read_back"] is False
        assert 1 in due(world.store)

    def test_a_task_that_someone_takes_over_at_once_is_reported(self, world: World) -> None:
        def take_over() -> None:
            made = world.hubspot.tasks()[0]
            world.hubspot.put(cast(Any, made).__class__(**{**_fields(made), "owner_id": "99"}))

        world.plan(proposal(1, task(1)))
        world.hubspot.between("create_tasks", take_over)
        assert world.run().outcomes == {State.COLLIDED: 1}
        assert "owner" in row_of(world, TASK_KEY)["message"]


class TestStopping:
    def test_everything_paused_sends_nothing(self, world: World) -> None:
        world.plan(handover(1))
        pauses.pause(world.store, now=NOW)
        result = world.run()
        assert (list(result.paused), result.outcomes, world.hubspot.calls()) == ([("all", "")], {}, 0)
        pauses.resume(world.store, now=NOW)
        assert world.run().outcomes == {State.APPLIED: 3}

    def test_one_crm_or_one_rule_paused_leaves_the_others(self, world: World) -> None:
        world.plan(proposal(1, set_stage(1)), proposal(2, set_stage(2, crm="salesforce")), proposal(3, set_stage(3), rule="other"))
        pauses.pause(world.store, "crm", "salesforce", now=NOW)
        pauses.pause(world.store, "rule", "other", now=NOW)
        assert world.run().outcomes == {State.APPLIED: 1}
        assert [world.stage(1), world.stage(2, "salesforce"), world.stage(3)] == ["mql", "lead", "lead"]

    def test_a_pause_in_the_middle_takes_effect_before_the_next_batch(self, world: World) -> None:
        world.plan(handover(1))
        world.hubspot.between("update", lambda: pauses.pause(world.store, now=NOW))
        assert world.run().outcomes == {State.APPLIED: 1}
        assert states(world.store)[TASK_KEY] == "planned"

    def test_being_told_to_stop_finishes_the_batch_in_hand(self, world: World) -> None:
        world.plan(handover(1))
        answers = iter([False, True])
        assert world.run(stopped=lambda: next(answers)).outcomes == {State.APPLIED: 1}
        assert world.run().outcomes == {State.APPLIED: 2}

    def test_a_crm_that_the_file_does_not_have_is_left_alone(self, world: World) -> None:
        world.plan(proposal(1, set_stage(1, crm="salesforce")))
        result = write_back(world.store, {"hubspot": world.hubspot}, WriteBackTerms(now=world.clock, holder="one"))
        assert (result.outcomes, set(states(world.store).values())) == ({}, {"planned"})


class TestTwoProcesses:
    def test_one_at_a_time(self, world: World) -> None:
        world.plan(handover(1))
        inner: list[WrittenBack] = []
        world.hubspot.between("read", lambda: inner.append(world.run(holder="two")))
        assert world.run().outcomes == {State.APPLIED: 3}
        assert isinstance(inner[0].errors[0], LeaseLost)

    def test_who_lost_the_lease_between_two_batches_claims_nothing_more(self, world: World) -> None:
        world.plan(handover(1))
        result = world.run(progress=lambda *_: leases.take(world.store, "write_back", "one", 120, NOW.timestamp))
        assert [type(error) for error in result.errors] == [LeaseLost]
        assert list(states(world.store).values()) == ["applied", "planned", "planned"]

    @pytest.mark.parametrize("call", ["read", "update", "create_tasks", "read_tasks"])
    def test_one_that_wakes_after_another_took_over_does_no_harm(self, world: World, call: Any) -> None:
        """The first loses its lease while it waits for an answer; the second finishes everything; then the first goes on."""

        def overtake() -> None:
            world.clock.forward(minutes=10)
            second.append(world.run(holder="two"))

        second: list[WrittenBack] = []
        world.plan(handover(1), handover(2))
        world.hubspot.between(call, overtake)
        first = world.run()
        assert any(isinstance(error, LeaseLost) for error in first.errors)
        assert first.outcomes + second[0].outcomes == {State.APPLIED: 6}
        assert sorted(about.id for made in world.hubspot.tasks() for about in made.contacts) == ["1", "2"]
        assert [world.stage(1), world.stage(2)] == ["mql", "mql"]

    def test_threads_that_race_do_everything_once(self, world: World) -> None:
        ids = range(10, 30)
        world.people(*ids)
        world.hubspot.writes_a_call = 3
        world.plan(*(handover(n) for n in ids))
        failures: list[BaseException] = []

        def work(holder: str) -> None:
            try:
                while {"planned", "sending", "unknown"} & set(states(world.store).values()):
                    world.run(holder=holder)
            except BaseException as failure:  # noqa: BLE001 - it is asserted on below
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two", "three")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert set(states(world.store).values()) == {"applied"}
        assert len(world.hubspot.log) == 3 * len(ids)


def _fields(thing: Any) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in thing.__dataclass_fields__}
