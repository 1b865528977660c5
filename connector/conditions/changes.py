"""When a condition may change by time alone: the moments at which ago() and now() pass a field, and at which windows lose or gain."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import BigInteger, ColumnElement, case, literal

from connector.conditions.literals import micros
from connector.conditions.moments import earliest
from connector.conditions.parsing import Condition
from connector.conditions.sorts import Sort, sort_of
from connector.conditions.sql_values import Env, ValueCompiler
from connector.conditions.tree import Between, Comparison, Count, In, Moving, Name, Node, Sign, Text, walk

Moment = ColumnElement[int]

def next_change(condition: Condition, env: Env) -> Moment | None:
    """The earliest moment strictly after now at which the condition may change by time alone: microseconds, NULL for never.

    None where time alone can change it for no row. It may be early (a change that does not matter to the whole), never late.
    """
    moments = list(_moments(condition.tree, env))
    return earliest(moments) if moments else None


def _moments(tree: Node, env: Env) -> Iterator[Moment]:
    passings = dict.fromkeys(passing for node in walk(tree) for passing in _passings(node, env))
    for fixed, back, after in passings:
        yield from _passing(env, fixed, back, after=after)
    counts = dict.fromkeys(node for node in walk(tree) if isinstance(node, Count))
    for count in counts:
        yield from _window(count, env)
    for kind in dict.fromkeys(count.kind for count in counts if count.counted == "activities"):
        yield env.next_activity(kind)
    if env.next_touch is not None and any(count.counted == "touches" for count in counts):
        yield env.next_touch()


_Passing = tuple[Name | Text, int, bool]


def _passings(node: Node, env: Env) -> Iterator[_Passing]:
    """Where a moving moment meets one that stands still: (the still one, how far back the moving one is, whether one microsecond after)."""
    match node:
        case Comparison(sign, left, right):
            yield from _meeting(sign, left, right, env)
        case Between(operand, low, high, _):
            yield from _meeting(">=", operand, low, env)
            yield from _meeting("<=", operand, high, env)
        case In(operand, items, _):
            for item in items:
                yield from _meeting("=", operand, item, env)


_TURNED: dict[Sign, Sign] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


def _meeting(sign: Sign, left: Node, right: Node, env: Env) -> Iterator[_Passing]:
    if isinstance(left, Moving):
        sign, left, right = _TURNED[sign], right, left
    if not isinstance(right, Moving) or not isinstance(left, Name | Text):
        return
    if isinstance(left, Name) and (left.name not in env.columns or sort_of(left, env.types) is not Sort.MOMENT):
        return
    back = 0 if right.back is None else micros(right.back)
    # `field <= ago` turns true when the two are equal, `field < ago` a microsecond after; an equality holds for that microsecond alone.
    if sign in ("<=", ">", "=", "!="):
        yield left, back, False
    if sign in ("<", ">=", "=", "!="):
        yield left, back, True


def _passing(env: Env, fixed: Name | Text, back: int, *, after: bool) -> Iterator[Moment]:
    meeting = ValueCompiler(env).moment(fixed) + literal(back + after, BigInteger())
    yield case((meeting > env.now, meeting))


def _window(count: Count, env: Env) -> Iterator[Moment]:
    """The moment at which the first that is counted now drops out: a microsecond after it is as old as the window."""
    length = micros(count.window)
    since = env.now - literal(length, BigInteger())
    oldest = env.oldest_touch(since) if count.counted == "touches" else env.oldest_activity(count.kind, since)
    yield oldest + literal(length + 1, BigInteger())
