"""The jobs of [schedule]: each once at a time among all processes, and for as long as the service runs (`Service`).

`pass` brings the mirror up to date, judges and acts; `fast` does so for a few contacts alone, beside it; `deletes` looks for what no
modified date tells, `reconcile` compares the mirror with the CRMs. The last two wait for a pass that runs; a pass that finds one of them at
work is left out.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, Protocol, TypeVar
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from connector.app import App
from connector.config.schedule import trigger
from connector.config.tables import Config, Schedule
from connector.engine import PassResult, run_pass
from connector.errors import ConnectorError, LeaseLost, Paused
from connector.jobs.exclusive import JUDGING, PASS, LeaseKeeper, alone
from connector.jobs.fast_lane import run_fast
from connector.jobs.mirror_jobs import Mirrored, Reconciled, look_for_removals, pull_only, reconcile
from connector.pipeline.context import PassContext, Progress
from connector.store import leases, pauses, runs
from connector.store.database import Store

log = logging.getLogger("connector.jobs.service")

#: The jobs by their names in [schedule]; PASS is also the lease that all of them but the fast lane hold.
FAST, DELETES, RECONCILE = "fast", "deletes", "reconcile"
JOBS = (PASS, FAST, DELETES, RECONCILE)
#: The moment of the service's last sign of life (ISO 8601), in the store's single values.
HEARTBEAT = "heartbeat"
HEARTBEAT_SECONDS = 60
_SILENT = timedelta(minutes=3)
_MISSED = 3


# ── Once at a time ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Result(Protocol):
    """What a job came to."""

    run: int
    errors: list[ConnectorError]
    interrupted: bool

    def document(self) -> dict[str, Any]:
        """As JSON prints it."""
        ...


R = TypeVar("R", bound=Result)


def _once(app: App, watch: LeaseKeeper, progress: Progress | None, work: Callable[[PassContext], R]) -> R:
    """Does the work under a watch; where a pause or another's lease ended it, that is among its errors."""
    result = work(app.context(progress=progress, stopped=watch.stopped, judging=watch.judging))
    if watch.problem is not None:
        result.errors.append(watch.problem)
    return result


def run_pass_once(
    app: App,
    *,
    progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
    work: Callable[[PassContext], PassResult] = run_pass,
) -> PassResult:
    """One pass, unless another process is at it or it is paused.

    Raises `LeaseLost`, naming who runs, and `Paused`. Where either came up while it ran, the pass ends in good order and says so among
    its errors.
    """
    with alone(app, stopped) as watch:
        return _once(app, watch, progress, work)


def pull_once(
    app: App,
    *,
    full: bool = False,
    deletes: bool = False,
    progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
    patient: bool = False,
) -> Mirrored:
    """The mirror only. full: from the beginning, whatever was read already; deletes: and what no modified date tells.

    patient: waits for a pass that runs. Raises as `run_pass_once` does.
    """
    work = look_for_removals if deletes else pull_only
    with alone(app, stopped, job=DELETES if deletes else PASS, patient=patient) as watch:
        return _once(app, watch, progress, partial(work, full=full))


def reconcile_once(
    app: App, *, progress: Progress | None = None, stopped: Callable[[], bool] = lambda: False, patient: bool = False
) -> Reconciled:
    """The mirror against the CRMs. patient: waits for a pass that runs. Raises as `run_pass_once` does."""
    with alone(app, stopped, job=RECONCILE, patient=patient) as watch:
        return _once(app, watch, progress, reconcile)


def fast_once(app: App, *, stopped: Callable[[], bool] = lambda: False) -> PassResult:
    """The few contacts for whom minutes count, beside a pull that runs. Raises `LeaseLost` while a pass judges and writes, and `Paused`."""
    with alone(app, stopped, job=FAST, lease=JUDGING) as watch:
        result = run_fast(app.context(stopped=watch.stopped))
        if watch.problem is not None:
            result.errors.append(watch.problem)
        return result


# ── By the schedule ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Served:
    """What the service did until it was asked to stop: passes that ended well, failed or were left out; and the other jobs, by name."""

    passes: int = 0
    failed: int = 0
    skipped: int = 0
    jobs: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, job: str, how: Literal["ended", "failed", "skipped"]) -> None:
        with self._lock:
            if job != PASS:
                self.jobs[job if how == "ended" else f"{job} {how}"] += 1
            elif how == "ended":
                self.passes += 1
            else:
                setattr(self, how, getattr(self, how) + 1)

    def document(self) -> dict[str, Any]:
        """As `serve --json` prints it."""
        return {"passes": self.passes, "failed": self.failed, "skipped": self.skipped, "jobs": dict(sorted(self.jobs.items()))}


class Service:
    """Runs the jobs of [schedule], a pass at once, until it is asked to stop. The page or batch in hand is finished then."""

    def __init__(self, app: App, *, stop: threading.Event, work: Callable[[PassContext], PassResult] = run_pass) -> None:
        self.served = Served()
        self._app = app
        self._stop = stop
        asked = stop.is_set
        self._jobs: dict[str, Callable[[], Result]] = {
            PASS: lambda: run_pass_once(app, stopped=asked, work=work),
            FAST: lambda: fast_once(app, stopped=asked),
            DELETES: lambda: pull_once(app, deletes=True, stopped=asked, patient=True),
            RECONCILE: lambda: reconcile_once(app, stopped=asked, patient=True),
        }

    def run(self) -> Served:
        """Returns when it was asked to stop and what is in hand has ended."""
        zone = ZoneInfo(self._app.config.timezone)
        now = datetime.now(zone)
        scheduler = BackgroundScheduler(timezone=zone)
        options = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        scheduler.add_job(self.beat, IntervalTrigger(seconds=HEARTBEAT_SECONDS, timezone=zone), id=HEARTBEAT, next_run_time=now, **options)
        for name, when in scheduled(self._app.config.schedule).items():
            due = trigger(when, zone)
            first = now if name == PASS else first_time(self._app.store, name, due, now)
            scheduler.add_job(self.one, due, args=[name], id=name, next_run_time=first, **options)
        scheduler.add_listener(self._on_bug, EVENT_JOB_ERROR)
        log.info("The service began. schedule=%r mode=%s", scheduled(self._app.config.schedule), self._app.config.mode)
        scheduler.start()
        try:
            self._stop.wait()
            log.info("The service was asked to stop; what is in hand is finished first.")
        finally:
            self._stop.set()
            scheduler.shutdown(wait=True)
        log.info("The service stopped. passes=%d failed=%d skipped=%d", self.served.passes, self.served.failed, self.served.skipped)
        return self.served

    def beat(self) -> None:
        """A sign of life."""
        runs.set_meta(self._app.store, HEARTBEAT, self._app.now().isoformat())

    def one(self, job: str) -> None:
        """One job, told in the log. What keeps it from running, or stops it, is told there too; the next one is tried all the same."""
        if self._stop.is_set():
            return
        began = self._app.now()
        try:
            result = self._jobs[job]()
        except (LeaseLost, Paused) as reason:
            self.served.count(job, "skipped")
            log.info("No %s now: %s.", job, reason.message)
        except ConnectorError as error:
            self.served.count(job, "failed")
            log.error("No %s: %s. %s", job, error.message, error.advice)  # noqa: TRY400 - it says what to do; a traceback would not
        else:
            self.served.count(job, "failed" if result.errors else "ended")
            seconds = (self._app.now() - began).total_seconds()
            if isinstance(result, PassResult):
                tell(result, seconds=seconds, job=job)
            else:
                tell_other(job, result, seconds=seconds)

    def _on_bug(self, event: JobExecutionEvent) -> None:
        """The scheduler has logged it."""
        if event.job_id in JOBS:
            self.served.count(event.job_id, "failed")


def scheduled(schedule: Schedule) -> dict[str, str]:
    """The jobs that run by themselves, with their times as the file writes schedules."""
    fast = None if schedule.fast is None else f"every {schedule.fast.every.elapsed.total_seconds():.0f} seconds"
    times = {PASS: schedule.pass_, FAST: fast, DELETES: schedule.deletes, RECONCILE: schedule.reconcile}
    return {name: when for name, when in times.items() if when is not None}


def first_time(store: Store, job: str, due: BaseTrigger, now: datetime) -> datetime | None:
    """When a job runs first after the service began: at once where it was broken off, or its time went by since it last ran."""
    last = next(iter(runs.last_runs(store, 1, command=job)), None)
    if last is not None and (last.state == "running" or (last.summary or {}).get("interrupted")):
        return now
    if last is None:
        first: datetime | None = due.get_next_fire_time(None, now)
        return first
    before = last.started_at.astimezone(now.tzinfo)
    following: datetime | None = due.get_next_fire_time(before, before + timedelta(microseconds=1))
    return None if following is None else max(following, now)


def tell(result: PassResult, *, seconds: float, job: str = PASS) -> None:
    """A pass as a line of the log: numbers and ids, nobody's data."""
    seen = sum(stream.seen for streams in result.pulled.values() for stream in streams.values())
    outcomes = " ".join(f"{state}={count}" for state, count in sorted(result.outcomes.items()))
    log.log(
        logging.WARNING if result.errors else logging.INFO,
        "A %s %s. run=%d mode=%s seen=%d evaluated=%d planned=%d held=%d seconds=%.1f %s",
        "pass" if job == PASS else f"{job} pass",
        _how(result), result.run, result.mode, seen, result.evaluated, result.planned, result.held, seconds, outcomes,
    )  # fmt: skip
    for scope, name in result.paused:
        log.warning("run=%d %s is paused: actions wait for it.", result.run, f"The {scope} {name}" if name else "All writing")
    _tell_errors(result)


def tell_other(job: str, result: Result, *, seconds: float) -> None:
    """Another job as a line of the log."""
    log.log(logging.WARNING if result.errors else logging.INFO, "%s %s. run=%d seconds=%.1f", job, _how(result), result.run, seconds)
    _tell_errors(result)


def _how(result: Result) -> str:
    return "was interrupted" if result.interrupted else "failed in part" if result.errors else "ended"


def _tell_errors(result: Result) -> None:
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
    last = next((run.started_at for run in runs.last_runs(store, 1, command="run")), None)
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
