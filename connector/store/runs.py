"""The record of runs, and single values of the installation (`meta`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, delete, exists, insert, select, true, update
from sqlmodel import Session
from sqlmodel import select as select_rows

from connector.store.bulk import add_missing, plain, upsert
from connector.store.database import Store
from connector.store.tables import Run, metadata

_RUN = metadata.tables["run"]
_META = plain("meta")


def start_run(store: Store, command: str, mode: str, *, now: datetime, config_version: str = "") -> int:
    """Notes that a command began, and returns the run's number."""

    def work(connection: Connection) -> int:
        values = {"command": command, "mode": mode, "started_at": now, "state": "running", "config_version": config_version}
        return int(connection.execute(insert(_RUN).values(values).returning(_RUN.c.id)).scalar_one())

    return store.write(work)


def finish_run(
    store: Store,
    run: int,
    state: Literal["done", "failed"],
    *,
    now: datetime,
    summary: Mapping[str, Any] | None = None,
    problem: str | None = None,
) -> None:
    """Notes how it ended. problem: what went wrong, without secrets and personal data."""
    values = {"state": state, "finished_at": now, "summary": None if summary is None else dict(summary), "problem": problem}

    def work(connection: Connection) -> None:
        connection.execute(update(_RUN).where(_RUN.c.id == run).values(values))

    store.write(work)


def drop_run(store: Store, run: int) -> None:
    """Takes back that a command began which came to nothing."""

    def work(connection: Connection) -> None:
        connection.execute(delete(_RUN).where(_RUN.c.id == run))

    store.write(work)


def last_runs(store: Store, limit: int = 10, *, command: str | None = None) -> list[Run]:
    """The latest runs (of one command), the newest first."""
    which = true() if command is None else _RUN.c.command == command
    with store.read() as connection, Session(bind=connection) as session:
        return list(session.exec(select_rows(Run).where(which).order_by(_RUN.c.id.desc()).limit(limit)))


def began_before(store: Store, moment: datetime) -> bool:
    """Whether any command ran before then: the mirror may hold what was read so long ago."""
    with store.read() as connection:
        return connection.scalar(select(exists().where(_RUN.c.started_at < moment))) is True


def get_meta(store: Store, name: str) -> str | None:
    """A single value; None where it was never set."""
    with store.read() as connection:
        return connection.scalar(select(_META.c.value).where(_META.c.name == name))


def set_meta(store: Store, name: str, value: str | None) -> None:
    """Sets a single value, or removes it (None)."""

    def work(connection: Connection) -> None:
        if value is None:
            connection.execute(delete(_META).where(_META.c.name == name))
        else:
            upsert(connection, _META, [{"name": name, "value": value}], keys=("name",))

    store.write(work)


def set_meta_once(store: Store, name: str, value: str) -> str:
    """Sets a value that is decided once (the first live pass), and returns the one that holds."""

    def work(connection: Connection) -> str:
        add_missing(connection, _META, [{"name": name, "value": value}])
        return str(connection.scalar(select(_META.c.value).where(_META.c.name == name)))

    return store.write(work)
