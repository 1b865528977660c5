"""Health of the service: its heartbeat, and whether passes begin when the schedule says so.

A container's health check runs this every minute: nothing here imports an adapter or the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger

from connector.config.schedule import trigger
from connector.config.tables import Config
from connector.jobs.names import PASS
from connector.store import leases, pauses, runs
from connector.store.database import Store

#: The moment of the service's last sign of life (ISO 8601), in the store's single values.
HEARTBEAT = "heartbeat"
_HEARTBEAT_AGE = timedelta(minutes=3)
_MISSED_PASSES = 3


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
    heartbeat = _heartbeat(store)
    last_pass = next((run.started_at for run in runs.last_runs(store, 1, command="run")), None)
    problems = []
    if heartbeat is None:
        problems.append("the service never ran on this database")
    elif now - heartbeat > _HEARTBEAT_AGE:
        problems.append(f"the service has been silent since {heartbeat:%Y-%m-%d %H:%M} UTC")
    elif last_pass is not None and _missed(config, last_pass, now) and not _busy_or_paused(store, now):
        problems.append(f"no pass began since {last_pass:%Y-%m-%d %H:%M} UTC, though the schedule says {config.schedule.pass_!r}")
    return Health(heartbeat=heartbeat, last_pass=last_pass, problems=tuple(problems))


def _heartbeat(store: Store) -> datetime | None:
    text = runs.get_meta(store, HEARTBEAT)
    return None if text is None else datetime.fromisoformat(text)


def _missed(config: Config, last_pass: datetime, now: datetime) -> bool:
    """Whether the schedule has asked for a pass three times since the last one."""
    schedule: BaseTrigger = trigger(config.schedule.pass_, ZoneInfo(config.timezone))
    due: datetime | None = last_pass
    for _ in range(_MISSED_PASSES):
        if due is None:
            return False
        due = schedule.get_next_fire_time(due, due + timedelta(microseconds=1))
    return due is not None and now > due


def _busy_or_paused(store: Store, now: datetime) -> bool:
    return leases.held_by(store, PASS, now.timestamp) is not None or pauses.is_paused(store, "job", PASS)
