"""Which rules may say nothing now: those that read a field which is not there, and whatever builds on what they say.

Pure: the states of the fields in, the suspended rules out. A suspended rule concludes nothing: what it said before stands, clocks that run
go on, nothing fires, and nothing is ended by it. When its fields are back, every contact is judged anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.config.columns import name_of
from connector.config.rule_conditions import RuleKey, RuleTable, rule_conditions
from connector.config.tables import Config, Then
from connector.model import CRMS, own_rules
from connector.store.fields import FieldStatus

#: What criteria bring about; what conditions read of it.
_CRITERIA = frozenset({"criteria_met", "qualified"})
_SCORE = frozenset({"score"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    """What is suspended, and by which fields. All of it empty: nothing is.

    fields: column → its state, of those that are not present. rules: column → the names of the rules that read it. transitions, slas: ids;
    assigns: names; undecided: the ids of all rules that propose nothing now, or not everything: what is held of them is neither true nor
    untrue. criteria, score, rejection, scope: as wholes, since each is one sum of its rules. blind: properties without which nobody
    knows who is who and where they stand ("hubspot contacts.lifecyclestage"): then no contact is made, either.
    """

    fields: Mapping[str, FieldStatus]
    rules: Mapping[str, tuple[str, ...]]
    criteria: bool = False
    score: bool = False
    transitions: frozenset[str] = frozenset()
    slas: frozenset[str] = frozenset()
    assigns: frozenset[str] = frozenset()
    rejection: bool = False
    scope: bool = False
    undecided: frozenset[str] = frozenset()
    blind: tuple[str, ...] = ()

    @property
    def halted(self) -> str | None:
        """Why no contact at all may be judged, in words; None where they may."""
        if self.blind:
            return f"{', '.join(self.blind)}: without it nobody knows who is who and in which stage"
        if self.scope:
            scope = {"scope.exclude", "scope.only"}
            read = sorted(named(column) for column, rules in self.rules.items() if scope & set(rules))
            return f"[scope] reads {', '.join(read)}: who is to be judged is not known"
        return None

    def silences(self, rule: RuleKey) -> bool:
        """Whether a rule says nothing now."""
        whole = {
            RuleTable.SCOPE: self.scope,
            RuleTable.CRITERION: self.criteria,
            RuleTable.SCORE: self.score,
            RuleTable.REJECTION: self.rejection,
        }
        by_rule = {RuleTable.TRANSITION: self.transitions, RuleTable.SLA: self.slas, RuleTable.ASSIGN: self.assigns}
        return whole.get(rule.table, False) or rule.id in by_rule.get(rule.table, frozenset())

    def reading(self, names: Collection[str]) -> list[str]:
        """Those of these names of conditions that nobody knows now, in order."""
        unknown = unknown_names(self)
        return sorted(name for name in names if name in unknown)

    def document(self) -> list[dict[str, Any]]:
        """As JSON prints it: {"field", "state", "rules"}."""
        return [{"field": named(column), "state": state, "rules": list(self.rules[column])} for column, state in self.fields.items()]


#: Nothing is suspended.
NOTHING = Suspended(fields={}, rules={})


def of(config: Config, states: Mapping[str, FieldStatus], blind: Iterable[str] = ()) -> Suspended:
    """What is suspended while the columns that the file needs are in these states. blind: see `Suspended`."""
    fields = {column: status for column, status in states.items() if status != "present"}
    stopped = tuple(blind)
    if not fields and not stopped:
        return NOTHING
    hit = _hit(config, {named(column) for column in fields})
    return Suspended(
        fields=fields,
        rules={column: _hit(config, {named(column)}).names for column in fields},
        criteria=hit.any_of(RuleTable.CRITERION),
        score=hit.any_of(RuleTable.SCORE),
        transitions=hit.of(RuleTable.TRANSITION),
        slas=hit.of(RuleTable.SLA),
        assigns=hit.of(RuleTable.ASSIGN),
        rejection=hit.any_of(RuleTable.REJECTION),
        scope=hit.any_of(RuleTable.SCOPE),
        undecided=hit.of(RuleTable.TRANSITION) | _waiting(config, hit),
        blind=stopped,
    )


def _waiting(config: Config, hit: _Hit) -> frozenset[str]:
    """Clocks that are not asked or may not say to whom something goes, and the rejection where it is so."""
    assigns, clocks = hit.of(RuleTable.ASSIGN), set(hit.of(RuleTable.SLA))
    clocks |= {rule.id for rule in config.slas if gives_to((*rule.on_warn, *rule.on_breach), assigns)}
    rule = config.rejection
    stuck = rule is not None and (hit.any_of(RuleTable.REJECTION) or gives_to(rule.missing_reason, assigns))
    return frozenset(clocks | ({own_rules.REJECTION} if stuck else set()))


def rules_reading(config: Config, field: str) -> tuple[str, ...]:
    """The rules that a field bears on, read by itself or on one side, by the names that people know."""
    return _hit(config, {field, *(f"{crm}.{field}" for crm in CRMS)}).names


def gives_to(then: Iterable[Then], assigns: Collection[str]) -> bool:
    """Whether actions ask one of these [assign] rules: who gets the contact is not known, so that they wait as a whole."""
    return any(action.assign in assigns for action in then if action.assign is not None)


def unknown_names(suspended: Suspended) -> frozenset[str]:
    """The names of conditions whose value nobody knows now."""
    fields = frozenset(named(column) for column in suspended.fields)
    return fields | (_CRITERIA if suspended.criteria else frozenset()) | (_SCORE if suspended.score else frozenset())


def named(column: str) -> str:
    """A field's column by the name that conditions use for it."""
    return name_of(column) or column


# ── Who reads what ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Hit:
    """The rules that some unknown names suspend, in the file's order, each with its name as people know it."""

    rules: Mapping[RuleKey, str]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.rules.values())

    def of(self, table: RuleTable) -> frozenset[str]:
        """The ids of one table's."""
        return frozenset(rule.id for rule in self.rules if rule.table is table)

    def any_of(self, table: RuleTable) -> bool:
        """Whether any of one table's is among them."""
        return any(rule.table is table for rule in self.rules)


def _hit(config: Config, names: Collection[str]) -> _Hit:
    """Those that read one of the names, then what builds on them."""
    asked = [rule for rule in rule_conditions(config) if rule.rule.table is not RuleTable.FAST_LANE]
    unknown = set(names)
    for table, brought_about in ((RuleTable.CRITERION, _CRITERIA), (RuleTable.SCORE, _SCORE)):
        if any(rule.rule.table is table and unknown & rule.reads for rule in asked):
            unknown |= brought_about
    hit = {rule.rule: rule.name for rule in asked if unknown & rule.reads}
    assigns = {rule.id for rule in hit if rule.table is RuleTable.ASSIGN}
    waiting = [step for step in config.transitions if gives_to(step.then, assigns)]
    return _Hit(hit | {RuleKey(RuleTable.TRANSITION, step.id): step.name for step in waiting})
