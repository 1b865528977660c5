"""The stages that the CRMs themselves say a contact was in, those from before the connector came among them.

Apart from spells, which are ours, and never renumbered by what is read here. Told by the history of the property that carries the stage,
and by HubSpot's own dates (hs_v2_date_entered_…), which come with every record and know the last entry into each stage alone; what these
dates were before stands in versions. Of deals by OpportunityHistory, and by what pulls saw change. [adopt] history says of whom HubSpot's
histories are read beside those that change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from connector.model import CRM_FACTS, CrmName
from connector.store.bulk import chunks
from connector.store.mirror.past_changes import changes_of, employees_of
from connector.store.tables import from_micros, metadata
from connector.store.tables.rows import PastChange
from connector.workflows.fields import moment_micros

_RECORD = metadata.tables["record"]
_VERSION = metadata.tables["deal_version"]
_HISTORY = metadata.tables["field_history"]

#: A date of HubSpot's and its history may differ so much and mean one entry.
_SAME = timedelta(seconds=2)


class StageEntry(NamedTuple):
    """An entry into a stage, by a CRM's word. value: as the CRM has it; None: the stage was emptied.

    by: as in `PastChange`. told_by: a history of the CRM's, a date of HubSpot's, or a pull that saw it change (`at` is then when).
    """

    crm: CrmName
    object: str
    record_id: str
    value: str | None
    at: datetime
    by: str | None
    told_by: Literal["history", "date", "seen"]


def stage_entries(connection: Connection, contacts: Collection[int], zone: ZoneInfo) -> dict[int, list[StageEntry]]:
    """What the CRMs tell of each contact's stages, the oldest first. zone: of dates without an hour."""
    entries: dict[int, list[StageEntry]] = {number: [] for number in contacts}
    columns = (_RECORD.c.contact_id, _RECORD.c.crm, _RECORD.c.object, _RECORD.c.id, _RECORD.c.properties)
    for ids in chunks(sorted(contacts)):
        records = select(*columns).where(_RECORD.c.contact_id.in_(ids)).order_by(_RECORD.c.crm, _RECORD.c.object, _RECORD.c.id)
        rows = connection.execute(records).all()
        whose = {(row.crm, row.object, row.id): row for row in rows if row.object == CRM_FACTS[row.crm].stage_object}
        changes: dict[tuple[str, str, str], list[PastChange]] = {key: [] for key in whose}
        for change in changes_of(connection, whose):
            changes[change.crm, change.object, change.record_id].append(change)
        for key, row in whose.items():
            entries[row.contact_id] += _of_record(row, changes[key], zone)
    return {number: sorted(found, key=lambda entry: entry.at) for number, found in entries.items()}


def _of_record(row: Any, changes: Sequence[PastChange], zone: ZoneInfo) -> list[StageEntry]:
    """Those of histories; of the dates and of what was seen what no history tells."""
    facts = CRM_FACTS[row.crm]
    ref = (row.crm, row.object, row.id)
    stages = [change for change in changes if change.property == facts.stage_property]
    told = [StageEntry(*ref, change.after, change.at, change.by, "history") for change in stages if change.known_by == "history"]
    dated = [
        StageEntry(*ref, value, at, None, "date")
        for value, at in sorted(_dates(facts.stage_entered, row.properties, changes, zone))
        if not any(entry.value == value and abs(entry.at - at) < _SAME for entry in told)
    ]
    seen = [
        StageEntry(*ref, change.after, change.at, None, "seen")
        for change in stages
        if change.known_by == "seen" and not any(entry.value == change.after and entry.at <= change.at for entry in (*told, *dated))
    ]
    return [*told, *dated, *seen]


def _dates(
    prefix: str | None, properties: Mapping[str, Any], changes: Sequence[PastChange], zone: ZoneInfo
) -> Iterator[tuple[str, datetime]]:
    """Each stage's value with the moments at which it was entered, by the dates of now and of before."""
    if prefix is None:
        return
    values = {(name, value) for name, value in properties.items() if name.startswith(prefix)}
    values |= {
        (change.property, value) for change in changes if change.property.startswith(prefix) for value in (change.before, change.after)
    }
    for name, value in values:
        micros = moment_micros(value or "", zone)
        if micros is not None:
            yield name.removeprefix(prefix), from_micros(micros)


def deal_stage_entries(connection: Connection, crm: CrmName, deals: Collection[str]) -> dict[str, list[StageEntry]]:
    """The stages of deals, the oldest first: by the CRM's history, else by what pulls saw change."""
    object_name = CRM_FACTS[crm].deals
    entries: dict[str, list[StageEntry]] = {deal: [] for deal in deals}
    employees = employees_of(connection)
    for ids in chunks(sorted(deals)):
        about = (_HISTORY.c.crm == crm, _HISTORY.c.object == object_name, _HISTORY.c.record_id.in_(ids))
        for row in connection.execute(select(_HISTORY).where(*about).order_by(_HISTORY.c.at, _HISTORY.c.id)):
            known = entries[row.record_id]
            if not known or known[-1].value != row.after:  # the history repeats the stage where only the amount changed
                by = employees.get((crm, row.who), row.who)
                known.append(StageEntry(crm, object_name, row.record_id, row.after, row.at, by, "history"))
        versions = (_VERSION.c.crm == crm, _VERSION.c.object == object_name, _VERSION.c.id.in_(ids))
        for row in connection.execute(select(_VERSION).where(*versions).order_by(_VERSION.c.id, _VERSION.c.number)):
            stage = row.changed.get("stage")
            if stage is not None and not any(entry.told_by == "history" and entry.value == stage[1] for entry in entries[row.id]):
                at = row.at if row.at is not None and row.at <= row.seen_at else row.seen_at
                entries[row.id].append(StageEntry(crm, object_name, row.id, stage[1], at, None, "seen"))
    return {deal: sorted(found, key=lambda entry: entry.at) for deal, found in entries.items()}
