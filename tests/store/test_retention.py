"""Versions, ledger and plans past their time go in slices; what a rule still reads stays, however old."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from connector.model import ActivityKind
from connector.store import retention
from connector.store.database import Store
from connector.store.mirror import known_properties, pages
from connector.store.mirror.known_properties import KnownSpan
from connector.store.tables import ActionValue, ActivityRow, ContactRow, Ledger, LinkChange, PlanRow, RecordVersion
from tests.store.support import NOW, call, kept_store, mark_unified, page, person, rows, store

__all__ = ["kept_store", "store"]  # fixtures
OLD = NOW - timedelta(days=1000)
BEFORE = NOW - timedelta(days=500)


def add(store: Store, *things: Any) -> None:
    def work(connection: Any) -> None:
        with Session(bind=connection) as session:
            for thing in things:
                session.add(thing)
            session.flush()

    store.write(work)


def contact(number: int, **more: Any) -> ContactRow:
    return ContactRow(id=number, first_seen_at=OLD, spell=5, attempt=3, agreed_number=4, **more)


def action(number: int, cause: str, *, of: int = 1, **more: Any) -> Ledger:
    facts: dict[str, Any] = {
        "plan": 1, "bundle": f"rule|{of}|{cause}", "position": 0, "key": f"k{number}", "kind": "notify", "rule": "rule", "contact_id": 1,
        "crm": "hubspot", "object": "contacts", "record_id": "1", "target": "t", "state": "applied", "planned_at": OLD, "settled_at": OLD,
    }  # fmt: skip
    return Ledger(id=number, **facts | more)


def walk(store: Store, step: Any, before: datetime = BEFORE) -> int:
    after, dropped = None, 0
    while True:
        done: retention.RetentionSlice = step(store, before, after)
        dropped += done.dropped
        after = done.after
        if after is None:
            return dropped


def left(store: Store) -> set[int]:
    return {row.id for row in rows(store, Ledger)}


@pytest.mark.parametrize("size", [1, 3, 5000])
def test_versions_by_the_day_they_were_seen(store: Store, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(retention, "SLICE", size)
    for turn, now in enumerate((OLD, OLD + timedelta(days=1), NOW)):
        pages.commit_page(store, page(*(person(number, {"jobtitle": f"{turn}"}) for number in range(1, 5))), now=now)
    assert walk(store, retention.drop_versions) == 4
    assert [row.seen_at for row in rows(store, RecordVersion)] == [NOW] * 4
    pages.commit_page(store, page(person(1, {"jobtitle": "CEO"})), now=NOW)
    assert {row.number for row in rows(store, RecordVersion) if row.id == "1"} == {2, 3}


def test_what_is_let_go_is_known_no_more(store: Store) -> None:
    """No value is told as unchanged of a time whose versions went."""
    places = [("hubspot", "contacts", name) for name in ("jobtitle", "email")]
    store.write(lambda connection: known_properties.keep(connection, ["hubspot"], places, OLD))
    store.write(lambda connection: known_properties.keep(connection, ["hubspot"], places[:1], OLD + timedelta(days=1)))
    walk(store, retention.drop_versions)
    with store.read() as connection:
        spans = known_properties.spans(connection, "hubspot", "contacts", ["jobtitle", "email"])
    assert spans == {"jobtitle": [KnownSpan(BEFORE, None)], "email": []}


@pytest.mark.parametrize("size", [1, 5000])
def test_links_that_ended_go_with_their_activity(store: Store, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(retention, "SLICE", size)
    pages.commit_page(store, page(object_name="calls", activities=[call(1, 1), call(2, 1)]), now=OLD)
    pages.commit_page(store, page(object_name="calls", activities=[call(1, 2), call(2, 2)]), now=OLD + timedelta(days=1))
    assert walk(store, retention.drop_link_changes) == 0
    store.write(lambda connection: connection.execute(text("DELETE FROM activity WHERE id = '2'")))
    assert walk(store, retention.drop_link_changes, OLD) == 0
    assert walk(store, retention.drop_link_changes) == 2
    assert {row.id for row in rows(store, LinkChange)} == {"1"}


class TestTheLedger:
    def test_a_row_stays_while_its_cause_stands(self, store: Store) -> None:
        over = ("spell:1", "spell:3", "attempt:2", "attempt:2/reason", "agreement:3")
        standing = ("spell:4", "spell:5", "attempt:3", "attempt:3/response.1/breach", "agreement:4", "something:1")
        add(store, contact(1), *(action(number, cause) for number, cause in enumerate((*over, *standing), start=1)))
        add(store, *(ActionValue(ledger=number, contact_id=1) for number in range(1, 12)))
        assert walk(store, retention.drop_ledger) == len(over)
        assert left(store) == {row.ledger for row in rows(store, ActionValue)} == set(range(6, 12))

    def test_of_contacts_that_are_gone_or_became_another_all_go(self, store: Store) -> None:
        add(store, contact(1, gone=True), contact(2), action(1, "spell:5"))
        add(store, action(2, "spell:5", of=9, contact_id=2), action(3, "spell:5", contact_id=7))
        assert walk(store, retention.drop_ledger) == 3

    def test_only_what_ended_before(self, store: Store) -> None:
        states = ("planned", "waiting", "held", "approved", "sending", "unknown", "parked", "shadow")
        add(store, contact(1), *(action(number, "spell:1", state=state, settled_at=None) for number, state in enumerate(states, start=1)))
        add(store, action(20, "spell:1", settled_at=NOW), action(21, "spell:1", planned_at=NOW, settled_at=NOW))
        add(store, action(22, "spell:1", retry_at=NOW), action(23, "spell:1", state="superseded"), action(24, "spell:1", state="dropped"))
        assert walk(store, retention.drop_ledger) == 2
        assert left(store) == {*range(1, 9), 20, 21, 22}

    def test_the_last_stage_that_was_written_stays(self, store: Store) -> None:
        add(store, contact(1), *(action(number, f"spell:{number}", kind="set_stage") for number in (1, 2)))
        add(store, action(3, "spell:1", kind="set_stage", crm="salesforce"))
        assert walk(store, retention.drop_ledger) == 1
        assert left(store) == {2, 3}

    def test_the_row_of_an_open_task_stays(self, store: Store) -> None:
        tasks = [call(number, kind=ActivityKind.TASK, at=None, key=f"k{number}", done=number == 2) for number in (1, 2)]
        pages.commit_page(store, page(object_name="tasks", activities=tasks), now=OLD)
        add(store, contact(1), *(action(number, "spell:1", kind="create_task", result_id=str(number)) for number in (1, 2, 3)))
        assert walk(store, retention.drop_ledger) == 2
        assert left(store) == {1}

    def test_slice_by_slice(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retention, "SLICE", 3)
        add(store, contact(1), *(action(number, "spell:1") for number in range(1, 11)))
        assert retention.drop_ledger(store, BEFORE, None) == retention.RetentionSlice(3, [1, 3])
        assert walk(store, retention.drop_ledger) == 7


def test_plans_without_rows_but_the_last_of_shadow_and_those_not_decided(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE", 4)
    modes = {1: "live", 2: "live", 3: "shadow", 4: "shadow", 5: "shadow", 6: "live", 7: "live"}
    plans = [PlanRow(id=n, run=1, mode=mode, created_at=NOW if n == 7 else OLD, decided=n != 6) for n, mode in modes.items()]
    standing = action(10, "spell:1", plan=3, state="shadow", settled_at=None)
    add(store, contact(1), *plans, action(1, "spell:1", plan=1), standing)
    assert walk(store, retention.drop_plans) == 2
    assert {row.id for row in rows(store, PlanRow)} == {1, 3, 5, 6, 7}
    assert left(store) == {1, 10}, "what stands in the shadow plan stays, however long ago it came in"


class TestActivities:
    def test_old_ones_come_in_while_their_stream_was_not_read_whole(self, store: Store) -> None:
        retention.keep_since(store, BEFORE)
        old = page(object_name="calls", activities=[call(1, 1, at=OLD), call(2, 1)], full=True)
        assert pages.commit_page(store, old, now=NOW).stored == 2

    def test_then_only_those_that_are_here_change(self, store: Store) -> None:
        pages.commit_page(store, page(object_name="calls", activities=[call(1, 1, at=OLD)], full=True, last=True), now=NOW)
        retention.keep_since(store, BEFORE)
        news = [call(1, 1, at=OLD, outcome="Busy"), call(2, 1, at=OLD), call(3, 1), call(4, 1, at=None)]
        result = pages.commit_page(store, page(object_name="calls", activities=news), now=NOW)
        assert (result.seen, result.stored, result.unchanged, result.set_aside) == (4, 3, 1, 0)
        assert {row.id for row in rows(store, ActivityRow)} == {"1", "3", "4"}
        retention.keep_since(store, None)
        assert pages.commit_page(store, page(object_name="calls", activities=news), now=NOW).stored == 1

    @pytest.mark.parametrize("size", [1, 2, 5000])
    def test_those_about_nobody_go_slice_by_slice(self, store: Store, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        monkeypatch.setattr(retention, "SLICE", size)
        pages.commit_page(store, page(person(1)), now=NOW)
        mark_unified(store)
        calls = [call(1, at=OLD), call(2, 9, at=OLD), call(3, 1, at=OLD), call(4), call(5, at=None), call(6, 9, 1, at=OLD)]
        pages.commit_page(store, page(object_name="calls", activities=calls), now=NOW)
        assert walk(store, retention.drop_unlinked) == 2
        assert {row.id for row in rows(store, ActivityRow)} == {"3", "4", "5", "6"}
