"""The shared budget: no rolling window ever holds more than the limit, whoever asks; waits and stops say until when."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from connector.adapters.client import Budget, Lane
from connector.errors import PassStopped
from connector.store.budget import Bucket, Limit, SharedBudget, hubspot_limits, salesforce_limits
from connector.store.database import Store
from tests.support.stores import empty_store

START = 1_790_000_000.0


class Time:
    """A wall clock that only sleepers move. `last` is what the present thread read last: the moment its permit was good for."""

    def __init__(self) -> None:
        self.now = START
        self._lock = threading.Lock()
        self._seen = threading.local()

    def clock(self) -> float:
        with self._lock:
            self._seen.last = self.now
            return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        with self._lock:
            self.now += seconds

    @property
    def last(self) -> float:
        return float(self._seen.last)


@pytest.fixture
def store(either_url: str) -> Iterator[Store]:
    with empty_store(either_url) as store:
        yield store


def budget(store: Store, time: Time, limits: tuple[Limit, ...] | None = None, headroom: float = 0.0) -> SharedBudget:
    chosen = limits or hubspot_limits(requests_per_10_seconds=20, searches_per_second=4, daily_requests=1000)
    return SharedBudget(store, "portal-1", chosen, crm="hubspot", headroom=headroom, clock=time.clock, sleep=time.sleep)


def most_in_a_window(moments: list[float], seconds: float) -> int:
    """The largest number of moments in any half-open window of that length."""
    ordered = sorted(moments)
    return max((sum(1 for each in ordered if start <= each < start + seconds) for start in ordered), default=0)


def test_it_is_what_adapters_ask_for(store: Store) -> None:
    shared = budget(store, Time())
    asked: Budget = shared
    asked.take("call")
    assert sum(limit["used"] for limit in shared.usage().values()) > 0


def test_a_burst_up_to_the_limit_does_not_wait(store: Store) -> None:
    time = Time()
    shared = budget(store, time)
    for _ in range(20):
        shared.take("call")
    assert time.now == START
    shared.take("call")
    assert START + 10 < time.now < START + 11


def test_a_search_counts_in_both(store: Store) -> None:
    time = Time()
    shared = budget(store, time)
    for _ in range(4):
        shared.take("search")
    assert time.now == START
    shared.take("search")
    assert START + 1 <= time.now < START + 1.2
    assert {name: used["used"] for name, used in shared.usage().items()} == {"10 seconds": 5, "search": 1, "day": 5}


def test_the_headroom_is_left_to_others(store: Store) -> None:
    shared = budget(store, Time(), headroom=0.2)
    assert {name: used["of"] for name, used in shared.usage().items()} == {"10 seconds": 16, "search": 3, "day": 800}


def test_the_share_of_the_day_spent_stops_the_pass_and_says_until_when(store: Store) -> None:
    time = Time()
    limits = salesforce_limits(daily_requests=10)
    shared = SharedBudget(store, "org", limits, crm="salesforce", headroom=0.5, clock=time.clock, sleep=time.sleep)
    for _ in range(5):
        shared.take("call")
    with pytest.raises(PassStopped, match=r"24 hours is spent \(5\)") as caught:
        shared.take("call")
    assert "after 2026-09-22" in caught.value.advice
    assert time.now == START
    time.sleep(86_400 + 901)
    shared.take("call")


def test_a_cool_down_holds_for_every_process(store: Store) -> None:
    time = Time()
    told, other = budget(store, time), budget(store, time)
    told.take("call")
    told.cool_down(7)
    told.cool_down(3)
    other.take("call")
    assert time.now >= START + 7
    again = time.now
    told.take("search")
    assert time.now == again


def test_what_was_not_used_is_given_back(store: Store) -> None:
    time = Time()
    shared = budget(store, time)
    for _ in range(5):  # batches of 1, 2, 4
        shared.take("call")
    assert shared.usage()["10 seconds"]["used"] == 7
    shared.close()
    assert shared.usage()["10 seconds"]["used"] == 5
    time.sleep(0.6)
    shared.take("call")
    assert shared.usage()["day"]["used"] <= 5 + 3


def test_accounts_do_not_share(store: Store) -> None:
    time = Time()
    limits = (Limit(name="10 seconds", count=1, seconds=10, buckets=frozenset({"call"})),)
    for account in ("a", "b"):
        SharedBudget(store, account, limits, crm="hubspot", headroom=0, clock=time.clock, sleep=time.sleep).take("call")
    assert time.now == START


def test_a_clock_set_back_does_not_block_for_long(store: Store) -> None:
    time = Time()
    shared = budget(store, time)
    for _ in range(20):
        shared.take("call")
    time.now -= 86_400
    shared.take("call")
    assert time.now < START - 86_400 + 12


def test_a_lost_limit_row_of_before_the_headroom_was_raised_is_no_negative_grant(store: Store) -> None:
    time = Time()
    shared = budget(store, time)
    for _ in range(20):
        shared.take("call")
    lower = budget(store, time, headroom=0.9)
    lower.close()
    lower.take("call")
    assert time.now > START + 10
    assert lower.usage()["10 seconds"]["used"] == 1


def test_batches_cost_fewer_transactions_than_calls(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time()
    shared = budget(store, time, hubspot_limits(requests_per_10_seconds=500, searches_per_second=5, daily_requests=1000))
    writes = 0
    write = store.write

    def counted(work: Callable[[Connection], object]) -> object:
        nonlocal writes
        writes += 1
        return write(work)

    monkeypatch.setattr(store, "write", counted)
    for _ in range(100):
        shared.take("call")
    assert 1 < writes <= 12


def test_many_threads_and_two_stores_stay_within_the_limits(database_url: str) -> None:
    limits = hubspot_limits(requests_per_10_seconds=30, searches_per_second=4, daily_requests=1000)
    time = Time()
    taken: list[tuple[Bucket, float]] = []

    def work(shared: SharedBudget, bucket: Bucket) -> None:
        for _ in range(12):
            shared.take(bucket)
            taken.append((bucket, time.last))

    with Store.open(database_url) as one, Store.open(database_url) as two, ThreadPoolExecutor(8) as pool:
        one.upgrade()
        budgets = [budget(each, time, limits) for each in (one, one, two)]
        jobs: list[tuple[SharedBudget, Bucket]] = [(budgets[n % 3], "search" if n % 4 == 0 else "call") for n in range(8)]
        for done in [pool.submit(work, *job) for job in jobs]:
            done.result(timeout=60)

    assert len(taken) == 96
    assert most_in_a_window([moment for _, moment in taken], 10) <= 30
    assert most_in_a_window([moment for bucket, moment in taken if bucket == "search"], 1) <= 4


@settings(max_examples=25)
@given(
    count=st.integers(1, 12),
    searches=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["call", "search"]), st.floats(0, 6)), max_size=60),
)
def test_no_rolling_window_holds_more_than_the_limit(
    kept_databases: Callable[[str], str], count: int, searches: int, steps: list[tuple[int, Bucket, float]]
) -> None:
    limits = hubspot_limits(requests_per_10_seconds=count, searches_per_second=searches, daily_requests=1000)
    time = Time()
    taken: list[tuple[Bucket, float]] = []
    with empty_store(kept_databases("budget")) as store:
        budgets = [budget(store, time, limits) for _ in range(2)]
        for who, bucket, pause in steps:
            budgets[who].take(bucket)
            taken.append((bucket, time.last))
            time.now += pause
    assert most_in_a_window([moment for _, moment in taken], 10) <= count
    assert most_in_a_window([moment for bucket, moment in taken if bucket == "search"], 1) <= searches


class Turns:
    """Takers of several lanes, each a process of its own, on one clock: who was served in which order."""

    def __init__(self, lanes: dict[str, Lane]) -> None:
        self.order: list[str] = []
        self._lanes = lanes

    def run(self, store: Store, limits: tuple[Limit, ...]) -> list[str]:
        time = Time()
        asleep = [(time.now, name) for name in self._lanes]
        budgets = {
            name: SharedBudget(store, "portal-1", limits, crm="hubspot", headroom=0, clock=time.clock, sleep=_never) for name in self._lanes
        }
        while asleep:
            moment, name = min(asleep)
            asleep.remove((moment, name))
            time.now = max(time.now, moment)
            try:
                budgets[name].take("call", self._lanes[name])
                self.order.append(name)
            except _MustWaitError as wait:
                asleep.append((time.now + wait.seconds, name))
        return self.order


class _MustWaitError(Exception):
    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def _never(seconds: float) -> None:
    raise _MustWaitError(seconds)


def test_lanes_above_pass_those_below(store: Store) -> None:
    limits = (Limit(name="burst", count=2, seconds=10, buckets=frozenset({"call"})),)
    first = Turns({"a backfill 1": "backfill", "a backfill 2": "backfill"}).run(store, limits)
    assert first == ["a backfill 1", "a backfill 2"]
    order = Turns(
        {"backfill 3": "backfill", "backfill 4": "backfill", "normal 1": "normal", "urgent 1": "urgent", "urgent 2": "urgent"}
    ).run(store, limits)
    assert {*order[:2]} == {"urgent 1", "urgent 2"}
    assert order[2] == "normal 1"


def test_a_part_of_the_day_is_kept_for_what_is_urgent(store: Store) -> None:
    limits = salesforce_limits(daily_requests=100)
    shared = SharedBudget(store, "org", limits, crm="salesforce", headroom=0, clock=Time().clock, sleep=_never)
    lanes: tuple[tuple[Lane, int], ...] = (("backfill", 90), ("normal", 7), ("urgent", 3))
    for lane, left in lanes:
        for _ in range(left):
            shared.take("call", lane)
        with pytest.raises(PassStopped, match="is spent"):
            shared.take("call", lane)


def test_what_others_used_is_told_by_the_crm(store: Store) -> None:
    time = Time()
    mine, other = (
        SharedBudget(store, "org", salesforce_limits(daily_requests=1000), crm="salesforce", headroom=0.2, clock=time.clock, sleep=_never)
        for _ in range(2)
    )
    mine.take("call")
    mine.learn("day", 799, 1000)
    mine.close()
    other.take("call")
    other.close()
    mine.learn("day", 800, 1000)
    for shared in (mine, other):
        with pytest.raises(PassStopped, match=r"share|used 800 of its 1,000") as caught:
            shared.take("call")
        assert "it goes on from here by itself after 2026-09-21" in caught.value.advice
    time.now += 901
    other.take("call")


def test_an_account_with_less_than_the_file_says(store: Store) -> None:
    time = Time()
    limits = hubspot_limits(requests_per_10_seconds=190, searches_per_second=5, daily_requests=1000)
    shared = SharedBudget(store, "portal-1", limits, crm="hubspot", headroom=0.2, clock=time.clock, sleep=_never)
    shared.learn("10 seconds", 1, 100)
    shared.learn("of nobody", 1, 1)
    for _ in range(80):
        shared.take("call")
    with pytest.raises(_MustWaitError):
        shared.take("call")


def test_telling_often_writes_seldom(store: Store) -> None:
    time = Time()
    shared = budget(store, time)
    writes = 0
    real = store.write

    def counted(work: Callable[[Connection], object]) -> object:
        nonlocal writes
        writes += 1
        return real(work)

    store.write = counted  # type: ignore[method-assign, assignment]  # counts what goes to the one real store
    for used in range(100):
        shared.learn("day", used, 1000)
    assert writes == 1
    shared.learn("day", 1000, 1000)
    assert writes == 2
