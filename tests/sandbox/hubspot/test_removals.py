"""How records of the sandbox's HubSpot go: the recycle bin, merges, privacy. What no modified date tells."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.sandbox.hubspot.client import MQL, NOW, OBJECTS, Api, Stage, found_ids, running

CONTACTS = f"{OBJECTS}/contacts"


@pytest.fixture
def stage() -> Iterator[Stage]:
    with running() as found:
        yield found


def listed(api: Api, name: str, **query: str) -> set[str]:
    ids: set[str] = set()
    after: dict[str, str] = {}
    while True:
        page = api.json("GET", f"{OBJECTS}/{name}", params={"limit": "100", **query, **after})
        ids |= {row["id"] for row in page["results"]}
        if "paging" not in page:
            return ids
        after = {"after": page["paging"]["next"]["after"]}


def two(stage: Stage, name: str = "contacts") -> tuple[str, str]:
    one, other = stage.actions.ids(name)[:2]
    return one, other


def merge(api: Api, name: str, keep: str, lose: str) -> Any:
    return api.json("POST", f"{OBJECTS}/{name}/merge", {"primaryObjectId": keep, "objectIdToMerge": lose})


def test_a_deleted_record_is_in_the_bin_for_90_days_with_its_old_modified_date(stage: Stage) -> None:
    api, (one, other) = stage.api, two(stage)
    before = api.json("GET", f"{CONTACTS}/{one}")["updatedAt"]
    stage.clock.now = NOW + timedelta(hours=1)
    assert api("DELETE", f"{CONTACTS}/{one}").status_code == 204
    assert api("POST", f"{CONTACTS}/batch/archive", {"inputs": [{"id": other}, {"id": "77"}]}).status_code == 204
    assert listed(api, "contacts", archived="TRUE") == {one, other}
    assert not {one, other} & (listed(api, "contacts") | found_ids(api))
    shown = api.json("GET", f"{CONTACTS}/{one}", params={"archived": "true"})
    assert (shown["archived"], shown["archivedAt"], shown["updatedAt"]) == (True, "2026-12-02T10:30:00.000Z", before)
    batch = api("POST", f"{CONTACTS}/batch/read", {"inputs": [{"id": one}, {"id": "77"}]}, params={"archived": "true"})
    assert [row["id"] for row in batch.json()["results"]] == [one]
    assert batch.json()["errors"][0]["context"] == {"id": ["77"]}
    assert api("POST", f"{CONTACTS}/batch/read", {"inputs": [{"id": one}]}).json()["results"] == []
    stage.actions.restore("contacts", one)
    assert api.json("GET", f"{CONTACTS}/{one}")["updatedAt"] == before
    assert one in found_ids(api)
    stage.clock.now += timedelta(days=91)
    assert listed(api, "contacts", archived="true") == set()
    assert api("GET", f"{CONTACTS}/{other}", params={"archived": "true"}).status_code == 404
    with pytest.raises(KeyError):
        stage.actions.restore("contacts", other)


def test_deleted_meetings_are_not_listed(stage: Stage) -> None:
    refused = stage.api("GET", f"{OBJECTS}/meetings", params={"archived": "true"})
    assert refused.status_code == 400
    expected = "Paging through deleted objects is not yet supported for object type 0-47 (MEETING_EVENT)"
    assert refused.json()["message"] == expected


def test_a_merge_makes_a_new_record_and_single_requests_still_know_both_ids(stage: Stage) -> None:
    api, actions = stage.api, stage.actions
    keep = actions.create("contacts", email="Keep@Acme.example", city="Ulm", lifecyclestage="lead")
    lose = actions.create(
        "contacts", email="lose@acme.example", city="Bonn", country="Chad", lifecyclestage=MQL, hs_additional_emails="l2@acme.example"
    )
    call = actions.log_call([lose], at=NOW)
    merged = merge(api, "contacts", keep, lose)["id"]
    assert merged not in (keep, lose)
    wanted = "email,city,country,lifecyclestage,hs_merged_object_ids,hs_additional_emails"
    for each in (keep, lose, merged):
        shown = api.json("GET", f"{CONTACTS}/{each}", params={"properties": wanted})
        assert shown["id"] == merged
    own = shown["properties"]
    assert (own["email"], own["city"], own["country"], own["lifecyclestage"]) == ("keep@acme.example", "Ulm", "Chad", MQL)
    assert own["hs_merged_object_ids"] == f"{keep};{lose}"
    assert own["hs_additional_emails"] == "lose@acme.example;l2@acme.example"
    assert merged in listed(api, "contacts")
    assert not {keep, lose} & (listed(api, "contacts") | listed(api, "contacts", archived="true") | found_ids(api))
    assert api.json("PATCH", f"{CONTACTS}/{lose}", {"properties": {"city": "Kiel"}})["id"] == merged
    batch = api("POST", f"{CONTACTS}/batch/read", {"inputs": [{"id": lose}, {"id": merged}]})
    assert (batch.status_code, batch.json()["errors"][0]["category"]) == (207, "OBJECT_NOT_FOUND")
    links = api.json("POST", "/crm/v4/associations/calls/contacts/batch/read", {"inputs": [{"id": call}]})["results"]
    assert [each["toObjectId"] for each in links[0]["to"]] == [int(merged)]
    by_address = api.json("GET", f"{CONTACTS}/LOSE@acme.example", params={"idProperty": "email"})
    assert by_address["id"] == merged


def test_merges_chain(stage: Stage) -> None:
    actions = stage.actions
    a, b, c = (actions.create("contacts", lastname=name) for name in "abc")
    ab = merge(stage.api, "contacts", a, b)["id"]
    last = merge(stage.api, "contacts", c, b)["id"]  # b stands for what it was merged into
    assert actions.live("contacts")[last]["properties"]["hs_merged_object_ids"] == f"{c};{a};{b};{ab}"
    assert actions.merged("contacts") == dict.fromkeys((a, b, c, ab), last)
    again = stage.api("POST", f"{CONTACTS}/merge", {"primaryObjectId": a, "objectIdToMerge": c})
    assert again.status_code == 400


def test_an_account_may_keep_the_primary_id(stage: Stage) -> None:
    stage.actions.change_options(merge_keeps_id=True)
    keep, lose = two(stage, "companies")
    contacts = {each for each, row in stage.actions.live("contacts").items() if (lose, 1) in row["links"].get("companies", [])}
    assert merge(stage.api, "companies", keep, lose)["id"] == keep
    assert stage.actions.live("companies")[keep]["properties"]["hs_merged_object_ids"] == lose
    live = stage.actions.live("contacts")
    assert all((keep, 1) in live[each]["links"]["companies"] for each in contacts)
    assert all(live[each]["properties"]["associatedcompanyid"] == keep for each in contacts)
    assert listed(stage.api, "companies") == set(stage.actions.live("companies"))


def test_what_is_forgotten_is_nowhere_and_its_id_never_comes_again(stage: Stage) -> None:
    api, actions = stage.api, stage.actions
    contact = actions.create("contacts", email="gone@acme.example")
    old = actions.create("contacts", email="old@acme.example")
    call = actions.log_call([contact], at=NOW)
    contact = actions.merge("contacts", contact, old)
    assert api("POST", f"{CONTACTS}/gdpr-delete", {"objectId": "gone@acme.example", "idProperty": "email"}).status_code == 204
    for each in (contact, old):
        assert api("GET", f"{CONTACTS}/{each}").status_code == 404
        assert api("GET", f"{CONTACTS}/{each}", params={"archived": "true"}).status_code == 404
    assert contact not in listed(api, "contacts") | listed(api, "contacts", archived="true") | found_ids(api)
    assert api("POST", "/crm/v4/associations/calls/contacts/batch/read", {"inputs": [{"id": call}]}).json()["results"] == []
    assert int(actions.create("contacts", email="gone@acme.example")) > int(contact)
    assert api("POST", f"{CONTACTS}/gdpr-delete", {"objectId": "nobody@acme.example", "idProperty": "email"}).status_code == 204
    assert api("POST", f"{CONTACTS}/gdpr-delete", {"objectId": contact}).status_code == 404
    archived = next(iter(actions.live("contacts")))
    actions.delete("contacts", archived)
    actions.forget(archived)
    assert archived not in listed(api, "contacts", archived="true")
