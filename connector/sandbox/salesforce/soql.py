"""Reads SOQL: text → `Query`, with the service's own complaints where it is malformed.

Grammar: https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select.htm
Known here: SELECT of fields or COUNT(), WHERE, ORDER BY, LIMIT, OFFSET, semi-joins. Everything else is MALFORMED_QUERY.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, NoReturn

from connector.sandbox.salesforce.errors import Refused

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)(?!\w))
      | (?P<date>\d{4}-\d\d-\d\d(?![\w:.-]))
      | (?P<number>[+-]?\d+(?:\.\d+)?(?![\w.-]))
      | (?P<string>'(?:[^'\\]|\\.)*')
      | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
      | (?P<mark><=|>=|!=|<>|[=<>(),])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\", "_": "_", "%": "%"}
_SYMBOLS = ("=", "!=", "<>", "<", "<=", ">", ">=")
_LONGEST_STRING = 4000

Kind = Literal["string", "number", "date", "datetime", "boolean", "null"]


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the query and where it begins."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Path:
    """A field's name, perhaps through relationships: ("Owner", "Email")."""

    parts: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a filter. A string's `value` is without its escapes; `pattern` is the regular expression of it as LIKE reads it."""

    kind: Kind
    value: Any
    at: int
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """field operator value. `operator`: =, !=, <, <=, >, >=, like, in, not in; `values`: one literal, or those of the list."""

    path: Path
    operator: str
    values: tuple[Value, ...] = ()
    subquery: Query | None = None


@dataclass(frozen=True, slots=True)
class Combination:
    """Conditions joined by "and" or "or", or one turned round by "not"."""

    how: Literal["and", "or", "not"]
    parts: tuple[Condition, ...]


Condition = Comparison | Combination


@dataclass(frozen=True, slots=True)
class Order:
    """One column of ORDER BY."""

    path: Path
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A SELECT as it was written. count: COUNT() instead of fields."""

    text: str
    fields: tuple[Path, ...]
    count: bool
    object: str
    object_at: int
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0


def complain(text: str, at: int, code: str, message: str) -> Refused:
    """An error with the piece of the query it is about, the place marked, as the service prints it."""
    row = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    start = max(0, at - 20)
    piece = text[start : at + 40].replace("\n", " ")
    return Refused(400, code, f"\n{piece}\n{' ' * (at - start)}^\nERROR at Row:{row}:Column:{column}\n{message}")


def malformed(message: str) -> Refused:
    """What the service says to a query it cannot read."""
    return Refused(400, "MALFORMED_QUERY", message)


def _tokens(text: str) -> list[Token]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            line, column = text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1)
            raise malformed(f"line {line}:{column} no viable alternative at character '{text[at]}'")
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match.group(), at))
        at = match.end()
    return [*found, Token("end", "<EOF>", len(text))]


def _unescape(body: str, at: int) -> tuple[str, str]:
    """A string literal's value, and what LIKE makes of it (its % and _ stand for anything unless escaped)."""
    value, pattern, place = [], [], 0
    while place < len(body):
        letter = body[place]
        if letter == "\\":
            place += 1
            if body[place] not in _ESCAPES:
                raise malformed(f"line 1:{at} no viable alternative at character '\\'")
            letter = _ESCAPES[body[place]]
            pattern.append(re.escape(letter))
        else:
            pattern.append({"%": ".*", "_": "."}.get(letter) or re.escape(letter))
        value.append(letter)
        place += 1
    return "".join(value), "".join(pattern)


class _Reader:
    """Walks over the tokens of one query."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.place = 0

    @property
    def current(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        token = self.current
        self.place += 1
        return token

    def word(self, *words: str) -> bool:
        """Takes the words, where they come next."""
        following = self.tokens[self.place : self.place + len(words)]
        if len(following) < len(words) or any(t.text.lower() != w for t, w in zip(following, words, strict=True)):
            return False
        self.place += len(words)
        return True

    def need(self, word: str) -> None:
        if not self.word(word):
            self.unexpected()

    def unexpected(self) -> NoReturn:
        raise malformed(f"unexpected token: '{self.current.text}'")

    def several(self, read: Callable[[], Any]) -> tuple[Any, ...]:
        items = [read()]
        while self.word(","):
            items.append(read())
        return tuple(items)

    def path(self) -> Path:
        if self.current.kind != "name":
            self.unexpected()
        token = self.take()
        return Path(tuple(token.text.split(".")), token.at)

    def query(self) -> Query:
        self.need("select")
        count = self.word("count", "(", ")")
        fields = () if count else self.several(self.path)
        self.need("from")
        source = self.path()
        where = self.condition() if self.word("where") else None
        order = self.several(self.order) if self.word("order", "by") else ()
        limit = self.number() if self.word("limit") else None
        offset = self.number() if self.word("offset") else 0
        return Query(
            text=self.text,
            fields=fields,
            count=count,
            object=".".join(source.parts),
            object_at=source.at,
            where=where,
            order=order,
            limit=limit,
            offset=offset,
        )

    def number(self) -> int:
        if self.current.kind != "number" or not self.current.text.isdigit():
            self.unexpected()
        return int(self.take().text)

    def order(self) -> Order:
        path = self.path()
        descending = self.word("desc")
        if not descending:
            self.word("asc")
        last = self.word("nulls", "last")
        if not last:
            self.word("nulls", "first")
        return Order(path, descending, last)

    def condition(self) -> Condition:
        """One level of AND or OR: the service wants parentheses where both are mixed."""
        parts = [self.part()]
        how: Literal["and", "or"] = "or" if self.current.text.lower() == "or" else "and"
        while self.word(how):
            parts.append(self.part())
        if self.current.text.lower() in ("and", "or"):
            self.unexpected()
        return parts[0] if len(parts) == 1 else Combination(how, tuple(parts))

    def part(self) -> Condition:
        if self.word("not"):
            return Combination("not", (self.part(),))
        if self.word("("):
            inner = self.condition()
            self.need(")")
            return inner
        return self.comparison()

    def comparison(self) -> Comparison:
        path = self.path()
        if self.word("like"):
            return Comparison(path, "like", (self.literal(),))
        listed = "in" if self.word("in") else "not in" if self.word("not", "in") else ""
        if listed:
            self.need("(")
            if self.current.text.lower() == "select":
                subquery = self.query()
                self.need(")")
                return Comparison(path, listed, (), subquery)
            values = self.several(self.literal)
            self.need(")")
            return Comparison(path, listed, values)
        if self.current.text not in _SYMBOLS:
            self.unexpected()
        operator = self.take().text
        return Comparison(path, "!=" if operator == "<>" else operator, (self.literal(),))

    def literal(self) -> Value:
        token = self.take()
        lowered = token.text.lower()
        if token.kind == "string":
            value, pattern = _unescape(token.text[1:-1], token.at)
            if len(value) > _LONGEST_STRING:
                raise malformed(f"a string in a WHERE clause is longer than {_LONGEST_STRING} characters")
            return Value("string", value, token.at, pattern)
        if token.kind == "number":
            return Value("number", float(token.text) if "." in token.text else int(token.text), token.at)
        if token.kind in ("date", "datetime"):
            return self.moment(token)
        if lowered in ("true", "false"):
            return Value("boolean", lowered == "true", token.at)
        if lowered != "null":
            self.place -= 1
            self.unexpected()
        return Value("null", None, token.at)

    def moment(self, token: Token) -> Value:
        try:
            if token.kind == "date":
                return Value("date", date.fromisoformat(token.text), token.at)
            return Value("datetime", datetime.fromisoformat(token.text), token.at)
        except ValueError as problem:
            raise malformed(f"line 1:{token.at} invalid date: {token.text}") from problem


def parse(text: str) -> Query:
    """The query. Raises `Refused` (MALFORMED_QUERY) where it is none."""
    reader = _Reader(text)
    query = reader.query()
    if reader.current.kind != "end":
        reader.unexpected()
    if query.offset > 2000:
        raise Refused(400, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
    return query
