"""Writes the made-up people into the Salesforce side of the world: Leads, converted Contacts, Accounts, Tasks, Events and history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.sandbox.state import World
from connector.sandbox.world import facts, salesforce_related
from connector.sandbox.world.activities import Activity
from connector.sandbox.world.people import Company, Maker, Person

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIX = {
    "Lead": "00Q", "Contact": "003", "Account": "001", "Task": "00T", "Event": "00U",
    "User": "005", "Group": "00G", "LeadHistory": "017", "LeadStatus": "01J", "Opportunity": "006", "OpportunityContactRole": "00K",
    "Campaign": "701", "CampaignMember": "00v", "UserRole": "00E", "OpportunityHistory": "008",
}  # fmt: skip


def salesforce_id(prefix: str, number: int) -> str:
    """An 18-character Id: 15 characters in which case matters, and the 3 that encode their case."""
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    core = prefix + "Wx" + digits.rjust(10, "0")
    suffix = ""
    for block in (core[0:5], core[5:10], core[10:15]):
        bits = sum(1 << at for at, character in enumerate(block) if "A" <= character <= "Z")
        suffix += "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits]
    return core + suffix


def whole(moment: datetime) -> datetime:
    """A moment as Salesforce keeps it: UTC, whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0)


class _Org:
    """The org while it is filled: gives Ids and puts rows."""

    def __init__(self, world: World, maker: Maker) -> None:
        self.world = world
        self.maker = maker
        self.owners: dict[str, str] = {}  # e-mail, QUEUE or CONNECTOR → Id
        self._numbers = {name: 62**3 * (7 + at) for at, name in enumerate(_PREFIX)}

    def put(self, name: str, created: datetime, modified: datetime | None = None, **fields: Any) -> str:
        """Adds a row and returns its Id. modified: default drawn between created and now."""
        self._numbers[name] += self.maker.random.randint(1, 40)
        row_id = salesforce_id(_PREFIX[name], self._numbers[name])
        if modified is None:
            span = max(0, int((self.maker.now - created).total_seconds()))
            modified = created + timedelta(seconds=self.maker.random.randint(0, span))
        self.world.salesforce[name][row_id] = {
            "Id": row_id,
            **fields,
            "IsDeleted": fields.get("IsDeleted", False),
            "CreatedDate": whole(created),
            "LastModifiedDate": whole(modified),
            "SystemModstamp": whole(modified),
        }
        return row_id

    def owner(self, name: str) -> str:
        return self.owners.get(name, self.owners[facts.CONNECTOR])

    def user(self, name: str) -> str:
        """Like owner, but a queue cannot own everything."""
        return self.owners[facts.MARKETER] if name == facts.QUEUE else self.owner(name)


def fill(world: World, maker: Maker, people: Sequence[Person], activities: Sequence[Activity]) -> None:
    """Users, the queue, statuses, Leads with their history, Contacts and Accounts, Tasks and Events."""
    org = _Org(world, maker)
    _users(org)
    for number, (label, converted, default) in enumerate(facts.LEAD_STATUSES, 1):
        fields = {"ApiName": label, "MasterLabel": label, "IsConverted": converted, "IsDefault": default, "SortOrder": number}
        org.put("LeadStatus", maker.now - timedelta(days=1500), maker.now - timedelta(days=1500), **fields)
    for person in sorted((person for person in people if person.in_salesforce), key=lambda person: person.created):
        _lead(org, person)
    for activity in sorted((activity for activity in activities if activity.crm == "salesforce"), key=lambda activity: activity.created):
        if activity.kind == "meeting":
            _event(org, activity)
        else:
            _task(org, activity)
    drawn = maker.random.getstate()
    salesforce_related.add(world, org.put, org.owners)
    maker.random.setstate(drawn)  # what is made after this is the same with these and without them


def more_calls(world: World, count: int) -> None:
    """That many further calls, made in the last 90 days with Leads and Contacts in turn: for trials of size."""
    users = [row["Id"] for row in world.salesforce["User"].values() if row["IsActive"]]
    people = [*world.salesforce["Lead"].values(), *world.salesforce["Contact"].values()]
    people = [row for row in people if not row.get("IsConverted")]
    table, first = world.salesforce["Task"], 62**4 * 9
    start, step = whole(world.now) - timedelta(days=90), timedelta(days=90) / max(1, count)
    for at in range(count):
        person, moment = people[at % len(people)], whole(start + step * at)
        row_id = salesforce_id("00T", first + at * 7)
        table[row_id] = {
            "Id": row_id, "WhoId": person["Id"], "WhatId": None, "AccountId": person.get("AccountId"), "OwnerId": users[at % len(users)],
            "Subject": "Call", "Description": None, "Status": "Completed", "Priority": "Normal", "IsClosed": True, "IsHighPriority": False,
            "ActivityDate": moment.date(), "TaskSubtype": "Call", "Type": "Call", "CallType": "Outbound", "CallDisposition": "Connected",
            "CallDurationInSeconds": at % 900, "CompletedDateTime": moment, "IsReminderSet": False, "ReminderDateTime": None,
            "Handoff_Key__c": None, "IsDeleted": False, "CreatedDate": moment, "LastModifiedDate": moment, "SystemModstamp": moment,
        }  # fmt: skip


def _users(org: _Org) -> None:
    long_ago = org.maker.now - timedelta(days=1500)
    for colleague in facts.COLLEAGUES:
        org.owners[colleague.email] = org.put(
            "User",
            long_ago,
            Username=colleague.email,
            Email=colleague.email,
            FirstName=colleague.first_name,
            LastName=colleague.last_name,
            Name=f"{colleague.first_name} {colleague.last_name}",
            IsActive=colleague.active,
            UserType="Standard",
        )
    org.owners[facts.CONNECTOR] = org.world.connector_user_id = org.put(
        "User",
        long_ago,
        Username="connector@acme.example",
        Email="connector@acme.example",
        FirstName="Handoff",
        LastName="Connector",
        Name="Handoff Connector",
        IsActive=True,
        UserType="Standard",
    )
    org.owners[facts.QUEUE] = org.put(
        "Group", long_ago, Name="Inbound Leads", DeveloperName="Inbound_Leads", Type="Queue", Email="inbound@acme.example"
    )


def _lead(org: _Org, person: Person) -> None:
    draw, company = org.maker.random, person.company
    converted = person.cohort in facts.CONVERTED_COHORTS
    domain_name = person.email.partition("@")[2]
    latest = max(filter(None, (person.created, person.assigned_at, person.status_at, person.stage_since)))
    span = max(0, int((org.maker.now - latest).total_seconds()))
    email = person.email
    if draw.random() < 0.4:  # Salesforce keeps the case that was typed
        email = ".".join(part.capitalize() for part in person.email.partition("@")[0].split(".")) + "@" + domain_name.capitalize()
    fields: dict[str, Any] = {
        "FirstName": person.first_name,
        "LastName": person.last_name,
        "Name": f"{person.first_name} {person.last_name}",
        "Email": email,
        "Phone": person.phone if draw.random() < 0.7 else None,
        "MobilePhone": None,
        "Company": company.name if company is not None else domain_name,
        "Title": person.title or None,
        "Country": person.place.country,
        "City": draw.choice(person.place.cities),
        "OwnerId": org.owner(person.owner),
        "Status": person.status,
        "LeadSource": draw.choice(facts.LEAD_SOURCES),
        "Industry": company.industry[1] if company is not None else None,
        "NAICS__c": company.industry[2] if company is not None else None,
        "NumberOfEmployees": company.employees if company is not None else None,
        "Budget__c": float(person.budget) if person.budget else None,
        "Timeline__c": (person.timeline or None) if not person.in_hubspot or draw.random() < 0.8 else None,
        "Rejection_Reason__c": (person.reason or None) if person.status == "Closed - Not Converted" else None,
        "Handoff_Score__c": None,
        "IsConverted": converted,
        "ConvertedDate": None,
        "ConvertedAccountId": None,
        "ConvertedContactId": None,
        "ConvertedOpportunityId": None,
        "MasterRecordId": None,
    }
    if converted:
        at = person.stage_since or person.created
        account = _account(org, company, at) if company is not None else org.put("Account", at, **_account_fields(org, None, person))
        person.contact_id = _contact(org, person, account, at, fields)
        fields |= {"ConvertedDate": at.date(), "ConvertedAccountId": account, "ConvertedContactId": person.contact_id}
    modified = latest + timedelta(seconds=draw.randint(0, span))
    person.lead_id = org.put("Lead", person.created, modified, **fields)
    _history(org, person)


def _account(org: _Org, company: Company, at: datetime) -> str:
    if not company.account_id:
        company.account_id = org.put("Account", at, **_account_fields(org, company, None))
    return company.account_id


def _account_fields(org: _Org, company: Company | None, person: Person | None) -> dict[str, Any]:
    place = company.place if company is not None else person.place if person is not None else facts.PLACES[0]
    return {
        "Name": company.name if company is not None else f"{person.last_name}, privat" if person is not None else "",
        "Industry": company.industry[1] if company is not None else None,
        "NaicsCode": company.industry[2] if company is not None else None,
        "NumberOfEmployees": company.employees if company is not None else None,
        "BillingCountry": place.country,
        "BillingCity": company.city if company is not None else None,
        "Website": f"https://www.{company.domain}" if company is not None else None,
        "OwnerId": org.user(org.maker.random.choice(facts.REPS)),
    }


def _contact(org: _Org, person: Person, account: str, at: datetime, lead: dict[str, Any]) -> str:
    return org.put(
        "Contact",
        at,
        AccountId=account,
        MailingCountry=lead["Country"],
        MailingCity=lead["City"],
        OwnerId=org.user(person.owner),
        MasterRecordId=None,
        **{
            name: lead[name]
            for name in (
                "FirstName", "LastName", "Name", "Email", "Phone", "MobilePhone", "Title", "LeadSource", "Budget__c", "Timeline__c",
                "Rejection_Reason__c", "Handoff_Score__c",
            )
        },
    )  # fmt: skip


def _history(org: _Org, person: Person) -> None:
    """Status and owner as they changed. Owners leave two rows, one with names and one with Ids, as Salesforce writes them."""
    steps: list[tuple[datetime, str, str]] = []  # when, from, to
    entered = person.entered.get(facts.MQL)
    if entered is not None:
        steps.append((entered, "Nurturing", "Open - Not Contacted"))
        if person.status != "Open - Not Contacted":
            steps.append((person.status_at or entered + timedelta(hours=1), "Open - Not Contacted", person.status))
    for at, before, after in steps:
        _changed(org, person, at, "Status", (before, after), "DynamicEnum")
    if entered is not None and person.assigned_at is not None and person.owner != facts.QUEUE:
        queue, owner = org.owners[facts.QUEUE], org.owner(person.owner)
        users, groups = org.world.salesforce["User"], org.world.salesforce["Group"]
        _changed(org, person, person.assigned_at, "Owner", (groups[queue]["Name"], users[owner]["Name"]), "Text")
        _changed(org, person, person.assigned_at, "Owner", (queue, owner), "EntityId")


def _changed(org: _Org, person: Person, at: datetime, field: str, values: tuple[str, str], data_type: str) -> None:
    """One row of history. values: before and after."""
    old, new = values
    by = org.owners[facts.CONNECTOR]
    org.put("LeadHistory", at, at, LeadId=person.lead_id, Field=field, OldValue=old, NewValue=new, DataType=data_type, CreatedById=by)


def _task(org: _Org, activity: Activity) -> None:
    draw, person, now = org.maker.random, activity.person, org.maker.now
    is_todo = activity.kind == "task"
    closed = activity.state in ("done", "sequence", "bounced", "failed") and activity.at <= now
    subtype = "Task" if is_todo else "Call" if activity.kind == "call" else "ListEmail" if activity.state == "sequence" else "Email"
    who = person.contact_id or person.lead_id
    org.put(
        "Task",
        activity.created,
        WhoId=who,
        WhatId=None,
        AccountId=org.world.salesforce["Contact"][who]["AccountId"] if person.contact_id else None,
        OwnerId=org.user(activity.owner),
        Subject={"Task": "Send the price list", "Call": "Call", "Email": "Email: your question", "ListEmail": "Email: newsletter"}[subtype],
        Description=None,
        Status="Completed" if closed else "Not Started",
        Priority=draw.choice(("Normal", "Normal", "High")),
        IsClosed=closed,
        IsHighPriority=False,
        ActivityDate=activity.at.date(),
        TaskSubtype=subtype,
        Type={"Call": "Call", "Email": "Email", "ListEmail": "Email"}.get(subtype),
        CallType=("Inbound" if activity.incoming else "Outbound") if subtype == "Call" else None,
        CallDisposition=draw.choice(("Connected", "No answer", "Voicemail")) if subtype == "Call" else None,
        CallDurationInSeconds=draw.randint(5, 1500) if subtype == "Call" else None,
        CompletedDateTime=whole(activity.at) if closed else None,
        IsReminderSet=False,
        ReminderDateTime=None,
        Handoff_Key__c=None,
    )


def _event(org: _Org, activity: Activity) -> None:
    person = activity.person
    who = person.contact_id or person.lead_id
    start = whole(activity.at)
    org.put(
        "Event",
        activity.created,
        WhoId=who,
        WhatId=None,
        AccountId=org.world.salesforce["Contact"][who]["AccountId"] if person.contact_id else None,
        OwnerId=org.user(activity.owner),
        Subject=org.maker.random.choice(("First talk", "Demo", "Abstimmung mit Einkauf")),
        Description=None,
        Location=None,
        StartDateTime=start,
        EndDateTime=start + timedelta(minutes=30),
        ActivityDateTime=start,
        ActivityDate=start.date(),
        DurationInMinutes=30,
        IsAllDayEvent=False,
        EventSubtype="Event",
    )
