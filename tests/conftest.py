"""Shared by all tests: a real PostgreSQL beside SQLite, and the Hypothesis profiles.

`database_url` runs a test on both databases, each time on an empty one; `postgres_url` is one PostgreSQL database a module;
`fresh_postgres()` makes another. The server comes from a wheel, is reached by a socket alone, starts when a test
first asks, and serves all processes of the run.

For tests of whole passes: `url` is one SQLite database, `either_url` runs a test on both; they stay open for all tests of the run and
are emptied for each company (see support/stores.py). What is pure needs `url` alone, what is read and stored through SQL both.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from sqlalchemy import URL

from tests.support.postgres import start_server, stop_server
from tests.support.stores import close_kept, keep

_SLOW_MACHINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("dev", deadline=None, suppress_health_check=_SLOW_MACHINE, print_blob=True)
# The same examples every time, none remembered: a build says the same twice.
settings.register_profile(
    "ci",
    deadline=None,
    suppress_health_check=_SLOW_MACHINE,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end, and cycles are few: to look for garbage so often took a fifth of the run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. `sockets` is the folder of its socket; it listens on no network address."""

    sockets: Path

    def url(self, database: str) -> str:
        address = URL.create("postgresql+psycopg", username="postgres", database=database, query={"host": str(self.sockets)})
        return address.render_as_string(hide_password=False)

    def run(self, statement: str) -> None:
        with psycopg.connect(host=str(self.sockets), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def _noted(file: Path) -> Iterator[dict[str, Any]]:
    """What the processes of this run have noted of their server, for one of them at a time; written back afterwards."""
    with file.open("a+", encoding="utf-8") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        opened.seek(0)
        note: dict[str, Any] = json.loads(opened.read() or "{}")
        yield note
        opened.truncate(0)
        opened.write(json.dumps(note))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server of this test run alone, gone with it: the first of its processes that asks starts it, the last one stops it."""
    own = tmp_path_factory.getbasetemp()
    file = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "postgres.json"
    with _noted(file) as note:
        if not note.get("users"):
            # Not pytest's own folder: a socket's path is at most 107 bytes, and `nobody` could not enter it.
            folder = Path(tempfile.mkdtemp(prefix="pg"))
            try:
                note.update(users=0, folder=str(folder), programs=str(start_server(folder)))
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        note["users"] += 1
        folder, programs = Path(note["folder"]), Path(note["programs"])
    try:
        yield Postgres(folder / "s")
    finally:
        with _noted(file) as note:
            note["users"] -= 1
            if not note["users"]:
                stop_server(folder, programs)


@pytest.fixture(scope="session")
def fresh_postgres(postgres: Postgres) -> Callable[[], str]:
    """Makes an empty database on each call and returns its SQLAlchemy URL."""

    def fresh() -> str:
        name = f"t_{uuid4().hex}"
        postgres.run(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return postgres.url(name)

    return fresh


@pytest.fixture(scope="module")
def postgres_url(fresh_postgres: Callable[[], str]) -> str:
    """The SQLAlchemy URL of a PostgreSQL database that the tests of one module share."""
    return fresh_postgres()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The SQLAlchemy URL of an empty database, on SQLite (a file) and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'database.db'}"
    fresh: Callable[[], str] = request.getfixturevalue("fresh_postgres")
    return fresh()


@pytest.fixture(scope="session")
def kept_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The address of a kept SQLite database by name; it is emptied whenever a company begins on it."""
    folder = tmp_path_factory.mktemp("kept")
    yield lambda name: keep(f"sqlite:///{folder / name}.db")
    close_kept()


@pytest.fixture(scope="session")
def kept_postgres(kept_databases: object, fresh_postgres: Callable[[], str]) -> str:
    """The address of the one PostgreSQL database that is kept."""
    return keep(fresh_postgres())


@pytest.fixture
def url(kept_databases: Callable[[str], str]) -> str:
    """The address of an SQLite database for one company at a time."""
    return kept_databases("one")


@pytest.fixture(params=["sqlite", "postgresql"])
def either_url(request: pytest.FixtureRequest) -> str:
    """The address for one company at a time, on SQLite and on PostgreSQL."""
    found: str = request.getfixturevalue("url" if request.param == "sqlite" else "kept_postgres")
    return found
