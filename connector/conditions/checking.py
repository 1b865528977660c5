"""Whether a condition fits the declared fields: names, types, durations. Every problem at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import timedelta

from connector.conditions import magnitude
from connector.conditions.comparing import Compared, ConditionProblem, comparison_problems
from connector.conditions.literals import length
from connector.conditions.parsing import Condition
from connector.conditions.sorts import Sort, described, sort_of
from connector.conditions.tree import (
    AllOf,
    AnyOf,
    Arithmetic,
    Between,
    Comparison,
    ConditionError,
    Count,
    Domain,
    Has,
    In,
    IsNull,
    Like,
    Moving,
    Name,
    Negative,
    Node,
    Not,
    Predicate,
    Starts,
    quoted,
    written,
)
from connector.model import ActivityKind, FieldType

_KINDS = tuple(str(kind) for kind in ActivityKind)


def check(condition: Condition, names: Mapping[str, FieldType]) -> list[ConditionProblem]:
    """Every problem of a condition against the fields it may read, in the order they stand; none: an empty list."""
    checker = _Checker(names)
    checker.predicate(condition.tree)
    return list(dict.fromkeys(checker.problems))


class _Checker:
    def __init__(self, types: Mapping[str, FieldType]) -> None:
        self.types = types
        self.problems: list[ConditionProblem] = []

    def problem(self, found: str, expected: str) -> None:
        self.problems.append(ConditionProblem(found, expected))

    def predicate(self, node: Node) -> None:
        match node:
            case AllOf(parts) | AnyOf(parts):
                for part in parts:
                    self.predicate(part)
            case Not(operand):
                self.predicate(operand)
            case Comparison(sign, left, right):
                self.compared(node, sign, left, right)
            case In(operand, items, _):
                for item in items:
                    self.compared(node, "in", operand, item)
            case Between(operand, low, high, _):
                self.compared(node, ">=", operand, low)
                self.compared(node, "<=", operand, high)
            case Like(operand, _, _):
                self.text_only("LIKE", operand)
            case IsNull(operand, _):
                self.value(operand)
            case Has(name, choice):
                self.has(name, choice)
            case Starts(name, _):
                self.text_only("starts()", name)
            case _:
                self.alone(node)

    def alone(self, node: Node) -> None:
        """A value where a condition should stand: only TRUE, FALSE and a boolean field may."""
        sort = self.value(node)
        if sort not in (Sort.TRUTH, None):
            self.problem(f"{written(node)} by itself, where {self.described(node)}", "expected a comparison; only a boolean stands alone")

    def value(self, node: Node) -> Sort | None:
        """The sort of a value, after reporting what is wrong inside it; None where nothing more can be said."""
        match node:
            case Name(name):
                self.known(name)
            case Negative(operand):
                self.calculated(operand)
            case Arithmetic(_, left, right):
                self.calculated(left)
                self.calculated(right)
                if magnitude.beyond(node, self.types):
                    self.problem(written(node), "so many numbers multiplied or divided may leave the range of numbers; expected fewer")
            case Moving(back):
                self.duration(back or "1 second", timedelta(0))
            case Count(_, kind, window):
                self.duration(window, timedelta(seconds=1))
                if kind is not None and kind not in _KINDS:
                    self.problem(f"activities of kind '{kind}'", f"expected {', '.join(map(quoted, _KINDS))}, or '*' for any")
            case Domain(name):
                self.text_only("domain()", name)
            case _ if isinstance(node, Predicate):
                self.predicate(node)
                self.problem(f"the condition {written(node)} used as a value", "expected a field, a number or a text")
        return sort_of(node, self.types)

    def known(self, name: str) -> None:
        if name in self.types:
            return
        folded = {known.casefold(): known for known in self.types}
        near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
        expected = f"did you mean {folded[near[0]]}?" if near else "expected a field of [fields], a built-in field or a computed one"
        self.problem(f"the unknown name {name}", expected)

    def duration(self, text: str, least: timedelta) -> None:
        try:
            amount = length(text)
        except ConditionError as error:
            self.problem(error.found, error.expected)
            return
        if amount < least:
            self.problem(f"the duration {quoted(text)}", "a window is longer than nothing")

    def calculated(self, node: Node) -> None:
        sort = self.value(node)
        if sort is Sort.MOMENT:
            self.problem(f"arithmetic, where {self.described(node)}", "compare it with ago('30 days') or now() instead")
        elif sort not in (Sort.NUMBER, None):
            self.problem(f"arithmetic, where {self.described(node)}", "expected a number")

    def text_only(self, construct: str, node: Node) -> None:
        sort = self.value(node)
        if sort is Sort.CHOICES:
            self.problem(f"{construct}, where {self.described(node)}", f"expected has({written(node)}, 'ONE OF THEM')")
        elif sort not in (Sort.TEXT, None):
            self.problem(f"{construct}, where {self.described(node)}", "expected a text field")

    def has(self, name: Name, choice: str) -> None:
        sort = self.value(name)
        if sort not in (Sort.CHOICES, None):
            self.problem(f"has(), where {self.described(name)}", f"expected a field of type choices, or {name.name} = {quoted(choice)}")
        if ";" in choice or not choice.strip():
            self.problem(written(Has(name, choice)), "expected one choice, without a semicolon")

    def compared(self, node: Node, sign: str, left: Node, right: Node) -> None:
        """One comparison: each side by itself, then both together. For IN and BETWEEN, one for each value."""
        if None not in (self.value(left), self.value(right)):
            self.problems += comparison_problems(Compared(node, sign, left, right), self.types)

    def described(self, node: Node) -> str:
        return described(node, self.types)
