"""`among`: a column's value is one of many numbers, handed over as one parameter. The statement is the same for any number of them, so that
it is compiled once; an IN with a parameter for each is written anew for every slice.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson
from sqlalchemy import BigInteger, ColumnElement, Dialect, FromClause, Select, Text, TypeDecorator, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType, TypeEngine


class Numbers(TypeDecorator[Any]):
    """Whole numbers as one value: an array in PostgreSQL, JSON in SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """As the driver knows it."""
        return dialect.type_descriptor(ARRAY(BigInteger) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Collection[int] | None, dialect: Dialect) -> Any:
        """As the driver takes it."""
        numbers = list(value or ())
        return numbers if dialect.name == "postgresql" else orjson.dumps(numbers).decode()


class _Among(FunctionElement[Any]):
    """Its clauses: the column, the list. Without a type: SQLAlchemy would compare a Boolean with 1 in SQLite, and no index be used."""

    inherit_cache = True
    name = "among"
    type = NullType()


@compiles(_Among)
def _in_json(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    tested, numbers = element.clauses
    listed = compiler.process(numbers, **options)
    return f"{compiler.process(tested, **options)} IN (SELECT value FROM json_each({listed}))"  # noqa: S608 - compiled parts alone


@compiles(_Among, "postgresql")
def _any(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    tested, numbers = element.clauses
    return f"{compiler.process(tested, **options)} = ANY({compiler.process(numbers, **options)})"


def among(tested: ColumnElement[Any], numbers: Collection[int]) -> ColumnElement[bool]:
    """Whether the column's value is one of these."""
    return _Among(tested, bindparam(None, numbers, type_=Numbers()))


def among_named(tested: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """The same of a list that is given by name when the statement is executed."""
    return _Among(tested, bindparam(parameter, type_=Numbers()))


def has_a_row(query: Select[Any], outer: FromClause) -> ColumnElement[bool]:
    """Whether the query finds anything for a row of `outer`. It is asked row by row: for an EXISTS in an OR PostgreSQL would read all of
    its table.
    """
    return query.limit(1).correlate(outer).scalar_subquery().is_not(None)
