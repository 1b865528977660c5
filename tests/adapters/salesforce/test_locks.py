"""Rows that somebody else had locked: sent again, those of one account side by side, not for ever, and nothing else with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import requests
import responses

from connector.model import FieldWrite, RecordRef, TaskSpec, TaskWrite, WriteState, long_id
from tests.adapters.salesforce.answers import COLLECTIONS, DAY_USED_UP, NOW, crm, granted, mocked
from tests.adapters.salesforce.fake_org import Budget

LOCK = {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access to this record", "fields": []}


class Locks:
    """An org in which rows are locked for so many writes to them. sent: the ids of each write, in order."""

    def __init__(self, org: responses.RequestsMock, times: dict[str, int], *, key: str = "id") -> None:
        self.left = Counter(times)
        self.sent: list[list[str]] = []
        self.accounts: dict[str, str] = {}
        self.key = key
        for method, url in (
            (responses.PATCH, COLLECTIONS),
            (responses.PATCH, f"{COLLECTIONS}/Task/Handoff_Key__c"),
        ):
            org.add_callback(method, url, self.write)
        org.add_callback(responses.POST, f"{COLLECTIONS}/Contact", self.read)

    def write(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        ids = [str(row[self.key]) for row in orjson.loads(request.body or b"")["records"]]
        self.sent.append(ids)
        results = []
        for one in ids:
            locked = self.left[one] > 0
            self.left[one] -= 1
            results.append({"success": False, "errors": [LOCK]} if locked else {"id": one, "success": True, "errors": []})
        return 200, {}, orjson.dumps(results).decode()

    def read(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        asked: dict[str, Any] = orjson.loads(request.body or b"")
        assert asked["fields"] == ["Id", "AccountId"]
        return 200, {}, orjson.dumps([{"Id": one, "AccountId": self.accounts.get(one)} for one in asked["ids"]]).decode()


@pytest.fixture
def org() -> Iterator[responses.RequestsMock]:
    """Answers in place of the network, and a login that works."""
    for mock in mocked():
        granted(mock)
        yield mock


def a_lead(number: int) -> str:
    return long_id(f"00Qgg{number:010d}")


def a_contact(number: int) -> str:
    return long_id(f"003gg{number:010d}")


def change(record_id: str, object_name: str = "Lead") -> FieldWrite:
    return FieldWrite(record=RecordRef(crm="salesforce", object=object_name, id=record_id), properties={"Description": "x"})


def test_only_the_locked_rows_are_sent_again(org: responses.RequestsMock) -> None:
    leads, slept, budget = [a_lead(number) for number in range(4)], [], Budget()  # type: list[str], list[float], Budget
    locks = Locks(org, {leads[1]: 1, leads[3]: 2})
    outcomes = crm(slept=slept, budget=budget).update("Lead", [change(one) for one in leads])
    assert [(outcome.state, outcome.id) for outcome in outcomes] == [(WriteState.WRITTEN, one) for one in leads]
    assert locks.sent == [leads, [leads[1], leads[3]], [leads[3]]]
    assert slept == [1.0, 3.0]
    assert set(budget.lanes) == {"urgent"}


def test_a_row_that_stays_locked_is_for_later(org: responses.RequestsMock) -> None:
    leads = [a_lead(1), a_lead(2)]
    locks = Locks(org, {leads[0]: 99})
    outcomes = crm().update("Lead", [change(one) for one in leads])
    assert [(outcome.state, outcome.code) for outcome in outcomes] == [(WriteState.LATER, "UNABLE_TO_LOCK_ROW"), (WriteState.WRITTEN, "")]
    assert len(locks.sent) == 3


def test_contacts_of_one_account_go_side_by_side(org: responses.RequestsMock) -> None:
    contacts = [a_contact(number) for number in range(4)]
    locks = Locks(org, dict.fromkeys(contacts, 1))
    locks.accounts = dict(zip(contacts, ["001B", "001A", "001B", "001A"], strict=True))
    outcomes = crm().update("Contact", [change(one, "Contact") for one in contacts])
    assert locks.sent[1] == [contacts[1], contacts[3], contacts[0], contacts[2]]
    assert [outcome.id for outcome in outcomes] == contacts  # in the order of the writes all the same


def test_tasks_of_locked_contacts_are_created_once(org: responses.RequestsMock) -> None:
    contacts = [a_contact(number) for number in range(3)]
    locks = Locks(org, {contacts[0]: 1, contacts[2]: 1}, key="WhoId")
    locks.accounts = {contacts[0]: "001B", contacts[2]: "001A"}
    spec = TaskSpec(purpose="call", subject="Call", body="b", due_at=NOW, priority="low", type="call", owner_id=None)
    writes = [TaskWrite(key=one, record=RecordRef(crm="salesforce", object="Contact", id=one), task=spec) for one in contacts]
    outcomes = crm().create_tasks(writes)
    assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN] * 3
    assert locks.sent == [contacts, [contacts[2], contacts[0]]]


def test_what_was_written_before_a_stop_stays_told(org: responses.RequestsMock) -> None:
    """The day's calls run out between the batch and its locked rows."""
    rows = [{"success": False, "errors": [LOCK]}, {"id": a_lead(2), "success": True, "errors": []}]
    org.patch(COLLECTIONS, json=rows)
    org.patch(COLLECTIONS, status=403, json=DAY_USED_UP)
    outcomes = crm().update("Lead", [change(a_lead(1)), change(a_lead(2))])
    assert [outcome.state for outcome in outcomes] == [WriteState.LATER, WriteState.WRITTEN]


def test_an_answer_lost_on_the_way_again_is_unknown(org: responses.RequestsMock) -> None:
    org.patch(COLLECTIONS, json=[{"success": False, "errors": [LOCK]}])
    org.patch(COLLECTIONS, body=requests.exceptions.ReadTimeout())
    assert [outcome.state for outcome in crm().update("Lead", [change(a_lead(1))])] == [WriteState.UNKNOWN]


def test_every_row_may_fail_and_the_answer_be_200(org: responses.RequestsMock) -> None:
    refused = ["CANNOT_UPDATE_CONVERTED_LEAD", "ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "DUPLICATES_DETECTED"]
    codes = [*refused, "SERVER_UNAVAILABLE"]
    org.patch(COLLECTIONS, json=[{"success": False, "errors": [{"statusCode": code, "message": "x", "fields": []}]} for code in codes])
    outcomes = crm().update("Lead", [change(a_lead(number)) for number in range(5)])
    assert [outcome.code for outcome in outcomes] == codes
    assert [outcome.state for outcome in outcomes] == [WriteState.REFUSED] * 4 + [WriteState.LATER]
    assert all(outcome.advice for outcome in outcomes)


def test_a_whole_request_that_is_locked_is_tried_again_and_then_for_later(org: responses.RequestsMock) -> None:
    locked = org.patch(COLLECTIONS, status=400, json=[{"message": "unable to obtain", "errorCode": "UNABLE_TO_LOCK_ROW"}])
    outcomes = crm().update("Lead", [change(a_lead(1)), change(a_lead(2))])
    assert [outcome.state for outcome in outcomes] == [WriteState.LATER] * 2
    assert locked.call_count == 5
