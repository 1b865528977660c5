"""A connector beside a small sandbox, for tests of whole passes over real HTTP with both client libraries."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from connector.app import App, Pacing, open_app, open_store
from connector.config.load import loads
from connector.config.tables import Config
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests import ROOT
from tests.support.stores import lay_tables


class SkippingClock:
    """Time that goes by only when somebody waits."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.at += seconds

    @property
    def pacing(self) -> Pacing:
        return Pacing(clock=lambda: self.at, sleep=self.sleep)


#: A Wednesday morning in Berlin.
NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
EXAMPLE = ROOT / "config.example.toml"
_WIDE = {
    "stage_changes": 5000,
    "backward": 5000,
    "assign": 5000,
    "tasks": 5000,
    "a_day_an_owner": 5000,
    "requests_per_10_seconds": 10_000,
    "searches_per_second": 1_000,
}


def credentials() -> None:
    """The sandbox's secrets, where the configuration looks for them."""
    os.environ["HUBSPOT_ACCESS_TOKEN"] = "sandbox-token"
    os.environ["SALESFORCE_CLIENT_ID"] = "sandbox-client"
    os.environ["SALESFORCE_CLIENT_SECRET"] = "sandbox-secret"


def without_table(text: str, header: str) -> str:
    """The file without one table."""
    return re.sub(rf"(?ms)^\[{re.escape(header)}\]\n.*?(?=^\[|\Z)", "", text, count=1)


def config_text(
    box: Sandbox,
    database: str,
    *,
    mode: str = "live",
    hubspot: bool = True,
    salesforce: bool = True,
    edit: Callable[[str], str] = lambda text: text,
) -> str:
    """The example file, pointed at a sandbox, with rails and limits wide enough for its whole history in one go."""
    credentials()
    file = EXAMPLE.read_text()
    file = re.sub(r'(?m)^mode\s*=\s*"shadow"', f'mode = "{mode}"', file)
    file = re.sub(r"(?m)^url\s*=.*$", f'url = "{database}"', file, count=1)
    file = re.sub(r"(?m)^(access_token\s*=.*)$", rf'\1\nbase_url = "{box.hubspot_url}"', file)
    file = re.sub(r"(?m)^instance_url\s*=.*$", f'instance_url = "{box.salesforce_url}"\nca_bundle = "{box.ca_bundle}"', file)
    file = re.sub(r"(?m)^\[adopt\]$", "[adopt]\nclocks_from = 2026-01-01", file)
    for name, value in _WIDE.items():
        file = re.sub(rf"(?m)^{name}\s*=\s*\d+", f"{name} = {value}", file)
    file = re.sub(r'(?m)^rule_share\s*=\s*"\d+%"', 'rule_share = "100%"', file)
    if not hubspot:
        file = without_table(file, "crm.hubspot")
    if not salesforce:
        file = without_table(file, "crm.salesforce").replace('works_in = "salesforce"', 'works_in = "hubspot"')
    return edit(file)


def config_for(box: Sandbox, database: str, **options: Any) -> Config:
    """The configuration of `config_text`."""
    return loads(config_text(box, database, **options), source="config.toml")


def small_sandbox(now: Callable[[], datetime] = lambda: NOW, *, contacts: int = 500, leads: int = 200, **salesforce: Any) -> Sandbox:
    """A sandbox that does not hold a test up: few people, wide limits. salesforce: options of `SalesforceOptions`."""
    world = make_world(now=now(), hubspot_contacts=contacts, salesforce_leads=leads)
    hubspot = HubSpotOptions(requests_per_10_seconds=10_000, searches_per_second=1_000)
    return Sandbox(world, now=now, hubspot=hubspot, salesforce=SalesforceOptions(**salesforce))


def rows(app: App, statement: str, **values: Any) -> list[Any]:
    """What a statement finds in the store."""
    with app.store.read() as connection:
        return list(connection.execute(text(statement), values).all())


def records_stored(app: App) -> dict[str, int]:
    """How many records the mirror holds, by object."""
    return {row.object: row.n for row in rows(app, "SELECT object, count(*) AS n FROM record GROUP BY object")}


@contextmanager
def running(config: Config, now: Callable[[], datetime] = lambda: NOW, waiting: Pacing | None = None) -> Iterator[App]:
    """The program for this configuration, with its tables made."""
    lay_tables(config.database.url)
    with open_store(config) as store:
        store.upgrade()
    with open_app(config, now=now, waiting=waiting) as app:
        yield app
