"""What the made-up world is made of: its people at Acme, its places, vocabularies and proportions, as `facts.toml` gives them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FACTS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Colleague:
    """Somebody at Acme who exists in both CRMs."""

    email: str
    first_name: str
    last_name: str
    active: bool = True


@dataclass(frozen=True)
class Place:
    """Where a person or company is: Faker's locale, how often, the country's English name, its dialling code, and cities."""

    locale: str
    weight: int
    country: str
    dialling: str
    cities: tuple[str, ...]


@dataclass(frozen=True)
class Cohort:
    """A kind of person, by what the rules should say of them.

    share: of all people of that origin; the last cohort takes what is left. weight: how likely such a HubSpot contact is a Lead too.
    """

    name: str
    share: float
    weight: float = 1.0


def _words(name: str) -> tuple[str, ...]:
    return tuple(_FACTS[name])


COLLEAGUES = tuple(Colleague(**colleague) for colleague in _FACTS["colleagues"])
REPS = _words("reps")
ABSENT: str = _FACTS["absent"]
MANAGER: str = _FACTS["manager"]
DEACTIVATED: str = _FACTS["deactivated"]
MARKETER: str = _FACTS["marketer"]
#: Owners that are no colleagues.
QUEUE = "queue"
CONNECTOR = "connector"

PLACES = tuple(Place(**{**place, "cities": tuple(place["cities"])}) for place in _FACTS["places"])
DACH = _words("dach")
FREE_MAIL = _words("free_mail")
#: HubSpot's constant, Salesforce's picklist value, a NAICS code, how often.
INDUSTRIES: tuple[tuple[str, str, str, int], ...] = tuple(
    (industry["hubspot"], industry["salesforce"], industry["naics"], industry["weight"]) for industry in _FACTS["industries"]
)
FITTING_INDUSTRIES = _words("fitting_industries")

SENIOR_TITLES = _words("senior_titles")
LEADING_TITLES = _words("leading_titles")
OTHER_TITLES = _words("other_titles")
STUDENT_TITLES = _words("student_titles")
ROLES = _words("roles")
PAIN_POINTS = _words("pain_points")
TIMELINES = _words("timelines")
COMPETITORS = _words("competitors")
REASONS = _words("reasons")
SOURCES = _words("sources")
LEAD_SOURCES = _words("lead_sources")
CAMPAIGNS = _words("campaigns")
EMOJI = _words("emoji")

STAGES = _words("stages")
MQL: str = _FACTS["mql"]
SQL: str = _FACTS["sql"]
#: Salesforce's lead statuses, in their order: label, means converted, is the default.
LEAD_STATUSES: tuple[tuple[str, bool, bool], ...] = tuple(
    (status["label"], status.get("converted", False), status.get("default", False)) for status in _FACTS["lead_statuses"]
)
HUBSPOT_COHORTS = tuple(Cohort(**cohort) for cohort in _FACTS["hubspot_cohorts"])
SALESFORCE_COHORTS = tuple(Cohort(**cohort) for cohort in _FACTS["salesforce_cohorts"])
MQL_COHORTS = frozenset(_words("mql_cohorts"))
CONVERTED_COHORTS = frozenset(_words("converted_cohorts"))
