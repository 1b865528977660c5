"""Stores for tests of whole passes: making the tables and compiling SQL would be most of a small test's time.

A kept address stays open over many tests and is emptied before each; at any other address of SQLite the tables are copied, not made.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, make_url, text

from connector.store.database import Store
from connector.store.tables import metadata

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
