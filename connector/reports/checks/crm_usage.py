"""What the file does in each CRM: which properties its rules set, which values it names there, what its passes take. Pure.

For `connector check`, which compares it with what the CRM has and allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from connector.config.schedule import trigger
from connector.config.tables import Config, FieldRule, HubSpotSettings, SalesforceSettings, Then
from connector.model import CRM_FACTS, CrmName, Uses
from connector.workflows.fields import places
from connector.workflows.stages import StageMap

_DAY = timedelta(days=1)
#: What a cron line does is looked at over a week.
_WEEK = 7 * _DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A value that the file names, where it must stand in the CRM. place: in the file. exact: with regard to case."""

    object: str
    property: str
    value: str
    place: str
    exact: bool = True


def uses_of(config: Config, crm: CrmName, *, now: datetime) -> Uses:
    """What the file does in one CRM."""
    settings = config.crm.hubspot if crm == "hubspot" else config.crm.salesforce
    return Uses(
        written=written(config, crm),
        tasks=any(_lands_in(config, name, crm) for name in _tasks(config)),
        native_sync=config.crm.native_sync == "hubspot",
        passes_a_day=passes_a_day(config.schedule.pass_, config.timezone, now),
        live=config.mode == "live",
        backward=tuple(_backward(config)) if stage_property(crm)[1] in written(config, crm).get(stage_property(crm)[0], ()) else (),
        per_10_seconds=settings.requests_per_10_seconds if isinstance(settings, HubSpotSettings) else 0,
        daily_requests=settings.daily_requests if settings is not None else 0,
        headroom=settings.headroom if settings is not None else 0.0,
        id_field=settings.hubspot_id_field if isinstance(settings, SalesforceSettings) else None,
    )


def stage_property(crm: CrmName) -> tuple[str, str]:
    """The object and the property that carry the stage."""
    return CRM_FACTS[crm].stage_object, CRM_FACTS[crm].stage_property


def written(config: Config, crm: CrmName) -> dict[str, tuple[str, ...]]:
    """Object → the properties that rules set: the stage, where one moves or the CRMs are kept in step, and the owner."""
    found: dict[str, list[str]] = {}
    stages = StageMap(config)
    moves = bool(config.transitions) or config.rejection is not None or len(config.crms) > 1
    if moves and any(stages.value_for(crm, stage.name) is not None for stage in config.stages):
        object_name, name = stage_property(crm)
        found.setdefault(object_name, []).append(name)
    if any(_assigned_in(config, crm)):
        for object_name in CRM_FACTS[crm].people:
            found.setdefault(object_name, []).append(CRM_FACTS[crm].owner_property)
    return {object_name: tuple(names) for object_name, names in found.items()}


def _thens(config: Config) -> Iterator[Then]:
    for transition in config.transitions:
        yield from transition.then
    for sla in config.slas:
        yield from (*sla.on_warn, *sla.on_breach)
    if config.rejection is not None:
        yield from config.rejection.missing_reason


def _assigned_in(config: Config, crm: CrmName) -> Iterator[bool]:
    """A contact that is in the other CRM alone is assigned there."""
    for name in {then.assign for then in _thens(config) if then.assign is not None}:
        works_in = config.team(config.assign(name).team).works_in
        yield works_in == crm or works_in not in config.crms


def _tasks(config: Config) -> set[str]:
    return {then.task for then in _thens(config) if then.task is not None}


def _lands_in(config: Config, name: str, crm: CrmName) -> bool:
    """Whether a task may be created in this CRM: where the file says so, where a team works, else anywhere."""
    place = config.task(name).in_
    homes = {team.works_in for team in config.teams} or set(config.crms)
    return place == crm if place is not None else crm in homes


def _backward(config: Config) -> Iterator[str]:
    """The rules that may move a stage down."""
    for rule in config.transitions:
        starts = [stage.name for stage in config.stages] if rule.from_ is None else rule.from_
        if any(config.rank(start) > config.rank(rule.to) for start in starts):
            yield rule.name
    if config.rejection is not None and config.rejection.send_back_to is not None:
        yield "rejection"


def values_named(config: Config, crm: CrmName) -> list[Named]:
    """Every value of a CRM's own that the file names: those of stages, of value maps, and the reasons of rejections."""
    object_name, name = stage_property(crm)
    found = [
        Named(object=object_name, property=name, value=value, place=f"stage {stage.name}")
        for stage in config.stages
        for value in (stage.hubspot if crm == "hubspot" else stage.salesforce.lead_status)
    ]
    for rule in config.fields:
        for choice, sides in rule.values.items():
            if crm in sides:
                found += _at(rule, crm, sides[crm], f"fields.{rule.name}.values.{choice}", exact=True)
    if config.rejection is not None:
        rule = config.field(config.rejection.reason)
        mapped = {choice: sides.get(crm) for choice, sides in rule.values.items()}
        for reason in config.rejection.reasons:
            if mapped.get(reason.name) is None:
                found += _at(rule, crm, reason.name, f"rejection.reasons.{reason.name}", exact=False)
    return list(dict.fromkeys(found))


def _at(rule: FieldRule, crm: CrmName, value: str, place: str, *, exact: bool) -> list[Named]:
    at = places(rule, crm)
    return [Named(object=object_name, property=name, value=value, place=place, exact=exact) for object_name, name in at]


def passes_a_day(schedule: str, timezone: str, now: datetime) -> float:
    """How often a schedule comes up, on the average of the week from now on."""
    coming, moment, count = trigger(schedule, ZoneInfo(timezone)), now, 0
    while count < _MOST:
        following: datetime | None = coming.get_next_fire_time(moment, moment)
        if following is None or following - now > _WEEK:
            return count / 7
        moment, count = following, count + 1
    return count * _DAY / (moment - now)


#: So many times of a schedule are looked at.
_MOST = 1000
