"""Text → tree. sqlglot reads the SQL; what is not on the language's list is refused by its name."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from connector.conditions.literals import length
from connector.conditions.tree import (
    AllOf,
    AnyOf,
    Arithmetic,
    ArithmeticSign,
    Between,
    Comparison,
    ConditionError,
    Count,
    Domain,
    Has,
    In,
    IsNull,
    Like,
    Moving,
    Name,
    Negative,
    Node,
    Not,
    Null,
    Number,
    Sign,
    Starts,
    Text,
    Truth,
    walk,
)

MOST_NODES = 200
_LONGEST_TEXT = 20_000
_DEEPEST = 30

_LIKE_THIS = "expected a condition like \"industry = 'software' AND employees > 50\""
_SIGNS: dict[type[exp.Expr], Sign] = {exp.EQ: "=", exp.NEQ: "!=", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_ARITHMETIC: dict[type[exp.Expr], ArithmeticSign] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
#: Constructs people try, by the name they know and what the language has instead.
_REFUSED: dict[type[exp.Expr], tuple[str, str]] = {
    exp.Subquery: ("a subquery", "counts come from activities() and touches()"),
    exp.Select: ("a subquery", "counts come from activities() and touches()"),
    exp.Exists: ("EXISTS", "counts come from activities() and touches()"),
    exp.Case: ("CASE", "write the cases with AND and OR"),
    exp.If: ("IF", "write the cases with AND and OR"),
    exp.Cast: ("a cast or typed literal", "a field's type is declared in [fields]; dates are plain texts like '2026-12-01'"),
    exp.ILike: ("ILIKE", "LIKE does not look at case"),
    exp.RegexpLike: ("a regular expression", "use LIKE with % and _"),
    exp.Escape: ("LIKE with ESCAPE", "LIKE knows % and _ only"),
    exp.Interval: ("INTERVAL", "write ago('30 days')"),
    exp.DPipe: ("||", "texts are compared as they are"),
    exp.Mod: ("%", "numbers have + - * /"),
    exp.Placeholder: ("a placeholder", "write the value"),
    exp.Parameter: ("a parameter", "write the value"),
    exp.Alias: ("two words side by side", "a name is one word, a number is written without separators"),
    exp.Star: ("*", "name a field"),
    exp.NullSafeEQ: ("IS NOT DISTINCT FROM", "write = and IS NULL"),
    exp.NullSafeNEQ: ("IS DISTINCT FROM", "write != and IS NULL"),
    exp.Xor: ("XOR", "use AND, OR and NOT"),
    exp.Tuple: ("a list outside IN", "write field IN ('a', 'b')"),
}
_CALLS = {
    "now": "now()",
    "ago": "ago('30 days')",
    "activities": "activities('meeting', '90 days')",
    "touches": "touches('14 days')",
    "domain": "domain(email)",
    "has": "has(roles, 'CHAMPION')",
    "starts": "starts(naics, '5112')",
}


@dataclass(frozen=True)
class Window:
    """A window that a condition counts in. kind None: activities of any kind, or touches."""

    counted: Literal["activities", "touches"]
    kind: str | None
    length: timedelta


@dataclass(frozen=True)
class Condition:
    """A condition as the file writes it, parsed. Raises ConditionError where it is none.

    names: the fields it reads. counts: the windows it counts in (those whose duration can be read).
    Whether names and types fit is `check`'s business.
    """

    text: str
    tree: Node = field(init=False, repr=False, compare=False)
    names: frozenset[str] = field(init=False, repr=False, compare=False)
    counts: frozenset[Window] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tree = _tree(self.text)
        nodes = list(walk(tree))
        object.__setattr__(self, "tree", tree)
        object.__setattr__(self, "names", frozenset(node.name for node in nodes if isinstance(node, Name)))
        object.__setattr__(self, "counts", frozenset(window for node in nodes if isinstance(node, Count) for window in _window(node)))


def parse(text: str) -> Condition:
    """The condition that a text says. Raises ConditionError."""
    return Condition(text)


def _window(count: Count) -> tuple[Window, ...]:
    try:
        return (Window(count.counted, count.kind, length(count.window)),)
    except ConditionError:
        return ()  # `check` reports it, with every other problem


def _tree(text: object) -> Node:
    if not isinstance(text, str):
        raise ConditionError(f"a {type(text).__name__}", "expected a condition in quotes")
    _readable(text)
    try:
        tokens = sqlglot.tokenize(text)
    except TokenError as problem:
        raise ConditionError("a quote that is not closed", "texts stand in single quotes; a quote inside is doubled") from problem
    _plain(tokens)
    try:
        parsed = sqlglot.parse_one(text, into=exp.Condition)
        tree = _node(parsed)
    except ParseError as problem:
        raise ConditionError(_place(problem, text), _LIKE_THIS) from problem
    except RecursionError as problem:
        raise ConditionError("parts nested too deeply", f"expected at most {_DEEPEST} levels") from problem
    size = sum(1 for _ in walk(tree))
    if size > MOST_NODES:
        raise ConditionError(f"{size} parts", f"a condition has at most {MOST_NODES}; make a field of some of it, or two rules")
    return tree


def _readable(text: str) -> None:
    if not text.strip():
        raise ConditionError("an empty condition", _LIKE_THIS)
    if len(text) > _LONGEST_TEXT:
        raise ConditionError(f"{len(text)} characters", f"a condition has at most {_LONGEST_TEXT}")
    for position, character in enumerate(text, start=1):
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\r\n":
            raise ConditionError(f"the control character U+{ord(character):04X} at position {position}", "expected text without such")


def _plain(tokens: list[sqlglot.Token]) -> None:
    """Refuses, before the parser recurses, what is too long or too deep, and spellings that only the parser would let pass."""
    if len(tokens) > 5 * MOST_NODES:
        raise ConditionError(f"{len(tokens)} words and signs", f"a condition has at most {MOST_NODES} parts")
    depth = 0
    for token in tokens:
        depth += (token.token_type == sqlglot.TokenType.L_PAREN) - (token.token_type == sqlglot.TokenType.R_PAREN)
        if depth > _DEEPEST:
            raise ConditionError("parts nested too deeply", f"expected at most {_DEEPEST} levels")
        if token.token_type == sqlglot.TokenType.SEMICOLON:
            raise ConditionError("a semicolon", "expected one condition")
        if token.text == "==":
            raise ConditionError("==", "expected =")
        if token.comments:
            raise ConditionError("a comment (-- or /*)", "comments stand in the file, after #; minus a negative number is written 1 - (-2)")


def _place(problem: ParseError, text: str) -> str:
    first = problem.errors[0] if problem.errors else {}
    rest = text[int(first.get("col") or 0) - len(str(first.get("highlight") or "")) :].strip() if first.get("line") == 1 else ""
    return f"what cannot be read at “{rest[:40]}”" if rest else "a condition that breaks off or cannot be read"


def _node(node: exp.Expr) -> Node:
    kind = type(node)
    if kind in (exp.And, exp.Or):
        parts = tuple(_node(part) for part in _chain(node, cast("type[exp.Binary]", kind)))
        return AllOf(parts) if kind is exp.And else AnyOf(parts)
    if kind in _SIGNS:
        return Comparison(_SIGNS[kind], _node(node.this), _node(node.expression))
    if kind in _ARITHMETIC:
        return Arithmetic(_ARITHMETIC[kind], _node(node.this), _node(node.expression))
    builder = _BUILDERS.get(kind)
    if builder is not None:
        return builder(node)
    raise _refusal(node)


def _chain(node: exp.Expr, kind: type[exp.Binary]) -> list[exp.Expr]:
    """The parts of a AND b AND (c AND d), flat: a long chain is no deep one."""
    parts: list[exp.Expr] = []
    waiting = [node]
    while waiting:
        part = waiting.pop()
        inner = part.unnest() if isinstance(part, exp.Paren) else part
        if type(inner) is kind:
            waiting += [inner.expression, inner.this]
        else:
            parts.append(inner)
    return parts


def _refusal(node: exp.Expr) -> ConditionError:
    for kind, (name, instead) in _REFUSED.items():
        if isinstance(node, kind):
            return ConditionError(f"{name}, which is no part of conditions", instead)
    if isinstance(node, exp.Func | exp.Anonymous):
        return ConditionError(f"the function {_called(node)}()", f"conditions know {', '.join(_CALLS.values())}")
    name = type(node).__name__.upper()
    return ConditionError(f"{name}, which is no part of conditions", "there are AND OR NOT = != < <= > >= IN BETWEEN LIKE IS NULL + - * /")


def _called(node: exp.Func | exp.Anonymous) -> str:
    return str(node.this if isinstance(node, exp.Anonymous) else node.sql_name()).lower()


def _literal(node: exp.Expr) -> Node:
    if node.is_string:
        return Text(str(node.this))
    try:
        value = float(node.this)
    except ValueError as problem:
        raise ConditionError(f"the number {node.this}", "expected a number like 50, 0.5 or 1e6") from problem
    if not math.isfinite(value):
        raise ConditionError(f"the number {node.this}", "expected one that fits double precision")
    return Number(value, str(node.this))


def _column(node: exp.Expr) -> Node:
    parts = [node.this, *(node.args.get(key) for key in ("table", "db", "catalog"))]
    names = [part for part in parts if part is not None]
    for part in names:
        if not isinstance(part, exp.Identifier):
            raise _refusal(part)
        if part.args.get("quoted"):
            raise ConditionError(f'"{part.name}" in double quotes', f"a text stands in single quotes: '{part.name}'")
    name = ".".join(part.name for part in reversed(names))
    if len(names) > 2:
        raise ConditionError(name, "a name is like industry, hubspot.lead_status or salesforce.lead_status")
    return Name(name)


def _negative(node: exp.Expr) -> Node:
    operand = _node(node.this)
    if isinstance(operand, Number) and not operand.written.startswith("-"):
        return Number(-operand.value, f"-{operand.written}")
    return Negative(operand)


def _not(node: exp.Expr) -> Node:
    inner = node.this
    operand = _node(inner)
    # Without parentheses the NOT is the construct's own: x NOT IN (…), x IS NOT NULL. It means the same before it.
    if isinstance(operand, In | Between | Like | IsNull) and not operand.negated and not isinstance(inner, exp.Paren):
        return type(operand)(*(getattr(operand, name) for name in operand.__match_args__[:-1]), True)  # type: ignore[call-arg]
    return Not(operand)


def _is(node: exp.Expr) -> Node:
    if isinstance(node.expression, exp.Null):
        return IsNull(_node(node.this), negated=False)
    if isinstance(node.expression, exp.Boolean):
        word = "TRUE" if node.expression.this else "FALSE"
        raise ConditionError(f"IS {word}", f"write = {word}, or the field by itself")
    raise ConditionError("IS with a value", "IS stands before NULL or NOT NULL only; write =")


def _in(node: exp.Expr) -> Node:
    if node.args.get("query") is not None:
        raise ConditionError("a subquery, which is no part of conditions", "IN takes a list of values, like IN ('a', 'b')")
    items = tuple(_node(item) for item in node.expressions)
    if not items:
        raise ConditionError("IN without a list", "IN takes a list of values, like IN ('a', 'b')")
    return In(_node(node.this), items, negated=False)


def _between(node: exp.Expr) -> Node:
    if node.args.get("symmetric"):
        raise ConditionError("BETWEEN SYMMETRIC", "write BETWEEN low AND high")
    return Between(_node(node.this), _node(node.args["low"]), _node(node.args["high"]), negated=False)


def _like(node: exp.Expr) -> Node:
    pattern = node.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise ConditionError("LIKE without a text", "LIKE takes one text in quotes, like '%Director%'")
    return Like(_node(node.this), str(pattern.this), negated=bool(node.args.get("negate")))


def _call(node: exp.Expr) -> Node:
    name = str(node.this).lower()
    arguments = tuple(_node(argument) for argument in node.expressions)
    match name, arguments:
        case "now", ():
            return Moving(None)
        case "ago", (Text(back),):
            return Moving(back)
        case "activities", (Text(kind), Text(window)):
            return Count("activities", None if kind == "*" else kind, window)
        case "touches", (Text(window),):
            return Count("touches", None, window)
        case "domain", (Name() as field_name,):
            return Domain(field_name)
        case "has", (Name() as field_name, Text(choice)):
            return Has(field_name, choice)
        case "starts", (Name() as field_name, Text(prefix)):
            return Starts(field_name, prefix)
    if name in _CALLS:
        raise ConditionError(f"{name}() with other arguments", f"expected {_CALLS[name]}")
    raise _refusal(node)


_BUILDERS: dict[type[exp.Expr], Callable[[Any], Node]] = {
    exp.Paren: lambda node: _node(node.this),
    exp.Literal: _literal,
    exp.Boolean: lambda node: Truth(bool(node.this)),
    exp.Null: lambda _: Null(),
    exp.Column: _column,
    exp.Neg: _negative,
    exp.Not: _not,
    exp.Is: _is,
    exp.In: _in,
    exp.Between: _between,
    exp.Like: _like,
    exp.Anonymous: _call,
}
