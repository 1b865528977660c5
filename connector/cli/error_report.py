"""Errors in words, with their exit codes: on standard error, and with `--json` as a document on standard output too.

The document: {"error", "advice", "problems"}.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from connector.cli.common import DEBUG_VARIABLE, ExitCode, NotBuilt, debugging
from connector.cli.output import Output, error_console
from connector.errors import ConfigError, ConnectorError, Problem


class ErrorReport:
    """Where a command that failed says why, each time with the exit code."""

    def __init__(self, *, as_json: bool) -> None:
        self._output = Output(as_json=as_json)
        self._console = error_console()

    def report(self, error: Exception) -> ExitCode:
        """Whatever it is."""
        if isinstance(error, typer.TyperException):
            return self._usage(error)
        return self._known(error) if isinstance(error, ConnectorError) else self._bug(error)

    def _known(self, error: ConnectorError) -> ExitCode:
        """An error with a way out."""
        problems = error.problems if isinstance(error, ConfigError) else []
        self._print(error.message, error.advice, problems)
        return ExitCode.WRONG if isinstance(error, ConfigError | NotBuilt) else ExitCode.FAILED

    def _usage(self, error: typer.TyperException) -> ExitCode:
        """A wrong command line."""
        context = getattr(error, "ctx", None)
        path = "connector" if context is None else context.command_path
        message = error.format_message()
        if message.startswith("Usage:"):  # nothing was given: the help is the message
            sys.stderr.write(f"{message}\n")
            self._output.document(_document("no command was given", f"`{path} --help` lists them.", []))
            return ExitCode.WRONG
        self._print(message, f"`{path} --help` says what it takes.", [])
        return ExitCode.WRONG

    def _bug(self, error: Exception) -> ExitCode:
        """Something nobody thought of. Its text may hold somebody's data: only its kind and place are told."""
        if debugging():
            traceback.print_exception(error)
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "connector" in Path(frame.filename).parts]
        place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
        self._print(
            f"Something unexpected went wrong: {type(error).__name__}{place}. This is a bug of the connector",
            f"Nothing is lost: what was done is on record. {DEBUG_VARIABLE}=1 before the same command shows where it happened.",
            [],
        )
        return ExitCode.FAILED

    def _print(self, message: str, advice: str, problems: Sequence[Problem]) -> None:
        self._output.document(_document(message, advice, problems))
        self._console.print(Text(f"Error: {message}{'' if message.endswith(('.', '?')) else '.'}", style="red"))
        for problem in problems:
            self._console.print(Text.assemble("  ", (problem.path, "bold"), f": {problem.found}; {problem.expected}"))
        if advice:
            self._console.print(Text(advice))


def _document(message: str, advice: str, problems: Sequence[Problem]) -> dict[str, Any]:
    listed = [{"path": problem.path, "found": problem.found, "expected": problem.expected} for problem in problems]
    return {"error": message, "advice": advice, "problems": listed}
