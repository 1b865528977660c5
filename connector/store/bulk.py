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
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_change("sqlite", into, columns, keys), list(map(itemgetter(*columns, *keys), rows)))
    else:
        values = map(itemgetter(*columns, *keys), rows)
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
    connection: Connection, name: str, columns: tuple[str, ...], ids: Collection[str], *, by: str = "id", lock: bool = False, **same: str
) -> list[Any]:
    """Rows of a table whose column `by` is one of the ids and whose other columns are as given (crm="hubspot", object="calls").

    lock: kept from other writers until the transaction ends, in the order of the ids.
    """
    if not ids:
        return []
    statement = _find(connection.dialect.name, name, columns, by, tuple(same), lock)
    listed: Any = orjson.dumps(list(ids)).decode() if connection.dialect.name == "sqlite" else list(ids)
    return list(connection.exec_driver_sql(statement, (*same.values(), listed)))


@cache
def _find(dialect: str, name: str, columns: tuple[str, ...], by: str, same: tuple[str, ...], lock: bool) -> str:
    mark, listed = ("?", "IN (SELECT value FROM json_each(?))") if dialect == "sqlite" else ("%s", "= ANY(%s)")
    where = " AND ".join([*(f"{key} = {mark}" for key in same), f"{by} {listed}"])
    locked = f" ORDER BY {by} FOR UPDATE" if lock and dialect != "sqlite" else ""
    named = ", ".join(f'"{key}"' for key in columns)
    return f"SELECT {named} FROM {name} WHERE {where}{locked}"  # noqa: S608 - names of our own tables
