"""What HubSpot's answers say of its limits: how much of them is used, by all who use them.

X-HubSpot-RateLimit-Max and -Remaining count the app's burst (-Interval-Milliseconds: 10,000), -Daily and -Daily-Remaining the account's
day. Searches have none of them, OAuth tokens none for the day (github.com/HubSpot/hubspot-api-python/issues/143 shows a whole set;
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from connector.adapters.client import Answer

_PREFIX = "x-hubspot-ratelimit-"
_TEN_SECONDS = "10000"


@dataclass(frozen=True, slots=True)
class ReportedLimit:
    """A limit as an answer tells it. name: as the budget calls it."""

    name: str
    used: int
    of: int


def told_limits(answer: Answer) -> list[ReportedLimit]:
    """The limits that an answer's headers tell, whole ones only."""
    found: list[ReportedLimit] = []
    if answer.headers.get(f"{_PREFIX}interval-milliseconds", _TEN_SECONDS) == _TEN_SECONDS:
        found += _told(answer.headers, "10 seconds", "max", "remaining")
    return found + _told(answer.headers, "day", "daily", "daily-remaining")


def _told(headers: Mapping[str, str], name: str, of: str, left: str) -> list[ReportedLimit]:
    most, rest = headers.get(_PREFIX + of, ""), headers.get(_PREFIX + left, "")
    if not (_number(most) and _number(rest)) or int(most) == 0:
        return []
    return [ReportedLimit(name, max(0, int(most) - int(rest)), int(most))]


def _number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


def next_midnight(now: datetime, zone: ZoneInfo) -> datetime:
    """When the day's requests are counted anew: midnight in the account's time zone."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone)
