"""The values of the configuration, one class a table of the file. Frozen; what is optional has its default here.

Shape only: what a table may refer to (a stage, a field, a task, a team) is checked in `connector.config.load`.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from connector.conditions import Condition
from connector.config.durations import Duration
from connector.model import CrmName, FieldType


class Values(BaseModel):
    """The base of every table: strict, frozen, an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True, populate_by_name=True)


DurationText = Annotated[Duration, BeforeValidator(lambda v: Duration.parse(v))]
ConditionText = Annotated[Condition, BeforeValidator(lambda v: Condition(v))]


class Secret:
    """A secret by reference: "env:NAME" or "file:PATH". Its value is read when needed and never shown."""


class Database(Values):
    url: str = "sqlite:///connector.db"
    password: Any = None  # Secret | None


class HubSpotSettings(Values):
    access_token: Any = None  # Secret
    base_url: str = "https://api.hubapi.com"
    requests_per_10_seconds: int = 190
    searches_per_second: int = 5
    daily_requests: int = 650_000
    headroom: float = 0.2  # written "20%"
    ca_bundle: str | None = None


class SalesforceSettings(Values):
    auth: Literal["client-credentials", "jwt", "refresh-token", "password"] = "client-credentials"
    instance_url: str
    client_id: Any = None
    client_secret: Any = None
    username: str | None = None
    private_key: Any = None
    password: Any = None
    security_token: Any = None
    refresh_token: Any = None
    ca_bundle: str | None = None
    daily_requests: int = 100_000
    headroom: float = 0.2
    run_assignment_rules: bool = False
    task_key_field: str = "Handoff_Key__c"  # the External Id field on Task by which a task is created exactly once


class CrmTable(Values):
    hubspot: HubSpotSettings | None = None
    salesforce: SalesforceSettings | None = None
    native_sync: Literal["none", "hubspot"] = "none"


class Adopt(Values):
    stage: Literal["hubspot", "salesforce", "furthest"] = "hubspot"
    clocks_from: datetime | None = None  # a date or a moment in the file; aware, UTC here


class Scope(Values):
    exclude: ConditionText | None = None
    only: ConditionText | None = None


class Schedule(Values):
    pass_: str = Field(default="every 5 minutes", alias="pass")


class Team(Values):
    name: str  # the key in the file
    side: Literal["sales", "marketing", "none"] = "none"
    members: tuple[str, ...] = ()  # folded e-mails
    works_in: CrmName
    manager: str | None = None
    calendar: str | None = None  # None: [calendar]


class FieldPlaces(Values):
    """Where a field lives in Salesforce, by object."""

    lead: str | None = None
    contact: str | None = None  # "Account.Industry": a field of the contact's account


class FieldRule(Values):
    name: str  # the key in the file
    type: FieldType = FieldType.TEXT
    hubspot: str | None = None  # "company.industry": of the primary company
    salesforce: FieldPlaces | None = None  # a plain text in the file: the same name on Lead and Contact
    values: dict[str, dict[CrmName, str]] = {}  # the file's name → each CRM's
    read: CrmName | None = None
    sync: Literal["none"] = "none"
    builtin: bool = False


class SalesforceStage(Values):
    lead_status: tuple[str, ...] = ()
    write: bool = True


class Stage(Values):
    name: str
    label: str | None = None
    hubspot: tuple[str, ...] = ()
    salesforce: SalesforceStage = SalesforceStage()


class Criterion(Values):
    id: str  # by default its name
    name: str
    when: ConditionText


class Qualification(Values):
    minimum: int
    criteria: tuple[Criterion, ...] = ()


class ScoreRule(Values):
    id: str
    name: str
    points: float
    when: ConditionText
    since: str | None = None
    half_life: DurationText | None = None
    times: str | None = None
    at_most: float | None = None


class Then(Values):
    """One action of `then`, on_warn, on_breach, missing_reason: exactly one of these."""

    assign: str | None = None
    task: str | None = None


class Transition(Values):
    id: str
    name: str
    from_: tuple[str, ...] | None = Field(default=None, alias="from")  # None: any; "" is none yet
    to: str
    when: ConditionText
    again_after: DurationText | None = None
    again_if_changed: tuple[str, ...] = ()
    then: tuple[Then, ...] = ()


class Route(Values):
    when: ConditionText
    owners: tuple[str, ...]


class Assign(Values):
    name: str
    method: Literal["round-robin"] = "round-robin"
    team: str
    sticky: Literal["company"] | None = None
    only_if: ConditionText | None = None
    routes: tuple[Route, ...] = ()


class TaskLimits(Values):
    a_day_an_owner: int | None = None
    reminder: DurationText | None = None


class TaskRule(Values):
    name: str
    subject: str
    body: str = ""
    due: DurationText
    priority: Literal["low", "medium", "high"] = "medium"
    type: Literal["call", "email", "todo"] = "todo"
    in_: CrmName | None = Field(default=None, alias="in")
    assign_to: str | None = None  # "manager" (of the owner's team), or an address; None: the owner


class CalendarRule(Values):
    name: str = ""  # "" is [calendar]
    timezone: str | None = None
    hours: dict[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], tuple[tuple[time, time], ...]] = {}
    holidays: str | None = None  # "DE-BE"
    extra_holidays: tuple[date, ...] = ()


class SlaRule(Values):
    id: str
    name: str
    kind: Literal["response"]
    starts: Literal["mql", "assigned"] = "assigned"
    when: ConditionText | None = None
    touches: int = 1
    channels: int = 1
    within: DurationText
    warn: DurationText | None = None
    on_warn: tuple[Then, ...] = ()
    on_breach: tuple[Then, ...] = ()


class ReasonRule(Values):
    name: str
    needs_touches: int = 0


class RejectionRule(Values):
    when: ConditionText
    reason: str  # a field
    send_back_to: str | None = None
    missing_reason: tuple[Then, ...] = ()
    reason_within: DurationText | None = None
    ignored_after: DurationText | None = None
    reasons: tuple[ReasonRule, ...] = ()


class Example(Values):
    name: str
    at: datetime | None = None
    contact: dict[str, Any]
    expect: dict[str, Any]


class Guard(Values):
    window: DurationText = Duration(24, "hour")
    stage_changes: int = 200
    backward: int = 20
    assign: int = 200
    tasks: int = 200
    rule_share: float = 0.05  # written "5%"
    shrink: float = 0.1
    hold_for: DurationText = Duration(2, "day")


class Config(Values):
    """The whole file. `version` is a digest of what rules say (not of secrets); `source` the path it was read from."""

    source: str
    version: str
    mode: Literal["shadow", "live"] = "shadow"
    timezone: str = "UTC"
    database: Database = Database()
    crm: CrmTable
    adopt: Adopt = Adopt()
    scope: Scope = Scope()
    schedule: Schedule = Schedule()
    teams: tuple[Team, ...] = ()
    fields: tuple[FieldRule, ...] = ()  # declared and built-in
    stages: tuple[Stage, ...] = ()
    qualification: Qualification | None = None
    score: tuple[ScoreRule, ...] = ()
    transitions: tuple[Transition, ...] = ()
    assigns: tuple[Assign, ...] = ()
    task_limits: TaskLimits = TaskLimits()
    tasks: tuple[TaskRule, ...] = ()
    calendars: tuple[CalendarRule, ...] = ()  # [calendar] first
    slas: tuple[SlaRule, ...] = ()
    rejection: RejectionRule | None = None
    guard: Guard = Guard()
    examples: tuple[Example, ...] = ()
