"""What the contract's tests share: one sandbox for all of them, time that goes on, and each room in turn."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.contract.sandboxes import ROOMS, room_named
from tests.contract.subjects import HUBSPOT, PEOPLE, SALESFORCE, Clock, Room


@pytest.fixture(scope="session")
def contract_clock() -> Clock:
    """The time of everything that the contract's tests do."""
    return Clock()


@pytest.fixture(scope="session")
def contract_box(contract_clock: Clock) -> Iterator[Sandbox]:
    """Both CRMs, with more people than a page of each has."""
    world = make_world(now=contract_clock(), hubspot_contacts=PEOPLE, salesforce_leads=450)
    with Sandbox(world, now=contract_clock, hubspot=HUBSPOT, salesforce=SALESFORCE) as running:
        yield running


@pytest.fixture(params=ROOMS)
def room(request: pytest.FixtureRequest, contract_box: Sandbox, contract_clock: Clock) -> Iterator[Room]:
    """Time goes on from test to test: what one did is not new to the next."""
    contract_clock.forward(timedelta(hours=1))
    made = room_named(request.param, contract_box, contract_clock)
    yield made
    made.clean()
    made.close()
