"""Writing back where the CRM refuses, fails as a whole, or loses answers: nothing is lost, nothing done twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import pytest

from connector.adapters.memory.crm import MemoryCrm
from connector.errors import AnswerLost, CrmError, ObjectStopped, Rejected, Retriable
from connector.model import FieldWrite, State, WriteOutcome
from connector.pipeline.write_back import WriteBackTerms, write_back
from tests.pipeline.write_back.support import DOWN, STAGE_KEY, TASK_KEY, World, row_of, worlds
from tests.support.actions import (
    assign,
    handover,
    proposal,
    rows,
    set_stage,
    states,
    task,
)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with worlds(request) as made:
        yield made


class TestRefusals:
    def test_one_is_refused_the_rest_of_its_bundle_blocked_and_others_go_on(self, world: World) -> None:
        world.plan(handover(1), handover(2))
        world.hubspot.refuse("1", "the value is not one of the options", code="INVALID_OPTION")
        assert world.run().outcomes == {State.REFUSED: 1, State.BLOCKED: 2, State.APPLIED: 3}
        refused = row_of(world, STAGE_KEY)
        assert (refused["code"], refused["message"]) == ("INVALID_OPTION", "the value is not one of the options")
        assert all(row["next_step"] for row in rows(world.store) if row["contact_id"] == 1)

    def test_a_record_that_is_gone_is_refused_with_the_next_step(self, world: World) -> None:
        world.plan(proposal(1, set_stage(1)))
        world.hubspot.delete("contacts", "1")
        assert world.run().outcomes == {State.REFUSED: 1}
        assert row_of(world, STAGE_KEY)["next_step"]

    def test_a_success_that_was_none_is_refused(self, world: World) -> None:
        world.plan(proposal(1, set_stage(1)))
        world.hubspot.ignore("1")
        assert world.run().outcomes == {State.REFUSED: 1}
        assert row_of(world, STAGE_KEY)["code"] == "NOT_TAKEN"

    def test_a_batch_rejected_for_one_row_goes_on_without_it(self, world: World) -> None:
        world.people(*range(10, 18))
        world.plan(*(proposal(n, set_stage(n)) for n in range(10, 18)))
        strict = _RejectsWhole(world.hubspot, "13")
        result = write_back(world.store, {"hubspot": cast(Any, strict)}, WriteBackTerms(now=world.clock, holder="one"))
        assert result.outcomes == {State.APPLIED: 7, State.REFUSED: 1}

    def test_what_is_not_taken_now_is_parked_and_tried_again(self, world: World) -> None:
        world.plan(handover(1))
        world.hubspot.busy("1", 2)
        assert world.run().outcomes == {State.PARKED: 1}
        assert world.run().outcomes == {}, "not before its time"
        assert world.run_later(minutes=2).outcomes == {State.PARKED: 1}
        assert world.run_later(minutes=2).outcomes == {}, "each time it waits twice as long"
        assert world.run_later(minutes=2).outcomes == {State.APPLIED: 3}

    def test_after_five_tries_it_is_refused(self, world: World) -> None:
        world.plan(proposal(1, task(1)))
        world.hubspot.busy("1", 99)
        ends = [world.run_later(hours=1).outcomes for _ in range(5)]
        assert ends == [{State.PARKED: 1}] * 4 + [{State.REFUSED: 1}]
        assert row_of(world, TASK_KEY)["tries"] == 5

    def test_a_parked_task_is_not_looked_up_since_it_was_certainly_not_created(self, world: World) -> None:
        world.plan(proposal(1, task(1)))
        world.hubspot.busy("1", 1)
        world.run()
        world.run_later(minutes=5)
        assert world.hubspot.requests["find_tasks"] == 0
        assert len(world.hubspot.tasks()) == 1


class TestAWholeCallFails:
    @pytest.mark.parametrize("error", [DOWN, Retriable("no answer", crm="hubspot"), ObjectStopped("a scope is missing", crm="hubspot")])
    def test_before_anything_was_sent_rows_stand_as_they_stood_and_the_other_crm_goes_on(self, world: World, error: CrmError) -> None:
        world.plan(proposal(1, set_stage(1)), proposal(2, set_stage(2, crm="salesforce")))
        before = row_of(world, STAGE_KEY)
        world.hubspot.fail("read", error)
        result = world.run()
        assert (result.outcomes, result.errors) == ({State.APPLIED: 1}, (error,))
        assert row_of(world, STAGE_KEY) == before | {"fence": 1}
        assert world.stage(2, "salesforce") == "mql"
        assert world.run().outcomes == {State.APPLIED: 1}

    def test_a_crm_that_is_down_is_asked_once(self, world: World) -> None:
        world.plan(proposal(1, set_stage(1)), proposal(2, assign(2)), proposal(3, task(3)))
        world.hubspot.fail("read", DOWN)
        assert world.run().errors == (DOWN,)
        assert world.hubspot.calls() == 1

    def test_an_object_that_is_stopped_leaves_the_others(self, world: World) -> None:
        error = ObjectStopped("contacts cannot be read", crm="hubspot")
        world.plan(proposal(1, task(1)), proposal(2, set_stage(2)))
        world.hubspot.fail("read", error)
        result = world.run()
        assert (result.outcomes, result.errors) == ({State.APPLIED: 1}, (error,))

    @pytest.mark.parametrize("error", [Retriable("no answer", crm="hubspot"), AnswerLost("no answer", crm="hubspot")])
    @pytest.mark.parametrize("done", [True, False])
    def test_a_set_that_may_have_been_written_is_unknown_until_it_is_read(self, world: World, error: CrmError, done: bool) -> None:
        world.plan(handover(1))
        world.hubspot.fail("update", error, done=done)
        assert world.run().outcomes == {State.UNKNOWN: 1}
        assert world.run().outcomes == {State.APPLIED: 3}
        assert world.stage(1) == "mql"

    @pytest.mark.parametrize("done", [True, False])
    @pytest.mark.parametrize("error", [DOWN, AnswerLost("no answer", crm="hubspot"), Retriable("no answer", crm="hubspot")])
    def test_a_task_that_may_have_been_created_is_created_once(self, world: World, error: CrmError, done: bool) -> None:
        world.plan(proposal(1, task(1)))
        world.hubspot.fail("create_tasks", error, done=done)
        assert world.run().errors == (error,)
        world.run_later(seconds=30)
        assert world.run_later(seconds=31).errors == ()
        assert len(world.hubspot.tasks()) == 1
        assert states(world.store)[TASK_KEY] == "applied"

    def test_written_and_not_read_again_is_unknown_until_it_is(self, world: World) -> None:
        world.plan(handover(1))
        world.hubspot.between("update", lambda: world.hubspot.fail("read", DOWN))
        world.hubspot.between("create_tasks", lambda: world.hubspot.fail("read_tasks", DOWN))
        assert world.run().outcomes == {State.UNKNOWN: 1}
        assert world.run().outcomes == {State.APPLIED: 2, State.UNKNOWN: 1}
        assert world.run().outcomes == {State.APPLIED: 1}, "its id is known: no need to wait"
        assert len(world.hubspot.tasks()) == 1

    def test_a_failing_look_up_leaves_the_task_unknown(self, world: World) -> None:
        world.plan(proposal(1, task(1)))
        world.hubspot.lose_answers(1)
        world.run()
        world.hubspot.fail("find_tasks", DOWN)
        assert world.run_later(minutes=2).errors == (DOWN,)
        assert states(world.store)[TASK_KEY] == "unknown"
        assert world.run_later(minutes=2).outcomes == {State.APPLIED: 1}
        assert len(world.hubspot.tasks()) == 1


class TestLostAnswers:
    def test_a_task_is_looked_up_before_it_is_created_again(self, world: World) -> None:
        world.plan(proposal(1, task(1)))
        world.hubspot.lose_answers(1)
        assert world.run().outcomes == {State.UNKNOWN: 1}
        assert world.run_later(seconds=1).outcomes == {State.APPLIED: 1}
        assert len(world.hubspot.tasks()) == 1

    def test_a_look_up_that_lags_is_waited_for(self, world: World) -> None:
        world.hubspot.lookup_lag = timedelta(seconds=50)
        world.plan(proposal(1, task(1)))
        world.hubspot.lose_answers(1)
        world.run()
        assert world.run_later(seconds=20).outcomes == {State.UNKNOWN: 1}
        assert world.run_later(seconds=41).outcomes == {State.APPLIED: 1}
        assert len(world.hubspot.tasks()) == 1

    def test_the_wait_counts_from_the_last_time_it_was_sent(self, world: World) -> None:
        world.hubspot.lookup_lag = timedelta(seconds=50)
        world.plan(proposal(1, task(1)))
        world.hubspot.fail("create_tasks", AnswerLost("no answer", crm="hubspot"))
        world.run()
        world.hubspot.lose_answers(1)
        assert world.run_later(seconds=61).outcomes == {State.UNKNOWN: 1}, "sent again"
        assert world.run_later(seconds=10).outcomes == {State.UNKNOWN: 1}
        world.run_later(seconds=51)
        assert len(world.hubspot.tasks()) == 1

    def test_a_stage_that_was_emptied_first_is_written_after_all(self, world: World) -> None:
        world.hubspot.edit("contacts", "1", lifecyclestage="sql")
        world.plan(proposal(1, set_stage(1, "sql", "lead", backward=True)))
        crm = _DiesBetweenTheTwo(world.hubspot)
        result = write_back(world.store, {"hubspot": cast(Any, crm)}, WriteBackTerms(now=world.clock, holder="one"))
        assert (result.outcomes, world.stage(1)) == ({State.UNKNOWN: 1}, None)
        assert world.run().outcomes == {State.APPLIED: 1}
        assert world.stage(1) == "lead"

    def test_a_person_who_set_another_value_meanwhile_wins(self, world: World) -> None:
        world.plan(proposal(1, set_stage(1)))
        world.hubspot.lose_answers(1)
        world.run()
        world.hubspot.edit("contacts", "1", lifecyclestage="customer")
        assert world.run().outcomes == {State.SUPERSEDED: 1}
        assert world.stage(1) == "customer"


class _RejectsWhole:
    """A CRM that rejects a batch as a whole when one record in it is bad."""

    def __init__(self, crm: MemoryCrm, bad: str) -> None:
        self._crm = crm
        self._bad = bad

    def __getattr__(self, name: str) -> Any:
        return getattr(self._crm, name)

    def update(self, object_name: str, writes: list[FieldWrite]) -> list[WriteOutcome]:
        if any(write.record.id == self._bad for write in writes):
            raise Rejected("one of the values is not allowed", crm="hubspot", code="VALIDATION_ERROR")
        return self._crm.update(object_name, writes)


class _DiesBetweenTheTwo:
    """A CRM that empties the property and loses the answer to what comes then."""

    def __init__(self, crm: MemoryCrm) -> None:
        self._crm = crm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._crm, name)

    def update(self, object_name: str, writes: list[FieldWrite]) -> list[WriteOutcome]:
        assert all(write.clear_first for write in writes)
        for write in writes:
            self._crm.edit(object_name, write.record.id, **dict.fromkeys(write.properties))
        raise AnswerLost("no answer", crm="hubspot")
