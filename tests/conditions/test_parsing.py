"""What is a condition and what is not, and how each is told."""

from __future__ import annotations

import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.conditions import Condition, ConditionError, Window, fold, parse
from connector.conditions.tree import written
from tests.conditions.cases import Case, cases


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("a = 'x' and not b or c.d <> 3", "a = 'x' AND NOT b OR c.d != 3"),
        ("a = 1 AND (b = 2 OR c = 3)", "a = 1 AND (b = 2 OR c = 3)"),
        ("not a in (1, 2) and b not between 1 and 2", "a NOT IN (1, 2) AND b NOT BETWEEN 1 AND 2"),
        ("a not like 'it''s%' or b is not null", "a NOT LIKE 'it''s%' OR b IS NOT NULL"),
        ("a - (b - c) * -2 / (d / e) > .5", "a - (b - c) * -2 / (d / e) > 0.5"),
        ("HAS(roles,'X') and ago('3 days')<x", "has(roles, 'X') AND ago('3 days') < x"),
        ("activities('*','1 day')>0 and touches('2 days')=0", "activities('*', '1 day') > 0 AND touches('2 days') = 0"),
        ("starts(naics , '5')\n  AND domain( email ) = 'x'", "starts(naics, '5') AND domain(email) = 'x'"),
        ("date = 3 and type = 'x' and group = 1", "date = 3 AND type = 'x' AND group = 1"),
        ("path = 'C:\\'", "path = 'C:\\'"),
        ("größe > 1", "größe > 1"),
    ],
)
def test_conditions_are_read_as_sql(text: str, again: str) -> None:
    tree = parse(text).tree
    assert written(tree) == again
    assert parse(again).tree == tree


@given(case=cases)
@settings(max_examples=100)
def test_what_is_written_again_reads_the_same(case: Case) -> None:
    once = written(parse(case.text).tree)
    assert written(parse(once).tree) == once


def test_what_a_condition_reads() -> None:
    condition = parse(
        "hubspot.lead_status = 'x' AND activities('meeting', '90 days') > touches('1 week') OR has(roles, 'Y') AND touches('soon') = 0"
    )
    assert condition.names == {"hubspot.lead_status", "roles"}
    assert condition.counts == {Window("activities", "meeting", timedelta(days=90)), Window("touches", None, timedelta(days=7))}


def test_conditions_are_values() -> None:
    assert Condition("a = 1") == parse("a = 1")
    assert len({Condition("a = 1"), parse("a = 1"), parse("a = 2")}) == 2
    assert repr(parse("a = 1")) == "Condition(text='a = 1')"


REFUSED = [
    ("", "an empty condition", "expected a condition like"),
    ('industry = "software"', '"software" in double quotes', "single quotes: 'software'"),
    ("industry = 'software", "a quote that is not closed", "doubled"),
    ("a = 1;", "a semicolon", "one condition"),
    ("a == 1", "==", "expected ="),
    ("a = 5 --3", "a comment", "1 - (-2)"),
    ("a = 5 /* or 6 */ AND b", "a comment", "after #"),
    ("-- a = 5", "cannot be read", "expected a condition like"),
    ("a = 1 AND", "cannot be read", "expected a condition like"),
    ("a = 1 b", "“b”", "expected a condition like"),
    ("SELECT 1", "“SELECT 1”", "expected a condition like"),
    ("DROP TABLE contact", "“DROP TABLE contact”", "expected a condition like"),
    ("a IN (SELECT 1)", "a subquery", "IN takes a list"),
    ("(SELECT 1) = 1", "a subquery", "activities()"),
    ("EXISTS (SELECT 1)", "EXISTS", "activities()"),
    ("CASE WHEN a THEN b END", "CASE", "AND and OR"),
    ("CAST(a AS int) = 1", "a cast", "[fields]"),
    ("a::int = 1", "a cast", "[fields]"),
    ("a > DATE '2026-01-01'", "a cast or typed literal", "plain texts"),
    ("a ILIKE 'x'", "ILIKE", "LIKE does not look at case"),
    ("a RLIKE 'x'", "a regular expression", "% and _"),
    ("a LIKE 'x' ESCAPE '!'", "LIKE with ESCAPE", "% and _ only"),
    ("a LIKE b", "LIKE without a text", "one text in quotes"),
    ("a LIKE ANY ('x', 'y')", "LIKE without a text", "one text in quotes"),
    ("a || b = 'x'", "||", "as they are"),
    ("a % 2 = 1", "%", "+ - * /"),
    ("a = :b", "a placeholder", "write the value"),
    ("a IN ()", "IN without a list", "IN ('a', 'b')"),
    ("a IN 'x'", "IN without a list", "IN ('a', 'b')"),
    ("a IS TRUE", "IS TRUE", "= TRUE"),
    ("a IS 3", "IS with a value", "IS stands before NULL"),
    ("a IS NOT DISTINCT FROM b", "IS NOT DISTINCT FROM", "IS NULL"),
    ("a BETWEEN SYMMETRIC 1 AND 2", "BETWEEN SYMMETRIC", "BETWEEN low AND high"),
    ("a.b.c = 1", "a.b.c", "hubspot.lead_status"),
    ("upper(a) = 'X'", "the function upper()", "domain(email)"),
    ("foo(a) = 'X'", "the function foo()", "starts(naics, '5112')"),
    ("count(*) > 1", "the function count()", "activities("),
    ("ago(3) < a", "ago() with other arguments", "ago('30 days')"),
    ("has('X', roles)", "has() with other arguments", "has(roles, 'CHAMPION')"),
    ("now('x') > a", "now() with other arguments", "now()"),
    ("a = 1e400", "the number 1e400", "double precision"),
    ("a = 'x\x00'", "the control character U+0000 at position 7", "without such"),
    ("a = 'x\ud800'", "the control character U+D800", "without such"),
    ("(a, b) = (1, 2)", "a list outside IN", "IN ('a', 'b')"),
    (" AND ".join(["a = 1"] * 67), "202 parts", "at most 200"),
    ("a = 1 AND " * 2000 + "b", "20001 characters", "at most 20000"),
    ("(" * 31 + "a" + ")" * 31, "nested too deeply", "at most 30 levels"),
    ("NOT " * 190 + "a", "nested too deeply", "at most 30 levels"),
]


@pytest.mark.parametrize(("text", "found", "expected"), REFUSED, ids=[text[:30] for text, _, _ in REFUSED])
def test_what_is_refused_is_named(text: str, found: str, expected: str) -> None:
    with pytest.raises(ConditionError) as error:
        parse(text)
    assert found in error.value.found
    assert expected in error.value.expected
    assert str(error.value) == f"{error.value.found}; {error.value.expected}"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ConditionError, match="a int; expected a condition in quotes"):
        Condition(3)  # type: ignore[arg-type]


@given(st.text() | st.text("ab=<>'()%,.- ANDORNTILKEBW123*+/\"", max_size=60))
@settings(max_examples=300)
def test_any_text_is_a_condition_or_an_error(text: str) -> None:
    try:
        tree = parse(text).tree
    except ConditionError:
        return
    assert parse(written(tree)).names == parse(text).names


@given(st.text())
@settings(max_examples=300)
def test_folding_twice_is_folding_once(text: str) -> None:
    once = fold(text)
    assert fold(once) == once == unicodedata.normalize("NFC", once)
    assert fold(unicodedata.normalize("NFD", text)) == once
    assert fold(text.upper()) == fold(text.upper().lower().upper())


def test_every_character_folds_to_a_fixed_point() -> None:
    for code in range(0x110000):
        if not 0xD800 <= code < 0xE000:
            once = fold(chr(code))
            assert fold(once) == once


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Straße", "strasse"),
        ("İ", "i̇"),
        ("ſ", "s"),
        ("\u212a", "k"),
        ("E\u0301", "é"),
        ("ΣΊΣΥΦΟΣ", "σίσυφοσ"),
        ("\u0345\u0301", "\u0301ι"),
        ("", ""),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded
