"""Checks of values before HubSpot writes them: unknown properties, wrong types and options, values that must be unique.

Sources: developers.hubspot.com/docs/guides/api/crm/properties (types, clearing and appending), /docs/api-reference/error-handling (codes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.sandbox.hubspot.answers import Refusal, invalid_properties, refused, stamp
from connector.sandbox.hubspot.search import to_moment
from connector.sandbox.state import HubSpotRow, World

_MAX_TEXT = 65_536
_ENGAGEMENTS = ("calls", "emails", "meetings", "tasks")
Values = dict[str, str | None]


def check(world: World, known: Mapping[str, Mapping[str, Any]], name: str, properties: Mapping[str, Any], row: HubSpotRow | None) -> Values:
    """The properties as they would be kept on the record (None: a new one). known: the object's properties.

    Raises one Refusal for all that is wrong with them, 409 for a contact's address that exists already.
    """
    problems: list[tuple[str, str, str]] = []
    values: Values = {}
    for property_name, given in properties.items():
        if property_name not in known:
            problems.append((property_name, "PROPERTY_DOESNT_EXIST", f'Property "{property_name}" does not exist'))
            continue
        text = as_text(given)
        problem = _problem(world, known[property_name], text)
        if problem is not None:
            problems.append((property_name, *problem))
        else:
            values[property_name] = kept(known[property_name], text, row)
    if problems:
        raise invalid_properties(problems)
    _keep_unique(world, known, name, values, row)
    if row is None and name in _ENGAGEMENTS and not values.get("hs_timestamp"):
        raise invalid_properties([("hs_timestamp", "REQUIRED_FIELD", "hs_timestamp is required")])
    return values


def as_text(given: Any) -> str:
    """A value of a request as HubSpot takes it: text, "" for none."""
    return "" if given is None else str(given).lower() if isinstance(given, bool) else str(given)


def kept(definition: Mapping[str, Any], text: str, row: HubSpotRow | None) -> str | None:
    """The text as HubSpot keeps it. Raises Refusal for a moment that is none."""
    if not text:
        return None
    if definition["type"] == "datetime":
        return stamp(to_moment(text))
    if definition["fieldType"] == "checkbox" and text.startswith(";"):
        already = ((row["properties"].get(definition["name"]) if row else None) or "").split(";")
        return ";".join(dict.fromkeys(part for part in (*already, *text.split(";")) if part))
    return text.lower() if definition["name"] == "email" else text


def _problem(world: World, definition: Mapping[str, Any], text: str) -> tuple[str, str] | None:
    name, kind = definition["name"], definition["type"]
    if definition["modificationMetadata"]["readOnlyValue"]:
        return "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.'
    if not text:
        return None
    if name == "hubspot_owner_id":
        owners = {owner["id"] for owner in world.hubspot_owners if not owner["archived"]}
        return None if text in owners else ("INVALID_OWNER_ID", f"{text} is not a valid owner id")
    if kind == "enumeration" and definition["options"]:
        allowed = [option["value"] for option in definition["options"]]
        parts = text.removeprefix(";").split(";") if definition["fieldType"] == "checkbox" else [text]
        wrong = [part for part in parts if part not in allowed]
        return ("INVALID_OPTION", f"{wrong[0]} was not one of the allowed options: {allowed}") if wrong else None
    if kind == "number":
        return None if _is_number(text) else ("INVALID_INTEGER", f"{text} was not a valid number.")
    if kind == "datetime":
        return None if _is_moment(text) else ("INVALID_DATE", f"{text} was not a valid date.")
    return ("STRING_TOO_LONG", f"{name} takes {_MAX_TEXT} characters") if len(text) > _MAX_TEXT else None


def _keep_unique(world: World, known: Mapping[str, Mapping[str, Any]], name: str, values: Values, row: HubSpotRow | None) -> None:
    for property_name, value in values.items():
        is_email = name == "contacts" and property_name == "email"
        if value is None or not (is_email or known[property_name]["hasUniqueValue"]):
            continue
        others = (other for other in world.hubspot[name].values() if other is not row and not other["archived"])
        other = next((row for row in others if row["properties"].get(property_name) == value), None)
        if other is not None and is_email:
            raise refused("CONFLICT", f"Contact already exists. Existing ID: {other['id']}", status=409)
        if other is not None:
            message = f"{property_name} is already used by object {other['id']}"
            raise invalid_properties([(property_name, "CONFLICTING_UNIQUE_VALUE", message)])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_moment(text: str) -> bool:
    try:
        to_moment(text)
    except Refusal:
        return False
    return True
