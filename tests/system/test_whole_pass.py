"""Whole passes over real HTTP: what is judged is written, once, and then all is quiet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector import engine
from connector.engine import PassResult
from connector.model import State
from connector.sandbox.serve import Sandbox
from tests.system.support import config_for, rows, running, small_sandbox

SET_UPS = {"both": (True, True), "hubspot": (True, False), "salesforce": (False, True)}
BOTH = pytest.mark.parametrize(("hubspot", "salesforce"), SET_UPS.values(), ids=SET_UPS)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with small_sandbox() as box:
        yield box


def wanted(result: PassResult) -> Counter[tuple[str, str]]:
    assert result.plan is not None
    return Counter((action.rule, str(action.kind)) for action in result.plan.actions)


@BOTH
def test_live_passes_come_to_rest_and_stay_quiet(box: Sandbox, tmp_path: Path, hubspot: bool, salesforce: bool) -> None:
    """At most four passes until quiet; two more plan nothing, write nothing, and make at most 30 calls each, counted by the sandbox."""
    config = config_for(box, f"sqlite:///{tmp_path}/c.db", hubspot=hubspot, salesforce=salesforce)
    with running(config) as app:
        first = engine.run_pass(app.context())
        assert first.errors == []
        assert first.planned > 5 or not hubspot  # Salesforce alone has breaches from before going live: nothing follows from them
        assert first.outcomes == ({State.APPLIED: first.planned} if first.planned else {})
        for _ in range(3):
            last = engine.run_pass(app.context())
            assert last.errors == []
            if last.planned == 0:
                break
        assert last.planned == 0
        for _ in range(2):
            before = (sum(box.calls().values()), written_to(box))
            quiet = engine.run_pass(app.context())
            assert quiet.errors == []
            assert (quiet.planned, quiet.outcomes) == (0, {})
            assert sum(box.calls().values()) - before[0] <= 30
            assert written_to(box) == before[1]


def written_to(box: Sandbox) -> int:
    """How many writes the sandbox was asked for."""
    reads = ("search", "batch/read", "oauth")
    logs = [*box.hubspot_faults.log, *box.salesforce_faults.log]
    return sum(1 for method, path in logs if method in ("POST", "PATCH", "PUT", "DELETE") and not any(part in path for part in reads))


def test_the_mirror_holds_what_the_crms_hold(box: Sandbox, tmp_path: Path) -> None:
    """Every record of the CRMs is in the mirror with its values, every live person has a contact, and shared people have one."""
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db", mode="shadow")) as app:
        result = engine.run_pass(app.context())
        for name in ("contacts", "companies", "calls", "emails", "meetings", "tasks"):
            assert result.pulled["hubspot"][name].seen == len(box.world.hubspot[name])
        for name in ("Lead", "Contact", "Account", "Task", "Event"):
            assert result.pulled["salesforce"][name].seen == len(box.world.salesforce[name])
        mirrored = dict(rows(app, "SELECT id, email FROM record WHERE crm = 'hubspot' AND object = 'contacts'"))
        said = {number: (row["properties"]["email"] or "").strip().lower() or None for number, row in box.world.hubspot["contacts"].items()}
        assert mirrored == said
        assert rows(app, "SELECT count(*) FROM record WHERE contact_id IS NULL AND object IN ('contacts', 'Lead', 'Contact')") == [(0,)]
        emails = rows(app, "SELECT email FROM record WHERE email IS NOT NULL GROUP BY email HAVING count(DISTINCT contact_id) > 1")
        assert emails == []


def test_shadow_writes_nothing_and_plans_the_same_again(box: Sandbox, tmp_path: Path) -> None:
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db", mode="shadow")) as app:
        results, plans = [], []
        for _ in range(3):
            results.append(engine.run_pass(app.context()))
            plan = results[-1].plan
            plans.append([] if plan is None else list(plan.actions))  # what stands, as of now
        assert written_to(box) == 0
        second, third = ([(action.key, action.before, action.after, action.state) for action in plan] for plan in plans[1:])
        assert len(second) > 20
        assert second == third
        assert all(action.new for action in plans[0])
        assert not any(action.new for action in results[2].plan.actions) if results[2].plan else False


def test_what_is_written_is_in_the_crms(box: Sandbox, tmp_path: Path) -> None:
    """Stages in both CRMs, owners and tasks: read from the sandbox, not from the connector."""
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db")) as app:
        result = engine.run_pass(app.context())
        assert result.plan is not None
        stages = [action for action in result.plan.actions if action.kind == "set_stage"]
        assert {action.crm for action in stages} == {"hubspot", "salesforce"}
        for action in stages:
            if action.crm == "hubspot":
                assert box.world.hubspot["contacts"][action.id]["properties"]["lifecyclestage"] == action.after
            else:
                assert box.world.salesforce["Lead"][action.id]["Status"] == action.after
        tasks = rows(app, "SELECT crm, result_id, record_id FROM ledger WHERE kind = 'create_task'")
        assert len(tasks) == sum(count for (_, kind), count in wanted(result).items() if kind == "create_task")
        for crm, task_id, record_id in tasks:
            if crm == "salesforce":
                assert box.world.salesforce["Task"][task_id]["WhoId"] == record_id
            else:
                assert (record_id, 204) in box.world.hubspot_associations["tasks", "contacts"][task_id]


def test_every_row_of_the_ledger_says_why(box: Sandbox, tmp_path: Path) -> None:
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db")) as app:
        engine.run_pass(app.context())
        found = rows(app, "SELECT l.key, l.rule, l.state, l.read_back, v.why, v.after FROM ledger l JOIN action_value v ON v.ledger = l.id")
        assert found
        assert len({row.key for row in found}) == len(found)
        assert all(row.rule and row.why not in (None, "{}", "null") and row.after for row in found)
        assert all(row.read_back for row in found if row.state == "applied")


def test_rejections_are_logged_and_go_back_in_the_next_pass(box: Sandbox, tmp_path: Path) -> None:
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db")) as app:
        first = engine.run_pass(app.context())
        logged = rows(app, "SELECT contact_id, kind, reason, accepted, sent_back, touches FROM rejection")
        assert logged
        assert {row.kind for row in logged} <= {"rejected", "disqualified"}
        assert all((row.kind == "rejected") == (row.touches == 0) for row in logged)
        assert wanted(first)[":rejection", "set_stage"] == 0
        second = engine.run_pass(app.context())
        assert wanted(second)[":rejection", "set_stage"] > 0
        engine.run_pass(app.context())
        back = {row.contact_id for row in rows(app, "SELECT contact_id FROM rejection WHERE sent_back")}
        assert back
        stages = {row.stage for row in rows(app, "SELECT stage FROM contact c JOIN rejection r ON r.contact_id = c.id WHERE r.sent_back")}
        assert stages <= {"lead", "subscriber"}
