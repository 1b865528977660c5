"""The composition root: a configuration becomes a store, CRMs, a clock. Nothing else in the program makes these."""

from __future__ import annotations

import ctypes
import gc
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from connector.adapters.client import NoBudget
from connector.adapters.hubspot import HubSpotCrm
from connector.adapters.hubspot.wire import checks as hubspot_checks
from connector.adapters.port import Crm
from connector.adapters.salesforce import SalesforceCrm
from connector.adapters.salesforce.wire import access as salesforce_permissions
from connector.config.tables import Config, HubSpotSettings, SalesforceSettings
from connector.errors import ConfigError, Interrupted, Problem
from connector.model import CRM_FACTS, CRMS, CrmName, Finding, HubSpotAccess, Owner, Permission, SalesforceAccess, Schema
from connector.pipeline.context import PassContext, Progress, Unwatched
from connector.reports.checks.crm_usage import uses_of
from connector.store.budget import SharedBudget, hubspot_limits, salesforce_limits
from connector.store.database import Store
from connector.workflows.fields import properties_wanted

#: mallopt(3)'s names for them, and what they are set to: how many heaps, and from how many bytes a block is given back at once.
_M_ARENA_MAX, _ARENAS = -8, 2
_M_MMAP_THRESHOLD, _OWN_BLOCK = -3, 128 * 1024
#: After how many new objects Python looks for cycles among the youngest; its own 700 is for programs that do not read pages of thousands.
_YOUNG_OBJECTS = 50_000


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
    """A configuration, made real."""

    config: Config
    store: Store
    crms: Mapping[CrmName, Crm]
    now: Callable[[], datetime]
    turns: ThreadLocks = field(default_factory=ThreadLocks)

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
        )


def use_memory_well() -> None:
    """For a process that reads pages in a dozen threads at once; to be called once, when everything is imported.

    Each thread's heap would keep the memory of its largest page, and glibc would learn from the first large body to keep those that follow;
    Python would look for cycles every 700 objects, among all that was ever imported. Where there is no glibc, the first two do not apply.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _OWN_BLOCK)
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 10, 10)


@contextmanager
def open_app(
    config: Config,
    *,
    now: Callable[[], datetime] = utc_now,
    waiting: Pacing | None = None,
    stop: threading.Event | None = None,
) -> Iterator[App]:
    """The whole program for one command. stop: when it is set, no request waits any longer for a limit (`waiting` left out).

    Raises `ConfigError` for a secret that is not there, `StoreError` for the database.
    """
    with open_store(config) as store:
        store.check_schema()
        with ExitStack() as opened:

            def how(crm: CrmName) -> Pacing:
                return waiting or (Pacing() if stop is None else Pacing().until(stop, crm))

            yield App(config=config, store=store, crms=make_crms(config, store, how, opened), now=now)


@contextmanager
def open_each(config: Config, *, now: Callable[[], datetime] = utc_now) -> Iterator[tuple[App, list[Finding]]]:
    """Like `open_app`, but a CRM whose secrets are not there keeps no other from being opened: it is a finding."""
    with open_store(config) as store, ExitStack() as opened:
        crms: dict[CrmName, Crm] = {}
        wrong: list[Finding] = []
        for name in config.crms:
            alone = config.crm.model_copy(update={other: None for other in CRMS if other != name})
            try:
                crms |= make_crms(config.model_copy(update={"crm": alone}), store, lambda _: Pacing(), opened)
            except ConfigError as error:
                told = "; ".join(f"{one.path}: {one.found}, {one.expected}" for one in error.problems)
                advice = f"Put the secret where [crm.{name}] looks for it."
                wrong.append(Finding(topic=f"{name}: credentials", ok=False, message=told or error.message, advice=advice))
        yield App(config=config, store=store, crms=crms, now=now), wrong


class _LimitsReader(NoBudget):
    """For a handful of requests before there is a file: keeps what the CRM says of its limits."""

    def __init__(self) -> None:
        self.limits: dict[str, int] = {}

    def learn(self, limit: str, used: int, of: int) -> None:  # noqa: ARG002 - the port's
        self.limits[limit] = of


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmAccount:
    """What a CRM says of itself. limits: those that are lower than a file's defaults, by their keys in the file, as TOML."""

    schema: Schema
    owners: tuple[Owner, ...]
    locked: tuple[str, ...]
    own_users: tuple[str, ...]
    limits: Mapping[str, str]
    native_sync: bool


_KEYS = {"10 seconds": "requests_per_10_seconds", "day": "daily_requests"}


def look_around(config: Config, opened: ExitStack) -> dict[CrmName, CrmAccount]:
    """What each CRM of a file without rules says of itself. Raises `CrmError`, `ConfigError`."""
    return {name: _told(config, name, opened) for name in config.crms}


def _told(config: Config, name: CrmName, opened: ExitStack) -> CrmAccount:
    budget = _LimitsReader()
    settings = config.crm.hubspot if name == "hubspot" else config.crm.salesforce
    crm: Crm
    if isinstance(settings, HubSpotSettings):
        crm = HubSpotCrm(hubspot_access(settings), wanted={}, budget=budget)
    elif isinstance(settings, SalesforceSettings):
        crm = SalesforceCrm(salesforce_access(settings), wanted={}, budget=budget)
    else:
        raise KeyError(name)
    opened.callback(crm.close)
    now = utc_now()
    schema = crm.schema(CRM_FACTS[name].objects)
    owners = tuple(owner for page in crm.pull(CRM_FACTS[name].owners, None, now=now) for owner in page.owners)
    beside = [one for one in crm.check(now=now) if one.topic == f"{name}: native sync"]
    lower = {_KEYS[limit]: of for limit, of in budget.limits.items() if of < getattr(settings, _KEYS[limit], 0)}
    around = crm.surroundings()
    return CrmAccount(
        schema=schema,
        owners=owners,
        locked=next(iter(around.locked.values()), ()),
        own_users=tuple(around.own_users),
        limits={key: str(of) for key, of in lower.items()},
        native_sync=any(not one.ok and not one.warning for one in beside),
    )


def permissions_needed(config: Config, *, now: datetime) -> dict[CrmName, tuple[Permission, ...]]:
    """All that the file needs of each of its CRMs; nobody is asked whether it is there."""
    found: dict[CrmName, tuple[Permission, ...]] = {}
    if config.crm.hubspot is not None:
        found["hubspot"] = hubspot_checks.permissions(uses_of(config, "hubspot", now=now))
    if config.crm.salesforce is not None:
        uses, wanted = uses_of(config, "salesforce", now=now), properties_wanted(config, "salesforce")
        found["salesforce"] = tuple(salesforce_permissions.needed(uses, wanted, None, key_field=config.crm.salesforce.task_key_field))
    return found


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
