"""Deals of the sandbox's HubSpot, their pipeline, and paths of every version."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.hubspot.client import OBJECTS, Api, Stage, running


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with running(contacts=300) as found:
        yield found


@pytest.fixture
def api(stage: Stage) -> Api:
    return stage.api


def test_a_deal_follows_its_stage_and_has_one_primary_company(stage: Stage, api: Api) -> None:
    contact = next(iter(stage.actions.live("contacts")))
    one, other = list(stage.actions.live("companies"))[:2]
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}]
    deal = {"properties": {"dealname": "x", "pipeline": "default", "dealstage": "contractsent", "amount": "10.5"},
            "associations": [{"to": {"id": contact}, "types": types}]}  # fmt: skip
    deal_id = api.json("POST", f"{OBJECTS}/deals", deal)["id"]
    assert api("POST", f"{OBJECTS}/deals", {"properties": {"dealstage": "nonsense"}}).status_code == 400
    assert api("PATCH", f"{OBJECTS}/deals/{deal_id}", {"properties": {"hs_is_closed": "true"}}).status_code == 400
    api.json("PATCH", f"{OBJECTS}/0-3/{deal_id}", {"properties": {"dealstage": "closedwon"}})
    shown = api.json(
        "GET", f"{OBJECTS}/deals/{deal_id}", params={"properties": "hs_is_closed,hs_is_closed_won", "associations": "contacts"}
    )
    assert (shown["properties"]["hs_is_closed"], shown["properties"]["hs_is_closed_won"]) == ("true", "true")
    assert shown["associations"]["contacts"]["results"] == [{"id": contact, "type": "deal_to_contact"}]
    stage.actions.associate("deals", deal_id, "companies", one, 5)
    stage.actions.associate("deals", deal_id, "companies", other, 5)
    assert sorted(stage.actions.live("deals")[deal_id]["links"]["companies"]) == sorted([(one, 341), (other, 341), (other, 5)])
    assert (deal_id, 4) in stage.actions.live("contacts")[contact]["links"]["deals"]


def test_pipelines_tell_which_stages_end_a_deal(api: Api) -> None:
    (pipeline,) = api.json("GET", "/crm/v3/pipelines/deals")["results"]
    metadata = {each["id"]: each["metadata"] for each in pipeline["stages"]}
    assert metadata["closedwon"] == {"isClosed": "true", "probability": "1.0"}
    assert metadata["closedlost"] == {"isClosed": "true", "probability": "0.0"}
    assert metadata["contractsent"]["isClosed"] == "false"
    assert api.json("GET", "/crm/v3/pipelines/deals/default")["id"] == "default"
    assert api.json("GET", "/crm/pipelines/2026-09/contacts")["results"] == []


def test_owners_have_teams(api: Api) -> None:
    teams = {owner["email"]: owner["teams"] for owner in api.json("GET", "/crm/v3/owners")["results"]}
    assert teams["anna@acme.example"] == [{"id": "61001", "name": "Inbound Sales", "primary": True}]


@pytest.mark.parametrize("version", ["2026-03", "2026-09"])
def test_every_path_has_a_dated_form(stage: Stage, version: str) -> None:
    api, contact = stage.api, next(iter(stage.actions.live("contacts")))
    for path in (f"objects/{version}/deals", f"objects/{version}/0-1/{contact}", f"properties/{version}/contacts", f"owners/{version}",
                 f"pipelines/{version}/deals"):  # fmt: skip
        api.json("GET", f"/crm/{path}")
    api.json("GET", f"/account-info/{version}/details")
    api.json("POST", f"/crm/objects/{version}/contacts/search", {})
    api.json("POST", f"/crm/associations/{version}/contacts/companies/batch/read", {"inputs": [{"id": contact}]})
    assert api("GET", f"/crm/objects/{version}/contacts/{contact}/associations/calls").status_code == 404
    api.json("GET", f"/crm/objects/2026-09-beta/contacts/{contact}/associations/calls")
    assert api("GET", "/crm/objects/2025-01/contacts").status_code == 404


def test_an_account_may_serve_only_some_versions() -> None:
    with running(versions=frozenset({"2026-09"})) as stage:
        assert stage.api("GET", f"{OBJECTS}/contacts").status_code == 404
        assert stage.api("GET", "/crm/objects/2026-03/contacts").status_code == 404
        assert stage.api("GET", "/account-info/v3/details").status_code == 404
        stage.api.json("GET", "/crm/objects/2026-09/contacts")
