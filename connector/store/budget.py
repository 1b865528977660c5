"""The shared budget of one CRM account: all processes together stay below its limits, in any rolling window, and leave others theirs.

Each limit is a row. Its window is cut into slots; a row remembers how many permits each slot gave out. A permit is good until its slot
ends, so that a slot counts until a whole window after its end: then no window, wherever it begins, holds more than the limit. Permits are
taken in batches that grow while they are used up, and what was not used is given back with the next batch.

Requests have lanes. Whoever finds nothing left leaves word in the account's row, and lanes below his take nothing until he is served; of a
day's share a part is kept for the lanes above. What the CRM itself counts, all integrations together, makes the share smaller.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import floor
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, bindparam, select, update

from connector.errors import DAY_SPENT, PassStopped
from connector.model import CrmName
from connector.store.bulk import add_missing, plain
from connector.store.database import Store

#: What a request counts as: any call, HubSpot's search, a login.
Bucket = Literal["call", "search", "login"]
#: Who goes first where permits are scarce, the first of these before all.
Lane = Literal["urgent", "normal", "backfill"]
_LANES: tuple[Lane, ...] = ("urgent", "normal", "backfill")
#: The part of a limit that stops which is kept for the lanes above.
_RESERVED: Mapping[Lane, float] = {"urgent": 0.0, "normal": 0.03, "backfill": 0.1}

_BUDGET = plain("budget")
# Made once: they run for every few requests, and SQLAlchemy would think them over each time.
_ROWS = select(_BUDGET).where(_BUDGET.c.account == bindparam("of_account")).order_by(_BUDGET.c.bucket).with_for_update()
_SAVE = (
    update(_BUDGET)
    .where(_BUDGET.c.account == bindparam("of_account"), _BUDGET.c.bucket == bindparam("of_limit"))
    .values({name: bindparam(f"new_{name}") for name in ("grants", "used", "window_start")})
)

#: The row that holds a cool-down of the whole account.
_ACCOUNT = "account"
_LONGEST_COOL_DOWN = 600.0
_LARGEST_BATCH = 16
#: A batch lapses after so many seconds, so that a cool-down that another process was told holds here soon.
_BATCH_SECONDS = 0.5
#: How long after the moment at which he hoped for a permit a waiting request holds those of lower lanes back.
_PATIENCE_SECONDS = 0.5
#: What a CRM counted is believed so long; then a request goes out and learns it anew.
_TOLD_SECONDS = 900.0
#: What a CRM counts is written down at most so often, unless it says that the share is spent.
_TOLD_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `count` requests of these buckets in any `seconds`.

    stops: whoever finds it spent stops (`PassStopped`) instead of waiting: a day's limit.
    """

    name: str
    count: int
    seconds: float
    buckets: frozenset[Bucket]
    stops: bool = False

    @property
    def slot(self) -> float:
        """Seconds of a slot: 5% of the window (of a second: an answer of the database must fit in), at most 15 minutes."""
        return min(self.seconds * 0.05, 900.0)

    def at(self, now: float) -> int:
        """The slot of a moment."""
        return floor(now / self.slot)

    def end(self, slot: int) -> float:
        """When the slot's permits lapse."""
        return (slot + 1) * self.slot

    def free_at(self, slot: int) -> float:
        """When the slot counts no more."""
        return self.end(slot) + self.seconds


def hubspot_limits(*, requests_per_10_seconds: int, searches_per_second: int, daily_requests: int) -> tuple[Limit, ...]:
    """HubSpot's limits: the burst of ten seconds, searches a second, the day. A search counts against all three.

    https://developers.hubspot.com/apisbytier; the day is counted as any 24 hours, so that no account's midnight matters.
    """
    both = frozenset[Bucket]({"call", "search"})
    return (
        Limit(name="10 seconds", count=requests_per_10_seconds, seconds=10, buckets=both),
        Limit(name="search", count=searches_per_second, seconds=1, buckets=frozenset({"search"})),
        Limit(name="day", count=daily_requests, seconds=86_400, buckets=both, stops=True),
    )


def salesforce_limits(*, daily_requests: int) -> tuple[Limit, ...]:
    """Salesforce's limit: requests in any 24 hours (`DailyApiRequests` of its /limits resource)."""
    return (Limit(name="day", count=daily_requests, seconds=86_400, buckets=frozenset({"call", "search"}), stops=True),)


@dataclass(slots=True)
class _Batch:
    """Permits in hand: good until a moment, taken from a slot of each limit."""

    left: int
    until: float
    slots: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Spent:
    """No permit now; one may be free at this moment. limit: whose, None for a cool-down."""

    limit: Limit | None
    free_at: float
    now: float


class SharedBudget:
    """`adapters.calling.Budget` over the table `budget`. Threads may share it.

    account: whose limits these are (a HubSpot account's or a Salesforce org's id). headroom: the share left to others.
    clock: seconds since 1970, the same for all processes.
    """

    def __init__(
        self,
        store: Store,
        account: str,
        limits: Sequence[Limit],
        *,
        crm: CrmName,
        headroom: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._store = store
        self._account = account
        self._headroom = headroom
        self._limits = tuple(replace(limit, count=self._share(limit.count)) for limit in limits)
        self._crm = crm
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._batches: dict[Bucket, _Batch] = {}
        self._spent: dict[tuple[Bucket, Lane], _Spent] = {}
        self._sizes: dict[Bucket, int] = {}
        self._waiting: Counter[Bucket] = Counter()
        self._told: dict[str, tuple[float, int, int]] = {}

    def take(self, bucket: Bucket, lane: Lane = "normal") -> None:
        """Waits until a request may go out; a lane's requests pass those of the lanes below it.

        Raises `PassStopped` where the day's share is spent.
        """
        waited = False
        try:
            while True:
                with self._lock:
                    spent = self._try(bucket, lane)
                    if spent is not None and not waited:
                        self._waiting[bucket] += 1
                        waited = True
                if spent is None:
                    return
                if spent.limit is not None and spent.limit.stops:
                    raise self._stopped(spent)
                self._sleep(max(0.001, spent.free_at - spent.now))
        finally:
            if waited:
                with self._lock:
                    self._waiting[bucket] -= 1

    def learn(self, limit: str, used: int, of: int) -> None:
        """The CRM's own count of a limit, all integrations together; a limit that is none of ours is passed over."""
        if of <= 0 or limit not in {each.name for each in self._limits}:
            return
        now = self._clock()
        with self._lock:
            at, last, last_of = self._told.get(limit, (0.0, 0, 0))
            news = last_of != of or (used >= self._share(of)) != (last >= self._share(last_of))
            if not news and 0 <= now - at < _TOLD_EVERY_SECONDS:
                return
            self._told[limit] = (now, used, of)

            def work(connection: Connection) -> None:
                self._lock_rows(connection, [each for each in self._limits if each.name == limit])
                mine = (_BUDGET.c.account == self._account, _BUDGET.c.bucket == limit)
                connection.execute(update(_BUDGET).where(*mine).values(told_used=used, told_of=of, told_at=now))

            self._store.write(work)

    def cool_down(self, seconds: float) -> None:
        """The CRM said to wait: no process takes a permit before then (permits in other hands lapse within half a second)."""
        length = min(seconds, _LONGEST_COOL_DOWN)

        def work(connection: Connection) -> None:
            rows = self._lock_rows(connection, [])
            until = max(self._clock() + length, rows[_ACCOUNT].not_before)
            mine = (_BUDGET.c.account == self._account, _BUDGET.c.bucket == _ACCOUNT)
            connection.execute(update(_BUDGET).where(*mine).values(not_before=until))

        with self._lock:
            self._store.write(work)
            for batch in self._batches.values():
                batch.until = 0.0
            self._spent.clear()

    def usage(self) -> dict[str, dict[str, float]]:
        """For status: limit → {"used", "of" (less the headroom), "seconds"}."""
        with self._store.read() as connection:
            query = select(_BUDGET.c.bucket, _BUDGET.c.grants).where(_BUDGET.c.account == self._account)
            grants = {row.bucket: _grants(row.grants) for row in connection.execute(query)}
        now = self._clock()
        return {
            limit.name: {
                "used": sum(_current(limit, grants.get(limit.name, {}), now).values()),
                "of": limit.count,
                "seconds": limit.seconds,
            }
            for limit in self._limits
        }

    def close(self) -> None:
        """Gives back the permits in hand that were not used."""
        with self._lock:
            for bucket in list(self._batches):
                self._refill(bucket, 0)

    def _share(self, count: int) -> int:
        """Ours of an account's limit: less the headroom."""
        return max(1, floor(count * (1 - self._headroom) + 1e-9))

    def _try(self, bucket: Bucket, lane: Lane) -> _Spent | None:
        """Uses a permit; None where there was one."""
        while True:
            batch = self._batches.get(bucket)
            if batch is not None and batch.left > 0 and self._clock() < batch.until:
                batch.left -= 1
                return None
            known = self._spent.get((bucket, lane))
            if known is not None and known.now <= (now := self._clock()) < known.free_at:
                return replace(known, now=now)  # nobody has to ask the database before then
            spent = self._refill(bucket, self._next_size(bucket, batch), lane)
            if spent is not None:
                self._spent[bucket, lane] = spent
                return spent

    def _next_size(self, bucket: Bucket, batch: _Batch | None) -> int:
        """Twice as many where the last batch was used up in time, else as many as were used; at least one for everybody who waits."""
        size = max(1, self._sizes.get(bucket, 1), min(self._waiting[bucket], _LARGEST_BATCH))
        if batch is not None:
            in_time = batch.left == 0 and self._clock() < batch.until
            size = min(size * 2, _LARGEST_BATCH) if in_time else max(1, size - batch.left)
        self._sizes[bucket] = size
        return size

    def _refill(self, bucket: Bucket, size: int, lane: Lane = "urgent") -> _Spent | None:
        """Gives back what is left of the last batch and takes another of up to `size`; tells where there is none."""
        limits = [limit for limit in self._limits if bucket in limit.buckets]
        old = self._batches.get(bucket)

        def work(connection: Connection) -> _Batch | _Spent:
            rows = self._lock_rows(connection, limits)
            now = self._clock()
            grants = {limit.name: _given_back(limit, _grants(rows[limit.name].grants), old, now) for limit in limits}
            ours = [self._as_told(limit, rows[limit.name], lane, now) for limit in limits]
            wanted = _grants(rows[_ACCOUNT].grants)
            outcome: _Batch | _Spent | None = _in_line(wanted, lane, now) if size else None
            if outcome is None:
                outcome = _grant(ours, grants, rows[_ACCOUNT].not_before, size, now)
                if isinstance(outcome, _Spent) and lane != _LANES[-1] and not (outcome.limit is not None and outcome.limit.stops):
                    self._leave_word(connection, wanted, lane, outcome.free_at)
            self._save(connection, {limit: grants[limit.name] for limit in limits}, rows)
            return outcome

        outcome = self._store.write(work)
        self._batches.pop(bucket, None)
        if isinstance(outcome, _Spent):
            self._sizes[bucket] = 1  # scarce: no more than is needed
            return outcome
        self._sizes[bucket] = outcome.left
        self._batches[bucket] = outcome
        return None

    def _as_told(self, limit: Limit, row: Any, lane: Lane, now: float) -> Limit:
        """The limit for this lane, by what the CRM last said of it: less where the account has less, or others used it up."""
        count = limit.count
        if row.told_of is not None and 0 <= now - row.told_at < _TOLD_SECONDS:
            share = self._share(row.told_of)
            count = min(count, share) if row.told_used < share or not limit.stops else 0
        kept = floor(count * _RESERVED[lane]) if limit.stops else 0
        return replace(limit, count=count - kept)

    def _leave_word(self, connection: Connection, wanted: Mapping[int, int], lane: Lane, free_at: float) -> None:
        """Lanes below this one wait until it had its turn. [place of the lane, until when (milliseconds)]."""
        place, until = _LANES.index(lane), int((free_at + _PATIENCE_SECONDS) * 1000)
        kept = {**wanted, place: max(until, wanted.get(place, 0))}
        mine = (_BUDGET.c.account == self._account, _BUDGET.c.bucket == _ACCOUNT)
        connection.execute(update(_BUDGET).where(*mine).values(grants=orjson.dumps(sorted(kept.items())).decode()))

    def _lock_rows(self, connection: Connection, limits: Sequence[Limit]) -> dict[str, Any]:
        """The account's rows, locked in the order of their names; those of these limits are made where they are missing."""
        names = sorted([_ACCOUNT, *(limit.name for limit in limits)])
        mine = {"of_account": self._account}
        rows = {row.bucket: row for row in connection.execute(_ROWS, mine)}
        if not rows.keys() >= set(names):
            fresh = {"account": self._account, "window_start": 0.0, "used": 0, "not_before": 0.0, "grants": None}  # told_…: nothing yet
            add_missing(connection, _BUDGET, [fresh | {"bucket": name} for name in names])
            rows = {row.bucket: row for row in connection.execute(_ROWS, mine)}
        return rows

    def _save(self, connection: Connection, limits: Mapping[Limit, Mapping[int, int]], rows: Mapping[str, Any]) -> None:
        """Writes down what is granted, where it is other than in the rows."""
        news = [
            {
                "of_account": self._account,
                "of_limit": limit.name,
                "new_grants": text,
                "new_used": sum(grants.values()),
                "new_window_start": min(grants, default=0) * limit.slot,
            }
            for limit, grants in limits.items()
            if (text := orjson.dumps(sorted(grants.items())).decode()) != rows[limit.name].grants
        ]
        if news:
            connection.execute(_SAVE, news)

    def _stopped(self, spent: _Spent) -> PassStopped:
        moment, limit = datetime.fromtimestamp(spent.free_at, tz=UTC), spent.limit
        told = self._told.get(limit.name) if limit is not None else None
        share = limit.count if limit is not None else 0
        what = f"the connector's share of {self._crm}'s requests for 24 hours is spent ({share:,})"
        if told is not None and told[1] >= self._share(told[2]):
            what = (
                f"the integrations of this {self._crm} account have used {told[1]:,} of its {told[2]:,} requests of the day; "
                "the rest is left to the others"
            )
        return PassStopped(
            what,
            crm=self._crm,
            code=DAY_SPENT,
            advice=f"Nothing is lost: it goes on from here by itself after {moment:%Y-%m-%d %H:%M} UTC. "
            f"Where the account has more to give, raise daily_requests or lower headroom in [crm.{self._crm}].",
        )


def _in_line(wanted: Mapping[int, int], lane: Lane, now: float) -> _Spent | None:
    """Whether somebody of a lane above waits: until his turn is over."""
    until = max((millis / 1000 for place, millis in wanted.items() if place < _LANES.index(lane)), default=0.0)
    return _Spent(None, until, now) if now < until <= now + _LONGEST_COOL_DOWN else None


def _grant(limits: Sequence[Limit], grants: Mapping[str, dict[int, int]], not_before: float, size: int, now: float) -> _Batch | _Spent:
    """Notes up to `size` permits in every limit's present slot, as many as all have free; else tells when to ask again."""
    if now < not_before <= now + _LONGEST_COOL_DOWN:  # farther off than that, the clock was set back
        return _Spent(None, not_before, now)
    free = {limit.name: limit.count - sum(grants[limit.name].values()) for limit in limits}
    spent = [_Spent(limit, _free_at(limit, grants[limit.name], now), now) for limit in limits if free[limit.name] <= 0]
    if spent and size:
        return max(spent, key=lambda each: (each.limit is not None and each.limit.stops, each.free_at))
    size = max(0, min([size, *free.values()]))
    slots = {limit.name: limit.at(now) for limit in limits}
    for limit in limits:
        if size:
            grants[limit.name][slots[limit.name]] = grants[limit.name].get(slots[limit.name], 0) + size
    until = min([now + _BATCH_SECONDS, *(limit.end(slots[limit.name]) for limit in limits)])
    return _Batch(size, until, slots)


def _free_at(limit: Limit, grants: Mapping[int, int], now: float) -> float:
    """When permits of this limit may be free again; where others used it up, after what was told of it lapses."""
    return limit.free_at(min(grants)) if grants and limit.count > 0 else now + _TOLD_SECONDS


def _current(limit: Limit, grants: Mapping[int, int], now: float) -> dict[int, int]:
    """What still counts. Slots that lie ahead (another machine's clock, or ours was set back) count as the present one."""
    present = limit.at(now)
    counted: dict[int, int] = {}
    for slot, permits in grants.items():
        if permits > 0 and limit.free_at(slot) > now:
            counted[min(slot, present)] = counted.get(min(slot, present), 0) + permits
    return counted


def _given_back(limit: Limit, grants: dict[int, int], batch: _Batch | None, now: float) -> dict[int, int]:
    """What still counts, less the permits of a batch that were not used."""
    if batch is not None and batch.left > 0:
        slot = batch.slots[limit.name]
        if grants.get(slot, 0) >= batch.left:
            grants[slot] -= batch.left
    return _current(limit, grants, now)


def _grants(stored: str | None) -> dict[int, int]:
    return {} if stored is None else {int(slot): int(permits) for slot, permits in orjson.loads(stored)}
