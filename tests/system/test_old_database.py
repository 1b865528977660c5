"""A database that schema 0002 wrote is migrated and goes on: nothing is lost or says something else, and what comes after is the same.

tests/store/old/ holds it, with what the CRMs held and with what the version of that schema concluded in three more days of passes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import text

from connector.engine import preview
from connector.store import schema
from connector.store.database import Store
from tests.support.old_company import FOLDER, kept, lay_old_database, old_company, old_rows
from tests.support.old_database import AFTER, LATER_PASSES

#: What is to be done next, and by whom: columns that say nothing of what was, so that a migration may set them anew.
NEXT = {("record", "unify"), ("contact", "due_at"), ("lease", "until"), ("lease", "holder")}
#: Conclusions that schema 0002 kept by place in the file: the first pass makes them anew by id, so the file counts as not applied yet.
ANEW = {("contact", "criteria")}
NOT_APPLIED = ("meta", "config")
#: Columns of schema 0002 that are no more: they never held a value.
EMPTY = {("attempt", "snapshot")}
#: Of the shadow plans the last one stands now; what those before it said is kept as superseded, with when and why.
REPLACED = {"state", "settled_at", "code", "message", "next_step"}
#: Where ids of rules stand. Those of the program's own rules begin with a colon now, and say the same.
RULES = {"rule", "key", "bundle"}  # and in a plan's guard


def said(table: str, rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> Counter[tuple[Any, ...]]:
    """What rows say in these columns."""
    names = sorted(name for name in columns if (table, name) not in NEXT | ANEW)

    def value(name: str, held: Any) -> Any:
        if isinstance(held, memoryview):
            return bytes(held)
        if name == "guard" and isinstance(held, str):
            return json.dumps({rule.removeprefix(":"): rail for rule, rail in json.loads(held).items()}, sort_keys=True)
        return held.removeprefix(":") if name in RULES and isinstance(held, str) else held

    return Counter(tuple(value(name, row[name]) for name in names) for row in rows if (table, row.get("name")) != NOT_APPLIED)


def new_rows(store: Store, table: str) -> list[dict[str, Any]]:
    with store.read() as connection:
        return [dict(row) for row in connection.execute(text(f'SELECT * FROM "{table}"')).mappings()]


def test_the_database_holds_what_it_is_kept_for() -> None:
    rows = old_rows()
    assert {row["outcome"] for row in rows["attempt"]} >= {"open", "accepted", "rejected", "disqualified", "ignored", "withdrawn"}
    assert {row["state"] for row in rows["clock"]} >= {"running", "warned", "met", "breached"}
    assert {row["state"] for row in rows["ledger"]} >= {"applied", "held", "parked", "planned", "waiting", "refused", "blocked", "shadow"}
    assert {row["accepted"] for row in rows["rejection"]} == {0, 1}
    assert any(row["moved_back_at"] for row in rows["evidence"])
    assert rows["touch"]
    assert rows["record_version"]
    assert len({row["mode"] for row in rows["plan"]}) == 2
    assert any(row["merged_into"] for row in rows["contact"] + rows["record"])


def test_every_row_is_there_and_says_the_same(database_url: str, tmp_path: Path) -> None:
    lay_old_database(database_url, tmp_path)
    with Store.open(database_url) as store:
        store.upgrade()
        store.check_schema()
        with store.read() as connection:
            assert schema.differences(connection) == []
        for table, rows in old_rows().items():
            after = new_rows(store, table)
            if not rows:
                continue
            empty = {name for name in rows[0] if (table, name) in EMPTY}
            assert all(row[name] is None for row in rows for name in empty)
            old = rows[0].keys() - empty
            assert not after or old <= after[0].keys(), f"{table} has lost {sorted(old - after[0].keys())}"
            if table == "ledger":
                shadow = {row["id"] for row in rows if row["state"] == "shadow"}
                assert {row["state"] for row in after if row["id"] in shadow} == {"shadow", "superseded"}
                for of_shadow, columns in ((True, old - REPLACED), (False, old)):
                    before, now = ([row for row in each if (row["id"] in shadow) is of_shadow] for each in (rows, after))
                    assert said(table, now, columns) == said(table, before, columns), "the ledger says something else"
            elif table == "meta":  # each row a value of its own, to which others come
                assert said(table, rows, old) <= said(table, after, old), "a single value says something else"
            else:
                assert said(table, after, old) == said(table, rows, old), f"{table} says something else"


def test_upgrading_the_old_database_twice_changes_nothing(database_url: str, tmp_path: Path) -> None:
    lay_old_database(database_url, tmp_path)
    with Store.open(database_url) as store:
        store.upgrade()
        first = {table: new_rows(store, table) for table in old_rows()}
        store.upgrade()
        assert {table: new_rows(store, table) for table in first} == first


def test_a_preview_over_it_wants_no_more_than_the_old_version_did(database_url: str, tmp_path: Path) -> None:
    """What a pass would do now: of what the ledger holds already, nothing a second time."""
    with old_company(database_url, tmp_path) as company:
        wanted = {action.key for action in preview(company.context()).actions}
        done = {row.key for row in company.rows("SELECT key FROM ledger WHERE state IN ('applied', 'already_so', 'refused', 'blocked')")}
        assert not wanted & done


def test_passes_go_on_as_they_would_have(database_url: str, tmp_path: Path) -> None:
    expected = kept("after")
    with old_company(database_url, tmp_path) as company:
        writes = company.writes()
        for _ in range(LATER_PASSES):
            company.later(hours=1)
            company.run()
        assert company.writes() > writes
        company.all_due()  # the old version judged fading scores each midnight; a score that no rule waits for is as old as its judgement
        company.run()
        for row in company.rows("SELECT criteria, criteria_met FROM contact WHERE judged_at IS NOT NULL AND NOT gone"):
            assert len(json.loads(row.criteria)) == row.criteria_met
        shadow = ", ".join(str(row["id"]) for row in old_rows()["ledger"] if row["state"] == "shadow")
        for name, statement in AFTER.items():
            rows = company.rows(statement.replace("state <> 'shadow'", f"state <> 'shadow' AND id NOT IN ({shadow})"))
            assert told(rows) == told(expected[name]), name


#: What waited for approval lapses, and is judged anew: in the pass in which it lapses now, in the one after it then.
LAPSED = {row["contact_id"] for row in old_rows()["ledger"] if row["state"] == "held"}
_A_DAY = 86_400_000_000


def told(rows: Iterable[Iterable[Any]]) -> list[list[Any]]:
    """Rows with the ids of rules as they say the same, in an order that ids don't turn; of what lapsed, moments to the day."""

    def value(contact: int, held: Any) -> Any:
        if isinstance(held, str):
            return held.removeprefix(":")
        is_moment = isinstance(held, int) and held > _A_DAY
        return held // _A_DAY * _A_DAY if is_moment and contact in LAPSED else held

    listed = [list(row) for row in rows]
    return sorted(([value(row[0], held) for held in row] for row in listed), key=repr)


def test_what_is_kept_is_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 300_000
