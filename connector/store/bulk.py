"""Many rows in one go, past the types of the tables: values are handed over as the driver stores them (moments as microseconds,
JSON as text), since converting them once more costs more than storing them.

`put` and `find` are for pages of a pull: one statement of the driver's own, made once, with no SQL built for each page.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar

import orjson
from sqlalchemy import BigInteger, Boolean, Connection, Float, Integer, LargeBinary, Table, TableClause, column
from sqlalchemy import table as table_clause
from sqlalchemy.dialects import postgresql, sqlite

from connector.store.tables import Moment, metadata

T = TypeVar("T")

#: How many values go into one IN: both databases take more, but plans grow with it.
_CHUNK = 5_000


def plain(name: str) -> TableClause:
    """A table without its columns' types: nothing is converted on the way in or out."""
    return table_clause(name, *(column(declared.name) for declared in metadata.tables[name].columns))


def chunks(values: Sequence[T]) -> Iterator[list[T]]:
    """The values in pieces that fit into one statement."""
    for start in range(0, len(values), _CHUNK):
        yield list(values[start : start + _CHUNK])


def upsert(
    connection: Connection,
    into: TableClause,
    rows: Sequence[Mapping[str, Any]],
    *,
    keys: Sequence[str] | None = None,
    guard: str | None = None,
) -> None:
    """Inserts the rows, or sets the given columns of those that exist. All rows have the same columns.

    keys: what tells an existing row; None: the table's primary key (a plain table has none, and no types).
    guard: a column that must differ for an existing row to be written at all.
    """
    if not rows:
        return
    make: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    keys = [key.name for key in into.primary_key] if keys is None else list(keys)
    statement = make(into)
    statement = statement.on_conflict_do_update(
        index_elements=keys,
        set_={name: statement.excluded[name] for name in rows[0] if name not in keys},
        where=None if guard is None else into.c[guard] != statement.excluded[guard],
    )
    connection.execute(statement, list(rows))


def add_missing(connection: Connection, into: TableClause, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts the rows that are not there yet; the others stay as they are."""
    if rows:
        make: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        connection.execute(make(into).on_conflict_do_nothing(), list(rows))


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

#: PostgreSQL's names of the types that columns have; all others are text.
_ARRAY_TYPES = ((LargeBinary, "bytea"), (Moment, "bigint"), (BigInteger, "bigint"), (Integer, "integer"), (Boolean, "boolean"),
                (Float, "double precision"))  # fmt: skip


def put(
    connection: Connection,
    into: str,
    rows: Sequence[Mapping[str, Any]],
    columns: tuple[str, ...],
    *,
    keys: tuple[str, ...] = (),
    guard: str | None = None,
) -> None:
    """Inserts these columns of the rows into a table, or sets them where a row with these keys exists (no keys: it is passed over).

    No two rows have the same keys; in a column all values are of one type, or None. guard: a column that must differ for an existing row to
    be written at all.
    """
    put_values(connection, into, list(map(itemgetter(*columns), rows)), columns, keys=keys, guard=guard)


def put_values(
    connection: Connection,
    into: str,
    values: list[tuple[Any, ...]],
    columns: tuple[str, ...],
    *,
    keys: tuple[str, ...] = (),
    guard: str | None = None,
) -> None:
    """`put` of rows that are tuples already, of at least two columns."""
    if not values:
        return
    statement = _put(connection.dialect.name, into, columns, keys, guard)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(statement, values)
    else:
        connection.exec_driver_sql(statement, tuple(map(list, zip(*values, strict=True))))


@cache
def _put(dialect: str, into: str, columns: tuple[str, ...], keys: tuple[str, ...], guard: str | None) -> str:
    if dialect == "sqlite":
        values = f"VALUES ({', '.join('?' * len(columns))})"
    else:
        arrays = ", ".join(f"%b::{_array_type(into, name)}[]" for name in columns)  # binary: texts need no quoting
        values = f"SELECT * FROM unnest({arrays})"  # noqa: S608 - names of our own tables
    named = ", ".join(f'"{name}"' for name in columns)
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in keys)
    conflict = f"({', '.join(keys)}) DO UPDATE SET {changes}" if keys else "DO NOTHING"
    where = "" if guard is None else f" WHERE {into}.{guard} <> excluded.{guard}"
    return f"INSERT INTO {into} ({named}) {values} ON CONFLICT {conflict}{where}"


def change(
    connection: Connection,
    into: str,
    rows: Sequence[Mapping[str, Any]],
    columns: tuple[str, ...],
    *,
    keys: tuple[str, ...],
    table: Table | None = None,
) -> None:
    """Sets these columns of the rows that have these keys. table: where it has columns beside those of its declaration."""
    change_values(connection, into, list(map(itemgetter(*columns, *keys), rows)), columns, keys=keys, table=table)


def change_values(
    connection: Connection,
    into: str,
    values: list[tuple[Any, ...]],
    columns: tuple[str, ...],
    *,
    keys: tuple[str, ...],
    table: Table | None = None,
) -> None:
    """`change` of rows that are tuples already: the columns, and the keys behind them."""
    if not values:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_change("sqlite", into, columns, keys), values)
    else:
        statement = _change("postgresql", into, columns, keys, tuple(_array_type(into, name, table) for name in (*columns, *keys)))
        connection.exec_driver_sql(statement, tuple(map(list, zip(*values, strict=True))))


@cache
def _change(dialect: str, into: str, columns: tuple[str, ...], keys: tuple[str, ...], types: tuple[str, ...] = ()) -> str:
    if dialect == "sqlite":
        changes, same = ", ".join(f'"{name}" = ?' for name in columns), " AND ".join(f'"{name}" = ?' for name in keys)
        return f"UPDATE {into} SET {changes} WHERE {same}"  # noqa: S608 - names of our own tables
    arrays = ", ".join(f"%s::{kind}[]" for kind in types)
    named = ", ".join(f'"{name}"' for name in (*columns, *keys))
    changes = ", ".join(f'"{name}" = news."{name}"' for name in columns)
    same = " AND ".join(f'{into}."{name}" = news."{name}"' for name in keys)
    return f"UPDATE {into} SET {changes} FROM unnest({arrays}) AS news({named}) WHERE {same}"  # noqa: S608 - names of our own tables


def remove(connection: Connection, name: str, values: list[tuple[Any, ...]], columns: tuple[str, ...]) -> None:
    """Deletes the rows of a table that have these values in these columns."""
    if not values:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_remove("sqlite", name, columns), values)
    else:
        connection.exec_driver_sql(_remove("postgresql", name, columns), tuple(map(list, zip(*values, strict=True))))


@cache
def _remove(dialect: str, name: str, columns: tuple[str, ...]) -> str:
    if dialect == "sqlite":
        where = " AND ".join(f'"{key}" = ?' for key in columns)
        return f"DELETE FROM {name} WHERE {where}"  # noqa: S608 - names of our own tables
    arrays = ", ".join(f"%s::{_array_type(name, key)}[]" for key in columns)
    named = ", ".join(f'"{key}"' for key in columns)
    same = " AND ".join(f'{name}."{key}" = gone."{key}"' for key in columns)
    return f"DELETE FROM {name} USING unnest({arrays}) AS gone({named}) WHERE {same}"  # noqa: S608 - names of our own tables


def _array_type(into: str, name: str, table: Table | None = None) -> str:
    kind = (metadata.tables[into] if table is None else table).c[name].type
    return next((word for column_type, word in _ARRAY_TYPES if isinstance(kind, column_type)), "text")


def find(
    connection: Connection,
    name: str,
    columns: tuple[str, ...],
    ids: Collection[str] | Collection[int],
    *,
    by: str = "id",
    lock: bool = False,
    where: str = "",
    order: str = "",
    **same: str,
) -> list[Any]:
    """Rows of a table whose column `by` is one of the ids and whose other columns are as given (crm="hubspot", object="calls").

    lock: kept from other writers until the transaction ends, in the order of the ids. where, order: SQL of our own that narrows it further,
    and sorts; both say the same in both databases. Nothing is converted: moments are microseconds, JSON is text.
    """
    return asked(connection, _find(name, columns, by, tuple(same), where, order, lock), *same.values(), ids) if ids else []


#: In statements for `asked` and `told`: one of the ids of one parameter, however many: neither SQLAlchemy nor the database compiles the
#: statement anew for each number of them.
AMONG = "IN (SELECT value FROM json_each(?))"


def asked(connection: Connection, statement: str, *values: Any) -> list[Any]:
    """The rows of a query in SQL that both databases speak, its parameters `?` and `AMONG` (there the value is a collection)."""
    spoken = _spoken(connection.dialect.name, statement)
    return list(connection.exec_driver_sql(spoken, tuple(_handed(connection, value) for value in values)).all())


def told(connection: Connection, statement: str, *values: Any) -> int:
    """Carries out a statement as of `asked`; how many rows it concerned."""
    spoken = _spoken(connection.dialect.name, statement)
    return connection.exec_driver_sql(spoken, tuple(_handed(connection, value) for value in values)).rowcount


def _handed(connection: Connection, value: Any) -> Any:
    if isinstance(value, str | int | None):
        return value
    return orjson.dumps(list(value)).decode() if connection.dialect.name == "sqlite" else list(value)


_LOCKED = " FOR UPDATE"


@cache
def _spoken(dialect: str, statement: str) -> str:
    if dialect == "sqlite":
        return statement.removesuffix(_LOCKED)  # its writer is alone
    return statement.replace(AMONG, "= ANY(%s)").replace("?", "%s")


@cache
def _find(name: str, columns: tuple[str, ...], by: str, same: tuple[str, ...], where: str, order: str, lock: bool) -> str:
    conditions = " AND ".join([*(f"{key} = ?" for key in same), f"{by} {AMONG}", *([where] if where else [])])
    named = ", ".join(f'"{key}"' for key in columns)
    ordered = f" ORDER BY {by if lock else order}" if lock or order else ""
    return f"SELECT {named} FROM {name} WHERE {conditions}{ordered}{_LOCKED if lock else ''}"  # noqa: S608 - names of our own tables
