"""What tests of the sandbox's HubSpot share: a client that knows nothing but HTTP, searches, and a running sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from connector.sandbox.hubspot.actions import HubSpotActions
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.state import World
from connector.sandbox.world.make import make_world

NOW = datetime(2026, 12, 2, 9, 30, tzinfo=UTC)
MQL = "marketingqualifiedlead"
OBJECTS = "/crm/v3/objects"


class Api:
    """A client that knows nothing but HTTP."""

    def __init__(self, base: str, token: str = "sandbox-token") -> None:
        self.base = base
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        return self.session.request(method, self.base + path, json=body, timeout=10, **more)

    def json(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        response = self(method, path, body, **more)
        assert response.status_code < 300, (response.status_code, response.text)
        return response.json()


@dataclass
class Clock:
    """The sandbox's clock: it stands still unless a test moves it."""

    now: datetime = NOW


@dataclass(frozen=True)
class Stage:
    """A sandbox with a HubSpot alone, and who speaks to it."""

    api: Api
    world: World
    sandbox: Sandbox
    clock: Clock

    @property
    def actions(self) -> HubSpotActions:
        return self.sandbox.hubspot


@contextmanager
def running(*, contacts: int = 60, **options: Any) -> Iterator[Stage]:
    """A sandbox while the block lasts, with limits that nobody meets. options: those of `HubSpotOptions`."""
    clock = Clock()
    world = make_world(now=NOW, hubspot_contacts=contacts, salesforce_leads=20)
    hubspot = HubSpotOptions(requests_per_10_seconds=10**6, searches_per_second=10**6, **options)
    with Sandbox(world, now=lambda: clock.now, hubspot=hubspot, salesforce=None) as sandbox:
        api = Api(sandbox.hubspot_url)
        yield Stage(api, world, sandbox, clock)
        api.session.close()


def some_contact(world: World, stage: str) -> str:
    rows = world.hubspot["contacts"].items()
    return next(record_id for record_id, row in rows if row["properties"]["lifecyclestage"] == stage and not row["archived"])


def search(api: Api, name: str = "contacts", **body: Any) -> Any:
    return api.json("POST", f"/crm/v3/objects/{name}/search", body)


def rule(name: str, operator: str, *values: str) -> dict[str, Any]:
    if operator in ("IN", "NOT_IN"):
        return {"propertyName": name, "operator": operator, "values": list(values)}
    more = {"highValue": values[1]} if len(values) > 1 else {}
    return {"propertyName": name, "operator": operator, "value": values[0] if values else ""} | more


def found_ids(api: Api, *rules: dict[str, Any]) -> set[str]:
    ids: set[str] = set()
    after = "0"
    while True:
        page = search(api, filterGroups=[{"filters": list(rules)}], limit=200, after=after)
        ids |= {row["id"] for row in page["results"]}
        if "paging" not in page:
            assert len(ids) == page["total"]
            return ids
        after = page["paging"]["next"]["after"]
