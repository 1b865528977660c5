"""[task.NAME]: tasks for people in the CRM, rendered from the file's texts. Pure.

{name} is any field; {links} the record's address in each CRM; {why} the rule and the values that met it; {recent} the last
engagements; {sla}, {due}, {touches}, {needed} where an SLA is the cause. What a contact lacks is left empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.config.business_time import Calendar
from connector.config.tables import Config, TaskLimits, TaskRule, Team
from connector.model import CrmName, TaskSpec

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([a-z_][a-z0-9_.]*)\}", re.IGNORECASE)
_SUBJECT_LIMIT = 255

#: Placeholders that are no fields.
SPECIAL = frozenset({"links", "why", "recent", "sla", "due", "touches", "needed", "owner", "stage", "score", "criteria_met"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    """What a task says about its contact. values: fields by name; extra: the special placeholders."""

    values: Mapping[str, Any]
    extra: Mapping[str, str]


def render(text: str, context: TaskContext, zone: ZoneInfo) -> str:
    """The text with its placeholders filled in; spaces and commas that lost their value go with it."""

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:  # {{ and }} are the signs themselves
            return match[0][0]
        return context.extra[name] if name in context.extra else shown(context.values.get(name), zone)

    lines = [re.sub(r"[ \t]{2,}", " ", _PLACEHOLDER.sub(fill, line)).strip().removesuffix(",") for line in text.strip().splitlines()]
    return "\n".join(lines)


def shown(value: Any, zone: ZoneInfo) -> str:
    """A value as people read it: moments in the business's zone, choices with commas."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(zone):%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    if isinstance(value, str) and value.startswith(";") and value.endswith(";") and len(value) > 1:
        return ", ".join(part for part in value.split(";") if part)
    return str(value)


def spec(
    rule: TaskRule, context: TaskContext, owner_id: str | None, calendar: Calendar, limits: TaskLimits, zone: ZoneInfo, now: datetime
) -> TaskSpec:
    """The task to create, rendered."""
    due_at = calendar.add(now, rule.due).astimezone(UTC)
    return TaskSpec(
        purpose=rule.name,
        subject=render(rule.subject, context, zone).replace("\n", " ")[:_SUBJECT_LIMIT],
        body=render(rule.body, context, zone),
        due_at=due_at,
        priority=rule.priority,
        type=rule.type,
        owner_id=owner_id,
        reminder_at=None if limits.reminder is None else calendar.subtract(due_at, limits.reminder).astimezone(UTC),
    )


def assignee(rule: TaskRule, owner: str | None, config: Config) -> str | None:
    """The e-mail of the person a task goes to: the owner, the manager of his team, or an address; a lead nobody owns goes to a manager."""
    if rule.assign_to is not None and rule.assign_to != "manager":
        return rule.assign_to
    team = None if owner is None else config.team_of(owner)
    if rule.assign_to == "manager" or owner is None:
        teams = [team] if team is not None else [team for team in config.teams if team.side == "sales"]
        return next((team.manager for team in teams if team.manager is not None), owner)
    return owner


def place(rule: TaskRule, person: str | None, config: Config, at_hand: Sequence[CrmName]) -> CrmName | None:
    """The CRM to create a task in: the one the file names, else where the person's team works, else where the contact is at all."""
    team = None if person is None else config.team_of(person) or _managed_by(person, config)
    wished = [rule.in_, None if team is None else team.works_in, *at_hand]
    return next((crm for crm in wished if crm is not None and crm in at_hand), None)


def _managed_by(person: str, config: Config) -> Team | None:
    return next((team for team in config.teams if team.manager == person), None)
