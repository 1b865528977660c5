"""The deals of the made-up world's HubSpot: of everybody who got as far as an opportunity, each with a contact and often a company.

They, the owners' teams and people's further addresses are drawn apart from all else, so that the rest of the world does not depend on them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from connector.sandbox.hubspot.catalogue import DEAL_STAGES
from connector.sandbox.state import World
from connector.sandbox.world import facts
from connector.sandbox.world.hubspot import link, put, stamp
from connector.sandbox.world.people import Person

_OPEN = tuple(name for name, stage in DEAL_STAGES.items() if not stage.closed)
_WORDS = ("warehouse", "reporting", "rollout", "pilot", "renewal", "Lagerverwaltung")


class _Opened(NamedTuple):
    """A deal that began. again: it is the person's second one."""

    person: Person
    at: datetime
    again: bool


def fill(world: World, people: Sequence[Person], *, seed: int) -> None:
    """A deal or two for each HubSpot contact who is an opportunity, a customer or an evangelist."""
    draw = random.Random(f"{seed} deals")  # noqa: S311 - made-up deals need repeatability, not secrecy
    owners = {owner["email"]: owner["id"] for owner in world.hubspot_owners}
    opened = [
        _Opened(person, _begun(draw, world.now, person), bool(again))
        for person in people
        if person.in_hubspot and person.cohort in facts.CONVERTED_COHORTS
        for again in range(2 if draw.random() < 0.1 else 1)
    ]
    number = 8_800
    for deal in sorted(opened, key=lambda deal: deal.at):
        number += draw.randint(1, 9)
        _deal(world, draw, str(number), deal, owners.get(deal.person.owner))
    _further_addresses(world, people, draw)


def _begun(draw: random.Random, now: datetime, person: Person) -> datetime:
    entered = person.entered.get("opportunity") or person.stage_since or person.created
    return min(now, entered + timedelta(minutes=draw.randint(0, 90)))


def _deal(world: World, draw: random.Random, deal_id: str, opened: _Opened, owner: str | None) -> None:
    now, person, begun = world.now, opened.person, opened.at
    company = person.company
    won = person.cohort != "opportunity" and not opened.again
    stage = "closedwon" if won else draw.choices((draw.choice(_OPEN), "closedlost"), (80, 20))[0]
    closed = DEAL_STAGES[stage].closed
    span = (now - begun).total_seconds()
    ended = person.entered.get("customer", begun) if won else begun + timedelta(seconds=span * draw.random())
    closes = min(now, max(begun, ended)) if closed else now + timedelta(days=draw.randint(1, 120))
    amount = str(draw.randint(2, 180) * 500) if draw.random() < 0.94 else None
    properties = {
        "dealname": f"{company.name if company is not None else person.last_name}: {draw.choice(_WORDS)}",
        "pipeline": "default",
        "dealstage": stage,
        "amount": amount,
        "deal_currency_code": draw.choices(("EUR", "USD", "CHF"), (80, 12, 8))[0] if amount else None,
        "closedate": stamp(closes),
        "hubspot_owner_id": owner,
        "hs_is_closed": str(closed).lower(),
        "hs_is_closed_won": str(DEAL_STAGES[stage].won).lower(),
    }
    since = closes if closed else begun
    put(world, "deals", deal_id, properties, begun, since + (now - since) * draw.random())
    link(world, ("deals", deal_id), ("contacts", person.hubspot_id), ((3, 4),))
    if company is not None:
        link(world, ("deals", deal_id), ("companies", company.hubspot_id), ((341, 342), (5, 6)))


def _further_addresses(world: World, people: Sequence[Person], draw: random.Random) -> None:
    """Some contacts have a second address, which is nobody's first."""
    for person in people:
        if person.in_hubspot and draw.random() < 0.01:
            world.hubspot["contacts"][person.hubspot_id]["properties"]["hs_additional_emails"] = (
                f"privat.{person.hubspot_id}@mailbox.example"
            )
