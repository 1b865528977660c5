"""How the floors write: one connection as plain as it comes, one statement a table, `executemany`, on either database."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

import psycopg
from sqlalchemy import make_url

Row = tuple[Any, ...]

_PRAGMAS = ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -32768")
#: Columns that PostgreSQL has as booleans; rows hold 0 and 1.
_FLAGS = frozenset({"archived", "unify", "happened", "automatic", "done", "counts", "closed", "won", "main", "responded"})


class Put(Protocol):
    """One connection, one transaction a call."""

    def put(self, *batches: tuple[str, Sequence[str], Sequence[Row]]) -> None:
        """(table, columns, rows), upserted in one transaction."""

    def close(self) -> None:
        """Closes it."""


def opened(url: str, keys: dict[str, Sequence[str]]) -> Put:
    """A connection to a database by SQLAlchemy's URL. keys: table → its primary key."""
    return _Sqlite(url.removeprefix("sqlite:///"), keys) if url.startswith("sqlite") else _Postgresql(url, keys)


class _Sqlite:
    def __init__(self, path: str, keys: dict[str, Sequence[str]]) -> None:
        self._keys = keys
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in _PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")

    def put(self, *batches: tuple[str, Sequence[str], Sequence[Row]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for table, columns, rows in batches:
            self._connection.executemany(_upsert(table, columns, self._keys[table], ["?"] * len(columns)), rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


class _Postgresql:
    def __init__(self, url: str, keys: dict[str, Sequence[str]]) -> None:
        self._keys = keys
        place = make_url(url)
        self._connection = psycopg.connect(host=str(place.query["host"]), user=place.username, dbname=place.database)

    def put(self, *batches: tuple[str, Sequence[str], Sequence[Row]]) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for table, columns, rows in batches:
                marks = ["%s::int::boolean" if name in _FLAGS else "%s" for name in columns]
                cursor.executemany(_upsert(table, columns, self._keys[table], marks).encode(), rows)

    def close(self) -> None:
        self._connection.close()


def _upsert(table: str, columns: Sequence[str], keys: Sequence[str], marks: Sequence[str]) -> str:
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in keys)
    named = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO {table} ({named}) VALUES ({', '.join(marks)}) ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
