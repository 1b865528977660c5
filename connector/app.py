"""The composition root: a configuration becomes a store, CRMs, a clock. Nothing else in the program makes these."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from connector.adapters.hubspot import HubSpotCrm
from connector.adapters.port import Crm
from connector.adapters.salesforce import SalesforceCrm
from connector.config.tables import Config, HubSpotSettings, SalesforceSettings
from connector.engine import Progress, Rooms, Unwatched
from connector.errors import ConfigError, Problem
from connector.model import CrmName
from connector.store.budget import SharedBudget, hubspot_limits, salesforce_limits
from connector.store.database import Store
from connector.workflows.fields import expected_values, properties_wanted


def utc_now() -> datetime:
    """The one place where the program looks at the clock."""
    return datetime.now(UTC)


def holder() -> str:
    """Who this process is, for leases."""
    return f"{socket.gethostname()}/{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How time goes by for limits and retries: the wall clock (seconds since 1970, alike for all processes) and how to wait (seconds)."""

    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A configuration, made real."""

    config: Config
    store: Store
    crms: Mapping[CrmName, Crm]
    now: Callable[[], datetime]

    def rooms(self, *, progress: Progress | None = None, stopped: Callable[[], bool] = lambda: False) -> Rooms:
        """What a pass works with."""
        return Rooms(
            config=self.config,
            store=self.store,
            crms=self.crms,
            now=self.now,
            holder=holder(),
            stopped=stopped,
            progress=progress or Unwatched(),
        )


@contextmanager
def open_app(config: Config, *, now: Callable[[], datetime] = utc_now, waiting: Waiting | None = None) -> Iterator[App]:
    """The whole program for one command. Raises `ConfigError` for a secret that is not there, `StoreError` for the database."""
    with open_store(config) as store:
        store.check_schema()
        with ExitStack() as opened:
            yield App(config=config, store=store, crms=make_crms(config, store, waiting or Waiting(), opened), now=now)


@contextmanager
def open_store(config: Config) -> Iterator[Store]:
    """The store alone."""
    password = None if config.database.password is None else config.database.password.read()
    store = Store.open(config.database.url, password)
    try:
        yield store
    finally:
        store.close()


def make_crms(config: Config, store: Store, waiting: Waiting, opened: ExitStack) -> dict[CrmName, Crm]:
    """An adapter for each CRM that the file has. What they hold is given back when `opened` closes."""
    crms: dict[CrmName, Crm] = {}
    if config.crm.hubspot is not None:
        crms["hubspot"] = _hubspot(config, config.crm.hubspot, store, waiting, opened)
    if config.crm.salesforce is not None:
        crms["salesforce"] = _salesforce(config, config.crm.salesforce, store, waiting, opened)
    if not crms:
        raise ConfigError([Problem(path="crm", found="no CRM", expected="a [crm.hubspot] or [crm.salesforce] table")], source=config.source)
    return crms


def _hubspot(config: Config, settings: HubSpotSettings, store: Store, waiting: Waiting, opened: ExitStack) -> Crm:
    limits = hubspot_limits(
        requests_per_10_seconds=settings.requests_per_10_seconds,
        searches_per_second=settings.searches_per_second,
        daily_requests=settings.daily_requests,
    )
    account = f"hubspot {settings.base_url}"
    budget = SharedBudget(store, account, limits, crm="hubspot", headroom=settings.headroom, clock=waiting.clock, sleep=waiting.sleep)
    opened.callback(budget.close)
    crm = HubSpotCrm(
        settings,
        wanted=properties_wanted(config, "hubspot"),
        expected=expected_values(config, "hubspot"),
        budget=budget,
        sleep=waiting.sleep,
    )
    opened.callback(crm.close)
    return crm


def _salesforce(config: Config, settings: SalesforceSettings, store: Store, waiting: Waiting, opened: ExitStack) -> Crm:
    limits = salesforce_limits(daily_requests=settings.daily_requests)
    account = f"salesforce {settings.instance_url}"
    budget = SharedBudget(store, account, limits, crm="salesforce", headroom=settings.headroom, clock=waiting.clock, sleep=waiting.sleep)
    opened.callback(budget.close)
    crm = SalesforceCrm(
        settings,
        wanted=properties_wanted(config, "salesforce"),
        expected=expected_values(config, "salesforce"),
        budget=budget,
        sleep=waiting.sleep,
        zone=ZoneInfo(config.timezone),
    )
    opened.callback(crm.close)
    return crm
