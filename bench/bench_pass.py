"""What a pass costs, beside the least that the same work could cost (`floor`). Run by `make bench`.

Processor time is that of the connector's own process; the sandbox runs in another. Each part runs in a fresh process, so that its peak of
memory is its own. Times differ from machine to machine, ratios little: compare those.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from random import Random
from typing import Any

import floor
import people
from rich.console import Console
from rich.table import Table

from connector.app import open_app, open_store
from connector.config.load import loads
from connector.config.tables import Config
from connector.engine import Rooms, evaluate, run_pass
from connector.installation import prepare
from connector.model import Page
from connector.sandbox.serve import Sandbox
from connector.store import mirror
from connector.store.tables import to_micros
from connector.unify import unify
from connector.workflows.fields import properties_wanted

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
EXAMPLE = Path(__file__).resolve().parents[1] / "config.example.toml"
TOKEN = "sandbox-token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table. seconds: processor time; floor: that of the least, None where nothing is compared."""

    what: str
    count: int
    seconds: float
    floor: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one part measured, and the peak of its process's memory in megabytes."""

    lines: list[Line]
    peak: float


def main() -> None:
    """Measures and prints."""
    sizes = _arguments()
    console = Console()
    table = Table("", "records", "processor s", "µs a record", "floor s", "times the floor", "peak MB", title=_machine())
    for name in ("", "", "", "", "", ""):
        del name
    for column in table.columns[1:]:
        column.justify = "right"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for measure, size in ((measure_pull, sizes.contacts), (measure_judge, sizes.judged)):
            _show(table, _apart(measure, folder, size))
    console.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=5_000, help="contacts of the sandbox's HubSpot; Salesforce has two fifths as many Leads")
    parser.add_argument("--judged", type=int, default=50_000, help="contacts in the mirror to judge")
    return parser.parse_args()


def _machine() -> str:
    return f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, SQLite"


def _show(table: Table, part: Part) -> None:
    for number, line in enumerate(part.lines):
        least = ("", "") if line.floor is None else (f"{line.floor:.2f}", f"{line.seconds / line.floor:.1f}")
        peak = f"{part.peak:.0f}" if number == len(part.lines) - 1 else ""
        table.add_row(line.what, f"{line.count:,}", f"{line.seconds:.2f}", f"{line.seconds / line.count * 1e6:.0f}", *least, peak)
    table.add_section()


# ── Processes ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _apart(measure: Callable[[str, int], list[Line]], folder: str, size: int) -> Part:
    """Runs one part in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_in_process, (measure, folder, size))


def _in_process(measure: Callable[[str, int], list[Line]], folder: str, size: int) -> Part:
    lines = measure(folder, size)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, kilobytes elsewhere
    return Part(lines=lines, peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


@contextmanager
def _sandbox(contacts: int) -> Iterator[tuple[str, str, str]]:
    """A sandbox in a process of its own: HubSpot's address, Salesforce's, and its certificate."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    # Not daemonic, and started from a pool's worker, which may have no children: so by hand.
    process = context.Process(target=_serve, args=(theirs, contacts))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        process.join()


def _serve(pipe: Pipe, contacts: int) -> None:
    limits = {"requests_per_10_seconds": 100_000, "searches_per_second": 10_000}
    with Sandbox(now=lambda: NOW, hubspot_contacts=contacts, salesforce_leads=contacts * 2 // 5, **limits) as box:
        pipe.send((box.hubspot_url, box.salesforce_url, box.ca_bundle))
        pipe.recv()


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
