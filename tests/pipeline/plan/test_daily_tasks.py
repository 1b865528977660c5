"""Which tasks find a place in their owner's day: candidates in, keys out."""

from __future__ import annotations

import pytest

from connector.pipeline.plan.daily_tasks import Candidate, OwnerKey, fitting_the_day

ANNA: OwnerKey = ("salesforce", "anna")
BEN: OwnerKey = ("salesforce", "ben")


def candidate(key: str, urgency: float = 0.0, owner: OwnerKey = ANNA) -> Candidate:
    return Candidate(owner=owner, urgency=urgency, key=key)


@pytest.mark.parametrize(
    ("candidates", "given", "limit", "fitting"),
    [
        ([], {}, 1, ""),
        ([candidate("a"), candidate("b")], {}, None, "ab"),
        ([candidate("a"), candidate("b")], {ANNA: 9}, None, "ab"),
        ([candidate("a"), candidate("b")], {}, 2, "ab"),
        ([candidate("a"), candidate("b", 1.0)], {}, 1, "b"),              # the most urgent first
        ([candidate("b", 1.0), candidate("a", 1.0)], {}, 1, "a"),         # equally urgent: by key, so that it is the same each time
        ([candidate("a"), candidate("b")], {ANNA: 1}, 2, "a"),            # what the owner has of the day already counts
        ([candidate("a"), candidate("b", owner=BEN)], {ANNA: 2}, 2, "b"), # each owner has a day of his own
        ([candidate("a"), candidate("b", owner=("hubspot", "anna"))], {ANNA: 2}, 2, "b"),
    ],
)  # fmt: skip
def test_who_fits(candidates: list[Candidate], given: dict[OwnerKey, int], limit: int | None, fitting: str) -> None:
    assert fitting_the_day(candidates, given, limit) == set(fitting)


def test_the_count_that_came_in_stays_as_it_was() -> None:
    given = {ANNA: 0}
    fitting_the_day([candidate("a")], given, 1)
    assert given == {ANNA: 0}
