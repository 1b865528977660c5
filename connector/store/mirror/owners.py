"""Owners, and the CRM's own history of fields, into the mirror; whoever is concerned is unified again."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, update

from connector.store.bulk import chunks, find, plain, put
from connector.store.mirror.keys import unify_records
from connector.store.mirror.rows import COMPANIES, Key, Row

_RECORD = plain("record")
_OWNER_COLUMNS = ("crm", "id", "email", "name", "active", "queue", "teams", "user_id")
_HISTORY_COLUMNS = ("crm", "id", "object", "record_id", "property", "before", "after", "at", "source", "who")


def store_owners(connection: Connection, crm: str, rows: Mapping[Key, Row]) -> set[Key]:
    """Stores what is new or changed; whoever is owned by one whose address or state changed is unified again. Returns which."""
    stored: dict[str, Row] = {}
    for values in find(connection, "owner", _OWNER_COLUMNS, sorted({row["id"] for row in rows.values()}), crm=crm):
        row = dict(zip(_OWNER_COLUMNS, values, strict=True))
        stored[row["id"]] = row | {"active": bool(row["active"]), "queue": bool(row["queue"])}
    wanted = {key: row for key, row in rows.items() if stored.get(row["id"]) != row}
    put(connection, "owner", list(wanted.values()), _OWNER_COLUMNS, keys=("crm", "id"))
    telling = ("email", "active", "queue")
    moved = [
        row["id"]
        for row in wanted.values()
        if row["id"] not in stored or any(stored[row["id"]][name] != row[name] for name in telling)
    ]
    for ids in chunks(moved):
        owned = (_RECORD.c.crm == crm, _RECORD.c.owner_id.in_(ids), ~_RECORD.c.unify, _RECORD.c.object.not_in(COMPANIES))
        connection.execute(update(_RECORD).where(*owned).values(unify=True))
    return set(wanted)


def store_changes(connection: Connection, crm: str, rows: Mapping[Key, Row]) -> set[Key]:
    """Stores the entries not yet there; the records they tell of are unified again. Returns which."""
    stored = {row_id for (row_id,) in find(connection, "field_history", ("id",), sorted({row["id"] for row in rows.values()}), crm=crm)}
    fresh = {key: row for key, row in rows.items() if row["id"] not in stored}
    put(connection, "field_history", list(fresh.values()), _HISTORY_COLUMNS)
    unify_records(connection, crm, {(row["object"], row["record_id"]) for row in fresh.values()})
    return set(fresh)
