"""What a pass costs, beside the least that the same work could cost (`floor`). Run by `make bench`.

Processor time is that of the connector's own process; the sandbox runs in another. Each part runs in a fresh process, so that its peak of
memory is its own. Times differ from machine to machine, ratios little: compare those.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from typing import TypeVar

import floor
import people
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select

from connector.app import App, open_app, open_store
from connector.config.load import loads
from connector.config.tables import Config
from connector.engine import PassContext, evaluate, run_pass
from connector.pipeline.installation import prepare
from connector.pipeline.unify.unify import unify
from connector.sandbox.configuration import SECRETS, Place, configuration, with_values
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from connector.store.mirror import pages as mirror
from connector.store.tables import metadata, to_micros
from connector.workflows.fields import properties_wanted

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
#: Contacts that change after all have been judged.
CHANGED = 1_000

T = TypeVar("T")


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


#: A folder of its own and a size → lines.
Measure = Callable[[str, int], list[Line]]


def main() -> None:
    """Measures and prints."""
    sizes = _arguments()
    table = Table("", "records", "s", "µs a record", "floor s", "ratio", "peak MB", title=_machine())
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        _show(table, _apart(measure_pull, folder, sizes.contacts))
        _show(table, _apart(measure_judge, folder, sizes.judged))
    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=5_000, help="contacts of the sandbox's HubSpot; two fifths as many Leads")
    parser.add_argument("--judged", type=int, default=30_000, help="contacts in the mirror to judge")
    return parser.parse_args()


def _machine() -> str:
    return f"Processor time; {os.cpu_count()} cores, Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"


def _show(table: Table, part: Part) -> None:
    for number, line in enumerate(part.lines):
        least = ("", "") if line.floor is None else (f"{line.floor:.2f}", f"{line.seconds / line.floor:.1f}")
        peak = f"{part.peak:.0f}" if number == len(part.lines) - 1 else ""
        table.add_row(line.what, f"{line.count:,}", f"{line.seconds:.2f}", f"{line.seconds / line.count * 1e6:.0f}", *least, peak)
    table.add_section()


# ── Processes ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _apart(measure: Measure, folder: str, size: int) -> Part:
    """Runs one part in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        return processes.submit(_in_process, measure, folder, size).result()


def _in_process(measure: Measure, folder: str, size: int) -> Part:
    lines = measure(folder, size)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, kilobytes elsewhere
    return Part(lines=lines, peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


@contextmanager
def _sandbox(contacts: int) -> Iterator[Place]:
    """A sandbox in a process of its own, so that its work is not counted as ours."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, contacts))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        process.join()


def _serve(pipe: Pipe, contacts: int) -> None:
    world = make_world(now=NOW, hubspot_contacts=contacts, salesforce_leads=contacts * 2 // 5)
    with Sandbox(world, now=lambda: NOW, hubspot=HubSpotOptions(requests_per_10_seconds=100_000, searches_per_second=10_000)) as box:
        pipe.send(Place(hubspot_url=box.hubspot_url, salesforce_url=box.salesforce_url, ca_bundle=box.ca_bundle, database=""))
        pipe.recv()


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def measure_pull(folder: str, contacts: int) -> list[Line]:
    """HubSpot's contacts beside the floor; then a whole first pass in shadow, and one after it in which nothing changed."""
    with _sandbox(contacts) as box:
        wanted = properties_wanted(_config(box, f"{folder}/unused.db"), "hubspot")["contacts"]
        alone = _config(box, f"{folder}/alone.db")
        with _made(alone), open_app(alone, now=lambda: NOW) as app:
            pages = app.crms["hubspot"].pull("contacts", None, now=NOW)
            seen, seconds = _timed(lambda: sum(mirror.commit_page(app.store, page, now=NOW).seen for page in pages))
        bare = f"{folder}/bare.db"
        with _made(_config(box, bare)):
            count, least = _timed(lambda: floor.pull_contacts(box.hubspot_url, SECRETS["HUBSPOT_ACCESS_TOKEN"], wanted, bare))
        if count != seen:
            raise AssertionError(f"the floor read {count} contacts, the connector {seen}")
        lines = [Line(what="pull: HubSpot's contacts", count=seen, seconds=seconds, floor=least)]
        whole = _config(box, f"{folder}/whole.db")
        with _made(whole), open_app(whole, now=lambda: NOW) as app:
            for what in ("first pass, both CRMs, all of it", "pass in which nothing changed"):
                result, seconds = _timed(lambda: run_pass(app.context()))
                if result.errors:
                    raise result.errors[0]
                lines.append(Line(what=what, count=_records(app), seconds=seconds))
    return lines


def measure_judge(folder: str, contacts: int) -> list[Line]:
    """Contacts made straight into the mirror: unified, all judged beside the floor, and a thousand changed ones among them."""
    path = f"{folder}/judged.db"
    nowhere = Place(hubspot_url="http://127.0.0.1:1", salesforce_url="https://127.0.0.1:1", ca_bundle="unused.pem", database="")
    config = _config(nowhere, path)
    wanted = properties_wanted(config, "hubspot")
    with _made(config), open_store(config) as store:
        for page in people.pages(contacts, wanted, NOW):
            mirror.commit_page(store, page, now=NOW)
        context = PassContext(config=config, store=store, crms={}, now=lambda: NOW, holder="bench")
        installation = prepare(store, config, {}, now=NOW)
        _, unified = _timed(lambda: unify(store, installation.writer, now=NOW))
        _, judged = _timed(lambda: evaluate(context, installation, now=NOW, run=1))
        _, least = _timed(lambda: floor.judge(path, to_micros(NOW)))
        wrong = floor.disagreements(path)
        if wrong:
            raise AssertionError(f"the connector and the statement written by hand disagree about {wrong} contacts")
        evaluate(context, installation, now=NOW, run=2)  # what the first made due at once
        for page in people.changes(CHANGED, contacts, wanted, NOW):
            mirror.commit_page(store, page, now=NOW)
        _, changed = _timed(lambda: evaluate(context, installation, now=NOW, run=3))
    return [
        Line(what="unify: all contacts made", count=contacts, seconds=unified),
        Line(what="judge: all contacts", count=contacts, seconds=judged, floor=least),
        Line(what="unify and judge what changed", count=CHANGED, seconds=changed),
    ]


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What the work returns, and the processor time of all threads that it took."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


@contextmanager
def _made(config: Config) -> Iterator[None]:
    """The configuration's database, with its tables."""
    with open_store(config) as store:
        store.upgrade()
    yield


def _records(app: App) -> int:
    with app.store.read() as connection:
        return sum(connection.scalar(select(func.count()).select_from(metadata.tables[name])) or 0 for name in ("record", "activity"))


def _config(box: Place, database: str) -> Config:
    """The example file in shadow, pointed at a sandbox, with limits that hold nothing up."""
    os.environ.update(SECRETS)
    text = configuration(replace(box, database=f"sqlite:///{database}"), now=NOW)
    limits = {("crm.hubspot", "requests_per_10_seconds"): "100_000", ("crm.hubspot", "searches_per_second"): "10_000"}
    return loads(with_values(text, limits), source="bench.toml")


if __name__ == "__main__":
    main()
