"""The entry of the command line. Here alone errors become words and exit codes; the commands are in the modules of their names.

Exit codes: 0 done; 1 something failed or was refused; 2 the configuration or the command line is wrong; 3 held for approval; 130 Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from connector import __version__
from connector.cli.common import ExitCode
from connector.cli.process import use_memory_well
from connector.cli.registry import LazyGroup


class Front(LazyGroup):
    """The way into every command, and the way out of it."""

    _when_imported: Callable[[], None] | None = None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *rest: Any,
        when_imported: Callable[[], None] | None = None,
        **extra: Any,
    ) -> Any:
        """Runs a command and ends the process with its exit code. when_imported: called before the command runs, its module imported."""
        given = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        self._when_imported = when_imported
        try:
            code = super().main(given, prog_name, *rest, **extra)
        except typer.Abort:
            code = ExitCode.INTERRUPTED
        except Exception as error:  # noqa: BLE001 - the outermost place: whatever it is, nobody is shown a traceback they did not ask for
            from connector.cli.error_report import ErrorReport  # with rich, which `--version` and `--help` do without

            code = ErrorReport(as_json="--json" in given).report(error)
        if code == ExitCode.INTERRUPTED:
            sys.stderr.write("Interrupted.\n")
        sys.exit(int(code or 0))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that is meant, imported."""
        resolved = super().resolve_command(ctx, args)
        if self._when_imported is not None:
            self._when_imported()
        return resolved


app = typer.Typer(
    name="connector",
    cls=Front,
    help="The neutral party between marketing and sales, beside the CRMs a company already has.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"connector {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")] = False,
) -> None:
    """The neutral party between marketing and sales, beside the CRMs a company already has."""


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a name that the terminal cannot show is no reason to fail
    app(when_imported=use_memory_well)
