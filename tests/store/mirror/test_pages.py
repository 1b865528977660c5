"""The mirror on both databases: page and cursor together or not at all, unchanged rows not rewritten, versions, and what else must know."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector import conditions
from connector.errors import SafetyStop
from connector.model import (
    FieldChange,
    Owner,
    Record,
    RecordRef,
    SetAside,
    fold,
)
from connector.store.database import Store
from connector.store.mirror import pages
from connector.store.tables import ActivityLink, ActivityRow, ContactRow, OwnerRow, RecordRow, RecordVersion
from tests.store.support import LATER, NOW, add_contact, call, kept_store, mark_unified, page, person, record, rows, store

__all__ = ["kept_store", "store"]  # fixtures


class TestRecords:
    def test_come_as_they_are(self, store: Store) -> None:
        result = pages.commit_page(store, page(person(1, {"jobtitle": "Geschäftsführer 🚀"}, company_id="9")), now=LATER)
        assert (result.seen, result.stored, result.unchanged, result.set_aside) == (1, 1, 0, 0)
        row = record(store, 1)
        assert row.properties == {"email": "P1@Example.org ", "jobtitle": "Geschäftsführer 🚀", "lifecyclestage": "lead"}
        assert (row.email, row.owner_id, row.company_id, row.archived, row.unify) == ("p1@example.org", "7", "9", False, True)
        assert (row.created_at, row.modified_at, row.seen_at, row.contact_id) == (NOW, NOW, LATER, None)

    def test_the_address_is_normalised(self, store: Store) -> None:
        people = [person(1, {"email": " ÄNNA@Example.ORG\n"}), person(2, {"email": "  "}), person(3, {"email": None})]
        pages.commit_page(store, page(*people), now=NOW)
        lead = Record(crm="salesforce", object="Lead", id="1", properties={"Email": "L@X.example"}, created_at=None, modified_at=None)
        pages.commit_page(store, page(lead, crm="salesforce", object_name="Lead"), now=NOW)
        found = {(row.object, row.id): row.email for row in rows(store, RecordRow)}
        assert found == {
            ("contacts", "1"): "änna@example.org",
            ("contacts", "2"): None,
            ("contacts", "3"): None,
            ("Lead", "1"): "l@x.example",
        }

    def test_unchanged_ones_are_not_rewritten(self, store: Store) -> None:
        pages.commit_page(store, page(person(1), person(2)), now=NOW)
        mark_unified(store)
        result = pages.commit_page(store, page(person(1), person(2, {"jobtitle": "CEO"})), now=LATER)
        assert (result.seen, result.stored, result.unchanged) == (2, 1, 1)
        assert [(record(store, n).unify, record(store, n).seen_at) for n in (1, 2)] == [(False, NOW), (True, LATER)]
        assert record(store, 2).contact_id == 2

    def test_a_change_leaves_a_version(self, store: Store) -> None:
        pages.commit_page(store, page(person(1)), now=NOW)
        assert rows(store, RecordVersion) == []
        changed = person(1, {"jobtitle": None}, owner_id="8", modified_at=LATER, archived=True)
        pages.commit_page(store, page(changed), now=LATER)
        pages.commit_page(store, page(person(1, {"jobtitle": "CEO"}, owner_id="8", archived=True)), now=LATER)
        versions = sorted(rows(store, RecordVersion), key=lambda version: int(version.number))
        assert [(version.number, version.changed) for version in versions] == [
            (1, {"jobtitle": ["Director", None], "record.owner_id": ["7", "8"], "record.archived": [False, True]}),
            (2, {"jobtitle": [None, "CEO"]}),
        ]
        assert (versions[0].at, versions[0].seen_at) == (LATER, LATER)

    def test_asking_for_other_properties_is_no_change_of_them(self, store: Store) -> None:
        pages.commit_page(store, page(person(1)), now=NOW)
        other = Record(
            crm="hubspot", object="contacts", id="1", properties={"email": "P1@Example.org ", "city": "Graz"},
            created_at=NOW, modified_at=NOW, owner_id="7",
        )  # fmt: skip
        assert pages.commit_page(store, page(other), now=LATER).stored == 1
        assert record(store, 1).properties == {"email": "P1@Example.org ", "city": "Graz"}
        assert rows(store, RecordVersion) == []

    def test_one_that_comes_twice_in_a_page_counts_once(self, store: Store) -> None:
        result = pages.commit_page(store, page(person(1), person(1, {"jobtitle": "CEO"})), now=NOW)
        assert (result.seen, result.stored, result.unchanged) == (1, 1, 0)
        assert record(store, 1).properties["jobtitle"] == "CEO"

    def test_a_changed_company_marks_its_people(self, store: Store) -> None:
        def company(name: str) -> Record:
            return Record(crm="hubspot", object="companies", id="9", properties={"name": name}, created_at=None, modified_at=None)

        pages.commit_page(store, page(company("Acme"), object_name="companies"), now=NOW)
        assert record(store, 9, "companies").unify is False
        pages.commit_page(store, page(person(1, company_id="9"), person(2, company_id="8"), person(9)), now=NOW)
        mark_unified(store)
        pages.commit_page(store, page(company("Acme"), object_name="companies"), now=LATER)
        assert [record(store, n).unify for n in (1, 2, 9)] == [False, False, False]
        pages.commit_page(store, page(company("Acme AG"), object_name="companies"), now=LATER)
        assert [record(store, n).unify for n in (1, 2, 9)] == [True, False, False]


class TestSetAside:
    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            ({"jobtitle": "a\x00b"}, "NUL"),
            ({"jobtitle": "\ud83d"}, "plain text"),
            ({"amount": 2**63}, "64 bit"),
            ({"amount": -(2**70)}, "64 bit"),
            ({"nested": {"amount": 2**64 - 1}}, "64 bit"),
            ({"nested": [{"text": "\x00"}]}, "NUL"),
        ],
    )
    def test_the_others_go_on_and_the_numbers_add_up(self, store: Store, bad: dict[str, Any], reason: str) -> None:
        given_aside = SetAside(record=RecordRef(crm="hubspot", object="contacts", id="5"), reason="no id", next_step="look")
        result = pages.commit_page(store, page(person(1), person(2, bad), person(3), set_aside=[given_aside]), now=NOW)
        assert (result.seen, result.stored, result.unchanged, result.set_aside) == (4, 2, 0, 2)
        assert {row.id for row in rows(store, RecordRow)} == {"1", "3"}
        listed = {row.id: row for row in pages.list_set_aside(store)}
        assert set(listed) == {"2", "5"}
        assert reason in listed["2"].reason
        assert listed["2"].next_step
        assert pages.count_set_aside(store) == 2

    def test_what_looks_like_it_but_can_be_stored(self, store: Store) -> None:
        fine = {"jobtitle": "\\u0000", "amount": 2**63 - 1, "least": -(2**63), "share": float("1e300"), "yes": True}
        assert pages.commit_page(store, page(person(1, fine)), now=NOW).stored == 1
        assert record(store, 1).properties | fine == record(store, 1).properties

    def test_leaves_the_list_when_it_comes_whole(self, store: Store) -> None:
        pages.commit_page(store, page(person(1, {"jobtitle": "\x00"}), person(2, {"jobtitle": "\x00"})), now=NOW)
        pages.commit_page(store, page(person(1)), now=LATER)
        assert [row.id for row in pages.list_set_aside(store)] == ["2"]

    def test_a_stored_record_stays_when_its_next_state_cannot_be_stored(self, store: Store) -> None:
        pages.commit_page(store, page(person(1)), now=NOW)
        pages.commit_page(store, page(person(1, {"jobtitle": "\x00"})), now=LATER)
        assert record(store, 1).properties["jobtitle"] == "Director"

    def test_activities_owners_and_changes_too(self, store: Store) -> None:
        owner = Owner(crm="hubspot", id="7", email="a@x.example", name="A\x00", active=True)
        change = FieldChange(
            record=RecordRef(crm="hubspot", object="contacts", id="1"), id="h1", property="Status", before="\x00", after=None, at=NOW
        )
        bad = [call(1, 1, outcome="\x00"), call(2, 1, at=datetime(2026, 1, 1)), call(3, 1, outcome="\ud83d")]  # noqa: DTZ001 - naive on purpose
        result = pages.commit_page(store, page(object_name="calls", activities=[*bad, call(4)], owners=[owner], changes=[change]), now=NOW)
        assert (result.seen, result.stored, result.set_aside) == (6, 1, 5)


class TestActivities:
    def test_come_with_their_links(self, store: Store) -> None:
        pages.commit_page(store, page(person(1)), now=NOW)
        mark_unified(store)
        add_contact(store, 1, None)
        pages.commit_page(store, page(object_name="calls", activities=[call(10, 1, 2, 1, outcome="Connected")]), now=NOW)
        (activity,) = rows(store, ActivityRow)
        assert (activity.kind, activity.direction, activity.outcome, activity.at, activity.key) == (
            "call",
            "outgoing",
            "Connected",
            NOW,
            "",
        )
        links = {(link.record_id, link.contact_id, link.kind, link.at, link.counts) for link in rows(store, ActivityLink)}
        assert links == {("1", 1, "call", NOW, True), ("2", None, "call", NOW, True)}

    def test_a_changed_one_replaces_its_links_and_makes_contacts_due(self, store: Store) -> None:
        pages.commit_page(store, page(person(1), person(2), person(3), person(4)), now=NOW)
        mark_unified(store)
        add_contact(store, 4, None)
        pages.commit_page(store, page(object_name="calls", activities=[call(10, 1, 3)]), now=NOW)
        for number, due in ((1, None), (2, LATER + timedelta(days=1)), (3, NOW)):
            add_contact(store, number, due)
        moved = call(10, 2, 3, happened=False)
        assert pages.commit_page(store, page(object_name="calls", activities=[moved, call(11)]), now=LATER).stored == 2
        assert {(link.record_id, link.counts) for link in rows(store, ActivityLink)} == {("2", False), ("3", False)}
        assert {row.id: row.due_at for row in rows(store, ContactRow)} == {1: LATER, 2: LATER, 3: NOW, 4: None}

    def test_an_unchanged_one_makes_nobody_due(self, store: Store) -> None:
        pages.commit_page(store, page(person(1)), now=NOW)
        mark_unified(store)
        pages.commit_page(store, page(object_name="calls", activities=[call(10, 1)]), now=NOW)
        add_contact(store, 1, None)
        assert pages.commit_page(store, page(object_name="calls", activities=[call(10, 1)]), now=LATER).unchanged == 1
        assert rows(store, ContactRow)[0].due_at is None


class TestOwners:
    def test_who_is_owned_by_a_changed_one_is_unified_again(self, store: Store) -> None:
        owners = [
            Owner(crm="hubspot", id="7", email=" Anna@Acme.example", name="Anna", active=True),
            Owner(crm="hubspot", id="8", email="ben@acme.example", name="Ben", active=True),
        ]
        pages.commit_page(store, page(object_name="owners", owners=owners), now=NOW)
        assert {row.id: row.email for row in rows(store, OwnerRow)} == {"7": "anna@acme.example", "8": "ben@acme.example"}
        pages.commit_page(store, page(person(1), person(2, owner_id="8")), now=NOW)
        mark_unified(store)
        renamed = Owner(crm="hubspot", id="7", email="anna@acme.example", name="Anna B.", active=True)
        left = Owner(crm="hubspot", id="8", email="ben@acme.example", name="Ben", active=False)
        assert pages.commit_page(store, page(object_name="owners", owners=[renamed, left]), now=LATER).stored == 2
        assert [record(store, n).unify for n in (1, 2)] == [False, True]
        mark_unified(store)
        assert pages.commit_page(store, page(object_name="owners", owners=[renamed, left]), now=LATER).unchanged == 2
        assert record(store, 2).unify is False


def test_history_goes_in_once_and_its_record_is_unified_again(store: Store) -> None:
    pages.commit_page(store, page(person(1), person(2)), now=NOW)
    mark_unified(store)
    ref = RecordRef(crm="hubspot", object="contacts", id="1")
    change = FieldChange(record=ref, id="h1", property="Status", before="Open", after="Closed", at=NOW)
    assert pages.commit_page(store, page(object_name="history", changes=[change]), now=NOW).stored == 1
    assert [record(store, n).unify for n in (1, 2)] == [True, False]
    assert pages.commit_page(store, page(object_name="history", changes=[change]), now=LATER).stored == 0


class TestCursor:
    def test_moves_with_its_page(self, store: Store) -> None:
        assert pages.get_cursor(store, "hubspot", "contacts") is None
        pages.commit_page(store, page(person(1), cursor=5, full=True), now=NOW)
        assert pages.get_cursor(store, "hubspot", "contacts") == {"after": 5}
        (row,) = pages.cursors(store)
        assert (row.seen, row.last_seen, row.complete, row.updated_at) == (1, None, False, NOW)
        pages.commit_page(store, page(person(2), cursor=6, full=True, last=True), now=LATER)
        (row,) = pages.cursors(store)
        assert (row.seen, row.last_seen, row.complete, row.updated_at) == (0, 2, True, LATER)

    def test_an_incremental_read_does_not_count_as_the_size(self, store: Store) -> None:
        pages.commit_page(store, page(person(1), person(2), full=True, last=True), now=NOW)
        pages.commit_page(store, page(person(1), last=True), now=LATER, shrink=0.1)
        assert pages.cursors(store)[0].last_seen == 2

    def test_a_failure_inside_the_transaction_leaves_page_and_cursor_as_before(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        pages.commit_page(store, page(person(1), cursor=1), now=NOW)

        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        following = page(person(1, {"jobtitle": "CEO"}), person(2), cursor=2)
        with monkeypatch.context() as patched:
            patched.setattr(pages, "advance", fail)
            with pytest.raises(KeyboardInterrupt):
                pages.commit_page(store, following, now=LATER)
        assert pages.get_cursor(store, "hubspot", "contacts") == {"after": 1}
        assert [row.properties["jobtitle"] for row in rows(store, RecordRow)] == ["Director"]
        assert rows(store, RecordVersion) == []
        pages.commit_page(store, following, now=LATER)
        assert len(rows(store, RecordRow)) == 2

    def test_a_page_that_is_not_whole_is_refused(self, store: Store) -> None:
        with pytest.raises(SafetyStop, match="sent 3 contacts, 2 arrived"):
            pages.commit_page(store, page(person(1), person(2), seen=3), now=NOW)
        assert pages.get_cursor(store, "hubspot", "contacts") is None
        assert rows(store, RecordRow) == []

    def test_a_stream_that_shrank_stops(self, store: Store) -> None:
        people = [person(number) for number in range(20)]
        pages.commit_page(store, page(*people, full=True, last=True), now=NOW)
        pages.reset_cursors(store)
        assert pages.get_cursor(store, "hubspot", "contacts") is None
        pages.commit_page(store, page(*people[:10], cursor=2, full=True), now=LATER, shrink=0.1)
        with pytest.raises(SafetyStop, match="17 contacts now, 20 when") as caught:
            pages.commit_page(store, page(*people[10:17], cursor=3, full=True, last=True), now=LATER, shrink=0.1)
        assert "shrink" in caught.value.advice
        assert pages.get_cursor(store, "hubspot", "contacts") == {"after": 2}
        pages.commit_page(store, page(*people[10:18], cursor=3, full=True, last=True), now=LATER, shrink=0.1)
        assert pages.cursors(store)[0].last_seen == 18

    def test_reset_takes_one_crm_or_all(self, store: Store) -> None:
        pages.commit_page(store, page(person(1), last=True, full=True), now=NOW)
        pages.commit_page(store, page(crm="salesforce", object_name="Lead", last=True), now=NOW)
        pages.reset_cursors(store, "salesforce")
        assert pages.get_cursor(store, "hubspot", "contacts") == {"after": 1}
        assert pages.get_cursor(store, "salesforce", "Lead") is None
        assert [row.complete for row in pages.cursors(store)] == [True, True]


class TestApply:
    def apply(self, store: Store, *records: Record) -> int:
        return store.write(lambda connection: pages.apply_records(connection, records, now=LATER)).stored

    def read_back(self, properties: dict[str, Any], number: int = 1, modified_at: datetime | None = LATER) -> Record:
        return Record(crm="hubspot", object="contacts", id=str(number), properties=properties, created_at=None, modified_at=modified_at)

    def test_merges_part_of_the_properties(self, store: Store) -> None:
        pages.commit_page(store, page(person(1, company_id="9"), cursor=4), now=NOW)
        mark_unified(store)
        assert self.apply(store, self.read_back({"lifecyclestage": "opportunity"})) == 1
        row = record(store, 1)
        assert row.properties == {"email": "P1@Example.org ", "jobtitle": "Director", "lifecyclestage": "opportunity"}
        assert (row.owner_id, row.company_id, row.email, row.created_at, row.modified_at) == ("7", "9", "p1@example.org", NOW, LATER)
        assert (row.unify, row.contact_id) == (True, 1)
        assert [version.changed for version in rows(store, RecordVersion)] == [{"lifecyclestage": ["lead", "opportunity"]}]
        assert pages.get_cursor(store, "hubspot", "contacts") == {"after": 4}

    def test_seen_again_in_a_pull_it_is_no_change(self, store: Store) -> None:
        pages.commit_page(store, page(person(1)), now=NOW)
        self.apply(store, self.read_back({"lifecyclestage": "opportunity"}))
        mark_unified(store)
        pulled = person(1, {"lifecyclestage": "opportunity"}, modified_at=LATER)
        assert pages.commit_page(store, page(pulled), now=LATER).unchanged == 1
        assert record(store, 1).unify is False

    def test_an_owner_that_was_asked_for_and_is_none_is_taken(self, store: Store) -> None:
        pages.commit_page(store, page(person(1, {"hubspot_owner_id": "7"})), now=NOW)
        self.apply(store, self.read_back({"hubspot_owner_id": None}))
        assert record(store, 1).owner_id is None
        assert rows(store, RecordVersion)[0].changed == {"hubspot_owner_id": ["7", None], "record.owner_id": ["7", None]}

    def test_what_is_as_it_was_and_what_is_not_there(self, store: Store) -> None:
        pages.commit_page(store, page(person(1)), now=NOW)
        mark_unified(store)
        assert self.apply(store, self.read_back({"lifecyclestage": "lead"}, modified_at=None), self.read_back({"a": "b"}, number=2)) == 0
        assert [(row.id, row.unify) for row in rows(store, RecordRow)] == [("1", False)]


def test_a_killed_process_leaves_page_and_cursor_as_before(kept_store: tuple[Store, str], store: Store) -> None:
    pages.commit_page(store, page(person(1), cursor=1), now=NOW)
    code = """
import os, signal, sys
from datetime import UTC, datetime
from connector.model import Page, Record
from connector.store.database import Store
from connector.store.mirror import pages
pages.advance = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
records = [Record(crm="hubspot", object="contacts", id="2", properties={}, created_at=None, modified_at=None)]
page = Page(crm="hubspot", object="contacts", cursor={"after": 2}, seen=1, calls=1, records=records)
pages.commit_page(Store.open(sys.argv[1]), page, now=datetime.now(UTC))
"""
    done = subprocess.run([sys.executable, "-c", code, kept_store[1]], check=False, env=dict(os.environ), timeout=60)
    assert done.returncode == -9
    assert [row.id for row in rows(store, RecordRow)] == ["1"]
    assert pages.get_cursor(store, "hubspot", "contacts") == {"after": 1}


@given(st.text())
def test_addresses_fold_as_conditions_do(value: str) -> None:
    assert fold(value) == conditions.fold(value)
    assert fold(fold(value)) == fold(value)
