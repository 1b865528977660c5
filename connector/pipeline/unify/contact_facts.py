"""Reads all that is known of the contacts of a slice, in sets."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import orjson
from sqlalchemy import Connection, Table, func, select

from connector.model import CRM_FACTS, CRMS
from connector.pipeline.unify.contact_values import ContactBatch
from connector.pipeline.unify.identity import Key
from connector.pipeline.unify.plain_contacts import PlainRecord
from connector.store import tables as t
from connector.store.bulk import find
from connector.store.mirror.deal_roles import latest_campaigns
from connector.store.tables import from_micros
from connector.store.tables.rows import PersonRecord, PropertyChange, StoredContact, StoredOwner
from connector.workflows import touches
from connector.workflows.stored_state import attempts_of, evidence_of, rejected_with_reason, written_stages

link = t.metadata.tables["activity_link"]
owner = t.metadata.tables["owner"]


def load(connection: Connection, table: Table, ids: Sequence[int], *, never_made: Container[int] = ()) -> ContactBatch:
    """Everything known of these contacts. table: contacts with the file's columns; never_made: of whom nothing can be on record."""
    records = _records(connection, ids)
    people = [row for rows in records.values() for row in rows]
    recorded = [contact_id for contact_id in ids if contact_id not in never_made]
    several = any(_several_in_one(rows) for rows in records.values())
    batch = ContactBatch(
        contacts=_contacts(connection, table, ids),
        records=records,
        companies=companies_of(connection, people),
        owners=_owners(connection),
        history=_history(connection, people),
        emails=_further_emails(connection, people),
        ends=_ends(connection, records) if several else {},
        active=_latest_activities(connection, records) if several else {},
        campaigns=latest_campaigns(connection, ids),
    )
    return _with_what_is_recorded(connection, batch, recorded) if recorded else batch


def _with_what_is_recorded(connection: Connection, batch: ContactBatch, ids: Sequence[int]) -> ContactBatch:
    """What was concluded of these contacts before."""
    return replace(
        batch,
        attempts={number: states[max(states)] for number, states in attempts_of(connection, ids).items()},
        evidence=evidence_of(connection, ids),
        touches=touches.by_contact(connection, ids),
        written=written_stages(connection, ids),
        rejected=rejected_with_reason(connection, ids),
    )


def _contacts(connection: Connection, table: Table, ids: Sequence[int]) -> dict[int, StoredContact]:
    rows = connection.execute(select(table).where(table.c.id.in_(ids))).mappings()
    return {row["id"]: cast(StoredContact, dict(row)) for row in rows}


def _records(connection: Connection, ids: Sequence[int]) -> dict[int, list[PersonRecord]]:
    records: dict[int, list[PersonRecord]] = {contact_id: [] for contact_id in ids}
    rows = find(connection, "record", ("contact_id", *PersonRecord._fields), ids, by="contact_id", order="crm, object, id")
    for contact_id, *values in rows:
        row = PersonRecord._make(values)
        records[contact_id].append(
            row._replace(
                properties=orjson.loads(values[_PROPERTIES]),
                created_at=_moment(values[_CREATED_AT]),
                modified_at=_moment(values[_MODIFIED_AT]),
                archived=bool(row.archived),
            )
        )
    return records


_PROPERTIES, _CREATED_AT, _MODIFIED_AT = (PersonRecord._fields.index(name) for name in ("properties", "created_at", "modified_at"))


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def companies_of(
    connection: Connection, people: Sequence[PersonRecord] | Sequence[PlainRecord]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The properties of the companies of these people, by (CRM, id), of those that live."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for crm in CRMS:
        ids = sorted({row.company_id for row in people if row.crm == crm and row.company_id is not None})
        columns, name = ("id", "properties"), CRM_FACTS[crm].companies
        for row_id, properties in find(connection, "record", columns, ids, crm=crm, object=name, where="NOT archived"):
            found[crm, row_id] = orjson.loads(properties)
    return found


def _owners(connection: Connection) -> dict[tuple[str, str], StoredOwner]:
    rows = connection.execute(select(*(owner.c[name] for name in StoredOwner._fields))).all()
    return {(row.crm, row.id): StoredOwner._make(row) for row in rows}


def _history(connection: Connection, people: Sequence[PersonRecord]) -> dict[str, list[PropertyChange]]:
    """What Salesforce tells of former values of Leads, by record, the oldest first."""
    ids = sorted({row.id for row in people if row.crm == "salesforce"})
    past: dict[str, list[PropertyChange]] = {}
    for row in find(connection, "field_history", PropertyChange._fields, ids, by="record_id", order="at"):
        past.setdefault(row.record_id, []).append(PropertyChange._make(row)._replace(at=from_micros(row.at)))
    return past


def _further_emails(connection: Connection, people: Sequence[PersonRecord]) -> dict[Key, list[str]]:
    emails: dict[Key, list[str]] = {}
    ids = [row.id for row in people if row.crm == "hubspot"]
    for row_id, email in find(connection, "record_email", ("id", "email"), ids, crm="hubspot", object="contacts"):
        emails.setdefault(("hubspot", "contacts", row_id), []).append(email)
    return emails


def _ends(connection: Connection, records: Mapping[int, Sequence[PersonRecord]]) -> dict[tuple[str, str], str]:
    """What the ids that records store, or became, stand for now, for contacts that have several records in one CRM. The loser of a merge
    itself need not be here: it may be older than the mirror."""
    several = [row for rows in records.values() if _several_in_one(rows) for row in rows]
    ends: dict[tuple[str, str], str] = {}
    for crm in CRMS:
        named = {row.linked_id for row in several if row.crm != crm} | {row.converted_to for row in several if row.crm == crm}
        ids = sorted(row_id for row_id in named if row_id is not None)
        for object_name in CRM_FACTS[crm].people:
            merged = find(connection, "merged", ("id", "into_id"), ids, crm=crm, object=object_name)
            ends |= {(crm, row_id): into for row_id, into in merged}
    return ends


def _latest_activities(connection: Connection, records: Mapping[int, Sequence[PersonRecord]]) -> dict[Key, datetime]:
    """When something last happened with each record, for contacts that have several in one CRM."""
    ids = [contact_id for contact_id, rows in records.items() if _several_in_one(rows)]
    if not ids:
        return {}
    about = (link.c.crm, link.c.record_object, link.c.record_id)
    latest = select(*about, func.max(link.c.at, type_=link.c.at.type).label("at")).where(link.c.contact_id.in_(ids), link.c.counts)
    rows = connection.execute(latest.group_by(*about))
    return {(row.crm, row.record_object, row.record_id): row.at for row in rows if row.at is not None}


def _several_in_one(rows: Sequence[PersonRecord]) -> bool:
    return len(rows) > len({row.crm for row in rows})
