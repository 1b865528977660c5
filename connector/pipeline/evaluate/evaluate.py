"""Judges the contacts that are due, in slices: counts, one statement, then a decision for each for which something fired.

A slice is one transaction, so that pages of a pull can come in between. What was wanted is handed on slice by slice, as proposals; those
contacts stay due until their plan is saved (`settled`), so that a crash in between loses nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Connection,
    Table,
    and_,
    bindparam,
    case,
    or_,
    select,
    true,
    update,
)

from connector.config.business_time import TeamCalendars
from connector.config.tables import Config
from connector.model import CrmName, Proposal
from connector.pipeline.evaluate import cases
from connector.pipeline.evaluate.asking import Asking
from connector.pipeline.evaluate.cases import ContactState, Decision
from connector.pipeline.evaluate.decide import decide
from connector.pipeline.evaluate.looks import Looks
from connector.pipeline.evaluate.proposals import DecisionInputs
from connector.pipeline.evaluate.statement import RuleStatement
from connector.pipeline.slices import Slices
from connector.pipeline.unify import ContactWriter
from connector.store import tables as t
from connector.store.among import among
from connector.store.bulk import upsert
from connector.store.database import Store
from connector.store.shadow import SHADOW_TURN
from connector.workflows import touch_counts
from connector.workflows.assign import LateRoundRobin, RoundRobin
from connector.workflows.stages import StageMap
from connector.workflows.suspension import NOTHING, Suspended

record = t.metadata.tables["record"]
owner = t.metadata.tables["owner"]
turn = t.metadata.tables["turn"]

#: Contacts of the first slice.
SLICE = 1000

#: Who got leads of which company in a pass: (rule, company) → e-mail.
Companies = Mapping[tuple[str, str], str]


@dataclass(slots=True, kw_only=True)
class Evaluated:
    """What a slice concluded. evaluated: how many were judged; contacts: those decided on, all proposals are theirs. later: when those with
    proposals, once they are saved, are due, and to be decided on. turns: whose turn it is now; companies: who got leads of which.
    """

    evaluated: int = 0
    contacts: list[int] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    later: dict[int, tuple[datetime | None, datetime | None]] = field(default_factory=dict)
    turns: Mapping[str, int] = field(default_factory=dict)
    companies: Companies = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRun:
    """What judging works with, for one pass. only: these contacts and no others; suspended: what says nothing, and stays as it was.

    live_since: the first live pass, None in shadow.
    """

    config: Config
    table: Table
    writer: ContactWriter
    now: datetime
    run: int
    live: bool
    url: Callable[[CrmName, str, str], str]
    only: Collection[int] | None = None
    suspended: Suspended = NOTHING
    live_since: datetime | None = None


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
    judging, slices = _Judging(run), Slices(store, SLICE)
    done = 0
    while done < len(due) and not stopped():
        ids, judged = slices.run(partial(judging.judge_next, due=due, begin=done))
        judging.go_on_from(judged)
        each(_evaluated(judged, ids, run))
        done += len(ids)
        if progress is not None:
            progress(done, len(due))
    return done


def _evaluated(judged: _Judged, ids: Sequence[int], run: EvaluationRun) -> Evaluated:
    return Evaluated(
        evaluated=len(ids),
        contacts=list(judged.contacts),
        proposals=[proposal for decision in judged.decisions for proposal in decision.proposals],
        later={decision.contact: _later(decision, run.now) for decision in judged.decisions if decision.proposals},
        turns={turn_name(name, live=run.live): position for name, position in judged.turns.turns.items()},
        companies=judged.turns.companies,
    )


def _later(decision: Decision, now: datetime) -> tuple[datetime | None, datetime | None]:
    return (now, now) if decision.anew else (decision.next_look, decision.decide_at)


class SliceJudge:
    """Judges slices of a pass that several processes judge, each within a transaction of the caller's."""

    def __init__(self, run: EvaluationRun) -> None:
        self._run = run
        self._judging = _Judging(run)

    def judge(self, connection: Connection, first: int, last: int, wait: Callable[[], Companies]) -> Evaluated:
        """Judges the contacts between these numbers that are due; to be settled in the same transaction.

        wait: called before a lead is given to the next in turn; returns when the slices before are judged, with what they gave away.
        """
        table = self._run.table
        ids = due_contacts(connection, table, self._run.now, span=(first, last))
        return _evaluated(self._judging.judge(connection, ids, wait), ids, self._run)


def due_contacts(
    connection: Connection,
    table: Table,
    now: datetime,
    only: Collection[int] | None = None,
    *,
    span: tuple[int, int] | None = None,
) -> list[int]:
    """The contacts for which something may have changed, by id; of these alone, or with numbers in this span (both ends included).

    One that was judged as of a later moment is left to the next pass: time does not run backwards for it.
    """
    due = and_(table.c.due_at <= now, ~table.c.gone, or_(table.c.judged_at.is_(None), table.c.judged_at <= now))
    chosen = true() if only is None else among(table.c.id, only)
    within = true() if span is None else table.c.id.between(*span)
    found = connection.scalars(select(table.c.id).where(due, chosen, within))
    return sorted(found)  # in their order SQLite would go through every contact


def settled(connection: Connection, table: Table, evaluated: Evaluated, contacts: Sequence[int], *, turns: bool) -> None:
    """The plan of these contacts of the slice is saved: they need not be looked at again before their next moment.

    turns: whose turn it is is kept.
    """
    later = [(number, *evaluated.later[number]) for number in contacts if number in evaluated.later]
    _set_moments(connection, table, [{"b_id": number, "b_due": due, "b_decide": decide} for number, due, decide in later])
    if turns:
        upsert(connection, turn, [{"name": name, "position": position} for name, position in evaluated.turns.items()])


def turn_name(name: str, *, live: bool) -> str:
    """Under which name a turn of this name is kept."""
    return name if live else f"{SHADOW_TURN}{name}"


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a slice came to. contacts: those decided on; turns: whose turn it is after it, and who got leads of which company in it."""

    contacts: Sequence[int]
    decisions: Sequence[Decision]
    turns: RoundRobin


class _Judging:
    """The slices of one pass, and what they share. Nothing of it moves on within a transaction: that may be run again."""

    def __init__(self, run: EvaluationRun) -> None:
        self._run = run
        self._asking = Asking(RuleStatement(run.config, run.table, run.now, run.suspended))
        self._stages = StageMap(run.config)
        self._calendars = TeamCalendars(run.config)
        self._zone = ZoneInfo(run.config.timezone)
        self._turns: dict[str, int] | None = None
        self._companies: dict[tuple[str, str], str] = {}

    def go_on_from(self, judged: _Judged) -> None:
        """The slice is stored: the next one begins where it ended."""
        self._turns = judged.turns.turns
        self._companies |= judged.turns.companies

    def judge_next(self, connection: Connection, size: int, *, due: Sequence[int], begin: int) -> tuple[Sequence[int], _Judged]:
        """Judges so many of those who are due, from this place on; who they were, and what it came to."""
        ids = due[begin : begin + size]
        return ids, self.judge(connection, ids)

    def judge(self, connection: Connection, ids: Sequence[int], wait: Callable[[], Companies] | None = None) -> _Judged:
        """Judges these contacts and stores what was decided. wait: for the slices before, where others judge them at the same time."""
        run = self._run
        touch_counts.bring_up_to_date(connection, run.table, ids, run.config.sales_members, run.now)
        asked = self._asking.ask(connection, ids)
        states = cases.load(connection, run.table, asked.answers, asked.was_rejecting)
        inputs = self._inputs(connection, states)
        turns = self._round_robin(connection, inputs.owner_ids, wait)
        decisions = [decide(state, inputs, turns) for state in states]
        cases.store(connection, decisions)
        looks = Looks(run.config, run.now, self._asking.scratch, self._asking.points_columns)
        looks.keep_decided(connection, decisions)
        agreed = [(decision.contact, decision.agreed) for decision in decisions if decision.agreed is not None]
        run.writer.agree(connection, agreed, run.now)
        self._begin_attempts(connection, decisions)
        looks.freeze(connection, ids)
        self._look_again(connection, decisions)
        return _Judged(asked.contacts, decisions, turns)

    def _inputs(self, connection: Connection, states: Sequence[ContactState]) -> DecisionInputs:
        run = self._run
        people = select(owner).where(owner.c.active, ~owner.c.queue, owner.c.email.is_not(None)).order_by(owner.c.id)
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
            companies=_company_owners(connection, run.table, states),
            url=run.url,
            suspended=run.suspended,
            live_since=run.live_since,
        )

    def _round_robin(
        self, connection: Connection, owner_ids: Mapping[tuple[CrmName, str], str], wait: Callable[[], Companies] | None
    ) -> RoundRobin:
        config = self._run.config
        if wait is not None:
            return LateRoundRobin(config, owner_ids, partial(self._turns_after, connection, wait))
        turns = self._read_turns(connection) if self._turns is None else self._turns
        return RoundRobin(config, turns, owner_ids, self._companies)

    def _read_turns(self, connection: Connection) -> dict[str, int]:
        """Whose turn it is, by name."""
        kept = {row.name: row.position for row in connection.execute(select(turn))}
        names = [name for name in kept if not name.startswith(SHADOW_TURN)]
        turns = {name: kept[name] for name in names}
        if not self._run.live:
            turns |= {name.removeprefix(SHADOW_TURN): kept[name] for name in kept.keys() - set(names)}
        return turns

    def _turns_after(self, connection: Connection, wait: Callable[[], Companies]) -> tuple[Mapping[str, int], Companies]:
        """Whose turn it is after the slices before, which others may judge still."""
        companies = wait()
        return self._read_turns(connection), companies

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
            if stays or decision.decide_at is not None:
                due, decide_at = (now, now) if stays else (decision.next_look, decision.decide_at)
                rows.append({"b_id": decision.contact, "b_due": due, "b_decide": decide_at})
        _set_moments(connection, table, rows)


def _set_moments(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        moments = update(table).where(table.c.id == bindparam("b_id")).values(due_at=bindparam("b_due"), decide_at=bindparam("b_decide"))
        connection.execute(moments, rows)


def _company_owners(connection: Connection, table: Table, states: Sequence[ContactState]) -> dict[tuple[str, str], str]:
    """(crm, company) → who owns a contact of it; the longest-standing where they differ. Of the companies of these contacts."""
    companies: defaultdict[str, set[str]] = defaultdict(set)
    for row in (row for state in states for row in state.records):
        if row.company_id is not None:
            companies[row.crm].add(row.company_id)
    found: dict[tuple[str, str], str] = {}
    standing = (case((table.c.assigned_at.is_(None), 1), else_=0), table.c.assigned_at.desc(), table.c.id.desc())
    for crm, ids in sorted(companies.items()):
        rows = connection.execute(
            select(record.c.company_id, table.c.owner)
            .join(table, table.c.id == record.c.contact_id)
            .where(record.c.crm == crm, record.c.company_id.in_(sorted(ids)), table.c.owner.is_not(None), record.c.role == "main")
            .order_by(*standing)
        )
        found |= {(crm, row.company_id): row.owner for row in rows}
    return found
