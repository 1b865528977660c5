"""What CRMs say of a contact's stage, what is agreed, and the rows that a change of stage makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.config.tables import Config
from connector.model import CRM_FACTS, CRMS, CrmName
from connector.pipeline.unify.contact_facts import stage_record
from connector.pipeline.unify.contact_values import ContactBatch, ContactRows, UnifySettings
from connector.store import tables as t
from connector.store.tables import from_micros
from connector.workflows import attempts
from connector.workflows.attempts import AttemptState, History, StageChange
from connector.workflows.fields import date_entered, moment_micros
from connector.workflows.ignored import Patience
from connector.workflows.stages import Resolution, StageClaims, StageMap, resolve
from connector.workflows.stored_state import StoredWrite, attempt_row, basis_of, evidence_row


class StageBook:
    """Resolves and books stages; made once a pass."""

    def __init__(self, config: Config, setting: UnifySettings) -> None:
        self._config = config
        self._setting = setting
        self._stages = StageMap(config)
        self._zone = ZoneInfo(config.timezone)
        self._patience = Patience(config)

    def shown(self, live: Sequence[Any], main: Mapping[CrmName, Any]) -> dict[CrmName, str | None]:
        """What each CRM says, by the file's names."""
        return {crm: self._stages.name_of(crm, self._raw_stage(crm, live, main)) for crm in CRMS}

    def resolved(
        self,
        before: Mapping[str, Any],
        live: Sequence[Any],
        main: Mapping[CrmName, Any],
        shown: Mapping[CrmName, str | None],
        ours: Mapping[CrmName, StoredWrite],
    ) -> Resolution:
        by_default: set[CrmName] = set()
        linked: set[CrmName] = set()
        for crm in CRMS:
            raw = self._raw_stage(crm, live, main)
            if raw is not None and raw == self._setting.defaults.get(crm) and self._stages.at_least(shown[crm], "mql"):
                by_default.add(crm)
            if (row := stage_record(crm, live, main)) is not None and _is_new_to(before, row):
                linked.add(crm)
        said = StageClaims(
            hubspot=shown["hubspot"],
            salesforce=shown["salesforce"],
            agreed_hubspot=before["agreed_hubspot"],
            agreed_salesforce=before["agreed_salesforce"],
            number=before["agreed_number"],
            stage=before["stage"],
            differs=before["stage_differs"],
            by_default=frozenset(by_default),
            linked=frozenset(linked),
            ours=frozenset(crm for crm, one in ours.items() if one.value == self._raw_stage(crm, live, main)),
            at_hand=frozenset(main),
        )
        return resolve(said, self._stages, adopting=self._setting.adopting, adopt=self._config.adopt.stage)

    def ours(self, before: Mapping[str, Any], crm: CrmName, loaded: ContactBatch) -> StoredWrite | None:
        """What we wrote to a CRM last, where it was for a cause that still stands: seen again, it is nobody else's change."""
        one = loaded.written.get((before["id"], crm))
        standing = (f"spell:{before['spell']}", f"attempt:{before['attempt']}", f"agreement:{before['agreed_number']}")
        return one if one is not None and one.cause in standing else None

    def moved_on_from(
        self,
        before: Mapping[str, Any],
        changes: Mapping[str, Any],
        shown: Mapping[CrmName, str | None],
        ours: Mapping[CrmName, StoredWrite],
        loaded: ContactBatch,
        out: ContactRows,
    ) -> Mapping[str, Any]:
        """The contact with a step of our own that somebody moved on from before we saw it: it was taken, and what we wrote was agreed."""
        for crm, one in ours.items():
            stage = self._stages.name_of(crm, one.value)
            if stage is None or not one.applied or shown[crm] in (None, stage):
                continue
            before = {**before, f"agreed_{crm}": stage}
            if stage != before["stage"] and not one.cause.startswith("agreement:"):
                at = max(one.at or before["stage_since"], before["stage_since"] or t.EPOCH)
                before |= self.book(before["id"], before, changes, stage, at, "connector", loaded, out)
        return before

    def moved(
        self,
        before: Mapping[str, Any],
        changes: Mapping[str, Any],
        resolution: Resolution,
        main: Mapping[CrmName, Any],
        ours: Mapping[CrmName, StoredWrite],
        loaded: ContactBatch,
        now: datetime,
        out: ContactRows,
    ) -> dict[str, Any]:
        contact_id = before["id"]
        at = self._entered_at(before, resolution, loaded.records[contact_id], main, loaded, now)
        by: attempts.By = "crm"
        if self._setting.adopting and before["agreed_number"] == 0:
            by = "found"
        elif resolution.side is not None and (one := ours.get(resolution.side)) is not None:
            by = "connector" if self._raw_stage(resolution.side, loaded.records[contact_id], main) == one.value else "crm"
        return self.book(contact_id, before, changes, resolution.stage, at, by, loaded, out)

    def book(
        self,
        contact_id: int,
        before: Mapping[str, Any],
        changes: Mapping[str, Any],
        stage: str | None,
        at: datetime,
        by: attempts.By,
        loaded: ContactBatch,
        out: ContactRows,
    ) -> dict[str, Any]:
        """The rows of a change of stage, and what stands beside the contact then."""
        moved = attempts.move(
            History(
                stage=before["stage"],
                spell=before["spell"],
                attempt=loaded.attempts.get(contact_id),
                evidence=loaded.evidence.get(contact_id, ()),
                touches=loaded.touches.get(contact_id, ()),
                rejected=contact_id in loaded.rejected,
            ),
            StageChange(stage=stage, at=at, by=by, basis=basis_of({**before, **changes}) if before["spell"] else {}),
            self._stages,
            self._config.transitions,
            self._setting.clocks_from,
        )
        if before["spell"]:
            out.left.append({"contact_id": contact_id, "number": before["spell"], "left_at": at})
        stay = {"contact_id": contact_id, "number": moved.spell, "stage": stage, "entered_at": at, "left_at": None, "by": by}
        out.spells.append(stay)
        for state in moved.attempts:
            out.attempts.append(attempt_row(contact_id, self._patience.with_ignored_at(state, changes["owner"])))
        out.evidence += [evidence_row(contact_id, state) for state in moved.evidence]
        if moved.attempts:
            loaded.attempts[contact_id] = moved.attempts[-1]
        known = {one.rule: one for one in loaded.evidence.get(contact_id, ())}
        loaded.evidence[contact_id] = list((known | {one.rule: one for one in moved.evidence}).values())
        number = moved.attempts[-1].number if moved.attempts else before["attempt"]
        return {"stage": stage, "stage_since": at, "spell": moved.spell, "attempt": number}

    def _raw_stage(self, crm: CrmName | None, records: Sequence[Any], main: Mapping[CrmName, Any]) -> str | None:
        row = None if crm is None else stage_record(crm, [one for one in records if not one.archived], main)
        if row is None:
            return None
        raw: str | None = row.properties.get(CRM_FACTS[row.crm].stage_property)
        return raw

    def _entered_at(
        self,
        before: Mapping[str, Any],
        resolution: Resolution,
        records: Sequence[Any],
        main: Mapping[CrmName, Any],
        loaded: ContactBatch,
        now: datetime,
    ) -> datetime:
        """When the stage was entered, by the CRM's word; never before the stay that it ends."""
        row = None if resolution.side is None else stage_record(resolution.side, [one for one in records if not one.archived], main)
        moment: datetime | None = None
        if row is not None and row.crm == "hubspot":
            stage = row.properties.get(CRM_FACTS["hubspot"].stage_property) or ""
            stated = moment_micros(row.properties.get(date_entered(stage)) or "", self._zone)
            moment = None if stated is None else from_micros(stated)
        elif row is not None:
            raw = row.properties.get(status := CRM_FACTS["salesforce"].stage_property)
            told = [c.at for c in loaded.history.get(row.id, ()) if c.property == status and c.after == raw]
            moment = max(told, default=None)
        if moment is None and row is not None:
            moment = row.created_at if before["agreed_number"] == 0 else row.modified_at
        earliest: datetime | None = before["stage_since"]
        entered: datetime = min(moment or now, now)
        return entered if earliest is None else max(entered, earliest)

    def attempt_goes_on(
        self, contact_id: int, before: Mapping[str, Any], changes: Mapping[str, Any], state: AttemptState, now: datetime, out: ContactRows
    ) -> None:
        """A record that vanished withdraws the attempt; a found attempt is taken up once somebody touched its lead status."""
        if changes["gone"]:
            out.attempts.append(attempt_row(contact_id, attempts.end(state, "withdrawn", now)))
            return
        status = ("h_lead_status", "s_lead_status")
        seen_before = before["judged_at"] is not None and now >= self._setting.clocks_from
        if state.found and seen_before and any(before.get(name) != changes.get(name) for name in status):
            taken_up = self._patience.with_ignored_at(replace(state, found=False), changes["owner"])
            out.attempts.append(attempt_row(contact_id, taken_up))


def _is_new_to(before: Mapping[str, Any], row: Any) -> bool:
    """Whether a record did not tell the contact's stage before: it was linked, or chosen among several, since. `role` is the old one."""
    return not before[f"in_{row.crm}"] or row.role is None or (row.role != "main" and row.converted_to is None)
