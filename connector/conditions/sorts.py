"""What a value of a condition is, for comparing: text, a number, a moment, …"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from connector.conditions.tree import Arithmetic, Count, Domain, Moving, Name, Negative, Node, Null, Number, Text, Truth, written
from connector.model import FieldType


class Sort(Enum):
    """What a value is, for comparing."""

    TEXT = "text"
    CHOICES = "several choices"
    NUMBER = "a number"
    TRUTH = "true or false"
    MOMENT = "a datetime"
    NULL = "NULL"


SORTS = {
    FieldType.TEXT: Sort.TEXT,
    FieldType.CHOICE: Sort.TEXT,
    FieldType.CHOICES: Sort.CHOICES,
    FieldType.INTEGER: Sort.NUMBER,
    FieldType.NUMBER: Sort.NUMBER,
    FieldType.BOOLEAN: Sort.TRUTH,
    FieldType.DATETIME: Sort.MOMENT,
}


def sort_of(node: Node, types: Mapping[str, FieldType]) -> Sort | None:
    """What a value is; None for a name that is not declared and for what is no value."""
    match node:
        case Text() | Domain():
            return Sort.TEXT
        case Number() | Negative() | Arithmetic() | Count():
            return Sort.NUMBER
        case Truth():
            return Sort.TRUTH
        case Null():
            return Sort.NULL
        case Moving():
            return Sort.MOMENT
        case Name(name):
            return SORTS[types[name]] if name in types else None
    return None


def described(node: Node, types: Mapping[str, FieldType]) -> str:
    """A value and what it is, for messages: "industry is a choice field"."""
    if isinstance(node, Name) and node.name in types:
        kind = types[node.name]
        return f"{node.name} is {'an' if kind.value[0] in 'aeiou' else 'a'} {kind} field"
    sort = sort_of(node, types)
    return f"{written(node)} is {sort.value}" if sort else written(node)
