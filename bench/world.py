"""A made-up company of any size, page by page, straight into the mirror: what HubSpot and Salesforce hold of it, five activities a contact.

People are spread so that each condition of the example file is met by some and not by others; `bench_pass` fails where one is not. Every
moment lies between 12:30 and 13:00 UTC, and the bench's passes begin at 10:00: what is due by time alone (a window's end, a deadline in
business hours, a day of a month ago) never falls between two of them, so that a pass in which nothing changed has nobody to judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from connector.model import CRM_FACTS, Activity, ActivityKind, CrmName, Direction, Owner, Page, Record, RecordRef

#: When the first pass begins.
NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
#: Records on one page; about what ten pages of HubSpot's list hold.
PAGE = 1_000
#: Activities of each contact.
ACTIVITIES = 5
#: Contacts of a company, and every how many-th contact has a Lead if its stage is one that Leads have.
_OF_A_COMPANY, _LEAD_EVERY = 40, 5
_NOON = NOW.replace(hour=12, minute=30)
#: Sales first: their activities are touches.
PEOPLE = ("anna", "ben", "chiara", "lead-desk", "mia", "noah")
_SALES = 3
_TITLES = (
    "Director IT", "Head of Sales", "Engineer", "Buyer", "Chief Financial Officer", "Clerk", "VP Operations", "Analyst", "Student", None,
)  # fmt: skip
_COUNTRIES = ("Germany", "Austria", "Switzerland", "France", "Poland", "Italy", None)
_DOMAINS = ("kunde.example", "betrieb.example", "gmail.com", "web.de", "werk.example")
_TIMELINES = ("now", "this quarter", "next year", None, None)
_STATUS = {"lead": "Nurturing", "marketingqualifiedlead": "Working - Contacted", "salesqualifiedlead": "Qualified"}
#: HubSpot's stages, out of a hundred contacts.
_STAGES = (
    *["subscriber"] * 25, *["lead"] * 48, *["marketingqualifiedlead"] * 5, *["salesqualifiedlead"] * 4, *["opportunity"] * 5,
    *["customer"] * 8, *[None] * 5,
)  # fmt: skip
_KINDS = (
    (ActivityKind.CALL, "calls"), (ActivityKind.CALL, "calls"), (ActivityKind.EMAIL, "emails"), (ActivityKind.EMAIL, "emails"),
    (ActivityKind.MEETING, "meetings"),
)  # fmt: skip
_STREAMS: Mapping[CrmName, Sequence[str]] = {
    "hubspot": ("owners", "companies", "contacts", "deals", "calls", "emails", "meetings", "tasks"),
    "salesforce": ("User", "Group", "Account", "Lead", "Contact", "Opportunity", "OpportunityContactRole", "Campaign", "CampaignMember",
                   "Task", "Event", "LeadHistory"),
}  # fmt: skip

Wanted = Mapping[CrmName, Mapping[str, Sequence[str]]]


def pages(count: int, wanted: Wanted, *, seed: int = 7) -> Iterator[Page]:
    """All pages of a first pull; the last of each stream says so. wanted: CRM → object → its properties, as an adapter is told."""
    random = Random(seed)
    for crm in ("hubspot", "salesforce"):
        yield _page(crm, CRM_FACTS[crm].owners, owners=[_owner(crm, name) for name in PEOPLE])
    companies = [_company(number, wanted, random) for number in range(1 + count // _OF_A_COMPANY)]
    for start in range(0, len(companies), PAGE):
        yield _page("hubspot", "companies", records=companies[start : start + PAGE])
    for start in range(0, count, PAGE):
        people = [_Person(number) for number in range(start, min(count, start + PAGE))]
        yield _page("hubspot", "contacts", records=[person.contact(wanted) for person in people])
        leads = [person.lead(wanted) for person in people if person.has_lead]
        if leads:
            yield _page("salesforce", "Lead", records=leads)
        made = [activity for person in people for activity in person.activities()]
        for stream in ("calls", "emails", "meetings"):
            yield _page("hubspot", stream, activities=[activity for activity in made if activity.object == stream])
    for crm, streams in _STREAMS.items():
        for stream in streams:
            yield _page(crm, stream, last=True)


def changes(count: int, among: int, wanted: Wanted, *, turn: int) -> Iterator[Page]:
    """Something new of so many different contacts, spread over all: seven records to three calls. turn: other contacts each time."""
    step = max(1, among // count)
    numbers = [(place * step + turn) % among for place in range(count)]
    chosen = [number for place, number in enumerate(numbers) if place % 10 < 7]
    records = [_Person(number, changed=turn).contact(wanted) for number in chosen]
    calls = [_call(number, turn) for place, number in enumerate(numbers) if place % 10 >= 7]
    for start in range(0, len(records), PAGE):
        yield _page("hubspot", "contacts", records=records[start : start + PAGE])
    yield _page("hubspot", "calls", activities=calls)


def strangers(number: int, wanted: Wanted) -> Page:
    """A hundred new companies that nobody belongs to: a page that makes nobody due."""
    random = Random(number)
    start = 500_000_000 + 100 * number
    return _page("hubspot", "companies", records=[_company(each, wanted, random) for each in range(start, start + 100)])


def email_of(number: int) -> str:
    """The address of a contact by its number."""
    return f"person{number}@{_DOMAINS[number % len(_DOMAINS)]}"


class _Person:
    """One person, by number: always the same one, but for what changed. Asked for its contact, its Lead, its activities in this order."""

    def __init__(self, number: int, *, changed: int | None = None) -> None:
        self.number = number
        self._random = random = Random(number)
        self._stage = _STAGES[_spread(number, len(_STAGES))]
        self._title = random.choice(_TITLES)
        self._country = random.choice(_COUNTRIES)
        self._owned = random.random() < 0.5
        self._entered = _moment(1 + random.randrange(150))
        self._changed = changed

    @property
    def has_lead(self) -> bool:
        return self.number % _LEAD_EVERY == 0 and self._stage in _STATUS

    def contact(self, wanted: Wanted) -> Record:
        """The HubSpot contact; what is wanted and not made up here is empty."""
        random, number = self._random, self.number
        owner = str(1 + number % _SALES) if self._owned else None
        values: dict[str, Any] = {
            "email": email_of(number),
            "firstname": "Petra",
            "lastname": f"Muster {number}",
            "jobtitle": self._title,
            "country": self._country,
            "lifecyclestage": self._stage,
            "hs_lead_status": self._lead_status(),
            f"hs_v2_date_entered_{self._stage}": _millis(self._entered),
            "hubspot_owner_id": owner,
            "hubspot_owner_assigneddate": _millis(self._entered) if owner else None,
            "hs_analytics_num_page_views": str(random.randrange(40) if random.random() < 0.2 else random.randrange(5)),
            "recent_conversion_date": _moment(1 + random.randrange(200)).isoformat() if random.random() < 0.4 else None,
            "budget_amount": str(random.randrange(50_000)) if random.random() < 0.2 else None,
            "hs_buying_role": "DECISION_MAKER;CHAMPION" if random.random() < 0.1 else None,
            "pain_point": "reporting" if random.random() < 0.2 else None,
            "competitor_in_use": "Rival" if random.random() < 0.1 else None,
            "purchase_timeline": random.choice(_TIMELINES),
        }
        if self._changed is not None:  # told by a field that rules read, so that something of it differs for certain
            values["hs_analytics_num_page_views"] = str(50 + self._changed)
        return Record(
            crm="hubspot",
            object="contacts",
            id=str(1_000_000 + number),
            properties={name: values.get(name) for name in wanted["hubspot"]["contacts"]},
            created_at=_moment(400),
            modified_at=NOW if self._changed is not None else _moment(1 + random.randrange(90)),
            owner_id=owner,
            company_id=str(1 + number // _OF_A_COMPANY),
        )

    def lead(self, wanted: Wanted) -> Record:
        """The Salesforce Lead of the same person."""
        random, number = self._random, self.number
        owner = f"005{1 + number % _SALES:015d}" if self._owned else None
        values: dict[str, Any] = {
            "Email": email_of(number),
            "FirstName": "Petra",
            "LastName": f"Muster {number}",
            "Company": "Muster",
            "Title": self._title,
            "Country": self._country,
            "Status": _STATUS[self._stage or ""],
            "OwnerId": owner,
            "Industry": random.choice(("Technology", "Retail", None)),
            "NAICS__c": random.choice(("511210", "454110", None)),
            "NumberOfEmployees": random.randrange(5, 9000),
            "Budget__c": random.randrange(50_000) if random.random() < 0.3 else None,
        }
        return Record(
            crm="salesforce",
            object="Lead",
            id=f"00Q{number:015d}",
            properties={name: values.get(name) for name in wanted["salesforce"]["Lead"]},
            created_at=_moment(300),
            modified_at=_moment(2),
            owner_id=owner,
        )

    def activities(self) -> Iterator[Activity]:
        """Five; of every tenth contact one is a call that was logged twice, four minutes apart."""
        random, number = self._random, self.number
        doubled = _spread(number, 10) == 0
        at, person = NOW, 0
        for place in range(ACTIVITIES):
            kind, stream = _KINDS[place]
            again = doubled and place == 1
            at = at + timedelta(minutes=4) if again else _moment(random.randrange(-40 if kind is ActivityKind.MEETING else 1, 400) or 1)
            person = person if again else random.randrange(len(PEOPLE))
            yield Activity(
                crm="hubspot",
                object=stream,
                id=str(10 * number + place),
                kind=kind,
                at=at,
                contacts=(RecordRef(crm="hubspot", object="contacts", id=str(1_000_000 + number)),),
                direction=Direction.OUTGOING if doubled or random.random() < 0.8 else Direction.INCOMING,
                owner_id=str(1 + person),
                created_at=_moment(1),
                modified_at=_moment(1),
            )

    def _lead_status(self) -> str | None:
        """Mostly nothing; some MQLs are accepted by sales, some given back."""
        if self._stage != "marketingqualifiedlead":
            return "NEW" if self._random.random() < 0.3 else None
        return self._random.choice(("NEW", "NEW", "OPEN", "CONNECTED", "UNQUALIFIED"))


def _call(number: int, turn: int) -> Activity:
    """A new call of sales the day before."""
    return Activity(
        crm="hubspot",
        object="calls",
        id=str(5_000_000_000 + 1_000_000_000 * turn + number),
        kind=ActivityKind.CALL,
        at=_moment(1) - timedelta(seconds=turn),
        contacts=(RecordRef(crm="hubspot", object="contacts", id=str(1_000_000 + number)),),
        direction=Direction.OUTGOING,
        owner_id="1",
        created_at=NOW,
        modified_at=NOW,
    )


def _company(number: int, wanted: Wanted, random: Random) -> Record:
    values = {
        "name": f"Muster {number} GmbH",
        "industry": random.choice(("COMPUTER_SOFTWARE", "LOGISTICS_AND_SUPPLY_CHAIN", "RETAIL", None)),
        "numberofemployees": str(random.randrange(5, 9000)),
    }
    properties = {name: values.get(name) for name in wanted["hubspot"]["companies"]}
    moment = _moment(200)
    return Record(crm="hubspot", object="companies", id=str(1 + number), properties=properties, created_at=moment, modified_at=moment)


def _owner(crm: CrmName, name: str) -> Owner:
    number = 1 + PEOPLE.index(name)
    return Owner(crm=crm, id=str(number) if crm == "hubspot" else f"005{number:015d}", email=f"{name}@acme.example", name=name, active=True)


def _page(crm: CrmName, name: str, *, last: bool = False, **content: Any) -> Page:
    seen = sum(len(things) for things in content.values())
    return Page(crm=crm, object=name, cursor={"since": NOW.timestamp()}, seen=seen, calls=1, full=True, last=last, **content)


def _moment(days: int) -> datetime:
    """So many days before the first pass, at a second of the half hour that belongs to them."""
    return _NOON - timedelta(days=days) + timedelta(seconds=days * 37 % 1_500)


def _millis(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1_000))


def _spread(number: int, most: int) -> int:
    """A number below `most`, the same for the same contact, in no order with it."""
    return (number * 2_654_435_761 % 4_294_967_296 >> 12) % most
