"""The first read of HubSpot's people and companies by two chains: nothing missing, whatever happens meanwhile and wherever it is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from connector.adapters.client import Answer, Caller, Lane, NoBudget, Request
from connector.adapters.hubspot import HubSpotCrm
from connector.errors import ObjectStopped, PassStopped
from connector.model import Cursor, Page, Record
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.hubspot.fake_account import START, Account, Told, millis, reply

NOW = START + timedelta(hours=1)
LATER = NOW + timedelta(minutes=30)
OLD = millis(START)


def crm_of(account: Account, **options: Any) -> HubSpotCrm:
    token = SimpleNamespace(read=lambda: "pat-eu1-test")
    of_account = SimpleNamespace(access_token=token, base_url="http://127.0.0.1:9", ca_bundle=None, api_version="v3")
    usual: dict[str, Any] = {"budget": NoBudget(), "sleep": lambda seconds: None}
    return HubSpotCrm(of_account, wanted={"companies": ["industry"], "contacts": ["email"]}, send=account.send, **usual | options)


def companies(numbers: Sequence[int], **options: Any) -> Account:
    account = Account(**options)
    for number in numbers:
        account.put("companies", str(number), OLD + number % 1000, industry="0")
    return account


def records(pages: Sequence[Page]) -> list[Record]:
    return [record for page in pages for record in page.records]


def stored(cursor: Cursor) -> Cursor:
    back: Cursor = orjson.loads(orjson.dumps(dict(cursor)))
    return back


def calls_of(account: Account) -> tuple[int, int]:
    """How many pages of the list, how many searches for records."""
    listed = sum(request.method == "GET" for request in account.log)
    return listed, sum(request.path.endswith("/search") and b'"limit":200' in (request.body or b"") for request in account.log)


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("first-read")]


class TestTwoChains:
    def test_meet_and_bring_everything(self) -> None:
        account = companies(range(101, 5101))
        crm = crm_of(account)
        pages = list(crm.pull("companies", None, now=NOW))
        brought = [record.id for record in records(pages)]
        assert set(map(int, brought)) == set(range(101, 5101))
        assert len(brought) < 5000 + 1500, "they overlap where they meet, and no more"
        listed, searched = calls_of(account)
        assert listed + 2 * searched < 50 + 20
        assert min(listed, searched) > 0
        assert sum(page.calls for page in pages) == crm.calls() == len(account.log)
        assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
        assert {page.full for page in pages} == {True}
        assert pages[-1].cursor == {"phase": "changes", "since": millis(NOW)}
        assert pages[-1].total == 5000
        assert own_threads() == []

    def test_their_requests_are_a_backfill_and_those_of_changes_are_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lanes: list[Lane] = []
        once = Caller._once

        def noted(self: Caller, *arguments: Any) -> Any:
            lanes.append(self.lane)
            return once(self, *arguments)

        monkeypatch.setattr(Caller, "_once", noted)
        crm = crm_of(companies(range(1, 2501)))
        cursor = list(crm.pull("companies", None, now=NOW))[-1].cursor
        assert set(lanes) == {"backfill"}
        lanes.clear()
        list(crm.pull("companies", cursor, now=LATER))
        assert set(lanes) == {"normal"}

    def test_contacts_have_their_companies_whichever_chain_brought_them(self) -> None:
        account = Account()
        for number in range(1, 3001):
            account.put("contacts", str(number), OLD, email=f"p{number}@kunde.example")
            account.links["contacts", "companies"][str(number)] = [(str(number % 7 + 1), 1)]
        found = {record.id: record.company_id for record in records(list(crm_of(account).pull("contacts", None, now=NOW)))}
        assert found == {str(number): str(number % 7 + 1) for number in range(1, 3001)}

    @pytest.mark.parametrize("order", [{"ids_as_text": True}, {"ids_sort_as_text": True}])
    def test_where_ids_do_not_go_by_number_the_list_goes_alone(self, order: dict[str, Any]) -> None:
        account = companies([*range(5, 1500), *range(20_000, 22_000)], **order)
        pages = list(crm_of(account).pull("companies", None, now=NOW))
        assert len(records(pages)) == 3495
        assert calls_of(account) == (35, 2), "the first page, and what proves it wrong"
        assert "top" not in pages[-2].cursor

    def test_few_records_are_not_worth_a_second_chain(self) -> None:
        for count, searches in ((100, 0), (1900, 1)):
            account = companies(range(1, count + 1))
            assert len(records(list(crm_of(account).pull("companies", None, now=NOW)))) == count
            assert calls_of(account) == (count // 100, searches)

    @pytest.mark.parametrize("tells", ["where it skips", "at the meeting"])
    def test_a_search_that_skips_a_record_is_not_believed(self, tells: str) -> None:
        """It does not show a record that other searches count: those of the stretch where it is, or only the one at the meeting."""
        account = companies(range(1, 6001))
        answer = account._search

        def hole(name: str, body: Any) -> Answer:
            told = orjson.loads(answer(name, body).body)
            rules = {rule["operator"] for group in body.get("filterGroups", []) for rule in group["filters"]}
            if body["limit"] == 200 and tells == "at the meeting":
                here = sum(raw["id"] == "5700" for raw in told["results"])
                told["total"] -= told["total"] >= 5700 or bool(here)
            elif rules == {"GT", "LTE"} and tells == "where it skips":
                told["total"] -= 1
            told["results"] = [raw for raw in told["results"] if raw["id"] != "5700"]
            return reply(told)

        account._search = hole  # type: ignore[method-assign]
        assert {record.id for record in records(list(crm_of(account).pull("companies", None, now=NOW)))} == set(map(str, range(1, 6001)))
        assert calls_of(account)[0] == 60, "the list went on to its end"

    def test_a_list_out_of_order_is_read_to_its_end(self) -> None:
        account = companies(range(1, 4001))
        answer = account._list

        def turned(name: str, request: Request) -> Answer:
            told = orjson.loads(answer(name, request).body)
            told["results"].reverse()
            return reply(told)

        account._list = turned  # type: ignore[method-assign]
        assert {record.id for record in records(list(crm_of(account).pull("companies", None, now=NOW)))} == set(map(str, range(1, 4001)))
        assert calls_of(account)[0] == 40


class TestRestart:
    def test_after_every_page(self) -> None:
        """A process for each page: whichever chain's page it was, the next goes on behind both."""
        account = companies(range(101, 6101))
        pages: list[Page] = []
        cursor: Cursor | None = None
        while not (pages and pages[-1].last):
            one = crm_of(account).pull("companies", cursor, now=NOW + timedelta(days=len(pages)))
            pages.append(next(one))
            one.close()  # type: ignore[attr-defined]
            cursor = stored(pages[-1].cursor)
            assert own_threads() == []
        brought = [record.id for record in records(pages)]
        assert set(map(int, brought)) == set(range(101, 6101))
        assert len(brought) < 6000 + 2500

    def test_of_a_list_that_an_older_version_began(self) -> None:
        account = companies(range(1, 5001))
        pages = list(crm_of(account).pull("companies", {"phase": "list", "since": millis(NOW), "after": "3001"}, now=LATER))
        assert {int(record.id) for record in records(pages)} == set(range(3001, 5001))
        assert calls_of(account) == (20, 0)

    @given(data=st.data())
    @settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.generate])
    def test_nothing_is_missing_whatever_happens_meanwhile(self, data: st.DataObject) -> None:
        """People edit, delete and create while it is read, the index lags, the process is killed: the changes afterwards make it whole."""
        count = data.draw(st.integers(2000, 3000))
        account = companies(range(1, 3 * count, 3))
        young = [str(number) for number in range(3 * count, 3 * count + 40)]
        for each in young:  # created in the last minutes; search does not find them yet
            account.put("companies", each, millis(NOW) - 60_000, industry="young")
        account.unseen |= set(young)
        kinds = st.sampled_from(["edit", "delete", "create"])
        events = data.draw(st.lists(st.tuples(st.integers(1, 60), kinds, st.integers(0, count - 1))))
        requests = 0

        def happen(request: Request) -> None:
            nonlocal requests
            requests += 1
            for turn, what, index in events:
                number = str(3 * index + 1)
                if turn != requests:
                    continue
                if what == "edit" and number in account.records["companies"]:
                    account.put("companies", number, millis(NOW) + requests, industry=f"edited {requests}")
                elif what == "delete":
                    account.records["companies"].pop(number, None)
                elif what == "create":
                    account.put("companies", str(4 * count + requests), millis(NOW) + requests, industry="new")

        account.before = happen
        known: dict[str, Any] = {}
        cursor: Cursor | None = None
        last = False
        while not last:
            pages = crm_of(account).pull("companies", cursor, now=NOW)
            for _ in range(data.draw(st.integers(1, 9))):
                page = next(pages)
                known |= {record.id: record.properties["industry"] for record in page.records}
                cursor, last = stored(page.cursor), page.last
                if last:
                    break
            pages.close()  # type: ignore[attr-defined]
        account.before = lambda request: None
        account.unseen.clear()
        for page in crm_of(account).pull("companies", cursor, now=LATER):
            known |= {record.id: record.properties["industry"] for record in page.records}
        held = {each: row["properties"]["industry"] for each, row in account.records["companies"].items()}
        assert {each: known.get(each) for each in held} == held


class TestThreads:
    @pytest.mark.parametrize("failing", ["GET /crm/v3/objects/contacts", "contacts/search", "associations"])
    def test_an_error_of_any_part_comes_out_and_ends_all(self, failing: str) -> None:
        account = Account()
        for number in range(1, 6001):
            account.put("contacts", str(number), OLD)
        pages = crm_of(account).pull("contacts", None, now=NOW)
        next(pages)
        account.told = [Told(failing, reply({"category": "MISSING_SCOPES", "message": "no"}, 403), times=99)]
        with pytest.raises(ObjectStopped):
            list(pages)
        assert own_threads() == []

    def test_an_interruption_of_the_process_comes_out_too(self) -> None:
        account = companies(range(1, 6001))

        def interrupt(request: Request) -> None:
            if "after" in request.query:
                raise KeyboardInterrupt

        account.before = interrupt
        with pytest.raises(KeyboardInterrupt):
            list(crm_of(account).pull("companies", None, now=NOW))
        assert own_threads() == []

    def test_a_spent_budget_stops_both_chains_and_keeps_what_came_before(self) -> None:
        class Spent(NoBudget):
            left = 30

            def take(self, bucket: Any, lane: Any = "normal") -> None:
                self.left -= 1
                if self.left < 0:
                    raise PassStopped("spent", crm="hubspot")

        account = companies(range(1, 7_001))
        pages = crm_of(account, budget=Spent()).pull("companies", None, now=NOW)
        brought: list[Page] = []
        with pytest.raises(PassStopped):
            brought.extend(iter(lambda: next(pages), None))
        assert brought
        rest = list(crm_of(account).pull("companies", stored(brought[-1].cursor), now=NOW))
        assert {int(record.id) for record in records([*brought, *rest])} == set(range(1, 7_001))
        assert own_threads() == []

    def test_nobody_reads_far_ahead_of_who_stores(self) -> None:
        account = companies(range(1, 12_001))
        pages = crm_of(account).pull("companies", None, now=NOW)
        next(pages)
        before = -1
        while before != len(account.log):  # until they stand still
            before = len(account.log)
            time.sleep(0.1)
        listed, searched = calls_of(account)
        assert 100 * listed + 200 * searched <= 7500
        pages.close()  # type: ignore[attr-defined]
        assert own_threads() == []

    def test_closing_cuts_a_long_wait_short(self) -> None:
        account = companies(range(1, 6001))
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            time.sleep(0.01)

        crm = crm_of(account, sleep=sleep)
        pages = crm.pull("companies", None, now=NOW)
        next(pages)
        account.told = [Told("", reply({"policyName": "TEN_SECONDLY_ROLLING"}, 429, retry_after="100"), times=999)]
        pages.close()  # type: ignore[attr-defined]
        assert own_threads() == []
        assert sum(slept) < 50


# ── Over real HTTP, against the sandbox's HubSpot ────────────────────────────────────────────────────────────────────────────────────

WORLD_NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
WIDE = HubSpotOptions(requests_per_10_seconds=100_000, searches_per_second=100_000)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    world = make_world(now=WORLD_NOW, hubspot_contacts=3000, salesforce_leads=5)
    with Sandbox(world, now=lambda: WORLD_NOW, hubspot=WIDE, salesforce=None) as running:
        yield running


def crm_at(sandbox: Sandbox, wanted: Mapping[str, Sequence[str]]) -> HubSpotCrm:
    token = SimpleNamespace(read=lambda: "sandbox-token")
    of_sandbox = SimpleNamespace(access_token=token, base_url=sandbox.hubspot_url, ca_bundle=None, api_version="v3")
    return HubSpotCrm(of_sandbox, wanted=wanted, budget=NoBudget(), sleep=lambda seconds: None)


class TestOverHttp:
    def test_brings_the_whole_world(self, sandbox: Sandbox) -> None:
        crm = crm_at(sandbox, {"contacts": ["email"]})
        before = sandbox.calls()["hubspot"]
        pages = list(crm.pull("contacts", None, now=WORLD_NOW))
        world = sandbox.world.hubspot["contacts"]
        live = {each: row["properties"].get("email") for each, row in world.items() if not row["archived"]}
        assert {record.id: record.properties["email"] for record in records(pages)} == live
        assert sum(page.calls for page in pages) == crm.calls() == sandbox.calls()["hubspot"] - before
        crm.close()

    def test_a_thousand_long_names_are_asked_for_in_bodies(self, sandbox: Sandbox) -> None:
        """As a query they would be 414; those that the account does not have are told as absent."""
        long = [f"a_property_with_a_rather_long_name_{number:04}" for number in range(1000)]
        crm = crm_at(sandbox, {"contacts": ["email", *long], "companies": ["industry", *long]})
        for stream in ("contacts", "companies"):
            pages = list(crm.pull(stream, None, now=WORLD_NOW))
            world = sandbox.world.hubspot[stream]
            assert {record.id for record in records(pages)} == {each for each, row in world.items() if not row["archived"]}
            assert {page.absent for page in pages} == {frozenset(long)}
        assert any(record.properties["industry"] for record in records(pages))
        crm.close()
