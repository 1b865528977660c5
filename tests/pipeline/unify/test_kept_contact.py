"""Contacts that are one person: which survives, which attempt goes on, whose evidence counts. Rows in, decisions out; no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.pipeline.unify.merge import AttemptOutcome, EvidenceHold, JoinedEvidence, StageAction, joined_evidence, kept_contact

NEVER_TRIED, EARLIER, LATER = 1, 2, 3
GROUP = (NEVER_TRIED, EARLIER, LATER)


NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)


def attempt(contact: int, outcome: str, *, day: int = 0) -> AttemptOutcome:
    """day: when it began, in days from now."""
    return AttemptOutcome(contact_id=contact, outcome=outcome, began_at=NOW + timedelta(days=day))


def action(contact: int, cause: str, spell: int) -> StageAction:
    return StageAction(contact_id=contact, bundle=f"qualify|{contact}|{cause}", spell=spell)


@pytest.mark.parametrize(
    ("attempts", "actions", "kept"),
    [
        # nobody was ever sold to: the one seen first
        ([], [], NEVER_TRIED),
        # an attempt that ended counts more than none
        ([attempt(LATER, "rejected")], [], LATER),
        ([attempt(LATER, "rejected"), attempt(EARLIER, "accepted")], [], EARLIER),
        # a transition of the present spell under way counts more than an attempt that ended
        ([attempt(EARLIER, "rejected")], [action(LATER, "spell:4", 4)], LATER),
        # one of a spell that is past, or of another cause, does not
        ([attempt(EARLIER, "rejected")], [action(LATER, "spell:3", 4)], EARLIER),
        ([attempt(EARLIER, "rejected")], [action(LATER, "attempt:4", 4)], EARLIER),
        ([attempt(EARLIER, "rejected")], [action(LATER, "spell:14", 4)], EARLIER),
        # the open attempt goes on before all else
        ([attempt(EARLIER, "rejected"), attempt(LATER, "open")], [action(EARLIER, "spell:1", 1)], LATER),
        ([attempt(LATER, "rejected"), attempt(LATER, "open")], [], LATER),
        # of two open ones the attempt begun first, whatever is under way
        ([attempt(EARLIER, "open", day=1), attempt(LATER, "open")], [], LATER),
        ([attempt(EARLIER, "open", day=1), attempt(LATER, "open")], [action(EARLIER, "spell:1", 1)], LATER),
        ([attempt(EARLIER, "open"), attempt(LATER, "open", day=-1), attempt(NEVER_TRIED, "expired", day=-9)], [], LATER),
        # of two begun at once the one that a transition is under way for, else that of the contact seen first
        ([attempt(EARLIER, "open"), attempt(LATER, "open")], [action(LATER, "spell:1", 1)], LATER),
        ([attempt(LATER, "open"), attempt(EARLIER, "open")], [], EARLIER),
    ],
)
def test_which_contact_is_kept(attempts: list[AttemptOutcome], actions: list[StageAction], kept: int) -> None:
    assert kept_contact(GROUP, attempts, actions) == kept


@given(st.permutations([*GROUP]), st.permutations([attempt(EARLIER, "open"), attempt(LATER, "open"), attempt(LATER, "expired")]))
def test_the_order_of_the_rows_does_not_matter(group: list[int], attempts: list[AttemptOutcome]) -> None:
    assert kept_contact(group, attempts, []) == EARLIER


KEPT, LOST = 1, 2


def held(contact: int, rule: str = "qualify", *, barred: bool = False) -> EvidenceHold:
    return EvidenceHold(contact_id=contact, rule=rule, barred=barred)


@pytest.mark.parametrize(
    ("rows", "drop", "take_over"),
    [
        ([], set(), set()),
        ([held(KEPT)], set(), set()),
        ([held(LOST)], set(), {"qualify"}),  # taken by the one counts as taken for the other
        ([held(KEPT), held(LOST)], {(LOST, "qualify")}, set()),
        ([held(KEPT), held(LOST, barred=True)], {(KEPT, "qualify")}, {"qualify"}),  # a person's no holds longer
        ([held(KEPT, barred=True), held(LOST)], {(LOST, "qualify")}, set()),
        ([held(KEPT, barred=True), held(LOST, barred=True)], {(LOST, "qualify")}, set()),
        ([held(KEPT, "a"), held(LOST, "b"), held(LOST, "a", barred=True)], {(KEPT, "a")}, {"a", "b"}),
    ],
)
def test_whose_evidence_counts(rows: list[EvidenceHold], drop: set[tuple[int, str]], take_over: set[str]) -> None:
    assert joined_evidence(rows, KEPT) == JoinedEvidence(drop=frozenset(drop), take_over=frozenset(take_over))
    assert joined_evidence(rows[::-1], KEPT) == joined_evidence(rows, KEPT)
