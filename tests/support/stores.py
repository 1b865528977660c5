"""Stores for tests of whole passes: making the tables and compiling SQL would be most of a small test's time.

A kept address stays open over many tests and is emptied before each; at any other address of SQLite the tables are copied, not made.
`rerunning` makes a store that runs every write twice, as PostgreSQL does after a lost deadlock.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, make_url, text

from connector.store.database import Store
from connector.store.tables import metadata

T = TypeVar("T")

_KEPT: dict[str, Store | None] = {}
_MADE: list[tempfile.TemporaryDirectory[str]] = []


def keep(url: str) -> str:
    """The store at this address stays open from one test to the next."""
    _KEPT.setdefault(url, None)
    return url


def close_kept() -> None:
    """When all tests are over."""
    for store in _KEPT.values():
        if store is not None:
            store.close()
    _KEPT.clear()
    while _MADE:
        _MADE.pop().cleanup()


@contextmanager
def empty_store(url: str, *, fields_read: bool = True) -> Iterator[Store]:
    """A store with its tables and no row.

    At a kept address the columns of the companies before stay, as does their catalogue: to add and drop columns takes longer than a pass.
    fields_read: whether they may stand there as read; otherwise they are to be filled, as when the file first names them.
    """
    if url not in _KEPT:
        lay_tables(url)
        with Store.open(url) as store:
            store.upgrade()
            yield store
        return
    kept = _KEPT[url]
    if kept is None:
        lay_tables(url)
        kept = _KEPT[url] = Store.open(url)
        kept.upgrade()
    kept.write(empty)
    if not fields_read:
        kept.write(lambda connection: connection.execute(metadata.tables["field"].update().values(state="filling")))
    yield kept


def empty(connection: Connection) -> None:
    """No row anywhere, but for the catalogue of the columns that stay; numbers begin at 1 again."""
    for table in metadata.sorted_tables:
        if table.name != "field":
            connection.execute(table.delete())
    if connection.dialect.name == "postgresql":  # SQLite gives numbers anew by itself
        connection.execute(text("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S' AND relpersistence = 'p'"))


def lay_tables(url: str) -> None:
    """Copies the tables to where an SQLite database is to be; elsewhere, and where there is one already, `Store.upgrade` has the work."""
    place = make_url(url)
    if place.get_backend_name() != "sqlite" or place.database is None or Path(place.database).exists():
        return
    shutil.copyfile(_template(), place.database)


def _template() -> Path:
    if not _MADE:
        _MADE.append(tempfile.TemporaryDirectory(prefix="tables"))
        with Store.open(f"sqlite:///{_MADE[0].name}/made.db") as store:
            store.upgrade()
    return Path(_MADE[0].name) / "made.db"


def rerunning(store: Store) -> Store:
    """A store over this one that runs the function of every write twice: the first time it is rolled back, whatever it did.

    What is handed to `Store.write` must have no effect but on the connection. Whatever keeps something from the first run, a counter
    that went on or a list that was filled, shows it here as the wrong end. Closing it leaves the other store open.
    """
    return _RerunningStore(store)


class _RolledBack(Exception):
    """Ends a first run without keeping it."""


class _RerunningStore(Store):
    def __init__(self, store: Store) -> None:  # the engines are the other store's
        self.dialect = store.dialect
        self._store = store

    def write(self, work: Callable[[Connection], T]) -> T:
        def first_run(connection: Connection) -> None:
            work(connection)
            raise _RolledBack

        with suppress(Exception):  # what fails will fail again, and then it comes out
            self._store.write(first_run)
        return self._store.write(work)

    @contextmanager
    def read(self, *, time_limit: float | None = None) -> Iterator[Connection]:
        with self._store.read(time_limit=time_limit) as connection:
            yield connection

    def apart(self, statement: str) -> list[tuple[Any, ...]]:
        return self._store.apart(statement)

    def files(self) -> tuple[Path, ...]:
        return self._store.files()

    def close(self) -> None:
        """Nothing of its own to give back."""
