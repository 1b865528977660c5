"""The made-up world that both sandbox servers show: its shape (`World`) and the one function that fills it.

A world is plain mutable data. The servers read and write it in place, so that what one request changes the next one
shows. Nobody in it exists: addresses end in `.example` or are made-up local parts at free-mail domains.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

HubSpotRow = dict[str, Any]
"""{"id": str, "properties": {name: str | None}, "createdAt": datetime, "updatedAt": datetime, "archived": bool};
in the recycle bin "archivedAt" too."""

SalesforceRow = dict[str, Any]
"""Field name → value: aware UTC `datetime`s (whole seconds), `date`s, str, int, float, bool or None."""

HUBSPOT_OBJECTS = ("contacts", "companies", "deals", "calls", "emails", "meetings", "tasks")
SALESFORCE_OBJECTS = (
    "Lead", "Contact", "Account", "Task", "Event", "User", "Group", "LeadHistory", "LeadStatus", "Opportunity", "OpportunityContactRole",
    "Campaign", "CampaignMember", "UserRole", "TaskWhoRelation", "EventWhoRelation",
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
    hubspot_history: dict[tuple[str, str], dict[str, list[tuple[str | None, datetime]]]] = field(default_factory=dict)
    """(object, id) → property → its values with the moment each was set, newest first."""
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


def make_world(
    *,
    seed: int = 7,
    now: datetime,
    hubspot_contacts: int = 5000,
    salesforce_leads: int = 2000,
    activities_a_contact: float = 0.0,
    activities_a_lead: float = 0.0,
) -> World:
    """Makes the same world for the same arguments: both CRMs with 90 days of activity before `now` (aware).

    activities_a_contact: that many HubSpot activities for each HubSpot contact at least; 0: as many as the people's own stories have,
    about two and a half. activities_a_lead: that many calls more in Salesforce for each Lead. Raises ValueError where `now` has no time
    zone.
    """
    from connector.sandbox.world.people import fill
    from connector.sandbox.world.salesforce import more_calls

    if now.tzinfo is None:
        raise ValueError("make_world needs an aware `now`; give it a time zone")
    world = World(now=now)
    fill(world, seed=seed, hubspot_contacts=hubspot_contacts, salesforce_leads=salesforce_leads, activities_a_contact=activities_a_contact)
    more_calls(world, round(activities_a_lead * salesforce_leads))
    return world
