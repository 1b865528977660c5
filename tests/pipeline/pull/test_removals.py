"""What no modified date tells: archived, deleted, purged, merged and restored records, records that are missing here, changed links."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.adapters.memory.crm import MemoryCrm
from connector.errors import ConnectorError, ObjectStopped, SafetyStop
from connector.jobs.mirror_jobs import Mirrored, look_for_removals
from connector.model import Activity, ActivityKind, Deal, RecordRef
from connector.pipeline.pull.removals import Looked
from connector.store import retention
from connector.store.mirror import cursors, pages
from tests.support.company import NOW, Company, funnel, new_company

#: Much later than what a CRM does not count yet.
HOUR = timedelta(hours=1)


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    with at(f"sqlite:///{tmp_path}/store.db") as made:
        yield made


@contextmanager
def at(url: str) -> Iterator[Company]:
    """People 1 to 60, one Lead, what happened with them; read and unified an hour ago."""
    with new_company(url, funnel()) as made:
        for number in range(1, 61):
            made.person(str(number), f"{number}@kunde.example")
        made.lead("00Q1", "lead@kunde.example")
        made.touch(NOW - timedelta(days=3), kind=ActivityKind.MEETING, id="501")
        made.touch(NOW + timedelta(days=3), kind=ActivityKind.MEETING, id="502")
        made.touch(NOW - timedelta(days=3), on="2", id="601")
        made.run()
        made.now += HOUR
        yield made


def ref(number: str) -> RecordRef:
    return RecordRef(crm="hubspot", object="contacts", id=number)


def look(company: Company, *errors: type[ConnectorError]) -> Mirrored:
    result = look_for_removals(company.context())
    assert [type(error) for error in result.errors] == list(errors)
    return result


def told(result: Mirrored, crm: str = "hubspot", name: str = "contacts") -> dict[str, Any]:
    """What came of one object, without what did not happen."""
    assert result.removed is not None
    return {key: value for key, value in result.removed[crm][name].document().items() if value}


def archived(company: Company) -> set[str]:
    return {row[0] for row in company.rows("SELECT id FROM record WHERE archived")}


def test_the_same_on_both_databases(database_url: str) -> None:
    with at(database_url) as company:
        company.hubspot.archive("contacts", "7")
        company.hubspot.delete("contacts", "20")
        company.hubspot.purge("contacts", "21")
        company.hubspot.merge("contacts", "30", "31")
        company.hubspot.archive("meetings", "501")
        company.hubspot.link("calls", "601", ref("3"))
        company.salesforce.delete("Lead", "00Q1")
        result = look(company)
        assert told(result) == {"archived": 1, "deleted": 1, "purged": 1}  # the survivor of the merge told of it in the pull
        assert (told(result, name="meetings"), told(result, name="calls")) == ({"archived": 1}, {"relinked": 1})
        assert told(result, "salesforce", "Lead") == {"deleted": 1}
        assert archived(company) == {"7", "20", "30", "00Q1"}
        company.hubspot.restore("contacts", "7")
        assert told(look(company)) == {"restored": 1}
        company.hubspot.forget_removals("contacts")
        company.hubspot.archive("contacts", "8")
        assert told(look(company)) == {"archived": 1, "compared": True}


class TestGone:
    def test_quiet_crms_tell_nothing(self, company: Company) -> None:
        result = look(company)
        assert result.removed is not None
        assert all(one == Looked() for objects in result.removed.values() for one in objects.values())

    def test_the_recycle_bin(self, company: Company) -> None:
        company.hubspot.archive("contacts", "7")
        assert told(look(company)) == {"archived": 1}
        assert archived(company) == {"7"}
        assert told(look(company)) == {}
        company.run()
        assert company.rows("SELECT c.gone FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = '7'")[0][0]

    @pytest.mark.parametrize("ids", [("7",), ("1", "60"), ("20", "21", "22"), tuple(str(n) for n in range(1, 7))])
    def test_what_was_deleted_for_good_is_found_by_counting(self, company: Company, ids: tuple[str, ...]) -> None:
        for one in ids:
            company.hubspot.delete("contacts", one)
        assert told(look(company)) == {"deleted": len(ids)}
        assert archived(company) == set(ids)
        assert told(look(company)) == {}

    def test_many_ids_are_halved_and_few_are_asked_after(self, company: Company) -> None:
        for number in range(1000, 1800):
            company.person(str(number), f"{number}@viele.example")
        look(company)
        company.now += HOUR
        company.hubspot.delete("contacts", "1234")
        before = company.hubspot.requests.copy()
        assert told(look(company)) == {"deleted": 1}
        asked = company.hubspot.requests - before
        assert asked["count"] < 25
        assert asked["fates"] == 2  # the stretch of 100 or less, and the meetings

    def test_a_privacy_deletion_leaves_nothing_behind(self, company: Company) -> None:
        company.hubspot.purge("contacts", "7")
        assert told(look(company)) == {"purged": 1}
        assert company.rows("SELECT id FROM record WHERE id = '7'") == []
        company.person("7", "7@kunde.example")  # somebody imports a list from before
        company.run()
        assert company.rows("SELECT id FROM record WHERE id = '7'") == []
        company.now += HOUR
        assert told(look(company)) == {}

    def test_a_merge_leads_to_the_survivor(self, company: Company) -> None:
        company.touch(NOW - timedelta(days=1), on="7", id="602")
        company.run()
        company.hubspot.merge("contacts", "7", "8")
        result = look(company)
        assert company.rows("SELECT id, into_id FROM merged") == [("7", "8")]
        assert archived(company) == {"7"}
        assert told(result, name="calls") == {"relinked": 1}
        assert company.rows("SELECT record_id FROM activity_link WHERE id = '602'") == [("8",)]

    def test_salesforce_tells_of_what_it_deleted_for_good(self, company: Company) -> None:
        company.salesforce.delete("Lead", "00Q1")
        assert told(look(company), "salesforce", "Lead") == {"deleted": 1}
        assert archived(company) == {"00Q1"}

    def test_meetings_are_asked_after_one_by_one(self, company: Company) -> None:
        for number in ("501", "502"):
            company.hubspot.archive("meetings", number)
        assert told(look(company), name="meetings") == {"archived": 2}
        assert {row[0] for row in company.rows("SELECT id FROM activity WHERE archived")} == {"501", "502"}

    def test_a_deleted_call_counts_no_more(self, company: Company) -> None:
        company.hubspot.archive("calls", "601")
        assert told(look(company), name="calls") == {"archived": 1}
        company.run()
        assert company.rows("SELECT c.touch_count FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = '2'") == [(0,)]

    def test_activities_of_which_old_ones_were_let_go_are_not_counted(self, company: Company) -> None:
        """Fewer are here on purpose, and none of those is brought back."""
        company.touch(NOW - timedelta(days=1), on="7", id="602")
        company.run()
        company.now += HOUR
        company.store.write(lambda connection: connection.exec_driver_sql("DELETE FROM activity WHERE id = '601'"))
        retention.keep_since(company.store, company.now)
        assert told(look(company), name="calls") == {}
        retention.keep_since(company.store, None)
        assert told(look(company), name="calls") == {"found": 1}


class TestMissing:
    def test_restored_ones_come_back(self, company: Company) -> None:
        company.hubspot.archive("contacts", "7")
        look(company)
        company.hubspot.restore("contacts", "7")
        assert told(look(company)) == {"restored": 1}
        assert archived(company) == set()

    def test_what_the_pull_missed_is_read(self, company: Company) -> None:
        company.person("30000", "neu@kunde.example")
        look(company)
        company.person("25000", "late@kunde.example")
        *_, page = company.hubspot.pull("contacts", pages.get_cursor(company.store, "hubspot", "contacts"), now=company.now)
        company.store.write(  # a window went by before the record was in the CRM's index
            lambda connection: cursors.move(connection, "hubspot", "contacts", page.cursor, seen=0, last=True, now=company.now)
        )
        company.now += HOUR
        assert told(look(company)) == {"found": 1}
        assert company.rows("SELECT email FROM record WHERE id = '25000'") == [("late@kunde.example",)]
        assert told(look(company)) == {}

    def test_a_record_too_young_to_be_counted_is_left_alone(self, company: Company) -> None:
        company.hubspot.lookup_lag = timedelta(minutes=10)
        company.person("99999", "young@kunde.example")
        before = company.hubspot.requests["fates"]
        assert told(look(company)) == {}
        assert company.hubspot.requests["fates"] == before + 1  # the meetings
        company.hubspot.lookup_lag = timedelta(0)


class TestLinks:
    def test_an_activity_that_is_about_somebody_else_now(self, company: Company) -> None:
        company.hubspot.link("calls", "601", ref("3"), ref("4"))
        assert told(look(company), name="calls") == {"relinked": 1}
        assert sorted(company.rows("SELECT record_id FROM activity_link WHERE id = '601'")) == [("3",), ("4",)]
        company.run()
        query = "SELECT r.id, c.touch_count FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id IN ('2', '3', '4') ORDER BY r.id"
        assert company.rows(query) == [("2", 0), ("3", 1), ("4", 1)]

    def test_an_old_one_is_not_looked_at(self, company: Company) -> None:
        old = NOW - timedelta(days=40)
        made = Activity(
            crm="hubspot", object="calls", id="603", kind=ActivityKind.CALL, at=old, contacts=(ref("2"),), created_at=old, modified_at=old
        )
        company.hubspot.put(made)
        company.run()
        company.hubspot.link("calls", "603", ref("3"))
        assert told(look(company), name="calls") == {}

    def test_deals_too(self, company: Company) -> None:
        company.hubspot.put(Deal(crm="hubspot", object="deals", id="900", stage="open", contacts=(ref("2"),), modified_at=NOW))
        company.run()
        company.hubspot.link("deals", "900", ref("3"))
        assert told(look(company), name="deals") == {"relinked": 1}
        assert company.rows("SELECT record_id FROM deal_link") == [("3",)]


class TestMistakes:
    def test_a_side_that_suddenly_shrinks_is_an_error_and_nothing_is_removed(self, company: Company) -> None:
        for number in range(1, 31):
            company.hubspot.delete("contacts", str(number))
        result = look(company, SafetyStop)
        assert "more than 10% are missing; nothing was removed" in result.errors[0].message
        assert archived(company) == set()

    def test_what_a_crm_does_not_remember_any_more_is_compared_whole(self, company: Company) -> None:
        look(company)
        company.hubspot.archive("contacts", "7")
        company.hubspot.delete("contacts", "8")
        company.hubspot.forget_removals("contacts")
        assert told(look(company)) == {"archived": 1, "deleted": 1, "compared": True}
        assert archived(company) == {"7", "8"}
        assert told(look(company)) == {}

    def test_more_than_counting_finds_is_compared_whole(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("connector.pipeline.pull.removals._MOST_COUNTS", 3)
        monkeypatch.setattr("connector.pipeline.pull.removals._SMALL", 2)
        for one in ("7", "42"):
            company.hubspot.delete("contacts", one)
        assert told(look(company)) == {"deleted": 2, "compared": True}
        assert archived(company) == {"7", "42"}

    def test_an_object_that_cannot_be_asked_stops_itself_alone(self, company: Company) -> None:
        company.hubspot.archive("contacts", "7")
        company.hubspot.fail("fates", ObjectStopped("no scope", crm="hubspot"))
        result = look(company, ObjectStopped)
        assert result.removed is not None
        assert result.removed["hubspot"]["meetings"].error is not None
        assert told(result) == {"archived": 1}
        assert told(look(company)) == {}

    def test_what_was_not_pulled_to_its_end_is_not_looked_at(self, company: Company) -> None:
        company.hubspot.archive("contacts", "7")
        crm: MemoryCrm = company.hubspot
        crm.fail("pull", ObjectStopped("no scope", crm="hubspot"), times=len(crm.streams()))
        result = look(company, ObjectStopped)
        assert told(result) == {}
        assert archived(company) == set()

    def test_a_look_is_on_record(self, company: Company) -> None:
        company.hubspot.archive("contacts", "7")
        result = look(company)
        document = result.document()
        assert document["removed"]["hubspot"]["contacts"]["archived"] == 1
        assert document["let_go"]["complete"] is True
        assert company.rows(f"SELECT command, state FROM run WHERE id = {result.run}") == [("deletes", "done")]
