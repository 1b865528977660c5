"""HubSpot's removals, counts, refills, links and descriptions over real HTTP, in every version of the API, against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from connector.adapters.client import Answer, NoBudget, Request
from connector.adapters.hubspot import HubSpotCrm
from connector.adapters.hubspot.transport import Transport
from connector.errors import ObjectStopped
from connector.model import Fate
from connector.sandbox.fault_injection import Fault
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
WIDE = HubSpotOptions(requests_per_10_seconds=100_000, searches_per_second=100_000)
WANTED = {"contacts": ["email", "lifecyclestage"], "companies": ["industry"]}


class Told(NoBudget):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.limits: dict[str, tuple[int, int]] = {}

    def learn(self, limit: str, used: int, of: int) -> None:
        self.limits[limit] = (used, of)


class Recorded:
    """An adapter with a transport of its own, whose requests are remembered."""

    def __init__(self, sandbox: Sandbox, version: str) -> None:
        self.requests: list[Request] = []
        self.budget = Told()
        self._transport = Transport(base_url=sandbox.hubspot_url, token="sandbox-token", ca_bundle=None, timeout=5.0)
        token = SimpleNamespace(read=lambda: "sandbox-token")
        settings = SimpleNamespace(access_token=token, base_url=sandbox.hubspot_url, ca_bundle=None, api_version=version)
        self.crm = HubSpotCrm(settings, wanted=WANTED, budget=self.budget, sleep=lambda seconds: None, send=self._send)

    def _send(self, request: Request) -> Answer:
        self.requests.append(request)
        return self._transport(request)

    def do(self, method: str, path: str, body: Any = None) -> Any:
        """What somebody else does in HubSpot."""
        raw = None if body is None else orjson.dumps(body)
        answer = self._transport(Request(method=method, path=path, about="", body=raw))
        assert answer.status < 300, answer.body
        return orjson.loads(answer.body or b"null")

    def close(self) -> None:
        self.crm.close()
        self._transport.close()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    world = make_world(now=NOW, hubspot_contacts=250, salesforce_leads=20)
    with Sandbox(world, now=lambda: NOW, hubspot=WIDE, salesforce=None) as running:
        yield running


@pytest.fixture(params=["v3", "2026-03", "2026-09"])
def recorded(sandbox: Sandbox, request: pytest.FixtureRequest) -> Iterator[Recorded]:
    made = Recorded(sandbox, request.param)
    yield made
    made.close()
    sandbox.hubspot_faults.clear()
    paths = [each.path for each in made.requests]
    if request.param != "v3":
        assert [path for path in paths if "/v3" in path or "/v4" in path] == []
        assert all(request.param in path for path in paths if not path.startswith("/oauth/"))


def live(sandbox: Sandbox, name: str) -> list[str]:
    return [each for each, row in sandbox.world.hubspot[name].items() if not row["archived"]]


def test_what_became_of_them(sandbox: Sandbox, recorded: Recorded) -> None:
    """Deleted, merged, merged again, forgotten; then looked for by id and in the recycle bin."""
    people = live(sandbox, "contacts")[-8:]
    kept, deleted, one, other, third, forgotten = people[:6]
    recorded.do("DELETE", f"/crm/v3/objects/contacts/{deleted}")
    first = recorded.do("POST", "/crm/v3/objects/contacts/merge", {"primaryObjectId": one, "objectIdToMerge": other})["id"]
    final = recorded.do("POST", "/crm/v3/objects/contacts/merge", {"primaryObjectId": first, "objectIdToMerge": third})["id"]
    recorded.do("POST", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": forgotten})

    found = recorded.crm.fates("contacts", [kept, deleted, one, other, third, first, forgotten, final])

    merged = {each: (Fate.MERGED, final) for each in (one, other, third, first) if each != final}
    assert {key: (each.fate, each.into) for key, each in found.items()} == {
        deleted: (Fate.ARCHIVED, None),
        **merged,
        forgotten: (Fate.PURGED, None),
    }
    assert found[deleted].at == NOW
    (page,) = recorded.crm.removals("contacts", None, now=NOW)
    assert found[deleted] in page.removals
    told = {each.record.id for each in page.removals}
    assert told.isdisjoint([kept, one, other, third, forgotten])
    (later,) = recorded.crm.removals("contacts", page.cursor, now=NOW + timedelta(hours=6))
    recent = NOW - timedelta(days=1)
    assert {each.record.id for each in later.removals} == {each.record.id for each in page.removals if each.at and each.at >= recent}


@pytest.mark.parametrize("name", ["companies", "deals", "calls", "emails", "tasks"])
def test_the_bin_of_each_object(sandbox: Sandbox, recorded: Recorded, name: str) -> None:
    deleted = live(sandbox, name)[-1]
    recorded.do("DELETE", f"/crm/v3/objects/{name}/{deleted}")
    (page,) = recorded.crm.removals(name, None, now=NOW)
    assert deleted in {each.record.id for each in page.removals}
    assert recorded.crm.fates(name, [deleted])[deleted].fate is Fate.ARCHIVED


def test_a_deleted_meeting_is_found_by_its_id_alone(sandbox: Sandbox, recorded: Recorded) -> None:
    deleted = live(sandbox, "meetings")[-1]
    recorded.do("DELETE", f"/crm/v3/objects/meetings/{deleted}")
    assert list(recorded.crm.removals("meetings", None, now=NOW)) == []
    assert set(recorded.crm.fates("meetings", [*live(sandbox, "meetings")[:150], deleted])) == {deleted}


def test_counts_are_those_of_the_world(sandbox: Sandbox, recorded: Recorded) -> None:
    held = sorted(map(int, live(sandbox, "companies")))
    assert recorded.crm.count("companies", held[0], held[-1]) == len(held)
    assert recorded.crm.count("companies", held[3], held[9]) == 7
    assert recorded.crm.count("companies", 0, held[0] - 1) == 0


def test_a_refill_brings_the_world(sandbox: Sandbox, recorded: Recorded) -> None:
    pages = list(recorded.crm.refill("contacts", ["jobtitle", "no_such_property"], None, now=NOW))
    values = {each: row["properties"].get("jobtitle") for each, row in sandbox.world.hubspot["contacts"].items() if not row["archived"]}
    assert {record.id: record.properties["jobtitle"] for page in pages for record in page.records} == values
    assert {name for page in pages for name in page.absent} == {"no_such_property"}
    assert pages[-1].last


def test_links_and_activities_are_those_of_the_world(sandbox: Sandbox, recorded: Recorded) -> None:
    links = sandbox.world.hubspot_associations["calls", "contacts"]
    calls = [each for each in live(sandbox, "calls") if links.get(each)][:20]
    found = recorded.crm.relink("calls", calls)
    assert {each: {ref.id for ref in refs} for each, refs in found.items()} == {each: {end for end, _ in links[each]} for each in calls}

    person = next(end for each in calls for end, _ in links[each])
    expected = {
        (name, each)
        for name in ("calls", "emails", "meetings", "tasks")
        for each in live(sandbox, name)
        if person in {end for end, _ in sandbox.world.hubspot_associations[name, "contacts"].get(each, ())}
    }
    activities = recorded.crm.activities_of("contacts", [person])
    assert {(each.object, each.id) for each in activities} == expected
    assert all(person in {ref.id for ref in each.contacts} for each in activities)


def test_the_schema_is_that_of_the_account(recorded: Recorded) -> None:
    schema = recorded.crm.schema(["contacts", "companies", "deals"])
    stages = schema["contacts"]["lifecyclestage"]
    assert stages.options is not None
    assert "marketingqualifiedlead" in stages.options
    assert not schema["contacts"]["hs_object_id"].writable
    assert schema["contacts"]["email"].writable
    assert schema["deals"]["amount"].type == "number"


def test_the_budget_hears_of_the_limits(recorded: Recorded) -> None:
    recorded.crm.schema(["contacts"])
    assert set(recorded.budget.limits) == {"10 seconds", "day"}
    used, of = recorded.budget.limits["10 seconds"]
    assert 0 < used <= of == WIDE.requests_per_10_seconds


@pytest.mark.parametrize("call", ["fates", "removals"])
def test_what_fails_is_no_removal(sandbox: Sandbox, recorded: Recorded, call: str) -> None:
    sandbox.hubspot_faults.add(Fault("hubspot", "/contacts", 99, status=403, body=b'{"category": "MISSING_SCOPES"}'))
    with pytest.raises(ObjectStopped):
        recorded.crm.fates("contacts", ["1"]) if call == "fates" else list(recorded.crm.removals("contacts", None, now=NOW))
