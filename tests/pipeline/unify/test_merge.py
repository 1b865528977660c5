"""Merges: two records, or two contacts, turn out to be one person; nothing is done twice, nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.model import Record
from connector.reports.explain import explain
from tests.support.rule_world import EVERYTHING, QUALIFY, SLA, THEN, World, config_of, running_world, world

ID_FIELD = """
[crm.hubspot]
access_token = "env:RULES_TOKEN"
[crm.salesforce]
instance_url = "https://rules.example"
client_id = "env:RULES_TOKEN"
client_secret = "env:RULES_TOKEN"
hubspot_id_field = "HubSpot_Id__c"
"""


def contact_of(w: World, record_id: str) -> int:
    number: int = w.contact(record_id).id
    return number


def sees_with_id_field(w: World, url: str) -> None:
    w.config = config_of(url, crms=ID_FIELD)


def salesforce_merge(w: World, loser: str, survivor: str) -> None:
    w.salesforce.merge("Lead", loser, survivor)


def test_a_merge_makes_one_contact_of_two(either_url: str) -> None:
    with running_world(either_url, EVERYTHING) as w:
        w.person("1", stage="lead")
        w.person("2", stage="lead", email="other@kunde.example")
        w.run()
        w.touch(on="1")
        w.run()
        assert contact_of(w, "1") != contact_of(w, "2")
        w.later(minutes=5)
        w.hubspot.merge("contacts", "1", "2")
        w.settle()
        assert contact_of(w, "1") == contact_of(w, "2")
        assert w.contact("2").touch_count == 1
        assert not w.contact("2").gone


def test_a_merge_while_a_task_is_in_flight_makes_no_second_one(either_url: str) -> None:
    with running_world(either_url, QUALIFY + THEN + EVERYTHING.split(THEN)[1]) as w:
        w.person("1", stage="lead", interest="50")
        w.lead("00Q2", stage="Nurturing", owner="anna")
        w.run()  # the step of the person in HubSpot is written, and not yet seen
        assert w.writes() > 0
        w.edit("1", salesforceleadid="00Q2")
        w.settle()
        assert contact_of(w, "1") == contact_of(w, "00Q2")
        assert len(w.tasks("alert")) == 1
        assert w.stage() == "mql"


def test_merged_while_both_steps_are_in_flight(either_url: str) -> None:
    with running_world(either_url, QUALIFY + THEN + EVERYTHING.split(THEN)[1]) as w:
        w.person("1", stage="lead", interest="50")
        w.person("2", stage="lead", interest="50", email="other@kunde.example")
        w.run()
        before = len(w.tasks("alert"))
        w.later(minutes=5)
        w.hubspot.merge("contacts", "1", "2")
        w.settle()
        assert len(w.tasks("alert")) == before
        assert w.stage("2") == "mql"
        assert sorted(row.outcome for row in w.rows("SELECT outcome FROM attempt")) in (["open"], ["open", "withdrawn"])


def test_both_have_open_attempts(either_url: str) -> None:
    with running_world(either_url, SLA) as w:
        w.person("1", stage="mql", owner="anna")
        w.person("2", stage="mql", owner="anna", email="other@kunde.example")
        w.run()
        lost = contact_of(w, "2")
        w.later(minutes=5)
        w.hubspot.merge("contacts", "2", "1")
        w.settle()
        assert sorted(row.outcome for row in w.rows("SELECT outcome FROM attempt")) == ["open", "withdrawn"]
        assert sorted(row.state for row in w.rows("SELECT state FROM clock")) == ["ended", "running"]
        told = explain(w.store, w.config, "1", now=w.now)
        assert told["merged"] == [lost]
        assert sorted(one["outcome"] for one in told["attempts"]) == ["open", "withdrawn"]
        assert len([entry for entry in told["history"] if entry["what"] == "attempt 1 begins"]) == 2


def test_a_rejection_of_the_lost_contact_is_remembered(either_url: str) -> None:
    with running_world(either_url, EVERYTHING) as w:
        w.person("1", stage="mql", owner="anna")
        w.person("2", stage="lead", email="other@kunde.example")
        w.run()
        w.later(minutes=5)
        w.edit("1", status="UNQUALIFIED", rejection_reason="No need")
        w.settle()
        rejected = contact_of(w, "1")
        w.edit("2", stage="mql")
        w.settle()
        w.later(minutes=5)
        w.hubspot.merge("contacts", "1", "2")
        w.settle()
        contact = w.contact("2")
        assert contact.id != rejected
        assert bool(contact.rejected_before)
        told = explain(w.store, w.config, "2", now=w.now)
        assert any(entry["what"].endswith("by sales") for entry in told["history"])
        assert w.rows("SELECT merged_into FROM contact WHERE id = :id", id=rejected)[0].merged_into == contact.id
        assert len(w.rows("SELECT * FROM rejection")) == 1


@pytest.mark.parametrize("order", [("1", "2", "3"), ("3", "2", "1"), ("2", "3", "1")])
def test_a_chain_of_merges_in_any_order(either_url: str, order: tuple[str, ...]) -> None:
    """1 into 2, 2 into 3: what comes first, and in how many passes, makes no difference."""
    losers = {"1": (), "2": ("1",), "3": ("1", "2")}
    with running_world(either_url) as w:
        for one in order:
            w.person(one, stage="lead", email=f"{one}@kunde.example")
            row = w.hubspot.read("contacts", [one], ["email", "lifecyclestage"])[one]
            assert isinstance(row, Record)
            w.hubspot.put(replace(row, merged_ids=losers[one]))
            w.settle()
        assert len({contact_of(w, one) for one in order}) == 1
        kept = contact_of(w, "3")
        assert {row.merged_into for row in w.rows("SELECT merged_into FROM contact WHERE merged_into IS NOT NULL")} <= {kept}
        assert not w.contact("3").gone


def test_a_merge_of_a_record_that_was_never_here(either_url: str) -> None:
    """A Lead stores the id of a contact that was merged away before anybody looked; a call was logged on it."""
    with world(either_url) as w:
        sees_with_id_field(w, either_url)
        w.lead("00Q1", stage="Nurturing", Email="lead@kunde.example", HubSpot_Id__c="7")
        w.touch(on="7")
        w.run()
        w.person("8", stage="lead", email="else@kunde.example")
        row = w.hubspot.read("contacts", ["8"], ["email", "lifecyclestage"])["8"]
        assert isinstance(row, Record)
        w.hubspot.put(replace(row, merged_ids=("7",)))
        w.settle()
        assert contact_of(w, "8") == contact_of(w, "00Q1")
        assert w.contact("8").touch_count == 1


def test_a_survivor_with_a_new_id(either_url: str) -> None:
    """HubSpot's merges may make a third record of two."""
    with running_world(either_url, EVERYTHING) as w:
        w.person("1", stage="mql", owner="anna")
        w.person("2", stage="lead", email="other@kunde.example")
        w.run()
        w.later(minutes=5)
        kept = contact_of(w, "1")
        w.person("9", stage="mql", owner="anna", email="other@kunde.example")
        w.hubspot.merge("contacts", "1", "9")
        w.hubspot.merge("contacts", "2", "9")
        w.settle()
        assert {contact_of(w, one) for one in "129"} == {kept}
        assert w.outcomes("9") == ["open"]


def test_salesforces_merge_goes_by_the_master_record(either_url: str) -> None:
    with running_world(either_url) as w:
        w.person("1", stage="lead")
        w.lead("00Q1", stage="Nurturing")
        w.lead("00Q5", stage="Nurturing", Email="other@kunde.example")
        w.run()
        w.later(minutes=5)
        salesforce_merge(w, "00Q1", "00Q5")
        w.settle()
        assert contact_of(w, "1") == contact_of(w, "00Q5")
        assert [row.role for row in w.rows("SELECT role FROM record WHERE id = '00Q5'")] == ["main"]


@pytest.mark.parametrize("field", ["hubspot", "salesforce"])
def test_a_merge_joins_the_contacts_of_both_crms(either_url: str, field: str) -> None:
    """The id that is stored on the other side is the loser's: it leads to the survivor."""
    with world(either_url) as w:
        sees_with_id_field(w, either_url)
        if field == "hubspot":
            w.person("1", email="a@kunde.example", salesforceleadid="00Q1")
            w.lead("00Q1", Email="b@kunde.example")
        else:
            w.person("1", email="a@kunde.example")
            w.lead("00Q1", Email="b@kunde.example", HubSpot_Id__c="1")
        w.person("2", email="c@kunde.example")
        w.lead("00Q2", Email="d@kunde.example")
        w.run()
        w.later(minutes=5)
        salesforce_merge(w, "00Q1", "00Q2")
        w.hubspot.merge("contacts", "1", "2")
        w.settle()
        assert len({contact_of(w, one) for one in ("1", "2", "00Q1", "00Q2")}) == 1


# ── Whom an id names, whom an address ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stored_id_beats_the_address(either_url: str) -> None:
    with world(either_url) as w:
        w.person("1", email="same@kunde.example", salesforceleadid="00Q1")
        w.lead("00Q1", Email="new@kunde.example")
        w.lead("00Q2", Email="same@kunde.example")
        w.run()
        assert contact_of(w, "1") == contact_of(w, "00Q1") != contact_of(w, "00Q2")


def test_where_an_id_says_otherwise_later_nothing_is_written(either_url: str) -> None:
    with world(either_url) as w:
        w.person("1", email="same@kunde.example")
        w.lead("00Q2", Email="same@kunde.example")
        w.lead("00Q1", Email="new@kunde.example")
        w.run()
        assert contact_of(w, "1") == contact_of(w, "00Q2")
        w.later(minutes=5)
        w.edit("1", salesforceleadid="00Q1")
        w.settle()
        assert "names another record" in w.contact("1").ambiguous


def test_an_address_that_goes_to_somebody_else_takes_nobodys_stage_along(either_url: str) -> None:
    """Two people change places: their records cannot be told apart any more, and nothing is written to them."""
    with world(either_url) as w:
        for number, stage, status in (("1", "lead", "Nurturing"), ("2", "mql", "Open")):
            w.person(number, email=f"{number}@kunde.example", stage=stage)
            w.lead(f"00Q{number}", Email=f"{number}@kunde.example", stage=status)
        w.settle()
        w.later(minutes=5)
        w.edit("1", email="2@kunde.example")
        w.edit("2", email="1@kunde.example")
        w.settle()
        assert w.contact("1").ambiguous == w.contact("00Q2").ambiguous == "records in hubspot that share no address any more"
        assert [w.shows(one) for one in ("1", "2", "00Q1", "00Q2")] == ["lead", "mql", "Nurturing", "Open"]


def test_a_duplicate_whose_address_was_taken_away_is_one_still(either_url: str) -> None:
    with world(either_url) as w:
        w.person("1", email="a@kunde.example")
        w.person("2", email="a@kunde.example")
        w.settle()
        w.later(minutes=5)
        w.edit("2", email=None)
        w.settle()
        assert contact_of(w, "1") == contact_of(w, "2")
        assert w.contact("1").ambiguous is None


def test_an_id_that_was_merged_away_before_the_mirror_joins_still(url: str) -> None:
    """HubSpot gives what it merges a new id; Salesforce's record keeps the old one, and need not share an address with the other there."""
    with world(url) as w:
        sees_with_id_field(w, url)
        w.person("1", email="old@kunde.example")
        w.person("2", email="h@kunde.example")
        w.hubspot.merge("contacts", "1", "2")
        w.lead("00Q1", Email="s@kunde.example", HubSpot_Id__c="1")
        w.lead("00Q2", Email="h@kunde.example")
        w.settle()
        assert contact_of(w, "00Q1") == contact_of(w, "00Q2") == contact_of(w, "2")
        assert w.contact("2").ambiguous is None


def test_what_joined_two_records_may_be_deleted(url: str) -> None:
    """They are one person still: nothing went to anybody else."""
    with world(url) as w:
        for number in ("1", "2"):
            w.person(number, email=f"{number}@kunde.example")
            w.lead(f"00Q{number}", Email=f"{number}@kunde.example")
        w.settle()
        w.later(minutes=5)
        w.hubspot.merge("contacts", "1", "2")
        w.settle()
        w.later(minutes=5)
        w.hubspot.archive("contacts", "2")
        w.look()
        w.settle()
        assert contact_of(w, "00Q1") == contact_of(w, "00Q2")
        assert w.contact("00Q1").ambiguous is None


def test_an_id_of_nobody_says_nothing(either_url: str) -> None:
    with world(either_url) as w:
        w.person("1", salesforceleadid="00QGone")
        w.lead("00Q1")
        w.run()
        assert contact_of(w, "1") == contact_of(w, "00Q1")


def test_when_the_record_is_deleted_the_address_speaks_again(either_url: str) -> None:
    with world(either_url) as w:
        w.person("1", email="same@kunde.example", salesforceleadid="00Q1")
        w.lead("00Q1", Email="new@kunde.example")
        w.lead("00Q2", Email="same@kunde.example")
        w.run()
        w.later(minutes=5)
        w.salesforce.archive("Lead", "00Q1")
        w.settle()
        assert contact_of(w, "1") == contact_of(w, "00Q2")
        assert w.contact("1").ambiguous is None


@pytest.mark.parametrize("first", ["person", "lead"])
def test_a_further_address_of_hubspot(either_url: str, first: str) -> None:
    with world(either_url) as w:
        if first == "lead":
            w.lead("00Q1", Email="second@kunde.example")
            w.run()
        w.person("1", email="first@kunde.example")
        row = w.hubspot.read("contacts", ["1"], ["email"])["1"]
        assert isinstance(row, Record)
        w.hubspot.put(replace(row, emails=("Second@Kunde.example",)))
        w.run()
        w.lead("00Q1", Email="second@kunde.example")
        w.run()
        assert contact_of(w, "1") == contact_of(w, "00Q1")


def test_ids_of_15_and_18_characters_are_the_same(either_url: str) -> None:
    with world(either_url) as w:
        w.person("1", email="a@kunde.example", salesforceleadid="00Q5e00000AbCdE")
        w.lead("00Q5e00000AbCdEEAV", Email="b@kunde.example")
        w.run()
        assert contact_of(w, "1") == contact_of(w, "00Q5e00000AbCdEEAV")


def test_the_latest_activity_chooses_among_equals(either_url: str) -> None:
    with running_world(either_url) as w:
        w.lead("00Q1", Email="p@kunde.example")
        w.lead("00Q2", Email="p@kunde.example")
        w.touch(on="00Q2")
        w.run()
        assert {row.id: row.role for row in w.rows("SELECT id, role FROM record WHERE crm = 'salesforce'")} == {
            "00Q1": "duplicate",
            "00Q2": "main",
        }
