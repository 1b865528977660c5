"""The parts of a condition, for explain."""

from __future__ import annotations

from typing import Any

import pytest

from connector.conditions import parse, parts
from tests.conditions.support import DAY, NOW, Person, PersonTables, env


@pytest.fixture
def tables(database_url: str) -> Any:
    made = PersonTables(database_url)
    yield made
    made.close()


def test_each_part_shows_its_text_value_and_truth(tables: PersonTables) -> None:
    condition = parse(
        "qualified AND (touches('1 day') = 0 OR 'x' = industry) AND NOT (employees > 5 AND budget > 1) AND NOT job_title LIKE '%Boss%' "
        "AND stage_since < ago('1 day') AND employees * 2 BETWEEN 1 AND 9 AND has(roles, 'A') AND domain(email) IN ('b.de') AND TRUE "
        "AND ago('1 day') < stage_since AND salesforce.active"
    )
    person = Person(
        {
            "qualified": True,
            "industry": "X",
            "employees": 4,
            "job_title": "Boss",
            "stage_since": NOW - 2 * DAY,
            "roles": ["A"],
            "email": "A@b.de",
        },
        touches=[NOW],
    )
    shown = []
    with tables.of([person]) as connection:
        for part in parts(condition):
            value = part.value(env())
            seen = None if value is None else tables.ask(connection, value)[0]
            shown.append((part.text, part.name, seen, tables.ask(connection, part.met(env()))[0]))
    assert shown == [
        ("qualified", "qualified", True, True),
        ("touches('1 day') = 0", None, 1, False),
        ("'x' = industry", "industry", "x", True),
        ("NOT (employees > 5 AND budget > 1)", None, None, True),
        ("job_title NOT LIKE '%Boss%'", "job_title", "boss", False),
        ("stage_since < ago('1 day')", "stage_since", NOW - 2 * DAY, True),
        ("employees * 2 BETWEEN 1 AND 9", None, 8.0, True),
        ("has(roles, 'A')", "roles", ";a;", True),
        ("domain(email) IN ('b.de')", None, "b.de", True),
        ("TRUE", None, None, True),
        ("ago('1 day') < stage_since", "stage_since", NOW - 2 * DAY, False),
        ("salesforce.active", "salesforce.active", None, None),
    ]
