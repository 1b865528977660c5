"""What is known of the contacts of a slice, read in sets; and what of it a contact's fields and stage are read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Table, and_, func, select

from connector.model import CRMS, CrmName
from connector.pipeline.unify.contact_values import ContactBatch
from connector.pipeline.unify.identity import PEOPLE, Key
from connector.store import tables as t
from connector.store.bulk import find
from connector.store.mirror.deal_roles import latest_campaigns
from connector.store.mirror.rows import COMPANIES
from connector.store.tables.rows import PersonRecord, PropertyChange, StoredContact, StoredOwner
from connector.workflows import touches
from connector.workflows.fields import Sides
from connector.workflows.stored_state import attempts_of, evidence_of, rejected_with_reason, written_stages

record = t.metadata.tables["record"]
history = t.metadata.tables["field_history"]
link = t.metadata.tables["activity_link"]
owner = t.metadata.tables["owner"]


def load(connection: Connection, table: Table, ids: Sequence[int]) -> ContactBatch:
    """Everything known of these contacts. table: contacts with the file's columns."""
    records = _records(connection, ids)
    people = [row for rows in records.values() for row in rows]
    contacts = connection.execute(select(table).where(table.c.id.in_(ids))).mappings()
    return ContactBatch(
        contacts={row["id"]: cast(StoredContact, dict(row)) for row in contacts},
        records=records,
        companies=_companies(connection, people),
        owners=_owners(connection),
        history=_history(connection, people),
        attempts={number: states[max(states)] for number, states in attempts_of(connection, ids).items()},
        evidence=evidence_of(connection, ids),
        touches=touches.by_contact(connection, ids),
        written=written_stages(connection, ids),
        rejected=rejected_with_reason(connection, ids),
        emails=_further_emails(connection, people),
        ends=_ends(connection, records),
        active=_latest_activities(connection, records),
        campaigns=latest_campaigns(connection, ids),
    )


def _records(connection: Connection, ids: Sequence[int]) -> dict[int, list[PersonRecord]]:
    records: dict[int, list[PersonRecord]] = {contact_id: [] for contact_id in ids}
    columns = [record.c[name] for name in PersonRecord._fields]
    in_order = (record.c.crm, record.c.object, record.c.id)
    for contact_id, *values in connection.execute(
        select(record.c.contact_id, *columns).where(record.c.contact_id.in_(ids)).order_by(*in_order)
    ):
        records[contact_id].append(PersonRecord._make(values))
    return records


def _companies(connection: Connection, people: Sequence[PersonRecord]) -> dict[tuple[str, str], Mapping[str, Any]]:
    ids = sorted({row.company_id for row in people if row.company_id is not None})
    live = and_(record.c.object.in_(COMPANIES), record.c.id.in_(ids), ~record.c.archived)
    rows = connection.execute(select(record.c.crm, record.c.id, record.c.properties).where(live))
    return {(crm, row_id): properties for crm, row_id, properties in rows}


def _owners(connection: Connection) -> dict[tuple[str, str], StoredOwner]:
    rows = connection.execute(select(*(owner.c[name] for name in StoredOwner._fields)))
    return {(row.crm, row.id): StoredOwner._make(row) for row in rows}


def _history(connection: Connection, people: Sequence[PersonRecord]) -> dict[str, list[PropertyChange]]:
    """What Salesforce tells of former values of Leads, by record, the oldest first."""
    ids = sorted({row.id for row in people if row.crm == "salesforce"})
    columns = [history.c[name] for name in PropertyChange._fields]
    past: dict[str, list[PropertyChange]] = {}
    for row in connection.execute(select(*columns).where(history.c.record_id.in_(ids)).order_by(history.c.at)):
        past.setdefault(row.record_id, []).append(PropertyChange._make(row))
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
        for object_name in PEOPLE[crm]:
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


def sides_of(
    main: Mapping[CrmName, PersonRecord], companies: Mapping[tuple[str, str], Mapping[str, Any]], campaign: str | None
) -> Sides:
    """What a contact's fields are read from: its own records, those of its companies by (crm, id), and the latest campaign it joined."""
    hubspot, salesforce = main.get("hubspot"), main.get("salesforce")
    nothing: Mapping[str, Any] = {}
    return Sides(
        hubspot=nothing if hubspot is None else hubspot.properties,
        hubspot_company=nothing if hubspot is None else companies.get(("hubspot", hubspot.company_id or ""), nothing),
        lead=salesforce.properties if salesforce is not None and salesforce.object == "Lead" else None,
        contact=salesforce.properties if salesforce is not None and salesforce.object == "Contact" else None,
        account=nothing if salesforce is None else companies.get(("salesforce", salesforce.company_id or ""), nothing),
        campaign=campaign if salesforce is not None else None,
    )


def stage_record(crm: CrmName, live: Sequence[PersonRecord], main: Mapping[CrmName, PersonRecord]) -> PersonRecord | None:
    """The record that tells (and is told) the stage in a CRM: the contact's own; for a Salesforce Contact, the Lead it came from."""
    own = main.get(crm)
    if own is None or own.object != "Contact":
        return own
    return next((row for row in live if row.object == "Lead" and row.converted_to == own.id), None)
