"""Whether a condition fits the declared fields: every problem, in words that help."""

from __future__ import annotations

import pytest

from connector.conditions import ConditionProblem, check, parse
from connector.model import FieldType
from tests.conditions.support import TYPES

PROBLEMS = [
    ("industri = 'x'", "the unknown name industri", "did you mean industry?"),
    ("Industry = 'x'", "the unknown name Industry", "did you mean industry?"),
    ("zzz = 'x'", "the unknown name zzz", "expected a field of [fields]"),
    ("industry = 5", "industry = 5: industry is a choice field and 5 is a number", "a text in quotes: '5'"),
    ("employees = '50'", "employees is an integer field", "a number, without quotes"),
    ("qualified = 'true'", "qualified is a boolean field", "TRUE or FALSE"),
    ("qualified = 1", "qualified is a boolean field and 1 is a number", "the same type"),
    ("employees = TRUE", "employees is an integer field", "the same type"),
    ("industry > 'a'", "industry is a choice field", "text is not ordered"),
    ("industry BETWEEN 'a' AND 'b'", "industry is a choice field", "text is not ordered"),
    ("employees LIKE '5%'", "LIKE, where employees is an integer field", "a text field"),
    ("industry + 1 > 2", "arithmetic, where industry is a choice field", "a number"),
    ("stage_since - 1 > 2", "arithmetic, where stage_since is a datetime field", "ago('30 days')"),
    ("now() + 1 > 2", "arithmetic, where now() is a datetime", "ago('30 days')"),
    ("employees", "employees by itself", "a comparison"),
    ("industry AND qualified", "industry by itself", "a comparison"),
    ("NOT employees", "employees by itself", "a comparison"),
    ("5", "5 by itself", "a comparison"),
    ("qualified > TRUE", "qualified > TRUE", "= TRUE or = FALSE"),
    ("qualified = in_hubspot = TRUE", "used as a value", "a field, a number or a text"),
    ("(employees > 1) IS NULL", "the condition employees > 1 used as a value", "a field, a number or a text"),
    ("industry = NULL", "industry = NULL", "industry IS NULL"),
    ("NULL != industry", "NULL != industry", "industry IS NOT NULL"),
    ("industry = ''", "industry = ''", "industry IS NULL"),
    ("industry IN ('a', ' ')", "industry IN ('a', ' ')", "IS NULL"),
    ("has(industry, 'x')", "has(), where industry is a choice field", "industry = 'x'"),
    ("has(roles, 'a;b')", "has(roles, 'a;b')", "without a semicolon"),
    ("roles = 'x'", "roles is a choices field", "has(roles, "),
    ("roles LIKE '%x%'", "roles is a choices field", "has(roles, "),
    ("domain(employees) = 'x'", "domain(), where employees is an integer field", "a text field"),
    ("starts(employees, '5')", "starts(), where employees is an integer field", "a text field"),
    ("employees > ago('3 days')", "employees is an integer field", "a datetime beside ago('3 days')"),
    ("ago('3 days') > 5", "5 is a number", "a datetime beside ago('3 days')"),
    ("industry < now()", "industry is a choice field", "a datetime beside now()"),
    ("stage_since < industry", "stage_since is a datetime field and industry is a choice field", "the same type"),
    ("stage_since < 'yesterday'", "stage_since is a datetime field", "'2026-12-01'"),
    ("stage_since < '2026-02-30'", "stage_since is a datetime field", "no such day"),
    ("stage_since < '20261201'", "stage_since is a datetime field", "'2026-12-01'"),
    ("stage_since < 5", "stage_since is a datetime field and 5 is a number", "the same type"),
    ("stage_since < ago('3 fortnights')", "the duration '3 fortnights'", '"30 days"'),
    ("stage_since < ago('3 business days')", "the duration '3 business days'", "elapsed time only"),
    ("stage_since < ago('101 years')", "the duration '101 years'", "at most 100 years"),
    ("touches('x') > 0", "the duration 'x'", '"30 days"'),
    ("touches('0 days') > 0", "the duration '0 days'", "longer than nothing"),
    ("activities('fax', '3 days') > 0", "activities of kind 'fax'", "'call', 'email', 'meeting', 'task', or '*'"),
    ("budget * 1e200 * 1e100 > 1", "budget * 1e200 * 1e100", "expected fewer"),
    ("1 / (budget * 1e-200 * 1e-100) > 1", "budget * 1e-200 * 1e-100", "expected fewer"),
]


@pytest.mark.parametrize(("text", "found", "expected"), PROBLEMS, ids=[text for text, _, _ in PROBLEMS])
def test_a_problem_says_what_stands_there_and_what_would_be_right(text: str, found: str, expected: str) -> None:
    first = check(parse(text), TYPES)[0]
    assert found in first.found
    assert expected in first.expected


def test_every_problem_is_told_once() -> None:
    problems = check(parse("industri = 'x' AND (employees = 'y' OR industri = 'x') AND touches('soon') > 0"), TYPES)
    assert [problem.found for problem in problems] == [
        "the unknown name industri",
        "employees = 'y': employees is an integer field and 'y' is text",
        "the duration 'soon'",
    ]


def test_a_problem_reads_as_a_sentence() -> None:
    assert str(ConditionProblem("the unknown name x", "did you mean y?")) == "the unknown name x; did you mean y?"


#: Conditions as administrators write them.
RULES = """
domain(email) IN ('acme.example', 'competitor.example') OR job_title LIKE '%Student%'
owner IN ('anna@acme.example') OR owner IS NULL
stage = 'mql' AND touch_count = 0
industry IN ('software', 'logistics') OR starts(naics, '5112')
employees BETWEEN 50 AND 5000 AND country IN ('Germany', 'Austria', 'Switzerland')
has(roles, 'DECISION_MAKER') OR has(roles, 'CHAMPION') OR job_title LIKE '%Director%' OR job_title LIKE '%Head of%'
domain(email) NOT IN ('gmail.com', 'outlook.com', 'web.de')
activities('meeting', '90 days') >= 1
pain_point IS NOT NULL
budget > 0
timeline IN ('now', 'this quarter')
last_conversion_at IS NOT NULL
page_views > 0
qualified AND score >= 50
hubspot.lead_status = 'CONNECTED' OR salesforce.lead_status = 'Qualified'
stage_since < ago('90 days') AND (last_touch_at IS NULL OR last_touch_at < ago('60 days'))
owner IS NULL
score >= 80
""".strip().splitlines()
TEXTS = ["email", "job_title", "owner", "industry", "naics", "country", "pain_point", "stage", "timeline"]
TEXTS += ["hubspot.lead_status", "salesforce.lead_status"]
NUMBERS = ["employees", "budget", "touch_count", "page_views", "score"]
DATES = ["last_conversion_at", "stage_since", "last_touch_at"]
DECLARED = (
    dict.fromkeys(TEXTS, FieldType.TEXT)
    | dict.fromkeys(NUMBERS, FieldType.NUMBER)
    | dict.fromkeys(DATES, FieldType.DATETIME)
    | {"roles": FieldType.CHOICES, "qualified": FieldType.BOOLEAN}
)


@pytest.mark.parametrize("text", RULES)
def test_the_rules_of_an_ordinary_file_have_no_problem(text: str) -> None:
    assert check(parse(text), DECLARED) == []


@pytest.mark.parametrize(
    "text", ["budget / employees * 100 >= 5", "budget * budget * budget > 1", "TRUE", "ago('0 days') <= now()", "qualified = in_hubspot"]
)
def test_unusual_conditions_that_are_right(text: str) -> None:
    assert check(parse(text), TYPES) == []
