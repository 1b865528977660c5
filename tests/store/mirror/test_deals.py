"""Deals, contact roles, campaigns, further addresses and owners' teams: what is stored, what is replaced, and whom it concerns."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connector.model import Campaign, CampaignMember, Deal, DealContact, Owner, Record, RecordRef
from connector.store.database import Store
from connector.store.mirror import activities, pages
from connector.store.tables import CampaignMemberRow, CampaignRow, DealLink, DealRow, OwnerRow, RecordEmail, SetAsideRow
from tests.store.support import LATER, NOW, add_contact, due, kept_store, mark_unified, page, person, record, ref, rows, store

__all__ = ["kept_store", "store"]  # fixtures


def deal(number: int, *people: int, **more: Any) -> Deal:
    facts: dict[str, Any] = {"stage": "appointment", "amount": 12.5, "currency": "EUR", "modified_at": NOW} | more
    facts.setdefault("contacts", [ref(each) for each in people])
    return Deal(crm="hubspot", object="deals", id=str(number), **facts)


def role(number: int, deal_id: int, person_id: int, **more: Any) -> DealContact:
    return DealContact(crm="hubspot", object="roles", id=f"r{number}", deal_id=str(deal_id), record=ref(person_id), **more)


def member(number: int, person_id: int, campaign: str = "c1", **more: Any) -> CampaignMember:
    return CampaignMember(crm="hubspot", object="members", id=str(number), campaign_id=campaign, record=ref(person_id), **more)


def campaign(name: str, **more: Any) -> Campaign:
    return Campaign(crm="hubspot", object="campaigns", id="c1", name=name, **more)


def links(store: Store) -> set[tuple[str, str, str]]:
    return {(row.deal_id, row.source, row.record_id) for row in rows(store, DealLink)}


def living(store: Store) -> set[str]:
    return {row.id for row in rows(store, DealRow) if not row.archived}


def peopled(store: Store, *numbers: int) -> None:
    """People who are unified, and whose contacts nothing waits for."""
    pages.commit_page(store, page(*(person(number) for number in numbers)), now=NOW)
    mark_unified(store)
    for number in numbers:
        add_contact(store, number, None)


class TestDeals:
    def test_come_with_their_people_who_become_due(self, store: Store) -> None:
        peopled(store, 1, 2)
        result = pages.commit_page(store, page(object_name="deals", deals=[deal(7, 1, 9, closed_at=LATER, won=True)]), now=NOW)
        assert (result.seen, result.stored) == (1, 1)
        (row,) = rows(store, DealRow)
        assert (row.stage, row.amount, row.currency, row.closed_at, row.won, row.archived) == (
            "appointment",
            12.5,
            "EUR",
            LATER,
            True,
            False,
        )
        assert links(store) == {("7", "", "1"), ("7", "", "9")}
        assert due(store) == {1: NOW, 2: None}
        assert record(store, 1).unify is False

    def test_its_people_are_replaced_as_a_set_and_both_become_due(self, store: Store) -> None:
        peopled(store, 1, 2, 3)
        pages.commit_page(store, page(object_name="deals", deals=[deal(7, 1)]), now=NOW - timedelta(days=1))
        result = pages.commit_page(store, page(object_name="deals", deals=[deal(7, 2)]), now=NOW)
        assert result.stored == 1
        assert links(store) == {("7", "", "2")}
        assert due(store) == {1: NOW - timedelta(days=1), 2: NOW, 3: None}

    def test_what_was_merged_into_it_counts_no_more(self, store: Store) -> None:
        """In any order: a page read before the merge may come after it; a chain ends where it ends."""
        peopled(store, 1, 2)
        pages.commit_page(store, page(object_name="deals", deals=[deal(7, 1), deal(8, 2)]), now=NOW - timedelta(days=1))
        result = pages.commit_page(store, page(object_name="deals", deals=[deal(9, 1, 2, merged_ids=("7", "8"))]), now=NOW)
        assert (result.seen, result.stored) == (1, 1)
        assert living(store) == {"9"}
        assert due(store) == {1: NOW - timedelta(days=1), 2: NOW - timedelta(days=1)}
        pages.commit_page(store, page(object_name="deals", deals=[deal(8, 2, amount=1.0)]), now=LATER)
        assert living(store) == {"9"}
        pages.commit_page(store, page(object_name="deals", deals=[deal(11, 1, merged_ids=("9", "10"))]), now=LATER)
        pages.commit_page(store, page(object_name="deals", deals=[deal(10, 1)]), now=LATER)
        assert living(store) == {"11"}
        assert pages.commit_page(store, page(object_name="deals", deals=[deal(11, 1, merged_ids=("9", "10"))]), now=LATER).stored == 0

    @pytest.mark.parametrize("here", [False, True])
    def test_the_survivor_may_stand_on_the_same_page(self, store: Store, here: bool) -> None:
        peopled(store, 1)
        if here:
            pages.commit_page(store, page(object_name="deals", deals=[deal(7, 1)]), now=NOW)
        both = [deal(7, 1, stage="won"), deal(9, 1, merged_ids=("7",))]
        pages.commit_page(store, page(object_name="deals", deals=both), now=NOW)
        assert living(store) == {"9"}

    def test_one_that_names_itself_among_what_was_merged_lives(self, store: Store) -> None:
        """Whether the survivor of a merge keeps an id is not documented for deals."""
        for stored in (1, 0):
            result = pages.commit_page(store, page(object_name="deals", deals=[deal(7, 1, merged_ids=("7", "8"))]), now=NOW)
            assert (result.stored, living(store)) == (stored, {"7"})

    def test_one_that_changed_after_its_merge_lives_again(self, store: Store) -> None:
        pages.commit_page(store, page(object_name="deals", deals=[deal(9, 1, merged_ids=("7",))]), now=NOW)
        pages.commit_page(store, page(object_name="deals", deals=[deal(7, 1, modified_at=LATER)]), now=LATER)
        assert living(store) == {"7", "9"}

    def test_one_that_tells_nobody_keeps_what_roles_told(self, store: Store) -> None:
        peopled(store, 1)
        pages.commit_page(store, page(object_name="roles", deal_contacts=[role(1, 7, 1)]), now=NOW)
        pages.commit_page(store, page(object_name="deals", deals=[deal(7, contacts=None)]), now=NOW)
        assert links(store) == {("7", "r1", "1")}

    def test_unchanged_ones_are_not_rewritten_and_concern_nobody(self, store: Store) -> None:
        peopled(store, 1)
        add = page(object_name="deals", deals=[deal(7, 1, amount=5), deal(8), deal(9, amount=None)])
        pages.commit_page(store, add, now=NOW)
        store.write(lambda connection: connection.exec_driver_sql("UPDATE contact SET due_at = NULL"))
        result = pages.commit_page(store, add, now=LATER)
        assert (result.seen, result.stored, result.unchanged) == (3, 0, 3)
        assert due(store) == {1: None}

    def test_what_cannot_be_stored_is_set_aside_and_the_numbers_add_up(self, store: Store) -> None:
        bad = [deal(1, stage="\x00"), deal(2), deal(3, contacts=[RecordRef(crm="hubspot", object="contacts", id="\ud83d")])]
        result = pages.commit_page(store, page(object_name="deals", deals=bad), now=NOW)
        assert (result.seen, result.stored, result.set_aside, result.unchanged) == (3, 1, 2, 0)
        assert {row.id for row in rows(store, SetAsideRow)} == {"1", "3"}

    def test_a_converted_lead_is_linked_with_its_deal(self, store: Store) -> None:
        def lead(**more: Any) -> Record:
            return Record(crm="salesforce", object="Lead", id="00Q", properties={}, created_at=None, modified_at=None, **more)

        for each in (lead(), lead(converted_deal="006"), lead(converted_deal="006", owner_id="5"), lead(converted_deal="007")):
            pages.commit_page(store, page(each, crm="salesforce", object_name="Lead"), now=NOW)
        (link,) = rows(store, DealLink)
        assert (link.deal_id, link.source, link.record_object, link.record_id) == ("007", "conversion", "Lead", "00Q")

    def test_relinking_replaces_what_the_deal_told(self, store: Store) -> None:
        peopled(store, 1, 2)
        pages.commit_page(store, page(object_name="deals", deals=[deal(7, 1), deal(8, 1)]), now=NOW)
        told = {"7": [ref(2)], "8": [ref(1)], "9": [ref(1)]}
        assert activities.relink(store, "hubspot", "deals", told, now=LATER) == 1
        assert links(store) == {("7", "", "2"), ("8", "", "1")}
        assert due(store) == {1: NOW, 2: LATER}
        pages.commit_page(store, page(object_name="deals", deals=[deal(7, 1)]), now=LATER)
        assert ("7", "", "1") in links(store)


class TestRoles:
    def test_come_change_and_go(self, store: Store) -> None:
        peopled(store, 1, 2)
        assert (
            pages.commit_page(store, page(object_name="roles", deal_contacts=[role(1, 7, 1, role="Buyer", primary=True)]), now=NOW).stored
            == 1
        )
        (link,) = rows(store, DealLink)
        assert (link.source, link.role, link.main) == ("r1", "Buyer", True)
        same = page(object_name="roles", deal_contacts=[role(1, 7, 1, role="Buyer", primary=True)])
        assert pages.commit_page(store, same, now=LATER).unchanged == 1
        pages.commit_page(store, page(object_name="roles", deal_contacts=[role(1, 7, 2)]), now=LATER)
        assert links(store) == {("7", "r1", "2")}
        assert due(store) == {1: NOW, 2: LATER}
        gone = page(object_name="roles", deal_contacts=[role(1, 7, 2, archived=True), role(2, 7, 2, archived=True)])
        result = pages.commit_page(store, gone, now=LATER)
        assert (result.stored, result.unchanged) == (1, 1)
        assert links(store) == set()


class TestCampaigns:
    def test_a_member_is_unified_again_and_so_is_one_who_was(self, store: Store) -> None:
        peopled(store, 1, 2, 3)
        pages.commit_page(store, page(object_name="members", campaign_members=[member(1, 1, joined_at=NOW)]), now=NOW)
        assert [record(store, n).unify for n in (1, 2, 3)] == [True, False, False]
        mark_unified(store)
        result = pages.commit_page(store, page(object_name="members", campaign_members=[member(1, 2), member(2, 9)]), now=LATER)
        assert result.stored == 2
        assert [record(store, n).unify for n in (1, 2, 3)] == [True, True, False]
        assert {row.record_id for row in rows(store, CampaignMemberRow)} == {"2", "9"}

    def test_a_campaign_by_another_name_concerns_its_members(self, store: Store) -> None:
        peopled(store, 1, 2)
        pages.commit_page(store, page(object_name="campaigns", campaigns=[campaign("Fair")]), now=NOW)
        pages.commit_page(store, page(object_name="members", campaign_members=[member(1, 1)]), now=NOW)
        mark_unified(store)
        pages.commit_page(store, page(object_name="campaigns", campaigns=[campaign("Fair", active=True, begins_at=NOW)]), now=LATER)
        assert record(store, 1).unify is False
        assert pages.commit_page(store, page(object_name="campaigns", campaigns=[campaign("Fair 2026")]), now=LATER).stored == 1
        assert [record(store, n).unify for n in (1, 2)] == [True, False]
        assert rows(store, CampaignRow)[0].name == "Fair 2026"


class TestFurtherAddresses:
    def emails(self, store: Store) -> set[tuple[str, str]]:
        return {(row.id, row.email) for row in rows(store, RecordEmail)}

    def test_are_normalised_and_replaced_as_a_set(self, store: Store) -> None:
        pages.commit_page(store, page(person(1, emails=("B@x.example", " c@X.example", "p1@example.org", "b@x.example"))), now=NOW)
        assert self.emails(store) == {("1", "b@x.example"), ("1", "c@x.example")}
        mark_unified(store)
        same = person(1, emails=("c@x.example", "b@x.example"))
        assert pages.commit_page(store, page(same), now=LATER).unchanged == 1
        assert pages.commit_page(store, page(person(1, emails=("d@x.example",))), now=LATER).stored == 1
        assert self.emails(store) == {("1", "d@x.example")}
        assert record(store, 1).unify is True
        pages.commit_page(store, page(person(1)), now=LATER)
        assert self.emails(store) == set()

    def test_a_read_of_a_part_leaves_them_unless_it_asked(self, store: Store) -> None:
        pages.commit_page(store, page(person(1, emails=("b@x.example",))), now=NOW)
        mark_unified(store)
        part = replace(person(1), properties={"lifecyclestage": "lead"}, modified_at=NOW)
        assert store.write(lambda connection: pages.apply_records(connection, [part], now=LATER)).stored == 0
        asked = replace(part, properties={"hs_additional_emails": "e@x.example"}, emails=("e@x.example",))
        assert store.write(lambda connection: pages.apply_records(connection, [asked], now=LATER)).stored == 1
        assert self.emails(store) == {("1", "e@x.example")}


def test_an_owners_teams(store: Store) -> None:
    def owner(*teams: str) -> Owner:
        return Owner(crm="hubspot", id="7", email="a@x.example", name="Anna", active=True, teams=teams)

    pages.commit_page(store, page(object_name="owners", owners=[owner("North", "Süd")]), now=NOW)
    assert rows(store, OwnerRow)[0].teams == ["North", "Süd"]
    pages.commit_page(store, page(person(1)), now=NOW)
    mark_unified(store)
    assert pages.commit_page(store, page(object_name="owners", owners=[owner("North", "Süd")]), now=NOW).unchanged == 1
    assert pages.commit_page(store, page(object_name="owners", owners=[owner()]), now=NOW).stored == 1
    assert rows(store, OwnerRow)[0].teams is None
    assert record(store, 1).unify is False
