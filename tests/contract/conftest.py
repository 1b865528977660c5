"""What the contract's tests share: one sandbox for all of them, time that goes on, and each subject in turn."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.contract.sandboxes import SUBJECTS, subject_named
from tests.contract.subjects import HUBSPOT, PEOPLE, SALESFORCE, Clock, Subject


@pytest.fixture(scope="session")
def contract_clock() -> Clock:
    """The time of everything that the contract's tests do."""
    return Clock()


@pytest.fixture(scope="session")
def contract_sandbox(contract_clock: Clock) -> Iterator[Sandbox]:
    """Both CRMs, with more people than a page of each has."""
    world = make_world(now=contract_clock(), hubspot_contacts=PEOPLE, salesforce_leads=450)
    with Sandbox(world, now=contract_clock, hubspot=HUBSPOT, salesforce=SALESFORCE) as running:
        yield running


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, contract_sandbox: Sandbox, contract_clock: Clock) -> Iterator[Subject]:
    """Time goes on from test to test: what one did is not new to the next."""
    contract_clock.forward(timedelta(hours=1))
    made = subject_named(request.param, contract_sandbox, contract_clock)
    yield made
    made.clean()
    made.close()
