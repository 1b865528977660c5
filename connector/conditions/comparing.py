"""What is wrong with a comparison of two values, each of which is right by itself. Pure: values and types in, problems out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from connector.conditions.literals import moment
from connector.conditions.sorts import Sort, described, sort_of
from connector.conditions.tree import Comparison, ConditionError, Moving, Node, Number, Text, quoted, written
from connector.model import FieldType

Types = Mapping[str, FieldType]


@dataclass(frozen=True)
class ConditionProblem:
    """One thing wrong in a condition: what stands there, and what would be right."""

    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.found}; {self.expected}"


@dataclass(frozen=True, slots=True)
class ValuePair:
    """Two values that are compared. node: the condition in which they are: a comparison, IN or BETWEEN."""

    node: Node
    sign: str
    left: Node
    right: Node


def comparison_problems(compared: ValuePair, types: Types) -> Iterator[ConditionProblem]:
    """What is wrong with the pair; nothing where both fit each other."""
    left, right = sort_of(compared.left, types), sort_of(compared.right, types)
    if Sort.NULL in (left, right):
        yield from _with_null(compared, null_left=left is Sort.NULL)
    elif Sort.CHOICES in (left, right):
        several = compared.left if left is Sort.CHOICES else compared.right
        said = f"{written(compared.node)}, where {described(several, types)}"
        yield ConditionProblem(said, f"expected has({written(several)}, 'ONE OF THEM')")
    elif left is not right:
        yield from _mixed(compared, types)
    elif left is Sort.TEXT:
        yield from _texts(compared, types)
    elif left is Sort.TRUTH and compared.sign not in ("=", "!="):
        yield ConditionProblem(written(compared.node), "a boolean is compared with = TRUE or = FALSE, or stands by itself")


def _with_null(compared: ValuePair, *, null_left: bool) -> Iterator[ConditionProblem]:
    if isinstance(compared.node, Comparison):
        value = compared.right if null_left else compared.left
        yield ConditionProblem(written(compared.node), f"is never met; expected {_null_test(value, compared.sign)}")


def _null_test(value: Node, sign: str) -> str:
    return f"{written(value, 5)} IS {'NOT ' if sign == '!=' else ''}NULL"


def _mixed(compared: ValuePair, types: Types) -> Iterator[ConditionProblem]:
    """What is wrong with values of two sorts: a quoted text beside a datetime is a date, everything else does not fit."""
    node, left, right = compared.node, compared.left, compared.right
    for text, value in ((left, right), (right, left)):
        if isinstance(text, Text) and sort_of(value, types) is Sort.MOMENT:
            try:
                moment(text.value, "UTC")
            except ConditionError as error:
                yield ConditionProblem(f"{written(node)}, where {described(value, types)}", f"{error.expected}, or ago('30 days')")
            return
    for moving, value in ((left, right), (right, left)):
        if isinstance(moving, Moving):
            yield ConditionProblem(f"{written(node)}, where {described(value, types)}", f"expected a datetime beside {written(moving)}")
            return
    yield ConditionProblem(f"{written(node)}: {described(left, types)} and {described(right, types)}", _fitting(left, right, types))


def _fitting(left: Node, right: Node, types: Types) -> str:
    """What would fit instead of values of two sorts."""
    for literal, value in ((right, left), (left, right)):
        sort = sort_of(value, types)
        if isinstance(literal, Text) and sort is Sort.NUMBER:
            return "expected a number, without quotes"
        if isinstance(literal, Text) and sort is Sort.TRUTH:
            return "expected TRUE or FALSE, or the field by itself"
        if isinstance(literal, Number) and sort is Sort.TEXT:
            return f"expected a text in quotes: {quoted(literal.written)}"
    return "expected two of the same type"


def _texts(compared: ValuePair, types: Types) -> Iterator[ConditionProblem]:
    node, left, right = compared.node, compared.left, compared.right
    if compared.sign in ("<", "<=", ">", ">="):
        yield ConditionProblem(f"{written(node)}, where {described(left, types)}", "text is not ordered; expected =, !=, IN or LIKE")
    for text, value in ((left, right), (right, left)):
        if isinstance(text, Text) and not text.value.strip():
            yield ConditionProblem(written(node), f"an empty field is NULL; expected {_null_test(value, compared.sign)}")
