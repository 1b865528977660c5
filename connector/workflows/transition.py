"""[[transition]]: which step takes a contact on. Pure: what the rules answered and what is on record in; the step out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.config.tables import Transition
from connector.workflows.attempts import EvidenceState, may_fire


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The transition to take, None where the contact stays. moments: when one that waits for a moment may fire."""

    rule: Transition | None = None
    moments: tuple[datetime, ...] = ()


def leaves(rule: Transition, stage: str | None) -> bool:
    """Whether a transition starts from this stage and leads elsewhere."""
    return rule.to != stage and (rule.from_ is None or (stage or "") in rule.from_)


def first_to_fire(
    transitions: Sequence[Transition], met: Sequence[bool], stage: str | None, waits: Callable[[Transition], bool] = lambda _: False
) -> int | None:
    """The transition that takes a contact on: the first that starts from its stage, is met, and does not wait. None: it stays."""
    for number, rule in enumerate(transitions):
        if met[number] and leaves(rule, stage) and not waits(rule):
            return number
    return None


def next_step(
    transitions: Sequence[Transition],
    met: Sequence[bool],
    stage: str | None,
    evidence: Sequence[EvidenceState],
    basis: Mapping[str, Any],
    now: datetime,
) -> Step:
    """The step to take now. met: whether each transition's condition holds. basis: the present values that evidence may look at."""
    known = {state.rule: state for state in evidence}
    chosen = first_to_fire(transitions, met, stage, lambda rule: may_fire(known.get(rule.id), rule, basis, now) is not None)
    passed_over = transitions if chosen is None else transitions[:chosen]
    moments = []
    for rule, holds in zip(passed_over, met, strict=False):
        state = known.get(rule.id)
        if holds and leaves(rule, stage) and state is not None and state.again_at is not None and state.again_at > now:
            moments.append(state.again_at)
    return Step(rule=None if chosen is None else transitions[chosen], moments=tuple(moments))


def taken_elsewhere(
    transitions: Sequence[Transition], evidence: Sequence[EvidenceState], spell: int, in_ledger: Callable[[Transition], bool]
) -> Transition | None:
    """The transition that a step counts as which the present spell began with, and nobody proposed: the first with that from and to.

    in_ledger: whether the ledger has the step of a transition already: then it is that one.
    """
    begun_by: Collection[str] = {state.rule for state in evidence if state.spell == spell}
    taken = [rule for rule in transitions if rule.id in begun_by]
    return next((rule for rule in taken if in_ledger(rule)), taken[0] if taken else None)
