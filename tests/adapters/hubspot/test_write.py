"""HubSpot through the port: what becomes of each row that is written, and of tasks, over an account in memory."""

from __future__ import annotations

import orjson
import pytest

from connector.adapters.client import Answer, Request, Unreachable
from connector.adapters.hubspot import task_marker
from connector.errors import PassStopped
from connector.model import ActivityKind, WriteState
from tests.adapters.hubspot.calls import DUE, contact, crm_of, pull, task, write
from tests.adapters.hubspot.fake_account import Account, Told, reply


class TestUpdate:
    def test_writes_a_batch_with_one_request(self) -> None:
        account = Account()
        for number in range(1, 101):
            account.put("contacts", str(number), lifecyclestage="lead")
        writes = [write(str(number), lifecyclestage="marketingqualifiedlead") for number in range(1, 101)]
        crm = crm_of(account)
        outcomes = crm.update("contacts", writes)
        assert {outcome.state for outcome in outcomes} == {WriteState.WRITTEN}
        assert [outcome.id for outcome in outcomes] == [str(number) for number in range(1, 101)]
        assert account.paths() == ["POST /crm/v3/objects/contacts/batch/update"]
        assert crm.batch_size("contacts") == 100

    def test_none_empties_a_property(self) -> None:
        account = Account()
        account.put("contacts", "1", pain_point="slow")
        crm_of(account).update("contacts", [write("1", pain_point=None)])
        assert account.records["contacts"]["1"]["properties"]["pain_point"] == ""

    def test_a_stage_that_was_silently_left_is_refused(self) -> None:
        account = Account()
        account.put("contacts", "1", lifecyclestage="salesqualifiedlead")
        (outcome,) = crm_of(account).update("contacts", [write("1", lifecyclestage="lead")])
        assert (outcome.state, outcome.code) == (WriteState.REFUSED, "IGNORED")
        assert outcome.advice

    def test_clearing_first_takes_a_request_of_its_own(self) -> None:
        account = Account()
        account.put("contacts", "1", lifecyclestage="salesqualifiedlead")
        account.put("contacts", "2", lifecyclestage="lead")
        writes = [write("1", clear_first=True, lifecyclestage="lead"), write("2", lifecyclestage="marketingqualifiedlead")]
        outcomes = crm_of(account).update("contacts", writes)
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN] * 2
        assert [row["properties"]["lifecyclestage"] for row in account.records["contacts"].values()] == ["lead", "marketingqualifiedlead"]
        sent = [orjson.loads(request.body or b"")["inputs"] for request in account.log if request.path.endswith("update")]
        assert [[row["properties"]["lifecyclestage"] for row in batch] for batch in sent] == [[""], ["lead", "marketingqualifiedlead"]]

    def test_what_was_cleared_in_vain_is_put_back(self) -> None:
        account = Account()
        account.put("contacts", "1", lifecyclestage="salesqualifiedlead")
        (outcome,) = crm_of(account).update("contacts", [write("1", clear_first=True, lifecyclestage="bad stage")])
        assert (outcome.state, outcome.code) == (WriteState.REFUSED, "INVALID_OPTION")
        assert "put back" in outcome.message
        assert account.records["contacts"]["1"]["properties"]["lifecyclestage"] == "salesqualifiedlead"

    def test_says_when_it_could_not_put_back(self) -> None:
        account = Account()
        account.put("contacts", "1", lifecyclestage="salesqualifiedlead")

        def closed_after_the_first(request: Request) -> None:
            if [path for path in account.paths() if path.endswith("update")]:
                account.told = [Told("update", reply({"category": "INVALID_AUTHENTICATION"}, 401), times=9)]

        account.before = closed_after_the_first
        (outcome,) = crm_of(account).update("contacts", [write("1", clear_first=True, lifecyclestage="lead")])
        assert (outcome.state, outcome.code) == (WriteState.LATER, "CLEARED")
        assert "empty now" in outcome.message

    def test_one_bad_row_does_not_sink_the_others(self) -> None:
        account = Account()
        for number in range(1, 101):
            account.put("contacts", str(number), lifecyclestage="lead")
        bad = {17, 18, 64}
        writes = [write(str(number), timeline="bad choice" if number in bad else "now") for number in range(1, 101)]
        outcomes = crm_of(account).update("contacts", writes)
        refused = {number for number, outcome in enumerate(outcomes, 1) if outcome.state is WriteState.REFUSED}
        assert refused == bad
        assert {outcome.state for number, outcome in enumerate(outcomes, 1) if number not in bad} == {WriteState.WRITTEN}
        assert {outcomes[number - 1].code for number in bad} == {"INVALID_OPTION"}
        assert "timeline" in outcomes[16].message
        assert "bad choice" not in outcomes[16].message, "values may be personal"

    def test_a_property_that_is_not_there_is_found_out_once(self) -> None:
        account = Account()
        for number in range(1, 101):
            account.put("contacts", str(number))
        outcomes = crm_of(account).update("contacts", [write(str(number), nonsense=str(number)) for number in range(1, 101)])
        assert {outcome.code for outcome in outcomes} == {"PROPERTY_DOESNT_EXIST"}
        assert len(account.log) <= 8

    def test_a_record_that_is_gone_is_refused_alone(self) -> None:
        account = Account()
        account.put("contacts", "1")
        outcomes = crm_of(account).update("contacts", [write("404", timeline="now"), write("1", timeline="now")])
        assert [outcome.state for outcome in outcomes] == [WriteState.REFUSED, WriteState.WRITTEN]

    def test_two_writes_to_one_record_keep_their_order(self) -> None:
        account = Account()
        account.put("contacts", "1")
        account.put("contacts", "2")
        writes = [write("1", timeline="now"), write("2", timeline="now"), write("1", timeline="later")]
        outcomes = crm_of(account).update("contacts", writes)
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN] * 3
        assert account.records["contacts"]["1"]["properties"]["timeline"] == "later"
        assert len(account.log) == 2

    def test_a_lost_answer_is_repeated_and_at_last_unknown(self) -> None:
        account = Account()
        account.put("contacts", "1")
        account.told = [Told("update", Unreachable("no answer in time", sent=True), times=99, lost=True)]
        (outcome,) = crm_of(account).update("contacts", [write("1", timeline="now")])
        assert outcome.state is WriteState.UNKNOWN
        assert len(account.log) == 5

    def test_a_limit_is_later(self) -> None:
        account = Account()
        account.put("contacts", "1")
        account.told = [Told("update", reply({"policyName": "TEN_SECONDLY_ROLLING"}, 429), times=99)]
        (outcome,) = crm_of(account).update("contacts", [write("1", timeline="now")])
        assert outcome.state is WriteState.LATER

    def test_a_dead_token_is_raised_while_nothing_was_written(self) -> None:
        account = Account()
        account.told = [Told("update", reply({"category": "INVALID_AUTHENTICATION"}, 401))]
        with pytest.raises(PassStopped):
            crm_of(account).update("contacts", [write("1", timeline="now")])

    def test_nothing_to_write_asks_nothing(self) -> None:
        account = Account()
        assert crm_of(account).update("contacts", []) == []
        assert account.log == []


class TestTasks:
    def test_creates_finds_and_reads_back(self) -> None:
        account = Account()
        crm = crm_of(account)
        writes = [task("rule/1/7"), task("rule/1/8", "8")]

        outcomes = crm.create_tasks(writes)

        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN] * 2
        assert crm.find_tasks([*writes, task("rule/1/9", "9")]) == {"rule/1/7": outcomes[0].id, "rule/1/8": outcomes[1].id}
        assert crm.read_tasks([outcomes[1].id, "999999"]) == {
            outcomes[1].id: {
                "subject": "MQL: Ann",
                "owner_id": "11",
                "due_at": "2026-11-23T11:00:00+00:00",
                "key": task_marker("rule/1/8"),
                "record_id": "8",
            }
        }

    def test_what_it_created_comes_back_in_a_pull(self) -> None:
        account = Account()
        crm = crm_of(account)
        crm.create_tasks([task("rule/1/7")])
        (page,) = pull(crm, "tasks")
        (activity,) = page.activities
        assert (activity.kind, activity.channel, activity.key) == (ActivityKind.TASK, "call", task_marker("rule/1/7"))
        assert (activity.due_at, activity.done, activity.at, activity.contacts) == (DUE, False, None, (contact("7"),))

    def test_a_refused_row_leaves_the_others(self) -> None:
        account = Account()
        outcomes = crm_of(account).create_tasks([task("a"), task("b", owner_id="0"), task("c", owner_id=None)])
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN, WriteState.REFUSED, WriteState.WRITTEN]
        assert len(account.records["tasks"]) == 2

    @pytest.mark.parametrize(
        ("told", "lost"),
        [
            (Unreachable("no answer in time", sent=True), True),
            (Answer(status=502, headers={}, body=b"<html>bad gateway</html>"), True),
            (Answer(status=201, headers={}, body=b'{"results": [{"id": "1'), True),
            (Answer(status=500, headers={}, body=b""), False),
        ],
    )
    def test_a_lost_answer_is_unknown_and_never_repeated(self, told: Answer | Unreachable, lost: bool) -> None:
        account = Account()
        account.told = [Told("create", told, lost=lost)]
        crm = crm_of(account)
        writes = [task("a"), task("b")]
        assert [outcome.state for outcome in crm.create_tasks(writes)] == [WriteState.UNKNOWN] * 2
        assert len([path for path in account.paths() if path.endswith("create")]) == 1
        assert set(crm.find_tasks(writes)) == ({"a", "b"} if lost else set())

    def test_is_repeated_where_hubspot_certainly_did_not_act(self) -> None:
        account = Account()
        account.told = [
            Told("create", reply({"policyName": "TEN_SECONDLY_ROLLING", "message": "…"}, 429)),
            Told("create", Unreachable("the connection was refused", sent=False)),
        ]
        (outcome,) = crm_of(account).create_tasks([task("a")])
        assert outcome.state is WriteState.WRITTEN
        assert len(account.records["tasks"]) == 1

    def test_is_later_where_it_was_never_sent(self) -> None:
        account = Account()
        account.told = [Told("create", Unreachable("the connection was refused", sent=False), times=99)]
        assert [outcome.state for outcome in crm_of(account).create_tasks([task("a")])] == [WriteState.LATER]

    def test_of_two_with_one_key_the_elder_is_found(self) -> None:
        account = Account()
        crm = crm_of(account)
        elder = crm.create_tasks([task("a")])[0].id
        crm.create_tasks([task("a")])
        assert crm.find_tasks([task("a")]) == {"a": elder}
