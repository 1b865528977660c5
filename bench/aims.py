"""What a bench found: lines with their aims (the design's "Numbers to reach") and lies; as a table, as JSON, as a section of a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rich.table import Table

#: Exit codes: all aims hold; one was missed; the bench did not measure what it says it measures.
HOLDS, MISSED, LIED = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One aim. measured, most: in `unit`."""

    name: str
    measured: float
    most: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether it was reached."""
        return self.measured <= self.most

    def __str__(self) -> str:
        return f"{self.name} {_short(self.measured)} ≤ {_short(self.most)}{self.unit}{'' if self.holds else '  MISSED'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table; what was not measured is None.

    records: what was worked on, judged: contacts judged. wall: seconds; own, server: processor time in seconds, of the measured process
    and of PostgreSQL's; floor: that of the least, both processes together. wait: the longest that a page beside it took, in seconds.
    peak: megabytes of the measured process.
    """

    what: str
    dialect: str = ""
    size: int = 0
    records: int
    wall: float
    own: float
    server: float = 0.0
    floor: float | None = None
    judged: int | None = None
    wait: float | None = None
    peak: float | None = None
    aims: tuple[Aim, ...] = ()
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The time of both processes beside the least."""
        return None if not self.floor else (self.own + self.server) / self.floor

    @property
    def each(self) -> float:
        """Microseconds of the measured process a record."""
        return self.own / max(1, self.records) * 1e6

    def document(self) -> dict[str, Any]:
        """As JSON."""
        aims = [{**asdict(aim), "holds": aim.holds} for aim in self.aims]
        return {**asdict(self), "aims": aims, "ratio": self.ratio, "microseconds_a_record": self.each}


@dataclass(slots=True, kw_only=True)
class Report:
    """All that was measured. lies: what differs from an independent statement, in words."""

    machine: Mapping[str, Any]
    lines: list[Line] = field(default_factory=list)
    lies: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """What the bench ends with."""
        if self.lies:
            return LIED
        return HOLDS if all(aim.holds for line in self.lines for aim in line.aims) else MISSED

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "machine": dict(self.machine),
            "lines": [line.document() for line in self.lines],
            "lies": self.lies,
            "exit_code": self.exit_code,
        }


# ── Shown ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS = ("", "records", "judged", "wall s", "own s", "server s", "µs each", "least s", "ratio", "page waits s", "peak MB", "aims")


def table(report: Report) -> Table:
    """One table, a section for each database and size."""
    shown = Table(*COLUMNS, title=title(report.machine))
    for column in shown.columns[1:-1]:
        column.justify, column.no_wrap = "right", True
    of: tuple[str, int] | None = None
    for line in report.lines:
        if (line.dialect, line.size) != of:
            of = (line.dialect, line.size)
            shown.add_section()
            shown.add_row(f"[bold]{line.dialect}, {line.size:,} contacts[/bold]")
        aims = ", ".join(f"[{'green' if aim.holds else 'bold red'}]{aim}[/]" for aim in line.aims)
        shown.add_row(*cells(line), aims)
    return shown


def cells(line: Line) -> list[str]:
    """A line without its aims, as texts."""
    return [
        line.what + (f" ({line.note})" if line.note else ""),
        f"{line.records:,}",
        "" if line.judged is None else f"{line.judged:,}",
        f"{line.wall:.2f}",
        f"{line.own:.2f}",
        f"{line.server:.2f}" if line.dialect == "postgresql" else "",
        f"{line.each:,.0f}",
        "" if line.floor is None else f"{line.floor:.2f}",
        "" if line.ratio is None else f"{line.ratio:.1f}",
        "" if line.wait is None else f"{line.wait:.2f}",
        "" if line.peak is None else f"{line.peak:.0f}",
    ]


def markdown(report: Report) -> Iterator[str]:
    """The table as a section of docs/performance.md: lines of text."""
    yield f"{title(report.machine)}."
    for of in dict.fromkeys((line.dialect, line.size) for line in report.lines):
        yield ""
        yield f"### {'SQLite' if of[0] == 'sqlite' else 'PostgreSQL'}, {of[1]:,} contacts"
        yield ""
        yield f"| {' | '.join(('what', *COLUMNS[1:]))} |"
        yield f"|{'---|' * len(COLUMNS)}"
        for line in report.lines:
            if (line.dialect, line.size) == of:
                aims = ", ".join(str(aim).replace("  MISSED", " **missed**") for aim in line.aims)
                yield f"| {' | '.join((*cells(line), aims))} |"


def title(machine: Mapping[str, Any]) -> str:
    """Where and when."""
    return ", ".join(f"{name} {value}" if name != "date" else str(value) for name, value in machine.items())


def across(lines: Sequence[Line], what: str, *, small: int, large: int, most: float) -> list[Line]:
    """The lines, the large one of this kind with the aim that it costs at most so many times the small one, on each database."""
    found = {(line.dialect, line.size): line for line in lines if line.what == what}
    result = []
    for line in lines:
        other = found.get((line.dialect, small))
        if line.what == what and line.size == large and other is not None and other.own > 0:
            aim = Aim(name=f"beside {small:,}", measured=line.own / other.own, most=most, unit=" ×")
            result.append(replace(line, aims=(*line.aims, aim)))
        else:
            result.append(line)
    return result


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.2g}" if value < 1 else f"{value:.1f}"
