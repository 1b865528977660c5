"""The guard rails: how much one rule may do within a window, and what is held for approval beyond it. Pure.

How much is wanted and how much was done already is counted by `connector.store`; everything else about a rail is here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, TypeVar, cast

from connector.config.tables import Guard
from connector.model import CrmName, Kind
from connector.store.ledger import Amount, RuleKind

#: Which guard rail of the file counts which kind of action.
RAILS: Mapping[Kind, str] = {Kind.SET_STAGE: "stage_changes", Kind.ASSIGN: "assign", Kind.CREATE_TASK: "tasks"}
#: Stages that go down have a rail of their own.
BACKWARD = "backward"


class BundlePart(Protocol):
    """What a rail looks at of an action."""

    @property
    def bundle(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def rule(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def backward(self) -> bool: ...


P = TypeVar("P", bound=BundlePart)


@dataclass(frozen=True, slots=True)
class Rail:
    """One rail of a rule: how much is wanted, how much was used, and the limit; in actions or in contacts."""

    wanted: int
    used: int
    limit: int

    @property
    def beyond(self) -> bool:
        """Whether it is more than may be."""
        return self.used + self.wanted > self.limit

    @property
    def fullness(self) -> float:
        """How far it is used up: 1.0 at its end."""
        return (self.used + self.wanted) / max(self.limit, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rails:
    """How the rails stand. by_name: "rule/kind" and "rule/backward"; beyond: the rules and kinds that are held."""

    by_name: Mapping[str, Rail]
    beyond: Collection[tuple[str, Kind]]

    def report(self, held: Amount) -> dict[str, dict[str, int]]:
        """As `Plan.guard` shows them. held: what waits by now."""
        return {
            name: {"wanted": rail.wanted, "used": rail.used, "rail": rail.limit, "held": held.actions[_of_name(name)]}
            for name, rail in self.by_name.items()
        }


def _of_name(name: str) -> RuleKind:
    rule, _, kind = name.rpartition("/")
    return rule, kind


def enough_contacts(guard: Guard) -> int:
    """So many contacts in scope, or more, and the rails say the same: the share is then nearer to no rule's end than its actions are.

    A contact has at least one action: where the share is as large as the largest rail of actions, the actions alone tell.
    """
    rails = (*(getattr(guard, name) for name in RAILS.values()), guard.backward)
    return math.ceil(max(rails) / guard.rule_share) + 1 if guard.rule_share else 1


def rails_of(groups: Iterable[tuple[str, Kind]], wanted: Amount, used: Amount, guard: Guard, contacts_in_scope: int) -> Rails:
    """The rails of these rules and kinds. wanted: actions, and contacts to whom nothing of it was done yet; with what waits for approval.

    used: what was done within the window. contacts_in_scope: at least `enough_contacts` stands for all that are more.
    """
    share = max(1, math.ceil(contacts_in_scope * guard.rule_share - 1e-9))
    by_name: dict[str, Rail] = {}
    beyond: set[tuple[str, Kind]] = set()
    for rule, kind in sorted(groups):
        if kind not in RAILS:
            continue
        of_group = {f"{rule}/{kind}": _nearer((rule, kind), wanted, used, getattr(guard, RAILS[kind]), share)}
        if kind is Kind.SET_STAGE and wanted.actions[rule, BACKWARD]:
            of_group[f"{rule}/{BACKWARD}"] = _nearer((rule, BACKWARD), wanted, used, guard.backward, share)
        by_name |= of_group
        if any(rail.beyond for rail in of_group.values()):
            beyond.add((rule, kind))
    return Rails(by_name=by_name, beyond=beyond)


def _nearer(group: RuleKind, wanted: Amount, used: Amount, limit: int, share: int) -> Rail:
    """Of the rail of actions and the rail of contacts the one nearer to its end.

    A stage that is written in two CRMs is two actions to one contact.
    """
    actions = Rail(wanted=wanted.actions[group], used=used.actions[group], limit=limit)
    contacts = Rail(wanted=wanted.contacts[group], used=used.contacts[group], limit=share)
    return max(actions, contacts, key=lambda rail: rail.fullness)


def held_parts(parts: Sequence[P], beyond: Collection[tuple[str, Kind]]) -> list[tuple[P, tuple[str, Kind]]]:
    """The parts that are held, each with the rule and kind for which it is: those beyond a rail, and those behind them in their bundles.

    The parts of one bundle stand together, in their order.
    """
    held: list[tuple[P, tuple[str, Kind]]] = []
    for _, bundle in groupby(parts, key=lambda part: part.bundle):
        reason: tuple[str, Kind] | None = None
        for part in bundle:
            if reason is None and (part.rule, part.kind) in beyond:
                reason = part.rule, part.kind
            if reason is not None:
                held.append((part, reason))
    return held


# ── The shadow plan, of which only bundles by their shape are counted ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapePart:
    """A part of all bundles of one shape."""

    bundle: str
    position: int
    rule: str
    kind: Kind
    crm: CrmName
    backward: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Bundles of a rule that have the same parts. number: how many."""

    number: int
    parts: Sequence[ShapePart]


def shapes_of(counts: Mapping[tuple[str, str], int]) -> list[Shape]:
    """The shapes that `connector.store.shadow` counted."""
    return [_shape(rule, what.split(" ")[1:], number) for (rule, what), number in counts.items() if what.startswith("bundle ")]


def _shape(rule: str, words: Sequence[str], number: int) -> Shape:
    parts = []
    for position, word in enumerate(words):
        kind, _, crm = word.rstrip("-").partition(":")
        parts.append(
            ShapePart(
                bundle=f"{rule}|{' '.join(words)}",
                position=position,
                rule=rule,
                kind=Kind(kind),
                crm=cast(CrmName, crm),
                backward=word.endswith("-"),
            )
        )
    return Shape(number=number, parts=parts)


def amount_of(shapes: Sequence[Shape], counts: Mapping[tuple[str, str], int]) -> Amount:
    """What is wanted in all: actions by the shapes, contacts as they are counted."""
    amount = _actions([(part, shape.number) for shape in shapes for part in shape.parts])
    for (rule, what), number in counts.items():
        if what.startswith("contacts "):
            amount.contacts[rule, what.partition(" ")[2]] = number
    return amount


def held_amount_of(shapes: Sequence[Shape], beyond: Collection[tuple[str, Kind]]) -> Amount:
    """What of it would be held, in actions."""
    return _actions([(part, shape.number) for shape in shapes for part, _ in held_parts(shape.parts, beyond)])


def _actions(parts: Iterable[tuple[ShapePart, int]]) -> Amount:
    actions: Counter[RuleKind] = Counter()
    for part, number in parts:
        actions[part.rule, part.kind] += number
        if part.backward:
            actions[part.rule, BACKWARD] += number
    return Amount(actions=actions)
