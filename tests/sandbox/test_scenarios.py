"""The scripted scenarios: each does what its name says to a running sandbox, so often and no oftener."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import requests

from connector.sandbox.scenarios import catalogue
from connector.sandbox.serve import Sandbox
from connector.sandbox.state import World
from connector.sandbox.world.make import make_world

NOW = datetime(2026, 12, 2, 9, 30, tzinfo=UTC)
V60 = "/services/data/v60.0"
SECRET = {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


class Desk:
    """Somebody who asks both CRMs."""

    def __init__(self, world: World) -> None:
        self.clock = Clock()
        self.box = Sandbox(world, now=self.clock)
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = ""

    def sign_in(self) -> None:
        form = self.session.post(self.box.salesforce_url + "/services/oauth2/token", data=SECRET, timeout=10, verify=self.box.ca_bundle)
        self.token = form.json()["access_token"]

    def hubspot(self, path: str, method: str = "GET", **more: Any) -> requests.Response:
        headers = {"Authorization": "Bearer sandbox-token"}
        return self.session.request(method, self.box.hubspot_url + path, headers=headers, timeout=10, **more)

    def salesforce(self, path: str, method: str = "GET", **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", "Sforce-Auto-Assign": "FALSE"}
        url = f"{self.box.salesforce_url}{V60}{path}"
        return self.session.request(method, url, headers=headers, timeout=10, verify=self.box.ca_bundle, **more)

    def found(self, soql: str) -> list[Any]:
        records: list[Any] = self.salesforce(f"/queryAll?q={quote(soql)}").json()["records"]
        return records

    def ask_both(self, times: int) -> list[int | None]:
        """The status of each answer; None where none came."""
        said: list[int | None] = []
        for _ in range(times):
            for ask, path in ((self.hubspot, "/crm/v3/objects/contacts?limit=1"), (self.salesforce, "/limits")):
                said.append(None)
                with suppress(requests.RequestException):
                    said[-1] = ask(path).status_code
        return said


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(now=NOW, hubspot_contacts=60, salesforce_leads=40)


@pytest.fixture
def desk(world: World) -> Iterator[Desk]:
    made = Desk(copy.deepcopy(world))
    with made.box, made.session:
        made.sign_in()
        yield made


def test_a_name_that_is_none_names_its_neighbour(desk: Desk) -> None:
    with pytest.raises(catalogue.UnknownScenario, match="did you mean late-index") as told:
        catalogue.arm(desk.box, "lat-index")
    assert told.value.nearest == "late-index"
    assert catalogue.UnknownScenario("zzzz").nearest == ""


def test_every_scenario_plays_with_both_crms_and_with_one(desk: Desk) -> None:
    alone = Sandbox(copy.deepcopy(desk.box.world), now=lambda: NOW, hubspot=None)
    both_faults = (desk.box.hubspot_faults, desk.box.salesforce_faults)
    for name in catalogue.SCENARIOS:
        catalogue.arm(alone, name, every=2, times=2)
        catalogue.arm(desk.box, name, every=2, times=2)
        said = [] if name == "slow" else desk.ask_both(4)
        assert 500 not in said, name
        for faults in both_faults:
            faults.clear()
            faults.before_call.clear()


def test_merges_are_bounded_and_leave_chains(desk: Desk) -> None:
    catalogue.arm(desk.box, "merges", every=1, times=8)
    desk.ask_both(20)
    lost = [row for row in desk.found("SELECT Id, MasterRecordId FROM Lead WHERE IsDeleted = true") if row["MasterRecordId"]]
    assert 4 <= len(lost) <= 8
    assert {row["Id"] for row in lost} & {row["MasterRecordId"] for row in lost}
    assert 8 <= len(desk.box.hubspot.merged("contacts")) <= 16  # both of two give way to a new record


def test_conversions(desk: Desk) -> None:
    before = len(desk.found("SELECT Id FROM Lead WHERE IsConverted = true"))
    catalogue.arm(desk.box, "conversions", every=2, times=3)
    desk.ask_both(10)
    assert len(desk.found("SELECT Id FROM Lead WHERE IsConverted = true")) == before + 3


def test_deletions_of_every_kind(desk: Desk) -> None:
    leads, contacts = len(desk.box.salesforce.live("Lead")), len(desk.box.hubspot.live("contacts"))
    catalogue.arm(desk.box, "deleted", every=1, times=12)
    catalogue.arm(desk.box, "privacy-delete", every=1, times=2)
    desk.ask_both(14)
    assert len(desk.box.salesforce.live("Lead")) < leads
    assert len(desk.box.hubspot.live("contacts")) < contacts
    start, end = NOW - timedelta(minutes=2), NOW + timedelta(minutes=2)
    log = desk.salesforce(f"/sobjects/Lead/deleted?start={quote(start.isoformat())}&end={quote(end.isoformat())}").json()
    gone = {one["id"] for one in log["deletedRecords"]} - {row["Id"] for row in desk.found("SELECT Id FROM Lead")}
    assert len(gone) >= 2


def test_late_commits_and_a_late_index(desk: Desk) -> None:
    catalogue.arm(desk.box, "late-commit", every=1, times=4)
    catalogue.arm(desk.box, "late-index", every=1, times=4)
    desk.ask_both(5)
    soql = f"SELECT Id FROM Lead WHERE SystemModstamp = {NOW:%Y-%m-%dT%H:%M:%SZ}"
    recent = {"propertyName": "lastmodifieddate", "operator": "GTE", "value": str(int(NOW.timestamp()) * 1000)}

    def seen() -> tuple[int, int]:
        body = desk.hubspot("/crm/v3/objects/contacts/search", "POST", json={"filterGroups": [{"filters": [recent]}]}).json()
        return len(desk.found(soql)), body["total"]

    before = seen()
    desk.clock.at += timedelta(seconds=21)
    after = seen()
    assert before[0] < after[0]  # who edits a Lead that is under way ends the first edit's wait
    assert (before[1], after[1] >= 3) == (0, True)


def test_equal_timestamps(desk: Desk) -> None:
    catalogue.arm(desk.box, "equal-timestamps")
    stamps = {row["SystemModstamp"] for row in desk.box.salesforce.live("Lead").values()}
    assert stamps == {NOW - timedelta(minutes=30)}


def test_sessions_end(desk: Desk) -> None:
    catalogue.arm(desk.box, "expiring-tokens", every=3)
    desk.sign_in()
    assert [desk.salesforce("/limits").status_code for _ in range(4)] == [200, 200, 200, 401]


def test_limits_pass_and_the_days_stay(desk: Desk) -> None:
    catalogue.arm(desk.box, "limits", every=3, times=2)
    said = desk.ask_both(12)
    assert said[0::2].count(429) == 2
    assert said[1::2].count(403) == 4
    assert said[-2:] == [200, 200]
    catalogue.arm(desk.box, "day-limit", every=1, times=3)
    assert desk.ask_both(6)[-2:] == [429, 403]


def test_a_lost_answer_took_effect(desk: Desk) -> None:
    catalogue.arm(desk.box, "lost-answers", every=2, times=1)
    lead = next(one for one, row in desk.box.salesforce.live("Lead").items() if not row["IsConverted"])
    desk.salesforce(f"/sobjects/Lead/{lead}", "PATCH", json={"Title": "one"})
    with pytest.raises(requests.ConnectionError):
        desk.salesforce(f"/sobjects/Lead/{lead}", "PATCH", json={"Title": "two"})
    assert desk.box.salesforce.live("Lead")[lead]["Title"] == "two"


def test_html_and_halves(desk: Desk) -> None:
    catalogue.arm(desk.box, "html-errors", every=2, times=2)
    assert {502, 503} <= set(desk.ask_both(8))
    desk.box.hubspot_faults.clear()
    desk.box.salesforce_faults.clear()
    catalogue.arm(desk.box, "truncated", every=2, times=2)
    assert desk.ask_both(8).count(None) == 4


def test_locked_rows(desk: Desk) -> None:
    catalogue.arm(desk.box, "locked-rows", every=2, times=1)
    lead = next(one for one, row in desk.box.salesforce.live("Lead").items() if not row["IsConverted"])
    told = [desk.salesforce(f"/sobjects/Lead/{lead}", "PATCH", json={"Title": "x"}).status_code for _ in range(3)]
    assert told == [400, 400, 204]


def test_schema_drift(desk: Desk) -> None:
    catalogue.arm(desk.box, "schema-drift", every=1)
    desk.ask_both(3)
    assert desk.salesforce(f"/query?q={quote('SELECT Budget__c FROM Lead')}").json()[0]["errorCode"] == "INVALID_FIELD"
    assert desk.hubspot("/crm/v3/properties/contacts/competitor_in_use").status_code == 404


def test_what_is_revoked_stays_so(desk: Desk) -> None:
    catalogue.arm(desk.box, "revoked", every=2)
    assert desk.ask_both(4)[4:] == [401, 401, 401, 401]
    with pytest.raises(KeyError):  # no token in the answer
        desk.sign_in()


def test_no_account_and_one_that_moves(desk: Desk) -> None:
    catalogue.arm(desk.box, "no-account", every=1, times=2)
    assert [desk.hubspot("/crm/v3/objects/contacts").status_code for _ in range(4)] == [200, 530, 530, 200]
    catalogue.arm(desk.box, "account-moves", every=1, times=2)
    waits = [desk.hubspot("/crm/v3/objects/contacts").headers.get("retry-after") for _ in range(5)]
    assert waits == [None, "2", "2", None, "7200"]


def test_queries_that_are_given_up_and_cursors_that_are_closed(desk: Desk) -> None:
    path = f"/queryAll?q={quote('SELECT Id FROM Task')}"
    catalogue.arm(desk.box, "slow-queries", every=1, times=1)
    said = [desk.salesforce(path) for _ in range(3)]
    assert [one.status_code for one in said] == [200, 400, 200]
    assert said[1].json()[0]["errorCode"] == "QUERY_TIMEOUT"
    desk.box.salesforce.change_options(page_size=10)
    following = desk.salesforce("/queryAll?q=" + quote("SELECT Id FROM Lead")).json()["nextRecordsUrl"].removeprefix(V60)
    catalogue.arm(desk.box, "lost-cursors", every=1, times=1)
    assert desk.salesforce(following).json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_refused_rows_are_told_apart(desk: Desk) -> None:
    catalogue.arm(desk.box, "refused-rows")
    contact = next(iter(desk.box.hubspot.live("contacts")))
    lead = next(one for one, row in desk.box.salesforce.live("Lead").items() if not row["IsConverted"])
    inputs = {"inputs": [{"id": contact, "objectWriteTraceId": "1", "properties": {"jobtitle": "x"}}]}
    records = {"records": [{"attributes": {"type": "Lead"}, "id": lead, "Title": "x"}]}
    for refused in (True, True, False):
        batch = desk.hubspot("/crm/v3/objects/contacts/batch/update", "POST", json=inputs)
        assert (batch.status_code, len(batch.json().get("errors", []))) == ((207, 1) if refused else (200, 0))
        rows = desk.salesforce("/composite/sobjects", "PATCH", json=records)
        assert (rows.status_code, rows.json()[0]["success"]) == (200, not refused)
