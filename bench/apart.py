"""Processes of a bench: the sandbox in one of its own, pinned to another core where there are two; what is measured in a fresh one.

Processor time and peak memory are those of the measured process alone.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from typing import TYPE_CHECKING, Any, TypeVar

from machine import peak_megabytes, pin

from connector.sandbox.configuration import Place

if TYPE_CHECKING:
    from connector.sandbox.serve import Sandbox

#: The sandbox's clock stands still: one world, the same at each run.
NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)

T = TypeVar("T")


# ── What is measured ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a piece of work took. wall, cpu: seconds; cpu of all threads; peak: megabytes, of the whole process."""

    wall: float
    cpu: float
    peak: float
    result: Any


def measure(work: Callable[[], Any]) -> Measured:
    """Does it and takes the time."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return Measured(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu, peak=peak_megabytes(), result=result)


def apart(work: Callable[..., T], *arguments: Any) -> T:
    """Calls it in a fresh process on the core of what is measured."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=pin, initargs=(0,)) as processes:
        return processes.submit(work, *arguments).result()


# ── The sandbox ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What reached the sandbox since it was last asked to count anew.

    calls, paths: by CRM; refused: HubSpot's answers of 429 by policy. first, last: when HubSpot's first and last request came (seconds).
    """

    calls: Mapping[str, int]
    paths: Mapping[str, Mapping[str, int]]
    refused: Mapping[str, int]
    first: float
    last: float
    moments: list[float] = field(repr=False)


@dataclass(slots=True)
class Server:
    """A sandbox in another process. place: where it answers; sizes: records by CRM and object."""

    place: Place
    sizes: Mapping[str, Mapping[str, int]]
    _pipe: Pipe

    def counts(self) -> Counts:
        """What came since the last `restart`."""
        counts: Counts = self._ask("counts")
        return counts

    def restart(self, *, latency: float = 0.0, limited: bool = True) -> None:
        """Counts anew. latency: seconds added to every answer; limited: HubSpot's limits hold."""
        self._ask("restart", latency, limited)

    def _ask(self, *question: Any) -> Any:
        self._pipe.send(question)
        return self._pipe.recv()


@contextmanager
def sandbox(**people: Any) -> Iterator[Server]:
    """A sandbox with HubSpot's usual limits. people: how many, as `make_world` takes them."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, people))
    process.start()
    try:
        place, sizes = ours.recv()
        server = Server(place, sizes, ours)
        server.restart()
        yield server
    finally:
        ours.send(("stop",))
        process.join()


#: HubSpot's limits as they are, and as if there were none; requests are counted over so many seconds.
_WINDOW = 10.0
_LIMITS = {True: (190, 5), False: (1_000_000, 1_000_000)}


def _serve(pipe: Pipe, people: Mapping[str, Any]) -> None:
    from connector.sandbox.serve import Sandbox  # here: what is measured shall not carry it in its memory
    from connector.sandbox.world.make import make_world

    pin(1)
    with Sandbox(make_world(now=NOW, **people), now=lambda: NOW) as box:
        moments: list[float] = []
        box.hubspot_faults.before_call.append(lambda _number: moments.append(time.monotonic()))
        place = Place(hubspot_url=box.hubspot_url, salesforce_url=box.salesforce_url, ca_bundle=box.ca_bundle, database="")
        sizes = {
            "hubspot": {"owners": len(box.world.hubspot_owners), **{name: len(rows) for name, rows in box.world.hubspot.items()}},
            "salesforce": {name: len(rows) for name, rows in box.world.salesforce.items()},
        }
        pipe.send((place, sizes))
        while (question := pipe.recv())[0] != "stop":
            if question[0] == "counts":
                pipe.send(_counts(box, moments))
            else:
                _restart(box, moments, *question[1:])
                pipe.send(None)


def _restart(box: Sandbox, moments: list[float], latency: float, limited: bool) -> None:
    if moments:  # what one has used of HubSpot's ten seconds is not held against the next
        time.sleep(max(0.0, moments[-1] + _WINDOW - time.monotonic()))
    moments.clear()
    for frame in (box.hubspot_faults, box.salesforce_faults):
        frame.latency, frame.calls = latency, 0
        frame.log.clear()
    box.hubspot.limits.restart_counts()
    requests_per_10_seconds, searches_per_second = _LIMITS[limited]
    box.hubspot.change_options(requests_per_10_seconds=requests_per_10_seconds, searches_per_second=searches_per_second)


def _counts(box: Sandbox, moments: list[float]) -> Counts:
    frames = {"hubspot": box.hubspot_faults, "salesforce": box.salesforce_faults}
    return Counts(
        calls={crm: frame.calls for crm, frame in frames.items()},
        paths={crm: dict(Counter(f"{method} {path}" for method, path in frame.log)) for crm, frame in frames.items()},
        refused=dict(box.hubspot.limits.refused),
        first=moments[0] if moments else 0.0,
        last=moments[-1] if moments else 0.0,
        moments=list(moments),
    )
