"""Health of the service: its heartbeat, and passes that do not begin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.config.load import loads
from connector.jobs.health import HEARTBEAT, health
from connector.jobs.names import PASS
from connector.store import leases, pauses, runs
from connector.store.database import Store

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
CONFIG = loads(
    """
timezone = "Europe/Berlin"
[crm.hubspot]
access_token = "env:HUBSPOT_ACCESS_TOKEN"
[schedule]
pass = "every 5 minutes"
""",
    source="config.toml",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as made:
        made.upgrade()
        yield made


def passed(store: Store, at: datetime) -> None:
    runs.finish_run(store, runs.start_run(store, "run", "live", now=at), "done", now=at)


def problems(store: Store) -> tuple[str, ...]:
    return health(store, CONFIG, now=NOW).problems


def test_a_service_that_never_ran_is_not_well(store: Store) -> None:
    assert problems(store) == ("the service never ran on this database",)


def test_it_is_well_with_a_beat_and_a_pass(store: Store) -> None:
    runs.set_meta(store, HEARTBEAT, (NOW - timedelta(minutes=2)).isoformat())
    passed(store, NOW - timedelta(minutes=14))
    found = health(store, CONFIG, now=NOW)
    assert found.healthy
    assert found.document() == {
        "healthy": True,
        "heartbeat": NOW - timedelta(minutes=2),
        "last_pass": NOW - timedelta(minutes=14),
        "problems": [],
    }


def test_silence_is_an_illness(store: Store) -> None:
    runs.set_meta(store, HEARTBEAT, (NOW - timedelta(minutes=4)).isoformat())
    assert problems(store) == ("the service has been silent since 2026-11-18 09:56 UTC",)


def test_three_missed_passes_are_an_illness(store: Store) -> None:
    runs.set_meta(store, HEARTBEAT, NOW.isoformat())
    passed(store, NOW - timedelta(minutes=16))
    assert problems(store) == ("no pass began since 2026-11-18 09:44 UTC, though the schedule says 'every 5 minutes'",)


def test_a_pull_is_no_pass(store: Store) -> None:
    runs.set_meta(store, HEARTBEAT, NOW.isoformat())
    passed(store, NOW - timedelta(minutes=16))
    runs.start_run(store, "pull", "live", now=NOW)
    assert len(problems(store)) == 1


def test_a_pass_that_still_runs_or_is_paused_is_well(store: Store) -> None:
    runs.set_meta(store, HEARTBEAT, NOW.isoformat())
    passed(store, NOW - timedelta(hours=5))
    held = leases.take(store, PASS, "here/1", 60, NOW.timestamp)
    assert problems(store) == ()
    leases.release(store, held)
    assert len(problems(store)) == 1
    pauses.pause(store, now=NOW)
    assert problems(store) == ()


def test_it_imports_no_adapter_and_no_engine() -> None:
    """A container asks every minute."""
    lines = "import sys, connector.jobs.health; print(*(name for name in sys.modules if name.startswith('connector.')))"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    packages = {name.split(".")[1] for name in done.stdout.split()}
    assert packages == {"conditions", "config", "errors", "jobs", "model", "store"}
