"""A case: all that is on record of one contact for which something fired, and what it is found to mean.

`load` reads the cases of a slice in sets; `connector.pipeline.evaluate.decide` decides; `store` writes what was concluded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, and_, func, or_, select
from sqlalchemy import case as sql_case

from connector.model import CrmName, Proposal
from connector.store import tables as t
from connector.store.bulk import upsert
from connector.workflows import touches
from connector.workflows.attempts import AttemptState, EvidenceState
from connector.workflows.rejection import RejectionState
from connector.workflows.sla import TICKING, ClockState
from connector.workflows.stored_state import attempt_row, attempts_of, basis_of, evidence_of

record = t.metadata.tables["record"]
spell = t.metadata.tables["spell"]
attempt = t.metadata.tables["attempt"]
evidence = t.metadata.tables["evidence"]
rejection = t.metadata.tables["rejection"]
clock = t.metadata.tables["clock"]
ledger = t.metadata.tables["ledger"]
history = t.metadata.tables["field_history"]
activity = t.metadata.tables["activity"]
link = t.metadata.tables["activity_link"]
owner = t.metadata.tables["owner"]


@dataclass(slots=True, kw_only=True)
class ContactState:
    """One contact. flags: what the statement answered; bundles: (rule, cause) → whether it is held, of bundles in the ledger.

    attempt: the present or last one; attempts: all, by number. clocks: those of the present attempt, and those that still tick.
    was_rejecting: what rejection.when said when the contact was judged before, None where it never was.
    """

    id: int
    contact: Mapping[str, Any]
    flags: Mapping[str, Any]
    records: list[Any] = field(default_factory=list)
    spell_by: str | None = None
    attempt: AttemptState | None = None
    attempts: dict[int, AttemptState] = field(default_factory=dict)
    evidence: list[EvidenceState] = field(default_factory=list)
    rejection: RejectionState | None = None
    was_rejecting: bool | None = None
    clocks: list[ClockState] = field(default_factory=list)
    touches: Sequence[touches.Touched] = ()
    bundles: dict[str, bool] = field(default_factory=dict)
    history: list[Any] = field(default_factory=list)
    recent: list[Any] = field(default_factory=list)

    def main(self, crm: CrmName) -> Any:
        """The contact's record in a CRM, None where there is none."""
        return next((row for row in self.records if row.crm == crm and row.role == "main"), None)

    @property
    def basis(self) -> Mapping[str, Any]:
        """The contact's values by the names of the file."""
        return basis_of(self.contact)


@dataclass(slots=True, kw_only=True)
class Decision:
    """What was found of one case: rows to store, actions wanted, and when to look again."""

    case: ContactState
    attempts: list[AttemptState] = field(default_factory=list)
    rejection: RejectionState | None = None
    clocks: list[ClockState] = field(default_factory=list)
    evidence: list[EvidenceState] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    moments: list[datetime] = field(default_factory=list)
    agreed: str | None = None  # a stage that the CRMs show already: agreed without a write


def load(connection: Connection, table: Table, fired: Mapping[int, Mapping[str, Any]]) -> list[ContactState]:
    """The cases of the contacts that fired, in the order of their ids. `fired`: contact → what the statement answered."""
    ids = sorted(fired)
    if not ids:
        return []
    contacts = {row["id"]: dict(row) for row in connection.execute(select(table).where(table.c.id.in_(ids))).mappings()}
    cases = {number: ContactState(id=number, contact=contacts[number], flags=fired[number]) for number in ids}
    for row in connection.execute(
        select(record).where(record.c.contact_id.in_(ids), ~record.c.archived).order_by(record.c.crm, record.c.object, record.c.id)
    ):
        cases[row.contact_id].records.append(row)
    for number, states in attempts_of(connection, ids).items():
        cases[number].attempts = states
        cases[number].attempt = states[max(states)]
    for number, found in evidence_of(connection, ids).items():
        cases[number].evidence = found
    for number, made in touches.by_contact(connection, ids).items():
        cases[number].touches = made
    _load_states(connection, table, cases)
    _load_ledger(connection, cases)
    _load_past(connection, cases)
    return list(cases.values())


def _load_states(connection: Connection, table: Table, cases: Mapping[int, ContactState]) -> None:
    ids = list(cases)
    present = and_(spell.c.contact_id == table.c.id, spell.c.number == table.c.spell)
    for row in connection.execute(select(table.c.id, spell.c.by).join(spell, present).where(table.c.id.in_(ids))):
        cases[row.id].spell_by = row.by
    told = or_(table.c.attempt == clock.c.attempt, clock.c.state.in_(TICKING))
    present_clocks = select(clock).join(table, and_(table.c.id == clock.c.contact_id, told)).where(clock.c.contact_id.in_(ids))
    for row in connection.execute(present_clocks.order_by(clock.c.attempt, clock.c.number)):
        cases[row.contact_id].clocks.append(_state(ClockState, row))
    same = and_(table.c.id == rejection.c.contact_id, table.c.attempt == rejection.c.attempt)
    for row in connection.execute(select(rejection).join(table, same).where(rejection.c.contact_id.in_(ids))):
        cases[row.contact_id].rejection = _state(RejectionState, row)


def _load_ledger(connection: Connection, cases: Mapping[int, ContactState]) -> None:
    held = func.max(sql_case((ledger.c.state == "held", 1), else_=0)).label("held")
    rows = connection.execute(
        select(ledger.c.contact_id, ledger.c.bundle, held)
        .where(ledger.c.contact_id.in_(list(cases)), ledger.c.state.not_in(("shadow", "superseded")))
        .group_by(ledger.c.contact_id, ledger.c.bundle)
    )
    for row in rows:
        cases[row.contact_id].bundles[row.bundle] = bool(row.held)


def _load_past(connection: Connection, cases: Mapping[int, ContactState]) -> None:
    ids = list(cases)
    leads = {row.id: case for case in cases.values() for row in case.records if row.crm == "salesforce"}
    for row in connection.execute(select(history).where(history.c.record_id.in_(list(leads))).order_by(history.c.at)):
        leads[row.record_id].history.append(row)
    newest = func.row_number().over(partition_by=link.c.contact_id, order_by=link.c.at.desc()).label("place")
    latest = (
        select(link.c.contact_id, link.c.at, activity.c.kind, activity.c.direction, owner.c.name.label("who"), newest)
        .join(activity, and_(activity.c.crm == link.c.crm, activity.c.object == link.c.object, activity.c.id == link.c.id))
        .outerjoin(owner, and_(owner.c.crm == activity.c.crm, owner.c.id == activity.c.owner_id))
        .where(link.c.contact_id.in_(ids), link.c.counts, activity.c.kind != "task")
        .subquery()
    )
    for row in connection.execute(select(latest).where(latest.c.place <= RECENT).order_by(latest.c.contact_id, latest.c.place)):
        cases[row.contact_id].recent.append(row)


S = TypeVar("S", ClockState, RejectionState)

#: How many of the last engagements a task tells.
RECENT = 3


def _state(kind: type[S], row: Any) -> S:
    return kind(**{one.name: getattr(row, one.name) for one in fields(kind)})


def store(connection: Connection, conclusions: Sequence[Decision]) -> None:
    """Writes what was concluded."""
    states = [(one.case.id, one) for one in conclusions]
    upsert(connection, attempt, [attempt_row(number, state) for number, one in states for state in one.attempts])
    upsert(connection, rejection, [{"contact_id": number, **asdict(one.rejection)} for number, one in states if one.rejection is not None])
    upsert(connection, clock, [{"contact_id": number, **asdict(state)} for number, one in states for state in one.clocks])
    upsert(connection, evidence, [{"contact_id": number, **asdict(state)} for number, one in states for state in one.evidence])
