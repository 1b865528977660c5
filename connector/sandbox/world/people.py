"""The people and companies of the world, and their attributes. No CRM's vocabulary decides anything here.

Each person belongs to a cohort (`facts`), which says what the rules should find; attributes are drawn to fit it.
"""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from faker import Faker

from connector.sandbox.world import facts
from connector.sandbox.world.calendar import Calendar


@dataclass(eq=False)
class Company:
    """An employer. hubspot_id and account_id are set once the CRM has it."""

    name: str
    domain: str
    place: facts.Place
    industry: tuple[str, str, str]
    employees: int
    city: str
    created: datetime
    hubspot_id: str = ""
    account_id: str = ""


@dataclass(eq=False)
class Person:
    """Somebody whom at least one CRM knows. Owners are e-mail addresses, `QUEUE`, `CONNECTOR` or ""."""

    cohort: str
    in_hubspot: bool
    in_salesforce: bool
    place: facts.Place
    created: datetime
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    title: str = ""
    company: Company | None = None
    free_mail: bool = False
    page_views: int = 0
    converted_at: datetime | None = None
    budget: int = 0
    roles: tuple[str, ...] = ()
    pain: str = ""
    timeline: str = ""
    competitor: str = ""
    meeting: bool = False
    owner: str = ""
    assigned_at: datetime | None = None
    entered: dict[str, datetime] = field(default_factory=dict)  # HubSpot's stage → when
    stage: str = ""
    lead_status: str = ""
    status: str = ""
    status_at: datetime | None = None  # when sales accepted or rejected
    reason: str = ""
    hubspot_id: str = ""
    lead_id: str = ""
    contact_id: str = ""

    @property
    def stage_since(self) -> datetime | None:
        """When the present stage began."""
        return self.entered.get(self.stage)


class Maker:
    """Draws companies and people, always the same for the same seed."""

    def __init__(self, seed: int, now: datetime) -> None:
        self.random = random.Random(seed)  # noqa: S311 - made-up people need repeatability, not secrecy
        self.now = now
        self.calendar = Calendar(self.random, now)
        self._fakers = {place.locale: Faker(place.locale) for place in facts.PLACES}
        for number, faker in enumerate(self._fakers.values()):
            faker.seed_instance(seed * 1000 + number)
        self._names = {place.locale: self._name_pool(place.locale) for place in facts.PLACES}
        self._taken: set[str] = set()

    def _name_pool(self, locale: str) -> tuple[list[str], list[str]]:
        """Faker is slow; a hundred names of each kind give ten thousand people."""
        faker = self._fakers[locale]
        return [faker.first_name() for _ in range(120)], [faker.last_name() for _ in range(160)]

    def place(self) -> facts.Place:
        """A place, by weight."""
        return self.random.choices(facts.PLACES, [place.weight for place in facts.PLACES])[0]

    def companies(self, count: int) -> list[Company]:
        """Companies of all places, sizes and industries."""
        made = []
        for number in range(count):
            place = self.place()
            name = self._fakers[place.locale].company()
            hubspot, salesforce, naics, _ = self.random.choices(facts.INDUSTRIES, [industry[3] for industry in facts.INDUSTRIES])[0]
            made.append(
                Company(
                    name=name,
                    domain=f"{_ascii(name)[:18].strip('-') or 'firma'}-{number}.example",
                    place=place,
                    industry=(hubspot, salesforce, naics),
                    employees=int(math.exp(self.random.uniform(math.log(4), math.log(20_000)))),
                    city=self.random.choice(place.cities),
                    created=self.days_ago(100, 900),
                )
            )
        return made

    def days_ago(self, least: float, most: float) -> datetime:
        """A moment so many days before now, on any hour."""
        return self.now - timedelta(seconds=self.random.randint(int(least * 86_400), int(most * 86_400)))

    def identify(self, person: Person) -> None:
        """Name, phone and a unique address; domains of real mail providers get local parts that nobody would choose."""
        draw = self.random
        first_names, last_names = self._names[person.place.locale]
        person.first_name, person.last_name = draw.choice(first_names), draw.choice(last_names)
        person.phone = f"{person.place.dialling} 555 {draw.randint(0, 999_999):06d}"
        local = ".".join(part for part in (_ascii(person.first_name), _ascii(person.last_name)) if part) or "kontakt"
        mark = "".join(draw.choices("abcdefghjkmnpqrstuvwxyz23456789", k=7))
        if person.free_mail:
            domain = draw.choice(facts.FREE_MAIL)
            local = f"{local}.{mark}"
        else:
            domain = person.company.domain if person.company is not None else f"{mark}.example"
            if person.company is not None and draw.random() < 0.003:
                local = "info"  # a shared mailbox
        if f"{local}@{domain}" in self._taken:
            local = f"{local}.{mark}"
        person.email = f"{local}@{domain}"
        self._taken.add(person.email)
        if draw.random() < 0.02:
            person.first_name += f" {draw.choice(facts.EMOJI)}"


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


def criteria_met(person: Person) -> int:
    """How many of the nine criteria of a qualified lead the person meets, by these attributes."""
    company = person.company
    fits = company is not None and company.industry[0] in facts.FITTING_INDUSTRIES
    right_size = company is not None and 50 <= company.employees <= 5000 and person.place.country in facts.DACH
    decides = bool({"DECISION_MAKER", "CHAMPION"} & set(person.roles)) or any(word in person.title for word in ("Director", "Head of"))
    return sum(
        (
            fits,
            right_size,
            decides,
            not person.free_mail,
            person.meeting,
            bool(person.pain),
            person.budget > 0,
            bool(person.competitor),
            person.timeline in ("now", "this quarter"),
        )
    )


def score(person: Person, now: datetime) -> float:
    """The person's score now, by these attributes."""
    points = 20.0 if person.title in facts.SENIOR_TITLES else 0.0
    if person.converted_at is not None:
        points += 40 * 0.5 ** ((now - person.converted_at).days / 30)
    return points + min(30, 2 * person.page_views) - (15 if person.free_mail else 0)


def describe(maker: Maker, person: Person, companies: Sequence[Company]) -> None:
    """Draws all attributes; again until they fit the cohort."""
    keen = person.cohort in facts.MQL_COHORTS | facts.CONVERTED_COHORTS | {"sql", "candidate", "excluded"}
    while True:
        _draw(maker, person, companies, keen=keen)
        # the margin keeps the answer the same while some days pass
        would_fire = criteria_met(person) >= 4 and score(person, maker.now) >= 45
        if person.cohort in ("candidate", "excluded"):
            if criteria_met(person) >= 4 and score(person, maker.now) >= 53:
                return
        elif person.cohort in ("subscriber", "nothing", "lead", "other"):
            if would_fire:
                person.page_views, person.converted_at = min(person.page_views, 4), None
            return
        else:
            return


def _draw(maker: Maker, person: Person, companies: Sequence[Company], *, keen: bool) -> None:
    draw = maker.random
    person.free_mail = draw.random() < (0.2 if keen else 0.56)
    person.company = draw.choice(companies) if not person.free_mail or draw.random() < 0.3 else None
    person.place = person.company.place if person.company is not None else maker.place()
    person.title = draw.choices(
        (draw.choice(facts.SENIOR_TITLES), draw.choice(facts.LEADING_TITLES), draw.choice(facts.OTHER_TITLES), ""),
        (35, 15, 45, 5) if keen else (9, 5, 71, 15),
    )[0]
    person.roles = tuple(sorted(draw.sample(facts.ROLES, draw.randint(1, 2)))) if draw.random() < (0.5 if keen else 0.12) else ()
    person.pain = draw.choice(facts.PAIN_POINTS) if draw.random() < (0.5 if keen else 0.15) else ""
    person.budget = draw.randint(2, 90) * 1000 if draw.random() < (0.5 if keen else 0.15) else 0
    person.competitor = draw.choice(facts.COMPETITORS) if draw.random() < (0.4 if keen else 0.12) else ""
    person.timeline = draw.choice(facts.TIMELINES) if draw.random() < (0.6 if keen else 0.2) else ""
    person.meeting = draw.random() < (0.4 if keen else 0.07) and person.cohort not in ("cold", "queue")
    person.page_views = draw.randint(1, 40) if draw.random() < (0.9 if keen else 0.4) else 0
    person.converted_at = None
    if person.cohort in ("candidate", "excluded"):
        person.converted_at = maker.days_ago(0.05, 12)
        person.page_views = draw.randint(14, 60)
    elif draw.random() < (0.7 if keen else 0.2):
        person.converted_at = maker.days_ago(1, 300)
