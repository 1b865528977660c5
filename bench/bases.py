"""The databases of a bench: SQLite files, and a PostgreSQL server of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
from sqlalchemy import URL, Connection, Engine, create_engine, event, text

from tests.support.postgres import start_server, stop_server

Dialect = Literal["sqlite", "postgresql"]
DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql")
#: As the server comes, but for what would measure the disk: nothing here outlives the bench.
_SETTINGS = "-F -c synchronous_commit=off -c max_wal_size=4GB"
#: What the connector sets, as far as it bears on the time of a statement.
_PRAGMAS = ("journal_mode = WAL", "synchronous = NORMAL", "temp_store = MEMORY", "cache_size = -16384", "wal_autocheckpoint = 8000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """One database. url: SQLAlchemy's; server: the process id of its PostgreSQL, None for SQLite."""

    dialect: Dialect
    url: str
    server: int | None = None

    def server_seconds(self) -> float:
        """The processor time that the server's processes have taken so far; 0 for SQLite."""
        if self.server is None:
            return 0.0
        postmaster = psutil.Process(self.server)
        ended = postmaster.cpu_times()
        seconds = ended.user + ended.system + ended.children_user + ended.children_system
        for child in postmaster.children():
            try:
                times = child.cpu_times()
            except psutil.NoSuchProcess:  # ended meanwhile: among the children's time from now on
                continue
            seconds += times.user + times.system
        return float(seconds)

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection in one transaction, without the connector's store."""
        engine = self._engine()
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def row(self, statement: str, **values: Any) -> dict[str, Any]:
        """The one row of a statement, numbers as floats; a sum of nothing is 0."""
        with self.connected() as connection:
            row = connection.execute(text(statement), values).mappings().one()
        return {name: 0.0 if value is None else float(value) for name, value in row.items()}

    def run(self, *statements: str, **values: Any) -> None:
        """Runs these in one transaction."""
        with self.connected() as connection:
            for statement in statements:
                connection.execute(text(statement), values)

    def analyze(self) -> None:
        """What the databases do by themselves sooner or later: PostgreSQL's statistics, SQLite's log into the file."""
        self._alone("VACUUM ANALYZE" if self.dialect == "postgresql" else "PRAGMA wal_checkpoint(TRUNCATE)")

    def pack(self) -> None:
        """Writes every table anew, without what updates and deletions left behind."""
        self._alone("VACUUM FULL ANALYZE" if self.dialect == "postgresql" else "VACUUM")

    def _alone(self, statement: str) -> None:
        engine = self._engine().execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def _engine(self) -> Engine:
        engine = create_engine(self.url)
        if self.dialect == "sqlite":

            @event.listens_for(engine, "connect")
            def _set(connection: Any, _record: Any) -> None:
                for pragma in _PRAGMAS:
                    connection.execute(f"PRAGMA {pragma}")

        return engine


class Bases:
    """Makes databases by name, and takes them away."""

    def __init__(self, folder: Path, sockets: Path | None, server: int | None) -> None:
        self._folder, self._sockets, self._server = folder, sockets, server

    def named(self, dialect: Dialect, name: str) -> Base:
        """A database of this name; on PostgreSQL made empty where there is none."""
        if dialect == "sqlite":
            return Base(dialect=dialect, url=f"sqlite:///{self._folder / name}.db")
        base = self._postgres(name)
        found = self._postgres("postgres").row("SELECT count(*) AS n FROM pg_database WHERE datname = :name", name=name)
        if not found["n"]:
            self._alone(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return base

    def dropped(self, base: Base) -> None:
        """Takes it away."""
        if base.dialect == "postgresql":
            self._alone(f'DROP DATABASE "{base.url.partition("?")[0].rpartition("/")[2]}" WITH (FORCE)')
            return
        file = Path(base.url.removeprefix("sqlite:///"))
        for ending in ("", "-wal", "-shm"):
            file.with_name(file.name + ending).unlink(missing_ok=True)

    def _alone(self, statement: str) -> None:
        engine = create_engine(self._postgres("postgres").url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def _postgres(self, name: str) -> Base:
        url = URL.create("postgresql+psycopg", username="postgres", database=name, query={"host": str(self._sockets)})
        return Base(dialect="postgresql", url=url.render_as_string(hide_password=False), server=self._server)


@contextmanager
def bases(dialects: Sequence[Dialect]) -> Iterator[Bases]:
    """Databases that are gone afterwards; the server runs only where it is asked for."""
    with tempfile.TemporaryDirectory(prefix="bench-") as files:
        if "postgresql" not in dialects:
            yield Bases(Path(files), None, None)
            return
        folder = Path(tempfile.mkdtemp(prefix="pg"))
        programs = start_server(folder, _SETTINGS)
        try:
            server = int((folder / "data" / "postmaster.pid").read_text().split()[0])
            yield Bases(Path(files), folder / "s", server)
        finally:
            stop_server(folder, programs)


def totals(base: Base, tables: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Rows and sums by table, each number by its remainder, as moments would add up beyond 64 bits. tables: name → columns of numbers."""
    found: dict[str, float] = {}
    for table, columns in tables.items():
        sums = "".join(f', sum({name} % 1000003) AS "{table}.{name}"' for name in columns)
        found |= base.row(f'SELECT count(*) AS "{table}"{sums} FROM {table}')
    return found
