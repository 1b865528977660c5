"""Merges: two records, or two contacts, turn out to be one person; nothing is done twice, nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.model import Record
from connector.reports.explain import explain
from tests.support.company import EVERYTHING, QUALIFY, SLA, THEN, Company, config_of, new_company, running_company

ID_FIELD = """
[crm.hubspot]
access_token = "env:COMPANY_TOKEN"
[crm.salesforce]
instance_url = "https://rules.example"
client_id = "env:COMPANY_TOKEN"
client_secret = "env:COMPANY_TOKEN"
hubspot_id_field = "HubSpot_Id__c"
"""


def contact_of(company: Company, record_id: str) -> int:
    number: int = company.contact(record_id).id
    return number


def sees_with_id_field(company: Company, url: str) -> None:
    company.config = config_of(crms=ID_FIELD)


def salesforce_merge(company: Company, loser: str, survivor: str) -> None:
    company.salesforce.merge("Lead", loser, survivor)


def test_a_merge_makes_one_contact_of_two(either_url: str) -> None:
    with running_company(either_url, EVERYTHING) as company:
        company.person("1", stage="lead")
        company.person("2", stage="lead", email="other@kunde.example")
        company.run()
        company.touch(on="1")
        company.run()
        assert contact_of(company, "1") != contact_of(company, "2")
        company.later(minutes=5)
        company.hubspot.merge("contacts", "1", "2")
        company.settle()
        assert contact_of(company, "1") == contact_of(company, "2")
        assert company.contact("2").touch_count == 1
        assert not company.contact("2").gone


def test_a_merge_while_a_task_is_in_flight_makes_no_second_one(either_url: str) -> None:
    with running_company(either_url, QUALIFY + THEN + EVERYTHING.split(THEN)[1]) as company:
        company.person("1", stage="lead", interest="50")
        company.lead("00Q2", stage="Nurturing", owner="anna")
        company.run()  # the step of the person in HubSpot is written, and not yet seen
        assert company.writes() > 0
        company.edit("1", salesforceleadid="00Q2")
        company.settle()
        assert contact_of(company, "1") == contact_of(company, "00Q2")
        assert len(company.tasks("alert")) == 1
        assert company.stage() == "mql"


def test_merged_while_both_steps_are_in_flight(either_url: str) -> None:
    with running_company(either_url, QUALIFY + THEN + EVERYTHING.split(THEN)[1]) as company:
        company.person("1", stage="lead", interest="50")
        company.person("2", stage="lead", interest="50", email="other@kunde.example")
        company.run()
        before = len(company.tasks("alert"))
        company.later(minutes=5)
        company.hubspot.merge("contacts", "1", "2")
        company.settle()
        assert len(company.tasks("alert")) == before
        assert company.stage("2") == "mql"
        assert sorted(row.outcome for row in company.rows("SELECT outcome FROM attempt")) in (["open"], ["open", "withdrawn"])


def test_both_have_open_attempts(either_url: str) -> None:
    with running_company(either_url, SLA) as company:
        company.person("1", stage="mql", owner="anna")
        company.person("2", stage="mql", owner="anna", email="other@kunde.example")
        company.run()
        lost = contact_of(company, "2")
        company.later(minutes=5)
        company.hubspot.merge("contacts", "2", "1")
        company.settle()
        assert sorted(row.outcome for row in company.rows("SELECT outcome FROM attempt")) == ["open", "withdrawn"]
        assert sorted(row.state for row in company.rows("SELECT state FROM clock")) == ["ended", "running"]
        told = explain(company.store, company.config, "1", now=company.now)
        assert told["merged"] == [lost]
        assert sorted(one["outcome"] for one in told["attempts"]) == ["open", "withdrawn"]
        assert len([entry for entry in told["history"] if entry["what"] == "attempt 1 begins"]) == 2


def test_a_rejection_of_the_lost_contact_is_remembered(either_url: str) -> None:
    with running_company(either_url, EVERYTHING) as company:
        company.person("1", stage="mql", owner="anna")
        company.person("2", stage="lead", email="other@kunde.example")
        company.run()
        company.later(minutes=5)
        company.edit("1", status="UNQUALIFIED", rejection_reason="No need")
        company.settle()
        rejected = contact_of(company, "1")
        company.edit("2", stage="mql")
        company.settle()
        company.later(minutes=5)
        company.hubspot.merge("contacts", "1", "2")
        company.settle()
        contact = company.contact("2")
        assert contact.id != rejected
        assert bool(contact.rejected_before)
        told = explain(company.store, company.config, "2", now=company.now)
        assert any(entry["what"].endswith("by sales") for entry in told["history"])
        assert company.rows("SELECT merged_into FROM contact WHERE id = :id", id=rejected)[0].merged_into == contact.id
        assert len(company.rows("SELECT * FROM rejection")) == 1


@pytest.mark.parametrize("order", [("1", "2", "3"), ("3", "2", "1"), ("2", "3", "1")])
def test_a_chain_of_merges_in_any_order(either_url: str, order: tuple[str, ...]) -> None:
    """1 into 2, 2 into 3: what comes first, and in how many passes, makes no difference."""
    losers = {"1": (), "2": ("1",), "3": ("1", "2")}
    with running_company(either_url) as company:
        for one in order:
            company.person(one, stage="lead", email=f"{one}@kunde.example")
            row = company.hubspot.read("contacts", [one], ["email", "lifecyclestage"])[one]
            assert isinstance(row, Record)
            company.hubspot.put(replace(row, merged_ids=losers[one]))
            company.settle()
        assert len({contact_of(company, one) for one in order}) == 1
        kept = contact_of(company, "3")
        assert {row.merged_into for row in company.rows("SELECT merged_into FROM contact WHERE merged_into IS NOT NULL")} <= {kept}
        assert not company.contact("3").gone


def test_a_merge_of_a_record_that_was_never_here(either_url: str) -> None:
    """A Lead stores the id of a contact that was merged away before anybody looked; a call was logged on it."""
    with new_company(either_url) as company:
        sees_with_id_field(company, either_url)
        company.lead("00Q1", stage="Nurturing", Email="lead@kunde.example", HubSpot_Id__c="7")
        company.touch(on="7")
        company.run()
        company.person("8", stage="lead", email="else@kunde.example")
        row = company.hubspot.read("contacts", ["8"], ["email", "lifecyclestage"])["8"]
        assert isinstance(row, Record)
        company.hubspot.put(replace(row, merged_ids=("7",)))
        company.settle()
        assert contact_of(company, "8") == contact_of(company, "00Q1")
        assert company.contact("8").touch_count == 1


def test_a_survivor_with_a_new_id(either_url: str) -> None:
    """HubSpot's merges may make a third record of two."""
    with running_company(either_url, EVERYTHING) as company:
        company.person("1", stage="mql", owner="anna")
        company.person("2", stage="lead", email="other@kunde.example")
        company.run()
        company.later(minutes=5)
        kept = contact_of(company, "1")
        company.person("9", stage="mql", owner="anna", email="other@kunde.example")
        company.hubspot.merge("contacts", "1", "9")
        company.hubspot.merge("contacts", "2", "9")
        company.settle()
        assert {contact_of(company, one) for one in "129"} == {kept}
        assert company.outcomes("9") == ["open"]


def test_salesforces_merge_goes_by_the_master_record(either_url: str) -> None:
    with running_company(either_url) as company:
        company.person("1", stage="lead")
        company.lead("00Q1", stage="Nurturing")
        company.lead("00Q5", stage="Nurturing", Email="other@kunde.example")
        company.run()
        company.later(minutes=5)
        salesforce_merge(company, "00Q1", "00Q5")
        company.settle()
        assert contact_of(company, "1") == contact_of(company, "00Q5")
        assert [row.role for row in company.rows("SELECT role FROM record WHERE id = '00Q5'")] == ["main"]


@pytest.mark.parametrize("field", ["hubspot", "salesforce"])
def test_a_merge_joins_the_contacts_of_both_crms(either_url: str, field: str) -> None:
    """The id that is stored on the other side is the loser's: it leads to the survivor."""
    with new_company(either_url) as company:
        sees_with_id_field(company, either_url)
        if field == "hubspot":
            company.person("1", email="a@kunde.example", salesforceleadid="00Q1")
            company.lead("00Q1", Email="b@kunde.example")
        else:
            company.person("1", email="a@kunde.example")
            company.lead("00Q1", Email="b@kunde.example", HubSpot_Id__c="1")
        company.person("2", email="c@kunde.example")
        company.lead("00Q2", Email="d@kunde.example")
        company.run()
        company.later(minutes=5)
        salesforce_merge(company, "00Q1", "00Q2")
        company.hubspot.merge("contacts", "1", "2")
        company.settle()
        assert len({contact_of(company, one) for one in ("1", "2", "00Q1", "00Q2")}) == 1


# ── Whom an id names, whom an address ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stored_id_beats_the_address(either_url: str) -> None:
    with new_company(either_url) as company:
        company.person("1", email="same@kunde.example", salesforceleadid="00Q1")
        company.lead("00Q1", Email="new@kunde.example")
        company.lead("00Q2", Email="same@kunde.example")
        company.run()
        assert contact_of(company, "1") == contact_of(company, "00Q1") != contact_of(company, "00Q2")


def test_where_an_id_says_otherwise_later_nothing_is_written(either_url: str) -> None:
    with new_company(either_url) as company:
        company.person("1", email="same@kunde.example")
        company.lead("00Q2", Email="same@kunde.example")
        company.lead("00Q1", Email="new@kunde.example")
        company.run()
        assert contact_of(company, "1") == contact_of(company, "00Q2")
        company.later(minutes=5)
        company.edit("1", salesforceleadid="00Q1")
        company.settle()
        assert "names another record" in company.contact("1").ambiguous


def test_an_address_that_goes_to_somebody_else_takes_nobodys_stage_along(either_url: str) -> None:
    """Two people change places: their records cannot be told apart any more, and nothing is written to them."""
    with new_company(either_url) as company:
        for number, stage, status in (("1", "lead", "Nurturing"), ("2", "mql", "Open")):
            company.person(number, email=f"{number}@kunde.example", stage=stage)
            company.lead(f"00Q{number}", Email=f"{number}@kunde.example", stage=status)
        company.settle()
        company.later(minutes=5)
        company.edit("1", email="2@kunde.example")
        company.edit("2", email="1@kunde.example")
        company.settle()
        assert company.contact("1").ambiguous == company.contact("00Q2").ambiguous == "records in hubspot that share no address any more"
        assert [company.shows(one) for one in ("1", "2", "00Q1", "00Q2")] == ["lead", "mql", "Nurturing", "Open"]


def test_a_duplicate_whose_address_was_taken_away_is_one_still(either_url: str) -> None:
    with new_company(either_url) as company:
        company.person("1", email="a@kunde.example")
        company.person("2", email="a@kunde.example")
        company.settle()
        company.later(minutes=5)
        company.edit("2", email=None)
        company.settle()
        assert contact_of(company, "1") == contact_of(company, "2")
        assert company.contact("1").ambiguous is None


def test_an_id_that_was_merged_away_before_the_mirror_joins_still(url: str) -> None:
    """HubSpot gives what it merges a new id; Salesforce's record keeps the old one, and need not share an address with the other there."""
    with new_company(url) as company:
        sees_with_id_field(company, url)
        company.person("1", email="old@kunde.example")
        company.person("2", email="h@kunde.example")
        company.hubspot.merge("contacts", "1", "2")
        company.lead("00Q1", Email="s@kunde.example", HubSpot_Id__c="1")
        company.lead("00Q2", Email="h@kunde.example")
        company.settle()
        assert contact_of(company, "00Q1") == contact_of(company, "00Q2") == contact_of(company, "2")
        assert company.contact("2").ambiguous is None


def test_what_joined_two_records_may_be_deleted(url: str) -> None:
    """They are one person still: nothing went to anybody else."""
    with new_company(url) as company:
        for number in ("1", "2"):
            company.person(number, email=f"{number}@kunde.example")
            company.lead(f"00Q{number}", Email=f"{number}@kunde.example")
        company.settle()
        company.later(minutes=5)
        company.hubspot.merge("contacts", "1", "2")
        company.settle()
        company.later(minutes=5)
        company.hubspot.archive("contacts", "2")
        company.look()
        company.settle()
        assert contact_of(company, "00Q1") == contact_of(company, "00Q2")
        assert company.contact("00Q1").ambiguous is None


def test_an_id_of_nobody_says_nothing(either_url: str) -> None:
    with new_company(either_url) as company:
        company.person("1", salesforceleadid="00QGone")
        company.lead("00Q1")
        company.run()
        assert contact_of(company, "1") == contact_of(company, "00Q1")


def test_when_the_record_is_deleted_the_address_speaks_again(either_url: str) -> None:
    with new_company(either_url) as company:
        company.person("1", email="same@kunde.example", salesforceleadid="00Q1")
        company.lead("00Q1", Email="new@kunde.example")
        company.lead("00Q2", Email="same@kunde.example")
        company.run()
        company.later(minutes=5)
        company.salesforce.archive("Lead", "00Q1")
        company.settle()
        assert contact_of(company, "1") == contact_of(company, "00Q2")
        assert company.contact("1").ambiguous is None


@pytest.mark.parametrize("first", ["person", "lead"])
def test_a_further_address_of_hubspot(either_url: str, first: str) -> None:
    with new_company(either_url) as company:
        if first == "lead":
            company.lead("00Q1", Email="second@kunde.example")
            company.run()
        company.person("1", email="first@kunde.example")
        row = company.hubspot.read("contacts", ["1"], ["email"])["1"]
        assert isinstance(row, Record)
        company.hubspot.put(replace(row, emails=("Second@Kunde.example",)))
        company.run()
        company.lead("00Q1", Email="second@kunde.example")
        company.run()
        assert contact_of(company, "1") == contact_of(company, "00Q1")


def test_ids_of_15_and_18_characters_are_the_same(either_url: str) -> None:
    with new_company(either_url) as company:
        company.person("1", email="a@kunde.example", salesforceleadid="00Q5e00000AbCdE")
        company.lead("00Q5e00000AbCdEEAV", Email="b@kunde.example")
        company.run()
        assert contact_of(company, "1") == contact_of(company, "00Q5e00000AbCdEEAV")


def test_the_latest_activity_chooses_among_equals(either_url: str) -> None:
    with running_company(either_url) as company:
        company.lead("00Q1", Email="p@kunde.example")
        company.lead("00Q2", Email="p@kunde.example")
        company.touch(on="00Q2")
        company.run()
        assert {row.id: row.role for row in company.rows("SELECT id, role FROM record WHERE crm = 'salesforce'")} == {
            "00Q1": "duplicate",
            "00Q2": "main",
        }
