"""Pulls over real HTTP from an org that is edited, merged, converted and late meanwhile: afterwards all is here, once."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from connector.adapters.salesforce.streams import OPTIONAL, STREAMS
from connector.adapters.salesforce.wire import bulk as wire_bulk
from connector.adapters.salesforce.wire import requests as wire
from connector.model import Page, Record, long_id
from connector.sandbox.fault_injection import Fault
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.salesforce.fake_org import START, Budget, Clock, Org

#: Streams that come from one object each, by the list of a page that they fill.
LISTS = {
    "Account": "records", "Lead": "records", "Contact": "records", "Opportunity": "deals", "OpportunityContactRole": "deal_contacts",
    "Campaign": "campaigns", "CampaignMember": "campaign_members", "Task": "activities", "Event": "activities",
}  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Org]:
    """A small world."""
    clock = Clock()
    with Sandbox(make_world(now=START, hubspot_contacts=200, salesforce_leads=220), now=clock, hubspot=None) as box:
        yield Org(box, clock)


@pytest.fixture
def org(running: Org) -> Iterator[Org]:
    """The org as each test finds it."""
    before = running.state.org.options
    running.state.org.jobs.clear()
    yield running
    running.state.org.options = before
    running.reset()


def set_options(org: Org, **changes: Any) -> None:
    org.state.actions.change_options(**changes)


def values(pages: Sequence[Page], stream: str) -> list[Any]:
    return [value for page in pages for value in getattr(page, LISTS[stream])]


def ids(pages: Sequence[Page], stream: str) -> list[str]:
    return sorted(value.id for value in values(pages, stream))


def shown(org: Org, stream: str) -> list[str]:
    """All that queryAll shows."""
    return sorted(org.state.actions.live(stream, deleted=True))


# ── Streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", LISTS)
def test_every_stream_brings_every_row_once(org: Org, stream: str) -> None:
    pages = org.pages(stream)
    assert ids(pages, stream) == shown(org, stream) != []
    assert sum(page.seen for page in pages) == pages[0].total == len(shown(org, stream))


@pytest.mark.parametrize("stream", LISTS)
def test_bulk_api_and_rest_tell_the_same(org: Org, stream: str) -> None:
    """By a job, then with Bulk API closed to us; rows of its pages are few, so that there are several."""
    set_options(org, page_size=3, bulk_page=50)
    by_job = org.pages(stream)
    org.box.salesforce_faults.add(Fault("salesforce", f"POST {wire_bulk.JOBS}", times=9, status=400, body=refusal("INVALIDENTITY")))
    by_rest = org.pages(stream)
    assert {value.id: value for value in values(by_job, stream)} == {value.id: value for value in values(by_rest, stream)}
    assert ids(by_job, stream) == shown(org, stream)
    if len(shown(org, stream)) > 60:
        assert sum(page.calls for page in by_job) < sum(page.calls for page in by_rest) / 2
        assert not org.state.org.jobs  # deleted


def refusal(code: str) -> bytes:
    return json.dumps([{"errorCode": code, "message": "no"}]).encode()


@pytest.mark.parametrize("stream", sorted(OPTIONAL))
@pytest.mark.parametrize(
    ("status", "code"), [(400, "INVALID_TYPE"), (403, "INSUFFICIENT_ACCESS"), (403, "INSUFFICIENT_ACCESS_OR_READONLY")]
)
def test_what_the_org_does_not_show_is_an_empty_stream(org: Org, stream: str, status: int, code: str) -> None:
    org.box.salesforce_faults.add(Fault("salesforce", f"FROM {stream} ", times=1, status=status, body=refusal(code)))
    (page,) = org.pages(stream)
    assert (page.seen, page.last, page.calls, page.cursor) == (0, True, 1, {})


def test_a_first_read_gives_way_and_a_window_does_not(org: Org) -> None:
    crm, budget = org.crm(), Budget()
    crm._asking = replace(crm._asking, budget=budget)
    set_options(org, page_size=3)
    cursor = org.pages("Lead", crm=crm)[-1].cursor
    assert set(budget.lanes) == {"backfill"}
    org.pages("Lead", cursor, crm)
    assert budget.lanes[-1] == "normal"


def test_roles_are_teams(org: Org) -> None:
    (page,) = org.pages("User")
    roles = {row["Id"]: row["Name"] for row in org.rows["UserRole"].values()}
    expected = {row["Id"]: (roles[row["UserRoleId"]],) if row.get("UserRoleId") else () for row in org.rows["User"].values()}
    assert {owner.id: owner.teams for owner in page.owners} == expected


def test_one_currency_is_found_out_once(org: Org) -> None:
    """CurrencyIsoCode is there where an org has several; a new process need not ask again."""
    first = org.pages("Opportunity")
    assert first[-1].cursor["columns"]["lacking"] == ["CurrencyIsoCode"]
    assert first[0].calls == 2
    assert org.pages("Opportunity", first[-1].cursor)[0].calls == 1
    assert {deal.currency for deal in values(first, "Opportunity")} == {None}


# ── What changes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_merges_conversions_and_deletions_come_with_the_next_pull(org: Org) -> None:
    deeds = org.state.actions
    cursors = {stream: org.pages(stream)[-1].cursor for stream in LISTS}
    org.clock.now += timedelta(hours=1)
    keep, lose, convert, gone = org.open_leads()[:4]
    deeds.merge("Lead", keep, lose)
    contact = deeds.convert(convert)
    deeds.delete("Lead", gone)
    org.clock.now += timedelta(minutes=1)
    leads: dict[str, Record] = {record.id: record for record in values(org.pages("Lead", cursors["Lead"]), "Lead")}
    assert (leads[lose].merged_into, leads[lose].archived) == (keep, True)
    assert leads[convert].converted_to == contact
    assert leads[convert].converted_deal in ids(org.pages("Opportunity", cursors["Opportunity"]), "Opportunity")
    roles = values(org.pages("OpportunityContactRole", cursors["OpportunityContactRole"]), "OpportunityContactRole")
    assert (leads[convert].converted_deal, contact) in {(role.deal_id, role.record.id) for role in roles}
    assert (leads[gone].archived, leads[gone].merged_into) == (True, None)


def test_archived_activities_are_seen(org: Org) -> None:
    cursor = org.pages("Task")[-1].cursor
    who = org.open_leads()[5]
    task = org.state.actions.log_call(who)
    row = org.rows["Task"][task]
    row["CreatedDate"], row["ActivityDate"] = START - timedelta(days=500), (START - timedelta(days=500)).date()
    assert org.state.actions.archive() >= 1
    assert row["IsArchived"]
    org.clock.now += timedelta(hours=1)
    assert task in ids(org.pages("Task", cursor), "Task")
    assert task in ids(org.pages("Task"), "Task")


@pytest.mark.parametrize("late", [5.0, 120.0, 590.0])
def test_a_late_commit_is_not_lost(org: Org, late: float) -> None:
    """Stamped in one window, visible behind its end, with younger rows between."""
    cursor = org.pages("Lead")[-1].cursor
    org.clock.now += timedelta(minutes=30)
    slow, quick = org.open_leads()[6:8]
    org.state.actions.edit("Lead", slow, Status="Nurturing", FirstName=f"late {late}", late=late)
    org.clock.now += timedelta(seconds=1)
    org.state.actions.edit("Lead", quick, FirstName=f"quick {late}")
    seen: dict[str, str] = {}
    for _ in range(8):
        pages = org.pages("Lead", cursor)
        seen.update((record.id, record.properties["FirstName"]) for record in values(pages, "Lead"))
        cursor = pages[-1].cursor
        org.clock.now += timedelta(minutes=2)
    assert (seen[quick], seen[slow]) == (f"quick {late}", f"late {late}")


def test_a_row_that_changes_while_a_job_reads_is_not_lost(org: Org) -> None:
    set_options(org, page_size=3, bulk_page=40)
    pages, edited = [], {}
    for number, page in enumerate(org.crm().pull("Lead", None, now=org.clock.now)):
        pages.append(page)
        org.clock.now += timedelta(seconds=20)
        lead = org.open_leads()[-1 - number]
        org.state.actions.edit("Lead", lead, FirstName=f"edited {number}")
        edited[lead] = f"edited {number}"
    org.clock.now += timedelta(minutes=1)
    pages += org.pages("Lead", pages[-1].cursor)
    names = {record.id: record.properties["FirstName"] for record in values(pages, "Lead")}
    assert sorted(names) == shown(org, "Lead")
    assert {lead: names[lead] for lead in edited} == edited


# ── Bad days ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(6))
def test_stopped_anywhere_it_goes_on(org: Org, seed: int) -> None:
    """By a job or by REST, with locators that die: what was stored and what new processes read from there is everything, once."""
    rng = random.Random(seed)
    set_options(org, page_size=rng.choice([3, 60]), bulk_page=rng.choice([30, 90, 5_000]))
    set_options(org, cursor_pages=rng.choice([None, 1, 3]))
    stream, stored, cursor = rng.choice(["Lead", "Task"]), [], None
    for _ in range(400):
        part = list(islice(org.crm().pull(stream, cursor, now=org.clock.now), rng.randint(1, 5)))
        stored += part
        cursor = json.loads(json.dumps(part[-1].cursor))
        if part[-1].last:
            break
    assert ids(stored, stream) == shown(org, stream)
    assert not org.state.org.jobs


@pytest.mark.parametrize(
    "fault",
    [
        Fault("salesforce", "/results", times=2, status=503),
        Fault("salesforce", "/results", times=1, kind="truncate"),
        Fault("salesforce", "/results", times=1, after=1, kind="lost"),
        Fault("salesforce", "/results", times=1, status=200, body=b"<html>login</html>"),
        Fault("salesforce", "GET /services/data/v64.0/jobs/query/750", times=1, status=502, body=b"<html>"),
        Fault("salesforce", "POST /services/data/v64.0/jobs/query", times=1, kind="lost"),
        Fault("salesforce", "DELETE /services/data/v64.0/jobs/query", times=1, kind="lost"),
    ],
    ids=["503", "truncated", "lost later", "html", "looking", "creating", "deleting"],
)
def test_a_bad_answer_of_a_job_is_asked_for_again(org: Org, fault: Fault) -> None:
    set_options(org, page_size=3, bulk_page=40)
    org.box.salesforce_faults.add(fault)
    assert ids(org.pages("Lead"), "Lead") == shown(org, "Lead")


def test_a_session_that_ends_in_a_job_is_renewed(org: Org) -> None:
    set_options(org, page_size=3, bulk_page=40)
    found = []
    for page in org.crm().pull("Lead", None, now=org.clock.now):
        found.append(page)
        org.state.expire_sessions()
    assert ids(found, "Lead") == shown(org, "Lead")


def test_queries_that_take_too_long_are_cut_into_parts(org: Org) -> None:
    set_options(org, query_timeout_rows=60)
    org.box.salesforce_faults.add(Fault("salesforce", f"POST {wire_bulk.JOBS}", times=9, status=400, body=refusal("INVALIDENTITY")))
    pages = org.pages("Task")
    assert ids(pages, "Task") == shown(org, "Task")
    assert len(pages) > 5


def test_a_first_read_that_takes_too_long_is_read_by_a_job(org: Org) -> None:
    """Its window ends earlier than ours began, since no answer told Salesforce's time; the next one goes on from there."""
    org.clock.now += timedelta(hours=1)
    org.box.salesforce_faults.add(Fault("salesforce", "queryAll", times=1, status=400, body=refusal("QUERY_TIMEOUT")))
    pages = org.pages("Task")
    assert ids(pages, "Task") == shown(org, "Task")
    assert wire.moment_of(pages[-1].cursor["since"]) == org.clock.now - timedelta(minutes=10)
    assert not org.state.org.jobs


def a_mass_update(org: Org, copies: int) -> None:
    """All Leads, and so many copies of them, bear one stamp."""
    rows = org.rows["Lead"]
    first = next(iter(rows.values()))
    for number in range(copies):
        found = long_id(f"00QZz{number:010d}")
        rows[found] = {**first, "Id": found, "Email": f"{number}@kunde.example"}
    org.state.actions.stamp_alike("Lead", list(rows), org.clock.now)


def test_a_mass_update_gives_one_stamp_to_all() -> None:
    """Read in an incremental window, with the locator dying every second page, and stopped twice."""
    clock = Clock()
    with Sandbox(make_world(now=START, hubspot_contacts=100, salesforce_leads=100), now=clock, hubspot=None) as box:
        org = Org(box, clock)
        cursor = org.pages("Lead")[-1].cursor
        clock.now += timedelta(hours=1)
        a_mass_update(org, 25_000)
        clock.now += timedelta(minutes=30)
        set_options(org, page_size=2_000, cursor_pages=2)
        stored: list[Page] = []
        for stop in (2, 4, None):
            stored += islice(org.crm().pull("Lead", stored[-1].cursor if stored else cursor, now=clock.now), stop)
        found = ids(stored, "Lead")
        assert found == sorted(org.rows["Lead"])
        assert stored[-1].last
        assert not any(page.full for page in stored)


def test_streams_are_those_of_the_org(org: Org) -> None:
    assert tuple(org.crm().streams()) == STREAMS
    assert set(LISTS) < set(STREAMS)


def test_a_refill_whose_query_is_closed_goes_on_behind_its_last_record(org: Org) -> None:
    set_options(org, page_size=50, cursor_pages=2)
    crm = org.crm()
    pages = list(crm.refill("Lead", ["Email"], None, now=org.clock.now))
    leads = sorted(row["Id"] for row in org.rows["Lead"].values() if not row["IsDeleted"])
    assert [record.id for page in pages for record in page.records] == leads
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert sum(page.calls for page in pages) == crm.calls() - 1  # the login
