"""The sandbox's HubSpot written to: records one by one and in batches, properties, associations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import orjson
import pytest

from connector.sandbox.state import World
from tests.sandbox.hubspot.client import MQL, NOW, Api, Stage, found_ids, rule, running, some_contact


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with running(contacts=400) as found:
        yield found


@pytest.fixture
def api(stage: Stage) -> Api:
    return stage.api


@pytest.fixture
def world(stage: Stage) -> World:
    return stage.world


def test_a_write_moves_the_modified_date_to_now(stage: Stage) -> None:
    contact = some_contact(stage.world, "lead")
    stage.clock.now = NOW + timedelta(minutes=3, milliseconds=250)
    shown = stage.api.json("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"city": "Ulm", "pain_point": ""}})
    assert shown["updatedAt"] == shown["properties"]["lastmodifieddate"] == "2026-12-02T09:33:00.250Z"
    assert shown["properties"]["city"] == "Ulm"
    assert shown["properties"]["pain_point"] is None
    after = int((NOW + timedelta(minutes=1)).timestamp() * 1000)
    assert contact in found_ids(stage.api, rule("lastmodifieddate", "GT", str(after)))


def test_the_stage_moves_forward_only_unless_it_was_cleared_before(api: Api, world: World) -> None:
    contact = some_contact(world, "lead")
    path = f"/crm/v3/objects/contacts/{contact}"
    forward = api.json("PATCH", path, {"properties": {"lifecyclestage": MQL}})
    assert forward["properties"]["lifecyclestage"] == MQL
    entered = api.json("GET", path, params={"properties": f"hs_v2_date_entered_{MQL}"})["properties"][f"hs_v2_date_entered_{MQL}"]
    assert entered == forward["updatedAt"]
    backward = api("PATCH", path, {"properties": {"lifecyclestage": "lead"}})
    assert backward.status_code == 200
    assert backward.json()["properties"]["lifecyclestage"] == MQL
    api.json("PATCH", path, {"properties": {"lifecyclestage": ""}})
    assert api.json("PATCH", path, {"properties": {"lifecyclestage": "lead"}})["properties"]["lifecyclestage"] == "lead"


def test_setting_an_owner_stamps_when_and_only_active_owners_are_taken(api: Api, world: World) -> None:
    contact = some_contact(world, "subscriber")
    anna, dora = (next(owner for owner in world.hubspot_owners if owner["email"] == f"{name}@acme.example") for name in ("anna", "dora"))
    path = f"/crm/v3/objects/contacts/{contact}"
    changed = api.json("PATCH", path, {"properties": {"hubspot_owner_id": anna["id"]}})
    shown = api.json("GET", path, params={"properties": "hubspot_owner_assigneddate"})
    assert shown["properties"]["hubspot_owner_assigneddate"] == changed["updatedAt"]
    for wrong in (dora["id"], str(anna["userId"])):
        assert api("PATCH", path, {"properties": {"hubspot_owner_id": wrong}}).status_code == 400


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"nonsense": "1"}, "PROPERTY_DOESNT_EXIST"),
        ({"lifecyclestage": "Lead!"}, "INVALID_OPTION"),
        ({"hs_buying_role": "CHAMPION;KING"}, "INVALID_OPTION"),
        ({"budget_amount": "much"}, "INVALID_INTEGER"),
        ({"lastmodifieddate": "2026-01-01"}, "READ_ONLY_VALUE"),
    ],
)
def test_wrong_values_are_refused_and_nothing_is_written(api: Api, world: World, properties: dict[str, str], code: str) -> None:
    contact = some_contact(world, "subscriber")
    before = orjson.dumps(world.hubspot["contacts"][contact]["properties"])
    response = api("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"city": "Nowhere", **properties}})
    assert response.status_code == 400
    content = response.json()
    assert content["category"] == "VALIDATION_ERROR"
    assert [each["code"] for each in content["errors"]] == [code]
    assert content["errors"][0]["context"]["propertyName"] == list(properties)
    assert orjson.dumps(world.hubspot["contacts"][contact]["properties"]) == before


def test_a_contact_whose_address_exists_is_a_conflict_that_names_it(api: Api, world: World) -> None:
    row = next(row for row in world.hubspot["contacts"].values() if row["properties"]["email"])
    response = api("POST", "/crm/v3/objects/contacts", {"properties": {"email": row["properties"]["email"].upper()}})
    assert response.status_code == 409
    assert response.json()["message"] == f"Contact already exists. Existing ID: {row['id']}"


def test_batch_update_settles_each_input_with_a_trace_id_and_all_or_none_without(api: Api, world: World) -> None:
    one, two = list(world.hubspot["contacts"])[10:12]
    path = "/crm/v3/objects/contacts/batch/update"
    good = {"id": one, "properties": {"city": "Bonn"}, "objectWriteTraceId": "a"}
    bad = {"id": two, "properties": {"nonsense": "1"}, "objectWriteTraceId": "b"}
    gone = {"id": "77", "properties": {"city": "Bonn"}, "objectWriteTraceId": "c"}
    response = api("POST", path, {"inputs": [bad, good, gone]})
    assert response.status_code == 207
    content = response.json()
    assert [(row["id"], row["objectWriteTraceId"], row["properties"]["city"]) for row in content["results"]] == [(one, "a", "Bonn")]
    assert {tuple(error["context"]["objectWriteTraceId"]): error["category"] for error in content["errors"]} == {
        ("b",): "VALIDATION_ERROR",
        ("c",): "OBJECT_NOT_FOUND",
    }
    plain = [{"id": one, "properties": {"city": "Kiel"}}, {"id": two, "properties": {"nonsense": "1"}}]
    assert api("POST", path, {"inputs": plain}).status_code == 400
    assert world.hubspot["contacts"][one]["properties"]["city"] == "Bonn"
    assert api("POST", path, {"inputs": [plain[0], plain[0]]}).status_code == 400


def test_a_task_is_created_on_its_contact_and_completed(stage: Stage) -> None:
    api, contact = stage.api, some_contact(stage.world, MQL)
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]
    task = {
        "properties": {"hs_timestamp": "1796210000000", "hs_task_subject": "Ring", "hs_task_status": "NOT_STARTED", "hs_task_type": "CALL"},
        "associations": [{"to": {"id": contact}, "types": types}],
        "objectWriteTraceId": "t1",
    }
    lost = {**task, "associations": [{"to": {"id": "77"}, "types": types}], "objectWriteTraceId": "t2"}
    response = api("POST", "/crm/v3/objects/tasks/batch/create", {"inputs": [task, lost]})
    assert response.status_code == 207
    created = response.json()["results"][0]
    assert response.json()["errors"][0]["context"]["objectWriteTraceId"] == ["t2"]
    links = api.json("GET", f"/crm/v4/objects/contacts/{contact}/associations/tasks")["results"]
    assert int(created["id"]) in {link["toObjectId"] for link in links}
    done = api.json("PATCH", f"/crm/v3/objects/tasks/{created['id']}", {"properties": {"hs_task_status": "COMPLETED"}})
    shown = api.json("GET", f"/crm/v3/objects/tasks/{created['id']}", params={"properties": "hs_task_completion_date,hs_timestamp"})
    assert shown["properties"]["hs_task_completion_date"] == done["updatedAt"]
    assert shown["properties"]["hs_timestamp"] == "2026-12-02T11:13:20.000Z"
    assert api("POST", "/crm/v3/objects/tasks", {"properties": {"hs_task_subject": "no date"}}).status_code == 400


def test_a_deleted_record_is_gone_from_reading_and_search_but_not_from_the_recycle_bin(api: Api, world: World) -> None:
    company = next(iter(world.hubspot["companies"]))
    assert api("DELETE", f"/crm/v3/objects/companies/{company}").status_code == 204
    assert api("GET", f"/crm/v3/objects/companies/{company}").status_code == 404
    assert api.json("GET", f"/crm/v3/objects/companies/{company}", params={"archived": "true"})["archivedAt"]
    assert company in {row["id"] for row in api.json("GET", "/crm/v3/objects/companies", params={"archived": "True"})["results"]}
    assert api("GET", "/crm/v3/objects/meetings", params={"archived": "true"}).status_code == 400


def test_a_unique_property_can_be_made_and_is_kept_unique(api: Api) -> None:
    made = {"name": "our_key", "label": "Key", "type": "string", "fieldType": "text", "groupName": "task", "hasUniqueValue": True}
    assert api("POST", "/crm/v3/properties/tasks", made).status_code == 201
    assert api("POST", "/crm/v3/properties/tasks", made).status_code == 409
    task = {"properties": {"hs_timestamp": "2026-12-03T10:00:00Z", "our_key": "k1"}}
    created = api.json("POST", "/crm/v3/objects/tasks", task)
    again = api("POST", "/crm/v3/objects/tasks", task)
    assert again.status_code == 400
    assert again.json()["errors"][0]["code"] == "CONFLICTING_UNIQUE_VALUE"
    wanted = {"idProperty": "our_key", "inputs": [{"id": "k1"}], "properties": ["our_key"]}
    found = api.json("POST", "/crm/v3/objects/tasks/batch/read", wanted)
    assert [row["id"] for row in found["results"]] == [created["id"]]


@pytest.mark.parametrize("base", ["/crm/v4/associations", "/crm/associations/2026-09"])
def test_association_batches_give_numbers_types_and_an_error_for_each_without(api: Api, world: World, base: str) -> None:
    linked, company = next((one, targets[0][0]) for one, targets in world.hubspot_associations[("contacts", "companies")].items()
                           if not world.hubspot["companies"][targets[0][0]]["archived"])  # fmt: skip
    alone = next(each for each in world.hubspot["contacts"] if each not in world.hubspot_associations[("contacts", "companies")])
    response = api("POST", f"{base}/contacts/companies/batch/read", {"inputs": [{"id": linked}, {"id": alone}]})
    assert response.status_code == 207
    content = response.json()
    assert content["results"] == [
        {
            "from": {"id": linked},
            "to": [
                {
                    "toObjectId": int(company),
                    "associationTypes": [
                        {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None},
                        {"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"},
                    ],
                }
            ],
        }
    ]
    assert content["errors"][0]["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    assert content["errors"][0]["context"]["fromObjectId"] == [alone]
    too_many = {"inputs": [{"id": str(at)} for at in range(1001)]}
    assert api("POST", f"{base}/contacts/companies/batch/read", too_many).status_code == 400


def test_links_are_made_and_taken_away_in_both_directions(api: Api, world: World) -> None:
    contact, call = list(world.hubspot["contacts"])[20], next(iter(world.hubspot["calls"]))
    assert api("PUT", f"/crm/v4/objects/contacts/{contact}/associations/default/calls/{call}").status_code == 200
    back = api.json("GET", f"/crm/v4/objects/calls/{call}/associations/contacts")["results"]
    assert {"toObjectId": int(contact), "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 194, "label": None}]} in back
    assert api("DELETE", f"/crm/v4/objects/calls/{call}/associations/contacts/{contact}").status_code == 204
    left = api.json("GET", f"/crm/v4/objects/contacts/{contact}/associations/calls")["results"]
    assert int(call) not in {each["toObjectId"] for each in left}
