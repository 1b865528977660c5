"""HubSpot on the wire: which requests are built, and how answers are read. No network, no adapter."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapters.client import Answer, Request
from connector.adapters.hubspot.wire.activities import read_activity
from connector.adapters.hubspot.wire.histories import read_history
from connector.adapters.hubspot.wire.records import Listing, inline_contacts, read_links, read_listing, read_owner, read_record
from connector.adapters.hubspot.wire.requests import (
    VERSIONS,
    Api,
    SearchRange,
    batches,
    find_marker,
    properties_to_ask,
    task_marker,
    to_millis,
)
from connector.adapters.hubspot.wire.values import parse_moment
from connector.adapters.hubspot.wire.writes import read_batch, task_body, task_rows, update_rows
from connector.errors import ObjectStopped
from connector.model import (
    Activity,
    ActivityKind,
    Direction,
    FieldChange,
    FieldWrite,
    Owner,
    Record,
    RecordRef,
    SetAside,
    TaskSpec,
    TaskWrite,
    WriteState,
)  # fmt: skip

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def ok(content: Any, status: int = 200) -> Answer:
    return Answer(status=status, headers={}, body=orjson.dumps(content))


def body(request: Request) -> Any:
    assert request.body is not None
    return orjson.loads(request.body)


class TestRequests:
    def test_every_path_of_a_version_comes_from_its_row(self) -> None:
        for version, paths in VERSIONS.items():
            api = Api(version)
            built = [
                api.list_page("contacts", [], None),
                api.search("contacts", [], [SearchRange(since=1, until=2)]),
                api.pipelines("deals"),
                api.batch_read("contacts", [], []),
                api.batch_update("contacts", []),
                api.batch_create("tasks", []),
                api.associations("contacts", "companies", []),
                api.owners(None, archived=False),
                api.properties("contacts"),
                api.account(),
            ]
            known = tuple(getattr(paths, name) for name in ("objects", "properties", "associations", "owners", "account", "pipelines"))
            assert all(request.path.startswith(known) for request in built)
            dated = {bool(re.search(r"/20\d\d-\d\d", request.path)) for request in built}
            assert dated == {version != "v3"}

    def test_the_search_is_a_closed_window_oldest_first(self) -> None:
        request = Api().search("contacts", ["email"], [SearchRange(since=5, until=9)], by="modified")
        assert body(request) == {
            "filterGroups": [
                {
                    "filters": [
                        {"propertyName": "lastmodifieddate", "operator": "GTE", "value": "5"},
                        {"propertyName": "lastmodifieddate", "operator": "LTE", "value": "9"},
                    ]
                }
            ],
            "sorts": [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}],
            "properties": ["email"],
            "limit": 200,
        }
        assert (request.bucket, request.safe) == ("search", True)

    def test_within_one_millisecond_it_goes_by_id(self) -> None:
        sent = body(Api().search("tasks", [], [SearchRange(since=5, until=5, above="77")]))
        assert [(rule["propertyName"], rule["operator"], rule["value"]) for rule in sent["filterGroups"][0]["filters"]] == [
            ("hs_lastmodifieddate", "GTE", "5"), ("hs_lastmodifieddate", "LTE", "5"), ("hs_object_id", "GT", "77"),
        ]  # fmt: skip
        assert sent["sorts"] == [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]

    def test_contacts_alone_have_another_modified_property(self) -> None:
        """The wrong one gives no rows and no error."""
        assert "lastmodifieddate" in properties_to_ask("contacts", [])
        for name in ("companies", "calls", "emails", "meetings", "tasks"):
            assert "hs_lastmodifieddate" in properties_to_ask(name, [])

    def test_asks_for_each_property_once(self) -> None:
        asked = properties_to_ask("contacts", ["email", "hubspot_owner_id", "email"])
        assert asked == ["email", "hubspot_owner_id", "hs_merged_object_ids", "hs_additional_emails", "lastmodifieddate"]

    def test_downwards_it_may_have_several_spans_or_none(self) -> None:
        sent = body(Api().search("contacts", [], [SearchRange(first=10**15), SearchRange(below=7, last="9")], down=True, limit=1))
        assert [[(rule["operator"], rule["value"]) for rule in group["filters"]] for group in sent["filterGroups"]] == [
            [("GTE", "1000000000000000")], [("LTE", "9"), ("LT", "7")],
        ]  # fmt: skip
        assert (sent["sorts"], sent["limit"]) == ([{"propertyName": "hs_object_id", "direction": "DESCENDING"}], 1)
        assert "filterGroups" not in body(Api().search("contacts", [], []))

    def test_only_engagements_and_deals_are_listed_with_their_contacts(self) -> None:
        assert "associations" not in Api().list_page("contacts", [], None).query
        assert Api().list_page("calls", [], "9").query == {
            "limit": "100", "properties": "", "archived": "false", "associations": "contacts", "after": "9",
        }  # fmt: skip

    def test_a_create_alone_may_not_be_repeated(self) -> None:
        assert not Api().batch_create("tasks", []).safe
        assert Api().batch_update("contacts", []).safe
        assert Api().batch_read("contacts", [], []).safe

    def test_batches_have_each_id_once(self) -> None:
        assert batches(["1", "2", "1", "3"], 2) == [["1", "2"], ["3"]]
        assert batches([], 2) == []


class TestMarker:
    @given(st.text(), st.text(max_size=200))
    def test_is_found_again_in_any_body(self, key: str, text: str) -> None:
        assert find_marker(task_body(text, key)) == task_marker(key)

    @given(st.text(), st.text())
    def test_is_short_and_tells_keys_apart(self, one: str, other: str) -> None:
        assert len(task_marker(one)) <= 40
        assert (task_marker(one) == task_marker(other)) == (one == other)

    def test_survives_what_people_and_hubspot_do_to_a_body(self) -> None:
        mark = task_marker("k")
        for text in (f"<div>Called.</div><p>Ref:&nbsp;{mark}</p>", f"Ref: {mark}.", f"{mark}<br>done"):
            assert find_marker(text) == mark
        assert find_marker("Ref: connector/abc") == find_marker(f"x{mark}0") == find_marker("") == ""

    def test_a_body_is_html_and_cannot_become_markup(self) -> None:
        assert task_body("Ann <b> & Co\nnext", "k") == f"Ann &lt;b&gt; &amp; Co<br>next<br>Ref: {task_marker('k')}"

    def test_a_long_body_is_cut_and_keeps_its_mark(self) -> None:
        for text in ("line\n" * 50_000, "&" * 200_000):
            made = task_body(text, "k")
            assert len(made) <= 65_536
            assert find_marker(made) == task_marker("k")


class TestMoments:
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2026-11-20T09:00:00Z", AT),
            ("2026-11-20T09:00:00.123Z", AT + timedelta(milliseconds=123)),
            ("2026-11-20T10:00:00+01:00", AT),
            ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
            ("1795165200000", AT),
            ("-1", datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        ],
    )
    def test_are_read(self, text: str, moment: datetime) -> None:
        assert parse_moment(text) == moment
        assert parse_moment(text).tzinfo is UTC

    @pytest.mark.parametrize("text", ["yesterday", "9" * 30, "2026-13-01", "0001-01-01T00:00:00+14:00", "²", "9" * 5000])
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            parse_moment(text)

    @given(st.integers(-(10**15), 10**16).map(lambda micros: EPOCH + timedelta(microseconds=micros)))
    def test_milliseconds_round_down_and_come_back(self, moment: datetime) -> None:
        millis = to_millis(moment)
        back = parse_moment(str(millis))
        assert timedelta(0) <= moment - back < timedelta(milliseconds=1)
        assert to_millis(back) == millis


def record(**properties: Any) -> dict[str, Any]:
    return {"id": "5", "properties": properties, "createdAt": "2026-11-01T00:00:00Z", "updatedAt": "2026-11-20T09:00:00Z"}


def activity(name: str, **properties: Any) -> Activity:
    read = read_activity(name, record(**properties), ["7"])
    assert isinstance(read, Activity)
    return read


class TestActivities:
    @pytest.mark.parametrize(
        ("direction", "status", "expected"),
        [
            ("OUTBOUND", "COMPLETED", (Direction.OUTGOING, True)),
            ("OUTBOUND", "NO_ANSWER", (Direction.OUTGOING, True)),
            ("OUTBOUND", None, (Direction.OUTGOING, True)),
            ("OUTBOUND", "QUEUED", (Direction.OUTGOING, False)),
            ("OUTBOUND", "FAILED", (Direction.OUTGOING, False)),
            ("INBOUND", "COMPLETED", (Direction.INCOMING, True)),
            (None, "COMPLETED", (None, True)),
        ],
    )
    def test_calls(self, direction: str | None, status: str | None, expected: tuple[Direction | None, bool]) -> None:
        call = activity("calls", hs_timestamp="2026-11-20T09:00:00Z", hs_call_direction=direction, hs_call_status=status)
        assert (call.direction, call.happened) == expected
        assert (call.kind, call.at, call.contacts[0].id, call.automatic) == (ActivityKind.CALL, AT, "7", False)

    def test_calls_have_an_outcome_and_a_duration(self) -> None:
        connected = "f240bbac-87c9-4f6e-bf70-924b57d47db7"
        call = activity("calls", hs_call_disposition=connected, hs_call_duration="90500", hubspot_owner_id="11")
        assert (call.outcome, call.duration_seconds, call.owner_id) == ("connected", 90.5, "11")
        assert activity("calls", hs_call_disposition="a-custom-one").outcome == "a-custom-one"

    @pytest.mark.parametrize(
        ("direction", "status", "expected"),
        [
            ("EMAIL", "SENT", (Direction.OUTGOING, True)),
            *[("EMAIL", status, (Direction.OUTGOING, False)) for status in ("BOUNCED", "FAILED", "SCHEDULED", "SENDING", None)],
            ("INCOMING_EMAIL", "SENT", (Direction.INCOMING, True)),
            ("INCOMING_EMAIL", None, (Direction.INCOMING, True)),
            ("FORWARDED_EMAIL", "SENT", (None, True)),
        ],
    )
    def test_emails(self, direction: str, status: str | None, expected: tuple[Direction | None, bool]) -> None:
        email = activity("emails", hs_timestamp="1795165200000", hs_email_direction=direction, hs_email_status=status)
        assert (email.direction, email.happened) == expected
        assert (email.kind, email.at) == (ActivityKind.EMAIL, AT)

    @pytest.mark.parametrize(
        ("properties", "automatic"),
        [({}, False), ({"hs_sequence_id": "41001"}, True), ({"hs_object_source": "AUTOMATION_PLATFORM"}, True),
         ({"hs_object_source": "EMAIL_INTEGRATION"}, False)],
    )  # fmt: skip
    def test_emails_of_sequences_and_tools_are_automatic(self, properties: dict[str, str], automatic: bool) -> None:
        assert activity("emails", hs_email_direction="EMAIL", hs_email_status="SENT", **properties).automatic is automatic

    @pytest.mark.parametrize(
        ("outcome", "happened"),
        [("COMPLETED", True), ("SCHEDULED", True), (None, True), ("NO_SHOW", True), ("RESCHEDULED", True), ("CANCELED", False),
         ("CANCELLED", False)],
    )  # fmt: skip
    def test_meetings_count_from_their_start_unless_cancelled(self, outcome: str | None, happened: bool) -> None:
        meeting = activity(
            "meetings",
            hs_timestamp="2026-11-19T00:00:00Z",
            hs_meeting_start_time="2026-11-20T09:00:00Z",
            hs_meeting_end_time="2026-11-20T09:30:00Z",
            hs_meeting_outcome=outcome,
        )
        assert (meeting.happened, meeting.at, meeting.duration_seconds) == (happened, AT, 1800.0)

    def test_tasks(self) -> None:
        due, completed = "2026-11-21T09:00:00Z", "2026-11-20T09:00:00Z"
        done = activity("tasks", hs_timestamp=due, hs_task_status="COMPLETED", hs_task_completion_date=completed, hs_task_type="EMAIL")
        assert (done.done, done.happened, done.at, done.due_at) == (True, True, AT, AT + timedelta(days=1))
        assert (done.channel, done.key) == ("email", "")
        for status in ("NOT_STARTED", "IN_PROGRESS", "WAITING", "DEFERRED", None):
            task = activity("tasks", hs_timestamp=due, hs_task_status=status, hs_task_completion_date=completed, hs_task_type="TODO")
            assert (task.done, task.happened, task.at, task.channel) == (False, False, None, None)


_WILD = st.none() | st.text(max_size=12) | st.integers() | st.floats() | st.booleans() | st.lists(st.integers(), max_size=2)
_RAW = st.dictionaries(
    st.sampled_from(["id", "properties", "createdAt", "updatedAt", "archived", "associations", "email", "firstName", "type"]),
    _WILD
    | st.dictionaries(
        st.sampled_from(["hs_timestamp", "hs_task_status", "hs_call_duration", "hs_meeting_start_time", "hs_task_body", "email"]),
        _WILD,
    ),
)


@given(raw=_RAW | _WILD, name=st.sampled_from(["calls", "emails", "meetings", "tasks"]))
def test_whatever_comes_is_read_or_set_aside(raw: Any, name: str) -> None:
    """Nothing that HubSpot could send makes a pull fail, and nothing is dropped in silence."""
    assert isinstance(read_activity(name, raw, []), Activity | SetAside)
    assert isinstance(read_owner(raw, archived=False), Owner | SetAside)
    found = read_record("contacts", raw, ["email"])
    assert isinstance(found, Record | SetAside)
    if isinstance(found, SetAside):
        assert found.record.id
        assert found.reason
        assert found.next_step
    else:
        (value,) = found.properties.values()
        assert value is None or value.encode()


class TestAnswers:
    def test_a_page_without_a_next_is_the_last(self) -> None:
        listing = read_listing(ok({"results": [1], "paging": {"next": {"after": "200", "link": "…"}}, "total": 3}))
        assert listing == Listing(results=[1], after="200", total=3, errors=[])
        assert read_listing(ok({"results": []})).after is None

    def test_links_join_ids_of_both_kinds(self) -> None:
        """`toObjectId` is a number, ids are text; a record without links comes as an error."""
        links = read_links(
            ok(
                {
                    "results": [
                        {
                            "from": {"id": "7"},
                            "to": [
                                {"toObjectId": 90, "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None}]},
                                {"toObjectId": 91, "associationTypes": [{"category": "USER_DEFINED", "typeId": 1, "label": "Partner"}]},
                                {
                                    "toObjectId": 92,
                                    "associationTypes": [
                                        {"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"},
                                        {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None},
                                    ],
                                },
                            ],
                            "paging": {"next": {"after": "500"}},
                        }
                    ],
                    "errors": [{"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND"}],
                },
                207,
            )
        )
        assert links.ids("7") == ["90", "91", "92"]
        assert links.primary("7") == "92"
        assert (links.primary("8"), links.ids("8")) == (None, [])
        assert links.unfinished == [("7", "500")]

    def test_links_of_one_record_that_come_in_two_parts_are_all_there(self) -> None:
        parts = [{"from": {"id": "7"}, "to": [{"toObjectId": number, "associationTypes": []}]} for number in (90, 91)]
        assert read_links(ok({"results": parts})).ids("7") == ["90", "91"]

    @given(raw=_RAW | _WILD, results=st.lists(_RAW | _WILD, max_size=3))
    def test_links_of_any_shape_are_read(self, raw: Any, results: list[Any]) -> None:
        ends = [raw, {"toObjectId": 1, "associationTypes": results}]
        wild = {"results": [{"from": raw, "to": results}, {"from": {"id": "7"}, "to": ends}], "paging": raw}
        links = read_links(Answer(status=200, headers={}, body=json.dumps(wild).encode()))
        assert links.ids("7")[-1] == "1"
        assert inline_contacts({"associations": {"contacts": {"results": [*results, {"id": "9"}]}}})[0][-1] == "9"
        assert isinstance(inline_contacts(raw)[0], list)

    def test_links_that_could_not_be_read_are_an_error(self) -> None:
        """Else contacts would lose their company in silence."""
        with pytest.raises(ObjectStopped):
            read_links(ok({"results": [], "errors": [{"category": "INTERNAL_ERROR"}]}, 207))


def field_write(record_id: str) -> FieldWrite:
    return FieldWrite(record=RecordRef(crm="hubspot", object="contacts", id=record_id), properties={"a": "1", "b": None})


class TestBatches:
    def test_none_is_sent_as_an_empty_text(self) -> None:
        (row,) = update_rows([field_write("5")], [0])
        assert row.input == {"id": "5", "properties": {"a": "1", "b": ""}, "objectWriteTraceId": "row-0"}

    @pytest.mark.parametrize("context", [{"objectWriteTraceId": ["row-1"]}, {"id": ["6"]}, {"ids": ["6"]}, {"ids": [6]}, {"ids": "6"}])
    def test_errors_find_their_rows(self, context: dict[str, Any]) -> None:
        rows = update_rows([field_write("5"), field_write("6"), field_write("7")], [0, 1, 2])
        error = {"status": "error", "category": "VALIDATION_ERROR", "message": "secret@kunde.example", "context": context}
        batch = read_batch(ok({"results": [{"id": "7"}, {"id": "5"}], "errors": [error]}, 207), rows)
        assert set(batch.results) == {"row-0", "row-2"}
        assert batch.refused["row-1"].state is WriteState.REFUSED
        assert "secret" not in str(batch.refused)

    def test_an_error_that_names_no_row_belongs_to_the_one_without_a_result(self) -> None:
        rows = update_rows([field_write("5"), field_write("6")], [0, 1])
        batch = read_batch(ok({"results": [{"id": "5"}], "errors": [{"category": "VALIDATION_ERROR"}]}, 207), rows)
        assert list(batch.refused) == ["row-1"]

    def test_where_it_is_not_clear_nothing_is_claimed(self) -> None:
        rows = update_rows([field_write("5"), field_write("6")], [0, 1])
        assert read_batch(ok({"results": [], "errors": [{"category": "VALIDATION_ERROR"}]}, 207), rows).refused == {}

    def test_a_task_is_created_with_its_association_owner_and_reminder(self) -> None:
        spec = TaskSpec(
            purpose="p", subject="Call Ann", body="b", due_at=AT, priority="medium", type="todo", owner_id="11",
            reminder_at=AT - timedelta(minutes=30),
        )  # fmt: skip
        (row,) = task_rows([TaskWrite(key="k", record=RecordRef(crm="hubspot", object="contacts", id="7"), task=spec)])
        assert row.input == {
            "properties": {
                "hs_timestamp": "1795165200000",
                "hs_task_subject": "Call Ann",
                "hs_task_body": f"b<br>Ref: {task_marker('k')}",
                "hs_task_status": "NOT_STARTED",
                "hs_task_priority": "MEDIUM",
                "hs_task_type": "TODO",
                "hubspot_owner_id": "11",
                "hs_task_reminders": "1795163400000",
            },
            "associations": [{"to": {"id": "7"}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]}],
            "objectWriteTraceId": task_marker("k"),
        }


class TestHistories:
    def raw(self, *entries: dict[str, Any]) -> dict[str, Any]:
        return {"id": "151", "properties": {}, "propertiesWithHistory": {"hs_lead_status": list(entries)}}

    def changes(self, raw: Any) -> list[FieldChange]:
        found = read_history("contacts", raw, ["hs_lead_status", "lifecyclestage"])
        assert not isinstance(found, SetAside)
        return found

    def test_the_oldest_first_with_who(self) -> None:
        newest = {"value": "OPEN", "timestamp": "2026-11-02T10:00:00.123Z", "sourceType": "CRM_UI", "updatedByUserId": 5200001}
        before = {"value": "NEW", "timestamp": "2026-11-01T10:00:00Z", "sourceType": "AUTOMATION_PLATFORM", "sourceId": "enroll:9"}
        first, second = self.changes(self.raw(newest, before))
        assert (first.before, first.after, first.source, first.who) == (None, "NEW", "AUTOMATION_PLATFORM", None)
        assert (second.before, second.after, second.source, second.who) == ("NEW", "OPEN", "CRM_UI", "5200001")
        assert second.at == datetime(2026, 11, 2, 10, 0, 0, 123000, tzinfo=UTC)
        assert second.id == "151/hs_lead_status/1793613600123"

    def test_the_user_may_stand_in_the_source_alone(self) -> None:
        (change,) = self.changes(self.raw({"value": "NEW", "timestamp": "2026-11-01T10:00:00Z", "sourceId": "userId:77"}))
        assert change.who == "77"

    def test_what_repeats_the_value_is_no_change_and_one_emptied_is(self) -> None:
        values = ("", "OPEN", "OPEN", "NEW")  # newest first
        entries = [{"value": value, "timestamp": f"2026-11-0{9 - place}T10:00:00Z"} for place, value in enumerate(values)]
        assert [change.after for change in self.changes(self.raw(*entries))] == ["NEW", "OPEN", None]

    def test_two_in_one_millisecond_have_ids_of_their_own(self) -> None:
        same = "2026-11-01T10:00:00Z"
        ids = [change.id for change in self.changes(self.raw({"value": "B", "timestamp": same}, {"value": "A", "timestamp": same}))]
        assert len(set(ids)) == 2

    @pytest.mark.parametrize("entry", [{"value": "A"}, {"value": "A", "timestamp": "soon"}, {"value": ["A"], "timestamp": 1}])
    def test_what_cannot_be_read_sets_the_record_aside(self, entry: dict[str, Any]) -> None:
        found = read_history("contacts", self.raw(entry), ["hs_lead_status"])
        assert isinstance(found, SetAside)
        assert found.record.id == "151"

    def test_without_histories_there_is_nothing(self) -> None:
        assert self.changes({"id": "151"}) == []
