"""[[transition]] as values: what the rules answered and what is on record in; the step out."""

from __future__ import annotations

from typing import Any

import pytest

from connector.workflows.attempts import EvidenceState
from connector.workflows.transition import Step, first_to_fire, leaves, next_step, taken_elsewhere
from tests.workflows.values import at, config

QUALIFY, ACCEPT = RULES = config().transitions
ANYWHERE = ACCEPT.model_copy(update={"id": "anywhere", "from_": None})
NOW = at(2, 9)


def taken(rule: str = "qualify", **more: Any) -> EvidenceState:
    return EvidenceState(**{"rule": rule, "spell": 1, "taken_at": at(0, 9), **more})


@pytest.mark.parametrize(
    ("rule", "stage", "answer"),
    [
        (QUALIFY, "lead", True),
        (QUALIFY, None, True),  # "" in the file: none yet
        (QUALIFY, "sql", False),
        (QUALIFY, "mql", False),
        (ACCEPT, "mql", True),
        (ACCEPT, None, False),
        (ANYWHERE, None, True),
        (ANYWHERE, "lead", True),
        (ANYWHERE, "sql", False),  # it is there
    ],
)
def test_a_transition_starts_from_its_stages_and_leads_elsewhere(rule: Any, stage: str | None, answer: bool) -> None:
    assert leaves(rule, stage) is answer


@pytest.mark.parametrize(
    ("met", "stage", "waiting", "number"),
    [
        ((True, True), "lead", (), 0),
        ((False, True), "lead", (), None),
        ((True, True), "mql", (), 1),
        ((True, True), "lead", ("qualify",), None),
        ((False, False), "mql", (), None),
    ],
)
def test_the_first_that_fits_wins(met: tuple[bool, ...], stage: str, waiting: tuple[str, ...], number: int | None) -> None:
    assert first_to_fire(RULES, met, stage, lambda rule: rule.id in waiting) == number


BACK: dict[str, Any] = {"moved_back_at": at(1, 9), "basis": {"interest": 12}}


@pytest.mark.parametrize(
    ("evidence", "basis", "step"),
    [
        ([], {}, Step(rule=QUALIFY)),
        ([taken("another")], {}, Step(rule=QUALIFY)),
        ([taken()], {}, Step()),  # taken already, and not moved back since
        ([taken(**BACK)], {"interest": 12}, Step()),  # the same evidence
        ([taken(**BACK)], {"interest": 40}, Step(rule=QUALIFY)),
        ([taken(**BACK, again_at=at(3, 9))], {"interest": 12}, Step(moments=(at(3, 9),))),
        ([taken(**BACK, again_at=NOW)], {"interest": 12}, Step(rule=QUALIFY)),
        ([taken(**BACK, barred=True)], {"interest": 40}, Step()),  # sales said no: only a person moves it
    ],
)
def test_evidence_is_used_once(evidence: list[EvidenceState], basis: dict[str, Any], step: Step) -> None:
    assert next_step(RULES, (True, False), "lead", evidence, basis, NOW) == step


def test_one_that_waits_lets_the_next_one_fire_and_is_looked_at_again() -> None:
    rules = (QUALIFY, ANYWHERE)
    waits = taken(**BACK, again_at=at(3, 9))
    assert next_step(rules, (True, True), "lead", [waits], {"interest": 12}, NOW) == Step(rule=ANYWHERE, moments=(at(3, 9),))


def test_a_step_that_somebody_else_took_counts_as_the_first_that_leads_there() -> None:
    evidence = [taken("accept", spell=2), taken("anywhere", spell=2), taken("qualify", spell=1)]
    rules = (QUALIFY, ACCEPT, ANYWHERE)
    assert taken_elsewhere(rules, evidence, 2, lambda _: False) == ACCEPT
    assert taken_elsewhere(rules, evidence, 2, lambda rule: rule.id == "anywhere") == ANYWHERE  # it was ours: the ledger has it
    assert taken_elsewhere(rules, evidence, 3, lambda _: False) is None
