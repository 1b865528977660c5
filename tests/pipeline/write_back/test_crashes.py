"""Writing back where the process is gone, at every step there is: the next run ends everything, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import Connection

from connector.adapters.memory.crm import MemoryCrm
from connector.model import FieldWrite, TaskWrite, WriteOutcome
from connector.pipeline.write_back import WriteBackTerms, write_back
from connector.store.database import Store
from tests.pipeline.write_back.support import World, wide
from tests.support.actions import (
    handover,
    opened_for,
    proposal,
    set_stage,
    states,
    task,
)


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
    def world(self, request: pytest.FixtureRequest) -> Iterator[World]:
        with opened_for(request) as store:
            made = World(store)
            made.hubspot = CrashingCrm(name="hubspot", clock=made.clock, lookup_lag=timedelta(seconds=50))
            yield made

    def crash(self, world: World, at: int) -> bool:
        """A run that ends at its n-th step, as after kill -9; False where it had fewer."""
        countdown = Countdown(at)
        crm = cast(CrashingCrm, world.hubspot)
        crm.countdown = countdown
        try:
            terms = WriteBackTerms(now=world.clock, holder=f"crashed {at}")
            write_back(cast(Any, CrashingStore(world.store, countdown)), {"hubspot": crm}, terms)
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
            world.plan(handover(one), handover(two), back, guard=wide())
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
            world.plan(proposal(10 * at, set_stage(10 * at)), guard=wide())
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
            world.plan(proposal(10 * at, task(10 * at)), guard=wide())
            world.hubspot.lose_answers(1)
            world.run_later(seconds=125)
            world.clock.forward(seconds=125)
            crashed = self.crash(world, at)
            for _ in range(2):
                world.run_later(seconds=125)
            assert set(states(world.store).values()) == {"applied"}, f"after a crash at step {at}"
        assert len(world.hubspot.tasks()) == at
