"""What the Salesforce adapter makes of recorded answers in writing, pulling, reading and checking: nothing lost, nothing done twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
import requests
import responses

from connector.adapters.client import NoBudget
from connector.adapters.salesforce import SalesforceCrm
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire import tasks as wire_tasks
from connector.errors import ObjectStopped
from connector.model import FieldWrite, RecordRef, TaskSpec, TaskWrite, Uses, WriteState
from tests.adapters.salesforce.answers import (
    COLLECTIONS,
    DAY_USED_UP,
    HOST,
    NO_COLUMN,
    NOW,
    QUERY_URL,
    TOKEN_URL,
    TOO_MANY_AT_ONCE,
    crm,
    users,
)
from tests.adapters.salesforce.fake_org import access_to


def a_task(key: str = "k1") -> TaskWrite:
    spec = TaskSpec(purpose="call", subject="Call", body="b", due_at=NOW, priority="low", type="call", owner_id=None)
    return TaskWrite(key=key, record=RecordRef(crm="salesforce", object="Lead", id="00Qgg000000001AEAQ"), task=spec)


def a_change(record_id: str = "00Qgg000000001AEAQ", **values: str) -> FieldWrite:
    return FieldWrite(record=RecordRef(crm="salesforce", object="Lead", id=record_id), properties=values or {"Status": "Qualified"})


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_outcomes_stand_in_the_order_of_the_writes(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.patch(
        COLLECTIONS,
        json=[
            {"success": False, "errors": [{"statusCode": "REQUEST_RUNNING_TOO_LONG", "message": "too long", "fields": []}]},
            {"id": "00Qgg000000002AEAQ", "success": True, "errors": []},
        ],
    )
    writes = [a_change(Status="A"), a_change("00Qgg000000002AEAQ", Status="B"), a_change(OwnerId="005gg000000001AAAQ")]
    outcomes = crm().update("Lead", writes)
    assert [outcome.state for outcome in outcomes] == [WriteState.LATER, WriteState.WRITTEN, WriteState.LATER]
    assert outcomes[0].id == "00Qgg000000001AEAQ"
    sent = orjson.loads(org.calls[-1].request.body or b"")["records"]
    assert [(row["id"], row.get("Status"), row.get("OwnerId")) for row in sent] == [
        ("00Qgg000000001AEAQ", "A", "005gg000000001AAAQ"),
        ("00Qgg000000002AEAQ", "B", None),
    ]


@pytest.mark.parametrize("failure", [requests.exceptions.ReadTimeout(), requests.exceptions.ConnectionError("reset")])
def test_an_update_whose_answer_never_came_is_unknown(
    org: responses.RequestsMock, login: responses.BaseResponse, failure: Exception
) -> None:
    org.patch(COLLECTIONS, body=failure)
    assert [outcome.state for outcome in crm().update("Lead", [a_change()])] == [WriteState.UNKNOWN]


def test_an_update_that_a_limit_kept_out_is_for_later(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.patch(COLLECTIONS, status=403, json=TOO_MANY_AT_ONCE)
    assert [outcome.state for outcome in crm().update("Lead", [a_change()])] == [WriteState.LATER]


def test_one_lost_try_makes_a_batch_unknown_whatever_came_last(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.patch(COLLECTIONS, body=requests.exceptions.ReadTimeout())
    org.patch(COLLECTIONS, status=403, json=DAY_USED_UP)
    assert [outcome.state for outcome in crm().update("Lead", [a_change()])] == [WriteState.UNKNOWN]


def test_an_answer_with_too_few_rows_is_unknown(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.patch(COLLECTIONS, json=[])
    assert [outcome.state for outcome in crm().update("Lead", [a_change()])] == [WriteState.UNKNOWN]


def test_a_task_that_an_earlier_try_made_is_found(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    """The first answer was lost; the second try may not change TaskSubtype, so the row is refused although the task is there."""
    url = f"{COLLECTIONS}/Task/Handoff_Key__c"
    org.patch(url, body=requests.exceptions.ReadTimeout())
    refused = {"statusCode": "INVALID_FIELD_FOR_INSERT_UPDATE", "message": "Unable to create/update fields", "fields": ["TaskSubtype"]}
    org.patch(url, json=[{"success": False, "errors": [refused]}])
    org.get(f"{QUERY_URL}All", json=users({"Id": "00Tgg000000001AEAQ", "Handoff_Key__c": wire_tasks.task_marker("k1")}))
    outcomes = crm().create_tasks([a_task()])
    assert [(outcome.state, outcome.id) for outcome in outcomes] == [(WriteState.WRITTEN, "00Tgg000000001AEAQ")]


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 400, "json": [{"message": "No such column 'Handoff_Key__c' on sobject of type Task", "errorCode": "INVALID_FIELD"}]},
        {"status": 404, "json": [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]},
        {"status": 200, "json": [{"success": False, "errors": [{"statusCode": "INVALID_FIELD", "message": "x", "fields": []}]}]},
    ],
)
def test_without_the_key_field_tasks_are_created_plainly(
    org: responses.RequestsMock, login: responses.BaseResponse, refusal: dict[str, Any]
) -> None:
    org.patch(f"{COLLECTIONS}/Task/Handoff_Key__c", **refusal)
    org.get(f"{HOST}{wire.BASE}/sobjects/Task/describe", json={"name": "Task", "fields": [{"name": "Subject"}]})
    org.post(COLLECTIONS, json=[{"id": "00Tgg000000001AEAQ", "success": True, "errors": []}])
    shared = crm()
    assert shared.create_tasks([a_task()])[0].state is WriteState.WRITTEN
    sent = orjson.loads(org.calls[-1].request.body or b"")["records"][0]
    assert "Handoff_Key__c" not in sent
    assert wire_tasks.marker_of(sent, None) == wire_tasks.task_marker("k1")
    org.get(f"{QUERY_URL}All", json=users({"Id": "00Tgg000000001AEAQ", "Description": sent["Description"]}))
    assert shared.find_tasks([a_task()]) == {"k1": "00Tgg000000001AEAQ"}
    assert "WhoId" in (org.calls[-1].request.url or "")


def test_a_plain_create_is_never_sent_twice(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.patch(f"{COLLECTIONS}/Task/Handoff_Key__c", status=404, json=[{"message": "x", "errorCode": "NOT_FOUND"}])
    org.get(f"{HOST}{wire.BASE}/sobjects/Task/describe", json={"name": "Task", "fields": []})
    created = org.post(COLLECTIONS, body=requests.exceptions.ReadTimeout())
    assert [outcome.state for outcome in crm().create_tasks([a_task(), a_task("k2")])] == [WriteState.UNKNOWN] * 2
    assert created.call_count == 1


def test_another_missing_field_is_told_and_not_worked_around(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    column = [{"message": "No such column 'TaskSubtype' on sobject of type Task", "errorCode": "INVALID_FIELD"}]
    org.patch(f"{COLLECTIONS}/Task/Handoff_Key__c", status=400, json=column)
    described = {"name": "Task", "fields": [{"name": "Handoff_Key__c", "externalId": True}]}
    org.get(f"{HOST}{wire.BASE}/sobjects/Task/describe", json=described)
    with pytest.raises(ObjectStopped, match="TaskSubtype"):
        crm().create_tasks([a_task()])


# ── Pulling ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def lead(number: int, stamp: str = "2026-11-30T10:00:00.000+0000", **values: Any) -> dict[str, Any]:
    return {"Id": f"00Qgg0000000{number:03d}EAA", "IsDeleted": False, "CreatedDate": stamp, "SystemModstamp": stamp, **values}


def asked(call: responses.Call) -> str:
    return unquote(call.request.url or "")


def test_a_vanished_cursor_goes_on_from_the_last_row(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    url, more = f"{QUERY_URL}All", f"{QUERY_URL}/0r8xx-2"
    org.get(url, json={"totalSize": 2, "done": False, "nextRecordsUrl": f"{wire.BASE}/query/0r8xx-2", "records": [lead(1)]})
    org.get(more, status=400, json=[{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}])
    org.get(url, json=users(lead(2)))
    pages = list(crm().pull("Lead", None, now=NOW))
    assert [record.id for page in pages for record in page.records] == ["00Qgg0000000001EAA"[:18], "00Qgg0000000002EAA"[:18]]
    assert "Id > '00Qgg0000000001EAA'" in asked(org.calls[-1])
    assert pages[0].total == 2
    assert pages[-1].cursor == {"since": "2026-12-02T09:00:00Z"}


def test_a_query_that_is_too_heavy_is_halved_until_it_passes(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    url = f"{QUERY_URL}All"
    for _ in range(2):
        org.get(url, status=400, json=[{"message": "too long", "errorCode": "QUERY_TIMEOUT"}])
    org.get(url, json=users(lead(1)))
    org.get(url, json=users(lead(2)))
    org.get(url, json=users(lead(3)))
    pages = list(crm().pull("Lead", {"since": "2026-12-01T09:10:00Z"}, now=NOW))
    queries = [asked(call) for call in org.calls if "queryAll" in asked(call)]
    assert [record.id[-5:-3] for page in pages for record in page.records] == ["01", "02", "03"]
    assert "SystemModstamp <= 2026-12-01T15:00:00Z" in queries[2]
    assert "SystemModstamp >= 2026-12-01T15:00:00Z" in queries[3]
    assert "SystemModstamp <= 2026-12-02T03:00:00Z" in queries[3]  # twice as long as the part that passed, not all that is left
    assert "SystemModstamp >= 2026-12-02T03:00:00Z" in queries[4]
    assert "SystemModstamp <= 2026-12-02T09:00:00Z" in queries[4]
    assert [page.last for page in pages] == [False, False, True]


def test_a_wanted_field_that_is_missing_stops_its_object(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(f"{QUERY_URL}All", status=400, json=NO_COLUMN)
    with pytest.raises(ObjectStopped, match="Budgte__c on Lead"):
        list(crm().pull("Lead", None, now=NOW))


def test_fields_that_a_task_can_do_without_are_left_out(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    for column in ("Handoff_Key__c", "Type"):
        hidden = [{"message": f"No such column '{column}' on entity 'Task'.", "errorCode": "INVALID_FIELD"}]
        org.get(f"{QUERY_URL}All", status=400, json=hidden)
    marker = wire_tasks.task_marker("k1")
    row = {"Id": "00Tgg000000001AEAQ", "IsClosed": False, "Description": f"b\n\n[handoff:{marker}]"}
    org.get(f"{QUERY_URL}All", json=users(row))
    shared = crm()
    (page,) = shared.pull("Task", None, now=NOW)
    assert page.activities[0].key == marker
    query = asked(org.calls[-1])
    assert "Handoff_Key__c" not in query
    assert "Description" in query
    list(shared.pull("Task", page.cursor, now=NOW))
    assert len(org.calls) == 5  # the login, two refusals, two queries: what was found out is remembered


def test_history_that_may_not_be_read_is_an_empty_stream(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(QUERY_URL, status=400, json=[{"message": "sObject type 'LeadHistory' is not supported.", "errorCode": "INVALID_TYPE"}])
    (page,) = crm().pull("LeadHistory", None, now=NOW)
    assert (page.seen, page.last, page.cursor) == (0, True, {})


def test_rows_that_cannot_be_read_are_set_aside_and_counted(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(f"{QUERY_URL}All", json={"totalSize": 3, "done": True, "records": [lead(1), lead(2, OwnerId=5), None]})
    (page,) = crm().pull("Lead", None, now=NOW)
    assert page.seen == 3 == len(page.records) + len(page.set_aside)
    assert {aside.record.id for aside in page.set_aside} == {"00Qgg0000000002EAA", ""}
    assert "OwnerId is not text" in page.set_aside[-1].reason


def test_a_clock_of_theirs_that_lags_ends_the_window(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(QUERY_URL, json=users(), headers={"Date": "Wed, 02 Dec 2026 08:58:30 GMT"})
    (page,) = crm().pull("User", {"since": "2026-12-02T08:50:00Z"}, now=NOW)
    assert page.cursor == {"since": "2026-12-02T08:58:30Z"}


def test_a_row_that_moved_while_read_does_not_carry_the_cursor_away(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    """The page's last row was changed a minute ago: from its new stamp on, the rows between would be lost."""
    moved = lead(2, "2026-12-02T08:59:00.000+0000")
    first = {"totalSize": 9, "done": False, "nextRecordsUrl": f"{wire.BASE}/query/0r8xx-2", "records": [lead(1), moved]}
    org.get(f"{QUERY_URL}All", json=first)
    page = next(iter(crm().pull("Lead", None, now=NOW)))
    assert page.cursor["id"] == "00Qgg0000000001EAA"


def test_wide_objects_are_read_in_two_parts(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    wanted = [f"A_Field_With_A_Rather_Long_Name_{n:03d}__c" for n in range(400)]
    org.get(f"{QUERY_URL}All", json=users(lead(1, **{wanted[0]: "a"}), lead(2, IsDeleted=True)))
    org.post(f"{COLLECTIONS}/Lead", json=[{"Id": "00Qgg0000000001EAA", wanted[-1]: "z"}])
    wide = SalesforceCrm(access_to(HOST), wanted={"Lead": wanted}, budget=NoBudget(), sleep=lambda _: None)
    (page,) = wide.pull("Lead", None, now=NOW)
    assert page.records[0].properties[wanted[0]] == "a"
    assert page.records[0].properties[wanted[-1]] == "z"
    assert page.calls == 2
    assert all(len(call.request.url or "") + 2000 < 16_384 for call in org.calls)


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_records_that_are_not_there_are_left_out(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.post(f"{COLLECTIONS}/Lead", json=[lead(1, Email="a@b.example"), None, lead(3, IsDeleted=True)])
    found = crm().read("Lead", ["00Qgg0000000001", "00Qgg0000000002EAA", "00Qgg0000000003EAA", "no id"], ["Email"])
    assert {name: record.properties for name, record in found.items()} == {"00Qgg0000000001": {"Email": "a@b.example"}}
    assert len(orjson.loads(org.calls[-1].request.body or b"")["ids"]) == 3


def test_tasks_are_read_back(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    row = {"Id": "00Tgg000000001AEAQ", "Subject": "Call", "OwnerId": "005", "ActivityDate": "2026-12-02", "WhoId": "00Q"}
    org.post(f"{COLLECTIONS}/Task", json=[{**row, "Handoff_Key__c": "m"}])
    assert crm().read_tasks(["00Tgg000000001AEAQ"]) == {
        "00Tgg000000001AEAQ": {"subject": "Call", "owner_id": "005", "due_at": "2026-12-02", "key": "m", "record_id": "00Q"}
    }


# ── Checking ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_check_tells_what_is_wrong_and_what_to_do(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    limits = {"DailyApiRequests": {"Max": 15000, "Remaining": 14000}}
    org.get(f"{HOST}{wire.BASE}/limits", json=limits, headers={"Date": "Wed, 02 Dec 2026 09:10:00 GMT"})
    org.get(f"{HOST}{wire.BASE}/limits/recordCount", json={"sObjects": [{"name": "Lead", "count": 5001}]})
    org.get(f"{HOST}{wire.BASE}/sobjects", json={"sobjects": [{"name": "HubSpot_Inc__HubSpot_Activity__c"}]})
    fields = [{"name": "Status", "updateable": True}, {"name": "Email"}, {"name": "OwnerId", "updateable": False}]
    for name in ("Lead", "Contact", "Account", "Event", "User", "Campaign"):
        org.get(f"{HOST}{wire.BASE}/sobjects/{name}/describe", json={"name": name, "updateable": True, "fields": fields})
    org.get(f"{HOST}{wire.BASE}/sobjects/Task/describe", json={"name": "Task", "createable": True, "fields": []})
    org.get(f"{HOST}{wire.BASE}/sobjects/Opportunity/describe", status=404, json=[{"message": "x", "errorCode": "NOT_FOUND"}])
    org.get(QUERY_URL, status=400, json=[{"message": "x", "errorCode": "INVALID_TYPE"}])
    uses = Uses(written={"Lead": ("Status", "OwnerId")}, passes_a_day=10_000, live=True)
    findings = crm(wanted={"Lead": ["Emial"]}).check(now=NOW, uses=uses)
    wrong = [finding for finding in findings if not finding.ok]
    told = "\n".join(f"{finding.message} {finding.advice}" for finding in wrong)
    assert "the org allows 15000" in told
    assert "600 s behind" in told
    assert "lacks Lead.OwnerId: Edit" in told
    assert "Handoff_Key__c" in told
    assert "history of Leads cannot be read" in told
    assert "package of HubSpot's own integration is installed" in told
    assert "Opportunity cannot be seen" in told
    assert "take 130,000 calls a day" in told
    assert any("reads 5,001 records in at most 16 calls" in finding.message for finding in findings)
    (needed,) = [finding.permissions for finding in findings if finding.permissions]
    assert {one.name for one in needed if one.has is False} == {"Lead.OwnerId: Edit", "Lead.Emial: Read", "Opportunity: Read"}
    assert all(finding.advice for finding in wrong)


def test_check_raises_nothing_where_the_login_fails(org: responses.RequestsMock) -> None:
    org.post(TOKEN_URL, status=400, json={"error": "invalid_grant", "error_description": "no client credentials user enabled"})
    (finding,) = crm().check(now=NOW)
    assert not finding.ok
    assert "Run As" in finding.advice
    assert {one.has for one in finding.permissions} == {None}


def test_nothing_secret_and_nothing_personal_is_told(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(f"{QUERY_URL}All", status=400, json=[{"message": "bad value ada@acme.example token-1", "errorCode": "INVALID_FILTER_VALUE"}])
    with pytest.raises(ObjectStopped) as caught:
        list(crm().pull("Lead", None, now=NOW + timedelta(days=1)))
    for text in (str(caught.value), caught.value.advice):
        assert "ada@" not in text
        assert "token-1" not in text
