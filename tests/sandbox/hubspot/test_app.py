"""The sandbox's HubSpot, spoken to as the service documents itself: who may ask, lists, single records, batches, the account."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.sandbox.state import World
from tests.sandbox.hubspot.client import MQL, OBJECTS, Api, Stage, running, some_contact


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
    assert content["errors"][0]["context"]["id"] == ["77"]
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


def test_an_address_that_is_too_long_is_refused(api: Api) -> None:
    names = ",".join(f"property_number_{number:04}" for number in range(900))
    refused = api("GET", f"{OBJECTS}/contacts", params={"properties": names})
    assert refused.status_code == 414
    assert refused.headers["content-type"].startswith("text/html")
    assert api("GET", f"{OBJECTS}/contacts", params={"properties": names[:13_000]}).status_code == 200


def test_a_short_page_may_be_followed_by_more() -> None:
    with running(contacts=250, short_pages=True) as stage:
        sizes: list[int] = []
        ids: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = stage.api.json("GET", f"{OBJECTS}/contacts", params={"limit": "20", **after})
            sizes.append(len(page["results"]))
            ids += [row["id"] for row in page["results"]]
            if "paging" not in page:
                break
            after = {"after": page["paging"]["next"]["after"]}
        assert ids == sorted(stage.actions.live("contacts"), key=int)
        assert {0, 10, 20} <= set(sizes[:-1])
