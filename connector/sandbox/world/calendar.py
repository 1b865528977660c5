"""Working days and office hours of the made-up company, so that what happened in time happened in business time."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays

ZONE = ZoneInfo("Europe/Berlin")


class Calendar:
    """Berlin's working days before a moment."""

    def __init__(self, draw: random.Random, now: datetime) -> None:
        self._draw = draw
        self.now = now
        self.today = now.astimezone(ZONE).date()
        years = range(self.today.year - 1, self.today.year + 2)
        self._holidays = frozenset(holidays.country_holidays("DE", subdiv="BE", years=years))

    def works(self, day: date) -> bool:
        """Whether the office is open on this day; the last days of the year count as closed."""
        return day.weekday() < 5 and day not in self._holidays and not (day.month == 12 and day.day >= 24)

    def day_between(self, least: int, most: int) -> date:
        """A working day so many calendar days ago; where there is none, the next earlier one."""
        days = [day for back in range(least, most + 1) if self.works(day := self.today - timedelta(days=back))]
        return self._draw.choice(days) if days else self.working_day_before(self.today - timedelta(days=most))

    def settled_day(self, most: int) -> date:
        """A working day at most so many days ago, with a whole working day between it and today."""
        last = self.working_day_before(self.working_day_before(self.today))
        return self.day_between(min((self.today - last).days, most), most)

    def working_day_before(self, day: date) -> date:
        """The last working day before this one."""
        day -= timedelta(days=1)
        while not self.works(day):
            day -= timedelta(days=1)
        return day

    def working_day_after(self, day: date) -> date:
        """The next working day after this one."""
        day += timedelta(days=1)
        while not self.works(day):
            day += timedelta(days=1)
        return day

    def moment(self, day: date, opens: float = 9.25, closes: float = 15.5) -> datetime:
        """A moment of that day between these hours in Berlin, in UTC."""
        seconds = self._draw.randint(int(opens * 3600), int(closes * 3600))
        local = datetime.combine(day, time(seconds // 3600, seconds // 60 % 60, seconds % 60), ZONE)
        return local.astimezone(UTC)
