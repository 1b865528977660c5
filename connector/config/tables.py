"""The values of the configuration, one class a table of the file. Frozen; what is optional has its default here.

Each attribute's type says what may stand there and what it must refer to (`connector.config.kinds`); what depends on several tables at
once is checked in `connector.config.cross`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from connector.conditions import fold
from connector.config.kinds import (
    AnyName,
    AssignName,
    CalendarName,
    ConditionText,
    CriterionCondition,
    DurationText,
    ElapsedDuration,
    Email,
    FieldTypeText,
    Moment,
    MomentName,
    NumberName,
    Percent,
    PositiveDuration,
    ReasonName,
    RegionText,
    ScopeCondition,
    ScoreCondition,
    Spans,
    StageName,
    StageOrNone,
    TaskName,
    TeamName,
    Texts,
    ZoneName,
    check_email,
    shown,
    wrong,
)
from connector.config.names import COMPUTED, ONE_SIDED
from connector.config.secrets import Secret
from connector.config.settings import (
    AtLeastOne,
    CrmTable,
    Database,
    FastLane,
    HubSpotSettings,
    NotEmpty,
    Retention,
    SalesforceField,
    SalesforceSettings,
    Schedule,
    Values,
)
from connector.model import CRMS, CrmName, FieldType
from connector.model.durations import Duration

# for those who look for them here, beside the tables
__all__ = ["ConditionText", "CrmTable", "Database", "DurationText", "FastLane", "HubSpotSettings", "Retention", "SalesforceSettings",
           "Schedule", "Secret", "Values"]  # fmt: skip

Count = Annotated[int, Field(ge=0)]
HubSpotProperty = Annotated[str, StringConstraints(pattern=r"^(company\.)?[a-z0-9_]+$")]
SalesforceContactField = Annotated[str, StringConstraints(pattern=r"^(Account\.)?[A-Za-z][A-Za-z0-9_]*$")]


class Adopt(Values):
    """[adopt]: what is made of the things that were there before the first live pass."""

    stage: Literal["hubspot", "salesforce", "furthest"] = "hubspot"
    clocks_from: Moment | None = None  # a date or a moment in the file; aware, UTC here
    history: ElapsedDuration | None = None  # how far back the CRMs' own history is read of records that did not change since


class Scope(Values):
    """[scope]: who is judged at all."""

    exclude: ScopeCondition | None = None
    only: ScopeCondition | None = None
    keep_activities: ElapsedDuration | None = None  # older ones leave the mirror; their counts stay


class Team(Values):
    """[team.NAME]: people who own leads or do not."""

    name: str  # the key in the file
    side: Literal["sales", "marketing", "none"] = "none"
    members: tuple[Email, ...] = ()  # folded e-mails
    works_in: CrmName
    manager: Email | None = None
    calendar: CalendarName | None = None  # None: [calendar]


class FieldPlaces(Values):
    """Where a field lives in Salesforce, by object."""

    lead: SalesforceField | None = None
    contact: SalesforceContactField | None = None  # "Account.Industry": a field of the contact's account


def _places(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value) is None:
        raise wrong(shown(value), 'a name on Lead and Contact alike, like "Budget__c"; else { lead = "…", contact = "…" }')
    return {"lead": value, "contact": value}


class FieldRule(Values):
    """[fields.NAME]: a name that rules use, and where it lives."""

    name: str  # the key in the file
    type: FieldTypeText = FieldType.TEXT
    hubspot: HubSpotProperty | None = None  # "company.industry": of the primary company
    salesforce: Annotated[FieldPlaces | None, BeforeValidator(_places)] = None  # a text in the file: the same name on both
    values: dict[str, dict[CrmName, str]] = Field(default_factory=dict)  # the file's name → each CRM's
    read: CrmName | None = None
    sync: Literal["none"] = "none"
    builtin: bool = False
    absent: frozenset[CrmName] = frozenset()  # where the file maps it too, in a CRM that it does not have: NULL

    @property
    def sides(self) -> frozenset[CrmName]:
        """The CRMs, of those the file has, in which the field lives."""
        return frozenset(crm for crm in CRMS if (self.hubspot if crm == "hubspot" else self.salesforce) is not None)


class SalesforceStage(Values):
    """What a stage is called in Salesforce."""

    lead_status: Texts = ()
    write: bool = True


class Stage(Values):
    """One of [[stages]], which stand lowest first."""

    name: NotEmpty
    label: str | None = None
    hubspot: Texts = ()
    salesforce: SalesforceStage = SalesforceStage()


class Criterion(Values):
    """One of [[qualification.criteria]]."""

    id: NotEmpty  # by default its name
    name: NotEmpty
    when: CriterionCondition


class Qualification(Values):
    """[qualification]: how many criteria make a lead qualified."""

    minimum: AtLeastOne
    criteria: tuple[Criterion, ...] = ()


class ScoreRule(Values):
    """One of [[score]]."""

    id: NotEmpty
    name: NotEmpty
    points: float
    when: ScoreCondition
    since: MomentName | None = None
    half_life: ElapsedDuration | None = None
    times: NumberName | None = None
    at_most: float | None = None


class Then(Values):
    """One action of `then`, on_warn, on_breach, missing_reason: exactly one of these."""

    assign: AssignName | None = None
    task: TaskName | None = None

    @model_validator(mode="after")
    def _one(self) -> Then:
        if (self.assign is None) == (self.task is None):
            raise wrong("no action" if self.task is None else "two actions", "exactly one of assign, task; several stand as several { … }")
        return self


class Transition(Values):
    """One of [[transition]]; the first that fits wins."""

    id: NotEmpty
    name: NotEmpty
    from_: tuple[StageOrNone, ...] | None = Field(default=None, alias="from")  # None: any; "" is none yet
    to: StageName
    when: ConditionText
    again_after: ElapsedDuration | None = None
    again_if_changed: tuple[AnyName, ...] = ()
    then: tuple[Then, ...] = ()


class Route(Values):
    """One of `routes`: whose leads these are, before any turn."""

    when: ConditionText
    owners: Annotated[tuple[Email, ...], Field(min_length=1)]


class Assign(Values):
    """[assign.NAME]: who gets a lead."""

    name: str
    method: Literal["round-robin"] = "round-robin"
    team: TeamName
    sticky: Literal["company"] | None = None
    only_if: ConditionText | None = None
    routes: tuple[Route, ...] = ()


class TaskLimits(Values):
    """[tasks]: what holds for all tasks."""

    a_day_an_owner: AtLeastOne | None = None
    reminder: DurationText | None = None


def _manager_or_email(value: str) -> str:
    return value if value == "manager" else check_email(value)


class TaskRule(Values):
    """[task.NAME]: a task that rules create."""

    name: str
    subject: NotEmpty
    body: str = ""
    due: DurationText
    priority: Literal["low", "medium", "high"] = "medium"
    type: Literal["call", "email", "todo"] = "todo"
    in_: CrmName | None = Field(default=None, alias="in")
    # "manager" (of the owner's team), or an address; None: the owner
    assign_to: Annotated[str, AfterValidator(_manager_or_email)] | None = None


class CalendarRule(Values):
    """[calendar], or [calendar.NAME]: business hours and holidays."""

    name: str = ""  # "" is [calendar]
    timezone: ZoneName | None = None
    # closing 00:00 is the midnight after
    hours: dict[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], Spans] = Field(default_factory=dict)
    holidays: RegionText | None = None  # "DE-BE"
    extra_holidays: tuple[date, ...] = ()


class SlaRule(Values):
    """One of [[sla]]: a clock on an attempt."""

    id: NotEmpty
    name: NotEmpty
    kind: Literal["response"]
    starts: Literal["mql", "assigned"] = "assigned"
    when: ConditionText | None = None
    touches: AtLeastOne = 1
    channels: Annotated[int, Field(ge=1, le=3)] = 1
    within: PositiveDuration
    warn: PositiveDuration | None = None
    on_warn: tuple[Then, ...] = ()
    on_breach: tuple[Then, ...] = ()


class ReasonRule(Values):
    """One reason of [rejection.reasons]."""

    name: str
    needs_touches: Count = 0


class RejectionRule(Values):
    """[rejection]: when sales has rejected a lead, and where it goes."""

    when: ConditionText
    reason: ReasonName  # a field
    send_back_to: StageName | None = None
    missing_reason: tuple[Then, ...] = ()
    reason_within: PositiveDuration | None = None
    ignored_after: PositiveDuration | None = None
    reasons: tuple[ReasonRule, ...] = ()


class Example(Values):
    """One of [[example]]: what the rules must say of a made-up contact."""

    name: NotEmpty
    at: Moment | None = None
    contact: dict[str, Any]
    expect: dict[str, Any]


class Guard(Values):
    """[guard]: how much one rule may want in a window."""

    window: ElapsedDuration = Duration(24, "hour")
    stage_changes: Count = 200
    backward: Count = 20
    assign: Count = 200
    tasks: Count = 200
    rule_share: Percent = 0.05  # written "5%"
    shrink: Percent = 0.1
    hold_for: ElapsedDuration = Duration(2, "day")


class Config(Values):
    """The whole file. `version` is a digest of what rules say (not of secrets), `rules` one of them alone, without calendars and zone data
    as they are now; `source` the path that `text` was read from."""

    source: str
    text: str = Field(default="", repr=False)
    version: str
    rules: str = ""
    mode: Literal["shadow", "live"] = "shadow"
    timezone: ZoneName = "UTC"
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
    retention: Retention = Retention()
    examples: tuple[Example, ...] = ()
    ignored: tuple[str, ...] = ()  # paths of what the file says of a CRM that it does not have

    @cached_property
    def _fields(self) -> Mapping[str, FieldRule]:
        return MappingProxyType({rule.name: rule for rule in self.fields})

    @cached_property
    def _ranks(self) -> Mapping[str, int]:
        return MappingProxyType({stage.name: rank for rank, stage in enumerate(self.stages)})

    @cached_property
    def _teams(self) -> Mapping[str, Team]:
        return MappingProxyType({member: team for team in self.teams for member in team.members})

    @cached_property
    def _conditions(self) -> Mapping[str, FieldType]:
        return MappingProxyType(readable_names((rule.name, rule.type, rule.sides | rule.absent) for rule in self.fields))

    @cached_property
    def sales_members(self) -> frozenset[str]:
        """The folded e-mails of all whose touches count."""
        return frozenset(member for team in self.teams if team.side == "sales" for member in team.members)

    @property
    def crms(self) -> tuple[CrmName, ...]:
        """The CRMs that the file has."""
        return tuple(crm for crm in CRMS if (self.crm.hubspot if crm == "hubspot" else self.crm.salesforce) is not None)

    def field(self, name: str) -> FieldRule:
        """A declared or built-in field; KeyError where there is none."""
        return self._fields[name]

    def stage(self, name: str) -> Stage:
        """A stage; KeyError where there is none."""
        return self.stages[self._ranks[name]]

    def rank(self, stage: str | None) -> int:
        """How far along a stage is: 0 is the first, -1 is none yet. KeyError for a stage that the file does not have."""
        return -1 if stage is None or stage == "" else self._ranks[stage]

    def task(self, name: str) -> TaskRule:
        """A [task.NAME]; KeyError where there is none."""
        return _named(self.tasks, name)

    def assign(self, name: str) -> Assign:
        """An [assign.NAME]; KeyError where there is none."""
        return _named(self.assigns, name)

    def team(self, name: str) -> Team:
        """A [team.NAME]; KeyError where there is none."""
        return _named(self.teams, name)

    def team_of(self, email: str | None) -> Team | None:
        """The one team that this person is a member of."""
        return None if email is None else self._teams.get(fold(email))

    def calendar_for(self, team: Team | str | None) -> CalendarRule:
        """The calendar of a team, [calendar] for nobody's. Its timezone is always set; without any [calendar] it has no hours."""
        chosen = self.team(team) if isinstance(team, str) else team
        name = "" if chosen is None or chosen.calendar is None else chosen.calendar
        calendar = next((rule for rule in self.calendars if rule.name == name), CalendarRule(name=name))
        return calendar if calendar.timezone is not None else calendar.model_copy(update={"timezone": self.timezone})

    def condition_names(self) -> Mapping[str, FieldType]:
        """Every name that a condition may read: fields, their sides (`hubspot.NAME`), and the computed values.

        A side in a CRM that the file does not have is there too; it is always NULL.
        """
        return self._conditions


def readable_names(fields: Iterable[tuple[str, FieldType, Iterable[CrmName]]]) -> dict[str, FieldType]:
    """The names that conditions may read, given each field's name, type, and the CRMs in which it lives."""
    names: dict[str, FieldType] = {}
    for name, kind, sides in fields:
        if name != ONE_SIDED:
            names[name] = kind
        names |= {f"{crm}.{name}": kind for crm in sorted(sides)}
    return {**names, **COMPUTED}


_Named = TypeVar("_Named", Assign, TaskRule, Team)


def _named(values: tuple[_Named, ...], name: str) -> _Named:
    for value in values:
        if value.name == name:
            return value
    raise KeyError(name)
