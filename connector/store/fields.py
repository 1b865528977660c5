"""The fields of the file as typed columns of `contact`: made here, under the schema's lock, and listed in the catalogue table `field`.

A column is named `f_<field>` (what rules believe), `h_<field>` or `s_<field>` (what one CRM says). Moments are whole microseconds since
1970; a field of several choices is stored as ";a;b;". A textual one has a twin, `<name>_folded`, which conditions compare byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import BigInteger, Boolean, Column, Connection, Double, MetaData, Table, Text, delete, insert, select, text, update
from sqlalchemy.schema import CreateColumn
from sqlalchemy.types import TypeEngine

from connector.errors import StoreError
from connector.model import FOLDED, FieldType, folded_twin
from connector.store import schema
from connector.store.database import Store
from connector.store.tables import exact, metadata

#: filling: named, not yet read for all records; present; gone: the CRM stopped answering it.
FieldStatus = Literal["filling", "present", "gone"]

_FIELD = metadata.tables["field"]
#: PostgreSQL cuts names at 63 bytes in silence; the twin's ending must fit in.
_LONGEST = 63 - len(FOLDED)


@dataclass(frozen=True, slots=True)
class FieldColumn:
    """A field as a column of `contact`: "f_industry", "h_lead_status", "s_lead_status"."""

    name: str
    type: FieldType

    @property
    def folded(self) -> str | None:
        """The twin's name; None where there is none."""
        return folded_twin(self.name) if self.type.textual else None

    def columns(self) -> list[Column[Any]]:
        """The column, and its twin behind it."""
        made: list[Column[Any]] = [Column(self.name, _sql_type(self.type), nullable=True)]
        if self.folded is not None:
            made.append(Column(self.folded, exact(), nullable=True))
        return made


def ensure_fields(store: Store, columns: Sequence[FieldColumn]) -> list[str]:
    """Adds the columns that are missing; one whose type changed is dropped and made again, empty. Returns the names of those made.

    New ones are `filling`. Columns that are not named stay as they are. Raises `StoreError` for a name that cannot be a column.
    """
    for column in columns:
        if not schema.FIELD_COLUMN.match(column.name) or column.name.endswith(FOLDED) or len(column.name) > _LONGEST:
            raise StoreError(
                f"the field {column.name[2:]!r} cannot be a column of the database",
                advice=f"Name it in small letters, digits and underscores, at most {_LONGEST - 2} of them, not ending in {FOLDED}.",
            )
    wanted = {column.name: column for column in columns}
    with store.read() as connection:
        if not _missing(connection, wanted):
            return []

    def work(connection: Connection) -> list[str]:
        schema.lock_schema(connection)
        return [_make(connection, column, old) for column, old in _missing(connection, wanted)]

    return store.write(work)


def contact_table(columns: Iterable[FieldColumn]) -> Table:
    """`contact` with all its own columns and these, in a MetaData of its own, for Core statements: `contact.c.f_industry`.

    The same columns give the same table: what was compiled for it serves every pass.
    """
    return _contact_table(tuple(columns))


@lru_cache(maxsize=32)
def _contact_table(columns: tuple[FieldColumn, ...]) -> Table:
    table = metadata.tables["contact"].to_metadata(MetaData())
    for field in columns:
        for column in field.columns():
            table.append_column(column)
    return table


def stored_fields(store: Store) -> dict[FieldColumn, FieldStatus]:
    """Every field column that the database has, with its status."""
    with store.read() as connection:
        return {FieldColumn(row.name, FieldType(row.type)): row.state for row in connection.execute(select(_FIELD).order_by(_FIELD.c.name))}


def set_state(store: Store, names: Iterable[str], state: FieldStatus) -> None:
    """Sets the state of these columns in the catalogue."""
    chosen = list(names)

    def work(connection: Connection) -> None:
        connection.execute(update(_FIELD).where(_FIELD.c.name.in_(chosen)).values(state=state))

    if chosen:
        store.write(work)


def _missing(connection: Connection, wanted: Mapping[str, FieldColumn]) -> list[tuple[FieldColumn, FieldColumn | None]]:
    """The columns to make, each with the one of another type that stands in its place."""
    there = {row.name: FieldColumn(row.name, FieldType(row.type)) for row in connection.execute(select(_FIELD.c.name, _FIELD.c.type))}
    return [(column, there.get(name)) for name, column in wanted.items() if there.get(name) != column]


def _make(connection: Connection, column: FieldColumn, old: FieldColumn | None) -> str:
    if old is not None:
        for part in old.columns():
            connection.execute(text(f"ALTER TABLE contact DROP COLUMN {part.name}"))
        connection.execute(delete(_FIELD).where(_FIELD.c.name == old.name))
    for part in column.columns():
        definition = CreateColumn(part).compile(dialect=connection.dialect)
        connection.execute(text(f"ALTER TABLE contact ADD COLUMN {definition}"))
    connection.execute(insert(_FIELD).values(name=column.name, type=column.type.value, state="filling"))
    return column.name


def _sql_type(kind: FieldType) -> TypeEngine[Any]:
    if kind.textual:
        return Text()
    types: dict[FieldType, TypeEngine[Any]] = {
        FieldType.INTEGER: BigInteger(),
        FieldType.NUMBER: Double(),
        FieldType.BOOLEAN: Boolean(),
        FieldType.DATETIME: BigInteger(),
    }
    return types[kind]
