"""Rows of Salesforce about selling and marketing → the values of the model: Opportunities and their people, Campaigns and theirs. No I/O.

Fields: https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/ (sforce_api_objects_opportunity,
…_opportunitycontactrole, …_campaign, …_campaignmember). What field-level security hides in an org is optional.
"""

from __future__ import annotations

from datetime import tzinfo

from connector.adapters.salesforce.wire.records import day, maybe, moment, number, text
from connector.adapters.salesforce.wire.requests import Row
from connector.adapters.set_aside import Unreadable
from connector.model import Campaign, CampaignMember, Deal, DealContact, FieldChange, RecordRef

#: CurrencyIsoCode is there only where the org has several currencies.
OPPORTUNITY_FIELDS = (
    "Id", "IsDeleted", "OwnerId", "AccountId", "StageName", "Amount", "CurrencyIsoCode", "CloseDate", "IsClosed", "IsWon", "CreatedDate",
    "SystemModstamp",
)  # fmt: skip
OPPORTUNITY_OPTIONAL = frozenset({"AccountId", "Amount", "CurrencyIsoCode"})
#: How an Opportunity stood after each change of stage, amount, probability or closing date, whether or not its fields are tracked; who
#: changed it is CreatedById (…/sforce_api_objects_opportunityhistory.htm).
DEAL_HISTORY_FIELDS = ("Id", "OpportunityId", "StageName", "CreatedDate", "CreatedById")
ROLE_FIELDS = ("Id", "IsDeleted", "OpportunityId", "ContactId", "Role", "IsPrimary", "SystemModstamp")
ROLE_OPTIONAL = frozenset({"Role"})
CAMPAIGN_FIELDS = ("Id", "IsDeleted", "Name", "Type", "Status", "IsActive", "StartDate", "EndDate", "SystemModstamp")
CAMPAIGN_OPTIONAL = frozenset({"Type", "Status", "IsActive", "StartDate", "EndDate"})
MEMBER_FIELDS = ("Id", "IsDeleted", "CampaignId", "LeadId", "ContactId", "Status", "HasResponded", "CreatedDate", "SystemModstamp")
MEMBER_OPTIONAL = frozenset({"Status", "HasResponded"})
#: Accounts may be members too; they are no persons.
MEMBER_WHERE = "(LeadId != null OR ContactId != null)"


def deal(row: Row, *, zone: tzinfo) -> Deal:
    """An Opportunity; its people come as `DealContact`. It is closed, or to be closed, on a day of the business's zone."""
    return Deal(
        crm="salesforce",
        object="Opportunity",
        id=text(row, "Id"),
        stage=maybe(row, "StageName"),
        amount=number(row, "Amount"),
        currency=maybe(row, "CurrencyIsoCode"),
        closed_at=day(row, "CloseDate", zone),
        closed=row.get("IsClosed") is True,
        won=row.get("IsWon") is True,
        owner_id=maybe(row, "OwnerId"),
        company_id=maybe(row, "AccountId"),
        created_at=moment(row, "CreatedDate"),
        modified_at=moment(row, "SystemModstamp"),
        archived=row.get("IsDeleted") is True,
    )


def deal_change(row: Row) -> FieldChange:
    """An entry of OpportunityHistory: the stage from then on, perhaps the one that it was before."""
    at = moment(row, "CreatedDate")
    if at is None:
        raise Unreadable("CreatedDate is missing")
    return FieldChange(
        record=RecordRef(crm="salesforce", object="Opportunity", id=text(row, "OpportunityId")),
        id=text(row, "Id"),
        property="StageName",
        before=None,
        after=maybe(row, "StageName"),
        at=at,
        who=maybe(row, "CreatedById"),
    )


def role(row: Row) -> DealContact:
    """A Contact's part in an Opportunity."""
    return DealContact(
        crm="salesforce",
        object="OpportunityContactRole",
        id=text(row, "Id"),
        deal_id=text(row, "OpportunityId"),
        record=RecordRef(crm="salesforce", object="Contact", id=text(row, "ContactId")),
        role=maybe(row, "Role"),
        primary=row.get("IsPrimary") is True,
        modified_at=moment(row, "SystemModstamp"),
        archived=row.get("IsDeleted") is True,
    )


def campaign(row: Row, *, zone: tzinfo) -> Campaign:
    """A Campaign; its days are the business's."""
    return Campaign(
        crm="salesforce",
        object="Campaign",
        id=text(row, "Id"),
        name=maybe(row, "Name") or "",
        kind=maybe(row, "Type"),
        status=maybe(row, "Status"),
        active=row.get("IsActive") is True,
        begins_at=day(row, "StartDate", zone),
        ends_at=day(row, "EndDate", zone),
        modified_at=moment(row, "SystemModstamp"),
        archived=row.get("IsDeleted") is True,
    )


def member(row: Row) -> CampaignMember:
    """A Lead or Contact in a Campaign. Of a converted Lead both are named; the Contact is the one who is worked with from then on."""
    contact, lead = maybe(row, "ContactId"), maybe(row, "LeadId")
    person = contact or lead
    if person is None:
        raise Unreadable("LeadId and ContactId are missing")
    return CampaignMember(
        crm="salesforce",
        object="CampaignMember",
        id=text(row, "Id"),
        campaign_id=text(row, "CampaignId"),
        record=RecordRef(crm="salesforce", object="Contact" if contact else "Lead", id=person),
        status=maybe(row, "Status"),
        responded=row.get("HasResponded") is True,
        joined_at=moment(row, "CreatedDate"),
        modified_at=moment(row, "SystemModstamp"),
        archived=row.get("IsDeleted") is True,
    )
