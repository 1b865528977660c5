"""The tree of a condition: small frozen nodes, what they say when written out again, and how to walk them.

Values: Text, Number, Truth, Null, Name, Negative, Arithmetic, Moving (now, ago), Count (activities, touches), Domain.
Predicates: Comparison, In, Between, Like, IsNull, Has, Starts, Not, All (AND), Any (OR); a Name or Truth may stand as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Sign = Literal["=", "!=", "<", "<=", ">", ">="]
ArithmeticSign = Literal["+", "-", "*", "/"]


class ConditionError(ValueError):
    """A condition that cannot be read. `found` is what stands there, `expected` what would be right."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"{found}; {expected}")
        self.found = found
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Text:
    """A text in single quotes; beside a datetime it is a date or a moment."""

    value: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number. `written` is how the file wrote it."""

    value: float
    written: str


@dataclass(frozen=True, slots=True)
class Truth:
    """TRUE or FALSE."""

    value: bool


@dataclass(frozen=True, slots=True)
class Null:
    """NULL, in a list or after BETWEEN."""


@dataclass(frozen=True, slots=True)
class Name:
    """A field: "industry", "hubspot.lead_status"."""

    name: str


@dataclass(frozen=True, slots=True)
class Negative:
    """Minus a value."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers, one result."""

    sign: ArithmeticSign
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Moving:
    """now(), or ago('30 days'): a moment that moves with the clock. `back` is the duration as written, None for now()."""

    back: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """activities('meeting', '90 days') or touches('14 days'). kind None: any."""

    counted: Literal["activities", "touches"]
    kind: str | None
    window: str


@dataclass(frozen=True, slots=True)
class Domain:
    """domain(email): what stands after the last @."""

    name: Name


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values, compared."""

    sign: Sign
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class In:
    """x IN (a, b), x NOT IN (a, b)."""

    operand: Node
    items: tuple[Node, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Between:
    """x BETWEEN low AND high, both included."""

    operand: Node
    low: Node
    high: Node
    negated: bool


@dataclass(frozen=True, slots=True)
class Like:
    """x LIKE '%pattern_'."""

    operand: Node
    pattern: str
    negated: bool


@dataclass(frozen=True, slots=True)
class IsNull:
    """x IS NULL, x IS NOT NULL."""

    operand: Node
    negated: bool


@dataclass(frozen=True, slots=True)
class Has:
    """has(roles, 'CHAMPION'): one of several choices."""

    name: Name
    choice: str


@dataclass(frozen=True, slots=True)
class Starts:
    """starts(naics, '5112'): the text begins so."""

    name: Name
    prefix: str


@dataclass(frozen=True, slots=True)
class Not:
    """NOT."""

    operand: Node


@dataclass(frozen=True, slots=True)
class AllOf:
    """AND, two parts or more."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """OR, two parts or more."""

    parts: tuple[Node, ...]


Value = Text | Number | Truth | Null | Name | Negative | Arithmetic | Moving | Count | Domain
Predicate = Comparison | In | Between | Like | IsNull | Has | Starts | Not | AllOf | AnyOf
Node = Value | Predicate


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below, in the order written."""
    match node:
        case Negative(operand) | Like(operand, _, _) | IsNull(operand, _) | Not(operand):
            return (operand,)
        case Arithmetic(_, left, right) | Comparison(_, left, right):
            return (left, right)
        case In(operand, items, _):
            return (operand, *items)
        case Between(operand, low, high, _):
            return (operand, low, high)
        case Domain(name) | Has(name, _) | Starts(name, _):
            return (name,)
        case AllOf(parts) | AnyOf(parts):
            return parts
    return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, in the order written."""
    yield node
    for child in children(node):
        yield from walk(child)


#: How strongly a node holds its parts together; what binds less than its surroundings is written in parentheses.
_BINDING = {AnyOf: 1, AllOf: 2, Not: 3, Comparison: 4, In: 4, Between: 4, Like: 4, IsNull: 4, Negative: 7}
_ATOM = 8


def _binding(node: Node) -> int:
    if isinstance(node, Arithmetic):
        return 5 if node.sign in "+-" else 6
    if isinstance(node, Number) and node.written.startswith("-"):
        return _BINDING[Negative]  # two signs side by side would begin a comment
    return _BINDING.get(type(node), _ATOM)


def quoted(text: str) -> str:
    """A text as the language writes it."""
    return "'" + text.replace("'", "''") + "'"


def written(node: Node, surroundings: int = 0) -> str:
    """The node in the words of the file, with one spelling for blanks, keywords and `<>`."""
    text = _predicate(node) if isinstance(node, Predicate) else _value(node)
    return f"({text})" if _binding(node) < surroundings else text


def _predicate(node: Predicate) -> str:
    match node:
        case Comparison(sign, left, right):
            return f"{written(left, 5)} {sign} {written(right, 5)}"
        case In(operand, items, negated):
            return f"{written(operand, 5)} {'NOT ' if negated else ''}IN ({', '.join(written(item) for item in items)})"
        case Between(operand, low, high, negated):
            return f"{written(operand, 5)} {'NOT ' if negated else ''}BETWEEN {written(low, 5)} AND {written(high, 5)}"
        case Like(operand, pattern, negated):
            return f"{written(operand, 5)} {'NOT ' if negated else ''}LIKE {quoted(pattern)}"
        case IsNull(operand, negated):
            return f"{written(operand, 5)} IS {'NOT ' if negated else ''}NULL"
        case Has(name, choice):
            return f"has({name.name}, {quoted(choice)})"
        case Starts(name, prefix):
            return f"starts({name.name}, {quoted(prefix)})"
        case Not(operand):
            return f"NOT {written(operand, 3)}"
        case AllOf(parts):
            return " AND ".join(written(part, 3) for part in parts)
        case AnyOf(parts):
            return " OR ".join(written(part, 2) for part in parts)


def _value(node: Value) -> str:
    match node:
        case Text(value):
            return quoted(value)
        case Number(_, text):
            return text
        case Truth(value):
            return "TRUE" if value else "FALSE"
        case Null():
            return "NULL"
        case Name(name):
            return name
        case Negative(operand):
            return f"-{written(operand, _ATOM)}"
        case Arithmetic(sign, left, right):
            own = _binding(node)
            return f"{written(left, own)} {sign} {written(right, own + 1)}"
        case Moving(back):
            return "now()" if back is None else f"ago({quoted(back)})"
        case Count("activities", kind, window):
            return f"activities({quoted(kind or '*')}, {quoted(window)})"
        case Count(_, _, window):
            return f"touches({quoted(window)})"
        case Domain(name):
            return f"domain({name.name})"
