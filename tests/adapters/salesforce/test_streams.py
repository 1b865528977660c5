"""What is asked of each stream, what its rows become, and how a pull does without what the org does not show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapters.client import Answer, Request
from connector.adapters.salesforce.streams import OPTIONAL, STREAMS, Columns, stream
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire import sales as wire_sales
from connector.adapters.set_aside import Unreadable
from connector.errors import ObjectStopped
from connector.model import Page
from tests.adapters.salesforce.fake_bulk import NOW, WANTED, BulkOrg, lead

BERLIN = ZoneInfo("Europe/Berlin")
STAMP = "2026-12-01T10:00:00.000+0000"
STAMPS: dict[str, Any] = {"CreatedDate": "2026-12-01T09:00:00.000+0000", "SystemModstamp": STAMP, "IsDeleted": False}


def an_org(count: int = 120) -> BulkOrg:
    return BulkOrg([lead(number, NOW - timedelta(hours=1 + number)) for number in range(count)])


def records(pages: Sequence[Page]) -> dict[str, Any]:
    return {record.id: record.properties for page in pages for record in page.records}


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_referred_to_comes_first() -> None:
    order = {name: at for at, name in enumerate(STREAMS)}
    assert order["User"] < order["Account"] < order["Lead"] < order["Contact"] < order["Opportunity"] < order["OpportunityContactRole"]
    assert order["Contact"] < order["Campaign"] < order["CampaignMember"] < order["Task"]
    assert "Lead" not in OPTIONAL


def test_an_opportunity_is_a_deal() -> None:
    row = {
        **STAMPS, "Id": "006Wx000000001AAAA", "OwnerId": "005Wx000000001AAAA", "AccountId": "001Wx000000001AAAA", "StageName": "Won",
        "Amount": 1200, "CurrencyIsoCode": "EUR", "CloseDate": "2026-12-01", "IsClosed": True, "IsWon": True,
    }  # fmt: skip
    deal = wire_sales.deal(row, zone=BERLIN)
    assert (deal.object, deal.stage, deal.amount, deal.currency) == ("Opportunity", "Won", 1200.0, "EUR")
    assert (deal.closed, deal.won, deal.archived, deal.contacts) == (True, True, False, None)
    assert deal.closed_at == datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert deal.company_id == "001Wx000000001AAAA"
    bare = wire_sales.deal({**STAMPS, "Id": "006", "StageName": "Open", "IsDeleted": True}, zone=BERLIN)
    assert (bare.amount, bare.currency, bare.closed_at, bare.closed, bare.archived) == (None, None, None, False, True)


def test_a_role_links_a_contact_to_a_deal() -> None:
    row = {**STAMPS, "Id": "00K", "OpportunityId": "006", "ContactId": "003", "Role": "Decision Maker", "IsPrimary": True}
    role = wire_sales.role(row)
    assert (role.deal_id, role.record.object, role.record.id, role.role, role.primary) == ("006", "Contact", "003", "Decision Maker", True)


def test_a_campaign() -> None:
    row = {**STAMPS, "Id": "701", "Name": "Fair", "Type": "Trade Show", "Status": "Planned", "IsActive": True, "StartDate": "2026-12-02"}
    campaign = wire_sales.campaign(row, zone=BERLIN)
    assert (campaign.name, campaign.kind, campaign.active, campaign.ends_at) == ("Fair", "Trade Show", True, None)
    assert campaign.begins_at == datetime(2026, 12, 1, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "who"),
    [
        ({"LeadId": "00Q", "ContactId": None}, ("Lead", "00Q")),
        ({"LeadId": None, "ContactId": "003"}, ("Contact", "003")),
        ({"LeadId": "00Q", "ContactId": "003"}, ("Contact", "003")),
    ],
    ids=["lead", "contact", "converted lead"],
)
def test_a_member_is_a_person(row: dict[str, Any], who: tuple[str, str]) -> None:
    member = wire_sales.member({**STAMPS, "Id": "00v", "CampaignId": "701", "Status": "Sent", "HasResponded": True, **row})
    assert (member.record.object, member.record.id) == who
    assert (member.status, member.responded, member.joined_at) == ("Sent", True, datetime(2026, 12, 1, 9, tzinfo=UTC))


def test_a_member_that_is_nobody_cannot_be_read() -> None:
    with pytest.raises(Unreadable):
        wire_sales.member({**STAMPS, "Id": "00v", "CampaignId": "701"})


def test_merges_and_conversions_are_told() -> None:
    record = wire_records.record("Lead", {**lead(1, NOW), "MasterRecordId": "00Q2", "ConvertedOpportunityId": "006"}, ())
    assert (record.merged_into, record.converted_deal) == ("00Q2", "006")
    assert all("MasterRecordId" in wire_records.OWN_FIELDS[name] for name in ("Lead", "Contact", "Account"))


@pytest.mark.parametrize(
    ("role", "teams"),
    [({"UserRole": {"Name": "Sales DACH"}}, ("Sales DACH",)), ({"UserRole": None}, ()), ({}, ()), ({"UserRole.Name": "Bulk"}, ("Bulk",))],
)
def test_a_users_role_is_a_team(role: dict[str, Any], teams: tuple[str, ...]) -> None:
    assert wire_records.user({"Id": "005", "Name": "Ada", "IsActive": True, **role}).teams == teams


# ── Doing without ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wanted_field_that_vanished_is_named_and_all_else_goes_on() -> None:
    org = an_org()
    org.columns -= {"Text__c", "Budget__c"}
    pages = list(org.pull())
    assert len(records(pages)) == 120
    assert all(tuple(properties) == WANTED for properties in records(pages).values())
    assert {page.absent for page in pages} == {frozenset({"Text__c", "Budget__c"})}
    assert {properties["Email"] is None for properties in records(pages).values()} == {False}
    org.columns |= {"Text__c", "Budget__c"}  # it is there again: the next pull asks anew
    (page,) = org.pull(pages[-1].cursor, now=NOW + timedelta(minutes=5))
    assert page.absent == frozenset()


def test_a_wanted_field_that_vanished_is_named_in_a_pull_by_job() -> None:
    org = an_org(1_000)
    org.columns -= {"Text__c"}
    pages = org.pull()
    first = next(pages)
    assert org.jobs
    rest = list(org.pull(first.cursor))
    assert {page.absent for page in rest if page.records} == {frozenset({"Text__c"})}


def test_a_field_that_every_row_needs_stops_its_object() -> None:
    org = an_org()
    org.columns -= {"OwnerId"}
    with pytest.raises(ObjectStopped, match="OwnerId on Lead"):
        list(org.pull())


def test_an_optional_field_is_asked_for_again_after_a_day() -> None:
    """A new process learns from the cursor that the org has it not; a quiet pull stays one call."""
    org = an_org()
    org.columns -= {"ConvertedOpportunityId"}
    cursor = list(org.pull())[-1].cursor
    assert cursor["columns"]["lacking"] == ["ConvertedOpportunityId"]

    def calls(hours: int) -> int:
        nonlocal cursor
        org.sent.clear()
        (page,) = org.pull(cursor, now=NOW + timedelta(hours=hours))
        assert page.absent == frozenset()
        cursor = page.cursor
        return len(org.sent)

    assert [calls(1), calls(23), calls(25), calls(26)] == [1, 1, 2, 1]
    org.columns |= {"ConvertedOpportunityId"}
    assert [calls(48), calls(50)] == [1, 1]
    assert "columns" not in cursor


def test_too_many_formulas_are_read_in_parts() -> None:
    """QUERY_TOO_COMPLICATED: what one query cannot hold is read by id, and the cursor knows how much it can."""
    org = an_org()
    send, asked = org.send, []

    def complicated(request: Request) -> Answer:
        if request.method == "POST" and "/composite/" in request.path:
            body = orjson.loads(request.body or b"")
            asked.append(body["fields"])
            rows = {row["Id"]: row for row in org.rows}
            found = [{name: rows[one][name] for name in body["fields"]} for one in body["ids"]]
            return wire.opened(Answer(status=200, headers={}, body=orjson.dumps(found)))
        if sum(name in request.query.get("q", "") for name in WANTED) > 1:
            refused = [{"errorCode": "QUERY_TOO_COMPLICATED", "message": "Query is either selecting too many fields"}]
            return wire.opened(Answer(status=400, headers={}, body=orjson.dumps(refused)))
        return send(request)

    org.send = complicated  # type: ignore[method-assign]
    pages = list(org.pull())
    rows = {row["Id"]: row for row in org.rows if not row["IsDeleted"]}
    assert {key: found for key, found in records(pages).items() if key in rows} == {
        key: {name: row[name] for name in WANTED} for key, row in rows.items()
    }
    assert {len(fields) for fields in asked} == {2}  # Id and one more
    assert pages[-1].cursor["columns"]["share"] == 1


def test_a_heavy_window_loses_no_row() -> None:
    """QUERY_TIMEOUT for whatever is longer than a quarter of an hour; the cursor of every page is good to go on from."""
    org = an_org()
    send = org.send

    def slow(request: Request) -> Answer:
        query = request.query.get("q", "")
        if query:
            bounds = [wire.moment_of(part) for part in re.findall(r"SystemModstamp [<>]= (\S+Z)", query)]
            if max(bounds) - min(bounds) > timedelta(hours=9) or len(bounds) == 1:
                body = orjson.dumps([{"errorCode": "QUERY_TIMEOUT", "message": "Your query request was running for too long."}])
                return wire.opened(Answer(status=400, headers={}, body=body))
        return send(request)

    cursor = {"since": wire.literal(NOW - timedelta(hours=125))}
    org.send = slow  # type: ignore[method-assign]
    whole = list(org.pull(cursor))
    assert len(whole) > 10
    assert sorted(records(whole)) == sorted(row["Id"] for row in org.rows)
    assert whole[-1].cursor == {"since": wire.literal(NOW)}
    for at, page in enumerate(whole[:-1]):
        before = {one for earlier in whole[: at + 1] for one in records([earlier])}
        assert before | set(records(list(org.pull(page.cursor)))) == {row["Id"] for row in org.rows}


# ── Fitting ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def fits(soql: str) -> bool:
    return len(wire.target(wire.query(soql, all_rows=True, about=""))) <= wire.LONGEST_TARGET


names = st.lists(st.from_regex(r"[A-Z][A-Za-z_]{0,37}__c", fullmatch=True), max_size=600, unique=True)


@given(names, st.sampled_from(["Lead", "Contact", "Account"]))
def test_no_query_is_longer_than_a_uri(wanted: list[str], name: str) -> None:
    """With the key of a window in it twice; the other 4,000 bytes of the head are left to the access token and the headers."""
    one = stream(name, wanted=wanted, zone=UTC, key_field="Handoff_Key__c")
    columns = Columns(one, set(), None, NOW)
    window = wire_query.StampWindow(until=NOW, since=NOW, key=(STAMP, "00Qgg000000001AEAQ"))
    soql = wire_query.select(name, columns.in_query, where=window.where(one.stamp), order=f"{one.stamp}, Id")
    assert fits(soql)
    assert parse_qs(urlsplit(wire.target(wire.query(soql, all_rows=True, about=""))).query)["q"] == [soql]
    assert {*columns.everything()} >= {*wanted}


@pytest.mark.parametrize("name", STREAMS)
def test_every_stream_asks_for_a_key_and_fits(name: str) -> None:
    one = stream(name, wanted=(), zone=UTC, key_field="Handoff_Key__c")
    assert {"Id", one.stamp} <= set(one.fields)
    assert one.optional <= set(one.fields)
    window = wire_query.StampWindow(until=NOW, since=NOW, key=(STAMP, "00Qgg000000001AEAQ"))
    where = " AND ".join(part for part in (window.where(one.stamp), one.where) if part)
    assert fits(wire_query.select(name, one.fields, where=where, order=f"{one.stamp}, Id"))


def test_the_head_of_a_request_has_room_for_its_headers() -> None:
    """An access token of 3,500 characters, what the HTTP client adds itself, and the longest address that is asked for."""
    headers = {**wire.session_headers(run_assignment_rules=False), "Authorization": f"Bearer {'x' * 3_500}", "Host": "x" * 80}
    client = len("Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nGET  HTTP/1.1\r\n")
    assert wire.LONGEST_TARGET + client + sum(len(name) + len(value) + 4 for name, value in headers.items()) <= 16_384
