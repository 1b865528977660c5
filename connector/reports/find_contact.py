"""Who is meant: a contact by an e-mail, a CRM's record id, or a record's address, as people have them at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from sqlalchemy import ColumnElement, Connection, func, or_, select, tuple_

from connector.errors import ConnectorError
from connector.model import CRM_FACTS, CRMS
from connector.store.mirror.rows import normalised_email
from connector.store.tables import metadata

_RECORD = metadata.tables["record"]
_FURTHER = metadata.tables["record_email"]

#: Named in the query, so that the primary key serves as its index.
_OBJECTS = tuple(name for crm in CRMS for name in CRM_FACTS[crm].objects)
_SHORT_ID = 15  # Salesforce shows ids of 15 characters in places; the first 15 of 18 tell records apart, case and all


class _Match(NamedTuple):
    """A record that fits; contact_id: None for a company, and for what is not unified yet."""

    contact_id: int | None
    object: str


class Unknown(ConnectorError):
    """Nobody by this description is in the mirror."""


def find(connection: Connection, who: str) -> int:
    """The contact that is meant: of several the one seen first, live ones before those that are gone. Raises `Unknown`."""
    text = who.strip()
    if "@" in text and "/" not in text:
        email = normalised_email(text)
        rows = _rows(connection, _RECORD.c.email == email) or _rows(connection, _has_further(email))
        return _chosen(connection, rows, "no record in the mirror has this e-mail address")
    if "/" not in text:
        return _chosen(connection, _by_id(connection, text), "no record in the mirror has this id")
    for candidate in ids_in(text):
        rows = _by_id(connection, candidate)
        if rows:
            return _chosen(connection, rows, "")
    return _chosen(connection, [], "the address leads to no record in the mirror")


def ids_in(address: str) -> Iterator[str]:
    """What may be the record's id in an address, the likeliest first: by the CRMs' own patterns, then the path from its end."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    path = unquote(parts.path)
    patterns = [pattern for crm in CRMS for pattern in CRM_FACTS[crm].addresses]
    by_pattern = [match[1] for pattern in patterns if (match := pattern.search(path)) is not None]
    if by_pattern:
        yield from by_pattern
        return
    pieces = [piece for piece in path.split("/") if piece]
    if pieces[:1] == ["contacts"]:
        pieces = pieces[2:]  # HubSpot's account number is no record
    yield from reversed(pieces)


def _has_further(email: str | None) -> ColumnElement[bool]:
    """Records that have it as a further address."""
    keys = select(_FURTHER.c.crm, _FURTHER.c.object, _FURTHER.c.id).where(_FURTHER.c.email == email)
    return tuple_(_RECORD.c.crm, _RECORD.c.object, _RECORD.c.id).in_(keys)


def _by_id(connection: Connection, text: str) -> list[_Match]:
    if not text:
        return []
    indexed = _RECORD.c.crm.in_(CRMS) & _RECORD.c.object.in_(_OBJECTS)
    exact = _RECORD.c.id == text
    if len(text) != _SHORT_ID:
        return _rows(connection, indexed & exact)
    # A range over what is compared byte by byte: whatever begins with these 15 characters.
    longer = (_RECORD.c.crm == "salesforce") & (_RECORD.c.id > text) & (_RECORD.c.id < text + "~") & (func.length(_RECORD.c.id) == 18)
    return _rows(connection, indexed & or_(exact, longer))


def _rows(connection: Connection, which: ColumnElement[bool]) -> list[_Match]:
    """The records that fit, live ones first, those of contacts seen first before others."""
    query = select(_RECORD.c.contact_id, _RECORD.c.object).where(which).order_by(_RECORD.c.archived, _RECORD.c.contact_id)
    return [_Match._make(row) for row in connection.execute(query)]


def _chosen(connection: Connection, rows: Sequence[_Match], message: str) -> int:
    for row in rows:
        if row.contact_id is not None:
            return row.contact_id
    if rows:
        raise Unknown(
            f"this is a record of {rows[0].object}, and no contact belongs to it",
            advice="Name a person's record (contacts, Lead, Contact). What no contact has yet gets one by `connector pull`.",
        )
    if connection.execute(select(_RECORD.c.id).limit(1)).first() is None:
        raise Unknown("the mirror is empty", advice="Pull first: `connector pull`.")
    raise Unknown(
        message,
        advice="Check the spelling, or name the record's id or address. What is new in the CRM is known after the next `connector pull`.",
    )
