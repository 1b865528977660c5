"""The rooms of the contract by name, and sandboxes for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache

from connector.sandbox.serve import Sandbox
from connector.sandbox.state import World
from connector.sandbox.world.make import make_world
from tests.contract.memory_subject import MemoryRoom
from tests.contract.subjects import HUBSPOT, NOW, SALESFORCE, Clock, HubSpotRoom, Room, SalesforceRoom

ROOMS = ("hubspot", "salesforce", "memory as hubspot", "memory as salesforce")


@cache
def _few() -> World:
    return make_world(now=NOW, hubspot_contacts=60, salesforce_leads=40)


@contextmanager
def small_box(clock: Clock) -> Iterator[Sandbox]:
    """A sandbox of one's own, where what is done to it cannot be undone."""
    with Sandbox(deepcopy(_few()), now=clock, hubspot=HUBSPOT, salesforce=SALESFORCE) as running:
        yield running


def room_named(name: str, box: Sandbox, clock: Clock) -> Room:
    """A room by its name in `ROOMS`."""
    if name == "hubspot":
        return HubSpotRoom(box, clock)
    if name == "salesforce":
        return SalesforceRoom(box, clock)
    return MemoryRoom(name.rsplit(" ", 1)[1])
