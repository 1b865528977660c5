"""What all commands share: their two options, exit codes, an end in good order on Ctrl-C, words, and logging.

Imported at every start, whatever the command: nothing here loads the configuration's or the store's libraries.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from connector.errors import ConnectorError

if TYPE_CHECKING:
    from connector.config.tables import Config

ConfigPath = Annotated[Path, typer.Option("--config", metavar="PATH", help="The file with the rules.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output and nothing else.")]
DEFAULT_CONFIG = Path("config.toml")
DEBUG_VARIABLE = "CONNECTOR_DEBUG"


class ExitCode(IntEnum):
    """How a command ends."""

    DONE = 0
    FAILED = 1  # or refused; it says what
    WRONG = 2  # the configuration or the command line
    HELD = 3  # for approval
    INTERRUPTED = 130  # Ctrl-C
    TERMINATED = 143  # SIGTERM


class NotBuilt(ConnectorError):
    """An option of the language of commands that this version does not carry out."""


# ── Ending in order ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Interruption:
    """Whether somebody asked to stop, and how. event is set when they do."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._signal: int | None = None

    def __call__(self) -> bool:
        return self.event.is_set()

    @property
    def exit_code(self) -> ExitCode:
        """What a command returns that was broken off."""
        return ExitCode.TERMINATED if self._signal == signal.SIGTERM else ExitCode.INTERRUPTED

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """The first time: finish what is in hand. The second Ctrl-C: at once."""
        if self.event.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = number
        self.event.set()
        if number == signal.SIGINT:
            # not through sys.stderr, in the middle of a write to which the signal may have come
            os.write(2, b"\nStopping after what is in hand; Ctrl-C once more stops at once.\n")


@contextmanager
def orderly() -> Iterator[Interruption]:
    """While the block lasts, Ctrl-C and SIGTERM only ask. Outside the main thread, where signals do not go, nothing changes."""
    asked = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, asked.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

#: The CRMs as people call them, by the names that the file and the store have for them.
CRM_NAMES: Mapping[str, str] = {"hubspot": "HubSpot", "salesforce": "Salesforce"}


def command(words: str, config: Config | Path | None = None) -> str:
    """A command as one can type it here: with the program as it was called, and `--config` where it is not the default."""
    path = config if config is None or isinstance(config, Path) else Path(config.source)
    option = "" if path is None or path == DEFAULT_CONFIG else f" --config {shlex.quote(str(path))}"
    return f"{program()} {words}{option}"


def program() -> str:
    """How this program can be called from here: by its name where the shell finds it, else by its path."""
    if shutil.which("connector") is not None:
        return "connector"
    called = Path(sys.argv[0])
    if called.name != "connector" or not called.is_file():
        return f"{shlex.quote(sys.executable)} -m connector"
    place = called.absolute()  # not resolved: a link is as good a way to it
    return shlex.quote(str(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place))


def debugging() -> bool:
    """Whether tracebacks are wanted."""
    return os.environ.get(DEBUG_VARIABLE, "").strip() not in ("", "0")


class _LogLines(logging.Formatter):
    """Lines for people; a traceback only where it was asked for, since it may show more than a log should hold."""

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        if debugging():
            return super().formatException(ei)  # type: ignore[arg-type]  # logging's own triple, handed on
        kind = ei[0] if isinstance(ei, tuple) and ei[0] is not None else None
        return f"{getattr(kind, '__name__', 'an error')}: a bug of the connector; {DEBUG_VARIABLE}=1 shows where"


@contextmanager
def logging_to_stderr(level: int = logging.WARNING) -> Iterator[None]:
    """Logs go to standard error for as long as the block lasts: the connector's from `level` on, and the scheduler's warnings.

    What other libraries log may hold addresses with somebody's data in them: it is heard only where tracebacks are wanted too.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LogLines("%(asctime)s %(levelname)s %(message)s"))
    levels = {"connector": level, "apscheduler": logging.WARNING}
    heard = [""] if debugging() else list(levels)
    silence = logging.NullHandler()  # without any handler, logging writes warnings to standard error by itself
    before = {name: logging.getLogger(name).level for name in levels}
    logging.getLogger().addHandler(silence)
    for name in heard:
        logging.getLogger(name).addHandler(handler)
    for name, wanted in levels.items():
        logging.getLogger(name).setLevel(wanted)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(silence)
        for name in heard:
            logging.getLogger(name).removeHandler(handler)
        for name, old in before.items():
            logging.getLogger(name).setLevel(old)
