"""A pass on its way, for somebody who looks on: a bar for each stream of each CRM, then one for each step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from connector.engine import Unwatched
from connector.model import CrmName

NAMES = {"hubspot": "HubSpot", "salesforce": "Salesforce"}


class PassWatch(Unwatched):
    """Implements `connector.engine.Progress` on a terminal. Streams of several CRMs go on at once, from several threads."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._stream: dict[str, str] = {}
        self._lock = Lock()

    def pulled(self, crm: CrmName, stream: str, seen: int, total: int | None) -> None:
        """Another page. When a CRM's next stream begins, the one before is whole."""
        with self._lock:
            before = self._stream.get(crm)
            if before is not None and before != stream:
                self._finish(f"{NAMES[crm]} {before}")
            self._stream[crm] = stream
            self._show(f"{NAMES[crm]} {stream}", seen, total)

    def step(self, name: Literal["unify", "evaluate", "write back"], done: int, total: int | None) -> None:
        """A step went on; with it all streams are whole."""
        with self._lock:
            for crm, stream in self._stream.items():
                self._finish(f"{NAMES[crm]} {stream}")
            self._stream.clear()
            self._show(name, done, total)

    def _show(self, name: str, done: int, total: int | None) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, seen="")
        seen = f"{done:,}" if total is None else f"{done:,} / {total:,}"
        self._bars.update(self._tasks[name], completed=done, total=total, seen=seen)

    def _finish(self, name: str) -> None:
        task = self._tasks[name]
        done = self._bars.tasks[task].completed
        self._bars.update(task, total=max(done, 1), completed=max(done, 1), seen=f"{done:,.0f}")


@contextmanager
def pass_progress(console: Console, *, watched: bool) -> Iterator[Unwatched]:
    """What a pass reports to; bars vanish with the block. Not watched: nothing is shown."""
    if not watched:
        yield Unwatched()
        return
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[seen]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, refresh_per_second=8) as bars:
        yield PassWatch(bars)
