"""Whose data each column holds, and what a privacy deletion does with it: read from the tables' classes, never listed by hand.

A table says by its columns how the rows of a person are found: by the contact's number, by the record they are about, or through a table
of links. What they cannot say, `privacy` in the class says beside them. A table of the contact's data that a deletion would not reach is
an error as soon as anybody asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import Column, String, TypeDecorator

from connector.store.schema import FIELD_COLUMN
from connector.store.tables import Json, Table, metadata
from connector.store.tables.columns import DataOf, Privacy

CONTACT = "contact"


class Deletion(StrEnum):
    """What a privacy deletion does with a column, in the rows of the person."""

    KEPT = "kept"
    EMPTIED = "emptied"
    WITH_ROW = "deleted with its row"
    WHERE_NAMED = "emptied where it names the person"


@dataclass(frozen=True, slots=True)
class ColumnMark:
    """Whose data a column holds, and what a privacy deletion does with it."""

    of: DataOf
    deletion: Deletion


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsOf:
    """How the rows of a person are found; at most one of these. None of them: no row is a person's, though its text may name one.

    contact: the column with the contact's number. record: the columns with the object and the id of the record, beside `crm`; about: the
    row links it with something else, and stays where only the record is taken away. through: a table of links that tells whose row it is.
    """

    contact: str | None = None
    record: tuple[str, str] | None = None
    about: bool = False
    through: str | None = None


@dataclass(frozen=True, slots=True)
class PersonalTable:
    """A table with data of contacts. columns: those that hold it."""

    name: str
    columns: tuple[str, ...]
    rows: RowsOf
    privacy: Privacy

    def emptied(self) -> tuple[str, ...]:
        """The columns that are emptied in a person's rows, whatever they hold."""
        return tuple(name for name in self.columns if name not in self.privacy.kept_unless_named)

    def deletion(self, column: str) -> Deletion:
        """What becomes of a column in a person's rows."""
        if column not in self.columns:
            return Deletion.KEPT
        if column in self.privacy.kept_unless_named or self.rows == RowsOf():
            return Deletion.WHERE_NAMED
        return Deletion.WITH_ROW if self.privacy.deletes_row else Deletion.EMPTIED


def column_mark(table: str, column: str) -> ColumnMark:
    """The mark of a column; those of the file's fields are the contact's. KeyError: there is no such column, or it has no mark."""
    if table == CONTACT and FIELD_COLUMN.match(column):
        return ColumnMark(DataOf.CONTACT, Deletion.EMPTIED)
    mark = marks_of(_classes()[table])[column]
    personal = next((each for each in personal_tables() if each.name == table), None)
    return ColumnMark(mark, Deletion.KEPT if personal is None else personal.deletion(column))


def marks_of(kind: type[Table]) -> dict[str, DataOf]:
    """The marks of a table's columns, as their types bear them; a column without one is not among them."""
    found = ((name, [each for each in field.metadata if isinstance(each, DataOf)]) for name, field in kind.model_fields.items())
    return {name: marks[0] for name, marks in found if len(marks) == 1}


@cache
def personal_tables() -> tuple[PersonalTable, ...]:
    """Every table that has columns of the contact, by name. ValueError: a privacy deletion would not reach one."""
    return tuple(_personal())


def _personal() -> Iterator[PersonalTable]:
    for name, kind in sorted(_classes().items()):
        columns = tuple(column for column, mark in marks_of(kind).items() if mark is DataOf.CONTACT)
        if columns:
            nullable = {column.name: bool(column.nullable) for column in metadata.tables[name].columns}
            personal = PersonalTable(name, columns, rows_of(name, nullable, kind.privacy), kind.privacy)
            if not kind.privacy.deletes_row:
                for column in columns:
                    empty_value(metadata.tables[name].c[column])
            yield personal


def rows_of(table: str, nullable: Mapping[str, bool], privacy: Privacy) -> RowsOf:
    """How a person's rows are found, by the table's columns (name → whether it may be NULL). ValueError: they don't say.

    A contact's number that may be missing is not known of every row: such rows are found by their record, where they have one.
    """
    if table == CONTACT:
        return RowsOf(contact="id")
    if "contact_id" in nullable and not nullable["contact_id"]:
        return RowsOf(contact="contact_id")
    if {"crm", "record_object", "record_id"} <= nullable.keys():
        return RowsOf(record=("record_object", "record_id"), about=True)
    if {"crm", "object", "record_id"} <= nullable.keys():
        return RowsOf(record=("object", "record_id"))
    if {"crm", "object", "id"} <= nullable.keys():
        return _by_own_id(table, privacy)
    if "contact_id" in nullable:
        return RowsOf(contact="contact_id")
    return RowsOf()


def _by_own_id(table: str, privacy: Privacy) -> RowsOf:
    if privacy.id_of == "record":
        return RowsOf(record=("object", "id"))
    links = f"{privacy.id_of}_link"
    if privacy.id_of is None or links not in metadata.tables:
        raise ValueError(f"no privacy deletion reaches {table}: say whose `id` it is, by Privacy(id_of=…) in its class")
    return RowsOf(through=links)


def empty_value(column: Column[Any]) -> Any:
    """What an emptied column holds. ValueError: it cannot be emptied."""
    if column.nullable and not column.primary_key:
        return None
    if not column.primary_key and holds_text(column):
        return {} if isinstance(column.type, Json) else ""
    raise ValueError(f"{column.table.name}.{column.name} cannot be emptied: let it be NULL, or say Privacy(deletes_row=True) in its class")


def holds_text(column: Column[Any]) -> bool:
    """Whether a column is stored as text, JSON among it."""
    kind = column.type
    return isinstance(kind.impl_instance if isinstance(kind, TypeDecorator) else kind, String)


@cache
def _classes() -> dict[str, type[Table]]:
    """The declared tables by name."""
    kinds = [kind for kind in Table.__subclasses__() if "__table__" in vars(kind)]
    return {str(kind.__tablename__): kind for kind in kinds}
