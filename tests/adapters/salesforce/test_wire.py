"""Salesforce's words: requests, moments, rows, windows, tasks. No network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire import tasks as wire_tasks
from connector.adapters.set_aside import Unreadable
from connector.errors import ObjectStopped
from connector.model import ActivityKind, Direction, RecordRef, TaskSpec, TaskWrite, long_id

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 12, 2, 9, 0, tzinfo=UTC)
OVERLAP = timedelta(minutes=10)
moments = st.datetimes(min_value=datetime(2001, 1, 1), max_value=datetime(2090, 1, 1)).map(lambda m: m.replace(microsecond=0, tzinfo=UTC))  # noqa: DTZ001


def task_row(**values: Any) -> dict[str, Any]:
    """A Task as it stands in an answer."""
    return {
        "attributes": {"type": "Task"},
        "Id": "00Tgg000000001AEAQ",
        "IsDeleted": False,
        "OwnerId": "005gg000000001AAAQ",
        "WhoId": "00Qgg000000001AEAQ",
        "Status": "Completed",
        "IsClosed": True,
        "TaskSubtype": "Call",
        "Type": None,
        "CallType": "Outbound",
        "CallDurationInSeconds": 120,
        "ActivityDate": "2026-12-01",
        "CompletedDateTime": "2026-12-01T10:00:00.000+0000",
        "CreatedDate": "2026-12-01T09:00:00.000+0000",
        "SystemModstamp": "2026-12-01T10:00:00.000+0000",
        **values,
    }


def a_write(key: str = "rule|1|x", **values: Any) -> TaskWrite:
    """A task to create."""
    spec = {
        "purpose": "call",
        "subject": "Call Ada",
        "body": "Why: score 80",
        "due_at": datetime(2026, 12, 1, 23, 30, tzinfo=UTC),
        "priority": "medium",
        "type": "call",
        "owner_id": "005gg000000001AAAQ",
        **values,
    }
    record = RecordRef(crm="salesforce", object="Lead", id="00Qgg000000001AEAQ")
    return TaskWrite(key=key, record=record, task=TaskSpec(**spec))


class TestMoments:
    @pytest.mark.parametrize("text", ["2020-10-22T21:03:23.000+0000", "2020-10-22T21:03:23.000Z", "2020-10-22T23:03:23+02:00"])
    def test_both_texts_are_one_moment(self, text: str) -> None:
        assert wire.moment_of(text) == datetime(2020, 10, 22, 21, 3, 23, tzinfo=UTC)

    def test_a_moment_without_an_offset_is_refused(self) -> None:
        with pytest.raises(ValueError, match="offset"):
            wire.moment_of("2020-10-22T21:03:23")

    @given(moments)
    def test_a_literal_reads_back(self, moment: datetime) -> None:
        assert wire.moment_of(wire.literal(moment)) == moment

    def test_a_literal_is_in_utc(self) -> None:
        assert wire.literal(datetime(2026, 1, 2, 4, 0, tzinfo=timezone(timedelta(hours=1)))) == "2026-01-02T03:00:00Z"

    def test_the_date_header(self) -> None:
        assert wire.server_date({"date": "Wed, 02 Dec 2026 09:00:00 GMT"}) == NOW
        assert wire.server_date({}) is None


class TestRequests:
    @given(st.text(max_size=200))
    def test_soql_arrives_as_it_was_written(self, soql: str) -> None:
        """Umlauts, plus signs, ampersands and quotes too."""
        soql = soql.encode("utf-8", "ignore").decode()
        sent = wire.target(wire.query(f"SELECT {soql}", all_rows=True, about="x"))
        assert parse_qs(urlsplit(sent).query, keep_blank_values=True) == {"q": [f"SELECT {soql}"]}

    def test_a_next_page_on_another_host_is_refused(self) -> None:
        with pytest.raises(ObjectStopped, match="outside"):
            wire.more("https://elsewhere.example/services/data/v64.0/query/x", about="reading Lead")

    def test_a_create_is_not_safe_and_an_upsert_is(self) -> None:
        assert not wire.create("Task", []).safe
        assert wire.upsert("Task", "Handoff_Key__c", []).safe

    def test_rows_say_their_type_and_stand_alone(self) -> None:
        body = orjson.loads(wire.update("Lead", [{"id": "00Q", "Status": None}]).body or b"")
        assert body == {"allOrNone": False, "records": [{"attributes": {"type": "Lead"}, "id": "00Q", "Status": None}]}

    def test_headers_that_a_login_must_not_lose(self) -> None:
        assert wire.session_headers(run_assignment_rules=False)["Sforce-Auto-Assign"] == "FALSE"
        assert wire.session_headers(run_assignment_rules=True)["Sforce-Auto-Assign"] == "TRUE"

    @pytest.mark.parametrize(
        ("header", "usage"),
        [
            ("api-usage=10018/100000", (10018, 100000)),
            ("api-usage=3/5; per-app-api-usage=17/250(appName=x)", (3, 5)),
            ("api-bursts=1/750; api-usage=1/2", (1, 2)),
            ("per-app-api-usage=17/250(appName=x)", None),
            ("", None),
        ],
    )
    def test_api_usage(self, header: str, usage: tuple[int, int] | None) -> None:
        assert wire.api_usage({"sforce-limit-info": header}) == usage


class TestIds:
    @pytest.mark.parametrize("known", ["001D000000IqhSLIAZ", "00Q3000000aBcDeEAK"[:15], "0015500000WO1ZiAAL"])
    def test_the_long_form(self, known: str) -> None:
        assert wire.is_id(known)
        assert wire.is_id(long_id(known[:15]))

    def test_a_suffix_that_is_not_the_ids_own_is_refused(self) -> None:
        assert long_id("001D000000IqhSL") == "001D000000IqhSLIAZ"
        assert not wire.is_id("001D000000IqhSLAAA")
        assert not wire.is_id("no id")


class TestWindow:
    def test_the_first_pull_has_no_beginning(self) -> None:
        window = wire_query.StampWindow.opened(None, now=NOW, overlap=OVERLAP)
        assert window.full
        assert window.where("SystemModstamp") == "SystemModstamp <= 2026-12-02T09:00:00Z"

    def test_the_next_one_reaches_back_by_the_overlap(self) -> None:
        window = wire_query.StampWindow.opened({"since": "2026-12-02T08:55:00Z"}, now=NOW, overlap=OVERLAP)
        assert not window.full
        assert window.where("S") == "S <= 2026-12-02T09:00:00Z AND S >= 2026-12-02T08:45:00Z"
        assert window.done() == {"since": "2026-12-02T09:00:00Z"}

    def test_a_silence_longer_than_the_recycle_bin_reads_everything(self) -> None:
        assert wire_query.StampWindow.opened({"since": "2026-11-16T09:00:00Z"}, now=NOW, overlap=OVERLAP).full

    def test_ties_are_walked_by_id(self) -> None:
        window = wire_query.StampWindow(until=NOW, key=("2026-12-01T00:00:00.000+0000", "00Qgg000000001AEAQ"))
        assert "((S = 2026-12-01T00:00:00Z AND Id > '00Qgg000000001AEAQ') OR S > 2026-12-01T00:00:00Z)" in window.where("S")

    @given(until=moments, since=st.none() | moments, stamp=st.none() | moments, full=st.booleans())
    def test_a_cursor_survives_json(self, until: datetime, since: datetime | None, stamp: datetime | None, full: bool) -> None:
        key = (wire.literal(stamp), "00Qgg000000001AEAQ") if stamp else None
        window = wire_query.StampWindow(until=until, since=since, key=key, full=full)
        stored = orjson.loads(orjson.dumps(window.cursor()))
        assert wire_query.StampWindow.opened(stored, now=NOW, overlap=OVERLAP) == window

    @given(since=st.none() | moments, until=moments)
    def test_halving_ends(self, since: datetime | None, until: datetime) -> None:
        window: wire_query.StampWindow | None = wire_query.StampWindow(until=until, since=since)
        steps = 0
        while window is not None and steps < 100:
            window, steps = window.halved(), steps + 1
        assert window is None


class TestLookUps:
    @given(st.lists(st.text(max_size=40).map(lambda t: t.encode("utf-8", "ignore").decode()), max_size=60))
    def test_every_value_is_asked_for_once_and_every_query_fits(self, values: list[str]) -> None:
        queries = list(wire_query.by_values("Task", ("Id",), "Key__c", values, where="IsDeleted = false"))
        assert all(len(wire.target(wire.query(soql, all_rows=True, about=""))) <= wire.LONGEST_TARGET for soql in queries)
        asked = ",".join(soql[soql.index("(") + 1 : soql.rindex(")")] for soql in queries)
        assert asked == ",".join(wire_query.quoted(value) for value in values)

    def test_two_hundred_markers_take_one_query(self) -> None:
        markers = [wire_tasks.task_marker(str(n)) for n in range(200)]
        assert len(list(wire_query.by_values("Task", ("Id", "Handoff_Key__c"), "Handoff_Key__c", markers, where="IsDeleted = false"))) == 1

    def test_a_quote_cannot_leave_its_text(self) -> None:
        assert wire_query.quoted("a' OR Id != '\\") == "'a\\' OR Id != \\'\\\\'"

    def test_a_field_that_is_no_name_is_refused(self) -> None:
        with pytest.raises(ObjectStopped, match="no name of a field"):
            wire_query.select("Lead", ["Id", "Name FROM User"])

    @given(st.lists(st.from_regex(r"[A-Z][a-z]{0,30}__c", fullmatch=True), max_size=400))
    def test_fields_are_asked_for_once_and_fit(self, others: list[str]) -> None:
        here, later = wire_query.split_fields(["Id"], others, room=2000)
        folded = [name.lower() for name in (*here, *later)]
        assert sorted(folded) == sorted({"id", *(name.lower() for name in others)})
        assert len(",%20".join(here)) <= 2000


class TestRecords:
    def test_properties_are_those_wanted(self) -> None:
        row = {
            "Id": "00Qgg000000001AEAQ", "OwnerId": "00Ggg000000001AEAQ", "Email": "a@b.example", "IsDeleted": True, "Extra": 1,
            "CreatedDate": "2026-12-01T09:00:00.000+0000", "SystemModstamp": "2026-12-01T10:00:00.000+0000",
            "ConvertedContactId": "003gg000000001AAAQ",
        }  # fmt: skip
        record = wire_records.record("Lead", row, ["Email", "Missing__c"])
        assert record.properties == {"Email": "a@b.example", "Missing__c": None}
        assert (record.owner_id, record.converted_to, record.archived) == ("00Ggg000000001AEAQ", "003gg000000001AAAQ", True)

    def test_names_may_be_written_in_any_case(self) -> None:
        row = {"Id": "00Qgg000000001AEAQ", "Email": "a@b.example"}
        assert wire_records.record("Lead", row, ["email"]).properties == {"email": "a@b.example"}

    @pytest.mark.parametrize("row", [{}, {"Id": 5}, {"Id": "x", "CreatedDate": "yesterday"}, {"Id": "x", "OwnerId": 7}])
    def test_a_row_that_cannot_be_read_says_why_without_its_values(self, row: dict[str, Any]) -> None:
        with pytest.raises(Unreadable) as caught:
            wire_records.record("Lead", row, [])
        assert "yesterday" not in str(caught.value)

    @pytest.mark.parametrize("field", ["Owner", "ownerAccepted", "ownerAssignment"])
    def test_an_owner_may_come_from_a_queue_or_a_rule(self, field: str) -> None:
        ids = {"OldValue": "00Ggg0000000001EAA", "NewValue": "005gg0000000001AAA"}
        row = {"Id": "017gg0000000001", "LeadId": "00Qgg0000000001EAA", "Field": field, "CreatedDate": "2026-12-02T09:00:00.000+0000"}
        change = wire_records.change({**row, **ids})
        assert change is not None
        assert (change.property, change.before, change.after) == ("OwnerId", ids["OldValue"], ids["NewValue"])
        assert wire_records.change({**row, "OldValue": "InboundQueueXYZ", "NewValue": "MarketingQueueB"}) is None  # names of 15 letters

    def test_an_owners_name_in_history_says_nothing(self) -> None:
        row = {
            "Id": "017", "LeadId": "00Q", "Field": "Owner", "OldValue": "Ada", "NewValue": "Ben", "CreatedDate": "2026-12-01T09:00:00Z"
        }  # fmt: skip
        assert wire_records.change(row) is None
        ids = wire_records.change({**row, "OldValue": "005gg000000001AAAQ", "NewValue": "005gg000000002AAAQ"})
        assert ids is not None
        assert (ids.property, ids.after) == ("OwnerId", "005gg000000002AAAQ")


class TestTasks:
    def test_a_closed_call_happened_when_it_was_completed(self) -> None:
        call = wire_records.task(task_row(), key="", zone=BERLIN)
        assert (call.kind, call.direction, call.happened, call.done) == (ActivityKind.CALL, Direction.OUTGOING, True, True)
        assert call.at == datetime(2026, 12, 1, 10, tzinfo=UTC)
        assert call.duration_seconds == 120
        assert call.contacts == (RecordRef(crm="salesforce", object="Lead", id="00Qgg000000001AEAQ"),)

    def test_an_inbound_call_came_in(self) -> None:
        assert wire_records.task(task_row(CallType="Inbound"), key="", zone=BERLIN).direction is Direction.INCOMING

    def test_an_open_call_is_a_task_that_asks_for_a_call(self) -> None:
        task = wire_records.task(task_row(IsClosed=False, Status="Not Started", CompletedDateTime=None), key="m", zone=BERLIN)
        assert (task.kind, task.channel, task.key) == (ActivityKind.TASK, "call", "m")
        assert (task.happened, task.done, task.at) == (False, False, None)

    def test_a_due_day_is_one_of_the_business(self) -> None:
        assert wire_records.task(task_row(), key="", zone=BERLIN).due_at == datetime(2026, 11, 30, 23, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("subtype", "type_", "kind", "automatic"),
        [
            ("Task", None, ActivityKind.TASK, False),
            ("Task", "Call", ActivityKind.CALL, False),
            ("Email", None, ActivityKind.EMAIL, False),
            ("ListEmail", None, ActivityKind.EMAIL, True),
            ("Cadence", "Email", ActivityKind.EMAIL, True),
            (None, "Meeting", ActivityKind.TASK, False),
        ],
    )
    def test_kinds(self, subtype: str | None, type_: str | None, kind: ActivityKind, automatic: bool) -> None:
        task = wire_records.task(task_row(TaskSubtype=subtype, Type=type_), key="", zone=BERLIN)
        assert (task.kind, task.automatic) == (kind, automatic)

    def test_a_call_logged_for_another_day_stands_at_its_beginning(self) -> None:
        late = wire_records.task(task_row(CompletedDateTime=None, ActivityDate="2026-11-27"), key="", zone=BERLIN)
        assert late.at == datetime(2026, 11, 26, 23, tzinfo=UTC)
        same_day = wire_records.task(task_row(CompletedDateTime=None), key="", zone=BERLIN)
        assert same_day.at == same_day.created_at

    def test_a_deleted_task_did_not_happen(self) -> None:
        gone = wire_records.task(task_row(IsDeleted=True), key="", zone=BERLIN)
        assert gone.archived
        assert not gone.happened

    def test_a_meeting_is_at_its_start(self) -> None:
        row = {"Id": "00U", "WhoId": "003gg000000001AAAQ", "StartDateTime": "2026-12-01T10:00:00.000+0000", "DurationInMinutes": 30}
        meeting = wire_records.event(row, zone=BERLIN)
        assert (meeting.kind, meeting.duration_seconds) == (ActivityKind.MEETING, 1800.0)
        assert meeting.at == datetime(2026, 12, 1, 10, tzinfo=UTC)
        assert meeting.contacts[0].object == "Contact"
        assert not wire_records.event({**row, "IsDeleted": True}, zone=BERLIN).happened

    @pytest.mark.parametrize("series", [{"IsRecurrence": True}, {"GroupEventType": "3"}])
    def test_what_stands_for_a_series_is_no_meeting_of_its_own(self, series: dict[str, object]) -> None:
        row = {"Id": "00U000000000001AAA", "StartDateTime": "2026-12-01T09:00:00.000+0000", "IsDeleted": False, "GroupEventType": "0"}
        assert wire_records.event(row, zone=BERLIN).happened
        assert not wire_records.event({**row, **series}, zone=BERLIN).happened

    def test_what_stands_for_a_series_of_tasks_is_none_that_was_done(self) -> None:
        assert not wire_records.task(task_row(IsRecurrence=True), key="", zone=BERLIN).happened


class TestCreating:
    @given(st.text())
    def test_markers_are_short_and_the_same_for_the_same_key(self, key: str) -> None:
        key = key.encode("utf-8", "ignore").decode()
        assert wire_tasks.task_marker(key) == wire_tasks.task_marker(key)
        assert len(wire_tasks.task_marker(key)) == wire_tasks.MARKER_LENGTH <= 64

    def test_the_day_is_the_businesss(self) -> None:
        """23:30 in UTC is the next day in Berlin."""
        assert wire_tasks.fields(a_write(), zone=BERLIN, key_field="K__c")["ActivityDate"] == "2026-12-02"
        assert wire_tasks.fields(a_write(), zone=UTC, key_field="K__c")["ActivityDate"] == "2026-12-01"

    def test_what_salesforce_takes(self) -> None:
        reminder = datetime(2026, 12, 1, 8, tzinfo=UTC)
        values = wire_tasks.fields(a_write(subject="s" * 300, priority="high", reminder_at=reminder), zone=UTC, key_field="K__c")
        assert (len(values["Subject"]), values["Priority"], values["TaskSubtype"]) == (255, "High", "Call")
        assert (values["IsReminderSet"], values["ReminderDateTime"]) == (True, "2026-12-01T08:00:00Z")
        assert values["K__c"] == wire_tasks.task_marker("rule|1|x")
        assert "Status" not in values

    @given(body=st.text(max_size=40_000), key=st.text(max_size=50).map(lambda t: t.encode("utf-8", "ignore").decode()))
    def test_without_a_key_field_the_last_line_tells(self, body: str, key: str) -> None:
        values = wire_tasks.fields(a_write(key, body=body), zone=UTC, key_field=None)
        assert len(values["Description"]) <= wire_tasks.LONGEST_DESCRIPTION
        assert wire_tasks.marker_of(values, None) == wire_tasks.task_marker(key)

    def test_others_tasks_are_not_ours(self) -> None:
        assert wire_tasks.marker_of({"Description": "please call\nthanks"}, None) == ""
        assert wire_tasks.marker_of({"Description": None}, None) == ""
        assert wire_tasks.marker_of({"K__c": None}, "K__c") == ""

    def test_of_two_with_one_marker_the_older_counts(self) -> None:
        marker = wire_tasks.task_marker("k")
        rows = [{"Id": "00T2", "K__c": marker}, {"Id": "00T1", "K__c": marker.upper()}, {"Id": "00T0", "K__c": "other"}]
        assert wire_tasks.found(rows, [a_write("k")], "K__c") == {"k": "00T1"}
