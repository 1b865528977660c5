"""`plan`: what a pass would do, now or at another moment, without pulling and without keeping a thing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from connector import engine
from connector.app import App
from connector.engine import preview
from connector.sandbox.serve import Sandbox
from tests.system.support import NOW, config_for, rows, running, small_sandbox


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with small_sandbox(contacts=200, leads=80) as box:
        yield box


def everything(app: App) -> dict[str, list[Any]]:
    tables = ("contact", "spell", "attempt", "clock", "evidence", "rejection", "ledger", "plan", "turn", "meta", "touch", "record")
    return {name: sorted(map(repr, rows(app, f"SELECT * FROM {name}"))) for name in tables}


def test_a_preview_shows_what_the_pass_then_plans_and_keeps_nothing(box: Sandbox, database_url: str) -> None:
    with running(config_for(box, database_url, mode="shadow")) as app:
        engine.run_pass(app.context())
        before = everything(app)
        shown = preview(app.context())
        assert everything(app) == before
        done = engine.run_pass(app.context())
        assert done.plan is not None
        assert [one.key for one in shown.actions] == [one.key for one in done.plan.actions]
        assert len(shown.actions) > 5


def test_a_preview_at_a_later_moment_sees_clocks_run_out(box: Sandbox, database_url: str) -> None:
    with running(config_for(box, database_url, mode="shadow")) as app:
        engine.run_pass(app.context())
        running_clocks = {row.contact_id for row in rows(app, "SELECT contact_id FROM clock WHERE state IN ('running', 'warned')")}
        assert running_clocks

        def breached(days: int) -> set[int]:
            return {one.contact for one in preview(app.context(), NOW + timedelta(days=days)).actions if one.bundle.endswith("breach")}

        assert not breached(0) & running_clocks
        assert running_clocks <= breached(4)
        with app.store.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM clock WHERE state = 'running'")).scalar_one() > 0
