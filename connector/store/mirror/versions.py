"""Records as they are stored, and the versions that their changes leave behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from connector.store.bulk import find, plain, put
from connector.store.mirror.keys import by_object
from connector.store.mirror.rows import Key, Row
from connector.store.tables import to_micros

_VERSION = plain("record_version")
_VERSION_COLUMNS = ("crm", "object", "id", "number", "changed", "at", "seen_at")
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


def add_versions(connection: Connection, crm: str, changes: Mapping[Key, tuple[Mapping[str, Any], int | None]], now: datetime) -> None:
    """Notes what changed in records: key → (property → [before, after], the CRM's moment)."""
    last: dict[Key, int] = {}
    for object_name, ids in by_object(changes):
        where = (_VERSION.c.crm == crm, _VERSION.c.object == object_name, _VERSION.c.id.in_(ids))
        numbers = select(_VERSION.c.id, func.max(_VERSION.c.number)).where(*where).group_by(_VERSION.c.id)
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
        }
        for key, (difference, at) in changes.items()
    ]
    put(connection, "record_version", rows, _VERSION_COLUMNS)
