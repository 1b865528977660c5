"""Contacts that were never made before and have one live record a CRM at most: most of a first pass. Pure.

Their values are made column by column, as the database stores them (moments as microseconds since 1970), by what is found out once a pass.
The rules are those of `ContactMaker`, which makes all other contacts; a test holds one against the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from connector.config.tables import Config
from connector.model import CRM_FACTS, CRMS, CrmName, fold, folded_twin
from connector.pipeline.unify.contact_values import UnifySettings
from connector.pipeline.unify.identity import A_SHARED_MAILBOX, is_shared_mailbox
from connector.pipeline.unify.owner_history import ASSIGNED, first_stay
from connector.pipeline.unify.shown_stages import StageReader
from connector.pipeline.unify.stage_history import StageBook
from connector.store.fields import FieldColumn
from connector.store.tables import from_micros, to_micros
from connector.workflows.attempts import AttemptState, By
from connector.workflows.compiled_fields import CompiledFields, ManySides
from connector.workflows.fields import Value, date_entered, moment_micros

_NOTHING: Mapping[str, Any] = {}
#: What the stages of so many contacts have in common is found out once.
_REMEMBERED = 1_000


class PlainRecord(NamedTuple):
    """A live record as it is stored. properties: JSON; created_at: microseconds since 1970."""

    contact_id: int
    crm: CrmName
    object: str
    id: str
    role: str | None
    owner_id: str | None
    company_id: str | None
    created_at: int | None
    email: str | None
    properties: str


class OwnerName(NamedTuple):
    """Who an owner's id is: a person's e-mail, or a queue's folded name; neither: nobody. email: also of one who owns nothing any more."""

    person: str | None
    queue: str | None
    email: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainBatch:
    """What is known of the contacts of a slice beside their records. history: what Salesforce tells of former values, by record."""

    owners: Mapping[tuple[str, str], OwnerName]
    companies: Mapping[tuple[str, str], Mapping[str, Any]]
    history: Mapping[str, Sequence[tuple[str, int, str | None]]]  # the property, when, what it was then
    emails: Mapping[str, Sequence[str]]  # further addresses of HubSpot's records
    campaigns: Mapping[int, str]


_Row = tuple[Any, ...]
#: A contact's records, each with its properties.
_Records = Mapping[CrmName, tuple[PlainRecord, Mapping[str, Any]]]


@dataclass(slots=True)
class PlainRows:
    """The rows of a slice. contacts: `PlainContacts.columns` and the id behind them; the others: `SPELL`, `ATTEMPT`, `EVIDENCE`.

    stays: with owners in HubSpot, as `STAY`; of Salesforce there may be a history that tells of others.
    """

    contacts: list[_Row] = field(default_factory=list)
    spells: list[_Row] = field(default_factory=list)
    attempts: list[_Row] = field(default_factory=list)
    evidence: list[_Row] = field(default_factory=list)
    stays: list[_Row] = field(default_factory=list)


SPELL = ("contact_id", "number", "stage", "entered_at", "left_at", "by")
ATTEMPT = ("contact_id", "number", "spell", "began_at", "ended_at", "outcome", "skipped", "late", "found", "ignored_at")
EVIDENCE = ("contact_id", "rule", "spell", "taken_at", "barred")
_OWN = (
    "owner", "owner_queue", "assigned_at", "ambiguous", "in_hubspot", "in_salesforce", "stage_hubspot", "stage_salesforce",
    "agreed_hubspot", "agreed_salesforce", "agreed_number", "stage_differs", "stage", "stage_since", "spell", "attempt",
)  # fmt: skip


class PlainContacts:
    """Makes such contacts; made once a pass."""

    def __init__(self, config: Config, columns: Sequence[FieldColumn], setting: UnifySettings) -> None:
        unread = setting.unread | {folded_twin(name) for name in setting.unread}
        self._fields = CompiledFields(config, columns, unread)
        first: CrmName = config.field("owner").read or "salesforce"
        self._owners_of = (first, *(crm for crm in CRMS if crm != first))
        self._zone = ZoneInfo(config.timezone)
        self._by: By = "found" if setting.adopting else "crm"
        self._clocks_from = to_micros(setting.clocks_from)
        self._book = StageBook(config, setting)
        self._agreement = lru_cache(_REMEMBERED)(StageReader(config, setting).first_agreement)
        self._first_stay = lru_cache(_REMEMBERED)(self._book.first_stay)
        names = {column.name for column in columns}
        owned = [(crm, name) for crm in CRMS if (name := f"{crm[0]}_owner") in names and name not in unread]
        self._owner_sides = [crm for crm, _ in owned]
        self.columns = (*self._fields.columns, *(each for _, name in owned for each in (name, folded_twin(name))), *_OWN)

    def make(self, records: Mapping[int, Sequence[PlainRecord]], batch: PlainBatch, now: int) -> PlainRows:
        """The rows of these contacts. records: of each contact; now: microseconds since 1970."""
        rows, sides = PlainRows(), ManySides()
        own: list[tuple[Any, ...]] = []
        for contact_id, records_of_one in records.items():
            by_crm = {row.crm: (row, orjson.loads(row.properties)) for row in records_of_one}
            _add_sides(sides, by_crm, batch, batch.campaigns.get(contact_id))
            owned = self._owned(by_crm, batch, now)
            staged = self._staged(contact_id, by_crm, batch, rows, owned[0], now)
            persons = self._sides_owners(by_crm, batch) if self._owner_sides else ()
            at_hand = ("hubspot" in by_crm, "salesforce" in by_crm)
            if "hubspot" in by_crm:
                self._owned_since(contact_id, by_crm["hubspot"], batch, rows, now)
            own.append((*persons, *owned, _ambiguous(records_of_one, batch), *at_hand, *staged, contact_id))
        columns = self._fields.read(sides)
        fields: Iterable[tuple[Value, ...]] = zip(*columns, strict=True) if columns else [()] * sides.count
        rows.contacts = [(*values, *others) for values, others in zip(fields, own, strict=True)]
        return rows

    def _owned_since(
        self, contact_id: int, record: tuple[PlainRecord, Mapping[str, Any]], batch: PlainBatch, rows: PlainRows, now: int
    ) -> None:
        """Adds the stay with the present owner in HubSpot."""
        row, properties = record
        if row.owner_id is None:
            return
        since, stated = first_stay(properties.get(ASSIGNED), self._zone, now)
        name = batch.owners.get(("hubspot", row.owner_id))
        rows.stays.append((contact_id, "hubspot", 1, row.owner_id, None if name is None else name.email, since, stated, None, None, None))

    def _sides_owners(self, by_crm: _Records, batch: PlainBatch) -> list[str | None]:
        """The owner in each CRM that conditions name, with the folded twin."""
        values: list[str | None] = []
        for crm in self._owner_sides:
            name = batch.owners.get((crm, by_crm[crm][0].owner_id or "")) if crm in by_crm else None
            person = None if name is None else name.person
            values += (person, None if person is None else fold(person))
        return values

    def _owned(self, by_crm: _Records, batch: PlainBatch, now: int) -> tuple[str | None, str | None, int | None]:
        """The owner: of both CRMs the first that names a person, else a queue; and since when."""
        queue = None
        for crm in self._owners_of:
            if crm not in by_crm:
                continue
            row, properties = by_crm[crm]
            name = batch.owners.get((crm, row.owner_id or ""))
            if name is None:
                continue
            if name.person is not None:
                return name.person, None, self._assigned_at(row, properties, batch, now)
            queue = name.queue if queue is None else queue
        return None, queue, None

    def _assigned_at(self, row: PlainRecord, properties: Mapping[str, Any], batch: PlainBatch, now: int) -> int:
        stated: int | None
        if row.crm == "hubspot":
            stated = moment_micros(properties.get(ASSIGNED) or "", self._zone)
        else:
            owner = CRM_FACTS["salesforce"].owner_property
            stated = max((at for name, at, _ in batch.history.get(row.id, ()) if name == owner), default=None)
        if stated is not None:
            return stated
        return now if row.created_at is None else row.created_at

    def _staged(
        self,
        contact_id: int,
        by_crm: _Records,
        batch: PlainBatch,
        rows: PlainRows,
        owner: str | None,
        now: int,
    ) -> tuple[Value, ...]:
        """The columns from stage_hubspot on; the rows of the first spell and attempt."""
        raw = {crm: _stage_value(crm, by_crm[crm]) if crm in by_crm else None for crm in CRMS}
        named_hubspot, named_salesforce, resolution = self._agreement(raw["hubspot"], raw["salesforce"], frozenset(by_crm))
        shown = (
            named_hubspot, named_salesforce, resolution.agreed_hubspot, resolution.agreed_salesforce, resolution.number, resolution.differs,
        )  # fmt: skip
        if resolution.stage is None or resolution.side is None:
            return (*shown, None, None, 0, None)
        at = self._entered_at(by_crm[resolution.side], batch, now)
        stay = self._first_stay(resolution.stage, self._by, at < self._clocks_from)
        rows.spells.append((contact_id, stay.spell, resolution.stage, at, None, self._by))
        rows.evidence += [(contact_id, taken.rule, taken.spell, at, False) for taken in stay.evidence]
        rows.attempts += [self._attempt(contact_id, state, at, owner) for state in stay.attempts]
        number = stay.attempts[-1].number if stay.attempts else None
        return (*shown, resolution.stage, at, stay.spell, number)

    def _attempt(self, contact_id: int, state: AttemptState, at: int, owner: str | None) -> _Row:
        ended_at, ignored_at = (None if state.open else at), None
        if state.open and not state.found:
            ignored = self._book.ignored_at(state, from_micros(at), owner)
            ignored_at = None if ignored is None else to_micros(ignored)
        return (contact_id, state.number, state.spell, at, ended_at, state.outcome, state.skipped, state.late, state.found, ignored_at)

    def _entered_at(self, told_by: tuple[PlainRecord, Mapping[str, Any]], batch: PlainBatch, now: int) -> int:
        """When the stage was entered, by the word of the side that tells it; not after now."""
        row, properties = told_by
        moment: int | None
        if row.crm == "hubspot":
            moment = moment_micros(properties.get(date_entered(properties.get("lifecyclestage") or "")) or "", self._zone)
        else:
            name, value = CRM_FACTS["salesforce"].stage_property, properties.get("Status")
            past = batch.history.get(row.id, ())
            moment = max((at for changed, at, after in past if changed == name and after == value), default=None)
        if moment is None:
            moment = row.created_at
        return now if moment is None else min(moment, now)


def are_plain(records: Sequence[tuple[Any, ...]]) -> bool:
    """Whether a contact with these rows of live records (CRM second) has one a CRM at most."""
    return len(records) == 1 or (len(records) == 2 and records[0][1] != records[1][1])


def _add_sides(sides: ManySides, by_crm: _Records, batch: PlainBatch, campaign: str | None) -> None:
    place = sides.count
    sides.count += 1
    row, properties = by_crm.get("hubspot", (None, _NOTHING))
    sides.hubspot.append(properties)
    sides.hubspot_company.append(_company(row, batch))
    sides.campaigns.append(campaign)
    if "salesforce" in by_crm:
        row, properties = by_crm["salesforce"]
        if row.object == "Lead":
            sides.leads.append(properties)
            sides.lead_places.append(place)
        else:
            sides.contacts.append(properties)
            sides.accounts.append(_company(row, batch))
            sides.contact_places.append(place)


def _company(row: PlainRecord | None, batch: PlainBatch) -> Mapping[str, Any]:
    return _NOTHING if row is None or row.company_id is None else batch.companies.get((row.crm, row.company_id), _NOTHING)


def _ambiguous(records: Sequence[PlainRecord], batch: PlainBatch) -> str | None:
    """Of one record a CRM nothing but a shared mailbox can make a contact ambiguous."""
    for row in records:
        further = batch.emails.get(row.id, ()) if row.crm == "hubspot" else ()
        if any(is_shared_mailbox(email) for email in (row.email, *further) if email is not None):
            return A_SHARED_MAILBOX
    return None


def _stage_value(crm: CrmName, record: tuple[PlainRecord, Mapping[str, Any]]) -> Any:
    """What a record shows as its stage; a Salesforce Contact that came of no Lead shows none."""
    row, properties = record
    facts = CRM_FACTS[crm]
    return properties.get(facts.stage_property) if row.object == facts.stage_object else None
