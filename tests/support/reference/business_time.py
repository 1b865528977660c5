"""The example file's business time, walked span by span: Monday to Thursday 09:00 to 17:30, Friday to 16:00, Berlin, without holidays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays

ZONE = ZoneInfo("Europe/Berlin")
_CLOSES = (time(17, 30),) * 4 + (time(16),)
_OFF = {date(2026, 12, 24), date(2026, 12, 31)}
_BERLIN = holidays.country_holidays("DE", subdiv="BE", years=range(2025, 2029))


def hours_of(day: date) -> tuple[datetime, datetime] | None:
    """When the office opens and closes on a day (UTC); None where it does not."""
    if day.weekday() > 4 or day in _OFF or day in _BERLIN:
        return None
    ends = (datetime.combine(day, wall, tzinfo=ZONE).astimezone(UTC) for wall in (time(9), _CLOSES[day.weekday()]))
    return next(ends), next(ends)


def _days(moment: datetime, step: int) -> Iterator[date]:
    day = moment.astimezone(ZONE).date()
    while True:
        yield day
        day += timedelta(days=step)


def add_hours(moment: datetime, amount: timedelta) -> datetime:
    """So much time inside the hours later; what falls on closing is closing."""
    for day in _days(moment, 1):
        span = hours_of(day)
        if span is None or span[1] <= moment:
            continue
        begin = max(moment, span[0])
        if begin + amount <= span[1]:
            return begin + amount
        amount -= span[1] - begin
    raise AssertionError


def subtract_hours(moment: datetime, amount: timedelta) -> datetime:
    """So much time inside the hours earlier."""
    for day in _days(moment, -1):
        span = hours_of(day)
        if span is None or span[0] >= moment:
            continue
        end = min(moment, span[1])
        if end - amount >= span[0]:
            return end - amount
        amount -= end - span[0]
    raise AssertionError


def add_days(moment: datetime, count: int) -> datetime:
    """So many working days on, at the same time of day, cut to that day's hours; from outside the hours: from the next opening."""
    start = add_hours(moment, timedelta(0))
    day = start.astimezone(ZONE).date()
    for _ in range(count):
        day += timedelta(days=1)
        while hours_of(day) is None:
            day += timedelta(days=1)
    span = hours_of(day)
    assert span is not None
    same = datetime.combine(day, start.astimezone(ZONE).time(), tzinfo=ZONE).astimezone(UTC)
    return min(max(same, span[0]), span[1])
