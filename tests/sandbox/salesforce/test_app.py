"""The sandbox's Salesforce answers reads as the service does: asked over ASGI, and once by simple-salesforce over TLS."""

from __future__ import annotations

import base64
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceMalformedRequest

from connector.sandbox.salesforce.app import create_app
from connector.sandbox.salesforce.errors import RowRefused
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.salesforce.schema import long_id
from connector.sandbox.serve import Sandbox
from connector.sandbox.state import World
from connector.sandbox.world.make import make_world
from tests.sandbox.salesforce.client import (
    BASE,
    BOT,
    LEADS,
    MORNING,
    NOON,
    Client,
    Clock,
    Reply,
    make_id,
    tiny_world,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world() -> World:
    return tiny_world()


@pytest.fixture
def client(world: World, clock: Clock) -> Client:
    made = Client(create_app(world, now=clock), headers={"sforce_auto_assign": "FALSE"})
    assert made.sign_in().status == 200
    return made


# ── Signing in ──


def test_a_token_names_the_instance_that_was_asked_and_no_lifetime(client: Client) -> None:
    answer = client.sign_in().json
    assert answer["instance_url"] == "https://crm.example:8443"
    assert answer["token_type"] == "Bearer"
    assert answer["issued_at"] == str(int(NOON.timestamp() * 1000))
    assert answer["id"].endswith(BOT)
    assert "expires_in" not in answer


def jwt(**claims: str) -> str:
    parts = [{"alg": "RS256"}, {"iss": "sandbox-client", "sub": "bot", "aud": "https://x.salesforce.com", "exp": "1", **claims}]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*map(orjson.dumps, parts), b"signature"))


APP = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "refresh_token", "refresh_token": "r", **APP}, None),
        ({"grant_type": "password", "username": "u", "password": "p", **APP}, None),
        ({"grant_type": JWT_GRANT, "assertion": jwt()}, None),
        ({"grant_type": "client_credentials", **APP, "client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "client_credentials"}, "invalid_client"),
        ({"grant_type": "refresh_token", "client_id": "sandbox-client"}, "invalid_grant"),
        ({"grant_type": "password", "username": "u", **APP}, "invalid_grant"),
        ({"grant_type": JWT_GRANT, "assertion": "a.b.c"}, "invalid_grant"),
        ({"grant_type": JWT_GRANT, "assertion": jwt(iss="other")}, "invalid_client"),
        ({"grant_type": "device"}, "unsupported_grant_type"),
    ],
)
def test_grants(client: Client, form: dict[str, str], error: str | None) -> None:
    reply = client.sign_in(form)
    assert reply.status == (200 if error is None else 400)
    if error is None:
        assert client.get("/limits").status == 200
    else:
        assert reply.json["error"] == error
        assert reply.json["error_description"]


def test_client_credentials_may_come_as_basic_auth(client: Client) -> None:
    basic = "Basic " + base64.b64encode(b"sandbox-client:sandbox-secret").decode()
    form = urlencode({"grant_type": "client_credentials"}).encode()
    assert client.send("POST", "/services/oauth2/token", form, authorization=basic).status == 200
    assert client.send("POST", "/services/oauth2/token", form, authorization="Basic !").status == 400


def test_an_expired_session_is_refused_until_a_new_login(client: Client, clock: Clock) -> None:
    client.app.state.expire_sessions()
    reply = client.get("/limits")
    assert (reply.status, reply.json) == (401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])
    client.sign_in()
    clock.at += timedelta(minutes=119)
    assert client.get("/limits").status == 200  # which keeps it alive
    clock.at += timedelta(minutes=119)
    assert client.get("/limits").status == 200
    clock.at += timedelta(hours=2, seconds=1)
    assert client.get("/limits").status == 401


def test_who_one_is(client: Client) -> None:
    assert client.send("GET", "/services/oauth2/userinfo").json["user_id"] == BOT
    assert client.send("GET", "/services/oauth2/userinfo", authorization="Bearer no").status == 403


def test_versions_and_paths_that_are_none(client: Client) -> None:
    assert client.send("GET", "/services/data/", authorization="").json[-1]["version"] == "67.0"
    assert client.send("GET", "/services/data/v67.0/limits").status == 200
    assert client.send("GET", "/services/data/v67.0/").json["query"] == "/services/data/v67.0/query"
    assert client.send("GET", "/services/data/v25.0/limits").status == 410
    assert client.send("GET", "/services/data/v99.0/limits").code == "NOT_FOUND"
    assert (client.get("/nothing").status, client.get("/nothing").code) == (404, "NOT_FOUND")
    assert client.send("PUT", BASE + "/limits").status == 405


# ── Limits ──


def test_calls_are_counted_and_the_day_ends(world: World, clock: Clock) -> None:
    client = Client(create_app(world, SalesforceOptions(daily=3), now=clock))
    client.sign_in()
    assert client.get("/limits").headers["sforce-limit-info"] == "api-usage=1/3"
    assert client.query("SELECT Id FROM Lead").headers["sforce-limit-info"] == "api-usage=2/3"
    assert client.get("/limits").json["DailyApiRequests"] == {"Max": 3, "Remaining": 0}
    spent = client.get("/limits")
    assert spent.status == 403
    assert spent.json == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    assert "retry-after" not in spent.headers
    clock.at += timedelta(hours=24)
    client.sign_in()
    assert client.get("/limits").status == 200


def test_the_date_header_follows_the_sandbox_clock(client: Client, clock: Clock) -> None:
    clock.at = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert client.sign_in().headers["date"] == "Sat, 02 Jan 2027 03:04:05 GMT"
    assert client.get("/limits").headers["date"] == "Sat, 02 Jan 2027 03:04:05 GMT"


def test_a_head_too_long_is_414(client: Client) -> None:
    def many(length: int) -> Reply:
        return client.query(f"SELECT Id FROM Lead WHERE Email IN ({','.join([repr('x' * 100)] * length)})")

    assert many(100).status == 200
    long = many(170)
    assert long.status == 414
    assert long.body.startswith(b"<html>")


# ── Descriptions ──


def test_describe_tells_types_and_rights(client: Client) -> None:
    described = client.get("/sobjects/Lead/describe").json
    fields = {one["name"]: one for one in described["fields"]}
    assert described["keyPrefix"] == "00Q"
    assert [value["value"] for value in fields["Status"]["picklistValues"]][:2] == ["Open - Not Contacted", "Nurturing"]
    assert [value["value"] for value in fields["Status"]["picklistValues"] if value["defaultValue"]] == ["Open - Not Contacted"]
    assert not fields["Status"]["nillable"]
    assert not fields["Status"]["restrictedPicklist"]
    assert fields["Rejection_Reason__c"]["restrictedPicklist"]
    assert fields["OwnerId"]["referenceTo"] == ["Group", "User"]
    assert fields["OwnerId"]["relationshipName"] == "Owner"
    assert not fields["Name"]["updateable"]
    assert not fields["LastName"]["nillable"]
    assert fields["Wild__c"]["type"] == "string"
    assert (fields["IsConverted"]["type"], fields["ConvertedDate"]["type"]) == ("boolean", "date")
    key = {one["name"]: one for one in client.get("/sobjects/task/describe").json["fields"]}["Handoff_Key__c"]
    assert (key["externalId"], key["unique"], key["length"]) == (True, True, 255)
    history = {one["name"]: one for one in client.get("/sobjects/LeadHistory/describe").json["fields"]}
    assert not history["NewValue"]["filterable"]
    assert client.get("/sobjects/Foo/describe").status == 404
    assert {one["name"] for one in client.get("/sobjects").json["sobjects"]} >= {"Lead", "Task", "LeadStatus"}
    assert client.get("/sobjects/Lead/").json["objectDescribe"]["updateable"]


# ── Ids, the whole world, speed, and a real client ──


@given(st.text(alphabet="ABCabcXYZxyz0159", min_size=15, max_size=15))
def test_ids_tell_their_case(short: str) -> None:
    long = long_id(short)
    assert (long[:15], len(long), long_id(long)) == (short, 18, long)
    swapped = short.swapcase()
    assert (long_id(swapped)[15:] == long[15:]) == (swapped == short)


def test_known_ids() -> None:
    assert long_id("001A0000006Vm9r") == "001A0000006Vm9rIAC"
    with pytest.raises(RowRefused):
        long_id("001A0000006Vm9rAAA")


def test_every_value_of_a_made_world_has_its_fields_type() -> None:
    """A row whose values differ from the schema's types could not be filtered as the service filters it."""
    made = make_world(now=NOON, hubspot_contacts=150, salesforce_leads=80)
    schema = create_app(made, now=lambda: NOON).state.org.schema
    python = {"boolean": bool, "datetime": datetime, "date": date, "int": int}
    wrong = set()
    for name, rows in made.salesforce.items():
        for row in rows.values():
            for one in schema.fields(name):
                value = row.get(one.name)
                kinds = python.get(one.type, (int, float) if one.type in ("double", "currency", "percent") else str)
                if value is not None and not isinstance(value, kinds):
                    wrong.add((name, one.name, type(value).__name__))
    assert not wrong


def test_pages_are_quick(world: World) -> None:
    model = world.salesforce["Lead"][LEADS[1]]
    for number in range(100, 10_100):
        row_id = make_id("00Q", number)
        world.salesforce["Lead"][row_id] = {**model, "Id": row_id, "SystemModstamp": MORNING + timedelta(seconds=number)}
    client = Client(create_app(world, now=lambda: NOON))
    client.sign_in()
    fields = "Id, Name, Email, Company, Status, OwnerId, CreatedDate, LastModifiedDate, SystemModstamp, IsConverted"

    def spent(soql: str) -> float:
        durations = []
        for _ in range(5):
            start = time.process_time()
            assert client.query(soql).json["totalSize"] >= 2000
            durations.append(time.process_time() - start)
        return min(durations)

    assert spent(f"SELECT {fields} FROM Lead WHERE SystemModstamp > 2026-12-01T09:00:00Z ORDER BY SystemModstamp, Id LIMIT 2000") < 0.12
    assert spent("SELECT Id FROM Lead WHERE SystemModstamp > 2026-12-01T09:00:00Z LIMIT 2000") < 0.08


def test_simple_salesforce_speaks_with_it(world: World, clock: Clock) -> None:
    with Sandbox(world, now=clock, hubspot=None, salesforce=SalesforceOptions(page_size=3)) as sandbox, requests.Session() as session:
        url = sandbox.salesforce_url
        session.verify = sandbox.ca_bundle
        session.trust_env = False  # else REQUESTS_CA_BUNDLE would win over `verify`
        form = {"grant_type": "client_credentials"}
        token = session.post(f"{url}/services/oauth2/token", data=form, auth=("sandbox-client", "sandbox-secret"), timeout=10).json()
        assert token["instance_url"] == url
        crm: Any = Salesforce(session_id=token["access_token"], instance_url=url, session=session)
        session.headers["Sforce-Auto-Assign"] = "FALSE"
        assert len(list(crm.query_all_iter("SELECT Id, Owner.Name FROM Lead"))) == 7
        assert crm.query_all("SELECT Id FROM Lead", include_deleted=True)["totalSize"] == 8
        assert crm.Lead.update(LEADS[1], {"Status": "Qualified"}) == 204
        assert world.salesforce["Lead"][LEADS[1]]["Status"] == "Qualified"
        made = crm.Task.create({"WhoId": LEADS[1], "Subject": "Call"})
        assert crm.Task.get(made["id"])["WhoId"] == LEADS[1]
        assert crm.Task.upsert("Handoff_Key__c/k1", {"Subject": "x"}) == 201
        assert crm.Lead.describe()["name"] == "Lead"
        limits: Any = crm.limits()
        assert limits["DailyApiRequests"]["Max"] == 100_000
        with pytest.raises(SalesforceMalformedRequest) as refused:
            crm.query("SELECT Foo FROM Lead")
        content: Any = refused.value.content
        assert content[0]["errorCode"] == "INVALID_FIELD"
