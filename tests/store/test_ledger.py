"""What the ledger keeps, says and guards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import IntegrityError

from connector.model import Kind, State
from connector.store import claims, ledger, shadow
from connector.store.claims import Settlement
from connector.store.database import Store
from connector.store.ledger import Entry
from tests.support.actions import (
    LEDGER,
    NOW,
    add_activity,
    add_contacts,
    due,
    handover,
    opened_for,
    plan,
    proposal,
    put_state,
    rows,
    set_stage,
    task,
)

STAGE_KEY = "qualified|1|set_stage|hubspot|lifecyclestage|spell 1"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with opened_for(request) as store:
        add_contacts(store, *range(1, 10))
        yield store


def due_rows(store: Store) -> list[Entry]:
    with store.read() as connection:
        return claims.due_entries(connection, now=NOW)


def claim(store: Store, entries: list[Entry], fence: int) -> list[Entry]:
    return store.write(lambda connection: claims.claim(connection, entries, fence=fence, now=NOW))


def settle(store: Store, settlements: list[Settlement], fence: int) -> int:
    return len(store.write(lambda connection: claims.settle(connection, settlements, fence=fence, now=NOW)))


class TestKeys:
    def test_a_key_is_held_once(self, store: Store) -> None:
        plan(store, proposal(1, set_stage(1)))
        (row,) = rows(store)
        again = row | {"id": row["id"] + 1}
        with pytest.raises(IntegrityError):
            store.write(lambda connection: connection.execute(LEDGER.insert(), [again]))

    @pytest.mark.parametrize("state", ["shadow", "superseded"])
    def test_shadow_and_superseded_rows_hold_none(self, store: Store, state: str) -> None:
        plan(store, proposal(1, set_stage(1)))
        (row,) = rows(store)
        again = [row | {"state": state, "id": row["id"] + number} for number in (1, 2)]
        store.write(lambda connection: connection.execute(LEDGER.insert(), again))
        assert len(rows(store)) == 3


class TestClaims:
    def test_a_claim_marks_rows_as_being_sent(self, store: Store) -> None:
        plan(store, handover(1))
        (first, *_) = claim(store, due_rows(store), 5)
        row = rows(store)[0]
        assert (row["state"], row["fence"], row["tries"], row["sent_at"]) == ("sending", 5, 1, NOW)
        assert (first.state, first.fence, first.tries, first.sent_at, first.maybe_written) == (State.SENDING, 5, 1, NOW, False)

    def test_what_an_approver_dropped_meanwhile_is_not_claimed(self, store: Store) -> None:
        plan(store, proposal(1, set_stage(1)))
        entries = due_rows(store)
        put_state(store, STAGE_KEY, State.DROPPED)
        assert claim(store, entries, 5) == []

    def test_a_later_fence_takes_over_and_the_earlier_one_settles_nothing(self, store: Store) -> None:
        plan(store, proposal(1, set_stage(1)))
        old = claim(store, due_rows(store), 5)
        new = claim(store, due_rows(store), 6)
        assert new[0].maybe_written
        assert claim(store, old, 5) == []
        assert settle(store, [Settlement(entry=old[0], state=State.REFUSED)], 5) == 0
        assert settle(store, [Settlement(entry=new[0], state=State.APPLIED)], 6) == 1
        assert [row["state"] for row in rows(store)] == ["applied"]

    def test_what_is_given_back_is_as_it_was(self, store: Store) -> None:
        plan(store, proposal(1, set_stage(1)))
        put_state(store, STAGE_KEY, State.PARKED, retry_at=NOW, tries=2)
        before = due_rows(store)
        claim(store, before, 5)
        store.write(lambda connection: claims.release(connection, before, fence=5))
        (after,) = due_rows(store)
        assert (after.state, after.tries, after.sent_at, after.retry_at) == (State.PARKED, 2, None, NOW)

    def test_what_a_gone_process_was_sending_is_unknown_when_given_back(self, store: Store) -> None:
        plan(store, proposal(1, set_stage(1)))
        claim(store, due_rows(store), 5)
        before = due_rows(store)
        claim(store, before, 6)
        store.write(lambda connection: claims.release(connection, before, fence=6))
        assert [(row.state, row.sent_at) for row in due_rows(store)] == [(State.UNKNOWN, NOW)]

    def test_a_settlement_writes_all_it_says(self, store: Store) -> None:
        plan(store, proposal(1, task(1)), proposal(2, set_stage(2)))
        one, two = claim(store, due_rows(store), 5)
        later = NOW + timedelta(minutes=2)
        ends = [
            Settlement(entry=one, state=State.APPLIED, result_id="77", read_back=True, due=True),
            Settlement(entry=two, state=State.PARKED, retry_at=later, code="C", message="m", next_step="n", correlation_id="id", found="x"),
        ]
        assert settle(store, ends, 5) == 2
        first, second = rows(store)
        assert (first["state"], first["result_id"], first["read_back"], first["settled_at"]) == ("applied", "77", True, NOW)
        assert (second["state"], second["retry_at"], second["settled_at"], second["sent_at"]) == ("parked", later, None, None)
        assert [second[name] for name in ("code", "message", "next_step", "correlation_id")] == ["C", "m", "n", "id"]
        assert due(store) == {1}
        with store.read() as connection:
            assert ledger.rows_of_contact(connection, 2)[0]["found"] == "x"

    def test_what_stands_behind_ends_unless_it_is_on_its_way(self, store: Store) -> None:
        plan(store, handover(1), handover(2))
        first, owner, *_ = due_rows(store)
        claim(store, [owner], 5)

        def work(connection: Connection) -> int:
            return claims.end_behind(connection, first, first.position, state=State.BLOCKED, message="m", now=NOW)

        assert store.write(work) == 1
        assert [row["state"] for row in rows(store)] == ["planned", "sending", "blocked", "planned", "planned", "planned"]


class TestFigures:
    def test_planned_is_ends_plus_what_is_open(self, store: Store) -> None:
        made = plan(store, handover(1), handover(2), handover(3))
        put_state(store, STAGE_KEY, State.APPLIED)
        put_state(store, STAGE_KEY.replace("|1|", "|2|"), State.HELD)
        assert made.id is not None
        with store.read() as connection:
            figures = ledger.figures(connection, made.id)
            counts = ledger.counts(connection)
        assert figures.total() == len(made.actions) == 9
        assert counts == {State.PLANNED: 7, State.HELD: 1}

    def test_a_contact_s_rows_come_newest_first_with_their_values(self, store: Store) -> None:
        plan(store, proposal(1, set_stage(1)), mode="shadow")
        plan(store, proposal(1, set_stage(1)), proposal(1, task(1)), mode="shadow", now=NOW + timedelta(minutes=5))
        plan(store, proposal(1, set_stage(1)), proposal(2, set_stage(2)))
        with store.read() as connection:
            told = ledger.rows_of_contact(connection, 1)
        assert [(row["state"], row["after"]) for row in told] == [("planned", "mql"), ("shadow", "mql-alert"), ("shadow", "mql")]
        assert told[0]["why"] == {"score": 61.5, "industry": "software"}

    def test_open_tasks_are_those_of_ours_that_the_mirror_says_are_open(self, store: Store) -> None:
        kinds: list[dict[str, Any]] = [{"key": "ours"}, {"key": "ours", "done": True}, {"key": "ours", "archived": True}, {"key": ""}]
        for number, values in enumerate(kinds):
            add_activity(store, crm="hubspot", object="tasks", id=f"{number}", **values)
        with store.read() as connection:
            assert ledger.open_task_count(connection) == 1

    def test_a_task_comes_back_as_it_was_saved(self, store: Store) -> None:
        wanted = task(1).task
        plan(store, proposal(1, task(1)))
        assert [row.task for row in due_rows(store)] == [wanted]


class TestIndexes:
    """A ledger of years is not read through for what is open now; asked of SQLite, which says what it does."""

    @pytest.mark.parametrize("store", ["sqlite"], indirect=True)
    @pytest.mark.parametrize(
        ("call", "index"),
        [
            (lambda connection: claims.due_entries(connection, now=NOW), "ix_ledger_open"),
            (lambda connection: ledger.held_since(connection, NOW), "ix_ledger_lapse"),
            (lambda connection: ledger.held_of(connection, [1]), "(contact_id=?"),
            (lambda connection: ledger.held_amount(connection, ["a"]), "COVERING INDEX ix_ledger_held"),
            (lambda connection: ledger.plans_that_hold(connection, but=1), "COVERING INDEX ix_ledger_held"),
            (lambda connection: shadow.standing(connection, [1]), "contact_id=?"),
            (ledger.counts, "ix_ledger_open"),
            (lambda connection: ledger.waiting_tasks(connection, now=NOW), "ix_ledger_open"),
            (lambda connection: ledger.standing(connection, [1]), "uq_ledger_key"),
            (lambda connection: ledger.guard_used(connection, ["a"], list(Kind), since=NOW), "ix_ledger_guard"),
            (lambda connection: ledger.open_tasks(connection, [1], now=NOW), "(contact_id=?"),
            (lambda connection: ledger.tasks_of_day(connection, start=NOW, end=NOW), "ix_ledger_plan"),
        ],
    )  # fmt: skip
    def test_each_look_uses_its_own(self, store: Store, call: Callable[[Connection], object], index: str) -> None:
        plan(store, handover(1))
        told: list[str] = []

        def explain(connection: Connection, cursor: object, statement: str, parameters: Any, context: object, many: bool) -> None:
            if statement.startswith("SELECT"):
                driver: Any = connection.connection.driver_connection
                told.extend(row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

        with store.read() as connection:
            connection.execute(text("SELECT 1"))
            event.listen(connection, "before_cursor_execute", explain)
            call(connection)
        ledger_steps = [step for step in told if " ledger " in f"{step} "]
        assert ledger_steps
        assert all(index in step for step in ledger_steps), told
