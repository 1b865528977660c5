"""HubSpot's limits: requests in rolling ten seconds, searches a second, requests a day; and the headers that tell about them.

Source: developers.hubspot.com/docs/guides/apps/api-usage/usage-details. Real time rules the first two, even where the sandbox's own clock
is held; the day ends at midnight of the account's time zone by the sandbox's clock. What was let in and refused is counted.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.sandbox.hubspot.answers import Refusal
from connector.sandbox.hubspot.options import HubSpotOptions

ZONE = "Europe/Berlin"
_WINDOW = 10.0


class Limits:
    """Counts the requests of one account. options: gives the limits that hold now. monotonic: gives seconds.

    admitted, searches: requests and searches let in. refused: answers of 429 by policy (TEN_SECONDLY_ROLLING, SECONDLY, DAILY).
    peak_in_10_seconds: the most requests (searches apart) in any rolling ten seconds; peak_searches_in_a_second: of searches in any second.
    """

    def __init__(
        self, options: Callable[[], HubSpotOptions], now: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = options
        self._now = now
        self._monotonic = monotonic
        self._requests: deque[float] = deque()
        self._searches: deque[float] = deque()
        self._day: date | None = None
        self._used_today = 0
        self.restart_counts()

    def restart_counts(self) -> None:
        """Counts from nought; the windows and the day's use stay."""
        self.admitted = 0
        self.searches = 0
        self.refused: Counter[str] = Counter()
        self.peak_in_10_seconds = 0
        self.peak_searches_in_a_second = 0

    def admit(self, *, search: bool, oauth: bool = False) -> dict[str, str]:
        """Counts a request and gives its headers (none for a search; none of the day for an OAuth app).

        Raises the 429 where a limit is reached; such a request counts for none of them.
        """
        options = self._options()
        today = self._now().astimezone(ZoneInfo(ZONE)).date()
        if today != self._day:
            self._day, self._used_today = today, 0
        if self._used_today >= options.daily:
            raise self._refuse("daily", "DAILY")
        moment = self._monotonic()
        if search:
            _forget(self._searches, moment - 1.0)
            if len(self._searches) >= options.searches_per_second:
                raise self._refuse("secondly", "SECONDLY")
            self._searches.append(moment)
            self.searches += 1
            self.peak_searches_in_a_second = max(self.peak_searches_in_a_second, len(self._searches))
        else:
            _forget(self._requests, moment - _WINDOW)
            if len(self._requests) >= options.requests_per_10_seconds:
                raise self._refuse("ten_secondly_rolling", "TEN_SECONDLY_ROLLING")
            self._requests.append(moment)
            self.admitted += 1
            self.peak_in_10_seconds = max(self.peak_in_10_seconds, len(self._requests))
        self._used_today += 1
        return {} if search else self._headers(options, oauth=oauth)

    def _headers(self, options: HubSpotOptions, *, oauth: bool) -> dict[str, str]:
        headers = {
            "X-HubSpot-RateLimit-Max": str(options.requests_per_10_seconds),
            "X-HubSpot-RateLimit-Remaining": str(options.requests_per_10_seconds - len(self._requests)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        }
        if not oauth:
            headers["X-HubSpot-RateLimit-Daily"] = str(options.daily)
            headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(options.daily - self._used_today)
        return headers

    def _refuse(self, words: str, policy: str) -> Refusal:
        """429: its body has errorType and policyName, and no category."""
        self.refused[policy] += 1
        body: dict[str, Any] = {
            "status": "error",
            "message": f"You have reached your {words} limit.",
            "errorType": "RATE_LIMIT",
            "policyName": policy,
            "requestId": str(uuid.uuid4()),
        }
        return Refusal(429, body)


def _forget(moments: deque[float], before: float) -> None:
    while moments and moments[0] <= before:
        moments.popleft()
