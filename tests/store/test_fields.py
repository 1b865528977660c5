"""Field columns: made once, typed, with their folded twins, made anew where the type changed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, inspect, select
from sqlmodel import Session

from connector.errors import StoreError
from connector.model import FieldType
from connector.store import schema
from connector.store.database import Store
from connector.store.fields import FieldColumn, contact_table, ensure_fields, set_state, stored_fields
from connector.store.tables import ContactRow, metadata

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
COLUMNS = [
    FieldColumn("f_industry", FieldType.CHOICE),
    FieldColumn("f_roles", FieldType.CHOICES),
    FieldColumn("f_job_title", FieldType.TEXT),
    FieldColumn("f_employees", FieldType.INTEGER),
    FieldColumn("f_budget", FieldType.NUMBER),
    FieldColumn("f_opted_in", FieldType.BOOLEAN),
    FieldColumn("f_last_conversion_at", FieldType.DATETIME),
    FieldColumn("h_lead_status", FieldType.CHOICE),
    FieldColumn("s_lead_status", FieldType.CHOICE),
]


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with Store.open(database_url) as store:
        store.upgrade()
        yield store


def columns_of_contact(store: Store) -> set[str]:
    with store.read() as connection:
        return {column["name"] for column in inspect(connection).get_columns("contact")}


def test_adds_what_is_missing_once(store: Store) -> None:
    own = columns_of_contact(store)
    assert ensure_fields(store, COLUMNS[:2]) == ["f_industry", "f_roles"]
    assert ensure_fields(store, COLUMNS) == [column.name for column in COLUMNS[2:]]
    assert ensure_fields(store, COLUMNS) == []
    twins = {"f_industry", "f_roles", "f_job_title", "h_lead_status", "s_lead_status"}
    assert columns_of_contact(store) - own == {column.name for column in COLUMNS} | {f"{name}_folded" for name in twins}
    assert stored_fields(store) == dict.fromkeys(COLUMNS, "filling")
    with store.read() as connection:
        assert schema.differences(connection) == []


def test_values_come_back_with_their_types(store: Store) -> None:
    ensure_fields(store, COLUMNS)
    contact = contact_table(COLUMNS)
    values: dict[str, object] = {
        "f_industry": "Software",
        "f_industry_folded": "software",
        "f_roles": ";CHAMPION;DECISION_MAKER;",
        "f_employees": 2**62,
        "f_budget": 0.1,
        "f_opted_in": True,
        "f_last_conversion_at": 1_790_000_000_000_000,
    }

    def work(connection: Connection) -> None:
        with Session(bind=connection) as session:
            session.add(ContactRow(id=1, first_seen_at=NOW))
            session.flush()
        connection.execute(contact.update().values(values))

    store.write(work)
    with store.read() as connection:
        row = connection.execute(select(contact)).mappings().one()
        assert {name: row[name] for name in values} == values
        assert [type(row[name]) for name in values] == [type(value) for value in values.values()]
        assert row["first_seen_at"] == NOW
        assert row["h_lead_status"] is None
        assert connection.scalar(select(contact.c.id).where(contact.c.f_industry_folded < "t", contact.c.f_opted_in)) == row["id"]


def test_the_twin_is_compared_byte_by_byte(store: Store) -> None:
    ensure_fields(store, COLUMNS[:1])
    contact = contact_table(COLUMNS[:1])
    with store.read() as connection:
        columns = {column["name"]: column for column in inspect(connection).get_columns("contact")}
    if store.dialect == "postgresql":
        assert columns["f_industry_folded"]["type"].collation == "C"  # type: ignore[attr-defined]
    assert contact.c.f_industry_folded.type.dialect_impl(store._writer.dialect).collation in ("C", "BINARY")  # type: ignore[attr-defined]


def test_a_changed_type_makes_the_column_anew(store: Store) -> None:
    ensure_fields(store, COLUMNS)
    set_state(store, [column.name for column in COLUMNS], "present")
    changed = [FieldColumn("f_industry", FieldType.INTEGER), FieldColumn("f_employees", FieldType.TEXT), *COLUMNS[2:3]]
    assert ensure_fields(store, changed) == ["f_industry", "f_employees"]
    there = columns_of_contact(store)
    assert "f_industry_folded" not in there
    assert "f_employees_folded" in there
    states = {column.name: state for column, state in stored_fields(store).items()}
    assert (states["f_industry"], states["f_employees"], states["f_job_title"]) == ("filling", "filling", "present")


def test_states(store: Store) -> None:
    ensure_fields(store, COLUMNS[:3])
    set_state(store, ["f_industry", "f_roles"], "present")
    set_state(store, ["f_roles"], "gone")
    set_state(store, [], "present")
    assert list(stored_fields(store).values()) == ["present", "filling", "gone"]


@pytest.mark.parametrize("name", ["industry", "f_Industry", "f_x; DROP TABLE contact", "f_", "x_a", "f_a_folded", "f_" + "a" * 60])
def test_refuses_a_name_that_can_be_no_column(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="cannot be a column"):
        ensure_fields(store, [FieldColumn(name, FieldType.TEXT)])


def test_the_longest_name_is_not_cut(store: Store) -> None:
    column = FieldColumn("f_" + "a" * 54, FieldType.TEXT)
    ensure_fields(store, [column])
    assert {column.name, column.folded} <= columns_of_contact(store)


def test_processes_that_race_make_a_column_once(database_url: str, store: Store) -> None:
    others = [Store.open(database_url) for _ in range(3)]
    with ThreadPoolExecutor(4) as pool:
        made = [done.result(timeout=60) for done in [pool.submit(ensure_fields, each, COLUMNS) for each in (store, *others)]]
    for other in others:
        other.close()
    assert sorted(name for names in made for name in names) == sorted(column.name for column in COLUMNS)


def test_the_declared_table_stays_without_fields() -> None:
    table = contact_table(COLUMNS)
    assert "f_industry" in table.c
    assert "f_industry" not in metadata.tables[str(ContactRow.__tablename__)].c
    assert {column.name for column in metadata.tables["contact"].columns} <= {column.name for column in table.columns}
