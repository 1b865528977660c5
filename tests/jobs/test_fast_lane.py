"""The fast lane: a few contacts read by id, judged and acted on alone, beside whatever else runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest

from connector.engine import PassResult
from connector.errors import ConnectorError, PassStopped
from connector.jobs import fast_lane
from connector.jobs.fast_lane import run_fast
from connector.model import RecordRef
from connector.pipeline.pull.streams import pull
from tests.support.company import DIRECTOR, NOW, Company, funnel, moment, new_company

MINUTE = timedelta(minutes=1)
SCHEDULE = """
[schedule]
fast = { every = "1 minute", when = "stage = 'mql' AND touch_count = 0" }
"""


@pytest.fixture
def company(url: str) -> Iterator[Company]:
    with at(url) as made:
        yield made


def at(url: str) -> AbstractContextManager[Company]:
    return new_company(url, funnel(SCHEDULE))


@pytest.fixture
def dora(company: Company) -> RecordRef:
    return make_dora(company)


def make_dora(company: Company) -> RecordRef:
    """An MQL whom nobody called yet; the mirror knows."""
    ref = company.person("1", "dora@kunde.example", **{**DIRECTOR, "lifecyclestage": "mql", "hubspot_owner_id": "anna"})
    for _ in range(3):
        company.run(after=MINUTE)
    return ref


def rush(company: Company, *errors: type[ConnectorError], after: timedelta = MINUTE) -> PassResult:
    company.now += after
    result = run_fast(company.context())
    assert [type(error) for error in result.errors] == list(errors)
    return result


def touches(company: Company, number: str = "1") -> int:
    (row,) = company.rows(f"SELECT c.touch_count FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = '{number}'")
    return int(row[0])


def test_the_same_on_postgresql(postgres_url: str) -> None:
    with at(postgres_url) as company:
        company.touch(on=make_dora(company).id, id="601")
        assert rush(company).evaluated == 1
        assert touches(company) == 1


def test_a_touch_counts_at_once_without_a_pull(company: Company, dora: RecordRef) -> None:
    company.touch(on=dora.id, id="601")
    pulls = company.hubspot.requests["pull"]
    result = rush(company)
    assert touches(company) == 1
    assert result.evaluated == 1
    assert company.hubspot.requests["pull"] == pulls
    assert company.rows("SELECT count(*) FROM cursor WHERE object = 'calls'") == [(0,)]
    assert rush(company).pulled == {"hubspot": {}, "salesforce": {}}  # she is touched: the lane is not hers any more


def test_an_edit_is_acted_on_at_once(company: Company, dora: RecordRef) -> None:
    company.hubspot.edit("contacts", "1", hs_lead_status="CONNECTED")
    result = rush(company)
    assert result.plan is not None
    assert [(action.rule, str(action.kind), action.after) for action in result.plan.actions] == [("accepted", "set_stage", "sql")]
    assert company.hubspot.value("contacts", "1", "lifecyclestage") == "sql"


def test_a_rejection_is_dated_by_the_history_at_once(company: Company, dora: RecordRef) -> None:
    company.now += MINUTE
    company.hubspot.user = "ben"
    company.hubspot.edit("contacts", "1", hs_lead_status="UNQUALIFIED")
    rejected_at = company.now
    rush(company, after=3 * MINUTE)
    (row,) = company.rows("SELECT at, by, known_by FROM rejection")
    assert (moment(row.at), row.by, row.known_by) == (rejected_at, "ben@acme.example", "history")
    assert company.rows("SELECT * FROM history_due") == []


def test_a_deadline_is_seen_within_the_minute(company: Company, dora: RecordRef) -> None:
    result = rush(company, after=timedelta(hours=6))
    assert result.plan is not None
    assert [action.target for action in result.plan.actions] == ["escalate"]


def test_half_read_people_are_left_to_the_pass(company: Company, dora: RecordRef) -> None:
    """Beside a pull that has brought a record and not yet what happened with it: nobody but the lane's own is unified or judged."""
    company.person("2", "emil@kunde.example", **{**DIRECTOR, "lifecyclestage": "mql"})
    pull(company.context(), company.now)
    company.touch(on=dora.id, id="601")
    assert rush(company).evaluated == 1
    assert company.rows("SELECT contact_id FROM record WHERE id = '2'") == [(None,)]
    company.run(after=MINUTE)
    assert company.rows("SELECT role FROM record WHERE id = '2'") == [("main",)]


def test_time_does_not_run_backwards_for_whom_it_judged(company: Company, dora: RecordRef) -> None:
    """A pass that began before, and comes to judging after the fast lane, leaves its contacts to the next one."""
    began = company.now
    company.touch(on=dora.id, id="601")
    rush(company, after=5 * MINUTE)
    (judged,) = company.rows("SELECT judged_at FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = '1'")
    company.hubspot.edit("contacts", "1", jobtitle="Head of IT")
    company.now = began + MINUTE
    company.run()
    assert company.rows("SELECT judged_at FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = '1'") == [judged]
    company.run(after=10 * MINUTE)
    assert company.rows("SELECT judged_at FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = '1'")[0][0] > judged[0]


def test_nothing_before_the_first_pass_nor_under_another_file(company: Company) -> None:
    company.person("1", "dora@kunde.example", **{**DIRECTOR, "lifecyclestage": "mql", "hubspot_owner_id": "anna"})
    assert rush(company).pulled == {}
    company.run()
    company.run(after=MINUTE)
    assert rush(company).pulled["hubspot"]["contacts"].seen == 1
    company.config = funnel(SCHEDULE, edit=(("points = 20", "points = 21"),))
    assert rush(company).pulled == {}


def test_a_crm_that_does_not_answer_ends_it_and_nothing_is_concluded(company: Company, dora: RecordRef) -> None:
    company.hubspot.fail("read", PassStopped("the day's share is spent", crm="hubspot"))
    assert rush(company, PassStopped, after=timedelta(hours=6)).evaluated == 0
    assert company.rows("SELECT command, state FROM run ORDER BY id DESC LIMIT 1") == [("fast", "failed")]
    assert rush(company).planned == 1


def test_what_came_to_nothing_leaves_no_trace(company: Company, dora: RecordRef) -> None:
    rush(company)  # reads properties that the CRM in memory did not give to a pull
    before = company.rows("SELECT count(*) FROM run")
    rush(company)
    assert company.rows("SELECT count(*) FROM run") == before


def test_the_rest_has_its_turn_the_next_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_lane, "MOST", 2)
    with at(url) as company:
        for number in range(1, 6):
            properties = {**DIRECTOR, "lifecyclestage": "mql", "hubspot_owner_id": "anna"}
            company.person(str(number), f"{number}@kunde.example", **properties)
        for _ in range(3):
            company.run(after=MINUTE)
        asked: list[list[str]] = []
        real = company.hubspot.activities_of

        def watched(object_name: str, ids: Any) -> Any:
            asked.append(list(ids))
            return real(object_name, ids)

        monkeypatch.setattr(company.hubspot, "activities_of", watched)
        for _ in range(5):
            rush(company, after=timedelta(seconds=1))
        assert [len(ids) for ids in asked] == [2] * 5
        assert {one for ids in asked[:3] for one in ids} == {"1", "2", "3", "4", "5"}
        # Who is due goes first, whosever turn it is.
        company.store.write(
            lambda connection: connection.exec_driver_sql(
                f"UPDATE contact SET due_at = {int(NOW.timestamp() * 1e6)} WHERE id = (SELECT contact_id FROM record WHERE id = '3')"
            )
        )
        rush(company, after=timedelta(seconds=1))
        assert "3" in asked[-1]
