"""Records of one person in two CRMs become one contact, whenever and in whichever order they come."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from connector.model import Record
from tests.support.rule_world import EVERYTHING, QUALIFY, SLA, THEN, World, running_world, world


def contacts(w: World) -> list[list[str]]:
    """The ids of each contact's records, without the bystanders."""
    rows = w.rows("SELECT contact_id, id FROM record WHERE id NOT LIKE 'by%' ORDER BY contact_id, id")
    return sorted([row.id for row in group] for _, group in itertools.groupby(rows, key=lambda row: row.contact_id))


def roles(w: World) -> dict[str, str]:
    return {row.id: row.role for row in w.rows("SELECT id, role FROM record WHERE id NOT LIKE 'by%'")}


def lead(w: World, record_id: str) -> Record:
    row = w.salesforce.read("Lead", [record_id], ["Email", "Status", "OwnerId"])[record_id]
    assert isinstance(row, Record)
    return row


@pytest.mark.parametrize("together", [True, False])
def test_by_email_whatever_its_case(url: str, together: bool) -> None:
    with world(url) as w:
        w.person(email=" Ida@Kunde.Example")
        if not together:
            w.run()
        w.lead(Email="ida@kunde.example")
        w.run()
        assert contacts(w) == [["00Q1", "1"]]


@pytest.mark.parametrize("first", ["hubspot", "salesforce", "both"])
def test_by_a_stored_id(either_url: str, first: str) -> None:
    with world(either_url) as w:
        if first != "salesforce":
            w.person(email="one@kunde.example", salesforceleadid="00Q7")
        if first != "hubspot":
            w.lead("00Q7", Email="two@kunde.example")
        w.run()
        w.person(email="one@kunde.example", salesforceleadid="00Q7")
        w.lead("00Q7", Email="two@kunde.example")
        w.run()
        assert contacts(w) == [["00Q7", "1"]]


@pytest.mark.parametrize("how", ["stored id", "email"])
def test_two_contacts_that_turn_out_to_be_one(either_url: str, how: str) -> None:
    with running_world(either_url, EVERYTHING) as w:
        w.person(stage="lead", email="one@kunde.example")
        w.run()
        w.lead(stage="Nurturing", Email="two@kunde.example")
        w.run()
        w.edit("00Q1", stage="Open")
        w.settle()
        w.touch(on="1")
        assert len(contacts(w)) == 2
        assert len(w.tasks("alert")) == 1
        kept = w.contact("00Q1").id
        w.later(minutes=5)
        if how == "email":
            w.edit("00Q1", Email="one@kunde.example")
        else:
            w.edit(salesforceleadid="00Q1")
        w.settle()
        assert contacts(w) == [["00Q1", "1"]]
        contact = w.contact()
        assert (contact.id, contact.stage, contact.touch_count) == (kept, "mql", 1)
        assert w.shows() == "mql"
        assert w.outcomes() == ["open"]
        assert [clock.state for clock in w.clocks()] == ["met"]
        assert len(w.tasks()) == 1
        gone = w.rows("SELECT * FROM contact WHERE gone")
        assert len(gone) == 1


def test_merged_with_open_attempts_on_both_sides_one_is_withdrawn(either_url: str) -> None:
    with running_world(either_url, SLA) as w:
        w.person(stage="mql", email="one@kunde.example", owner="anna")
        w.lead(stage="Open", Email="two@kunde.example", owner="anna")
        w.run()
        w.later(minutes=5)
        w.edit(salesforceleadid="00Q1")
        w.settle()
        assert sorted(row.outcome for row in w.rows("SELECT outcome FROM attempt")) == ["open", "withdrawn"]
        assert sorted(row.state for row in w.rows("SELECT state FROM clock")) == ["ended", "running"]
        w.at("18 16:00")
        w.settle()
        assert len(w.tasks("escalate")) == 1


def test_what_a_merged_contact_was_moved_on_is_not_used_again(either_url: str) -> None:
    with running_world(either_url, QUALIFY) as w:
        w.person("2", stage="lead", email="one@kunde.example")
        w.run()
        w.person(stage="lead", interest="50")
        w.settle()
        w.edit(stage="lead")
        w.settle()
        w.lead("00Q9", stage="Nurturing", Email="p1@kunde.example")
        w.edit("2", salesforceleadid="00Q9")
        w.settle()
        assert len(contacts(w)) == 1
        w.edit("2", interest="60")
        w.settle()
        assert w.stage("2") == "lead"


def test_a_conversion_without_an_address_keeps_the_contact(either_url: str) -> None:
    with running_world(either_url) as w:
        w.lead(stage="Open")
        w.run()
        contact = w.contact("00Q1").id
        w.later(minutes=5)
        w.salesforce.person("Contact", "003A", Email=None)
        w.salesforce.put(replace(lead(w, "00Q1"), converted_to="003A", modified_at=w.now))
        w.run()
        assert contacts(w) == [["003A", "00Q1"]]
        assert w.contact("003A").id == contact
        assert roles(w) == {"003A": "main", "00Q1": "duplicate"}


def test_three_records_in_a_chain_in_one_page(either_url: str) -> None:
    """The contact knows the Lead by e-mail alone, and the Lead what it became by id alone."""
    with world(either_url) as w:
        w.person(email="ida@kunde.example")
        w.lead(Email="ida@kunde.example", stage="Open")
        w.salesforce.person("Contact", "003A", Email="other@kunde.example")
        w.salesforce.put(replace(lead(w, "00Q1"), converted_to="003A"))
        w.run()
        assert contacts(w) == [["003A", "00Q1", "1"]]


def test_a_stored_id_goes_before_a_later_duplicate(url: str) -> None:
    with world(url) as w:
        w.person(salesforceleadid="00Q1")
        w.lead()
        w.later(hours=1)
        w.lead("00Q0", Email="p1@kunde.example", owner="anna")
        w.run()
        assert roles(w) == {"1": "main", "00Q1": "main", "00Q0": "duplicate"}


def test_a_duplicate_is_read_and_never_written(url: str) -> None:
    with running_world(url, QUALIFY + THEN + EVERYTHING.split(THEN)[1]) as w:
        w.person(stage="lead", interest="50")
        w.lead(stage="Nurturing", owner="anna")
        w.lead("00Q0", Email="p1@kunde.example", stage="Nurturing")
        w.touch(on="00Q0")
        w.run()
        assert w.contact().touch_count == 1
        w.settle()
        assert (w.shows("00Q1"), w.shows("00Q0")) == ("Open", "Nurturing")
        assert {effect.record.id for effect in w.salesforce.log} == {"00Q1"}


@pytest.mark.parametrize("how", ["shared mailbox", "two owners"])
def test_the_ambiguous_is_never_written_to(url: str, how: str) -> None:
    with running_world(url, EVERYTHING) as w:
        email = "info@kunde.example" if how == "shared mailbox" else "p1@kunde.example"
        w.person(stage="lead", interest="50", email=email, status="NEW")
        w.lead(stage="Open", owner="anna", Email=email)
        if how == "two owners":
            w.lead("00Q0", stage="Nurturing", owner="ben", Email=email)
        for _ in range(3):
            w.run()
            w.later(days=2)
            w.edit(status="UNQUALIFIED")
            w.all_due()
        assert w.contact().ambiguous is not None
        assert w.writes() == 0


def test_an_archived_record_leaves_the_contact_to_the_others(url: str) -> None:
    with running_world(url) as w:
        w.person(stage="mql")
        w.lead(stage="Open")
        w.run()
        w.salesforce.put(replace(lead(w, "00Q1"), archived=True, modified_at=w.now))
        w.run()
        contact = w.contact()
        assert (contact.gone, contact.in_salesforce, contact.stage) == (0, 0, "mql")


def test_who_is_gone_is_due_no_more_until_they_are_back(either_url: str) -> None:
    with running_world(either_url) as w:
        w.person(stage="mql")
        w.settle()
        w.later(minutes=5)
        w.hubspot.archive("contacts", "1")
        w.look()
        w.settle()
        w.touch(on="1")
        w.run()
        assert (bool(w.contact().gone), w.contact().due_at) == (True, None)
        w.later(minutes=5)
        w.hubspot.restore("contacts", "1")
        w.look()
        w.settle()
        assert (bool(w.contact().gone), w.stage()) == (False, "mql")
