"""When a fading score passes a number: never later than a loop over the days finds it, and not much before."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Connection, Double, create_engine, literal, select

from connector.conditions import parse, thresholds
from connector.config.tables import ScoreRule
from connector.model.durations import Duration
from connector.store.database import Store
from connector.store.tables import from_micros
from connector.workflows.score import LEAST
from connector.workflows.score_changes import next_passing

ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 10, 20, 8, 0, tzinfo=ZONE)
#: Points now, half-life in days.
Part = tuple[float, int]

parts = st.lists(st.tuples(st.floats(-60, 60).map(lambda points: round(points, 2)), st.sampled_from([2, 7, 30])), min_size=1, max_size=3)
fixed = st.integers(-40, 40).map(float)
numbers = st.sets(st.sampled_from([-20.0, 0.0, 10.0, 25.0, 50.0]), min_size=1, max_size=2)


def faded(part: Part, days: int) -> float:
    points, half_life = part
    left = points * 0.5 ** (days / half_life)
    return left if abs(left) >= LEAST else 0.0


def first_day(parts: list[Part], fixed: float, numbers: set[float]) -> int | None:
    """The first day on which the score stands otherwise to one of the numbers than it does now."""

    def stands(days: int) -> list[tuple[bool, bool]]:
        score = fixed + sum(faded(part, days) for part in parts)
        return [(score < number, score > number) for number in sorted(numbers)]

    return next((days for days in range(1, 400) if stands(days) != stands(0)), None)


def asked(connection: Connection, parts: list[Part], fixed: float, numbers: set[float], times: str | None = None) -> int | None:
    """The day that the database answers, from today."""
    present = [(_rule(half_life, points, times), literal(faded((points, half_life), 0), Double)) for points, half_life in parts]
    score = fixed + sum(faded(part, 0) for part in parts)
    found = connection.scalar(select(next_passing(literal(score, Double), present, numbers, NOW, ZONE)))
    if found is None:
        return None
    local = from_micros(found).astimezone(ZONE)
    assert (local.hour, local.minute) == (0, 0)
    return (local.date() - NOW.date()).days


def _rule(half_life: int, points: float, times: str | None) -> ScoreRule:
    """times: a field of either sign, so that the rule's own points tell nothing."""
    lasting, amount = Duration.parse(f"{half_life} days"), 40 if points > 0 or times else -40
    return ScoreRule(id="fades", name="fades", points=amount, times=times, since="seen_at", half_life=lasting, when=parse("TRUE"))


@given(parts=parts, fixed=fixed, numbers=numbers, times=st.sampled_from([None, "interest"]))
@example(parts=[(1.12, 2)], fixed=10.0, numbers={10.0}, times=None)
def test_never_late(parts: list[Part], fixed: float, numbers: set[float], times: str | None) -> None:
    with create_engine("sqlite://").connect() as connection:
        found, day = asked(connection, parts, fixed, numbers, times), first_day(parts, fixed, numbers)
    if day is not None:
        assert found is not None
        assert 1 <= found <= day


@given(part=parts.map(lambda several: several[0]), fixed=fixed, numbers=numbers)
def test_of_one_rule_exact_or_a_day_early(part: Part, fixed: float, numbers: set[float]) -> None:
    with create_engine("sqlite://").connect() as connection:
        found, day = asked(connection, [part], fixed, numbers), first_day([part], fixed, numbers)
    if found is not None and found < 400:
        assert day is None or found in (day, day - 1)
        assert day is not None or found == 1  # it stands on the number itself, or next to nothing is left


@pytest.mark.parametrize(("parts", "fixed", "number", "day"), [([(40.0, 2)], 2.0, 25.0, 2), ([(-40.0, 2)], 60.0, 50.0, 4)], ids=str)
def test_the_same_on_both_databases(database_url: str, parts: list[Part], fixed: float, number: float, day: int) -> None:
    with Store.open(database_url) as store, store.read() as connection:
        assert asked(connection, parts, fixed, {number}) == day


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("qualified AND score >= 50", {50.0}),
        ("score BETWEEN 10 AND 20 OR 30 > score", {10.0, 20.0, 30.0}),
        ("score IN (1, 2) AND NOT score = -3", {1.0, 2.0, -3.0}),
        ("score IS NOT NULL AND criteria_met > 3", set()),
        ("score > criteria_met", None),
        ("score + 5 > 10", None),
        ("score >= 50 AND score / 2 > 10", None),
    ],
)
def test_numbers_that_a_condition_compares_with(condition: str, found: set[float] | None) -> None:
    assert thresholds(parse(condition), "score") == found
