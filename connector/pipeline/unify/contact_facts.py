"""What is known of the contacts of a slice, read in sets; and what of it a contact's fields and stage are read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, select

from connector.model import COMPANY_OBJECTS, CRM_FACTS, CRMS, CrmName
from connector.pipeline.unify.contact_values import ContactBatch
from connector.pipeline.unify.identity import Key
from connector.store import tables as t
from connector.store.bulk import find
from connector.store.mirror.deal_roles import latest_campaigns
from connector.workflows import touches
from connector.workflows.fields import Sides
from connector.workflows.stored_state import attempts_of, evidence_of, rejected_with_reason, written_stages

record = t.metadata.tables["record"]
history = t.metadata.tables["field_history"]
link = t.metadata.tables["activity_link"]


def load(connection: Connection, table: Table, ids: Sequence[int]) -> ContactBatch:
    """Everything known of these contacts."""
    records: dict[int, list[Any]] = {contact_id: [] for contact_id in ids}
    in_order = (record.c.crm, record.c.object, record.c.id)
    for row in connection.execute(select(record).where(record.c.contact_id.in_(ids)).order_by(*in_order)):
        records[row.contact_id].append(row)
    people = [row for rows in records.values() for row in rows]
    company_ids = sorted({row.company_id for row in people if row.company_id is not None})
    companies = connection.execute(
        select(record.c.crm, record.c.id, record.c.properties).where(
            record.c.object.in_(COMPANY_OBJECTS), record.c.id.in_(company_ids), ~record.c.archived
        )
    )
    lead_ids = sorted({row.id for row in people if row.crm == "salesforce"})
    past: dict[str, list[Any]] = {}
    for row in connection.execute(select(history).where(history.c.record_id.in_(lead_ids)).order_by(history.c.at)):
        past.setdefault(row.record_id, []).append(row)
    contacts = connection.execute(select(table).where(table.c.id.in_(ids))).mappings()
    return ContactBatch(
        contacts={row["id"]: dict(row) for row in contacts},
        records=records,
        companies={(row.crm, row.id): row.properties for row in companies},
        history=past,
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


def _further_emails(connection: Connection, people: Sequence[Any]) -> dict[Key, list[str]]:
    found: dict[Key, list[str]] = {}
    ids = [row.id for row in people if row.crm == "hubspot"]
    for row_id, email in find(connection, "record_email", ("id", "email"), ids, crm="hubspot", object="contacts"):
        found.setdefault(("hubspot", "contacts", row_id), []).append(email)
    return found


def _ends(connection: Connection, records: Mapping[int, Sequence[Any]]) -> dict[tuple[str, str], str]:
    """What the ids that records store, or became, stand for now, for contacts that have several records in one CRM. The loser of a merge
    itself need not be here: it may be older than the mirror."""
    several = [row for rows in records.values() if len(rows) > len({row.crm for row in rows}) for row in rows]
    found: dict[tuple[str, str], str] = {}
    for crm in CRMS:
        named = {row.linked_id for row in several if row.crm != crm} | {row.converted_to for row in several if row.crm == crm}
        ids = sorted(named - {None})
        for object_name in CRM_FACTS[crm].people:
            found |= {(crm, one): into for one, into in find(connection, "merged", ("id", "into_id"), ids, crm=crm, object=object_name)}
    return found


def _latest_activities(connection: Connection, records: Mapping[int, Sequence[Any]]) -> dict[Key, datetime]:
    """When something last happened with each record, for contacts that have several in one CRM."""
    ids = [number for number, rows in records.items() if len(rows) > len({row.crm for row in rows})]
    if not ids:
        return {}
    about = (link.c.crm, link.c.record_object, link.c.record_id)
    latest = select(*about, func.max(link.c.at, type_=link.c.at.type).label("at")).where(link.c.contact_id.in_(ids), link.c.counts)
    rows = connection.execute(latest.group_by(*about))
    return {(row.crm, row.record_object, row.record_id): row.at for row in rows if row.at is not None}


def sides_of(main: Mapping[CrmName, Any], companies: Mapping[tuple[str, str], Mapping[str, Any]], campaign: str | None) -> Sides:
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


def stage_record(crm: CrmName, live: Sequence[Any], main: Mapping[CrmName, Any]) -> Any:
    """The record that tells (and is told) the stage in a CRM: the contact's own; for a Salesforce Contact, the Lead it came from."""
    row = main.get(crm)
    if row is None or row.object != "Contact":
        return row
    return next((one for one in live if one.object == "Lead" and one.converted_to == row.id), None)
