"""Which rules may say nothing now: those that read a field which is not there, and whatever builds on what they say.

Pure: the states of the fields in, the suspended rules out. A suspended rule concludes nothing: what it said before stands, clocks that run
go on, nothing fires, and nothing is ended by it. When its fields are back, every contact is judged anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connector.config.names import COMPUTED
from connector.config.tables import Config, Then
from connector.model import CRMS
from connector.store.fields import FieldStatus
from connector.workflows.fields import side_column

#: What criteria bring about; what conditions read of it.
_CRITERIA = frozenset({"criteria_met", "qualified"})
_SCORE = frozenset({"score"})
_REJECTION = "rejection"
_SCOPE = ("scope.exclude", "scope.only")


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
            read = sorted(named(column) for column, rules in self.rules.items() if set(_SCOPE) & set(rules))
            return f"[scope] reads {', '.join(read)}: who is to be judged is not known"
        return None

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
        rules={column: _shown(config, _hit(config, {named(column)})) for column in fields},
        criteria=hit.criteria,
        score=hit.score,
        transitions=hit.of("transition"),
        slas=hit.of("sla"),
        assigns=hit.of("assign"),
        rejection=_REJECTION in hit.keys,
        scope=any(name in hit.keys for name in _SCOPE),
        undecided=hit.of("transition") | _waiting(config, hit),
        blind=stopped,
    )


def _waiting(config: Config, hit: _Hit) -> frozenset[str]:
    """Clocks that are not asked or may not say to whom something goes, and the rejection where it is so."""
    assigns = hit.of("assign")
    clocks = {rule.id for rule in config.slas if rule.id in hit.of("sla") or gives_to((*rule.on_warn, *rule.on_breach), assigns)}
    rule = config.rejection
    stuck = rule is not None and (_REJECTION in hit.keys or gives_to(rule.missing_reason, assigns))
    return frozenset(clocks | ({_REJECTION} if stuck else set()))


def rules_reading(config: Config, field: str) -> tuple[str, ...]:
    """The rules that a field bears on, read by itself or on one side, by the names that people know."""
    return _shown(config, _hit(config, {field, *(f"{crm}.{field}" for crm in CRMS)}))


def gives_to(then: Iterable[Then], assigns: Collection[str]) -> bool:
    """Whether actions ask one of these [assign] rules: who gets the contact is not known, so that they wait as a whole."""
    return any(action.assign in assigns for action in then if action.assign is not None)


def unknown_names(suspended: Suspended) -> frozenset[str]:
    """The names of conditions whose value nobody knows now."""
    fields = frozenset(named(column) for column in suspended.fields)
    return fields | (_CRITERIA if suspended.criteria else frozenset()) | (_SCORE if suspended.score else frozenset())


def named(column: str) -> str:
    """A column by the name that conditions use for it."""
    side = {crm[0]: f"{crm}." for crm in CRMS}.get(column[0], "")
    return side + column[2:]


def column_of(name: str) -> str:
    """The column that holds what a name of conditions reads, as it came."""
    if name in COMPUTED:
        return name
    crm, dot, bare = name.partition(".")
    return side_column(crm, bare) if dot else f"f_{name}"


# ── Who reads what ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Hit:
    """The rules that some unknown names suspend, by their keys; whether criteria and score are among them."""

    keys: tuple[str, ...]
    criteria: bool
    score: bool

    def of(self, kind: str) -> frozenset[str]:
        """The ids of one kind."""
        return frozenset(key.partition(":")[2] for key in self.keys if key.startswith(f"{kind}:"))


def _hit(config: Config, names: Collection[str]) -> _Hit:
    """Those that read one of the names, then what builds on them; in the file's order."""
    reading, unknown = dict(_readers(config)), set(names)
    criteria = any(key.startswith("criterion:") and unknown & read for key, read in reading.items())
    unknown |= _CRITERIA if criteria else set()
    score = any(key.startswith("score:") and unknown & read for key, read in reading.items())
    unknown |= _SCORE if score else set()
    hit = [key for key, read in reading.items() if unknown & read]
    assigns = {key.partition(":")[2] for key in hit if key.startswith("assign:")}
    waiting = [f"transition:{rule.id}" for rule in config.transitions if gives_to(rule.then, assigns)]
    hit += [key for key in waiting if key not in hit]
    return _Hit(tuple(hit), criteria, score)


def _shown(config: Config, hit: _Hit) -> tuple[str, ...]:
    """Their names as people know them."""
    criteria = () if config.qualification is None else config.qualification.criteria
    kinds = (("criterion", criteria), ("score", config.score), ("transition", config.transitions), ("sla", config.slas))
    names = {f"{kind}:{rule.id}": rule.name for kind, rules in kinds for rule in rules}
    names |= {f"assign:{rule.name}": f"assign.{rule.name}" for rule in config.assigns}
    return tuple(names.get(key, key) for key in hit.keys)


def _readers(config: Config) -> Iterator[tuple[str, frozenset[str]]]:
    """Each rule of the file with the names that it reads; its key says what it is."""
    for key, when in zip(_SCOPE, (config.scope.exclude, config.scope.only), strict=True):
        if when is not None:
            yield key, when.names
    if config.qualification is not None:
        yield from ((f"criterion:{rule.id}", rule.when.names) for rule in config.qualification.criteria)
    for rule in config.score:
        yield f"score:{rule.id}", rule.when.names | {name for name in (rule.since, rule.times) if name is not None}
    yield from ((f"transition:{step.id}", step.when.names | set(step.again_if_changed)) for step in config.transitions)
    yield from ((f"sla:{sla.id}", sla.when.names) for sla in config.slas if sla.when is not None)
    for assign in config.assigns:
        asked = [assign.only_if, *(route.when for route in assign.routes)]
        yield f"assign:{assign.name}", frozenset(name for when in asked if when is not None for name in when.names)
    if config.rejection is not None:
        yield _REJECTION, config.rejection.when.names | {config.rejection.reason}
