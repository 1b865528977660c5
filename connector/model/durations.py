"""Durations as the file writes them: "15 minutes", "4 business hours", "30 days"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

Unit = Literal["second", "minute", "hour", "day", "week", "year"]
_TEXT = re.compile(r"^\s*([0-9]{1,6})\s+(business\s+)?(second|minute|hour|day|week|year)s?\s*$")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 7 * 86_400, "year": 365 * 86_400}
_LONGEST_YEARS = 100
#: Far beyond any agreement, and near enough that no calendar runs past the last year that dates have.
_LONGEST_BUSINESS = {"minute": 60_000, "hour": 1000, "day": 1000}

#: What a duration looks like, for messages.
SHAPE = 'a duration like "15 minutes", "4 business hours" or "30 days"'


@dataclass(frozen=True, slots=True)
class Duration:
    """An amount of time. business: hours or days of working time, counted by a calendar; else elapsed time."""

    amount: int
    unit: str
    business: bool = False

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Raises ValueError where the text is no duration, counts business time in units that have none, or is out of all proportion."""
        match = _TEXT.match(text)
        if match is None:
            raise ValueError(SHAPE)
        amount, business, unit = int(match[1]), match[2] is not None, match[3]
        if business and unit not in _LONGEST_BUSINESS:
            raise ValueError("business time is counted in minutes, hours or days")
        if business and amount > _LONGEST_BUSINESS[unit]:
            raise ValueError(f"at most {_LONGEST_BUSINESS[unit]} business {unit}s")
        if not business and amount * _SECONDS[unit] > _LONGEST_YEARS * _SECONDS["year"]:
            raise ValueError(f"at most {_LONGEST_YEARS} years")
        return cls(amount, unit, business)

    @property
    def elapsed(self) -> timedelta:
        """The plain length. A business duration has none without a calendar: ValueError."""
        if self.business:
            raise ValueError("business time has no length without a calendar")
        return timedelta(seconds=self.amount * _SECONDS[self.unit])

    def __str__(self) -> str:
        return f"{self.amount} {'business ' if self.business else ''}{self.unit}{'' if self.amount == 1 else 's'}"
