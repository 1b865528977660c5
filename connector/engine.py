"""One pass, from the CRMs to the CRMs. Start reading here.

    pull        adapters yield pages of plain values; each page and its cursor go into the mirror in one transaction
    unify       records of one person become one contact                                              connector.unify
    evaluate    the database judges the contacts that are due; what fired becomes proposals            connector.judge
    plan        proposals become actions, less what is already so, counted against the guard rails     connector.plan
    ledger      the plan is saved; shadow mode ends here
    write back  actions that are free to go; each outcome is read back and settled                     connector.write_back

Every step may be killed at any instruction: the next pass goes on from what is in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from connector.adapters.port import Crm
from connector.business_time import Calendar
from connector.config.tables import CalendarRule, Config
from connector.errors import ConnectorError, CrmError, ObjectStopped
from connector.installation import Installation, prepare, record_url
from connector.judge import Bench, Judged, judge, settled
from connector.model import CrmName, State
from connector.plan import Plan, build_plan
from connector.store import mirror, runs
from connector.store.database import Store
from connector.store.tables import metadata
from connector.unify import unify
from connector.write_back import write_back

contact = metadata.tables["contact"]


class Progress(Protocol):
    """Who watches a pass. Counts are of this pass; `total` is None where nobody knows."""

    def pulled(self, crm: CrmName, stream: str, seen: int, total: int | None) -> None:
        """Another page of a stream is stored."""
        ...

    def step(self, name: Literal["unify", "evaluate", "write back"], done: int, total: int | None) -> None:
        """A step went on."""
        ...


class Unwatched:
    """Nobody watches."""

    def pulled(self, crm: CrmName, stream: str, seen: int, total: int | None) -> None:
        """Nothing."""

    def step(self, name: Literal["unify", "evaluate", "write back"], done: int, total: int | None) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What a pass works with. now: the clock (aware). stopped: asked between pages, slices and batches; True ends the pass in good order.

    holder: who this process is, for leases.
    """

    config: Config
    store: Store
    crms: Mapping[CrmName, Crm]
    now: Callable[[], datetime]
    holder: str
    stopped: Callable[[], bool] = lambda: False
    progress: Progress = field(default_factory=Unwatched)


@dataclass(slots=True, kw_only=True)
class StreamPull:
    """What became of one stream in this pass. error: what stopped it, None where it was read to its end."""

    seen: int = 0
    stored: int = 0
    set_aside: int = 0
    calls: int = 0
    error: ConnectorError | None = None


@dataclass(slots=True, kw_only=True)
class PassResult:
    """What one pass did. errors: what went wrong; empty where all went well."""

    run: int
    mode: str
    pulled: dict[str, dict[str, StreamPull]] = field(default_factory=dict)
    evaluated: int = 0
    plan: Plan | None = None
    outcomes: dict[State, int] = field(default_factory=dict)
    errors: list[ConnectorError] = field(default_factory=list)
    interrupted: bool = False

    @property
    def planned(self) -> int:
        """How many actions the plan has."""
        return 0 if self.plan is None else len(self.plan.actions)

    @property
    def held(self) -> int:
        """How many of them wait for approval."""
        return 0 if self.plan is None else self.plan.held

    def document(self) -> dict[str, Any]:
        """The pass as `run --json` prints it."""
        return {
            "run": self.run,
            "mode": self.mode,
            "pulled": pulled_document(self.pulled),
            "evaluated": self.evaluated,
            "plan": None if self.plan is None else self.plan.id,
            "planned": self.planned,
            "held": self.held,
            "outcomes": {str(state): count for state, count in self.outcomes.items()},
            "errors": [{"message": error.message, "advice": error.advice} for error in self.errors],
        }


def pulled_document(pulled: Mapping[str, Mapping[str, StreamPull]]) -> dict[str, Any]:
    """What was pulled, as JSON prints it."""
    names = ("seen", "stored", "set_aside", "calls")
    return {
        crm: {stream: {name: getattr(result, name) for name in names} for stream, result in streams.items()}
        for crm, streams in pulled.items()
    }


def run_pass(rooms: Rooms) -> PassResult:
    """One pass. Errors of a CRM are in the result; those of the store and bugs come out, with the run marked failed."""
    config, store = rooms.config, rooms.store
    now = rooms.now()
    run = runs.start_run(store, "run", config.mode, now=now, config_version=config.version)
    result = PassResult(run=run, mode=config.mode)
    try:
        installation = prepare(store, config, rooms.crms, now=now)
        result.pulled = pull(rooms, now)
        result.errors += [stream.error for streams in result.pulled.values() for stream in streams.values() if stream.error is not None]
        if not result.errors and not rooms.stopped():
            _judge_and_act(rooms, installation, result, now)
        result.interrupted = rooms.stopped()
    except ConnectorError as error:
        result.errors.append(error)
    finally:
        problem = "; ".join(error.message for error in result.errors) or None
        runs.finish_run(store, run, "failed" if problem else "done", now=rooms.now(), summary=result.document(), problem=problem)
    return result


def _judge_and_act(rooms: Rooms, installation: Installation, result: PassResult, now: datetime) -> None:
    bench, judged = evaluate(rooms, installation, now=now, run=result.run)
    if rooms.stopped():
        return
    result.evaluated = judged.evaluated
    result.plan = plan(rooms, judged, run=result.run, mode=rooms.config.mode, now=now)
    if rooms.config.mode == "live":
        settled(rooms.store, bench.table, judged)
        written = write_back(
            rooms.store,
            rooms.crms,
            now=rooms.now,
            holder=rooms.holder,
            stopped=rooms.stopped,
            progress=lambda done, total: rooms.progress.step("write back", done, total),
        )
        result.outcomes = dict(written.outcomes)
        result.errors += written.errors
    else:
        result.outcomes = {State.SHADOW: result.planned} if result.planned else {}
    installation.adopted(rooms.store, rooms.config.mode)


def evaluate(rooms: Rooms, installation: Installation, *, now: datetime, run: int) -> tuple[Bench, Judged]:
    """Unifies what changed and judges what is due."""
    unify(rooms.store, installation.writer, now=now, stopped=rooms.stopped, progress=lambda done: rooms.progress.step("unify", done, None))
    bench = Bench(
        config=rooms.config,
        table=installation.table,
        writer=installation.writer,
        now=now,
        run=run,
        live=rooms.config.mode == "live",
        url=record_url(rooms.store),
    )
    watch = rooms.progress
    return bench, judge(rooms.store, bench, stopped=rooms.stopped, progress=lambda done, total: watch.step("evaluate", done, total))


def plan(rooms: Rooms, judged: Judged, *, run: int, mode: Literal["shadow", "live"], now: datetime) -> Plan:
    """Makes and saves the plan of what was wanted."""
    config = rooms.config
    calendar = Calendar.of(CalendarRule(), config.timezone)
    zone = ZoneInfo(config.timezone)
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return build_plan(
        rooms.store,
        judged.proposals,
        run=run,
        mode=mode,
        guard=config.guard,
        contacts_in_scope=_in_scope(rooms.store),
        task_limits=config.task_limits,
        day_start=today.astimezone(UTC),
        next_day=calendar.next_midnight(now),
        config_version=config.version,
        now=now,
        judged=judged.contacts,
    )


def _in_scope(store: Store) -> int:
    with store.read() as connection:
        return connection.scalar(select(func.count()).where(~contact.c.gone, ~contact.c.excluded)) or 0


# ── Pull ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pull(rooms: Rooms, now: datetime) -> dict[str, dict[str, StreamPull]]:
    """Reads every stream of every CRM into the mirror; the CRMs beside each other. What stopped a stream is in its result."""
    with ThreadPoolExecutor(max_workers=max(1, len(rooms.crms)), thread_name_prefix="pull") as threads:
        futures = {name: threads.submit(_pull_crm, rooms, crm, now) for name, crm in rooms.crms.items()}
        return {name: future.result() for name, future in futures.items()}


def _pull_crm(rooms: Rooms, crm: Crm, now: datetime) -> dict[str, StreamPull]:
    results: dict[str, StreamPull] = {}
    for stream in crm.streams():
        if rooms.stopped():
            break
        results[stream] = StreamPull()
        try:
            _pull_stream(rooms, crm, stream, results[stream], now)
        except (CrmError, ConnectorError) as error:
            results[stream].error = error
            if not isinstance(error, ObjectStopped):
                break
    return results


def _pull_stream(rooms: Rooms, crm: Crm, stream: str, result: StreamPull, now: datetime) -> None:
    cursor = mirror.get_cursor(rooms.store, crm.name, stream)
    for page in crm.pull(stream, cursor, now=now):
        stored = mirror.commit_page(rooms.store, page, now=now, shrink=rooms.config.guard.shrink)
        result.seen += stored.seen
        result.stored += stored.stored
        result.set_aside += stored.set_aside
        result.calls += page.calls
        rooms.progress.pulled(crm.name, stream, result.seen, page.total)
        if rooms.stopped():
            return
