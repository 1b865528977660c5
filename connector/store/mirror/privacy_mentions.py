"""What stands with others, or with nobody, and names a person who is deleted for privacy: messages, values that others had before.

Every column that is marked as the contact's is looked through, but for those whose table says why not (`Privacy.unsearched`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, and_, func, or_, select, type_coerce, update
from sqlalchemy.types import Text

from connector.store.bulk import chunks
from connector.store.marks import PersonalTable, empty_value, holds_text, personal_tables
from connector.store.tables import Json, metadata

_T = metadata.tables
_NAMED = "it named a person who was deleted for privacy"
#: In the place of an address in a text of the file, and the table of these texts: they are the company's, and stay but for that.
_STRUCK = "(an address that was deleted for privacy)"
STRUCK_OUT = "rule_text"
#: How many texts one statement looks for.
_FEW = 50


def redact(connection: Connection, texts: Collection[str]) -> None:
    """Takes these texts out of every row, whomever it is about: a text that holds one goes, of a JSON value the parts that do."""
    for few in _pieces(sorted(texts)):
        for personal in personal_tables():
            if personal.privacy.unsearched is None:
                for name in personal.columns:
                    _redact_column(connection, _T[personal.name].c[name], few)


def strike_out(connection: Connection, texts: Collection[str]) -> None:
    """The file may name an address, to leave it alone: it is struck out of the texts of the file that are kept, each known by its digest as
    before."""
    table = _T[STRUCK_OUT]
    for few in _pieces(sorted(texts)):
        for row in connection.execute(select(table).where(_any_of(table.c.text, few))).all():
            struck = re.sub("|".join(map(re.escape, few)), _STRUCK, row.text, flags=re.IGNORECASE)
            connection.execute(update(table).where(table.c.digest == row.digest).values(text=struck))


def empty_where_named(connection: Connection, contacts: Collection[int], named: Callable[[str], bool]) -> None:
    """Of columns by which figures group, empties those of these contacts' whose text names the person."""
    for personal in personal_tables():
        for name in personal.privacy.kept_unless_named:
            _empty_column(connection, personal, _T[personal.name].c[name], contacts, named)


def _empty_column(
    connection: Connection, personal: PersonalTable, column: Column[Any], contacts: Collection[int], named: Callable[[str], bool]
) -> None:
    table = _T[personal.name]
    if personal.rows.contact is None:
        raise ValueError(f"{table.name}.{column.name} is kept unless it names the person, and {table.name} is not kept by contact")
    for ids in chunks(sorted(contacts)):
        given = and_(table.c[personal.rows.contact].in_(ids), column.is_not(None))
        for row in connection.execute(select(*table.primary_key.columns, column).where(given)).all():
            if named(getattr(row, column.name)):
                connection.execute(update(table).where(_same(table, row)).values({column.name: empty_value(column)}))


def _redact_column(connection: Connection, column: Column[Any], texts: Sequence[str]) -> None:
    table = column.table
    if isinstance(column.type, Json):
        stored = type_coerce(column, Text)
        rows = connection.execute(select(*table.primary_key.columns, column).where(_any_of(stored, texts))).all()
        for row in rows:
            rest = _without(getattr(row, column.name), texts)
            connection.execute(update(table).where(_same(table, row)).values({column.name: rest}))
    elif holds_text(column):
        empty = None if column.nullable else _NAMED
        connection.execute(update(table).where(_any_of(column, texts)).values({column.name: empty}))


def _same(table: Any, row: Any) -> ColumnElement[bool]:
    return and_(*(key == getattr(row, key.name) for key in table.primary_key.columns))


def _any_of(column: ColumnElement[Any], texts: Iterable[str]) -> ColumnElement[bool]:
    """Whether one of these stands in a column, in small letters or as it is written here."""
    return or_(*(where.contains(text, autoescape=True) for text in texts for where in (column, func.lower(column))))


def _without(value: Any, texts: Collection[str]) -> Any:
    """A JSON value without the texts that name one of these; its figures stay."""
    if isinstance(value, dict):
        return {name: _without(part, texts) for name, part in value.items()}
    if isinstance(value, list):
        return [_without(part, texts) for part in value]
    return "" if isinstance(value, str) and any(text in value or text in value.casefold() for text in texts) else value


def _pieces(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + _FEW] for start in range(0, len(texts), _FEW))
