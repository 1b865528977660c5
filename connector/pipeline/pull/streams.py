"""The pull: every stream of every CRM into the mirror, each in a thread of its own, within the CRM's shared budget.

A page and its cursor are stored together, as they come; a stream has one page in hand, so that memory does not grow with the CRM. What is
referred to may come after what refers to it: links get their contact when the record is unified. Whatever ends a stream, the next pull
goes on from its last stored page.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from connector.adapters.port import Reads, Removals
from connector.errors import ConnectorError, CrmError, Interrupted, ObjectStopped
from connector.model import CrmName, Cursor, Page
from connector.pipeline.context import PassContext
from connector.pipeline.pull import schema_drift
from connector.store.mirror import pages
from connector.store.mirror.pages import PageResult
from connector.store.mirror.tally import Tally, TallyCounts

#: How many streams of a CRM are read beside each other. HubSpot allows so many requests a second, which one stream alone does not
#: use up; nothing but the day limits Salesforce's, whose pages of 2,000 rows would all lie in memory at once.
BESIDE: Mapping[CrmName, int] = {"hubspot": 16, "salesforce": 2}


@dataclass(slots=True, kw_only=True)
class StreamPull:
    """The pull of one stream, each record once: seen = stored + unchanged + set_aside.

    error: what stopped it; whole: it was read to its end; absent: wanted properties that were not there.
    """

    seen: int = 0
    stored: int = 0
    unchanged: int = 0
    set_aside: int = 0
    calls: int = 0
    whole: bool = False
    absent: frozenset[str] = frozenset()
    error: ConnectorError | None = None

    def add(self, page: Page, counted: TallyCounts) -> None:
        """Another page. counted: what it brought that had not come before."""
        self.absent |= page.absent
        self.seen += counted.seen
        self.stored += counted.stored
        self.unchanged += counted.unchanged
        self.set_aside += counted.set_aside
        self.calls += page.calls
        self.whole = page.last


class StreamResult(Protocol):
    """What every work on a stream has in its result: the error that stopped it."""

    error: ConnectorError | None


@dataclass(frozen=True, slots=True)
class _Counting:
    """The result of a stream with what it has met."""

    result: StreamPull
    tally: Tally

    def add(self, page: Page, stored: PageResult) -> None:
        self.result.add(page, self.tally.add(stored))


R = TypeVar("R", bound=StreamResult)
Pulled = dict[str, dict[str, StreamPull]]


def pull(context: PassContext, now: datetime, *, silent: Mapping[CrmName, CrmError] | None = None) -> Pulled:
    """Reads every stream of every CRM into the mirror. What stopped a stream is in its result; bugs come out.

    silent: the CRMs of which it is not known which fields they have now: they are not read, for that reason.
    """
    before = {(row.crm, row.object): row.seen for row in pages.cursors(context.store)}

    def pull_stream(crm: Reads, stream: str, result: StreamPull, stopped: Callable[[], bool]) -> None:
        if silent and crm.name in silent:
            raise silent[crm.name]
        cursor = pages.get_cursor(context.store, crm.name, stream)
        with Tally() as tally:
            counting = _Counting(result, tally)
            read(crm, stream, cursor, counting, stopped)
            if result.whole and not stopped() and cursor is not None and crm.under_way(cursor):
                # It went on from an earlier day, perhaps, and ended with that: what changed since then is still to come.
                read(crm, stream, pages.get_cursor(context.store, crm.name, stream), counting, stopped)

    def read(crm: Reads, stream: str, cursor: Cursor | None, counting: _Counting, stopped: Callable[[], bool]) -> None:
        seen, result = before.get((crm.name, stream), 0), counting.result
        for page in crm.pull(stream, cursor, now=now):
            if page.absent and not result.absent:
                schema_drift.demand(context.store)  # before the page is stored: what it lacks is not taken for empty, whatever happens
            counting.add(page, pages.commit_page(context.store, page, now=now, shrink=context.config.guard.shrink))
            shown = seen + result.seen
            context.progress.pulled(crm.name, stream, shown, shown if page.last else page.total)
            if stopped():
                return

    return each_stream(context, StreamPull, pull_stream)


def each_stream(
    context: PassContext, make: Callable[[], R], work: Callable[[Removals, str, R, Callable[[], bool]], None]
) -> dict[str, dict[str, R]]:
    """Runs a work on every stream of every CRM, all beside each other; results in the order in which the CRMs name their streams.

    make: an empty result. work gets the CRM, the stream, its result to fill, and whether to end after the page in hand. `ObjectStopped`
    ends its stream; any other error ends all streams of its CRM; a bug ends all, and comes out.
    """
    results = {name: {stream: make() for stream in crm.streams()} for name, crm in context.crms.items()}
    halts = {name: threading.Event() for name in results}

    def run(crm: Removals, stream: str, result: R) -> None:
        halt = halts[crm.name]
        try:
            if not halt.is_set() and not context.stopped():
                work(crm, stream, result, lambda: halt.is_set() or context.stopped())
        except Interrupted:
            halt.set()
        except ObjectStopped as error:
            result.error = error
        except ConnectorError as error:
            result.error = error
            halt.set()
        except BaseException:
            for halt_of_crm in halts.values():
                halt_of_crm.set()
            raise

    with ExitStack() as open_pools:
        futures = []
        for name, streams in results.items():
            workers = max(1, min(len(streams), BESIDE[name]))
            threads = open_pools.enter_context(ThreadPoolExecutor(max_workers=workers, thread_name_prefix=f"stream-{name}"))
            futures += [threads.submit(run, context.crms[name], stream, result) for stream, result in streams.items()]
        for future in futures:
            future.result()
    return {str(name): streams for name, streams in results.items()}


def streams_of(results: Mapping[str, Mapping[str, R]]) -> list[tuple[str, str, R]]:
    """Each stream with its CRM, its name and what became of it."""
    return [(crm, name, result) for crm, streams in results.items() for name, result in streams.items()]


def errors_of(results: Mapping[str, Mapping[str, StreamResult]]) -> list[ConnectorError]:
    """What stopped streams, each error once: a spent budget stops all streams of a CRM with the same words."""
    return distinct(result.error for streams in results.values() for result in streams.values() if result.error is not None)


def distinct(errors: Iterable[ConnectorError]) -> list[ConnectorError]:
    """The errors, those that say the same once."""
    return list({(type(error), error.message): error for error in errors}.values())


def pulled_document(pulled: Mapping[str, Mapping[str, StreamPull]]) -> dict[str, Any]:
    """What was pulled, as JSON prints it."""
    names = ("seen", "stored", "unchanged", "set_aside", "calls")
    return {
        crm: {stream: {name: getattr(result, name) for name in names} for stream, result in streams.items()}
        for crm, streams in pulled.items()
    }
