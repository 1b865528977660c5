"""Adds to the Salesforce side of the world what stands around its people: roles, campaigns with members, opportunities, a formula field.

It draws from a source of its own, so that the people are the same with it and without it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from connector.sandbox.salesforce.fields import RESPONSES, STAGES
from connector.sandbox.state import SalesforceRow, World
from connector.sandbox.world import facts

#: Puts a row, given object, created, modified and fields; returns its Id.
Put = Callable[..., str]

_CAMPAIGNS = (
    ("Spring webinar", "Webinar"),
    ("Trade fair Hannover", "Trade Show"),
    ("Newsletter, autumn", "Email"),
    ("Partner days", "Conference"),
    ("Search ads DACH", "Advertisement"),
    ("Webinar: shorter lead times", "Webinar"),
    ("Price list mailing", "Email"),
    ("Logistics congress", "Conference"),
)
_STATUSES = ("Sent", "Opened", "Registered", "Responded", "Attended")
_MEMBERS_SHARE = 0.3


def add(world: World, put: Put, owners: dict[str, str]) -> None:
    """Fills UserRole, Campaign, CampaignMember, Opportunity with its history, and OpportunityContactRole."""
    draw = random.Random(len(world.salesforce["Lead"]))  # noqa: S311 - made-up deals need repeatability, not secrecy
    _roles(world, put, owners)
    _deals(world, put, draw)
    _campaigns(world, put, draw, owners[facts.MARKETER])
    for lead in world.salesforce["Lead"].values():
        lead["Grade__c"] = grade(lead)
    _deal_histories(world, put)


def _deal_histories(world: World, put: Put) -> None:
    """Each Opportunity begins in the first stage; how it stands now it has stood since its last change."""
    first = next(iter(STAGES))
    for row in world.salesforce["Opportunity"].values():
        for stage, at in dict.fromkeys(((first, row["CreatedDate"]), (row["StageName"], row["LastModifiedDate"]))):
            told = {name: row[name] for name in ("Amount", "CloseDate")} | {"StageName": stage, "Probability": float(STAGES[stage][0])}
            put("OpportunityHistory", at, at, OpportunityId=row["Id"], CreatedById=row["OwnerId"], **told)


def grade(lead: SalesforceRow) -> str:
    """What the formula field Grade__c makes of a Lead: by the size of its company."""
    employees = lead.get("NumberOfEmployees") or 0
    return "A" if employees >= 1000 else "B" if employees >= 50 else "C"


def _roles(world: World, put: Put, owners: dict[str, str]) -> None:
    long_ago = world.now - timedelta(days=1500)
    roles = {name: put("UserRole", long_ago, long_ago, Name=name, DeveloperName=name.replace(" ", "_")) for name in ("Sales", "Marketing")}
    for email, owner_id in owners.items():
        user = world.salesforce["User"].get(owner_id)
        if user is not None:
            role = "Sales" if email in (*facts.REPS, facts.MANAGER) else "Marketing" if email == facts.MARKETER else None
            user["UserRoleId"] = roles.get(role or "")


def _deals(world: World, put: Put, draw: random.Random) -> None:
    """Most converted Leads brought an Opportunity; some Accounts have further ones."""
    open_stages = [name for name, (_, closed, _) in STAGES.items() if not closed]
    for lead in world.salesforce["Lead"].values():
        if not lead["IsConverted"] or draw.random() < 0.2:
            continue
        contact = world.salesforce["Contact"][lead["ConvertedContactId"]]
        at = max(lead["CreatedDate"], contact["CreatedDate"])
        stage = draw.choices(("Closed Won", "Closed Lost", draw.choice(open_stages)), (55, 10, 35))[0]
        lead["ConvertedOpportunityId"] = _deal(world, put, draw, contact, at, stage)
        if draw.random() < 0.15:
            _deal(world, put, draw, contact, at + (world.now - at) * draw.random(), draw.choice(open_stages))


def _deal(world: World, put: Put, draw: random.Random, contact: SalesforceRow, at: datetime, stage: str) -> str:
    probability, closed, won = STAGES[stage]
    account = world.salesforce["Account"][contact["AccountId"]]
    modified = at + (world.now - at) * draw.random()
    deal_id = put(
        "Opportunity",
        at,
        modified,
        Name=f"{account['Name']}-{draw.randint(100, 999)}"[-120:],
        AccountId=account["Id"],
        OwnerId=account["OwnerId"],
        StageName=stage,
        Amount=float(draw.randint(4, 180) * 500) if draw.random() < 0.9 else None,
        Probability=float(probability),
        CloseDate=(modified if closed else world.now + timedelta(days=draw.randint(3, 120))).date(),
        IsClosed=closed,
        IsWon=won,
        CurrencyIsoCode="CHF" if account.get("BillingCountry") == "Switzerland" else "EUR",
    )
    role = draw.choice(("Decision Maker", "Business User", None))
    put("OpportunityContactRole", at, at, OpportunityId=deal_id, ContactId=contact["Id"], Role=role, IsPrimary=True)
    return deal_id


def _campaigns(world: World, put: Put, draw: random.Random, marketer: str) -> None:
    people = [*world.salesforce["Contact"].values(), *(row for row in world.salesforce["Lead"].values() if not row["IsConverted"])]
    begun = [world.now - timedelta(days=12 + 55 * at) for at in range(len(_CAMPAIGNS))]
    ids = []
    for (name, kind), at in zip(_CAMPAIGNS, begun, strict=True):
        over = at + timedelta(days=30) < world.now
        fields: dict[str, Any] = {"Name": name, "Type": kind, "Status": "Completed" if over else "In Progress", "IsActive": not over}
        fields |= {"StartDate": at.date(), "EndDate": (at + timedelta(days=30)).date(), "OwnerId": marketer, "CurrencyIsoCode": "EUR"}
        ids.append(put("Campaign", at - timedelta(days=20), at, **fields))
    for person in people:
        if draw.random() >= _MEMBERS_SHARE:
            continue
        for number in draw.sample(range(len(ids)), draw.choices((1, 2, 3), (70, 22, 8))[0]):
            _member(put, draw, person, ids[number], joined=max(begun[number], person["CreatedDate"]), now=world.now)


def _member(put: Put, draw: random.Random, person: SalesforceRow, campaign: str, *, joined: datetime, now: datetime) -> None:
    joined = joined + min(now - joined, timedelta(days=30)) * draw.random()
    answered = joined + min(now - joined, timedelta(days=9)) * draw.random()
    status = draw.choices(_STATUSES, (40, 20, 10, 20, 10))[0]
    responded = status in RESPONSES
    put(
        "CampaignMember",
        joined,
        answered if responded else joined,
        CampaignId=campaign,
        LeadId=person["Id"] if "Company" in person else None,
        ContactId=None if "Company" in person else person["Id"],
        Status=status,
        HasResponded=responded,
        FirstRespondedDate=answered.date() if responded else None,
    )
