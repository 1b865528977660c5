"""What happens in the sandbox's HubSpot beside the API: edits by hand, links, drift of the schema, and all of it in threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from tests.sandbox.hubspot.client import MQL, NOW, OBJECTS, Stage, found_ids, rule, running, search

CONTACTS = f"{OBJECTS}/contacts"


@pytest.fixture
def stage() -> Iterator[Stage]:
    with running() as found:
        yield found


def first(stage: Stage, name: str = "contacts") -> str:
    return next(iter(stage.actions.live(name)))


def shown(stage: Stage, contact: str, *names: str) -> dict[str, Any]:
    found: dict[str, Any] = stage.api.json("GET", f"{CONTACTS}/{contact}", params={"properties": ",".join(names)})["properties"]
    return found


def test_a_person_may_move_a_stage_back(stage: Stage) -> None:
    contact = stage.actions.create("contacts", email="a@acme.example", lifecyclestage=MQL)
    stage.clock.now += timedelta(minutes=5)
    stage.actions.edit("contacts", contact, lifecyclestage="lead", city=None, budget_amount=5)
    own = shown(stage, contact, "lifecyclestage", "city", "budget_amount")
    assert (own["lifecyclestage"], own["city"], own["budget_amount"]) == ("lead", None, "5")
    assert own["lastmodifieddate"] == "2026-12-02T09:35:00.000Z"
    for wrong, name in (("77", "city"), (contact, "nonsense")):
        with pytest.raises(KeyError):
            stage.actions.edit("contacts", wrong, **{name: "x"})


def test_links_and_calculated_values_change_no_modified_date(stage: Stage) -> None:
    contact, company = first(stage), first(stage, "companies")
    before = stage.actions.live("contacts")[contact]
    stage.clock.now += timedelta(minutes=5)
    email = stage.actions.log_email([], at=NOW)
    stage.actions.associate("emails", email, "contacts", contact)
    stage.actions.associate("contacts", contact, "companies", company, 1)
    stage.actions.recalculate("contacts", contact, engagement_level=9)
    after = stage.actions.live("contacts")[contact]
    assert after["modified"] == before["modified"]
    assert (email, 197) in after["links"]["emails"]
    assert (after["properties"]["engagement_level"], after["properties"]["associatedcompanyid"]) == ("9", company)
    stage.actions.change_options(links_touch=True)
    stage.actions.dissociate("emails", email, "contacts", contact)
    assert stage.actions.live("contacts")[contact]["modified"] == stage.clock.now
    assert (email, 197) not in stage.actions.live("contacts")[contact]["links"].get("emails", [])


def test_many_records_with_one_moment(stage: Stage) -> None:
    ids = set(list(stage.actions.live("contacts"))[:25])
    moment = NOW - timedelta(days=3, microseconds=17)
    stage.actions.stamp_alike("contacts", ids, moment)
    at = str(int(moment.timestamp() * 1000))
    assert found_ids(stage.api, rule("lastmodifieddate", "EQ", at)) == ids


def test_every_kind_of_activity_can_be_logged(stage: Stage) -> None:
    contact, actions = first(stage), stage.actions
    anna = next(owner["id"] for owner in stage.world.hubspot_owners if owner["email"].startswith("anna"))
    logged = {
        "calls": actions.log_call([contact], at=NOW, owner=anna),
        "emails": actions.log_email([contact], at=NOW, hs_email_direction="INCOMING_EMAIL"),
        "meetings": actions.log_meeting([contact], at=NOW),
        "tasks": actions.log_task([contact], at=NOW),
    }
    for name, record_id in logged.items():
        links = stage.api.json("GET", f"/crm/v4/objects/contacts/{contact}/associations/{name}")["results"]
        assert int(record_id) in {each["toObjectId"] for each in links}
        assert stage.actions.live(name)[record_id]["properties"]["hs_timestamp"] == "2026-12-02T09:30:00.000Z"


def test_properties_go_and_come_back_with_their_values(stage: Stage) -> None:
    contact, actions = first(stage), stage.actions
    actions.edit("contacts", contact, pain_point="late", competitor_in_use="in-house")
    actions.schema.remove_property("contacts", "pain_point")
    actions.schema.hide_property("contacts", "competitor_in_use")
    listed = {each["name"] for each in stage.api.json("GET", "/crm/v3/properties/contacts")["results"]}
    assert not {"pain_point", "competitor_in_use"} & (listed | set(shown(stage, contact, "pain_point", "competitor_in_use", "city")))
    found = search(stage.api, properties=["pain_point", "city"], limit=1)["results"][0]
    assert {"pain_point", "city"} & set(found["properties"]) == {"city"}
    archived = stage.api.json("GET", "/crm/v3/properties/contacts", params={"archived": "true"})["results"]
    assert [each["name"] for each in archived] == ["pain_point"]
    for name in ("pain_point", "competitor_in_use"):
        refused = stage.api("PATCH", f"{CONTACTS}/{contact}", {"properties": {name: "x"}})
        assert refused.json()["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"
        assert stage.api("GET", f"/crm/v3/properties/contacts/{name}").status_code == 404
    again = {"name": "pain_point", "label": "Pain", "type": "string", "fieldType": "textarea", "groupName": "contactinformation"}
    assert stage.api("POST", "/crm/v3/properties/contacts", again).status_code == 201
    actions.schema.show_property("contacts", "competitor_in_use")
    assert (
        shown(stage, contact, "pain_point", "competitor_in_use").items() >= {"pain_point": "late", "competitor_in_use": "in-house"}.items()
    )
    actions.schema.remove_property("contacts", "pain_point")
    actions.schema.restore_property("contacts", "pain_point")
    assert shown(stage, contact, "pain_point")["pain_point"] == "late"


def test_properties_are_renamed_retyped_and_lose_options(stage: Stage) -> None:
    contact, actions = first(stage), stage.actions
    actions.edit("contacts", contact, pain_point="late", purchase_timeline="now")
    actions.schema.rename_property("contacts", "pain_point", "pain")
    assert shown(stage, contact, "pain_point", "pain").keys() & {"pain_point", "pain"} == {"pain"}
    assert shown(stage, contact, "pain")["pain"] == "late"
    actions.schema.change_type("contacts", "pain", "enumeration", "select")
    actions.schema.drop_option("contacts", "purchase_timeline", "now")
    actions.schema.add_option("contacts", "purchase_timeline", "someday")
    actions.schema.set_calculated("contacts", "budget_amount")
    actions.schema.add_property("contacts", "fresh")
    found = {each["name"]: each for each in stage.api.json("GET", "/crm/v3/properties/contacts")["results"]}
    assert (found["pain"]["type"], found["fresh"]["type"]) == ("enumeration", "string")
    assert [option["value"] for option in found["purchase_timeline"]["options"]] == ["this quarter", "this year", "later", "someday"]
    assert (found["budget_amount"]["calculated"], found["engagement_level"]["calculated"], found["city"]["calculated"]) == (
        True,
        True,
        False,
    )
    assert shown(stage, contact, "purchase_timeline")["purchase_timeline"] == "now"
    assert stage.api("PATCH", f"{CONTACTS}/{contact}", {"properties": {"purchase_timeline": "now"}}).status_code == 400
    assert shown(stage, contact, "fresh")["fresh"] is None


def test_actions_and_requests_take_turns(stage: Stage) -> None:
    stage.actions.change_options(search_lag_seconds=0.0)
    problems: list[Exception] = []

    def meddle() -> None:
        try:
            for number in range(150):
                one, other = (stage.actions.create("contacts", lastname=f"{number}") for _ in range(2))
                stage.actions.log_call([one, other], at=NOW)
                stage.actions.merge("contacts", one, other)
        except (KeyError, RuntimeError, ValueError) as problem:
            problems.append(problem)

    meddler = threading.Thread(target=meddle)
    meddler.start()
    while meddler.is_alive():
        stage.api.json("GET", CONTACTS, params={"limit": "100", "associations": "calls"})
        search(stage.api, limit=200, sorts=["-lastmodifieddate"])
    meddler.join()
    assert not problems
    assert found_ids(stage.api) == set(stage.actions.live("contacts"))
    assert stage.actions.limits.admitted + stage.actions.limits.searches == stage.sandbox.calls()["hubspot"]


def test_several_actions_are_one_to_whoever_asks(stage: Stage) -> None:
    with stage.actions.at_once():
        with pytest.raises(requests.Timeout):
            requests.get(stage.api.base + CONTACTS, headers=dict(stage.api.session.headers), timeout=0.1)
        contact = stage.actions.create("contacts", lastname="x")
    assert contact in found_ids(stage.api)


def test_a_batch_with_histories_takes_fifty_and_tells_who(stage: Stage) -> None:
    contacts = sorted(stage.actions.ids("contacts"))[:51]
    stage.clock.now += timedelta(minutes=5)
    stage.actions.act_as("ben@acme.example")
    stage.actions.edit("contacts", contacts[0], hs_lead_status="OPEN")
    stage.clock.now += timedelta(minutes=5)
    stage.api.json("PATCH", f"{CONTACTS}/{contacts[0]}", {"properties": {"hs_lead_status": "IN_PROGRESS"}})

    def asked(count: int) -> dict[str, Any]:
        return {"inputs": [{"id": one} for one in contacts[:count]], "propertiesWithHistory": ["hs_lead_status"], "properties": []}

    path = f"{CONTACTS}/batch/read"
    assert stage.api("POST", path, asked(51)).status_code == 400
    results = stage.api.json("POST", path, asked(50))["results"]
    assert len(results) == 50
    (shown,) = [one for one in results if one["id"] == contacts[0]]
    ours, theirs, *_ = shown["propertiesWithHistory"]["hs_lead_status"]
    user = next(owner["userId"] for owner in stage.world.hubspot_owners if owner["email"] == "ben@acme.example")
    by_hand = {"sourceType": "CRM_UI", "sourceId": f"userId:{user}", "updatedByUserId": user}
    assert theirs == {"value": "OPEN", "timestamp": theirs["timestamp"], **by_hand}
    assert (ours["value"], ours["sourceType"]) == ("IN_PROGRESS", "INTEGRATION")
    assert "updatedByUserId" not in ours
    edits = [edit for edit in stage.world.edits if edit.id == contacts[0]]
    assert [(edit.property, edit.after, edit.user) for edit in edits] == [
        ("hs_lead_status", "OPEN", str(user)),
        ("hs_lead_status", "IN_PROGRESS", None),
    ]
