"""Every rule of the example file finds someone in the sandbox's world, and none more than 60% of all."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from connector import conditions, engine
from connector.app import App
from connector.config.rule_conditions import judging_conditions
from connector.pipeline.evaluate.statement import RuleStatement
from connector.pipeline.installation import prepare
from tests.system.support import NOW, config_for, rows, running, small_sandbox

MOST = 0.6


def test_each_rule_finds_someone_and_none_most(tmp_path: Path) -> None:
    with small_sandbox(contacts=1500, leads=600) as box, running(config_for(box, f"sqlite:///{tmp_path}/c.db", mode="shadow")) as app:
        assert engine.run_pass(app.context()).errors == []
        installation = prepare(app.store, app.config, {}, now=NOW)
        people = rows(app, "SELECT id FROM contact WHERE NOT gone")
        conditions_there = [condition for _, condition in judging_conditions(app.config)]
        asked = [condition for condition in conditions_there if condition.text != "owner IS NULL"]  # whom to assign, not a rule
        env = RuleStatement(app.config, installation.table, NOW).env(installation.table, later=True)
        for condition in asked:
            with app.store.read() as connection:
                found = len(connection.execute(select(installation.table.c.id).where(conditions.compile(condition, env))).all())
            assert 0 < found <= MOST * len(people), (condition.text, found)


def test_each_kind_of_action_and_outcome_occurs(tmp_path: Path) -> None:
    """Two days after going live, too: what came up before escalates nothing."""
    now, clocks = NOW, set[str]()
    with small_sandbox(lambda: now, contacts=1500, leads=600) as box:
        config = config_for(box, f"sqlite:///{tmp_path}/c.db")
        with running(config, lambda: now) as app:
            for days in (0, 0, 0, 2, 0):
                now += timedelta(days=days)
                assert engine.run_pass(app.context()).errors == []
                clocks |= {row.state for row in rows(app, "SELECT DISTINCT state FROM clock")}
            assert clocks >= {"running", "met", "breached"}
            each_kind_occurs(app)


def each_kind_occurs(app: App) -> None:
    wanted = {(row.rule, row.kind) for row in rows(app, "SELECT DISTINCT rule, kind FROM ledger")}
    assert {rule for rule, kind in wanted if kind == "set_stage"} >= {rule.id for rule in app.config.transitions} | {":rejection"}
    tasks = {row.target for row in rows(app, "SELECT DISTINCT target FROM ledger WHERE kind = 'create_task'")}
    assert tasks >= {"mql-alert", "escalation"}
    outcomes = {row.outcome for row in rows(app, "SELECT DISTINCT outcome FROM attempt")}
    assert outcomes >= {"open", "accepted", "rejected", "disqualified"}
    reasons = rows(app, "SELECT reason FROM rejection")
    assert any(row.reason is None for row in reasons)
    assert any(row.reason is not None for row in reasons)
