"""What HubSpot knows before any record exists, as `catalogue.toml` gives it: objects, association types, pipelines, properties.

Sources: developers.hubspot.com/docs/guides/crm/understanding-the-crm (object type ids), /docs/api-reference/crm-associations-v4/guide
(association type ids), /docs/api-reference/crm-properties-v3/guide (shape of a property).
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DATA: dict[str, Any] = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8"))
_OBJECTS: dict[str, dict[str, Any]] = _DATA["objects"]

# ── Objects and associations ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#: object → (singular, object type id)
OBJECTS: dict[str, tuple[str, str]] = {name: (facts["singular"], facts["type_id"]) for name, facts in _OBJECTS.items()}
_ALIASES = {alias: name for name, (singular, type_id) in OBJECTS.items() for alias in (name, singular, type_id)} | {"meeting": "meetings"}

#: What comes where no property is asked for; the last three also where others are.
DEFAULT_PROPERTIES: dict[str, tuple[str, ...]] = {name: tuple(facts["default_properties"]) for name, facts in _OBJECTS.items()}
#: The properties that hold a record's two dates.
CREATED: dict[str, str] = {name: facts["created"] for name, facts in _OBJECTS.items()}
MODIFIED: dict[str, str] = {name: facts["modified"] for name, facts in _OBJECTS.items()}


def _association_types(facts: dict[str, Any]) -> tuple[tuple[int, str | None], ...]:
    return ((facts["default"], None), (facts["primary"], "Primary")) if "primary" in facts else ((facts["default"], None),)


#: (from, to) → its association types, the unlabelled default first: (id, label)
ASSOCIATION_TYPES: dict[tuple[str, str], tuple[tuple[int, str | None], ...]] = {
    (facts["from"], facts["to"]): _association_types(facts) for facts in _DATA["associations"]
}
#: The types of "Primary", by which a contact or a deal has one company, from either side.
PRIMARY_COMPANY = frozenset(type_id for types in ASSOCIATION_TYPES.values() for type_id, label in types if label == "Primary")


def object_name(text: str) -> str | None:
    """The plural name of an object named in any of the ways HubSpot takes; None where there is no such object."""
    return _ALIASES.get(text.lower())


def opposite(from_type: str, to_type: str, type_id: int) -> int | None:
    """The id that an association has seen from the other side; None where the type is not one of these objects'."""
    forward, back = ASSOCIATION_TYPES.get((from_type, to_type), ()), ASSOCIATION_TYPES.get((to_type, from_type), ())
    return next((back[at][0] for at, (known, _) in enumerate(forward) if known == type_id), None)


# ── Pipelines and stages ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class DealStage:
    """A stage of the sales pipeline: how likely it ends in a deal, and whether it is an end."""

    label: str
    probability: float

    @property
    def closed(self) -> bool:
        return self.probability in (0.0, 1.0)

    @property
    def won(self) -> bool:
        return self.probability == 1.0


#: The stages of the one pipeline with which every account begins; they can be renamed, their ids stay.
DEAL_STAGES = {stage_id: DealStage(**facts) for stage_id, facts in _DATA["pipeline"]["stages"].items()}
#: As `GET /crm/v3/pipelines/deals` gives them; what stands in a stage's metadata is text (/docs/api-reference/crm-pipelines-v3/guide).
PIPELINES: tuple[dict[str, Any], ...] = (
    {
        "id": _DATA["pipeline"]["id"],
        "label": _DATA["pipeline"]["label"],
        "displayOrder": 0,
        "archived": False,
        "stages": [
            {
                "id": stage_id,
                "label": stage.label,
                "displayOrder": at,
                "metadata": {"isClosed": str(stage.closed).lower(), "probability": str(stage.probability)},
                "archived": False,
                "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            }
            for at, (stage_id, stage) in enumerate(DEAL_STAGES.items())
        ],
    },
)
#: Lifecycle stages, from the first to the last.
STAGES: tuple[str, ...] = tuple(_DATA["options"]["lifecycle_stages"])

# ── Properties ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """A property of an object. own: HubSpot's own, not made by the account. labels: the options' own texts where there are none.

    calculated: HubSpot works its value out by itself, and so nobody writes it; no modified date tells that it changed.
    """

    name: str
    type: str = "string"
    field_type: str = "text"
    options: Sequence[str] = ()
    labels: Sequence[str] = ()
    read_only: bool = False
    calculated: bool = False
    unique: bool = False
    own: bool = True

    def definition(self) -> dict[str, Any]:
        """The property as `GET /crm/v3/properties/{object}` gives it."""
        return {
            "name": self.name,
            "label": self.name.replace("_", " ").capitalize(),
            "type": self.type,
            "fieldType": self.field_type,
            "description": "",
            "groupName": "contactinformation",
            "options": [
                {"label": label, "value": value, "displayOrder": at, "hidden": False, "description": ""}
                for at, (value, label) in enumerate(zip(self.options, self.labels or self.options, strict=True))
            ],
            "displayOrder": -1,
            "calculated": self.calculated,
            "externalOptions": self.name == "hubspot_owner_id",
            "archived": False,
            "hasUniqueValue": self.unique,
            "hidden": False,
            "hubspotDefined": self.own,
            "modificationMetadata": {
                "archivable": not self.own,
                "readOnlyDefinition": self.own,
                "readOnlyValue": self.read_only or self.calculated,
            },
            "formField": False,
        }


#: The lists that properties name for their options or labels.
_LISTS: dict[str, list[str]] = {
    **_DATA["options"],
    "pipelines": [pipeline["id"] for pipeline in PIPELINES],
    "pipeline_labels": [pipeline["label"] for pipeline in PIPELINES],
    "deal_stages": list(DEAL_STAGES),
    "deal_stage_labels": [stage.label for stage in DEAL_STAGES.values()],
}


def _property(name: str, facts: dict[str, Any]) -> Property:
    lists = {key: _LISTS[facts[key]] for key in ("options", "labels") if isinstance(facts.get(key), str)}
    return Property(name=name, **{**facts, **lists})


def _properties(object_name: str) -> list[Property]:
    own = [_property(name, facts) for name, facts in _OBJECTS[object_name]["properties"].items()]
    # both names of the modified date exist on every object; the wrong one is never filled, so that a search by it finds nothing
    moments = dict.fromkeys((CREATED[object_name], "lastmodifieddate", "hs_lastmodifieddate"))
    return [
        *own,
        Property(name="hs_object_id", type="number", field_type="number", read_only=True),
        *(Property(name=name, type="datetime", field_type="date", read_only=True) for name in moments),
    ]


def standard_properties() -> dict[str, dict[str, dict[str, Any]]]:
    """Object → name → definition, for a new account with the properties of the handoff."""
    return {object_name: {property_.name: property_.definition() for property_ in _properties(object_name)} for object_name in _OBJECTS}
