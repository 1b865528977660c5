"""Writing back where every transaction is run again, as after a lost deadlock: what the first run counted or kept must not show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipeline.write_back.support import World, wide
from tests.support.actions import handover, opened_for, proposal, rows, set_stage, task
from tests.support.stores import rerunning


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with opened_for(request) as store:
        made = World(rerunning(store))
        made.people(1, 2, 3)
        yield made


def test_everything_is_done_and_counted_once(world: World) -> None:
    world.plan(handover(1), handover(2), proposal(3, set_stage(3, "lead", "mql")), guard=wide())
    world.hubspot.edit("contacts", "3", lifecyclestage="customer")
    assert world.run().outcomes == {"applied": 6, "superseded": 1}
    assert {row["tries"] for row in rows(world.store)} == {1}
    assert len(world.hubspot.tasks()) == 2


def test_what_falls_with_a_part_is_counted_once(world: World) -> None:
    world.plan(handover(1), guard=wide())
    world.hubspot.edit("contacts", "1", lifecyclestage="customer")
    assert world.run().outcomes == {"superseded": 3}


def test_what_was_lost_is_looked_up_and_not_made_twice(world: World) -> None:
    world.plan(proposal(1, task(1)), guard=wide())
    world.hubspot.lose_answers(1)
    assert world.run().outcomes == {"unknown": 1}
    assert world.run_later(seconds=125).outcomes == {"applied": 1}
    assert len(world.hubspot.tasks()) == 1
