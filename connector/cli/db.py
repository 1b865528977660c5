"""`db upgrade`: the schema of the connector's own database."""

from __future__ import annotations

import typer

from connector.app import open_store
from connector.cli.common import DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, logging_to_stderr
from connector.cli.output import Output
from connector.config.load import load
from connector.store import schema

db = typer.Typer(name="db", help="The connector's own database.", no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@db.callback()
def _group() -> None:
    """Makes `db` a group, though it has one command."""


@db.command()
def upgrade(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Makes the database's tables, or brings them to this program's version."""
    settings, output = load(config), Output(as_json=as_json)
    with logging_to_stderr(), open_store(settings) as store:
        with store.read() as connection:
            before = schema.current(connection)
        store.upgrade()
        with store.read() as connection:
            after = schema.current(connection)
    output.document({"before": before, "after": after})
    if before == after:
        output.line(f"The database is up to date: schema {after}.")
    else:
        output.line(f"The database has schema {after} now{'' if before is None else f', it had {before}'}.")
    return ExitCode.DONE
