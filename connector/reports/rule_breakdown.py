"""What the rules say of one contact, part by part: the same expressions that judge everybody, asked one by one.

Every part of a condition comes with its present value and whether it holds, also of the rule that did not fire. `explain` adds the rest;
`checks.examples` says with it why an example failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, select

from connector import conditions
from connector.conditions import Condition, Env, Part
from connector.config.columns import column_of
from connector.config.tables import Config
from connector.model import FieldType
from connector.pipeline.evaluate.statement import RuleStatement
from connector.store.tables import from_micros
from connector.workflows.suspension import NOTHING, Suspended

#: Expressions asked in one statement: both databases have a limit to the columns of a result.
_TOGETHER = 200

Parts = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Reason:
    """A condition of the file for one contact: whether it is met, and its parts: [{"text", "value", "met"}]."""

    met: bool
    parts: Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """Everything that the rules ask of one contact, as of one moment; lists in the file's order.

    row: the contact's own columns, with excluded_now, criteria_met, qualified and score as of that moment.
    points: what each score rule gives, unrounded. exclude, only: None where the file has no such condition.
    """

    row: Mapping[str, Any]
    exclude: Reason | None
    only: Reason | None
    criteria: Sequence[Reason]
    scores: Sequence[Reason]
    points: Sequence[float]
    transitions: Sequence[Reason]
    slas: Sequence[Reason]
    rejection: Reason | None


def reasons(connection: Connection, config: Config, table: Table, contact: int, now: datetime, suspended: Suspended = NOTHING) -> Reasons:
    """Asks the database. A field that has no column in `table` reads as empty; what is suspended is as it was when last judged."""
    evaluation = RuleStatement(config, table, now, suspended)
    layer = evaluation.scored()
    asking = _Asking(evaluation.env(layer, later=True))
    scope, qualification = config.scope, config.qualification
    exclude, only = asking.add(scope.exclude), asking.add(scope.only)
    criteria = [asking.add(rule.when) for rule in (() if qualification is None else qualification.criteria)]
    scores = [asking.add(rule.when) for rule in config.score]
    points = [asking.ask(evaluation.points(number, asking.env)) for number in range(len(config.score))]
    transitions = [asking.add(rule.when) for rule in config.transitions]
    slas = [asking.add(rule.when) for rule in config.slas]
    rejecting = asking.add(None if config.rejection is None else config.rejection.when)
    row = dict(connection.execute(select(layer), {"ids": [contact]}).mappings().one())
    answers = asking.answers(connection, layer, contact)
    told = _Telling(row, config.condition_names(), answers)
    return Reasons(
        row=row,
        exclude=None if scope.exclude is None else told.reason(exclude),
        only=None if scope.only is None else told.reason(only),
        criteria=[told.reason(asked) for asked in criteria],
        scores=[told.reason(asked) for asked in scores],
        points=[float(answers[name]) for name in points],
        transitions=[told.reason(asked) for asked in transitions],
        slas=[told.reason(asked) for asked in slas],
        rejection=None if config.rejection is None else told.reason(rejecting),
    )


def present(value: Any, kind: FieldType) -> Any:
    """A stored value as people read it: moments as datetimes (UTC), several choices as a list."""
    if value is None:
        return None
    if kind is FieldType.DATETIME and isinstance(value, int):
        return from_micros(value)
    if kind is FieldType.CHOICES:
        return [choice for choice in str(value).split(";") if choice]
    return value


@dataclass(frozen=True, slots=True)
class _Asked:
    """Where the answers for one condition will be: its own, and of each part the value's (None: it has none) and whether it is met."""

    met: str
    parts: Sequence[tuple[Part, str | None, str]]


@dataclass(slots=True)
class _Asking:
    """Collects the expressions to ask for; each gets a name by which its answer is found."""

    env: Env
    _expressions: list[ColumnElement[Any]] = field(default_factory=list)

    def ask(self, expression: ColumnElement[Any]) -> str:
        """The name under which the expression's answer will stand."""
        name = f"a{len(self._expressions)}"
        self._expressions.append(expression.label(name))
        return name

    def add(self, condition: Condition | None) -> _Asked:
        """A condition and its parts; no condition is always met."""
        if condition is None:
            return _Asked(self.ask(conditions.answer(None, self.env)), ())
        parts = [self._part(part) for part in conditions.parts(condition)]
        return _Asked(self.ask(conditions.answer(condition, self.env)), parts)

    def _part(self, part: Part) -> tuple[Part, str | None, str]:
        value = None if part.name is not None else part.value(self.env)
        return part, None if value is None else self.ask(value), self.ask(conditions.one_if(part.met(self.env)))

    def answers(self, connection: Connection, layer: Any, contact: int) -> dict[str, Any]:
        """Every answer by its name."""
        found: dict[str, Any] = {}
        for start in range(0, len(self._expressions), _TOGETHER):
            statement = select(*self._expressions[start : start + _TOGETHER]).select_from(layer)
            found |= connection.execute(statement, {"ids": [contact]}).mappings().one()
        return found


@dataclass(frozen=True, slots=True)
class _Telling:
    """Turns answers into what is shown."""

    row: Mapping[str, Any]
    types: Mapping[str, FieldType]
    answers: Mapping[str, Any]

    def reason(self, asked: _Asked) -> Reason:
        """The condition with its parts."""
        parts = [
            {"text": part.text, "value": self._value(part.name, value), "met": self.answers[met] == 1} for part, value, met in asked.parts
        ]
        return Reason(self.answers[asked.met] == 1, parts)

    def _value(self, name: str | None, answer: str | None) -> Any:
        """A field as it came, not its folded twin; of anything else what the database computed."""
        if name == "score" and self.row[name] is not None:
            return round(float(self.row[name]), 2)  # compared unrounded, shown to two decimals
        if name is not None:
            return present(self.row.get(column_of(name)), self.types[name])
        return None if answer is None else self.answers[answer]

