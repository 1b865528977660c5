"""The store: one database, SQLite or PostgreSQL, and how code reads from it and writes to it.

Every write is one transaction given as a function: `store.write(lambda connection: …)`. In SQLite all writes of a process go through
one writer thread, each begun with BEGIN IMMEDIATE, so that writers queue here instead of failing there. Reads are short, see one
snapshot, and cannot write.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, TypeVar, cast

import tenacity
from sqlalchemy import URL, Connection, Engine, RootTransaction, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from connector.errors import StoreError
from connector.store import schema

T = TypeVar("T")
Dialect = Literal["sqlite", "postgresql"]

#: How long SQLite waits for another process's write, in milliseconds, and how often it is asked again after that.
BUSY_TIMEOUT_MS = 10_000
BUSY_ATTEMPTS = 6
#: How often a PostgreSQL transaction that lost against another (deadlock, serialisation) is run again.
CONFLICT_ATTEMPTS = 5

#: SQLite's primary result codes that are not bugs but the machine's or another process's doing (sqlite.org/rescode.html).
_SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
#: Deadlock, and a transaction that could not be serialised (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_LOST_CONFLICTS = ("40P01", "40001")
_CANCELLED = "57014"
_SQLITE_TROUBLE = {
    sqlite3.SQLITE_BUSY: "another process has been writing to it for too long",
    sqlite3.SQLITE_LOCKED: "another process has been writing to it for too long",
    sqlite3.SQLITE_PERM: "access was denied",
    sqlite3.SQLITE_READONLY: "it cannot be written to",
    sqlite3.SQLITE_IOERR: "the disk failed",
    sqlite3.SQLITE_CORRUPT: "the file is damaged",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database",
}
_SQLITE_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16384",
    "PRAGMA journal_size_limit = 67108864",
    # A page of the mirror touches a thousand pages of the file, mostly the same ones: copied back at each commit they cost most of it.
    "PRAGMA wal_autocheckpoint = 8000",
)


class Store:
    """One database. Made by `Store.open`; threads may share it. `dialect` is "sqlite" or "postgresql"."""

    def __init__(self, writer: Engine, reader: Engine, *, place: str) -> None:
        self._writer = writer
        self._reader = reader
        self._place = place
        self._inside = threading.local()
        self._closed = False
        # Only the beginning is repeated on SQLite: once BEGIN IMMEDIATE went through, its lock is ours.
        self._beginning = _retrying(_is_busy, BUSY_ATTEMPTS, 0.05)
        self._conflicts = _retrying(_lost_a_conflict, CONFLICT_ATTEMPTS, 0.02)
        self.dialect: Dialect = "sqlite" if writer.dialect.name == "sqlite" else "postgresql"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-writer") if self.dialect == "sqlite" else None

    @classmethod
    def open(cls, url: str, password: str | None = None) -> Store:
        """The store at an SQLAlchemy URL (sqlite:///FILE or postgresql+psycopg://…). Makes SQLite's folder and file, no tables.

        Raises `StoreError` where the URL is none of these or the database does not answer.
        """
        place = _parse(url, password)
        shown = place.render_as_string(hide_password=True)
        if place.get_backend_name() == "sqlite":
            _make_file(place)
            store = cls(_sqlite_engine(place, read_only=False), _sqlite_engine(place, read_only=True), place=shown)
        else:
            engine = _postgresql_engine(place)
            reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            store = cls(engine, reader, place=shown)
        try:
            store.write(lambda connection: connection.execute(text("SELECT 1")))
        except StoreError:
            store.close()
            raise
        return store

    def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in one transaction and returns what it returned; an exception of it rolls back and comes out here.

        `work` must have no effect but on the connection: PostgreSQL may run it again after losing a deadlock. Writes do not nest.
        """
        if getattr(self._inside, "writing", False):
            raise RuntimeError("a write inside a write: pass the connection on instead")
        if self._closed:
            raise StoreError("the store is closed")
        if self._thread is None:
            return cast(T, self._conflicts(self._once, work))
        return self._thread.submit(self._once, work).result()

    @contextmanager
    def read(self, *, time_limit: float | None = None) -> Iterator[Connection]:
        """A connection that cannot write and sees one moment's state. Keep it short: a long one holds SQLite's log back.

        time_limit: seconds after which a running statement is broken off with `StoreError`.
        """
        try:
            with self._reader.connect() as connection, connection.begin(), _limited(connection, time_limit):
                yield connection
        except DBAPIError as problem:
            if time_limit is not None and _was_broken_off(problem):
                raise StoreError(
                    f"a query took longer than {time_limit:g} s and was broken off", advice="Make the condition simpler."
                ) from problem
            self._explain(problem)

    def apart(self, statement: str) -> list[tuple[Any, ...]]:
        """Runs a statement that stands outside of any transaction (VACUUM, a checkpoint), on the writer's turn; the rows it answers."""
        if getattr(self._inside, "writing", False):
            raise RuntimeError("a statement apart inside a write")
        if self._closed:
            raise StoreError("the store is closed")
        return self._alone(statement) if self._thread is None else self._thread.submit(self._alone, statement).result()

    def files(self) -> tuple[Path, ...]:
        """The files of SQLite's database: itself, its log and the log's index; nothing on PostgreSQL."""
        database = self._writer.url.database
        if self.dialect != "sqlite" or database is None:
            return ()
        main = Path(database.removeprefix("file:").partition("?")[0])
        return tuple(path for path in (main, *(main.with_name(f"{main.name}-{end}") for end in ("wal", "shm"))) if path.exists())

    def upgrade(self) -> None:
        """Makes the tables, or brings them to this program's version. Processes that do so at once wait for each other."""
        self.write(schema.upgrade)

    def check_schema(self) -> None:
        """Raises `StoreError` with the way out where the tables are missing, older or newer than this program."""
        with self.read() as connection:
            schema.check(connection)

    def close(self) -> None:
        """Finishes the writes in hand and gives back every connection."""
        self._closed = True
        if self._thread is not None:
            self._thread.shutdown(wait=True)
        self._reader.dispose()
        self._writer.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _once(self, work: Callable[[Connection], T]) -> T:
        self._inside.writing = True
        try:
            connection, transaction = self._beginning(self._try_begin)
            with connection, transaction:
                return work(connection)
        except DBAPIError as problem:
            if _lost_a_conflict(problem):
                raise
            self._explain(problem)
        finally:
            self._inside.writing = False

    def _alone(self, statement: str) -> list[tuple[Any, ...]]:
        try:
            with self._writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                result = connection.exec_driver_sql(statement)
                return [tuple(row) for row in result] if result.returns_rows else []
        except DBAPIError as problem:
            self._explain(problem)

    def _try_begin(self) -> tuple[Connection, RootTransaction]:
        connection = self._writer.connect()
        try:
            return connection, connection.begin()
        except DBAPIError:
            connection.close()
            raise

    def _explain(self, problem: DBAPIError) -> NoReturn:
        """Raises `StoreError` for what an administrator can mend; anything else is a bug and goes on as it is."""
        if self.dialect == "postgresql" and isinstance(problem, OperationalError):
            raise StoreError(
                f"the database {self._place} cannot be used: {_first_line(problem.orig or problem)}",
                advice="Check that it runs, and the address, user and password in [database].",
            ) from problem
        trouble = _SQLITE_TROUBLE.get(_sqlite_code(problem) or -1)
        if trouble is not None:
            raise StoreError(
                f"the database {self._place} cannot be used: {trouble}",
                advice="Check the file, its folder's permissions, the free space, and which other processes use it.",
            ) from problem
        raise problem


def _retrying(worth_it: Callable[[BaseException], bool], attempts: int, first: float) -> tenacity.Retrying:
    """Repeats after a short random wait. first: seconds, at most; then twice as long each time."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(worth_it),
        wait=tenacity.wait_random_exponential(multiplier=first, max=1),
        stop=tenacity.stop_after_attempt(attempts),
        reraise=True,
    )


def _parse(url: str, password: str | None) -> URL:
    try:
        place = make_url(url)
    except ArgumentError:
        raise StoreError(
            "the database's address is no URL", advice='Write it like "sqlite:///connector.db" or "postgresql+psycopg://user@host/name".'
        ) from None  # SQLAlchemy's text holds the URL, and that may hold a password
    backend = place.get_backend_name()
    if backend == "sqlite" and place.database in (None, "", ":memory:"):
        raise StoreError("a database in memory cannot be shared by threads", advice='Name a file: "sqlite:///connector.db".')
    if backend == "postgresql":
        place = place.set(drivername="postgresql+psycopg")
    elif backend != "sqlite":
        raise StoreError(f"{backend} is no database that the connector knows", advice="Use SQLite or PostgreSQL.")
    return place if password is None else place.set(password=password)


def _make_file(place: URL) -> None:
    """Makes folder and file; the file for its owner only, since it holds personal data (SQLite's log files take its rights)."""
    file = Path(place.database or "")
    if file.name.startswith("file:"):
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as problem:
        raise StoreError(
            f"the database's file {file} cannot be made: {problem.strerror}", advice="Check the path in [database] and its rights."
        ) from problem


def _sqlite_engine(place: URL, *, read_only: bool) -> Engine:
    engine = create_engine(
        place,
        hide_parameters=True,  # values are personal and must not come up in errors
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
        pool_size=1 if not read_only else 5,
        max_overflow=0 if not read_only else 20,
    )
    # What is deleted is overwritten with zeros: a privacy deletion must leave nothing behind in the file.
    pragmas = (*_SQLITE_PRAGMAS, "PRAGMA query_only = ON" if read_only else "PRAGMA secure_delete = ON")

    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # else Python's driver begins and commits on its own
        for pragma in pragmas:
            connection.execute(pragma)

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def _postgresql_engine(place: URL) -> Engine:
    return create_engine(
        place,
        hide_parameters=True,
        # No server-side prepared statements: a new field column would invalidate their plans, and poolers in between do not keep them.
        connect_args={"prepare_threshold": None, "connect_timeout": 10, "application_name": "connector"},
        pool_size=5,
        max_overflow=20,
        pool_pre_ping=True,
        pool_recycle=1800,
    )


@contextmanager
def _limited(connection: Connection, seconds: float | None) -> Iterator[None]:
    if seconds is None:
        yield
    elif connection.dialect.name == "postgresql":
        connection.execute(text("SELECT set_config('statement_timeout', :limit, true)"), {"limit": str(max(1, int(seconds * 1000)))})
        yield
    else:
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            raise TypeError("SQLite is spoken to by another driver than Python's own")
        end = time.monotonic() + seconds
        driver.set_progress_handler(lambda: time.monotonic() > end, 20_000)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)


def _sqlite_code(problem: BaseException) -> int | None:
    original = problem.orig if isinstance(problem, DBAPIError) else problem
    code = getattr(original, "sqlite_errorcode", None) if isinstance(original, sqlite3.Error) else None
    return None if code is None else code & 0xFF


def _is_busy(problem: BaseException) -> bool:
    return _sqlite_code(problem) in _SQLITE_BUSY


def _lost_a_conflict(problem: BaseException) -> bool:
    return _sqlstate(problem) in _LOST_CONFLICTS


def _was_broken_off(problem: DBAPIError) -> bool:
    return _sqlstate(problem) == _CANCELLED or _sqlite_code(problem) == sqlite3.SQLITE_INTERRUPT


def _sqlstate(problem: BaseException) -> str | None:
    """PostgreSQL's code of an error. By its code, so that who works with SQLite need not load PostgreSQL's driver."""
    return getattr(problem.orig, "sqlstate", None) if isinstance(problem, DBAPIError) else None


def _first_line(problem: BaseException) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
