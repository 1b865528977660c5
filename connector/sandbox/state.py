"""The state of both sandbox servers: every record, owner and link that the two made-up CRMs hold. `world/make.py` fills it.

A world is plain mutable data. The servers read and write it in place, so that what one request changes the next one shows. Nobody in it
exists: addresses end in `.example` or are made-up local parts at free-mail domains.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

HubSpotRow = dict[str, Any]
"""{"id": str, "properties": {name: str | None}, "createdAt": datetime, "updatedAt": datetime, "archived": bool};
in the recycle bin "archivedAt" too."""

SalesforceRow = dict[str, Any]
"""Field name → value: aware UTC `datetime`s (whole seconds), `date`s, str, int, float, bool or None."""


class PastValue(NamedTuple):
    """What a property of HubSpot was set to, when, and how. source, source_id: as HubSpot names it; user_id: of who did it, if a user."""

    value: str | None
    at: datetime
    source: str = "CRM_UI"
    source_id: str | None = None
    user_id: int | None = None


class Edit(NamedTuple):
    """One change of a value since the servers run: the truth of what was what when. user: the user's id in that CRM; None: no person."""

    crm: str
    object: str
    id: str
    property: str
    before: Any
    after: Any
    at: datetime
    user: str | None


HUBSPOT_OBJECTS = ("contacts", "companies", "deals", "calls", "emails", "meetings", "tasks")
SALESFORCE_OBJECTS = (
    "Lead", "Contact", "Account", "Task", "Event", "User", "Group", "LeadHistory", "LeadStatus", "Opportunity", "OpportunityHistory",
    "OpportunityContactRole", "Campaign", "CampaignMember", "UserRole", "TaskWhoRelation", "EventWhoRelation",
)  # fmt: skip


@dataclass(eq=False)
class World:
    """Everything that both CRMs hold.

    Ids are texts everywhere: HubSpot's are decimal numbers, Salesforce's have 18 characters. Moments are aware and UTC.
    """

    now: datetime
    """The moment that the world was made for: its latest past lies just before it."""
    hubspot: dict[str, dict[str, HubSpotRow]] = field(default_factory=lambda: {name: {} for name in HUBSPOT_OBJECTS})
    """Object ("contacts", …) → record id → record."""
    hubspot_owners: list[dict[str, Any]] = field(default_factory=list)
    """{"id", "email", "firstName", "lastName", "userId" (None where archived), "archived", "teams" ({"id", "name", "primary"})}."""
    hubspot_associations: dict[tuple[str, str], dict[str, list[tuple[str, int]]]] = field(default_factory=dict)
    """(from object, to object) → from id → [(to id, association type id)]; each link stands in both directions."""
    hubspot_properties: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Object → property name → its definition as `/crm/v3/properties` gives it; a property not here does not exist."""
    hubspot_history: dict[tuple[str, str], dict[str, list[PastValue]]] = field(default_factory=dict)
    """(object, id) → property → its values with the moment each was set and by whom, newest first."""
    hubspot_archived_properties: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Object → property name → the definition of a property that was removed; its values stay and come back with it."""
    hubspot_hidden: set[tuple[str, str]] = field(default_factory=set)
    """(object, property) that the connector's token may not see: neither answered nor listed."""
    hubspot_merged: dict[str, dict[str, str]] = field(default_factory=dict)
    """Object → id of a record that was merged away → the record that stands for it."""
    hubspot_last_ids: dict[str, int] = field(default_factory=dict)
    """Object → the highest id that was ever given; an id never comes twice."""
    salesforce: dict[str, dict[str, SalesforceRow]] = field(default_factory=lambda: {name: {} for name in SALESFORCE_OBJECTS})
    """sObject ("Lead", …) → Id → row; each has Id, CreatedDate, LastModifiedDate, SystemModstamp and IsDeleted."""
    connector_user_id: str = ""
    """The Salesforce User that the connector signs in as."""
    absent: str = ""
    """E-mail address of the owner who is on leave."""
    edits: list[Edit] = field(default_factory=list)
    """What was changed since the servers run, in order; what HubSpot calculates (`recalculate`) and new records are left out."""
