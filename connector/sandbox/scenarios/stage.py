"""The stage that a scripted scenario plays on: a running sandbox, how often things happen there, and a draw that repeats."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from connector.sandbox.fault_injection import Fault, FaultInjector
from connector.sandbox.hubspot.actions import HubSpotActions
from connector.sandbox.salesforce.actions import SalesforceActions
from connector.sandbox.salesforce.errors import RowRefused
from connector.sandbox.serve import Sandbox


@dataclass(frozen=True, slots=True)
class Stage:
    """The sandbox a scenario plays on. every: calls of a CRM between two actions or faults; times: how many of them at most."""

    box: Sandbox
    every: int
    times: int
    draw: random.Random

    @property
    def hubspot(self) -> HubSpotActions | None:
        """HubSpot's actions, where this sandbox has one."""
        return self.box.hubspot if self.box.has("hubspot") else None

    @property
    def salesforce(self) -> SalesforceActions | None:
        """Salesforce's actions, where this sandbox has one."""
        return self.box.salesforce if self.box.has("salesforce") else None

    def injectors(self) -> list[FaultInjector]:
        """The fault injectors of the servers there are."""
        both = (self.box.hubspot_faults, self.box.salesforce_faults)
        return [injector for injector in both if self.box.has(injector.crm)]

    def meanwhile(self, injector: FaultInjector, action: Callable[[], None], *, times: int | None = None) -> None:
        """The action is done before every so many-th call from now on."""
        first, most, done = injector.calls, self.times if times is None else times, 0

        def act(number: int) -> None:
            nonlocal done
            if done < most and (number - first) % self.every == 0:
                done += 1
                with suppress(RowRefused):  # somebody's late commit has changed that record in between, as it happens to people
                    action()

        injector.before_call.append(act)

    def now_and_then(self, injector: FaultInjector, match: str = "", **fault: Any) -> None:
        """One such fault after every so many matching requests, the first soon."""
        injector.add(*(Fault(injector.crm, match, 1, after=1 + (self.every - 1) * at, **fault) for at in range(self.times)))

    def some(self, ids: Iterable[str], count: int) -> list[str]:
        """So many of them, drawn; fewer where there are not so many."""
        known = sorted(ids)
        return self.draw.sample(known, min(count, len(known)))
