"""A contact's deals and campaigns: through all of its records, told by explain, and read anew when they change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from connector.model import Campaign, CampaignMember, Deal, DealContact, RecordRef
from connector.reports.explain import explain
from connector.store.mirror.deal_roles import deals_of
from connector.store.tables import to_micros
from tests.support.rule_world import World, config_of, running_world

BY_CAMPAIGN = """
[[transition]]
name = "fair"
from = ["", "lead"]
to = "mql"
when = "campaign = 'Fair'"
"""


def lead_ref(record_id: str = "00Q1") -> RecordRef:
    return RecordRef(crm="salesforce", object="Lead", id=record_id)


def campaign(w: World, campaign_id: str, name: str, **more: Any) -> None:
    w.salesforce.put(Campaign(crm="salesforce", object="Campaign", id=campaign_id, name=name, modified_at=w.now, **more))


def member(w: World, campaign_id: str, joined: int, on: str = "00Q1", **more: Any) -> None:
    joined_at = datetime(2026, 11, joined, tzinfo=UTC)
    w.salesforce.put(
        CampaignMember(
            crm="salesforce",
            object="CampaignMember",
            id=f"{campaign_id}-{on}",
            campaign_id=campaign_id,
            record=lead_ref(on),
            joined_at=joined_at,
            modified_at=w.now,
            **more,
        )
    )


def field(w: World) -> Any:
    return explain(w.store, w.config, "00Q1", now=w.now)["fields"]["campaign"]


def test_the_campaign_is_the_latest_one_joined(either_url: str) -> None:
    with running_world(either_url) as w:
        w.lead(stage="Nurturing")
        campaign(w, "701A", "Webinar")
        campaign(w, "701B", "Fair")
        member(w, "701B", 3)
        member(w, "701A", 2)
        w.run()
        assert field(w) == {"value": "Fair", "hubspot": None, "salesforce": "Fair"}
        told = explain(w.store, w.config, "00Q1", now=w.now)["campaigns"]
        assert [(one["name"], one["joined_at"].day) for one in told] == [("Fair", 3), ("Webinar", 2)]
        w.later(minutes=5)
        member(w, "701B", 3, archived=True)
        w.run()
        assert field(w)["value"] == "Webinar"


def test_hubspots_campaign_goes_before_salesforces(either_url: str) -> None:
    with running_world(either_url) as w:
        w.person(hs_analytics_first_touch_converting_campaign="spring")
        w.lead()
        campaign(w, "701A", "Fair")
        member(w, "701A", 2)
        w.run()
        assert field(w) == {"value": "spring", "hubspot": "spring", "salesforce": "Fair"}


def test_joining_a_campaign_and_its_new_name_are_changes(either_url: str) -> None:
    with running_world(either_url, BY_CAMPAIGN) as w:
        w.lead(stage="Nurturing")
        campaign(w, "701A", "Webinar")
        w.settle()
        member(w, "701A", 2)
        w.settle()
        assert w.stage("00Q1") == "lead"
        campaign(w, "701A", "Fair")
        w.settle()
        assert w.stage("00Q1") == "mql"


def test_a_duplicates_campaign_is_the_persons(either_url: str) -> None:
    with running_world(either_url) as w:
        w.lead("00Q1", Email="p@kunde.example", owner="anna")
        w.lead("00Q2", Email="p@kunde.example")
        campaign(w, "701A", "Fair")
        member(w, "701A", 2, on="00Q2")
        w.run()
        assert field(w)["value"] == "Fair"


def test_deals_through_every_record_each_once(either_url: str) -> None:
    with running_world(either_url) as w:
        person, lead = w.person(), w.lead()
        w.hubspot.put(
            Deal(crm="hubspot", object="deals", id="5", stage="won", won=True, closed=True, amount=10.0, contacts=(person,),
                 created_at=w.now, modified_at=w.now),
            Deal(crm="hubspot", object="deals", id="6", stage="open", contacts=(), created_at=w.now, modified_at=w.now),
        )  # fmt: skip
        w.salesforce.put(
            Deal(crm="salesforce", object="Opportunity", id="006A", stage="Proposal", created_at=w.now, modified_at=w.now),
            DealContact(
                crm="salesforce", object="OpportunityContactRole", id="00KA", deal_id="006A", record=lead, role="Buyer", primary=True,
                modified_at=w.now,
            ),
        )  # fmt: skip
        w.run()
        number = w.contact().id
        with w.store.read() as connection:
            found = deals_of(connection, [number])[number]
        assert [(one.id, one.role, one.main, one.won) for one in found] == [("5", None, False, True), ("006A", "Buyer", True, False)]
        assert [one["id"] for one in explain(w.store, w.config, "1", now=w.now)["deals"]] == ["5", "006A"]


def test_a_changed_deal_makes_the_contact_due(either_url: str) -> None:
    with running_world(either_url) as w:
        person = w.person()
        deal = Deal(crm="hubspot", object="deals", id="5", stage="open", contacts=(person,), created_at=w.now, modified_at=w.now)
        w.hubspot.put(deal)
        w.settle()
        w.later(minutes=5)
        w.hubspot.put(replace(deal, stage="won", modified_at=w.now))
        judged = w.run()
        assert judged.evaluated == 1
        assert w.contact().judged_at == to_micros(w.now)


def test_with_salesforce_alone_there_is_a_campaign(url: str) -> None:
    salesforce = """
[crm.salesforce]
instance_url = "https://rules.example"
client_id = "env:RULES_TOKEN"
client_secret = "env:RULES_TOKEN"
"""
    config = config_of(url, BY_CAMPAIGN, crms=salesforce)
    assert "campaign" in config.condition_names()
