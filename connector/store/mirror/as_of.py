"""What the mirror says of a contact's records at a moment of the past, and since when that is complete.

Of properties with a history of the CRM's own (stage, lead status, owner) the moment of each change is exact. Of the others a pull saw that
they changed: between the last look at which they were as before and the record's modified date nothing is known, and said to be so.
So is what lies behind the last look, less the time by which CRMs show changes late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from connector.model import CRM_FACTS
from connector.store.mirror import cursors, history_due, known_properties
from connector.store.mirror.keys import FullKey, by_crm_and_object
from connector.store.mirror.known_properties import KnownSpan
from connector.store.mirror.past_changes import LATE
from connector.store.tables import from_micros, metadata

_RECORD = metadata.tables["record"]
_VERSION = metadata.tables["record_version"]
_HISTORY = metadata.tables["field_history"]
_PROPERTY = metadata.tables["property"]


@dataclass(frozen=True, slots=True)
class PastPropertyValue:
    """known: False where the value at that moment is not known: before the mirror is complete, or inside of a change seen too late."""

    value: Any
    known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAsOf:
    """A record at a moment. complete_from: by property, since when every change of it came here (None: it does not now)."""

    crm: str
    object: str
    id: str
    properties: Mapping[str, PastPropertyValue]
    complete_from: Mapping[str, datetime | None]

    @property
    def owner(self) -> PastPropertyValue:
        """The owner's id in the CRM."""
        return self._of(CRM_FACTS[self.crm].owner_property)  # type: ignore[index]

    @property
    def stage(self) -> PastPropertyValue:
        """The value of the property that carries the stage; of a Salesforce Contact, which has none, it is not known."""
        return self._of(CRM_FACTS[self.crm].stage_property)  # type: ignore[index]

    def _of(self, name: str) -> PastPropertyValue:
        return self.properties.get(name, PastPropertyValue(None, known=False))


class _Change(NamedTuple):
    """A change of one property: at some moment after `since` (None: nobody knows), and by `until` at the latest."""

    since: datetime | None
    until: datetime
    before: Any


@dataclass(frozen=True, slots=True)
class _Record:
    properties: Mapping[str, Any]
    created_at: datetime | None


def records_as_of(connection: Connection, contact: int, at: datetime, properties: Collection[str] | None = None) -> list[RecordAsOf]:
    """All records of a contact that existed at a moment (aware), those that are archived since among them.

    properties: those asked for, by the CRM's own names; None: all that pulls brought.
    """
    columns = (_RECORD.c.crm, _RECORD.c.object, _RECORD.c.id, _RECORD.c.properties, _RECORD.c.created_at)
    rows = connection.execute(select(*columns).where(_RECORD.c.contact_id == contact).order_by(*columns[:3])).all()
    records = {
        (row.crm, row.object, row.id): _Record(row.properties, row.created_at)
        for row in rows
        if row.created_at is None or row.created_at <= at
    }
    return [_as_of(key, record, past, at, properties) for key, record, past in _with_past(connection, records)]


@dataclass(frozen=True, slots=True)
class _Past:
    """What changed of a record, by property, the latest first. spans: when each property was known of every record; looked_at: up to when
    all changes are here; None: nobody knows.
    """

    changes: Mapping[str, Sequence[_Change]]
    spans: Mapping[str, Sequence[KnownSpan]]
    looked_at: datetime | None

    def known(self, name: str, at: datetime) -> bool:
        """Whether every change of a property up to this moment is here."""
        return self.looked_at is not None and at <= self.looked_at and any(span.holds(at) for span in self.spans.get(name, ()))


def _with_past(connection: Connection, records: Mapping[FullKey, _Record]) -> Iterator[tuple[FullKey, _Record, _Past]]:
    for crm, object_name, ids in by_crm_and_object(records):
        exact = _exact(connection, crm, object_name, ids, records)
        seen = _seen(connection, crm, object_name, ids)
        names = sorted({name for row_id in ids for name in records[crm, object_name, row_id].properties})
        spans = known_properties.spans(connection, crm, object_name, names)
        last = cursors.whole_at(connection, crm, [object_name]).get(object_name)
        looked_at = None if last is None else from_micros(last) - LATE
        for row_id in ids:
            key = (crm, object_name, row_id)
            yield key, records[key], _Past({**seen[row_id], **exact[row_id]}, spans, looked_at)


def _as_of(key: FullKey, record: _Record, past: _Past, at: datetime, wanted: Collection[str] | None) -> RecordAsOf:
    names = [name for name in record.properties if wanted is None or name in wanted]
    found = {}
    for name in names:
        value, known = _back(record.properties[name], past.changes.get(name, ()), at)
        found[name] = PastPropertyValue(value, known=known and past.known(name, at))
    since = {name: next((span.since for span in past.spans.get(name, ()) if span.until is None), None) for name in names}
    return RecordAsOf(crm=key[0], object=key[1], id=key[2], properties=found, complete_from=since)


def _back(value: Any, changes: Sequence[_Change], at: datetime) -> tuple[Any, bool]:
    """The value at a moment, going back from the present one; whether it is known."""
    for change in changes:
        if at >= change.until:
            return value, True
        if change.since is None or at >= change.since:
            return value, False
        value = change.before
    return value, True


def _exact(
    connection: Connection, crm: str, object_name: str, ids: Sequence[str], records: Mapping[FullKey, _Record]
) -> dict[str, dict[str, list[_Change]]]:
    """The CRM's own history, of properties whose latest entry is the present value; of a record that is to be read again nothing."""
    changes: defaultdict[str, defaultdict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    stale = {row_id for _, row_id in history_due.is_due(connection, crm, [(object_name, row_id) for row_id in ids])}
    about = (_HISTORY.c.crm == crm, _HISTORY.c.object == object_name, _HISTORY.c.record_id.in_(ids))
    for row in connection.execute(select(_HISTORY).where(*about).order_by(_HISTORY.c.at.desc(), _HISTORY.c.id.desc())):
        if row.record_id not in stale:
            changes[row.record_id][row.property].append(row)
    return {
        row_id: {
            name: [_Change(row.at, row.at, row.before) for row in rows]
            for name, rows in changes[row_id].items()
            if (rows[0].after or None) == (records[crm, object_name, row_id].properties.get(name) or None)
        }
        for row_id in ids
    }


def _seen(connection: Connection, crm: str, object_name: str, ids: Sequence[str]) -> dict[str, dict[str, list[_Change]]]:
    """What pulls saw change, with the span in which it did."""
    formulas = set(
        connection.scalars(
            select(_PROPERTY.c.name).where(_PROPERTY.c.crm == crm, _PROPERTY.c.object == object_name, _PROPERTY.c.calculated)
        )
    )
    changes: dict[str, dict[str, list[_Change]]] = {row_id: {} for row_id in ids}
    about = (_VERSION.c.crm == crm, _VERSION.c.object == object_name, _VERSION.c.id.in_(ids))
    for row in connection.execute(select(_VERSION).where(*about).order_by(_VERSION.c.id, _VERSION.c.number.desc())):
        for name, (before, _) in row.changed.items():
            changes[row.id].setdefault(name, []).append(_Change(*_span(row, calculated=name in formulas), before))
    return changes


def _span(row: Any, *, calculated: bool) -> tuple[datetime | None, datetime]:
    """Between which moments a change lies. No modified date tells of a formula's; one before the last look is of a read that came late."""
    since = None if row.unchanged_at is None else row.unchanged_at - LATE
    if calculated or row.at is None:
        return since, row.seen_at
    return (since if since is not None and row.at >= since else None), min(row.at, row.seen_at)
