"""Records of one person in two CRMs become one contact, whenever and in whichever order they come."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from connector.model import Record
from tests.support.company import EVERYTHING, QUALIFY, SLA, THEN, Company, new_company, running_company


def contacts(company: Company) -> list[list[str]]:
    """The ids of each contact's records, without the bystanders."""
    rows = company.rows("SELECT contact_id, id FROM record WHERE id NOT LIKE '90%' ORDER BY contact_id, id")
    return sorted([row.id for row in group] for _, group in itertools.groupby(rows, key=lambda row: row.contact_id))


def roles(company: Company) -> dict[str, str]:
    return {row.id: row.role for row in company.rows("SELECT id, role FROM record WHERE id NOT LIKE '90%'")}


def lead(company: Company, record_id: str) -> Record:
    row = company.salesforce.read("Lead", [record_id], ["Email", "Status", "OwnerId"])[record_id]
    assert isinstance(row, Record)
    return row


@pytest.mark.parametrize("together", [True, False])
def test_by_email_whatever_its_case(url: str, together: bool) -> None:
    with new_company(url) as company:
        company.person(email=" Ida@Kunde.Example")
        if not together:
            company.run()
        company.lead(Email="ida@kunde.example")
        company.run()
        assert contacts(company) == [["00Q1", "1"]]


@pytest.mark.parametrize("first", ["hubspot", "salesforce", "both"])
def test_by_a_stored_id(either_url: str, first: str) -> None:
    with new_company(either_url) as company:
        if first != "salesforce":
            company.person(email="one@kunde.example", salesforceleadid="00Q7")
        if first != "hubspot":
            company.lead("00Q7", Email="two@kunde.example")
        company.run()
        company.person(email="one@kunde.example", salesforceleadid="00Q7")
        company.lead("00Q7", Email="two@kunde.example")
        company.run()
        assert contacts(company) == [["00Q7", "1"]]


@pytest.mark.parametrize("how", ["stored id", "email"])
def test_two_contacts_that_turn_out_to_be_one(either_url: str, how: str) -> None:
    with running_company(either_url, EVERYTHING) as company:
        company.person(stage="lead", email="one@kunde.example")
        company.run()
        company.lead(stage="Nurturing", Email="two@kunde.example")
        company.run()
        company.edit("00Q1", stage="Open")
        company.settle()
        company.touch(on="1")
        assert len(contacts(company)) == 2
        assert len(company.tasks("alert")) == 1
        kept = company.contact("00Q1").id
        company.later(minutes=5)
        if how == "email":
            company.edit("00Q1", Email="one@kunde.example")
        else:
            company.edit(salesforceleadid="00Q1")
        company.settle()
        assert contacts(company) == [["00Q1", "1"]]
        contact = company.contact()
        assert (contact.id, contact.stage, contact.touch_count) == (kept, "mql", 1)
        assert company.shows() == "mql"
        assert company.outcomes() == ["open"]
        assert [clock.state for clock in company.clocks()] == ["met"]
        assert len(company.tasks()) == 1
        gone = company.rows("SELECT * FROM contact WHERE gone")
        assert len(gone) == 1


def test_merged_with_open_attempts_on_both_sides_one_is_withdrawn(either_url: str) -> None:
    with running_company(either_url, SLA) as company:
        company.person(stage="mql", email="one@kunde.example", owner="anna")
        company.lead(stage="Open", Email="two@kunde.example", owner="anna")
        company.run()
        company.later(minutes=5)
        company.edit(salesforceleadid="00Q1")
        company.settle()
        assert sorted(row.outcome for row in company.rows("SELECT outcome FROM attempt")) == ["open", "withdrawn"]
        assert sorted(row.state for row in company.rows("SELECT state FROM clock")) == ["ended", "running"]
        company.at("18 16:00")
        company.settle()
        assert len(company.tasks("escalate")) == 1


def test_what_a_merged_contact_was_moved_on_is_not_used_again(either_url: str) -> None:
    with running_company(either_url, QUALIFY) as company:
        company.person("2", stage="lead", email="one@kunde.example")
        company.run()
        company.person(stage="lead", interest="50")
        company.settle()
        company.edit(stage="lead")
        company.settle()
        company.lead("00Q9", stage="Nurturing", Email="p1@kunde.example")
        company.edit("2", salesforceleadid="00Q9")
        company.settle()
        assert len(contacts(company)) == 1
        company.edit("2", interest="60")
        company.settle()
        assert company.stage("2") == "lead"


def test_a_conversion_without_an_address_keeps_the_contact(either_url: str) -> None:
    with running_company(either_url) as company:
        company.lead(stage="Open")
        company.run()
        contact = company.contact("00Q1").id
        company.later(minutes=5)
        company.salesforce.person("Contact", "003A", Email=None)
        company.salesforce.put(replace(lead(company, "00Q1"), converted_to="003A", modified_at=company.now))
        company.run()
        assert contacts(company) == [["003A", "00Q1"]]
        assert company.contact("003A").id == contact
        assert roles(company) == {"003A": "main", "00Q1": "duplicate"}


def test_three_records_in_a_chain_in_one_page(either_url: str) -> None:
    """The contact knows the Lead by e-mail alone, and the Lead what it became by id alone."""
    with new_company(either_url) as company:
        company.person(email="ida@kunde.example")
        company.lead(Email="ida@kunde.example", stage="Open")
        company.salesforce.person("Contact", "003A", Email="other@kunde.example")
        company.salesforce.put(replace(lead(company, "00Q1"), converted_to="003A"))
        company.run()
        assert contacts(company) == [["003A", "00Q1", "1"]]


def test_a_stored_id_goes_before_a_later_duplicate(url: str) -> None:
    with new_company(url) as company:
        company.person(salesforceleadid="00Q1")
        company.lead()
        company.later(hours=1)
        company.lead("00Q0", Email="p1@kunde.example", owner="anna")
        company.run()
        assert roles(company) == {"1": "main", "00Q1": "main", "00Q0": "duplicate"}


def test_a_duplicate_is_read_and_never_written(url: str) -> None:
    with running_company(url, QUALIFY + THEN + EVERYTHING.split(THEN)[1]) as company:
        company.person(stage="lead", interest="50")
        company.lead(stage="Nurturing", owner="anna")
        company.lead("00Q0", Email="p1@kunde.example", stage="Nurturing")
        company.touch(on="00Q0")
        company.run()
        assert company.contact().touch_count == 1
        company.settle()
        assert (company.shows("00Q1"), company.shows("00Q0")) == ("Open", "Nurturing")
        assert {effect.record.id for effect in company.salesforce.log} == {"00Q1"}


@pytest.mark.parametrize("how", ["shared mailbox", "two owners"])
def test_the_ambiguous_is_never_written_to(url: str, how: str) -> None:
    with running_company(url, EVERYTHING) as company:
        email = "info@kunde.example" if how == "shared mailbox" else "p1@kunde.example"
        company.person(stage="lead", interest="50", email=email, status="NEW")
        company.lead(stage="Open", owner="anna", Email=email)
        if how == "two owners":
            company.lead("00Q0", stage="Nurturing", owner="ben", Email=email)
        for _ in range(3):
            company.run()
            company.later(days=2)
            company.edit(status="UNQUALIFIED")
            company.all_due()
        assert company.contact().ambiguous is not None
        assert company.writes() == 0


def test_an_archived_record_leaves_the_contact_to_the_others(url: str) -> None:
    with running_company(url) as company:
        company.person(stage="mql")
        company.lead(stage="Open")
        company.run()
        company.salesforce.put(replace(lead(company, "00Q1"), archived=True, modified_at=company.now))
        company.run()
        contact = company.contact()
        assert (contact.gone, contact.in_salesforce, contact.stage) == (0, 0, "mql")


def test_who_is_gone_is_due_no_more_until_they_are_back(either_url: str) -> None:
    with running_company(either_url) as company:
        company.person(stage="mql")
        company.settle()
        company.later(minutes=5)
        company.hubspot.archive("contacts", "1")
        company.look()
        company.settle()
        company.touch(on="1")
        company.run()
        assert (bool(company.contact().gone), company.contact().due_at) == (True, None)
        company.later(minutes=5)
        company.hubspot.restore("contacts", "1")
        company.look()
        company.settle()
        assert (bool(company.contact().gone), company.stage()) == (False, "mql")
