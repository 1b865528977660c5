"""How many permits a limit has left: counting what each slot of its window gave out, granting, giving back. Pure.

Moments are seconds since 1970. grants: slot → permits given out of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor

from connector.store.budget_limits import LANES, RESERVED, CrmCount, Lane, Limit, share_of

#: The longest cool-down; what lies farther off was written before the clock was set back.
LONGEST_COOL_DOWN = 600.0
#: What a CRM counted is believed so long; then a request goes out and learns it anew.
COUNTED_SECONDS = 900.0
#: A batch lapses after so many seconds, so that a cool-down that another process was told holds here soon.
_BATCH_SECONDS = 0.5


@dataclass(slots=True)
class Permits:
    """Permits in hand: how many are left, good until a moment, taken from a slot of each limit."""

    left: int
    until: float
    slots: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Spent:
    """No permit now; one may be free at this moment. limit: whose, None for a cool-down or a lane above."""

    limit: Limit | None
    free_at: float
    now: float

    @property
    def stops(self) -> bool:
        """Whether to stop instead of waiting."""
        return self.limit is not None and self.limit.stops


def grant(limits: Sequence[Limit], grants: Mapping[str, dict[int, int]], not_before: float, size: int, now: float) -> Permits | Spent:
    """Notes up to `size` permits in every limit's present slot, as many as all have free; else tells when to ask again."""
    if now < not_before <= now + LONGEST_COOL_DOWN:
        return Spent(None, not_before, now)
    free = {limit.name: limit.count - sum(grants[limit.name].values()) for limit in limits}
    spent = [Spent(limit, _free_at(limit, grants[limit.name], now), now) for limit in limits if free[limit.name] <= 0]
    if spent and size:
        return max(spent, key=lambda limit_spent: (limit_spent.stops, limit_spent.free_at))
    size = max(0, min([size, *free.values()]))
    slots = {limit.name: limit.at(now) for limit in limits}
    for limit in limits:
        if size:
            grants[limit.name][slots[limit.name]] = grants[limit.name].get(slots[limit.name], 0) + size
    until = min([now + _BATCH_SECONDS, *(limit.end(slots[limit.name]) for limit in limits)])
    return Permits(size, until, slots)


def as_counted(limit: Limit, count: CrmCount | None, headroom: float, lane: Lane, now: float) -> Limit:
    """The limit for a lane, by what the CRM last counted: less where the account has less, or others used it up."""
    permits = limit.count
    if count is not None and 0 <= now - count.at < COUNTED_SECONDS:
        share = share_of(count.of, headroom)
        permits = min(permits, share) if count.used < share or not limit.stops else 0
    kept = floor(permits * RESERVED[lane]) if limit.stops else 0
    return replace(limit, count=permits - kept)


def in_line(waiting: Mapping[int, int], lane: Lane, now: float) -> Spent | None:
    """Whether somebody of a lane above waits: until his turn is over. waiting: place of a lane → until when, in milliseconds."""
    until = max((millis / 1000 for place, millis in waiting.items() if place < LANES.index(lane)), default=0.0)
    return Spent(None, until, now) if now < until <= now + LONGEST_COOL_DOWN else None


def counted(limit: Limit, grants: Mapping[int, int], now: float) -> dict[int, int]:
    """What still counts. Slots that lie ahead (another machine's clock, or ours was set back) count as the present one."""
    present = limit.at(now)
    current: dict[int, int] = {}
    for slot, permits in grants.items():
        if permits > 0 and limit.free_at(slot) > now:
            current[min(slot, present)] = current.get(min(slot, present), 0) + permits
    return current


def given_back(limit: Limit, grants: Mapping[int, int], permits: Permits | None, now: float) -> dict[int, int]:
    """What still counts, less the permits in hand that were not used."""
    rest = dict(grants)
    if permits is not None and permits.left > 0:
        slot = permits.slots[limit.name]
        if rest.get(slot, 0) >= permits.left:
            rest[slot] -= permits.left
    return counted(limit, rest, now)


def _free_at(limit: Limit, grants: Mapping[int, int], now: float) -> float:
    """When permits of this limit may be free again; where others used it up, after what was told of it lapses."""
    return limit.free_at(min(grants)) if grants and limit.count > 0 else now + COUNTED_SECONDS
