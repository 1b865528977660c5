"""Every condition of the file, each with the rule that asks it: the one list that whoever goes through conditions goes through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from connector.conditions import Condition
from connector.config.settings import Values
from connector.config.tables import Assign, Config, ScoreRule, Transition


class RuleTable(StrEnum):
    """The table of the file that a condition stands in."""

    SCOPE = "scope"
    CRITERION = "criterion"
    SCORE = "score"
    TRANSITION = "transition"
    SLA = "sla"
    ASSIGN = "assign"
    REJECTION = "rejection"
    FAST_LANE = "schedule.fast"


class RuleKey(NamedTuple):
    """One rule of the file. id: of a rule that has one, else its name or key; "" where the table is one rule."""

    table: RuleTable
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCondition:
    """One condition of the file, or the place of one that a rule leaves out (`when` None: always met).

    name: the rule's, as people know it. table, key: the values that it stands in, and its key there. number: the rule's place in its
    table. route: the place of an assignment's route, None for the assignment's own condition. beside: names that the rule reads beside
    the condition.
    """

    rule: RuleKey
    name: str
    when: Condition | None
    table: Values
    key: tuple[str | int, ...] = ("when",)
    number: int = 0
    route: int | None = None
    beside: frozenset[str] = frozenset()

    @property
    def reads(self) -> frozenset[str]:
        """Every name that the rule reads here."""
        return self.beside if self.when is None else self.beside | self.when.names


def rule_conditions(config: Config) -> Iterator[RuleCondition]:
    """Every condition, in the order in which a pass asks them; a table's in the file's order."""
    yield from _scope(config)
    yield from _criteria(config)
    for number, score in enumerate(config.score):
        yield _score(number, score)
    for number, step in enumerate(config.transitions):
        yield _transition(number, step)
    for number, sla in enumerate(config.slas):
        yield RuleCondition(rule=RuleKey(RuleTable.SLA, sla.id), name=sla.name, when=sla.when, table=sla, number=number)
    for number, assign in enumerate(config.assigns):
        yield from _assignment(number, assign)
    yield from _rejection(config)
    yield from _fast_lane(config)


def judging_conditions(config: Config) -> list[tuple[RuleKey, Condition]]:
    """Every condition that judges contacts: all but the fast lane's, which only chooses whom to judge early."""
    asked = (rule for rule in rule_conditions(config) if rule.rule.table is not RuleTable.FAST_LANE)
    return [(rule.rule, rule.when) for rule in asked if rule.when is not None]


def _scope(config: Config) -> Iterator[RuleCondition]:
    for number, (key, when) in enumerate((("exclude", config.scope.exclude), ("only", config.scope.only))):
        if when is not None:
            rule = RuleKey(RuleTable.SCOPE, key)
            yield RuleCondition(rule=rule, name=f"scope.{key}", when=when, table=config.scope, key=(key,), number=number)


def _criteria(config: Config) -> Iterator[RuleCondition]:
    criteria = () if config.qualification is None else config.qualification.criteria
    for number, rule in enumerate(criteria):
        yield RuleCondition(rule=RuleKey(RuleTable.CRITERION, rule.id), name=rule.name, when=rule.when, table=rule, number=number)


def _score(number: int, rule: ScoreRule) -> RuleCondition:
    key, beside = RuleKey(RuleTable.SCORE, rule.id), frozenset(name for name in (rule.since, rule.times) if name is not None)
    return RuleCondition(rule=key, name=rule.name, when=rule.when, table=rule, number=number, beside=beside)


def _transition(number: int, rule: Transition) -> RuleCondition:
    key, beside = RuleKey(RuleTable.TRANSITION, rule.id), frozenset(rule.again_if_changed)
    return RuleCondition(rule=key, name=rule.name, when=rule.when, table=rule, number=number, beside=beside)


def _assignment(number: int, rule: Assign) -> Iterator[RuleCondition]:
    key, name = RuleKey(RuleTable.ASSIGN, rule.name), f"assign.{rule.name}"
    yield RuleCondition(rule=key, name=name, when=rule.only_if, table=rule, key=("only_if",), number=number)
    for place, route in enumerate(rule.routes):
        there = ("routes", place, "when")
        yield RuleCondition(rule=key, name=name, when=route.when, table=rule, key=there, number=number, route=place)


def _rejection(config: Config) -> Iterator[RuleCondition]:
    rule = config.rejection
    if rule is not None:
        key, beside = RuleKey(RuleTable.REJECTION, ""), frozenset({rule.reason})
        yield RuleCondition(rule=key, name="rejection", when=rule.when, table=rule, beside=beside)


def _fast_lane(config: Config) -> Iterator[RuleCondition]:
    lane = config.schedule.fast
    if lane is not None:
        key, there = RuleKey(RuleTable.FAST_LANE, ""), ("fast", "when")
        yield RuleCondition(rule=key, name="schedule.fast", when=lane.when, table=config.schedule, key=there)
