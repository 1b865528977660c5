"""Values for tests of the rules' pure parts: a file read without any database, touches, attempts and clocks at named moments.

The business is open Monday to Friday, 09:00 to 17:00 UTC; MON is a Monday at midnight.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from connector.config.business_time import Calendar
from connector.config.load import loads
from connector.config.tables import Config
from connector.workflows.attempts import AttemptState
from connector.workflows.sla import ClockState
from connector.workflows.touches import Touched

MON = datetime(2026, 11, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)

FILE = """
mode = "live"
timezone = "UTC"
[crm.hubspot]
access_token = "env:UNUSED"
[crm.salesforce]
instance_url = "https://rules.example"
client_id = "env:UNUSED"
client_secret = "env:UNUSED"
[team.inbound]
side = "sales"
members = ["anna@acme.example", "ben@acme.example"]
works_in = "salesforce"
[calendar]
hours = { mon = "09:00-17:00", tue = "09:00-17:00", wed = "09:00-17:00", thu = "09:00-17:00", fri = "09:00-17:00" }
[fields.interest]
type = "integer"
hubspot = "interest"
[fields.visited_at]
type = "datetime"
hubspot = "visited_at"
[fields.reason]
type = "choice"
hubspot = "reason"
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
[assign.inbound]
team = "inbound"
only_if = "country = 'Austria'"
[task.alert]
subject = "Call {last_name}"
due = "4 business hours"
[task.chase]
subject = "Chase {last_name}: {touches} of {needed} by {due} ({sla})"
due = "1 business day"
[task.escalate]
subject = "Late: {last_name}"
due = "1 business day"
[task.say-why]
subject = "Why?"
due = "1 business day"
[qualification]
minimum = 1
[[qualification.criteria]]
name = "interested"
when = "interest >= 10"
[[score]]
name = "visits"
points = 20
since = "visited_at"
half_life = "30 days"
when = "visited_at IS NOT NULL"
[[transition]]
name = "qualify"
from = ["", "lead"]
to = "mql"
when = "qualified AND score >= 10"
again_if_changed = ["interest"]
then = [{ assign = "inbound" }, { task = "alert" }]
[[transition]]
name = "accept"
from = ["mql"]
to = "sql"
when = "salesforce.lead_status = 'Working'"
[[sla]]
name = "first touch"
kind = "response"
starts = "assigned"
within = "4 business hours"
warn = "1 business hour"
on_warn = [{ task = "chase" }]
on_breach = [{ task = "escalate" }]
[rejection]
when = "hubspot.lead_status = 'UNQUALIFIED' OR salesforce.lead_status = 'Unqualified'"
reason = "reason"
send_back_to = "lead"
missing_reason = [{ task = "say-why" }]
reason_within = "1 business day"
ignored_after = "5 business days"
[rejection.reasons]
"No budget" = { needs_touches = 1 }
"Duplicate" = {}
"""


@cache
def config(more: str = "") -> Config:
    """The file above, with more behind it."""
    return loads(FILE + more, source="rules.toml")


CALENDAR = Calendar.of(config().calendar_for(None), "UTC")


def at(day: int, hour: float) -> datetime:
    """A moment: days after that Monday, hours of the day."""
    return MON + timedelta(days=day, hours=hour)


def calls(*moments: datetime) -> list[Touched]:
    """Calls at these moments."""
    return [Touched(moment, "call") for moment in moments]


def attempt(**more: Any) -> AttemptState:
    """The first attempt, open since Monday 09:00."""
    return AttemptState(**{"number": 1, "spell": 1, "began_at": at(0, 9), **more})


def clock(**more: Any) -> ClockState:
    """The first clock of that attempt: due Monday 13:00, warned at 12:00, Anna's."""
    return ClockState(
        **{
            "attempt": 1,
            "kind": "response",
            "number": 1,
            "sla": "first touch",
            "owner": "anna@acme.example",
            "started_at": at(0, 9),
            "warn_at": at(0, 12),
            "due_at": at(0, 13),
            "calendar": CALENDAR.version,
            **more,
        }
    )
