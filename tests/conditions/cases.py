"""Conditions made by Hypothesis, each with what it should say: its text beside a plain three-valued evaluation in Python."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from connector.conditions import fold
from connector.model import FieldType
from tests.conditions.support import DAY, NOW, SECOND, TYPES, Person

Evaluate = Callable[[Person, int], Any]

LETTERS = "aAbkKsS.@%_\\/;' 5éßſıİ\u212a\u0301\u0345ǰ日"
DURATIONS = {"1 second": SECOND, "2 hours": 7200 * SECOND, "1 day": DAY, "30 days": 30 * DAY}
DATES = {
    "2026-11-20": NOW - 10 * 3600 * SECOND,  # midnight in Berlin, an hour before UTC's
    "2026-11-20 10:00": NOW,
    "2026-11-20T09:00:00Z": NOW,
    "2026-11-20T09:00:00.000001+00:00": NOW + 1,
    "2026-10-21T09:00:00Z": NOW - 30 * DAY,
}
ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A piece of a condition. binding: 1 OR, 2 AND, 3 NOT, 4 comparison, 5 + and -, 6 * and /, 8 everything that stands by itself."""

    text: str
    evaluate: Evaluate
    binding: int = 8

    def within(self, binding: int) -> str:
        return f"({self.text})" if self.binding < binding else self.text


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# ── People ──

texts = st.text(LETTERS, max_size=5)
spoken = st.none() | texts | st.sampled_from(["Director IT", "DIRECTOR", "a@b.de", "x@y@Straße.de", "@", "a@", "5112"])
whole = st.none() | st.integers(-3, 3) | st.sampled_from([2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)])
broken = st.none() | st.sampled_from([0.0, -0.0, 1.0, -2.5, 0.1, 1e29, 1e31, -1e308, 1.7e308, 5e-324, 1e-31, -1e-29, 2.0**53])
moments = st.sampled_from(
    sorted({NOW + sign * back + step for back in (0, *DURATIONS.values()) for sign in (-1, 1) for step in (-1, 0, 1)} | set(DATES.values()))
)
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.TEXT: spoken,
    FieldType.CHOICE: spoken,
    FieldType.CHOICES: st.none() | st.lists(st.text(LETTERS.replace(";", ""), min_size=1, max_size=3), max_size=3),
    FieldType.INTEGER: whole,
    FieldType.NUMBER: broken,
    FieldType.BOOLEAN: st.none() | st.booleans(),
    FieldType.DATETIME: st.none() | moments,
}
activities = st.tuples(st.sampled_from(["call", "email", "meeting", "task"]), moments)
persons = st.builds(
    Person,
    values=st.fixed_dictionaries({name: VALUES[kind] for name, kind in TYPES.items() if not name.startswith("salesforce.")}),
    activities=st.lists(activities, max_size=4),
    touches=st.lists(moments, max_size=3),
)


def named(*kinds: FieldType) -> st.SearchStrategy[Case]:
    """A field of these types. Those of the CRM that is not there are NULL."""
    names = [name for name, kind in TYPES.items() if kind in kinds]
    return st.sampled_from(names).map(lambda name: Case(name, lambda person, _: person.stored(name)))


# ── Values ──


def _domain(name: str) -> Case:
    def evaluate(person: Person, _: int) -> Any:
        address = person.stored(name)
        return None if address is None or "@" not in address else address.rsplit("@", 1)[1] or None

    return Case(f"domain({name})", evaluate)


text_values = named(FieldType.TEXT, FieldType.CHOICE) | st.sampled_from(["email", "job_title"]).map(_domain)


def _text(text: str) -> Case:
    return Case(quoted(text), lambda *_: fold(text))


text_literals = (texts | st.sampled_from(["director", "strasse.DE", "B.de"])).filter(str.strip).map(_text)


def _number(text: str) -> Case:
    return Case(text, lambda *_: float(text), 7 if text.startswith("-") else 8)


number_literals = st.sampled_from(["0", "1", "2", "-1", "3", "0.1", "1e3", "9007199254740991", "9007199254740993", "1.5", "-2.5"]).map(
    _number
)


def _count(kind: str, window: str) -> Case:
    def evaluate(person: Person, now: int) -> int:
        return sum(now - DURATIONS[window] <= at <= now for done, at in person.activities if kind in ("*", done))

    return Case(f"activities({quoted(kind)}, {quoted(window)})", evaluate)


def _touched(window: str) -> Case:
    return Case(f"touches({quoted(window)})", lambda person, now: sum(now - DURATIONS[window] <= at <= now for at in person.touches))


windows = st.sampled_from(sorted(DURATIONS))
counts = st.builds(_count, st.sampled_from(["*", "call", "meeting"]), windows) | windows.map(_touched)


def _kept(case: Case) -> Evaluate:
    """A number in arithmetic: a number field too large is NULL, too small is 0."""

    def evaluate(person: Person, now: int) -> float | None:
        value = case.evaluate(person, now)
        if value is None:
            return None
        if TYPES.get(case.text) is not FieldType.NUMBER:
            return float(value)
        if abs(value) > 1e30:
            return None
        return 0.0 if abs(value) < 1e-30 else float(value)

    return evaluate


def _negative(case: Case) -> Case:
    kept = _kept(case)

    def evaluate(person: Person, now: int) -> float | None:
        value = kept(person, now)
        return None if value is None else -value

    return Case(f"-{case.within(8)}", evaluate, 7)


def _calculated(sign: str, left: Case, right: Case) -> Case:
    first, second = _kept(left), _kept(right)
    does = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[sign]
    binding = 5 if sign in "+-" else 6

    def evaluate(person: Person, now: int) -> float | None:
        a, b = first(person, now), second(person, now)
        return None if a is None or b is None or (sign == "/" and b == 0) else does(a, b)

    return Case(f"{left.within(binding)} {sign} {right.within(binding + 1)}", evaluate, binding)


number_values = st.recursive(
    named(FieldType.INTEGER, FieldType.NUMBER) | number_literals | counts,
    lambda inner: st.builds(_calculated, st.sampled_from("+-*/"), inner, inner) | inner.map(_negative),
    max_leaves=4,
)


def _ago(back: str) -> Case:
    return Case(f"ago({quoted(back)})", lambda _, now: now - DURATIONS[back])


moving = windows.map(_ago) | st.just(Case("now()", lambda _, now: now))
moment_literals = st.sampled_from(sorted(DATES)).map(lambda text: Case(quoted(text), lambda *_: DATES[text]))
moment_values = named(FieldType.DATETIME) | moving

# ── Predicates ──


def _compared(sign: str, left: Case, right: Case) -> Case:
    def evaluate(person: Person, now: int) -> bool | None:
        a, b = left.evaluate(person, now), right.evaluate(person, now)
        if a is None or b is None:
            return None
        if isinstance(a, int | float) and not isinstance(a, bool) and abs(a) < 1e19 and not _is_moment(left, right):
            a, b = float(a), float(b)
        return ORDER[sign](a, b)

    return Case(f"{left.within(5)} {sign} {right.within(5)}", evaluate, 4)


def _is_moment(*cases: Case) -> bool:
    return any(TYPES.get(case.text) is FieldType.DATETIME or case.text.startswith(("ago(", "now(")) for case in cases)


def _negated(evaluate: Evaluate, *, negated: bool) -> Evaluate:
    def turned(person: Person, now: int) -> bool | None:
        value = evaluate(person, now)
        return value if value is None or not negated else not value

    return turned


def _null() -> Case:
    return Case("NULL", lambda *_: None)


def _among(operand: Case, items: list[Case], negated: bool) -> Case:
    single = _any([_compared("=", operand, item) for item in items])
    text = f"{operand.within(5)} {'NOT ' * negated}IN ({', '.join(item.text for item in items)})"
    return Case(text, _negated(single.evaluate, negated=negated), 4)


def _between(operand: Case, low: Case, high: Case, negated: bool) -> Case:
    both = _all([_compared(">=", operand, low), _compared("<=", operand, high)])
    text = f"{operand.within(5)} {'NOT ' * negated}BETWEEN {low.within(5)} AND {high.within(5)}"
    return Case(text, _negated(both.evaluate, negated=negated), 4)


def _pattern(text: str) -> re.Pattern[str]:
    wildcards = {"%": ".*", "_": "."}
    return re.compile("".join(wildcards.get(letter, re.escape(letter)) for letter in fold(text)), re.DOTALL)


def _matches(operand: Case, compiled: re.Pattern[str]) -> Evaluate:
    def evaluate(person: Person, now: int) -> bool | None:
        value = operand.evaluate(person, now)
        return None if value is None else compiled.fullmatch(value) is not None

    return evaluate


def _like(operand: Case, pattern: str, negated: bool) -> Case:
    evaluate = _negated(_matches(operand, _pattern(pattern)), negated=negated)
    return Case(f"{operand.text} {'NOT ' * negated}LIKE {quoted(pattern)}", evaluate, 4)


def _is_null(operand: Case, negated: bool) -> Case:
    evaluate = _negated(lambda person, now: operand.evaluate(person, now) is None, negated=negated)
    return Case(f"{operand.within(5)} IS {'NOT ' * negated}NULL", evaluate, 4)


def _has(name: Case, choice: str) -> Case:
    def evaluate(person: Person, now: int) -> bool | None:
        value = name.evaluate(person, now)
        return None if value is None else fold(choice) in value.strip(";").split(";")

    return Case(f"has({name.text}, {quoted(choice)})", evaluate)


def _starts(name: Case, prefix: str) -> Case:
    def evaluate(person: Person, now: int) -> bool | None:
        value = name.evaluate(person, now)
        return None if value is None else value.startswith(fold(prefix))

    return Case(f"starts({name.text}, {quoted(prefix)})", evaluate)


def _not(case: Case) -> Case:
    return Case(f"NOT {case.within(3)}", _negated(case.evaluate, negated=True), 3)


def _all(cases: list[Case]) -> Case:
    def evaluate(person: Person, now: int) -> bool | None:
        values = [case.evaluate(person, now) for case in cases]
        if False in values:
            return False
        return None if None in values else True

    return Case(" AND ".join(case.within(2 if i == 0 else 3) for i, case in enumerate(cases)), evaluate, 2)


def _any(cases: list[Case]) -> Case:
    def evaluate(person: Person, now: int) -> bool | None:
        values = [case.evaluate(person, now) for case in cases]
        if True in values:
            return True
        return None if None in values else False

    return Case(" OR ".join(case.within(1 if i == 0 else 2) for i, case in enumerate(cases)), evaluate, 1)


booleans = named(FieldType.BOOLEAN)
truths = st.sampled_from([Case("TRUE", lambda *_: True), Case("FALSE", lambda *_: False)])
signs = st.sampled_from(sorted(ORDER))
equals = st.sampled_from(["=", "!=", "<>"])
negations = st.booleans()
patterns = st.text(LETTERS + "%%__", max_size=5) | st.sampled_from(["%director%", "%@%", "_", "%\\%", "S%e"])

moment_operands = moment_values | moment_literals
time_leaves = st.one_of(
    st.builds(_compared, signs, moment_values, moment_operands),
    st.builds(_compared, signs, moment_literals, moment_values),
    st.builds(_between, moment_values, moment_operands | st.builds(_null), moment_operands, negations),
    st.builds(_among, moment_values, st.lists(moment_operands, min_size=1, max_size=2), negations),
    st.builds(_compared, signs, counts, number_values),
    st.builds(_is_null, moment_values | counts, negations),
)
plain_leaves = st.one_of(
    st.builds(_compared, equals, text_values, text_literals | text_values),
    st.builds(_among, text_values, st.lists(text_literals | st.builds(_null), min_size=1, max_size=3), negations),
    st.builds(_like, text_values, patterns, negations),
    st.builds(_compared, signs, number_values, number_values),
    st.builds(_between, number_values, number_values | st.builds(_null), number_values, negations),
    st.builds(_among, number_values, st.lists(number_literals | number_values, min_size=1, max_size=3), negations),
    st.builds(_is_null, text_values | number_values | booleans | named(FieldType.CHOICES), negations),
    st.builds(_has, named(FieldType.CHOICES), st.text(LETTERS.replace(";", ""), min_size=1, max_size=3).filter(str.strip)),
    st.builds(_starts, named(FieldType.TEXT, FieldType.CHOICE), texts),
    booleans,
    st.builds(_compared, equals, booleans, truths | booleans),
    truths,
)


def combined(leaves: st.SearchStrategy[Case], most: int) -> st.SearchStrategy[Case]:
    """Leaves under AND, OR and NOT."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(_all), st.lists(inner, min_size=2, max_size=3).map(_any), inner.map(_not)
        ),
        max_leaves=most,
    )


cases = combined(plain_leaves | time_leaves, 5)
timed_cases = combined(time_leaves | plain_leaves.filter(lambda case: case.text in TYPES), 4)
