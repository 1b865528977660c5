"""Whole passes: what an attempt looked like when it began and ended, taken once."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from connector.jobs.retention import let_go
from connector.model import RecordRef
from connector.pipeline.unify.merge import merge_contacts
from connector.store import snapshots
from connector.store.mirror import privacy_forget
from connector.store.snapshots import ShownTouch, shown
from connector.workflows.touches import ONE_TOUCH
from tests.support.company import DIRECTOR, LEAD, NOW, Company, config_of, funnel, moment, new_company, running_company, when

EMAIL = "dora@kunde.example"


def kept(company: Company, record_id: str = "1") -> dict[tuple[int, str], dict[str, Any]]:
    """The snapshots of a contact, by attempt and which."""
    return of(company, company.contact(record_id).id)


def of(company: Company, contact: int) -> dict[tuple[int, str], dict[str, Any]]:
    with company.store.read() as connection:
        told = snapshots.snapshots_of(connection, [contact])
    return {(attempt, which): values for (_, attempt), both in told.items() for which, values in both.items()}


def director(company: Company, **more: str | None) -> None:
    company.person("1", EMAIL, **{**DIRECTOR, "hs_analytics_source": "PAID_SEARCH", **more})
    company.lead(LEAD, EMAIL, Industry="Technology")


def test_a_step_of_ours_has_the_values_that_it_was_decided_on(either_url: str) -> None:
    with running_company(either_url, funnel()) as company:
        director(company)
        decided = company.now
        company.run()
        assert company.shows() == "mql"
        company.later(hours=1)
        company.edit(jobtitle="Student of business")  # known before anybody sees the step
        company.run()
        begin = kept(company)[1, "begin"]
        assert (begin["taken_at"], begin["late"], begin["stage"], begin["outcome"]) == (decided, False, "mql", None)
        assert (begin["criteria"], begin["criteria_met"], begin["qualified"]) == (["industry", "role"], 2, True)
        assert (begin["score"], begin["points"]) == (60.0, {"conversion": 40.0, "director": 20.0})
        assert (begin["lead_source"], begin["conversion_at"]) == ("PAID_SEARCH", when("18 08:00"))
        assert begin["config_version"] == company.config.version
        assert company.rows("SELECT which FROM snapshot WHERE which = 'decided'") == []


def test_a_step_of_somebody_else_has_those_of_the_first_look(either_url: str) -> None:
    with running_company(either_url, funnel()) as company:
        director(company, jobtitle="Clerk", recent_conversion_date=None, stage="mql", owner="ben")
        company.later(minutes=5)
        company.run()
        begin = kept(company)[1, "begin"]
        assert (begin["criteria"], begin["points"], begin["owner"]) == (
            ["industry"], {"conversion": 0.0, "director": 0.0}, "ben@acme.example",
        )  # fmt: skip
        assert (begin["taken_at"], begin["late"]) == (company.now, True)  # it was so before the contact came
        company.later(hours=1)
        company.edit(jobtitle="Director")
        company.run()
        assert kept(company)[1, "begin"] == begin


def test_the_end_has_touches_with_outcome_length_and_gaps(either_url: str) -> None:
    with running_company(either_url, funnel()) as company:
        director(company)
        company.settle()
        began = kept(company)[1, "begin"]["at"]
        company.later(hours=1)
        first = company.now
        company.touch(by="anna", on="1", outcome="No answer", duration_seconds=12.0)
        company.later(hours=2)
        company.touch(by="anna", on=LEAD, outcome="Talked", duration_seconds=300.0)
        company.edit(status="CONNECTED")
        company.edit(stage="sql", owner="chiara")
        company.run()
        end = kept(company)[1, "end"]
        assert (end["outcome"], end["stage"], end["owner"], end["late"]) == ("accepted", "sql", "chiara@acme.example", False)
        assert (end["touch_count"], end["touch_channels"], end["outcomes"]) == (2, 1, ["No answer", "Talked"])
        gaps = [(touch["channel"], touch["person"], touch["seconds"], touch["gap"]) for touch in end["touches"]]
        anna = "anna@acme.example"
        assert gaps == [("call", anna, 12.0, (first - began).total_seconds()), ("call", anna, 300.0, 7200.0)]
        assert end["points"] is not None
        before = kept(company)
        company.later(hours=1)
        company.touch(by="anna", outcome="Again")
        company.edit(jobtitle="Clerk")
        company.all_due()
        company.run()
        assert kept(company) == before


def test_a_decision_that_waits_keeps_what_it_was_decided_on(url: str) -> None:
    """Held beyond its guard rail, it is judged again each pass; the plan shows what was decided first."""
    held = funnel(edit=(("stage_changes = 1000", "stage_changes = 0"),))
    with running_company(url, held) as company:
        director(company)
        company.run()
        (first,) = company.rows("SELECT taken_at, score FROM snapshot WHERE which = 'decided'")
        company.later(hours=1)
        company.edit(jobtitle="Director of everything")
        company.run()
        assert company.rows("SELECT taken_at, score FROM snapshot WHERE which = 'decided'") == [first]
        assert kept(company) == {}


def test_shadow_decides_anew_each_time(url: str) -> None:
    shadow = funnel(edit=(('mode = "live"', 'mode = "shadow"'),))
    with running_company(url, shadow) as company:
        director(company)
        company.run()
        company.later(days=1)
        company.edit(city="Graz")
        company.run()
        (row,) = company.rows("SELECT attempt, taken_at FROM snapshot WHERE which = 'decided'")
        assert (row.attempt, moment(row.taken_at)) == (1, company.now)


def test_attempts_that_were_there_when_the_connector_came(either_url: str) -> None:
    late = config_of(edit=(("clocks_from = 2026-01-01", "clocks_from = 2026-11-18"),))
    with new_company(either_url, late, start=when("19 10:00")) as company:
        for number, stage in (("1", "mql"), ("2", "customer")):
            company.now = when("2 10:00")
            company.person(number, stage=stage)
        company.now = when("19 10:00")
        company.run()
        assert {which: values["late"] for which, values in kept(company).items()} == {(1, "begin"): True}
        assert company.outcomes("2") == ["accepted"]
        assert kept(company, "2") == {}


class TestWithdrawn:
    @pytest.fixture
    def company(self, either_url: str) -> Any:
        with running_company(either_url, funnel()) as company:
            director(company)
            company.settle()
            company.later(hours=1)
            company.touch(by="anna", on="1", outcome="Dora was out")
            company.run()
            company.later(hours=1)
            yield company

    def end(self, company: Company, contact: int) -> dict[str, Any]:
        end = of(company, contact)[1, "end"]
        assert (end["outcome"], end["lead_source"], end["criteria"]) == ("withdrawn", "PAID_SEARCH", ["industry", "role"])
        assert (end["touch_count"], end["at"], end["taken_at"]) == (1, company.now, company.now)
        return end

    def test_gone(self, company: Company) -> None:
        contact = company.contact().id
        company.hubspot.archive("contacts", "1")
        company.salesforce.archive("Lead", LEAD)
        company.look()
        company.run()
        assert self.end(company, contact)["outcomes"] == ["Dora was out"]

    def test_merged_into_another(self, company: Company) -> None:
        contact = company.contact().id
        company.person("0", "first@kunde.example", **{**DIRECTOR, "lifecyclestage": "mql"})
        company.run()
        number = company.contact("0").id
        company.store.write(partial(merge_contacts, groups=[[number, contact]], now=company.now))
        lost = {number, contact} - {row.contact_id for row in company.rows("SELECT contact_id FROM record WHERE id IN ('0', '1')")}
        assert len(lost) == 1
        (end,) = [values for (_, which), values in of(company, lost.pop()).items() if which == "end"]
        assert (end["outcome"], end["at"]) == ("withdrawn", company.now)

    def test_deleted_for_privacy(self, company: Company) -> None:
        contact = company.contact().id
        privacy_forget.forget(company.store, [RecordRef(crm="hubspot", object="contacts", id="1")], now=company.now)
        assert self.end(company, contact)["outcomes"] is None
        assert of(company, contact)[1, "begin"]["outcomes"] is None


def test_clocks_tell_under_which_file_they_started(url: str) -> None:
    with running_company(url, funnel()) as company:
        director(company)
        company.settle()
        before = company.config.version
        company.config = funnel(edit=(("points = 20", "points = 21"),))
        company.later(minutes=30)
        company.run()
        assert [row.config_version for row in company.clocks()] == [before]
        assert before != company.config.version


def test_touches_as_they_are_kept() -> None:
    assert ONE_TOUCH // timedelta(microseconds=1) == snapshots.ONE_TOUCH
    touches = [
        ShownTouch(NOW + timedelta(hours=1), "anna", "call", None, 5.0),
        ShownTouch(NOW + timedelta(hours=3), "ben", "email", "sent", None),
    ]
    columns = shown(touches, NOW)
    assert (columns["touch_count"], columns["touch_channels"], columns["outcomes"]) == (2, 2, '[null,"sent"]')
    assert '"gap":3600.0' in columns["touches"]
    assert '"gap":7200.0' in columns["touches"]
    assert shown((), NOW) == {"touch_count": 0, "touch_channels": 0, "touches": "[]", "outcomes": "[]"}


def test_what_came_of_touches_outlasts_their_activities(either_url: str) -> None:
    """An attempt that is open for months ends with what was let go of meanwhile."""
    with running_company(either_url, funnel(edit=(("[scope]", '[scope]\nkeep_activities = "100 days"'),))) as company:
        director(company)
        company.settle()
        company.later(hours=1)
        company.touch(by="anna", on="1", outcome="No answer", duration_seconds=12.0)
        company.run()
        company.later(days=200)
        company.run()
        assert let_go(company.store, company.config, now=company.now).activities == 1
        company.edit(stage="sql")
        company.run()
        end = kept(company)[1, "end"]
        assert (end["touch_count"], end["outcomes"], [touch["seconds"] for touch in end["touches"]]) == (1, ["No answer"], [12.0])
