"""Which tasks find a place in their owner's day: tasks in, keys out."""

from __future__ import annotations

import pytest

from connector.pipeline.plan.daily_tasks import DayTask, OwnerKey, fitting_the_day

ANNA: OwnerKey = ("salesforce", "anna")
BEN: OwnerKey = ("salesforce", "ben")


def task(key: str, urgency: float = 0.0, owner: OwnerKey = ANNA) -> DayTask:
    return DayTask(owner=owner, urgency=urgency, key=key)


@pytest.mark.parametrize(
    ("tasks", "given", "limit", "fitting"),
    [
        ([], {}, 1, ""),
        ([task("a"), task("b")], {}, None, "ab"),
        ([task("a"), task("b")], {ANNA: 9}, None, "ab"),
        ([task("a"), task("b")], {}, 2, "ab"),
        ([task("a"), task("b", 1.0)], {}, 1, "b"),              # the most urgent first
        ([task("b", 1.0), task("a", 1.0)], {}, 1, "a"),         # equally urgent: by key, so that it is the same each time
        ([task("a"), task("b")], {ANNA: 1}, 2, "a"),            # what the owner has of the day already counts
        ([task("a"), task("b", owner=BEN)], {ANNA: 2}, 2, "b"), # each owner has a day of his own
        ([task("a"), task("b", owner=("hubspot", "anna"))], {ANNA: 2}, 2, "b"),
    ],
)  # fmt: skip
def test_who_fits(tasks: list[DayTask], given: dict[OwnerKey, int], limit: int | None, fitting: str) -> None:
    assert fitting_the_day(tasks, given, limit) == set(fitting)


def test_the_count_that_came_in_stays_as_it_was() -> None:
    given = {ANNA: 0}
    fitting_the_day([task("a")], given, 1)
    assert given == {ANNA: 0}
