"""Makes contacts anew, a slice at a time: reads what is known of them, has `ContactMaker` decide, stores what differs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, Table, exists, select, true, update

from connector.config.tables import Config
from connector.pipeline.unify.contact_facts import load
from connector.pipeline.unify.contact_maker import ContactMaker
from connector.pipeline.unify.contact_rows import store
from connector.pipeline.unify.contact_values import ContactRows, UnifySettings
from connector.store import tables as t
from connector.store.fields import FieldColumn
from connector.workflows import touch_counts

record = t.metadata.tables["record"]
contact = t.metadata.tables["contact"]


class ContactWriter:
    """Makes contacts out of their records; made once a pass. table: contacts with the columns of the file's fields."""

    def __init__(self, config: Config, columns: Sequence[FieldColumn], table: Table, setting: UnifySettings) -> None:
        self._config = config
        self._maker = ContactMaker(config, columns, setting)
        self._table = table
        self._setting = setting

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
        touch_counts.bring_up_to_date(connection, self._table, ids, self._config.sales_members, now)
        batch = load(connection, self._table, ids)
        rows = ContactRows()
        for contact_id in ids:
            self._maker.make(contact_id, batch, rows, now)
        store(connection, self._table, batch.contacts, rows, now)
        if only is None:
            connection.execute(update(record).where(record.c.contact_id.in_(ids)).values(unify=False))
        return sum(len(records) for records in batch.records.values())

    def agree(self, connection: Connection, agreed: Sequence[tuple[int, str]], now: datetime) -> None:
        """Puts contacts into a stage that their CRMs show already, where nothing was agreed before: a step without a write."""
        if not agreed:
            return
        batch = load(connection, self._table, [contact_id for contact_id, _ in agreed])
        rows = ContactRows()
        for contact_id, stage in agreed:
            self._maker.agree(contact_id, stage, batch, rows, now)
        store(connection, self._table, batch.contacts, rows, now)
