"""The rows of a change of stage: the spell that ends, the one that begins, attempts and evidence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from connector.config.business_time import TeamCalendars
from connector.config.tables import Config
from connector.model import CrmName
from connector.pipeline.unify.contact_values import ContactBatch, ContactRows, UnifySettings
from connector.pipeline.unify.shown_stages import ShownStages
from connector.store.tables import EPOCH, from_micros
from connector.store.tables.rows import ContactValue, PersonRecord, StoredContact
from connector.workflows import attempts
from connector.workflows.attempts import AttemptState, History, StageChange
from connector.workflows.fields import date_entered, moment_micros
from connector.workflows.stages import Resolution, StageMap
from connector.workflows.stored_state import StoredWrite, attempt_row, basis_of, evidence_row

_LEAD_STATUS = ("h_lead_status", "s_lead_status")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChangeContext:
    """What the stage of one contact is booked with.

    contact: as it was before. values: its columns made anew; owner: of these the owner. shown: what the CRMs say of its stage. What is
    booked goes into rows; the attempts and evidence of the batch go on with it.
    """

    contact: StoredContact
    values: Mapping[str, ContactValue]
    owner: str | None
    shown: ShownStages = field(default_factory=ShownStages)
    batch: ContactBatch
    rows: ContactRows
    now: datetime

    @property
    def contact_id(self) -> int:
        """The contact's number."""
        return self.contact["id"]


class StageBook:
    """Books changes of stage; made once a pass."""

    def __init__(self, config: Config, setting: UnifySettings) -> None:
        self._transitions = config.transitions
        self._setting = setting
        self._stages = StageMap(config)
        self._zone = ZoneInfo(config.timezone)
        self._calendars = TeamCalendars(config)
        self._ignored_after = None if config.rejection is None else config.rejection.ignored_after

    def moved_on_from(self, context: StageChangeContext) -> StoredContact:
        """The contact with a step of our own that somebody moved on from before we saw it: it was taken, and what we wrote was agreed."""
        for crm, write in context.shown.written.items():
            stage = self._stages.name_of(crm, write.value)
            if stage is None or not write.applied or context.shown.named[crm] in (None, stage):
                continue
            context = replace(context, contact=with_values(context.contact, {f"agreed_{crm}": stage}))
            if stage != context.contact["stage"] and not write.cause.startswith("agreement:"):
                since = context.contact["stage_since"] or EPOCH
                booked = self.book(context, stage, max(write.at or since, since), "connector")
                context = replace(context, contact=with_values(context.contact, booked))
        return context.contact

    def moved(self, context: StageChangeContext, resolution: Resolution) -> dict[str, ContactValue]:
        """Books the stage that the CRMs agree on now; the contact's columns that tell it."""
        side = resolution.side
        by: attempts.By = "crm"
        if self._setting.adopting and context.contact["agreed_number"] == 0:
            by = "found"
        elif side is not None and context.shown.shows_own_write(side):
            return self.book(context, resolution.stage, self._written_at(context, context.shown.written[side]), "connector")
        return self.book(context, resolution.stage, self._entered_at(context, side), by)

    def book(self, context: StageChangeContext, stage: str | None, at: datetime, by: attempts.By) -> dict[str, ContactValue]:
        """Notes the rows of a change of stage; returns the contact's columns that tell it."""
        contact, contact_id, batch, rows = context.contact, context.contact_id, context.batch, context.rows
        basis = basis_of({**contact, **context.values}) if contact["spell"] else {}
        change = StageChange(stage=stage, at=at, by=by, basis=basis)
        moved = attempts.move(_history(context), change, self._stages, self._transitions, self._setting.clocks_from)
        if contact["spell"]:
            rows.left.append({"contact_id": contact_id, "number": contact["spell"], "left_at": at})
        spell = {"contact_id": contact_id, "number": moved.spell, "stage": stage, "entered_at": at, "left_at": None, "by": by}
        rows.spells.append(spell)
        rows.attempts += [attempt_row(contact_id, self._with_ignored_at(state, context.owner)) for state in moved.attempts]
        rows.evidence += [evidence_row(contact_id, state) for state in moved.evidence]
        if moved.attempts:
            batch.attempts[contact_id] = moved.attempts[-1]
        by_rule = {state.rule: state for state in (*batch.evidence.get(contact_id, ()), *moved.evidence)}
        batch.evidence[contact_id] = list(by_rule.values())
        number = moved.attempts[-1].number if moved.attempts else contact["attempt"]
        counts_anew: dict[str, ContactValue] = {"recount_at": context.now} if moved.attempts else {}  # from the attempt's beginning
        return {"stage": stage, "stage_since": at, "spell": moved.spell, "attempt": number, **counts_anew}

    def first_stay(self, stage: str, by: attempts.By, before_clocks: bool) -> attempts.Moved:
        """What the first stay of a contact means; all its moments are the one at which the stage was entered.

        before_clocks: that was before attempts count. Whether an attempt ends as ignored, and when, is in `ignored_at`.
        """
        at = self._setting.clocks_from - timedelta(days=1) if before_clocks else self._setting.clocks_from
        nothing = History(stage=None, spell=0, attempt=None)
        change = StageChange(stage=stage, at=at, by=by)
        return attempts.move(nothing, change, self._stages, self._transitions, self._setting.clocks_from)

    def ignored_at(self, state: AttemptState, began_at: datetime, owner: str | None) -> datetime | None:
        """When an attempt that begins then ends as ignored, where nobody touches the contact. owner: by e-mail."""
        return self._with_ignored_at(replace(state, began_at=began_at), owner).ignored_at

    def attempt_goes_on(self, context: StageChangeContext, state: AttemptState, *, gone: bool) -> dict[str, ContactValue]:
        """A record that vanished withdraws the attempt; a found attempt is taken up once somebody touched its lead status.

        The contact's columns that tell of it.
        """
        if gone:
            context.rows.attempts.append(attempt_row(context.contact_id, attempts.end(state, "withdrawn", context.now)))
            return {"recount_at": context.now}
        before: Mapping[str, object] = context.contact
        seen_before = context.contact["judged_at"] is not None and context.now >= self._setting.clocks_from
        if state.found and seen_before and any(before.get(name) != context.values.get(name) for name in _LEAD_STATUS):
            taken_up = self._with_ignored_at(replace(state, found=False), context.owner)
            context.rows.attempts.append(attempt_row(context.contact_id, taken_up))
        return {}

    def _entered_at(self, context: StageChangeContext, side: CrmName | None) -> datetime:
        """When the stage was entered, by the word of that side's CRM; never before the stay that it ends, nor after now."""
        contact, row = context.contact, None if side is None else context.shown.records.get(side)
        moment = None if row is None else self._stated_entry(row, context.batch)
        if moment is None and row is not None:
            moment = row.created_at if contact["agreed_number"] == 0 else row.modified_at
        entered = min(moment or context.now, context.now)
        earliest = contact["stage_since"]
        return entered if earliest is None else max(entered, earliest)

    @staticmethod
    def _written_at(context: StageChangeContext, write: StoredWrite) -> datetime:
        """When we took a step: the ledger says so. A CRM computes its own date later, and shows the one of an earlier stay till then."""
        written = min(write.at or context.now, context.now)
        earliest = context.contact["stage_since"]
        return written if earliest is None else max(written, earliest)

    def _stated_entry(self, row: PersonRecord, batch: ContactBatch) -> datetime | None:
        """When a record entered its stage: HubSpot's own date, or Salesforce's history of the Lead."""
        if row.crm == "hubspot":
            entered = row.properties.get(date_entered(row.properties.get("lifecyclestage") or ""))
            stated = moment_micros(entered or "", self._zone)
            return None if stated is None else from_micros(stated)
        status = row.properties.get("Status")
        changes = [change.at for change in batch.history.get(row.id, ()) if change.property == "Status" and change.after == status]
        return max(changes, default=None)

    def _with_ignored_at(self, state: AttemptState, owner: str | None) -> AttemptState:
        return attempts.with_ignored_at(state, self._ignored_after, self._calendars.of(owner))


def with_values(contact: StoredContact, values: Mapping[str, ContactValue]) -> StoredContact:
    """The contact with some of its columns made anew."""
    return cast(StoredContact, {**contact, **values})


def _history(context: StageChangeContext) -> History:
    contact, contact_id, batch = context.contact, context.contact_id, context.batch
    return History(
        stage=contact["stage"],
        spell=contact["spell"],
        attempt=batch.attempts.get(contact_id),
        evidence=batch.evidence.get(contact_id, ()),
        touches=batch.touches.get(contact_id, ()),
        rejected=contact_id in batch.rejected,
    )
