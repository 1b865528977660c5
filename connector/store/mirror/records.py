"""Records into the mirror: what is new or changed is written, with a version of what changed, and marked for `unify`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from connector.model import Record, SetAside
from connector.store.bulk import find, plain, put
from connector.store.mirror import deals, history_due, merges, privacy_hashes, set_aside
from connector.store.mirror.keys import by_object, fingerprints, unify_people_of
from connector.store.mirror.rows import (
    COMPANIES,
    RECORD_COLUMNS,
    Brought,
    Key,
    Row,
    changes_between,
    merged,
    other_values,
    record_rows,
    says_something_new,
)
from connector.store.mirror.versions import add_versions, stored_records

_KEYS = ("crm", "object", "id")


def store_records(connection: Connection, crm: str, rows: Mapping[Key, Row], now: datetime) -> set[Key]:
    """Stores what is new or changed, with versions and merges; marks the people of a company. Returns which."""
    rows = merges.standing(connection, crm, rows)
    digests = fingerprints(connection, "record", crm, rows)
    suspects = [key for key, row in rows.items() if key in digests and digests[key] != row["fingerprint"]]
    stored = stored_records(connection, crm, suspects)
    changed = {key: rows[key] for key in suspects if key in stored and stored[key]["fingerprint"] != rows[key]["fingerprint"]}
    fresh = {key: row for key, row in rows.items() if key not in digests}
    _write(connection, crm, list(fresh.values()), changed, stored, now)
    merges.note_of_rows(connection, crm, rows, now)
    return fresh.keys() | changed.keys()


@dataclass(frozen=True, slots=True)
class MergeInResult:
    """Which of the records that were read again changed, and which were set aside; the others are as they were, or not here."""

    changed: set[Key]
    set_aside: list[SetAside]


def merge_in(connection: Connection, records: Sequence[Record], now: datetime, *, all_anew: bool) -> MergeInResult:
    """Merges what was read again (all or a part of the properties) into stored records; those that are not here are passed over.

    all_anew: whatever changed is unified again; else only where a value differs, not where an empty one was read for the first time.
    """
    taken = record_rows(records, now=now)
    held = privacy_hashes.hold_back(connection, Brought(records=taken.rows), now)
    changed: set[Key] = set()
    for crm in sorted({record.crm for record in records}):
        rows = {key: row for key, row in held.brought.records.items() if row["crm"] == crm}
        stored = stored_records(connection, crm, rows)
        emails = _emails(connection, crm, stored)
        whole = {}
        for key, columns in stored.items():
            old = {**columns, "emails": emails.get(key, ())}
            row = merged(rows[key], old)
            anew = row["unify"] and (all_anew or says_something_new(old, row))
            whole[key] = {**row, "unify": bool(old["unify"] or anew)}
        changed |= store_records(connection, crm, whole, now)
    items = [*taken.set_aside, *held.set_aside]
    set_aside.add(connection, items, now)
    return MergeInResult(changed, items)


def _write(
    connection: Connection, crm: str, fresh: list[Row], changed: Mapping[Key, Row], stored: Mapping[Key, Row], now: datetime
) -> None:
    differences = {key: changes_between(stored[key], row) for key, row in changed.items()}
    versions = {key: (difference, changed[key]["modified_at"]) for key, difference in differences.items() if difference}
    if versions:
        add_versions(connection, crm, versions, now)
    history_due.note(connection, crm, fresh, versions, now)
    written = [*fresh, *changed.values()]
    put(connection, "record", written, RECORD_COLUMNS, keys=_KEYS, guard="fingerprint")
    _store_emails(connection, crm, fresh, changed)
    deals.link_conversions(connection, crm, [row for row in written if row["converted_deal"]], stored, now)
    unify_people_of(connection, crm, {row["id"] for row in written if row["object"] in COMPANIES and _says_new(row, stored)})


def _says_new(row: Row, stored: Mapping[Key, Row]) -> bool:
    """Whether what a company's people read of it differs."""
    before = stored.get((row["object"], row["id"]))
    if before is None:
        return True
    return before["archived"] != row["archived"] or other_values(before, row)


def _emails(connection: Connection, crm: str, keys: Collection[Key]) -> dict[Key, tuple[str, ...]]:
    """The further addresses of records that have some, in a stable order."""
    addresses: dict[Key, list[str]] = {}
    for object_name, ids in by_object(keys):
        for row_id, email in find(connection, "record_email", ("id", "email"), ids, crm=crm, object=object_name):
            addresses.setdefault((object_name, row_id), []).append(email)
    return {key: tuple(sorted(emails)) for key, emails in addresses.items()}


def _store_emails(connection: Connection, crm: str, fresh: Iterable[Row], changed: Mapping[Key, Row]) -> None:
    """Puts the further addresses of records in the place of those they had."""
    before = _emails(connection, crm, changed)
    gone = [key for key, emails in before.items() if emails != tuple(changed[key]["emails"])]
    table = plain("record_email")
    for object_name, ids in by_object(gone):
        connection.execute(table.delete().where(table.c.crm == crm, table.c.object == object_name, table.c.id.in_(ids)))
    rows = [
        {"crm": crm, "object": row["object"], "id": row["id"], "email": email}
        for row in (*fresh, *changed.values())
        for email in row["emails"]
    ]
    put(connection, "record_email", rows, ("crm", "object", "id", "email"))
