"""From the ledger to the CRM and back: outcomes, bundles, lost answers, crashes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from action_samples import (
    NOW,
    OWNER,
    PEOPLE,
    STAGE,
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
from sqlalchemy import Connection, select

from connector.adapters.memory import MemoryCrm
from connector.errors import AnswerLost, CrmError, LeaseLost, ObjectStopped, PassStopped, Rejected, Retriable
from connector.model import CrmName, FieldWrite, Proposal, State, TaskWrite, WriteOutcome
from connector.store import leases, mirror, pauses
from connector.store.database import Store
from connector.store.tables import metadata
from connector.write_back import WrittenBack, write_back

STAGE_KEY = "qualified|1|set_stage|hubspot|lifecyclestage|spell 1"
TASK_KEY = "qualified|1|create_task|hubspot|mql-alert|spell 1"
DOWN = PassStopped("the credentials were refused", crm="hubspot", advice="Renew them.")


@dataclass
class Clock:
    """The time, for the connector and the CRMs; it stands until it is moved on."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **step: float) -> None:
        self.at += timedelta(**step)


@dataclass
class World:
    """A store, two CRMs with people in them, and a clock."""

    store: Store
    clock: Clock = field(default_factory=Clock)
    hubspot: MemoryCrm = field(init=False)
    salesforce: MemoryCrm = field(init=False)

    def __post_init__(self) -> None:
        self.hubspot = MemoryCrm(name="hubspot", clock=self.clock)
        self.salesforce = MemoryCrm(name="salesforce", clock=self.clock)

    def people(self, *ids: int, stage: str = "lead") -> None:
        add_contacts(self.store, *ids)
        for crm in (self.hubspot, self.salesforce):
            for number in ids:
                crm.person(PEOPLE[crm.name], f"{number}", **{STAGE[crm.name]: stage, OWNER[crm.name]: None})

    def plan(self, *proposals: Proposal, **more: Any) -> None:
        plan(self.store, *proposals, now=self.clock.at, **more)

    def run(self, **more: Any) -> WrittenBack:
        crms: Any = {"hubspot": self.hubspot, "salesforce": self.salesforce}
        terms: dict[str, Any] = {"now": self.clock, "holder": "one"}
        return write_back(self.store, crms, **(terms | more))

    def run_later(self, **step: float) -> WrittenBack:
        self.clock.forward(**step)
        return self.run()

    def stage(self, number: int, crm: CrmName = "hubspot") -> Any:
        return self._crm(crm).value(PEOPLE[crm], f"{number}", STAGE[crm])

    def _crm(self, name: CrmName) -> MemoryCrm:
        return self.hubspot if name == "hubspot" else self.salesforce


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with opened_for(request, tmp_path) as store:
        made = World(store)
        made.people(1, 2, 3)
        yield made


def row_of(world: World, key: str) -> dict[str, Any]:
    return next(row for row in rows(world.store) if row["key"] == key)


def found(world: World) -> list[str | None]:
    values = metadata.tables["action_value"]
    with world.store.read() as connection:
        return list(connection.execute(select(values.c.found).order_by(values.c.ledger)).scalars())


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
        mirror.commit_page(world.store, page, now=NOW)
        world.plan(handover(1))
        world.run()
        record = metadata.tables["record"]
        with world.store.read() as connection:
            mirrored = connection.execute(select(record.c.properties).where(record.c.id == "1")).scalar_one()
        assert mirrored == {"lifecyclestage": "mql", "hubspot_owner_id": "7"}
        assert due(world.store) == {1}

    def test_many_go_in_batches(self, world: World) -> None:
        world.people(*range(10, 260))
        world.plan(*(proposal(n, set_stage(n)) for n in range(10, 260)), guard=_wide())
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
        mirror.commit_page(world.store, next(world.hubspot.pull("contacts", None, now=NOW)), now=NOW)
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
        result = write_back(world.store, {"hubspot": cast(Any, strict)}, now=world.clock, holder="one")
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
        result = write_back(world.store, {"hubspot": cast(Any, crm)}, now=world.clock, holder="one")
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


class TestStopping:
    def test_everything_paused_sends_nothing(self, world: World) -> None:
        world.plan(handover(1))
        pauses.pause(world.store, now=NOW)
        result = world.run()
        assert (result.paused, result.outcomes, world.hubspot.calls()) == (True, {}, 0)
        pauses.resume(world.store)
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
        result = write_back(world.store, {"hubspot": world.hubspot}, now=world.clock, holder="one")
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


class Crash(BaseException):
    """The process is gone: nothing of ours may catch this, and nothing of it goes on afterwards."""


class Countdown:
    """Ends the process at its n-th step."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.over = False

    def step(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.over = True
            raise Crash


class CrashingStore:
    """A store whose process may be gone before and after each transaction."""

    def __init__(self, store: Store, countdown: Countdown) -> None:
        self._store = store
        self._countdown = countdown

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self._countdown.step()
        with self._store.read() as connection:
            yield connection

    def write(self, work: Callable[[Connection], Any]) -> Any:
        self._countdown.step()
        result = self._store.write(work)
        self._countdown.step()
        return result


class CrashingCrm(MemoryCrm):
    """A CRM whose caller may be gone before and after each call, and between the rows of one."""

    countdown: Countdown = Countdown(10**9)

    def _begin(self, call: Any) -> None:
        self.countdown.step()
        super()._begin(call)

    def _end(self, call: Any) -> None:
        super()._end(call)
        self.countdown.step()

    def _clear(self, object_name: str, write: FieldWrite) -> None:
        super()._clear(object_name, write)
        self.countdown.step()

    def _update_one(self, object_name: str, write: FieldWrite) -> WriteOutcome:
        outcome = super()._update_one(object_name, write)
        self.countdown.step()
        return outcome

    def _create_one(self, write: TaskWrite) -> WriteOutcome:
        outcome = super()._create_one(write)
        self.countdown.step()
        return outcome


class TestCrashes:
    """The process is gone at every step there is; the next run ends everything, once."""

    @pytest.fixture(params=["sqlite", "postgresql"])
    def world(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
        with opened_for(request, tmp_path) as store:
            made = World(store)
            made.hubspot = CrashingCrm(name="hubspot", clock=made.clock, lookup_lag=timedelta(seconds=50))
            yield made

    def crash(self, world: World, at: int) -> bool:
        """A run that ends at its n-th step, as after kill -9; False where it had fewer."""
        countdown = Countdown(at)
        crm = cast(CrashingCrm, world.hubspot)
        crm.countdown = countdown
        try:
            write_back(cast(Any, CrashingStore(world.store, countdown)), {"hubspot": crm}, now=world.clock, holder=f"crashed {at}")
        except Crash:
            return True
        finally:
            crm.countdown = Countdown(10**9)
        return False

    def test_at_any_step_nothing_is_lost_and_nothing_done_twice(self, world: World) -> None:
        at, crashed = 0, True
        while crashed:
            at += 1
            one, two, down = 10 * at, 10 * at + 1, 10 * at + 2
            world.people(one, two)
            world.people(down, stage="sql")
            back = proposal(down, set_stage(down, "sql", "lead", backward=True))
            world.plan(handover(one), handover(two), back, guard=_wide())
            crashed = self.crash(world, at)
            for _ in range(3):  # the lease runs out, then a look-up may have to be waited for
                assert world.run_later(seconds=125).errors == ()
            assert set(states(world.store).values()) == {"applied"}, f"after a crash at step {at}"
            assert [world.stage(one), world.stage(two), world.stage(down)] == ["mql", "mql", "lead"]
        per_contact = sorted(about.id for made in world.hubspot.tasks() for about in made.contacts)
        assert per_contact == sorted({f"{10 * n + k}" for n in range(1, at + 1) for k in (0, 1)})
        assert at > 40, "the steps were really counted"

    def test_at_any_step_a_person_who_edits_meanwhile_wins(self, world: World) -> None:
        at, crashed = 0, True
        while crashed:
            at += 1
            world.people(10 * at)
            world.plan(proposal(10 * at, set_stage(10 * at)), guard=_wide())
            crashed = self.crash(world, at)
            world.hubspot.edit("contacts", f"{10 * at}", lifecyclestage="customer")
            world.run_later(seconds=125)
            assert world.stage(10 * at) == "customer", f"after a crash at step {at}"
            assert set(states(world.store).values()) <= {"applied", "superseded"}

    def test_a_second_crash_while_finding_out_about_the_first(self, world: World) -> None:
        at, crashed = 0, True
        while crashed:
            at += 1
            world.people(10 * at)
            world.plan(proposal(10 * at, task(10 * at)), guard=_wide())
            world.hubspot.lose_answers(1)
            world.run_later(seconds=125)
            world.clock.forward(seconds=125)
            crashed = self.crash(world, at)
            for _ in range(2):
                world.run_later(seconds=125)
            assert set(states(world.store).values()) == {"applied"}, f"after a crash at step {at}"
        assert len(world.hubspot.tasks()) == at


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


def _wide() -> Any:
    from connector.config.tables import Guard

    return Guard(stage_changes=10**6, backward=10**6, assign=10**6, tasks=10**6, rule_share=1.0)


def _fields(thing: Any) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in thing.__dataclass_fields__}
