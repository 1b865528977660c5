"""How large and how small the numbers of an arithmetic expression can become, so that no row can overflow.

PostgreSQL ends a whole statement where a product leaves the range of double precision; SQLite goes on with infinity. So the compiled SQL
keeps number fields within `MOST` and `LEAST` before it calculates, and a condition that could still leave the range is refused by `check`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from connector.conditions.tree import Arithmetic, Negative, Node, Number
from connector.model import FieldType

#: Beyond this a number field counts as NULL in arithmetic, and nearer to nothing than LEAST as 0.
MOST = 1e30
LEAST = 1e-30

_RANGE = 300.0  # double precision holds 1e-307 to 1e308 at full precision
_GRAIN = 53 * math.log10(2)  # how much finer than itself a number's last bit is


@dataclass(frozen=True, slots=True)
class _Size:
    """Powers of ten: the largest value, the smallest but 0, and the step that all values are multiples of."""

    most: float
    least: float
    step: float


def beyond(node: Node, types: Mapping[str, FieldType]) -> bool:
    """Whether an expression could leave the range of double precision for some row."""
    size = _size(node, types)
    return size.most > _RANGE or size.least < -_RANGE


def _size(node: Node, types: Mapping[str, FieldType]) -> _Size:
    match node:
        case Negative(operand):
            return _size(operand, types)
        case Arithmetic(sign, left, right):
            return _result(sign, _size(left, types), _size(right, types))
        case Number(value):
            power = math.log10(abs(value)) if value else 0.0
            return _Size(power, power, 0.0 if value == int(value) else power - _GRAIN)
    whole = types.get(getattr(node, "name", ""), FieldType.INTEGER) is not FieldType.NUMBER
    return _Size(19.0, 0.0, 0.0) if whole else _Size(math.log10(MOST), math.log10(LEAST), math.log10(LEAST) - _GRAIN)


def _result(sign: str, left: _Size, right: _Size) -> _Size:
    if sign == "*":
        return _Size(left.most + right.most, left.least + right.least, left.step + right.step)
    if sign == "/":
        least = left.least - right.most
        return _Size(left.most - right.least, least, least - _GRAIN)
    step = min(left.step, right.step)
    return _Size(max(left.most, right.most) + math.log10(2), step, step)
