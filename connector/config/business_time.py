"""Business time: working hours, holidays, and "4 business hours" from a moment.

Hours are [open, close). A deadline that falls on closing is closing. A clock that starts outside the hours starts at the next opening.
"N business hours" adds time inside the hours; "N business days" goes on N working days and keeps the time of day, cut to that day's
hours; plain durations are elapsed time from the start itself. Going back is the mirror image: from outside the hours it starts at the
last closing.

Opening and closing are wall-clock times of the calendar's zone. One that the clocks skip is the moment of the skip; of one that comes
twice, the first is meant. All moments go in aware (in any zone) and come out in UTC; a naive one raises ValueError.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property, lru_cache
from importlib.metadata import version as library_version
from importlib.resources import files
from pathlib import Path
from typing import Literal
from zoneinfo import TZPATH, ZoneInfo

import holidays as holiday_library

from connector.config.tables import CalendarRule, Config
from connector.model.durations import Duration

_DAYS: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)
_NONE = timedelta(0)
#: The years whose holidays a calendar's version covers: all that its deadlines can fall into for a long time.
_VERSIONED_YEARS = range(2000, 2051)

Span = tuple[datetime, datetime]


class NoHours(ValueError):
    """A question for business time to a calendar without hours."""


@cache
def _holidays_version() -> str:
    """The library's version, which is read from a file."""
    return library_version("holidays")


@lru_cache(maxsize=512)
def _holidays(region: str, year: int) -> frozenset[date]:
    """The public holidays of a region. The library fills its own tables lazily and not thread-safely; this is a value."""
    country, _, part = region.partition("-")
    return frozenset(holiday_library.country_holidays(country, subdiv=part or None, years=year))


@lru_cache(maxsize=64)
def zone_digest(name: str) -> str:
    """A digest of the zone's rules as they are on this machine: it changes when its time zone data does."""
    for folder in TZPATH:
        path = Path(folder, name)
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return hashlib.sha256(files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()).hexdigest()[:16]


def to_utc(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """The moment when a zone's clocks show this: the first one where they show it twice, that of the skip where never."""
    local = datetime.combine(day, wall, tzinfo=zone)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    low, high = local.replace(fold=1).astimezone(UTC), moment  # the skip lies between the two readings
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=1) // 2)
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    return high


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(UTC)


@dataclass(frozen=True)
class WorkingDays:
    """The working days of one place, and their hours as moments.

    hours: seven days from Monday, each with its spans in order; closing 00:00 is the midnight after. Safe to use from several threads.
    """

    zone: ZoneInfo
    hours: tuple[tuple[tuple[time, time], ...], ...]
    region: str | None = None
    extra_holidays: frozenset[date] = frozenset()
    _opened: dict[date, tuple[Span, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def _has_hours(self) -> bool:
        return any(self.hours)

    def _day(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    def is_holiday(self, day: date) -> bool:
        """Whether nobody works on this day, whatever the hours of the week say."""
        return day in self.extra_holidays or (self.region is not None and day in _holidays(self.region, day.year))

    def _spans(self, day: date) -> tuple[Span, ...]:
        """The hours of one day as moments; none on a day off, or where the clocks skip all of them."""
        known = self._opened.get(day)
        if known is None:
            hours = () if self.is_holiday(day) else self.hours[day.weekday()]
            ends = [(to_utc(day, opening, self.zone), self._closed(day, closing)) for opening, closing in hours]
            known = self._opened[day] = tuple((opening, closing) for opening, closing in ends if opening < closing)
        return known

    def _closed(self, day: date, closing: time) -> datetime:
        return to_utc(day + _DAY, closing, self.zone) if closing == time() else to_utc(day, closing, self.zone)

    def _walk(self, day: date, step: Literal[1, -1]) -> Iterator[tuple[date, tuple[Span, ...]]]:
        """The working days from this one on, forwards or backwards, without end."""
        if not self._has_hours:
            raise NoHours("a calendar without hours has no business time")
        while True:
            spans = self._spans(day)
            if spans:
                yield day, spans
            day += step * _DAY

    def _onwards(self, moment: datetime) -> Iterator[Span]:
        """The spans that close after this moment, what is past of them cut off."""
        for _, spans in self._walk(self._day(moment), 1):
            yield from ((max(opening, moment), closing) for opening, closing in spans if moment < closing)

    def _backwards(self, moment: datetime) -> Iterator[tuple[date, Span]]:
        """The spans that open at or before this moment, the latest first, what is ahead of them cut off; each with its day."""
        for day, spans in self._walk(self._day(moment), -1):
            yield from ((day, (opening, min(closing, moment))) for opening, closing in reversed(spans) if opening <= moment)


@dataclass(frozen=True)
class Calendar(WorkingDays):
    """The working hours of one place, and computing with them."""

    @classmethod
    def of(cls, rule: CalendarRule, timezone: str) -> Calendar:
        """The calendar of a rule; `timezone` is the business's, for a rule that names none."""
        return cls(
            zone=ZoneInfo(rule.timezone or timezone),
            hours=tuple(rule.hours.get(day, ()) for day in _DAYS),
            region=rule.holidays,
            extra_holidays=frozenset(rule.extra_holidays),
        )

    @cached_property
    def version(self) -> str:
        """A digest of everything a deadline depends on: hours, holidays as the library has them now, and the zone's data."""
        parts = [str(self.zone), zone_digest(str(self.zone)), repr(self.hours), _holidays_version()]
        parts += sorted(day.isoformat() for day in self.extra_holidays)
        if self.region is not None:
            parts += [day.isoformat() for year in _VERSIONED_YEARS for day in sorted(_holidays(self.region, year))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def add(self, moment: datetime, amount: Duration) -> datetime:
        """The moment that is so much later. Raises NoHours where business time is asked of a calendar without hours."""
        start = _aware(moment)
        if not amount.business:
            return start + amount.elapsed
        return self._add_days(start, amount.amount) if amount.unit == "day" else self._add_time(start, _business_time(amount))

    def subtract(self, moment: datetime, amount: Duration) -> datetime:
        """The moment that is so much earlier. Raises NoHours as `add` does."""
        end = _aware(moment)
        if not amount.business:
            return end - amount.elapsed
        return self._subtract_days(end, amount.amount) if amount.unit == "day" else self._subtract_time(end, _business_time(amount))

    def is_open(self, moment: datetime) -> bool:
        """Whether this is inside the hours; closing itself is not."""
        instant = _aware(moment)
        return any(opening <= instant < closing for opening, closing in self._spans(self._day(instant)))

    def between(self, start: datetime, end: datetime) -> timedelta:
        """How much time inside the hours lies between two moments; nothing where end is not after start."""
        first, last = _aware(start), _aware(end)
        if last <= first or not self._has_hours:
            return _NONE
        total, day = _NONE, self._day(first)
        while day <= self._day(last):
            for opening, closing in self._spans(day):
                total += max(_NONE, min(closing, last) - max(opening, first))
            day += _DAY
        return total

    def next_midnight(self, moment: datetime) -> datetime:
        """The next beginning of a day of the zone after this moment."""
        day = self._day(_aware(moment)) + _DAY
        return to_utc(day, time(), self.zone)

    # ── Hours ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_time(self, start: datetime, amount: timedelta) -> datetime:
        left, spans = amount, self._onwards(start)
        opening, closing = next(spans)
        while left > closing - opening:
            left -= closing - opening
            opening, closing = next(spans)
        return opening + left

    def _subtract_time(self, end: datetime, amount: timedelta) -> datetime:
        left, spans = amount, self._backwards(end)
        _, (opening, closing) = next(spans)
        while left > closing - opening:
            left -= closing - opening
            _, (opening, closing) = next(spans)
        return closing - left

    # ── Days ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_days(self, start: datetime, days: int) -> datetime:
        begin, _ = next(self._onwards(start))
        return begin if days == 0 else self._on_working_day(begin, self._day(begin), 1, days)

    def _subtract_days(self, end: datetime, days: int) -> datetime:
        day, (_, finish) = next(self._backwards(end))
        return finish if days == 0 else self._on_working_day(finish, day, -1, days)

    def _on_working_day(self, moment: datetime, day: date, step: Literal[1, -1], days: int) -> datetime:
        """The time of day that this moment has on its working day, so many working days on or back, cut to that day's hours."""
        local = moment.astimezone(self.zone)
        working_days = self._walk(day + step * _DAY, step)
        for _ in range(days - 1):
            next(working_days)
        reached, spans = next(working_days)
        # Closing at midnight is the next date's 00:00, and still the end of its own working day.
        return _cut(to_utc(reached + (local.date() - day), local.time(), self.zone), spans)


def _cut(moment: datetime, spans: tuple[Span, ...]) -> datetime:
    """The moment inside a day's hours or at their end; before them the opening, in a break and after them the closing before."""
    reached = spans[0][0]
    for opening, closing in spans:
        if moment >= opening:
            reached = min(moment, closing)
    return reached


def _business_time(amount: Duration) -> timedelta:
    return timedelta(hours=amount.amount) if amount.unit == "hour" else timedelta(minutes=amount.amount)


class TeamCalendars:
    """The calendars of a configuration's people; each is made once."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._by_owner: dict[str | None, Calendar] = {}

    def of(self, owner: str | None) -> Calendar:
        """The calendar of the team that an owner (e-mail) works in; the business's own where he is in none."""
        if owner not in self._by_owner:
            team = None if owner is None else self._config.team_of(owner)
            self._by_owner[owner] = Calendar.of(self._config.calendar_for(team), self._config.timezone)
        return self._by_owner[owner]
