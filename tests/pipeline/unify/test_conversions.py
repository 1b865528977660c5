"""A Lead that is converted goes on as a Contact: the same contact of ours, its history, clocks and tasks with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connector.model import Record
from tests.support.company import EVERYTHING, SLA, Company, running_company


def convert(company: Company, lead: str = "00Q1", to: str = "003A", **more: Any) -> None:
    row = company.salesforce.read("Lead", [lead], ["Email", "Status", "OwnerId"])[lead]
    assert isinstance(row, Record)
    company.salesforce.put(replace(row, converted_to=to, modified_at=company.now, **more))


def contact_record(company: Company, record_id: str = "003A", **properties: str | None) -> None:
    company.salesforce.person("Contact", record_id, **{"Email": None, "OwnerId": "anna", **properties})


def roles(company: Company) -> dict[str, str]:
    return {row.id: row.role for row in company.rows("SELECT id, role FROM record WHERE crm = 'salesforce'")}


@pytest.mark.parametrize("first", ["contact", "lead", "together"])
def test_clocks_go_on_whichever_comes_first(either_url: str, first: str) -> None:
    with running_company(either_url, SLA) as company:
        company.lead(stage="Open", owner="anna")
        company.run()
        before = company.contact("00Q1").id
        company.later(minutes=5)
        if first != "lead":
            contact_record(company)
        if first != "contact":
            convert(company)
        if first != "together":
            company.run()
            company.later(minutes=1)
            convert(company)
            contact_record(company)
        company.run()
        assert company.contact("003A").id == before
        assert not company.contact("003A").gone
        assert [clock.state for clock in company.clocks("003A")] == ["running"]
        assert company.outcomes("003A") == ["open"]
        assert roles(company) == {"003A": "main", "00Q1": "duplicate"}
        assert company.stage("003A") == "mql"  # the Lead goes on telling the stage


def test_a_conversion_into_somebody_elses_contact_makes_them_one(either_url: str) -> None:
    with running_company(either_url, EVERYTHING) as company:
        contact_record(company, Email="known@kunde.example")
        company.person("1", stage="lead", email="known@kunde.example")
        company.lead("00Q2", stage="Open", Email="second@kunde.example", owner="anna")
        company.run()
        kept = company.contact("00Q2").id
        assert company.contact("003A").id != kept
        company.later(minutes=5)
        convert(company, "00Q2")
        company.settle()
        assert {company.contact(one).id for one in ("1", "003A", "00Q2")} == {kept}
        assert company.outcomes("003A") == ["open"]


def test_a_lead_converted_twice_goes_with_both(either_url: str) -> None:
    """The conversion is undone and made anew, into another Contact: what was one person stays one."""
    with running_company(either_url) as company:
        company.lead(stage="Open")
        contact_record(company)
        convert(company)
        company.run()
        before = company.contact("00Q1").id
        company.later(minutes=5)
        contact_record(company, "003B")
        convert(company, to="003B")
        company.run()
        assert {company.contact(one).id for one in ("00Q1", "003A", "003B")} == {before}


def test_a_stored_lead_id_leads_to_what_the_lead_became(either_url: str) -> None:
    with running_company(either_url) as company:
        company.person("1", stage="lead", email="one@kunde.example", salesforceleadid="00Q1")
        company.lead(stage="Open", Email="two@kunde.example")
        convert(company)
        contact_record(company, Email="three@kunde.example")
        contact_record(company, "003B", Email="one@kunde.example")
        company.run()
        assert company.contact("1").id == company.contact("003A").id != company.contact("003B").id
        assert company.contact("1").ambiguous is None
