"""Many rows in one go, past the types of the tables: values are handed over as the driver stores them (moments as microseconds,
JSON as text), since converting them once more costs more than storing them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, TableClause, column, table
from sqlalchemy.dialects import postgresql, sqlite

from connector.store.tables import metadata

T = TypeVar("T")

#: How many values go into one IN: both databases take more, but plans grow with it.
_CHUNK = 5_000


def plain(name: str) -> TableClause:
    """A table without its columns' types: nothing is converted on the way in or out."""
    return table(name, *(column(each.name) for each in metadata.tables[name].columns))


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
