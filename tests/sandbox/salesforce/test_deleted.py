"""The sandbox's log of deletions and updates, its recycle bin, and what time does to them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from connector.sandbox.salesforce.actions import SalesforceActions
from connector.sandbox.salesforce.app import create_app
from connector.sandbox.salesforce.errors import RowRefused
from connector.sandbox.state import World
from tests.sandbox.salesforce.client import DELETED, LEADS, MORNING, NOON, Client, Clock, make_id, tiny_world


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world() -> World:
    return tiny_world()


@pytest.fixture
def client(world: World, clock: Clock) -> Client:
    made = Client(create_app(world, now=clock))
    assert made.sign_in().status == 200
    return made


@pytest.fixture
def actions(client: Client) -> SalesforceActions:
    found: SalesforceActions = client.app.state.actions
    return found


def ask(client: Client, what: str, start: datetime, end: datetime, name: str = "Lead") -> Any:
    return client.get(f"/sobjects/{name}/{what}/?start={quote(start.isoformat())}&end={quote(end.isoformat())}")


def deleted(client: Client, start: datetime, end: datetime, name: str = "Lead") -> list[str]:
    reply = ask(client, "deleted", start, end, name)
    assert reply.status == 200, reply.body
    return [one["id"] for one in reply.json["deletedRecords"]]


def test_what_was_deleted_is_told_with_its_time(client: Client, actions: SalesforceActions) -> None:
    actions.delete("Lead", LEADS[1])
    told = ask(client, "deleted", NOON - timedelta(hours=5), NOON + timedelta(minutes=1)).json
    assert told["deletedRecords"] == [
        {"id": DELETED, "deletedDate": "2026-12-01T08:03:00.000+0000"},
        {"id": LEADS[1], "deletedDate": "2026-12-01T12:00:00.000+0000"},
    ]
    assert told["latestDateCovered"] == "2026-12-01T12:00:00.000+0000"
    assert told["earliestDateAvailable"] == "2026-11-16T12:00:00.000+0000"
    assert deleted(client, NOON, NOON + timedelta(minutes=2), "Task") == [make_id("00T", 0)]  # went with its Lead
    actions.undelete("Lead", LEADS[1])
    assert deleted(client, NOON, NOON + timedelta(minutes=2)) == []
    assert client.query("SELECT Id FROM Task").json["totalSize"] == 1


def test_seconds_are_cut_off(client: Client, actions: SalesforceActions, clock: Clock) -> None:
    clock.at = NOON + timedelta(seconds=30)
    actions.delete("Lead", LEADS[1])
    assert deleted(client, NOON + timedelta(seconds=59), NOON + timedelta(minutes=2)) == [LEADS[1]]
    assert deleted(client, NOON - timedelta(minutes=5), NOON + timedelta(seconds=45)) == []


@pytest.mark.parametrize("what", ["deleted", "updated"])
def test_spans_that_are_refused(client: Client, what: str) -> None:
    days = 15 if what == "deleted" else 30
    assert ask(client, what, NOON, NOON + timedelta(seconds=119)).code == "INVALID_REPLICATION_DATE"
    assert ask(client, what, NOON - timedelta(days=days, minutes=1), NOON).code == "INVALID_REPLICATION_DATE"
    assert ask(client, what, NOON - timedelta(days=days), NOON).status == 200
    assert client.get(f"/sobjects/Lead/{what}?start=2026-12-01T00:00:00Z").code == "MISSING_ARGUMENT"
    assert client.get(f"/sobjects/Lead/{what}?start=soon&end=later").code == "INVALID_FIELD"
    assert ask(client, what, MORNING, NOON, "LeadStatus").code == "INVALID_TYPE"
    client.app.state.actions.change_options(most_ids=0)
    assert ask(client, what, MORNING, NOON).code == "EXCEEDED_ID_LIMIT"


def test_a_log_that_was_cut_refuses_what_it_forgot(client: Client, actions: SalesforceActions) -> None:
    actions.forget_deletions(NOON - timedelta(hours=1))
    assert ask(client, "deleted", MORNING, NOON).code == "INVALID_REPLICATION_DATE"
    told = ask(client, "deleted", NOON - timedelta(hours=1), NOON).json
    assert told["earliestDateAvailable"] == "2026-12-01T11:00:00.000+0000"


def test_updates_tell_what_lives_and_waits_for_open_transactions(client: Client, actions: SalesforceActions, clock: Clock) -> None:
    def updated() -> Any:
        return ask(client, "updated", NOON - timedelta(minutes=1), NOON + timedelta(minutes=5)).json

    actions.edit("Lead", LEADS[1], Title="x")
    actions.edit("Lead", LEADS[2], Title="x", late=200)
    clock.at += timedelta(minutes=3)
    assert updated() == {"ids": [LEADS[1]], "latestDateCovered": "2026-12-01T12:00:00.000+0000"}
    clock.at += timedelta(minutes=1)
    assert updated() == {"ids": [LEADS[1], LEADS[2]], "latestDateCovered": "2026-12-01T12:04:00.000+0000"}
    assert ask(client, "updated", NOON - timedelta(minutes=5), NOON).json["ids"] == []  # the end is not part of it


def test_the_bin_keeps_fifteen_days(client: Client, actions: SalesforceActions, clock: Clock) -> None:
    actions.delete("Lead", LEADS[1])
    clock.at = NOON + timedelta(days=14)
    client.sign_in()
    assert client.found(f"Id = '{LEADS[1]}'", "queryAll") == [1]
    clock.at = NOON + timedelta(days=15, minutes=1)
    client.sign_in()
    assert client.found(f"Id = '{LEADS[1]}'", "queryAll") == []
    with pytest.raises(RowRefused, match="recycle bin"):
        actions.undelete("Lead", LEADS[1])


def test_a_hard_deletion_leaves_only_the_log(client: Client, actions: SalesforceActions, world: World) -> None:
    actions.hard_delete("Lead", LEADS[1])
    assert client.found(f"Id = '{LEADS[1]}'", "queryAll") == []
    assert make_id("00T", 0) not in world.salesforce["Task"]
    assert DELETED in world.salesforce["Lead"]
    assert deleted(client, NOON - timedelta(minutes=1), NOON + timedelta(minutes=1)) == [LEADS[1]]
    assert actions.empty_bin() == 1
    assert DELETED in deleted(client, MORNING, NOON)
    with pytest.raises(RowRefused):
        actions.hard_delete("Lead", LEADS[1])


def test_records_are_counted(client: Client) -> None:
    assert client.get("/limits/recordCount?sObjects=Lead,Task,Foo").json == {
        "sObjects": [{"count": 7, "name": "Lead"}, {"count": 2, "name": "Task"}]
    }
