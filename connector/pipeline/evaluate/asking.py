"""Asks the rules about a slice of contacts, and keeps what they answered; tells about whom there is something to decide.

One statement computes everything into a scratch table, another says who is to be decided on, a third puts the answers beside the contacts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

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
    case,
    insert,
    null,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.schema import CreateTable

from connector.conditions import earliest
from connector.config.rule_conditions import RuleTable
from connector.model import CRMS
from connector.pipeline.evaluate.statement import REJECTING, AnswerReader, Answers, RuleStatement, flag_name, may_take
from connector.store import tables as t
from connector.store.among import among, has_a_row
from connector.store.tables import Moment
from connector.workflows.sla import TICKING

attempt = t.metadata.tables["attempt"]
rejection = t.metadata.tables["rejection"]
evidence = t.metadata.tables["evidence"]
clock = t.metadata.tables["clock"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who is decided on in a slice: contacts: all of them; answers: of those about whom there is something to decide; was_rejecting: what
    rejection.when said of these when they were judged before.
    """

    contacts: Sequence[int]
    answers: Mapping[int, Answers]
    was_rejecting: Mapping[int, bool | None]


class Asking:
    """Asks what a statement asks; made once a pass."""

    def __init__(self, rules: RuleStatement) -> None:
        self._table, self._config, self._now, self._suspended = rules.table, rules.config, rules.now, rules.suspended
        self._statement = rules.statement()
        self.points_columns = rules.points_columns
        self.scratch = _scratch_table(rules.points_columns, [flag.name for flag in rules.flags])
        self._flags = [flag.name for flag in rules.flags]
        self._reader = AnswerReader(rules.config, self.scratch.c.keys())

    def ask(self, connection: Connection, ids: Sequence[int]) -> Asked:
        """Asks about these contacts and stores the answers; whom to decide on, with what stood there before."""
        self._ask(connection, ids)
        asked = self._to_decide(connection, ids)
        self._store(connection, ids)
        return asked

    def _ask(self, connection: Connection, ids: Sequence[int]) -> None:
        """One statement computes everything into a scratch table."""
        scratch = self.scratch
        connection.execute(CreateTable(scratch, if_not_exists=True))
        connection.execute(scratch.delete())
        connection.execute(insert(scratch).from_select([column.name for column in scratch.c], self._statement), {"ids": list(ids)})

    def _store(self, connection: Connection, ids: Sequence[int]) -> None:
        """Puts what was asked beside the contacts."""
        scratch, table = self.scratch, self._table
        connection.execute(
            update(table)
            .where(table.c.id == scratch.c.id, among(table.c.id, ids))  # named once more: else SQLite goes through every contact
            .values(
                excluded=scratch.c.excluded,
                criteria=scratch.c.criteria,
                criteria_met=scratch.c.criteria_met,
                qualified=scratch.c.qualified,
                score=scratch.c.score,
                rejecting=self._rejecting(),
                fast=scratch.c.fast,
                answers=self._answers(),
                judged_at=self._now,
                decide_at=self._decide_later(),
                due_at=type_coerce(earliest([scratch.c.next_change, type_coerce(self._decide_later(), BigInteger)]), Moment),
            )
        )

    def _answers(self) -> ColumnElement[str]:
        """Out of scope or not, and every flag, as a row of 1 and 0: so those of two passes can be compared."""
        text: ColumnElement[str] = case((self.scratch.c.excluded, "1"), else_="0")
        for name in self._flags:
            text = text.concat(case((self.scratch.c[name] == 1, "1"), else_="0"))
        return text

    def _decide_later(self) -> ColumnElement[Any]:
        """What was to be decided at a moment to come still is; what was to be decided now is decided in this pass."""
        decide_at = self._table.c.decide_at
        return case((decide_at > self._now, decide_at))

    def _rejecting(self) -> ColumnElement[bool] | Null:
        """What rejection.when says; as it was where nobody knows, None where the file has none."""
        if self._suspended.rejection:
            return self._table.c.rejecting
        return (self.scratch.c[REJECTING] == 1) if REJECTING in self.scratch.c else null()

    def _to_decide(self, connection: Connection, ids: Sequence[int]) -> Asked:
        """The contacts to decide on: those whose answers are others than before, or whose moment has come; of those the ones for which
        something fired, is open, or is to be told, with their answers.
        """
        scratch, table = self.scratch, self._table
        anew = or_(table.c.decide_at <= self._now, table.c.answers.is_distinct_from(self._answers()))
        told = self._tells().label("told")
        before = (told, table.c.rejecting.label("was_rejecting"), table.c.judged_at.label("was_judged_at"))
        rows = connection.execute(select(scratch, *before).join(table, table.c.id == scratch.c.id).where(among(table.c.id, ids), anew))
        names = tuple(rows.keys())
        found = [dict(zip(names, row, strict=True)) for row in rows]
        told_rows = [row for row in found if row["told"]]
        return Asked(
            contacts=[row["id"] for row in found],
            answers={row["id"]: self._reader.read(row) for row in told_rows},
            was_rejecting={row["id"]: row["was_rejecting"] for row in told_rows if row["was_judged_at"] is not None},
        )

    def _tells(self) -> ColumnElement[bool]:
        """Whether something fired, is open, or is to be told to a CRM."""
        scratch, table, config = self.scratch, self._table, self._config
        fired = [
            and_(scratch.c[flag_name(RuleTable.TRANSITION, number)] == 1, may_take(rule, table.c.stage))
            for number, rule in enumerate(config.transitions)
        ]
        selling = select(attempt.c.number).where(
            attempt.c.contact_id == table.c.id,
            attempt.c.number == table.c.attempt,
            or_(attempt.c.outcome == "open", and_(attempt.c.outcome == "ignored", table.c.stage == "mql")),
        )
        ticking = select(clock.c.number).where(
            clock.c.contact_id == table.c.id,
            or_(clock.c.state.in_(TICKING), and_(clock.c.state == "breached", clock.c.attempt == table.c.attempt)),
        )
        given_back = select(rejection.c.attempt).where(
            rejection.c.contact_id == table.c.id, rejection.c.attempt == table.c.attempt, ~rejection.c.sent_back
        )
        stepped = select(evidence.c.spell).where(evidence.c.contact_id == table.c.id, evidence.c.spell == table.c.spell)
        untold = [and_(table.c[f"in_{crm}"], table.c[f"stage_{crm}"].is_distinct_from(table.c.stage)) for crm in CRMS]
        differs = and_(table.c.stage.is_not(None), ~table.c.stage_differs, or_(*untold))
        open_things = [has_a_row(query, table) for query in (selling, ticking, given_back, stepped)]
        return or_(and_(~scratch.c.excluded, or_(*fired, *open_things, differs)), and_(scratch.c.excluded, open_things[0]))


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
        Column("fast", Boolean),
        Column("next_change", BigInteger),
        prefixes=["TEMPORARY"],
    )
