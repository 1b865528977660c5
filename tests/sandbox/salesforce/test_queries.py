"""The sandbox's Salesforce answers SOQL: what it finds, in which order, on how many pages, and what it refuses."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.sandbox.salesforce.app import create_app
from connector.sandbox.salesforce.errors import Refused
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.salesforce.soql import Comparison, parse
from connector.sandbox.state import World
from tests.sandbox.salesforce.client import (
    ACME,
    ANNA,
    BASE,
    CONVERTED,
    LEADS,
    QUEUE,
    Client,
    Clock,
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


def test_a_query_shows_the_fields_in_their_order(client: Client, world: World) -> None:
    reply = client.query(f"select systemmodstamp, id, ConvertedDate, numberofemployees from lead where Id = '{CONVERTED}'")
    assert list(reply.json) == ["totalSize", "done", "records"]
    (record,) = reply.json["records"]
    assert list(record.items()) == [
        ("attributes", {"type": "Lead", "url": f"{BASE}/sobjects/Lead/{CONVERTED}"}),
        ("SystemModstamp", "2026-12-01T08:03:00.000+0000"),
        ("Id", CONVERTED),
        ("ConvertedDate", "2026-11-30"),
        ("NumberOfEmployees", 60),
    ]


def test_relationships_are_nested(client: Client) -> None:
    soql = "SELECT Account.Industry, Account.Owner.Email, Owner.Name FROM Contact"
    (record,) = client.query(soql).json["records"]
    assert record["Account"]["Industry"] == "Technology"
    assert record["Account"]["attributes"] == {"type": "Account", "url": f"{BASE}/sobjects/Account/{ACME}"}
    assert record["Account"]["Owner"]["Email"] == "anna@acme.example"
    assert record["Owner"]["Name"] == "Ben"
    leads = client.query("SELECT Owner.Type, Owner.Email FROM Lead ORDER BY Id LIMIT 2").json["records"]
    assert [lead["Owner"]["Type"] for lead in leads] == ["Queue", "User"]
    assert leads[1]["Owner"]["attributes"] == {"type": "Name", "url": f"{BASE}/sobjects/User/{ANNA}"}
    tasks = client.query("SELECT Who.Type, What.Name FROM Task", "queryAll").json["records"]
    assert [task["Who"]["Type"] for task in tasks] == ["Lead", "Contact"]
    assert [task["What"] for task in tasks] == [None, None]
    assert client.query("SELECT Id FROM Task WHERE Who.Type = 'Lead' AND Owner.IsActive = true").json["totalSize"] == 1


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("Status = 'nurturing'", [4, 5, 6]),
        ("Status != 'Nurturing' AND NumberOfEmployees > 10", [2, 3]),
        ("NumberOfEmployees = null", [1]),
        ("NumberOfEmployees != null AND NumberOfEmployees <= 20.0", [0, 2]),
        ("NumberOfEmployees != 20 AND (NumberOfEmployees < 40 OR NumberOfEmployees = null)", [0, 1, 3]),
        ("NumberOfEmployees NOT IN (0, 20, 30) AND Status LIKE 'open%'", [1]),
        ("Email LIKE 'Z_@kunde.EXAMPLE'", [0, 1, 2, 3, 4, 5, 6]),
        ("Email LIKE 'z\\_%'", []),
        ("Name LIKE 'zoë M_ller 3'", [3]),
        ("NOT (Status = 'Nurturing' OR OwnerId = '" + QUEUE[:15] + "')", [1, 2, 3]),
        ("SystemModstamp > 2026-12-01T08:01:00Z", [4, 5, 6]),
        ("SystemModstamp >= 2026-12-01T09:01:00+01:00 AND SystemModstamp < 2026-12-01T08:02:00.000Z", [2, 3]),
        (f"(SystemModstamp = 2026-12-01T08:01:00Z AND Id > '{LEADS[2]}') OR SystemModstamp > 2026-12-01T08:01:00Z", [3, 4, 5, 6]),
        ("ConvertedDate >= 2026-11-30", [6]),
        ("IsConverted = true", [6]),
        ("IsConverted != true AND OwnerId IN ('" + QUEUE + "')", [0]),
        (f"Id IN ('{LEADS[2]}', '{LEADS[5][:15]}')", [2, 5]),
        ("Id IN (SELECT WhoId FROM Task WHERE IsClosed = true)", [1]),
        ("Id NOT IN (SELECT WhoId FROM Task) AND Status = 'Open - Not Contacted'", [0, 2, 3]),
        ("FirstName = ''", []),
        ("Owner.Email = 'inbound@acme.example'", [0]),
        ("Lead.Wild__c = 'CUSTOM' AND Id = '" + LEADS[3] + "'", [3]),
    ],
)
def test_conditions(client: Client, where: str, numbers: list[int]) -> None:
    assert client.found(where) == numbers


def test_deleted_and_archived_rows_are_queryalls_alone(client: Client) -> None:
    assert client.found("IsDeleted = true") == []
    assert client.found("IsDeleted = true", "queryAll") == [7]
    assert client.query("SELECT COUNT() FROM Task").json == {"totalSize": 1, "done": True, "records": []}
    assert client.query("SELECT COUNT() FROM Task", "queryAll").json["totalSize"] == 2


def test_order_by_several_columns(client: Client) -> None:
    def order(clause: str) -> list[int]:
        records = client.query(f"SELECT Id FROM Lead ORDER BY {clause}").json["records"]
        return [LEADS.index(record["Id"]) for record in records]

    assert order("SystemModstamp DESC, Id") == [6, 4, 5, 2, 3, 0, 1]
    assert order("Status, Id DESC LIMIT 3") == [6, 5, 4]
    assert order("NumberOfEmployees, Id LIMIT 2") == [1, 0]
    assert order("NumberOfEmployees DESC NULLS LAST LIMIT 2 OFFSET 1") == [5, 4]
    assert order("NumberOfEmployees ASC NULLS LAST")[-1] == 1


@pytest.mark.parametrize(
    ("soql", "code", "hint"),
    [
        ("SELECT Foo FROM Lead", "INVALID_FIELD", "\nERROR at Row:1:Column:8\nNo such column 'Foo' on entity 'Lead'"),
        ("SELECT Id\nFROM Lead WHERE Foo = 1", "INVALID_FIELD", "ERROR at Row:2:Column:17\nNo such column 'Foo'"),
        ("SELECT Foo.Bar FROM Lead", "INVALID_FIELD", "Didn't understand relationship 'Foo'"),
        ("SELECT Owner.Industry FROM Lead", "INVALID_FIELD", "No such column 'Industry' on entity 'Name'"),
        ("SELECT Id, Id FROM Lead", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT IsDeleted FROM User", "INVALID_FIELD", "No such column 'IsDeleted'"),
        ("SELECT SystemModstamp FROM LeadHistory", "INVALID_FIELD", "No such column"),
        ("SELECT Id FROM LeadHistory WHERE NewValue = 'x'", "INVALID_FIELD", "can not be filtered in a query call"),
        ("SELECT Id FROM Lead ORDER BY Description", "INVALID_FIELD", "can not be sorted in a query call"),
        ("SELECT Id FROM Foo", "INVALID_TYPE", "sObject type 'Foo' is not supported"),
        ("SELECT Id FROM Lead WHERE CreatedDate > '2026-01-01'", "INVALID_FIELD", "must be of type dateTime and should not be enclosed"),
        ("SELECT Id FROM Lead WHERE CreatedDate > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Lead WHERE ConvertedDate > 2026-01-01T00:00:00Z", "INVALID_FIELD", "must be of type date and"),
        ("SELECT Id FROM Lead WHERE Email = 3", "INVALID_FIELD", "must be of type string and should be enclosed in quotes"),
        ("SELECT Id FROM Lead WHERE IsConverted = 'true'", "INVALID_FIELD", "must be of type boolean"),
        ("SELECT Id FROM Lead WHERE NumberOfEmployees = '3'", "INVALID_FIELD", "must be of type double"),
        ("SELECT Id FROM Lead WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: abc"),
        ("SELECT Id FROM Lead WHERE IsConverted > true", "INVALID_QUERY_FILTER_OPERATOR", "boolean"),
        ("SELECT Id FROM Lead WHERE NumberOfEmployees LIKE '1%'", "INVALID_QUERY_FILTER_OPERATOR", "int"),
        ("SELECT Id FROM Lead WHERE CreatedDate > 2026-01-01T00:00:00 00:00", "MALFORMED_QUERY", ""),
        ("SELECT Id FROM Lead WHERE CreatedDate > 2026-13-01T00:00:00Z", "MALFORMED_QUERY", "invalid date"),
        ("SELECT Id FROM Lead WHERE Email = 'a' AND Phone = 'b' OR Title = 'c'", "MALFORMED_QUERY", "unexpected token: 'OR'"),
        ("SELECT Id FROM Lead WHERE Email = 'open", "MALFORMED_QUERY", "no viable alternative"),
        ("SELECT Id FROM Lead WHERE Email = '\\q'", "MALFORMED_QUERY", ""),
        ("SELECT Id FROM Lead WHERE (Email = 'a'", "MALFORMED_QUERY", "<EOF>"),
        ("SELECT FROM Lead", "MALFORMED_QUERY", ""),
        ("SELECT * FROM Lead", "MALFORMED_QUERY", ""),
        ("DELETE FROM Lead", "MALFORMED_QUERY", "unexpected token: 'DELETE'"),
        ("SELECT Id FROM Lead LIMIT x", "MALFORMED_QUERY", "unexpected token: 'x'"),
        ("SELECT Id FROM Lead OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", ""),
    ],
)
def test_queries_that_are_refused(client: Client, soql: str, code: str, hint: str) -> None:
    reply = client.query(soql)
    assert (reply.status, reply.code) == (400, code), reply.body
    assert hint in reply.json[0]["message"]


@given(st.text(alphabet="SELECTFROMIdLeadWHERE '\\(),.=<>!0123456789-:TZ\n%andorlikenull", max_size=60))
def test_any_text_is_a_query_or_malformed(text: str) -> None:
    with suppress(Refused):
        assert parse(text).object


@given(st.text(max_size=40))
def test_a_quoted_text_is_read_back(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    query = parse(f"SELECT Id FROM Lead WHERE Name = '{quoted}'")
    assert isinstance(query.where, Comparison)
    assert query.where.values[0].value == text


def test_a_hidden_field_answers_like_one_that_is_not_there(client: Client) -> None:
    client.app.state.hidden.add(("Lead", "Wild__c"))
    assert client.query("SELECT Wild__c FROM Lead").code == "INVALID_FIELD"
    assert "Wild__c" not in {one["name"] for one in client.get("/sobjects/Lead/describe").json["fields"]}


# ── Pages ──


def test_pages_follow_each_other_to_the_end(world: World, clock: Clock) -> None:
    client = Client(create_app(world, SalesforceOptions(page_size=3), now=clock))
    client.sign_in()
    page = client.query("SELECT Id FROM Lead ORDER BY Id").json
    numbers = []
    while True:
        numbers += [LEADS.index(record["Id"]) for record in page["records"]]
        assert page["totalSize"] == 7
        if page["done"]:
            break
        assert len(page["records"]) == 3
        page = client.send("GET", page["nextRecordsUrl"]).json
    assert numbers == [0, 1, 2, 3, 4, 5, 6]
    assert "nextRecordsUrl" not in page


def test_cursors_end(world: World, clock: Clock) -> None:
    client = Client(create_app(world, SalesforceOptions(page_size=3), now=clock))
    client.sign_in()

    def open_one() -> str:
        return str(client.query("SELECT Id FROM Lead").json["nextRecordsUrl"])

    first = open_one()
    assert client.send("GET", first).status == 200
    for _ in range(10):
        latest = open_one()
    assert client.send("GET", first).code == "INVALID_QUERY_LOCATOR"  # ten a user
    clock.at += timedelta(minutes=16)
    assert client.send("GET", latest).code == "INVALID_QUERY_LOCATOR"
    latest = open_one()
    client.app.state.drop_cursors()
    assert client.send("GET", latest).code == "INVALID_QUERY_LOCATOR"
    assert client.get("/query/01gRO0000016PIAYA2-2000").status == 400


@pytest.mark.parametrize(("options", "size"), [("batchSize=1", 200), ("batchSize=250", 250), ("batchSize=9999", 2000), ("", 2000)])
def test_a_batch_size_is_kept_within_its_bounds(client: Client, world: World, options: str, size: int) -> None:
    for number in range(100, 2200):
        row_id = make_id("001", number)
        world.salesforce["Account"][row_id] = {**world.salesforce["Account"][ACME], "Id": row_id}
    assert len(client.query("SELECT Id FROM Account", sforce_query_options=options).json["records"]) == size
