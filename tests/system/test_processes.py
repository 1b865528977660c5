"""Whole passes on PostgreSQL, and two processes at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector import engine
from connector.errors import LeaseLost
from connector.sandbox.serve import Sandbox
from tests.system.support import config_for, rows, running, small_sandbox


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with small_sandbox(contacts=250, leads=100) as box:
        yield box


def test_the_same_on_both_databases(box: Sandbox, tmp_path: Path, postgres_url: str) -> None:
    """In shadow, so that both see the same CRMs: the same contacts, judged the same, and the same actions wanted."""
    sqlite, postgresql = (judged(box, url) for url in (f"sqlite:///{tmp_path}/c.db", postgres_url))
    assert sqlite[0] == postgresql[0]
    assert sqlite[1] == postgresql[1]


def judged(box: Sandbox, url: str) -> tuple[Counter[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The actions that a shadow pass wants, and what it concluded of each record's contact."""
    with running(config_for(box, url, mode="shadow")) as app:
        result = engine.run_pass(app.context())
        assert result.errors == []
        assert result.plan is not None
        actions = [(one.rule, str(one.kind), one.crm, one.id, one.before, one.after, str(one.state)) for one in result.plan.actions]
        found = rows(
            app,
            "SELECT r.id, c.stage, c.criteria, c.touch_count, c.due_at, c.score, c.qualified, c.excluded "
            "FROM contact c JOIN record r ON r.contact_id = c.id AND r.role = 'main' ORDER BY r.crm, r.id",
        )
        return Counter(actions), [(*row[:5], round(row.score, 9), bool(row.qualified), bool(row.excluded)) for row in found]


def test_live_on_postgresql_comes_to_rest(box: Sandbox, postgres_url: str) -> None:
    with running(config_for(box, postgres_url)) as app:
        results = [engine.run_pass(app.context()) for _ in range(4)]
        assert [result.errors for result in results] == [[]] * 4
        assert results[0].planned > 5
        assert (results[-1].planned, results[-1].outcomes) == (0, {})


def test_two_processes_write_everything_once(box: Sandbox, tmp_path: Path) -> None:
    """Two passes at the same moment: one carries out, the other says who does; nothing is created twice."""
    config = config_for(box, f"sqlite:///{tmp_path}/c.db")
    before = len(box.world.hubspot["tasks"]) + len(box.world.salesforce["Task"])
    with running(config) as one, running(config) as other, ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(engine.run_pass, replace(app.context(), holder=name)) for name, app in (("one", one), ("other", other))]
        results = [future.result() for future in futures]
        assert all(isinstance(error, LeaseLost) for result in results for error in result.errors)
        for _ in range(4):
            last = engine.run_pass(one.context())
        assert (last.errors, last.planned, last.outcomes) == ([], 0, {})
        created = rows(one, "SELECT crm, result_id FROM ledger WHERE kind = 'create_task' AND state = 'applied'")
        assert len(set(created)) == len(created) > 5
        assert len(box.world.hubspot["tasks"]) + len(box.world.salesforce["Task"]) - before == len(created)
