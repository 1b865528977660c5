"""Marks: every column says whose data it holds, and a privacy deletion does what follows from it, in every table that there is."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, Column, Connection, Float, Integer, LargeBinary, MetaData, Text, insert, select
from sqlalchemy import Table as SqlTable

from connector.store import marks
from connector.store.bulk import add_missing, plain
from connector.store.database import Store
from connector.store.marks import ColumnMark, Deletion, PersonalTable, RowsOf, column_mark, empty_value, marks_of, personal_tables, rows_of
from connector.store.mirror import pages, privacy_forget
from connector.store.tables import Json, Moment, Table, metadata
from connector.store.tables.columns import DataOf, OfContact, Privacy
from tests.store.support import LATER, NOW, kept_store, mark_unified, page, person, ref, store

__all__ = ["kept_store", "store"]  # fixtures

WORD = "quuxington"


class TestMarks:
    def test_every_column_has_one(self) -> None:
        columns = {(table.name, column.name) for table in metadata.sorted_tables for column in table.columns}
        marked = {(name, column) for name, kind in marks._classes().items() for column in marks_of(kind)}
        assert columns - marked == set()

    def test_one_without_is_found(self) -> None:
        class Unmarked(Table):
            said: OfContact[str]
            forgotten: str

        assert marks_of(Unmarked) == {"said": DataOf.CONTACT}

    @pytest.mark.parametrize(
        ("table", "column", "mark"),
        [
            ("ledger", "key", ColumnMark(DataOf.NOBODY, Deletion.KEPT)),
            ("ledger", "message", ColumnMark(DataOf.CONTACT, Deletion.EMPTIED)),
            ("record_version", "changed", ColumnMark(DataOf.CONTACT, Deletion.WITH_ROW)),
            ("touch", "person", ColumnMark(DataOf.EMPLOYEE, Deletion.KEPT)),
            ("rejection", "reason", ColumnMark(DataOf.CONTACT, Deletion.WHERE_NAMED)),
            ("run", "summary", ColumnMark(DataOf.CONTACT, Deletion.WHERE_NAMED)),
            ("contact", "owner", ColumnMark(DataOf.EMPLOYEE, Deletion.KEPT)),
            ("contact", "f_job_title", ColumnMark(DataOf.CONTACT, Deletion.EMPTIED)),
            ("contact", "h_lead_status_folded", ColumnMark(DataOf.CONTACT, Deletion.EMPTIED)),
        ],
    )
    def test_of_a_column(self, table: str, column: str, mark: ColumnMark) -> None:
        assert column_mark(table, column) == mark

    @pytest.mark.parametrize(("table", "column"), [("ledger", "f_email"), ("nothing", "id")])
    def test_there_is_none_of_what_there_is_not(self, table: str, column: str) -> None:
        with pytest.raises(KeyError):
            column_mark(table, column)


class TestHowRowsAreFound:
    @pytest.mark.parametrize(
        ("columns", "found"),
        [
            ("contact_id number text", RowsOf(contact="contact_id")),
            ("id contact_id crm object record_id", RowsOf(contact="contact_id")),
            ("contact_id? crm object id record_object record_id", RowsOf(record=("record_object", "record_id"), about=True)),
            ("crm id object record_id", RowsOf(record=("object", "record_id"))),
            ("id contact_id? text", RowsOf(contact="contact_id")),
            ("id text", RowsOf()),
        ],
    )
    def test_by_the_columns(self, columns: str, found: RowsOf) -> None:
        assert rows_of("t", {name.rstrip("?"): name.endswith("?") for name in columns.split()}, Privacy()) == found

    def test_by_what_the_class_says_of_its_id(self) -> None:
        columns = dict.fromkeys(("crm", "object", "id"), False)
        assert rows_of("t", columns, Privacy(id_of="record")) == RowsOf(record=("object", "id"))
        assert rows_of("t", columns, Privacy(id_of="activity")) == RowsOf(through="activity_link")

    @pytest.mark.parametrize("id_of", [None, "weather"])
    def test_what_no_deletion_would_reach_is_an_error(self, id_of: str | None) -> None:
        with pytest.raises(ValueError, match="no privacy deletion reaches notes"):
            rows_of("notes", dict.fromkeys(("crm", "object", "id"), False), Privacy(id_of=id_of))

    def test_what_cannot_be_emptied_is_an_error(self) -> None:
        table = SqlTable("t", MetaData(), Column("a", Text, primary_key=True), Column("b", Integer, nullable=False), Column("c", Json))
        assert empty_value(table.c.c) is None
        for name in ("a", "b"):
            with pytest.raises(ValueError, match=rf"t\.{name} cannot be emptied"):
                empty_value(table.c[name])


# ── Every table there is ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deletion_reaches_every_table_with_data_of_a_contact(store: Store) -> None:
    """A row of the person and one of somebody else in each: theirs tells nothing any more, its figures stay, the other stays as it was."""
    pages.commit_page(store, page(person(77), person(1)), now=NOW)
    mark_unified(store)
    links = {personal.rows.through for personal in personal_tables()}  # filled with what they lead to
    kept = [personal for personal in personal_tables() if personal.name not in ("record", "record_email", *links)]
    store.write(lambda connection: add_rows(connection, kept))
    before = everything(store)
    assert all(WORD in repr(before[personal.name]) for personal in kept)
    privacy_forget.forget(store, [ref(77)], now=LATER)
    after = everything(store)
    assert [name for name, rows in after.items() if f"{WORD} 77" in repr(rows)] == []
    assert {row["record_id"] for row in before["activity_link"]} == {"1", "77"}
    assert {row["record_id"] for row in after["activity_link"]} == {"1"}
    for personal in kept:
        assert [row for row in before[personal.name] if of(row, 1)] == [row for row in after[personal.name] if of(row, 1)]
        assert figures(personal, before) == figures(personal, after)


def of(row: dict[str, Any], who: int) -> bool:
    return f"{WORD} {who}" in repr(row)


def figures(personal: PersonalTable, rows: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What a deletion must not change: all that is not the contact's, of rows that stay. A touch whose activity went is kept without."""
    names = [name for name in rows[personal.name][0] if (personal.name, name) != ("touch", "kept")]
    kept = [name for name in names if column_mark(personal.name, name).deletion is Deletion.KEPT]
    stays = [row for row in rows[personal.name] if not personal.privacy.deletes_row or of(row, 1)]
    return sorted(({name: row[name] for name in kept} for row in stays), key=repr)


def everything(store: Store) -> dict[str, list[dict[str, Any]]]:
    with store.read() as connection:
        names = [table.name for table in metadata.sorted_tables if table.name != "meta"]
        return {name: [dict(row) for row in connection.execute(select(plain(name))).mappings()] for name in names}


def add_rows(connection: Connection, tables: list[PersonalTable]) -> None:
    for personal in tables:
        for who in (77, 1):
            add_row(connection, personal, who)


def add_row(connection: Connection, personal: PersonalTable, who: int) -> None:
    table = metadata.tables[personal.name]
    row = {column.name: value(column, personal, who) for column in table.columns if needed(column, personal)}
    connection.execute(insert(table).values(row))
    if personal.rows.through is not None:
        links = metadata.tables[personal.rows.through]
        about = {"record_object": "contacts", "record_id": str(who)}
        link = {column.name: filler(column, who) for column in links.columns if not column.nullable} | about
        add_missing(connection, links, [link | {name: row[name] for name in ("crm", "object", "id")}])  # versions have the same one


def needed(column: Column[Any], personal: PersonalTable) -> bool:
    return not column.nullable or column.name in personal.columns or column.name in (personal.rows.contact, *(personal.rows.record or ()))


def value(column: Column[Any], personal: PersonalTable, who: int) -> Any:
    """The keys are the person's; what is the contact's names the person."""
    rows = personal.rows
    if column.name == rows.contact:
        return who
    if rows.record is not None and column.name in rows.record:
        return "contacts" if column.name == rows.record[0] else str(who)
    if column.name in personal.columns and marks.holds_text(column):
        text = f"{WORD} {who} <P{who}@Example.org>"
        return {"said": text} if isinstance(column.type, Json) else text
    return filler(column, who)


def filler(column: Column[Any], who: int) -> Any:
    if column.name == "crm":
        return "hubspot"
    kinds: list[tuple[Any, Any]] = [
        (Json, {}), (Moment, NOW), (LargeBinary, b"x"), (Boolean, True), (Float, 1.0), ((Integer, BigInteger), who)
    ]  # fmt: skip
    return next((made for kind, made in kinds if isinstance(column.type, kind)), f"x{who}")
