"""Old activities leave the mirror, and nothing that rules and reports read says anything else than before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from connector.jobs.retention import let_go
from connector.model import ActivityKind
from connector.store.mirror import pages
from tests.support.rule_world import EVERYTHING, World, config_of, running_world

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


def figures(w: World) -> list[list[Any]]:
    return [w.rows(statement) for statement in FIGURES]


def judged_anew(w: World) -> list[list[Any]]:
    """The figures once every contact was made and judged again."""
    w.store.write(lambda connection: connection.execute(text("UPDATE record SET unify = true WHERE contact_id IS NOT NULL")))
    w.all_due()
    w.settle()
    return figures(w)


def activities(w: World) -> set[str]:
    return {row.id for row in w.rows("SELECT id FROM activity WHERE kind <> 'task'")}


def sold_for_months(w: World) -> None:
    """Somebody is called for three months, some calls logged twice, the last run across the day from which on activities are kept."""
    w.person(stage="mql", owner="anna")
    w.person("2", stage="mql", owner="ben")
    w.run()
    for day in (1, 3, 20, 50):
        w.touch(START + timedelta(days=day))
        w.touch(START + timedelta(days=day, minutes=8))
        w.touch(START + timedelta(days=day, minutes=16))
    w.touch(START + timedelta(days=21), kind=ActivityKind.MEETING)
    w.touch(START + timedelta(days=22), by="ben", on="2")
    edge = START + timedelta(days=70)  # thirty days before the hundredth
    for minutes in (-9, -1, 6, 14):
        w.touch(edge + timedelta(minutes=minutes))
    w.touch(START + timedelta(days=95))
    w.at(START + timedelta(days=30))
    w.edit("2", stage="sql")
    w.settle()
    w.at(START + timedelta(days=100))
    w.settle()


def test_no_figure_changes(either_url: str) -> None:
    with running_world(either_url, EVERYTHING + KEEP + ASKING, start=START - timedelta(minutes=5)) as w:
        sold_for_months(w)
        before, had = judged_anew(w), activities(w)
        assert w.contact().touch_count == 7
        gone = let_go(w.store, w.config, now=w.now)
        assert (gone.activities, gone.complete) == (14, True)
        assert len(had - activities(w)) == 14
        assert figures(w) == before
        assert judged_anew(w) == before
        assert let_go(w.store, w.config, now=w.now).total == 0

        pages.reset_cursors(w.store)  # read from the beginning, they do not come back
        w.run()
        assert len(activities(w)) == len(had) - 14
        assert judged_anew(w) == before

        w.config = config_of(either_url, EVERYTHING + ASKING)  # kept for ever from now on: they come back, and count once
        let_go(w.store, w.config, now=w.now)
        pages.reset_cursors(w.store)
        w.settle()
        assert activities(w) == had
        assert judged_anew(w)[:6] == before[:6]


def test_later_runs_take_up_the_edge(url: str) -> None:
    with running_world(url, EVERYTHING + KEEP, start=START - timedelta(minutes=5)) as w:
        sold_for_months(w)
        before = judged_anew(w)
        for days in (0, 1, 10, 40):
            w.at(START + timedelta(days=100 + days))
            let_go(w.store, w.config, now=w.now)
            assert figures(w)[1] == before[1]
        assert activities(w) == set()
        assert judged_anew(w)[1] == before[1]


def test_open_tasks_and_what_is_not_yet_unified_stay(url: str) -> None:
    with running_world(url, EVERYTHING + KEEP, start=START - timedelta(minutes=5)) as w:
        w.person(stage="mql", owner="anna")
        w.settle()
        w.at(START + timedelta(days=2))
        w.settle()
        opened = len(w.rows("SELECT id FROM activity WHERE kind = 'task' AND NOT done"))
        assert opened
        w.touch(START, on="99")
        w.touch(START, on="1")
        w.at(START + timedelta(days=100))
        w.run()
        w.store.write(lambda connection: connection.execute(text("UPDATE activity_link SET contact_id = NULL")))
        assert let_go(w.store, w.config, now=w.now).activities == 1
        assert w.rows("SELECT record_id FROM activity_link WHERE kind = 'call'") == [("1",)]
        assert len(w.rows("SELECT id FROM activity WHERE kind = 'task' AND NOT done")) >= opened


def test_merged_contacts_keep_what_both_had(url: str) -> None:
    with running_world(url, EVERYTHING + KEEP, start=START - timedelta(minutes=5)) as w:
        w.person(stage="mql", owner="anna", email="one@kunde.example")
        w.person("2", owner="ben", email="two@kunde.example")
        w.touch(START + timedelta(days=1))
        w.touch(START + timedelta(days=1), on="2")
        w.touch(START + timedelta(days=2), on="2", by="ben")
        w.run()
        w.at(START + timedelta(days=100))
        w.run()
        let_go(w.store, w.config, now=w.now)
        assert activities(w) == set()
        w.edit("2", email="one@kunde.example")
        w.settle()
        assert w.contact("1").id == w.contact("2").id
        assert len(w.rows("SELECT at FROM touch WHERE contact_id = :id", id=w.contact().id)) == 2
        assert len(w.rows("SELECT at FROM touch")) == 2


@pytest.mark.parametrize("slices", [1, 3])
def test_stopped_between_slices_it_goes_on(url: str, slices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.store.retention.CONTACTS", 1)
    with running_world(url, EVERYTHING + KEEP, start=START - timedelta(minutes=5)) as w:
        for number in range(5):
            w.person(str(number + 1))
            w.touch(START + timedelta(days=1), on=str(number + 1))
        w.run()
        w.at(START + timedelta(days=100))
        w.run()
        asked = iter(range(1000))
        first = let_go(w.store, w.config, now=w.now, stopped=lambda: next(asked) >= slices)
        assert not first.complete
        assert first.activities == slices
        rest = let_go(w.store, w.config, now=w.now)
        assert (rest.activities, rest.complete) == (5 - slices, True)
