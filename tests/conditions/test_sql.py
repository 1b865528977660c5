"""What conditions say of rows: the same on SQLite and PostgreSQL, and the same as a plain evaluation in Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connector.conditions import ConditionError, check, parse
from tests.conditions.cases import Case, cases, persons
from tests.conditions.support import DAY, NOW, TYPES, Person, PersonTables


@pytest.fixture(scope="module")
def databases(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, PersonTables]]:
    made = {
        "sqlite": PersonTables(f"sqlite:///{tmp_path_factory.mktemp('conditions') / 'tables.db'}"),
        "postgresql": PersonTables(postgres_url),
    }
    yield made
    for tables in made.values():
        tables.close()


@given(case=cases, crowd=st.lists(persons, min_size=1, max_size=6))
@settings(max_examples=250)
def test_both_databases_and_python_say_the_same(databases: dict[str, PersonTables], case: Case, crowd: list[Person]) -> None:
    condition = parse(case.text)
    problems = check(condition, TYPES)
    assume(not any("range of numbers" in problem.expected for problem in problems))
    assert problems == []
    expected = [case.evaluate(person, NOW) for person in crowd]
    assert {name: tables.met(condition, crowd) for name, tables in databases.items()} == {"sqlite": expected, "postgresql": expected}


@pytest.fixture(params=["sqlite", "postgresql"])
def tables(request: pytest.FixtureRequest, databases: dict[str, PersonTables]) -> PersonTables:
    return databases[request.param]


#: condition, values of one person, what it says.
SAID: list[tuple[str, dict[str, Any], bool | None]] = [
    ("industry = 'SOFTWARE'", {"industry": "Software"}, True),
    ("industry != 'software'", {"industry": None}, None),
    ("industry IN ('logistics', 'Software')", {"industry": "software"}, True),
    ("industry NOT IN ('logistics', 'Software')", {"industry": "software"}, False),
    ("industry NOT IN ('logistics', NULL)", {"industry": "software"}, None),
    ("industry IN ('software', NULL)", {"industry": "software"}, True),
    ("job_title LIKE '%director%'", {"job_title": "Marketing DIRECTOR"}, True),
    ("job_title NOT LIKE 'Dir_ctor'", {"job_title": "director"}, False),
    ("job_title LIKE '100\\%'", {"job_title": "100\\ of it"}, True),
    ("job_title LIKE '100\\%'", {"job_title": "100%"}, False),
    ("job_title NOT LIKE '100\\%'", {"job_title": "100%"}, True),
    ("job_title NOT LIKE '100\\%'", {"job_title": "100\\%"}, False),
    ("job_title LIKE 'a/_'", {"job_title": "a/b"}, True),
    ("job_title LIKE '%Straße%'", {"job_title": "STRASSE 5"}, True),
    ("job_title = 'İ'", {"job_title": "i̇"}, True),
    ("job_title LIKE 'ı%'", {"job_title": "I"}, False),
    ("job_title = 'ſ'", {"job_title": "S"}, True),
    ("job_title LIKE '\u212a%'", {"job_title": "Kelvin"}, True),
    ("job_title = 'e\u0301cole'", {"job_title": "École"}, True),
    ("job_title LIKE '__'", {"job_title": "日本"}, True),
    ("job_title = ''' OR 1 = 1 --'", {"job_title": "x"}, False),
    ("starts(job_title, '51_')", {"job_title": "5112"}, False),
    ("starts(job_title, '51')", {"job_title": "5112"}, True),
    ("has(roles, 'champion')", {"roles": ["DECISION_MAKER", "CHAMPION"]}, True),
    ("has(roles, 'CHAMP')", {"roles": ["CHAMPION"]}, False),
    ("has(roles, 'DECISION%')", {"roles": ["DECISION_MAKER"]}, False),
    ("has(roles, 'CHAMPION')", {"roles": None}, None),
    ("domain(email) = 'ACME.example'", {"email": "Anna@Acme.Example"}, True),
    ("domain(email) = 'acme.example'", {"email": '"a@b"@acme.example'}, True),
    ("domain(email) IS NULL", {"email": "nobody"}, True),
    ("domain(email) IS NULL", {"email": "nobody@"}, True),
    ("employees BETWEEN 50 AND 5000", {"employees": 50}, True),
    ("employees NOT BETWEEN 50 AND 5000", {"employees": 49}, True),
    ("employees BETWEEN NULL AND 10", {"employees": 11}, False),
    ("employees / 2 = 2.5", {"employees": 5}, True),
    ("employees / 0 > 1", {"employees": 5}, None),
    ("budget / employees >= 100", {"budget": 1000.0, "employees": 10}, True),
    ("2 + 3 * employees - 1 = 16", {"employees": 5}, True),
    ("-(employees - 7) * 2 = 4", {"employees": 5}, True),
    ("employees = 9007199254740991", {"employees": 2**53 - 1}, True),
    ("employees < 9007199254740991", {"employees": 2**63 - 1}, False),
    ("employees = 9007199254740993", {"employees": 2**53 + 1}, True),  # as double precision sees it, in both databases
    ("employees = page_views", {"employees": 2**53, "page_views": 2**53 + 1}, True),
    ("employees * employees > 0", {"employees": 2**63 - 1}, True),
    ("employees + page_views > 0", {"employees": 2**63 - 1, "page_views": 2**63 - 1}, True),
    ("budget * budget > 1", {"budget": 1.7e308}, None),
    ("budget * budget = 0", {"budget": 5e-324}, True),
    ("budget * budget = 0", {"budget": 1e-200}, True),
    ("1 / budget > 0", {"budget": 1e-200}, None),
    ("budget > 1e300", {"budget": 1.7e308}, True),
    ("budget = 0.1 + 0.2", {"budget": 0.1 + 0.2}, True),
    ("qualified", {"qualified": None}, None),
    ("qualified = FALSE", {"qualified": False}, True),
    ("qualified != TRUE", {"qualified": True}, False),
    ("qualified = in_hubspot", {"qualified": True, "in_hubspot": True}, True),
    ("NOT qualified OR TRUE", {"qualified": None}, True),
    ("qualified AND FALSE", {"qualified": None}, False),
    ("stage_since < ago('90 days')", {"stage_since": NOW - 90 * DAY}, False),
    ("stage_since < ago('90 days')", {"stage_since": NOW - 90 * DAY - 1}, True),
    ("stage_since <= now()", {"stage_since": NOW}, True),
    ("stage_since = '2026-11-20'", {"stage_since": 1_795_129_200_000_000}, True),  # midnight in Berlin is 23:00 UTC
    ("stage_since = '2026-07-01'", {"stage_since": 1_782_856_800_000_000}, True),  # in summer 22:00 UTC
    ("stage_since >= '2026-11-20T10:00:00+01:00'", {"stage_since": NOW}, True),
    ("stage_since BETWEEN ago('2 days') AND '2026-11-20 10:00:01'", {"stage_since": NOW}, True),
    ("stage_since > last_touch_at OR last_touch_at IS NULL", {"stage_since": NOW}, True),
    ("salesforce.lead_status = 'Qualified'", {}, None),
    ("salesforce.active", {}, None),
    ("NOT salesforce.active", {}, None),
    ("salesforce.amount * 2 > 1 OR salesforce.seats = 1", {}, None),
    ("has(salesforce.roles, 'X')", {}, None),
    ("salesforce.converted_at < now()", {}, None),
    ("salesforce.lead_status IS NULL AND salesforce.seats IS NULL AND salesforce.active IS NULL", {}, True),
]


@pytest.mark.parametrize(("text", "values", "said"), SAID)
def test_what_a_condition_says(tables: PersonTables, text: str, values: dict[str, Any], said: bool | None) -> None:
    condition = parse(text)
    assert check(condition, TYPES) == []
    assert tables.met(condition, [Person(values)]) == [said]


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("activities('meeting', '90 days') >= 1", True),
        ("activities('call', '90 days') = 0", True),
        ("activities('meeting', '1 day') >= 1", False),
        ("activities('*', '1 day') = 1", True),
        ("touches('2 hours') BETWEEN 1 AND 2", True),
        ("activities('meeting', '90 days') > touches('90 days')", False),
    ],
)
def test_counts_take_their_window_and_no_future(tables: PersonTables, text: str, met: bool) -> None:
    someone = Person(activities=[("meeting", NOW - 80 * DAY), ("meeting", NOW + 1), ("email", NOW - DAY)], touches=[NOW, NOW - 3 * DAY])
    stranger = Person(activities=[("call", NOW)] * 3)
    assert tables.met(parse(text), [someone, stranger])[0] is met


def test_the_longest_conditions_run(tables: PersonTables) -> None:
    chain = " AND ".join(["employees = 5"] * 66)
    assert tables.met(parse(chain), [Person({"employees": 5})]) == [True]
    total = " + ".join(["employees"] * 25) + " > 100"
    assert tables.met(parse(total), [Person({"employees": 5})]) == [True]
    deep = "NOT (" * 25 + "employees = 5" + ")" * 25
    assert tables.met(parse(deep), [Person({"employees": 5})]) == [False]


def test_a_name_that_is_not_declared_cannot_be_compiled(tables: PersonTables) -> None:
    with pytest.raises(ConditionError, match="unknown name nobody_knows"):
        tables.met(parse("nobody_knows = 'x'"), [Person()])
