"""HubSpot's limits: requests in rolling ten seconds, searches a second, requests a day; and the headers that tell about them.

Source: developers.hubspot.com/docs/guides/apps/api-usage/usage-details. Real time rules the first two, even where the sandbox's own clock
is held; the day ends at midnight of the account's time zone by the sandbox's clock.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.sandbox.hubspot_answers import Refusal

ZONE = "Europe/Berlin"
_WINDOW = 10.0


class Limits:
    """Counts the requests of one account. `monotonic` gives seconds."""

    def __init__(
        self,
        *,
        requests_per_10_seconds: int,
        searches_per_second: int,
        daily: int,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.requests_per_10_seconds = requests_per_10_seconds
        self.searches_per_second = searches_per_second
        self.daily = daily
        self._now = now
        self._monotonic = monotonic
        self._requests: deque[float] = deque()
        self._searches: deque[float] = deque()
        self._day: date | None = None
        self._used_today = 0

    def admit(self, *, search: bool) -> dict[str, str]:
        """Counts a request and gives its headers (none for a search). Raises the 429 where a limit is reached; that one is not counted."""
        today = self._now().astimezone(ZoneInfo(ZONE)).date()
        if today != self._day:
            self._day, self._used_today = today, 0
        if self._used_today >= self.daily:
            raise _limit("daily", "DAILY")
        moment = self._monotonic()
        if search:
            _forget(self._searches, moment - 1.0)
            if len(self._searches) >= self.searches_per_second:
                raise _limit("secondly", "SECONDLY")
            self._searches.append(moment)
        else:
            _forget(self._requests, moment - _WINDOW)
            if len(self._requests) >= self.requests_per_10_seconds:
                raise _limit("ten_secondly_rolling", "TEN_SECONDLY_ROLLING")
            self._requests.append(moment)
        self._used_today += 1
        return {} if search else self._headers()

    def _headers(self) -> dict[str, str]:
        return {
            "X-HubSpot-RateLimit-Max": str(self.requests_per_10_seconds),
            "X-HubSpot-RateLimit-Remaining": str(self.requests_per_10_seconds - len(self._requests)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Daily": str(self.daily),
            "X-HubSpot-RateLimit-Daily-Remaining": str(self.daily - self._used_today),
        }


def _forget(moments: deque[float], before: float) -> None:
    while moments and moments[0] <= before:
        moments.popleft()


def _limit(words: str, policy: str) -> Refusal:
    """429: its body has errorType and policyName, and no category."""
    body: dict[str, Any] = {
        "status": "error",
        "message": f"You have reached your {words} limit.",
        "errorType": "RATE_LIMIT",
        "policyName": policy,
        "requestId": str(uuid.uuid4()),
    }
    return Refusal(429, body)
