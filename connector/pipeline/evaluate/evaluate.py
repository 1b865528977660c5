"""Judges the contacts that are due, in slices: counts, one statement, then the cases for which something fired.

A slice is one transaction, so that pages of a pull can come in between. What was wanted comes back as proposals; those contacts stay due
until their plan is saved (`settled`), so that a crash in between loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    true,
    type_coerce,
    update,
)
from sqlalchemy.schema import CreateTable

from connector.config.tables import Config
from connector.model import CRMS, CrmName, Proposal
from connector.pipeline.evaluate import cases
from connector.pipeline.evaluate.cases import ContactState, Decision
from connector.pipeline.evaluate.decide import DecisionInputs, Decisions
from connector.pipeline.evaluate.statement import RuleStatement
from connector.pipeline.unify import ContactWriter
from connector.store import tables as t
from connector.store.bulk import upsert
from connector.store.database import Store
from connector.store.tables import Moment
from connector.workflows import touch_counts, touches
from connector.workflows.assign import RoundRobin
from connector.workflows.ignored import Patience
from connector.workflows.sla import TICKING
from connector.workflows.suspension import NOTHING, Suspended

attempt = t.metadata.tables["attempt"]
rejection = t.metadata.tables["rejection"]
evidence = t.metadata.tables["evidence"]
record = t.metadata.tables["record"]
owner = t.metadata.tables["owner"]
turn = t.metadata.tables["turn"]
link = t.metadata.tables["activity_link"]
clock = t.metadata.tables["clock"]

#: Contacts in one slice.
SLICE = 1000


@dataclass(slots=True, kw_only=True)
class Evaluated:
    """What a pass concluded. later: when to look again at contacts whose proposals are to be saved first."""

    evaluated: int = 0
    contacts: list[int] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    later: dict[int, datetime | None] = field(default_factory=dict)
    turns: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRun:
    """What judging works with, for one pass. only: these contacts and no others; suspended: what says nothing, and stays as it was."""

    config: Config
    table: Table
    writer: ContactWriter
    now: datetime
    run: int
    live: bool
    url: Callable[[CrmName, str, str], str]
    only: Collection[int] | None = None
    suspended: Suspended = NOTHING


def judge(
    store: Store, bench: EvaluationRun, *, stopped: Callable[[], bool] = lambda: False, progress: Callable[[int, int], None] | None = None
) -> Evaluated:
    """Judges every contact that is due now, or those up to the moment at which it was stopped."""
    with store.read() as connection:
        due = due_contacts(connection, bench.table, bench.now, bench.only)
    judged = Evaluated()
    session = _Session(bench)
    for start in range(0, len(due), SLICE):
        if stopped():
            break
        ids = due[start : start + SLICE]
        for conclusion in store.write(partial(session.slice, ids=ids)):
            judged.proposals += conclusion.proposals
            if conclusion.proposals:
                judged.later[conclusion.case.id] = bench.now if _anew(conclusion) else conclusion.case.flags["next"]
        judged.contacts += ids
        judged.evaluated += len(ids)
        if progress is not None:
            progress(judged.evaluated, len(due))
    judged.turns = session.turns
    return judged


def due_contacts(connection: Connection, table: Table, now: datetime, only: Collection[int] | None = None) -> list[int]:
    """The contacts for which something may have changed, by id; of these alone.

    One that was judged as of a later moment is left to the next pass: time does not run backwards for it.
    """
    due = and_(table.c.due_at <= now, ~table.c.gone, or_(table.c.judged_at.is_(None), table.c.judged_at <= now))
    chosen = true() if only is None else table.c.id.in_(only)
    return list(connection.execute(select(table.c.id).where(due, chosen).order_by(table.c.id)).scalars())


def settled(store: Store, table: Table, judged: Evaluated) -> None:
    """The plan is saved: its contacts need not be looked at again before their next moment; whose turn it is is kept."""

    def work(connection: Connection) -> None:
        if judged.later:
            statement = update(table).where(table.c.id == bindparam("b_id")).values(due_at=bindparam("b_due"))
            connection.execute(statement, [{"b_id": number, "b_due": moment} for number, moment in judged.later.items()])
        upsert(connection, turn, [{"name": name, "position": position} for name, position in judged.turns.items()])

    store.write(work)


class _Session:
    """The slices of one pass, and what they share."""

    def __init__(self, bench: EvaluationRun) -> None:
        self._bench = bench
        self._evaluation = RuleStatement(bench.config, bench.table, bench.now, bench.suspended)
        self._statement = self._evaluation.statement()
        self._scratch = _scratch_table([flag.name for flag in self._evaluation.flags])
        self._patience = Patience(bench.config)
        self._rota: RoundRobin | None = None

    @property
    def turns(self) -> Mapping[str, int]:
        """Whose turn it is after this pass."""
        return {} if self._rota is None else self._rota.turns

    def slice(self, connection: Connection, ids: Sequence[int]) -> list[Decision]:
        """Judges these contacts and stores what was concluded."""
        bench = self._bench
        touches.refresh(connection, ids, bench.config.sales_members, bench.now)
        touch_counts.refresh(connection, bench.table, ids)
        before = _rejecting_before(connection, bench.table, ids)
        self._evaluate(connection, ids)
        found = cases.load(connection, bench.table, self._fired(connection))
        for one in found:
            one.was_rejecting = before.get(one.id)
        decide = self._conclusions(connection, found)
        conclusions = [decide.conclude(case) for case in found]
        cases.store(connection, conclusions)
        bench.writer.agree(connection, [(one.case.id, one.agreed) for one in conclusions if one.agreed is not None], bench.now)
        self._new_attempts(connection, conclusions)
        self._look_again(connection, conclusions)
        return conclusions

    def _evaluate(self, connection: Connection, ids: Sequence[int]) -> None:
        """One statement computes everything into a scratch table, one more puts it beside the contacts."""
        scratch, table = self._scratch, self._bench.table
        connection.execute(CreateTable(scratch, if_not_exists=True))
        connection.execute(scratch.delete())
        connection.execute(insert(scratch).from_select([column.name for column in scratch.c], self._statement), {"ids": list(ids)})
        connection.execute(
            update(table)
            .where(table.c.id == scratch.c.id)
            .values(
                excluded=scratch.c.excluded,
                criteria=scratch.c.criteria,
                criteria_met=scratch.c.criteria_met,
                qualified=scratch.c.qualified,
                score=scratch.c.score,
                rejecting=self._rejecting(),
                judged_at=self._bench.now,
                due_at=type_coerce(scratch.c.next_change, Moment),
            )
        )

    def _rejecting(self) -> Any:
        """What rejection.when says; as it was where nobody knows, None where the file has none."""
        if self._bench.suspended.rejection:
            return self._bench.table.c.rejecting
        return (self._scratch.c.rejecting == 1) if "rejecting" in self._scratch.c else None

    def _fired(self, connection: Connection) -> dict[int, dict[str, Any]]:
        """The contacts for which something fired, is open, or is to be told; with what the statement answered."""
        scratch, table, config = self._scratch, self._bench.table, self._bench.config
        fired = [
            and_(scratch.c[f"transition_{number}"] == 1, _from(table, rule.from_), or_(table.c.stage.is_(None), table.c.stage != rule.to))
            for number, rule in enumerate(config.transitions)
        ]
        selling = exists().where(
            attempt.c.contact_id == table.c.id,
            attempt.c.number == table.c.attempt,
            or_(attempt.c.outcome == "open", and_(attempt.c.outcome == "ignored", table.c.stage == "mql")),
        )
        ticking = exists().where(
            clock.c.contact_id == table.c.id,
            or_(clock.c.state.in_(TICKING), and_(clock.c.state == "breached", clock.c.attempt == table.c.attempt)),
        )
        given_back = exists().where(rejection.c.contact_id == table.c.id, rejection.c.attempt == table.c.attempt, ~rejection.c.sent_back)
        stepped = exists().where(evidence.c.contact_id == table.c.id, evidence.c.spell == table.c.spell)
        untold = [and_(table.c[f"in_{crm}"], table.c[f"stage_{crm}"].is_distinct_from(table.c.stage)) for crm in CRMS]
        differs = and_(table.c.stage.is_not(None), ~table.c.stage_differs, or_(*untold))
        open_things = [one.correlate(table) for one in (selling, ticking, given_back, stepped)]
        told = or_(and_(~scratch.c.excluded, or_(*fired, *open_things, differs)), and_(scratch.c.excluded, selling.correlate(table)))
        rows = connection.execute(select(scratch).join(table, table.c.id == scratch.c.id).where(told)).mappings()
        return {row["id"]: dict(row) for row in rows}

    def _conclusions(self, connection: Connection, found: Sequence[ContactState]) -> Decisions:
        bench = self._bench
        people = select(owner).where(owner.c.active, ~owner.c.queue, owner.c.email.is_not(None)).order_by(owner.c.id)
        ids = {(row.crm, row.email): row.id for row in connection.execute(people)}
        if self._rota is None:
            turns = {row.name: row.position for row in connection.execute(select(turn))}
            self._rota = RoundRobin(bench.config, turns, ids)
        companies = sorted({row.company_id for case in found for row in case.records if row.company_id is not None})
        owners = _company_owners(connection, bench.table, companies)
        world = DecisionInputs(owner_ids=ids, companies=owners, url=bench.url, suspended=bench.suspended)
        return Decisions(
            bench.config,
            world,
            self._rota,
            self._patience,
            now=bench.now,
            run=bench.run,
            live=bench.live,
            clocks_from=bench.writer.clocks_from,
        )

    def _new_attempts(self, connection: Connection, conclusions: Sequence[Decision]) -> None:
        """An attempt opened by a late touch is the contact's present one."""
        table = self._bench.table
        begun = [{"b_id": one.case.id, "b_attempt": one.attempts[-1].number} for one in conclusions if _begun(one)]
        if begun:
            connection.execute(update(table).where(table.c.id == bindparam("b_id")).values(attempt=bindparam("b_attempt")), begun)

    def _look_again(self, connection: Connection, conclusions: Sequence[Decision]) -> None:
        """due_at: the first moment at which anything could change. What has proposals stays due until they are saved."""
        table, now = self._bench.table, self._bench.now
        rows = []
        for one in conclusions:
            moments = list(one.moments)
            if one.case.flags["next_change"] is not None:
                moments.append(t.from_micros(one.case.flags["next_change"]))
            first = min(moments, default=None)
            one.case.flags = {**one.case.flags, "next": first}
            stays = bool(one.proposals) or _anew(one)
            if stays or one.moments:
                rows.append({"b_id": one.case.id, "b_due": now if stays else first})
        if rows:
            connection.execute(update(table).where(table.c.id == bindparam("b_id")).values(due_at=bindparam("b_due")), rows)


def _begun(conclusion: Decision) -> bool:
    """Whether the contact has another attempt now."""
    return bool(conclusion.attempts) and conclusion.attempts[-1].number != conclusion.case.contact["attempt"]


def _anew(conclusion: Decision) -> bool:
    """Whether what was concluded is itself something that rules read, so that the contact is judged again at once."""
    return conclusion.agreed is not None or _begun(conclusion)


def _rejecting_before(connection: Connection, table: Table, ids: Sequence[int]) -> dict[int, bool | None]:
    """What rejection.when said of these contacts when they were judged before; None where they never were."""
    rows = connection.execute(select(table.c.id, table.c.rejecting).where(table.c.id.in_(ids), table.c.judged_at.is_not(None)))
    return {row.id: row.rejecting for row in rows}


def _from(table: Table, origins: tuple[str, ...] | None) -> Any:
    return True if origins is None else func.coalesce(table.c.stage, "").in_(origins)


def _scratch_table(flags: Sequence[str]) -> Table:
    """What the statement answers for a slice; a temporary table of the connection."""
    return Table(
        f"judgement_{blake2b(' '.join(flags).encode(), digest_size=4).hexdigest()}",
        MetaData(),
        Column("id", BigInteger, primary_key=True),
        Column("excluded", Boolean),
        Column("criteria", String),
        Column("criteria_met", Integer),
        Column("qualified", Boolean),
        Column("score", Double),
        *(Column(name, Integer) for name in flags),
        Column("next_change", BigInteger),
        prefixes=["TEMPORARY"],
    )


def _company_owners(connection: Connection, table: Table, companies: Sequence[str]) -> dict[tuple[str, str], str]:
    """(crm, company) → who owns a contact of it; the longest-standing where they differ."""
    if not companies:
        return {}
    rows = connection.execute(
        select(record.c.crm, record.c.company_id, table.c.owner)
        .join(table, table.c.id == record.c.contact_id)
        .where(record.c.company_id.in_(companies), table.c.owner.is_not(None), record.c.role == "main")
        .order_by(case((table.c.assigned_at.is_(None), 1), else_=0), table.c.assigned_at.desc(), table.c.id.desc())
    )
    return {(row.crm, row.company_id): row.owner for row in rows}
