"""HubSpot through the port: what a first and an incremental pull bring, over an account in memory."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapters.client import Answer, Request
from connector.adapters.port import Crm
from connector.errors import ObjectStopped, Retriable
from connector.model import Cursor, Direction, Page
from tests.adapters.hubspot.calls import NOW, contact, crm_of, ids, pull
from tests.adapters.hubspot.fake_account import START, Account, Told, millis, reply


class TestFirstPull:
    def test_brings_contacts_with_their_primary_company_by_pages_of_a_thousand(self) -> None:
        """Ten requests of 100 and one for associations make a page; one search asks whether there are more; then come changes."""
        account = Account()
        for number in range(1, 1051):
            account.put("contacts", str(number), email=f"p{number}@kunde.example", lifecyclestage="lead", secret="no")
        account.link(("contacts", "7"), ("companies", "90"), 279)
        account.links["contacts", "companies"]["8"] = [("91", 279), ("90", 279), ("90", 1)]
        searched = threading.Event()

        def send(request: Request) -> Answer:
            if request.path.endswith("/search"):
                searched.set()
            assert "after" not in request.query or searched.wait(10)  # the list, which is short, does not end before the search began
            return account.send(request)

        crm = crm_of(account, send=send)

        first, second = pull(crm, "contacts")

        assert (len(first.records), len(second.records)) == (1000, 50)
        assert first.calls + second.calls == 14 == crm.calls()
        assert (first.full, second.full, first.seen, second.seen) == (True, True, 1000, 50)
        by_id = {record.id: record for record in first.records}
        assert (by_id["7"].company_id, by_id["8"].company_id) == (None, "90")
        assert by_id["8"].properties == {"email": "p8@kunde.example", "lifecyclestage": "lead", "hubspot_owner_id": None}
        assert by_id["8"].modified_at == START
        assert second.cursor == {"phase": "changes", "since": millis(NOW)}

    def test_goes_on_where_a_stored_cursor_stands(self) -> None:
        account = Account()
        for number in range(1, 2101):
            account.put("companies", str(number), industry="SOFTWARE")
        pages: list[Page] = []
        cursor: Cursor | None = None
        while not (pages and pages[-1].last):  # each page by a process of its own, a day later
            pages.append(next(iter(crm_of(account).pull("companies", cursor, now=NOW + timedelta(days=len(pages))))))
            cursor = orjson.loads(orjson.dumps(dict(pages[-1].cursor)))

        assert set(map(int, ids(pages))) == set(range(1, 2101))
        assert len(ids(pages)) < 2100 + 400, "no more than the chains overlap where they meet"
        assert cursor == {"phase": "changes", "since": millis(NOW)}, "what changed while the list was read comes next"

    def test_keeps_the_moment_at_which_the_list_began(self) -> None:
        """A record that changes behind the reader while the list is read is brought by the next pull."""
        account = Account()
        for number in range(1, 301):
            account.put("companies", str(number), industry="OLD")

        def edit(request: Request) -> None:
            if "after" in request.query:
                account.put("companies", "5", millis(NOW) + 1000, industry="NEW")

        account.before = edit
        pages = pull(crm_of(account), "companies")
        account.before = lambda request: None

        changed = pull(crm_of(account), "companies", pages[-1].cursor, NOW + timedelta(minutes=5))

        assert [record.properties for page in changed for record in page.records] == [{"industry": "NEW"}]

    def test_short_pages_with_a_cursor_are_not_the_end(self) -> None:
        """Pages may come short or empty and still have a next one."""
        account = Account()
        account.put("companies", "3")
        account.told = [Told("GET", reply({"results": [], "paging": {"next": {"after": "2"}}}))]
        assert ids(pull(crm_of(account), "companies")) == ["3"]

    def test_a_page_that_repeats_itself_stops_the_object(self) -> None:
        account = Account()
        account.told = [Told("GET", reply({"results": [], "paging": {"next": {"after": "2"}}}), times=3)]
        with pytest.raises(ObjectStopped, match="again and again"):
            pull(crm_of(account), "companies")

    def test_reads_owners_with_the_deactivated_ones_and_queues(self) -> None:
        account = Account()
        account.owners = [
            {"id": "11", "email": "anna@acme.example", "firstName": "Anna", "lastName": "Berg", "userId": 1, "archived": False},
            {"id": "12", "email": "ben@acme.example", "firstName": "Ben", "lastName": None, "userId": None, "archived": True},
            {"id": "13", "email": None, "firstName": "Desk", "lastName": "", "type": "QUEUE", "archived": False},
        ]
        (page,) = pull(crm_of(account), "owners")
        found = {owner.id: (owner.email, owner.name, owner.active, owner.queue) for owner in page.owners}
        assert found == {
            "11": ("anna@acme.example", "Anna Berg", True, False),
            "12": ("ben@acme.example", "Ben", False, False),
            "13": (None, "Desk", True, True),
        }
        assert (page.full, page.seen, page.calls) == (True, 3, 2)

    def test_takes_the_contacts_of_activities_from_the_list_itself(self) -> None:
        """No request for associations, and each contact once although HubSpot names it once for each type."""
        account = Account()
        account.put("calls", "5", hs_timestamp="2026-11-20T09:00:00Z", hs_call_direction="OUTBOUND")
        account.link(("calls", "5"), ("contacts", "7"), 194)
        account.link(("calls", "5"), ("contacts", "8"), 194)
        (page,) = pull(crm_of(account), "calls")
        assert page.activities[0].contacts == (contact("7"), contact("8"))
        assert page.calls == 1

    def test_reads_associations_apart_where_there_are_more_than_the_list_shows(self) -> None:
        account = Account(links_a_page=2)
        raw = {"id": "5", "properties": {}, "associations": {"contacts": {"results": [{"id": "1"}], "paging": {"next": {"after": "9"}}}}}
        account.told = [Told("GET", reply({"results": [raw]}))]
        for number in range(1, 6):
            account.link(("meetings", "5"), ("contacts", str(number)), 200)
        (page,) = pull(crm_of(account), "meetings")
        assert [each.id for each in page.activities[0].contacts] == ["1", "2", "3", "4", "5"]

    def test_sets_unreadable_records_aside_and_takes_the_others(self) -> None:
        account = Account()
        first = b'{"results":[{"id":"1","properties":{"industry":"A"}},{"id":null,"properties":{}},{"properties":{"industry":"B"}}],'
        first += b'"paging":{"next":{"after":"4"}}}'
        second = b'{"results":[{"id":"4","properties":{},"updatedAt":"yesterday"},'
        second += b'{"id":"5","properties":{"industry":99999999999999999999999}},'
        second += b'{"id":"6"},"nothing",{"id":"8","properties":{"industry":"half \\ud800"}}]}'
        account.told = [Told("GET", Answer(status=200, headers={}, body=body)) for body in (first, second)]
        (page,) = pull(crm_of(account), "companies")
        assert ids([page]) == ["1"]
        assert page.seen == 8 == len(page.records) + len(page.set_aside)
        reasons = {aside.record.id: aside.reason for aside in page.set_aside}
        assert len(reasons) == 7, "each can be told from the others"
        assert reasons["4"] == "updatedAt is no moment"
        assert reasons["5"] == "industry is a number beyond 64 bit"
        assert reasons["6"] == "it has no properties"
        assert reasons["8"] == "industry holds a character that is none"


class TestIncrementalPull:
    def test_a_quiet_stream_costs_one_request(self) -> None:
        account = Account()
        account.put("contacts", "1")
        crm = crm_of(account)
        cursor = pull(crm, "contacts")[-1].cursor
        account.log.clear()

        (page,) = pull(crm, "contacts", cursor, NOW + timedelta(hours=1))

        assert account.paths() == ["POST /crm/v3/objects/contacts/search"]
        assert account.log[0].bucket == "search"
        assert (page.calls, page.seen, page.full) == (1, 0, False)
        assert page.cursor == {"phase": "changes", "since": millis(NOW + timedelta(hours=1))}

    def test_reads_what_changed_with_its_associations_and_the_overlap(self) -> None:
        account = Account()
        cursor = {"phase": "changes", "since": millis(NOW)}
        account.put("tasks", "1", millis(NOW - timedelta(minutes=11)))
        account.put("tasks", "2", millis(NOW - timedelta(minutes=9)))
        account.put("tasks", "3", millis(NOW + timedelta(minutes=3)))
        account.link(("tasks", "3"), ("contacts", "9"), 204)
        (page,) = pull(crm_of(account), "tasks", cursor, NOW + timedelta(minutes=5))
        assert ids([page]) == ["2", "3"]
        assert page.activities[1].contacts == (contact("9"),)
        assert (page.total, page.calls, page.full) == (2, 2, False)

    def test_gathers_a_thousand_records_into_one_page(self) -> None:
        account = Account()
        for number in range(1, 1101):
            account.put("contacts", str(number), millis(NOW) + number)
        first, second = pull(crm_of(account), "contacts", {"phase": "changes", "since": millis(NOW)}, NOW + timedelta(hours=1))
        assert sorted(set(map(int, ids([first, second])))) == list(range(1, 1101))
        assert first.calls == 6, "five searches and one reading of associations"
        assert first.total == second.total == 1100

    @pytest.mark.parametrize("ids_as_text", [False, True])
    def test_more_records_than_search_shows_may_share_one_millisecond(self, ids_as_text: bool) -> None:
        """A month-end batch stamps more than 10,000 records alike; whether ids compare as numbers or as text is not documented."""
        account = Account(ids_as_text=ids_as_text)
        for number in range(95, 10_900):
            account.put("companies", str(number), millis(NOW) + 7)
        account.put("companies", "1", millis(NOW) + 3)
        account.put("companies", "2", millis(NOW) + 8)
        pages = pull(crm_of(account), "companies", {"phase": "changes", "since": millis(NOW)}, NOW + timedelta(hours=1))
        assert set(ids(pages)) == {"1", "2", *map(str, range(95, 10_900))}

    def test_stops_and_goes_on_inside_a_window(self) -> None:
        account = Account()
        for number in range(1, 2301):
            account.put("companies", str(number), millis(NOW) + number // 600)
        later = NOW + timedelta(hours=1)
        pages: list[Page] = []
        cursor: Cursor = {"phase": "changes", "since": millis(NOW)}
        while not (pages and pages[-1].last):
            page = next(iter(crm_of(account).pull("companies", cursor, now=later)))
            pages.append(page)
            cursor = orjson.loads(orjson.dumps(dict(page.cursor)))
        assert set(ids(pages)) == set(map(str, range(1, 2301)))
        assert cursor == {"phase": "changes", "since": millis(later)}

    @given(
        moments=st.lists(st.integers(0, 12), min_size=1, max_size=700),
        edits=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 699)), max_size=12),
    )
    def test_edits_during_a_pull_lose_nothing(self, moments: list[int], edits: list[tuple[int, int]]) -> None:
        """Whatever is edited between two requests: after the next pull every record is known as it is now."""
        account = Account()
        for number, moment in enumerate(moments):
            account.put("companies", str(number + 1), millis(NOW) + moment // 4, industry="0")
        searches = 0

        def edit(request: Request) -> None:
            nonlocal searches
            searches += request.path.endswith("/search")
            for turn, index in edits:
                if turn == searches and index < len(moments):
                    account.put("companies", str(index + 1), millis(NOW) + 60_000 + searches, industry=str(searches))

        account.before = edit
        crm = crm_of(account)
        known: dict[str, Any] = {}
        cursor: Cursor = {"phase": "changes", "since": millis(NOW)}
        for later in (30, 120):
            for page in pull(crm, "companies", cursor, NOW + timedelta(seconds=later)):
                known |= {record.id: record.properties for record in page.records}
                cursor = page.cursor
            account.before = lambda request: None
        assert known == {key: {"industry": row["properties"]["industry"]} for key, row in account.records["companies"].items()}

    def test_an_error_in_the_middle_moves_no_cursor(self) -> None:
        account = Account()
        for number in range(1, 1101):
            account.put("companies", str(number), millis(NOW) + number)
        account.told = [Told("nothing", reply({}))]
        pages = crm_of(account).pull("companies", {"phase": "changes", "since": millis(NOW)}, now=NOW + timedelta(hours=1))
        first = next(pages)
        account.told = [Told("search", reply({"category": "MISSING_SCOPES", "message": "no"}, 403), times=9)]
        with pytest.raises(ObjectStopped):
            next(pages)
        account.told = []
        rest = pull(crm_of(account), "companies", first.cursor, NOW + timedelta(hours=2))
        assert set(ids([first, *rest])) == set(map(str, range(1, 1101)))


class TestRead:
    def test_reads_by_id_and_leaves_out_what_is_not_there(self) -> None:
        account = Account()
        for number in range(1, 251):
            account.put("contacts", str(number), email="a@kunde.example", hubspot_owner_id="11")
        found = crm_of(account).read("contacts", [*map(str, range(1, 251)), "1", "999"], ["email", "budget"])
        assert set(found) == set(map(str, range(1, 251)))
        assert found["9"].properties == {"email": "a@kunde.example", "budget": None}
        assert found["9"].owner_id == "11"
        assert len(account.log) == 3

    def test_reads_nothing_for_nothing(self) -> None:
        account = Account()
        assert crm_of(account).read("contacts", [], ["email"]) == {}
        assert account.log == []


def test_addresses_of_records_are_those_of_the_accounts_region() -> None:
    account = Account()
    crm = crm_of(account)
    assert crm.record_url("contacts", "151") == "https://app-eu1.hubspot.com/contacts/4711/record/0-1/151"
    assert crm.record_url("tasks", "9") == "https://app-eu1.hubspot.com/contacts/4711/record/0-27/9"
    assert len(account.log) == 1
    assert crm.surroundings().links["contacts"] == "https://app-eu1.hubspot.com/contacts/4711/record/0-1/{id}"


def test_it_is_a_crm() -> None:
    crm: Crm = crm_of(Account())
    assert (crm.name, list(crm.streams())[:3]) == ("hubspot", ["owners", "companies", "contacts"])


def test_what_happened_keeps_its_meaning() -> None:
    account = Account()
    account.put("emails", "1", hs_timestamp="2026-11-20T09:00:00Z", hs_email_direction="EMAIL", hs_email_status="SENT")
    (page,) = pull(crm_of(account), "emails")
    (activity,) = page.activities
    assert (activity.direction, activity.happened, activity.automatic) == (Direction.OUTGOING, True, False)


def test_an_answer_that_stays_unreadable_is_an_error_and_not_a_crash() -> None:
    account = Account()
    account.told = [Told("GET", Answer(status=200, headers={}, body=b'{"results": [{"id": "1", "prop'), times=99)]
    with pytest.raises(Retriable, match="no JSON object"):
        pull(crm_of(account), "companies")
    assert len(account.log) == 5
