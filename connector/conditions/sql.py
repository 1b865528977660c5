"""Tree → SQLAlchemy expressions, the same for SQLite and PostgreSQL.

Nothing is put together as text. Every literal is a bound value. Where the two databases differ (LIKE's escape, integer division, overflow,
Boolean), what is compiled is what both do alike; the truth is three-valued as in SQL, and callers coalesce.
"""

from __future__ import annotations

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    false,
    literal,
    not_,
    or_,
    true,
)

from connector.conditions.literals import ESCAPE, escaped, pattern
from connector.conditions.parsing import Condition
from connector.conditions.sql_values import Env, ValueCompiler
from connector.conditions.tree import (
    AllOf,
    AnyOf,
    Between,
    Comparison,
    ConditionError,
    Has,
    In,
    IsNull,
    Like,
    Name,
    Node,
    Not,
    Sign,
    Starts,
    Truth,
    written,
)
from connector.model import fold


def compile(condition: Condition, env: Env) -> ColumnElement[bool]:  # noqa: A001 - the word for it; used as conditions.compile
    """The condition as a three-valued SQL expression. Raises ConditionError where `check` would have found a problem of names or dates."""
    return Compiler(env).predicate(condition.tree)


def answer(condition: Condition | None, env: Env) -> ColumnElement[int]:
    """1 where a condition is met, 0 where it is not or says nothing; no condition is always met."""
    return literal(1) if condition is None else one_if(compile(condition, env))


def one_if(expression: ColumnElement[bool]) -> ColumnElement[int]:
    """1 where an expression is true, 0 where it is false or NULL."""
    return case((expression, 1), else_=0)


class Compiler:
    """Compiles predicates for one Env. values: compiles what they compare."""

    def __init__(self, env: Env) -> None:
        self.values = ValueCompiler(env)

    def predicate(self, node: Node) -> ColumnElement[bool]:
        match node:
            case AllOf(parts):
                return and_(*(self.predicate(part) for part in parts))
            case AnyOf(parts):
                return or_(*(self.predicate(part) for part in parts))
            case Not(operand):
                return not_(self.predicate(operand))
            case Comparison(sign, left, right):
                return self.comparison(sign, left, right)
            case In(operand, items, negated):
                return self.among(operand, items, negated=negated)
            case Between(operand, low, high, negated):
                inside = and_(self.comparison(">=", operand, low), self.comparison("<=", operand, high))
                return not_(inside) if negated else inside
            case Like(operand, text, negated):
                return self.like(operand, pattern(text), negated=negated)
            case IsNull(operand, negated):
                value = self.values.value(operand)
                return value.is_not(None) if negated else value.is_(None)
            case Has(name, choice):
                return self.like(name, f"%;{escaped(fold(choice))};%")
            case Starts(name, prefix):
                return self.like(name, f"{escaped(fold(prefix))}%")
            case Name() | Truth():
                return self.truth(node)
        raise ConditionError(f"{written(node)} by itself", "expected a comparison")

    def comparison(self, sign: Sign, left: Node, right: Node) -> ColumnElement[bool]:
        first, second = self.values.alike(left, right)
        match sign:
            case "=":
                return first == second
            case "!=":
                return first != second
            case "<":
                return first < second
            case "<=":
                return first <= second
            case ">":
                return first > second
            case ">=":
                return first >= second

    def among(self, operand: Node, items: tuple[Node, ...], *, negated: bool) -> ColumnElement[bool]:
        value, *choices = self.values.alike(operand, *items)
        return value.not_in(choices) if negated else value.in_(choices)

    def like(self, operand: Node, text: str, *, negated: bool = False) -> ColumnElement[bool]:
        value, escape = self.values.text(operand), ESCAPE
        return value.not_like(text, escape=escape) if negated else value.like(text, escape=escape)

    def truth(self, node: Node) -> ColumnElement[bool]:
        if isinstance(node, Truth):
            return true() if node.value else false()
        return self.values.value(node)
