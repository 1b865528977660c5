"""The parts of a condition that `explain` shows one by one: what stands between AND and OR, its present value, and whether it is met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement

from connector.conditions.parsing import Condition
from connector.conditions.sql import Compiler
from connector.conditions.sql_values import Env, ValueCompiler
from connector.conditions.tree import (
    AllOf,
    AnyOf,
    Between,
    Comparison,
    Count,
    Has,
    In,
    IsNull,
    Like,
    Name,
    Node,
    Not,
    Starts,
    walk,
    written,
)


@dataclass(frozen=True)
class Part:
    """One part, as the file says it.

    name: the field, where its left-hand side is nothing else; for showing the value as it came instead of folded.
    value(env): the left-hand side as an expression (folded text, microseconds, a number, a boolean); None where there is none.
    met(env): whether the part holds, three-valued.
    """

    text: str
    name: str | None
    value: Callable[[Env], ColumnElement[Any] | None]
    met: Callable[[Env], ColumnElement[bool]]


def parts(condition: Condition) -> list[Part]:
    """The parts, in the order of the file."""
    return [_part(leaf) for leaf in _leaves(condition.tree)]


def _leaves(node: Node) -> Iterator[Node]:
    if isinstance(node, AllOf | AnyOf):
        for part in node.parts:
            yield from _leaves(part)
    else:
        yield node


def _part(leaf: Node) -> Part:
    shown = _shown(leaf)

    def value(env: Env) -> ColumnElement[Any] | None:
        return None if shown is None else ValueCompiler(env).value(shown)

    def met(env: Env) -> ColumnElement[bool]:
        return Compiler(env).predicate(leaf)

    return Part(written(leaf), shown.name if isinstance(shown, Name) else None, value, met)


def _shown(node: Node) -> Node | None:
    """What a reader wants to see of a part: its left-hand side, or the right-hand one where the left one says nothing of the contact."""
    match node:
        case Comparison(_, left, right):
            return left if _tells(left) or not _tells(right) else right
        case In(operand, _, _) | Between(operand, _, _, _) | Like(operand, _, _) | IsNull(operand, _):
            return operand
        case Has(name, _) | Starts(name, _):
            return name
        case Not(operand):
            return _shown(operand)
        case Name():
            return node
    return None


def _tells(node: Node) -> bool:
    return any(isinstance(below, Name | Count) for below in walk(node))
