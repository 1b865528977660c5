"""What is gone from a CRM: archived, merged, deleted for good; the guard; what a comparison knows; refills; what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import SafetyStop
from connector.model import Deal, DealContact, Fate, Record, Removal, RemovalPage, SetAside
from connector.store.database import Store
from connector.store.mirror import activities, known_ids, merges, pages
from connector.store.mirror.removals import Removed, apply_removals
from connector.store.tables import ActivityLink, ActivityRow, DealLink, DealRow, Merged, RecordRow, RecordVersion, SetAsideRow
from tests.store.support import LATER, NOW, add_contact, call, due, kept_store, mark_unified, page, person, record, ref, rows, store

__all__ = ["kept_store", "store"]  # fixtures
MUCH_LATER = LATER + timedelta(hours=1)


def gone(number: int | str, fate: Fate = Fate.ARCHIVED, into: str | None = None, object_name: str = "contacts") -> Removal:
    return Removal(record=replace(ref(0, object_name), id=str(number)), fate=fate, into=into, at=LATER)


def look(
    store: Store, *removals: Removal, shrink: float | None = None, cursor: int = 1, last: bool = True, object_name: str = "contacts"
) -> Removed:
    made = RemovalPage(crm="hubspot", object=object_name, cursor={"at": cursor}, calls=1, removals=removals, last=last)
    return apply_removals(store, made, now=LATER, shrink=shrink)


def pull(store: Store, *records: Record, now: datetime = NOW, **more: Any) -> pages.PageResult:
    return pages.commit_page(store, page(*records, **more), now=now)


def company(number: int, **more: Any) -> Record:
    return replace(person(number), object="companies", **more)


def merged(store: Store) -> dict[str, str]:
    return {row.id: row.into_id for row in rows(store, Merged)}


class TestRecords:
    def test_an_archived_one_stays_as_it_was_and_is_unified_again(self, store: Store) -> None:
        pull(store, person(1), person(2))
        mark_unified(store)
        assert look(store, gone(1), gone(2, Fate.DELETED), gone(3)) == Removed(archived=1, deleted=1, unknown=1)
        row = record(store, 1)
        assert (row.archived, row.unify, row.properties["jobtitle"], row.contact_id) == (True, True, "Director", 1)
        assert [(one.changed, one.at, one.seen_at) for one in rows(store, RecordVersion) if one.id == "1"] == [
            ({"record.archived": [False, True]}, LATER, LATER)
        ]
        assert pages.get_cursor(store, "hubspot", "removals:contacts") == {"at": 1}

    def test_told_again_it_is_nothing_new(self, store: Store) -> None:
        pull(store, person(1))
        look(store, gone(1))
        mark_unified(store)
        assert look(store, gone(1)) == Removed(unknown=1)
        assert record(store, 1).unify is False

    def test_one_seen_live_again_comes_back_even_as_it_was(self, store: Store) -> None:
        pull(store, person(1))
        look(store, gone(1))
        mark_unified(store)
        assert pull(store, person(1), now=MUCH_LATER).stored == 1
        assert (record(store, 1).archived, record(store, 1).unify) == (False, True)

    def test_a_company_concerns_its_people(self, store: Store) -> None:
        company = Record(crm="hubspot", object="companies", id="9", properties={}, created_at=None, modified_at=None)
        pull(store, company, object_name="companies")
        pull(store, person(1, company_id="9"), person(2))
        mark_unified(store)
        look(store, gone(9, object_name="companies"), object_name="companies")
        assert [record(store, n).unify for n in (1, 2)] == [True, False]
        assert record(store, 9, "companies").unify is False

    def test_one_that_was_set_aside_leaves_the_list(self, store: Store) -> None:
        pull(store, person(1, {"jobtitle": "\x00"}))
        assert look(store, gone(1)) == Removed(unknown=1)
        assert rows(store, SetAsideRow) == []


class TestOtherObjects:
    def test_activities_count_no_more(self, store: Store) -> None:
        pull(store, person(1))
        mark_unified(store)
        add_contact(store, 1, None)
        pull(store, object_name="calls", activities=[call(10, 1), call(11, 1)])
        store.write(lambda connection: connection.exec_driver_sql("UPDATE contact SET due_at = NULL"))
        assert look(store, gone(10, object_name="calls"), object_name="calls") == Removed(archived=1)
        assert {row.id: row.archived for row in rows(store, ActivityRow)} == {"10": True, "11": False}
        assert {row.id: row.counts for row in rows(store, ActivityLink)} == {"10": False, "11": True}
        assert due(store) == {1: LATER}
        assert pull(store, object_name="calls", activities=[call(10, 1)], now=MUCH_LATER).stored == 1
        assert {row.id: row.counts for row in rows(store, ActivityLink)} == {"10": True, "11": True}

    def test_deals_and_roles(self, store: Store) -> None:
        pull(store, person(1))
        mark_unified(store)
        add_contact(store, 1, None)
        won = Deal(crm="hubspot", object="deals", id="7", stage="won", contacts=[ref(1)])
        pull(store, object_name="deals", deals=[won])
        role = DealContact(crm="hubspot", object="roles", id="r1", deal_id="7", record=ref(1))
        pull(store, object_name="roles", deal_contacts=[role])
        store.write(lambda connection: connection.exec_driver_sql("UPDATE contact SET due_at = NULL"))
        assert look(store, gone("r1", object_name="roles"), gone("r2", object_name="roles"), object_name="roles") == Removed(
            archived=1, unknown=1
        )
        assert {row.source for row in rows(store, DealLink)} == {""}
        assert due(store) == {1: LATER}
        assert look(store, gone(7, object_name="deals"), object_name="deals") == Removed(archived=1)
        assert rows(store, DealRow)[0].archived is True


class TestMerges:
    def test_told_by_the_survivor(self, store: Store) -> None:
        pull(store, person(1), person(2))
        mark_unified(store)
        pull(store, person(3, merged_ids=("1", "2", "99")), now=LATER)
        assert merged(store) == {"1": "3", "2": "3", "99": "3"}
        for number in (1, 2):
            row = record(store, number)
            assert (row.archived, row.merged_into, row.unify, row.contact_id) == (True, "3", True, number)
        assert record(store, 3).unify is True
        mark_unified(store)
        assert pull(store, person(3, merged_ids=("1", "2", "99")), now=MUCH_LATER).unchanged == 1
        assert record(store, 1).unify is False

    def test_told_by_the_loser(self, store: Store) -> None:
        pull(store, person(1), person(2))
        mark_unified(store)
        pull(store, person(1, archived=True, merged_into="2"), now=LATER)
        assert merged(store) == {"1": "2"}
        assert (record(store, 1).merged_into, record(store, 2).unify) == ("2", True)

    def test_told_by_a_look_and_chains_are_followed_to_their_end(self, store: Store) -> None:
        pull(store, *map(person, range(1, 5)))
        mark_unified(store)
        assert look(store, gone(1, Fate.MERGED, "2")) == Removed(merged=1)
        look(store, gone(3, Fate.MERGED, "4"), gone(2, Fate.MERGED, "3"))
        assert merged(store) == {"1": "4", "2": "4", "3": "4"}
        assert [record(store, n).merged_into for n in (1, 2, 3, 4)] == ["4", "4", "4", None]
        assert record(store, 4).unify is True

    def test_of_two_that_stand_for_each_other_the_last_word_holds(self, store: Store) -> None:
        pull(store, person(1), person(2))
        look(store, gone(1, Fate.MERGED, "2"))
        look(store, gone(2, Fate.MERGED, "1"))
        assert merged(store) == {"2": "1"}

    def test_a_loser_on_a_page_from_before_the_merge_does_not_live_again(self, store: Store) -> None:
        pull(store, person(3, merged_ids=("1",)), now=LATER)
        pull(store, person(1), now=LATER)
        assert (record(store, 1).archived, record(store, 1).merged_into) == (True, "3")
        assert pull(store, person(1), now=LATER).unchanged == 1

    def test_the_people_of_a_lost_company_are_the_survivors(self, store: Store) -> None:
        """HubSpot moves the associations, and no contact's modified date tells."""
        pull(store, company(51), company(52), object_name="companies")
        pull(store, person(1, company_id="51"), person(2, company_id="52"), person(3))
        mark_unified(store)
        pull(store, company(53, merged_ids=("51", "52")), object_name="companies", now=LATER)
        assert [(record(store, n).company_id, record(store, n).unify) for n in (1, 2, 3)] == [("53", True), ("53", True), (None, False)]
        assert {one.id: one.changed for one in rows(store, RecordVersion) if one.object == "contacts"} == {
            "1": {"record.company_id": ["51", "53"]},
            "2": {"record.company_id": ["52", "53"]},
        }

    def test_a_person_on_a_page_from_before_comes_with_the_survivor_too(self, store: Store) -> None:
        pull(store, company(53, merged_ids=("51",)), object_name="companies", now=LATER)
        pull(store, person(1, company_id="51"), now=LATER)
        assert record(store, 1).company_id == "53"
        assert pull(store, person(1, company_id="51"), now=MUCH_LATER).unchanged == 1
        assert pull(store, person(1, company_id="53"), now=MUCH_LATER).unchanged == 1

    def test_one_that_was_changed_since_does(self, store: Store) -> None:
        pull(store, person(1))
        look(store, gone(1, Fate.MERGED, "3"))
        pull(store, person(1, modified_at=MUCH_LATER), now=MUCH_LATER)
        assert (record(store, 1).archived, record(store, 1).merged_into, merged(store)) == (False, None, {})

    @pytest.mark.parametrize("then", [None, "2"], ids=["alone", "behind another"])
    def test_one_that_told_its_merge_itself_does_by_the_crms_clock(self, store: Store, then: str | None) -> None:
        pull(store, person(1), person(2), person(3))
        pull(store, person(1, archived=True, merged_into="2", modified_at=NOW), now=MUCH_LATER)
        if then is not None:
            look(store, gone(2, Fate.MERGED, "3"))
        pull(store, person(1, modified_at=NOW), now=MUCH_LATER)  # a page from before the merge
        assert record(store, 1).archived
        pull(store, person(1, modified_at=LATER), now=MUCH_LATER)
        assert (record(store, 1).archived, record(store, 1).merged_into) == (False, None)

    @given(st.permutations([(1, 2), (2, 3), (3, 4), (5, 4), (6, 5)]))
    def test_whatever_the_order_everybody_ends_at_the_same(self, told: Sequence[tuple[int, int]]) -> None:
        links: dict[str, str] = {}
        for loser, survivor in told:
            ends, circles = merges._ends({str(loser): str(survivor)}, links)
            assert circles == set()
            links |= ends
            links |= {one: links[end] for one, end in links.items() if end in links}
        assert links == {str(number): "4" for number in (1, 2, 3, 5, 6)}


class TestTheGuard:
    def test_too_much_at_once_changes_nothing(self, store: Store) -> None:
        pull(store, *map(person, range(100)))
        with pytest.raises(SafetyStop, match="tells 21 of 100 contacts as removed, more than 20%") as caught:
            look(store, *map(gone, range(21)), shrink=0.2)
        assert "shrink" in caught.value.advice
        assert not any(row.archived for row in rows(store, RecordRow))
        assert pages.get_cursor(store, "hubspot", "removals:contacts") is None
        assert look(store, *map(gone, range(21)), shrink=0.21).archived == 21

    def test_all_pages_of_one_look_count_together(self, store: Store) -> None:
        pull(store, *map(person, range(100)))
        look(store, *map(gone, range(15)), shrink=0.2, last=False)
        look(store, *map(gone, range(15)), shrink=0.2, last=False)
        with pytest.raises(SafetyStop, match="tells 25 of 100"):
            look(store, *map(gone, range(15, 25)), shrink=0.2)
        look(store, *map(gone, range(15, 20)), shrink=0.2)
        look(store, *map(gone, range(20, 25)), shrink=0.2)
        assert sum(row.archived for row in rows(store, RecordRow)) == 25

    def test_privacy_deletions_count_also_of_those_that_were_archived(self, store: Store) -> None:
        """They cannot be undone: a bin that cannot be seen any more must not empty the mirror."""
        pull(store, *map(person, range(100)))
        look(store, *map(gone, range(30)))
        with pytest.raises(SafetyStop, match="tells 30 of 70"):
            look(store, *(gone(number, Fate.PURGED) for number in range(30)), shrink=0.1)
        assert len(rows(store, RecordRow)) == 100
        assert look(store, *(gone(number, Fate.PURGED) for number in range(40)), shrink=0.6).purged == 40

    def test_twenty_always_may_go(self, store: Store) -> None:
        pull(store, *map(person, range(20)))
        assert look(store, *map(gone, range(20)), shrink=0.0).archived == 20


class TestWhatIsKnown:
    def test_live_ids_in_pages(self, store: Store) -> None:
        pull(store, *map(person, range(1, 13)))
        look(store, gone(2))
        found: list[str] = []
        while more := known_ids.known_ids(store, "hubspot", "contacts", after=found[-1] if found else "", limit=5):
            found += more
        assert found == sorted(str(number) for number in range(1, 13) if number != 2)

    def test_between_numbers_of_any_length(self, store: Store) -> None:
        pull(store, *map(person, (1, 9, 10, 99, 100, 1000, 5000)), person(7, {"jobtitle": "\x00"}))
        look(store, gone(99))
        assert known_ids.known_between(store, "hubspot", "contacts", 9, 1000) == ["9", "10", "100", "1000"]
        assert known_ids.count_known(store, "hubspot", "contacts", 1, 10) == 4  # with the one that is set aside
        assert known_ids.count_known(store, "hubspot", "contacts", 0, 10**12) == 7
        assert known_ids.count_known(store, "hubspot", "calls", 1, 10) == 0

    def test_what_a_comparison_has_not_met(self, store: Store) -> None:
        pull(store, *map(person, range(1, 6)))
        aside = SetAside(record=ref(3), reason="bad", next_step="look")
        pages.commit_page(store, page(person(1), set_aside=[aside]), now=LATER, under="reconcile:contacts", mark=True)
        pages.commit_page(store, page(person(2), person(6)), now=LATER, under="reconcile:contacts", mark=True)
        look(store, gone(4))
        assert known_ids.unseen(store, "hubspot", "contacts", after="", limit=9) == ["5"]
        assert pages.get_cursor(store, "hubspot", "reconcile:contacts") == {"after": 1}
        known_ids.clear_seen(store, "hubspot", "contacts")
        assert len(known_ids.unseen(store, "hubspot", "contacts", after="2", limit=2)) == 2

    def test_whoever_is_missing_in_the_bin_went_there_lately(self, store: Store) -> None:
        """What else becomes of one who lies there since long (the company was merged) does not make them young."""
        pull(store, *(replace(person(number), company_id="1") for number in (1, 2, 3)), company(1), company(2))
        look(store, gone(1), gone(2), replace(gone(3), at=None))
        a_page = RemovalPage(crm="hubspot", object="contacts", cursor={}, calls=1, removals=(), bin=["2"], begins=True)
        apply_removals(store, a_page, now=LATER, shrink=None)

        def missing(since: datetime) -> list[str]:
            return known_ids.missing_in_bin(store, "hubspot", "contacts", since=since, after="", limit=9)

        assert missing(LATER) == ["1"]  # of 3 nobody knows since when
        pull(store, company(2, merged_ids=("1",)), now=MUCH_LATER)
        assert missing(LATER) == ["1"]
        assert missing(LATER + timedelta(minutes=1)) == []

    def test_a_cursor_under_another_name_is_no_stream(self, store: Store) -> None:
        pull(store, person(1), cursor=4)
        pages.commit_page(store, page(person(2), cursor=9), now=LATER, under="reconcile:contacts")
        assert pages.get_cursor(store, "hubspot", "contacts") == {"after": 4}
        assert [row.object for row in pages.cursors(store)] == ["contacts"]
        pages.reset_cursors(store)
        assert pages.get_cursor(store, "hubspot", "reconcile:contacts") == {"after": 9}
        pages.drop_cursor(store, "hubspot", "reconcile:contacts")
        assert pages.get_cursor(store, "hubspot", "reconcile:contacts") is None

    def test_recent_activities(self, store: Store) -> None:
        calls = [call(1), call(2, at=NOW - timedelta(days=9)), call(3, at=None, created_at=NOW), call(4, archived=True)]
        pull(store, object_name="calls", activities=calls)
        since = NOW - timedelta(days=1)
        assert known_ids.recent_activity_ids(store, "hubspot", "calls", since=since, after="", limit=9) == ["1", "3"]
        assert known_ids.recent_activity_ids(store, "hubspot", "calls", since=since, after="1", limit=9) == ["3"]


class TestRelinking:
    def test_only_what_changed_and_both_sides_become_due(self, store: Store) -> None:
        pull(store, person(1), person(2), person(3))
        mark_unified(store)
        add_contact(store, 2, None)
        pull(store, object_name="calls", activities=[call(10, 1), call(11, 2), call(12, 3)])
        store.write(lambda connection: connection.exec_driver_sql("UPDATE contact SET due_at = NULL"))
        for number in (1, 3):
            add_contact(store, number, None)
        told = {"10": [ref(3)], "11": [ref(2)], "77": [ref(1)]}
        assert activities.relink(store, "hubspot", "calls", told, now=LATER) == 1
        found = {(row.id, row.record_id, row.contact_id, row.kind, row.at, row.counts) for row in rows(store, ActivityLink)}
        assert ("10", "3", 3, "call", NOW, True) in found
        assert len(found) == 3
        assert due(store) == {1: LATER, 2: None, 3: LATER}

    def test_what_the_next_pull_says_goes_in(self, store: Store) -> None:
        pull(store, person(1), person(2))
        pull(store, object_name="calls", activities=[call(10, 1)])
        activities.relink(store, "hubspot", "calls", {"10": [ref(2)]}, now=LATER)
        assert pull(store, object_name="calls", activities=[call(10, 1)], now=LATER).stored == 1
        assert [row.record_id for row in rows(store, ActivityLink)] == ["1"]


class TestRefills:
    def refill(self, store: Store, *records: Record, last: bool = False) -> pages.PageResult:
        return pages.commit_partial(store, page(*records, cursor=7, last=last), under="refill:contacts", now=LATER)

    def part(self, number: int, **properties: Any) -> Record:
        return Record(crm="hubspot", object="contacts", id=str(number), properties=properties, created_at=None, modified_at=None)

    def test_only_a_value_makes_a_contact_anew(self, store: Store) -> None:
        pull(store, *map(person, (1, 2, 3)), cursor=4)
        mark_unified(store)
        result = self.refill(store, self.part(1, naics="5112"), self.part(2, naics=None), self.part(9, naics="1"))
        assert (result.seen, result.stored, result.unchanged) == (3, 2, 1)
        assert [record(store, n).unify for n in (1, 2, 3)] == [True, False, False]
        assert [record(store, n).properties.get("naics", "-") for n in (1, 2, 3)] == ["5112", None, "-"]
        assert (record(store, 1).owner_id, record(store, 1).modified_at, record(store, 1).email) == ("7", NOW, "p1@example.org")
        assert pages.get_cursor(store, "hubspot", "refill:contacts") == {"after": 7}
        assert pages.get_cursor(store, "hubspot", "contacts") == {"after": 4}
        mark_unified(store)
        assert self.refill(store, self.part(1, naics="5112"), self.part(2, naics=None)).stored == 0
        self.refill(store, self.part(1, naics="6"), self.part(2, naics=None))
        assert [record(store, n).unify for n in (1, 2)] == [True, False]

    def test_one_that_waits_to_be_unified_goes_on_waiting(self, store: Store) -> None:
        pull(store, person(1))
        self.refill(store, self.part(1, naics=None))
        assert record(store, 1).unify is True

    def test_a_companys_people_only_where_it_has_a_value(self, store: Store) -> None:
        for number in (8, 9):
            company = Record(crm="hubspot", object="companies", id=str(number), properties={"name": "A"}, created_at=None, modified_at=None)
            pull(store, company, object_name="companies")
        pull(store, person(1, company_id="8"), person(2, company_id="9"))
        mark_unified(store)
        parts = [replace(self.part(8, size="5"), object="companies"), replace(self.part(9, size=None), object="companies")]
        pages.commit_partial(store, page(*parts, object_name="companies"), under="refill:companies", now=LATER)
        assert [record(store, n).unify for n in (1, 2)] == [True, False]

    def test_what_cannot_be_stored_is_set_aside(self, store: Store) -> None:
        pull(store, person(1))
        result = self.refill(store, self.part(1, naics="\x00"))
        assert (result.seen, result.stored, result.set_aside) == (1, 0, 1)
