"""What an account's own set-up means for rules, and how many records it holds."""

from __future__ import annotations

from collections.abc import Callable

from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.wire import checks as wire_checks
from connector.adapters.hubspot.wire.records import read_total
from connector.adapters.hubspot.wire.requests import OBJECT_TYPE_IDS
from connector.model import Surroundings


def surroundings(record_url: Callable[[str, str], str]) -> Surroundings:
    """Where records are opened.

    No defaults: which stage a new contact gets is a setting that no API tells, and a property's definition has no default value. No own
    users: a token is no owner; the `userId` that HubSpot names with it is the person's who made it.
    """
    return Surroundings(links={name: record_url(name, "{id}") for name in OBJECT_TYPE_IDS})


def how_many(client: HubSpotClient, object_name: str, name: str | None, value: str | None) -> int:
    """Live records of an object, or those that have this value of a property: one search."""
    return client.caller().ask(wire_checks.count(client.api, object_name, name, value), read_total)
