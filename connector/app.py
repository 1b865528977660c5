"""The composition root: a configuration becomes a store, CRMs, a clock. Nothing else in the program makes these.

A CRM's adapter, with its vendor's client, is imported where the file has the CRM and a command opens it: `status` and `explain` do not.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from connector.adapters.port import Crm
from connector.config.tables import Config, HubSpotSettings, SalesforceSettings
from connector.errors import ConfigError, Interrupted, Problem
from connector.model import CRMS, UNNAMED, Actor, CrmName, Finding, HubSpotAccess, SalesforceAccess
from connector.pipeline.context import PassContext, Progress, Unwatched
from connector.store.budget import SharedBudget, hubspot_limits, salesforce_limits
from connector.store.database import Store
from connector.workflows.fields import properties_wanted


def utc_now() -> datetime:
    """The one place where the program looks at the clock."""
    return datetime.now(UTC)


def holder() -> str:
    """Who this process is, for leases."""
    return f"{socket.gethostname()}/{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How time goes by for limits and retries: the wall clock (seconds since 1970, alike for all processes) and how to wait (seconds)."""

    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def until(self, stop: threading.Event, crm: CrmName) -> Pacing:
        """The same, but `stop` ends every wait for this CRM at once: then the sleep raises `Interrupted`."""

        def sleep(seconds: float) -> None:
            if stop.wait(seconds):
                raise Interrupted(f"a request to {crm} waited for its turn when it was asked to end", crm=crm, advice="Run it again.")

        return replace(self, sleep=sleep)


class ThreadLocks:
    """Whose turn it is within this process: leases tell processes apart, but not the threads of one."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}
        self._making = threading.Lock()

    def __getitem__(self, name: str) -> threading.Lock:
        """The turn of this name, free or taken."""
        with self._making:
            return self._locks.setdefault(name, threading.Lock())


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A configuration, made real. actor: who started the command."""

    config: Config
    store: Store
    crms: Mapping[CrmName, Crm]
    now: Callable[[], datetime]
    turns: ThreadLocks = field(default_factory=ThreadLocks)
    actor: Actor = UNNAMED

    def context(
        self,
        *,
        progress: Progress | None = None,
        stopped: Callable[[], bool] = lambda: False,
        judging: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> PassContext:
        """What a pass works with."""
        return PassContext(
            config=self.config,
            store=self.store,
            crms=self.crms,
            now=self.now,
            holder=holder(),
            stopped=stopped,
            progress=progress or Unwatched(),
            judging=judging,
            actor=self.actor,
        )


@contextmanager
def open_app(
    config: Config,
    *,
    now: Callable[[], datetime] = utc_now,
    waiting: Pacing | None = None,
    stop: threading.Event | None = None,
    actor: Actor = UNNAMED,
) -> Iterator[App]:
    """The whole program for one command. stop: when it is set, no request waits any longer for a limit (`waiting` left out).

    Raises `ConfigError` for a secret that is not there, `StoreError` for the database.
    """
    with open_store(config) as store:
        store.check_schema()
        with ExitStack() as opened:

            def pacing(crm: CrmName) -> Pacing:
                return waiting or (Pacing() if stop is None else Pacing().until(stop, crm))

            yield App(config=config, store=store, crms=make_crms(config, store, pacing, opened), now=now, actor=actor)


@contextmanager
def open_each(config: Config, *, now: Callable[[], datetime] = utc_now) -> Iterator[tuple[App, list[Finding]]]:
    """Like `open_app`, but a CRM whose secrets are not there keeps no other from being opened: it is a finding."""
    with open_store(config) as store, ExitStack() as opened:
        crms: dict[CrmName, Crm] = {}
        not_ready: list[Finding] = []
        for name in config.crms:
            only = config.crm.model_copy(update={other: None for other in CRMS if other != name})
            try:
                crms |= make_crms(config.model_copy(update={"crm": only}), store, lambda _: Pacing(), opened)
            except ConfigError as error:
                message = "; ".join(f"{problem.path}: {problem.found}, {problem.expected}" for problem in error.problems)
                advice = f"Put the secret where [crm.{name}] looks for it."
                not_ready.append(Finding(topic=f"{name}: credentials", ok=False, message=message or error.message, advice=advice))
        yield App(config=config, store=store, crms=crms, now=now), not_ready


@contextmanager
def open_store(config: Config) -> Iterator[Store]:
    """The store alone."""
    password = None if config.database.password is None else config.database.password.read()
    store = Store.open(config.database.url, password)
    try:
        yield store
    finally:
        store.close()


def hubspot_access(settings: HubSpotSettings) -> HubSpotAccess:
    """What of [crm.hubspot] its adapter needs."""
    return HubSpotAccess(**{field.name: getattr(settings, field.name) for field in fields(HubSpotAccess)})


def salesforce_access(settings: SalesforceSettings) -> SalesforceAccess:
    """What of [crm.salesforce] its adapter needs."""
    return SalesforceAccess(**{field.name: getattr(settings, field.name) for field in fields(SalesforceAccess)})


def make_crms(config: Config, store: Store, waiting: Callable[[CrmName], Pacing], opened: ExitStack) -> dict[CrmName, Crm]:
    """An adapter for each CRM that the file has; waiting: how each waits. What they hold is given back when `opened` closes."""
    crms: dict[CrmName, Crm] = {}
    if config.crm.hubspot is not None:
        crms["hubspot"] = _hubspot(config, config.crm.hubspot, store, waiting("hubspot"), opened)
    if config.crm.salesforce is not None:
        crms["salesforce"] = _salesforce(config, config.crm.salesforce, store, waiting("salesforce"), opened)
    if not crms:
        raise ConfigError([Problem(path="crm", found="no CRM", expected="a [crm.hubspot] or [crm.salesforce] table")], source=config.source)
    return crms


def _hubspot(config: Config, settings: HubSpotSettings, store: Store, waiting: Pacing, opened: ExitStack) -> Crm:
    from connector.adapters.hubspot import HubSpotCrm

    limits = hubspot_limits(
        requests_per_10_seconds=settings.requests_per_10_seconds,
        searches_per_second=settings.searches_per_second,
        daily_requests=settings.daily_requests,
    )
    account = f"hubspot {settings.base_url}"
    budget = SharedBudget(store, account, limits, crm="hubspot", headroom=settings.headroom, clock=waiting.clock, sleep=waiting.sleep)
    opened.callback(budget.close)
    crm = HubSpotCrm(
        hubspot_access(settings),
        wanted=properties_wanted(config, "hubspot"),
        budget=budget,
        sleep=waiting.sleep,
        clock=waiting.clock,
    )
    opened.callback(crm.close)
    return crm


def _salesforce(config: Config, settings: SalesforceSettings, store: Store, waiting: Pacing, opened: ExitStack) -> Crm:
    from connector.adapters.salesforce import SalesforceCrm

    limits = salesforce_limits(daily_requests=settings.daily_requests)
    account = f"salesforce {settings.instance_url}"
    budget = SharedBudget(store, account, limits, crm="salesforce", headroom=settings.headroom, clock=waiting.clock, sleep=waiting.sleep)
    opened.callback(budget.close)
    crm = SalesforceCrm(
        salesforce_access(settings),
        wanted=properties_wanted(config, "salesforce"),
        budget=budget,
        sleep=waiting.sleep,
        zone=ZoneInfo(config.timezone),
    )
    opened.callback(crm.close)
    return crm
