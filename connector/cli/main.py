"""The commands a user types. Here alone errors become words and exit codes; what commands do is in `connector.cli`.

Exit codes: 0 done; 1 something failed or was refused; 2 the configuration or the command line is wrong; 3 held for approval; 130 Ctrl-C.
With `--json` an error is one JSON document on standard output too: {"error", "advice", "problems"}.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from connector import __version__
from connector.cli import check, db, demo, explain, init, pause, plan, pull, reconcile, run, sandbox, serve, status
from connector.cli.common import DEBUG_VARIABLE, ExitCode, NotBuilt, debugging
from connector.cli.output import Output, error_console
from connector.cli.process import use_memory_well
from connector.errors import ConfigError, ConnectorError, Problem


class Front(TyperGroup):
    """The way into every command, and the way out of it."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *rest: Any, **extra: Any) -> Any:
        """Runs a command and ends the process with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        teller = _Teller(as_json="--json" in given)
        try:
            code = super().main(given, prog_name, *rest, **extra)
        except typer.TyperException as error:
            code = teller.usage(error)
        except typer.Abort:
            code = ExitCode.INTERRUPTED
        except ConnectorError as error:
            code = teller.known(error)
        except Exception as error:  # noqa: BLE001 - the outermost place: whatever it is, nobody is shown a traceback they did not ask for
            code = teller.bug(error)
        if code == ExitCode.INTERRUPTED:
            sys.stderr.write("Interrupted.\n")
        sys.exit(int(code or 0))


class _Teller:
    """Errors in words on standard error; with --json as a document on standard output too."""

    def __init__(self, *, as_json: bool) -> None:
        self._output = Output(as_json=as_json)
        self._errors = error_console()

    def known(self, error: ConnectorError) -> int:
        """An error with a way out."""
        problems = error.problems if isinstance(error, ConfigError) else []
        self._tell(error.message, error.advice, problems)
        return ExitCode.WRONG if isinstance(error, ConfigError | NotBuilt) else ExitCode.FAILED

    def usage(self, error: typer.TyperException) -> int:
        """A wrong command line."""
        context = getattr(error, "ctx", None)
        path = "connector" if context is None else context.command_path
        message = error.format_message()
        if message.startswith("Usage:"):  # nothing was given: the help is the message
            sys.stderr.write(f"{message}\n")
            self._output.document(_document("no command was given", f"`{path} --help` lists them.", []))
            return ExitCode.WRONG
        self._tell(message, f"`{path} --help` says what it takes.", [])
        return ExitCode.WRONG

    def bug(self, error: Exception) -> int:
        """Something nobody thought of. Its text may hold somebody's data: only its kind and place are told."""
        if debugging():
            traceback.print_exception(error)
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "connector" in Path(frame.filename).parts]
        place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
        self._tell(
            f"Something unexpected went wrong: {type(error).__name__}{place}. This is a bug of the connector",
            f"Nothing is lost: what was done is on record. {DEBUG_VARIABLE}=1 before the same command shows where it happened.",
            [],
        )
        return ExitCode.FAILED

    def _tell(self, message: str, advice: str, problems: Sequence[Problem]) -> None:
        self._output.document(_document(message, advice, problems))
        self._errors.print(Text(f"Error: {message}{'' if message.endswith(('.', '?')) else '.'}", style="red"))
        for one in problems:
            self._errors.print(Text.assemble("  ", (one.path, "bold"), f": {one.found}; {one.expected}"))
        if advice:
            self._errors.print(Text(advice))


def _document(message: str, advice: str, problems: Sequence[Problem]) -> dict[str, Any]:
    told = [{"path": one.path, "found": one.found, "expected": one.expected} for one in problems]
    return {"error": message, "advice": advice, "problems": told}


app = typer.Typer(
    name="connector",
    cls=Front,
    help="The neutral party between marketing and sales, beside the CRMs a company already has.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
database = typer.Typer(help="The connector's own database.", no_args_is_help=True, rich_markup_mode=None)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"connector {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")] = False,
) -> None:
    """The neutral party between marketing and sales, beside the CRMs a company already has."""


for _command in (
    demo.demo,
    sandbox.sandbox,
    init.init,
    check.check,
    run.run,
    pull.pull,
    plan.plan,
    reconcile.reconcile,
    explain.explain,
    status.status,
    pause.pause,
    pause.resume,
    serve.serve,
):
    app.command(_command.__name__)(_command)
database.command("upgrade")(db.upgrade)
app.add_typer(database, name="db")


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a name that the terminal cannot show is no reason to fail
    use_memory_well()
    app()
