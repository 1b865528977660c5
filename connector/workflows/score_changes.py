"""When a fading score passes a number that a rule compares it with, as SQL: not before then can it change what a rule says.

Points fade by half in a half_life, counted in midnights of the business's zone. Where one rule fades, the midnight is exact, or the one
before it; where several do, it is the first at which their sum could have faded so far. Too early is allowed, too late never.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, Double, and_, case, cast, func, literal

from connector.conditions import earliest
from connector.config.tables import ScoreRule
from connector.store.tables import to_micros
from connector.workflows.score import DAY, LEAST, local_day, offset_changes

#: Nobody looks further ahead than so many days: then is early enough to look again.
_HORIZON = 730
#: Room for what binary fractions lose: a midnight early rather than one late.
_ROUNDING = 1e-9


def next_passing(
    score: ColumnElement[Any],
    fading: Sequence[tuple[ScoreRule, ColumnElement[Any]]],
    numbers: Collection[float],
    now: datetime,
    zone: ZoneInfo,
) -> ColumnElement[Any]:
    """The first midnight (microseconds, NULL for never) at which the score may have passed one of the numbers.

    fading: the rules whose points fade, each with what it gives now.
    """
    if not fading or not numbers:
        return earliest([])
    half_life = min(rule.half_life.elapsed for rule, _ in fading if rule.half_life is not None) / timedelta(days=1)
    above = _sum([case((points > 0, points), else_=0.0) for _, points in fading])
    below = _sum([case((points < 0, -points), else_=0.0) for _, points in fading])
    days = [day for number in sorted(numbers) for day in _days(score, above, below, number, half_life, len(fading))]
    day = earliest(cast(each, BigInteger) for each in days)
    return _midnight(case((day > _HORIZON, _HORIZON), else_=day), now, zone)


def _sum(parts: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    return sum(parts, start=literal(0.0, Double))


def _days(
    score: ColumnElement[Any], above: ColumnElement[Any], below: ColumnElement[Any], number: float, half_life: float, rules: int
) -> Iterator[ColumnElement[Any]]:
    """After how many midnights, 1 at least: where points above nothing fade, the score sinks; where points below do, it rises."""
    left = {"sinks": number - score + above, "rises": score + below - number}
    yield _faded_to(left["sinks"], above, and_(score >= number, above > 0), half_life, rules)
    yield _faded_to(left["rises"], below, and_(score <= number, below > 0), half_life, rules)


def _faded_to(
    left: ColumnElement[Any], points: ColumnElement[Any], asked: ColumnElement[bool], half_life: float, rules: int
) -> ColumnElement[Any]:
    """When no more of the points than `left` may be there: of one rule, what is under half a point is nothing; of several, each may be."""
    least = case((left < LEAST, LEAST), else_=left) if rules == 1 else left + LEAST * rules
    day = func.ceil(half_life * func.ln(points / least) / func.ln(literal(2.0, Double)) - _ROUNDING)
    return case((and_(asked, left >= 0, points > least), case((day < 1, 1.0), else_=day)), (and_(asked, left >= 0), 1.0))


def _midnight(days: ColumnElement[Any], now: datetime, zone: ZoneInfo) -> ColumnElement[Any]:
    """The moment at which so many midnights from now have passed."""
    local = (literal(local_day(now, zone), BigInteger) + days) * DAY
    present = literal((now.astimezone(zone).utcoffset() or timedelta(0)) // timedelta(microseconds=1), BigInteger)
    changes = [each for each in offset_changes(now + timedelta(days=_HORIZON), zone) if each[0] > now]
    if not changes:
        return local - present
    return local - case(*((local >= to_micros(moment) + before, after) for moment, before, after in changes), else_=present)
