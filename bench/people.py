"""Made-up contacts straight into the mirror, without a CRM: enough of them to measure judging alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from connector.model import Activity, ActivityKind, Direction, Page, Record, RecordRef

#: Records on one page; about what ten pages of HubSpot's list hold.
PAGE = 1000
COMPANIES = 500
_TITLES = ("Director IT", "Head of Sales", "Engineer", "Buyer", "Chief Financial Officer", "Clerk", "VP Operations", "Analyst")
_COUNTRIES = ("Germany", "Austria", "Switzerland", "France", "Poland", "Italy")
_DOMAINS = ("kunde.example", "betrieb.example", "gmail.com", "web.de", "werk.example")
_STAGES = ("subscriber", "lead", "lead", "lead", "opportunity", None)
_TIMELINES = ("now", "this quarter", "next year", None, None)


def pages(count: int, wanted: Mapping[str, Sequence[str]], now: datetime, *, seed: int = 7) -> Iterator[Page]:
    """Companies, contacts, and two activities for each contact. wanted: object → its properties, as an adapter is told."""
    random = Random(seed)
    companies = [_company(number, wanted["companies"], now, random) for number in range(COMPANIES)]
    yield _page("companies", now, records=companies)
    for start in range(0, count, PAGE):
        numbers = range(start, min(count, start + PAGE))
        yield _page("contacts", now, records=[_contact(number, wanted["contacts"], now, random) for number in numbers])
        yield _page("meetings", now, activities=[each for number in numbers for each in _meetings(number, now, random)])


def changes(count: int, among: int, wanted: Mapping[str, Sequence[str]], now: datetime, *, seed: int = 8) -> Iterator[Page]:
    """Other values of some contacts, spread over all."""
    random = Random(seed)
    step = max(1, among // count)
    yield _page("contacts", now, records=[_contact(number, wanted["contacts"], now, random) for number in range(0, among, step)][:count])


def _contact(number: int, wanted: Sequence[str], now: datetime, random: Random) -> Record:
    """One HubSpot contact; what is wanted and not made up here is empty."""
    values: dict[str, Any] = {
        "email": f"person{number}@{random.choice(_DOMAINS)}",
        "firstname": "Petra",
        "lastname": f"Muster {number}",
        "jobtitle": random.choice(_TITLES),
        "country": random.choice(_COUNTRIES),
        "lifecyclestage": random.choice(_STAGES),
        "hs_analytics_num_page_views": str(random.randrange(40)),
        "recent_conversion_date": (now - timedelta(days=random.randrange(200))).isoformat() if random.random() < 0.4 else None,
        "budget_amount": str(random.randrange(50_000)) if random.random() < 0.2 else None,
        "hs_buying_role": "DECISION_MAKER;CHAMPION" if random.random() < 0.1 else None,
        "pain_point": "reporting" if random.random() < 0.2 else None,
        "purchase_timeline": random.choice(_TIMELINES),
    }
    return Record(
        crm="hubspot",
        object="contacts",
        id=str(1_000_000 + number),
        properties={name: values.get(name) for name in wanted},
        created_at=now - timedelta(days=400),
        modified_at=now - timedelta(days=random.randrange(1, 90)),
        company_id=str(1 + number % COMPANIES),
    )


def _company(number: int, wanted: Sequence[str], now: datetime, random: Random) -> Record:
    values = {
        "name": f"Muster {number} GmbH",
        "industry": random.choice(("COMPUTER_SOFTWARE", "LOGISTICS_AND_SUPPLY_CHAIN", "RETAIL", None)),
        "numberofemployees": str(random.randrange(5, 9000)),
    }
    properties = {name: values.get(name) for name in wanted}
    return Record(crm="hubspot", object="companies", id=str(1 + number), properties=properties, created_at=now, modified_at=now)


def _meetings(number: int, now: datetime, random: Random) -> Iterator[Activity]:
    for place in range(2):
        yield Activity(
            crm="hubspot",
            object="meetings",
            id=str(10 * number + place),
            kind=ActivityKind.MEETING,
            at=now - timedelta(days=random.randrange(400)),
            contacts=[RecordRef(crm="hubspot", object="contacts", id=str(1_000_000 + number))],
            direction=Direction.OUTGOING,
            created_at=now,
            modified_at=now,
        )


def _page(name: str, now: datetime, **content: Any) -> Page:
    seen = sum(len(each) for each in content.values())
    return Page(crm="hubspot", object=name, cursor={"since": now.timestamp()}, seen=seen, calls=1, **content)
