"""When a fading score passes a number that a rule compares it with, as SQL: not before then can it change what a rule says.

Points fade by half in a half_life, counted in midnights of the business's zone. Where one rule fades, the midnight is exact, or the one
before it; where several do, it is the first at which their sum could have faded so far. Too early is allowed, too late never.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, Double, and_, case, cast, func, literal, null

from connector.conditions import earliest, greatest, least
from connector.config.tables import ScoreRule
from connector.store.tables import to_micros
from connector.workflows.score import DAY, LEAST, local_day, offset_changes

#: Nobody looks further ahead than so many days: then is early enough to look again.
_HORIZON = 365
#: Room for what binary fractions lose, in points and in days: a midnight early rather than one late.
_ROUNDING = 1e-6

Points = ColumnElement[Any]


def next_passing(
    score: Points, fading: Sequence[tuple[ScoreRule, Points]], numbers: Collection[float], now: datetime, zone: ZoneInfo
) -> ColumnElement[Any]:
    """The first midnight (microseconds, NULL for never) at which the score may have passed one of the numbers.

    fading: the rules whose points fade, each with what it gives now.
    """
    if not fading or not numbers:
        return null()
    half_life = min(rule.half_life.elapsed for rule, _ in fading if rule.half_life is not None) / timedelta(days=1)
    above, below = [_side(rule, points) for rule, points in fading], [_side(rule, points, -1) for rule, points in fading]
    days = [
        _faded_to(left, half, half_life)
        for number in sorted(numbers)
        for half, left in ((above, number - score), (below, score - number))
        if any(points is not None for points in half)
    ]
    return _midnight(earliest(cast(day, BigInteger) for day in days), now, zone)


def _side(rule: ScoreRule, points: Points, sign: int = 1) -> Points | None:
    """What a rule gives above nothing (sign 1) or below it (-1), as an amount; None where it never does."""
    if rule.times is None:
        return points * sign if rule.points * sign > 0 else None
    return greatest(points * sign, literal(0.0, Double))


def _faded_to(short: ColumnElement[Any], parts: Sequence[Points | None], half_life: float) -> ColumnElement[Any]:
    """After how many midnights, 1 at least, no more of the points is there than would be needed; NULL where that never comes.

    short: what the score lacks of the number without fading any further, so that it is passed once the points are down to it and what
    they are now. Of one rule, what is under half a point is nothing; of several, each may be.
    """
    known = [points for points in parts if points is not None]
    points = sum(known, start=literal(0.0, Double))
    left = short + points
    enough = greatest(left, literal(LEAST, Double)) if len(parts) == 1 else greatest(left, literal(0.0, Double)) + LEAST * len(parts)
    day = func.ceil(half_life * (func.ln(points) - func.ln(enough)) / math.log(2) - _ROUNDING)
    within = least(greatest(day, literal(1.0, Double)), literal(float(_HORIZON), Double))
    return case((and_(short <= _ROUNDING, points > 0, left >= -_ROUNDING), within))


def _midnight(days: ColumnElement[Any], now: datetime, zone: ZoneInfo) -> ColumnElement[Any]:
    """The moment at which so many midnights from now have passed."""
    local = (literal(local_day(now, zone), BigInteger) + days) * DAY
    present = literal((now.astimezone(zone).utcoffset() or timedelta(0)) // timedelta(microseconds=1), BigInteger)
    changes = [each for each in offset_changes(now + timedelta(days=_HORIZON), zone) if each[0] > now]
    if not changes:
        return local - present
    return local - case(*((local >= to_micros(moment) + before, after) for moment, before, after in changes), else_=present)
