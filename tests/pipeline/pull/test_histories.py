"""Histories that no pull brings: of whom they are read, that a crash or an error loses none, and what a rejection learns of them."""

from __future__ import annotations

from typing import Any

import pytest

from connector.errors import ObjectStopped, RateLimited
from connector.pipeline.pull import histories
from tests.support.company import EVERYTHING, HEAD, QUALIFY, REJECTION, SLA, Company, moment, new_company, running_company

RULES = QUALIFY + SLA + REJECTION


def begun(company: Company) -> None:
    """A contact that became MQL a pass ago, known to both CRMs."""
    company.lead(stage="Nurturing", owner="anna")
    company.person(stage="lead", owner="anna")
    company.run()
    company.later(minutes=5)
    company.edit(stage="mql")
    company.settle()
    company.later(hours=1)


def rejection(company: Company) -> Any:
    (row,) = company.rows("SELECT * FROM rejection")
    return row


def entries(company: Company) -> list[tuple[str, str | None, str | None, str | None]]:
    rows = company.rows("SELECT * FROM field_history WHERE crm = 'hubspot' AND property = 'hs_lead_status' ORDER BY at, id")
    return [(row.record_id, row.before, row.after, row.who) for row in rows]


def test_moment_person_and_side_are_the_histories_and_not_the_last_edits(either_url: str) -> None:
    with running_company(either_url, RULES) as company:
        begun(company)
        company.hubspot.user = "ben"
        company.edit(status="UNQUALIFIED", rejection_reason="No need")
        rejected_at = company.now
        company.later(minutes=3)
        company.hubspot.user = "anna"
        company.edit(jobtitle="Head of IT")
        company.later(minutes=3)
        company.run()
        row = rejection(company)
        assert (moment(row.at), row.crm, row.by, row.known_by) == (rejected_at, "hubspot", "ben@acme.example", "history")
        (attempt,) = company.attempts()
        assert moment(attempt.ended_at) == rejected_at


def test_by_salesforces_history_where_hubspot_follows(url: str) -> None:
    with running_company(url, RULES) as company:
        begun(company)
        company.salesforce.user = "chiara"
        company.edit("00Q1", status="Rejected")
        rejected_at = company.now
        company.later(minutes=2)
        company.edit(status="UNQUALIFIED")
        company.later(minutes=2)
        company.run()
        row = rejection(company)
        assert (moment(row.at), row.crm, row.by, row.known_by) == (rejected_at, "salesforce", "chiara@acme.example", "history")


def test_a_change_that_no_history_tells_is_known_since_it_was_seen(url: str) -> None:
    with running_company(url, RULES) as company:
        begun(company)
        company.edit(status="UNQUALIFIED")
        company.hubspot._past.clear()
        company.later(minutes=4)
        company.run()
        row = rejection(company)
        assert (moment(row.at), row.crm, row.by, row.known_by) == (company.now, "hubspot", None, "seen")


def test_they_are_read_of_those_in_which_something_watched_changed(url: str) -> None:
    with running_company(url, EVERYTHING) as company:
        for number in range(1, 40):
            company.person(str(number), stage="lead", status="NEW")
        company.run()
        assert company.hubspot.requests["history"] == 0  # a first pass asks for none
        company.later(minutes=5)
        company.edit("1", jobtitle="CTO")
        company.run()
        assert company.hubspot.requests["history"] == 0
        company.edit("1", status="OPEN")
        company.edit("2", rejection_reason="No need")
        company.edit("3", hubspot_owner_id="ben")
        company.later(minutes=5)
        result = company.run()
        assert company.hubspot.requests["history"] == 1
        assert entries(company) == [
            ("1", None, "NEW", None),
            ("2", None, "NEW", None),
            ("3", None, "NEW", None),
            ("1", "NEW", "OPEN", None),
        ]
        assert result.pulled["hubspot"]["contacts"].calls == 2  # a page of the pull, a batch of histories
        assert company.rows("SELECT * FROM history_due") == []


def test_one_that_comes_rejected_into_a_running_sale_is_read_at_once(url: str) -> None:
    with running_company(url, RULES) as company:
        company.run()
        company.person("7", stage="mql", status="UNQUALIFIED")
        company.person("8", stage="mql", status="NEW")
        company.person("9", stage="lead", status="UNQUALIFIED")
        company.run()
        assert [number for number, *_ in entries(company)] == ["7"]


def test_with_history_in_the_file_they_are_read_once_of_all_that_changed_lately(url: str) -> None:
    with new_company(url, RULES, head=HEAD.replace("[adopt]\n", '[adopt]\nhistory = "30 days"\n')) as company:
        company.edit("901", status="NEW")
        company.later(days=40)
        company.edit("902", status="OPEN")
        company.run()
        assert [number for number, *_ in entries(company)] == ["902"]
        before = company.hubspot.requests["history"]
        company.later(minutes=5)
        company.run()
        assert company.hubspot.requests["history"] == before


@pytest.mark.parametrize("times", [1, 2])
def test_an_error_stops_judgement_and_the_next_pass_goes_on(url: str, times: int) -> None:
    with running_company(url, RULES) as company:
        begun(company)
        company.edit(status="UNQUALIFIED")
        rejected_at = company.now
        company.hubspot.fail("history", RateLimited("too many", crm="hubspot", retry_after=1.0), times=times)
        for _ in range(times):
            company.later(minutes=1)
            assert company.run(errors=("too many",)).evaluated == 0
        company.later(minutes=1)
        company.run()
        assert moment(rejection(company).at) == rejected_at


def test_a_history_that_is_refused_for_good_stops_nobody(url: str) -> None:
    with running_company(url, RULES) as company:
        begun(company)
        company.edit(status="UNQUALIFIED")
        company.hubspot.fail("history", ObjectStopped("no histories", crm="hubspot", code="MISSING_SCOPES"))
        company.later(minutes=1)
        company.run(errors=("no histories",))
        assert (moment(rejection(company).at), rejection(company).known_by) == (company.now, "seen")


def test_what_changes_again_while_it_is_read_is_read_again(url: str) -> None:
    with running_company(url, RULES) as company:
        begun(company)
        company.edit(status="OPEN")
        company.run()

        def meanwhile() -> None:
            company.later(minutes=1)
            company.edit(status="UNQUALIFIED")
            company.store.write(lambda connection: connection.exec_driver_sql("UPDATE history_due SET noted_at = noted_at + 1"))

        company.edit(status="NEW")
        company.hubspot.between("history", meanwhile)
        company.run()
        assert [row.id for row in company.rows("SELECT * FROM history_due")] == ["1"]
        company.later(minutes=1)
        company.run()
        assert [after for _, _, after, _ in entries(company)][-1] == "UNQUALIFIED"


def test_many_are_read_in_batches_and_a_stop_loses_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "BATCH", 10)
    with running_company(url, RULES) as company:
        for number in range(100, 135):
            company.person(str(number), status="NEW")
        company.run()
        company.later(minutes=5)
        for number in range(100, 135):
            company.edit(str(number), status="OPEN")
        company.hubspot.fail("history", RateLimited("too many", crm="hubspot", retry_after=1.0), done=True)
        company.run(errors=("too many",))
        company.later(minutes=1)
        company.run()
        assert len({number for number, *_ in entries(company)}) == 35
        assert company.rows("SELECT * FROM history_due") == []
