"""The fields that every file has without saying so, with the standard fields of both CRMs.

HubSpot's names are those of its contact properties, Salesforce's those of Lead and Contact. A file may declare one anew, but for those
in `FIXED`.
"""

from __future__ import annotations

from connector.config.names import ONE_SIDED
from connector.config.tables import FieldPlaces, FieldRule
from connector.model import CRM_FACTS, FieldType


def _field(name: str, hubspot: str, lead: str | None, contact: str | None = None, *, type: FieldType = FieldType.TEXT) -> FieldRule:  # noqa: A002
    """A built-in field; `contact` left out: the same name as on the Lead."""
    places = None if lead is None else FieldPlaces(lead=lead, contact=contact or lead)
    return FieldRule(name=name, type=type, hubspot=hubspot, salesforce=places, builtin=True)


BUILTIN: tuple[FieldRule, ...] = (
    _field("email", "email", "Email"),
    _field("first_name", "firstname", "FirstName"),
    _field("last_name", "lastname", "LastName"),
    _field("phone", "phone", "Phone"),
    _field("mobile", "mobilephone", "MobilePhone"),
    _field("company", "company", "Company", "Account.Name"),
    _field("job_title", "jobtitle", "Title"),
    _field("country", "country", "Country", "MailingCountry"),
    _field("city", "city", "City", "MailingCity"),
    _field("owner", CRM_FACTS["hubspot"].owner_property, CRM_FACTS["salesforce"].owner_property),  # its value is the owner's e-mail
    _field("lead_source", "hs_analytics_source", "LeadSource"),
    _field("campaign", "hs_analytics_first_touch_converting_campaign", None),
    _field("created_at", "createdate", "CreatedDate", type=FieldType.DATETIME),
    _field("modified_at", "lastmodifieddate", "LastModifiedDate", type=FieldType.DATETIME),
    FieldRule(name=ONE_SIDED, hubspot="hs_lead_status", salesforce=FieldPlaces(lead="Status"), builtin=True),
)

#: Fields that a file cannot declare anew: the owner is computed, and the lead statuses are two fields under one name.
FIXED = frozenset({"owner", ONE_SIDED})
