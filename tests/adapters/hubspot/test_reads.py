"""HubSpot through the port, beside pulls and writes: counts, refills, links, a person's activities, schemas; versions, lanes and limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapters.client import Answer, Lane, NoBudget
from connector.adapters.hubspot import HubSpotCrm
from connector.adapters.hubspot.wire.requests import ENGAGEMENTS
from connector.errors import ObjectStopped, PassStopped, Retriable
from connector.model import ActivityKind, Cursor, FieldType, FieldWrite, HubSpotAccess, Page, PropertyFacts, RecordRef, TaskSpec, TaskWrite
from tests.adapters.hubspot.fake_account import START, Account, Told, millis, reply
from tests.adapters.secrets import PlainSecret

NOW = START + timedelta(hours=1)
WANTED = {"contacts": ["email"], "companies": ["industry"]}


class Noting(NoBudget):
    """Remembers the lanes, and what it was told."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self.learnt: list[tuple[str, int, int]] = []

    def take(self, bucket: Any, lane: Lane = "normal") -> None:
        self.lanes.append(lane)

    def learn(self, limit: str, used: int, of: int) -> None:
        self.learnt.append((limit, used, of))


def crm_of(account: Account, version: str = "v3", **options: Any) -> HubSpotCrm:
    token = PlainSecret("pat-eu1-test")
    settings = HubSpotAccess(access_token=token, base_url="http://127.0.0.1:9", api_version=version)
    given_options = {"wanted": WANTED, "budget": NoBudget(), "sleep": lambda seconds: None, "send": account.send, **options}
    return HubSpotCrm(settings, **given_options)


def contact(record_id: str) -> RecordRef:
    return RecordRef(crm="hubspot", object="contacts", id=record_id)


class TestCount:
    @given(
        held=st.sets(st.integers(1, 10**13), max_size=40),
        first=st.integers(0, 10**13),
        last=st.integers(0, 10**13),
    )
    def test_is_that_of_the_ids_between(self, held: set[int], first: int, last: int) -> None:
        account = Account()
        for each in held:
            account.put("contacts", str(each))
        crm = crm_of(account)
        assert crm.countable("contacts")
        assert crm.count("contacts", first, last) == len([each for each in held if first <= each <= last])

    def test_is_not_to_be_had_where_ids_are_compared_as_text(self) -> None:
        account = Account(ids_as_text=True)
        for each in ("9", "151", "20"):
            account.put("calls", each)
        crm = crm_of(account)
        assert [crm.countable("calls"), crm.countable("calls")] == [False, False]
        assert len(account.log) == 1

    def test_the_order_is_proved_once_an_object(self) -> None:
        account = Account()
        crm = crm_of(account)
        assert crm.countable("contacts")
        assert crm.count("contacts", 0, 10**12) == 0
        account.put("contacts", "5")
        account.put("companies", "6")
        asked = [("contacts", 0, 10), ("contacts", 6, 10), ("companies", 0, 10)]
        assert [(crm.countable(name), crm.count(name, first, last)) for name, first, last in asked] == [(True, 1), (True, 0), (True, 1)]
        assert len(account.log) == 3 + 3 + 1 + 3, "nothing is proved by an account without records"
        assert all(request.bucket == "search" for request in account.log)

    def test_a_search_without_a_total_is_an_error(self) -> None:
        account = Account()
        account.told = [Told("search", reply({"results": []}), times=99)]
        with pytest.raises(Retriable, match="total"):
            crm_of(account).count("contacts", 1, 2)


def refill(crm: HubSpotCrm, properties: Sequence[str], cursor: Cursor | None = None, name: str = "contacts") -> list[Page]:
    pages = list(crm.refill(name, properties, cursor, now=NOW))
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    return pages


class TestRefill:
    def test_brings_every_live_record_with_these_properties_alone(self) -> None:
        account = Account()
        for number in range(1, 1051):
            account.put("contacts", str(number), score=str(number), email="secret")
        account.put("contacts", "2000", hubspot_owner_id="77")
        account.archive("contacts", "3", millis(NOW))
        first, second = refill(crm_of(account), ["score", "score", "grade"])
        records = {record.id: record for record in [*first.records, *second.records]}
        assert sorted(map(int, records)) == [*[each for each in range(1, 1051) if each != 3], 2000]
        assert records["7"].properties == {"score": "7", "grade": None}
        assert records["2000"].owner_id == "77"
        assert (first.seen, first.calls, second.calls, first.full, first.absent) == (1000, 10, 1, True, frozenset())

    def test_goes_on_where_a_stored_cursor_stands(self) -> None:
        account = Account()
        for number in range(1, 2001):
            account.put("contacts", str(number), score="1")
        found: list[str] = []
        cursor: Cursor | None = None
        for _ in range(2):
            page = next(iter(crm_of(account).refill("contacts", ["score"], cursor, now=NOW)))
            cursor = orjson.loads(orjson.dumps(dict(page.cursor)))
            found += [record.id for record in page.records]
        assert sorted(map(int, found)) == list(range(1, 2001))
        assert page.last
        before = len(account.log)
        (nothing,) = refill(crm_of(account), ["score"], cursor)
        assert (nothing.records, nothing.last, nothing.calls, len(account.log)) == ([], True, 0, before), "a finished one is not begun anew"

    def test_says_which_property_no_record_has(self) -> None:
        account = Account()
        raws = [{"id": "1", "properties": {"score": None}}, {"id": "2", "properties": {"other": "x"}}, {"id": "3"}]
        account.told = [Told("GET", reply({"results": raws}))]
        (page,) = refill(crm_of(account), ["score", "gone"])
        assert page.absent == {"gone"}
        assert [aside.record.id for aside in page.set_aside] == ["3"]
        (empty,) = refill(crm_of(Account()), ["score", "gone"])
        assert empty.absent == frozenset()

    def test_names_that_no_address_holds_go_into_a_body(self) -> None:
        account = Account()
        names = [f"a_rather_long_name_of_a_property_{number:05d}" for number in range(600)]
        for number in range(1, 151):
            account.put("contacts", str(number), None, **{names[-1]: str(number)})
        (page,) = refill(crm_of(account), names)
        assert {record.id: record.properties[names[-1]] for record in page.records} == {str(each): str(each) for each in range(1, 151)}
        assert page.calls == 4
        assert max(len(request.query.get("properties", "")) for request in account.log) < 12_000

    def test_a_list_that_does_not_move_on_is_an_error(self) -> None:
        account = Account()
        account.told = [Told("GET", reply({"results": [], "paging": {"next": {"after": "5"}}}), times=99)]
        with pytest.raises(ObjectStopped, match="again and again"):
            refill(crm_of(account), ["score"])


class TestLinks:
    @pytest.mark.parametrize("name", [*ENGAGEMENTS, "deals"])
    def test_who_they_are_about_now(self, name: str) -> None:
        account = Account(links_a_page=2)
        for end in ("1", "2", "3"):
            account.link((name, "70"), ("contacts", end), 194)
        found = crm_of(account).relink(name, ["70", "71"])
        assert found == {"70": (contact("1"), contact("2"), contact("3")), "71": ()}

    @pytest.mark.parametrize("name", ["contacts", "companies", "owners"])
    def test_people_are_about_nobody(self, name: str) -> None:
        account = Account()
        assert crm_of(account).relink(name, ["1"]) == {}
        assert account.log == []


def busy_account() -> Account:
    account = Account()
    for each in ("1", "2", "3"):
        account.put("contacts", each)
    account.put("calls", "10", hs_timestamp="2026-11-20T07:00:00Z", hs_call_direction="OUTBOUND", hs_call_status="COMPLETED")
    account.put("emails", "11", hs_timestamp="2026-11-20T07:00:00Z", hs_email_direction="EMAIL", hs_email_status="SENT")
    account.put("meetings", "12", hs_timestamp="2026-11-20T07:00:00Z")
    account.put("tasks", "13", hs_timestamp="2026-11-20T07:00:00Z", hs_task_status="COMPLETED", hs_task_type="CALL")
    account.put("tasks", "14", hs_timestamp="no moment")
    for name, activity, end in (
        ("calls", "10", "1"), ("calls", "10", "2"), ("emails", "11", "1"), ("meetings", "12", "2"), ("tasks", "13", "1"),
        ("tasks", "14", "1"), ("calls", "19", "3"),
    ):  # fmt: skip
        account.link((name, activity), ("contacts", end), 194)
    return account


class TestActivitiesOf:
    def test_brings_everything_with_all_whom_it_is_about(self) -> None:
        """Also with a contact that nobody asked for: a touch of hers would be lost else."""
        found = crm_of(busy_account()).activities_of("contacts", ["1"])
        assert {each.id: (each.kind, [ref.id for ref in each.contacts]) for each in found} == {
            "10": (ActivityKind.CALL, ["1", "2"]),
            "11": (ActivityKind.EMAIL, ["1"]),
            "13": (ActivityKind.TASK, ["1"]),
        }
        assert all(each.happened for each in found)

    def test_nobody_asked_for_costs_nothing_and_no_activity_four_requests(self) -> None:
        account = busy_account()
        assert list(crm_of(account).activities_of("contacts", [])) == list(crm_of(account).activities_of("companies", ["1"])) == []
        assert account.log == []
        assert crm_of(account).activities_of("contacts", ["3", "9"]) == [], "a link may lead to what was deleted"
        assert len(account.log) == 4 + 1

    def test_a_kind_that_may_not_be_read_is_left_to_its_pull(self) -> None:
        account = busy_account()
        account.told = [Told("/emails", reply({"category": "MISSING_SCOPES", "message": "no"}, 403), times=99)]
        assert {each.id for each in crm_of(account).activities_of("contacts", ["1", "2"])} == {"10", "12", "13"}

    def test_another_error_is_an_error(self) -> None:
        account = busy_account()
        account.told = [Told("/calls", reply({"category": "VALIDATION_ERROR", "message": "no"}, 400), times=99)]
        with pytest.raises(ObjectStopped):
            crm_of(account).activities_of("contacts", ["1"])


LIFECYCLE = {
    "name": "lifecyclestage", "label": "Lifecycle stage", "type": "enumeration", "fieldType": "radio",
    "options": [
        {"value": "customer", "displayOrder": 2, "hidden": True}, {"value": "7_own", "displayOrder": -1},
        {"value": "lead", "displayOrder": 1}, {"label": "no value"}, {"value": "odd", "displayOrder": "x"},
    ],
}  # fmt: skip


class TestSchema:
    def test_says_what_the_account_says(self) -> None:
        account = Account()
        account.properties = {
            "contacts": [
                LIFECYCLE,
                {"name": "score", "label": "", "type": "number", "fieldType": "calculation_score"},
                {"name": "rollup", "type": "number", "fieldType": "number", "calculated": True},
                {"name": "hs_object_id", "type": "number", "modificationMetadata": {"readOnlyValue": True}},
                {"name": "old", "type": "string", "archived": True},
                {"name": "hubspot_owner_id", "type": "enumeration", "options": [], "externalOptions": True},
                {"name": "flag", "type": "bool", "options": [{"value": "true"}, {"value": "false"}]},
                {"name": None},
            ],
            "companies": [{"name": "industry", "label": "Industry", "type": "enumeration", "options": []}],
        }  # fmt: skip
        crm = crm_of(account)
        found = crm.schema(["contacts", "companies", "contacts"])
        facts = found["contacts"]
        assert list(found) == ["contacts", "companies"]
        assert facts["lifecyclestage"] == PropertyFacts(
            object="contacts",
            name="lifecyclestage",
            label="Lifecycle stage",
            type="enumeration",
            options=("lead", "customer", "7_own", "odd"),
            labels=("lead", "customer", "7_own", "odd"),
            hidden=frozenset({"customer"}),
            means=FieldType.CHOICE,
        )
        assert set(facts) == {"lifecyclestage", "score", "rollup", "hs_object_id", "hubspot_owner_id", "flag"}
        assert [facts[name].calculated for name in ("score", "rollup", "flag")] == [True, True, False]
        assert [facts[name].writable for name in ("hs_object_id", "flag")] == [False, True]
        assert [facts[name].options for name in ("hubspot_owner_id", "flag")] == [None, None]
        assert (facts["score"].label, facts["score"].type) == ("score", "number")
        assert found["companies"]["industry"].options == ()
        assert len(account.log) == 2

    def test_an_object_that_may_not_be_described_is_named(self) -> None:
        account = Account()
        account.told = [Told("properties/deals", reply({"category": "MISSING_SCOPES", "message": "no"}, 403))]
        with pytest.raises(ObjectStopped, match="deals") as told:
            crm_of(account).schema(["contacts", "deals"])
        assert told.value.code == "MISSING_SCOPES"


def spec() -> TaskSpec:
    return TaskSpec(purpose="call", subject="Call", body="", due_at=NOW, priority="high", type="call", owner_id=None)


def everything(crm: HubSpotCrm) -> Iterator[tuple[Lane, Any]]:
    """Every method of the port that asks HubSpot, and its lane."""
    for stream in crm.streams():
        for page in crm.pull(stream, None, now=NOW):
            cursor = page.cursor
        yield ("normal" if stream == "owners" else "backfill"), None
        yield "normal", list(crm.pull(stream, cursor, now=NOW + timedelta(hours=1)))
    yield "urgent", crm.read("contacts", ["1", "2"], ["email"])
    yield "backfill", crm.read("contacts", ["1", "2"], ["email"], lane="backfill")
    yield "backfill", [list(crm.removals(name, None, now=NOW)) for name in ("contacts", "deals", "meetings")]
    yield "backfill", crm.fates("contacts", ["1", "99"])
    yield "backfill", crm.count("contacts", 1, 5)
    yield "backfill", list(crm.refill("contacts", ["email"], None, now=NOW))
    yield "normal", crm.relink("calls", ["10"])
    yield "urgent", crm.activities_of("contacts", ["1"])
    yield "normal", crm.schema(["contacts", "companies"])
    yield "urgent", crm.update("contacts", [FieldWrite(record=contact("1"), properties={"lifecyclestage": "lead"}, clear_first=True)])
    write = TaskWrite(key="k", record=contact("1"), task=spec())
    yield "urgent", (crm.create_tasks([write]), crm.find_tasks([write]), crm.read_tasks(["13"]))
    yield "normal", crm.check(now=NOW)
    yield "normal", (crm.surroundings(), crm.record_url("contacts", "1"))


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_every_request_goes_to_its_versions_paths(version: str) -> None:
    account = busy_account()
    account.properties = {"contacts": [LIFECYCLE]}
    assert len(list(everything(crm_of(account, version)))) > 20
    # What a private app's token may do lies outside the versions.
    paths = {request.path for request in account.log} - {"/oauth/v2/private-apps/get/access-token-info"}
    if version == "v3":
        assert all(path.startswith(("/crm/v3/", "/crm/v4/associations/", "/account-info/v3/")) for path in paths)
    else:
        assert all(f"/{version}/" in f"{path}/" for path in paths)
        assert {path.split("/")[2] for path in paths} >= {"objects", "properties", "associations", "owners"}
        assert f"/account-info/{version}/details" in paths


def test_a_version_that_is_none_is_said() -> None:
    """Every path answers 404 or 410, as HTML or JSON."""
    for answer in (Answer(status=404, headers={}, body=b"<html>"), reply({"status": "error", "message": "gone"}, 410), reply({}, 404)):
        account = Account()
        account.told = [Told("", answer, times=999)]
        crm = crm_of(account, "2026-03")
        calls: list[Callable[[], object]] = [
            partial(next, crm.pull("contacts", None, now=NOW)),
            partial(crm.schema, ["contacts"]),
            partial(crm.fates, "contacts", ["1"]),
            partial(crm.count, "contacts", 1, 2),
            partial(crm.relink, "calls", ["1"]),
        ]
        for call in calls:
            with pytest.raises(ObjectStopped) as told:
                call()
            assert "crm.hubspot.api_version" in told.value.advice


def test_lanes_and_counts() -> None:
    account, budget = busy_account(), Noting()
    crm = crm_of(account, budget=budget)
    seen = 0
    for number, (lane, _) in enumerate(everything(crm)):
        assert set(budget.lanes[seen:]) <= {lane}, number
        seen = len(budget.lanes)
    assert seen == len(account.log) == crm.calls()


@pytest.mark.parametrize(
    ("headers", "learnt"),
    [
        ({"max": "190", "remaining": "150", "interval_milliseconds": "10000"}, [("10 seconds", 40, 190)]),
        ({"max": "190", "remaining": "200"}, [("10 seconds", 0, 190)]),
        ({"max": "190", "remaining": "150", "interval_milliseconds": "1000"}, []),
        ({"daily": "650000", "daily_remaining": "600000"}, [("day", 50000, 650000)]),
        ({"max": "100", "remaining": "0", "daily": "10", "daily_remaining": "0"}, [("10 seconds", 100, 100), ("day", 10, 10)]),
        ({"daily": "650000"}, []),
        ({"max": "many", "remaining": "-1", "daily": "0", "daily_remaining": "0"}, []),
        ({}, []),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_the_budget_is_told_what_the_answers_say(headers: dict[str, str], learnt: list[tuple[str, int, int]], status: int) -> None:
    account, budget = Account(), Noting()
    told = {f"x_hubspot_ratelimit_{name}": value for name, value in headers.items()}
    account.told = [Told("properties", reply({"results": []}, status, **told))]
    crm = crm_of(account, budget=budget)
    if status == 200:
        crm.schema(["contacts"])
    else:
        with pytest.raises(ObjectStopped):
            crm.schema(["contacts"])
    assert budget.learnt == learnt


def test_a_spent_day_ends_at_midnight_of_the_account() -> None:
    """The account's zone is known once its details were read; the answer's own date is the clock."""
    daily = {"status": "error", "message": "You have reached your daily limit.", "errorType": "RATE_LIMIT", "policyName": "DAILY"}
    account = Account()
    account.told = [Told("properties", reply(daily, 429, date="Fri, 20 Nov 2026 09:00:00 GMT"), times=2)]
    crm = crm_of(account)
    with pytest.raises(PassStopped, match=r"midnight in the HubSpot account's time zone$"):
        crm.schema(["contacts"])
    crm.record_url("contacts", "1")
    with pytest.raises(PassStopped, match=r"time zone \(Europe/Berlin\): 2026-11-20 23:00 UTC$"):
        crm.schema(["contacts"])
