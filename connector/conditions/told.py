"""Whether a condition is met by values at hand, as far as they tell: for going back in one contact's history, where no row can be asked.

Answers are those of SQL (`True`, `False`, `None` for NULL), and `UNKNOWN` where a name, or what is done with it, is not told. Values are as
`contact` holds them: moments as microseconds, several choices as ";a;b;".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Literal

from connector.conditions.tree import AllOf, AnyOf, Between, Comparison, Has, In, IsNull, Like, Name, Node, Not, Number, Starts, Text, Truth
from connector.model import fold


class _Unknown(Enum):
    UNKNOWN = "unknown"


UNKNOWN = _Unknown.UNKNOWN
Answer = bool | None | Literal[_Unknown.UNKNOWN]


def told(node: Node, values: Mapping[str, Any]) -> Answer:
    """What the values say of a predicate. values: by the names of conditions; None is empty, a name that is missing is not known."""
    match node:
        case AllOf(parts):
            return _together([told(part, values) for part in parts], decides=False)
        case AnyOf(parts):
            return _together([told(part, values) for part in parts], decides=True)
        case Not(operand):
            return _negated(told(operand, values), negated=True)
        case Truth(value):
            return value
        case Name(name):
            found = values.get(name, UNKNOWN)
            return found if found is None or isinstance(found, bool) else UNKNOWN
        case IsNull(Name(name), negated):
            return UNKNOWN if name not in values else (values[name] is None) is not negated
        case Comparison("=" | "!=" as sign, Name(name), other) | Comparison("=" | "!=" as sign, other, Name(name)):
            return _negated(_equal(values, name, other), negated=sign == "!=")
        case In(Name(name), items, negated):
            return _negated(_together([_equal(values, name, item) for item in items], decides=True), negated=negated)
    return _of_text(node, values)


def _of_text(node: Node, values: Mapping[str, Any]) -> Answer:
    """What looks into a text; anything else is not told."""
    match node:
        case Has(Name(name), choice):
            text = _text(values, name)
            return fold(choice) in text.strip(";").split(";") if isinstance(text, str) else text
        case Starts(Name(name), prefix):
            text = _text(values, name)
            return text.startswith(fold(prefix)) if isinstance(text, str) else text
        case Like(Name(name), pattern, negated):
            text = _text(values, name)
            met = _pattern(pattern).fullmatch(text) is not None if isinstance(text, str) else text
            return _negated(met, negated=negated)
        case Comparison() | Between():
            return UNKNOWN
    return UNKNOWN


def _equal(values: Mapping[str, Any], name: str, other: Node) -> Answer:
    if name not in values:
        return UNKNOWN
    value = values[name]
    if value is None:
        return None
    match other:
        case Text(text) if isinstance(value, str):
            return fold(value) == fold(text)
        case Number(number, _) if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value) == number
        case Truth(truth) if isinstance(value, bool):
            return value is truth
    return UNKNOWN


def _text(values: Mapping[str, Any], name: str) -> str | Literal[_Unknown.UNKNOWN] | None:
    value = values.get(name, UNKNOWN)
    return fold(value) if isinstance(value, str) else None if value is None else UNKNOWN


def _pattern(pattern: str) -> re.Pattern[str]:
    """LIKE knows % and _."""
    pieces = (".*" if sign == "%" else "." if sign == "_" else re.escape(sign) for sign in fold(pattern))
    return re.compile("".join(pieces), re.DOTALL)


def _negated(answer: Answer, *, negated: bool) -> Answer:
    return not answer if negated and isinstance(answer, bool) else answer


def _together(answers: Iterable[Answer], *, decides: bool) -> Answer:
    """AND (one False decides), OR (one True does); what is not known may decide, and NULL does not."""
    found = set(answers)
    if decides in found:
        return decides
    if UNKNOWN in found:
        return UNKNOWN
    return None if None in found else not decides
