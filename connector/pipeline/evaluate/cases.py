"""The contacts of a slice for which something fired, with all that is on record of them; and what was decided of each.

`load` reads the contacts of a slice in sets; `decide` decides; `store` writes what was decided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, RowMapping, Table, and_, func, or_, select
from sqlalchemy import case as sql_case

from connector.model import CrmName, Kind, Proposal
from connector.pipeline.evaluate.statement import Answers
from connector.store import shadow
from connector.store import tables as t
from connector.store.among import among
from connector.store.bulk import upsert
from connector.store.mirror.past_changes import past_of
from connector.store.snapshots import Beginning
from connector.store.tables.rows import Engagement, PastChange, PersonRecord
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
activity = t.metadata.tables["activity"]
link = t.metadata.tables["activity_link"]
owner = t.metadata.tables["owner"]

#: How many of the last engagements a task tells.
RECENT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedContact:
    """A contact as the statement left it. values: all its columns, fields among them, by name."""

    id: int
    gone: bool
    ambiguous: str | None
    excluded: bool
    stage: str | None
    stage_since: datetime | None
    stage_differs: bool
    spell: int
    attempt: int | None
    owner: str | None
    assigned_at: datetime | None
    first_seen_at: datetime
    agreed_number: int
    criteria_met: int | None
    score: float | None
    values: Mapping[str, Any]

    @classmethod
    def of(cls, row: RowMapping) -> JudgedContact:
        """From a row of the contact table."""
        return cls(**{name: row[name] for name in _CONTACT}, values=dict(row))


_CONTACT = tuple(column.name for column in fields(JudgedContact) if column.name != "values")


@dataclass(frozen=True, kw_only=True)
class ContactState:
    """One contact, and all that is on record of it.

    answers: what the statement says. spell_by: who began the present spell. attempt: the present or last one; attempts: all, by number.
    was_rejecting: what rejection.when said when the contact was judged before, None where it never was. clocks: those of the present
    attempt, and those that still tick. bundles: whether each bundle in the ledger is held, by its name. proposed: to whom (owner id) a
    bundle of the shadow plan gives the contact, by the bundle's name.
    """

    contact: JudgedContact
    answers: Answers
    records: Sequence[PersonRecord] = ()
    spell_by: str | None = None
    attempt: AttemptState | None = None
    attempts: Mapping[int, AttemptState]
    evidence: Sequence[EvidenceState] = ()
    rejection: RejectionState | None = None
    was_rejecting: bool | None = None
    clocks: Sequence[ClockState] = ()
    touches: Sequence[touches.Touched] = ()
    bundles: Mapping[str, bool]
    past: Sequence[PastChange] = ()
    recent: Sequence[Engagement] = ()
    proposed: Mapping[str, str | None] = field(default_factory=dict)

    @cached_property
    def main(self) -> Mapping[CrmName, PersonRecord]:
        """The contact's own record in each CRM that has one."""
        return {row.crm: row for row in reversed(self.records) if row.role == "main"}

    @cached_property
    def basis(self) -> Mapping[str, Any]:
        """The contact's values by the names of the file."""
        return basis_of(self.contact.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided of one contact: states to store where they differ, actions wanted, and when to look again.

    begun: the attempt that the contact is in now, where it is another one. begins: the attempt that the decided step would begin, and
    whether the ledger has that step already. agreed: a stage that the CRMs show already: agreed without a
    write. next_look: the first moment at which anything could change; decide_at: … at which something else could be decided though the
    rules answer the same, None for never.
    """

    contact: int
    attempts: tuple[AttemptState, ...] = ()
    begun: int | None = None
    begins: Beginning | None = None
    rejection: RejectionState | None = None
    clocks: tuple[ClockState, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    agreed: str | None = None
    next_look: datetime | None = None
    decide_at: datetime | None = None

    @property
    def anew(self) -> bool:
        """Whether what was decided is itself something that rules read, so that the contact is judged again at once."""
        given_back = any(state.outcome in ("rejected", "disqualified") for state in self.attempts)  # rejected_before
        return self.agreed is not None or self.begun is not None or given_back


def load(
    connection: Connection, table: Table, answers: Mapping[int, Answers], was_rejecting: Mapping[int, bool | None]
) -> list[ContactState]:
    """What is on record of the contacts that fired, in the order of their ids. answers: what the statement says of each."""
    ids = sorted(answers)
    if not ids:
        return []
    contacts = {row["id"]: JudgedContact.of(row) for row in connection.execute(select(table).where(among(table.c.id, ids))).mappings()}
    records = _records(connection, ids)
    attempts, known_evidence, made = attempts_of(connection, ids), evidence_of(connection, ids), touches.by_contact(connection, ids)
    spells, clocks, rejections = _spells(connection, table, ids), _clocks(connection, table, ids), _rejections(connection, table, ids)
    bundles, recent = _bundles(connection, ids), _recent(connection, ids)
    past = past_of(connection, {number: rows for number, rows in records.items() if answers[number].rejecting})
    proposed = _proposed(connection, ids)
    return [
        ContactState(
            contact=contacts[number],
            answers=answers[number],
            records=records[number],
            spell_by=spells.get(number),
            attempt=attempts[number][max(attempts[number])] if number in attempts else None,
            attempts=attempts.get(number, {}),
            evidence=known_evidence.get(number, ()),
            rejection=rejections.get(number),
            was_rejecting=was_rejecting.get(number),
            clocks=clocks.get(number, ()),
            touches=made.get(number, ()),
            bundles=bundles.get(number, {}),
            past=past.get(number, ()),
            recent=recent.get(number, ()),
            proposed=proposed.get(number, {}),
        )
        for number in ids
    ]


def load_one(connection: Connection, table: Table, contact: int) -> ContactState:
    """What is on record of one contact, of whom nothing was asked. Raises KeyError where there is none of that number."""
    return load(connection, table, {contact: Answers()}, {})[0]


def _records(connection: Connection, ids: Sequence[int]) -> dict[int, list[PersonRecord]]:
    found: dict[int, list[PersonRecord]] = {number: [] for number in ids}
    columns = [record.c[name] for name in PersonRecord._fields]
    rows = select(record.c.contact_id, *columns).where(among(record.c.contact_id, ids), ~record.c.archived)
    for contact_id, *values in connection.execute(rows.order_by(record.c.crm, record.c.object, record.c.id)):
        found[contact_id].append(PersonRecord._make(values))
    return found


def _spells(connection: Connection, table: Table, ids: Sequence[int]) -> dict[int, str]:
    """Who began the present spell of each contact."""
    present = and_(spell.c.contact_id == table.c.id, spell.c.number == table.c.spell)
    rows = connection.execute(select(table.c.id, spell.c.by).join(spell, present).where(among(table.c.id, ids)))
    return {row.id: row.by for row in rows}


def _clocks(connection: Connection, table: Table, ids: Sequence[int]) -> dict[int, list[ClockState]]:
    found: defaultdict[int, list[ClockState]] = defaultdict(list)
    told = or_(table.c.attempt == clock.c.attempt, clock.c.state.in_(TICKING))
    present = select(clock).join(table, and_(table.c.id == clock.c.contact_id, told)).where(among(clock.c.contact_id, ids))
    for row in connection.execute(present.order_by(clock.c.attempt, clock.c.number)):
        found[row.contact_id].append(_state(ClockState, row))
    return found


def _rejections(connection: Connection, table: Table, ids: Sequence[int]) -> dict[int, RejectionState]:
    """The rejection of the present attempt of each contact."""
    same = and_(table.c.id == rejection.c.contact_id, table.c.attempt == rejection.c.attempt)
    rows = connection.execute(select(rejection).join(table, same).where(among(rejection.c.contact_id, ids)))
    return {row.contact_id: _state(RejectionState, row) for row in rows}


def _bundles(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, bool]]:
    found: defaultdict[int, dict[str, bool]] = defaultdict(dict)
    held = func.max(sql_case((ledger.c.state == "held", 1), else_=0)).label("held")
    rows = connection.execute(
        select(ledger.c.contact_id, ledger.c.bundle, held)
        .where(among(ledger.c.contact_id, ids), ledger.c.state.not_in(("shadow", "superseded")))
        .group_by(ledger.c.contact_id, ledger.c.bundle)
    )
    for row in rows:
        found[row.contact_id][row.bundle] = bool(row.held)
    return found


def _proposed(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, str | None]]:
    """Who is to get each contact by the shadow plan that stands: contact → bundle → owner id."""
    found: defaultdict[int, dict[str, str | None]] = defaultdict(dict)
    for row in shadow.standing(connection, ids, kind=Kind.ASSIGN):
        found[row.contact][row.bundle] = row.after
    return found


def _recent(connection: Connection, ids: Sequence[int]) -> dict[int, list[Engagement]]:
    """The last engagements of each contact, the newest first."""
    found: defaultdict[int, list[Engagement]] = defaultdict(list)
    newest = func.row_number().over(partition_by=link.c.contact_id, order_by=link.c.at.desc()).label("place")
    latest = (
        select(link.c.contact_id, link.c.at, activity.c.kind, activity.c.direction, owner.c.name.label("who"), newest)
        .join(activity, and_(activity.c.crm == link.c.crm, activity.c.object == link.c.object, activity.c.id == link.c.id))
        .outerjoin(owner, and_(owner.c.crm == activity.c.crm, owner.c.id == activity.c.owner_id))
        .where(among(link.c.contact_id, ids), link.c.counts, activity.c.kind != "task")
        .subquery()
    )
    for row in connection.execute(select(latest).where(latest.c.place <= RECENT).order_by(latest.c.contact_id, latest.c.place)):
        found[row.contact_id].append(Engagement(at=row.at, kind=row.kind, direction=row.direction, who=row.who))
    return found


S = TypeVar("S", ClockState, RejectionState)


def _state(kind: type[S], row: Row[Any]) -> S:
    return kind(**{column.name: getattr(row, column.name) for column in fields(kind)})


def store(connection: Connection, decisions: Sequence[Decision]) -> None:
    """Writes what was decided."""
    upsert(connection, attempt, [attempt_row(decision.contact, state) for decision in decisions for state in decision.attempts])
    made = [(decision.contact, decision.rejection) for decision in decisions]
    upsert(connection, rejection, [{"contact_id": number, **asdict(state)} for number, state in made if state is not None])
    clocks = [{"contact_id": decision.contact, **asdict(state)} for decision in decisions for state in decision.clocks]
    upsert(connection, clock, clocks)
