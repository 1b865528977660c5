"""A store of one's own for looking at what would be: a small SQLite database that is gone afterwards, with copies of what is looked at.

Nobody waits for it, whichever database the rows come from. It has no name in any folder, so that a killed process leaves nothing behind.
It offers what a `Store` offers to those who judge and plan.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, TableClause, and_, create_engine, event, literal_column, select, true
from sqlalchemy.pool import StaticPool

from connector.store import fields
from connector.store.bulk import chunks, plain
from connector.store.database import Store
from connector.store.tables import metadata

T = TypeVar("T")

#: Rows that are copied at a time.
_PAGE = 2_000


class ScratchStore(Store):
    """A store on one connection; made by `scratch_store`."""

    def __init__(self, connection: Connection) -> None:  # it has no engines of its own
        self.dialect = "sqlite"
        self.connection = connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work`; what fails takes back its own writes alone."""
        with self.connection.begin_nested():
            return work(self.connection)

    @contextmanager
    def read(self, *, time_limit: float | None = None) -> Iterator[Connection]:  # noqa: ARG002 - the store's signature
        """The same connection: it sees what was written in here."""
        yield self.connection

    @contextmanager
    def tried(self) -> Iterator[None]:
        """What is written inside is taken back."""
        transaction = self.connection.begin_nested()
        try:
            yield
        finally:
            transaction.rollback()

    def close(self) -> None:
        """Nothing of its own to give back."""


@contextmanager
def scratch_store() -> Iterator[ScratchStore]:
    """An empty store with its tables, but for the fields of the file."""

    def connect() -> sqlite3.Connection:
        made = sqlite3.connect("", check_same_thread=False, isolation_level=None)  # no name: on disk once it is large, for nobody else
        made.execute("PRAGMA journal_mode = MEMORY")
        made.execute("PRAGMA cache_size = -16384")
        return made

    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool, hide_parameters=True)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    try:
        with engine.connect() as connection, connection.begin():
            metadata.create_all(connection)
            yield ScratchStore(connection)
    finally:
        engine.dispose()


class RowCopy:
    """Copies rows of one moment from a store into a scratch store; one that is there already is passed over."""

    def __init__(self, source: Connection, into: ScratchStore, columns: Sequence[fields.FieldColumn]) -> None:
        self.source = source
        self._into = into.connection
        self._columns = {name: [declared.name for declared in table.columns] for name, table in metadata.tables.items()}
        self._columns["contact"] = [declared.name for declared in fields.contact_table(columns).columns]

    def whole(self, name: str) -> None:
        """All rows of a table."""
        self.rows(plain(name), true())

    def rows(self, table: Table | TableClause, which: ColumnElement[bool]) -> None:
        """The rows of a table that meet a condition on it."""
        listed = self._columns[table.name]
        # without the columns' types: nothing is converted on its way
        query = select(*(literal_column(f'{table.name}."{name}"') for name in listed)).select_from(table).where(which)
        named, marks = ", ".join(f'"{name}"' for name in listed), ", ".join("?" * len(listed))
        statement = f"INSERT OR IGNORE INTO {table.name} ({named}) VALUES ({marks})"  # noqa: S608 - names of our own tables
        for page in self.source.execute(query, execution_options={"yield_per": _PAGE}).partitions():
            self._into.exec_driver_sql(statement, [tuple(row) for row in page])

    def by(self, name: str, key: str, values: Iterable[Any]) -> None:
        """The rows of a table that have one of these values in a column."""
        table = plain(name)
        for part in chunks(sorted({value for value in values if value is not None})):
            self.rows(table, table.c[key].in_(part))

    def by_keys(self, name: str, columns: tuple[str, str, str], keys: Collection[tuple[str, str, str]]) -> None:
        """The rows of a table that have one of these keys, (crm, object, id), in these columns."""
        table = plain(name)
        ids: dict[tuple[str, str], list[str]] = {}
        for crm, object_name, row_id in sorted(keys):
            ids.setdefault((crm, object_name), []).append(row_id)
        for (crm, object_name), of_object in ids.items():
            for part in chunks(of_object):
                self.rows(table, and_(table.c[columns[0]] == crm, table.c[columns[1]] == object_name, table.c[columns[2]].in_(part)))
