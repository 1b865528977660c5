"""The kinds of values a file holds: what a text must look like, and what its names must refer to.

Each kind is a type with its validator. A validator raises `wrong(found, expected)`; `connector.config.problems` gives it its path. What the
file declares comes as the validation's context (`Known`); values made in code, without a context, are checked for shape alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, tzinfo
from itertools import pairwise
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import holidays
from apscheduler.triggers.cron import CronTrigger
from pydantic import AfterValidator, BeforeValidator, PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from connector import conditions
from connector.conditions import Condition, fold
from connector.config.names import JUDGED, Known, nearest, suggestion
from connector.config.secrets import SHAPE as SECRET_SHAPE
from connector.config.secrets import Secret, resolve_address
from connector.errors import ConfigError
from connector.model import FieldType, durations
from connector.model.durations import Duration

#: The type of the errors raised here; their context holds the (found, expected) pairs.
OURS = "handoff"
_EMAIL = re.compile(r"^[^@\s,;<>()\"]+@[^@\s,;<>()\"]+\.[^@\s.,;<>()\"]+$")
_PERCENT = re.compile(r"^([0-9]{1,3}(?:\.[0-9]+)?)\s*%$")
_EVERY = re.compile(r"^every\s+(?:([0-9]+)\s+)?(second|minute|hour|day|week)s?$")
_SPAN = re.compile(r"^([01][0-9]|2[0-3]):([0-5][0-9])\s*-\s*(?:([01][0-9]|2[0-3]):([0-5][0-9])|(24:00))$")


def wrong(found: str, expected: str) -> PydanticCustomError:
    """An error of one problem."""
    return all_wrong([(found, expected)])


def all_wrong(pairs: list[tuple[str, str]]) -> PydanticCustomError:
    """An error of several problems in one place, as (found, expected)."""
    return PydanticCustomError(OURS, "{text}", {"text": "; ".join(f"{found}; {expected}" for found, expected in pairs), "pairs": pairs})


def shown(value: object) -> str:
    """A value as the file writes it, for messages; short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 80 else f'"{value[:79]}…"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    return str(value)


def known(info: ValidationInfo) -> Known | None:
    """What the file declares; None for values made in code."""
    return info.context if isinstance(info.context, Known) else None


def _text(value: object, expected: str) -> str:
    if not isinstance(value, str):
        raise wrong(shown(value), expected)
    return value


# ── Durations, shares, schedules ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _duration(value: object) -> Duration:
    if isinstance(value, Duration):
        return value
    text = _text(value, durations.SHAPE)
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise wrong(shown(text), str(error)) from error


def _positive(value: Duration) -> Duration:
    if value.amount == 0:
        raise wrong(shown(str(value)), "more than nothing")
    return value


def _elapsed(value: Duration) -> Duration:
    if value.business:
        raise wrong(shown(str(value)), 'elapsed time, like "30 days": working hours do not count here')
    return value


def _percent(value: object, info: ValidationInfo) -> float:
    if known(info) is None and isinstance(value, float):
        return value
    match = _PERCENT.match(value) if isinstance(value, str) else None
    if match is None or float(match[1]) > 100:
        raise wrong(shown(value), 'a share like "20%", from "0%" to "100%"')
    return float(match[1]) / 100


def _schedule(value: object) -> str:
    expected = 'like "every 5 minutes", or a cron line of five fields like "0 3 * * sun"'
    text = _text(value, expected).strip()
    every = _EVERY.match(text)
    if every is not None:
        if every[1] is not None and int(every[1]) == 0:
            raise wrong(shown(text), "more than nothing")
        return text
    try:
        CronTrigger.from_crontab(text, timezone=UTC)
    except ValueError as error:
        raise wrong(shown(text), expected) from error
    return text


DurationText = Annotated[Duration, PlainValidator(_duration)]
PositiveDuration = Annotated[DurationText, AfterValidator(_positive)]
ElapsedDuration = Annotated[DurationText, AfterValidator(_positive), AfterValidator(_elapsed)]
Percent = Annotated[float, PlainValidator(_percent)]
ScheduleText = Annotated[str, PlainValidator(_schedule)]


# ── Secrets, addresses, people, places ───────────────────────────────────────────────────────────────────────────────────────────────


def _secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise wrong("no text", SECRET_SHAPE)
    try:
        return Secret.parse(value)
    except ValueError as error:
        found = "no environment variable's name" if value.startswith("env:") else "a secret written out"
        raise wrong(found, str(error)) from None


def _address(value: str) -> str:
    try:
        return resolve_address(value)
    except ConfigError as error:
        raise all_wrong([(f"{shown(value)}: {problem.found}", problem.expected) for problem in error.problems]) from error
    except ValueError as error:
        raise wrong(shown(value), str(error)) from error


def _http(value: str) -> str:
    if not re.match(r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", value):
        raise wrong("no address of a service" if "@" in value else shown(value), 'an address like "https://api.example.com"')
    return value.rstrip("/")


def check_email(value: object) -> str:
    """An e-mail address, folded. Raises ValueError for what is none."""
    expected = 'an e-mail address like "anna@acme.example"'
    text = _text(value, expected).strip()
    if not _EMAIL.match(text):
        raise wrong(shown(text), expected)
    return fold(text)


def _zone(value: object) -> str:
    text = _text(value, 'a time zone like "Europe/Berlin"')
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = nearest(text, available_timezones())
        raise wrong(shown(text), f'did you mean "{near}"?' if near else 'a time zone like "Europe/Berlin"') from error
    return text


def _region(value: object) -> str:
    text = _text(value, 'a country, or country and region, like "DE-BE"')
    country, _, part = text.partition("-")
    countries = holidays.list_supported_countries()
    if country not in countries:
        raise wrong(f"no holidays are known of {shown(country)}", 'a country by its code of two letters, like "DE"')
    if part and part not in countries[country]:
        regions = ", ".join(f'"{country}-{region}"' for region in countries[country])
        raise wrong(f"no holidays are known of {shown(text)}", f"one of {regions}" if regions else f"{shown(country)} alone")
    return text


SecretText = Annotated[Secret, PlainValidator(_secret)]
AddressText = Annotated[str, AfterValidator(_address)]
HttpAddress = Annotated[str, AfterValidator(_address), AfterValidator(_http)]
Email = Annotated[str, PlainValidator(check_email)]
ZoneName = Annotated[str, PlainValidator(_zone)]
RegionText = Annotated[str, PlainValidator(_region)]


# ── Conditions ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def condition(forbidden: frozenset[str] = frozenset(), why: str = "") -> PlainValidator:
    """A condition that may not read these names, and why not."""

    def validate(value: object, info: ValidationInfo) -> Condition:
        if isinstance(value, Condition):
            return value
        text = _text(value, "a condition, like \"country = 'Germany'\"")
        try:
            parsed = conditions.parse(text)
        except conditions.ConditionError as error:
            raise wrong(error.found, error.expected) from error
        _check_condition(parsed, known(info), forbidden, why)
        return parsed

    return PlainValidator(validate)


def _check_condition(parsed: Condition, declared: Known | None, forbidden: frozenset[str], why: str) -> None:
    pairs = [(f"reads {name}", why) for name in sorted(parsed.names & forbidden)]
    if declared is not None and not parsed.names & declared.unsure:
        pairs += [(problem.found, problem.expected) for problem in conditions.check(parsed, declared.conditions)]
    if pairs:
        raise all_wrong(pairs)


_BEFORE = "{} is judged before these are known: leave it out"
ConditionText = Annotated[Condition, condition()]
ScopeCondition = Annotated[Condition, condition(JUDGED, _BEFORE.format("who is in scope"))]
CriterionCondition = Annotated[Condition, condition(JUDGED, _BEFORE.format("a criterion"))]
ScoreCondition = Annotated[Condition, condition(frozenset({"score"}), "the score cannot depend on itself: leave it out")]


# ── Names that must be declared ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _declared(choose: Callable[[Known], tuple[str, ...]], where: str) -> AfterValidator:
    def validate(value: str, info: ValidationInfo) -> str:
        declared = known(info)
        if declared is not None and value not in choose(declared):
            raise wrong(
                f"{shown(value)} is not declared in {where}", suggestion(value, choose(declared), otherwise=f"declare it in {where}")
            )
        return value

    return AfterValidator(validate)


def _readable(types: frozenset[FieldType] | None, expected: str) -> AfterValidator:
    def validate(value: str, info: ValidationInfo) -> str:
        declared = known(info)
        if declared is None or value in declared.unsure:
            return value
        if value not in declared.conditions:
            raise wrong(
                f"{shown(value)} is no field", suggestion(value, declared.conditions, otherwise="a built-in field, or one of [fields]")
            )
        if types is not None and declared.conditions[value] not in types:
            raise wrong(f"{shown(value)} is of type {declared.conditions[value]}", expected)
        return value

    return AfterValidator(validate)


StageName = Annotated[str, _declared(lambda k: k.stages, "[[stages]]")]
StageOrNone = Annotated[str, _declared(lambda k: ("", *k.stages), "[[stages]]")]
TaskName = Annotated[str, _declared(lambda k: k.tasks, "[task]")]
TeamName = Annotated[str, _declared(lambda k: k.teams, "[team]")]
AssignName = Annotated[str, _declared(lambda k: k.assigns, "[assign]")]
CalendarName = Annotated[str, _declared(lambda k: k.calendars, "[calendar]")]
AnyName = Annotated[str, _readable(None, "")]
MomentName = Annotated[str, _readable(frozenset({FieldType.DATETIME}), 'a field of type "datetime"')]
NumberName = Annotated[str, _readable(frozenset({FieldType.INTEGER, FieldType.NUMBER}), 'a field of type "integer" or "number"')]
ReasonName = Annotated[str, _readable(frozenset({FieldType.TEXT, FieldType.CHOICE}), 'a field of type "choice" or "text"')]


# ── Moments, hours, types ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def moment(value: date, zone: tzinfo) -> datetime:
    """A date or moment of the file in UTC; what names no zone is of this one, a date its midnight."""
    whole = value if isinstance(value, datetime) else datetime.combine(value, time())
    return (whole if whole.tzinfo is not None else whole.replace(tzinfo=zone)).astimezone(UTC)


def _moment(value: object, info: ValidationInfo) -> datetime:
    if not isinstance(value, date):
        raise wrong(shown(value), "a date or moment without quotes, like 2026-12-01 or 2026-12-01T09:00:00+01:00")
    declared = known(info)
    return moment(value, UTC if declared is None else declared.zone)


def _spans(value: object) -> tuple[tuple[time, time], ...]:
    expected = 'hours like "09:00-17:30", or several like ["09:00-12:00", "13:00-17:30"]'
    if isinstance(value, tuple) and all(isinstance(span, tuple) and all(isinstance(end, time) for end in span) for span in value):
        return value
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, tuple | list):
        raise wrong(shown(value), expected)
    spans = tuple(_span(text, expected) for text in texts)
    for before, after in pairwise(spans):
        if before[1] == time() or after[0] < before[1]:
            raise wrong(shown(value) if isinstance(value, str) else "hours that overlap", "each span after the one before")
    return spans


def _span(value: object, expected: str) -> tuple[time, time]:
    match = _SPAN.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise wrong(shown(value), expected)
    opening = time(int(match[1]), int(match[2]))
    closing = time() if match[5] else time(int(match[3]), int(match[4]))
    if not match[5] and closing <= opening:
        raise wrong(shown(value), 'a closing after the opening; midnight is "24:00"')
    return opening, closing


def _field_type(value: object) -> FieldType:
    if isinstance(value, FieldType):
        return value
    names = [kind.value for kind in FieldType]
    if value not in names:
        raise wrong(shown(value), suggestion(str(value), names))
    return FieldType(value)


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Moment = Annotated[datetime, PlainValidator(_moment)]
Spans = Annotated[tuple[tuple[time, time], ...], PlainValidator(_spans)]
FieldTypeText = Annotated[FieldType, PlainValidator(_field_type)]
#: One text, or a list of them.
Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
