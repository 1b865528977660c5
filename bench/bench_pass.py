"""What a pass costs, beside the least that the same work could cost, at three sizes on both databases. Run by `make bench`.

    pull     HubSpot's contacts and activities over HTTP from the sandbox, beside the plainest loop over the same records (`floor_pull`)
    judge    a made-up company put straight into the mirror (`world`): unified, judged, planned, passes with nothing and with a thousand
             changed, a preview, a changed file, live passes; every result beside a statement written by hand (`by_hand`)

Each part runs in a fresh process, so that its peak of memory is its own; making the company does not count. Processor time is that of the
connector's own process, the database server's stands apart. A page is committed beside each part ten times a second: the longest wait is
told, and what those pages cost is taken off. Times differ from machine to machine, ratios little: compare those.

Ends with 0 where all aims hold, 1 where one was missed, 2 where a count, a result or a sum differs from an independent statement's.
"""

from __future__ import annotations

import argparse
import platform
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aims
import apart
import bench_http
import machine
import orjson
import steps
from aims import Line, Report
from bases import DIALECTS, Base, Bases, Dialect, bases
from by_hand import Touches
from rich.console import Console
from steps import Found
from world import NOW

SIZES = (10_000, 100_000, 1_000_000)
#: More than these do not come over HTTP: the sandbox would need more memory than the machine has, and an hour.
MOST_BY_HTTP = 100_000
CHANGED = 1_000
PARTS = ("pull", "judge", "live")
#: Where docs/performance.md holds the table.
_BEGIN, _END = "<!-- bench: begin -->", "<!-- bench: end -->"


def main() -> int:
    """Measures what is asked for and prints it; the exit code."""
    asked = _arguments()
    report = Report(machine=where())
    with bases(asked.databases) as made:
        for dialect in asked.databases:
            for size in asked.sizes:
                _measure(report, made, dialect, size, asked.parts)
    report.lines = aims.across(report.lines, f"{CHANGED:,} changed", small=100_000, large=1_000_000, most=2.0)
    _show(report, asked)
    return report.exit_code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: int(text.replace("_", "")), nargs="+", default=list(SIZES), help="contacts")
    parser.add_argument("--databases", nargs="+", choices=DIALECTS, default=list(DIALECTS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="live goes on where judge ended")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output, the table on standard error")
    parser.add_argument("--document", type=Path, metavar="FILE", help=f"writes the table into a document, between {_BEGIN} and {_END}")
    return parser.parse_args()


def where() -> dict[str, Any]:
    """Where and with what it was measured."""
    versions = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    return {"date": datetime.now(UTC).date().isoformat(), "cores": machine.cores(), **versions}


def _show(report: Report, asked: argparse.Namespace) -> None:
    console = Console(stderr=asked.json)
    (console if console.is_terminal else Console(stderr=asked.json, width=220)).print(aims.table(report))
    for lie in report.lies:
        Console(stderr=True).print(f"[bold red]differs:[/] {lie}", highlight=False)
    if asked.json:
        sys.stdout.buffer.write(orjson.dumps(report.document(), option=orjson.OPT_INDENT_2) + b"\n")
    if asked.document is not None:
        before, _, rest = asked.document.read_text().partition(_BEGIN)
        _, end, after = rest.partition(_END)
        if not end:
            raise SystemExit(f"{asked.document} has no {_BEGIN} … {_END}")
        asked.document.write_text(f"{before}{_BEGIN}\n" + "\n".join(aims.markdown(report)) + f"\n{_END}{after}")


# ── The parts, one after another ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _measure(report: Report, made: Bases, dialect: Dialect, size: int, parts: Sequence[str]) -> None:
    """All parts on one database at one size."""

    def note(found: Found) -> Found:
        for line in found.lines:
            report.lines.append(_placed(line, dialect, size))
            _progress(f"{dialect} {size:,} {line.what}: {line.own:.2f} s")
        report.lies += [f"{dialect}, {size:,}: {lie}" for lie in found.lies]
        return found

    if "pull" in parts and size <= MOST_BY_HTTP:
        note(bench_http.first_pull_of(made, dialect, size))
    if "judge" in parts or "live" in parts:
        chain = _Chain(base=made.named(dialect, f"work_{size}"), size=size, note=note)
        _judge(chain, made, parts)
        made.dropped(chain.base)


class _Chain:
    """Steps on one database, each in a fresh process."""

    def __init__(self, *, base: Base, size: int, note: Callable[[Found], Found]) -> None:
        self.base, self.size, self._note = base, size, note

    def step(self, step: Callable[..., Found], **more: Any) -> None:
        """One step, and what it found."""
        self._note(self.measured(step, **more))

    def alone(self, step: Callable[..., Found], **more: Any) -> None:
        """One step that need not know how many contacts there are."""
        self._note(apart.apart(_called, step, (self.base,), more))

    def measured(self, step: Callable[..., Any], *values: Any, **more: Any) -> Any:
        """What a step finds, before it is noted."""
        return apart.apart(_called, step, (self.base, *(values or (self.size,))), more)

    def fill(self, made: Bases) -> None:
        """The company into the mirror, beside the plainest way to write the same rows."""
        plain = made.named(self.base.dialect, f"plain_{self.size}")
        floors = apart.apart(steps.fill_plainly, plain, self.size)
        made.dropped(plain)
        found: Found = self.measured(steps.fill)
        found.lines = [steps.with_floor(line, floor, None) for line, floor in zip(found.lines, floors, strict=True)]
        self._note(found)

    def with_statement(self, step: Callable[..., Found], touches: Touches) -> None:
        """A step of judging everybody, beside the statement of the same results, which are compared."""
        found: Found = self.measured(step)
        floor = self.measured(steps.by_statement, touches)
        what = found.lines[0].what
        found.lines[0] = steps.with_floor(found.lines[0], floor)
        found.lies += steps.compared(self.base, self.size, what)
        if touches is Touches.ANEW:
            found.lies += steps.moved(self.base, what)
        self._note(found)

    def compare(self, what: str, **more: Any) -> None:
        """The statement once more, and what differs."""
        self.measured(steps.by_statement, Touches.ANEW, **more)
        self._note(Found(lies=steps.compared(self.base, self.size, what)))


def _called(step: Callable[..., Any], values: Sequence[Any], more: dict[str, Any]) -> Any:
    return step(*values, **more)


def _judge(chain: _Chain, made: Bases, parts: Sequence[str]) -> None:
    def minutes(count: int) -> datetime:
        return NOW + timedelta(minutes=count)

    chain.fill(made)
    chain.step(steps.unify_all)
    chain.with_statement(steps.judge_all, Touches.ANEW)
    chain.with_statement(steps.judge_again, Touches.KEPT)
    chain.alone(steps.settle)
    chain.step(steps.quiet, at=minutes(10))
    chain.step(steps.some_changed, count=CHANGED, turn=1, at=minutes(12))
    chain.compare("after changes", at=minutes(13))
    chain.alone(steps.previewed, at=minutes(14))
    chain.step(steps.file_changed, at=minutes(16))
    chain.compare("after a changed file", at=minutes(16), changed=True)
    if "live" in parts:
        chain.step(steps.live, at=minutes(30))
        chain.step(steps.quiet, at=minutes(45), mode="live", changed=True)


def _placed(line: Line, dialect: str, size: int) -> Line:
    return replace(line, dialect=dialect, size=size)


def _progress(text: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
