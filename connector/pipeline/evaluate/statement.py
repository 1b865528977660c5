"""What the rules say of a slice of contacts, as one statement: fields and counts → criteria → score → transitions and the rest.

Each layer is a subquery that reads only what stands before it. The database computes; Python sees what fired. `evaluate` stores the
result; `connector.reports.rule_breakdown` asks the same expressions part by part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    ColumnElement,
    Double,
    FromClause,
    Select,
    Subquery,
    Table,
    and_,
    case,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    type_coerce,
)

from connector.conditions import Env, answer, earliest, fold, next_change, thresholds
from connector.config.business_time import Calendar
from connector.config.columns import compared_column
from connector.config.names import JUDGED
from connector.config.rule_conditions import RuleCondition, RuleTable, rule_conditions
from connector.config.tables import CalendarRule, Config, Criterion, Transition
from connector.model import FieldType
from connector.store import tables as t
from connector.store.among import among_named
from connector.store.tables import from_micros, to_micros
from connector.workflows import qualification, scope, score
from connector.workflows.score_changes import next_passing
from connector.workflows.suspension import NOTHING, Suspended

link = t.metadata.tables["activity_link"]
touch = t.metadata.tables["touch"]

_TABLES = (RuleTable.TRANSITION, RuleTable.SLA, RuleTable.ASSIGN, RuleTable.REJECTION)


@dataclass(frozen=True, slots=True)
class Flag:
    """One yes-or-no that the statement answers for each contact: what a rule asks after the score.

    suspended: always no, since what it reads is not known.
    """

    asked: RuleCondition
    suspended: bool = False

    @property
    def name(self) -> str:
        """Its column."""
        rule = self.asked
        if rule.rule.table is RuleTable.REJECTION:
            return REJECTING
        if rule.route is not None:
            return route_flag(rule.number, rule.route)
        return flag_name(rule.rule.table, rule.number)


#: What rejection.when says.
REJECTING = "rejecting"


def flag_name(table: RuleTable, number: int) -> str:
    """The column of what a rule asks."""
    return f"{table}_{number}"


def route_flag(number: int, route: int) -> str:
    """The column of what an assignment's route asks."""
    return f"route_{number}_{route}"


def points_column(number: int) -> str:
    """The column of a score rule's points."""
    return f"points_{number}"


def flags_of(config: Config, suspended: Suspended = NOTHING) -> list[Flag]:
    """Everything that rules ask after the score: transitions, clocks, assignment, rejection; a suspended one is never met."""
    asked = [rule for rule in rule_conditions(config) if rule.rule.table in _TABLES]
    return [Flag(rule, suspended.silences(rule.rule)) for rule in asked]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the statement says of one contact; tuples in the file's order, routes by assignment.

    points: by the score rule's id; none where the score is suspended. next_change: the first moment at which any condition could change by
    time alone, None for never.
    """

    transitions: tuple[bool, ...] = ()
    slas: tuple[bool, ...] = ()
    assigns: tuple[bool, ...] = ()
    routes: tuple[tuple[bool, ...], ...] = ()
    rejecting: bool = False
    points: Mapping[str, float] = field(default_factory=dict)
    next_change: datetime | None = None


class AnswerReader:
    """Reads what the statement answered, row by row; made once a pass."""

    def __init__(self, config: Config, columns: Collection[str]) -> None:
        def each(table: RuleTable, rules: Sequence[object]) -> tuple[str, ...]:
            return tuple(flag_name(table, number) for number in range(len(rules)))

        self._transitions, self._slas = each(RuleTable.TRANSITION, config.transitions), each(RuleTable.SLA, config.slas)
        self._assigns = each(RuleTable.ASSIGN, config.assigns)
        self._routes = [
            tuple(route_flag(number, place) for place in range(len(rule.routes))) for number, rule in enumerate(config.assigns)
        ]
        self._rejecting = config.rejection is not None
        points = {rule.id: points_column(number) for number, rule in enumerate(config.score)}
        self._points = {rule: column for rule, column in points.items() if column in columns}

    def read(self, row: Mapping[str, Any]) -> Answers:
        """From a row of the statement's result, by column."""
        return Answers(
            transitions=tuple([row[name] == 1 for name in self._transitions]),
            slas=tuple([row[name] == 1 for name in self._slas]),
            assigns=tuple([row[name] == 1 for name in self._assigns]),
            routes=tuple([tuple([row[name] == 1 for name in names]) for names in self._routes]),
            rejecting=self._rejecting and row[REJECTING] == 1,
            points={rule: row[column] for rule, column in self._points.items()},
            next_change=None if row["next_change"] is None else from_micros(row["next_change"]),
        )


class RuleStatement:
    """The statement for one configuration at one moment. What is suspended is carried over as it was."""

    def __init__(self, config: Config, table: Table, now: datetime, suspended: Suspended = NOTHING) -> None:
        self.config = config
        self.table = table
        self.now = now
        self.suspended = suspended
        self.flags = flags_of(config, suspended)
        self._zone = ZoneInfo(config.timezone)
        self._types: Mapping[str, FieldType] = config.condition_names()
        self._midnight = to_micros(Calendar.of(CalendarRule(), config.timezone).next_midnight(now))

    # ── What conditions read ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def env(self, layer: FromClause, *, later: bool = False) -> Env:
        """The names of conditions as columns of `layer` (the contact table, or a layer of it)."""
        places = {name: compared_column(name, kind) for name, kind in self._types.items() if later or name not in JUDGED}
        columns = {name: _micros_if_moment(layer.c[place], self._types[name]) for name, place in places.items() if place in layer.c}
        columns["stage"] = self._folded_stage(columns["stage"])
        return Env(
            columns=columns,
            types=self._types,
            now=literal(to_micros(self.now), BigInteger),
            timezone=self.config.timezone,
            count_activities=lambda kind, since: _count(layer, kind, since, self.now),
            count_touches=lambda since: _touches(layer, since, self.now, func.count()),
            oldest_activity=lambda kind, since: _oldest(layer, kind, since, self.now),
            next_activity=lambda kind: _next(layer, kind, self.now),
            oldest_touch=lambda since: _touches(layer, since, self.now, func.min(touch.c.at)),
        )

    def _folded_stage(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The stage as conditions compare texts: it stands in its column as the file spells it."""
        spelt = {stage.name: folded for stage in self.config.stages if (folded := fold(stage.name)) != stage.name}
        return case(spelt, value=column, else_=column) if spelt else column

    # ── The layers ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def statement(self) -> Select[Any]:
        """id, excluded, criteria, criteria_met, qualified, score, points, every flag (0 or 1), fast and next_change (microseconds
        or NULL).

        Parameter `ids`: the contacts of the slice.
        """
        scored = self._scored(self._columns_read())
        env = self.env(scored, later=True)
        flags = [(literal(0) if flag.suspended else answer(flag.asked.when, env)).label(flag.name) for flag in self.flags]
        keep = [scored.c[name] for name in ("id", "excluded_now", "criteria_now", "criteria_met", "qualified", "score")]
        points = [scored.c[name] for name in self.points_columns]
        return select(*keep, *points, *flags, self._fast(env).label("fast"), self._next_change(scored, env).label("next_change"))

    def _fast(self, env: Env) -> ColumnElement[bool]:
        """Whether the fast lane may choose the contact."""
        lane = self.config.schedule.fast
        return false() if lane is None or self.suspended.reading(lane.when.names) else answer(lane.when, env) == 1

    @property
    def points_columns(self) -> Sequence[str]:
        """The columns of the single scores; none where the score is suspended."""
        return [] if self.suspended.score else [points_column(number) for number in range(len(self.config.score))]

    def scored(self) -> Subquery:
        """The last layer but the flags: the contact table's columns, excluded_now, criteria_now, criteria_met, qualified, points, score.

        Every condition of the file can be asked on it (`env(scored, later=True)`). Parameter `ids`, as for `statement`.
        """
        return self._scored(list(self.table.c))

    def _columns_read(self) -> list[Column[Any]]:
        """The columns that rules read, and those that are carried on from layer to layer."""
        names = frozenset[str]().union(*(rule.reads for rule in rule_conditions(self.config)))
        read = {compared_column(name, self._types[name]) for name in names if name in self._types}
        return [column for column in self.table.c if column.name in read | _CARRIED]

    def _scored(self, columns: Sequence[Column[Any]]) -> Subquery:
        base = select(*columns).where(among_named(self.table.c.id, "ids")).subquery("b")
        return self._score(self._counted(self._criteria(base)))

    def _criteria(self, base: FromClause) -> CTE:
        """What is judged of the layer before it: each criterion, and whether the contact is out of scope."""
        env = self.env(base)
        kept = {*(qualification.JUDGED if self.suspended.criteria else ()), *(("score",) if self.suspended.score else ())}
        columns = [column for column in base.c if column.name not in JUDGED or column.name in kept]
        met = qualification.met(self._criteria_asked(), env)
        excluded = base.c.excluded if self.suspended.scope else scope.excluded(self.config.scope, env)
        return _computed_once(select(*columns, *met, excluded.label("excluded_now")), "criteria_layer")

    def _criteria_asked(self) -> Sequence[Criterion]:
        return () if self.config.qualification is None or self.suspended.criteria else self.config.qualification.criteria

    def _counted(self, layer: FromClause) -> FromClause:
        if self.suspended.criteria:
            return select(*layer.c, layer.c.criteria.label("criteria_now")).subquery("d")
        criteria = self._criteria_asked()
        counted = qualification.counted(self.config.qualification, criteria, layer)
        others = [column for column in layer.c if column.name not in qualification.columns(criteria)]
        return select(*others, *counted).subquery("d")

    def _score(self, layer: FromClause) -> Subquery:
        if self.suspended.score:
            return select(*layer.c).subquery("score_layer")
        env = self.env(layer, later=True)
        names = self.points_columns
        points = [self.points(number, env).label(name) for number, name in enumerate(names)]
        parts = _computed_once(select(*layer.c, *points), "points_layer")
        total = sum((parts.c[name] for name in names), start=literal(0.0, Double))
        return select(*parts.c, total.label("score")).subquery("score_layer")

    def points(self, number: int, env: Env) -> ColumnElement[Any]:
        """The points that a score rule gives."""
        rule = self.config.score[number]
        met = answer(rule.when, env) == 1

        def column(name: str) -> ColumnElement[Any]:
            return env.columns.get(name, null())

        return score.points(rule, met, column, self.now, self._zone)

    def _next_change(self, layer: FromClause, env: Env) -> ColumnElement[Any]:
        """The first moment after now at which any condition could change by time alone."""
        asked = [rule for rule in rule_conditions(self.config) if rule.when is not None and not self.suspended.silences(rule.rule)]
        moments = [self._changes(rule, layer, env) for rule in asked]
        moments.append(self._score_passes(layer, asked))
        moments.append(type_coerce(layer.c.recount_at, BigInteger))  # a meeting to come is a touch from its start on
        return earliest(moments)

    def _changes(self, rule: RuleCondition, layer: FromClause, env: Env) -> ColumnElement[Any] | None:
        """When what a rule asks may change; of a transition that this contact cannot take, it does not matter."""
        moment = None if rule.when is None else next_change(rule.when, env)
        if moment is None or rule.rule.table is not RuleTable.TRANSITION:
            return moment
        step = self.config.transitions[rule.number]
        return case((may_take(step, layer.c.stage), moment))

    def _score_passes(self, layer: FromClause, asked: Sequence[RuleCondition]) -> ColumnElement[Any]:
        """When a fading score passes a number that a rule compares it with; where one reads it otherwise, whenever it fades."""
        names = self.points_columns
        fading = [(rule, layer.c[name]) for rule, name in zip(self.config.score, names, strict=bool(names)) if score.fades(rule)]
        read = [thresholds(rule.when, "score") for rule in asked if rule.when is not None]
        if None in read:
            fades = or_(*(func.abs(points) >= score.LEAST for _, points in fading)) if fading else false()
            return case((fades, self._midnight))
        numbers = frozenset().union(*(each for each in read if each is not None))
        return next_passing(layer.c.score, fading, numbers, self.now, self._zone)


#: Columns that every layer has, beside those that rules read.
_CARRIED = frozenset({"id", "stage", "excluded", "criteria", "criteria_met", "qualified", "score", "recount_at"})


def _computed_once(layer: Select[Any], name: str) -> CTE:
    """A layer whose columns are computed once, however often what stands after it reads them: SQLite would write them out at each place."""
    return layer.cte(name).prefix_with("MATERIALIZED")


def may_take(step: Transition, stage: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a transition may be taken from this stage."""
    origins = true() if step.from_ is None else func.coalesce(stage, "").in_(step.from_)
    return and_(origins, stage.is_distinct_from(step.to))


def _micros_if_moment(column: ColumnElement[Any], kind: FieldType) -> ColumnElement[Any]:
    """Conditions compute with microseconds, not with datetimes."""
    return type_coerce(column, BigInteger) if kind is FieldType.DATETIME else column


def _about(layer: FromClause, kind: str | None) -> ColumnElement[bool]:
    about = and_(link.c.contact_id == layer.c.id, link.c.counts)
    return about if kind is None else and_(about, link.c.kind == kind)


def _at() -> ColumnElement[int]:
    return type_coerce(link.c.at, BigInteger)


def _count(layer: FromClause, kind: str | None, since: ColumnElement[int], now: datetime) -> ColumnElement[int]:
    inside = and_(_about(layer, kind), _at() >= since, _at() <= to_micros(now))
    return select(func.count(func.distinct(link.c.crm.concat(link.c.id)))).where(inside).correlate(layer).scalar_subquery()


def _oldest(layer: FromClause, kind: str | None, since: ColumnElement[int], now: datetime) -> ColumnElement[int]:
    inside = and_(_about(layer, kind), _at() >= since, _at() <= to_micros(now))
    return select(func.min(_at())).where(inside).correlate(layer).scalar_subquery()


def _next(layer: FromClause, kind: str | None, now: datetime) -> ColumnElement[int]:
    return select(func.min(_at())).where(_about(layer, kind), _at() > to_micros(now)).correlate(layer).scalar_subquery()


def _touches(layer: FromClause, since: ColumnElement[int], now: datetime, what: ColumnElement[Any]) -> ColumnElement[Any]:
    at = type_coerce(touch.c.at, BigInteger)
    inside = and_(touch.c.contact_id == layer.c.id, at >= since, at <= to_micros(now))
    return select(type_coerce(what, BigInteger)).where(inside).correlate(layer).scalar_subquery()
