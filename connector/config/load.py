"""From a file to a `Config`: TOML, then each table's values, then what depends on several tables. Start here.

All problems come at once, in one `ConfigError`, each with its path in the file, what stands there, and what would be right.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date, tzinfo
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from connector.config import composed_tables, cross, rules
from connector.config.kinds import ZoneName, moment
from connector.config.problems import unknown_key
from connector.config.reading import Raw, Reading, at, declared
from connector.config.tables import (
    Adopt,
    Assign,
    Config,
    CrmTable,
    Database,
    Example,
    Guard,
    Retention,
    Schedule,
    Scope,
    ScoreRule,
    SlaRule,
    TaskLimits,
    TaskRule,
    Team,
    Transition,
    Values,
)
from connector.config.version import rules_of, version_of
from connector.errors import ConfigError, Problem
from connector.model import CRMS

T = TypeVar("T", bound=BaseModel)
_TABLES = (
    "database", "crm", "adopt", "scope", "schedule", "team", "fields", "stages", "qualification", "score", "transition", "assign",
    "tasks", "task", "calendar", "sla", "rejection", "guard", "retention", "example",
)  # fmt: skip
_PLACE = re.compile(r"^(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)


class _Head(Values):
    """The keys before the first table."""

    mode: Literal["shadow", "live"] = "shadow"
    timezone: ZoneName = "UTC"


def load(path: Path) -> Config:
    """The configuration in a file. Raises ConfigError with every problem, also where there is no such file."""
    source = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except FileNotFoundError as error:
        raise ConfigError([Problem(path=source, found="no such file", expected="--config PATH names another")], source=source) from error
    except UnicodeDecodeError as error:
        found = f"no UTF-8 text (byte {error.start})"
        raise ConfigError([Problem(path=source, found=found, expected="a TOML file saved as UTF-8")], source=source) from error
    except OSError as error:
        found = f"cannot be read: {error.strerror}"
        raise ConfigError([Problem(path=source, found=found, expected="a file that this process may read")], source=source) from error
    return loads(text, source=source)


def loads(text: str, *, source: str) -> Config:
    """The configuration in a text; `source` says where it is from, for messages. Raises ConfigError with every problem."""
    root = _toml(text, source)
    reading = Reading(root, declared(root))
    _top_level(reading)
    parts = _parts(reading, text, source)
    cross.check(reading, parts)
    rules.check(reading, parts)
    if reading.problems:
        raise ConfigError(reading.problems, source=source)
    return parts.model_copy(update={"version": version_of(parts), "rules": rules_of(parts), "ignored": tuple(reading.ignored)})


def _toml(text: str, source: str) -> Raw:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _PLACE.match(str(error))
        said = match[1] if match else str(error)
        place = f"line {match[2]}, column {match[3]}" if match and match[2] else "the end of the file"
        raise ConfigError([Problem(path=place, found=said, expected="a valid TOML file")], source=source) from error


def _top_level(reading: Reading) -> None:
    known = [*_Head.model_fields, *_TABLES]
    reading.problems += [unknown_key(reading.root, (key,), known) for key in reading.root if key not in known]


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _adopt(reading: Reading) -> Adopt:
    """[adopt]; with one CRM alone there is only one side that can be taken as agreed."""
    adopt = _or(reading.table("adopt", Adopt), Adopt())
    present = [crm for crm in CRMS if crm in reading.known.crms]
    if adopt.stage == "furthest" or adopt.stage in present:
        return adopt
    if at(reading.root, "adopt", "stage") is not None:
        reading.ignore(("adopt", "stage"))
    return adopt.model_copy(update={"stage": present[0]})


def _examples(reading: Reading) -> tuple[Example, ...]:
    """[[example]]; dates and moments of the contact in UTC."""
    examples = []
    for example in reading.listed(Example, "example"):
        if not reading.fine(example, "contact"):
            continue
        contact = {name: _moments(value, reading.known.zone) for name, value in example.contact.items()}
        examples.append(reading.moved(example, example.model_copy(update={"contact": contact})))
    return tuple(examples)


def _moments(value: Any, zone: tzinfo) -> Any:
    if isinstance(value, dict):
        return {name: _moments(inner, zone) for name, inner in value.items()}
    return moment(value, zone) if isinstance(value, date) else value


def _parts(reading: Reading, text: str, source: str) -> Config:
    """Every table, as far as it validates; a default stands in for one that is not there."""
    head = _or(reading.value(_Head, {key: reading.root[key] for key in _Head.model_fields if key in reading.root}, ()), _Head())
    return Config(
        source=source,
        text=text,
        version="",
        mode=head.mode,
        timezone=head.timezone,
        database=_or(reading.table("database", Database), Database()),
        crm=_or(reading.table("crm", CrmTable), CrmTable()),
        adopt=_adopt(reading),
        scope=_or(reading.table("scope", Scope), Scope()),
        schedule=_or(reading.table("schedule", Schedule), Schedule()),
        teams=reading.named("team", Team),
        fields=composed_tables.fields(reading),
        stages=composed_tables.stages(reading),
        qualification=composed_tables.qualification(reading),
        score=reading.listed(ScoreRule, "score"),
        transitions=reading.listed(Transition, "transition"),
        assigns=reading.named("assign", Assign),
        task_limits=_or(reading.table("tasks", TaskLimits), TaskLimits()),
        tasks=reading.named("task", TaskRule),
        calendars=composed_tables.calendars(reading),
        slas=reading.listed(SlaRule, "sla"),
        rejection=composed_tables.rejection(reading),
        guard=_or(reading.table("guard", Guard), Guard()),
        retention=_or(reading.table("retention", Retention), Retention()),
        examples=_examples(reading),
    )
