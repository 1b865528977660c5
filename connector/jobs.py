"""When passes run: once at a time among all processes (`alone`), and by [schedule] for as long as the service runs (`Service`).

A lease in the database says who is at it. It is kept alive while the work goes on; what a process left behind that died on this machine
is free at once, elsewhere it runs out within a minute. A pause ends a pass that runs, in good order, and keeps the next from beginning.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from connector.app import App, holder
from connector.config.tables import Config
from connector.engine import PassResult, Progress, StreamPull, pull, pulled_document, run_pass
from connector.errors import ConnectorError, LeaseLost, Paused
from connector.installation import prepare
from connector.schedule import trigger
from connector.store import leases, mirror, pauses, runs
from connector.store.database import Store
from connector.write_back.executor import LEASE as WRITE_BACK_LEASE

log = logging.getLogger("connector.jobs")

#: The one job there is, by its name in [schedule]; its lease has the same name.
PASS = "pass"  # noqa: S105 - no password
JOBS = (PASS,)
#: For how long the lease is taken.
LEASE_SECONDS = 60.0
#: How soon a pause reaches a pass that runs; at every so manieth look the lease is renewed.
LOOK_SECONDS = 1.0
LOOKS_A_RENEWAL = 15
#: The moment of the service's last sign of life (ISO 8601), in the store's single values.
HEARTBEAT = "heartbeat"
HEARTBEAT_SECONDS = 60
_SILENT = timedelta(minutes=3)
_MISSED = 3


# ── One pass at a time ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def run_pass_once(
    app: App,
    *,
    progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
    work: Callable[..., PassResult] = run_pass,
) -> PassResult:
    """One pass, unless another process is at it or it is paused.

    Raises `LeaseLost`, naming who runs, and `Paused`. Where either came up while it ran, the pass ends in good order and says so among
    its errors.
    """
    with alone(app, stopped) as watch:
        result = work(app.rooms(progress=progress, stopped=watch.stopped))
        if watch.problem is not None:
            result.errors.append(watch.problem)
        return result


@dataclass(slots=True, kw_only=True)
class Mirrored:
    """What a pull alone did. errors: what stopped a stream."""

    run: int
    pulled: dict[str, dict[str, StreamPull]]
    errors: list[ConnectorError]
    interrupted: bool

    def document(self) -> dict[str, Any]:
        """As `pull --json` prints it."""
        problems = [{"message": error.message, "advice": error.advice} for error in self.errors]
        return {"run": self.run, "pulled": pulled_document(self.pulled), "errors": problems}


def pull_once(app: App, *, full: bool, progress: Progress | None = None, stopped: Callable[[], bool] = lambda: False) -> Mirrored:
    """The mirror only. full: from the beginning, whatever was read already. Raises as `run_pass_once` does."""
    with alone(app, stopped) as watch:
        rooms, now = app.rooms(progress=progress, stopped=watch.stopped), app.now()
        run = runs.start_run(app.store, "pull", app.config.mode, now=now, config_version=app.config.version)
        result = Mirrored(run=run, pulled={}, errors=[], interrupted=False)
        try:
            prepare(app.store, app.config, app.crms, now=now)
            if full:
                mirror.reset_cursors(app.store)
            result.pulled = pull(rooms, now)
            result.errors += [stream.error for streams in result.pulled.values() for stream in streams.values() if stream.error is not None]
        except ConnectorError as error:
            result.errors.append(error)
        finally:
            if watch.problem is not None:
                result.errors.append(watch.problem)
            problem = "; ".join(error.message for error in result.errors) or None
            state: Literal["failed", "done"] = "failed" if problem else "done"
            runs.finish_run(app.store, run, state, now=app.now(), summary=result.document(), problem=problem)
        result.interrupted = watch.stopped()
        return result


@contextmanager
def alone(app: App, stopped: Callable[[], bool] = lambda: False) -> Iterator[Watch]:
    """Holds the pass's lease for the block. Raises `LeaseLost` and `Paused` before it."""
    refuse_paused(app.store)
    clock = _clock(app)
    _free_what_the_dead_left(app.store, clock)
    held = leases.take(app.store, PASS, holder(), LEASE_SECONDS, clock)
    watch = Watch(app.store, held, clock, stopped)
    try:
        with watch.running():
            yield watch
    finally:
        leases.release(app.store, held)


class Watch:
    """Keeps the lease of a pass that runs, and looks whether somebody paused it. problem: why it is to end, None while all is well."""

    def __init__(self, store: Store, held: leases.Held, clock: leases.Clock, stopped: Callable[[], bool]) -> None:
        self.problem: ConnectorError | None = None
        self._store = store
        self._held = held
        self._clock = clock
        self._asked = stopped
        self._over = threading.Event()

    def stopped(self) -> bool:
        """Whether to end: asked from outside, paused, or the lease is another's."""
        return self.problem is not None or self._asked()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watches for as long as the block lasts."""
        thread = threading.Thread(target=self._watch, name="pass-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        try:
            self._look_and_renew()
        except ConnectorError as problem:
            self.problem = problem
        finally:
            if self.problem is None and not self._over.is_set():  # a bug: without its lease the pass must not go on
                self.problem = LeaseLost("the lease of the pass could not be kept", advice="Run it again.")

    def _look_and_renew(self) -> None:
        looks = 0
        while not self._over.wait(LOOK_SECONDS):
            looks += 1
            refuse_paused(self._store)
            if looks % LOOKS_A_RENEWAL == 0:
                self._held = leases.renew(self._store, self._held, LEASE_SECONDS, self._clock)


def refuse_paused(store: Store) -> None:
    """Raises `Paused` where everything is paused, or the job of passes."""
    for pause in pauses.list_pauses(store):
        if (pause.scope, pause.name) in (("all", ""), ("job", PASS)):
            what, name = ("everything is", "") if pause.scope == "all" else (f"the job {PASS} is", f" job {PASS}")
            raise Paused(f"{what} paused since {pause.since:%Y-%m-%d %H:%M} UTC", advice=f"`connector resume{name}` lets it go on.")


def _clock(app: App) -> leases.Clock:
    return lambda: app.now().timestamp()


def _free_what_the_dead_left(store: Store, clock: leases.Clock) -> None:
    """Gives back the leases of processes of this machine that are no more."""
    for name in (PASS, WRITE_BACK_LEASE):
        held = leases.held_by(store, name, clock)
        if held is not None and _died_here(held.holder):
            leases.release(store, held)


def _died_here(name: str) -> bool:
    machine, _, process = name.rpartition("/")
    if os.name != "posix" or machine != holder().rpartition("/")[0] or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)  # asks only
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # it lives, as another user's
    return False


# ── By the schedule ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Served:
    """What the service did until it was asked to stop."""

    passes: int = 0
    failed: int = 0
    skipped: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, what: str) -> None:
        with self._lock:
            setattr(self, what, getattr(self, what) + 1)

    def document(self) -> dict[str, int]:
        """As `serve --json` prints it."""
        return {"passes": self.passes, "failed": self.failed, "skipped": self.skipped}


class Service:
    """Runs passes by [schedule], the first at once, until it is asked to stop. The page or batch in hand is finished then."""

    def __init__(self, app: App, *, stop: threading.Event, work: Callable[..., PassResult] = run_pass) -> None:
        self.served = Served()
        self._app = app
        self._stop = stop
        self._work = work

    def run(self) -> Served:
        """Returns when it was asked to stop and the pass in hand has ended."""
        zone = ZoneInfo(self._app.config.timezone)
        scheduler = BackgroundScheduler(timezone=zone)
        options = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None, "next_run_time": datetime.now(zone)}
        scheduler.add_job(self.beat, IntervalTrigger(seconds=HEARTBEAT_SECONDS, timezone=zone), id=HEARTBEAT, **options)
        scheduler.add_job(self.one_pass, trigger(self._app.config.schedule.pass_, zone), id=PASS, **options)
        scheduler.add_listener(self._on_bug, EVENT_JOB_ERROR)
        log.info("The service began. schedule=%r mode=%s", self._app.config.schedule.pass_, self._app.config.mode)
        scheduler.start()
        try:
            self._stop.wait()
            log.info("The service was asked to stop; what is in hand is finished first.")
        finally:
            self._stop.set()
            scheduler.shutdown(wait=True)
        log.info("The service stopped. passes=%d failed=%d skipped=%d", *self.served.document().values())
        return self.served

    def beat(self) -> None:
        """A sign of life."""
        runs.set_meta(self._app.store, HEARTBEAT, self._app.now().isoformat())

    def one_pass(self) -> None:
        """One pass, told in the log. What keeps it from running, or stops it, is told there too; the next one is tried all the same."""
        if self._stop.is_set():
            return
        began = self._app.now()
        try:
            result = run_pass_once(self._app, stopped=self._stop.is_set, work=self._work)
        except (LeaseLost, Paused) as reason:
            self.served.count("skipped")
            log.info("No pass now: %s.", reason.message)
        except ConnectorError as error:
            self.served.count("failed")
            log.error("No pass: %s. %s", error.message, error.advice)  # noqa: TRY400 - it says what to do; a traceback would not
        else:
            self.served.count("failed" if result.errors else "passes")
            tell(result, seconds=(self._app.now() - began).total_seconds())

    def _on_bug(self, event: JobExecutionEvent) -> None:
        """The scheduler has logged it."""
        if event.job_id == PASS:
            self.served.count("failed")


def tell(result: PassResult, *, seconds: float) -> None:
    """A pass as a line of the log: numbers and ids, nobody's data."""
    seen = sum(stream.seen for streams in result.pulled.values() for stream in streams.values())
    outcomes = " ".join(f"{state}={count}" for state, count in sorted(result.outcomes.items()))
    how = "was interrupted" if result.interrupted else "failed in part" if result.errors else "ended"
    log.log(
        logging.WARNING if result.errors else logging.INFO,
        "A pass %s. run=%d mode=%s seen=%d evaluated=%d planned=%d held=%d seconds=%.1f %s",
        how, result.run, result.mode, seen, result.evaluated, result.planned, result.held, seconds, outcomes,
    )  # fmt: skip
    for error in result.errors:
        log.error("run=%d %s. %s", result.run, error.message, error.advice)


# ── Is it well? ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the service is alive and does its work. problems: sentences."""

    heartbeat: datetime | None
    last_pass: datetime | None
    problems: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        return not self.problems

    def document(self) -> dict[str, object]:
        """As `status --health --json` prints it."""
        return {"healthy": self.healthy, "heartbeat": self.heartbeat, "last_pass": self.last_pass, "problems": list(self.problems)}


def health(store: Store, config: Config, *, now: datetime) -> Health:
    """The service's sign of life is at most three minutes old, and a pass began within the last three that the schedule asked for.

    A pause, or a pass that still runs, is no illness.
    """
    text = runs.get_meta(store, HEARTBEAT)
    beat = None if text is None else datetime.fromisoformat(text)
    last = next((run.started_at for run in runs.last_runs(store, limit=50) if run.command == "run"), None)
    problems = []
    if beat is None:
        problems.append("the service never ran on this database")
    elif now - beat > _SILENT:
        problems.append(f"the service has been silent since {beat:%Y-%m-%d %H:%M} UTC")
    elif last is not None and _missed(config, last, now) and not _busy_or_paused(store, now):
        problems.append(f"no pass began since {last:%Y-%m-%d %H:%M} UTC, though the schedule says {config.schedule.pass_!r}")
    return Health(heartbeat=beat, last_pass=last, problems=tuple(problems))


def _missed(config: Config, last: datetime, now: datetime) -> bool:
    """Whether the schedule has asked for a pass three times since the last one."""
    when: BaseTrigger = trigger(config.schedule.pass_, ZoneInfo(config.timezone))
    due: datetime | None = last
    for _ in range(_MISSED):
        due = when.get_next_fire_time(due, due + timedelta(microseconds=1)) if due is not None else None
    return due is not None and now > due


def _busy_or_paused(store: Store, now: datetime) -> bool:
    return leases.held_by(store, PASS, now.timestamp) is not None or pauses.is_paused(store, "job", PASS)
