"""Makes the world of both CRMs: draws the people, lets them live, and writes them into each CRM in its own words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connector.sandbox.state import World
from connector.sandbox.world import activities, deals, facts, hubspot, journeys, salesforce
from connector.sandbox.world.people import Maker, Person, describe


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
    if now.tzinfo is None:
        raise ValueError("make_world needs an aware `now`; give it a time zone")
    world = World(now=now, absent=facts.ABSENT)
    maker = Maker(seed, now)
    companies = maker.companies(max(12, round(hubspot_contacts * 0.18)))
    people = _people(maker, hubspot_contacts, salesforce_leads)
    accounts = companies[: max(6, round(salesforce_leads * 0.075))]
    for person in people:
        describe(maker, person, accounts if person.cohort in facts.CONVERTED_COHORTS else companies)
        maker.identify(person)
        journeys.walk(maker, person)
        if person.cohort == "excluded":
            journeys.exclude(maker, person)
    found = [activity for person in people for activity in activities.activities_of(maker, person)]
    salesforce.fill(world, maker, people, found)
    found += activities.bulk(maker, people, found, seed=seed, wanted=round(hubspot_contacts * activities_a_contact))
    hubspot.fill(world, maker, companies, people, found)
    deals.fill(world, people, seed=seed)
    salesforce.more_calls(world, round(activities_a_lead * salesforce_leads))
    return world


def _people(maker: Maker, hubspot_contacts: int, salesforce_leads: int) -> list[Person]:
    """People of both CRMs with their cohorts, in an order that has nothing to do with them."""
    weights = {cohort.name: cohort.weight for cohort in facts.HUBSPOT_COHORTS}
    known = _cohorts(maker, facts.HUBSPOT_COHORTS, hubspot_contacts)
    shared = min(round(salesforce_leads * 0.4), hubspot_contacts)
    # the largest keys of this kind are a weighted sample without repetition (Efraimidis and Spirakis)
    keys = sorted(range(len(known)), key=lambda at: maker.random.random() ** (1 / weights[known[at]]), reverse=True)
    both = set(keys[:shared])
    only_leads = _cohorts(maker, facts.SALESFORCE_COHORTS, salesforce_leads - shared)
    return [
        *(Person(name, True, at in both, facts.PLACES[0], maker.now) for at, name in enumerate(known)),
        *(Person(name, False, True, facts.PLACES[0], maker.now) for name in only_leads),
    ]


def _cohorts(maker: Maker, cohorts: Sequence[facts.Cohort], count: int) -> list[str]:
    """The cohort of each of so many people, by the cohorts' shares, shuffled."""
    names: list[str] = []
    for cohort in cohorts[:-1]:
        names.extend([cohort.name] * max(1, round(cohort.share * count)))
    names = names[:count]
    names.extend([cohorts[-1].name] * (count - len(names)))
    maker.random.shuffle(names)
    return names
