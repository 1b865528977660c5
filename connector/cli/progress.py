"""A pass on its way, for somebody who looks on: a bar for each stream of each CRM, then one for each step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from connector.cli.common import CRM_NAMES
from connector.model import CrmName
from connector.pipeline.context import Step, Unwatched

#: How far back the speed is taken from that the time left is reckoned with, in seconds: pages come in bursts.
_SPEED_SECONDS = 120.0


class TimeLeft(ProgressColumn):
    """How long a bar still takes at the speed of the last two minutes; nothing where nobody knows how much there is, or it is over."""

    max_refresh = 1.0

    def render(self, task: Task) -> Text:
        """Rich asks for it."""
        if task.total is None or task.finished or task.time_remaining is None:
            return Text("")
        return Text(f"{timedelta(seconds=round(task.time_remaining))} left", style="progress.remaining")


class PassWatch(Unwatched):
    """Implements `connector.pipeline.context.Progress` on a terminal. Streams of all CRMs go on at once, from several threads."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._streams: set[str] = set()
        self._lock = Lock()

    def pulled(self, crm: CrmName, stream: str, seen: int, total: int | None) -> None:
        """Another page; the stream is whole where that was all."""
        name = f"{CRM_NAMES[crm]} {stream}"
        with self._lock:
            self._show(name, seen, total)
            if seen == total:
                self._finish(name)
            else:
                self._streams.add(name)

    def step(self, name: Step, done: int, total: int | None) -> None:
        """A step went on; with it no stream does any more."""
        with self._lock:
            for stream in list(self._streams):
                self._finish(stream)
            self._show(name, done, total)

    def _show(self, name: str, done: int, total: int | None) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, count="")
        count = f"{done:,}" if total is None else f"{done:,} / {total:,}"
        self._bars.update(self._tasks[name], completed=done, total=total, count=count)

    def _finish(self, name: str) -> None:
        """A full bar; a stream that was broken off has read what it has read."""
        self._streams.discard(name)
        task = self._tasks[name]
        done = self._bars.tasks[task].completed
        self._bars.update(task, total=max(done, 1), completed=max(done, 1), count=f"{done:,.0f}")


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
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        TimeLeft(),
    )
    with Progress(*columns, console=console, transient=True, refresh_per_second=8, speed_estimate_period=_SPEED_SECONDS) as bars:
        yield PassWatch(bars)
