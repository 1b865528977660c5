"""Newly named fields: filled page by page, killed and resumed, silent until they are whole; and formulas, read again on the schedule."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from connector.errors import PassStopped
from connector.jobs.mirror_jobs import look_for_removals
from connector.model import FieldType
from connector.pipeline.context import PassContext
from connector.pipeline.pull.backfill import refresh_calculated
from connector.reports.checks.check import check
from connector.store.mirror import pages as mirror
from tests import ROOT
from tests.pipeline.pull.test_schema_drift import HOUR, MINUTE, facts, suspended
from tests.support.small_world import World, config, world

SEATS = """
[fields.seats]
type = "integer"
hubspot = "seats"

[[transition]]
name = "few seats"
from = ["lead"]
to = "sql"
when = "seats IS NULL OR seats < 10"
"""
PEOPLE = 24


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(f"sqlite:///{tmp_path}/store.db") as made:
        crowd(made)
        yield made


def crowd(made: World) -> None:
    """People with a property that the file does not name yet; every third has few seats, the others many."""
    made.hubspot.page_size = 5
    for number in range(100, 100 + PEOPLE):
        made.person(str(number), f"p{number}@kunde.example", seats="3" if number % 3 == 0 else "300")


def context(here: World, **more: Any) -> PassContext:
    return PassContext(config=here.config, store=here.store, crms=here.crms, now=lambda: here.now, holder="test", **more)


def rows(here: World, statement: str) -> list[Any]:
    with here.store.read() as connection:
        return list(connection.execute(text(statement)).all())


def seats(here: World) -> list[int | None]:
    return [row[0] for row in rows(here, "SELECT f_seats FROM contact JOIN record ON contact_id = contact.id WHERE f_seats IS NOT NULL")]


def moved(here: World) -> int:
    return sum(1 for one in here.hubspot.log if one.value == "salesqualifiedlead")


def test_only_the_new_property_is_read_and_nothing_else_again(here: World) -> None:
    here.run()
    pulls = here.hubspot.requests["pull"]
    here.run(MINUTE)
    quiet = here.hubspot.requests["pull"] - pulls
    here.config = config(more=SEATS)
    result = here.run(MINUTE)
    assert here.hubspot.requests["pull"] - pulls == 2 * quiet
    assert here.hubspot.requests["refill"] == -(-(PEOPLE + 5) // 5)
    assert sorted(one for one in seats(here) if one) == [3] * 8 + [300] * 16
    assert (suspended(here), result.suspended) == ({}, [])
    assert {action.rule for action in result.plan.actions} == {"few seats"} if result.plan else False
    assert moved(here) == 8


def test_one_that_is_named_before_the_first_pull_needs_no_filling(here: World) -> None:
    here.config = config(more=SEATS)
    here.run()
    assert (here.hubspot.requests["refill"], suspended(here), moved(here)) == (0, {}, 8)


def test_says_nothing_while_it_is_filled_and_goes_on_where_it_stopped(here: World) -> None:
    here.run()
    here.config = config(more=SEATS)
    here.hubspot.between("refill", lambda: here.hubspot.fail("refill", PassStopped("the day's share is spent", crm="hubspot")))
    here.run(MINUTE, errors=("the day's share is spent",))
    assert (suspended(here), moved(here)) == ({"seats": ("filling", ["few seats"])}, 0)
    asked = here.hubspot.requests["refill"]
    here.run(MINUTE)
    assert here.hubspot.requests["refill"] - asked == -(-(PEOPLE + 5) // 5) - 1  # the page that was stored is not read again
    assert (suspended(here), moved(here)) == ({}, 8)


def test_a_pull_meanwhile_brings_it_for_what_changes(here: World) -> None:
    """A record edited before the refill resumes is not put back to what a page said before."""
    here.run()
    here.config = config(more=SEATS)
    here.hubspot.between("refill", lambda: here.hubspot.fail("refill", PassStopped("the day's share is spent", crm="hubspot")))
    here.run(MINUTE, errors=("the day's share is spent",))
    here.hubspot.edit("contacts", "103", seats="4")
    here.run(MINUTE)
    assert sorted(one for one in seats(here) if one) == [3] * 8 + [4] + [300] * 15
    assert moved(here) == 9


def test_one_that_was_unnamed_in_the_middle_begins_anew(here: World) -> None:
    """What changed while nobody wanted it was stored without it: the place of the old refill is worth nothing."""
    here.run()
    here.config = config(more=SEATS)
    here.hubspot.between("refill", lambda: here.hubspot.fail("refill", PassStopped("the day's share is spent", crm="hubspot")))
    here.run(MINUTE, errors=("the day's share is spent",))
    here.config = config()
    here.hubspot.edit("contacts", "100", firstname="Early")  # on a page that was filled; now it is stored without seats
    here.run(MINUTE)
    here.config = config(more=SEATS)
    here.run(MINUTE)
    assert len(seats(here)) == PEOPLE
    assert moved(here) == 8


def test_the_file_with_another_place_of_a_field_is_filled_before_it_speaks(here: World) -> None:
    here.config = config(more=SEATS)
    for number in range(100, 100 + PEOPLE):
        here.hubspot.edit("contacts", str(number), desks="700")
    here.run()
    assert moved(here) == 8
    here.config = config(more=SEATS.replace('hubspot = "seats"', 'hubspot = "desks"'))
    here.run(MINUTE)
    assert (here.hubspot.requests["refill"] > 0, set(seats(here))) == (True, {700})
    assert rows(here, "SELECT count(*) FROM cursor WHERE object LIKE 'fill:%'") == [(0,)]


KILL = """
import os, signal, sys
from tests.support.small_world import config, world
from tests.pipeline.pull.test_backfill import SEATS, crowd
from connector.store.database import Store
with world(sys.argv[1], config(more=SEATS)) as made:
    crowd(made)
    left = [int(sys.argv[2])]
    real = made.hubspot.refill
    def refill(*args, **options):
        for page in real(*args, **options):
            yield page
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    made.hubspot.refill = refill
    made.run()
"""


@pytest.mark.parametrize("pages", [1, 4])
def test_killed_in_the_middle_and_run_again(tmp_path: Path, pages: int) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with world(url) as made:
        crowd(made)
        made.run()
    command = [sys.executable, "-c", KILL, url, str(pages)]
    killed = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with world(url, config(more=SEATS)) as made:
        crowd(made)
        assert (suspended(made)["seats"][0], rows(made, "SELECT count(*) FROM cursor WHERE object LIKE 'fill:%'")) == ("filling", [(1,)])
        made.run(MINUTE)
        assert made.hubspot.requests["refill"] == -(-(PEOPLE + 5) // 5) - pages
        assert sorted(one for one in seats(made) if one) == [3] * 8 + [300] * 16
        assert moved(made) == 8


class TestFormulas:
    @pytest.fixture
    def formula(self, here: World) -> World:
        here.config = config(more=SEATS)
        here.hubspot.make_property(facts("contacts", "seats", "number", FieldType.NUMBER, calculated=True))
        here.run()
        assert moved(here) == 8
        silently(here, "seats", "7")
        return here

    def test_no_pull_tells_of_its_change(self, formula: World) -> None:
        formula.run(HOUR)
        assert moved(formula) == 8

    def test_the_look_for_what_no_date_tells_reads_it_again(self, formula: World) -> None:
        formula.now += HOUR
        look_for_removals(context(formula))
        formula.run(MINUTE)
        assert set(seats(formula)) == {7}
        assert moved(formula) == PEOPLE
        assert mirror.get_cursor(formula.store, "hubspot", "formula:contacts") is None

    def test_it_is_read_anew_each_time(self, formula: World) -> None:
        for value in ("8", "9"):
            silently(formula, "seats", value)
            refresh_calculated(context(formula), formula.now)
            formula.run(MINUTE)
            assert set(seats(formula)) == {int(value)}

    def test_check_warns_of_it_and_names_its_rules(self, formula: World) -> None:
        found = check(formula.config, formula.crms, formula.store, now=formula.now)
        (warned,) = [one for one in found if one.topic == "hubspot: formulas"]
        assert (warned.warning, "contacts.seats (field seats, read by few seats)" in warned.message) == (True, True)

    def test_none_in_the_file_costs_nothing(self, here: World) -> None:
        here.run()
        assert refresh_calculated(context(here), here.now) == {}


def silently(here: World, name: str, value: str) -> None:
    """The CRM's own arithmetic: no modified date, no place in what changed."""
    for number in range(100, 100 + PEOPLE):
        here.hubspot._record("contacts", str(number)).properties[name] = value  # type: ignore[index]
