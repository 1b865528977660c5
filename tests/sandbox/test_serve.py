"""The sandbox as a whole: two servers that start, misbehave on demand, count, and go away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from hubspot import HubSpot

from connector.sandbox.fault_injection import Fault, FaultInjector
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world

NOW = datetime(2026, 12, 2, 9, 30, tzinfo=UTC)
OWNERS = "/crm/v3/owners"


@pytest.fixture
def stage() -> Iterator[SimpleNamespace]:
    world = make_world(now=NOW, hubspot_contacts=60, salesforce_leads=20)
    session = requests.Session()
    session.headers["Authorization"] = "Bearer sandbox-token"
    with Sandbox(world, now=lambda: NOW, salesforce=None) as sandbox, session:

        def ask(path: str, **more: Any) -> requests.Response:
            return session.get(sandbox.hubspot_url + path, timeout=10, **more)

        yield SimpleNamespace(world=world, sandbox=sandbox, faults=sandbox.hubspot_faults, ask=ask)


def fault(match: str = "", times: int = 1, **more: object) -> Fault:
    return Fault("hubspot", match, times, **more)  # type: ignore[arg-type]  # keywords of Fault


def test_both_servers_answer_and_leave_nothing_behind() -> None:
    threads = threading.active_count()
    with Sandbox(make_world(now=NOW, hubspot_contacts=60, salesforce_leads=20), now=lambda: NOW) as sandbox:
        answer = requests.get(sandbox.hubspot_url + OWNERS, timeout=10)
        assert answer.status_code == 401
        versions = requests.get(sandbox.salesforce_url + "/services/data/", verify=sandbox.ca_bundle, timeout=10)
        assert versions.status_code < 500
        assert sandbox.salesforce_url.startswith("https://127.0.0.1:")
        assert sandbox.calls() == {"hubspot": 1, "salesforce": 1}
        bundle = Path(sandbox.ca_bundle)
        assert "BEGIN CERTIFICATE" in bundle.read_text()
    assert not bundle.exists()
    assert threading.active_count() == threads
    with pytest.raises(requests.ConnectionError):
        requests.get(sandbox.hubspot_url + OWNERS, timeout=10)


def test_one_crm_can_be_left_out() -> None:
    with Sandbox(make_world(now=NOW, hubspot_contacts=20, salesforce_leads=5), now=lambda: NOW, salesforce=None) as sandbox:
        assert sandbox.hubspot_url
        assert sandbox.salesforce_url == ""


def test_an_option_that_a_server_does_not_know_is_an_error(stage: SimpleNamespace) -> None:
    unknown: dict[str, Any] = {"requests_per_fortnight": 1}
    for make in (HubSpotOptions, SalesforceOptions, stage.sandbox.hubspot.change_options):
        with pytest.raises(TypeError, match="requests_per_fortnight"):
            make(**unknown)


def test_hubspots_own_client_reads_from_it(stage: SimpleNamespace) -> None:
    client = HubSpot(access_token="sandbox-token", host=stage.sandbox.hubspot_url)
    page = client.crm.contacts.basic_api.get_page(limit=5, properties=["email"])
    assert [each.id for each in page.results] == sorted(stage.world.hubspot["contacts"], key=int)[:5]


def test_requests_are_counted_and_logged(stage: SimpleNamespace) -> None:
    stage.ask(OWNERS)
    stage.ask("/crm/v3/objects/contacts", params={"limit": 3})
    assert stage.sandbox.calls()["hubspot"] == 2
    assert list(stage.faults.log) == [("GET", OWNERS), ("GET", "/crm/v3/objects/contacts")]


def test_another_answer_hits_so_often_after_so_many(stage: SimpleNamespace) -> None:
    stage.faults.add(fault("GET /crm/v3/owners", times=2, after=1, status=403, body=b'{"category":"MISSING_SCOPES"}'))
    assert [stage.ask(OWNERS).status_code for _ in range(4)] == [200, 403, 403, 200]
    assert stage.ask("/account-info/v3/details").status_code == 200
    stage.faults.clear()
    stage.faults.faults.append(fault("limit=7", status=429, headers={"Retry-After": "1"}))
    assert stage.ask(OWNERS).status_code == 200
    refused = stage.ask(OWNERS, params={"limit": 7})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")


def test_an_answer_cut_in_half_is_noticed(stage: SimpleNamespace) -> None:
    stage.faults.add(fault(kind="truncate"))
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        stage.ask(OWNERS)
    assert stage.ask(OWNERS).status_code == 200


def test_a_lost_answer_took_effect(stage: SimpleNamespace) -> None:
    contact = next(iter(stage.world.hubspot["contacts"]))
    url = f"{stage.sandbox.hubspot_url}/crm/v3/objects/contacts/{contact}"
    headers = {"Authorization": "Bearer sandbox-token"}
    stage.faults.add(fault("PATCH", kind="lost"))
    with pytest.raises(requests.ConnectionError):
        requests.patch(url, json={"properties": {"city": "Trier"}}, headers=headers, timeout=10)
    assert stage.world.hubspot["contacts"][contact]["properties"]["city"] == "Trier"


def test_a_slow_answer_exceeds_a_timeout_and_comes_in_the_end(stage: SimpleNamespace) -> None:
    stage.faults.add(fault(kind="slow", seconds=0.3))
    with pytest.raises(requests.Timeout):
        requests.get(stage.sandbox.hubspot_url + OWNERS, timeout=0.05)
    stage.faults.add(fault(kind="slow", seconds=0.05))
    assert stage.ask(OWNERS).status_code == 200


def test_latency_is_added_to_every_answer(stage: SimpleNamespace) -> None:
    stage.faults.latency = 0.05
    assert stage.ask(OWNERS).elapsed.total_seconds() >= 0.05


def test_a_frame_takes_only_its_own_faults() -> None:
    with pytest.raises(ValueError, match="salesforce"):
        FaultInjector("hubspot").add(Fault("salesforce", "", 1))
