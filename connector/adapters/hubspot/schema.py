"""HubSpot's own description of its fields."""

from __future__ import annotations

from collections.abc import Sequence

from connector.adapters.client import Caller
from connector.adapters.hubspot.wire.records import read_listing, read_property
from connector.adapters.hubspot.wire.requests import Api
from connector.model import PropertyFacts


def schema(api: Api, caller: Caller, objects: Sequence[str]) -> dict[str, dict[str, PropertyFacts]]:
    """The fields of these objects, by name. Raises `ObjectStopped` for the first object that may not be described (code MISSING_SCOPES)."""
    return {object_name: _of(api, caller, object_name) for object_name in dict.fromkeys(objects)}


def _of(api: Api, caller: Caller, object_name: str) -> dict[str, PropertyFacts]:
    listing = caller.ask(api.properties(object_name), read_listing)
    facts = [read_property(object_name, raw) for raw in listing.results]
    return {each.name: each for each in facts if each is not None}
