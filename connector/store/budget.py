"""The shared budget of one CRM account: all processes together stay below its limits, in any rolling window, and leave others theirs.

Each limit is a row. Its window is cut into slots; a row remembers how many permits each slot gave out. A permit is good until its slot
ends, so that a slot counts until a whole window after its end: then no window, wherever it begins, holds more than the limit. Permits are
taken in batches that grow while they are used up, and what was not used is given back with the next batch.

Requests have lanes. Whoever finds nothing left leaves word in the account's row, and lanes below his take nothing until he is served; of a
day's share a part is kept for the lanes above. What the CRM itself counts, all integrations together, makes the share smaller.

Limits are in `budget_limits`, what they have left in `budget_permits`, the rows in `budget_rows`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from connector.errors import DAY_SPENT, PassStopped
from connector.model import CrmName
from connector.store.budget_limits import LANES, Bucket, CrmCount, Lane, Limit, hubspot_limits, salesforce_limits, share_of
from connector.store.budget_permits import LONGEST_COOL_DOWN, Permits, Spent, as_counted, counted, given_back, grant, in_line
from connector.store.budget_rows import ACCOUNT, AccountRows, parsed
from connector.store.database import Store

__all__ = ["Bucket", "Lane", "Limit", "SharedBudget", "hubspot_limits", "salesforce_limits"]

_LARGEST_BATCH = 16
#: What a CRM counts is written down at most so often, unless it says that the share is spent.
_COUNT_EVERY_SECONDS = 5.0


class SharedBudget:
    """`adapters.client.Budget` over the table `budget`. Threads may share it.

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
        self._rows = AccountRows(account)
        self._headroom = headroom
        self._limits = tuple(replace(limit, count=share_of(limit.count, headroom)) for limit in limits)
        self._crm = crm
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._permits: dict[Bucket, Permits] = {}
        self._spent: dict[tuple[Bucket, Lane], Spent] = {}
        self._sizes: dict[Bucket, int] = {}
        self._waiting: Counter[Bucket] = Counter()
        self._counts: dict[str, CrmCount] = {}

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
                    raise _day_spent(self._crm, spent, self._counts.get(spent.limit.name), self._headroom)
                self._sleep(max(0.001, spent.free_at - spent.now))
        finally:
            if waited:
                with self._lock:
                    self._waiting[bucket] -= 1

    def learn(self, limit: str, used: int, of: int) -> None:
        """The CRM's own count of a limit, all integrations together; a limit that is none of ours is passed over."""
        if of <= 0 or limit not in {ours.name for ours in self._limits}:
            return
        now = self._clock()
        with self._lock:
            last = self._counts.get(limit, CrmCount(0.0, 0, 0))
            count = CrmCount(now, used, of)
            news = last.of != of or _nothing_left(count, self._headroom) != _nothing_left(last, self._headroom)
            if not news and 0 <= now - last.at < _COUNT_EVERY_SECONDS:
                return
            self._counts[limit] = count
            self._store.write(lambda connection: self._rows.save_count(connection, limit, count))

    def cool_down(self, seconds: float) -> None:
        """The CRM said to wait: no process takes a permit before then (permits in other hands lapse within half a second)."""
        length = min(seconds, LONGEST_COOL_DOWN)
        with self._lock:
            self._store.write(lambda connection: self._rows.cool_down(connection, lambda: self._clock() + length))
            for permits in self._permits.values():
                permits.until = 0.0
            self._spent.clear()

    def usage(self) -> dict[str, dict[str, float]]:
        """For status: limit → {"used", "of" (less the headroom), "seconds"}."""
        with self._store.read() as connection:
            grants = self._rows.read_grants(connection)
        now = self._clock()
        return {
            limit.name: {
                "used": sum(counted(limit, grants.get(limit.name, {}), now).values()),
                "of": limit.count,
                "seconds": limit.seconds,
            }
            for limit in self._limits
        }

    def close(self) -> None:
        """Gives back the permits in hand that were not used."""
        with self._lock:
            for bucket in list(self._permits):
                self._refill(bucket, 0)

    def _try(self, bucket: Bucket, lane: Lane) -> Spent | None:
        """Uses a permit; None where there was one."""
        while True:
            permits = self._permits.get(bucket)
            if permits is not None and permits.left > 0 and self._clock() < permits.until:
                permits.left -= 1
                return None
            last = self._spent.get((bucket, lane))
            if last is not None:
                now = self._clock()
                if last.now <= now < last.free_at:
                    return replace(last, now=now)  # nobody has to ask the database before then
            spent = self._refill(bucket, self._next_size(bucket, permits), lane)
            if spent is not None:
                self._spent[bucket, lane] = spent
                return spent

    def _next_size(self, bucket: Bucket, permits: Permits | None) -> int:
        """Twice as many where the last batch was used up in time, else as many as were used; at least one for everybody who waits."""
        size = max(1, self._sizes.get(bucket, 1), min(self._waiting[bucket], _LARGEST_BATCH))
        if permits is not None:
            in_time = permits.left == 0 and self._clock() < permits.until
            size = min(size * 2, _LARGEST_BATCH) if in_time else max(1, size - permits.left)
        self._sizes[bucket] = size
        return size

    def _refill(self, bucket: Bucket, size: int, lane: Lane = "urgent") -> Spent | None:
        """Gives back what is left of the last batch and takes another of up to `size`; tells where there is none."""
        outcome = self._store.write(lambda connection: self._exchange(connection, bucket, size, lane))
        self._permits.pop(bucket, None)
        if isinstance(outcome, Spent):
            self._sizes[bucket] = 1  # scarce: no more than is needed
            return outcome
        self._sizes[bucket] = outcome.left
        self._permits[bucket] = outcome
        return None

    def _exchange(self, connection: Connection, bucket: Bucket, size: int, lane: Lane) -> Permits | Spent:
        limits = [limit for limit in self._limits if bucket in limit.buckets]
        rows = self._rows.lock(connection, [limit.name for limit in limits])
        now, old = self._clock(), self._permits.get(bucket)
        grants = {limit.name: given_back(limit, parsed(rows[limit.name].grants), old, now) for limit in limits}
        waiting = parsed(rows[ACCOUNT].grants)
        outcome: Permits | Spent | None = in_line(waiting, lane, now) if size else None
        if outcome is None:
            ours = [as_counted(limit, rows[limit.name].crm_count, self._headroom, lane, now) for limit in limits]
            outcome = grant(ours, grants, rows[ACCOUNT].not_before, size, now)
            if isinstance(outcome, Spent) and lane != LANES[-1] and not outcome.stops:
                self._rows.leave_word(connection, waiting, lane, outcome.free_at)
        self._rows.save_grants(connection, {limit: grants[limit.name] for limit in limits}, rows)
        return outcome


def _day_spent(crm: CrmName, spent: Spent, count: CrmCount | None, headroom: float) -> PassStopped:
    """The error of a day's share that is spent: by ourselves, or by what the CRM counted of all integrations."""
    share = spent.limit.count if spent.limit is not None else 0
    problem = f"the connector's share of {crm}'s requests for 24 hours is spent ({share:,})"
    if count is not None and _nothing_left(count, headroom):
        problem = (
            f"the integrations of this {crm} account have used {count.used:,} of its {count.of:,} requests of the day; "
            "the rest is left to the others"
        )
    return PassStopped(
        problem,
        crm=crm,
        code=DAY_SPENT,
        advice=f"Nothing is lost: it goes on from here by itself after {datetime.fromtimestamp(spent.free_at, tz=UTC):%Y-%m-%d %H:%M} UTC. "
        f"Where the account has more to give, raise daily_requests or lower headroom in [crm.{crm}].",
    )


def _nothing_left(count: CrmCount, headroom: float) -> bool:
    """Whether all integrations together used up what is ours."""
    return count.used >= share_of(count.of, headroom)
