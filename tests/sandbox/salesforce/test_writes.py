"""The sandbox's Salesforce keeps what is written to it, and refuses what the service refuses."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import pytest

from connector.sandbox.salesforce.app import create_app
from connector.sandbox.state import World
from tests.sandbox.salesforce.client import (
    ACME,
    ANNA,
    BASE,
    BEN,
    BOT,
    CONTACT,
    CONVERTED,
    DELETED,
    GONE,
    LEADS,
    MORNING,
    NOON,
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


# ── One record ──


def test_a_record_by_id(client: Client) -> None:
    reply = client.get(f"/sobjects/Lead/{LEADS[0]}?fields=Email,CreatedDate")
    assert reply.json["Email"] == "z0@Kunde.example"
    assert reply.json["CreatedDate"] == "2026-12-01T08:00:00.000+0000"
    assert client.get(f"/sobjects/Lead/{LEADS[0][:15]}").json["Wild__c"] == "custom"
    assert client.get(f"/sobjects/Lead/{LEADS[0]}?fields=Foo").code == "INVALID_FIELD"
    assert (client.get(f"/sobjects/Lead/{DELETED}").status, client.get(f"/sobjects/Lead/{DELETED}").code) == (404, "ENTITY_IS_DELETED")
    assert client.get(f"/sobjects/Lead/{make_id('00Q', 99)}").code == "NOT_FOUND"
    assert client.get("/sobjects/Lead/nonsense").code == "NOT_FOUND"


def test_an_update_moves_the_stamps_and_writes_history(client: Client, world: World, clock: Clock) -> None:
    clock.at = NOON + timedelta(milliseconds=900)
    reply = client.write("PATCH", f"/sobjects/Lead/{LEADS[1]}", {"Status": "Qualified", "OwnerId": BEN[:15], "FirstName": "Ann"})
    assert (reply.status, reply.body) == (204, b"")
    lead = world.salesforce["Lead"][LEADS[1]]
    assert (lead["Status"], lead["OwnerId"], lead["Name"]) == ("Qualified", BEN, "Ann Müller 1")
    assert lead["LastModifiedDate"] == lead["SystemModstamp"] == NOON
    assert lead["CreatedDate"] == MORNING
    soql = f"SELECT Field, OldValue, NewValue, CreatedDate FROM LeadHistory WHERE LeadId = '{LEADS[1]}' ORDER BY Field"
    owner, status = client.query(soql).json["records"]
    assert (owner["Field"], owner["OldValue"], owner["NewValue"]) == ("Owner", ANNA, BEN)
    assert (status["Field"], status["OldValue"], status["NewValue"]) == ("Status", "Open - Not Contacted", "Qualified")
    assert status["CreatedDate"] == "2026-12-01T12:00:00.000+0000"


def test_an_update_of_something_else_writes_no_history(client: Client, world: World) -> None:
    client.write("PATCH", f"/sobjects/Lead/{LEADS[1]}", {"Title": "x", "Status": "Open - Not Contacted"})
    assert not world.salesforce["LeadHistory"]


@pytest.mark.parametrize("header", ["TRUE", "01Q000000000001AAA", None])
def test_who_forgets_the_assignment_header_loses_the_owner(client: Client, world: World, header: str | None) -> None:
    client.headers = {} if header is None else {"sforce_auto_assign": header}
    client.write("PATCH", f"/sobjects/Lead/{LEADS[1]}", {"Status": "Qualified"})
    assert world.salesforce["Lead"][LEADS[1]]["OwnerId"] == QUEUE
    created = client.write("POST", "/sobjects/Lead/", {"LastName": "N", "Company": "C", "OwnerId": ANNA}).json["id"]
    assert world.salesforce["Lead"][created]["OwnerId"] == QUEUE
    client.headers = {"sforce_auto_assign": "false"}
    client.write("PATCH", f"/sobjects/Lead/{LEADS[2]}", {"Status": "Qualified"})
    assert world.salesforce["Lead"][LEADS[2]]["OwnerId"] == ANNA


def test_if_unmodified_since(client: Client, world: World) -> None:
    def patch(since: datetime) -> int:
        headers = {"if_unmodified_since": format_datetime(since, usegmt=True)}
        return client.write("PATCH", f"/sobjects/Lead/{LEADS[2]}", {"Title": "new"}, **headers).status

    modified = world.salesforce["Lead"][LEADS[2]]["LastModifiedDate"]
    assert patch(modified - timedelta(seconds=1)) == 412
    assert world.salesforce["Lead"][LEADS[2]].get("Title") is None
    assert patch(modified) == 204
    assert world.salesforce["Lead"][LEADS[2]]["Title"] == "new"


def test_a_task_on_a_lead_wakes_only_its_systemmodstamp(client: Client, world: World) -> None:
    content: dict[str, Any] = {"WhoId": LEADS[1], "Subject": "Call", "OwnerId": ANNA, "ActivityDate": "2026-12-03", "Priority": "High"}
    content |= {"IsReminderSet": True, "ReminderDateTime": "2026-12-03T08:00:00Z"}
    reply = client.write("POST", "/sobjects/Task", content)
    assert reply.status == 201
    task = world.salesforce["Task"][reply.json["id"]]
    assert (task["Status"], task["IsClosed"], task["IsHighPriority"], task["TaskSubtype"]) == ("Not Started", False, True, "Task")
    assert (task["ActivityDate"], task["ReminderDateTime"]) == (date(2026, 12, 3), datetime(2026, 12, 3, 8, tzinfo=UTC))
    lead = world.salesforce["Lead"][LEADS[1]]
    assert (lead["SystemModstamp"], lead["LastModifiedDate"]) == (NOON, MORNING)
    client.write("PATCH", f"/sobjects/Task/{task['Id']}", {"Status": "Completed"})
    assert (task["IsClosed"], task["CompletedDateTime"]) == (True, NOON)


def test_a_task_on_a_contact_knows_its_account(client: Client, world: World) -> None:
    made = client.write("POST", "/sobjects/Task", {"WhoId": CONTACT}).json["id"]
    assert world.salesforce["Task"][made]["AccountId"] == ACME


def test_a_new_lead_has_defaults(client: Client, world: World) -> None:
    made = client.write("POST", "/sobjects/Lead", {"LastName": "Neu", "Company": "Kunde", "Email": "n@k.example"}).json
    assert made["success"]
    lead = world.salesforce["Lead"][made["id"]]
    assert (lead["Status"], lead["OwnerId"], lead["IsConverted"], lead["Name"]) == ("Open - Not Contacted", BOT, False, "Neu")
    assert client.get(f"/sobjects/Lead/{made['id']}").json["CreatedDate"] == "2026-12-01T12:00:00.000+0000"


def test_a_deleted_record_goes_to_the_bin(client: Client, world: World) -> None:
    assert client.send("DELETE", f"{BASE}/sobjects/Lead/{LEADS[3]}").status == 204
    assert world.salesforce["Lead"][LEADS[3]]["SystemModstamp"] == NOON
    assert client.send("DELETE", f"{BASE}/sobjects/Lead/{LEADS[3]}").code == "ENTITY_IS_DELETED"
    assert client.found(f"Id = '{LEADS[3]}' AND IsDeleted = true", "queryAll") == [3]


@pytest.mark.parametrize(
    ("object_name", "content", "code", "fields"),
    [
        ("Lead", {"Foo": 1}, "INVALID_FIELD", ["Foo"]),
        ("Lead", {"LastName": None}, "REQUIRED_FIELD_MISSING", ["LastName"]),
        ("Lead", {"Status": ""}, "REQUIRED_FIELD_MISSING", ["Status"]),
        ("Lead", {"IsConverted": True}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["IsConverted"]),
        ("Lead", {"OwnerId": GONE}, "INACTIVE_OWNER_OR_USER", ["OwnerId"]),
        ("Lead", {"OwnerId": make_id("005", 99)}, "INVALID_CROSS_REFERENCE_KEY", ["OwnerId"]),
        ("Lead", {"OwnerId": "x"}, "MALFORMED_ID", ["OwnerId"]),
        ("Lead", {"Email": "no address"}, "INVALID_EMAIL_ADDRESS", ["Email"]),
        ("Lead", {"FirstName": "x" * 41}, "STRING_TOO_LONG", ["FirstName"]),
        ("Lead", {"Rejection_Reason__c": "Because"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ["Rejection_Reason__c"]),
        ("Task", {"Subject": "x" * 256}, "STRING_TOO_LONG", ["Subject"]),
        ("Task", {"TaskSubtype": "Call"}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["TaskSubtype"]),
        ("Task", {"WhoId": make_id("00Q", 99)}, "INVALID_CROSS_REFERENCE_KEY", ["WhoId"]),
        ("Task", {"WhoId": DELETED}, "ENTITY_IS_DELETED", ["WhoId"]),
        ("Task", {"WhoId": CONVERTED}, "CANNOT_UPDATE_CONVERTED_LEAD", ["WhoId"]),
        ("Task", {"OwnerId": QUEUE}, "INVALID_OPERATION", ["OwnerId"]),
        ("Lead", {"IsUnreadByOwner": "perhaps"}, "JSON_PARSER_ERROR", None),
        ("Lead", {"NumberOfEmployees": "many"}, "JSON_PARSER_ERROR", None),
        ("Task", {"ActivityDate": "soon"}, "JSON_PARSER_ERROR", None),
        ("Task", {"ReminderDateTime": "2026-12-01"}, "JSON_PARSER_ERROR", None),
        ("Task", {"Subject": {"a": 1}}, "JSON_PARSER_ERROR", None),
    ],
)
def test_updates_that_are_refused_change_nothing(
    client: Client, world: World, object_name: str, content: dict[str, Any], code: str, fields: list[str] | None
) -> None:
    record = LEADS[1] if object_name == "Lead" else make_id("00T", 0)
    before = dict(world.salesforce[object_name][record])
    reply = client.write("PATCH", f"/sobjects/{object_name}/{record}", content)
    assert reply.code == code
    assert reply.json[0].get("fields") == fields
    assert reply.status == 400
    assert world.salesforce[object_name][record] == before


def test_an_unknown_status_is_accepted(client: Client) -> None:
    assert client.write("PATCH", f"/sobjects/Lead/{LEADS[1]}", {"Status": "Made up"}).status == 204


def test_what_may_not_be_written_at_all(client: Client) -> None:
    assert client.write("PATCH", f"/sobjects/Lead/{CONVERTED}", {"Title": "x"}).code == "CANNOT_UPDATE_CONVERTED_LEAD"
    assert client.write("POST", "/sobjects/Lead", {"FirstName": "x"}).json[0]["fields"] == ["LastName", "Company"]
    assert client.write("POST", "/sobjects/LeadStatus", {}).code == "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
    assert client.write("POST", "/sobjects/Foo", {}).status == 404
    assert client.send("POST", f"{BASE}/sobjects/Lead", b"{nope").code == "JSON_PARSER_ERROR"
    assert client.send("POST", f"{BASE}/sobjects/Lead", b"[]").code == "JSON_PARSER_ERROR"
    assert client.send("POST", f"{BASE}/sobjects/Lead", b"{}", content_type="text/plain").status == 415


def test_upsert_by_external_id(client: Client, world: World) -> None:
    path = "/sobjects/Task/Handoff_Key__c/" + quote("a/b c?#ü", safe="")
    missing = client.write("PATCH", path + "?updateOnly=true", {"Subject": "x"})
    assert missing.status == 404
    created = client.write("PATCH", path, {"WhoId": LEADS[1], "Subject": "One"})
    assert (created.status, created.json["created"]) == (201, True)
    task = world.salesforce["Task"][created.json["id"]]
    assert task["Handoff_Key__c"] == "a/b c?#ü"
    again = client.write("PATCH", path, {"Subject": "Two"})
    assert (again.status, again.json["created"], again.json["id"]) == (200, False, task["Id"])
    assert task["Subject"] == "Two"
    assert client.get(path + "?fields=Subject").json["Subject"] == "Two"
    assert client.write("PATCH", path, {"handoff_key__c": "x"}).code == "INVALID_FIELD"
    assert client.write("POST", "/sobjects/Task", {"Handoff_Key__c": "A/B C?#Ü"}).code == "DUPLICATE_VALUE"
    assert client.write("PATCH", "/sobjects/Task/Subject/x", {}).status == 404
    copy = {**task, "Id": make_id("00T", 77)}
    world.salesforce["Task"][copy["Id"]] = copy
    several = client.write("PATCH", path, {"Subject": "Three"})
    assert (several.status, len(several.json)) == (300, 2)
    assert client.get(path).status == 300
    for row in (task, copy):
        row["IsDeleted"] = True
    assert client.get(path).status == 404


# ── Collections ──


def lead(record_id: str, **fields: Any) -> dict[str, Any]:
    return {"attributes": {"type": "Lead"}, "id": record_id, **fields}


def test_rows_of_a_collection_fare_each_on_its_own(client: Client, world: World) -> None:
    rows = [lead(LEADS[1], Status="Qualified"), lead(CONVERTED, Title="x"), lead(DELETED, Title="x"), lead(make_id("00Q", 99), Title="x")]
    rows += [lead(LEADS[2], OwnerId=GONE), lead(LEADS[2], Foo=1), lead("nonsense"), {"attributes": {"type": "Lead"}, "Id": LEADS[3]}]
    rows += [lead(LEADS[4][:15], Title="y")]
    reply = client.write("PATCH", "/composite/sobjects", {"records": rows})
    assert reply.status == 200
    assert [row["errors"][0]["statusCode"] if row["errors"] else "" for row in reply.json] == [
        "", "CANNOT_UPDATE_CONVERTED_LEAD", "ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "INACTIVE_OWNER_OR_USER", "INVALID_FIELD",
        "MALFORMED_ID", "MISSING_ARGUMENT", "",
    ]  # fmt: skip
    assert reply.json[0] == {"id": LEADS[1], "success": True, "errors": []}
    assert reply.json[8]["id"] == LEADS[4]
    assert set(reply.json[1]["errors"][0]) == {"statusCode", "message", "fields"}
    assert world.salesforce["Lead"][LEADS[1]]["Status"] == "Qualified"


def test_all_or_none_takes_everything_back(client: Client, world: World) -> None:
    before = {name: {row_id: dict(row) for row_id, row in rows.items()} for name, rows in world.salesforce.items()}
    rows = [lead(LEADS[1], Status="Qualified"), lead(CONVERTED, Title="x")]
    reply = client.write("PATCH", "/composite/sobjects", {"allOrNone": True, "records": rows})
    assert [row["errors"][0]["statusCode"] for row in reply.json] == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "CANNOT_UPDATE_CONVERTED_LEAD"]
    tasks = [{"attributes": {"type": "Task"}, "WhoId": LEADS[1], "Subject": subject} for subject in ("a", "x" * 256)]
    reply = client.write("POST", "/composite/sobjects", {"allOrNone": True, "records": tasks})
    assert not any(row["success"] for row in reply.json)
    spoilt = client.write("PATCH", "/composite/sobjects", {"records": [rows[0], lead(LEADS[2], NumberOfEmployees="many")]})
    assert spoilt.code == "JSON_PARSER_ERROR"
    assert world.salesforce == before


def test_collections_have_their_size(client: Client) -> None:
    for method in ("POST", "PATCH"):
        reply = client.write(method, "/composite/sobjects", {"records": [lead(LEADS[1])] * 201})
        assert (reply.status, reply.code) == (400, "LIMIT_EXCEEDED")
    mixed = [{"attributes": {"type": name}} for name in ("Lead", "Task") * 6]
    assert client.write("POST", "/composite/sobjects", {"records": mixed}).code == "LIMIT_EXCEEDED"
    assert client.write("POST", "/composite/sobjects", {"records": [{"LastName": "x"}]}).code == "INVALID_FIELD"
    assert client.write("POST", "/composite/sobjects", {"records": [{"attributes": {"type": "Foo"}}]}).code == "INVALID_TYPE"
    assert client.write("POST", "/composite/sobjects", {"records": "x"}).code == "JSON_PARSER_ERROR"
    ids = ",".join([LEADS[0]] * 201)
    assert client.send("DELETE", f"{BASE}/composite/sobjects?ids={ids}").code == "LIMIT_EXCEEDED"


def test_create_and_delete_collections(client: Client, world: World) -> None:
    rows = [{"attributes": {"type": "Task"}, "Subject": "a"}, {"attributes": {"type": "Lead"}, "FirstName": "b"}]
    made, refused = client.write("POST", "/composite/sobjects", {"records": rows}).json
    assert made["success"]
    assert refused["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert "id" not in refused
    reply = client.send("DELETE", f"{BASE}/composite/sobjects?ids={made['id']},{DELETED},abc&allOrNone=false")
    assert [row["success"] for row in reply.json] == [True, False, False]
    assert world.salesforce["Task"][made["id"]]["IsDeleted"]


def test_upsert_collection_tells_what_is_new(client: Client) -> None:
    def task(key: str | None, **fields: Any) -> dict[str, Any]:
        return {"attributes": {"type": "Task"}, "Handoff_Key__c": key, **fields}

    path = "/composite/sobjects/Task/Handoff_Key__c"
    rows = [task("k1", WhoId=LEADS[1]), task("k2", WhoId=make_id("00Q", 99)), task(None), task("K1", Subject="again")]
    first = client.write("PATCH", path, {"records": rows}).json
    assert [row.get("created") for row in first] == [True, None, None, None]
    assert [row["errors"][0]["statusCode"] for row in first[1:]] == ["INVALID_CROSS_REFERENCE_KEY", "MISSING_ARGUMENT", "DUPLICATE_VALUE"]
    second = client.write("PATCH", path, {"records": [task("k1", Subject="x"), task("k3")]}).json
    assert [row["created"] for row in second] == [False, True]
    assert second[0]["id"] == first[0]["id"]
    assert client.write("PATCH", path, {"records": [lead(LEADS[1])]}).code == "INVALID_TYPE"
    by_id = client.write("PATCH", "/composite/sobjects/Task/Id", {"records": [{"attributes": {"type": "Task"}, "Id": None}]}).json
    assert by_id[0]["created"]


def test_records_are_retrieved_in_order_with_gaps(client: Client) -> None:
    ids = [LEADS[2], DELETED, LEADS[1], make_id("00Q", 99)]
    by_body = client.write("POST", "/composite/sobjects/Lead", {"ids": ids, "fields": ["Status", "Email"]}).json
    assert [row and row["Email"] for row in by_body] == ["z2@Kunde.example", None, "z1@Kunde.example", None]
    assert by_body[0]["attributes"]["type"] == "Lead"
    assert client.get(f"/composite/sobjects/Lead?ids={','.join(ids)}&fields=Status,Email").json == by_body
    assert client.write("POST", "/composite/sobjects/Lead", {"ids": ids, "fields": ["Foo"]}).code == "INVALID_FIELD"
    assert client.write("POST", "/composite/sobjects/Lead", {"ids": [], "fields": ["Id"]}).code == "MISSING_ARGUMENT"
    assert client.write("POST", "/composite/sobjects/Lead", {"ids": ["x"], "fields": ["Id"]}).code == "MALFORMED_ID"
    assert client.write("POST", "/composite/sobjects/Lead", {"ids": "x", "fields": ["Id"]}).code == "JSON_PARSER_ERROR"
