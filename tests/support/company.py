"""A small company with both CRMs in memory, a file of rules, and a clock that is set by hand: for tests of whole passes.

The file is put together from parts: HEAD has teams, fields, stages, hours and tasks, the others are rules. What a test asserts is what
stands in the CRMs and in the store afterwards, or what is told of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

from sqlalchemy import text

from connector.adapters.memory.crm import MemoryCrm
from connector.config.load import loads
from connector.config.tables import Config
from connector.engine import PassContext, PassResult, run_pass
from connector.model import Activity, ActivityKind, Actor, CrmName, Direction, Owner, RecordRef, Surroundings
from connector.pipeline.installation import prepare
from connector.pipeline.older_file import file_of
from connector.pipeline.pull.removals import Looked, look
from connector.store import rule_texts
from connector.store.database import Store
from connector.store.tables import from_micros, to_micros
from connector.workflows.fields import properties_wanted
from tests.support.stores import empty_store

#: A Wednesday, 10:00 in the business's zone (UTC).
NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
#: Nobody to speak of, but a guard rail is a share of the contacts in scope.
BYSTANDERS = tuple(f"90{place}" for place in range(1, 6))
#: The users of both CRMs, by their id in each.
USERS = {"anna": "anna@acme.example", "ben": "ben@acme.example", "chiara": "chiara@acme.example", "desk": "desk@acme.example"}
LINKS: Mapping[CrmName, Mapping[str, str]] = {
    "hubspot": {"contacts": "https://app.hubspot.com/contacts/4711/record/0-1/{id}"},
    "salesforce": {"Lead": "https://acme.my.salesforce.com/lightning/r/Lead/{id}/view"},
}

# ── The file, in parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

CRMS = """
[crm.hubspot]
access_token = "env:COMPANY_TOKEN"
[crm.salesforce]
instance_url = "https://acme.my.salesforce.com"
client_id = "env:COMPANY_TOKEN"
client_secret = "env:COMPANY_TOKEN"
"""

HEAD = """
mode = "live"
timezone = "UTC"
[adopt]
clocks_from = 2026-01-01
[team.inbound]
side = "sales"
members = ["anna@acme.example", "ben@acme.example", "chiara@acme.example"]
works_in = "salesforce"
manager = "desk@acme.example"
[fields.interest]
type = "integer"
hubspot = "interest"
[fields.seen_at]
type = "datetime"
hubspot = "seen_at"
[fields.rejection_reason]
type = "choice"
hubspot = "rejection_reason"
salesforce = "Rejection_Reason__c"
[[stages]]
name = "subscriber"
hubspot = "subscriber"
[[stages]]
name = "lead"
hubspot = "lead"
salesforce = { lead_status = "Nurturing" }
[[stages]]
name = "mql"
hubspot = "mql"
salesforce = { lead_status = ["Open", "Working"] }
[[stages]]
name = "sql"
hubspot = "sql"
salesforce = { lead_status = "Qualified" }
[[stages]]
name = "customer"
hubspot = "customer"
salesforce = { lead_status = "Converted", write = false }
[calendar]
hours = { mon = "09:00-17:00", tue = "09:00-17:00", wed = "09:00-17:00", thu = "09:00-17:00", fri = "09:00-17:00" }
[guard]
stage_changes = 1000
backward = 1000
assign = 1000
tasks = 1000
rule_share = "100%"
[task.alert]
subject = "Call {first_name} {last_name}"
due = "4 business hours"
type = "call"
[task.chase]
subject = "Chase {last_name}: {touches} of {needed} by {due} ({sla})"
due = "1 business day"
[task.escalate]
subject = "Late: {last_name} ({owner})"
assign_to = "manager"
due = "1 business day"
[task.say-why]
subject = "Why was {last_name} rejected?"
due = "1 business day"
"""

QUALIFY = """
[[transition]]
name = "qualify"
from = ["", "subscriber", "lead"]
to = "mql"
when = "interest >= 10"
"""
THEN = """then = [{ assign = "inbound" }, { task = "alert" }]
"""
ASSIGN = """
[assign.inbound]
team = "inbound"
sticky = "company"
only_if = "owner IS NULL"
routes = [{ when = "country = 'Austria'", owners = ["chiara@acme.example"] }]
"""
SLA = """
[[sla]]
name = "first touch"
kind = "response"
starts = "assigned"
touches = 1
within = "4 business hours"
warn = "1 business hour"
on_warn = [{ task = "chase" }]
on_breach = [{ task = "escalate" }]
"""
REJECTION = """
[rejection]
when = "hubspot.lead_status = 'UNQUALIFIED' OR salesforce.lead_status = 'Rejected'"
reason = "rejection_reason"
send_back_to = "lead"
missing_reason = [{ task = "say-why" }]
reason_within = "2 business days"
ignored_after = "5 business days"
[rejection.reasons]
"No need" = {}
"Unreachable" = { needs_touches = 3 }
"""
EVERYTHING = QUALIFY + THEN + ASSIGN + SLA + REJECTION

#: Instead of QUALIFY: people qualify by criteria and a score.
CRITERIA = """
[scope]
exclude = "domain(email) = 'acme.example' OR job_title LIKE '%Student%'"
[fields.industry]
type = "choice"
hubspot = "company.industry"
salesforce = { lead = "Industry", contact = "Account.Industry" }
values = { software = { hubspot = "COMPUTER_SOFTWARE", salesforce = "Technology" } }
[fields.roles]
type = "choices"
hubspot = "hs_buying_role"
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
"""
SCORE = """
[fields.last_conversion_at]
type = "datetime"
hubspot = "recent_conversion_date"
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
"""
STEPS = """
[[transition]]
name = "qualified"
from = ["", "lead"]
to = "mql"
when = "qualified AND score >= 50"
again_after = "90 days"
again_if_changed = ["last_conversion_at"]
then = [{ assign = "inbound" }, { task = "alert" }]
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
"""
FUNNEL = CRITERIA + SCORE + STEPS + ASSIGN + SLA + REJECTION
#: The head where sales works in HubSpot.
IN_HUBSPOT = HEAD.replace('works_in = "salesforce"', 'works_in = "hubspot"')


@cache  # it is frozen: one serves all tests with the same file
def config_of(rules: str = "", *, head: str = HEAD, crms: str = CRMS, edit: tuple[tuple[str, str], ...] = ()) -> Config:
    """The file with these rules, and with replacements, each of which must fit."""
    os.environ["COMPANY_TOKEN"] = "x"
    file = f'{head}\n{crms}\n[database]\nurl = "sqlite:///unused.db"\n{rules}'
    for old, new in edit:
        assert old in file
        file = file.replace(old, new)
    return loads(file, source="config.toml")


def funnel(more: str = "", *, edit: tuple[tuple[str, str], ...] = ()) -> Config:
    """The file with the rules of FUNNEL, for sales that works in HubSpot."""
    return config_of(FUNNEL + more, head=IN_HUBSPOT, edit=edit)


LEAD = "00Q000000000001AAA"
#: A director of a software company who converted on the day: with a Lead of such a company qualified, with 60 points.
DIRECTOR: dict[str, str | None] = {
    "firstname": "Dora",
    "jobtitle": "Director IT",
    "recent_conversion_date": "2026-11-18T08:00:00Z",
    "hs_lead_status": None,
    "lifecyclestage": "lead",
}


class Company:
    """Both CRMs, the store, and the time, which only a test moves on."""

    def __init__(self, store: Store, config: Config, now: datetime, set_up: Mapping[CrmName, Surroundings]) -> None:
        self.store = store
        self.config = config
        self.now = now
        self._activities = 0
        names: tuple[CrmName, ...] = ("hubspot", "salesforce")
        usual = {name: Surroundings(links=LINKS[name]) for name in names}
        self.crms = {name: MemoryCrm(name=name, clock=lambda: self.now, set_up={**usual, **set_up}[name]) for name in names}
        for name, crm in self.crms.items():
            crm.put(*(Owner(crm=name, id=one, email=email, name=one.title(), active=True) for one, email in USERS.items()))
            crm.put(Owner(crm=name, id="queue", email=None, name="Inbound queue", active=True, queue=True))
        for number in BYSTANDERS:
            self.hubspot.person("contacts", number, email=f"{number}@stander.example")
        self.furnish()

    @property
    def hubspot(self) -> MemoryCrm:
        return self.crms["hubspot"]

    @property
    def salesforce(self) -> MemoryCrm:
        return self.crms["salesforce"]

    def furnish(self) -> None:
        """The CRMs have all properties that the file names, but for those that were deleted there."""
        for name, crm in self.crms.items():
            crm.furnish(properties_wanted(self.config, name))

    # Time and passes ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def at(self, moment: datetime | str) -> None:
        """Sets the clock: a moment, or "18 14:30" (a day and a time of November 2026)."""
        self.now = when(moment)

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def run(self, after: timedelta = timedelta(0), *, errors: tuple[str, ...] = ()) -> PassResult:
        """One pass, so much later; fails the test where its errors are others."""
        self.now += after
        self.furnish()
        result = run_pass(self.context())
        assert tuple(error.message for error in result.errors) == errors
        return result

    def mean(self, config: Config) -> None:
        """The file is this one from now on, though it was replaced before: somebody says that it is meant."""
        self.config = config
        self.store.write(partial(rule_texts.mean, file=file_of(config), by=Actor("somebody"), now=self.now))

    def context(self, **more: Any) -> PassContext:
        """What a pass works with, at the company's own time."""
        return PassContext(config=self.config, store=self.store, crms=self.crms, now=lambda: self.now, holder="test", **more)

    def look(self) -> dict[str, dict[str, Looked]]:
        """Looks for what no modified date tells."""
        fields = prepare(self.store, self.config, self.crms, now=self.now).fields
        return look(self.context(), fields, self.now)

    def settle(self, most: int = 8) -> None:
        """Passes a minute apart until one plans nothing and leaves nobody due."""
        for _ in range(most):
            if not self.run().planned and not self.rows("SELECT id FROM contact WHERE due_at <= :now", now=to_micros(self.now)):
                return
            self.later(minutes=1)
        raise AssertionError("the passes do not come to rest")

    def all_due(self) -> None:
        """Every contact is judged in the next pass, whatever its time."""
        self.store.write(lambda connection: connection.execute(text("UPDATE contact SET due_at = 0, decide_at = 0")))

    # What people do ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def person(self, record_id: str = "1", email: str | None = None, **properties: str | None) -> RecordRef:
        """A HubSpot contact; stage= is its lifecycle stage, owner= a first name."""
        known = {"email": email or f"p{record_id}@kunde.example", **properties}
        return self.hubspot.person("contacts", record_id, **self._hubspot(known))

    def lead(self, record_id: str = "00Q1", email: str | None = None, **properties: str | None) -> RecordRef:
        """A Salesforce Lead of the same person as the contact with its last character; stage= is its Status."""
        known = {"Email": email or f"p{record_id[-1]}@kunde.example", **properties}
        return self.salesforce.person("Lead", record_id, **self._salesforce(known))

    def edit(self, record_id: str = "1", **properties: str | None) -> None:
        """Somebody edits the HubSpot contact, or the Lead where the id is one."""
        if record_id.startswith("00Q"):
            self.salesforce.edit("Lead", record_id, **self._salesforce(properties))
        else:
            self.hubspot.edit("contacts", record_id, **self._hubspot(properties))

    def _hubspot(self, properties: Mapping[str, str | None]) -> dict[str, str | None]:
        names = {"stage": "lifecyclestage", "owner": "hubspot_owner_id", "status": "hs_lead_status"}
        found = {names.get(name, name): value for name, value in properties.items()}
        stamp = str(int(self.now.timestamp() * 1000))
        if found.get("lifecyclestage"):
            found.setdefault(f"hs_v2_date_entered_{found['lifecyclestage']}", stamp)
        if "hubspot_owner_id" in found:
            found["hubspot_owner_assigneddate"] = stamp if found["hubspot_owner_id"] else None
        return found

    @staticmethod
    def _salesforce(properties: Mapping[str, str | None]) -> dict[str, str | None]:
        return {{"stage": "Status", "owner": "OwnerId", "status": "Status"}.get(k, k): v for k, v in properties.items()}

    def touch(
        self, at: datetime | str | None = None, *, by: str = "anna", on: str = "1", kind: ActivityKind = ActivityKind.CALL, **more: Any
    ) -> None:
        """Somebody calls; on= a HubSpot contact or a Lead."""
        self._activities += 1
        lead = on.startswith("00Q")
        crm: CrmName = "salesforce" if lead else "hubspot"
        values: dict[str, Any] = {
            "crm": crm,
            "object": "Task" if lead else f"{kind.value}s",
            "id": str(9000 + self._activities),
            "kind": kind,
            "at": self.now if at is None else when(at),
            "contacts": (RecordRef(crm=crm, object="Lead" if lead else "contacts", id=on),),
            "direction": Direction.OUTGOING,
            "owner_id": by,
            "created_at": self.now,
            "modified_at": self.now,
        }
        self.crms[crm].put(Activity(**{**values, **more}))

    # What came of it ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.store.read() as connection:
            return list(connection.execute(text(statement), values).all())

    def contact(self, record_id: str = "1") -> Any:
        """The contact of a record."""
        (row,) = self.rows("SELECT c.* FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = :id", id=record_id)
        return row

    def stage(self, record_id: str = "1") -> str | None:
        found: str | None = self.contact(record_id).stage
        return found

    def shows(self, record_id: str = "1") -> str | None:
        """What a CRM shows as the stage, by its own names."""
        place = ("Lead", record_id, "Status") if record_id.startswith("00Q") else ("contacts", record_id, "lifecyclestage")
        found: str | None = (self.salesforce if place[0] == "Lead" else self.hubspot).value(*place)
        return found

    def attempts(self, record_id: str = "1") -> list[Any]:
        return self.rows("SELECT * FROM attempt WHERE contact_id = :id ORDER BY number", id=self.contact(record_id).id)

    def outcomes(self, record_id: str = "1") -> list[str]:
        return [row.outcome for row in self.attempts(record_id)]

    def clocks(self, record_id: str = "1") -> list[Any]:
        return self.rows("SELECT * FROM clock WHERE contact_id = :id ORDER BY attempt, number", id=self.contact(record_id).id)

    def tasks(self, purpose: str | None = None) -> list[Activity]:
        """The tasks in both CRMs, of one purpose by its subject's first word."""
        firsts = {"alert": "Call", "chase": "Chase", "escalate": "Late:", "say-why": "Why"}
        found = [task for crm in self.crms.values() for task in crm.tasks()]
        return [task for task in found if purpose is None or (task.outcome or "").startswith(firsts[purpose])]

    def writes(self) -> int:
        return sum(len(crm.log) for crm in self.crms.values())


def when(moment: datetime | str) -> datetime:
    """A moment, or "18 14:30" of November 2026."""
    if isinstance(moment, datetime):
        return moment
    day, hour, minute = map(int, re.split("[ :]", moment))
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def moment(micros: int | None) -> datetime | None:
    """A moment as a row has it."""
    return None if micros is None else from_micros(micros)


@contextmanager
def new_company(
    url: str,
    rules: str | Config = "",
    *,
    head: str = HEAD,
    start: datetime = NOW,
    set_up: Mapping[CrmName, Surroundings] | None = None,
    fields_read: bool = True,
) -> Iterator[Company]:
    """A company whose store is at `url`, empty, and whose CRMs hold sales and bystanders.

    set_up: what the CRMs say of themselves; fields_read: whether the fields may have been read for the
    companies before (see `empty_store`).
    """
    config = rules if isinstance(rules, Config) else config_of(rules, head=head)
    with empty_store(url, fields_read=fields_read) as store:
        yield Company(store, config, start, set_up or {})


@contextmanager
def running_company(url: str, rules: str | Config = "", **options: Any) -> Iterator[Company]:
    """A company whose first live pass is over: what comes now came later."""
    with new_company(url, rules, **options) as made:
        made.run()
        made.later(minutes=5)
        yield made
