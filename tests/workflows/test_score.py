"""The score: the sum of points, fading with the midnights of the business's zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.company import HEAD, QUALIFY, running_company, when

ZONE = ZoneInfo("Europe/Berlin")
IN_BERLIN = HEAD.replace('timezone = "UTC"', 'timezone = "Europe/Berlin"')
RULES = """
[[score]]
name = "fades"
points = 40
since = "seen_at"
half_life = "2 days"
when = "seen_at IS NOT NULL"
[[score]]
name = "times"
points = 2
times = "interest"
at_most = 30
when = "interest > 0"
[[score]]
name = "less"
points = -15
when = "job_title = 'student'"
"""


def expected(now: datetime, seen: datetime | None, interest: int, student: bool) -> float:
    score = -15.0 if student else 0.0
    if interest > 0:
        score += min(2.0 * interest, 30.0)
    if seen is not None:
        midnights = max(0, (now.astimezone(ZONE).date() - seen.astimezone(ZONE).date()).days)
        faded = 40 * 0.5 ** (midnights / 2)
        score += faded if faded >= 0.5 else 0.0
    return score


moments = st.integers(-40 * 24 * 60, 3 * 24 * 60).map(lambda minutes: when("18 10:00") + timedelta(minutes=minutes))


@settings(max_examples=4)
@given(people=st.lists(st.tuples(st.none() | moments, st.integers(-3, 40), st.booleans()), min_size=20, max_size=40))
def test_the_sum_as_the_words_say(kept_databases: Callable[[str], str], people: list[tuple[datetime | None, int, bool]]) -> None:
    with running_company(kept_databases("one"), RULES, head=IN_BERLIN) as company:
        for number, (seen, interest, student) in enumerate(people):
            seen_at = None if seen is None else seen.isoformat()
            company.person(f"p{number}", seen_at=seen_at, interest=str(interest), jobtitle="Student" if student else None)
        company.run()
        for number, person in enumerate(people):
            assert company.contact(f"p{number}").score == pytest.approx(expected(company.now, *person))


def test_due_at_the_midnight_at_which_it_passes_a_number(either_url: str) -> None:
    """On both databases; in between, and after the last number that a rule compares it with, nobody looks. Over the end of summer time."""
    start = datetime(2026, 10, 24, 10, 0, tzinfo=ZONE)
    down = QUALIFY.replace("interest >= 10", "interest >= 10 AND score < 25")
    with running_company(either_url, RULES + down, head=IN_BERLIN, start=start) as company:
        company.person(seen_at=start.isoformat(), interest="1")
        company.run()
        assert company.contact().score == 42
        company.at(datetime(2026, 10, 26, tzinfo=ZONE) - timedelta(minutes=1))
        assert company.run().evaluated == 0
        company.later(minutes=1)
        assert company.run().evaluated == 1
        assert company.contact().score == pytest.approx(2 + 40 * 0.5)
        company.at(datetime(2027, 1, 1, tzinfo=ZONE))
        assert company.run().evaluated == 0
        company.all_due()
        company.run()
        assert company.contact().score == 2


def test_due_at_each_midnight_where_a_rule_reads_it_otherwise(url: str) -> None:
    start = datetime(2026, 10, 24, 10, 0, tzinfo=ZONE)
    other = QUALIFY.replace("interest >= 10", "interest >= 10 AND score < interest * 3")
    with running_company(url, RULES + other, head=IN_BERLIN, start=start) as company:
        company.person(seen_at=start.isoformat(), interest="1")
        company.run()
        for day in (25, 26, 27):
            company.at(datetime(2026, 10, day, tzinfo=ZONE))
            assert company.run().evaluated == 1
        company.at(datetime(2027, 1, 1, tzinfo=ZONE))
        company.run()
        company.later(days=30)
        assert company.run().evaluated == 0
