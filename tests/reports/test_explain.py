"""What is told about one contact, and why: also why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.model import RecordRef
from connector.reports.explain import explain
from connector.reports.find_contact import Unknown, find, ids_in
from connector.store import fields, pauses
from tests.support.company import DIRECTOR, LEAD, NOW, Company, funnel, new_company

EMAIL = "dora@kunde.example"


@pytest.fixture
def company(either_url: str) -> Iterator[Company]:
    with new_company(either_url, funnel(), fields_read=False) as made:
        yield made


def told(company: Company, who: str = EMAIL, at: datetime | None = None) -> dict[str, Any]:
    return explain(company.store, company.config, who, now=at or company.now)


def named(rows: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    return next(row for row in rows if row["name"] == name)


def happened(found: Mapping[str, Any]) -> list[tuple[str, str, Any, Any]]:
    return [(entry["what"], entry["by"], entry["before"], entry["after"]) for entry in found["history"]]


def director(company: Company, **properties: str | None) -> RecordRef:
    """Known in both CRMs, as a lead of a software company."""
    company.lead(LEAD, EMAIL, Industry="Technology")
    return company.person("151", EMAIL, **{**DIRECTOR, **properties})


#: What people have at hand for the contact 151, beside another whose id is 152.
DESCRIPTIONS = (
    EMAIL,
    " DORA@Kunde.example ",
    "151",
    LEAD,
    LEAD[:15],
    "https://app.hubspot.com/contacts/4711/record/0-1/151",
    "https://app-eu1.hubspot.com/contacts/152/record/0-1/151/view/1?eschref=x",
    "https://app.hubspot.com/contacts/152/contact/151/?interaction=note",
    f"https://acme.lightning.force.com/lightning/r/Lead/{LEAD}/view",
    f"https://acme.my.salesforce.com/{LEAD[:15]}",
)


class TestWhoIsMeant:
    @pytest.fixture
    def known(self, company: Company) -> Company:
        director(company)
        company.person("152", "other@kunde.example")
        company.hubspot.person("companies", "77", name="Kunde")
        company.run()
        return company

    def test_an_email_an_id_or_an_address(self, known: Company) -> None:
        found = told(known)
        with known.store.read() as connection:
            assert {find(connection, who) for who in DESCRIPTIONS} == {found["contact"]}
        assert [(row["crm"], row["object"], row["id"], row["role"]) for row in found["records"]] == [
            ("hubspot", "contacts", "151", "main"),
            ("salesforce", "Lead", LEAD, "main"),
        ]
        assert found["records"][0]["url"] == "https://app.hubspot.com/contacts/4711/record/0-1/151"

    def test_a_further_address_leads_to_the_person_but_its_own_first(self, known: Company) -> None:
        one = known.hubspot.read("contacts", ["151"], ["email", "jobtitle"])["151"]
        known.hubspot.put(replace(one, emails=("Alt@kunde.example", "other@kunde.example"), modified_at=known.now))
        known.run()
        with known.store.read() as connection:
            assert find(connection, "alt@KUNDE.example") == find(connection, "151")
            assert find(connection, "other@kunde.example") == find(connection, "152")

    def test_nobody_is_found_without_naming_him(self, known: Company) -> None:
        for who in ("nobody@kunde.example", "404", "", "https://app.hubspot.com/contacts/151/record/0-1/404"):
            with pytest.raises(Unknown) as error:
                told(known, who)
            assert "connector pull" in error.value.advice
            assert "nobody" not in error.value.message

    def test_an_empty_mirror_says_what_comes_first(self, company: Company) -> None:
        with pytest.raises(Unknown, match="the mirror is empty") as error:
            told(company)
        assert "Pull first" in error.value.advice

    def test_a_company_is_no_contact(self, known: Company) -> None:
        with pytest.raises(Unknown, match="a record of companies"):
            told(known, "77")


class TestAddresses:
    def test_an_account_number_is_never_taken_for_a_record(self) -> None:
        assert list(ids_in("https://app.hubspot.com/contacts/151/objects/0-1/views/all/list")) == ["list", "all", "views", "0-1", "objects"]

    @given(portal=st.integers(1, 10**9), record=st.integers(1, 10**12), behind=st.sampled_from(["", "/", "/view/1", "?a=1/2"]))
    def test_hubspots_pages_lead_to_the_record_alone(self, portal: int, record: int, behind: str) -> None:
        for page in ("record/0-1", "contact"):
            assert list(ids_in(f"https://app.hubspot.com/contacts/{portal}/{page}/{record}{behind}")) == [str(record)]


class TestWhatTheRulesSay:
    def test_every_part_with_its_value(self, company: Company) -> None:
        director(company, hs_buying_role="BUDGET_HOLDER;END_USER", lifecyclestage="mql")
        company.run()
        found = told(company)
        assert [(row["name"], row["met"]) for row in found["criteria"]] == [("industry", True), ("role", True), ("met us", False)]
        assert (found["criteria_met"], found["qualified"]) == (2, True)
        assert named(found["criteria"], "role")["parts"] == [
            {"text": "has(roles, 'CHAMPION')", "value": ["BUDGET_HOLDER", "END_USER"], "met": False},
            {"text": "job_title LIKE '%Director%'", "value": "Director IT", "met": True},
        ]
        assert named(found["criteria"], "met us")["parts"] == [{"text": "activities('meeting', '90 days') >= 1", "value": 0, "met": False}]
        assert [(row["name"], row["points"]) for row in found["scores"]] == [("conversion", 40.0), ("director", 20.0)]
        assert found["score"] == 60.0
        assert found["excluded"] is False
        assert found["scope"]["exclude"]["parts"][0] == {
            "text": "domain(email) = 'acme.example'",
            "value": "kunde.example",
            "met": False,
        }

    def test_a_fading_score_is_todays(self, company: Company) -> None:
        director(company)
        company.run()
        month = told(company, at=NOW + timedelta(days=30))
        assert (month["score"], named(month["scores"], "conversion")["points"]) == (40.0, 20.0)
        step = named(month["transitions"], "qualified")
        assert {"text": "score >= 50", "value": 40.0, "met": False} in step["parts"]
        assert step["fires"] is False

    def test_fields_with_both_sides(self, company: Company) -> None:
        director(company, hubspot_owner_id="ben", hs_lead_status="NEW")
        company.salesforce.edit("Lead", LEAD, FirstName="Dorothea", OwnerId="anna")
        company.run()
        found = told(company)["fields"]
        assert found["first_name"] == {"value": "Dorothea", "hubspot": "Dora", "salesforce": "Dorothea"}
        assert found["industry"] == {"value": "software", "hubspot": None, "salesforce": "software"}
        assert found["lead_status"] == {"value": None, "hubspot": "NEW", "salesforce": "Open"}
        assert found["owner"] == {"value": "anna@acme.example", "hubspot": "ben@acme.example", "salesforce": "anna@acme.example"}
        assert found["last_conversion_at"]["value"] == datetime.fromisoformat("2026-11-18T08:00:00Z")

    def test_it_can_be_printed(self, company: Company) -> None:
        director(company)
        company.run()
        found = orjson.loads(orjson.dumps(told(company)))
        assert set(found) >= {
            *("contact", "records", "fields", "excluded", "stage", "stage_since", "attempt", "score", "scores", "criteria_met"),
            *("criteria", "transitions", "slas", "history"),
        }


class TestWhatKeepsATransition:
    @pytest.fixture
    def company(self, url: str) -> Iterator[Company]:
        """On one database: what is asked of it here is what the tests above ask of both."""
        with new_company(url, funnel(), fields_read=False) as made:
            yield made

    def waits(self, company: Company, name: str = "qualified", who: str = EMAIL) -> tuple[bool, str | None]:
        step = named(told(company, who)["transitions"], name)
        return step["fires"], step["waits"]

    def judged_before_the_step(self, company: Company, **properties: str | None) -> None:
        """In shadow, so that nothing is written and what fires can be seen firing."""
        company.config = funnel(edit=(('mode = "live"', 'mode = "shadow"'),))
        director(company, **properties)
        company.run()

    def test_nothing_keeps_it(self, company: Company) -> None:
        self.judged_before_the_step(company)
        assert self.waits(company) == (True, None)

    def test_the_one_before_comes_first(self, company: Company) -> None:
        self.judged_before_the_step(company)
        assert self.waits(company, "by hand") == (True, "'qualified' comes first")

    def test_its_condition(self, company: Company) -> None:
        self.judged_before_the_step(company, recent_conversion_date=None)
        assert self.waits(company) == (False, None)
        assert self.waits(company, "by hand") == (True, None)

    def test_the_stage(self, company: Company) -> None:
        self.judged_before_the_step(company)
        assert self.waits(company, "accepted") == (False, "it leaves mql; the contact is in lead")

    def test_the_scope(self, company: Company) -> None:
        self.judged_before_the_step(company, jobtitle="Student, Director of the union")
        fires, waits = self.waits(company)
        assert (fires, waits) == (True, "the contact is excluded by [scope]")

    def test_an_ambiguous_contact(self, company: Company) -> None:
        self.judged_before_the_step(company)
        company.lead(LEAD.replace("1AAA", "2AAA"), EMAIL, OwnerId="anna")
        company.salesforce.edit("Lead", LEAD, OwnerId="ben")
        company.run()
        assert "ambiguous contact: 2 open records in salesforce" in (self.waits(company)[1] or "")

    def test_a_pause(self, company: Company) -> None:
        self.judged_before_the_step(company)
        pauses.pause(company.store, "rule", "qualified", now=NOW)
        assert self.waits(company) == (True, "the rule is paused")

    def test_a_field_that_no_pass_has_read(self, company: Company) -> None:
        self.judged_before_the_step(company)
        company.config = funnel(
            edit=(('mode = "live"', 'mode = "shadow"'), ("qualified AND score >= 50", "qualified AND score >= 50 AND seats IS NULL")),
            more='\n[fields.seats]\ntype = "integer"\nhubspot = "seats"\n',
        )
        assert self.waits(company) == (True, "suspended: seats not read yet")
        fields.ensure_fields(company.store, [fields.FieldColumn("f_seats", company.config.field("seats").type)])
        assert self.waits(company) == (True, "suspended: seats not read yet")
        company.run()
        assert self.waits(company) == (True, None)

    def test_evidence_is_used_once(self, company: Company) -> None:
        director(company)
        company.run()
        company.run()
        assert self.waits(company) == (False, "the contact is in mql already")
        company.hubspot.edit("contacts", "151", lifecyclestage="lead")
        company.run(timedelta(hours=1))
        fires, waits = self.waits(company)
        assert fires
        assert waits == "the contact was moved back; it waits until 2027-02-16 10:00 UTC or for a change of last_conversion_at"
        assert told(company)["stage"] == "lead"

    def test_what_is_held(self, company: Company) -> None:
        company.config = funnel(edit=(("stage_changes = 1000", "stage_changes = 0"),))
        director(company)
        company.run()
        fires, waits = self.waits(company)
        assert fires
        assert (waits or "").endswith("is held in plan 1: beyond its guard rail, held for approval")

    def test_what_was_just_written(self, company: Company) -> None:
        director(company)
        company.run()
        assert self.waits(company) == (True, "it was carried out: the next pass sees it")

    def test_what_the_crm_refused(self, company: Company) -> None:
        director(company)
        company.hubspot.refuse("151", "the record is locked by an approval")
        company.run()
        _, waits = self.waits(company)
        assert waits is not None
        assert "set stage lifecyclestage in hubspot is" in waits
        assert "the record is locked by an approval" in waits

    def test_a_rejection_that_waits_for_its_reason(self, company: Company) -> None:
        director(company, lifecyclestage="mql", hubspot_owner_id="anna")
        company.run()
        company.now += timedelta(hours=1)
        company.hubspot.edit("contacts", "151", hs_lead_status="UNQUALIFIED")
        company.run()
        fires, waits = self.waits(company, "accepted")
        assert (fires, waits) == (False, "sales rejected it: first it goes back to lead, at the latest 2026-11-20 11:00 UTC")


class TestClocksAndHistory:
    @pytest.fixture
    def handed_over(self, company: Company) -> Company:
        """Qualified, written, and seen again: owned by Anna since 10:00 UTC, four business hours to go."""
        director(company)
        company.run()
        company.run()
        return company

    def test_a_running_clock_as_of_now(self, handed_over: Company) -> None:
        (clock,) = told(handed_over)["slas"]
        assert (clock["name"], clock["kind"], clock["state"], clock["touches"]) == ("first touch", "response", "running", 0)
        assert clock["started_at"] == NOW
        assert clock["due_at"] == NOW + timedelta(hours=4)
        states = {hours: told(handed_over, at=NOW + timedelta(hours=hours))["slas"][0]["state"] for hours in (2, 3, 5)}
        assert states == {2: "running", 3: "warned", 5: "breached"}

    def test_why_no_clock_runs(self, company: Company) -> None:
        director(company)
        company.run()
        assert told(company)["sla_waits"] == [
            {"name": "first touch", "kind": "response", "parts": [], "waits": "no attempt is open"},
        ]
        company.person("9", "nobody@kunde.example", lifecyclestage="mql")
        company.run()
        assert told(company, "9")["sla_waits"][0]["waits"] == "nobody owns the contact"

    def test_the_whole_way(self, handed_over: Company) -> None:
        company, ref = handed_over, RecordRef(crm="hubspot", object="contacts", id="151")
        company.touch(NOW + timedelta(minutes=30), on=ref.id, id="c1")
        company.run(timedelta(hours=1))
        company.hubspot.edit("contacts", "151", hs_lead_status="UNQUALIFIED", rejection_reason="No need")
        company.run(timedelta(hours=1))
        company.run(timedelta(hours=1))
        company.run()
        found = told(company)
        assert found["stage"] == "lead"
        assert found["attempts"][0]["outcome"] == "disqualified"
        entries = happened(found)
        expected = [
            ("stage", "found", None, "lead"),
            ("set stage lifecyclestage in hubspot", "qualified", "lead", "mql"),
            ("assign hubspot_owner_id in hubspot", "qualified", None, "anna"),
            ("create task alert in hubspot", "qualified", None, "alert"),
            ("stage", "connector", "lead", "mql"),
            ("attempt 1 begins", "connector", None, "open"),
            ("clock first touch", "first touch", None, "running"),
            ("touch", "crm", None, "call by anna@acme.example"),
            ("clock first touch", "first touch", "running", "met"),
            ("contacts hs_lead_status", "hubspot", None, "UNQUALIFIED"),
            ("attempt 1 ends", "connector", "open", "disqualified"),
            ("disqualified by sales", "hubspot", None, "No need"),
            ("set stage lifecyclestage in hubspot", ":rejection", "mql", "lead"),
            ("stage", "connector", "mql", "lead"),
        ]
        assert [entry for entry in expected if entry not in entries] == []
        assert [entry["at"] for entry in found["history"]] == sorted(entry["at"] for entry in found["history"])

    def test_our_own_writes_are_not_told_twice(self, handed_over: Company) -> None:
        assert ("contacts lifecyclestage", "hubspot", "lead", "mql") not in happened(told(handed_over))

    def test_a_persons_edit_is_told_with_the_person(self, handed_over: Company) -> None:
        """By e-mail where the CRM's user is one of its owners, else by the CRM's id of the user."""
        handed_over.now += timedelta(hours=2)
        handed_over.hubspot.user = "ben"
        handed_over.hubspot.edit("contacts", "151", hs_lead_status="OPEN")
        handed_over.now += timedelta(hours=2)
        handed_over.hubspot.user = "4711"
        handed_over.hubspot.edit("contacts", "151", hs_lead_status="UNQUALIFIED")
        handed_over.run()
        entries = happened(told(handed_over))
        assert ("contacts hs_lead_status", "ben@acme.example", None, "OPEN") in entries
        assert ("contacts hs_lead_status", "hubspot user 4711", "OPEN", "UNQUALIFIED") in entries
        assert ("rejected by sales", "4711", None, None) in entries

    def test_a_persons_edit_is_told_with_its_side(self, handed_over: Company) -> None:
        handed_over.now += timedelta(hours=2)
        handed_over.hubspot.edit("contacts", "151", lifecyclestage="sql")
        handed_over.run()
        found = told(handed_over)
        assert ("contacts lifecyclestage", "hubspot", "mql", "sql") in happened(found)
        assert ("stage", "crm", "mql", "sql") in happened(found)
        assert ("attempt 1 ends", "connector", "open", "accepted") in happened(found)
