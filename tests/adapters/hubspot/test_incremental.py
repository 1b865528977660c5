"""What changed in HubSpot: whole windows, whatever shares a millisecond, however ids are ordered, however late the index is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from connector.adapters.client import Answer, NoBudget, Request
from connector.adapters.hubspot import HubSpotCrm
from connector.model import Cursor, Page
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.hubspot.fake_account import START, Account, Told, millis, reply, stamp

NOW = START + timedelta(hours=1)
LATER = NOW + timedelta(hours=1)
SINCE: Cursor = {"phase": "changes", "since": millis(NOW)}
ORDERS: list[dict[str, Any]] = [{}, {"ids_as_text": True}, {"ids_sort_as_text": True}]


def crm_of(account: Account) -> HubSpotCrm:
    token = SimpleNamespace(read=lambda: "pat-eu1-test")
    of_account = SimpleNamespace(access_token=token, base_url="http://127.0.0.1:9", ca_bundle=None, api_version="v3")
    return HubSpotCrm(of_account, wanted={}, budget=NoBudget(), sleep=lambda seconds: None, send=account.send)


def by_single_pages(account: Account, cursor: Cursor = SINCE) -> Iterator[Page]:
    """Each page by a process of its own, which gets the cursor as it was stored."""
    while True:
        page = next(iter(crm_of(account).pull("companies", cursor, now=LATER)))
        yield page
        if page.last:
            return
        cursor = orjson.loads(orjson.dumps(dict(page.cursor)))


def ids(pages: list[Page]) -> set[str]:
    return {record.id for page in pages for record in page.records}


@pytest.mark.parametrize("order", ORDERS)
def test_whatever_shares_one_millisecond_is_brought_however_ids_are_ordered(order: dict[str, Any]) -> None:
    """Ids of one to five digits, so that text and numbers disagree nearly everywhere."""
    account = Account(**order)
    numbers = [*range(1, 130), *range(95, 9_000, 7), *range(100_001, 100_400)]
    for number in numbers:
        account.put("companies", str(number), millis(NOW) + 7)
    account.put("companies", "777777", millis(NOW) + 3)
    account.put("companies", "888888", millis(NOW) + 8)
    assert ids(list(crm_of(account).pull("companies", SINCE, now=LATER))) == {"777777", "888888", *map(str, numbers)}


@pytest.mark.long
@pytest.mark.parametrize("order", ORDERS)
def test_a_month_end_batch(order: dict[str, Any]) -> None:
    account = Account(**order)
    for number in range(9_000, 34_000):
        account.put("companies", str(number), millis(NOW) + 7)
    assert ids(list(crm_of(account).pull("companies", SINCE, now=LATER))) == set(map(str, range(9_000, 34_000)))


def test_ids_in_one_order_cost_no_more_than_their_pages() -> None:
    account = Account()
    for number in range(1, 5001):
        account.put("companies", str(number), millis(NOW) + 7)
    assert ids(list(crm_of(account).pull("companies", SINCE, now=LATER))) == set(map(str, range(1, 5001)))
    assert len(account.log) == 2 + 25 + 1, "two to find out, a page for 200 each, one for what comes after"


@given(
    numbers=st.sets(st.integers(1, 4000), min_size=250, max_size=900),
    order=st.sampled_from(ORDERS),
    moments=st.integers(1, 4),
    edits=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 249)), max_size=12),
)
@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_nothing_is_lost_whatever_is_edited_and_wherever_it_is_killed(
    numbers: set[int], order: dict[str, Any], moments: int, edits: list[tuple[int, int]]
) -> None:
    account, requests = Account(**order), 0
    listed = sorted(numbers)
    for place, number in enumerate(listed):
        account.put("companies", str(number), millis(NOW) + place % moments)

    def edit(request: Request) -> None:
        nonlocal requests
        requests += 1
        for turn, index in edits:
            if turn == requests:
                account.put("companies", str(listed[index]), millis(LATER) + requests)

    account.before = edit
    pages = list(by_single_pages(account))
    again = crm_of(account).pull("companies", pages[-1].cursor, now=LATER + timedelta(minutes=1))
    assert ids([*pages, *again]) == set(map(str, numbers))


def test_rows_out_of_order_skip_nothing() -> None:
    """A row that was edited a moment ago is found by its old moment and shows its new one, inside the window: the index lags."""
    account = Account()
    for number in range(1, 601):
        account.put("companies", str(number), millis(NOW) + number * 1000)
    show = account._shown

    def shown(name: str, row: dict[str, Any], asked: list[str]) -> dict[str, Any]:
        one = show(name, row, asked)
        if row["id"] == "150":
            one["properties"]["hs_lastmodifieddate"] = stamp(millis(LATER) - 5)
        return one

    account._shown = shown  # type: ignore[method-assign]
    assert ids(list(crm_of(account).pull("companies", SINCE, now=LATER))) == set(map(str, range(1, 601)))
    beyond = Account()
    for number in range(1, 601):
        beyond.put("companies", str(number), millis(NOW) + number * 1000)
    page = [{"id": str(n), "properties": {"hs_lastmodifieddate": stamp(millis(LATER) + 9)}} for n in range(1, 201)]
    beyond.told = [Told("search", reply({"results": page, "total": 600, "paging": {"next": {"after": "200"}}}))]
    assert ids(list(crm_of(beyond).pull("companies", SINCE, now=LATER))) == set(map(str, range(1, 601)))


def test_a_late_index_is_waited_out_by_the_overlap() -> None:
    now = [NOW]
    world = make_world(now=NOW, hubspot_contacts=50, salesforce_leads=5)
    late = HubSpotOptions(requests_per_10_seconds=100_000, searches_per_second=100_000, search_lag_seconds=240.0)
    with Sandbox(world, now=lambda: now[0], hubspot=late, salesforce=None) as box:
        token = SimpleNamespace(read=lambda: "sandbox-token")
        of_sandbox = SimpleNamespace(access_token=token, base_url=box.hubspot_url, ca_bundle=None, api_version="v3")
        crm = HubSpotCrm(of_sandbox, wanted={"companies": ["name"]}, budget=NoBudget())
        cursor = list(crm.pull("companies", None, now=now[0]))[-1].cursor
        writer = crm._caller
        found: dict[str, str | None] = {}
        named: dict[str, str] = {}
        for turn, record in enumerate(list(box.world.hubspot["companies"])[:6]):
            now[0] += timedelta(seconds=70)
            inputs = [{"id": record, "properties": {"name": f"renamed {turn}"}}]
            writer.call(crm._api.batch_update("companies", inputs))
            named[record] = f"renamed {turn}"
            pages = list(crm.pull("companies", cursor, now=now[0]))
            cursor = pages[-1].cursor
            found |= {each.id: each.properties["name"] for page in pages for each in page.records if each.id in named}
        now[0] += timedelta(seconds=300)
        last = list(crm.pull("companies", cursor, now=now[0]))
        found |= {each.id: each.properties["name"] for page in last for each in page.records if each.id in named}
        crm.close()
    assert found == named


class Dated:
    """An account whose answers bear the moment of its own clock."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.now = NOW

    def send(self, request: Request) -> Answer:
        answer = self.account.send(request)
        return replace(answer, headers={**answer.headers, "date": format_datetime(self.now, usegmt=True)})

    def pull(self, cursor: Cursor | None, ahead: timedelta) -> list[Page]:
        token = SimpleNamespace(read=lambda: "pat-eu1-test")
        settings = SimpleNamespace(access_token=token, base_url="http://127.0.0.1:9", ca_bundle=None, api_version="v3")
        crm = HubSpotCrm(settings, wanted={}, budget=NoBudget(), sleep=lambda seconds: None, send=self.send)
        return list(crm.pull("companies", cursor, now=self.now + ahead))


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(0), timedelta(hours=-2)])
@pytest.mark.parametrize("many", [3, 450])
def test_a_clock_of_ours_that_is_not_hubspots_loses_nothing(ahead: timedelta, many: int) -> None:
    account = Account()
    for number in range(1, many + 1):
        account.put("companies", str(number), millis(NOW - timedelta(minutes=30)))
    dated = Dated(account)
    seen = ids(pages := dated.pull(None, ahead))
    for number in range(1, 5):
        dated.now += timedelta(minutes=15)
        account.put("companies", str(900 + number), millis(dated.now - timedelta(minutes=8)))
        pages = dated.pull(pages[-1].cursor, ahead)
        seen |= ids(pages)
    dated.now -= min(ahead, timedelta(0))  # a clock that is behind brings it later
    seen |= ids(dated.pull(pages[-1].cursor, ahead))
    assert seen == set(account.records["companies"])


def test_a_window_that_ended_ahead_of_hubspots_clock_comes_back_to_it() -> None:
    dated = Dated(Account())
    pages = dated.pull({"phase": "changes", "since": millis(NOW + timedelta(days=1))}, timedelta(0))
    assert [page.last for page in pages] == [True]
    assert millis(NOW) <= pages[0].cursor["since"] < millis(NOW) + 1000
