"""HubSpot through the port, over real HTTP against the sandbox: pulls, writes, answers that fail, many threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from connector.adapters.client import NoBudget
from connector.adapters.hubspot import HubSpotCrm, task_marker
from connector.errors import CrmError, ObjectStopped, PassStopped, Retriable
from connector.model import WriteState
from connector.sandbox.fault_injection import Fault
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.hubspot.calls import WANTED, contact, ids, pull, task, write
from tests.adapters.hubspot.fake_account import millis

# ── Over real HTTP, against the sandbox's HubSpot ────────────────────────────────────────────────────────────────────────────────────

WORLD_NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
WIDE = HubSpotOptions(requests_per_10_seconds=100_000, searches_per_second=100_000)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    world = make_world(now=WORLD_NOW, hubspot_contacts=250, salesforce_leads=20)
    with Sandbox(world, now=lambda: WORLD_NOW, hubspot=WIDE, salesforce=None) as running:
        yield running


@pytest.fixture
def crm(sandbox: Sandbox) -> Iterator[HubSpotCrm]:
    token = SimpleNamespace(read=lambda: "sandbox-token")
    settings = SimpleNamespace(access_token=token, base_url=sandbox.hubspot_url, ca_bundle=None, api_version="v3")
    waits: list[float] = []
    made = HubSpotCrm(settings, wanted=WANTED, budget=NoBudget(), sleep=waits.append, timeout=5.0)
    yield made
    made.close()
    sandbox.hubspot_faults.clear()


class TestOverHttp:
    def test_pulls_the_whole_world_and_then_nothing(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        before = sandbox.calls()["hubspot"]
        for stream in crm.streams():
            pages = pull(crm, stream, None, WORLD_NOW)
            held = sandbox.world.hubspot_owners if stream == "owners" else sandbox.world.hubspot[stream]
            assert len(set(ids(pages))) == sum(page.seen for page in pages) == len(held)
            assert [aside for page in pages for aside in page.set_aside] == []
            if stream == "owners":
                continue
            later = {**pages[-1].cursor, "since": millis(WORLD_NOW + timedelta(days=2))}
            (quiet,) = pull(crm, stream, later, WORLD_NOW + timedelta(days=3))
            assert (quiet.seen, quiet.calls) == (0, 1)
        assert crm.calls() == sandbox.calls()["hubspot"] - before

    def test_primary_companies_are_those_of_the_world(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        links = sandbox.world.hubspot_associations["contacts", "companies"]
        primary = {start: end for start, ends in links.items() for end, kind in ends if kind == 1}
        records = [record for page in pull(crm, "contacts", None, WORLD_NOW) for record in page.records]
        assert primary
        assert {record.id: record.company_id for record in records if record.company_id} == primary

    def test_activities_name_their_contacts(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        links = sandbox.world.hubspot_associations["calls", "contacts"]
        (page,) = pull(crm, "calls", None, WORLD_NOW)
        assert {each.id: {ref.id for ref in each.contacts} for each in page.activities if each.contacts} == {
            start: {end for end, _ in ends} for start, ends in links.items() if ends
        }

    def test_writes_and_reads_back(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        people = list(sandbox.world.hubspot["contacts"])[:3]
        crm.update("contacts", [write(each, clear_first=True, lifecyclestage="lead") for each in people])
        outcomes = crm.update("contacts", [write(each, lifecyclestage="salesqualifiedlead") for each in people])
        assert {outcome.state for outcome in outcomes} == {WriteState.WRITTEN}
        (ignored,) = crm.update("contacts", [write(people[0], lifecyclestage="lead")])
        assert ignored.code == "IGNORED"
        back = crm.update("contacts", [write(people[0], clear_first=True, lifecyclestage="lead")])
        assert back[0].state is WriteState.WRITTEN
        found = crm.read("contacts", [*people, "99999999999"], ["lifecyclestage"])
        assert [found[each].properties["lifecyclestage"] for each in people] == ["lead", "salesqualifiedlead", "salesqualifiedlead"]

    def test_a_bad_value_is_refused_alone(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        people = list(sandbox.world.hubspot["contacts"])[3:6]
        writes = [write(each, lifecyclestage="nonsense" if each == people[1] else "customer") for each in people]
        outcomes = crm.update("contacts", writes)
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN, WriteState.REFUSED, WriteState.WRITTEN]
        assert outcomes[1].code == "INVALID_OPTION"

    def test_a_task_whose_answer_was_lost_is_found_and_not_doubled(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        person = list(sandbox.world.hubspot["contacts"])[7]
        before = len(sandbox.world.hubspot["tasks"])
        sandbox.hubspot_faults.add(Fault("hubspot", "/tasks/batch/create", 1, kind="lost"))
        owner = next(owner["id"] for owner in sandbox.world.hubspot_owners if not owner["archived"])
        writes = [task("over/http", person, owner_id=owner)]
        assert [outcome.state for outcome in crm.create_tasks(writes)] == [WriteState.UNKNOWN]
        found = crm.find_tasks(writes)
        assert len(sandbox.world.hubspot["tasks"]) == before + 1
        back = crm.read_tasks([found["over/http"]])[found["over/http"]]
        assert (back["key"], back["record_id"], back["owner_id"]) == (task_marker("over/http"), person, owner)

    def test_what_is_created_carries_its_mark_in_a_pull(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        person = list(sandbox.world.hubspot["contacts"])[8]
        (outcome,) = crm.create_tasks([task("in a pull", person, owner_id=None)])
        changed = pull(crm, "tasks", {"phase": "changes", "since": millis(WORLD_NOW)}, WORLD_NOW)
        (mine,) = [each for page in changed for each in page.activities if each.id == outcome.id]
        assert (mine.key, mine.contacts) == (task_marker("in a pull"), (contact(person),))

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault("hubspot", "/companies", 99, status=401, body=b'{"category": "INVALID_AUTHENTICATION"}'), PassStopped),
            (Fault("hubspot", "/companies", 99, status=403, body=b'{"category": "MISSING_SCOPES"}'), ObjectStopped),
            (Fault("hubspot", "/companies", 99, status=500, body=b"<html>"), Retriable),
            (Fault("hubspot", "/companies", 99, status=200, body=b"<html>login</html>"), Retriable),
            (Fault("hubspot", "/companies", 99, kind="truncate"), Retriable),
            (Fault("hubspot", "/companies", 99, kind="lost"), Retriable),
        ],
    )
    def test_what_lasts_is_an_error_with_a_way_out(self, sandbox: Sandbox, crm: HubSpotCrm, fault: Fault, error: type[CrmError]) -> None:
        sandbox.hubspot_faults.add(fault)
        with pytest.raises(error) as told:
            pull(crm, "companies", None, WORLD_NOW)
        assert told.value.advice

    @pytest.mark.parametrize(
        "fault",
        [
            Fault("hubspot", "/companies", 2, status=429, body=b'{"policyName": "TEN_SECONDLY_ROLLING"}'),
            Fault("hubspot", "/companies", 1, status=429, headers={"Retry-After": "2"}),
            Fault("hubspot", "/companies", 1, status=502, body=b"<html>"),
            Fault("hubspot", "/companies", 1, kind="truncate"),
            Fault("hubspot", "/companies", 1, kind="lost"),
        ],
    )
    def test_what_passes_is_waited_out(self, sandbox: Sandbox, crm: HubSpotCrm, fault: Fault) -> None:
        sandbox.hubspot_faults.add(fault)
        (page,) = pull(crm, "companies", None, WORLD_NOW)
        assert len(page.records) == len(sandbox.world.hubspot["companies"])

    def test_check_finds_nothing_wrong(self, crm: HubSpotCrm) -> None:
        findings = crm.check(now=WORLD_NOW)
        assert [finding for finding in findings if not finding.ok] == []

    def test_many_threads_share_one_adapter(self, sandbox: Sandbox, crm: HubSpotCrm) -> None:
        before = sandbox.calls()["hubspot"]
        with ThreadPoolExecutor(7) as threads:
            pulled = list(threads.map(lambda stream: pull(crm, stream, None, WORLD_NOW), crm.streams()))
        assert sum(page.calls for pages in pulled for page in pages) == crm.calls() == sandbox.calls()["hubspot"] - before
