"""When a condition may change by time alone: never too late."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connector.conditions import check, parse
from tests.conditions.cases import DATES, DURATIONS, Case, persons, timed_cases
from tests.conditions.support import DAY, NOW, SECOND, TYPES, Person, PersonTables


@pytest.fixture(scope="module")
def databases(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, PersonTables]]:
    made = {
        "sqlite": PersonTables(f"sqlite:///{tmp_path_factory.mktemp('changes') / 'tables.db'}"),
        "postgresql": PersonTables(postgres_url),
    }
    yield made
    for tables in made.values():
        tables.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def tables(request: pytest.FixtureRequest, databases: dict[str, PersonTables]) -> PersonTables:
    return databases[request.param]


def critical(person: Person) -> set[int]:
    """Every moment after now at which anything about the person could pass anything in the language, and its neighbours."""
    stands = {at for _, at in person.activities} | set(person.touches) | set(DATES.values())
    stands |= {person.values[name] for name in ("stage_since", "last_touch_at") if person.values.get(name) is not None}
    passings = {at + back + step for at in stands for back in (0, *DURATIONS.values()) for step in (-1, 0, 1, 2)}
    return {at for at in passings if at > NOW} | {NOW + 1, NOW + 10_000 * DAY}


@given(case=timed_cases, crowd=st.lists(persons, min_size=1, max_size=4))
@settings(max_examples=200)
def test_nothing_changes_before_the_next_change(databases: dict[str, PersonTables], case: Case, crowd: list[Person]) -> None:
    condition = parse(case.text)
    assume(check(condition, TYPES) == [])
    moments = databases["sqlite"].changes(condition, crowd)
    assert databases["postgresql"].changes(condition, crowd) == moments
    for person, moment in zip(crowd, moments, strict=True):
        assert moment is None or moment > NOW
        said = case.evaluate(person, NOW)
        before = [at for at in critical(person) if moment is None or at < moment]
        assert {at: case.evaluate(person, at) for at in before} == dict.fromkeys(before, said)


@pytest.mark.parametrize(
    ("text", "person", "moment"),
    [
        ("stage_since < ago('1 day')", Person({"stage_since": NOW}), NOW + DAY + 1),
        ("stage_since <= ago('1 day')", Person({"stage_since": NOW}), NOW + DAY),
        ("ago('1 day') > stage_since", Person({"stage_since": NOW}), NOW + DAY + 1),
        ("stage_since >= ago('1 day')", Person({"stage_since": NOW}), NOW + DAY + 1),
        ("stage_since = ago('1 day')", Person({"stage_since": NOW - DAY}), NOW + 1),
        ("stage_since > now()", Person({"stage_since": NOW + 5}), NOW + 5),
        ("stage_since < ago('1 day')", Person({"stage_since": NOW - 2 * DAY}), None),
        ("stage_since < ago('1 day')", Person({"stage_since": None}), None),
        ("now() >= '2026-11-20 10:00:01'", Person(), NOW + SECOND),
        ("stage_since < ago('1 day') OR last_touch_at < ago('2 hours')", Person({"stage_since": NOW}), NOW + DAY + 1),
        ("activities('call', '1 day') > 0", Person(activities=[("call", NOW), ("call", NOW - DAY), ("email", NOW + 1)]), NOW + 1),
        ("activities('call', '1 day') > 0", Person(activities=[("call", NOW - 5)]), NOW - 5 + DAY + 1),
        ("activities('meeting', '1 day') > 0", Person(activities=[("meeting", NOW + 3 * DAY)]), NOW + 3 * DAY),
        ("activities('*', '1 day') > 0", Person(), None),
        ("touches('2 hours') = 0", Person(touches=[NOW]), NOW + 7200 * SECOND + 1),
        ("employees > 3", Person({"employees": 1}), None),
        ("stage_since < '2030-01-01'", Person({"stage_since": NOW}), None),
        ("salesforce.converted_at < ago('1 day')", Person(), None),
    ],
)
def test_the_next_change(tables: PersonTables, text: str, person: Person, moment: int | None) -> None:
    assert tables.changes(parse(text), [person]) == [moment]
