"""The sandbox's HubSpot, spoken to as the service documents itself: over HTTP, in its formats, within its limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import requests

from connector.sandbox.hubspot_answers import Refusal
from connector.sandbox.hubspot_limits import Limits
from connector.sandbox.serve import Sandbox
from connector.sandbox.world import World, make_world

NOW = datetime(2026, 12, 2, 9, 30, tzinfo=UTC)
MQL = "marketingqualifiedlead"
OBJECTS = "/crm/v3/objects"


class Api:
    """A client that knows nothing but HTTP."""

    def __init__(self, base: str, token: str = "sandbox-token") -> None:
        self.base = base
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        return self.session.request(method, self.base + path, json=body, timeout=10, **more)

    def json(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        response = self(method, path, body, **more)
        assert response.status_code < 300, (response.status_code, response.text)
        return response.json()


@pytest.fixture(scope="module")
def stage() -> Iterator[SimpleNamespace]:
    clock = SimpleNamespace(now=NOW)
    world = make_world(now=NOW, hubspot_contacts=400, salesforce_leads=60)
    with Sandbox(world=world, now=lambda: clock.now, salesforce=False, requests_per_10_seconds=10**6, searches_per_second=10**6) as sandbox:
        api = Api(sandbox.hubspot_url)
        yield SimpleNamespace(api=api, world=world, sandbox=sandbox, clock=clock)
        api.session.close()


@pytest.fixture
def api(stage: SimpleNamespace) -> Api:
    found: Api = stage.api
    return found


@pytest.fixture
def world(stage: SimpleNamespace) -> World:
    found: World = stage.world
    return found


def some_contact(world: World, stage: str) -> str:
    rows = world.hubspot["contacts"].items()
    return next(record_id for record_id, row in rows if row["properties"]["lifecyclestage"] == stage and not row["archived"])


# ── Who may ask ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("header", ["bearer sandbox-token", "Bearer  sandbox-token", "token sandbox-token", "Bearer another"])
def test_only_the_exact_bearer_token_is_let_in(api: Api, header: str) -> None:
    response = api("GET", "/crm/v3/objects/contacts", headers={"Authorization": header})
    assert response.status_code == 401
    assert response.json()["category"] == "INVALID_AUTHENTICATION"
    assert response.json()["status"] == "error"


def test_the_token_tells_its_scopes_and_the_account_its_zone(api: Api) -> None:
    info = api.json("POST", "/oauth/v2/private-apps/get/access-token-info", {"tokenKey": "sandbox-token"})
    assert {"crm.objects.contacts.read", "sales-email-read"} <= set(info["scopes"])
    details = api.json("GET", "/account-info/v3/details")
    assert details["timeZone"] == "Europe/Berlin"
    assert details["portalId"] == info["hubId"]


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("base", [f"{OBJECTS}/contacts", "/crm/objects/2026-09/contacts", f"{OBJECTS}/0-1", f"{OBJECTS}/Contact"])
def test_pages_bring_every_record_once_in_the_order_of_ids(api: Api, world: World, base: str) -> None:
    ids: list[int] = []
    after: str | None = None
    pages = 0
    while pages == 0 or after:
        page = api.json("GET", base, params={"limit": "500", "archived": "false"} | ({"after": after} if after else {}))
        assert len(page["results"]) <= 100
        ids += [int(row["id"]) for row in page["results"]]
        after = page.get("paging", {}).get("next", {}).get("after")
        pages += 1
    assert ids == sorted(int(row["id"]) for row in world.hubspot["contacts"].values() if not row["archived"])
    assert pages == -(-len(ids) // 100)


def test_a_page_has_ten_rows_where_no_limit_is_given(api: Api) -> None:
    assert len(api.json("GET", "/crm/v3/objects/companies")["results"]) == 10


def test_properties_are_text_or_null_and_unknown_names_are_ignored(api: Api) -> None:
    query = {"limit": 1, "properties": "email,budget_amount,hs_lead_status,nonsense"}
    row = api.json("GET", "/crm/v3/objects/contacts", params=query)["results"][0]
    assert {"email", "budget_amount", "hs_lead_status", "createdate", "lastmodifieddate", "hs_object_id"} == set(row["properties"])
    assert all(value is None or isinstance(value, str) for value in row["properties"].values())
    assert row["createdAt"].endswith("Z")
    assert row["archived"] is False


def test_inline_associations_name_an_id_once_a_type(api: Api, world: World) -> None:
    contact = next(iter(world.hubspot_associations[("contacts", "companies")]))
    row = api.json("GET", f"/crm/v3/objects/contacts/{contact}", params={"associations": "companies"})
    shown = row["associations"]["companies"]["results"]
    assert len(shown) == 2
    assert len({each["id"] for each in shown}) == 1
    assert {each["type"] for each in shown} == {"contact_to_company", "contact_to_company_unlabeled"}


def test_an_id_that_names_nothing_is_a_page_of_html(api: Api) -> None:
    response = api("GET", "/crm/v3/objects/contacts/99999999")
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
    response = api("GET", "/crm/v3/objects/contacts/abc")
    assert response.status_code == 404
    assert response.json()["category"] == "OBJECT_NOT_FOUND"


def test_an_unknown_object_is_refused_without_a_category(api: Api) -> None:
    response = api("GET", "/crm/v3/objects/unicorns")
    assert response.status_code == 400
    assert response.json()["message"] == "Unable to infer object type from: unicorns"
    assert "category" not in response.json()


def test_history_is_newest_first_and_takes_pages_of_fifty(api: Api, world: World) -> None:
    contact = some_contact(world, MQL)
    shown = api.json("GET", f"/crm/v3/objects/contacts/{contact}", params={"propertiesWithHistory": "lifecyclestage"})
    history = shown["propertiesWithHistory"]["lifecyclestage"]
    assert [entry["value"] for entry in history] == [MQL, "lead", "subscriber"]
    assert history[0]["timestamp"] > history[1]["timestamp"]
    assert api("GET", "/crm/v3/objects/contacts", params={"propertiesWithHistory": "lifecyclestage", "limit": 51}).status_code == 400


def test_batch_read_gives_what_is_there_and_one_error_for_what_is_not(api: Api, world: World) -> None:
    ids = list(world.hubspot["contacts"])[:3]
    inputs = [{"id": each} for each in [*ids, "77"]]
    response = api("POST", "/crm/v3/objects/contacts/batch/read", {"inputs": inputs, "properties": ["email"]})
    assert response.status_code == 207
    content = response.json()
    assert [row["id"] for row in content["results"]] == ids
    assert content["numErrors"] == 1
    assert content["errors"][0]["category"] == "OBJECT_NOT_FOUND"
    assert content["errors"][0]["context"]["ids"] == ["77"]
    assert api("POST", "/crm/v3/objects/contacts/batch/read", {"inputs": [{"id": str(at)} for at in range(101)]}).status_code == 400


def test_owners_are_active_or_archived(api: Api) -> None:
    active = api.json("GET", "/crm/v3/owners", params={"limit": 4})
    assert len(active["results"]) == 4
    rest = api.json("GET", "/crm/v3/owners", params={"limit": 4, "after": active["paging"]["next"]["after"]})
    assert len(rest["results"]) == 1
    assert "paging" not in rest
    archived = api.json("GET", "/crm/v3/owners", params={"archived": "true"})["results"]
    assert [owner["email"] for owner in archived] == ["dora@acme.example"]
    assert archived[0]["userId"] is None
    assert archived[0]["userIdIncludingInactive"]


def test_properties_tell_types_options_and_what_is_read_only(api: Api) -> None:
    found = {each["name"]: each for each in api.json("GET", "/crm/v3/properties/contacts")["results"]}
    assert [option["value"] for option in found["lifecyclestage"]["options"]][:3] == ["subscriber", "lead", MQL]
    assert found["lastmodifieddate"]["modificationMetadata"]["readOnlyValue"] is True
    assert found["budget_amount"]["type"] == "number"
    assert api("GET", "/crm/v3/properties/contacts/nonsense").status_code == 404


# ── Search ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def search(api: Api, name: str = "contacts", **body: Any) -> Any:
    return api.json("POST", f"/crm/v3/objects/{name}/search", body)


def rule(name: str, operator: str, *values: str) -> dict[str, Any]:
    if operator in ("IN", "NOT_IN"):
        return {"propertyName": name, "operator": operator, "values": list(values)}
    more = {"highValue": values[1]} if len(values) > 1 else {}
    return {"propertyName": name, "operator": operator, "value": values[0] if values else ""} | more


def found_ids(api: Api, *rules: dict[str, Any]) -> set[str]:
    ids: set[str] = set()
    after = "0"
    while True:
        page = search(api, filterGroups=[{"filters": list(rules)}], limit=200, after=after)
        ids |= {row["id"] for row in page["results"]}
        if "paging" not in page:
            assert len(ids) == page["total"]
            return ids
        after = page["paging"]["next"]["after"]


def test_search_pages_by_offset_in_the_order_asked_for(api: Api, world: World) -> None:
    since = NOW - timedelta(days=200)
    millis = str(int(since.timestamp() * 1000))
    body: dict[str, Any] = {
        "filterGroups": [{"filters": [rule("lastmodifieddate", "GTE", millis)]}],
        "sorts": [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}],
        "limit": 150,
    }
    first = search(api, **body)
    expected = [row for row in world.hubspot["contacts"].values() if row["updatedAt"] >= since and not row["archived"]]
    assert first["total"] == len(expected)
    assert first["paging"]["next"]["after"] == "150"
    moments = [row["updatedAt"] for row in first["results"]]
    assert moments == sorted(moments)
    second = search(api, **body, after="150")
    assert not {row["id"] for row in first["results"]} & {row["id"] for row in second["results"]}
    iso = search(api, **{**body, "filterGroups": [{"filters": [rule("lastmodifieddate", "GTE", since.isoformat())]}]})
    assert iso["total"] == first["total"]


def test_every_operator_means_what_it_says(api: Api, world: World) -> None:
    rows = {row["id"]: row["properties"] for row in world.hubspot["contacts"].values() if not row["archived"]}

    def those(test: Callable[[dict[str, Any]], bool]) -> set[str]:
        return {record_id for record_id, own in rows.items() if test(own)}

    stage, budget, country = "lifecyclestage", "budget_amount", "country"
    assert found_ids(api, rule(stage, "EQ", MQL)) == those(lambda own: own[stage] == MQL)
    assert found_ids(api, rule(stage, "NEQ", MQL)) == those(lambda own: own[stage] != MQL)
    assert found_ids(api, rule(stage, "IN", MQL, "lead")) == those(lambda own: own[stage] in (MQL, "lead"))
    assert found_ids(api, rule(stage, "NOT_IN", MQL)) == those(lambda own: own[stage] != MQL)
    assert found_ids(api, rule(budget, "HAS_PROPERTY")) == those(lambda own: bool(own[budget]))
    assert found_ids(api, rule(budget, "NOT_HAS_PROPERTY")) == those(lambda own: not own[budget])
    for operator, test in (("GT", float.__gt__), ("GTE", float.__ge__), ("LT", float.__lt__), ("LTE", float.__le__)):
        expected = {record_id for record_id, own in rows.items() if own[budget] and test(float(own[budget]), 40_000.0)}
        assert found_ids(api, rule(budget, operator, "40000")) == expected
    assert found_ids(api, rule(budget, "BETWEEN", "20000", "40000")) == those(lambda own: 20_000 <= float(own[budget] or 0) <= 40_000)
    assert found_ids(api, rule(country, "EQ", "GERMANY")) == those(lambda own: own[country] == "Germany")
    assert found_ids(api, rule(country, "CONTAINS_TOKEN", "states")) == those(lambda own: own[country] == "United States")
    assert found_ids(api, rule(country, "EQ", "germany"), rule(stage, "EQ", MQL)) == those(
        lambda own: own[country] == "Germany" and own[stage] == MQL
    )


def test_the_wrong_modified_date_finds_nothing_and_no_property_is_an_error(api: Api) -> None:
    assert search(api, filterGroups=[{"filters": [rule("hs_lastmodifieddate", "GTE", "0")]}])["total"] == 0
    assert search(api, "calls", filterGroups=[{"filters": [rule("hs_lastmodifieddate", "GTE", "0")]}])["total"] > 0
    response = api("POST", "/crm/v3/objects/contacts/search", {"filterGroups": [{"filters": [rule("nonsense", "EQ", "1")]}]})
    assert response.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"limit": 200, "after": "9900"},
        {"filterGroups": [{"filters": [rule("email", "EQ", "x")] * 7}]},
        {"filterGroups": [{"filters": []}] * 6},
        {"sorts": ["email", "country"]},
        {"filterGroups": [{"filters": [rule("email", "LIKE", "x")]}]},
    ],
)
def test_search_keeps_its_bounds(api: Api, body: dict[str, Any]) -> None:
    response = api("POST", "/crm/v3/objects/contacts/search", body)
    assert response.status_code == 400
    assert response.json()["category"] == "VALIDATION_ERROR"


def test_searching_twenty_thousand_by_date_is_quick() -> None:
    world = make_world(now=NOW, hubspot_contacts=100, salesforce_leads=10)
    template = next(iter(world.hubspot["contacts"].values()))
    for number in range(100_000, 120_000):
        world.hubspot["contacts"][str(number)] = {**template, "id": str(number), "updatedAt": NOW - timedelta(seconds=number % 3600)}
    with Sandbox(world=world, now=lambda: NOW, salesforce=False, searches_per_second=10**6) as sandbox:
        api = Api(sandbox.hubspot_url)
        millis = str(int((NOW - timedelta(minutes=10)).timestamp() * 1000))
        spent = []
        for _ in range(5):
            begun = time.perf_counter()
            search(api, filterGroups=[{"filters": [rule("lastmodifieddate", "GTE", millis)]}], sorts=["lastmodifieddate"], limit=200)
            spent.append(time.perf_counter() - begun)
        api.session.close()
    assert min(spent) < 0.05


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_write_moves_the_modified_date_to_now(stage: SimpleNamespace) -> None:
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


def test_a_task_is_created_on_its_contact_and_completed(stage: SimpleNamespace) -> None:
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


# ── Associations ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── Limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def limits(seconds: list[float], clock: SimpleNamespace, **more: int) -> Limits:
    numbers = {"requests_per_10_seconds": 3, "searches_per_second": 2, "daily": 100} | more
    return Limits(**numbers, now=lambda: clock.now, monotonic=lambda: seconds[0])


def test_the_window_rolls() -> None:
    seconds, clock = [0.0], SimpleNamespace(now=NOW)
    gate = limits(seconds, clock)
    assert gate.admit(search=False)["X-HubSpot-RateLimit-Remaining"] == "2"
    seconds[0] = 6.0
    gate.admit(search=False)
    gate.admit(search=False)
    with pytest.raises(Refusal) as refused:
        gate.admit(search=False)
    assert refused.value.status == 429
    body = refused.value.body or {}
    assert (body["policyName"], body["errorType"], body["message"]) == (
        "TEN_SECONDLY_ROLLING",
        "RATE_LIMIT",
        "You have reached your ten_secondly_rolling limit.",
    )
    assert "category" not in body
    seconds[0] = 10.0
    gate.admit(search=False)
    with pytest.raises(Refusal):
        gate.admit(search=False)


def test_searches_have_a_limit_and_a_second_of_their_own() -> None:
    seconds, clock = [0.0], SimpleNamespace(now=NOW)
    gate = limits(seconds, clock)
    assert gate.admit(search=True) == {}
    gate.admit(search=True)
    with pytest.raises(Refusal) as refused:
        gate.admit(search=True)
    assert (refused.value.body or {})["policyName"] == "SECONDLY"
    gate.admit(search=False)
    seconds[0] = 1.0
    gate.admit(search=True)


def test_the_day_ends_at_midnight_of_the_account() -> None:
    seconds, clock = [0.0], SimpleNamespace(now=datetime(2026, 12, 2, 22, 59, tzinfo=UTC))
    gate = limits(seconds, clock, daily=1)
    gate.admit(search=False)
    seconds[0] = 100.0
    with pytest.raises(Refusal) as refused:
        gate.admit(search=True)
    assert (refused.value.body or {})["policyName"] == "DAILY"
    clock.now = datetime(2026, 12, 2, 23, 0, tzinfo=UTC)  # midnight in Berlin
    gate.admit(search=True)


def test_a_429_goes_out_in_its_own_shape_and_searches_have_no_limit_headers() -> None:
    world = make_world(now=NOW, hubspot_contacts=20, salesforce_leads=5)
    with Sandbox(world=world, now=lambda: NOW, salesforce=False, requests_per_10_seconds=2) as sandbox:
        api = Api(sandbox.hubspot_url)
        assert not [name for name in api("POST", "/crm/v3/objects/contacts/search", {}).headers if "ratelimit" in name.lower()]
        assert api("GET", "/crm/v3/owners").headers["X-HubSpot-RateLimit-Max"] == "2"
        assert api("GET", "/crm/v3/owners").status_code == 200
        response = api("GET", "/crm/v3/owners")
        api.session.close()
    assert response.status_code == 429
    assert set(response.json()) == {"status", "message", "errorType", "correlationId", "policyName", "requestId"}
    assert "retry-after" not in {name.lower() for name in response.headers}
