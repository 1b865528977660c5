"""`kill -9` at any instruction of a pass, then a new run: the mirror is complete, nothing is written twice, none is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connector import engine
from connector.config.load import load
from connector.sandbox.serve import Sandbox
from tests.system.crash.killed_processes import Processes
from tests.system.support import NOW, config_text, records_stored, rows, running, small_sandbox

#: Phase, how many go by, where. Each of them is reached by a first pass over the small sandbox.
EVERY_TIME = [
    ("pull", 7, "inside"),
    ("evaluate", 0, "after"),
    ("plan", 0, "inside"),
    ("write_back", 2, "after"),
    ("write_back", 0, "acted"),
]
AT_LENGTH = [
    ("pull", 0, "before"),
    ("pull", 12, "after"),
    ("unify", 0, "inside"),
    ("unify", 1, "after"),
    ("evaluate", 0, "inside"),
    ("plan", 0, "after"),
    ("write_back", 1, "inside"),
    ("write_back", 2, "acted"),
    ("write_back", 4, "acted"),
]
MOMENTS = [*EVERY_TIME, *(pytest.param(*moment, marks=pytest.mark.long) for moment in AT_LENGTH)]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with small_sandbox(contacts=200, leads=80) as box:
        yield box


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with (tmp_path_factory.mktemp("killed") / "errors.txt").open("w") as told:
        made = Processes("killed_pass", told)
        yield made
        made.close()


@pytest.mark.parametrize(("phase", "count", "where"), MOMENTS)
def test_killed_and_run_again(box: Sandbox, processes: Processes, tmp_path: Path, phase: str, count: int, where: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(config_text(box, f"sqlite:///{tmp_path}/c.db"))
    later = NOW + timedelta(minutes=5)
    tasks_before = all_tasks(box)
    with running(load(path)):
        pass
    assert processes.run({"path": str(path), "moment": NOW.isoformat(), "place": [phase, where, count]}).killed
    with running(load(path), now=lambda: later) as app:
        for _ in range(4):
            result = engine.run_pass(app.context())
            assert result.errors == []
        assert (result.planned, result.outcomes) == (0, {})
        states = Counter(row.state for row in rows(app, "SELECT state FROM ledger"))
        created = [(row.crm, row.result_id) for row in rows(app, "SELECT crm, result_id FROM ledger WHERE kind = 'create_task'")]
        assert set(states) <= {"applied", "already_so"}
        assert states["applied"] > 10
        assert records_stored(app) == {
            "contacts": len(box.world.hubspot["contacts"]),
            "companies": len(box.world.hubspot["companies"]),
            **{name: len(box.world.salesforce[name]) for name in ("Lead", "Contact", "Account")},
        }
        assert len(created) == len(set(created))
        assert all_tasks(box) - tasks_before == set(created)


def all_tasks(box: Sandbox) -> set[tuple[str, str]]:
    """Every task that the CRMs hold."""
    held = {"hubspot": box.world.hubspot["tasks"], "salesforce": box.world.salesforce["Task"]}
    return {(crm, number) for crm, tasks in held.items() for number in tasks}
