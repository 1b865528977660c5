"""The fields of objects as they are now, from HubSpot's own descriptions."""

from __future__ import annotations

from collections.abc import Sequence

from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.wire.records import read_listing, read_property
from connector.model import PropertyFacts, Schema


def schema(client: HubSpotClient, objects: Sequence[str]) -> Schema:
    """Object → field → facts. Raises `ObjectStopped` for the first object that may not be described (code MISSING_SCOPES)."""
    caller = client.caller()
    described: dict[str, dict[str, PropertyFacts]] = {}
    for name in dict.fromkeys(objects):
        listing = caller.ask(client.api.properties(name), read_listing)
        properties = [read_property(name, raw) for raw in listing.results]
        described[name] = {facts.name: facts for facts in properties if facts is not None}
    return described
