"""The numbers that a condition compares a name with: when the name's value passes none of them, the condition stays as it is."""

from __future__ import annotations

from collections.abc import Iterator

from connector.conditions.parsing import Condition
from connector.conditions.tree import Between, Comparison, In, IsNull, Name, Negative, Node, Number, children


def thresholds(condition: Condition, name: str) -> frozenset[float] | None:
    """The numbers that the name's value is compared with; none where it is not read. None where it is read in another way, too."""
    found = list(_compared(condition.tree, Name(name)))
    known = frozenset(number for number in found if number is not None)
    return known if len(known) == len(set(found)) else None


def _compared(node: Node, name: Name) -> Iterator[float | None]:
    """What the name is compared with, part by part; None for a part that reads it in another way."""
    match node:
        case Comparison(_, left, right) if name in (left, right):
            yield _number(right if left == name else left)
        case Between(operand, low, high, _) if operand == name:
            yield from (_number(low), _number(high))
        case In(operand, items, _) if operand == name:
            yield from map(_number, items)
        case IsNull(operand, _) if operand == name:
            return
        case Name():
            yield from (None,) if node == name else ()
        case _:
            for child in children(node):
                yield from _compared(child, name)


def _number(node: Node) -> float | None:
    match node:
        case Number(value, _):
            return value
        case Negative(Number(value, _)):
            return -value
    return None
