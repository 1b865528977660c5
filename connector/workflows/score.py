"""[[score]]: points for who they are and for what they do, as SQL. Points with a half_life fade with the midnights since `since`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Double, and_, case, cast, func, literal

from connector.config.tables import ScoreRule
from connector.store.tables import to_micros

#: A fading part of less than this, either sign, counts nothing.
LEAST = 0.5
#: A day, in microseconds.
DAY = 86_400_000_000
_YEARS_BACK = 15


def points(
    rule: ScoreRule, met: ColumnElement[bool], column: Callable[[str], ColumnElement[Any]], now: datetime, zone: ZoneInfo
) -> ColumnElement[float]:
    """The points a rule gives: 0 where it is not met. `column` gives a field's column by name."""
    amount: ColumnElement[Any] = literal(float(rule.points), Double)
    if rule.times is not None:
        amount = _at_most(amount * func.coalesce(cast(column(rule.times), Double), 0.0), rule.at_most)
    if rule.since is not None and rule.half_life is not None:
        since = column(rule.since)
        days = rule.half_life.elapsed / timedelta(days=1)
        faded = amount * func.pow(literal(0.5, Double), cast(_age(since, now, zone), Double) / days)
        amount = case((since.is_(None), 0.0), (func.abs(faded) >= LEAST, faded), else_=0.0)
    return case((met, amount), else_=0.0)


def fades(rule: ScoreRule) -> bool:
    """Whether its points change by time alone."""
    return rule.since is not None and rule.half_life is not None


def _at_most(amount: ColumnElement[Any], most: float | None) -> ColumnElement[Any]:
    return amount if most is None else case((func.abs(amount) > most, func.sign(amount) * most), else_=amount)


def _age(since: ColumnElement[Any], now: datetime, zone: ZoneInfo) -> ColumnElement[Any]:
    """How many midnights of the business's zone lie between a moment (microseconds) and now; at least 0."""
    today = local_day(now, zone)
    day = (since + _offset(since, now, zone)) // DAY
    return case((and_(today - day > 0), today - day), else_=0)


def local_day(moment: datetime, zone: ZoneInfo) -> int:
    """The number of a moment's day in the business's zone."""
    local = moment.astimezone(zone)
    return (to_micros(moment) + _micros(local.utcoffset())) // DAY


def _offset(since: ColumnElement[Any], now: datetime, zone: ZoneInfo) -> ColumnElement[Any]:
    """The zone's offset at a moment, as a CASE over the changes of the last years: the newest first, as most moments are young."""
    changes = offset_changes(now, zone)
    if not changes:
        return literal(_micros(now.astimezone(zone).utcoffset()))
    return case(*((since >= to_micros(moment), after) for moment, _, after in changes), else_=changes[-1][1])


def offset_changes(now: datetime, zone: ZoneInfo) -> list[tuple[datetime, int, int]]:
    """The changes of a zone's offset up to now: (moment, offset before, offset after) in microseconds, newest first."""
    found = []
    step = timedelta(days=7)
    moment = now + timedelta(days=1)
    for _ in range(_YEARS_BACK * 53):
        earlier = moment - step
        if earlier.astimezone(zone).utcoffset() != moment.astimezone(zone).utcoffset():
            found.append(_pinpoint(earlier, moment, zone))
        moment = earlier
    return found


def _pinpoint(low: datetime, high: datetime, zone: ZoneInfo) -> tuple[datetime, int, int]:
    before, after = low.astimezone(zone).utcoffset(), high.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0), _micros(before), _micros(after)


def _micros(offset: timedelta | None) -> int:
    return 0 if offset is None else offset // timedelta(microseconds=1)
