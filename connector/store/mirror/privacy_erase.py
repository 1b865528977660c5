"""Takes personal values out of the database: records with all that tells of them, fields of contacts, what was concluded of them.

Figures stay: plans, ledger, spells, attempts, rejections, clocks and touches keep key, rule, times and outcome. Who is to go is decided in
`privacy_forget` (a person deleted for privacy) and `privacy_hashes` (a record that is kept away).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, and_, delete, select, update
from sqlalchemy import text as sql

from connector.model import FieldType, State, folded_twin
from connector.store import shadow
from connector.store.bulk import chunks, find
from connector.store.ledger import OPEN
from connector.store.mirror.keys import FullKey, by_crm_and_object, by_object
from connector.store.tables import metadata

_T = metadata.tables
_ENDED = "the person was deleted for privacy"
#: What is of one record, by its own id.
_OF_RECORDS = ("record", "record_version", "record_email", "set_aside", "seen")


def delete_mirrored(connection: Connection, keys: Collection[FullKey]) -> None:
    """Deletes these records, and all that tells of them: their person is to be forgotten."""
    _delete_records(connection, keys)
    link = _T["activity_link"]
    for crm, object_name, ids in by_crm_and_object(keys):
        connection.execute(delete(link).where(link.c.crm == crm, link.c.record_object == object_name, link.c.record_id.in_(ids)))
        for name in ("deal_link", "campaign_member"):
            table = _T[name]
            where = (table.c.crm == crm, table.c.record_object == object_name, table.c.record_id.in_(ids))
            connection.execute(delete(table).where(*where))
        merged = _T["merged"]
        connection.execute(delete(merged).where(merged.c.crm == crm, merged.c.object == object_name, merged.c.id.in_(ids)))


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
    _delete_records(connection, stored)
    record, link = _T["record"], _T["activity_link"]
    for crm, object_name, ids in by_crm_and_object(stored):
        about = (link.c.crm == crm, link.c.record_object == object_name, link.c.record_id.in_(ids))
        connection.execute(update(link).where(*about).values(contact_id=None))
    remaining: set[int] = set()
    for piece in chunks(sorted(contacts)):
        remaining |= set(connection.scalars(select(record.c.contact_id).where(record.c.contact_id.in_(piece))))
        connection.execute(update(record).where(record.c.contact_id.in_(piece)).values(unify=True))
    empty_conclusions(connection, contacts - remaining, now)
    empty_contacts(connection, contacts)
    return len(stored)


def _delete_records(connection: Connection, keys: Collection[FullKey]) -> None:
    """With their versions, addresses and histories; what others did with them keeps no words."""
    activity, link, history = _T["activity"], _T["activity_link"], _T["field_history"]
    for crm, object_name, ids in by_crm_and_object(keys):
        about = (link.c.crm == crm, link.c.record_object == object_name, link.c.record_id.in_(ids))
        linked = {(row.object, row.id) for row in connection.execute(select(link.c.object, link.c.id).where(*about))}
        for activity_object, piece in by_object(linked):
            same = (activity.c.crm == crm, activity.c.object == activity_object, activity.c.id.in_(piece))
            connection.execute(update(activity).where(*same).values(outcome=None))
        of_records = (history.c.record_id.in_(ids), history.c.crm == crm, history.c.object == object_name)
        connection.execute(delete(history).where(*of_records))
        for name in _OF_RECORDS:
            table = _T[name]
            connection.execute(delete(table).where(table.c.crm == crm, table.c.object == object_name, table.c.id.in_(ids)))


def empty_conclusions(connection: Connection, contacts: Collection[int], now: datetime) -> None:
    """What was concluded and done keeps its figures; what is open ends."""
    shadow.drop(connection, contacts)
    ledger, value = _T["ledger"], _T["action_value"]
    attempt, clock, contact, touch = _T["attempt"], _T["clock"], _T["contact"], _T["touch"]
    for ids in chunks(sorted(contacts)):
        connection.execute(
            update(value).where(value.c.contact_id.in_(ids)).values(before=None, after=None, found=None, why=None, task=None)
        )
        of_contacts = ledger.c.contact_id.in_(ids)
        connection.execute(update(ledger).where(of_contacts).values(message="", next_step=""))
        ended = {"state": State.SUPERSEDED, "settled_at": now, "message": _ENDED}
        connection.execute(update(ledger).where(of_contacts, ledger.c.state.in_(OPEN)).values(ended))
        selling = and_(attempt.c.contact_id.in_(ids), attempt.c.outcome == "open")
        connection.execute(update(attempt).where(selling).values(outcome="withdrawn", ended_at=now))
        ticking = and_(clock.c.contact_id.in_(ids), clock.c.state.in_(("running", "warned", "paused")))
        connection.execute(update(clock).where(ticking).values(state="ended", ended_at=now))
        connection.execute(update(touch).where(touch.c.contact_id.in_(ids)).values(kept=True))
        gone = {"gone": True, "due_at": None, "ambiguous": None, "in_hubspot": False, "in_salesforce": False}
        connection.execute(update(contact).where(contact.c.id.in_(ids)).values(gone))


def empty_contacts(connection: Connection, contacts: Collection[int]) -> None:
    """Empties every field of these contacts, and the values that their evidence was kept with."""
    columns = [
        name
        for column, kind in connection.execute(select(_T["field"].c.name, _T["field"].c.type))
        for name in ((column, folded_twin(column)) if FieldType(kind).textual else (column,))
    ]
    for ids in chunks(sorted(contacts)):
        listed = ", ".join(str(int(contact_id)) for contact_id in ids)
        if columns:
            empty = ", ".join(f"{name} = NULL" for name in columns)  # names that connector.store.fields checked
            connection.execute(sql(f"UPDATE contact SET {empty} WHERE id IN ({listed})"))  # noqa: S608
        connection.execute(update(_T["evidence"]).where(_T["evidence"].c.contact_id.in_(ids)).values(basis=None))
