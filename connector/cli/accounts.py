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


#: The objects whose schema a first file is made from.
_OBJECTS: Mapping[CrmName, tuple[str, ...]] = {"hubspot": ("contacts", "companies"), "salesforce": ("Lead", "Contact", "Account")}
#: Limits as the CRMs name them → their keys in the file.
_LIMIT_KEYS = {"10 seconds": "requests_per_10_seconds", "day": "daily_requests"}


def look_around(config: Config, opened: ExitStack) -> dict[CrmName, CrmAccount]:
    """What each CRM of a file without rules says of itself. Raises `CrmError`, `ConfigError`."""
    return {name: _account(config, name, opened) for name in config.crms}


def _account(config: Config, name: CrmName, opened: ExitStack) -> CrmAccount:
    settings = config.crm.hubspot if name == "hubspot" else config.crm.salesforce
    budget = _LimitsReader()
    crm: Crm
    if isinstance(settings, HubSpotSettings):
        crm = HubSpotCrm(settings, wanted={}, budget=budget)
    elif isinstance(settings, SalesforceSettings):
        crm = SalesforceCrm(settings, wanted={}, budget=budget)
    else:
        raise KeyError(name)
    opened.callback(crm.close)
    now = utc_now()
    schema = crm.schema(_OBJECTS[name])
    pages = crm.pull("owners" if name == "hubspot" else "User", None, now=now)
    owners = tuple(owner for page in pages for owner in page.owners)
    native_sync = [finding for finding in crm.check(now=now) if finding.topic == f"{name}: native sync"]
    surroundings = crm.surroundings()
    return CrmAccount(
        schema=schema,
        owners=owners,
        locked=next(iter(surroundings.locked.values()), ()),
        own_users=tuple(surroundings.own_users),
        limits=_lower_limits(settings, budget.limits),
        native_sync=any(not finding.ok and not finding.warning for finding in native_sync),
    )


def _lower_limits(settings: HubSpotSettings | SalesforceSettings, reported: Mapping[str, int]) -> dict[str, str]:
    """The reported limits that are lower than the file's."""
    keys = {_LIMIT_KEYS[limit]: most for limit, most in reported.items()}
    return {key: str(most) for key, most in keys.items() if most < getattr(settings, key, 0)}


def permissions_needed(config: Config, *, now: datetime) -> dict[CrmName, tuple[Permission, ...]]:
    """All that the file needs of each of its CRMs; nobody is asked whether it is there."""
    needed: dict[CrmName, tuple[Permission, ...]] = {}
    if config.crm.hubspot is not None:
        needed["hubspot"] = hubspot_checks.permissions(uses_of(config, "hubspot", now=now))
    if config.crm.salesforce is not None:
        uses, wanted = uses_of(config, "salesforce", now=now), properties_wanted(config, "salesforce")
        needed["salesforce"] = tuple(salesforce_access.needed(uses, wanted, None, key_field=config.crm.salesforce.task_key_field))
    return needed
