"""Reads beside the pull: a field that came newly, the activities of a few people, the fields that there are.

Against the sandbox's Salesforce, and recorded answers where it has none of the kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.errors import ObjectStopped
from connector.model import ActivityKind
from connector.sandbox.salesforce.actions import SalesforceActions
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.salesforce.answers import HOST, crm, granted, mocked
from tests.adapters.salesforce.fake_org import START, Clock, Org


@pytest.fixture(scope="module")
def running() -> Iterator[Org]:
    """A small org, pages of 20."""
    clock = Clock()
    world = make_world(now=START, hubspot_contacts=20, salesforce_leads=90)
    with Sandbox(world, now=clock, hubspot=None, salesforce=SalesforceOptions(page_size=20)) as box:
        yield Org(box, clock)


@pytest.fixture
def box(running: Org) -> Iterator[Org]:
    """The org, as each test finds it."""
    yield running
    running.reset()


def deeds(box: Org) -> SalesforceActions:
    found: SalesforceActions = box.state.actions
    return found


def lead(box: Org, name: str = "Ada") -> str:
    return deeds(box).create("Lead", LastName=name, Company="Kunde", Email=f"{name.lower()}@kunde.example")


# ── A few fields, a few people ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_refill_brings_one_field_of_every_live_record(box: Org) -> None:
    pages = list(box.crm().refill("Lead", ["Industry"], None, now=box.clock.now))
    live = {row["Id"]: row["Industry"] for row in box.rows["Lead"].values() if not row["IsDeleted"]}
    records = [record for page in pages for record in page.records]
    assert {record.id: record.properties for record in records} == {name: {"Industry": value} for name, value in live.items()}
    assert [record.id for record in records] == sorted(live)
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert sum(page.calls for page in pages) == len(pages) == -(-len(live) // 20)


@pytest.mark.parametrize("rows", [7, 20, 40])
def test_a_refill_goes_on_from_any_page(box: Org, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """However the queries' ends fall on the pages'."""
    monkeypatch.setattr("connector.adapters.salesforce.refill._A_QUERY", rows)
    pages = list(box.crm().refill("Lead", ["Email"], None, now=box.clock.now))
    live = sorted(row["Id"] for row in box.rows["Lead"].values() if not row["IsDeleted"])
    for stop in range(0, len(pages), 3):
        resumed = box.crm().refill("Lead", ["Email"], pages[stop - 1].cursor if stop else None, now=box.clock.now)
        rest = [record.id for page in resumed for record in page.records]
        assert [record.id for page in pages[:stop] for record in page.records] + rest == live


def test_a_wide_refill_is_whole(box: Org) -> None:
    wide = [f"Refill_Field_With_Quite_A_Long_Name_{number:03d}__c" for number in range(330)]
    for name in wide:
        deeds(box).schema.add_field("Lead", name)
    one = lead(box)
    values: dict[str, Any] = {wide[0]: "first", wide[-1]: "last"}
    deeds(box).edit("Lead", one, **values)
    records = [record for page in box.crm().refill("Lead", wide, None, now=box.clock.now) for record in page.records]
    (found,) = [record.properties for record in records if record.id == one]
    assert (found[wide[0]], found[wide[-1]], len(found)) == ("first", "last", 330)


def test_a_refill_of_a_field_that_is_not_there_names_it(box: Org) -> None:
    with pytest.raises(ObjectStopped, match="Budgte__c") as caught:
        list(box.crm().refill("Lead", ["Budgte__c"], None, now=box.clock.now))
    assert caught.value.code == "INVALID_FIELD"


def test_activities_of_a_person_are_seen_at_once(box: Org) -> None:
    one, other = lead(box, "Ann"), lead(box, "Ben")
    call, meeting = deeds(box).log_call(one), deeds(box).event(one)
    gone = deeds(box).task(one)
    deeds(box).delete("Task", gone)
    deeds(box).log_call(other)
    found = box.crm().activities_of("Lead", [one[:15], one])
    assert {(activity.id, activity.kind) for activity in found} == {(call, ActivityKind.CALL), (meeting, ActivityKind.MEETING)}
    assert all(contact.id == one for activity in found for contact in activity.contacts)
    assert box.crm().activities_of("Lead", []) == []


def test_activities_do_without_hidden_fields(box: Org) -> None:
    one = lead(box)
    call = deeds(box).log_call(one)
    for name in ("CallDisposition", "Handoff_Key__c"):
        deeds(box).schema.hide_field("Task", name)
    try:
        assert [activity.id for activity in box.crm().activities_of("Lead", [one])] == [call]
    finally:
        for name in ("CallDisposition", "Handoff_Key__c"):
            deeds(box).schema.show_field("Task", name)


def test_a_lead_is_read_without_what_is_hidden(box: Org) -> None:
    one = lead(box)
    (hidden,) = wire_records.RECORD_OPTIONAL
    deeds(box).schema.hide_field("Lead", hidden)
    try:
        assert box.crm().read("Lead", [one], ["LastName"])[one].properties == {"LastName": "Ada"}
    finally:
        deeds(box).schema.show_field("Lead", hidden)


# ── Schema ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fields_are_described_as_they_are_now(box: Org) -> None:
    found = box.crm().schema(["Lead", "Account"])
    assert found.keys() == {"Lead", "Account"}
    status = found["Lead"]["Status"]
    assert (status.object, status.type, status.writable, status.calculated) == ("Lead", "picklist", True, False)
    assert status.options is not None
    assert status.options[0] == "Open - Not Contacted"
    assert found["Lead"]["Email"].options is None
    assert found["Lead"]["CreatedDate"].writable is False
    assert "Industry" in found["Account"]
    deeds(box).schema.remove_option("Lead", "Rejection_Reason__c", "No budget")
    deeds(box).schema.hide_field("Lead", "Timeline__c")
    try:
        later = box.crm().schema(["Lead"])["Lead"]
        assert "No budget" not in (later["Rejection_Reason__c"].options or ("No budget",))
        assert "Timeline__c" not in later
    finally:
        deeds(box).schema.show_field("Lead", "Timeline__c")


def test_formulas_are_said_to_be_calculated() -> None:
    field = {"name": "Score__c", "label": "Score", "type": "double", "calculated": True, "updateable": False, "createable": False}
    for org in mocked():
        granted(org)
        org.get(f"{HOST}{wire.BASE}/sobjects/Lead/describe", json={"name": "Lead", "fields": [field]})
        facts = crm().schema(["Lead"])["Lead"]["Score__c"]
        assert (facts.label, facts.calculated, facts.writable, facts.options) == ("Score", True, False, None)


def test_an_object_that_is_not_visible_is_named(box: Org) -> None:
    with pytest.raises(ObjectStopped, match="Secret__c") as caught:
        box.crm().schema(["Secret__c"])
    assert caught.value.code == "INVALID_TYPE"
