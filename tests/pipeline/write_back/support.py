"""A store, two CRMs in memory and a clock: the world in which planned actions are written back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from connector.adapters.memory.crm import MemoryCrm
from connector.config.tables import Guard
from connector.errors import PassStopped
from connector.model import CrmName, Proposal
from connector.pipeline.write_back import WriteBackTerms, WrittenBack, write_back
from connector.store.database import Store
from connector.store.tables import metadata
from tests.support.actions import (
    NOW,
    OWNER,
    PEOPLE,
    STAGE,
    add_contacts,
    opened_for,
    plan,
    rows,
)

STAGE_KEY = "qualified|1|set_stage|hubspot|lifecyclestage|spell 1"
TASK_KEY = "qualified|1|create_task|hubspot|mql-alert|spell 1"
DOWN = PassStopped("the credentials were refused", crm="hubspot", advice="Renew them.")


@dataclass
class Clock:
    """The time, for the connector and the CRMs; it stands until it is moved on."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **step: float) -> None:
        self.at += timedelta(**step)


@dataclass
class World:
    """A store, two CRMs with people in them, and a clock."""

    store: Store
    clock: Clock = field(default_factory=Clock)
    hubspot: MemoryCrm = field(init=False)
    salesforce: MemoryCrm = field(init=False)

    def __post_init__(self) -> None:
        self.hubspot = MemoryCrm(name="hubspot", clock=self.clock)
        self.salesforce = MemoryCrm(name="salesforce", clock=self.clock)

    def people(self, *ids: int, stage: str = "lead") -> None:
        add_contacts(self.store, *ids)
        for crm in (self.hubspot, self.salesforce):
            for number in ids:
                crm.person(PEOPLE[crm.name], f"{number}", **{STAGE[crm.name]: stage, OWNER[crm.name]: None})

    def plan(self, *proposals: Proposal, **more: Any) -> None:
        plan(self.store, *proposals, now=self.clock.at, **more)

    def run(self, **more: Any) -> WrittenBack:
        crms: Any = {"hubspot": self.hubspot, "salesforce": self.salesforce}
        terms: dict[str, Any] = {"now": self.clock, "holder": "one"}
        return write_back(self.store, crms, WriteBackTerms(**(terms | more)))

    def run_later(self, **step: float) -> WrittenBack:
        self.clock.forward(**step)
        return self.run()

    def stage(self, number: int, crm: CrmName = "hubspot") -> Any:
        return self._crm(crm).value(PEOPLE[crm], f"{number}", STAGE[crm])

    def _crm(self, name: CrmName) -> MemoryCrm:
        return self.hubspot if name == "hubspot" else self.salesforce


@contextmanager
def worlds(request: pytest.FixtureRequest) -> Iterator[World]:
    """One on the database that the parameter names, with three people."""
    with opened_for(request) as store:
        made = World(store)
        made.people(1, 2, 3)
        yield made


def row_of(world: World, key: str) -> dict[str, Any]:
    return next(row for row in rows(world.store) if row["key"] == key)


def found(world: World) -> list[str | None]:
    values = metadata.tables["action_value"]
    with world.store.read() as connection:
        return list(connection.execute(select(values.c.found).order_by(values.c.ledger)).scalars())


def wide() -> Guard:
    """Rails that stop nothing."""
    return Guard(stage_changes=10**6, backward=10**6, assign=10**6, tasks=10**6, rule_share=1.0)
