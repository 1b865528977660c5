"""What changed in records of persons, when and by whom: the CRM's own history, and what pulls saw of that which no history tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select

from connector.store.mirror.keys import FullKey, by_crm_and_object
from connector.store.tables import metadata
from connector.store.tables.rows import PastChange, PersonRecord

_HISTORY = metadata.tables["field_history"]
_VERSION = metadata.tables["record_version"]
_OWNER = metadata.tables["owner"]

#: A CRM shows some changes late: what a pull saw may have happened so long before the one before it ended.
LATE = timedelta(minutes=15)


def past_of(connection: Connection, records: Mapping[int, Sequence[PersonRecord]]) -> dict[int, list[PastChange]]:
    """The changes of each contact's records, in no particular order. records: by contact."""
    whose = {(row.crm, row.object, row.id): number for number, rows in records.items() for row in rows}
    past: dict[int, list[PastChange]] = {number: [] for number in records}
    for change in changes_of(connection, whose):
        past[whose[change.crm, change.object, change.record_id]].append(change)
    return past


def changes_of(connection: Connection, keys: Iterable[FullKey]) -> list[PastChange]:
    """The changes of these records, those of the CRM's history first."""
    listed = sorted(set(keys))
    told = _histories(connection, listed) if listed else []
    return [*told, *_seen(connection, listed, told)]


def _histories(connection: Connection, keys: Sequence[FullKey]) -> list[PastChange]:
    names = ("crm", "object", "record_id", "property", "before", "after", "at", "who")
    found: list[Any] = []
    for crm, object_name, ids in by_crm_and_object(keys):
        about = (_HISTORY.c.crm == crm, _HISTORY.c.object == object_name, _HISTORY.c.record_id.in_(ids))
        rows = select(*(_HISTORY.c[name] for name in names)).where(*about).order_by(_HISTORY.c.at, _HISTORY.c.id)
        found += connection.execute(rows)
    employees = employees_of(connection) if any(row.who is not None for row in found) else {}
    return [PastChange._make((*row[:-1], employees.get((row.crm, row.who), row.who), "history")) for row in found]


def employees_of(connection: Connection) -> dict[tuple[str, str], str]:
    """The e-mail or name of each user, by CRM and the id by which its histories call him; who is active goes first."""
    columns = select(_OWNER.c.crm, _OWNER.c.id, _OWNER.c.user_id, _OWNER.c.email, _OWNER.c.name)
    employees: dict[tuple[str, str], str] = {}
    for row in connection.execute(columns.where(~_OWNER.c.queue).order_by(_OWNER.c.active.desc(), _OWNER.c.crm, _OWNER.c.id)):
        employees.setdefault((row.crm, row.user_id or row.id), row.email or row.name)
    return employees


def _seen(connection: Connection, keys: Sequence[FullKey], told: Iterable[PastChange]) -> list[PastChange]:
    """What pulls saw change; what the history tells as well is left out."""
    known: dict[tuple[Any, ...], list[PastChange]] = {}
    for change in told:
        known.setdefault((change.crm, change.object, change.record_id, change.property, change.after), []).append(change)
    found = []
    for crm, object_name, ids in by_crm_and_object(keys):
        about = (_VERSION.c.crm == crm, _VERSION.c.object == object_name, _VERSION.c.id.in_(ids))
        columns = select(_VERSION.c.id, _VERSION.c.changed, _VERSION.c.seen_at, _VERSION.c.unchanged_at)
        for record_id, changed, seen_at, unchanged_at in connection.execute(
            columns.where(*about).order_by(_VERSION.c.id, _VERSION.c.number)
        ):
            for name, (before, after) in changed.items():
                entries = known.get((crm, object_name, record_id, name, after), ())
                since = None if unchanged_at is None else unchanged_at - LATE
                if not any(entry.at <= seen_at and (since is None or entry.at >= since) for entry in entries):
                    found.append(PastChange(crm, object_name, record_id, name, before, after, seen_at, None, "seen"))  # type: ignore[arg-type]
    return found
