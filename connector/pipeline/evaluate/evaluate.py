"""Judges the contacts that are due, in slices: counts, one statement, then a decision for each for which something fired.

A slice is one transaction, so that pages of a pull can come in between. What was wanted is handed on slice by slice, as proposals; those
contacts stay due until their plan is saved (`settled`), so that a crash in between loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import blake2b
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Double,
    Integer,
    MetaData,
    Null,
    String,
    Table,
    and_,
    bindparam,
    case,
    exists,
    insert,
    null,
    or_,
    select,
    true,
    type_coerce,
    update,
)
from sqlalchemy.schema import CreateTable

from connector.config.business_time import TeamCalendars
from connector.config.rule_conditions import RuleTable
from connector.config.tables import Config
from connector.model import CRMS, CrmName, Proposal
from connector.pipeline.evaluate import cases
from connector.pipeline.evaluate.cases import ContactState, Decision
from connector.pipeline.evaluate.decide import decide
from connector.pipeline.evaluate.looks import Looks
from connector.pipeline.evaluate.proposals import DecisionInputs
from connector.pipeline.evaluate.statement import REJECTING, AnswerReader, Answers, RuleStatement, flag_name, may_take
from connector.pipeline.unify import ContactWriter
from connector.store import tables as t
from connector.store.among import among
from connector.store.bulk import upsert
from connector.store.database import Store
from connector.store.shadow import SHADOW_TURN
from connector.store.tables import Moment
from connector.workflows import touch_counts
from connector.workflows.assign import RoundRobin
from connector.workflows.sla import TICKING
from connector.workflows.stages import StageMap
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
    """What a slice concluded. later: when to look again at contacts whose proposals are to be saved first. turns: whose turn it is now."""

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


def evaluate_due(
    store: Store,
    run: EvaluationRun,
    *,
    each: Callable[[Evaluated], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Judges every contact that is due now, or those up to the moment at which it was stopped; how many. each: told of every slice."""
    with store.read() as connection:
        due = due_contacts(connection, run.table, run.now, run.only)
    slices = _Slices(run)
    done = 0
    for start in range(0, len(due), SLICE):
        if stopped():
            break
        ids = due[start : start + SLICE]
        judged = store.write(partial(slices.judge, ids=ids))
        slices.go_on_from(judged)
        each(_evaluated(judged, ids, slices.kept_turns, run.now))
        done += len(ids)
        if progress is not None:
            progress(done, len(due))
    return done


def _evaluated(judged: _Judged, ids: Sequence[int], turns: Mapping[str, int], now: datetime) -> Evaluated:
    return Evaluated(
        evaluated=len(ids),
        contacts=list(ids),
        proposals=[proposal for decision in judged.decisions for proposal in decision.proposals],
        later={decision.contact: now if decision.anew else decision.next_look for decision in judged.decisions if decision.proposals},
        turns=turns,
    )


def due_contacts(connection: Connection, table: Table, now: datetime, only: Collection[int] | None = None) -> list[int]:
    """The contacts for which something may have changed, by id; of these alone.

    One that was judged as of a later moment is left to the next pass: time does not run backwards for it.
    """
    due = and_(table.c.due_at <= now, ~table.c.gone, or_(table.c.judged_at.is_(None), table.c.judged_at <= now))
    chosen = true() if only is None else table.c.id.in_(only)
    return list(connection.execute(select(table.c.id).where(due, chosen).order_by(table.c.id)).scalars())


def settled(connection: Connection, table: Table, evaluated: Evaluated, contacts: Sequence[int], *, turns: bool) -> None:
    """The plan of these contacts of the slice is saved: they need not be looked at again before their next moment.

    turns: whose turn it is is kept.
    """
    later = [{"b_id": number, "b_due": evaluated.later[number]} for number in contacts if number in evaluated.later]
    if later:
        connection.execute(update(table).where(table.c.id == bindparam("b_id")).values(due_at=bindparam("b_due")), later)
    if turns:
        upsert(connection, turn, [{"name": name, "position": position} for name, position in evaluated.turns.items()])


def turn_name(name: str, *, live: bool) -> str:
    """Under which name a turn of this name is kept."""
    return name if live else f"{SHADOW_TURN}{name}"


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a slice came to. turns: whose turn it is after it, and who got leads of which company in it."""

    decisions: Sequence[Decision]
    turns: RoundRobin


class _Slices:
    """The slices of one pass, and what they share. Nothing of it moves on within a transaction: that may be run again."""

    def __init__(self, run: EvaluationRun) -> None:
        self._run = run
        self._rules = RuleStatement(run.config, run.table, run.now, run.suspended)
        self._statement = self._rules.statement()
        self._scratch = _scratch_table(self._rules.points_columns, [flag.name for flag in self._rules.flags])
        self._reader = AnswerReader(run.config, self._scratch.c.keys())
        self._stages = StageMap(run.config)
        self._calendars = TeamCalendars(run.config)
        self._zone = ZoneInfo(run.config.timezone)
        self._turns: dict[str, int] | None = None
        self._companies: dict[tuple[str, str], str] = {}

    @property
    def kept_turns(self) -> Mapping[str, int]:
        """Whose turn it is after this slice, by the names under which it is kept."""
        return {turn_name(name, live=self._run.live): position for name, position in (self._turns or {}).items()}

    def go_on_from(self, judged: _Judged) -> None:
        """The slice is stored: the next one begins where it ended."""
        self._turns = judged.turns.turns
        self._companies |= judged.turns.companies

    def judge(self, connection: Connection, ids: Sequence[int]) -> _Judged:
        """Judges these contacts and stores what was decided."""
        run = self._run
        touch_counts.bring_up_to_date(connection, run.table, ids, run.config.sales_members, run.now)
        was_rejecting = _rejecting_before(connection, run.table, ids)
        self._evaluate(connection, ids)
        states = cases.load(connection, run.table, self._fired(connection), was_rejecting)
        inputs = self._inputs(connection, states)
        turns = self._round_robin(connection, inputs.owner_ids)
        decisions = [decide(state, inputs, turns) for state in states]
        cases.store(connection, decisions)
        looks = Looks(run.config, run.now, self._scratch, self._rules.points_columns)
        looks.keep_decided(connection, decisions)
        agreed = [(decision.contact, decision.agreed) for decision in decisions if decision.agreed is not None]
        run.writer.agree(connection, agreed, run.now)
        self._begin_attempts(connection, decisions)
        looks.freeze(connection, ids)
        self._look_again(connection, decisions)
        return _Judged(decisions, turns)

    def _evaluate(self, connection: Connection, ids: Sequence[int]) -> None:
        """One statement computes everything into a scratch table, one more puts it beside the contacts."""
        scratch, table = self._scratch, self._run.table
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
                judged_at=self._run.now,
                due_at=type_coerce(scratch.c.next_change, Moment),
            )
        )

    def _rejecting(self) -> ColumnElement[bool] | Null:
        """What rejection.when says; as it was where nobody knows, None where the file has none."""
        if self._run.suspended.rejection:
            return self._run.table.c.rejecting
        return (self._scratch.c[REJECTING] == 1) if REJECTING in self._scratch.c else null()

    def _fired(self, connection: Connection) -> dict[int, Answers]:
        """The contacts for which something fired, is open, or is to be told; with what the statement answered."""
        scratch, table, config = self._scratch, self._run.table, self._run.config
        fired = [
            and_(scratch.c[flag_name(RuleTable.TRANSITION, number)] == 1, may_take(rule, table.c.stage))
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
        open_things = [query.correlate(table) for query in (selling, ticking, given_back, stepped)]
        told = or_(and_(~scratch.c.excluded, or_(*fired, *open_things, differs)), and_(scratch.c.excluded, selling.correlate(table)))
        rows = connection.execute(select(scratch).join(table, table.c.id == scratch.c.id).where(told))
        names = tuple(rows.keys())
        found = (dict(zip(names, row, strict=True)) for row in rows)
        return {row["id"]: self._reader.read(row) for row in found}

    def _inputs(self, connection: Connection, states: Sequence[ContactState]) -> DecisionInputs:
        run = self._run
        people = select(owner).where(owner.c.active, ~owner.c.queue, owner.c.email.is_not(None)).order_by(owner.c.id)
        companies = sorted({row.company_id for state in states for row in state.records if row.company_id is not None})
        return DecisionInputs(
            config=run.config,
            stages=self._stages,
            calendars=self._calendars,
            zone=self._zone,
            now=run.now,
            run=run.run,
            live=run.live,
            clocks_from=run.writer.clocks_from,
            owner_ids={(row.crm, row.email): row.id for row in connection.execute(people)},
            companies=_company_owners(connection, run.table, companies),
            url=run.url,
            suspended=run.suspended,
        )

    def _round_robin(self, connection: Connection, owner_ids: Mapping[tuple[CrmName, str], str]) -> RoundRobin:
        turns = self._turns
        if turns is None:
            kept = {row.name: row.position for row in connection.execute(select(turn))}
            names = [name for name in kept if not name.startswith(SHADOW_TURN)]
            turns = {name: kept[name] for name in names}
            if not self._run.live:
                turns |= {name.removeprefix(SHADOW_TURN): kept[name] for name in kept.keys() - set(names)}
        return RoundRobin(self._run.config, turns, owner_ids, self._companies)

    def _begin_attempts(self, connection: Connection, decisions: Sequence[Decision]) -> None:
        """An attempt opened by a late touch is the contact's present one."""
        table = self._run.table
        begun = [{"b_id": decision.contact, "b_attempt": decision.begun} for decision in decisions if decision.begun is not None]
        if begun:
            connection.execute(update(table).where(table.c.id == bindparam("b_id")).values(attempt=bindparam("b_attempt")), begun)
        touch_counts.count_anew(connection, [decision.contact for decision in decisions if decision.attempts], self._run.now)

    def _look_again(self, connection: Connection, decisions: Sequence[Decision]) -> None:
        """due_at: the first moment at which anything could change. What has proposals stays due until they are saved."""
        table, now = self._run.table, self._run.now
        rows = []
        for decision in decisions:
            stays = bool(decision.proposals) or decision.anew
            if stays or decision.looks_again:
                rows.append({"b_id": decision.contact, "b_due": now if stays else decision.next_look})
        if rows:
            connection.execute(update(table).where(table.c.id == bindparam("b_id")).values(due_at=bindparam("b_due")), rows)


def _rejecting_before(connection: Connection, table: Table, ids: Sequence[int]) -> dict[int, bool | None]:
    """What rejection.when said of these contacts when they were judged before; None where they never were."""
    rows = connection.execute(select(table.c.id, table.c.rejecting).where(among(table.c.id, ids), table.c.judged_at.is_not(None)))
    return {row.id: row.rejecting for row in rows}


def _scratch_table(points: Sequence[str], flags: Sequence[str]) -> Table:
    """What the statement answers for a slice; a temporary table of the connection."""
    return Table(
        f"judgement_{blake2b(' '.join((*points, *flags)).encode(), digest_size=4).hexdigest()}",
        MetaData(),
        Column("id", BigInteger, primary_key=True),
        Column("excluded", Boolean),
        Column("criteria", String),
        Column("criteria_met", Integer),
        Column("qualified", Boolean),
        Column("score", Double),
        *(Column(name, Double) for name in points),
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
