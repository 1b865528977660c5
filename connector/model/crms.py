"""What the connector must know of each CRM outside of its adapter: names of objects and properties, and where ids stand in addresses.

A third CRM is an adapter, its facts here, and its settings table in the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from connector.model.records import CRMS, CrmName


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmFacts:
    """Facts of one CRM, by its own names.

    people: the objects whose records are persons, in the order of a person's way through them: of one person's records the last object's
    goes first. companies, owners, tasks, deals: the objects of companies, of users, of tasks, of deals.
    links_are_fields: whom an activity is about is a field of its own, so that its modified date tells when that changed.
    stage_object, stage_property: where the stage stands. lead_status, owner_property: the properties with the lead status, the owner's id.
    email_property: by object, with a person's address. column_property: for columns of table `record`, the property that says the same.
    base: what identity, owners and stages need, by object; essential: of these, what nobody can be judged without.
    stage_entered: what stands before a stage's value in the name of the property with the moment at which it was entered.
    other_id: the properties in which the CRM's own sync stores the id of the other CRM's record, the first that has one counts.
    addresses: where a record's id stands in the addresses of the CRM's own pages.
    """

    people: tuple[str, ...]
    companies: str
    owners: str
    tasks: str
    deals: str
    stage_object: str
    stage_property: str
    lead_status: str
    owner_property: str
    email_property: Mapping[str, str]
    column_property: Mapping[str, str]
    base: Mapping[str, tuple[str, ...]]
    essential: Mapping[str, tuple[str, ...]]
    links_are_fields: bool = False
    stage_entered: str | None = None
    other_id: tuple[str, ...] = ()
    addresses: tuple[re.Pattern[str], ...] = ()

    @property
    def objects(self) -> tuple[str, ...]:
        """People and companies."""
        return (*self.people, self.companies)


_HUBSPOT = CrmFacts(
    people=("contacts",),
    companies="companies",
    owners="owners",
    tasks="tasks",
    deals="deals",
    stage_object="contacts",
    stage_property="lifecyclestage",
    lead_status="hs_lead_status",
    owner_property="hubspot_owner_id",
    email_property={"contacts": "email"},
    column_property={"owner_id": "hubspot_owner_id", "company_id": "associatedcompanyid", "emails": "hs_additional_emails"},
    base={
        "contacts": (
            "email", "lifecyclestage", "hs_lead_status", "hubspot_owner_id", "hubspot_owner_assigneddate", "createdate", "lastmodifieddate",
            "salesforceleadid", "salesforcecontactid",
        ),
        "companies": (),
    },
    essential={"contacts": ("email", "lifecyclestage", "hubspot_owner_id")},
    stage_entered="hs_v2_date_entered_",
    other_id=("salesforcecontactid", "salesforceleadid"),
    addresses=(re.compile(r"/record/0-1/(\d+)"), re.compile(r"/contacts/\d+/contact/(\d+)")),
)  # fmt: skip

_SALESFORCE = CrmFacts(
    people=("Lead", "Contact"),
    companies="Account",
    owners="User",
    tasks="Task",
    deals="Opportunity",
    links_are_fields=True,
    stage_object="Lead",
    stage_property="Status",
    lead_status="Status",
    owner_property="OwnerId",
    email_property={"Lead": "Email", "Contact": "Email"},
    column_property={
        "owner_id": "OwnerId",
        "company_id": "AccountId",
        "converted_to": "ConvertedContactId",
        "converted_deal": "ConvertedOpportunityId",
        "merged_into": "MasterRecordId",
    },
    base={
        "Lead": ("Email", "Status", "OwnerId", "IsConverted", "ConvertedContactId", "CreatedDate"),
        "Contact": ("Email", "OwnerId", "AccountId", "CreatedDate"),
        "Account": (),
    },
    essential={"Lead": ("Email", "Status", "OwnerId"), "Contact": ("Email", "OwnerId")},
    addresses=(re.compile(r"/lightning/r/(?:[A-Za-z]\w*/)?([A-Za-z0-9]{15,18})(?=/|$)"),),
)

CRM_FACTS: Mapping[CrmName, CrmFacts] = {"hubspot": _HUBSPOT, "salesforce": _SALESFORCE}

#: The objects of people, and of companies, of all CRMs: no two CRMs name theirs alike.
PEOPLE_OBJECTS: tuple[str, ...] = tuple(name for crm in CRMS for name in CRM_FACTS[crm].people)
COMPANY_OBJECTS: tuple[str, ...] = tuple(CRM_FACTS[crm].companies for crm in CRMS)
