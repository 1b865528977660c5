"""What is gone from HubSpot: the recycle bin by pages, and what became of single records, over an account in memory and over real HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapters.client import Answer, Lane, NoBudget
from connector.adapters.hubspot import HubSpotCrm
from connector.errors import ObjectStopped, PassStopped
from connector.model import Cursor, Fate, HubSpotAccess, RecordRef, Removal, RemovalPage
from tests.adapters.hubspot.fake_account import START, Account, Told, millis, reply
from tests.adapters.secrets import PlainSecret

NOW = START + timedelta(days=100)
DAY = 86_400_000
KINDS = ("live", "archived", "gone", "merged", "swallowed")


def crm_of(account: Account, **options: Any) -> HubSpotCrm:
    token = PlainSecret("pat-eu1-test")
    settings = HubSpotAccess(access_token=token, base_url="http://127.0.0.1:9")
    given_options = {"wanted": {}, "budget": NoBudget(), "sleep": lambda seconds: None, "send": account.send, **options}
    return HubSpotCrm(settings, **given_options)


def bin_of(account: Account, name: str, days_ago: Mapping[str, int]) -> None:
    for record_id, days in days_ago.items():
        account.put(name, record_id)
        account.archive(name, record_id, millis(NOW) - days * DAY)


def look(crm: HubSpotCrm, name: str, cursor: Cursor | None = None, now: datetime = NOW) -> list[RemovalPage]:
    pages = list(crm.removals(name, cursor, now=now))
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True] * bool(pages)
    return pages


def ids(pages: list[RemovalPage]) -> list[str]:
    return [removal.record.id for page in pages for removal in page.removals]


class TestTheBin:
    @pytest.mark.parametrize("name", ["contacts", "companies", "deals", "calls", "emails", "tasks"])
    def test_tells_what_was_deleted_and_when(self, name: str) -> None:
        account = Account()
        bin_of(account, name, {"7": 3, "9": 80})
        account.put(name, "8")
        crm = crm_of(account)
        assert crm.tells_removals(name)

        (page,) = look(crm, name)

        assert page.removals == [
            Removal(record=RecordRef(crm="hubspot", object=name, id="7"), fate=Fate.ARCHIVED, at=NOW - timedelta(days=3)),
            Removal(record=RecordRef(crm="hubspot", object=name, id="9"), fate=Fate.ARCHIVED, at=NOW - timedelta(days=80)),
        ]
        assert (page.crm, page.object, page.calls, page.cursor) == ("hubspot", name, 1, {"since": millis(NOW)})

    def test_the_next_look_tells_what_came_in_since_the_day_before_the_last(self) -> None:
        account = Account()
        bin_of(account, "contacts", {"1": 40, "2": 4, "3": 3, "4": 1})
        cursor = {"since": millis(NOW) - 2 * DAY}
        assert ids(look(crm_of(account), "contacts", cursor)) == ["3", "4"]

    def test_goes_on_where_a_stored_cursor_stands(self) -> None:
        """Ten requests of 100 make a page; each by a process of its own, which keeps when the look began."""
        account = Account()
        bin_of(account, "contacts", {str(number): 5 for number in range(1, 2101)})
        pages: list[RemovalPage] = []
        cursor: Cursor | None = {"since": millis(NOW) - 30 * DAY}
        while not (pages and pages[-1].last):
            pages.append(next(iter(crm_of(account).removals("contacts", cursor, now=NOW + timedelta(hours=len(pages))))))
            cursor = orjson.loads(orjson.dumps(dict(pages[-1].cursor)))

        assert sorted(map(int, ids(pages))) == list(range(1, 2101))
        assert [page.calls for page in pages] == [10, 10, 1]
        assert cursor == {"since": millis(NOW)}, "what was deleted while it was read comes next"

    def test_a_last_look_longer_ago_than_the_bin_remembers_is_said(self) -> None:
        with pytest.raises(ObjectStopped) as told:
            look(crm_of(Account()), "contacts", {"since": millis(NOW) - 91 * DAY})
        assert told.value.code == "TOO_LONG_AGO"
        assert look(crm_of(Account()), "contacts", {"since": millis(NOW) - 89 * DAY})

    def test_meetings_have_no_list_and_owners_no_bin(self) -> None:
        account = Account()
        crm = crm_of(account)
        assert look(crm, "meetings") == look(crm, "owners") == []
        assert not crm.tells_removals("meetings")
        assert crm.tells_removals("owners"), "their pull brings the deactivated ones"
        assert account.log == []

    def test_an_empty_cursor_is_a_first_look(self) -> None:
        account = Account()
        bin_of(account, "tasks", {"1": 89})
        assert ids(look(crm_of(account), "tasks", {})) == ["1"]

    def test_any_object_that_answers_so_has_no_list(self) -> None:
        account = Account()
        message = "Paging through deleted objects is not yet supported for object type 0-18 (COMMUNICATION)"
        account.told = [Told("GET", reply({"status": "error", "category": "VALIDATION_ERROR", "message": message}, 400), times=99)]
        crm = crm_of(account)
        assert crm.tells_removals("tasks")
        assert look(crm, "tasks") == []
        assert not crm.tells_removals("tasks")
        assert look(crm, "tasks", {"since": 1}) == []
        assert len(account.log) == 1

    def test_another_refusal_is_an_error(self) -> None:
        account = Account()
        account.told = [Told("GET", reply({"category": "MISSING_SCOPES", "message": "no"}, 403))]
        crm = crm_of(account)
        with pytest.raises(ObjectStopped) as told:
            look(crm, "contacts")
        assert told.value.code == "MISSING_SCOPES"
        assert crm.tells_removals("contacts")

    def test_an_account_without_deals_tells_nothing_of_them(self) -> None:
        account = Account()
        account.told = [Told("GET", reply({"category": "MISSING_SCOPES", "message": "no"}, 403))]
        crm = crm_of(account)
        assert look(crm, "deals") == []
        assert crm.tells_removals("deals")

    def test_a_list_that_does_not_move_on_is_an_error(self) -> None:
        account = Account()
        account.told = [Told("GET", reply({"results": [], "paging": {"next": {"after": "5"}}}), times=99)]
        with pytest.raises(ObjectStopped, match="again and again"):
            look(crm_of(account), "contacts")

    def test_rows_without_id_or_moment(self) -> None:
        account = Account()
        rows = [{"properties": {}}, "nonsense", {"id": "5", "archivedAt": "soon"}, {"id": "6"}]
        account.told = [Told("GET", reply({"results": rows}))]
        (page,) = look(crm_of(account), "contacts", {"since": millis(NOW) - DAY})
        assert [(each.record.id, each.at) for each in page.removals] == [("5", None), ("6", None)]


def fates(account: Account, name: str, asked: list[str]) -> dict[str, tuple[Fate, str | None]]:
    found = crm_of(account).fates(name, asked)
    assert all(each.record == RecordRef(crm="hubspot", object=name, id=key) for key, each in found.items())
    return {key: (each.fate, each.into) for key, each in found.items()}


class TestFates:
    def test_each_kind(self) -> None:
        account = Account()
        for number in ("1", "2", "3", "4"):
            account.put("contacts", number)
        bin_of(account, "contacts", {"5": 2})
        account.merge("contacts", "3", "4", "30")
        found = crm_of(account).fates("contacts", ["1", "2", "3", "4", "5", "6"])
        assert {key: (each.fate, each.into, each.at) for key, each in found.items()} == {
            "3": (Fate.MERGED, "30", None),
            "4": (Fate.MERGED, "30", None),
            "5": (Fate.ARCHIVED, None, NOW - timedelta(days=2)),
            "6": (Fate.PURGED, None, None),
        }

    @pytest.mark.parametrize("name", ["contacts", "companies"])
    def test_merged_and_then_deleted_is_in_the_bin(self, name: str) -> None:
        """Nobody was deleted for privacy: the record that stands for both can be restored."""
        account = Account()
        for number in ("3", "4"):
            account.put(name, number)
        account.merge(name, "3", "4", "30")
        account.archive(name, "30", millis(NOW) - 2 * DAY)
        found = crm_of(account).fates(name, ["3", "4", "6"])
        assert {key: (each.fate, each.into, each.at) for key, each in found.items()} == {
            "3": (Fate.ARCHIVED, None, NOW - timedelta(days=2)),
            "4": (Fate.ARCHIVED, None, NOW - timedelta(days=2)),
            "6": (Fate.PURGED if name == "contacts" else Fate.DELETED, None, None),
        }

    def test_live_records_cost_a_request_a_hundred(self) -> None:
        account = Account()
        everyone = [str(number) for number in range(1, 251)]
        for each in everyone:
            account.put("tasks", each)
        assert fates(account, "tasks", everyone + everyone) == {}
        assert len(account.log) == 3

    def test_a_company_is_deleted_where_a_contact_is_purged(self) -> None:
        assert fates(Account(), "companies", ["6"]) == {"6": (Fate.DELETED, None)}
        assert fates(Account(), "contacts", ["6"]) == {"6": (Fate.PURGED, None)}

    def test_meetings_named_as_missing_are_deleted_without_further_requests(self) -> None:
        account = Account()
        account.put("meetings", "1")
        assert fates(account, "meetings", ["1", "2", "3"]) == {"2": (Fate.DELETED, None), "3": (Fate.DELETED, None)}
        assert account.paths() == ["POST /crm/v3/objects/meetings/batch/read"] * 2

    def test_a_bin_that_cannot_be_read_leaves_single_requests(self) -> None:
        account = Account()
        account.put("meetings", "1")
        missing = reply({"status": "COMPLETE", "results": []})
        refused = reply({"message": "Paging through deleted objects is not yet supported for object type 0-47"}, 400)
        account.told = [Told("batch/read", missing), Told("batch/read", refused)]
        assert fates(account, "meetings", ["1", "2"]) == {"2": (Fate.DELETED, None)}

    def test_missing_in_an_answer_is_not_gone(self) -> None:
        """Answers without a word about some ids: each is asked for alone, and is there."""
        account = Account()
        for each in ("1", "2"):
            account.put("calls", each)
        account.told = [Told("batch/read", reply({"status": "COMPLETE", "results": []}), times=2)]
        assert fates(account, "calls", ["1", "2"]) == {}

    def test_what_was_restored_meanwhile_is_live(self) -> None:
        account = Account()
        account.put("tasks", "1")
        restored = reply({"results": [{"id": "1", "properties": {}, "archived": False}]})
        account.told = [Told("batch/read", reply({"results": []})), Told("batch/read", restored)]
        assert fates(account, "tasks", ["1"]) == {}

    def test_a_batch_that_answers_the_survivor(self) -> None:
        """Under another id than asked; its own list of merged ids says for which."""
        account = Account()
        survivor = {"id": "30", "properties": {"hs_merged_object_ids": "3; 4;x;"}}
        account.told = [Told("batch/read", reply({"results": [survivor, {"id": "1", "properties": {}}]}))]
        assert fates(account, "contacts", ["1", "3"]) == {"3": (Fate.MERGED, "30")}
        assert len(account.log) == 1

    def test_the_survivor_itself_is_live(self) -> None:
        account = Account()
        for each in ("3", "4"):
            account.put("contacts", each)
        account.merge("contacts", "3", "4", "4")
        assert fates(account, "contacts", ["3", "4"]) == {"3": (Fate.MERGED, "4")}

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (reply({"category": "MISSING_SCOPES"}, 403), ObjectStopped),
            (reply({"results": [], "errors": [{"category": "INTERNAL", "context": {"id": ["1"]}}]}, 207), ObjectStopped),
            (reply({"category": "INVALID_AUTHENTICATION"}, 401), PassStopped),
            (Answer(status=404, headers={}, body=b"<html>"), ObjectStopped),
        ],
    )
    def test_an_error_is_no_fate(self, answer: Answer, error: type[Exception]) -> None:
        for call in (1, 2):
            account = Account()
            first = [] if call == 1 else [Told("batch/read", reply({"results": []}))]
            account.told = [*first, Told("batch/read", answer)]
            with pytest.raises(error):
                fates(account, "contacts", ["1"])

    def test_an_error_of_a_single_request_is_no_fate(self) -> None:
        account = Account()
        account.told = [Told("GET", reply({"category": "MISSING_SCOPES"}, 403))]
        with pytest.raises(ObjectStopped):
            fates(account, "contacts", ["1"])

    @given(
        kinds=st.dictionaries(
            st.integers(1, 400).map(str), st.sampled_from(["live", "archived", "gone", "merged", "swallowed"]), max_size=150
        ),
        name=st.sampled_from(["contacts", "companies", "deals"]),
    )
    def test_says_of_any_account_what_is_so(self, kinds: dict[str, str], name: str) -> None:
        """merged: with another, into a new record; swallowed: into a live one that keeps its id."""
        account = Account()
        expected: dict[str, tuple[Fate, str | None]] = {}
        for number, (each, kind) in enumerate(kinds.items()):
            new = str(5000 + 2 * number)
            if kind != "gone":
                account.put(name, each)
            if kind == "archived":
                account.archive(name, each, millis(NOW))
                expected[each] = (Fate.ARCHIVED, None)
            if kind in ("merged", "swallowed"):
                account.put(name, str(5001 + 2 * number))
                survivor = new if kind == "merged" else str(5001 + 2 * number)
                account.merge(name, each, str(5001 + 2 * number), survivor)
                expected[each] = (Fate.MERGED, survivor)
            if kind == "gone":
                expected[each] = (Fate.PURGED if name == "contacts" else Fate.DELETED, None)
        assert fates(account, name, list(kinds)) == expected


class Noting(NoBudget):
    """Remembers the lanes."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []

    def take(self, bucket: Any, lane: Lane = "normal") -> None:
        self.lanes.append(lane)


def test_looks_and_fates_let_others_pass() -> None:
    budget = Noting()
    crm = crm_of(Account(), budget=budget)
    look(crm, "contacts")
    crm.fates("contacts", ["1"])
    assert set(budget.lanes) == {"backfill"}
    assert len(budget.lanes) == crm.calls() == 5
