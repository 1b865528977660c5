"""Values of conditions → SQLAlchemy expressions: fields, literals, numbers to calculate with, counts, moments.

Every literal is a bound value. What is compiled is what both databases do alike (see `sql`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Double,
    String,
    case,
    cast,
    func,
    literal,
    null,
    type_coerce,
)
from sqlalchemy.types import TypeEngine

from connector.conditions.literals import micros, moment
from connector.conditions.magnitude import LEAST, MOST
from connector.conditions.sorts import SORTS, Sort, sort_of
from connector.conditions.tree import (
    Arithmetic,
    ConditionError,
    Count,
    Domain,
    Moving,
    Name,
    Negative,
    Node,
    Null,
    Number,
    Text,
    Truth,
    written,
)
from connector.model import FieldType, fold

Column = ColumnElement[Any]

#: Whole numbers below this are the same in double precision.
_EXACT = 2**53
_NULLS: dict[Sort, TypeEngine[Any]] = {
    Sort.TEXT: String(),
    Sort.CHOICES: String(),
    Sort.NUMBER: Double(),
    Sort.TRUTH: Boolean(),
    Sort.MOMENT: BigInteger(),
}


@dataclass(frozen=True, kw_only=True)
class Env:
    """What the names and counts of a condition stand for in one query.

    columns: name → column. Textual ones are the folded twins, choices folded as ";a;b;"; datetimes BIGINT, microseconds since 1970 (UTC);
        integers BIGINT, numbers DOUBLE (finite); booleans Boolean. Empty is NULL. A name of `types` that is missing here reads NULL.
    types: every name that a condition may read.
    now: the moment of judgement, microseconds, a bound parameter of type BigInteger.
    timezone: in which dates and times without an offset are meant.
    count_activities(kind, since): how many activities of a kind (None: any) happened at or after `since` and at or before now, never NULL.
    count_touches(since): how many touches, likewise.
    oldest_activity(kind, since), oldest_touch(since): the moment of the first of those counted; NULL where there is none.
    next_activity(kind), next_touch(): the first moment after now that is already known and will then be counted; NULL where there is none.
    """

    columns: Mapping[str, Column]
    types: Mapping[str, FieldType]
    now: ColumnElement[int]
    timezone: str
    count_activities: Callable[[str | None, ColumnElement[int]], ColumnElement[int]]
    count_touches: Callable[[ColumnElement[int]], ColumnElement[int]]
    oldest_activity: Callable[[str | None, ColumnElement[int]], ColumnElement[int]]
    oldest_touch: Callable[[ColumnElement[int]], ColumnElement[int]]
    next_activity: Callable[[str | None], ColumnElement[int]]
    next_touch: Callable[[], ColumnElement[int]] | None = None


class ValueCompiler:
    """Compiles values for one Env."""

    def __init__(self, env: Env) -> None:
        self.env = env

    def alike(self, *nodes: Node) -> list[Column]:
        """Values that are compared with one another, in a form in which both databases compare alike."""
        sorts = {sort_of(node, self.env.types) for node in nodes} - {Sort.NULL}
        if Sort.MOMENT in sorts:
            return [self.moment(node) for node in nodes]
        if Sort.NUMBER in sorts:
            whole = _whole(nodes, self.env.types)
            return [self.integer(node) if whole else self.number(node) for node in nodes]
        if Sort.TRUTH in sorts:
            return [self.boolean(node) for node in nodes]
        return [self.text(node) for node in nodes]

    def value(self, node: Node) -> Column:
        """A value by itself, as explain shows it and IS NULL tests it."""
        match sort_of(node, self.env.types):
            case Sort.MOMENT:
                return self.moment(node)
            case Sort.NUMBER:
                return self.integer(node) if isinstance(node, Name | Count) else self.number(node)
            case Sort.TRUTH:
                return self.boolean(node)
        return self.text(node)

    def column(self, name: str) -> Column:
        """The column of a name; a typed NULL where its CRM is not in the file."""
        if name not in self.env.types:
            raise ConditionError(f"the unknown name {name}", "expected a declared field")
        sort = SORTS[self.env.types[name]]
        if name not in self.env.columns:
            return cast(null(), _NULLS[sort])
        column = self.env.columns[name]
        return type_coerce(column, BigInteger) if sort is Sort.MOMENT else column

    def text(self, node: Node) -> Column:
        match node:
            case Text(value):
                return literal(fold(value), String())
            case Name(name):
                return self.column(name)
            case Domain(name):
                return self.domain(self.column(name.name))
        return self.null(node, Sort.TEXT)

    @staticmethod
    def domain(address: Column) -> Column:
        """What stands after the last @; NULL where nothing does."""
        up_to_last = func.rtrim(address, func.replace(address, "@", ""))
        tail = func.substr(address, func.length(up_to_last) + 1, type_=String())
        return case((address.like("%@%"), func.nullif(tail, "", type_=String())))

    def boolean(self, node: Node) -> Column:
        match node:
            case Truth(value):
                return literal(value, Boolean())
            case Name(name):
                return self.column(name)
        return self.null(node, Sort.TRUTH)

    def moment(self, node: Node) -> Column:
        match node:
            case Text(value):
                return literal(moment(value, self.env.timezone), BigInteger())
            case Name(name):
                return self.column(name)
            case Moving(None):
                return self.env.now
            case Moving(str(back)):
                return self.env.now - literal(micros(back), BigInteger())
        return self.null(node, Sort.MOMENT)

    def integer(self, node: Node) -> Column:
        """A whole number that needs no calculation."""
        match node:
            case Number(value):
                return literal(int(value), BigInteger())
            case Name(name):
                return self.column(name)
            case Count("activities", kind, window):
                return self.env.count_activities(kind, self.since(window))
            case Count(_, _, window):
                return self.env.count_touches(self.since(window))
        return self.null(node, Sort.NUMBER)

    def since(self, window: str) -> ColumnElement[int]:
        return self.env.now - literal(micros(window), BigInteger())

    def number(self, node: Node) -> Column:
        """A number in double precision."""
        match node:
            case Number(value):
                return literal(value, Double())
            case Name(name) if self.env.types.get(name) is FieldType.NUMBER:
                return self.column(name)
            case Name() | Count():
                return cast(self.integer(node), Double())
            case Negative(operand):
                return -self.term(operand)
            case Arithmetic(sign, left, right):
                return self.arithmetic(sign, self.term(left), self.term(right))
        return self.null(node, Sort.NUMBER)

    @staticmethod
    def arithmetic(sign: str, left: Column, right: Column) -> Column:
        match sign:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
        return left / func.nullif(right, literal(0.0, Double()), type_=Double())

    def term(self, node: Node) -> Column:
        """A number to calculate with: a number field is kept within what cannot overflow (see `magnitude`)."""
        value = self.number(node)
        if not (isinstance(node, Name) and self.env.types.get(node.name) is FieldType.NUMBER and node.name in self.env.columns):
            return value
        size: Column = func.abs(value, type_=Double())
        return case((size > MOST, null()), (size < LEAST, literal(0.0, Double())), else_=cast(value, Double()))

    @staticmethod
    def null(node: Node, sort: Sort) -> Column:
        if isinstance(node, Null):
            return cast(null(), _NULLS[sort])
        raise ConditionError(written(node), f"expected {sort.value}")


def _whole(nodes: tuple[Node, ...], types: Mapping[str, FieldType]) -> bool:
    """Whether numbers may be compared as integers with the result that double precision gives: one column and small literals."""
    literals = [node for node in nodes if isinstance(node, Number)]
    others = [node for node in nodes if not isinstance(node, Number | Null)]
    if any(node.value != int(node.value) or abs(node.value) >= _EXACT for node in literals):
        return False
    whole = all(isinstance(node, Count) or (isinstance(node, Name) and types.get(node.name) is FieldType.INTEGER) for node in others)
    return whole and len(others) <= 1
