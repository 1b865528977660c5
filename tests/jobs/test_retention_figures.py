"""Old activities leave the mirror, and nothing that rules and reports read says anything else than before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from connector.jobs.retention import let_go
from connector.model import ActivityKind
from connector.store.mirror import pages
from tests.support.company import EVERYTHING, Company, config_of, running_company

START = datetime(2026, 8, 3, 9, 0, tzinfo=UTC)
KEEP = '[scope]\nkeep_activities = "30 days"\n'
ASKING = """
[[qualification.criteria]]
name = "talked lately"
when = "activities('call', '30 days') >= 1"
[[qualification.criteria]]
name = "talked often"
when = "touches('1 year') >= 4"
[qualification]
minimum = 1
"""
FIGURES = (
    "SELECT id, touch_count, touch_channels, first_touch_at, last_touch_at, stage, stage_since, criteria, gone FROM contact ORDER BY 1",
    "SELECT contact_id, at, person, channel FROM touch ORDER BY contact_id, at, person, channel",
    "SELECT contact_id, number, began_at, ended_at, outcome, late FROM attempt ORDER BY contact_id, number",
    "SELECT contact_id, attempt, kind, number, state, met_at, touches, channels FROM clock ORDER BY contact_id, attempt, kind, number",
    "SELECT contact_id, attempt, at, kind, reason, touches FROM rejection ORDER BY contact_id, attempt",
    "SELECT contact_id, number, stage, entered_at, left_at FROM spell ORDER BY contact_id, number",
    "SELECT id, state, rule, kind FROM ledger ORDER BY id",
)


def figures(company: Company) -> list[list[Any]]:
    return [company.rows(statement) for statement in FIGURES]


def judged_anew(company: Company) -> list[list[Any]]:
    """The figures once every contact was made and judged again."""
    company.store.write(lambda connection: connection.execute(text("UPDATE record SET unify = true WHERE contact_id IS NOT NULL")))
    company.all_due()
    company.settle()
    return figures(company)


def activities(company: Company) -> set[str]:
    return {row.id for row in company.rows("SELECT id FROM activity WHERE kind <> 'task'")}


def sold_for_months(company: Company) -> None:
    """Somebody is called for three months, some calls logged twice, the last run across the day from which on activities are kept."""
    company.person(stage="mql", owner="anna")
    company.person("2", stage="mql", owner="ben")
    company.run()
    for day in (1, 3, 20, 50):
        company.touch(START + timedelta(days=day))
        company.touch(START + timedelta(days=day, minutes=8))
        company.touch(START + timedelta(days=day, minutes=16))
    company.touch(START + timedelta(days=21), kind=ActivityKind.MEETING)
    company.touch(START + timedelta(days=22), by="ben", on="2")
    edge = START + timedelta(days=70)  # thirty days before the hundredth
    for minutes in (-9, -1, 1, 14):
        company.touch(edge + timedelta(minutes=minutes))
    company.touch(START + timedelta(days=95))
    company.at(START + timedelta(days=30))
    company.edit("2", stage="sql")
    company.settle()
    company.at(START + timedelta(days=100))
    company.settle()


def test_no_figure_changes(either_url: str) -> None:
    with running_company(either_url, EVERYTHING + KEEP + ASKING, start=START - timedelta(minutes=5)) as company:
        sold_for_months(company)
        before, had = judged_anew(company), activities(company)
        assert company.contact().touch_count == 12
        gone = let_go(company.store, company.config, now=company.now)
        assert (gone.activities, gone.complete) == (14, True)
        assert len(had - activities(company)) == 14
        assert figures(company) == before
        assert judged_anew(company) == before
        assert let_go(company.store, company.config, now=company.now).total == 0

        pages.reset_cursors(company.store)  # read from the beginning, they do not come back
        company.run()
        assert len(activities(company)) == len(had) - 14
        assert judged_anew(company) == before

        company.config = config_of(EVERYTHING + ASKING)  # kept for ever from now on: they come back, and count once
        let_go(company.store, company.config, now=company.now)
        pages.reset_cursors(company.store)
        company.settle()
        assert activities(company) == had
        assert judged_anew(company)[:6] == before[:6]


def test_later_runs_take_up_the_edge(url: str) -> None:
    with running_company(url, EVERYTHING + KEEP, start=START - timedelta(minutes=5)) as company:
        sold_for_months(company)
        before = judged_anew(company)
        for days in (0, 1, 10, 40):
            company.at(START + timedelta(days=100 + days))
            let_go(company.store, company.config, now=company.now)
            assert figures(company)[1] == before[1]
        assert activities(company) == set()
        assert judged_anew(company)[1] == before[1]


def test_open_tasks_and_what_is_not_yet_unified_stay(url: str) -> None:
    with running_company(url, EVERYTHING + KEEP, start=START - timedelta(minutes=5)) as company:
        company.person(stage="mql", owner="anna")
        company.settle()
        company.at(START + timedelta(days=2))
        company.settle()
        opened = len(company.rows("SELECT id FROM activity WHERE kind = 'task' AND NOT done"))
        assert opened
        company.touch(START, on="99")
        company.touch(START, on="1")
        company.at(START + timedelta(days=100))
        company.run()
        company.store.write(lambda connection: connection.execute(text("UPDATE activity_link SET contact_id = NULL")))
        assert let_go(company.store, company.config, now=company.now).activities == 1
        assert company.rows("SELECT record_id FROM activity_link WHERE kind = 'call'") == [("1",)]
        assert len(company.rows("SELECT id FROM activity WHERE kind = 'task' AND NOT done")) >= opened


def test_merged_contacts_keep_what_both_had(url: str) -> None:
    with running_company(url, EVERYTHING + KEEP, start=START - timedelta(minutes=5)) as company:
        company.person(stage="mql", owner="anna", email="one@kunde.example")
        company.person("2", owner="ben", email="two@kunde.example")
        company.touch(START + timedelta(days=1))
        company.touch(START + timedelta(days=1), on="2")
        company.touch(START + timedelta(days=2), on="2", by="ben")
        company.run()
        company.at(START + timedelta(days=100))
        company.run()
        let_go(company.store, company.config, now=company.now)
        assert activities(company) == set()
        company.edit("2", email="one@kunde.example")
        company.settle()
        assert company.contact("1").id == company.contact("2").id
        assert len(company.rows("SELECT at FROM touch WHERE contact_id = :id", id=company.contact().id)) == 2
        assert len(company.rows("SELECT at FROM touch")) == 2


@pytest.mark.parametrize("slices", [1, 3])
def test_stopped_between_slices_it_goes_on(url: str, slices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.store.retention.CONTACTS", 1)
    with running_company(url, EVERYTHING + KEEP, start=START - timedelta(minutes=5)) as company:
        for number in range(5):
            company.person(str(number + 1))
            company.touch(START + timedelta(days=1), on=str(number + 1))
        company.run()
        company.at(START + timedelta(days=100))
        company.run()
        asked = iter(range(1000))
        first = let_go(company.store, company.config, now=company.now, stopped=lambda: next(asked) >= slices)
        assert not first.complete
        assert first.activities == slices
        rest = let_go(company.store, company.config, now=company.now)
        assert (rest.activities, rest.complete) == (5 - slices, True)
