"""Several processes judge one pass on PostgreSQL: nobody is judged twice, and all comes out as where one process judges."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from connector.app import App
from connector.config.tables import Config
from connector.engine import PassContext, PassResult, help_judging, run_pass
from connector.jobs.names import JUDGING, PASS
from connector.jobs.service import Service
from connector.pipeline.context import Step, Unwatched
from connector.pipeline.evaluate import several
from connector.store import judging_slices, pauses
from connector.store.database import Store
from tests.support.company import EVERYTHING, HEAD, NOW, Company, config_of, new_company

SPAWN = multiprocessing.get_context("spawn")
PEOPLE = 150
#: What one process and several must come to alike, but for these columns: numbers in the order of saving, and what follows from them.
TABLES: Mapping[str, tuple[str, ...]] = {
    "contact": (),
    "attempt": (),
    "spell": (),
    "clock": (),
    "evidence": (),
    "rejection": (),
    "touch": (),
    "snapshot": (),
    "ownership": (),
    "turn": (),
    "standing": (),
    "plan": (),
    "ledger": ("id", "result_id", "fence", "correlation_id"),
}
#: Notes who judged whom; of a slice that was rolled back nothing is noted.
LOG = """
CREATE TABLE judged_log (contact BIGINT, process TEXT);
CREATE FUNCTION log_judged() RETURNS TRIGGER LANGUAGE plpgsql AS
'BEGIN INSERT INTO judged_log VALUES (NEW.id, current_setting(''application_name'')); RETURN NEW; END';
CREATE TRIGGER judged AFTER UPDATE OF judged_at ON contact FOR EACH ROW EXECUTE FUNCTION log_judged();
"""


def config(mode: str) -> Config:
    return config_of(EVERYTHING, head=HEAD.replace('mode = "live"', f'mode = "{mode}"'))


# ── The helpers: processes of their own ──────────────────────────────────────────────────────────────────────────────────────────────


def helper(name: str, url: str, mode: str, ready: Event, over: Event, hangs: Event | None, all_there: Barrier) -> None:
    """A process that helps as long as it is asked to. hangs: set when it hangs within its first slice, with all of it done."""
    _name_in_log(name, all_there)
    if hangs is not None:
        _hang_in_slice(hangs)
    with Store.open(url) as store:
        context = PassContext(config=config(mode), store=store, crms={}, now=lambda: NOW, holder="helper", stopped=over.is_set)
        ready.set()
        while not over.is_set():
            if not help_judging(context):
                time.sleep(0.005)


def _name_in_log(name: str, all_there: Barrier) -> None:
    """And waits before its first slice until all helpers come for theirs, so that each gets one."""
    claim = judging_slices.claim
    waited: list[int] = []

    def named(connection: Connection, run: int) -> judging_slices.ClaimedSlice | None:
        if not waited:
            waited.append(all_there.wait(60))
        connection.exec_driver_sql(f"SET LOCAL application_name = '{name}'")
        return claim(connection, run)

    judging_slices.claim = named


def _hang_in_slice(hangs: Event) -> None:
    mark = judging_slices.judged

    def hang(*arguments: Any, **named: Any) -> None:
        mark(*arguments, **named)
        hangs.set()
        time.sleep(600)

    judging_slices.judged = hang


@contextmanager
def helpers(url: str, mode: str, number: int, hangs: Event | None = None) -> Iterator[list[SpawnProcess]]:
    over, readies = SPAWN.Event(), [SPAWN.Event() for _ in range(number)]
    all_there = SPAWN.Barrier(number)
    started = [
        SPAWN.Process(target=helper, args=(f"helper {place}", url, mode, ready, over, hangs, all_there), daemon=True)
        for place, ready in enumerate(readies, 1)
    ]
    try:
        for process in started:
            process.start()
        assert all(ready.wait(120) for ready in readies)
        yield started
    finally:
        over.set()
        for process in started:
            process.join(60)
            if process.is_alive():
                process.kill()


# ── The pass ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class WaitsOnce(Unwatched):
    """After the leader's first slice it waits for something, a minute at most."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        self._condition: Callable[[], bool] | None = condition

    def step(self, name: Step, done: int, total: int | None) -> None:
        if name != "evaluate" or self._condition is None:
            return
        condition, self._condition = self._condition, None
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "what was waited for never came"
            time.sleep(0.005)


def people(company: Company) -> None:
    """Many of one company, some of a country with a route of its own; half of them qualify."""
    for number in range(1, PEOPLE + 1):
        company.person(
            str(number),
            interest=str(number % 20),
            stage="lead",
            country="Austria" if number % 7 == 0 else "Germany",
            associatedcompanyid=str(number % 60) if number % 3 == 0 else None,
            hs_lead_status="UNQUALIFIED" if number % 11 == 0 else None,
        )
        if number % 5 == 0:
            company.touch(on=str(number), at=NOW)


@contextmanager
def company_at(url: str, mode: str) -> Iterator[Company]:
    with new_company(url, config(mode)) as company:
        people(company)
        company.store.write(lambda connection: connection.exec_driver_sql(LOG))
        yield company


def led(company: Company, condition: Callable[[], bool]) -> PassResult:
    """One pass, with help; it goes on once the condition is met."""
    company.furnish()
    result = run_pass(company.context(progress=WaitsOnce(condition)))
    assert result.errors == []
    assert judging_slices.announced(company.store) is None
    assert company.rows("SELECT * FROM judging_slice") == []
    return result


def judged_by(company: Company) -> set[str]:
    """Who judged somebody: "connector" (the leader), "helper 1" …"""
    return {row.process for row in company.rows("SELECT DISTINCT process FROM judged_log")}


def judged_once(company: Company) -> int:
    """How many were judged; nobody twice."""
    contacts = [row.contact for row in company.rows("SELECT contact FROM judged_log")]
    assert len(contacts) == len(set(contacts))
    return len(contacts)


def state(company: Company) -> dict[str, list[str]]:
    """What the tables hold, in an order that tells nothing of the order of saving."""
    found = {}
    for table, without in TABLES.items():
        rows = (row._mapping.items() for row in company.rows(f"SELECT * FROM {table}"))
        found[table] = sorted(repr(sorted(item for item in row if item[0] not in without)) for row in rows)
    values = company.rows("SELECT l.key, v.before, v.after, v.why, v.task FROM ledger l JOIN action_value v ON v.ledger = l.id")
    return found | {"action_value": sorted(map(repr, values))}


def alone(url: str, mode: str) -> tuple[PassResult, dict[str, list[str]], list[str]]:
    """What one process comes to on a database of its own: the result, the tables, and the plan in its order."""
    with pytest.MonkeyPatch.context() as patch, company_at(url, mode) as company:
        patch.setattr(several, "WORTH_IT", 10**9)
        result = run_pass(company.context())
        return result, state(company), shown(result)


def shown(result: PassResult) -> list[str]:
    assert result.plan is not None
    return [f"{action.key} {action.after}" for action in result.plan.actions]


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(several, "SLICE", 3)
    monkeypatch.setattr(several, "WORTH_IT", 10)


@pytest.fixture
def url(fresh_postgres: Callable[[], str]) -> str:
    return fresh_postgres()


@pytest.mark.parametrize(("mode", "number"), [("live", 1), ("live", 2), ("shadow", 2)])
def test_as_one_process(url: str, mode: str, number: int, fresh_postgres: Callable[[], str]) -> None:
    """Each contact once, and tables, plan and turns as one process leaves them."""
    expected, tables, plan = alone(fresh_postgres(), mode)
    with company_at(url, mode) as company, helpers(url, mode, number):
        result = led(company, lambda: len(judged_by(company)) == 1 + number)
        assert judged_once(company) == result.evaluated == expected.evaluated > PEOPLE
        assert state(company) == tables
        assert shown(result) == plan
        assert (result.planned, result.held) == (expected.planned, expected.held)
        assert result.planned > PEOPLE


def test_a_helper_that_is_killed_within_a_slice_leaves_nothing_behind(url: str, fresh_postgres: Callable[[], str]) -> None:
    """All of its slice was done but the end: it is rolled back, and another judges it."""
    expected, tables, plan = alone(fresh_postgres(), "live")
    hangs, killed = SPAWN.Event(), threading.Event()
    with company_at(url, "live") as company, helpers(url, "live", 1, hangs) as (process,):

        def kill() -> None:
            assert hangs.wait(120)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            killed.set()

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        result = led(company, killed.is_set)
        killer.join(60)
        assert judged_once(company) == result.evaluated == expected.evaluated
        assert judged_by(company) == {"connector"}
        assert (state(company), shown(result)) == (tables, plan)


class LeaderDied(BaseException):
    """As a kill ends a process: nothing is put away behind it."""


def test_what_a_leader_that_died_left_behind_is_finished_by_the_next_pass(
    url: str, fresh_postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its helpers judge what was announced; the plan stays undecided, and nothing of it goes out before it is whole."""
    _, _, plan = alone(fresh_postgres(), "live")
    with company_at(url, "live") as company, helpers(url, "live", 2):

        def die() -> bool:
            if len(judged_by(company)) > 1 and judging_slices.progress(company.store, 1)[1]:
                raise LeaderDied
            return False

        with monkeypatch.context() as patch:
            patch.setattr(judging_slices, "clear", lambda _store: None)
            with pytest.raises(LeaderDied):
                led(company, die)
        assert judging_slices.announced(company.store) is not None
        assert judged_once(company) > PEOPLE
        assert company.writes() == 0
        assert [row.decided for row in company.rows("SELECT decided FROM plan")] == [False]
        result = led(company, lambda: True)
        assert (result.evaluated, shown(result)) == (0, plan)
        assert company.writes() > PEOPLE


def test_who_comes_to_something_else_keeps_away(url: str) -> None:
    """A process with another file, or in another mode, judges nothing for this one."""
    with company_at(url, "live") as company:
        others = [config("shadow"), config_of(EVERYTHING, edit=(("interest >= 10", "interest >= 11"),))]
        helped: list[int] = []

        def ask() -> bool:
            helped.extend(help_judging(replace(company.context(), config=other)) for other in others)
            return True

        led(company, ask)
        assert helped == [0, 0]
        assert help_judging(company.context()) == 0  # the pass is over


def test_on_sqlite_nobody_is_asked_for_help(tmp_path: Path) -> None:
    with new_company(f"sqlite:///{tmp_path}/one.db", config("live")) as company:
        people(company)
        announced: list[object] = []

        def ask() -> bool:
            announced.append(judging_slices.announced(company.store))
            return True

        result = run_pass(company.context(progress=WaitsOnce(ask)))
        assert (announced, result.evaluated > PEOPLE) == ([None], True)


def test_a_slice_whose_holder_gave_it_up_goes_first(url: str) -> None:
    """Who waits for it gives his own back, and both are judged in their order."""
    with company_at(url, "live") as company:
        held, wanted, given_up = threading.Event(), threading.Event(), threading.Event()
        claim = judging_slices.claim

        def give_up() -> None:
            with suppress(LeaderDied):
                company.store.write(hold)
            given_up.set()

        def hold(connection: Connection) -> None:
            assert claim(connection, 1) is not None
            held.set()
            assert wanted.wait(60)
            time.sleep(0.2)  # the other one waits by now
            raise LeaderDied

        thread = threading.Thread(target=give_up, daemon=True)
        claims: list[int] = []

        def watched(connection: Connection, run: int) -> judging_slices.ClaimedSlice | None:
            if not claims:
                thread.start()
                assert held.wait(60)
            found = claim(connection, run)
            wanted.set()
            claims.append(-1 if found is None else found.number)
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(judging_slices, "claim", watched)
            led(company, lambda: True)
        assert given_up.is_set()
        assert claims[0] == 1
        assert 0 in claims
        assert judged_once(company) > PEOPLE


def test_a_service_joins_by_itself(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """It judges what is left, unless it is paused, or leads itself."""
    with company_at(url, "live") as company, Store.open(url) as store:
        app = App(config=company.config, store=store, crms={}, now=lambda: company.now)
        service = Service(app, stop=threading.Event())
        judged: list[int] = []

        def serve() -> bool:
            pauses.pause(store, "job", PASS, now=company.now)
            service.help()
            pauses.resume(store, "job", PASS, now=company.now)
            with app.turns[JUDGING]:
                service.help()
            judged.append(judging_slices.progress(store, 1)[0])
            service.help()
            judged.append(judging_slices.progress(store, 1)[0])
            return True

        with caplog.at_level(logging.INFO, logger="connector"):
            result = led(company, serve)
            service.help()
        assert judged == [several.SLICE, result.evaluated]
        assert service.served.document()["jobs"] == {"help": 1}
        assert [message for message in caplog.messages if "Helped" in message] == ["Helped judging a pass of another process. slices=51"]
        assert judged_once(company) == result.evaluated
