"""Makes contacts anew, a slice at a time, and stores what differs.

Those that were never made before and are plain are made by `PlainContacts`, all others one by one by `ContactMaker`.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table

from connector.config.tables import Config
from connector.pipeline.unify.contact_facts import load
from connector.pipeline.unify.contact_maker import ContactMaker
from connector.pipeline.unify.contact_rows import settle_records, store, store_plain
from connector.pipeline.unify.contact_values import ContactRows, UnifySettings
from connector.pipeline.unify.owner_history import follow_owners
from connector.pipeline.unify.plain_contacts import PlainContacts, PlainRecord
from connector.pipeline.unify.plain_facts import never_made, plain_batch, plain_records_of
from connector.store import snapshots
from connector.store.bulk import AMONG, asked, told
from connector.store.fields import FieldColumn
from connector.store.tables import to_micros
from connector.workflows import touch_counts


class SliceWritten(NamedTuple):
    """How many records the contacts of a slice have, and the last contact's number; None where none was left."""

    records: int
    last: int | None


class ContactWriter:
    """Makes contacts out of their records; made once a pass. table: contacts with the columns of the file's fields."""

    def __init__(self, config: Config, columns: Sequence[FieldColumn], table: Table, setting: UnifySettings) -> None:
        self._config = config
        self._maker = ContactMaker(config, columns, setting)
        self._plain = PlainContacts(config, columns, setting)
        self._table = table
        self._setting = setting
        self._zone = ZoneInfo(config.timezone)

    @property
    def hubspot_id_field(self) -> str | None:
        """Where Salesforce's records hold the id of their HubSpot contact, if so configured."""
        salesforce = self._config.crm.salesforce
        return None if salesforce is None else salesforce.hubspot_id_field

    @property
    def clocks_from(self) -> datetime:
        """Attempts that began before are found."""
        return self._setting.clocks_from

    def write_slice(
        self, connection: Connection, now: datetime, size: int, *, after: int = 0, only: Collection[int] | None = None
    ) -> SliceWritten:
        """Makes the next contacts anew.

        A contact that was judged as of a later moment waits for the next pass: its history does not go backwards. after: those with higher
        numbers. only: these contacts alone, and their records stay marked: a pull that runs beside may be storing others of theirs.
        """
        ids = self._next(connection, now, size, after, only)
        if not ids:
            return SliceWritten(0, None)
        fresh = never_made(connection, ids)
        plain = plain_records_of(connection, fresh)
        self._make_plain(connection, plain, fresh, now, settled=only is None)
        records = sum(map(len, plain.values()))
        others = [contact_id for contact_id in ids if contact_id not in plain]
        if others:
            records += self._make_others(connection, others, fresh, now)
            if only is None:
                told(connection, f"UPDATE record SET unify = ? WHERE unify AND contact_id {AMONG}", False, others)  # noqa: S608 - our own
        in_salesforce = {number for number, rows in plain.items() if any(row.crm == "salesforce" for row in rows)}
        followed = [contact_id for contact_id in ids if contact_id not in plain or contact_id in in_salesforce]
        if followed:
            follow_owners(connection, followed, self._zone, now)
        return SliceWritten(records, ids[-1])

    def _next(self, connection: Connection, now: datetime, size: int, after: int, only: Collection[int] | None) -> list[int]:
        """The next contacts with a record that changed, by number."""
        among, chosen = ("", ()) if only is None else (f"AND contact_id {AMONG}", (only,))
        statement = f"""
            SELECT DISTINCT contact_id FROM record
            WHERE unify AND contact_id IS NOT NULL AND contact_id > ? {among}
            AND NOT EXISTS (SELECT 1 FROM contact WHERE contact.id = record.contact_id AND contact.judged_at > ?)
            ORDER BY contact_id LIMIT ?"""  # noqa: S608 - nothing from outside
        return [row[0] for row in asked(connection, statement, after, *chosen, to_micros(now), size)]

    def _make_plain(
        self,
        connection: Connection,
        records: Mapping[int, Sequence[PlainRecord]],
        due: Mapping[int, int | None],
        now: datetime,
        *,
        settled: bool,
    ) -> None:
        """due: their `due_at` as it is stored. settled: their records are marked no more."""
        if not records:
            return
        batch = plain_batch(connection, records, self._setting.own_users)
        moment = to_micros(now)
        rows = self._plain.make(records, batch, moment)
        due_now: list[tuple[int | None, int]] = [(moment, contact_id) for contact_id in records if due[contact_id] != moment]
        store_plain(connection, self._table, self._plain.columns, rows, due_now)
        settle_records(connection, [row for rows_of_one in records.values() for row in rows_of_one], settled=settled)

    def _make_others(self, connection: Connection, ids: Sequence[int], never_made: Container[int], now: datetime) -> int:
        """Makes contacts one by one; how many records they have. Those that were never made have no attempt that touches matter for."""
        counted = [contact_id for contact_id in ids if contact_id not in never_made]
        if counted:
            touch_counts.bring_up_to_date(connection, self._table, counted, self._config.sales_members, now)
        batch = load(connection, self._table, ids, never_made=never_made)
        rows = ContactRows()
        for contact_id in ids:
            self._maker.make(contact_id, batch, rows, now)
        gone = [number for row in rows.attempts if row["outcome"] == "withdrawn" and isinstance(number := row["contact_id"], int)]
        snapshots.freeze_withdrawn(connection, gone, snapshots.Look(now=now, config_version=self._config.version))
        store(connection, self._table, batch.contacts, rows)
        return sum(len(records) for records in batch.records.values())

    def agree(self, connection: Connection, agreed: Sequence[tuple[int, str]], now: datetime) -> None:
        """Puts contacts into a stage that their CRMs show already, where nothing was agreed before: a step without a write."""
        if not agreed:
            return
        batch = load(connection, self._table, [contact_id for contact_id, _ in agreed])
        rows = ContactRows()
        for contact_id, stage in agreed:
            self._maker.agree(contact_id, stage, batch, rows, now)
        store(connection, self._table, batch.contacts, rows)
