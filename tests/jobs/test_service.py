"""Passes one at a time, by the schedule, until asked to stop."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.app import App, holder
from connector.config.load import loads
from connector.config.schedule import trigger, weekdays
from connector.engine import PassResult
from connector.errors import ConnectorError, LeaseLost, Paused
from connector.jobs import exclusive
from connector.jobs.health import HEARTBEAT
from connector.jobs.names import JUDGING, PASS
from connector.jobs.once import fast_once, pull_once, reconcile_once, run_pass_once
from connector.jobs.service import Service, first_time, log_pass, scheduled
from connector.pipeline.context import PassContext
from connector.pipeline.write_back.executor import LEASE as WRITE_BACK_LEASE
from connector.store import leases, pauses, runs
from connector.store.database import Store

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
FILE = """
timezone = "Europe/Berlin"
[crm.hubspot]
access_token = "env:HUBSPOT_ACCESS_TOKEN"
[schedule]
pass = "every 5 minutes"
"""


class Clock:
    """The time that a test says."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    monkeypatch.setattr(exclusive, "LOOK_SECONDS", 0.005)
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.upgrade()
        yield App(config=loads(FILE, source="config.toml"), store=store, crms={}, now=clock)


def nothing(context: PassContext) -> PassResult:
    """A pass that does nothing, but is on record."""
    run = runs.start_run(context.store, "run", "shadow", now=context.now())
    runs.finish_run(context.store, run, "done", now=context.now())
    return PassResult(run=run, mode="shadow")


def until(condition: Callable[[], bool]) -> None:
    """Waits for another thread; a minute at most."""
    pause = threading.Event()
    for _ in range(12_000):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it never came")


class TestSchedule:
    def test_numbers_of_weekdays_are_read_as_cron_reads_them(self) -> None:
        assert weekdays("1-5") == "mon,tue,wed,thu,fri"
        assert weekdays("0") == weekdays("7") == weekdays("sun") == "sun"
        assert weekdays("fri-sun") == "sun,fri,sat"
        assert weekdays("5-7") == "sun,fri,sat"
        assert weekdays("*/2") == "sun,tue,thu,sat"
        assert weekdays("mon,3,SAT") == "mon,wed,sat"
        assert weekdays("1/2") == "mon,wed,fri"

    @pytest.mark.parametrize("wrong", ["8", "someday", "1-", "", "1-9", "-1"])
    def test_what_is_no_weekday_is_refused(self, wrong: str) -> None:
        with pytest.raises(ValueError, match="no day of the week"):
            weekdays(wrong)

    @given(st.integers(0, 6), st.integers(0, 4 * 365 * 24 * 60))
    def test_a_cron_line_comes_round_on_its_weekday(self, day: int, minutes: int) -> None:
        start = (NOW + timedelta(minutes=minutes)).astimezone(BERLIN)
        due = trigger(f"0 3 * * {day}", BERLIN).get_next_fire_time(None, start)
        assert due is not None
        assert due.isoweekday() % 7 == day
        assert timedelta(0) <= due - start <= timedelta(days=7, hours=2)

    @pytest.mark.parametrize(
        ("line", "due"),
        [
            ("every 5 minutes", "2026-11-18T11:05:00+01:00"),
            ("every hour", "2026-11-18T12:00:00+01:00"),
            ("30 8 * * *", "2026-11-19T08:30:00+01:00"),
            ("0 3 * * 0", "2026-11-22T03:00:00+01:00"),
            ("0 3 1 * mon", "2026-11-23T03:00:00+01:00"),  # the first of the month, or a Monday: what comes first
            ("0 3 19 * mon", "2026-11-19T03:00:00+01:00"),
            ("*/20 9-17 * * 1-5", "2026-11-18T11:20:00+01:00"),
        ],
    )
    def test_the_next_time_is_in_the_business_zone(self, line: str, due: str) -> None:
        start = NOW.astimezone(BERLIN) + timedelta(seconds=1 if line[0] != "e" else 0)
        found = trigger(line, BERLIN).get_next_fire_time(start if line[0] == "e" else None, start)
        assert found is not None
        assert found.isoformat() == due

    def test_a_time_of_day_stays_when_the_clocks_change(self) -> None:
        times = []
        at = datetime(2026, 10, 24, 0, 0, tzinfo=BERLIN)
        for _ in range(3):
            found = trigger("0 8 * * *", BERLIN).get_next_fire_time(None, at)
            assert found is not None
            times.append(found.isoformat())
            at = found + timedelta(minutes=1)
        assert times == ["2026-10-24T08:00:00+02:00", "2026-10-25T08:00:00+01:00", "2026-10-26T08:00:00+01:00"]


class TestOnePassAtATime:
    def test_a_pass_holds_the_lease_and_gives_it_back(self, app: App, clock: Clock) -> None:
        held: list[Any] = []

        def work(context: PassContext) -> PassResult:
            held.append(leases.held_by(context.store, PASS, clock.seconds))
            return nothing(context)

        assert run_pass_once(app, work=work).run == 1
        assert held[0].holder == holder()
        assert leases.held_by(app.store, PASS, clock.seconds) is None

    def test_a_second_pass_is_refused_and_says_who_runs(self, app: App, clock: Clock) -> None:
        leases.take(app.store, PASS, "elsewhere/77", 60, clock.seconds)
        with pytest.raises(LeaseLost, match="elsewhere/77"):
            run_pass_once(app, work=nothing)
        clock.at += timedelta(seconds=61)
        assert run_pass_once(app, work=nothing).errors == []

    def test_what_a_dead_process_of_this_machine_held_is_free_at_once(self, app: App, clock: Clock) -> None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        machine = holder().rpartition("/")[0]
        for name in (PASS, WRITE_BACK_LEASE):
            leases.take(app.store, name, f"{machine}/{gone.pid}", 60, clock.seconds)
        assert run_pass_once(app, work=nothing).errors == []
        assert leases.held_by(app.store, WRITE_BACK_LEASE, clock.seconds) is None

    def test_a_living_process_keeps_it(self, app: App, clock: Clock) -> None:
        machine = holder().rpartition("/")[0]
        leases.take(app.store, PASS, f"{machine}/{os.getppid()}", 60, clock.seconds)
        with pytest.raises(LeaseLost):
            run_pass_once(app, work=nothing)

    def test_the_lease_is_renewed_while_the_work_goes_on(self, app: App, clock: Clock) -> None:
        def work(context: PassContext) -> PassResult:
            clock.at += timedelta(seconds=50)
            until(lambda: (held := leases.held_by(context.store, PASS, clock.seconds)) is not None and held.until > clock.seconds() + 50)
            return nothing(context)

        assert run_pass_once(app, work=work).errors == []

    def test_a_pass_that_lost_its_lease_ends_and_says_so(self, app: App, clock: Clock) -> None:
        def work(context: PassContext) -> PassResult:
            clock.at += timedelta(seconds=61)
            leases.take(context.store, PASS, "elsewhere/77", 600, clock.seconds)
            until(context.stopped)
            return nothing(context)

        result = run_pass_once(app, work=work)
        assert [type(error) for error in result.errors] == [LeaseLost]
        held = leases.held_by(app.store, PASS, clock.seconds)
        assert held is not None
        assert held.holder == "elsewhere/77"

    @pytest.mark.parametrize(("scope", "name"), [("all", ""), ("job", "pass")])
    def test_what_is_paused_does_not_begin(self, app: App, scope: pauses.Scope, name: str) -> None:
        pauses.pause(app.store, scope, name, now=NOW)
        with pytest.raises(Paused, match="paused since 2026-11-18 10:00 UTC") as caught:
            run_pass_once(app, work=nothing)
        assert "connector resume" in caught.value.advice
        assert runs.last_runs(app.store) == []

    def test_a_paused_rule_stops_no_pass(self, app: App) -> None:
        pauses.pause(app.store, "rule", "went cold", now=NOW)
        assert run_pass_once(app, work=nothing).errors == []

    def test_a_pause_reaches_a_pass_that_runs(self, app: App) -> None:
        def work(context: PassContext) -> PassResult:
            pauses.pause(context.store, now=NOW)
            until(context.stopped)
            return nothing(context)

        assert [type(error) for error in run_pass_once(app, work=work).errors] == [Paused]

    def test_a_bug_gives_the_lease_back(self, app: App, clock: Clock) -> None:
        def work(context: PassContext) -> PassResult:
            raise KeyError("bug")

        with pytest.raises(KeyError):
            run_pass_once(app, work=work)
        assert leases.held_by(app.store, PASS, clock.seconds) is None


class TestTwoLeases:
    """What reads the CRMs is one at a time; judging has a turn of its own, which the fast lane takes beside a pull."""

    def test_the_fast_lane_goes_beside_a_pull(self, app: App, clock: Clock) -> None:
        ran: list[int] = []

        def work(context: PassContext) -> PassResult:
            result = fast_once(app)
            ran.append(len(result.errors))
            return nothing(context)

        assert run_pass_once(app, work=work).errors == []
        assert ran == [0]

    def test_and_is_left_out_while_a_pass_judges_and_writes(self, app: App) -> None:
        def work(context: PassContext) -> PassResult:
            with context.judging(), pytest.raises(LeaseLost, match="judging is being done by"):
                fast_once(app)
            return nothing(context)

        assert run_pass_once(app, work=work).errors == []

    def given_back_at_the_first_look(self, app: App, clock: Clock, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """Another process has the lease, and gives it back as soon as somebody found it taken."""
        elsewhere = leases.take(app.store, name, "elsewhere/77", 60, clock.seconds)
        real = leases.take

        def take(store: Store, wanted: str, *rest: Any) -> leases.LeaseGrant:
            try:
                return real(store, wanted, *rest)
            except LeaseLost:
                leases.release(store, elsewhere)
                raise

        monkeypatch.setattr(leases, "take", take)

    def test_the_judging_of_a_pass_waits_for_the_fast_lane_to_end(self, app: App, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given_back_at_the_first_look(app, clock, monkeypatch, JUDGING)

        def work(context: PassContext) -> PassResult:
            with context.judging():
                held = leases.held_by(context.store, JUDGING, clock.seconds)
                assert held is not None
                assert held.holder == holder()
            return nothing(context)

        assert run_pass_once(app, work=work).errors == []
        assert leases.held_by(app.store, JUDGING, clock.seconds) is None

    def test_but_not_for_ever(self, app: App, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exclusive, "JUDGING_LOOKS", 3)
        leases.take(app.store, JUDGING, "elsewhere/77", 60, clock.seconds)

        def work(context: PassContext) -> PassResult:
            with pytest.raises(LeaseLost, match="elsewhere/77"), context.judging():
                raise AssertionError("another judges")
            return nothing(context)

        run_pass_once(app, work=work)

    def test_both_leases_are_renewed(self, app: App, clock: Clock) -> None:
        def fresh(context: PassContext, name: str) -> bool:
            held = leases.held_by(context.store, name, clock.seconds)
            return held is not None and held.until > clock.seconds() + 50

        def work(context: PassContext) -> PassResult:
            with context.judging():
                clock.at += timedelta(seconds=50)
                until(lambda: fresh(context, PASS) and fresh(context, JUDGING))
            return nothing(context)

        assert run_pass_once(app, work=work).errors == []

    def test_threads_of_one_process_wait_for_each_other_too(self, app: App) -> None:
        """A lease tells processes apart: its own holder could take it twice."""

        def work(context: PassContext) -> PassResult:
            with pytest.raises(LeaseLost, match=r"pass is being done by .* already"):
                pull_once(app)
            return nothing(context)

        assert run_pass_once(app, work=work).errors == []

    @pytest.mark.parametrize("deletes", [False, True])
    def test_a_patient_job_waits_for_the_pass(self, app: App, clock: Clock, monkeypatch: pytest.MonkeyPatch, deletes: bool) -> None:
        self.given_back_at_the_first_look(app, clock, monkeypatch, PASS)
        assert pull_once(app, deletes=deletes, patient=True).errors == []
        assert [run.command for run in runs.last_runs(app.store)] == ["deletes" if deletes else "pull"]

    def test_a_command_says_at_once_who_is_at_it(self, app: App, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given_back_at_the_first_look(app, clock, monkeypatch, PASS)
        with pytest.raises(LeaseLost, match="elsewhere/77"):
            pull_once(app)

    def test_a_patient_job_ends_when_it_is_asked_to(self, app: App, clock: Clock) -> None:
        leases.take(app.store, PASS, "elsewhere/77", 60, clock.seconds)
        with pytest.raises(LeaseLost):
            pull_once(app, patient=True, stopped=lambda: True)

    @pytest.mark.parametrize(("paused", "left_out"), [("deletes", "deletes"), ("reconcile", "reconcile"), ("fast", "fast")])
    def test_jobs_are_paused_by_name(self, app: App, paused: str, left_out: str) -> None:
        pauses.pause(app.store, "job", paused, now=NOW)
        work: dict[str, Callable[[], object]] = {
            "pass": lambda: run_pass_once(app, work=nothing),
            "deletes": lambda: pull_once(app, deletes=True),
            "reconcile": lambda: reconcile_once(app),
            "fast": lambda: fast_once(app),
        }
        for name, one in work.items():
            if name == left_out:
                with pytest.raises(Paused, match=f"the job {name} is paused"):
                    one()
            else:
                one()


class TestService:
    def test_every_job_of_the_file_is_scheduled(self, app: App) -> None:
        assert scheduled(app.config.schedule) == {"pass": "every 5 minutes", "deletes": "every 6 hours", "reconcile": "0 3 * * sun"}
        more = FILE + "fast = { every = '90 seconds', when = 'TRUE' }\n"
        assert scheduled(loads(more.replace("TRUE", "owner IS NULL"), source="config.toml").schedule)["fast"] == "every 90 seconds"

    def test_a_job_whose_time_went_by_while_the_service_was_down_comes_first(self, app: App) -> None:
        due, here = trigger("every 6 hours", BERLIN), NOW.astimezone(BERLIN)

        def ran(at: datetime, **ended: Any) -> None:
            run = runs.start_run(app.store, "deletes", "live", now=at)
            if ended:
                runs.finish_run(app.store, run, "done", now=at, summary=ended)

        never = first_time(app.store, "deletes", due, here)
        assert never is not None
        assert never > here
        ran(NOW - timedelta(hours=2), interrupted=False)
        assert first_time(app.store, "deletes", due, here) == NOW + timedelta(hours=4)
        ran(NOW - timedelta(hours=7), interrupted=False)
        assert first_time(app.store, "deletes", due, here) == NOW
        ran(NOW - timedelta(hours=1), interrupted=True)
        assert first_time(app.store, "deletes", due, here) == NOW
        ran(NOW - timedelta(hours=1))  # killed
        assert first_time(app.store, "deletes", due, here) == NOW

    def serve(self, app: App, work: Callable[[PassContext], PassResult]) -> tuple[Service, threading.Event, threading.Thread]:
        stop = threading.Event()
        service = Service(app, stop=stop, work=work)
        thread = threading.Thread(target=service.run)
        thread.start()
        return service, stop, thread

    def test_it_passes_at_once_beats_and_finishes_what_is_in_hand(self, app: App) -> None:
        began, go_on = threading.Event(), threading.Event()
        seen: list[bool] = []

        def work(context: PassContext) -> PassResult:
            began.set()
            until(context.stopped)
            seen.append(go_on.wait(60))
            return nothing(context)

        service, stop, thread = self.serve(app, work)
        assert began.wait(60)
        stop.set()
        assert thread.is_alive()
        go_on.set()
        thread.join(60)
        assert not thread.is_alive()
        assert seen == [True]
        assert service.served.document() == {"passes": 1, "failed": 0, "skipped": 0, "jobs": {}}
        assert runs.get_meta(app.store, HEARTBEAT) == NOW.isoformat()

    def test_a_failed_pass_does_not_end_it(self, app: App, caplog: pytest.LogCaptureFixture) -> None:
        def work(context: PassContext) -> PassResult:
            result = nothing(context)
            result.errors.append(ConnectorError("HubSpot did not answer", advice="Look again later."))
            return result

        with caplog.at_level(logging.INFO, logger="connector"):
            service, stop, thread = self.serve(app, work)
            until(lambda: service.served.failed == 1)
            assert thread.is_alive()
            stop.set()
            thread.join(60)
        assert "run=1 HubSpot did not answer. Look again later." in caplog.text

    def test_a_bug_is_logged_and_does_not_end_it(self, app: App, caplog: pytest.LogCaptureFixture) -> None:
        def work(context: PassContext) -> PassResult:
            raise KeyError("bug")

        service, stop, thread = self.serve(app, work)
        until(lambda: service.served.failed == 1)
        stop.set()
        thread.join(60)
        assert any(record.levelno == logging.ERROR for record in caplog.records)

    def test_a_pass_of_another_process_is_not_begun_twice(self, app: App, clock: Clock) -> None:
        leases.take(app.store, PASS, "elsewhere/77", 60, clock.seconds)
        service, stop, thread = self.serve(app, nothing)
        until(lambda: service.served.skipped == 1)
        stop.set()
        thread.join(60)
        assert service.served.passes == 0

    def test_a_line_of_the_log_tells_numbers_and_no_data(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, logger="connector"):
            log_pass(PassResult(run=7, mode="live"), seconds=1.25)
        assert caplog.messages == ["A pass ended. run=7 mode=live seen=0 evaluated=0 planned=0 held=0 seconds=1.2 "]
