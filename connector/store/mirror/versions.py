"""Records as they are stored, and the versions that changes of records, deals and activities leave behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from connector.store.bulk import find, plain, put
from connector.store.mirror import cursors
from connector.store.mirror.keys import by_object
from connector.store.mirror.rows import Key, Row
from connector.store.tables import to_micros

_TABLES = {name: plain(name) for name in ("record_version", "activity_version", "deal_version")}
_VERSION_COLUMNS = ("crm", "object", "id", "number", "changed", "at", "seen_at", "unchanged_at")
_STORED = (
    "id", "properties", "fingerprint", "owner_id", "company_id", "converted_to", "converted_deal", "merged_into", "created_at",
    "modified_at", "archived", "unify",
)  # fmt: skip


def stored_records(connection: Connection, crm: str, keys: Iterable[Key]) -> dict[Key, Row]:
    """The records as they are stored, kept from other writers until the transaction ends."""
    records: dict[Key, Row] = {}
    for object_name, ids in by_object(keys):
        for row in find(connection, "record", _STORED, ids, lock=True, crm=crm, object=object_name):
            values = dict(zip(_STORED, row, strict=True))
            values |= {"archived": bool(values["archived"]), "fingerprint": bytes(values["fingerprint"])}
            records[object_name, values["id"]] = values
    return records


def add_versions(
    connection: Connection,
    crm: str,
    changes: Mapping[Key, tuple[Mapping[str, Any], int | None]],
    now: datetime,
    table: str = "record_version",
) -> None:
    """Notes what changed in records, activities or deals: key → (property → [before, after], the CRM's moment)."""
    if not changes:
        return
    version = _TABLES[table]
    last: dict[Key, int] = {}
    whole = cursors.whole_at(connection, crm, {name for name, _ in changes})
    for object_name, ids in by_object(changes):
        where = (version.c.crm == crm, version.c.object == object_name, version.c.id.in_(ids))
        numbers = select(version.c.id, func.max(version.c.number)).where(*where).group_by(version.c.id)
        for record_id, number in connection.execute(numbers):
            last[object_name, record_id] = number
    rows = [
        {
            "crm": crm,
            "object": key[0],
            "id": key[1],
            "number": last.get(key, 0) + 1,
            "changed": orjson.dumps(difference, option=orjson.OPT_SORT_KEYS).decode(),
            "at": at,
            "seen_at": to_micros(now),
            "unchanged_at": whole.get(key[0]),
        }
        for key, (difference, at) in changes.items()
    ]
    put(connection, table, rows, _VERSION_COLUMNS)


def note_differences(connection: Connection, crm: str, table: str, names: tuple[str, ...], rows: Mapping[Key, Row], now: datetime) -> None:
    """Notes what these columns of deals or activities that are here will have changed once these rows are stored."""
    changes: dict[Key, tuple[Mapping[str, Any], int | None]] = {}
    for object_name, ids in by_object(rows):
        for row_id, *values in find(connection, table, ("id", *names), ids, crm=crm, object=object_name):
            row = rows[object_name, row_id]
            # SQLite knows no booleans: 0 and 1 are False and True, and compare as these
            pairs = {name: (before, row[name]) for name, before in zip(names, values, strict=True) if before != row[name]}
            difference = {name: [bool(before) if isinstance(after, bool) else before, after] for name, (before, after) in pairs.items()}
            if difference:
                changes[object_name, row_id] = (difference, row["modified_at"])
    add_versions(connection, crm, changes, now, f"{table}_version")
