"""A company whose CRMs in memory hold the sandbox's people, under the rules of the example file.

The people are read once through the adapters, so they stand here as pulls bring them; passes over them then cost no requests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Literal

from connector.adapters.client import NoBudget
from connector.adapters.hubspot import HubSpotCrm
from connector.adapters.memory.account import Thing
from connector.adapters.memory.crm import MemoryCrm
from connector.adapters.port import Crm
from connector.adapters.salesforce import SalesforceCrm
from connector.config.load import loads
from connector.config.tables import Config
from connector.model import Activity, CrmName, HubSpotAccess, Page, SalesforceAccess
from connector.sandbox.configuration import SECRETS, Place, configuration
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from connector.workflows.fields import properties_wanted
from tests.adapters.secrets import PlainSecret
from tests.support.company import Company
from tests.support.stores import empty_store

#: A Wednesday, eleven o'clock in the business's zone (Europe/Berlin).
NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
_NO_LIMITS = HubSpotOptions(requests_per_10_seconds=10**6, searches_per_second=10**6)
#: Above it are the numbers of Salesforce's tasks here: a CRM in memory numbers its own from 1 on.
_TASKS = 50_000_000


@cache
def example_config(mode: Literal["shadow", "live"]) -> Config:
    """The example file as the sandbox's configuration has it: guard rails wide enough, every attempt of the made-up history counts."""
    os.environ.update(SECRETS)
    place = Place(
        hubspot_url="http://127.0.0.1:9", salesforce_url="https://127.0.0.1:9", ca_bundle="ca.pem", database="sqlite://", mode=mode
    )
    return loads(configuration(place, now=NOW), source="config.toml")


@contextmanager
def sandbox_company(url: str, *, mode: Literal["shadow", "live"], contacts: int, leads: int, seed: int = 7) -> Iterator[Company]:
    """A company of so many people at `NOW`, before its first pass."""
    config = example_config(mode)
    with empty_store(url) as store:
        company = Company(store, config, NOW, {})
        company.crms = {crm: MemoryCrm(name=crm, clock=lambda: company.now, set_up=company.crms[crm].set_up) for crm in company.crms}
        for crm, things in people_of(contacts, leads, seed).items():
            company.crms[crm].put(*things)
        company.furnish()
        yield company


@lru_cache(maxsize=4)
def people_of(contacts: int, leads: int, seed: int) -> Mapping[CrmName, Sequence[Thing]]:
    """Everything that both CRMs of the sandbox hold, as their adapters bring it."""
    world = make_world(seed=seed, now=NOW, hubspot_contacts=contacts, salesforce_leads=leads)
    with Sandbox(world, now=lambda: NOW, hubspot=_NO_LIMITS) as box:
        crms = (_hubspot(box), _salesforce(box))
        found: dict[CrmName, Sequence[Thing]] = {crm.name: [*_everything(crm)] for crm in crms}
        for crm in crms:
            crm.close()
    return found


def _everything(crm: Crm) -> Iterator[Thing]:
    for stream in crm.streams():
        for page in crm.pull(stream, None, now=NOW):
            yield from map(_numbered, _things(page))


def _things(page: Page) -> Iterator[Thing]:
    for things in (
        page.records,
        page.owners,
        page.activities,
        page.deals,
        page.deal_contacts,
        page.campaigns,
        page.campaign_members,
        page.changes,
    ):
        yield from things


def _numbered(thing: Thing) -> Thing:
    if isinstance(thing, Activity) and thing.crm == "salesforce" and thing.object == "Task":
        return replace(thing, id=str(_TASKS + int.from_bytes(thing.id[-12:-3].encode()) % _TASKS))
    return thing


def _hubspot(box: Sandbox) -> Crm:
    access = HubSpotAccess(
        base_url=box.hubspot_url, access_token=PlainSecret("sandbox-token"), client_id=None, client_secret=None, refresh_token=None
    )
    wanted = properties_wanted(example_config("shadow"), "hubspot")
    return HubSpotCrm(access, wanted=wanted, budget=NoBudget(), sleep=lambda _: None, clock=NOW.timestamp, timeout=30.0)


def _salesforce(box: Sandbox) -> Crm:
    access = SalesforceAccess(
        auth="client-credentials",
        instance_url=box.salesforce_url,
        client_id=PlainSecret("sandbox-client"),
        client_secret=PlainSecret("sandbox-secret"),
        ca_bundle=box.ca_bundle,
        daily_requests=100_000,
        headroom=0.2,
        run_assignment_rules=False,
        task_key_field="Handoff_Key__c",
    )
    wanted = properties_wanted(example_config("shadow"), "salesforce")
    return SalesforceCrm(access, wanted=wanted, budget=NoBudget(), sleep=lambda _: None, timeout=30.0, patience=30.0)
