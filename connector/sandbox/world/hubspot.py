"""Writes the made-up people into the HubSpot side of the world, in HubSpot's own properties, types and texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from connector.sandbox.hubspot.catalogue import CREATED, MODIFIED, standard_properties
from connector.sandbox.state import PastValue, World
from connector.sandbox.world import facts
from connector.sandbox.world.activities import Activity
from connector.sandbox.world.people import Company, Maker, Person

_OBJECT = {"call": "calls", "email": "emails", "meeting": "meetings", "task": "tasks"}
#: association types between an engagement and its contact: from the engagement, from the contact
_TYPES = {"calls": (194, 193), "emails": (198, 197), "meetings": (200, 199), "tasks": (204, 203)}
_TEAMS = {
    **dict.fromkeys(facts.REPS, (("61001", "Inbound Sales"),)),
    facts.MANAGER: (("61002", "Sales Leadership"),),
    facts.MARKETER: (("61003", "Marketing"),),
}
_DISPOSITIONS = ("f240bbac-87c9-4f6e-bf70-924b57d47db7", "73a0d17f-1163-4015-bdd5-ec830791da20", "b2cf5968-551e-4856-9783-52b3da59a7d0")


def stamp(moment: datetime) -> str:
    """A moment as HubSpot writes it: ISO 8601, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fill(world: World, maker: Maker, companies: Sequence[Company], people: Sequence[Person], activities: Sequence[Activity]) -> None:
    """Owners, companies, contacts, engagements and their associations."""
    world.hubspot_properties = standard_properties()
    owners = _owners(world)
    _companies(world, maker, companies)
    contacts = sorted((person for person in people if person.in_hubspot), key=lambda person: person.created)
    number = 9_000  # ids of different length, as in an account that has grown
    same_moment = maker.days_ago(2, 20)
    for at, person in enumerate(contacts):
        number += maker.random.randint(1, 7)
        person.hubspot_id = str(number)
        # one import stamped some hundreds alike, to the millisecond: paging by date alone would lose some of them
        _contact(world, maker, person, owners, same_moment if at % 17 == 0 else None)
    _engagements(world, maker, [activity for activity in activities if activity.crm == "hubspot"], owners)


def put(world: World, name: str, record_id: str, properties: Mapping[str, str | None], created: datetime, updated: datetime) -> None:
    """Adds a record; its own id and dates are properties too. HubSpot keeps moments to the millisecond."""
    created, updated = (moment.replace(microsecond=moment.microsecond // 1000 * 1000) for moment in (created, updated))
    modified, made = MODIFIED[name], CREATED[name]
    world.hubspot[name][record_id] = {
        "id": record_id,
        "properties": {**properties, "hs_object_id": record_id, made: stamp(created), modified: stamp(updated)},
        "createdAt": created,
        "updatedAt": updated,
        "archived": False,
    }


def link(world: World, record: tuple[str, str], other: tuple[str, str], types: Iterable[tuple[int, int]]) -> None:
    """Links two records (object, id) in both directions; types: (as seen from the record, as seen from the other)."""
    forward = world.hubspot_associations.setdefault((record[0], other[0]), {}).setdefault(record[1], [])
    back = world.hubspot_associations.setdefault((other[0], record[0]), {}).setdefault(other[1], [])
    for type_from_record, type_from_other in types:
        forward.append((other[1], type_from_record))
        back.append((record[1], type_from_other))


def _owners(world: World) -> dict[str, str]:
    for number, colleague in enumerate(facts.COLLEAGUES):
        world.hubspot_owners.append(
            {
                "id": str(80_000_101 + 37 * number),
                "email": colleague.email,
                "firstName": colleague.first_name,
                "lastName": colleague.last_name,
                "userId": 5_200_001 + number if colleague.active else None,
                "archived": not colleague.active,
                "teams": [{"id": team_id, "name": name, "primary": True} for team_id, name in _TEAMS.get(colleague.email, ())],
            }
        )
    return {owner["email"]: owner["id"] for owner in world.hubspot_owners}


def _companies(world: World, maker: Maker, companies: Sequence[Company]) -> None:
    number = 990
    for company in sorted(companies, key=lambda company: company.created):
        number += maker.random.randint(1, 5)
        company.hubspot_id = str(number)
        properties = {
            "name": company.name,
            "domain": company.domain,
            "industry": company.industry[0],
            "numberofemployees": str(company.employees),
            "country": company.place.country,
            "city": company.city,
        }
        put(world, "companies", company.hubspot_id, properties, company.created, _between(maker, company.created))


def _contact(world: World, maker: Maker, person: Person, owners: Mapping[str, str], modified: datetime | None) -> None:
    draw, company = maker.random, person.company
    owner = owners.get(person.owner)
    latest = max(filter(None, (person.created, person.stage_since, person.assigned_at, person.status_at, person.converted_at)))
    properties: dict[str, str | None] = {
        "email": person.email if draw.random() > 0.01 or person.in_salesforce else None,
        "firstname": person.first_name if draw.random() > 0.03 else None,
        "lastname": person.last_name,
        "phone": person.phone if draw.random() < 0.6 else None,
        "mobilephone": person.phone if draw.random() < 0.1 else None,
        "company": company.name if company is not None else None,
        "jobtitle": person.title or None,
        "country": person.place.country,
        "city": draw.choice(person.place.cities),
        "hubspot_owner_id": owner,
        "hubspot_owner_assigneddate": stamp(person.assigned_at) if owner and person.assigned_at else None,
        "lifecyclestage": person.stage or None,
        "hs_lead_status": person.lead_status or None,
        "hs_analytics_source": draw.choice(facts.SOURCES),
        "hs_analytics_first_touch_converting_campaign": draw.choice(facts.CAMPAIGNS) if draw.random() < 0.3 else None,
        "hs_analytics_num_page_views": str(person.page_views) if person.page_views else None,
        "recent_conversion_date": stamp(person.converted_at) if person.converted_at else None,
        "associatedcompanyid": company.hubspot_id if company is not None else None,
        "budget_amount": str(person.budget) if person.budget else None,
        "hs_buying_role": ";".join(person.roles) or None,
        "pain_point": person.pain or None,
        "purchase_timeline": person.timeline or None,
        "competitor_in_use": person.competitor or None,
        "engagement_level": str(person.page_views // 5) if person.page_views else None,
        "rejection_reason": (person.reason or None) if person.lead_status == "UNQUALIFIED" else None,
        "salesforceleadid": person.lead_id if person.lead_id and draw.random() < 0.5 else None,
        "salesforcecontactid": person.contact_id or None,
    }
    for stage, at in person.entered.items():
        properties[f"hs_v2_date_entered_{stage}"] = stamp(at)
    updated = modified if modified is not None and modified >= latest else _between(maker, latest)
    put(world, "contacts", person.hubspot_id, properties, person.created, updated)
    _remember(world, person, owner)
    if company is not None:
        link(world, ("contacts", person.hubspot_id), ("companies", company.hubspot_id), ((279, 280), (1, 2)))


def _remember(world: World, person: Person, owner: str | None) -> None:
    """The history of stage, lead status and owner, newest first, as `propertiesWithHistory` gives it."""
    entered = sorted(person.entered.items(), key=lambda entry: entry[1], reverse=True)
    history = {"lifecyclestage": [PastValue(stage, at, "AUTOMATION_PLATFORM") for stage, at in entered]}
    if owner and person.assigned_at:
        history["hubspot_owner_id"] = [PastValue(owner, person.assigned_at, "AUTOMATION_PLATFORM")]
    if person.lead_status:
        began = person.assigned_at or person.created
        who = next((found["userId"] for found in world.hubspot_owners if found["id"] == owner), None)
        first, by_hand = PastValue("NEW", began, "AUTOMATION_PLATFORM"), ("CRM_UI", None if who is None else f"userId:{who}", who)
        history["hs_lead_status"] = [PastValue(person.lead_status, began, *by_hand)]
        if person.lead_status in ("CONNECTED", "UNQUALIFIED") and person.status_at is not None and person.status_at > began:
            history["hs_lead_status"] = [PastValue(person.lead_status, person.status_at, *by_hand), first]
    world.hubspot_history[("contacts", person.hubspot_id)] = history


def _between(maker: Maker, earliest: datetime) -> datetime:
    """A moment from then on and before now."""
    seconds = max(0.0, (maker.now - earliest).total_seconds())
    return earliest + timedelta(seconds=seconds * maker.random.random())


def _touched(maker: Maker, activity: Activity) -> datetime:
    """When an engagement may first have been edited: what is still to come was last touched when it was written down."""
    return activity.created if activity.at > maker.now else max(activity.created, activity.at)


def _engagements(world: World, maker: Maker, activities: list[Activity], owners: Mapping[str, str]) -> None:
    numbers = dict.fromkeys(_TYPES, 9_700)
    for activity in sorted(activities, key=lambda activity: activity.created):
        name = _OBJECT[activity.kind]
        numbers[name] += maker.random.randint(1, 9)
        record_id = str(numbers[name])
        properties = {**_PROPERTIES[activity.kind](maker, activity), "hubspot_owner_id": owners.get(activity.owner)}
        put(world, name, record_id, properties, activity.created, _between(maker, _touched(maker, activity)))
        link(world, (name, record_id), ("contacts", activity.person.hubspot_id), (_TYPES[name],))
        company = activity.person.company
        if name == "meetings" and company is not None:
            link(world, (name, record_id), ("companies", company.hubspot_id), ((188, 187),))


def _call(maker: Maker, activity: Activity) -> dict[str, str | None]:
    disposition = maker.random.choice(_DISPOSITIONS)
    return {
        "hs_timestamp": stamp(activity.at),
        "hs_call_title": "Call",
        "hs_call_direction": "INBOUND" if activity.incoming else "OUTBOUND",
        "hs_call_status": "NO_ANSWER" if disposition == _DISPOSITIONS[1] else "COMPLETED",
        "hs_call_disposition": disposition,
        "hs_call_duration": str(maker.random.randint(8, 1500) * 1000),
    }


def _email(maker: Maker, activity: Activity) -> dict[str, str | None]:
    statuses = {"bounced": "BOUNCED", "failed": "FAILED", "scheduled": "SCHEDULED"}
    return {
        "hs_timestamp": stamp(activity.at),
        "hs_email_subject": maker.random.choice(("Your question", "Demo next week?", "Angebot für Ihr Lager", "資料のご案内")),
        "hs_email_direction": "INCOMING_EMAIL" if activity.incoming else "EMAIL",
        "hs_email_status": statuses.get(activity.state, "SENT"),
        "hs_sequence_id": str(maker.random.randint(41_001, 41_009)) if activity.state == "sequence" else None,
    }


def _meeting(maker: Maker, activity: Activity) -> dict[str, str | None]:
    outcomes = {"cancelled": "CANCELED", "scheduled": "SCHEDULED"}
    return {
        "hs_timestamp": stamp(activity.at),
        "hs_meeting_title": maker.random.choice(("First talk", "Demo", "Abstimmung mit Einkauf")),
        "hs_meeting_start_time": stamp(activity.at),
        "hs_meeting_end_time": stamp(activity.at + timedelta(minutes=30)),
        "hs_meeting_outcome": outcomes.get(activity.state) or maker.random.choice(("COMPLETED", "COMPLETED", "SCHEDULED", "RESCHEDULED")),
    }


def _task(maker: Maker, activity: Activity) -> dict[str, str | None]:
    done = activity.state == "done" and activity.at <= maker.now
    return {
        "hs_timestamp": stamp(activity.at),
        "hs_task_subject": maker.random.choice(("Send the price list", "Look up the contract", "Ask for the org chart")),
        "hs_task_status": "COMPLETED" if done else "NOT_STARTED",
        "hs_task_priority": maker.random.choice(("LOW", "MEDIUM", "HIGH")),
        "hs_task_type": "TODO",
        "hs_task_completion_date": stamp(activity.at) if done else None,
    }


_PROPERTIES = {"call": _call, "email": _email, "meeting": _meeting, "task": _task}
