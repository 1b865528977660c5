"""`pull`: the mirror only, brought up to date with both CRMs, and its people unified."""

from __future__ import annotations

from typing import Annotated

import typer

from connector.app import open_app
from connector.cli.actor import AsName, actor_of
from connector.cli.common import DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, Interruption, command, logging_to_stderr, orderly
from connector.cli.older_file import show_older_file
from connector.cli.output import Output
from connector.cli.progress import pass_progress
from connector.cli.pull_summary import show_errors, show_pulled, show_removed
from connector.cli.store import make_tables
from connector.config.load import load
from connector.config.tables import Config
from connector.jobs.mirror_jobs import Mirrored
from connector.jobs.once import pull_once


def pull(
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    full: Annotated[bool, typer.Option("--full", help="Read everything again from the beginning.")] = False,
    deletes: Annotated[
        bool, typer.Option("--deletes", help="And what no modified date tells: what was deleted, merged, restored, linked anew.")
    ] = False,
    as_name: AsName = "",
) -> int:
    """The mirror only: what changed in the CRMs since the last pull, and whose records belong together."""
    settings, output = load(config), Output(as_json=as_json)
    make_tables(settings)
    with logging_to_stderr(), orderly() as asked, open_app(settings, stop=asked.event, actor=actor_of(as_name)) as app:
        with pass_progress(output.console, watched=output.watched) as progress:
            result = pull_once(app, full=full, deletes=deletes, progress=progress, stopped=asked)
        output.document(result.document())
        show_pulled(output, result.pulled)
        if result.removed is not None:
            show_removed(output, result.removed)
        show_errors(output, result.errors)
        show_older_file(output, app)
        _say_after_pull(output, result, settings, asked)
        return asked.exit_code if asked() else ExitCode.FAILED if result.errors else ExitCode.DONE


def _say_after_pull(output: Output, result: Mirrored, config: Config, asked: Interruption) -> None:
    if asked():
        output.heading("Stopped as asked: what was read is stored, and the next pull goes on from there.")
    elif result.errors:
        output.heading("Nothing was lost: what was read is stored, and the next pull goes on from there.")
    else:
        output.line(f"\nNext: `{command('plan', config)}` shows what a pass would do now.")
