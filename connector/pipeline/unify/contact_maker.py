"""One contact out of its records: the record that stands for it in each CRM, fields, owner, stage. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

from connector.conditions import fold
from connector.config.tables import Config
from connector.model import CRMS, CrmName, folded_twin
from connector.pipeline.unify.contact_values import ContactBatch, ContactRows, UnifySettings
from connector.pipeline.unify.identity import Candidate, choose, stored_ids
from connector.pipeline.unify.ownership import Ownership
from connector.pipeline.unify.shown_stages import StageReader
from connector.pipeline.unify.stage_history import StageBook, StageChangeContext, with_values
from connector.store.fields import FieldColumn
from connector.store.tables.rows import ContactValue, PersonRecord, StoredContact
from connector.workflows.fields import FieldReader, Sides


class _Chosen(NamedTuple):
    """A contact's live records; of them those that stand for it; why nothing may be written, if so."""

    live: Sequence[PersonRecord]
    main: Mapping[CrmName, PersonRecord]
    ambiguous: str | None


class ContactMaker:
    """Makes contacts anew out of their records; made once a pass."""

    def __init__(self, config: Config, columns: Sequence[FieldColumn], setting: UnifySettings) -> None:
        first: CrmName = config.field("owner").read or "salesforce"
        self._fields = FieldReader(config, columns)
        self._ownership = Ownership(first, setting.own_users, ZoneInfo(config.timezone))
        self._stages = StageReader(config, setting)
        self._book = StageBook(config, setting)
        self._textual = [column.name for column in columns if column.type.textual]
        self._unread = setting.unread | {folded_twin(name) for name in setting.unread}
        names = {column.name for column in columns}
        self._owner_columns: dict[CrmName, str] = {crm: column for crm in CRMS if (column := f"{crm[0]}_owner") in names}

    def make(self, contact_id: int, batch: ContactBatch, rows: ContactRows, now: datetime) -> None:
        """Adds the rows of a contact as its records make it now."""
        contact = batch.contacts[contact_id]
        chosen = self._choose(batch.records[contact_id], batch)
        rows.roles += _roles(batch.records[contact_id], chosen.main)
        owned = self._ownership.of(contact, chosen.main, batch, now)
        values: dict[str, ContactValue] = {
            **self._field_values(contact_id, chosen.main, batch),
            **owned._asdict(),
            "gone": not chosen.live,
            "ambiguous": chosen.ambiguous,
            "in_hubspot": "hubspot" in chosen.main,
            "in_salesforce": "salesforce" in chosen.main,
            **dict.fromkeys(("due_at", "decide_at"), now if chosen.live else None),  # nobody judges who is gone
        }
        context = StageChangeContext(
            contact=contact,
            values=values,
            owner=owned.owner,
            shown=self._stages.read(contact, chosen.live, chosen.main, batch),
            batch=batch,
            rows=rows,
            now=now,
        )
        rows.contacts.append(self._staged(context, gone=not chosen.live))

    def agree(self, contact_id: int, stage: str, batch: ContactBatch, rows: ContactRows, now: datetime) -> None:
        """Adds the rows of a contact whose CRMs show a stage already, where nothing was agreed before: a step without a write."""
        contact = batch.contacts[contact_id]
        agreed: dict[str, ContactValue] = {
            "agreed_hubspot": contact["stage_hubspot"],
            "agreed_salesforce": contact["stage_salesforce"],
            "agreed_number": contact["agreed_number"] + 1,
            "stage_differs": False,
            "due_at": now,
            "decide_at": now,
        }
        context = StageChangeContext(contact=contact, values={}, owner=contact["owner"], batch=batch, rows=rows, now=now)
        booked = self._book.book(context, stage, now, "connector")
        rows.contacts.append(_columns(with_values(contact, {**agreed, **booked})))

    def _choose(self, records: Sequence[PersonRecord], batch: ContactBatch) -> _Chosen:
        live, past = [row for row in records if not row.archived], [row for row in records if row.archived]
        stored = stored_ids(live)
        choice = choose([self._candidate(row, stored, batch) for row in live], [self._candidate(row, stored, batch) for row in past])
        by_name = {(row.object, row.id): row for row in live}
        main = {crm: by_name[candidate.object, candidate.id] for crm, candidate in choice.main.items()}
        return _Chosen(live, main, choice.ambiguous)

    def _candidate(self, row: PersonRecord, stored: Collection[str], batch: ContactBatch) -> Candidate:
        key = (row.crm, row.object, row.id)
        other = "salesforce" if row.crm == "hubspot" else "hubspot"
        became = row.merged_into or row.converted_to
        return Candidate(
            crm=row.crm,
            object=row.object,
            id=row.id,
            owner=self._ownership.person(row, batch),
            converted=row.converted_to is not None or row.properties.get("IsConverted") is True,
            active_at=batch.active.get(key),
            stored=row.id in stored,
            emails=(*(() if row.email is None else (row.email,)), *batch.emails.get(key, ())),
            claim=_end(batch, other, row.linked_id),
            became=_end(batch, row.crm, became),
        )

    def _field_values(self, contact_id: int, main: Mapping[CrmName, PersonRecord], batch: ContactBatch) -> dict[str, ContactValue]:
        """The columns of the file's fields, but for those that cannot be read now."""
        values = self._fields.read(sides_of(main, batch.companies, batch.campaigns.get(contact_id)))
        for crm, column in self._owner_columns.items():
            values[column] = self._ownership.person(main[crm], batch) if crm in main else None
        for name in self._textual:
            value = values.get(name)
            values[folded_twin(name)] = None if value is None else fold(value)
        return {name: value for name, value in values.items() if name not in self._unread}

    def _staged(self, context: StageChangeContext, *, gone: bool) -> Mapping[str, ContactValue]:
        """The contact's row with its new values and its stage; books what changed of that."""
        moved_on = replace(context, contact=self._book.moved_on_from(context))
        resolution = self._stages.agreed(moved_on.contact, moved_on.shown)
        values: dict[str, ContactValue] = {
            **context.values,
            "stage_hubspot": context.shown.named["hubspot"],
            "stage_salesforce": context.shown.named["salesforce"],
            "agreed_hubspot": resolution.agreed_hubspot,
            "agreed_salesforce": resolution.agreed_salesforce,
            "agreed_number": resolution.number,
            "stage_differs": resolution.differs,
        }
        attempt = context.batch.attempts.get(context.contact_id)
        if resolution.stage != moved_on.contact["stage"]:
            values |= self._book.moved(moved_on, resolution)
        elif attempt is not None and attempt.open:
            values |= self._book.attempt_goes_on(moved_on, attempt, gone=gone)
        return _columns(with_values(moved_on.contact, values))


def sides_of(main: Mapping[CrmName, PersonRecord], companies: Mapping[tuple[str, str], Mapping[str, Any]], campaign: str | None) -> Sides:
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


def _roles(records: Sequence[PersonRecord], main: Mapping[CrmName, PersonRecord]) -> Iterator[dict[str, str]]:
    """The records whose role is another one now."""
    for row in records:
        role = "main" if main.get(row.crm) is row else "duplicate"
        if row.role != role:
            yield {"crm": row.crm, "object": row.object, "id": row.id, "role": role}


def _end(batch: ContactBatch, crm: str, row_id: str | None) -> str | None:
    """The record that stands for one since merges."""
    return None if row_id is None else batch.ends.get((crm, row_id), row_id)


def _columns(contact: StoredContact) -> Mapping[str, ContactValue]:
    return cast(Mapping[str, ContactValue], contact)
