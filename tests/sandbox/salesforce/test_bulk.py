"""The sandbox's Bulk API 2.0: jobs that take their time, pages of exact CSV, and what it does not read."""

from __future__ import annotations

import csv
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest

from connector.sandbox.salesforce.app import create_app
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.state import World
from tests.sandbox.salesforce.client import LEADS, Client, Clock, Reply, tiny_world


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world() -> World:
    return tiny_world()


@pytest.fixture
def client(world: World, clock: Clock) -> Client:
    made = Client(create_app(world, SalesforceOptions(bulk_page=3), now=clock))
    assert made.sign_in().status == 200
    return made


def start(client: Client, soql: str, operation: str = "query", **more: Any) -> str:
    reply = client.write("POST", "/jobs/query", {"operation": operation, "query": soql, **more})
    assert reply.status == 200, reply.body
    assert reply.json["state"] == "UploadComplete"
    return str(reply.json["id"])


def finish(client: Client, job: str) -> Any:
    states = [client.get(f"/jobs/query/{job}").json for _ in range(2)]
    assert [one["state"] for one in states] == ["InProgress", "JobComplete"]
    return states[-1]


def rows(reply: Reply) -> list[list[str]]:
    assert reply.status == 200, reply.body
    return list(csv.reader(StringIO(reply.body.decode(), newline="")))


def test_a_job_goes_through_its_states_to_its_results(client: Client) -> None:
    job = start(client, "SELECT Id FROM Lead", "queryAll")
    early = client.get(f"/jobs/query/{job}/results")
    assert (early.status, early.code) == (400, "INVALIDJOBSTATE")
    told = finish(client, job)
    assert (told["numberRecordsProcessed"], told["object"], told["apiVersion"]) == (8, "Lead", 60.0)
    assert [one["id"] for one in client.get("/jobs/query").json["records"]] == [job]
    assert client.get("/limits").json["DailyBulkV2QueryJobs"]["Remaining"] == 9999
    assert client.send("DELETE", f"/services/data/v60.0/jobs/query/{job}").status == 204
    assert client.get(f"/jobs/query/{job}").code == "NOT_FOUND"


def test_pages_follow_by_locator_and_can_be_read_again(client: Client, world: World) -> None:
    job = start(client, "SELECT Id FROM Lead")
    finish(client, job)
    world.salesforce["Lead"].pop(LEADS[5])  # what happens later changes no result
    found, locator, pages = [], "", []
    while locator != "null":
        pages.append(client.get(f"/jobs/query/{job}/results" + (f"?locator={locator}" if locator else "")))
        found += [row[0] for row in rows(pages[-1])[1:]]
        locator = pages[-1].headers["sforce-locator"]
    assert [page.headers["sforce-numberofrecords"] for page in pages] == ["3", "3", "1"]
    assert found == LEADS[:7]
    again = client.get(f"/jobs/query/{job}/results?locator={pages[0].headers['sforce-locator']}&maxRecords=1")
    assert rows(again)[1:] == [[LEADS[3]]]
    assert client.get(f"/jobs/query/{job}/results?locator=null").code == "INVALID_QUERY_LOCATOR"


def test_every_kind_of_value_has_its_text(client: Client, world: World) -> None:
    world.salesforce["Lead"][LEADS[6]] |= {"Description": 'two\nlines, "quoted"\u2028here', "Budget__c": 12.5}
    names = "Id, SystemModstamp, ConvertedDate, IsConverted, IsUnreadByOwner, NumberOfEmployees, Budget__c, Title, owner.name, Description"
    job = start(client, f"SELECT {names} FROM Lead WHERE Id = '{LEADS[6]}'")
    finish(client, job)
    reply = client.get(f"/jobs/query/{job}/results")
    head, row = rows(reply)
    assert head[-2:] == ["Owner.Name", "Description"]
    assert row == [
        LEADS[6], "2026-12-01T08:03:00.000Z", "2026-11-30", "true", "", "60", "12.5", "", "Anna", 'two\nlines, "quoted"\u2028here',
    ]  # fmt: skip
    assert reply.body.startswith(b'"Id","SystemModstamp"')
    assert reply.headers["content-type"] == "text/csv"


def test_delimiter_and_line_ending_as_asked(client: Client) -> None:
    job = start(client, f"SELECT Id, Status FROM Lead WHERE Id = '{LEADS[0]}'", columnDelimiter="PIPE", lineEnding="CRLF")
    finish(client, job)
    assert client.get(f"/jobs/query/{job}/results").body == f'"Id"|"Status"\r\n"{LEADS[0]}"|"Open - Not Contacted"\r\n'.encode()


def test_results_are_of_the_version_that_made_the_job(client: Client) -> None:
    job = start(client, "SELECT Id FROM Lead")
    finish(client, job)
    assert client.send("GET", f"/services/data/v61.0/jobs/query/{job}/results").status == 409


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"operation": "query", "query": "SELECT COUNT() FROM Lead"}, "API_ERROR"),
        ({"operation": "query", "query": "SELECT Status, COUNT(Id) FROM Lead GROUP BY Status"}, "MALFORMED_QUERY"),
        ({"operation": "query", "query": "SELECT Id, (SELECT Id FROM Tasks) FROM Lead"}, "MALFORMED_QUERY"),
        ({"operation": "query", "query": "SELECT Id FROM Lead LIMIT 5 OFFSET 5"}, "API_ERROR"),
        ({"operation": "query", "query": "SELECT Id FROM LeadStatus"}, "INVALIDENTITY"),
        ({"operation": "query", "query": "SELECT Foo FROM Lead"}, "INVALID_FIELD"),
        ({"operation": "insert", "query": "SELECT Id FROM Lead"}, "INVALIDJOB"),
        ({"operation": "query"}, "INVALIDJOB"),
        ({"operation": "query", "query": "SELECT Id FROM Lead", "lineEnding": "CR"}, "INVALIDJOB"),
    ],
)
def test_what_bulk_does_not_read(client: Client, content: dict[str, str], code: str) -> None:
    reply = client.write("POST", "/jobs/query", content)
    assert (reply.status, reply.code) == (400, code)


def test_a_job_fails_or_is_aborted(client: Client) -> None:
    client.app.state.actions.fail_jobs(1, "InternalServerError : x")
    failed = start(client, "SELECT Id FROM Lead")
    client.get(f"/jobs/query/{failed}")
    told = client.get(f"/jobs/query/{failed}").json
    assert (told["state"], told["errorMessage"]) == ("Failed", "InternalServerError : x")
    aborted = start(client, "SELECT Id FROM Lead")
    assert client.send("DELETE", f"/services/data/v60.0/jobs/query/{aborted}").code == "INVALIDJOBSTATE"
    assert client.write("PATCH", f"/jobs/query/{aborted}", {"state": "Aborted"}).json["state"] == "Aborted"
    assert client.write("PATCH", f"/jobs/query/{aborted}", {"state": "Aborted"}).code == "INVALIDJOBSTATE"


def test_time_and_quota(world: World, clock: Clock) -> None:
    client = Client(create_app(world, SalesforceOptions(bulk_seconds=30, bulk_polls=1, bulk_jobs=1), now=clock))
    client.sign_in()
    job = start(client, "SELECT Id FROM Lead")
    assert client.get(f"/jobs/query/{job}").json["state"] == "InProgress"
    clock.at += timedelta(seconds=30)
    assert client.get(f"/jobs/query/{job}").json["state"] == "JobComplete"
    assert client.write("POST", "/jobs/query", {"operation": "query", "query": "SELECT Id FROM Lead"}).code == "EXCEEDEDQUOTA"
    clock.at += timedelta(days=8)
    client.sign_in()
    assert client.get(f"/jobs/query/{job}").status == 404
