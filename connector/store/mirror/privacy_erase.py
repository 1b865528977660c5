"""Takes personal values out of the database: what the marks of the columns say is the contact's (`connector.store.marks`).

Figures stay: plans, ledger, spells, attempts, snapshots, rejections, clocks and touches keep key, rule, times and outcome. Who is to go is
decided in `privacy_forget` (a person deleted for privacy) and `privacy_hashes` (a record that is kept away).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, select, update
from sqlalchemy import text as sql

from connector.model import FieldType, State, folded_twin
from connector.store import shadow
from connector.store.bulk import chunks, find
from connector.store.ledger import OPEN
from connector.store.marks import PersonalTable, empty_value, personal_tables
from connector.store.mirror.keys import FullKey, by_crm_and_object, by_object
from connector.store.mirror.rows import Key
from connector.store.snapshots import Look, freeze_withdrawn
from connector.store.tables import metadata

_T = metadata.tables
_ENDED = "the person was deleted for privacy"


def delete_mirrored(connection: Connection, keys: Collection[FullKey]) -> None:
    """Deletes these records, and all that tells of them: their person is to be forgotten."""
    _erase_of_records(connection, keys, links=True)


def take_away(connection: Connection, keys: Collection[FullKey], now: datetime) -> int:
    """Deletes records that have an address which is kept away, though perhaps of somebody else; returns how many were here.

    What they are linked with stays, should they come back with another address. Their contacts are made anew of the records that are left;
    a contact without any is gone.
    """
    stored: set[FullKey] = set()
    contacts: set[int] = set()
    for crm, object_name, ids in by_crm_and_object(keys):
        for row_id, contact_id in find(connection, "record", ("id", "contact_id"), ids, crm=crm, object=object_name):
            stored.add((crm, object_name, row_id))
            contacts |= set() if contact_id is None else {contact_id}
    _erase_of_records(connection, stored, links=False)
    record, link = _T["record"], _T["activity_link"]
    for crm, object_name, ids in by_crm_and_object(stored):
        about = (link.c.crm == crm, link.c.record_object == object_name, link.c.record_id.in_(ids))
        connection.execute(update(link).where(*about).values(contact_id=None))
    remaining: set[int] = set()
    for piece in chunks(sorted(contacts)):
        remaining |= set(connection.scalars(select(record.c.contact_id).where(record.c.contact_id.in_(piece))))
        connection.execute(update(record).where(record.c.contact_id.in_(piece)).values(unify=True))
    empty_fields(connection, remaining)
    _empty_of(connection, remaining, ("snapshot", "touch"))  # what was written of touches that those records told
    forget_contacts(connection, contacts - remaining, now)
    return len(stored)


def forget_contacts(connection: Connection, contacts: Collection[int], now: datetime) -> None:
    """These contacts are gone, and no value of theirs is left. What was concluded and done keeps its figures; what is open ends."""
    shadow.drop(connection, contacts)
    for ids in chunks(sorted(contacts)):
        freeze_withdrawn(connection, ids, Look(now=now))
    _empty_of(connection, contacts, [personal.name for personal in personal_tables()])
    _end_what_is_open(connection, contacts, now)
    empty_fields(connection, contacts)


def _empty_of(connection: Connection, contacts: Collection[int], tables: Collection[str]) -> None:
    """What these tables have of these contacts by their number."""
    for personal in personal_tables():
        column = personal.rows.contact
        if column is None or personal.name not in tables:
            continue
        for ids in chunks(sorted(contacts)):
            _erase(connection, personal, _T[personal.name].c[column].in_(ids))


def empty_fields(connection: Connection, contacts: Collection[int]) -> None:
    """Empties every field of these contacts."""
    columns = [
        name
        for column, kind in connection.execute(select(_T["field"].c.name, _T["field"].c.type))
        for name in ((column, folded_twin(column)) if FieldType(kind).textual else (column,))
    ]
    if not columns:
        return
    empty = ", ".join(f"{name} = NULL" for name in columns)  # names that connector.store.fields checked
    for ids in chunks(sorted(contacts)):
        listed = ", ".join(str(int(contact_id)) for contact_id in ids)
        connection.execute(sql(f"UPDATE contact SET {empty} WHERE id IN ({listed})"))  # noqa: S608


# ── By the marks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _erase_of_records(connection: Connection, keys: Collection[FullKey], *, links: bool) -> None:
    """What is of these records, or about them; what links them with something else only if `links`.

    What is found through links goes first, while they are there.
    """
    tables = personal_tables()
    for personal in [*(each for each in tables if each.rows.through), *(each for each in tables if each.rows.record)]:
        if personal.rows.about and not links:
            continue
        for where in _of_records(connection, personal, keys):
            _erase(connection, personal, where)


def _of_records(connection: Connection, personal: PersonalTable, keys: Collection[FullKey]) -> Iterator[ColumnElement[bool]]:
    table, rows = _T[personal.name], personal.rows
    for crm, object_name, ids in by_crm_and_object(keys):
        if rows.through is not None:
            yield from _through(connection, table, _T[rows.through], (crm, object_name, ids))
        elif rows.record is not None:
            object_column, id_column = (table.c[name] for name in rows.record)
            yield and_(table.c.crm == crm, object_column == object_name, id_column.in_(ids))


def _through(connection: Connection, table: Table, links: Table, records: tuple[str, str, list[str]]) -> Iterator[ColumnElement[bool]]:
    crm, object_name, ids = records
    linked: set[Key] = set()
    for told in (links, _T["link_change"]):  # those that are, and that were
        about = (told.c.crm == crm, told.c.record_object == object_name, told.c.record_id.in_(ids))
        linked |= {(row.object, row.id) for row in connection.execute(select(told.c.object, told.c.id).where(*about))}
    for linked_object, piece in by_object(linked):
        yield and_(table.c.crm == crm, table.c.object == linked_object, table.c.id.in_(piece))


def _erase(connection: Connection, personal: PersonalTable, where: ColumnElement[bool]) -> None:
    table = _T[personal.name]
    if personal.privacy.deletes_row:
        connection.execute(delete(table).where(where))
    elif personal.emptied():
        connection.execute(update(table).where(where).values({name: empty_value(table.c[name]) for name in personal.emptied()}))


def _end_what_is_open(connection: Connection, contacts: Collection[int], now: datetime) -> None:
    ledger, attempt, clock, contact, touch = _T["ledger"], _T["attempt"], _T["clock"], _T["contact"], _T["touch"]
    ownership = _T["ownership"]
    for ids in chunks(sorted(contacts)):
        ended = {"state": State.SUPERSEDED, "settled_at": now, "message": _ENDED}
        connection.execute(update(ledger).where(ledger.c.contact_id.in_(ids), ledger.c.state.in_(OPEN)).values(ended))
        selling = and_(attempt.c.contact_id.in_(ids), attempt.c.outcome == "open")
        connection.execute(update(attempt).where(selling).values(outcome="withdrawn", ended_at=now))
        ticking = and_(clock.c.contact_id.in_(ids), clock.c.state.in_(("running", "warned", "paused")))
        connection.execute(update(clock).where(ticking).values(state="ended", ended_at=now))
        connection.execute(update(touch).where(touch.c.contact_id.in_(ids)).values(kept=True))
        owned = and_(ownership.c.contact_id.in_(ids), ownership.c.until.is_(None))
        connection.execute(update(ownership).where(owned).values(until=now))
        gone = {"gone": True, "due_at": None, "decide_at": None, "ambiguous": None, "in_hubspot": False, "in_salesforce": False}
        connection.execute(update(contact).where(contact.c.id.in_(ids)).values(gone))
