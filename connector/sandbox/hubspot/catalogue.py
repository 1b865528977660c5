"""What HubSpot knows before any record exists: object names, association types, and the properties of each object.

Sources: developers.hubspot.com/docs/guides/crm/understanding-the-crm (object type ids), /docs/api-reference/crm-associations-v4/guide
(association type ids), /docs/api-reference/crm-properties-v3/guide (shape of a property).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: object → (singular, object type id)
OBJECTS = {
    "contacts": ("contact", "0-1"),
    "companies": ("company", "0-2"),
    "deals": ("deal", "0-3"),
    "calls": ("call", "0-48"),
    "emails": ("email", "0-49"),
    "meetings": ("meeting_event", "0-47"),
    "tasks": ("task", "0-27"),
}
_ALIASES = {alias: name for name, (singular, type_id) in OBJECTS.items() for alias in (name, singular, type_id)} | {"meeting": "meetings"}

#: What comes where no property is asked for; the last one or two also where others are.
DEFAULT_PROPERTIES = {
    "contacts": ("email", "firstname", "lastname", "createdate", "hs_object_id", "lastmodifieddate"),
    "companies": ("name", "domain", "createdate", "hs_object_id", "hs_lastmodifieddate"),
    "deals": ("dealname", "amount", "closedate", "pipeline", "dealstage", "createdate", "hs_object_id", "hs_lastmodifieddate"),
    **dict.fromkeys(("calls", "emails", "meetings", "tasks"), ("hs_createdate", "hs_object_id", "hs_lastmodifieddate")),
}
MODIFIED = {name: "lastmodifieddate" if name == "contacts" else "hs_lastmodifieddate" for name in OBJECTS}
CREATED = {name: "createdate" if name in ("contacts", "companies", "deals") else "hs_createdate" for name in OBJECTS}

#: (from, to) → its association types, the unlabelled default first: (id, label)
ASSOCIATION_TYPES: dict[tuple[str, str], tuple[tuple[int, str | None], ...]] = {
    ("contacts", "companies"): ((279, None), (1, "Primary")),
    ("companies", "contacts"): ((280, None), (2, "Primary")),
    ("contacts", "calls"): ((193, None),),
    ("calls", "contacts"): ((194, None),),
    ("contacts", "emails"): ((197, None),),
    ("emails", "contacts"): ((198, None),),
    ("contacts", "meetings"): ((199, None),),
    ("meetings", "contacts"): ((200, None),),
    ("contacts", "tasks"): ((203, None),),
    ("tasks", "contacts"): ((204, None),),
    ("companies", "calls"): ((181, None),),
    ("calls", "companies"): ((182, None),),
    ("companies", "emails"): ((185, None),),
    ("emails", "companies"): ((186, None),),
    ("companies", "meetings"): ((187, None),),
    ("meetings", "companies"): ((188, None),),
    ("companies", "tasks"): ((191, None),),
    ("tasks", "companies"): ((192, None),),
    ("contacts", "deals"): ((4, None),),
    ("deals", "contacts"): ((3, None),),
    ("companies", "deals"): ((342, None), (6, "Primary")),
    ("deals", "companies"): ((341, None), (5, "Primary")),
    ("deals", "calls"): ((205, None),),
    ("calls", "deals"): ((206, None),),
    ("deals", "emails"): ((209, None),),
    ("emails", "deals"): ((210, None),),
    ("deals", "meetings"): ((211, None),),
    ("meetings", "deals"): ((212, None),),
    ("deals", "tasks"): ((215, None),),
    ("tasks", "deals"): ((216, None),),
}
#: The types of "Primary", by which a contact or a deal has one company, from either side.
PRIMARY_COMPANY = frozenset({1, 2, 5, 6})


def object_name(text: str) -> str | None:
    """The plural name of an object named in any of the ways HubSpot takes; None where there is no such object."""
    return _ALIASES.get(text.lower())


def opposite(from_type: str, to_type: str, type_id: int) -> int | None:
    """The id that an association has seen from the other side; None where the type is not one of these objects'."""
    there, home = ASSOCIATION_TYPES.get((from_type, to_type), ()), ASSOCIATION_TYPES.get((to_type, from_type), ())
    return next((home[at][0] for at, (each, _) in enumerate(there) if each == type_id), None)


def definition(  # noqa: PLR0913 - the keywords of a definition, each with its default
    name: str,
    type_: str = "string",
    field_type: str = "text",
    *,
    options: Sequence[str] = (),
    labels: Sequence[str] = (),
    read_only: bool = False,
    calculated: bool = False,
    unique: bool = False,
    own: bool = True,
) -> dict[str, Any]:
    """A property as `GET /crm/v3/properties/{object}` gives it. own: HubSpot's own, not made by the account.

    calculated: HubSpot works its value out by itself, and so nobody writes it; no modified date tells that it changed.
    """
    return {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "type": type_,
        "fieldType": field_type,
        "description": "",
        "groupName": "contactinformation",
        "options": [
            {"label": label, "value": value, "displayOrder": at, "hidden": False, "description": ""}
            for at, (value, label) in enumerate(zip(options, labels or options, strict=True))
        ],
        "displayOrder": -1,
        "calculated": calculated,
        "externalOptions": name == "hubspot_owner_id",
        "archived": False,
        "hasUniqueValue": unique,
        "hidden": False,
        "hubspotDefined": own,
        "modificationMetadata": {"archivable": not own, "readOnlyDefinition": own, "readOnlyValue": read_only or calculated},
        "formField": False,
    }


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


#: The pipeline with which every account begins; its stages can be renamed, their ids stay.
DEAL_STAGES = {
    "appointmentscheduled": DealStage("Appointment Scheduled", 0.2),
    "qualifiedtobuy": DealStage("Qualified To Buy", 0.4),
    "presentationscheduled": DealStage("Presentation Scheduled", 0.6),
    "decisionmakerboughtin": DealStage("Decision Maker Bought-In", 0.8),
    "contractsent": DealStage("Contract Sent", 0.9),
    "closedwon": DealStage("Closed Won", 1.0),
    "closedlost": DealStage("Closed Lost", 0.0),
}
#: As `GET /crm/v3/pipelines/deals` gives them; what stands in a stage's metadata is text (/docs/api-reference/crm-pipelines-v3/guide).
PIPELINES: tuple[dict[str, Any], ...] = (
    {
        "id": "default",
        "label": "Sales Pipeline",
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

STAGES = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist", "other")
_STAGE_LABELS = (
    "Subscriber", "Lead", "Marketing Qualified Lead", "Sales Qualified Lead", "Opportunity", "Customer", "Evangelist", "Other",
)  # fmt: skip
_LEAD_STATUSES = ("NEW", "OPEN", "IN_PROGRESS", "OPEN_DEAL", "UNQUALIFIED", "ATTEMPTED_TO_CONTACT", "CONNECTED", "BAD_TIMING")
_ROLES = ("BUDGET_HOLDER", "CHAMPION", "DECISION_MAKER", "END_USER", "EXECUTIVE_SPONSOR", "INFLUENCER", "LEGAL_AND_COMPLIANCE")
_REASONS = ("No budget", "No authority", "No need", "Bad timing", "Bad data", "Competitor", "Duplicate", "Unreachable")
_TASK_STATUSES = ("NOT_STARTED", "IN_PROGRESS", "WAITING", "COMPLETED", "DEFERRED")


def _texts(*names: str, own: bool = True) -> list[dict[str, Any]]:
    return [definition(name, own=own) for name in names]


def _choice(name: str, options: Sequence[str], *, labels: Sequence[str] = (), own: bool = True, several: bool = False) -> dict[str, Any]:
    return definition(name, "enumeration", "checkbox" if several else "select", options=options, labels=labels, own=own)


def _moment(name: str, *, read_only: bool = False) -> dict[str, Any]:
    return definition(name, "datetime", "date", read_only=read_only)


def _number(name: str, *, own: bool = True, read_only: bool = False) -> dict[str, Any]:
    return definition(name, "number", "number", own=own, read_only=read_only)


def _merged() -> dict[str, Any]:
    return definition("hs_merged_object_ids", "enumeration", "checkbox", read_only=True)


def _deals() -> list[dict[str, Any]]:
    return [
        *_texts("dealname", "deal_currency_code"),
        _choice("pipeline", [each["id"] for each in PIPELINES], labels=[each["label"] for each in PIPELINES]),
        _choice("dealstage", list(DEAL_STAGES), labels=[each.label for each in DEAL_STAGES.values()]),
        _number("amount"),
        _moment("closedate"),
        definition("hubspot_owner_id", "enumeration", "select"),
        *(definition(name, "bool", "calculation_equation", calculated=True) for name in ("hs_is_closed", "hs_is_closed_won")),
        _merged(),
    ]


def _contacts() -> list[dict[str, Any]]:
    return [
        *_texts("email", "firstname", "lastname", "phone", "mobilephone", "company", "jobtitle", "country", "city"),
        *_texts("hs_analytics_first_touch_converting_campaign", "salesforceleadid", "salesforcecontactid"),
        _merged(),
        definition("hs_additional_emails", "enumeration", "checkbox"),
        *_texts("pain_point", "competitor_in_use", own=False),
        definition("hubspot_owner_id", "enumeration", "select"),
        _moment("hubspot_owner_assigneddate", read_only=True),
        _choice("lifecyclestage", STAGES, labels=_STAGE_LABELS),
        *(_moment(f"hs_v2_date_entered_{stage}", read_only=True) for stage in STAGES),
        _choice("hs_lead_status", _LEAD_STATUSES),
        definition("hs_analytics_source", "enumeration", "select", read_only=True),
        _number("hs_analytics_num_page_views", read_only=True),
        _moment("recent_conversion_date", read_only=True),
        _number("associatedcompanyid"),
        _number("budget_amount", own=False),
        _choice("hs_buying_role", _ROLES, several=True),
        _choice("purchase_timeline", ("now", "this quarter", "this year", "later"), own=False),
        _choice("rejection_reason", _REASONS, own=False),
        _number("handoff_score", own=False),
        _number("handoff_criteria_met", own=False),
        definition("engagement_level", "number", "calculation_equation", calculated=True, own=False),
    ]


def _engagement(prefix: str, texts: Sequence[str]) -> list[dict[str, Any]]:
    return [
        _moment("hs_timestamp"),
        definition("hubspot_owner_id", "enumeration", "select"),
        definition("hs_object_source", "enumeration", "select", read_only=True),
        *_texts(*(prefix + name for name in texts)),
    ]


def standard_properties() -> dict[str, dict[str, dict[str, Any]]]:
    """Object → name → definition, for a new account with the properties of the handoff."""
    tables = {
        "contacts": _contacts(),
        "companies": [
            *_texts("name", "domain", "country", "city", "phone"),
            definition("industry", "enumeration", "select"),
            _number("numberofemployees"),
            definition("hubspot_owner_id", "enumeration", "select"),
            definition("hs_additional_domains", "enumeration", "checkbox"),
            _merged(),
        ],
        "deals": _deals(),
        "calls": [
            *_engagement("hs_call_", ("title", "body", "disposition", "status", "from_number", "to_number", "recording_url")),
            _choice("hs_call_direction", ("INBOUND", "OUTBOUND")),
            _number("hs_call_duration"),
        ],
        "emails": [
            *_engagement("hs_email_", ("subject", "text", "html", "headers")),
            _choice("hs_email_direction", ("EMAIL", "INCOMING_EMAIL", "FORWARDED_EMAIL")),
            _choice("hs_email_status", ("BOUNCED", "FAILED", "SCHEDULED", "SENDING", "SENT")),
            _number("hs_sequence_id", read_only=True),
        ],
        "meetings": [
            *_engagement("hs_meeting_", ("title", "body", "location", "external_url")),
            *_texts("hs_internal_meeting_notes"),
            _moment("hs_meeting_start_time"),
            _moment("hs_meeting_end_time"),
            _choice("hs_meeting_outcome", ("SCHEDULED", "COMPLETED", "RESCHEDULED", "NO_SHOW", "CANCELED")),
        ],
        "tasks": [
            *_engagement("hs_task_", ("subject", "body", "reminders")),
            _choice("hs_task_status", _TASK_STATUSES),
            _choice("hs_task_priority", ("NONE", "LOW", "MEDIUM", "HIGH")),
            _choice("hs_task_type", ("EMAIL", "CALL", "TODO")),
            _moment("hs_task_completion_date", read_only=True),
        ],
    }
    for name, definitions in tables.items():
        definitions.append(_number("hs_object_id", read_only=True))
        # both names of the modified date exist on every object; the wrong one is never filled, so that a search by it finds nothing
        moments = dict.fromkeys((CREATED[name], "lastmodifieddate", "hs_lastmodifieddate"))
        definitions.extend(_moment(each, read_only=True) for each in moments)
    return {name: {each["name"]: each for each in definitions} for name, definitions in tables.items()}
