"""Results as tables, on a terminal or in a pipe, or as one JSON document. Nothing here knows what the results mean."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: In a pipe there is no window: tables are as wide as what stands in them, which no cell reaches.
_PIPE_WIDTH = 1_000_000
#: Characters that could steer the terminal, though they stand in somebody's name.
_CONTROLS = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)), "�") | {9: " "}
#: An aware moment as the ledger keeps it among the values that met a rule.
_MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$")


class Output:
    """A command's standard output: `as_json` True keeps everything but `document` quiet."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = _console(sys.stdout, quiet=as_json)
        #: Progress is for somebody who looks on.
        self.watched = not as_json and sys.stdout.isatty() and sys.stderr.isatty()

    def document(self, value: Mapping[str, Any]) -> None:
        """The command's one JSON document, where JSON was asked for."""
        if self.as_json:
            sys.stdout.flush()
            sys.stdout.buffer.write(_indented(value) + b"\n")
            sys.stdout.buffer.flush()

    def long_document(self, value: Mapping[str, Any], name: str, items: Iterable[Mapping[str, Any]]) -> None:
        """The one JSON document, with a list that is written as it is read, however long: it goes behind the others under this name."""
        if not self.as_json:
            return
        sys.stdout.flush()
        out = sys.stdout.buffer
        out.write(_indented(value).removesuffix(b"\n}") + b',\n  "' + name.encode() + b'": [')
        first = True
        for item in items:
            out.write((b"" if first else b",") + b"\n    " + _indented(item).replace(b"\n", b"\n    "))
            first = False
        out.write(b"]\n}\n" if first else b"\n  ]\n}\n")
        out.flush()

    def line(self, *parts: str | Text, style: str = "") -> None:
        """A line of text, however long: only the window breaks it, so that a command in it can be copied. Brackets are no markup."""
        text = Text.assemble(*(part if isinstance(part, Text) else clean(part) for part in parts))
        self.console.print(text, style=style or None, soft_wrap=True)

    def heading(self, text: str) -> None:
        """What comes next; one line, like `line`."""
        self.console.print()
        self.console.print(Text(clean(text), style="bold"), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Iterable[str] = (), title: str = "") -> None:
        """A table; `right`: the columns of numbers. Without rows, nothing. Only a terminal's width folds its cells."""
        cells = [[cell(value) for value in row] for row in rows]
        if not cells:
            return
        if title:
            self.heading(title)
        table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), show_edge=False)
        numbers = set(right)
        for column in columns:
            table.add_column(column, justify="right" if column in numbers else "left", overflow="fold", no_wrap=column in numbers)
        for row in cells:
            table.add_row(*row)
        if self.console.file.isatty():
            self.console.print(table)
            return
        with self.console.capture() as drawn:
            self.console.print(table)
        for line in drawn.get().splitlines():  # one long cell would fill every other row up with blanks
            self.console.out(line.rstrip())


def _indented(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)


def _console(stream: Any, *, quiet: bool = False, soft_wrap: bool = False) -> Console:
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=soft_wrap, quiet=quiet, emoji=False)


def error_console() -> Console:
    """Standard error, for what went wrong: its lines are broken by the window alone."""
    return _console(sys.stderr, soft_wrap=True)


def cell(value: Any) -> Text:
    """A value in a table; of several, each on a line of its own."""
    if isinstance(value, Text):
        return value
    if isinstance(value, list | tuple):
        return Text("\n").join(cell(item) for item in value)
    if value is None:
        return Text("–", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, int):
        return Text(f"{value:,}")
    if isinstance(value, float):
        return Text(number(value))
    return Text(clean(str(value)).replace("\n", " "))


def number(value: float) -> str:
    """At most two decimals, none where there are none."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def clean(text: str) -> str:
    """Without characters that steer a terminal."""
    return text.translate(_CONTROLS)


def values(of: Mapping[str, Any], zone: str) -> str:
    """Names and values as one text: "score 72.5, stage lead". Moments in the business's own zone."""
    return ", ".join(f"{name} {_short(value, zone)}" for name, value in of.items())


def _short(value: Any, zone: str) -> str:
    if isinstance(value, list | tuple):
        return " ".join(_short(item, zone) for item in value)
    if isinstance(value, str) and _MOMENT.match(value):
        return str(moment(datetime.fromisoformat(value), zone))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return "none" if value is None else str(value)


def moment(at: datetime | None, zone: str) -> str | None:
    """A moment in the business's own zone, to the minute."""
    return None if at is None else f"{at.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
