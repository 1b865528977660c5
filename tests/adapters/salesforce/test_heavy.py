"""Queries that take their time, cursors that vanish wherever one is used, and an object that is hidden one day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from connector.adapters.salesforce.streams import OPTIONAL
from connector.errors import ObjectStopped, Retriable
from connector.model import FieldWrite, RecordRef, WriteState
from connector.sandbox.fault_injection import Fault
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.salesforce.fake_org import START, Clock, Org


@pytest.fixture(scope="module")
def running() -> Iterator[Org]:
    """A small org."""
    clock = Clock()
    with Sandbox(make_world(now=START, hubspot_contacts=20, salesforce_leads=90), now=clock, hubspot=None) as box:
        yield Org(box, clock)


@pytest.fixture
def org(running: Org) -> Iterator[Org]:
    """The org as each test finds it."""
    yield running
    running.state.actions.change_options(page_size=2_000, cursor_pages=None)
    running.reset()


def queries(org: Org) -> int:
    return sum(path.endswith("/queryAll") for _, path in org.box.salesforce_faults.log)


def test_a_query_is_waited_for_as_long_as_salesforce_works_on_it(org: Org) -> None:
    """Else its QUERY_TIMEOUT, which shorter windows cure, would never be heard."""
    crm = org.crm(timeout=0.5, patience=5.0)
    org.pages("User", crm=crm)
    before = queries(org)
    org.box.salesforce_faults.add(Fault("salesforce", "queryAll", times=1, kind="slow", seconds=0.8))
    assert org.pages("Account", crm=crm)[-1].last
    assert queries(org) == before + 1


def test_nothing_else_is_waited_for_so_long(org: Org) -> None:
    """A write lasts no longer than half the lease under which it is made."""
    crm = org.crm(timeout=0.3, patience=5.0)
    lead = org.open_leads()[0]
    org.pages("User", crm=crm)
    org.box.salesforce_faults.add(Fault("salesforce", "composite/sobjects", times=9, kind="slow", seconds=0.6))
    write = FieldWrite(record=RecordRef(crm="salesforce", object="Lead", id=lead), properties={"FirstName": "Ada"})
    outcomes = crm.update("Lead", [write])
    assert [outcome.state for outcome in outcomes] == [WriteState.UNKNOWN]


def test_a_query_that_never_ends_is_given_up(org: Org) -> None:
    crm = org.crm(timeout=0.1, patience=0.2)
    org.pages("User", crm=org.crm())
    org.box.salesforce_faults.add(Fault("salesforce", "queryAll", times=9, kind="slow", seconds=0.4))
    with pytest.raises(Retriable, match="did not answer"):
        org.pages("Account", crm=crm)


@pytest.mark.parametrize("code", ["QUERY_TIMEOUT", "OPERATION_TOO_LARGE", "REQUEST_RUNNING_TOO_LONG"])
@pytest.mark.parametrize("status", [400, 500])
def test_what_takes_too_long_is_asked_for_in_parts(org: Org, status: int, code: str) -> None:
    cursor = org.pages("Lead")[-1].cursor
    org.clock.now += timedelta(hours=1)
    lead = org.open_leads()[0]
    org.state.actions.edit("Lead", lead, FirstName="Ada")
    org.clock.now += timedelta(hours=1)
    body = json.dumps([{"errorCode": code, "message": "Your request was running for too long."}]).encode()
    org.box.salesforce_faults.add(Fault("salesforce", "queryAll", times=1, status=status, body=body))
    pages = org.pages("Lead", cursor)
    assert len(pages) == 2
    assert [record.id for page in pages for record in page.records if record.id == lead] == [lead]


@pytest.mark.parametrize(("where", "times"), [("FROM Lead", 1), ("FROM Lead", 2), ("composite/sobjects/Lead", 1)])
def test_a_refill_of_too_many_formulas_is_whole(org: Org, where: str, times: int) -> None:
    """Those that one query cannot hold are read by id."""
    fields = ("Email", "Company", "Industry", "Rating", "City")
    frame = org.box.salesforce_faults
    refused = json.dumps([{"errorCode": "QUERY_TOO_COMPLICATED", "message": "Query is either selecting too many fields"}]).encode()
    frame.add(Fault("salesforce", where, times=times, status=400, body=refused))
    if where.startswith("composite"):
        frame.add(Fault("salesforce", "FROM Lead", times=1, status=400, body=refused))
    org.state.actions.change_options(page_size=30)
    pages = list(org.crm().refill("Lead", fields, None, now=org.clock.now))
    found = [(record.id, dict(record.properties)) for page in pages for record in page.records]
    live = {row["Id"]: {name: row.get(name) for name in fields} for row in org.rows["Lead"].values() if not row["IsDeleted"]}
    assert found == sorted(live.items())
    assert pages[-1].last


def test_one_formula_that_is_too_much_stops_the_refill(org: Org) -> None:
    refused = json.dumps([{"errorCode": "QUERY_TOO_COMPLICATED", "message": "Query is either selecting too many fields"}]).encode()
    org.box.salesforce_faults.add(Fault("salesforce", "FROM Lead", times=1, status=400, body=refused))
    with pytest.raises(ObjectStopped, match="QUERY_TOO_COMPLICATED"):
        list(org.crm().refill("Lead", ["Grade__c"], None, now=org.clock.now))


# ── Cursors that vanish ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_activities_of_a_person_come_once_each_though_every_cursor_vanishes(org: Org) -> None:
    who = org.open_leads()[1]
    logged = {org.state.actions.log_call(who) for _ in range(17)}
    org.state.actions.change_options(page_size=3, cursor_pages=1)
    found = [activity.id for activity in org.crm().activities_of("Lead", [who]) if activity.object == "Task"]
    assert len(found) == len(set(found))
    assert logged <= set(found)


def test_what_became_of_many_is_told_though_every_cursor_vanishes(org: Org) -> None:
    gone = org.open_leads()[2:22]
    for lead in gone:
        org.state.actions.delete("Lead", lead)
    org.state.actions.change_options(page_size=3, cursor_pages=1)
    assert sorted(org.crm().fates("Lead", gone)) == sorted(gone)


def test_a_task_is_found_behind_a_vanished_cursor(org: Org) -> None:
    """Without the External Id field it is looked for among all tasks of its Lead."""
    org.state.hidden.add(("Task", "Handoff_Key__c"))
    crm, write = org.crm(), org.task("contact 7, first call")
    for _ in range(7):
        org.state.actions.log_call(write.record.id)
    (made,) = crm.create_tasks([write])
    org.state.actions.change_options(page_size=2, cursor_pages=1)
    assert crm.find_tasks([write]) == {write.key: made.id}


def test_a_cursor_that_vanishes_without_a_row_stops_the_look(org: Org) -> None:
    who = org.open_leads()[1]
    for _ in range(5):
        org.state.actions.log_call(who)
    org.state.actions.change_options(page_size=2)
    refused = json.dumps([{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]).encode()
    org.box.salesforce_faults.add(Fault("salesforce", "/query", times=9, after=1, status=400, body=refused))
    with pytest.raises(ObjectStopped, match="INVALID_QUERY_LOCATOR"):
        org.crm().activities_of("Lead", [who])


# ── Hidden one day ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", sorted(OPTIONAL))
def test_what_was_read_once_and_is_hidden_now_is_no_quiet_stream(org: Org, stream: str) -> None:
    cursor = org.pages(stream)[-1].cursor
    refused = json.dumps([{"errorCode": "INVALID_TYPE", "message": f"sObject type '{stream}' is not supported."}]).encode()
    org.box.salesforce_faults.add(Fault("salesforce", f"FROM {stream} ", times=1, status=400, body=refused))
    with pytest.raises(ObjectStopped, match="INVALID_TYPE") as caught:
        org.pages(stream, cursor)
    assert "read access" in caught.value.advice
    assert org.pages(stream, cursor)[-1].last
