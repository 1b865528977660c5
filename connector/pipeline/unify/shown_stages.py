"""What the CRMs say of a contact's stage, and which stage both sides are agreed on then. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from connector.config.tables import Config
from connector.model import CRM_FACTS, CRMS, CrmName
from connector.pipeline.unify.contact_values import ContactBatch, UnifySettings
from connector.store.tables.rows import PersonRecord, StoredContact
from connector.workflows.adopt import agreed_stage
from connector.workflows.stages import Resolution, StageClaims, StageMap
from connector.workflows.stored_state import StoredWrite


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownStages:
    """What the CRMs say of one contact's stage.

    records: those that tell it. raw: the CRM's own value; named: by the file's names (None: nothing). written: what the connector wrote
    last, where it was for a cause that still stands: seen again, it is nobody else's change. at_hand: CRMs that have a record of it.
    """

    records: Mapping[CrmName, PersonRecord] = field(default_factory=dict)
    raw: Mapping[CrmName, str | None] = field(default_factory=dict)
    named: Mapping[CrmName, str | None] = field(default_factory=dict)
    written: Mapping[CrmName, StoredWrite] = field(default_factory=dict)
    at_hand: frozenset[CrmName] = frozenset()

    def shows_own_write(self, crm: CrmName) -> bool:
        """Whether a CRM shows what the connector wrote there itself."""
        return crm in self.written and self.written[crm].value == self.raw[crm]


class FirstAgreement(NamedTuple):
    """What both CRMs show, by the file's names, and what they are taken to agree on."""

    hubspot: str | None
    salesforce: str | None
    resolution: Resolution


#: What is known of the stage of a contact that was never made.
_NEVER_MADE = cast(
    StoredContact,
    {"agreed_hubspot": None, "agreed_salesforce": None, "agreed_number": 0, "stage": None, "stage_differs": False},
)


class StageReader:
    """Reads and resolves stages; made once a pass."""

    def __init__(self, config: Config, setting: UnifySettings) -> None:
        self._config = config
        self._setting = setting
        self.stages = StageMap(config)

    def read(
        self, contact: StoredContact, live: Sequence[PersonRecord], main: Mapping[CrmName, PersonRecord], batch: ContactBatch
    ) -> ShownStages:
        """What the CRMs say. live: the contact's records; main: of them those that stand for it."""
        records: dict[CrmName, PersonRecord] = {}
        raw: dict[CrmName, str | None] = {}
        written: dict[CrmName, StoredWrite] = {}
        for crm in CRMS:
            row = stage_record(crm, live, main)
            if row is not None:
                records[crm] = row
            raw[crm] = None if row is None else row.properties.get(CRM_FACTS[row.crm].stage_property)
            write = batch.written.get((contact["id"], crm))
            if write is not None and _stands(write, contact):
                written[crm] = write
        named = {crm: self.stages.name_of(crm, value) for crm, value in raw.items()}
        return ShownStages(records=records, raw=raw, named=named, written=written, at_hand=frozenset(main))

    def agreed(self, contact: StoredContact, shown: ShownStages) -> Resolution:
        """The stage that a contact is in, by the words of both sides."""
        claims = StageClaims(
            hubspot=shown.named["hubspot"],
            salesforce=shown.named["salesforce"],
            agreed_hubspot=contact["agreed_hubspot"],
            agreed_salesforce=contact["agreed_salesforce"],
            number=contact["agreed_number"],
            stage=contact["stage"],
            differs=contact["stage_differs"],
            by_default=frozenset(crm for crm in CRMS if self._by_default(crm, shown)),
            linked=frozenset(crm for crm, row in shown.records.items() if _is_new_to(contact, row)),
            ours=frozenset(crm for crm in shown.written if shown.shows_own_write(crm)),
            at_hand=shown.at_hand,
        )
        return agreed_stage(claims, self.stages, self._config.adopt, adopting=self._setting.adopting)

    def first_agreement(self, hubspot: str | None, salesforce: str | None, at_hand: frozenset[CrmName]) -> FirstAgreement:
        """What a contact begins with that was never made before, by the CRMs' own values. at_hand: the CRMs that have a record of it."""
        raw: dict[CrmName, str | None] = {"hubspot": hubspot, "salesforce": salesforce}
        named = {crm: self.stages.name_of(crm, value) for crm, value in raw.items()}
        resolution = self.agreed(_NEVER_MADE, ShownStages(raw=raw, named=named, at_hand=at_hand))
        return FirstAgreement(named["hubspot"], named["salesforce"], resolution)

    def _by_default(self, crm: CrmName, shown: ShownStages) -> bool:
        """Whether a CRM shows the value that it puts on every new record."""
        raw = shown.raw[crm]
        return raw is not None and raw == self._setting.defaults.get(crm) and self.stages.at_least(shown.named[crm], "mql")


def stage_record(crm: CrmName, live: Sequence[PersonRecord], main: Mapping[CrmName, PersonRecord]) -> PersonRecord | None:
    """The record that tells (and is told) the stage in a CRM: the contact's own; for a Salesforce Contact, the Lead it came from."""
    own = main.get(crm)
    if own is None or own.object != "Contact":
        return own
    return next((row for row in live if row.object == "Lead" and row.converted_to == own.id), None)


def _stands(write: StoredWrite, contact: StoredContact) -> bool:
    """Whether the cause of a write of ours is what the contact is in now."""
    causes = (f"spell:{contact['spell']}", f"attempt:{contact['attempt']}", f"agreement:{contact['agreed_number']}")
    return write.cause in causes


def _is_new_to(contact: StoredContact, row: PersonRecord) -> bool:
    """Whether a record did not tell the contact's stage before: it was linked, or chosen among several, since. `role` is the old one."""
    had_record = contact["in_hubspot"] if row.crm == "hubspot" else contact["in_salesforce"]
    return not had_record or row.role is None or (row.role != "main" and row.converted_to is None)
