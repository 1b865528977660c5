"""Rows of one CRM by object and id: in pieces that a statement takes, what is known of them, and who is concerned by them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from sqlalchemy import Connection

from connector.store.bulk import AMONG, chunks, find, told
from connector.store.mirror.rows import COMPANIES, Key
from connector.store.tables import to_micros

#: CRM, object, id.
FullKey = tuple[str, str, str]


def by_object(keys: Iterable[Key]) -> Iterator[tuple[str, list[str]]]:
    """Ids of each object, in pieces that one statement takes, in the order in which every process locks them."""
    grouped: defaultdict[str, list[str]] = defaultdict(list)
    for object_name, row_id in keys:
        grouped[object_name].append(row_id)
    for object_name in sorted(grouped):
        for piece in chunks(sorted(grouped[object_name])):
            yield object_name, piece


def by_crm_and_object(keys: Iterable[FullKey]) -> Iterator[tuple[str, str, list[str]]]:
    """The same of several CRMs: CRM, object, ids."""
    of_crm: defaultdict[str, list[Key]] = defaultdict(list)
    for crm, object_name, row_id in keys:
        of_crm[crm].append((object_name, row_id))
    for crm in sorted(of_crm):
        for object_name, ids in by_object(of_crm[crm]):
            yield crm, object_name, ids


def fingerprints(connection: Connection, table: str, crm: str, keys: Iterable[Key]) -> dict[Key, bytes]:
    """The digests of those rows that are there."""
    return {
        (object_name, row_id): bytes(fingerprint)
        for object_name, ids in by_object(keys)
        for row_id, fingerprint in find(connection, table, ("id", "fingerprint"), ids, crm=crm, object=object_name)
    }


def contacts_of(connection: Connection, crm: str, records: Iterable[Key]) -> dict[Key, int]:
    """The contacts that records belong to; a record that is not here, or not yet unified, has none."""
    if connection.exec_driver_sql("SELECT 1 FROM contact LIMIT 1").first() is None:
        return {}  # the first pull, before anything is unified: nobody need be looked up
    return {
        (object_name, row_id): contact
        for object_name, ids in by_object(records)
        for row_id, contact in find(connection, "record", ("id", "contact_id"), ids, crm=crm, object=object_name)
        if contact is not None
    }


def make_due(connection: Connection, contacts: Collection[int], now: datetime) -> None:
    """These contacts are judged and decided on in the next pass, but for those who are gone."""
    _at_once(connection, contacts, now, ("due_at", "decide_at"))


def recount(connection: Connection, contacts: Collection[int], now: datetime) -> None:
    """These contacts' touches are counted anew, and they are judged, in the next pass: they have activities that they did not have, lost
    some, or count from another moment.
    """
    _at_once(connection, contacts, now, ("due_at", "decide_at", "recount_at"))


def _at_once(connection: Connection, contacts: Collection[int], now: datetime, columns: tuple[str, ...]) -> None:
    """Sets these moments of the contacts to now where they are not earlier."""
    moment = to_micros(now)
    sooner = ", ".join(f"{name} = CASE WHEN {name} < ? THEN {name} ELSE ? END" for name in columns)
    later = " OR ".join(f"{name} IS NULL OR {name} > ?" for name in columns)
    statement = f"UPDATE contact SET {sooner} WHERE ({later}) AND NOT gone AND id {AMONG}"  # noqa: S608 - nothing from outside
    for ids in chunks(sorted(contacts)):
        told(connection, statement, *(moment,) * (3 * len(columns)), ids)


def unify_records(connection: Connection, crm: str, records: Iterable[Key]) -> None:
    """These people's contacts are made anew in the next pass."""
    there = f"UPDATE record SET unify = ? WHERE crm = ? AND object = ? AND NOT unify AND id {AMONG}"  # noqa: S608 - nothing from outside
    for object_name, ids in by_object(key for key in records if key[0] not in COMPANIES):
        told(connection, there, True, crm, object_name, ids)


def unify_people_of(connection: Connection, crm: str, companies: Iterable[str]) -> None:
    """The people of these companies are made anew in the next pass."""
    people = f"UPDATE record SET unify = ? WHERE crm = ? AND NOT unify AND company_id {AMONG}"  # noqa: S608 - nothing from outside
    for ids in chunks(sorted(companies)):
        told(connection, people, True, crm, ids)
