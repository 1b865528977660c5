"""What `init` and `check` know of an account: what each CRM says of itself, and what the file needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from connector.adapters.client import NoBudget
from connector.adapters.hubspot import HubSpotCrm
from connector.adapters.hubspot.wire import checks as hubspot_checks
from connector.adapters.port import Crm
from connector.adapters.salesforce import SalesforceCrm
from connector.adapters.salesforce.wire import access as salesforce_access
from connector.app import utc_now
from connector.config.tables import Config, HubSpotSettings, SalesforceSettings
from connector.model import CrmName, Owner, Permission, Schema
from connector.reports.checks.crm_usage import uses_of
from connector.workflows.fields import properties_wanted


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


_OBJECTS: Mapping[CrmName, tuple[str, ...]] = {"hubspot": ("contacts", "companies"), "salesforce": ("Lead", "Contact", "Account")}
_KEYS = {"10 seconds": "requests_per_10_seconds", "day": "daily_requests"}


def look_around(config: Config, opened: ExitStack) -> dict[CrmName, CrmAccount]:
    """What each CRM of a file without rules says of itself. Raises `CrmError`, `ConfigError`."""
    return {name: _told(config, name, opened) for name in config.crms}


def _told(config: Config, name: CrmName, opened: ExitStack) -> CrmAccount:
    budget = _LimitsReader()
    settings = config.crm.hubspot if name == "hubspot" else config.crm.salesforce
    crm: Crm
    if isinstance(settings, HubSpotSettings):
        crm = HubSpotCrm(settings, wanted={}, budget=budget)
    elif isinstance(settings, SalesforceSettings):
        crm = SalesforceCrm(settings, wanted={}, budget=budget)
    else:
        raise KeyError(name)
    opened.callback(crm.close)
    people = "owners" if name == "hubspot" else "User"
    now = utc_now()
    schema = crm.schema(_OBJECTS[name])
    owners = tuple(owner for page in crm.pull(people, None, now=now) for owner in page.owners)
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
        found["salesforce"] = tuple(salesforce_access.needed(uses, wanted, None, key_field=config.crm.salesforce.task_key_field))
    return found
