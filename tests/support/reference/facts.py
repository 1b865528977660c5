"""What the judge is given of each contact: what pulls and unifying made of the CRMs' records, and nothing that judging concluded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connector.store.tables import from_micros

Rows = Callable[[str], Sequence[Any]]
#: What unifying leaves beside the file's fields, which are columns that begin with f_, h_ and s_.
_GIVEN = {"id", "stage", "owner", "assigned_at", "stage_since", "first_seen_at", "ambiguous", "stage_hubspot", "stage_salesforce"}
_MOMENTS = {"assigned_at", "stage_since", "first_seen_at", "f_last_conversion_at"}


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that happened with a contact. who: the owner's folded e-mail; counts: not archived, and not a draft or cancelled."""

    crm: str
    id: str
    kind: str
    at: datetime | None
    who: str | None
    direction: str | None
    channel: str | None
    happened: bool
    automatic: bool
    archived: bool
    ours_done: bool


@dataclass(frozen=True, slots=True)
class Stay:
    """One stay in a stage. by: crm, connector or found."""

    number: int
    stage: str | None
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A CRM's own history of a lead status. crm: whose."""

    crm: str
    at: datetime
    before: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One contact. values: its fields by column; happened: in any order; stays, changes: by time; edited: its records' last edit, by CRM.

    writable: whether a record of it in a CRM may be written: of Salesforce a Lead that was not converted.
    """

    values: Mapping[str, Any]
    happened: Sequence[Happened] = ()
    stays: Sequence[Stay] = ()
    changes: Sequence[StatusChange] = ()
    edited: Mapping[str, datetime] = field(default_factory=dict)
    writable: frozenset[str] = frozenset()


def read_facts(rows: Rows) -> dict[int, Facts]:
    """The facts of every contact that is not gone, by its number. rows: answers a query of the store."""
    happened, stays, changes = _happened(rows), _stays(rows), _changes(rows)
    edited: defaultdict[int, dict[str, datetime]] = defaultdict(dict)
    writable: defaultdict[int, set[str]] = defaultdict(set)
    for row in rows(
        "SELECT contact_id, crm, modified_at, converted_to FROM record WHERE role = 'main' AND NOT archived AND contact_id IS NOT NULL"
    ):
        if row.modified_at is not None:
            edited[row.contact_id][row.crm] = from_micros(row.modified_at)
        if row.converted_to is None:
            writable[row.contact_id].add(row.crm)
    return {
        row.id: Facts(
            values=_values(row._mapping),
            happened=happened[row.id],
            stays=stays[row.id],
            changes=changes[row.id],
            edited=edited[row.id],
            writable=frozenset(writable[row.id]),
        )
        for row in rows("SELECT * FROM contact WHERE NOT gone AND merged_into IS NULL")
    }


def _values(row: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in row.items() if name in _GIVEN or name[:2] in ("f_", "h_", "s_")}
    return {name: from_micros(value) if name in _MOMENTS and value is not None else value for name, value in given.items()}


def _happened(rows: Rows) -> defaultdict[int, list[Happened]]:
    found: defaultdict[int, list[Happened]] = defaultdict(list)
    for row in rows(
        """SELECT DISTINCT l.contact_id, a.crm, a.id, a.object, a.kind, a.at, o.email, a.direction, a.channel, a.happened, a.automatic,
        a.archived, a.done, a.key FROM activity_link l
        JOIN activity a ON a.crm = l.crm AND a.object = l.object AND a.id = l.id
        LEFT JOIN owner o ON o.crm = a.crm AND o.id = a.owner_id WHERE l.contact_id IS NOT NULL"""
    ):
        at = None if row.at is None else from_micros(row.at)
        ours = bool(row.done) and row.key != ""
        told = (bool(row.happened), bool(row.automatic), bool(row.archived), ours)
        found[row.contact_id].append(
            Happened(row.crm, f"{row.object} {row.id}", row.kind, at, row.email, row.direction, row.channel, *told)
        )
    return found


def _stays(rows: Rows) -> defaultdict[int, list[Stay]]:
    found: defaultdict[int, list[Stay]] = defaultdict(list)
    for row in rows("SELECT contact_id, number, stage, entered_at, by FROM spell ORDER BY contact_id, number"):
        found[row.contact_id].append(Stay(row.number, row.stage, from_micros(row.entered_at), row.by))
    return found


def _changes(rows: Rows) -> defaultdict[int, list[StatusChange]]:
    found: defaultdict[int, list[StatusChange]] = defaultdict(list)
    for row in rows(
        """SELECT r.contact_id, h.crm, h.at, h.before FROM field_history h
        JOIN record r ON r.crm = h.crm AND r.object = h.object AND r.id = h.record_id
        WHERE h.property IN ('hs_lead_status', 'Status') AND r.role = 'main' AND r.contact_id IS NOT NULL ORDER BY h.at, h.id"""
    ):
        found[row.contact_id].append(StatusChange(row.crm, from_micros(row.at), row.before))
    return found
