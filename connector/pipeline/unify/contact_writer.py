"""Makes contacts anew out of their records: fields, owner, the record that stands for them in each CRM; stages by `StageBook`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table, exists, select, true, update

from connector.conditions import fold
from connector.config.tables import Config
from connector.model import CRM_FACTS, CRMS, CrmName
from connector.pipeline.unify.contact_facts import load, sides_of
from connector.pipeline.unify.contact_rows import store
from connector.pipeline.unify.contact_values import ContactBatch, ContactRows, UnifySettings
from connector.pipeline.unify.identity import Candidate, choose, stored_ids
from connector.pipeline.unify.stage_history import StageBook
from connector.store import tables as t
from connector.store.fields import FieldColumn
from connector.store.tables import from_micros
from connector.workflows import touches
from connector.workflows.fields import FieldReader, moment_micros

record = t.metadata.tables["record"]
contact = t.metadata.tables["contact"]
owner = t.metadata.tables["owner"]


class ContactWriter:
    """Makes contacts out of their records; made once a pass."""

    def __init__(self, config: Config, columns: Sequence[FieldColumn], table: Table, setting: UnifySettings) -> None:
        self._config = config
        self._reader = FieldReader(config)
        self._book = StageBook(config, setting)
        self._table = table
        self._columns = list(columns)
        self._textual = [column.name for column in columns if column.type.textual]
        self._setting = setting
        self._unread = setting.unread | {f"{name}_folded" for name in setting.unread}
        self._zone = ZoneInfo(config.timezone)
        self._owner_side: CrmName = config.field("owner").read or "salesforce"

    @property
    def hubspot_id_field(self) -> str | None:
        """Where Salesforce's records hold the id of their HubSpot contact, if so configured."""
        salesforce = self._config.crm.salesforce
        return None if salesforce is None else salesforce.hubspot_id_field

    @property
    def clocks_from(self) -> datetime:
        """Attempts that began before are found."""
        return self._setting.clocks_from

    def write_slice(self, connection: Connection, now: datetime, size: int, *, only: Collection[int] | None = None) -> int:
        """Makes the next contacts anew; how many of their records, 0 at the end.

        A contact that was judged as of a later moment waits for the next pass: its history does not go backwards. only: these contacts
        alone, and their records stay marked: a pull that runs beside may be storing others of theirs.
        """
        later = exists().where(contact.c.id == record.c.contact_id, contact.c.judged_at > now)
        ids = connection.execute(
            select(record.c.contact_id)
            .where(record.c.unify, record.c.contact_id.is_not(None), ~later, true() if only is None else record.c.contact_id.in_(only))
            .group_by(record.c.contact_id)
            .order_by(record.c.contact_id)
            .limit(size)
        ).scalars().all()  # fmt: skip
        if not ids:
            return 0
        touches.refresh(connection, ids, self._config.sales_members, now)
        loaded = load(connection, self._table, ids)
        owners = {(row.crm, row.id): row for row in connection.execute(select(owner))}
        out = ContactRows()
        for contact_id in ids:
            self._make(contact_id, loaded, owners, now, out)
        store(connection, self._table, loaded.contacts, out)
        if only is None:
            connection.execute(update(record).where(record.c.contact_id.in_(ids)).values(unify=False))
        return sum(len(records) for records in loaded.records.values())

    # ── Deciding ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _make(self, contact_id: int, loaded: ContactBatch, owners: Mapping[tuple[str, str], Any], now: datetime, out: ContactRows) -> None:
        before = loaded.contacts[contact_id]
        live = [row for row in loaded.records[contact_id] if not row.archived]
        stored = stored_ids(live)
        past = [row for row in loaded.records[contact_id] if row.archived]
        choice = choose(*([self._candidate(row, owners, stored, loaded) for row in some] for some in (live, past)))
        main = {crm: next(row for row in live if row.id == best.id and row.object == best.object) for crm, best in choice.main.items()}
        for row in loaded.records[contact_id]:
            role = "main" if any(row is one for one in main.values()) else "duplicate"
            if row.role != role:
                out.roles.append({"crm": row.crm, "object": row.object, "id": row.id, "role": role})
        values = self._fields(contact_id, main, loaded, owners)
        changes = {
            **values,
            **self._ownership(before, main, owners, loaded, now),
            "gone": not live,
            "ambiguous": choice.ambiguous,
            "in_hubspot": "hubspot" in main,
            "in_salesforce": "salesforce" in main,
            "due_at": now if live else None,  # nobody judges who is gone
        }
        shown = self._book.shown(live, main)
        ours = {crm: one for crm in CRMS if (one := self._book.ours(before, crm, loaded)) is not None}
        before = self._book.moved_on_from(before, changes, shown, ours, loaded, out)
        resolution = self._book.resolved(before, live, main, shown, ours)
        changes |= {
            "stage_hubspot": shown["hubspot"],
            "stage_salesforce": shown["salesforce"],
            "agreed_hubspot": resolution.agreed_hubspot,
            "agreed_salesforce": resolution.agreed_salesforce,
            "agreed_number": resolution.number,
            "stage_differs": resolution.differs,
        }
        if resolution.stage != before["stage"]:
            changes |= self._book.moved(before, changes, resolution, main, ours, loaded, now, out)
        elif (state := loaded.attempts.get(contact_id)) is not None and state.open:
            self._book.attempt_goes_on(contact_id, before, changes, state, now, out)
        out.contacts.append({**before, **changes})

    def _candidate(self, row: Any, owners: Mapping[tuple[str, str], Any], stored: Collection[str], loaded: ContactBatch) -> Candidate:
        key = (row.crm, row.object, row.id)
        other = "salesforce" if row.crm == "hubspot" else "hubspot"
        became = row.merged_into or row.converted_to
        return Candidate(
            crm=row.crm,
            object=row.object,
            id=row.id,
            owner=self._person(row, owners),
            converted=row.converted_to is not None or row.properties.get("IsConverted") is True,
            active_at=loaded.active.get(key),
            stored=row.id in stored,
            emails=(*(() if row.email is None else (row.email,)), *loaded.emails.get(key, ())),
            claim=loaded.ends.get((other, row.linked_id), row.linked_id),
            became=loaded.ends.get((row.crm, became), became),
        )

    def _person(self, row: Any, owners: Mapping[tuple[str, str], Any]) -> str | None:
        """The e-mail of the person who owns a record: not a queue, not ourselves, nobody deactivated."""
        if row.owner_id is None or (row.crm, row.owner_id) in self._setting.own_users:
            return None
        found = owners.get((row.crm, row.owner_id))
        return None if found is None or found.queue or not found.active else found.email

    def _fields(
        self, contact_id: int, main: Mapping[CrmName, Any], loaded: ContactBatch, owners: Mapping[tuple[str, str], Any]
    ) -> dict[str, Any]:
        values = self._reader.read(sides_of(main, loaded.companies, loaded.campaigns.get(contact_id)))
        for crm in CRMS:
            if (column := f"{crm[0]}_owner") in self._table.c:
                values[column] = None if crm not in main else self._person(main[crm], owners)
        for name in self._textual:
            values[f"{name}_folded"] = None if values.get(name) is None else fold(values[name])
        return {name: value for name, value in values.items() if name not in self._unread}

    def _ownership(
        self,
        before: Mapping[str, Any],
        main: Mapping[CrmName, Any],
        owners: Mapping[tuple[str, str], Any],
        loaded: ContactBatch,
        now: datetime,
    ) -> dict[str, Any]:
        order: tuple[CrmName, ...] = (self._owner_side, "hubspot" if self._owner_side == "salesforce" else "salesforce")
        at_queue = next(
            (owner for crm in order if crm in main and (owner := owners.get((crm, main[crm].owner_id))) is not None and owner.queue), None
        )
        for crm in order:
            person = self._person(main[crm], owners) if crm in main else None
            if person is not None:
                assigned = before["assigned_at"] if person == before["owner"] else self._assigned_at(main[crm], loaded, before, now)
                return {"owner": person, "owner_queue": None, "assigned_at": assigned}
        queue = None if at_queue is None else fold(at_queue.name)  # conditions compare it as it stands
        return {"owner": None, "owner_queue": queue, "assigned_at": None}

    def _assigned_at(self, row: Any, loaded: ContactBatch, before: Mapping[str, Any], now: datetime) -> datetime:
        """When the present owner was set, by the CRM's word: its own date, its history, else the change that brought it."""
        if row.crm == "hubspot":
            stated = moment_micros(row.properties.get("hubspot_owner_assigneddate") or "", self._zone)
            if stated is not None:
                return from_micros(stated)
        owner = CRM_FACTS["salesforce"].owner_property
        told: list[datetime] = [change.at for change in loaded.history.get(row.id, ()) if change.property == owner]
        if told:
            return max(told)
        first_sight = before["judged_at"] is None
        moment: datetime | None = row.created_at if first_sight else row.modified_at
        return moment or now

    def agree(self, connection: Connection, agreed: Sequence[tuple[int, str]], now: datetime) -> None:
        """Puts contacts into a stage that their CRMs show already, where nothing was agreed before: a step without a write."""
        if not agreed:
            return
        loaded = load(connection, self._table, [contact_id for contact_id, _ in agreed])
        out = ContactRows()
        for contact_id, stage in agreed:
            before = loaded.contacts[contact_id]
            changes = {
                "agreed_hubspot": before["stage_hubspot"],
                "agreed_salesforce": before["stage_salesforce"],
                "agreed_number": before["agreed_number"] + 1,
                "stage_differs": False,
                "due_at": now,
            }
            changes |= self._book.book(contact_id, before, before, stage, now, "connector", loaded, out)
            out.contacts.append({**before, **changes})
        store(connection, self._table, loaded.contacts, out)
