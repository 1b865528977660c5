"""`plan`: what a pass would do, now or at another moment, without pulling, without keeping a thing, and without anybody waiting for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from connector import engine
from connector.app import App
from connector.engine import PassResult, preview, previewing
from connector.pipeline import preview_state
from connector.pipeline.installation import read_crms
from connector.pipeline.plan.plan import Plan
from connector.sandbox.serve import Sandbox
from connector.store.tables import metadata
from tests.support.company import EVERYTHING, HEAD, Company, config_of, new_company
from tests.system.support import NOW, config_for, rows, running, small_sandbox


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with small_sandbox(contacts=200, leads=80) as box:
        yield box


def everything(app: App) -> dict[str, list[Any]]:
    names = sorted(metadata.tables.keys() - {"run", "budget", "lease"})
    return {name: sorted(map(repr, rows(app, f'SELECT * FROM "{name}"'))) for name in names}


def said(plan: Plan | None) -> list[Any]:
    """What a plan says, without what only a saved one has."""
    assert plan is not None
    return [plan.held, plan.guard, [action.document() | {"state": ""} for action in plan.actions]]


def test_every_table_is_copied_or_read_by_no_step_of_a_pass() -> None:
    """A new table belongs into one of the lists: what a pass reads, a preview must have."""
    state = preview_state
    listed = [*state.BY_CONTACT, *state.WHOLE, *state.BY_RECORD, *state.APART, *state.UNREAD]
    assert sorted(set(listed)) == sorted(metadata.tables)


def test_a_preview_shows_what_the_pass_then_plans_and_keeps_nothing(box: Sandbox, database_url: str) -> None:
    with running(config_for(box, database_url, mode="shadow")) as app:
        engine.run_pass(app.context())
        before = everything(app)
        shown = preview(app.context())
        assert everything(app) == before
        assert said(shown) == said(engine.run_pass(app.context()).plan)
        assert len(shown.actions) > 5


def test_nothing_was_ever_judged_and_a_preview_judges_everybody(box: Sandbox, database_url: str) -> None:
    with running(config_for(box, database_url, mode="shadow")) as app:
        engine.run_pass(app.context())
        judged = said(preview(app.context()))
        app.store.write(lambda connection: connection.execute(text("DELETE FROM meta WHERE name = 'config'")))
        assert said(preview(app.context())) == judged


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


def test_a_page_and_a_whole_pass_go_on_while_a_preview_is_open(box: Sandbox, database_url: str) -> None:
    """By events, not by time: the preview does not end before the others have."""
    with running(config_for(box, database_url, mode="live")) as app, ThreadPoolExecutor(1) as pool:
        engine.run_pass(app.context())
        app.store.write(lambda connection: connection.execute(text("UPDATE contact SET due_at = 0 WHERE NOT gone")))
        done = threading.Event()

        def others() -> list[Any]:
            with app.store.read() as connection:
                due = connection.execute(text("SELECT count(*) FROM contact WHERE due_at = 0")).scalar_one()
            app.store.write(lambda connection: connection.execute(text("UPDATE record SET unify = unify")))  # as a page might, every row
            result = engine.run_pass(app.context())
            done.set()
            return [due, result.evaluated, result.errors]

        with previewing(app.context()) as plan:  # everybody is judged, and nothing taken back yet
            running_beside = pool.submit(others)
            assert done.wait(timeout=60), "the pass waits for the preview"
            assert plan.planned == len(plan.actions)
        due, evaluated, errors = running_beside.result()
        assert due > 100
        assert (evaluated >= due, errors) == (True, [])


class TestAsThePassDoesIt:
    """Whatever happened since the pass before: the preview says what the next pass plans."""

    @pytest.fixture
    def company(self, either_url: str) -> Iterator[Company]:
        with new_company(either_url, EVERYTHING, head=HEAD.replace('"live"', '"shadow"')) as company:
            company.person("1", stage="lead", interest="50", associatedcompanyid="7")
            company.person("2", stage="lead", interest="1")
            company.person("3", stage="subscriber", interest="12")
            company.lead("00Q1", stage="Nurturing", Company="Acme")
            company.run()
            company.later(minutes=5)
            yield company

    def same(self, company: Company) -> list[Any]:
        shown = preview(company.context())
        planned = said(company.run().plan)
        assert said(shown) == planned
        return planned

    def test_nothing(self, company: Company) -> None:
        assert len(self.same(company)[2]) > 2

    def test_a_change(self, company: Company) -> None:
        before = len(self.same(company)[2])
        company.later(minutes=5)
        company.edit("2", interest="60")
        pulled_only(company)
        assert len(self.same(company)[2]) > before

    def test_an_address_that_another_has(self, company: Company) -> None:
        company.edit("00Q1", Email="p2@kunde.example")
        company.edit("3", email="p1@kunde.example")
        pulled_only(company)
        self.same(company)

    def test_time(self, company: Company) -> None:
        company.later(days=3)
        self.same(company)

    def test_new_people_who_are_one_with_others(self, company: Company) -> None:
        company.person("4", "p5@kunde.example", stage="lead", interest="99")
        company.lead("00Q5", "p5@kunde.example", stage="Nurturing")
        company.lead("00Q3", stage="Nurturing")
        pulled_only(company)
        assert len(self.same(company)[2]) > 3

    def test_another_file(self, company: Company) -> None:
        company.config = config_of(EVERYTHING, head=HEAD.replace('"live"', '"shadow"'), edit=(("interest >= 10", "interest >= 1"),))
        assert len(self.same(company)[2]) > 3

    def test_going_live(self, company: Company) -> None:
        company.config = config_of(EVERYTHING)
        shown = preview(company.context())
        planned = company.run().plan
        assert planned is not None
        assert [action.key for action in shown.actions] == [action.key for action in planned.actions]
        assert len(shown.actions) > 2


def pulled_only(company: Company) -> None:
    """What the CRMs have is in the mirror, and nobody is unified or judged."""
    company.furnish()
    read_crms(company.context(), PassResult(run=0, mode="shadow"), now=company.now)
