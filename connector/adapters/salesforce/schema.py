"""The fields of objects as they are now, from Salesforce's own descriptions (REST:resources-sobject-describe)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connector.adapters.salesforce.client import SalesforceClient
from connector.adapters.salesforce.wire import requests as wire
from connector.errors import ObjectStopped
from connector.model import FieldType, PropertyFacts, Schema


def schema(client: SalesforceClient, objects: Sequence[str]) -> Schema:
    """Object → field → facts; field-level security hides a field as if it were not there.

    Raises `ObjectStopped` (INVALID_TYPE) for an object that does not exist, or that the connector's user may not see.
    """
    caller = client.caller()
    described: dict[str, Mapping[str, PropertyFacts]] = {}
    for name in dict.fromkeys(objects):
        request = wire.describe(name)
        try:
            value = wire.value_of(caller.call(request))
        except ObjectStopped as error:
            if error.code != "NOT_FOUND":  # what an object that is not visible is called here, and INVALID_TYPE in a query
                raise
            raise _invisible(name) from error
        if not isinstance(value, dict) or not isinstance(value.get("fields"), list):
            raise wire.strange(request.about)
        facts = [_facts(name, field) for field in value["fields"] if isinstance(field, dict) and isinstance(field.get("name"), str)]
        described[name] = {fact.name: fact for fact in facts}
    return described


def _facts(object_name: str, field: Mapping[str, Any]) -> PropertyFacts:
    kind, chosen = str(field.get("type") or ""), _options(field)
    return PropertyFacts(
        object=object_name,
        name=field["name"],
        label=str(field.get("label") or field["name"]),
        type=kind,
        options=tuple(chosen) if kind in _LISTS else None,
        labels=tuple(chosen.values()) if kind in _LISTS else (),
        means=_MEANS.get(kind),
        calculated=field.get("calculated") is True,
        writable=field.get("updateable") is True or field.get("createable") is True,
    )


_LISTS = frozenset({"picklist", "multipicklist", "combobox"})
#: Types of fields as the file writes them
#: (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/field_types.htm).
_MEANS = {
    **dict.fromkeys(("string", "textarea", "email", "phone", "url", "reference", "id", "encryptedstring", "combobox"), FieldType.TEXT),
    **dict.fromkeys(("double", "currency", "percent"), FieldType.NUMBER),
    **dict.fromkeys(("int", "long"), FieldType.INTEGER),
    **dict.fromkeys(("date", "datetime"), FieldType.DATETIME),
    "boolean": FieldType.BOOLEAN,
    "picklist": FieldType.CHOICE,
    "multipicklist": FieldType.CHOICES,
}


def _options(field: Mapping[str, Any]) -> dict[str, str]:
    """Value → label of those that can be chosen, in the picklist's order; those switched off stand on old records only."""
    values = [value for value in field.get("picklistValues") or [] if isinstance(value, dict) and value.get("active") is not False]
    return {str(value.get("value")): str(value.get("label") or value.get("value")) for value in values}


def _invisible(name: str) -> ObjectStopped:
    return ObjectStopped(
        f"salesforce has no object {name}, or hides it from the connector's user",
        crm="salesforce",
        code="INVALID_TYPE",
        advice=f"Give the connector's user read access to {name} (Setup, Permission Sets, Object Settings).",
    )
