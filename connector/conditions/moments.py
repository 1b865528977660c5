"""Moments in SQL, in microseconds since 1970: NULL stands for never."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, func, literal, null
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import ReturnTypeFromArgs

#: After every moment there is, where an expression needs a value for never.
NEVER = 2**63 - 1


class _Least(ReturnTypeFromArgs[Any]):
    """The least of two or more values, none of them NULL: where one is, SQLite's min() and PostgreSQL's LEAST differ."""

    name = "least"
    inherit_cache = True
    package = "conditions"


class _Greatest(ReturnTypeFromArgs[Any]):
    """The greatest of two or more values, none of them NULL."""

    name = "greatest"
    inherit_cache = True
    package = "conditions"


@compiles(_Least)
def _least(element: _Least, compiler: SQLCompiler, **options: Any) -> str:
    return f"least{compiler.process(element.clause_expr, **options)}"


@compiles(_Least, "sqlite")
def _min(element: _Least, compiler: SQLCompiler, **options: Any) -> str:
    return f"min{compiler.process(element.clause_expr, **options)}"


@compiles(_Greatest)
def _greatest(element: _Greatest, compiler: SQLCompiler, **options: Any) -> str:
    return f"greatest{compiler.process(element.clause_expr, **options)}"


@compiles(_Greatest, "sqlite")
def _max(element: _Greatest, compiler: SQLCompiler, **options: Any) -> str:
    return f"max{compiler.process(element.clause_expr, **options)}"


def least(*values: ColumnElement[Any]) -> ColumnElement[Any]:
    """The least of values, none of them NULL."""
    return _Least(*values)


def greatest(*values: ColumnElement[Any]) -> ColumnElement[Any]:
    """The greatest of values, none of them NULL."""
    return _Greatest(*values)


def earliest(moments: Iterable[ColumnElement[Any] | None]) -> ColumnElement[Any]:
    """The earliest of moments of which any may be NULL; NULL where all are, or there is none."""
    known = [moment for moment in moments if moment is not None]
    if len(known) < 2:
        return known[0] if known else null()
    never = literal(NEVER, BigInteger())
    return func.nullif(_Least(*(func.coalesce(moment, never, type_=BigInteger()) for moment in known)), never, type_=BigInteger())
