"""What the rules say of a slice of contacts, as one statement: fields and counts → criteria → score → transitions and the rest.

Each layer is a subquery that reads only what stands before it. The database computes; Python sees what fired. `evaluate` stores the
result; `connector.reports.explain` asks the same expressions part by part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    Select,
    Table,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from connector import conditions
from connector.conditions import Condition, Env, fold, next_change
from connector.config.business_time import Calendar
from connector.config.tables import CalendarRule, Config, Criterion
from connector.model import FieldType
from connector.store import tables as t
from connector.store.tables import to_micros
from connector.workflows import score
from connector.workflows.fields import side_column
from connector.workflows.suspension import NOTHING, Suspended

link = t.metadata.tables["activity_link"]
touch = t.metadata.tables["touch"]

#: Names that conditions read which are not fields: name → column of `contact`.
_COMPUTED = ("stage", "stage_since", "attempt", "owner", "owner_queue", "assigned_at", "first_touch_at", "last_touch_at", "touch_count",
             "touch_channels", "rejected_before", "in_hubspot", "in_salesforce")  # fmt: skip
_JUDGED = ("criteria_met", "qualified")
_LATER = (*_JUDGED, "score")
_NEVER = 2**62


@dataclass(frozen=True, slots=True)
class Flag:
    """One yes-or-no that the statement answers for each contact: `name` its column, `when` its condition (None: always yes).

    suspended: always no, since what it reads is not known.
    """

    name: str
    when: Condition | None
    suspended: bool = False


def flags_of(config: Config, suspended: Suspended = NOTHING) -> list[Flag]:
    """Everything that rules ask after the score: transitions, rejection, clocks, assignment; a suspended one is never met."""
    return [replace(flag, suspended=True) if _waits(config, flag, suspended) else flag for flag in _flags(config)]


def _waits(config: Config, flag: Flag, suspended: Suspended) -> bool:
    kind, _, rest = flag.name.partition("_")
    if kind == "rejecting":
        return suspended.rejection
    number = int(rest.partition("_")[0])
    if kind == "transition":
        return config.transitions[number].id in suspended.transitions
    if kind == "sla":
        return config.slas[number].id in suspended.slas
    return config.assigns[number].name in suspended.assigns


def _flags(config: Config) -> list[Flag]:
    flags = [Flag(f"transition_{number}", rule.when) for number, rule in enumerate(config.transitions)]
    flags += [Flag(f"sla_{number}", rule.when) for number, rule in enumerate(config.slas)]
    for number, assign in enumerate(config.assigns):
        flags.append(Flag(f"assign_{number}", assign.only_if))
        flags += [Flag(f"route_{number}_{place}", route.when) for place, route in enumerate(assign.routes)]
    if config.rejection is not None:
        flags.append(Flag("rejecting", config.rejection.when))
    return flags


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

    def env(self, row: Any, *, later: bool = False) -> Env:
        """The names of conditions as columns of `row` (the contact table, or a layer of it)."""
        columns = {name: _micros_if_moment(row.c[self._column(name)], kind) for name, kind in self._types.items() if self._has(row, name)}
        columns["stage"] = self._folded_stage(columns["stage"])
        if not later:
            columns = {name: column for name, column in columns.items() if name not in _LATER}
        return Env(
            columns=columns,
            types=self._types,
            now=literal(to_micros(self.now), BigInteger),
            timezone=self.config.timezone,
            count_activities=lambda kind, since: _count(row, kind, since, self.now),
            count_touches=lambda since: _touches(row, since, self.now, func.count()),
            oldest_activity=lambda kind, since: _oldest(row, kind, since, self.now),
            next_activity=lambda kind: _next(row, kind, self.now),
            oldest_touch=lambda since: _touches(row, since, self.now, func.min(touch.c.at)),
        )

    def _folded_stage(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The stage as conditions compare texts: it stands in its column as the file spells it."""
        spelt = {stage.name: folded for stage in self.config.stages if (folded := fold(stage.name)) != stage.name}
        return case(spelt, value=column, else_=column) if spelt else column

    def _has(self, row: Any, name: str) -> bool:
        return self._column(name) in row.c

    def _column(self, name: str) -> str:
        """The column of a name: a field's folded twin where it is text."""
        if name in _COMPUTED or name in _LATER:
            return name
        crm, dot, bare = name.partition(".")
        column = side_column(crm, bare) if dot else f"f_{name}"
        return f"{column}_folded" if self._types[name].textual else column

    # ── The layers ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def statement(self) -> Select[Any]:
        """id, excluded, criteria, criteria_met, qualified, score, every flag (0 or 1) and next_change (microseconds or NULL).

        Parameter `ids`: the contacts of the slice.
        """
        scored = self.scored()
        env = self.env(scored, later=True)
        flags = [(literal(0) if flag.suspended else _yes(self._condition(flag.when, env))).label(flag.name) for flag in self.flags]
        keep = [scored.c[name] for name in ("id", "excluded_now", "criteria_now", "criteria_met", "qualified", "score")]
        return select(*keep, *flags, self._next_change(scored, env).label("next_change"))

    def scored(self) -> Any:
        """The last layer but the flags: the columns of the contact table, excluded_now, criteria_now, criteria_met, qualified, score.

        Every condition of the file can be asked on it (`env(scored, later=True)`). Parameter `ids`, as for `statement`.
        """
        base = select(self.table).where(self.table.c.id.in_(bindparam("ids", expanding=True))).subquery("b")
        return self._score(self._counted(self._criteria(base)))

    def _criteria(self, base: Any) -> Any:
        env = self.env(base)
        rules = self._criteria_asked()
        kept = {*(_JUDGED if self.suspended.criteria else ()), *(("score",) if self.suspended.score else ())}
        columns = [column for column in base.c if column.name not in _LATER or column.name in kept]
        met = [_yes(self._condition(rule.when, env)).label(f"criterion_{number}") for number, rule in enumerate(rules)]
        excluded = base.c.excluded if self.suspended.scope else self._excluded(env)
        return select(*columns, *met, excluded.label("excluded_now")).subquery("c")

    def _excluded(self, env: Env) -> ColumnElement[Any]:
        scope = self.config.scope
        out = false() if scope.exclude is None else _yes(self._condition(scope.exclude, env)) == 1
        return out if scope.only is None else or_(out, _yes(self._condition(scope.only, env)) == 0)

    def _criteria_asked(self) -> Sequence[Criterion]:
        return () if self.config.qualification is None or self.suspended.criteria else self.config.qualification.criteria

    def _counted(self, layer: Any) -> Any:
        if self.suspended.criteria:
            return select(*layer.c, layer.c.criteria.label("criteria_now")).subquery("d")
        rules = self._criteria_asked()
        names = [f"criterion_{number}" for number in range(len(rules))]
        met = sum((layer.c[name] for name in names), start=literal(0))
        text = literal("") if not names else _concat([cast(layer.c[name], t.exact()) for name in names])
        minimum = 0 if self.config.qualification is None else self.config.qualification.minimum
        others = [column for column in layer.c if column.name not in names]
        qualified = (met >= minimum) if self.config.qualification is not None else false()
        return select(*others, text.label("criteria_now"), met.label("criteria_met"), qualified.label("qualified")).subquery("d")

    def _score(self, layer: Any) -> Any:
        if self.suspended.score:
            return select(*layer.c, literal(0).label("fading")).subquery("f")
        env = self.env(layer, later=True)
        parts = [self.points(number, env).label(f"points_{number}") for number in range(len(self.config.score))]
        with_parts = select(*layer.c, *parts).subquery("e")
        names = [f"points_{number}" for number in range(len(parts))]
        total = sum((with_parts.c[name] for name in names), start=literal(0.0, Double))
        fading = [
            case((func.abs(with_parts.c[f"points_{number}"]) >= score.LEAST, 1), else_=0)
            for number, rule in enumerate(self.config.score)
            if score.fades(rule)
        ]
        others = [column for column in with_parts.c if column.name not in names]
        return select(*others, total.label("score"), sum(fading, start=literal(0)).label("fading")).subquery("f")

    def points(self, number: int, env: Env) -> ColumnElement[Any]:
        """The points that a score rule gives."""
        rule = self.config.score[number]
        met = _yes(self._condition(rule.when, env)) == 1

        def column(name: str) -> ColumnElement[Any]:
            return env.columns.get(name, null())

        result: ColumnElement[Any] = score.points(rule, met, column, self.now, self._zone)
        return result

    def _condition(self, condition: Condition | None, env: Env) -> ColumnElement[bool]:
        if condition is None:
            return true()
        return conditions.compile(condition, env)

    def _next_change(self, row: Any, env: Env) -> ColumnElement[Any]:
        """The first moment after now at which any condition could change by time alone."""
        conditions = [flag.when for flag in self.flags if not flag.suspended]
        conditions += [] if self.suspended.score else [rule.when for rule in self.config.score]
        conditions += [rule.when for rule in self._criteria_asked()]
        conditions += [self.config.scope.exclude, self.config.scope.only]
        moments = [next_change(condition, env) for condition in conditions if condition is not None]
        moments.append(case((row.c.fading > 0, self._midnight)))
        moments.append(_next(row, None, self.now))  # a meeting to come is a touch from its start on
        return least([moment for moment in moments if moment is not None])


class _Least(FunctionElement[Any]):
    """The least of several values, none of them NULL."""

    type = BigInteger()
    inherit_cache = True
    name = "least"


@compiles(_Least, "sqlite")
def _least_sqlite(element: _Least, compiler: SQLCompiler, **options: Any) -> str:
    return f"min({compiler.process(element.clauses, **options)})"


@compiles(_Least, "postgresql")
def _least_postgresql(element: _Least, compiler: SQLCompiler, **options: Any) -> str:
    return f"least({compiler.process(element.clauses, **options)})"


def least(moments: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    """The least of moments that may be NULL; NULL where all are. Alike in both databases."""
    never = literal(_NEVER, BigInteger)
    return func.nullif(_Least(never, never, *(func.coalesce(moment, never) for moment in moments)), never)


def _yes(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """1 where a condition is met, 0 where it is not or says nothing."""
    return case((condition, 1), else_=0)


def _concat(parts: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.concat(part)
    return whole


def _micros_if_moment(column: ColumnElement[Any], kind: FieldType) -> ColumnElement[Any]:
    """Conditions compute with microseconds, not with datetimes."""
    return type_coerce(column, BigInteger) if kind is FieldType.DATETIME else column


def _about(row: Any, kind: str | None) -> ColumnElement[bool]:
    about = and_(link.c.contact_id == row.c.id, link.c.counts)
    return about if kind is None else and_(about, link.c.kind == kind)


def _at() -> ColumnElement[int]:
    return type_coerce(link.c.at, BigInteger)


def _count(row: Any, kind: str | None, since: ColumnElement[int], now: datetime) -> ColumnElement[int]:
    inside = and_(_about(row, kind), _at() >= since, _at() <= to_micros(now))
    return select(func.count(func.distinct(link.c.crm.concat(link.c.id)))).where(inside).correlate(row).scalar_subquery()


def _oldest(row: Any, kind: str | None, since: ColumnElement[int], now: datetime) -> ColumnElement[int]:
    inside = and_(_about(row, kind), _at() >= since, _at() <= to_micros(now))
    return select(func.min(_at())).where(inside).correlate(row).scalar_subquery()


def _next(row: Any, kind: str | None, now: datetime) -> ColumnElement[int]:
    return select(func.min(_at())).where(_about(row, kind), _at() > to_micros(now)).correlate(row).scalar_subquery()


def _touches(row: Any, since: ColumnElement[int], now: datetime, what: ColumnElement[Any]) -> ColumnElement[Any]:
    at = type_coerce(touch.c.at, BigInteger)
    inside = and_(touch.c.contact_id == row.c.id, at >= since, at <= to_micros(now))
    return select(type_coerce(what, BigInteger)).where(inside).correlate(row).scalar_subquery()
