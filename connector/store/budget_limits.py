"""The limits of CRM accounts: how many requests of which kind in which window, and whose requests go first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from typing import Literal, NamedTuple

#: What a request counts as: any call, HubSpot's search, a login.
Bucket = Literal["call", "search", "login"]
#: Who goes first where permits are scarce, the first of these before all.
Lane = Literal["urgent", "normal", "backfill"]
LANES: tuple[Lane, ...] = ("urgent", "normal", "backfill")
#: The part of a limit that stops which is kept for the lanes above.
RESERVED: Mapping[Lane, float] = {"urgent": 0.0, "normal": 0.03, "backfill": 0.1}


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


class CrmCount(NamedTuple):
    """What the CRM itself counted of a limit, all integrations together; at: seconds since 1970."""

    at: float
    used: int
    of: int


def share_of(count: int, headroom: float) -> int:
    """Ours of an account's limit: less the headroom, which is left to others."""
    return max(1, floor(count * (1 - headroom) + 1e-9))
