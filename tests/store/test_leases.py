"""What all processes share besides the budget: leases, the kill switch, runs and single values."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from connector.errors import LeaseLost
from connector.store import leases, pauses, runs
from connector.store.database import Store
from connector.store.leases import LeaseGrant, held_by, lease, release, renew, require, take
from connector.store.pauses import is_paused, list_pauses, pause, resume
from tests.support.stores import empty_store

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(either_url: str) -> Iterator[Store]:
    with empty_store(either_url) as store:
        yield store


class TestLease:
    def test_is_one_at_a_time(self, store: Store) -> None:
        clock = Clock()
        assert held_by(store, "pass", clock) is None
        with lease(store, "pass", "a", 60, clock) as held:
            assert held == LeaseGrant(name="pass", holder="a", fence=1, until=clock.now + 60)
            assert held_by(store, "pass", clock) == held
            with pytest.raises(LeaseLost, match="pass is being done by a, for 60 s"), lease(store, "pass", "b", 60, clock):
                pass
            take(store, "other", "b", 60, clock)
        assert held_by(store, "pass", clock) is None
        assert take(store, "pass", "b", 60, clock).fence == 2

    def test_is_given_back_after_a_failure(self, store: Store) -> None:
        clock = Clock()
        with pytest.raises(LookupError), lease(store, "pass", "a", 60, clock):
            raise LookupError
        assert held_by(store, "pass", clock) is None

    def test_runs_out_and_the_old_holder_comes_too_late(self, store: Store) -> None:
        clock = Clock()
        old = take(store, "pass", "a", 60, clock)
        clock.now += 61
        assert held_by(store, "pass", clock) is None
        new = take(store, "pass", "b", 60, clock)
        assert new.fence == 2
        with pytest.raises(LeaseLost, match="lost to another"):
            renew(store, old, 60, clock)
        with pytest.raises(LeaseLost):
            store.write(lambda connection: require(connection, old))
        release(store, old)
        store.write(lambda connection: require(connection, new))
        assert held_by(store, "pass", clock) == new

    def test_is_renewed(self, store: Store) -> None:
        clock = Clock()
        held = take(store, "pass", "a", 60, clock)
        clock.now += 50
        renewed = renew(store, held, 60, clock)
        assert (renewed.fence, renewed.until) == (1, clock.now + 60)
        clock.now += 50
        with pytest.raises(LeaseLost):
            take(store, "pass", "b", 60, clock)

    def test_its_own_holder_takes_it_again_with_a_new_fence(self, store: Store) -> None:
        clock = Clock()
        first = take(store, "pass", "a", 60, clock)
        assert take(store, "pass", "a", 60, clock).fence == 2
        with pytest.raises(LeaseLost):
            renew(store, first, 60, clock)

    def test_of_many_that_race_one_wins(self, either_url: str, store: Store) -> None:
        clock = Clock()

        def attempt(each: Store, name: str) -> bool:
            try:
                take(each, "pass", name, 60, clock)
            except LeaseLost:
                return False
            return True

        with Store.open(either_url) as other, ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(attempt, (store, other)[n % 2], f"process {n}") for n in range(8)]
            assert sum(job.result(timeout=60) for job in jobs) == 1
        held = leases.held_by(store, "pass", clock)
        assert held is not None
        assert held.fence == 1


class TestPause:
    def test_one_thing(self, store: Store) -> None:
        assert pause(store, "rule", "went cold", now=NOW)
        assert not pause(store, "rule", "went cold", now=NOW + timedelta(days=1))
        assert is_paused(store, "rule", "went cold")
        assert not is_paused(store, "rule", "sales accepted")
        assert not is_paused(store, "job", "went cold")
        assert not is_paused(store)
        assert [(row.scope, row.name, row.since) for row in list_pauses(store)] == [("rule", "went cold", NOW)]
        assert resume(store, "rule", "went cold", now=NOW)
        assert not resume(store, "rule", "went cold", now=NOW)
        assert list_pauses(store) == []

    def test_everything(self, store: Store) -> None:
        pause(store, "crm", "hubspot", now=NOW)
        pause(store, now=NOW)
        assert is_paused(store)
        assert is_paused(store, "crm", "salesforce")
        resume(store, now=NOW)
        assert not is_paused(store, "crm", "salesforce")
        assert is_paused(store, "crm", "hubspot")

    def test_a_scope_needs_its_name(self, store: Store) -> None:
        with pytest.raises(ValueError, match="name"):
            pauses.pause(store, "crm", now=NOW)


class TestRuns:
    def test_the_record(self, store: Store) -> None:
        first = runs.start_run(store, "run", "live", now=NOW, config_version="abc")
        second = runs.start_run(store, "pull", "live", now=NOW)
        assert second > first
        runs.finish_run(store, first, "done", now=NOW + timedelta(seconds=5), summary={"planned": 3})
        runs.finish_run(store, second, "failed", now=NOW + timedelta(seconds=5), problem="hubspot did not answer")
        told = [(run.id, run.command, run.state, run.summary, run.problem, run.config_version) for run in runs.last_runs(store)]
        assert told == [
            (second, "pull", "failed", None, "hubspot did not answer", ""),
            (first, "run", "done", {"planned": 3}, None, "abc"),
        ]
        assert runs.last_runs(store, 1)[0].finished_at == NOW + timedelta(seconds=5)

    def test_single_values(self, store: Store) -> None:
        assert runs.get_meta(store, "config") is None
        runs.set_meta(store, "config", "1")
        runs.set_meta(store, "config", "2")
        assert runs.get_meta(store, "config") == "2"
        runs.set_meta(store, "config", None)
        assert runs.get_meta(store, "config") is None

    def test_a_value_that_is_decided_once(self, store: Store) -> None:
        assert runs.set_meta_once(store, "first_live_pass", "a") == "a"
        assert runs.set_meta_once(store, "first_live_pass", "b") == "a"
