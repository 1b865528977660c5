"""Deals of HubSpot as a stream, and what records tell of merges, further addresses, teams and properties that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapters.client import Answer, NoBudget
from connector.adapters.hubspot import HubSpotCrm
from connector.adapters.hubspot.wire.deals import read_deal, read_stages
from connector.errors import ObjectStopped
from connector.model import Deal, Page, Record, RecordRef, SetAside
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.hubspot.fake_account import START, Account, Told, millis, reply

NOW = START + timedelta(hours=1)
PIPELINE = {
    "id": "default",
    "stages": [
        {"id": "open", "metadata": {"isClosed": "false", "probability": "0.4"}},
        {"id": "won", "metadata": {"isClosed": "true", "probability": "1.0"}},
        {"id": "lost", "metadata": {"isClosed": "true", "probability": "0.0"}},
        {"id": "odd", "metadata": None},
    ],
}
NO_SCOPE = reply({"category": "MISSING_SCOPES", "message": "no", "status": "error"}, 403)


def crm_of(account: Account, wanted: Any = None) -> HubSpotCrm:
    token = SimpleNamespace(read=lambda: "pat-eu1-test")
    of_account = SimpleNamespace(access_token=token, base_url="http://127.0.0.1:9", ca_bundle=None, api_version="v3")
    return HubSpotCrm(of_account, wanted=wanted or {}, budget=NoBudget(), sleep=lambda seconds: None, send=account.send)


def whole(crm: HubSpotCrm, stream: str, cursor: Any = None) -> Page:
    (page,) = crm.pull(stream, cursor, now=NOW)
    return page


def deal_account() -> Account:
    account = Account(pipelines=[PIPELINE])
    account.put(
        "deals", "5", dealstage="won", pipeline="default", amount="1200.50", deal_currency_code="EUR", hubspot_owner_id="11",
        closedate="2026-11-19T10:00:00Z", createdate="2026-11-01T10:00:00Z", hs_is_closed="true", hs_is_closed_won="true",
    )  # fmt: skip
    account.link(("deals", "5"), ("contacts", "7"), 3)
    account.links["deals", "companies"]["5"] = [("91", 341), ("90", 341), ("90", 5)]
    return account


class TestDeals:
    def test_come_whole_from_the_list(self) -> None:
        account = deal_account()
        page = whole(crm_of(account), "deals")
        assert page.deals == [
            Deal(
                crm="hubspot", object="deals", id="5", stage="won", pipeline="default", amount=1200.5, currency="EUR", owner_id="11",
                closed_at=datetime(2026, 11, 19, 10, tzinfo=UTC), created_at=datetime(2026, 11, 1, 10, tzinfo=UTC), modified_at=START,
                closed=True, won=True, company_id="90", contacts=(RecordRef(crm="hubspot", object="contacts", id="7"),),
            )
        ]  # fmt: skip
        assert (page.seen, page.calls) == (1, 2), "the list, which names the contacts, and the companies"
        assert not any("pipelines" in path for path in account.paths())

    def test_and_from_a_search(self) -> None:
        account = deal_account()
        cursor = {"phase": "changes", "since": millis(START)}
        page = whole(crm_of(account), "deals", cursor)
        assert (page.deals[0].company_id, [each.id for each in page.deals[0].contacts or ()]) == ("90", ["7"])
        assert page.calls == 3

    @pytest.mark.parametrize(
        ("stage", "expected"),
        [("open", (False, False)), ("won", (True, True)), ("lost", (True, False)), ("odd", (False, False)), ("gone", (False, False))],
    )
    def test_the_pipeline_tells_what_the_deal_does_not(self, stage: str, expected: tuple[bool, bool]) -> None:
        account = Account(pipelines=[PIPELINE])
        for number in ("5", "6"):
            account.put("deals", number, dealstage=stage, pipeline="default")
        page = whole(crm_of(account), "deals")
        assert {(deal.closed, deal.won) for deal in page.deals} == {expected}
        assert sum("pipelines" in path for path in account.paths()) == 1

    def test_without_the_scope_there_are_none_and_no_error(self) -> None:
        account = deal_account()
        account.told = [Told("deals", NO_SCOPE, times=1)]
        crm = crm_of(account)
        page = whole(crm, "deals")
        assert (page.seen, page.last, page.full) == (0, True, False)
        assert len(whole(crm, "deals", page.cursor).deals) == 1, "read whole once the scope was given"
        cursor = {"phase": "changes", "since": 5}
        account.told = [Told("deals", NO_SCOPE, times=1)]
        with pytest.raises(ObjectStopped) as told:  # what is here grows old, and nobody else would say so
            whole(crm, "deals", cursor)
        assert told.value.code == "MISSING_SCOPES"

    def test_other_refusals_are_errors(self) -> None:
        account = deal_account()
        account.told = [Told("deals", reply({"category": "VALIDATION_ERROR", "message": "no"}, 400))]
        with pytest.raises(ObjectStopped):
            whole(crm_of(account), "deals")
        account.told = [Told("contacts", NO_SCOPE)]
        with pytest.raises(ObjectStopped):
            whole(crm_of(account), "contacts")

    @given(
        st.dictionaries(
            st.sampled_from(["dealstage", "pipeline", "amount", "closedate", "hs_is_closed", "hs_is_closed_won", "createdate"]),
            st.none() | st.text(max_size=9) | st.integers() | st.floats() | st.booleans() | st.lists(st.integers(), max_size=2),
        )
    )
    def test_whatever_comes_is_read_or_set_aside(self, properties: dict[str, Any]) -> None:
        assert isinstance(read_deal({"id": "5", "properties": properties}, [], None, dict), Deal | SetAside)

    def test_stages_of_any_shape_are_read(self) -> None:
        assert read_stages(Answer(status=200, headers={}, body=b'{"results": [null, {"id": "p"}, {"id": "q", "stages": [5, {}]}]}')) == {
            ("q", "None"): (False, False)
        }


class TestRecords:
    def test_tell_what_was_merged_into_them_and_further_addresses(self) -> None:
        account = Account()
        further = "b@kunde.example; c@k.example;"
        account.put("contacts", "5", email="a@kunde.example", hs_merged_object_ids="3;4", hs_additional_emails=further)
        account.put("companies", "6", hs_merged_object_ids="2")
        account.put("contacts", "8")
        account.put("deals", "20", dealstage="won", hs_merged_object_ids="18;19")
        five, eight = whole(crm_of(account, {"contacts": ["email"]}), "contacts").records
        assert (five.merged_ids, five.emails) == (("3", "4"), ("b@kunde.example", "c@k.example"))
        assert five.properties == {"email": "a@kunde.example"}
        assert (eight.merged_ids, eight.emails) == ((), ())
        assert whole(crm_of(account), "companies").records[0].merged_ids == ("2",)
        assert whole(crm_of(account), "deals").deals[0].merged_ids == ("18", "19")

    @pytest.mark.parametrize("phase", [None, {"phase": "changes", "since": millis(START)}])
    def test_a_property_that_no_record_has_is_told(self, phase: Any) -> None:
        raws = [{"id": "1", "properties": {"email": None}}, {"id": "2", "properties": {"email": "b", "rare": None}}]
        account = Account(told=[Told("/objects/contacts", reply({"results": raws, "total": 2}))])
        page = whole(crm_of(account, {"contacts": ["email", "rare", "gone"]}), "contacts", phase)
        assert page.absent == {"gone"}
        assert page.records[1].properties == {"email": "b", "rare": None, "gone": None}
        assert whole(crm_of(Account(), {"contacts": ["gone"]}), "contacts", phase).absent == frozenset(), "nothing is known of no records"

    def test_owners_have_their_teams(self) -> None:
        teams = [{"id": "1", "name": "Inside", "primary": True}, {"id": "2", "name": ""}, {"id": "3"}]
        account = Account(owners=[{"id": "11", "archived": False, "teams": teams}, {"id": "12", "archived": False}])
        assert [owner.teams for owner in whole(crm_of(account), "owners").owners] == [("Inside",), ()]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    now = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    world = make_world(now=now, hubspot_contacts=400, salesforce_leads=5)
    wide = HubSpotOptions(requests_per_10_seconds=100_000, searches_per_second=100_000)
    with Sandbox(world, now=lambda: now, hubspot=wide, salesforce=None) as running:
        yield running


def test_deals_of_the_sandbox(sandbox: Sandbox) -> None:
    token = SimpleNamespace(read=lambda: "sandbox-token")
    for version in ("v3", "2026-09"):
        of_sandbox = SimpleNamespace(access_token=token, base_url=sandbox.hubspot_url, ca_bundle=None, api_version=version)
        crm = HubSpotCrm(of_sandbox, wanted={}, budget=NoBudget())
        world = sandbox.world.hubspot["deals"]
        page = whole(crm, "deals")
        assert {deal.id for deal in page.deals} == set(world) != set()
        assert not page.set_aside
        assert {deal.stage for deal in page.deals} == {row["properties"]["dealstage"] for row in world.values()}
        assert any(deal.won for deal in page.deals)
        assert any(deal.contacts for deal in page.deals)
        assert any(deal.company_id for deal in page.deals)
        changed = whole(crm, "deals", {"phase": "changes", "since": millis(datetime(2020, 1, 1, tzinfo=UTC))})
        assert {deal.id: deal for deal in changed.deals} == {deal.id: deal for deal in page.deals}
        crm.close()


def test_a_record_reads_the_same_from_either_end() -> None:
    """The list's and the search's records are one shape."""
    account = Account()
    for number in range(1, 2601):
        account.put("companies", str(number), hs_merged_object_ids="99999")
    pages = list(crm_of(account).pull("companies", None, now=NOW))
    records: list[Record] = [record for page in pages for record in page.records]
    assert {record.merged_ids for record in records} == {("99999",)}
