"""The mirror against the CRMs: what differs is put right, the numbers add up, and everybody is in one bucket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.adapters.client import Lane
from connector.adapters.memory.crm import MemoryCrm
from connector.errors import ConnectorError, PassStopped, SafetyStop
from connector.jobs.mirror_jobs import Reconciled, reconcile
from connector.model import ActivityKind, Page, Record
from connector.pipeline.pull.reconcile import Compared
from connector.store.database import Store
from connector.store.mirror import pages
from connector.store.mirror.pages import PageResult
from tests.support.company import NOW, Company, funnel, new_company

HOUR = timedelta(hours=1)


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    with at(f"sqlite:///{tmp_path}/store.db") as made:
        yield made


@contextmanager
def at(url: str) -> Iterator[Company]:
    """People 1 to 30 and 901 to 905, Leads 00Q1 to 00Q9, a call and a meeting; read and unified an hour ago."""
    with new_company(url, funnel()) as made:
        made.hubspot.page_size = 10
        for number in range(1, 31):
            made.person(str(number), f"{number}@kunde.example")
        for number in range(1, 10):
            made.lead(f"00Q{number}", f"{number}@kunde.example")
        made.touch(NOW - timedelta(days=3), id="601")
        made.touch(NOW - timedelta(days=300), kind=ActivityKind.MEETING, id="501")
        made.run()
        made.now += HOUR
        yield made


def compared(company: Company, *errors: type[ConnectorError], stopped: Any = lambda: False) -> Reconciled:
    context = company.context(stopped=stopped)
    result = reconcile(context)
    assert [type(error) for error in result.errors] == list(errors)
    for objects in result.objects.values():
        for one in objects.values():
            assert one.seen == one.same + one.repaired + one.set_aside
    return result


def of(result: Reconciled, crm: str = "hubspot", name: str = "contacts") -> dict[str, int]:
    """What came of one object, without calls and what did not happen."""
    return {key: value for key, value in result.objects[crm][name].document().items() if value and key != "calls"}


def execute(company: Company, statement: str) -> None:
    company.store.write(lambda connection: connection.exec_driver_sql(statement))


def hide(crm: MemoryCrm, one: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lists do not show this record."""
    real = crm._numbered
    monkeypatch.setattr(crm, "_numbered", lambda stream: [row for row in real(stream) if row[1].id != one])


def silently(company: Company, number: str, **properties: str) -> None:
    """A change of which no modified date tells."""
    company.hubspot.change_silently("contacts", number, **properties)


def test_the_same_on_both_databases(database_url: str) -> None:
    with at(database_url) as company:
        silently(company, "3", jobtitle="Director")
        company.hubspot.archive("contacts", "7")
        company.hubspot.purge("contacts", "8")
        company.hubspot.delete("meetings", "501")
        execute(company, "DELETE FROM record WHERE id = '9'")
        result = compared(company)
        assert of(result) == {"seen": 33, "same": 31, "repaired": 2, "removed": 2}
        assert of(result, name="meetings") == {"removed": 1}
        leads = of(result, "salesforce", "Lead")  # one has the purged contact's address: held back, unless it was compared before that
        assert (leads["seen"], leads["same"] + leads.get("set_aside", 0)) == (9, 9)
        assert leads["same"] >= 8
        assert {row[0] for row in company.rows("SELECT id FROM record WHERE archived")} == {"7"}
        buckets = {one["name"]: one for one in result.buckets["buckets"]}
        assert sum(one["hubspot"] for one in buckets.values()) == result.buckets["totals"]["hubspot"] == 33


class TestComparing:
    def test_what_is_the_same_is_not_written(self, company: Company) -> None:
        result = compared(company)
        assert of(result) == {"seen": 35, "same": 35}
        assert all(set(of(result, crm, name)) <= {"seen", "same"} for crm in company.crms for name in result.objects[crm])
        assert company.rows("SELECT count(*) FROM record_version") == [(0,)]
        assert company.rows("SELECT count(*) FROM seen") == [(0,)]

    def test_what_no_modified_date_told_is_put_right(self, company: Company) -> None:
        silently(company, "3", jobtitle="Director")
        assert of(compared(company)) == {"seen": 35, "same": 34, "repaired": 1}
        assert of(compared(company)) == {"seen": 35, "same": 35}

    def test_what_is_missing_here_is_read(self, company: Company) -> None:
        execute(company, "DELETE FROM record WHERE id = '9'")
        assert of(compared(company)) == {"seen": 35, "same": 34, "repaired": 1}

    def test_what_is_gone_there_is_removed_with_its_fate(self, company: Company) -> None:
        company.hubspot.archive("contacts", "7")
        company.hubspot.delete("contacts", "8")
        company.hubspot.purge("contacts", "9")
        assert of(compared(company)) == {"seen": 32, "same": 32, "removed": 3}
        assert company.rows("SELECT id FROM record WHERE archived ORDER BY id") == [("7",), ("8",)]
        assert company.rows("SELECT id FROM record WHERE id = '9'") == []
        assert of(compared(company)) == {"seen": 32, "same": 32}

    def test_what_was_set_aside_and_is_gone_there_leaves_the_list(self, company: Company) -> None:
        """What is not in the mirror is told by no removal that was looked for long ago; what is there still, stays or is read."""
        for crm, name, one in (("hubspot", "contacts", "999"), ("salesforce", "Lead", "00Q99"), ("hubspot", "contacts", "9")):
            execute(company, f"INSERT INTO set_aside VALUES ('{crm}', '{name}', '{one}', 'too long', 'shorten it', 0)")
        assert of(compared(company)) == {"seen": 35, "same": 35}
        assert company.rows("SELECT id FROM set_aside") == []

    def test_what_the_list_did_not_show_and_is_there_is_read_by_id(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        """A record that was created while the list went by."""
        silently(company, "5", jobtitle="Director")
        hide(company.hubspot, "5", monkeypatch)
        assert of(compared(company)) == {"seen": 35, "same": 34, "repaired": 1}
        assert company.rows("SELECT archived FROM record WHERE id = '5'") == [(0,)]

    def test_what_a_list_of_salesforce_did_not_show_is_read_by_id(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        company.salesforce.change_silently("Lead", "00Q5", Title="Director")
        hide(company.salesforce, "00Q5", monkeypatch)
        lanes: list[Lane] = []
        crm: MemoryCrm = company.salesforce
        read = crm.read

        def noted(*asked: Any, lane: Lane = "urgent") -> Mapping[str, Record]:
            lanes.append(lane)
            return read(*asked, lane=lane)

        monkeypatch.setattr(company.salesforce, "read", noted)
        assert of(compared(company), "salesforce", "Lead") == {"seen": 9, "same": 8, "repaired": 1}
        assert lanes == ["backfill"]  # nobody waits for it, and there may be very many

    def test_a_side_that_suddenly_shrinks_is_an_error_and_nothing_is_removed(self, company: Company) -> None:
        for number in range(1, 26):
            company.hubspot.delete("contacts", str(number))
        result = compared(company, SafetyStop)
        assert "does not show 25 of the 35 contacts that are here: more than 10%" in result.errors[0].message
        assert company.rows("SELECT id FROM record WHERE archived") == []

    def test_pulls_do_not_notice_a_comparison(self, company: Company) -> None:
        compared(company)
        company.hubspot.edit("contacts", "3", jobtitle="Director")
        assert company.run().pulled["hubspot"]["contacts"].seen == 1


class TestGoingOn:
    def compare(self, company: Company, monkeypatch: pytest.MonkeyPatch, *errors: type[ConnectorError], most: int = 1000) -> Reconciled:
        """A comparison that stops when it has stored so many pages of contacts; how many it stored is in `pages`."""
        real = pages.commit_page
        self.pages = 0

        def commit(store: Store, page: Page, *, under: str = "", **options: Any) -> PageResult:
            if under == "reconcile:contacts":
                if self.pages == most:
                    raise PassStopped("the day's share is spent", crm="hubspot")
                self.pages += 1
            return real(store, page, under=under or None, **options)

        with monkeypatch.context() as patched:
            patched.setattr(pages, "commit_page", commit)
            return compared(company, *errors)

    def test_it_goes_on_where_it_stopped_and_the_numbers_add_up(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        silently(company, "1", jobtitle="Director")  # in the first page: its count is kept with the second
        silently(company, "29", jobtitle="Director")
        company.hubspot.delete("contacts", "8")
        self.compare(company, monkeypatch, PassStopped, most=2)
        company.now += HOUR
        result = self.compare(company, monkeypatch)
        assert of(result) == {"seen": 34, "same": 32, "repaired": 2, "removed": 1}
        assert result.objects["hubspot"]["contacts"].calls == 4
        assert self.pages == 2

    def test_a_comparison_of_long_ago_begins_anew(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        self.compare(company, monkeypatch, PassStopped, most=2)
        company.now += timedelta(days=3)
        assert of(self.compare(company, monkeypatch)) == {"seen": 35, "same": 35}
        assert self.pages == 4

    def test_asked_to_stop_it_ends_between_pages(self, company: Company) -> None:
        limit = company.hubspot.calls() + 12
        result = compared(company, stopped=lambda: company.hubspot.calls() > limit)
        assert result.interrupted
        assert of(compared(company))["seen"] == 35


class TestBuckets:
    def test_everybody_is_in_one_and_they_add_up(self, company: Company) -> None:
        company.person("41", "info@kunde.example")  # a mailbox that several people read
        company.person("42", "42@acme.example")  # excluded by [scope]
        company.lead("00Qa", "only@salesforce.example")
        company.person("43", "1@kunde.example")  # a duplicate of 1
        company.hubspot.archive("contacts", "30")
        company.run()
        result = compared(company)
        assert [one["name"] for one in result.buckets["buckets"]] == [
            "in_both", "only_hubspot", "only_salesforce", "ambiguous", "duplicates", "excluded",
        ]  # fmt: skip
        found = {one["name"]: (one["n"], one["hubspot"], one["salesforce"]) for one in result.buckets["buckets"]}
        assert found == {
            "in_both": (9, 9, 9),
            "only_hubspot": (25, 25, 0),
            "only_salesforce": (1, 0, 1),
            "ambiguous": (1, 1, 0),
            "duplicates": (0, 1, 0),
            "excluded": (1, 1, 0),
        }
        people = company.rows("SELECT crm, count(*) FROM record WHERE object IN ('contacts', 'Lead') AND NOT archived GROUP BY crm")
        assert result.buckets["totals"] == dict(people) == {"hubspot": 37, "salesforce": 10}
        assert sum(one["n"] for one in result.buckets["buckets"]) == company.rows("SELECT count(*) FROM contact WHERE NOT gone")[0][0]

    def test_what_is_gone_is_counted_nowhere(self, company: Company) -> None:
        """Salesforce lists what is in its bin: neither seen nor the same, and removed once, by whichever run sees it first."""
        company.hubspot.archive("contacts", "30")
        company.salesforce.archive("Lead", "00Q9")
        company.run()
        company.salesforce.archive("Lead", "00Q7")
        company.run()
        execute(company, "UPDATE record SET archived = 0, fingerprint = x'' WHERE id = '00Q7'")  # as if no pull had brought it
        first, second = compared(company), compared(company)
        assert of(first, "salesforce", "Lead") == {"seen": 7, "same": 7, "removed": 1}
        assert of(second, "salesforce", "Lead") == {"seen": 7, "same": 7}
        assert first.buckets["totals"] == second.buckets["totals"] == {"hubspot": 34, "salesforce": 7}
        assert {one["name"] for one in second.buckets["buckets"]} == {
            "in_both", "only_hubspot", "only_salesforce", "ambiguous", "duplicates", "excluded",
        }  # fmt: skip

    def test_duplicates_and_doubtful_ones_are_listed_without_anybodys_data(self, company: Company) -> None:
        company.person("41", "info@kunde.example")
        company.person("43", "1@kunde.example")
        company.run()
        result = compared(company)
        (duplicate,) = result.buckets["duplicates"]
        assert {(row["crm"], row["id"]) for row in duplicate["records"]} == {("hubspot", "1"), ("hubspot", "43"), ("salesforce", "00Q1")}
        assert sorted(row["role"] for row in duplicate["records"]) == ["duplicate", "main", "main"]
        (ambiguous,) = result.buckets["ambiguous"]
        assert [row["id"] for row in ambiguous["records"]] == ["41"]
        assert ambiguous["reason"]
        assert "@" not in str(result.document())

    def test_somebody_found_by_the_comparison_is_in_a_bucket(self, company: Company) -> None:
        execute(company, "DELETE FROM record WHERE id = '9'")
        result = compared(company)
        assert sum(one["hubspot"] for one in result.buckets["buckets"]) == 35

    def test_a_comparison_is_on_record(self, company: Company) -> None:
        result = compared(company)
        assert company.rows(f"SELECT command, state FROM run WHERE id = {result.run}") == [("reconcile", "done")]
        assert set(result.document()) == {
            "run", "buckets", "totals", "duplicates", "ambiguous", "objects", "interrupted", "errors",
        }  # fmt: skip
        assert set(result.document()["objects"]["hubspot"]["contacts"]) == {"seen", "same", "repaired", "removed", "set_aside", "calls"}
        assert Compared().document()["seen"] == 0
