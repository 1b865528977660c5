"""The CRM in memory is as honest as the tests that lean on it need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.adapters.memory.crm import Effect, MemoryCrm
from connector.adapters.port import Crm
from connector.errors import ObjectStopped, PassStopped
from connector.model import (
    Activity,
    ActivityKind,
    Campaign,
    CampaignMember,
    Deal,
    Fate,
    FieldWrite,
    Owner,
    PropertyFacts,
    Record,
    RecordRef,
    TaskSpec,
    TaskWrite,
    WriteState,
)

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ADA = RecordRef(crm="hubspot", object="contacts", id="1")


@pytest.fixture
def crm() -> MemoryCrm:
    made = MemoryCrm(name="hubspot", clock=lambda: NOW, page_size=2)
    for number in range(1, 6):
        made.person("contacts", f"{number}", lifecyclestage="lead", hubspot_owner_id=None)
    return made


def stage(value: str | None, record: RecordRef = ADA, *, clear_first: bool = False) -> FieldWrite:
    return FieldWrite(record=record, properties={"lifecyclestage": value}, clear_first=clear_first)


def call(key: str = "k1", record: RecordRef = ADA) -> TaskWrite:
    spec = TaskSpec(purpose="p", subject="Call Ada", body="", due_at=NOW, priority="high", type="call", owner_id="7")
    return TaskWrite(key=key, record=record, task=spec)


def test_it_is_a_crm(crm: MemoryCrm) -> None:
    port: Crm = crm
    assert port.name == "hubspot"
    assert all(finding.ok for finding in port.check(now=NOW))


class TestPull:
    def test_everything_comes_in_pages_of_which_the_last_says_so(self, crm: MemoryCrm) -> None:
        pages = list(crm.pull("contacts", None, now=NOW))
        assert [len(page.records) for page in pages] == [2, 2, 1]
        assert [page.last for page in pages] == [False, False, True]
        assert [page.full for page in pages] == [True] * 3
        assert {record.id for page in pages for record in page.records} == {"1", "2", "3", "4", "5"}

    def test_it_resumes_at_any_cursor_without_loss(self, crm: MemoryCrm) -> None:
        first = next(crm.pull("contacts", None, now=NOW))
        rest = list(crm.pull("contacts", first.cursor, now=NOW))
        assert [record.id for page in rest for record in page.records] == ["3", "4", "5"]

    def test_afterwards_only_what_changed_comes(self, crm: MemoryCrm) -> None:
        *_, last = crm.pull("contacts", None, now=NOW)
        crm.edit("contacts", "4", lifecyclestage="mql")
        (page,) = crm.pull("contacts", last.cursor, now=NOW)
        assert [(record.id, record.properties["lifecyclestage"]) for record in page.records] == [("4", "mql")]
        assert (page.full, page.last) == (False, True)

    def test_a_quiet_stream_is_one_empty_page(self, crm: MemoryCrm) -> None:
        *_, last = crm.pull("contacts", None, now=NOW)
        (page,) = crm.pull("contacts", last.cursor, now=NOW)
        assert (page.seen, page.last) == (0, True)

    def test_owners_and_activities_have_their_streams(self, crm: MemoryCrm) -> None:
        crm.put(Owner(crm="hubspot", id="7", email="anna@acme.example", name="Anna", active=True))
        crm.put(Activity(crm="hubspot", object="calls", id="9", kind=ActivityKind.CALL, at=NOW, contacts=(ADA,)))
        brought = {stream: list(crm.pull(stream, None, now=NOW)) for stream in crm.streams()}
        assert [owner.id for page in brought["owners"] for owner in page.owners] == ["7"]
        assert [activity.id for page in brought["calls"] for activity in page.activities] == ["9"]

    def test_a_page_counts_what_it_brings(self, crm: MemoryCrm) -> None:
        assert all(page.seen == len(page.records) for page in crm.pull("contacts", None, now=NOW))


class TestWrites:
    def test_a_value_is_set_and_read(self, crm: MemoryCrm) -> None:
        assert [outcome.state for outcome in crm.update("contacts", [stage("mql")])] == [WriteState.WRITTEN]
        read = crm.read("contacts", ["1", "99"], ["lifecyclestage"])
        assert {record_id: dict(record.properties) for record_id, record in read.items()} == {"1": {"lifecyclestage": "mql"}}
        assert crm.log == [Effect("set", ADA, "lifecyclestage", "mql")]

    def test_the_owner_follows_its_property(self, crm: MemoryCrm) -> None:
        crm.update("contacts", [FieldWrite(record=ADA, properties={"hubspot_owner_id": "7"})])
        assert crm.read("contacts", ["1"], [])["1"].owner_id == "7"

    def test_a_batch_is_limited_and_names_a_record_once(self, crm: MemoryCrm) -> None:
        with pytest.raises(ValueError, match="same record twice"):
            crm.update("contacts", [stage("mql"), stage("sql")])
        crm.writes_a_call = 1
        with pytest.raises(ValueError, match="2 writes in one call"):
            crm.create_tasks([call("a"), call("b")])

    def test_a_task_is_created_found_read_and_pulled(self, crm: MemoryCrm) -> None:
        (made,) = crm.create_tasks([call()])
        assert crm.find_tasks([call(), call("other")]) == {"k1": made.id}
        assert crm.read_tasks([made.id, "99"]) == {
            made.id: {"subject": "Call Ada", "owner_id": "7", "due_at": NOW.isoformat(), "key": "k1", "record_id": "1"}
        }
        (page,) = crm.pull("tasks", None, now=NOW)
        assert [(task.key, task.done) for task in page.activities] == [("k1", False)]

    def test_the_same_key_twice_makes_two_tasks(self, crm: MemoryCrm) -> None:
        crm.create_tasks([call()])
        crm.create_tasks([call()])
        assert len(crm.tasks()) == 2, "else no test could see a double"

    def test_a_completed_task_comes_again(self, crm: MemoryCrm) -> None:
        (made,) = crm.create_tasks([call()])
        *_, last = crm.pull("tasks", None, now=NOW)
        crm.complete(made.id)
        (page,) = crm.pull("tasks", last.cursor, now=NOW)
        assert [task.done for task in page.activities] == [True]


class TestMisbehaving:
    def test_it_refuses_for_good_until_told_otherwise(self, crm: MemoryCrm) -> None:
        crm.refuse("1", "no", code="X")
        (outcome,) = crm.update("contacts", [stage("mql")])
        assert (outcome.state, outcome.code, crm.value("contacts", "1", "lifecyclestage")) == (WriteState.REFUSED, "X", "lead")
        crm.refuse("1", "", times=0)
        assert crm.update("contacts", [stage("mql")])[0].state is WriteState.WRITTEN

    def test_it_is_busy_for_so_many_writes(self, crm: MemoryCrm) -> None:
        crm.busy("1", 1)
        assert [crm.create_tasks([call()])[0].state for _ in range(2)] == [WriteState.LATER, WriteState.WRITTEN]
        assert len(crm.tasks()) == 1

    def test_a_lost_answer_hides_a_write_that_took_effect(self, crm: MemoryCrm) -> None:
        crm.lose_answers(1)
        assert crm.create_tasks([call()])[0].state is WriteState.UNKNOWN
        assert len(crm.tasks()) == 1

    def test_a_missing_record_is_refused(self, crm: MemoryCrm) -> None:
        crm.delete("contacts", "1")
        assert crm.update("contacts", [stage("mql", clear_first=True)])[0].code == "NOT_FOUND"

    @pytest.mark.parametrize(("done", "left"), [(False, 0), (True, 1)])
    def test_a_call_fails_before_or_after_its_effect(self, crm: MemoryCrm, done: bool, left: int) -> None:
        crm.fail("create_tasks", PassStopped("no", crm="hubspot"), done=done)
        with pytest.raises(PassStopped):
            crm.create_tasks([call()])
        assert len(crm.tasks()) == left
        crm.create_tasks([call("k2")])

    def test_an_edit_can_come_between_two_calls(self, crm: MemoryCrm) -> None:
        crm.between("read", lambda: crm.edit("contacts", "1", lifecyclestage="customer"))
        assert crm.read("contacts", ["1"], ["lifecyclestage"])["1"].properties["lifecyclestage"] == "lead"
        assert crm.read("contacts", ["1"], ["lifecyclestage"])["1"].properties["lifecyclestage"] == "customer"

    def test_a_look_up_may_lag(self) -> None:
        moments = iter([NOW, NOW + timedelta(seconds=9), NOW + timedelta(seconds=10)])
        crm = MemoryCrm(name="hubspot", clock=lambda: next(moments), lookup_lag=timedelta(seconds=10))
        crm.put(Record(crm="hubspot", object="contacts", id="1", properties={}, created_at=NOW, modified_at=NOW))
        crm.create_tasks([call()])
        assert [len(crm.find_tasks([call()])) for _ in range(2)] == [0, 1]

    def test_calls_are_counted(self, crm: MemoryCrm) -> None:
        crm.read("contacts", ["1"], [])
        crm.update("contacts", [stage("mql")])
        assert (crm.calls(), dict(crm.requests)) == (2, {"read": 1, "update": 1})


class TestRemoved:
    """What people delete, merge and restore, as each CRM tells of it."""

    def fates(self, crm: MemoryCrm, *ids: str, name: str = "contacts") -> dict[str, Fate]:
        return {one: removal.fate for one, removal in crm.fates(name, ids).items()}

    def told(self, crm: MemoryCrm, name: str = "contacts") -> list[str]:
        return [removal.record.id for page in crm.removals(name, None, now=NOW) for removal in page.removals]

    def test_hubspot_shows_nothing_of_it_and_tells_the_recycle_bin_alone(self, crm: MemoryCrm) -> None:
        *_, last = crm.pull("contacts", None, now=NOW)
        crm.archive("contacts", "1")
        crm.delete("contacts", "2")
        crm.purge("contacts", "3")
        crm.merge("contacts", "4", "5")
        (page,) = crm.pull("contacts", last.cursor, now=NOW)
        assert [(record.id, record.merged_ids) for record in page.records] == [("5", ("4",))]
        assert self.told(crm) == ["1"]
        assert self.fates(crm, "1", "2", "3", "4", "5", "99") == {
            "1": Fate.ARCHIVED, "2": Fate.DELETED, "3": Fate.PURGED, "4": Fate.MERGED, "99": Fate.DELETED,
        }  # fmt: skip
        assert crm.fates("contacts", ["4"])["4"].into == "5"
        assert crm.countable("contacts")
        assert crm.count("contacts", 1, 5) == 1
        assert set(crm.read("contacts", ["1", "2", "3", "4", "5"], [])) == {"5"}

    def test_salesforce_shows_what_is_deleted_and_tells_what_is_gone_for_good(self) -> None:
        crm = MemoryCrm(name="salesforce", clock=lambda: NOW)
        for number in "123":
            crm.person("Lead", number, Email="a@b.example")
        *_, last = crm.pull("Lead", None, now=NOW)
        crm.archive("Lead", "1")
        crm.merge("Lead", "2", "3")
        (page,) = crm.pull("Lead", last.cursor, now=NOW)
        assert {record.id: (record.archived, record.merged_into) for record in page.records} == {
            "1": (True, None), "2": (True, "3"), "3": (False, None),
        }  # fmt: skip
        crm.delete("Lead", "1")
        assert "1" in self.told(crm, "Lead")
        assert not crm.countable("Lead")
        assert crm.relink("Task", ["1"]) == {}

    def test_restored_it_is_there_again_and_no_modified_date_tells(self, crm: MemoryCrm) -> None:
        *_, last = crm.pull("contacts", None, now=NOW)
        crm.archive("contacts", "1")
        crm.restore("contacts", "1")
        assert (self.told(crm), self.fates(crm, "1")) == ([], {})
        (page,) = crm.pull("contacts", last.cursor, now=NOW)
        assert page.records == []

    def test_meetings_tell_nothing_but_when_asked(self, crm: MemoryCrm) -> None:
        crm.put(Activity(crm="hubspot", object="meetings", id="9", kind=ActivityKind.MEETING, at=NOW, contacts=(ADA,)))
        crm.archive("meetings", "9")
        assert not crm.tells_removals("meetings")
        assert list(crm.removals("meetings", None, now=NOW)) == []
        assert self.fates(crm, "9", name="meetings") == {"9": Fate.ARCHIVED}

    def test_it_goes_on_at_the_cursor_until_it_has_forgotten(self, crm: MemoryCrm) -> None:
        crm.archive("contacts", "1")
        *_, last = crm.removals("contacts", None, now=NOW)
        crm.archive("contacts", "2")
        (page,) = crm.removals("contacts", last.cursor, now=NOW)
        assert [removal.record.id for removal in page.removals] == ["2"]
        crm.forget_removals("contacts")
        with pytest.raises(ObjectStopped) as caught:
            next(crm.removals("contacts", page.cursor, now=NOW))
        assert caught.value.code == "TOO_LONG_AGO"

    def test_what_is_archived_is_not_written_to(self, crm: MemoryCrm) -> None:
        crm.archive("contacts", "1")
        assert crm.update("contacts", [stage("mql")])[0].code == "NOT_FOUND"


class TestLinksAndFields:
    def test_links_of_activities_and_deals_change_without_a_date(self, crm: MemoryCrm) -> None:
        ben = RecordRef(crm="hubspot", object="contacts", id="2")
        crm.put(Activity(crm="hubspot", object="calls", id="9", kind=ActivityKind.CALL, at=NOW, contacts=(ADA,)))
        crm.put(Deal(crm="hubspot", object="deals", id="8", stage="open", contacts=(ADA,)))
        cursors = {name: list(crm.pull(name, None, now=NOW))[-1].cursor for name in ("calls", "deals")}
        crm.link("calls", "9", ben)
        crm.link("deals", "8", ADA, ben)
        assert [page.seen for name, cursor in cursors.items() for page in crm.pull(name, cursor, now=NOW)] == [0, 0]
        assert crm.relink("calls", ["9"]) == {"9": (ben,)}
        assert crm.relink("deals", ["8"]) == {"8": (ADA, ben)}
        assert [activity.id for activity in crm.activities_of("contacts", ["2"])] == ["9"]
        assert crm.activities_of("contacts", ["1"]) == []

    def test_campaigns_have_their_streams(self, crm: MemoryCrm) -> None:
        crm.put(Campaign(crm="hubspot", object="campaigns", id="c", name="Fair"))
        crm.put(CampaignMember(crm="hubspot", object="members", id="m", campaign_id="c", record=ADA))
        (page,), (members,) = (list(crm.pull(name, None, now=NOW)) for name in ("campaigns", "members"))
        assert ([one.id for one in page.campaigns], [one.id for one in members.campaign_members]) == (["c"], ["m"])

    def test_only_what_is_wanted_comes_and_what_is_not_there_is_named(self, crm: MemoryCrm) -> None:
        crm.want({"contacts": ("lifecyclestage", "budget")})
        crm.drop_property("contacts", "budget")
        (page, *_) = crm.pull("contacts", None, now=NOW)
        assert dict(page.records[0].properties) == {"lifecyclestage": "lead"}
        assert page.absent == {"budget"}

    def test_a_refill_brings_single_properties_of_all_live_records_and_resumes(self, crm: MemoryCrm) -> None:
        crm.archive("contacts", "2")
        first, *rest = crm.refill("contacts", ["lifecyclestage"], None, now=NOW)
        assert [dict(record.properties) for record in first.records] == [{"lifecyclestage": "lead"}] * 2
        again = list(crm.refill("contacts", ["lifecyclestage"], first.cursor, now=NOW))
        assert [record.id for page in again for record in page.records] == ["4", "5"]
        assert [page.last for page in rest] == [True]

    def test_its_fields_are_what_it_was_told_and_texts(self, crm: MemoryCrm) -> None:
        crm.make_property(PropertyFacts(object="contacts", name="budget", label="Budget", type="number"))
        crm.drop_property("contacts", "pain_point")
        fields = crm.schema(["contacts"])["contacts"]
        assert (fields["budget"].type, fields["anything"].type) == ("number", "string")
        assert ("pain_point" in fields, fields.get("pain_point")) == (False, None)

    def test_a_young_record_is_not_counted_yet(self, crm: MemoryCrm) -> None:
        crm.lookup_lag = timedelta(minutes=1)
        assert crm.count("contacts", 1, 5) == 0
