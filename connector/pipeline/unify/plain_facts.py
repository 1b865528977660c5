"""Reads what plain contacts are made of (`plain_contacts`), in sets, by statements that are compiled once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from connector.model import fold
from connector.pipeline.unify.contact_facts import companies_of
from connector.pipeline.unify.plain_contacts import OwnerName, PlainBatch, PlainRecord, are_plain
from connector.store.bulk import AMONG, asked, find
from connector.store.mirror.deal_roles import latest_campaigns

_NEVER_MADE = f"""
    SELECT id, due_at FROM contact
    WHERE id {AMONG} AND NOT in_hubspot AND NOT in_salesforce AND NOT gone AND judged_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM contact AS lost WHERE lost.merged_into = contact.id)"""  # noqa: S608 - nothing from outside


def never_made(connection: Connection, ids: Collection[int]) -> dict[int, int | None]:
    """Of these contacts those that were never made before, and are nobody's heirs: nothing is on record of them. With their `due_at`."""
    return {row[0]: row[1] for row in asked(connection, _NEVER_MADE, ids)}


def plain_records_of(connection: Connection, ids: Collection[int]) -> dict[int, list[PlainRecord]]:
    """The records of those of these contacts that have one live record a CRM at most, and none that was deleted, merged or converted."""
    columns = (*PlainRecord._fields, "archived", "converted_to", "merged_into")
    by_contact: dict[int, list[Any]] = {}
    for row in find(connection, "record", columns, ids, by="contact_id"):
        by_contact.setdefault(row[0], []).append(row)
    return {
        contact_id: [PlainRecord._make(row[:-3]) for row in rows]
        for contact_id, rows in by_contact.items()
        if are_plain(rows) and not any(row[-3] or row[-2] is not None or row[-1] is not None for row in rows)
    }


def plain_batch(connection: Connection, records: Mapping[int, Sequence[PlainRecord]], own_users: Collection[tuple[str, str]]) -> PlainBatch:
    """All else that is known of these contacts. own_users: the connector's, by (CRM, id): they own nothing."""
    people = [row for rows in records.values() for row in rows]
    in_salesforce = [row for row in people if row.crm == "salesforce"]
    return PlainBatch(
        owners=_owners(connection, own_users),
        companies=companies_of(connection, people),
        history=_history(connection, [row.id for row in in_salesforce]),
        emails=_further_emails(connection, [row.id for row in people if row.crm == "hubspot"]),
        campaigns=latest_campaigns(connection, {row.contact_id for row in in_salesforce}) if in_salesforce else {},
    )


def _owners(connection: Connection, own_users: Collection[tuple[str, str]]) -> dict[tuple[str, str], OwnerName]:
    """Persons and queues by (CRM, id): not ourselves, and nobody who is deactivated. A queue of our own is one all the same."""
    names: dict[tuple[str, str], OwnerName] = {}
    for crm, row_id, email, name, active, queue in asked(connection, "SELECT crm, id, email, name, active, queue FROM owner"):
        ours = (crm, row_id) in own_users
        names[crm, row_id] = OwnerName(
            person=None if ours or queue or not active else email, queue=fold(name) if queue else None, email=None if queue else email
        )
    return names


def _history(connection: Connection, ids: Collection[str]) -> dict[str, list[tuple[str, int, str | None]]]:
    past: dict[str, list[tuple[str, int, str | None]]] = {}
    for row_id, name, at, after in find(connection, "field_history", ("record_id", "property", "at", "after"), ids, by="record_id"):
        past.setdefault(row_id, []).append((name, at, after))
    return past


def _further_emails(connection: Connection, ids: Collection[str]) -> dict[str, list[str]]:
    emails: dict[str, list[str]] = {}
    for row_id, email in find(connection, "record_email", ("id", "email"), ids, crm="hubspot", object="contacts"):
        emails.setdefault(row_id, []).append(email)
    return emails
