"""A contact's deals and campaigns: through all of its records, told by explain, and read anew when they change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from connector.model import Campaign, CampaignMember, Deal, DealContact, RecordRef
from connector.reports.explain import explain
from connector.store.mirror.deal_roles import deals_of
from connector.store.tables import to_micros
from tests.support.company import Company, config_of, running_company

BY_CAMPAIGN = """
[[transition]]
name = "fair"
from = ["", "lead"]
to = "mql"
when = "campaign = 'Fair'"
"""


def lead_ref(record_id: str = "00Q1") -> RecordRef:
    return RecordRef(crm="salesforce", object="Lead", id=record_id)


def campaign(company: Company, campaign_id: str, name: str, **more: Any) -> None:
    company.salesforce.put(Campaign(crm="salesforce", object="Campaign", id=campaign_id, name=name, modified_at=company.now, **more))


def member(company: Company, campaign_id: str, joined: int, on: str = "00Q1", **more: Any) -> None:
    joined_at = datetime(2026, 11, joined, tzinfo=UTC)
    company.salesforce.put(
        CampaignMember(
            crm="salesforce",
            object="CampaignMember",
            id=f"{campaign_id}-{on}",
            campaign_id=campaign_id,
            record=lead_ref(on),
            joined_at=joined_at,
            modified_at=company.now,
            **more,
        )
    )


def field(company: Company) -> Any:
    return explain(company.store, company.config, "00Q1", now=company.now)["fields"]["campaign"]


def test_the_campaign_is_the_latest_one_joined(either_url: str) -> None:
    with running_company(either_url) as company:
        company.lead(stage="Nurturing")
        campaign(company, "701A", "Webinar")
        campaign(company, "701B", "Fair")
        member(company, "701B", 3)
        member(company, "701A", 2)
        company.run()
        assert field(company) == {"value": "Fair", "hubspot": None, "salesforce": "Fair"}
        told = explain(company.store, company.config, "00Q1", now=company.now)["campaigns"]
        assert [(one["name"], one["joined_at"].day) for one in told] == [("Fair", 3), ("Webinar", 2)]
        company.later(minutes=5)
        member(company, "701B", 3, archived=True)
        company.run()
        assert field(company)["value"] == "Webinar"


def test_hubspots_campaign_goes_before_salesforces(either_url: str) -> None:
    with running_company(either_url) as company:
        company.person(hs_analytics_first_touch_converting_campaign="spring")
        company.lead()
        campaign(company, "701A", "Fair")
        member(company, "701A", 2)
        company.run()
        assert field(company) == {"value": "spring", "hubspot": "spring", "salesforce": "Fair"}


def test_joining_a_campaign_and_its_new_name_are_changes(either_url: str) -> None:
    with running_company(either_url, BY_CAMPAIGN) as company:
        company.lead(stage="Nurturing")
        campaign(company, "701A", "Webinar")
        company.settle()
        member(company, "701A", 2)
        company.settle()
        assert company.stage("00Q1") == "lead"
        campaign(company, "701A", "Fair")
        company.settle()
        assert company.stage("00Q1") == "mql"


def test_a_duplicates_campaign_is_the_persons(either_url: str) -> None:
    with running_company(either_url) as company:
        company.lead("00Q1", Email="p@kunde.example", owner="anna")
        company.lead("00Q2", Email="p@kunde.example")
        campaign(company, "701A", "Fair")
        member(company, "701A", 2, on="00Q2")
        company.run()
        assert field(company)["value"] == "Fair"


def test_deals_through_every_record_each_once(either_url: str) -> None:
    with running_company(either_url) as company:
        person, lead = company.person(), company.lead()
        company.hubspot.put(
            Deal(crm="hubspot", object="deals", id="5", stage="won", won=True, closed=True, amount=10.0, contacts=(person,),
                 created_at=company.now, modified_at=company.now),
            Deal(crm="hubspot", object="deals", id="6", stage="open", contacts=(), created_at=company.now, modified_at=company.now),
        )  # fmt: skip
        company.salesforce.put(
            Deal(crm="salesforce", object="Opportunity", id="006A", stage="Proposal", created_at=company.now, modified_at=company.now),
            DealContact(
                crm="salesforce", object="OpportunityContactRole", id="00KA", deal_id="006A", record=lead, role="Buyer", primary=True,
                modified_at=company.now,
            ),
        )  # fmt: skip
        company.run()
        number = company.contact().id
        with company.store.read() as connection:
            found = deals_of(connection, [number])[number]
        assert [(one.id, one.role, one.main, one.won) for one in found] == [("5", None, False, True), ("006A", "Buyer", True, False)]
        assert [one["id"] for one in explain(company.store, company.config, "1", now=company.now)["deals"]] == ["5", "006A"]


def test_a_changed_deal_makes_the_contact_due(either_url: str) -> None:
    with running_company(either_url) as company:
        person = company.person()
        deal = Deal(
            crm="hubspot", object="deals", id="5", stage="open", contacts=(person,), created_at=company.now, modified_at=company.now
        )
        company.hubspot.put(deal)
        company.settle()
        company.later(minutes=5)
        company.hubspot.put(replace(deal, stage="won", modified_at=company.now))
        judged = company.run()
        assert judged.evaluated == 1
        assert company.contact().judged_at == to_micros(company.now)


def test_with_salesforce_alone_there_is_a_campaign(url: str) -> None:
    salesforce = """
[crm.salesforce]
instance_url = "https://rules.example"
client_id = "env:COMPANY_TOKEN"
client_secret = "env:COMPANY_TOKEN"
"""
    config = config_of(BY_CAMPAIGN, crms=salesforce)
    assert "campaign" in config.condition_names()
