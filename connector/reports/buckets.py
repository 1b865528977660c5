"""Both CRMs and the mirror against each other: how many people are where, and who is there more than once.

Every person who has a record in the CRMs is in one bucket, every such record too: a duplicate is counted as a record alone, its person
where the person's own record is. What is gone from the CRMs is not counted. Numbers and ids; no value of anybody.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from connector.model import CRMS, PEOPLE_OBJECTS
from connector.store.database import Store
from connector.store.tables import metadata

record = metadata.tables["record"]
contact = metadata.tables["contact"]

BUCKETS = ("in_both", "only_hubspot", "only_salesforce", "ambiguous", "duplicates", "excluded")
#: Contacts that a list names at most.
SHOWN = 50
#: A Lead that became a Contact of the same person is no duplicate.
_DUPLICATE = and_(record.c.role == "duplicate", record.c.converted_to.is_(None), ~record.c.archived)


def buckets(store: Store) -> dict[str, Any]:
    """{"buckets": [{"name", "n" (people), crm: n (records)}], "totals": {crm: n}, "duplicates", "ambiguous"}; buckets add up to totals."""
    live = and_(record.c.object.in_(PEOPLE_OBJECTS), ~record.c.archived)
    of_people = select(record.c.crm).join(contact, contact.c.id == record.c.contact_id).where(live)
    person = _person()
    bucket = case((_DUPLICATE, "duplicates"), else_=person)
    counted = of_people.add_columns(bucket.label("bucket"), func.count().label("n")).group_by(record.c.crm, bucket)
    with store.read() as connection:
        records: dict[tuple[str, str], int] = {(row.bucket, row.crm): row.n for row in connection.execute(counted)}
        has_records = select(record.c.contact_id).where(live, record.c.contact_id == contact.c.id)
        people_of = select(person.label("bucket"), func.count().label("n")).where(has_records.correlate(contact).exists()).group_by(person)
        people: dict[str, int] = {row.bucket: row.n for row in connection.execute(people_of)}
        return {
            "buckets": [{"name": name, "n": people.get(name, 0), **{crm: records.get((name, crm), 0) for crm in CRMS}} for name in BUCKETS],
            "totals": {crm: sum(n for (_, record_crm), n in records.items() if record_crm == crm) for crm in CRMS},
            "duplicates": _duplicates(connection),
            "ambiguous": _ambiguous(connection),
        }


def _person() -> ColumnElement[str]:
    """Where a contact is."""
    return case(
        (contact.c.ambiguous.is_not(None), "ambiguous"),
        (contact.c.excluded, "excluded"),
        (and_(contact.c.in_hubspot, contact.c.in_salesforce), "in_both"),
        (contact.c.in_hubspot, "only_hubspot"),
        else_="only_salesforce",
    )


def _duplicates(connection: Connection) -> list[dict[str, Any]]:
    having = select(record.c.contact_id).where(_DUPLICATE, record.c.contact_id.is_not(None)).distinct()
    ids = list(connection.scalars(having.order_by(record.c.contact_id).limit(SHOWN)))
    reason = "another record of the same CRM stands for this person; duplicates are read, and never written to"
    return [{"contact": contact_id, "records": rows, "reason": reason} for contact_id, rows in _records(connection, ids).items()]


def _ambiguous(connection: Connection) -> list[dict[str, Any]]:
    doubtful = and_(~contact.c.gone, contact.c.ambiguous.is_not(None))
    rows = connection.execute(select(contact.c.id, contact.c.ambiguous).where(doubtful).order_by(contact.c.id).limit(SHOWN))
    reasons = {row.id: row.ambiguous for row in rows}
    records = _records(connection, list(reasons))
    return [{"contact": contact_id, "records": records[contact_id], "reason": reason} for contact_id, reason in reasons.items()]


def _records(connection: Connection, contacts: list[int]) -> dict[int, list[dict[str, Any]]]:
    """The live records of these contacts."""
    names = ("crm", "object", "id", "role")
    live = select(record.c.contact_id, *(record.c[name] for name in names)).where(record.c.contact_id.in_(contacts), ~record.c.archived)
    records: dict[int, list[dict[str, Any]]] = {contact_id: [] for contact_id in contacts}
    for row in connection.execute(live.order_by(record.c.contact_id, record.c.crm, record.c.object, record.c.id)):
        records[row.contact_id].append({name: getattr(row, name) for name in names})
    return records
