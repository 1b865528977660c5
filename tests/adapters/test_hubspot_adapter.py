"""HubSpot through the port: what a pull brings, what a write does; over an account in memory, and over real HTTP against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hubspot_account import START, Account, Told, millis, reply
from hypothesis import given
from hypothesis import strategies as st

from connector.adapters.calling import Answer, NoBudget, Request, Unreachable
from connector.adapters.hubspot import HubSpotCrm, task_marker
from connector.adapters.port import Crm
from connector.errors import CrmError, ObjectStopped, PassStopped, Retriable
from connector.model import ActivityKind, Cursor, Direction, FieldWrite, Finding, Page, RecordRef, TaskSpec, TaskWrite, Uses, WriteState
from connector.sandbox.frame import Fault
from connector.sandbox.serve import Sandbox

NOW = START + timedelta(hours=1)
WANTED = {"contacts": ["email", "lifecyclestage", "hubspot_owner_id"], "companies": ["industry"]}


def crm_of(account: Account, **options: Any) -> HubSpotCrm:
    settings = SimpleNamespace(
        access_token=SimpleNamespace(read=lambda: "pat-eu1-test"), base_url="http://127.0.0.1:9", ca_bundle=None, api_version="v3"
    )
    options = {"wanted": WANTED, "budget": NoBudget(), "sleep": lambda seconds: None, "send": account.send, **options}
    return HubSpotCrm(settings, **options)


def pull(crm: HubSpotCrm, stream: str, cursor: Cursor | None = None, now: datetime = NOW) -> list[Page]:
    pages = list(crm.pull(stream, cursor, now=now))
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    return pages


def ids(pages: Sequence[Page]) -> list[str]:
    found: list[str] = []
    for page in pages:
        found += [record.id for record in page.records]
        found += [activity.id for activity in page.activities]
        found += [owner.id for owner in page.owners]
        found += [deal.id for deal in page.deals]
    return found


def contact(record_id: str) -> RecordRef:
    return RecordRef(crm="hubspot", object="contacts", id=record_id)


class TestFirstPull:
    def test_brings_contacts_with_their_primary_company_by_pages_of_a_thousand(self) -> None:
        """Ten requests of 100 and one for associations make a page; one search asks whether there are more; then come changes."""
        account = Account()
        for number in range(1, 1051):
            account.put("contacts", str(number), email=f"p{number}@kunde.example", lifecyclestage="lead", secret="no")
        account.link(("contacts", "7"), ("companies", "90"), 279)
        account.links["contacts", "companies"]["8"] = [("91", 279), ("90", 279), ("90", 1)]
        crm = crm_of(account)

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


def write(record_id: str, clear_first: bool = False, **properties: str | None) -> FieldWrite:
    return FieldWrite(record=contact(record_id), properties=properties, clear_first=clear_first)


class TestUpdate:
    def test_writes_a_batch_with_one_request(self) -> None:
        account = Account()
        for number in range(1, 101):
            account.put("contacts", str(number), lifecyclestage="lead")
        writes = [write(str(number), lifecyclestage="marketingqualifiedlead") for number in range(1, 101)]
        crm = crm_of(account)
        outcomes = crm.update("contacts", writes)
        assert {outcome.state for outcome in outcomes} == {WriteState.WRITTEN}
        assert [outcome.id for outcome in outcomes] == [str(number) for number in range(1, 101)]
        assert account.paths() == ["POST /crm/v3/objects/contacts/batch/update"]
        assert crm.batch_size("contacts") == 100

    def test_none_empties_a_property(self) -> None:
        account = Account()
        account.put("contacts", "1", pain_point="slow")
        crm_of(account).update("contacts", [write("1", pain_point=None)])
        assert account.records["contacts"]["1"]["properties"]["pain_point"] == ""

    def test_a_stage_that_was_silently_left_is_refused(self) -> None:
        account = Account()
        account.put("contacts", "1", lifecyclestage="salesqualifiedlead")
        (outcome,) = crm_of(account).update("contacts", [write("1", lifecyclestage="lead")])
        assert (outcome.state, outcome.code) == (WriteState.REFUSED, "IGNORED")
        assert outcome.advice

    def test_clearing_first_takes_a_request_of_its_own(self) -> None:
        account = Account()
        account.put("contacts", "1", lifecyclestage="salesqualifiedlead")
        account.put("contacts", "2", lifecyclestage="lead")
        writes = [write("1", clear_first=True, lifecyclestage="lead"), write("2", lifecyclestage="marketingqualifiedlead")]
        outcomes = crm_of(account).update("contacts", writes)
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN] * 2
        assert [row["properties"]["lifecyclestage"] for row in account.records["contacts"].values()] == ["lead", "marketingqualifiedlead"]
        sent = [orjson.loads(request.body or b"")["inputs"] for request in account.log if request.path.endswith("update")]
        assert [[row["properties"]["lifecyclestage"] for row in batch] for batch in sent] == [[""], ["lead", "marketingqualifiedlead"]]

    def test_what_was_cleared_in_vain_is_put_back(self) -> None:
        account = Account()
        account.put("contacts", "1", lifecyclestage="salesqualifiedlead")
        (outcome,) = crm_of(account).update("contacts", [write("1", clear_first=True, lifecyclestage="bad stage")])
        assert (outcome.state, outcome.code) == (WriteState.REFUSED, "INVALID_OPTION")
        assert "put back" in outcome.message
        assert account.records["contacts"]["1"]["properties"]["lifecyclestage"] == "salesqualifiedlead"

    def test_says_when_it_could_not_put_back(self) -> None:
        account = Account()
        account.put("contacts", "1", lifecyclestage="salesqualifiedlead")

        def closed_after_the_first(request: Request) -> None:
            if [path for path in account.paths() if path.endswith("update")]:
                account.told = [Told("update", reply({"category": "INVALID_AUTHENTICATION"}, 401), times=9)]

        account.before = closed_after_the_first
        (outcome,) = crm_of(account).update("contacts", [write("1", clear_first=True, lifecyclestage="lead")])
        assert (outcome.state, outcome.code) == (WriteState.LATER, "CLEARED")
        assert "empty now" in outcome.message

    def test_one_bad_row_does_not_sink_the_others(self) -> None:
        account = Account()
        for number in range(1, 101):
            account.put("contacts", str(number), lifecyclestage="lead")
        bad = {17, 18, 64}
        writes = [write(str(number), timeline="bad choice" if number in bad else "now") for number in range(1, 101)]
        outcomes = crm_of(account).update("contacts", writes)
        refused = {number for number, outcome in enumerate(outcomes, 1) if outcome.state is WriteState.REFUSED}
        assert refused == bad
        assert {outcome.state for number, outcome in enumerate(outcomes, 1) if number not in bad} == {WriteState.WRITTEN}
        assert {outcomes[number - 1].code for number in bad} == {"INVALID_OPTION"}
        assert "timeline" in outcomes[16].message
        assert "bad choice" not in outcomes[16].message, "values may be personal"

    def test_a_property_that_is_not_there_is_found_out_once(self) -> None:
        account = Account()
        for number in range(1, 101):
            account.put("contacts", str(number))
        outcomes = crm_of(account).update("contacts", [write(str(number), nonsense=str(number)) for number in range(1, 101)])
        assert {outcome.code for outcome in outcomes} == {"PROPERTY_DOESNT_EXIST"}
        assert len(account.log) <= 8

    def test_a_record_that_is_gone_is_refused_alone(self) -> None:
        account = Account()
        account.put("contacts", "1")
        outcomes = crm_of(account).update("contacts", [write("404", timeline="now"), write("1", timeline="now")])
        assert [outcome.state for outcome in outcomes] == [WriteState.REFUSED, WriteState.WRITTEN]

    def test_two_writes_to_one_record_keep_their_order(self) -> None:
        account = Account()
        account.put("contacts", "1")
        account.put("contacts", "2")
        writes = [write("1", timeline="now"), write("2", timeline="now"), write("1", timeline="later")]
        outcomes = crm_of(account).update("contacts", writes)
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN] * 3
        assert account.records["contacts"]["1"]["properties"]["timeline"] == "later"
        assert len(account.log) == 2

    def test_a_lost_answer_is_repeated_and_at_last_unknown(self) -> None:
        account = Account()
        account.put("contacts", "1")
        account.told = [Told("update", Unreachable("no answer in time", sent=True), times=99, lost=True)]
        (outcome,) = crm_of(account).update("contacts", [write("1", timeline="now")])
        assert outcome.state is WriteState.UNKNOWN
        assert len(account.log) == 5

    def test_a_limit_is_later(self) -> None:
        account = Account()
        account.put("contacts", "1")
        account.told = [Told("update", reply({"policyName": "TEN_SECONDLY_ROLLING"}, 429), times=99)]
        (outcome,) = crm_of(account).update("contacts", [write("1", timeline="now")])
        assert outcome.state is WriteState.LATER

    def test_a_dead_token_is_raised_while_nothing_was_written(self) -> None:
        account = Account()
        account.told = [Told("update", reply({"category": "INVALID_AUTHENTICATION"}, 401))]
        with pytest.raises(PassStopped):
            crm_of(account).update("contacts", [write("1", timeline="now")])

    def test_nothing_to_write_asks_nothing(self) -> None:
        account = Account()
        assert crm_of(account).update("contacts", []) == []
        assert account.log == []


DUE = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)


def task(key: str, record_id: str = "7", owner_id: str | None = "11", body: str = "Ann <b> & Co\nSecond line") -> TaskWrite:
    spec = TaskSpec(
        purpose="mql-alert", subject="MQL: Ann", body=body, due_at=DUE, priority="high", type="call", owner_id=owner_id,
        reminder_at=DUE - timedelta(minutes=30),
    )  # fmt: skip
    return TaskWrite(key=key, record=contact(record_id), task=spec)


class TestTasks:
    def test_creates_finds_and_reads_back(self) -> None:
        account = Account()
        crm = crm_of(account)
        writes = [task("rule/1/7"), task("rule/1/8", "8")]

        outcomes = crm.create_tasks(writes)

        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN] * 2
        assert crm.find_tasks([*writes, task("rule/1/9", "9")]) == {"rule/1/7": outcomes[0].id, "rule/1/8": outcomes[1].id}
        assert crm.read_tasks([outcomes[1].id, "999999"]) == {
            outcomes[1].id: {
                "subject": "MQL: Ann",
                "owner_id": "11",
                "due_at": "2026-11-23T11:00:00+00:00",
                "key": task_marker("rule/1/8"),
                "record_id": "8",
            }
        }

    def test_what_it_created_comes_back_in_a_pull(self) -> None:
        account = Account()
        crm = crm_of(account)
        crm.create_tasks([task("rule/1/7")])
        (page,) = pull(crm, "tasks")
        (activity,) = page.activities
        assert (activity.kind, activity.channel, activity.key) == (ActivityKind.TASK, "call", task_marker("rule/1/7"))
        assert (activity.due_at, activity.done, activity.at, activity.contacts) == (DUE, False, None, (contact("7"),))

    def test_a_refused_row_leaves_the_others(self) -> None:
        account = Account()
        outcomes = crm_of(account).create_tasks([task("a"), task("b", owner_id="0"), task("c", owner_id=None)])
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN, WriteState.REFUSED, WriteState.WRITTEN]
        assert len(account.records["tasks"]) == 2

    @pytest.mark.parametrize(
        ("told", "lost"),
        [
            (Unreachable("no answer in time", sent=True), True),
            (Answer(status=502, headers={}, body=b"<html>bad gateway</html>"), True),
            (Answer(status=201, headers={}, body=b'{"results": [{"id": "1'), True),
            (Answer(status=500, headers={}, body=b""), False),
        ],
    )
    def test_a_lost_answer_is_unknown_and_never_repeated(self, told: Answer | Unreachable, lost: bool) -> None:
        account = Account()
        account.told = [Told("create", told, lost=lost)]
        crm = crm_of(account)
        writes = [task("a"), task("b")]
        assert [outcome.state for outcome in crm.create_tasks(writes)] == [WriteState.UNKNOWN] * 2
        assert len([path for path in account.paths() if path.endswith("create")]) == 1
        assert set(crm.find_tasks(writes)) == ({"a", "b"} if lost else set())

    def test_is_repeated_where_hubspot_certainly_did_not_act(self) -> None:
        account = Account()
        account.told = [
            Told("create", reply({"policyName": "TEN_SECONDLY_ROLLING", "message": "…"}, 429)),
            Told("create", Unreachable("the connection was refused", sent=False)),
        ]
        (outcome,) = crm_of(account).create_tasks([task("a")])
        assert outcome.state is WriteState.WRITTEN
        assert len(account.records["tasks"]) == 1

    def test_is_later_where_it_was_never_sent(self) -> None:
        account = Account()
        account.told = [Told("create", Unreachable("the connection was refused", sent=False), times=99)]
        assert [outcome.state for outcome in crm_of(account).create_tasks([task("a")])] == [WriteState.LATER]

    def test_of_two_with_one_key_the_elder_is_found(self) -> None:
        account = Account()
        crm = crm_of(account)
        elder = crm.create_tasks([task("a")])[0].id
        crm.create_tasks([task("a")])
        assert crm.find_tasks([task("a")]) == {"a": elder}


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


SCOPES = ["crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.companies.read", "crm.objects.owners.read",
          "crm.schemas.contacts.read", "crm.schemas.companies.read", "crm.objects.deals.read", "sales-email-read"]  # fmt: skip


USES = Uses(written={"contacts": ("lifecyclestage",)}, tasks=True, passes_a_day=288, live=True, daily_requests=1000, per_10_seconds=100)


def checked_account() -> Account:
    account = Account(scopes=list(SCOPES))
    account.properties = {"contacts": [{"name": "email", "type": "string"}]}
    account.put("contacts", "151", email="a@kunde.example")
    return account


class TestCheck:
    def checked(self, account: Account, uses: Uses = USES) -> list[Finding]:
        return crm_of(account).check(now=NOW, uses=uses)

    def wrong(self, account: Account, uses: Uses = USES) -> list[tuple[str, bool]]:
        return [(finding.topic, finding.warning) for finding in self.checked(account, uses) if not finding.ok]

    def test_all_is_well(self) -> None:
        findings = self.checked(checked_account(), replace(USES, daily_requests=1_000_000))
        assert self.wrong(checked_account(), replace(USES, daily_requests=1000, passes_a_day=10)) == []
        messages = " | ".join(finding.message for finding in findings)
        for part in (
            "4711",
            "990 of 1,000",
            "all scopes",
            "emails can be read: 0",
            "contacts can be read: 1",
            "a first pull reads 1 records",
        ):
            assert part in messages

    def test_what_is_needed_is_told_with_what_is_there(self) -> None:
        account = checked_account()
        account.scopes.remove("sales-email-read")
        account.scopes.remove("crm.objects.contacts.write")
        findings = [finding for finding in self.checked(account) if finding.topic == "hubspot: scopes"]
        assert [(finding.ok, finding.warning) for finding in findings] == [(False, False), (False, False)]
        assert "sales-email-read" in findings[0].advice
        has = {one.name: one.has for one in findings[0].permissions}
        assert (has["sales-email-read"], has["crm.objects.contacts.write"], has["crm.objects.owners.read"]) == (False, False, True)

    def test_the_right_to_write_is_a_warning_in_shadow_and_not_asked_where_nothing_is_written(self) -> None:
        account = checked_account()
        account.scopes.remove("crm.objects.contacts.write")
        assert ("hubspot: scopes", True) in self.wrong(account, replace(USES, live=False))
        assert "hubspot: scopes" not in dict(self.wrong(account, Uses()))

    def test_limits_that_the_account_does_not_have(self) -> None:
        told = [finding for finding in self.checked(checked_account(), replace(USES, daily_requests=650_000)) if not finding.ok]
        assert [(finding.topic, finding.message) for finding in told] == [
            ("hubspot: limits", "crm.hubspot.daily_requests is 650,000, but HubSpot allows this account 1,000"),
        ]

    def test_passes_that_take_too_much_of_the_day(self) -> None:
        assert self.wrong(checked_account()) == [("hubspot: limits", True)]

    def test_a_dead_token_is_one_finding_that_still_says_what_is_needed(self) -> None:
        account = checked_account()
        account.told = [Told("", reply({"category": "INVALID_AUTHENTICATION"}, 401), times=99)]
        first, needed = self.checked(account)
        assert (first.ok, first.topic) == (False, "hubspot: credentials")
        assert "access token" in first.advice
        assert {one.has for one in needed.permissions} == {None}
        assert len(account.log) == 1

    def test_an_object_that_may_not_be_read_is_named_and_the_rest_goes_on(self) -> None:
        account = checked_account()
        error = {"context": {"requiredGranularScopes": ["sales-email-read"]}}
        account.told = [Told("POST /crm/v3/objects/emails", reply({"category": "MISSING_SCOPES", "errors": [error]}, 403), times=9)]
        findings = self.checked(account)
        assert [finding.topic for finding in findings if "sales-email-read" in finding.message] == ["hubspot: emails"]
        assert any(finding.topic == "hubspot: tasks" and finding.ok for finding in findings)

    def test_a_token_of_which_nothing_is_told_is_a_warning(self) -> None:
        account = checked_account()
        account.told = [Told("access-token-info", reply({"category": "OBJECT_NOT_FOUND", "message": "no"}, 404))]
        assert ("hubspot: scopes", True) in self.wrong(account)

    def test_a_clock_that_is_wrong_is_told(self) -> None:
        account = checked_account()
        account.told = [Told("account-info", reply({"portalId": 4711}, date="Fri, 20 Nov 2026 09:05:00 GMT"))]
        (finding,) = [finding for finding in self.checked(account, Uses()) if not finding.ok]
        assert (finding.topic, finding.warning) == ("hubspot: clock", True)
        assert "300 seconds" in finding.message


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


# ── Over real HTTP, against the sandbox's HubSpot ────────────────────────────────────────────────────────────────────────────────────

WORLD_NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
LIMITS: dict[str, Any] = {"requests_per_10_seconds": 100_000, "searches_per_second": 100_000}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(now=lambda: WORLD_NOW, hubspot_contacts=250, salesforce_leads=20, salesforce=False, **LIMITS) as running:
        yield running


@pytest.fixture
def crm(sandbox: Sandbox) -> Iterator[HubSpotCrm]:
    token = SimpleNamespace(read=lambda: "sandbox-token")
    settings = SimpleNamespace(access_token=token, base_url=sandbox.hubspot_url, ca_bundle=None, api_version="v3")
    waits: list[float] = []
    made = HubSpotCrm(settings, wanted=WANTED, budget=NoBudget(), sleep=waits.append, timeout=5.0)
    yield made
    made.close()
    sandbox.hubspot_frame.clear()


class TestOverHttp:
    def test_pulls_the_whole_world_and_then_nothing(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        before = sandbox.calls()["hubspot"]
        for stream in crm.streams():
            pages = pull(crm, stream, None, WORLD_NOW)
            held = sandbox.world.hubspot_owners if stream == "owners" else sandbox.world.hubspot[stream]
            assert len(set(ids(pages))) == sum(page.seen for page in pages) == len(held)
            assert [aside for page in pages for aside in page.set_aside] == []
            if stream == "owners":
                continue
            later = {**pages[-1].cursor, "since": millis(WORLD_NOW + timedelta(days=2))}
            (quiet,) = pull(crm, stream, later, WORLD_NOW + timedelta(days=3))
            assert (quiet.seen, quiet.calls) == (0, 1)
        assert crm.calls() == sandbox.calls()["hubspot"] - before

    def test_primary_companies_are_those_of_the_world(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        links = sandbox.world.hubspot_associations["contacts", "companies"]
        primary = {start: end for start, ends in links.items() for end, kind in ends if kind == 1}
        records = [record for page in pull(crm, "contacts", None, WORLD_NOW) for record in page.records]
        assert primary
        assert {record.id: record.company_id for record in records if record.company_id} == primary

    def test_activities_name_their_contacts(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        links = sandbox.world.hubspot_associations["calls", "contacts"]
        (page,) = pull(crm, "calls", None, WORLD_NOW)
        assert {each.id: {ref.id for ref in each.contacts} for each in page.activities if each.contacts} == {
            start: {end for end, _ in ends} for start, ends in links.items() if ends
        }

    def test_writes_and_reads_back(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        people = list(sandbox.world.hubspot["contacts"])[:3]
        crm.update("contacts", [write(each, clear_first=True, lifecyclestage="lead") for each in people])
        outcomes = crm.update("contacts", [write(each, lifecyclestage="salesqualifiedlead") for each in people])
        assert {outcome.state for outcome in outcomes} == {WriteState.WRITTEN}
        (ignored,) = crm.update("contacts", [write(people[0], lifecyclestage="lead")])
        assert ignored.code == "IGNORED"
        back = crm.update("contacts", [write(people[0], clear_first=True, lifecyclestage="lead")])
        assert back[0].state is WriteState.WRITTEN
        found = crm.read("contacts", [*people, "99999999999"], ["lifecyclestage"])
        assert [found[each].properties["lifecyclestage"] for each in people] == ["lead", "salesqualifiedlead", "salesqualifiedlead"]

    def test_a_bad_value_is_refused_alone(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        people = list(sandbox.world.hubspot["contacts"])[3:6]
        writes = [write(each, lifecyclestage="nonsense" if each == people[1] else "customer") for each in people]
        outcomes = crm.update("contacts", writes)
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN, WriteState.REFUSED, WriteState.WRITTEN]
        assert outcomes[1].code == "INVALID_OPTION"

    def test_a_task_whose_answer_was_lost_is_found_and_not_doubled(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        person = list(sandbox.world.hubspot["contacts"])[7]
        before = len(sandbox.world.hubspot["tasks"])
        sandbox.hubspot_frame.add(Fault("hubspot", "/tasks/batch/create", 1, kind="lost"))
        owner = next(owner["id"] for owner in sandbox.world.hubspot_owners if not owner["archived"])
        writes = [task("over/http", person, owner_id=owner)]
        assert [outcome.state for outcome in crm.create_tasks(writes)] == [WriteState.UNKNOWN]
        found = crm.find_tasks(writes)
        assert len(sandbox.world.hubspot["tasks"]) == before + 1
        back = crm.read_tasks([found["over/http"]])[found["over/http"]]
        assert (back["key"], back["record_id"], back["owner_id"]) == (task_marker("over/http"), person, owner)

    def test_what_is_created_carries_its_mark_in_a_pull(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        person = list(sandbox.world.hubspot["contacts"])[8]
        (outcome,) = crm.create_tasks([task("in a pull", person, owner_id=None)])
        changed = pull(crm, "tasks", {"phase": "changes", "since": millis(WORLD_NOW)}, WORLD_NOW)
        (mine,) = [each for page in changed for each in page.activities if each.id == outcome.id]
        assert (mine.key, mine.contacts) == (task_marker("in a pull"), (contact(person),))

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault("hubspot", "/companies", 99, status=401, body=b'{"category": "INVALID_AUTHENTICATION"}'), PassStopped),
            (Fault("hubspot", "/companies", 99, status=403, body=b'{"category": "MISSING_SCOPES"}'), ObjectStopped),
            (Fault("hubspot", "/companies", 99, status=500, body=b"<html>"), Retriable),
            (Fault("hubspot", "/companies", 99, status=200, body=b"<html>login</html>"), Retriable),
            (Fault("hubspot", "/companies", 99, kind="truncate"), Retriable),
            (Fault("hubspot", "/companies", 99, kind="lost"), Retriable),
        ],
    )
    def test_what_lasts_is_an_error_with_a_way_out(self, sandbox: Sandbox, crm: HubSpotCrm, fault: Fault, error: type[CrmError]) -> None:
        sandbox.hubspot_frame.add(fault)
        with pytest.raises(error) as told:
            pull(crm, "companies", None, WORLD_NOW)
        assert told.value.advice

    @pytest.mark.parametrize(
        "fault",
        [
            Fault("hubspot", "/companies", 2, status=429, body=b'{"policyName": "TEN_SECONDLY_ROLLING"}'),
            Fault("hubspot", "/companies", 1, status=429, headers={"Retry-After": "2"}),
            Fault("hubspot", "/companies", 1, status=502, body=b"<html>"),
            Fault("hubspot", "/companies", 1, kind="truncate"),
            Fault("hubspot", "/companies", 1, kind="lost"),
        ],
    )
    def test_what_passes_is_waited_out(self, sandbox: Sandbox, crm: HubSpotCrm, fault: Fault) -> None:
        sandbox.hubspot_frame.add(fault)
        (page,) = pull(crm, "companies", None, WORLD_NOW)
        assert len(page.records) == len(sandbox.world.hubspot["companies"])

    def test_check_finds_nothing_wrong(self, crm: HubSpotCrm) -> None:
        findings = crm.check(now=datetime.now(UTC))
        assert [finding for finding in findings if not finding.ok] == []

    def test_many_threads_share_one_adapter(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        before = sandbox.calls()["hubspot"]
        with ThreadPoolExecutor(7) as threads:
            pulled = list(threads.map(lambda stream: pull(crm, stream, None, WORLD_NOW), crm.streams()))
        assert sum(page.calls for pages in pulled for page in pages) == crm.calls() == sandbox.calls()["hubspot"] - before
