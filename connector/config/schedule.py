"""[schedule] as a trigger of APScheduler: "every 5 minutes", or a cron line in the business's time zone, read as cron reads it.

APScheduler counts the days of the week from Monday = 0 and wants day and weekday both to fit; cron counts from Sunday = 0 and takes either
(https://man7.org/linux/man-pages/man5/crontab.5.html, https://apscheduler.readthedocs.io/en/3.x/modules/triggers/cron.html).
"""

from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

_EVERY = re.compile(r"^every\s+(?:([0-9]+)\s+)?(second|minute|hour|day|week)s?$")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 7 * 86_400}
#: In cron's order: Sunday is 0, and 7.
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ITEM = re.compile(r"^(?:(\*)|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:/([0-9]+))?$")


def trigger(schedule: str, zone: ZoneInfo) -> BaseTrigger:
    """When a schedule of the file comes round. Raises ValueError for a text that the configuration does not take."""
    every = _EVERY.match(schedule)
    if every is not None:
        return IntervalTrigger(seconds=interval(every).total_seconds(), timezone=zone)
    minute, hour, day, month, weekday = schedule.split()
    if day.startswith("*") or weekday.startswith("*"):
        return _cron(zone, minute=minute, hour=hour, day=day, month=month, day_of_week=weekday)
    return OrTrigger(
        [
            _cron(zone, minute=minute, hour=hour, day=day, month=month, day_of_week="*"),
            _cron(zone, minute=minute, hour=hour, day="*", month=month, day_of_week=weekday),
        ]
    )


def interval(every: re.Match[str]) -> timedelta:
    """The length of "every 5 minutes"."""
    return timedelta(seconds=int(every[1] or 1) * _SECONDS[every[2]])


def weekdays(field: str) -> str:
    """Cron's fifth field with names in place of numbers: "1-5" is "mon,tue,wed,thu,fri", "*/2" is "sun,tue,thu,sat"."""
    chosen: set[int] = set()
    for item in field.lower().split(","):
        match = _ITEM.match(item)
        if match is None:
            raise ValueError(f"{item!r} is no day of the week")
        star, first, last, step = match.groups()
        begin = 0 if star else _number(first)
        end = 6 if star or (step and not last) else _number(last or first)
        if end < begin:  # "fri-sun": Sunday is 7 too
            end += 7
        chosen.update(number % 7 for number in range(begin, end + 1, int(step or 1)))
    return ",".join(_DAYS[number] for number in sorted(chosen))


def _number(day: str) -> int:
    if day in _DAYS:
        return _DAYS.index(day)
    if not day.isdigit() or int(day) > 7:
        raise ValueError(f"{day!r} is no day of the week")
    return int(day)


def _cron(zone: ZoneInfo, *, day_of_week: str, **fields: str) -> CronTrigger:
    return CronTrigger(**fields, day_of_week="*" if day_of_week == "*" else weekdays(day_of_week), timezone=zone)
