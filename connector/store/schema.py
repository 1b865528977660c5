"""The database's schema and its versions: Alembic without an ini file.

The scripts lie beside the package in a checkout (`migrations/`) and inside it in a wheel (`connector/migrations`). The field columns of
`contact` (`f_…`, `h_…`, `s_…`) are not Alembic's: `connector.store.fields` makes them, and the comparison here passes over them.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text

from connector.errors import StoreError
from connector.store.tables import ContactRow, metadata

#: The names of field columns of `contact`, folded twins included.
FIELD_COLUMN = re.compile(r"^[fhs]_[a-z0-9_]+$")

#: Number of the advisory lock under which PostgreSQL's schema is changed (any number of our own; field columns take it too).
SCHEMA_LOCK = 7_044_117_526

#: Alembic keeps its context in module globals: within a process one upgrade at a time.
_one_at_a_time = threading.Lock()


def migrations_folder() -> Path:
    """Where the migration scripts are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StoreError("the migration scripts are missing from this installation", advice="Install the connector again.")


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration; `env.py` uses `connection`, inside whose transaction everything happens."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The revision that this program works with."""
    revision = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if revision is None:
        raise StoreError("the migration scripts hold no revision", advice="Install the connector again.")
    return revision


def current(connection: Connection) -> str | None:
    """The revision that the database has; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(connection: Connection) -> None:
    """Brings the database to `head`, in the connection's transaction; another process that does the same waits for it.

    Raises `StoreError` where the database belongs to a newer program.
    """
    with _one_at_a_time:
        lock_schema(connection)
        check_known(connection)
        command.upgrade(alembic_config(connection), "head")


def lock_schema(connection: Connection) -> None:
    """Waits until no other process changes the schema; held to the end of the transaction. SQLite's BEGIN IMMEDIATE does it by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": SCHEMA_LOCK})


def check_known(connection: Connection) -> str | None:
    """The database's revision, which this program knows; raises `StoreError` where it does not."""
    revision = current(connection)
    if revision is None:
        return None
    try:
        ScriptDirectory.from_config(alembic_config()).get_revision(revision)
    except CommandError as problem:
        raise StoreError(
            f"the database has schema {revision}, which this version of the connector does not know",
            advice="A newer connector made it: install that version (or a newer one), or restore a backup of the database made before.",
        ) from problem
    return revision


def check(connection: Connection) -> None:
    """Raises `StoreError`, with the way out, unless the database has exactly the schema of this program."""
    revision = check_known(connection)
    wanted = head()
    if revision is None:
        raise StoreError("the database is empty", advice="Run `connector db upgrade` to make its tables.")
    if revision != wanted:
        raise StoreError(
            f"the database has schema {revision}, this version of the connector needs {wanted}",
            advice="Stop every connector on this database, make a backup, and run `connector db upgrade`.",
        )


def differences(connection: Connection) -> list[Any]:
    """What Alembic would change to make the database equal to the declared tables; empty where they agree."""
    options = {"compare_type": True, "compare_server_default": True, "include_object": include_object}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, metadata))


def include_object(thing: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
    """Alembic's filter: field columns of `contact` are none of its business."""
    stray = kind == "column" and reflected and compare_to is None
    return not (stray and thing.table.name == ContactRow.__tablename__ and FIELD_COLUMN.match(name or ""))
