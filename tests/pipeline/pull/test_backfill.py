"""Newly named fields: filled page by page, killed and resumed, silent until they are whole; and formulas, read again on the schedule."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.errors import PassStopped
from connector.jobs.mirror_jobs import look_for_removals
from connector.model import FieldType
from connector.pipeline.pull.backfill import refresh_calculated
from connector.reports.checks.check import check
from connector.store.mirror import pages as mirror
from tests import ROOT
from tests.pipeline.pull.test_schema_drift import HOUR, MINUTE, facts, suspended
from tests.support.company import Company, funnel, new_company

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
def company(url: str) -> Iterator[Company]:
    with new_company(url, funnel(), fields_read=False) as made:
        crowd(made)
        yield made


def crowd(made: Company) -> None:
    """People with a property that the file does not name yet; every third has few seats, the others many."""
    made.hubspot.page_size = 5
    for number in range(100, 100 + PEOPLE):
        made.person(str(number), f"p{number}@kunde.example", stage="lead", seats="3" if number % 3 == 0 else "300")


def seats(company: Company) -> list[int | None]:
    return [row[0] for row in company.rows("SELECT f_seats FROM contact JOIN record ON contact_id = contact.id WHERE f_seats IS NOT NULL")]


def moved(company: Company) -> int:
    return sum(1 for one in company.hubspot.log if one.value == "sql")


def test_only_the_new_property_is_read_and_nothing_else_again(company: Company) -> None:
    company.run()
    pulls = company.hubspot.requests["pull"]
    company.run(MINUTE)
    quiet = company.hubspot.requests["pull"] - pulls
    company.config = funnel(SEATS)
    result = company.run(MINUTE)
    assert company.hubspot.requests["pull"] - pulls == 2 * quiet
    assert company.hubspot.requests["refill"] == -(-(PEOPLE + 5) // 5)
    assert sorted(one for one in seats(company) if one) == [3] * 8 + [300] * 16
    assert (suspended(company), result.suspended) == ({}, [])
    assert {action.rule for action in result.plan.actions} == {"few seats"} if result.plan else False
    assert moved(company) == 8


def test_one_that_is_named_before_the_first_pull_needs_no_filling(company: Company) -> None:
    company.config = funnel(SEATS)
    company.run()
    assert (company.hubspot.requests["refill"], suspended(company), moved(company)) == (0, {}, 8)


def test_says_nothing_while_it_is_filled_and_goes_on_where_it_stopped(company: Company) -> None:
    company.run()
    company.config = funnel(SEATS)
    company.hubspot.between("refill", lambda: company.hubspot.fail("refill", PassStopped("the day's share is spent", crm="hubspot")))
    company.run(MINUTE, errors=("the day's share is spent",))
    assert (suspended(company), moved(company)) == ({"seats": ("filling", ["few seats"])}, 0)
    asked = company.hubspot.requests["refill"]
    company.run(MINUTE)
    assert company.hubspot.requests["refill"] - asked == -(-(PEOPLE + 5) // 5) - 1  # the page that was stored is not read again
    assert (suspended(company), moved(company)) == ({}, 8)


def test_a_pull_meanwhile_brings_it_for_what_changes(company: Company) -> None:
    """A record edited before the refill resumes is not put back to what a page said before."""
    company.run()
    company.config = funnel(SEATS)
    company.hubspot.between("refill", lambda: company.hubspot.fail("refill", PassStopped("the day's share is spent", crm="hubspot")))
    company.run(MINUTE, errors=("the day's share is spent",))
    company.hubspot.edit("contacts", "103", seats="4")
    company.run(MINUTE)
    assert sorted(one for one in seats(company) if one) == [3] * 8 + [4] + [300] * 15
    assert moved(company) == 9


def test_one_that_was_unnamed_in_the_middle_begins_anew(company: Company) -> None:
    """What changed while nobody wanted it was stored without it: the place of the old refill is worth nothing."""
    company.run()
    company.config = funnel(SEATS)
    company.hubspot.between("refill", lambda: company.hubspot.fail("refill", PassStopped("the day's share is spent", crm="hubspot")))
    company.run(MINUTE, errors=("the day's share is spent",))
    company.mean(funnel())
    company.hubspot.edit("contacts", "100", firstname="Early")  # on a page that was filled; now it is stored without seats
    company.run(MINUTE)
    company.mean(funnel(SEATS))
    company.run(MINUTE)
    assert len(seats(company)) == PEOPLE
    assert moved(company) == 8


def test_the_file_with_another_place_of_a_field_is_filled_before_it_speaks(company: Company) -> None:
    company.config = funnel(SEATS)
    for number in range(100, 100 + PEOPLE):
        company.hubspot.edit("contacts", str(number), desks="700")
    company.run()
    assert moved(company) == 8
    company.config = funnel(SEATS.replace('hubspot = "seats"', 'hubspot = "desks"'))
    company.run(MINUTE)
    assert (company.hubspot.requests["refill"] > 0, set(seats(company))) == (True, {700})
    assert company.rows("SELECT count(*) FROM cursor WHERE object LIKE 'fill:%'") == [(0,)]


KILL = """
import os, signal, sys
from tests.support.company import funnel, new_company
from tests.pipeline.pull.test_backfill import SEATS, crowd
with new_company(sys.argv[1], funnel(SEATS), fields_read=False) as made:
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
    with new_company(url, funnel(), fields_read=False) as made:
        crowd(made)
        made.run()
    command = [sys.executable, "-c", KILL, url, str(pages)]
    killed = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with new_company(url, funnel(SEATS), fields_read=False) as made:
        crowd(made)
        assert (suspended(made)["seats"][0], made.rows("SELECT count(*) FROM cursor WHERE object LIKE 'fill:%'")) == ("filling", [(1,)])
        made.run(MINUTE)
        assert made.hubspot.requests["refill"] == -(-(PEOPLE + 5) // 5) - pages
        assert sorted(one for one in seats(made) if one) == [3] * 8 + [300] * 16
        assert moved(made) == 8


class TestFormulas:
    @pytest.fixture
    def formula(self, company: Company) -> Company:
        company.config = funnel(SEATS)
        company.hubspot.make_property(facts("contacts", "seats", "number", FieldType.NUMBER, calculated=True))
        company.run()
        assert moved(company) == 8
        silently(company, "seats", "7")
        return company

    def test_no_pull_tells_of_its_change(self, formula: Company) -> None:
        formula.run(HOUR)
        assert moved(formula) == 8

    def test_the_look_for_what_no_date_tells_reads_it_again(self, formula: Company) -> None:
        formula.now += HOUR
        look_for_removals(formula.context())
        formula.run(MINUTE)
        assert set(seats(formula)) == {7}
        assert moved(formula) == PEOPLE
        assert mirror.get_cursor(formula.store, "hubspot", "formula:contacts") is None

    def test_it_is_read_anew_each_time(self, formula: Company) -> None:
        for value in ("8", "9"):
            silently(formula, "seats", value)
            refresh_calculated(formula.context(), formula.now)
            formula.run(MINUTE)
            assert set(seats(formula)) == {int(value)}

    def test_check_warns_of_it_and_names_its_rules(self, formula: Company) -> None:
        found = check(formula.config, formula.crms, formula.store, now=formula.now)
        (warned,) = [one for one in found if one.topic == "hubspot: formulas"]
        assert (warned.warning, "contacts.seats (field seats, read by few seats)" in warned.message) == (True, True)

    def test_none_in_the_file_costs_nothing(self, company: Company) -> None:
        company.run()
        assert refresh_calculated(company.context(), company.now) == {}


def silently(company: Company, name: str, value: str) -> None:
    """The CRM's own arithmetic: no modified date, no place in what changed."""
    for number in range(100, 100 + PEOPLE):
        company.hubspot._record("contacts", str(number)).properties[name] = value  # type: ignore[index]
