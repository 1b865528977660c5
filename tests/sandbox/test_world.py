"""The made-up world: repeatable, and laid out so that every rule of the example file finds somebody and none finds most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.sandbox.state import HubSpotRow, World
from connector.sandbox.world.make import make_world

NOW = datetime(2026, 12, 2, 9, 30, tzinfo=UTC)
FREE = ("gmail.com", "outlook.com", "web.de")
REPS = ("anna@acme.example", "ben@acme.example", "chiara@acme.example")
MQL = "marketingqualifiedlead"
ENGAGEMENTS = ("calls", "emails", "meetings", "tasks")


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(now=NOW)


def domain(row: HubSpotRow) -> str:
    return (row["properties"].get("email") or "").partition("@")[2]


def moment(text: str | None) -> datetime | None:
    return None if not text else datetime.fromisoformat(text)


def companies_of(world: World) -> dict[str, dict[str, str | None]]:
    links = world.hubspot_associations[("contacts", "companies")]
    primary = {one: next(to for to, type_id in targets if type_id == 1) for one, targets in links.items()}
    return {one: world.hubspot["companies"][to]["properties"] for one, to in primary.items()}


def touches(world: World) -> dict[str, list[datetime]]:
    """Outgoing attempts of sales on HubSpot contacts, in both CRMs, by the definition of a touch."""
    found: dict[str, list[datetime]] = {}
    owners = {owner["id"] for owner in world.hubspot_owners if owner["email"] in REPS}
    for name in ("calls", "emails", "meetings"):
        links = world.hubspot_associations[(name, "contacts")]
        for row in world.hubspot[name].values():
            own = row["properties"]
            counts = (
                own.get("hs_call_direction") == "OUTBOUND"
                or (own.get("hs_email_direction") == "EMAIL" and own["hs_email_status"] == "SENT" and not own.get("hs_sequence_id"))
                or (name == "meetings" and own["hs_meeting_outcome"] != "CANCELED")
            )
            at = datetime.fromisoformat(own["hs_timestamp"])
            if counts and own["hubspot_owner_id"] in owners and at <= NOW:
                found.setdefault(links[row["id"]][0][0], []).append(at)
    for contact_id, at in salesforce_touches(world):
        found.setdefault(contact_id, []).append(at)
    return found


def salesforce_touches(world: World) -> Iterator[tuple[str, datetime]]:
    addresses = {row["properties"]["email"]: row["id"] for row in world.hubspot["contacts"].values()}
    tables = world.salesforce
    users = {row["Id"] for row in tables["User"].values() if row["Email"] in REPS}
    people = {**tables["Lead"], **tables["Contact"]}
    for row in tables["Task"].values():
        contact = addresses.get(people[row["WhoId"]]["Email"].lower())
        outgoing = row["TaskSubtype"] in ("Call", "Email") and row["CallType"] != "Inbound"
        if contact and row["OwnerId"] in users and row["IsClosed"] and outgoing:
            yield contact, row["CompletedDateTime"]
    for row in tables["Event"].values():
        contact = addresses.get(people[row["WhoId"]]["Email"].lower())
        if contact and row["OwnerId"] in users and row["StartDateTime"] <= NOW:
            yield contact, row["StartDateTime"]


def held_meetings(world: World) -> set[str]:
    found = set()
    for row in world.hubspot["meetings"].values():
        own = row["properties"]
        at = datetime.fromisoformat(own["hs_meeting_start_time"])
        if own["hs_meeting_outcome"] != "CANCELED" and NOW - timedelta(days=90) <= at <= NOW:
            found.add(world.hubspot_associations[("meetings", "contacts")][row["id"]][0][0])
    leads = {row["Id"]: row["Email"].lower() for table in ("Lead", "Contact") for row in world.salesforce[table].values()}
    addresses = {row["properties"]["email"]: row["id"] for row in world.hubspot["contacts"].values()}
    for event in world.salesforce["Event"].values():
        if NOW - timedelta(days=90) <= event["StartDateTime"] <= NOW and leads[event["WhoId"]] in addresses:
            found.add(addresses[leads[event["WhoId"]]])
    return found


def criteria(world: World) -> dict[str, set[str]]:
    """Each criterion of a qualified lead → the HubSpot contacts that meet it."""
    companies, met = companies_of(world), held_meetings(world)
    found: dict[str, set[str]] = {}
    for row in world.hubspot["contacts"].values():
        own, company = row["properties"], companies.get(row["id"], {})
        title, roles = own.get("jobtitle") or "", (own.get("hs_buying_role") or "").split(";")
        answers = {
            "industry": company.get("industry") in ("COMPUTER_SOFTWARE", "LOGISTICS_AND_SUPPLY_CHAIN"),
            "size": 50 <= int(company.get("numberofemployees") or 0) <= 5000 and own["country"] in ("Germany", "Austria", "Switzerland"),
            "role": bool({"DECISION_MAKER", "CHAMPION"} & set(roles)) or "Director" in title or "Head of" in title,
            "environment": bool(domain(row)) and domain(row) not in FREE,
            "process": row["id"] in met,
            "pain": bool(own.get("pain_point")),
            "budget": float(own.get("budget_amount") or 0) > 0,
            "competition": bool(own.get("competitor_in_use")),
            "urgency": own.get("purchase_timeline") in ("now", "this quarter"),
        }
        for name, answer in answers.items():
            found.setdefault(name, set()).update([row["id"]] if answer else [])
    return found


def score_lines(row: HubSpotRow) -> dict[str, float]:
    own = row["properties"]
    title, converted = own.get("jobtitle") or "", moment(own.get("recent_conversion_date"))
    return {
        "senior": 20.0 if any(word in title for word in ("Director", "VP", "Chief")) else 0.0,
        "conversion": 0.0 if converted is None else 40 * 0.5 ** ((NOW - converted).days / 30),
        "reading": min(30, 2 * float(own.get("hs_analytics_num_page_views") or 0)),
        "free mail": -15.0 if domain(row) in FREE else 0.0,
    }


def excluded(row: HubSpotRow) -> bool:
    return domain(row) in ("acme.example", "competitor.example") or "Student" in (row["properties"].get("jobtitle") or "")


def mqls(world: World) -> list[HubSpotRow]:
    return [row for row in world.hubspot["contacts"].values() if row["properties"]["lifecyclestage"] == MQL]


def lead_statuses(world: World) -> dict[str, str]:
    """E-mail in lower case → status of the Lead."""
    return {row["Email"].lower(): row["Status"] for row in world.salesforce["Lead"].values()}


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    one, same, other = (make_world(seed=seed, now=NOW, hubspot_contacts=300, salesforce_leads=120) for seed in (7, 7, 8))
    for name in ("hubspot", "hubspot_owners", "hubspot_associations", "hubspot_history", "salesforce", "connector_user_id"):
        assert getattr(one, name) == getattr(same, name), name
    assert one.hubspot != other.hubspot
    assert one.salesforce != other.salesforce


def test_now_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        make_world(now=NOW.replace(tzinfo=None))


def test_it_has_the_promised_size(world: World) -> None:
    assert len(world.hubspot["contacts"]) == 5000
    assert len(world.salesforce["Lead"]) == 2000
    assert 850 <= len(world.hubspot["companies"]) <= 950
    assert 10_000 <= sum(len(world.hubspot[name]) for name in ENGAGEMENTS) <= 14_000
    assert 4_500 <= len(world.salesforce["Task"]) + len(world.salesforce["Event"]) <= 6_500
    assert 100 <= len(world.salesforce["Account"]) <= 200
    assert {row["Type"] for row in world.salesforce["Group"].values()} == {"Queue"}
    assert world.absent == "ben@acme.example"


def test_the_six_owners_are_in_both_crms_and_one_is_deactivated(world: World) -> None:
    users = {row["Email"]: row["IsActive"] for row in world.salesforce["User"].values()}
    owners = {owner["email"]: not owner["archived"] for owner in world.hubspot_owners}
    assert len(owners) == 6
    assert owners.items() <= users.items()
    assert [email for email, active in owners.items() if not active] == ["dora@acme.example"]
    assert set(users) - set(owners) == {world.salesforce["User"][world.connector_user_id]["Email"]}


def test_two_fifths_of_the_leads_are_hubspot_contacts_and_half_of_them_are_linked(world: World) -> None:
    contacts = {row["properties"]["email"]: row["properties"] for row in world.hubspot["contacts"].values() if row["properties"]["email"]}
    shared = [row for row in world.salesforce["Lead"].values() if row["Email"].lower() in contacts]
    linked = [row for row in shared if contacts[row["Email"].lower()]["salesforceleadid"] == row["Id"]]
    assert len(shared) == 800
    assert 0.4 <= len(linked) / len(shared) <= 0.6
    assert sum(row["Email"] != row["Email"].lower() for row in shared) > 200


def test_nobody_in_it_is_real_and_names_come_from_many_scripts(world: World) -> None:
    rows = world.hubspot["contacts"].values()
    addresses = [row["properties"]["email"] for row in rows if row["properties"]["email"]]
    assert len(set(addresses)) == len(addresses)
    for address in (*addresses, *(row["Email"] for row in world.salesforce["Lead"].values())):
        assert address.isascii()
        assert address.lower().endswith(".example") or address.partition("@")[2].lower() in FREE
    names = "".join(f"{row['properties']['firstname']}{row['properties']['lastname']}" for row in rows)
    for first, last in (("À", "ÿ"), ("\u05d0", "\u05ea"), ("\u0621", "\u064a"), ("\u4e00", "\u9fff"), ("\U0001f300", "\U0001faff")):
        assert any(first <= letter <= last for letter in names), f"no letter from {first!r} to {last!r}"


def test_every_criterion_finds_somebody_and_none_finds_most(world: World) -> None:
    for name, found in criteria(world).items():
        assert 0.02 <= len(found) / 5000 <= 0.6, name


def test_every_line_of_the_score_finds_somebody_and_none_finds_most(world: World) -> None:
    lines = [score_lines(row) for row in world.hubspot["contacts"].values()]
    for name in ("senior", "conversion", "reading", "free mail"):
        assert 0.02 <= sum(line[name] != 0 for line in lines) / 5000 <= 0.6, name


def test_some_hundred_would_become_mql(world: World) -> None:
    met = Counter(record_id for found in criteria(world).values() for record_id in found)
    below = [row for row in world.hubspot["contacts"].values() if row["properties"]["lifecyclestage"] in (None, "subscriber", "lead")]
    fits = [row for row in below if met[row["id"]] >= 4 and sum(score_lines(row).values()) >= 50]
    assert 150 <= sum(not excluded(row) for row in fits) <= 300
    assert any(excluded(row) for row in fits)
    assert any(met[row["id"]] >= 4 and sum(score_lines(row).values()) < 50 for row in below), "qualified, but not engaged"
    assert any(met[row["id"]] < 4 and sum(score_lines(row).values()) >= 50 for row in below), "engaged, but not qualified"


def test_sales_accepted_and_rejected_some(world: World) -> None:
    statuses = lead_statuses(world)
    accepted = rejected = 0
    reasons: Counter[bool] = Counter()
    for row in mqls(world):
        own = row["properties"]
        status = statuses.get(own["email"] or "")
        accepted += own["hs_lead_status"] == "CONNECTED" or status == "Qualified"
        if own["hs_lead_status"] == "UNQUALIFIED":
            reasons[bool(own["rejection_reason"])] += 1
        rejected += own["hs_lead_status"] == "UNQUALIFIED" or status == "Closed - Not Converted"
    in_salesforce = [row for row in world.salesforce["Lead"].values() if row["Status"] == "Closed - Not Converted"]
    for row in in_salesforce:
        reasons[bool(row["Rejection_Reason__c"])] += 1
    assert 60 <= accepted <= 120
    assert 40 <= rejected <= 80
    assert min(reasons[True], reasons[False]) >= 10


def test_some_mqls_went_cold(world: World) -> None:
    touched = touches(world)
    cold = []
    for row in mqls(world):
        entered = moment(row["properties"][f"hs_v2_date_entered_{MQL}"])
        assert entered is not None
        last = max((at for at in touched.get(row["id"], []) if at >= entered), default=None)
        if entered < NOW - timedelta(days=90) and (last is None or last < NOW - timedelta(days=60)):
            cold.append(last)
    assert 40 <= len(cold) <= 80
    assert None in cold
    assert any(cold)


def test_of_the_mqls_of_two_weeks_some_were_touched_in_time_and_some_not_at_all(world: World) -> None:
    touched = touches(world)
    without, soon, late = 0, 0, 0
    for row in mqls(world):
        own = row["properties"]
        assigned = moment(own["hubspot_owner_assigneddate"])
        if assigned is None or assigned < NOW - timedelta(days=14):
            continue
        since = [at for at in touched.get(row["id"], []) if at >= assigned]
        without += not since and assigned < NOW - timedelta(days=1)
        soon += bool(since) and min(since) - assigned <= timedelta(hours=3)
        late += bool(since) and min(since) - assigned > timedelta(hours=12)
    assert 50 <= without <= 100
    assert 50 <= soon <= 100
    assert 10 <= late <= 40


def test_nothing_is_known_before_it_happened(world: World) -> None:
    for name, rows in world.hubspot.items():
        assert all(row["createdAt"] <= row["updatedAt"] <= NOW for row in rows.values()), name
    for name, table in world.salesforce.items():
        for row in table.values():
            assert row["CreatedDate"] <= row["LastModifiedDate"] <= row["SystemModstamp"] <= NOW, name
            assert row["CreatedDate"].microsecond == 0
    for row in mqls(world):
        assert row["createdAt"] <= datetime.fromisoformat(row["properties"][f"hs_v2_date_entered_{MQL}"]) <= NOW


def test_every_link_stands_in_both_directions_and_points_to_something(world: World) -> None:
    links = world.hubspot_associations
    for (start, end), table in links.items():
        for one, targets in table.items():
            assert one in world.hubspot[start]
            assert len(set(targets)) == len(targets)
            assert all(any(back == one for back, _ in links[(end, start)][to]) for to, _ in targets)
    for name in ENGAGEMENTS:
        assert set(links[(name, "contacts")]) == set(world.hubspot[name])


def test_salesforce_rows_refer_to_rows(world: World) -> None:
    tables = world.salesforce
    owners = {**tables["User"], **tables["Group"]}
    people = {**tables["Lead"], **tables["Contact"]}
    for row in (*tables["Lead"].values(), *tables["Task"].values(), *tables["Event"].values()):
        assert row["OwnerId"] in owners
        assert row.get("WhoId", row["Id"]) in {**people, row["Id"]: row}
    converted: list[dict[str, Any]] = [row for row in tables["Lead"].values() if row["IsConverted"]]
    assert all(row["ConvertedContactId"] in tables["Contact"] and row["ConvertedAccountId"] in tables["Account"] for row in converted)
    assert len(converted) == len(tables["Contact"]) > 100
    assert all(len(row_id) == 18 for table in tables.values() for row_id in table)
    assert {row["Field"] for row in tables["LeadHistory"].values()} == {"Status", "Owner"}
    assert all(row["LeadId"] in tables["Lead"] for row in tables["LeadHistory"].values())


def test_activities_are_of_every_kind(world: World) -> None:
    emails = Counter(row["properties"]["hs_email_status"] for row in world.hubspot["emails"].values())
    assert set(emails) == {"SENT", "BOUNCED", "FAILED", "SCHEDULED"}
    assert {row["properties"]["hs_email_direction"] for row in world.hubspot["emails"].values()} == {"EMAIL", "INCOMING_EMAIL"}
    assert any(row["properties"]["hs_sequence_id"] for row in world.hubspot["emails"].values())
    assert {row["properties"]["hs_call_direction"] for row in world.hubspot["calls"].values()} == {"INBOUND", "OUTBOUND"}
    starts = [datetime.fromisoformat(row["properties"]["hs_meeting_start_time"]) for row in world.hubspot["meetings"].values()]
    assert min(starts) < NOW < max(starts)
    assert {row["TaskSubtype"] for row in world.salesforce["Task"].values()} == {"Call", "Email", "ListEmail", "Task"}


def test_some_hundred_contacts_have_deals_that_say_how_they_ended(world: World) -> None:
    deals = world.hubspot["deals"]
    assert 450 <= len(deals) <= 700
    stages = {row["properties"]["dealstage"]: row["properties"] for row in deals.values()}
    assert {"closedwon", "closedlost", "contractsent"} <= set(stages)
    for stage, own in stages.items():
        assert own["hs_is_closed"] == str(stage.startswith("closed")).lower()
        assert own["hs_is_closed_won"] == str(stage == "closedwon").lower()
    assert {row["properties"]["deal_currency_code"] for row in deals.values()} == {"EUR", "USD", "CHF", None}
    assert set(world.hubspot_associations["deals", "contacts"]) == set(deals)
    linked = {to_id for links in world.hubspot_associations["deals", "contacts"].values() for to_id, _ in links}
    assert {world.hubspot["contacts"][each]["properties"]["lifecyclestage"] for each in linked} == {"opportunity", "customer", "evangelist"}


def test_more_activities_can_be_had_and_none_of_them_is_a_touch() -> None:
    plain, more = (make_world(now=NOW, hubspot_contacts=120, salesforce_leads=20, activities_a_contact=each) for each in (0, 6))
    assert sum(len(more.hubspot[name]) for name in ENGAGEMENTS) == 720
    assert touches(more).keys() == touches(plain).keys()
    assert {name: len(at) for name, at in touches(more).items()} == {name: len(at) for name, at in touches(plain).items()}
    assert all(row["createdAt"] <= row["updatedAt"] <= NOW for name in ENGAGEMENTS for row in more.hubspot[name].values())


@pytest.mark.parametrize("day", [datetime(2026, 1, 2, 23, 0, tzinfo=UTC), datetime(2026, 7, 5, 3, 0, tzinfo=UTC)])
def test_it_can_be_made_on_any_day_and_small(day: datetime) -> None:
    world = make_world(now=day, hubspot_contacts=60, salesforce_leads=20)
    assert len(world.hubspot["contacts"]) == 60
    assert len(world.salesforce["Lead"]) == 20
    assert any(row["properties"]["lifecyclestage"] == MQL for row in world.hubspot["contacts"].values())


def test_deals_and_campaigns_stand_around_the_people(world: World) -> None:
    tables = world.salesforce
    converted = [row for row in tables["Lead"].values() if row["IsConverted"]]
    deals = {row["ConvertedOpportunityId"] for row in converted} - {None}
    assert len(converted) * 0.6 < len(deals) < len(converted)
    assert deals < set(tables["Opportunity"])
    for row in tables["Opportunity"].values():
        assert (row["IsClosed"], row["IsWon"]) == (row["StageName"].startswith("Closed"), row["StageName"] == "Closed Won")
        assert row["CloseDate"] <= NOW.date() if row["IsClosed"] else row["CloseDate"] > NOW.date()
    assert {row["OpportunityId"] for row in tables["OpportunityContactRole"].values()} == set(tables["Opportunity"])
    members = tables["CampaignMember"].values()
    assert all((row["LeadId"] in tables["Lead"]) != (row["ContactId"] in tables["Contact"]) for row in members)
    assert len(members) > 0.3 * len(converted)
    assert {row["Grade__c"] for row in tables["Lead"].values()} == {"A", "B", "C"}
    roles = {tables["UserRole"][row["UserRoleId"]]["Name"]: row for row in tables["User"].values() if row["UserRoleId"]}
    assert set(roles) == {"Sales", "Marketing"}


def test_calls_for_trials_of_size() -> None:
    few = make_world(now=NOW, hubspot_contacts=5, salesforce_leads=10)
    many = make_world(now=NOW, hubspot_contacts=5, salesforce_leads=10, activities_a_lead=30)
    assert len(many.salesforce["Task"]) == len(few.salesforce["Task"]) + 300
    assert max(row["SystemModstamp"] for row in many.salesforce["Task"].values()) < NOW
