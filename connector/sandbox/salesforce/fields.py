"""What the sandbox's Salesforce knows about its objects, as `fields.toml` gives it: fields, picklists, prefixes of ids, children."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DATA: dict[str, Any] = tomllib.loads(Path(__file__).with_name("fields.toml").read_text(encoding="utf-8"))
_OBJECTS: dict[str, dict[str, Any]] = _DATA["objects"]

#: The field that exists only in orgs with several currencies.
CURRENCY = "CurrencyIsoCode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an object."""

    name: str
    type: str
    length: int = 0
    createable: bool = True
    updateable: bool = True
    required: bool = False
    filterable: bool = True
    key: bool = False
    calculated: bool = False
    targets: tuple[str, ...] = ()

    @property
    def relationship(self) -> str | None:
        """The name under which a reference's record is reached: OwnerId → Owner."""
        return self.name.removesuffix("Id") if self.targets else None


def _field(name: str, facts: Mapping[str, Any]) -> Field:
    createable = not facts.get("read_only", False)
    return Field(
        name=name,
        type=facts["type"],
        length=facts.get("length", 0),
        createable=createable,
        updateable=createable and not facts.get("create_only", False),
        required=facts.get("required", False),
        filterable=facts.get("filterable", True),
        key=facts.get("external_id", False),
        calculated=facts.get("calculated", False),
        targets=tuple(facts.get("targets", ())),
    )


def _facts_of_fields(object_name: str) -> dict[str, dict[str, Any]]:
    """Field → what the file says of it, shared fields first."""
    facts = _OBJECTS[object_name]
    shared = _DATA["shared"][facts["begins_with"]] if "begins_with" in facts else {}
    return {**shared, **facts["fields"]}


_FIELD_FACTS = {(name, field): facts for name in _OBJECTS for field, facts in _facts_of_fields(name).items()}

#: Object → its fields. User, Group and LeadStatus have no IsDeleted, LeadHistory has no stamp but CreatedDate: so does the service.
FIELDS = {name: tuple(_field(field, facts) for field, facts in _facts_of_fields(name).items()) for name in _OBJECTS}
#: Keys that rows may carry for the sandbox's own use and that the service's object does not have.
INTERNAL = {name: frozenset(facts["internal"]) for name, facts in _OBJECTS.items() if "internal" in facts}
#: The first three characters of an object's ids.
PREFIXES: dict[str, str] = {name: facts["prefix"] for name, facts in _OBJECTS.items()}
#: Objects that nobody writes: setup data, and history that the service writes by itself.
READ_ONLY = frozenset(name for name, facts in _OBJECTS.items() if facts.get("read_only", False))
#: What goes to the bin with a record, and comes back with it: object → (child object, its reference).
CHILDREN: dict[str, tuple[tuple[str, str], ...]] = {
    name: tuple((child, link) for child, link in facts["children"]) for name, facts in _OBJECTS.items() if "children" in facts
}
#: What a polymorphic relationship (Owner, Who) shows: the fields of the service's Name object.
NAME_FIELDS: tuple[str, ...] = tuple(_DATA["name_fields"])

#: Opportunity.StageName → probability in percent, closed, won.
STAGES: dict[str, tuple[int, bool, bool]] = {
    name: (stage["probability"], stage.get("closed", False), stage.get("won", False)) for name, stage in _DATA["opportunity_stages"].items()
}
#: Statuses of a campaign's member that count as an answer.
RESPONSES = frozenset(_DATA["responses"])
#: In orgs with several currencies; the first is the org's own.
CURRENCIES: tuple[str, ...] = tuple(_DATA["picklists"]["currencies"])

_SHARED_VALUES: dict[str, list[str]] = {**_DATA["picklists"], "opportunity_stages": list(STAGES)}


def _values(given: str | list[str]) -> tuple[str, ...]:
    return tuple(_SHARED_VALUES[given] if isinstance(given, str) else given)


#: (object, field) → values; those found in the data are added. Lead.Status comes from the LeadStatus rows.
PICKLISTS = {key: _values(facts["values"]) for key, facts in _FIELD_FACTS.items() if "values" in facts}
#: Picklists that refuse other values. Lead.Status is not one of them: an unknown status is accepted.
RESTRICTED = frozenset(key for key, facts in _FIELD_FACTS.items() if facts.get("restricted", False))
#: (object, field) → what a new record holds where the request says nothing.
DEFAULTS: dict[tuple[str, str], str | bool] = {key: facts["default"] for key, facts in _FIELD_FACTS.items() if "default" in facts}
