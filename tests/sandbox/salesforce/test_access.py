"""Who may come in to the sandbox's Salesforce, for how long and how often; and rows that somebody else holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed

from connector.sandbox.salesforce.app import create_app
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.state import World
from tests.sandbox.salesforce.client import LEADS, MORNING, Client, Clock, make_id, tiny_world


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world() -> World:
    return tiny_world()


def make(world: World, clock: Clock, **options: Any) -> Client:
    client = Client(create_app(world, SalesforceOptions(**options), now=clock), headers={"sforce_auto_assign": "FALSE"})
    assert client.sign_in().status == 200
    return client


def test_a_session_dies_after_its_calls(world: World, clock: Clock) -> None:
    client = make(world, clock, session_calls=2)
    assert [client.get("/limits").status for _ in range(3)] == [200, 200, 401]
    client.sign_in()
    assert client.get("/limits").status == 200


def test_a_refresh_token_is_good_once(world: World, clock: Clock) -> None:
    client = make(world, clock, rotate_refresh_tokens=True)
    form = {"grant_type": "refresh_token", "refresh_token": "first", "client_id": "sandbox-client"}
    second = client.sign_in(form).json["refresh_token"]
    assert client.sign_in(form).json == {"error": "invalid_grant", "error_description": "expired access/refresh token"}
    assert client.sign_in({**form, "refresh_token": second}).status == 200
    client.app.state.actions.change_options(rotate_refresh_tokens=False)
    assert "refresh_token" not in client.sign_in({**form, "refresh_token": "other"}).json


def test_logins_can_be_refused(world: World, clock: Clock) -> None:
    client = make(world, clock)
    client.app.state.actions.refuse_logins(1)
    assert client.sign_in().json["error"] == "invalid_grant"
    assert client.sign_in().status == 200


class _ToTheSandbox(requests.Session):
    """A session for which `*.salesforce.com` is the sandbox."""

    def __init__(self, url: str, bundle: str) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = bundle
        self._url = url

    def request(self, method: str, url: str, *args: Any, **more: Any) -> requests.Response:  # type: ignore[override]
        path = url.partition(".salesforce.com")[2]
        return super().request(method, self._url + path if path else url, *args, **more)


def test_the_old_login_still_opens_to_simple_salesforce(world: World, clock: Clock) -> None:
    with Sandbox(world, now=clock, hubspot=None) as sandbox, _ToTheSandbox(sandbox.salesforce_url, sandbox.ca_bundle) as session:
        known: dict[str, Any] = {"username": "bot", "password": "p<&", "security_token": "t", "session": session}
        crm: Any = Salesforce(**known)
        assert crm.query("SELECT Id FROM Lead")["totalSize"] == 7
        with pytest.raises(SalesforceAuthenticationFailed, match="UNSUPPORTED_API_VERSION"):
            Salesforce(**known, version="65.0")
        sandbox.salesforce.refuse_logins(1)
        with pytest.raises(SalesforceAuthenticationFailed, match="INVALID_LOGIN"):
            Salesforce(**known)
        oauth: Any = Salesforce(**{**known, "security_token": None}, consumer_key="sandbox-client", consumer_secret="sandbox-secret")
        assert oauth.query("SELECT Id FROM Lead")["totalSize"] == 7


def test_the_two_limits_differ_in_their_words(world: World, clock: Clock) -> None:
    client = make(world, clock, daily=10)
    client.app.state.actions.crowd(1)
    crowded = client.get("/limits")
    assert (crowded.status, crowded.code) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert crowded.json[0]["message"] == "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    client.app.state.actions.spend_calls(leave=1)
    assert client.get("/limits").headers["sforce-limit-info"] == "api-usage=10/10"
    assert client.get("/limits").json[0]["message"] == "TotalRequests Limit exceeded."


def test_heads_too_long(world: World, clock: Clock) -> None:
    client = make(world, clock)
    assert client.get(f"/query?q={'x' * 16_400}").status == 414
    assert client.get("/limits", x_long="x" * 16_300).status == 431
    assert client.get("/limits", x_long="x" * 15_900).status == 200


def test_a_locked_row_is_refused_so_often(world: World, clock: Clock) -> None:
    client = make(world, clock)
    client.app.state.actions.lock_rows([LEADS[1]], times=2)
    records = [{"attributes": {"type": "Lead"}, "id": one, "Title": "x"} for one in LEADS[1:3]]
    told = client.write("PATCH", "/composite/sobjects", {"records": records}).json
    assert [row["success"] for row in told] == [False, True]
    assert told[0]["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
    assert client.write("POST", "/sobjects/Task", {"WhoId": LEADS[1]}).code == "UNABLE_TO_LOCK_ROW"  # a task locks its Lead
    assert client.write("PATCH", f"/sobjects/Lead/{LEADS[1]}", {"Title": "x"}).status == 204


def test_queries_that_take_too_long(world: World, clock: Clock) -> None:
    client = make(world, clock, query_timeout_rows=3)
    soql = "SELECT Id FROM Lead WHERE SystemModstamp >= 2026-12-01T08:01:00Z{} LIMIT 2"
    assert client.query(soql.format("")).code == "QUERY_TIMEOUT"
    assert client.query(soql.format(" AND SystemModstamp < 2026-12-01T08:02:00Z")).json["totalSize"] == 2


def test_a_cursor_dies_after_its_pages(world: World, clock: Clock) -> None:
    client = make(world, clock, page_size=2, cursor_pages=2)
    first = client.query("SELECT Id FROM Lead").json
    second = client.send("GET", first["nextRecordsUrl"])
    assert second.status == 200
    assert client.send("GET", second.json["nextRecordsUrl"]).code == "INVALID_QUERY_LOCATOR"


def test_an_index_hands_out_the_window_alone(world: World, clock: Clock) -> None:
    table = world.salesforce["Lead"]
    for number in range(100, 5100):
        row_id = make_id("00Q", number)
        table[row_id] = {**table[LEADS[1]], "Id": row_id, "SystemModstamp": MORNING + timedelta(seconds=number)}
    org = make(world, clock).app.state.org
    found = list(org.indexes.of("Lead", "SystemModstamp").between(MORNING + timedelta(seconds=5000), None))
    assert [row["Id"] for row in found] == [make_id("00Q", number) for number in range(5000, 5100)]
