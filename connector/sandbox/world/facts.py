"""What the made-up world is made of: its people at Acme, its places, vocabularies and proportions."""

from __future__ import annotations

from dataclasses import dataclass

FREE_MAIL = ("gmail.com", "outlook.com", "web.de")
REPS = ("anna@acme.example", "ben@acme.example", "chiara@acme.example")
ABSENT = "ben@acme.example"
MANAGER = "lead-desk@acme.example"
DEACTIVATED = "dora@acme.example"
MARKETER = "emil@acme.example"
QUEUE = "queue"
CONNECTOR = "connector"


@dataclass(frozen=True)
class Colleague:
    """Somebody at Acme who exists in both CRMs."""

    email: str
    first_name: str
    last_name: str
    active: bool = True


COLLEAGUES = (
    Colleague("anna@acme.example", "Anna", "Albrecht"),
    Colleague("ben@acme.example", "Ben", "Öztürk"),
    Colleague("chiara@acme.example", "Chiara", "Conti"),
    Colleague("lead-desk@acme.example", "Lena", "Lindqvist"),
    Colleague("dora@acme.example", "Dora", "Dvořák", active=False),
    Colleague("emil@acme.example", "Emil", "Ångström"),
)


@dataclass(frozen=True)
class Place:
    """Where a person or company is: Faker's locale, how often, the country's English name, and cities."""

    locale: str
    weight: int
    country: str
    dialling: str
    cities: tuple[str, ...]


PLACES = (
    Place("de_DE", 26, "Germany", "+49", ("Berlin", "Köln", "München", "Hamburg", "Görlitz")),
    Place("de_AT", 6, "Austria", "+43", ("Wien", "Graz", "Linz")),
    Place("de_CH", 8, "Switzerland", "+41", ("Zürich", "Basel", "Genève")),
    Place("en_US", 22, "United States", "+1", ("Austin", "Boston", "Portland")),
    Place("fr_FR", 10, "France", "+33", ("Paris", "Lyon", "Orléans")),
    Place("tr_TR", 8, "Türkiye", "+90", ("İstanbul", "İzmir", "Ankara")),
    Place("ja_JP", 7, "Japan", "+81", ("東京都", "大阪市", "札幌市")),
    Place("zh_CN", 5, "China", "+86", ("上海", "深圳", "成都")),
    Place("ar_AA", 4, "United Arab Emirates", "+971", ("دبي", "أبوظبي")),
    Place("he_IL", 4, "Israel", "+972", ("תל אביב", "חיפה")),
)

#: HubSpot's constant, Salesforce's picklist value, a NAICS code, how often.
INDUSTRIES = (
    ("COMPUTER_SOFTWARE", "Technology", "511210", 18),
    ("LOGISTICS_AND_SUPPLY_CHAIN", "Transportation", "488510", 12),
    ("BANKING", "Banking", "522110", 14),
    ("HOSPITAL_HEALTH_CARE", "Healthcare", "622110", 14),
    ("RETAIL", "Retail", "455211", 14),
    ("MACHINERY", "Manufacturing", "333998", 16),
    ("HIGHER_EDUCATION", "Education", "611310", 12),
)
FITTING_INDUSTRIES = ("COMPUTER_SOFTWARE", "LOGISTICS_AND_SUPPLY_CHAIN")
DACH = ("Germany", "Austria", "Switzerland")

SENIOR_TITLES = (
    "Director IT", "Director of Operations", "VP Engineering", "VP Supply Chain", "Chief Information Officer", "Chief Executive Officer",
)  # fmt: skip
LEADING_TITLES = ("Head of Logistics", "Head of Purchasing", "Head of Data")
OTHER_TITLES = (
    "Account Manager", "Buyer", "Consultant", "Controller", "Data Analyst", "Engineer", "Office Manager", "Product Owner",
    "Sachbearbeiterin", "Project Manager", "Software Developer", "Warehouse Planner",
)  # fmt: skip
STUDENT_TITLES = ("Student", "Working Student Marketing")

ROLES = ("BUDGET_HOLDER", "CHAMPION", "DECISION_MAKER", "END_USER", "EXECUTIVE_SPONSOR", "INFLUENCER", "LEGAL_AND_COMPLIANCE")
PAIN_POINTS = ("reporting takes days", "deliveries arrive late", "data in spreadsheets", "no view of stock", "manual invoices")
TIMELINES = ("now", "this quarter", "this year", "later")
COMPETITORS = ("Brightpath", "Kontor Suite", "Northwind CRM", "in-house")
REASONS = ("No budget", "No authority", "No need", "Bad timing", "Bad data", "Competitor", "Duplicate", "Unreachable")
SOURCES = (
    "ORGANIC_SEARCH", "PAID_SEARCH", "EMAIL_MARKETING", "SOCIAL_MEDIA", "REFERRALS", "OTHER_CAMPAIGNS", "DIRECT_TRAFFIC",
    "OFFLINE", "PAID_SOCIAL",
)  # fmt: skip
LEAD_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
CAMPAIGNS = ("spring-webinar", "logistics-guide", "trade-fair-2026", "newsletter", "retargeting")
EMOJI = ("🌻", "🚀", "🦊", "✨", "👩🏽‍💻")

STAGES = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist")
MQL = "marketingqualifiedlead"
SQL = "salesqualifiedlead"

#: Salesforce's lead statuses, in their order: label, means converted, is the default.
LEAD_STATUSES = (
    ("Open - Not Contacted", False, True),
    ("Working - Contacted", False, False),
    ("Nurturing", False, False),
    ("Qualified", False, False),
    ("Closed - Converted", True, False),
    ("Closed - Not Converted", False, False),
)


@dataclass(frozen=True)
class Cohort:
    """A kind of person, by what the rules should say of them.

    share: of all people of that origin; the last cohort takes what is left. weight: how likely such a HubSpot contact is a Lead too.
    """

    name: str
    share: float
    weight: float = 1.0


HUBSPOT_COHORTS = (
    Cohort("candidate", 0.040, 3.0),  # would become MQL
    Cohort("accepted", 0.016, 4.0),  # MQL that sales accepted: lead status CONNECTED, or Status Qualified
    Cohort("cold", 0.0096, 4.0),  # MQL for more than 90 days, untouched for 60
    Cohort("rejected", 0.0096, 5.0),  # MQL that sales rejected
    Cohort("breach", 0.0124, 5.0),  # MQL assigned in the last two weeks, not touched
    Cohort("in_time", 0.0124, 5.0),  # … touched within hours
    Cohort("late", 0.0040, 5.0),  # … touched a day too late
    Cohort("running", 0.0024, 5.0),  # … assigned just now
    Cohort("working", 0.0360, 5.0),  # MQL for some weeks, touched in time and since
    Cohort("sql", 0.024, 3.0),
    Cohort("opportunity", 0.024, 2.0),
    Cohort("customer", 0.070, 1.0),
    Cohort("evangelist", 0.005, 1.0),
    Cohort("excluded", 0.008, 1.0),  # would qualify, but is a student, a colleague or a competitor
    Cohort("subscriber", 0.280),
    Cohort("nothing", 0.060),  # no stage at all
    Cohort("other", 0.010),  # a stage that the rules do not name
    Cohort("lead", 1.0),
)
SALESFORCE_COHORTS = (
    Cohort("cold", 0.010),
    Cohort("rejected", 0.010),
    Cohort("breach", 0.015),
    Cohort("in_time", 0.015),
    Cohort("late", 0.005),
    Cohort("working", 0.050),
    Cohort("sql", 0.020),
    Cohort("queue", 0.050),  # open, owned by the queue
    Cohort("customer", 0.100),
    Cohort("excluded", 0.004),
    Cohort("lead", 1.0),
)
MQL_COHORTS = frozenset({"accepted", "cold", "rejected", "breach", "in_time", "late", "running", "working", "queue"})
CONVERTED_COHORTS = frozenset({"opportunity", "customer", "evangelist"})
