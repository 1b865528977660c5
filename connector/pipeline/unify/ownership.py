"""Who owns a contact: the person, or the queue, that its records name, and since when. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from connector.conditions import fold
from connector.model import CRM_FACTS, CRMS, CrmName
from connector.pipeline.unify.contact_values import ContactBatch
from connector.store.tables import from_micros
from connector.store.tables.rows import PersonRecord, StoredContact
from connector.workflows.fields import moment_micros


class ContactOwner(NamedTuple):
    """The columns of a contact that tell its owner: a person's e-mail, or a queue's folded name."""

    owner: str | None
    owner_queue: str | None
    assigned_at: datetime | None


class Ownership:
    """Reads the owners of contacts; made once a pass.

    first: the CRM whose owner is believed before the other's. own_users: users of the connector itself, by (crm, id). zone: the business's.
    """

    def __init__(self, first: CrmName, own_users: frozenset[tuple[str, str]], zone: ZoneInfo) -> None:
        self._order = (first, *(crm for crm in CRMS if crm != first))
        self._own_users = own_users
        self._zone = zone

    def person(self, row: PersonRecord, batch: ContactBatch) -> str | None:
        """The e-mail of the person who owns a record: not a queue, not ourselves, nobody deactivated."""
        if row.owner_id is None or (row.crm, row.owner_id) in self._own_users:
            return None
        owner = batch.owners.get((row.crm, row.owner_id))
        return None if owner is None or owner.queue or not owner.active else owner.email

    def of(self, contact: StoredContact, main: Mapping[CrmName, PersonRecord], batch: ContactBatch, now: datetime) -> ContactOwner:
        """The owner: of both CRMs the first that names a person, else a queue."""
        rows = [main[crm] for crm in self._order if crm in main]
        for row in rows:
            person = self.person(row, batch)
            if person is not None:
                assigned = contact["assigned_at"] if person == contact["owner"] else self._assigned_at(row, contact, batch, now)
                return ContactOwner(person, None, assigned)
        return ContactOwner(None, _queue(rows, batch), None)

    def _assigned_at(self, row: PersonRecord, contact: StoredContact, batch: ContactBatch, now: datetime) -> datetime:
        """When the present owner was set, by the CRM's word: its own date, its history, else the change that brought it."""
        if row.crm == "hubspot":
            stated = moment_micros(row.properties.get("hubspot_owner_assigneddate") or "", self._zone)
            if stated is not None:
                return from_micros(stated)
        changes = [change.at for change in batch.history.get(row.id, ()) if change.property == CRM_FACTS["salesforce"].owner_property]
        if changes:
            return max(changes)
        first_sight = contact["judged_at"] is None
        moment = row.created_at if first_sight else row.modified_at
        return moment or now


def _queue(rows: Sequence[PersonRecord], batch: ContactBatch) -> str | None:
    """The name of the first queue that owns one of the records, folded: conditions compare it as it stands."""
    for row in rows:
        owner = batch.owners.get((row.crm, row.owner_id or ""))
        if owner is not None and owner.queue:
            return fold(owner.name)
    return None
