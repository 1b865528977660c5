"""A line under what a command shows, where its file was replaced by another: nobody is judged by it."""

from __future__ import annotations

from connector.app import App
from connector.cli.common import command
from connector.cli.output import Output
from connector.pipeline.older_file import older_file


def show_older_file(output: Output, app: App) -> None:
    """Says so, for commands that an older file does not stop: they conclude nothing by it."""
    older = older_file(app.store, app.config)
    if older is not None:
        means_it = command("check --apply", app.config)
        output.line(f"{older.message}. Nobody is judged by it: `{means_it}` says that it is meant.", style="yellow")
