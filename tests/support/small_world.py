"""A connector beside two CRMs in memory, with a handful of people: for tests of what is told about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.adapters.memory.crm import MemoryCrm
from connector.config.load import loads
from connector.config.tables import Config
from connector.engine import PassContext, PassResult, run_pass
from connector.model import Activity, ActivityKind, CrmName, Direction, Owner, RecordRef, Surroundings
from connector.store.database import Store
from connector.workflows.fields import properties_wanted
from tests.support.stores import empty_store

#: A Wednesday, 11:00 in Berlin.
NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
LEAD = "00Q000000000001AAA"

FILE = """
mode = "live"
timezone = "Europe/Berlin"

[database]
url = "sqlite:///unused.db"

[crm.hubspot]
access_token = "env:HUBSPOT_ACCESS_TOKEN"

[crm.salesforce]
instance_url = "https://acme.my.salesforce.com"
client_id = "env:SALESFORCE_CLIENT_ID"
client_secret = "env:SALESFORCE_CLIENT_SECRET"

[adopt]
clocks_from = 2026-01-01

[scope]
exclude = "domain(email) = 'acme.example' OR job_title LIKE '%Student%'"

[team.inbound]
side = "sales"
members = ["anna@acme.example", "ben@acme.example"]
works_in = "hubspot"
manager = "boss@acme.example"

[fields.industry]
type = "choice"
hubspot = "company.industry"
salesforce = { lead = "Industry", contact = "Account.Industry" }
values = { software = { hubspot = "COMPUTER_SOFTWARE", salesforce = "Technology" } }

[fields.last_conversion_at]
type = "datetime"
hubspot = "recent_conversion_date"

[fields.roles]
type = "choices"
hubspot = "hs_buying_role"

[fields.rejection_reason]
hubspot = "rejection_reason"

[[stages]]
name = "lead"
hubspot = "lead"
salesforce = { lead_status = "Nurturing" }

[[stages]]
name = "mql"
hubspot = "marketingqualifiedlead"
salesforce = { lead_status = "Open" }

[[stages]]
name = "sql"
hubspot = "salesqualifiedlead"

[qualification]
minimum = 2

[[qualification.criteria]]
name = "industry"
when = "industry = 'software'"

[[qualification.criteria]]
name = "role"
when = "has(roles, 'CHAMPION') OR job_title LIKE '%Director%'"

[[qualification.criteria]]
name = "met us"
when = "activities('meeting', '90 days') >= 1"

[[score]]
name = "conversion"
points = 40
since = "last_conversion_at"
half_life = "30 days"
when = "last_conversion_at IS NOT NULL"

[[score]]
name = "director"
points = 20
when = "job_title LIKE '%Director%'"

[[transition]]
name = "qualified"
from = ["", "lead"]
to = "mql"
when = "qualified AND score >= 50"
again_after = "90 days"
again_if_changed = ["last_conversion_at"]
then = [{ assign = "inbound" }, { task = "call" }]

[[transition]]
name = "by hand"
from = ["lead"]
to = "sql"
when = "qualified"

[[transition]]
name = "accepted"
from = ["mql"]
to = "sql"
when = "hubspot.lead_status = 'CONNECTED'"

[assign.inbound]
team = "inbound"
only_if = "owner IS NULL"

[task.call]
subject = "Call {first_name}"
due = "4 business hours"
type = "call"

[task.why]
subject = "Say why"
due = "2 business days"

[task.escalation]
assign_to = "manager"
subject = "Missed: {sla}"
due = "1 business day"

[calendar]
hours = { mon = "09:00-17:30", tue = "09:00-17:30", wed = "09:00-17:30", thu = "09:00-17:30", fri = "09:00-16:00" }

[[sla]]
name = "first touch"
kind = "response"
starts = "assigned"
within = "4 business hours"
warn = "1 business hour"
on_breach = [{ task = "escalation" }]

[rejection]
when = "hubspot.lead_status = 'UNQUALIFIED'"
reason = "rejection_reason"
send_back_to = "lead"
missing_reason = [{ task = "why" }]
reason_within = "2 business days"

[rejection.reasons]
"No budget" = {}

[guard]
rule_share = "100%"
"""


def config(*, edit: tuple[tuple[str, str], ...] = (), more: str = "") -> Config:
    """The file above, with replacements (each must fit) and more tables behind it."""
    text = FILE
    for old, new in edit:
        assert old in text
        text = text.replace(old, new)
    return loads(text + more, source="config.toml")


@dataclass(kw_only=True)
class World:
    """Two CRMs, a store, and the time, which only a test moves on."""

    store: Store
    config: Config
    now: datetime = NOW
    crms: dict[CrmName, MemoryCrm] = field(default_factory=dict)

    @property
    def hubspot(self) -> MemoryCrm:
        return self.crms["hubspot"]

    @property
    def salesforce(self) -> MemoryCrm:
        return self.crms["salesforce"]

    def run(self, after: timedelta = timedelta(0), *, errors: tuple[str, ...] = ()) -> PassResult:
        """A pass, so much later, with these errors."""
        self.now += after
        self.furnish()
        result = run_pass(PassContext(config=self.config, store=self.store, crms=self.crms, now=lambda: self.now, holder="test"))
        assert tuple(error.message for error in result.errors) == errors
        return result

    def furnish(self) -> None:
        """The CRMs have all properties that the file names, but for those that were deleted there."""
        for name, crm in self.crms.items():
            crm.furnish(properties_wanted(self.config, name))

    def person(self, number: str, email: str, **properties: str | None) -> RecordRef:
        """A HubSpot contact."""
        return self.hubspot.person("contacts", number, email=email, **{"lifecyclestage": "lead", **properties})

    def lead(self, number: str, email: str, **properties: str | None) -> RecordRef:
        """A Salesforce Lead."""
        return self.salesforce.person("Lead", number, Email=email, **{"Status": "Nurturing", **properties})

    def activity(self, ref: RecordRef, number: str, kind: ActivityKind, at: datetime, owner: str = "1") -> None:
        """Something that happened with a person."""
        made: dict[str, Any] = {"crm": ref.crm, "object": f"{kind}s", "id": number, "kind": kind, "at": at, "contacts": (ref,)}
        self.crms[ref.crm].put(Activity(**made, direction=Direction.OUTGOING, owner_id=owner, created_at=at, modified_at=at))


#: A director of a software company who converted on the day: qualified, with 60 points.
DIRECTOR: dict[str, str | None] = {
    "firstname": "Dora",
    "jobtitle": "Director IT",
    "recent_conversion_date": "2026-11-18T08:00:00Z",
    "hs_lead_status": None,
}


@contextmanager
def world(url: str, file: Config | None = None) -> Iterator[World]:
    """An empty store at `url`, and CRMs with their owners."""
    with empty_store(url, fields=False) as store:
        made = World(store=store, config=file or config())
        for name, owners in (("hubspot", ("1", "2", "9")), ("salesforce", ("005A", "005B", "005Z"))):
            crm = MemoryCrm(name=name, clock=lambda: made.now, set_up=Surroundings(links=_LINKS[name]))  # type: ignore[arg-type]
            emails = ("anna@acme.example", "ben@acme.example", "boss@acme.example")
            for number, email in zip(owners, emails, strict=True):
                crm.put(Owner(crm=crm.name, id=number, email=email, name=email, active=True))
            made.crms[crm.name] = crm
        for place in range(1, 6):  # nobody to speak of, but a guard rail of some people
            made.hubspot.person("contacts", f"90{place}", email=f"{place}@anybody.example")
        made.furnish()
        yield made


_LINKS = {
    "hubspot": {"contacts": "https://app.hubspot.com/contacts/4711/record/0-1/{id}"},
    "salesforce": {"Lead": "https://acme.my.salesforce.com/lightning/r/Lead/{id}/view"},
}
