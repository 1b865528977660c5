"""Rows of one CRM by object and id: in pieces that a statement takes, what is known of them, and who is concerned by them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, or_, update

from connector.store.among import among
from connector.store.bulk import chunks, find, plain
from connector.store.mirror.rows import COMPANIES, Key
from connector.store.tables import to_micros

_RECORD = plain("record")
_CONTACT = plain("contact")

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
    """These contacts are judged in the next pass, but for those who are gone."""
    moment = to_micros(now)
    for ids in chunks(sorted(contacts)):
        later = and_(or_(_CONTACT.c.due_at.is_(None), _CONTACT.c.due_at > moment), ~_CONTACT.c.gone)
        connection.execute(update(_CONTACT).where(among(_CONTACT.c.id, ids), later).values(due_at=moment))


def recount(connection: Connection, contacts: Collection[int], now: datetime) -> None:
    """What happened with these contacts changed: their touches are counted anew, and they are judged, in the next pass."""
    moment = to_micros(now)
    soonest = {name: _sooner(_CONTACT.c[name], moment) for name in ("due_at", "recount_at")}
    later = [or_(_CONTACT.c[name].is_(None), _CONTACT.c[name] > moment) for name in soonest]
    for ids in chunks(sorted(contacts)):
        connection.execute(update(_CONTACT).where(among(_CONTACT.c.id, ids), or_(*later), ~_CONTACT.c.gone).values(soonest))


def _sooner(column: ColumnElement[Any], moment: int) -> ColumnElement[Any]:
    """The moment, unless the column has an earlier one."""
    return case((column < moment, column), else_=moment)


def unify_records(connection: Connection, crm: str, records: Iterable[Key]) -> None:
    """These people's contacts are made anew in the next pass."""
    for object_name, ids in by_object(key for key in records if key[0] not in COMPANIES):
        there = (_RECORD.c.crm == crm, _RECORD.c.object == object_name, _RECORD.c.id.in_(ids), ~_RECORD.c.unify)
        connection.execute(update(_RECORD).where(*there).values(unify=True))


def unify_people_of(connection: Connection, crm: str, companies: Iterable[str]) -> None:
    """The people of these companies are made anew in the next pass."""
    for ids in chunks(sorted(companies)):
        people = (_RECORD.c.crm == crm, _RECORD.c.company_id.in_(ids), ~_RECORD.c.unify)
        connection.execute(update(_RECORD).where(*people).values(unify=True))
