"""The service: runs the jobs of [schedule] by their times, and gives a sign of life every minute.

`deletes` and `reconcile` wait for a pass that runs; a pass that finds one of them at work is left out. On PostgreSQL the service helps
to judge a pass that another process leads.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from connector.app import App
from connector.config.schedule import trigger
from connector.config.tables import Schedule
from connector.engine import PassResult, run_pass
from connector.errors import ConnectorError, LeaseLost, Paused
from connector.jobs.health import HEARTBEAT
from connector.jobs.names import DELETES, FAST, HELP, JOBS, PASS, RECONCILE
from connector.jobs.once import fast_once, help_once, pull_once, reconcile_once, run_pass_once
from connector.pipeline.context import PassContext
from connector.pipeline.recorded_run import RunResult
from connector.store import runs
from connector.store.database import Store

log = logging.getLogger("connector.jobs.service")

HEARTBEAT_SECONDS = 60
#: How soon the service sees that another process leads a pass.
HELP_SECONDS = 2


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
        self._jobs: dict[str, Callable[[], RunResult]] = {
            PASS: lambda: run_pass_once(app, stopped=stop.is_set, work=work),
            FAST: lambda: fast_once(app, stopped=stop.is_set),
            DELETES: lambda: pull_once(app, deletes=True, stopped=stop.is_set, patient=True),
            RECONCILE: lambda: reconcile_once(app, stopped=stop.is_set, patient=True),
        }

    def run(self) -> Served:
        """Returns when it was asked to stop and what is in hand has ended."""
        scheduler = self._scheduler(ZoneInfo(self._app.config.timezone))
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

    def _scheduler(self, zone: ZoneInfo) -> BackgroundScheduler:
        """The heartbeat and the jobs with their times; not started yet."""
        now = datetime.now(zone)
        scheduler = BackgroundScheduler(timezone=zone)
        options = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        scheduler.add_job(self.beat, IntervalTrigger(seconds=HEARTBEAT_SECONDS, timezone=zone), id=HEARTBEAT, next_run_time=now, **options)
        if self._app.store.dialect == "postgresql":
            scheduler.add_job(self.help, IntervalTrigger(seconds=HELP_SECONDS, timezone=zone), id=HELP, **options)
        for name, schedule in scheduled(self._app.config.schedule).items():
            due = trigger(schedule, zone)
            first = now if name == PASS else first_time(self._app.store, name, due, now)
            scheduler.add_job(self.run_job, due, args=[name], id=name, next_run_time=first, **options)
        scheduler.add_listener(self._on_bug, EVENT_JOB_ERROR)
        return scheduler

    def beat(self) -> None:
        """A sign of life."""
        runs.set_meta(self._app.store, HEARTBEAT, self._app.now().isoformat())

    def help(self) -> None:
        """Judges for a pass that another process leads, where there is one."""
        try:
            slices = 0 if self._stop.is_set() else help_once(self._app, stopped=self._stop.is_set)
        except Paused:
            return  # whoever leads the pass says so
        except ConnectorError as error:
            self.served.count(HELP, "failed")
            log.error("No help: %s. %s", error.message, error.advice)  # noqa: TRY400 - as for jobs
            return
        if slices:
            self.served.count(HELP, "ended")
            log.info("Helped judging a pass of another process. slices=%d", slices)

    def run_job(self, job: str) -> None:
        """Runs one job and logs its result. What keeps it from running, or stops it, is logged too; the next one is tried all the same."""
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
                log_pass(result, seconds=seconds, job=job)
            else:
                log_job(job, result, seconds=seconds)

    def _on_bug(self, event: JobExecutionEvent) -> None:
        """The scheduler has logged it."""
        if event.job_id in (*JOBS, HELP):
            self.served.count(event.job_id, "failed")


def scheduled(file: Schedule) -> dict[str, str]:
    """The jobs that run by themselves, with their times as the file writes schedules."""
    fast = None if file.fast is None else f"every {file.fast.every.elapsed.total_seconds():.0f} seconds"
    times = {PASS: file.pass_, FAST: fast, DELETES: file.deletes, RECONCILE: file.reconcile}
    return {name: schedule for name, schedule in times.items() if schedule is not None}


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


def log_pass(result: PassResult, *, seconds: float, job: str = PASS) -> None:
    """A pass as a line of the log: numbers and ids, nobody's data."""
    seen = sum(stream.seen for streams in result.pulled.values() for stream in streams.values())
    outcomes = " ".join(f"{state}={count}" for state, count in sorted(result.outcomes.items()))
    log.log(
        logging.WARNING if result.errors else logging.INFO,
        "A %s %s. run=%d mode=%s seen=%d evaluated=%d planned=%d held=%d seconds=%.1f %s",
        "pass" if job == PASS else f"{job} pass",
        _ending(result), result.run, result.mode, seen, result.evaluated, result.planned, result.held, seconds, outcomes,
    )  # fmt: skip
    for scope, name in result.paused:
        log.warning("run=%d %s is paused: actions wait for it.", result.run, f"The {scope} {name}" if name else "All writing")
    _log_errors(result)


def log_job(job: str, result: RunResult, *, seconds: float) -> None:
    """Another job as a line of the log."""
    log.log(logging.WARNING if result.errors else logging.INFO, "%s %s. run=%d seconds=%.1f", job, _ending(result), result.run, seconds)
    _log_errors(result)


def _ending(result: RunResult) -> str:
    if result.interrupted:
        return "was interrupted"
    return "failed in part" if result.errors else "ended"


def _log_errors(result: RunResult) -> None:
    for error in result.errors:
        log.error("run=%d %s. %s", result.run, error.message, error.advice)
