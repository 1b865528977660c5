"""The configuration's version: a digest of what its rules say, of the calendars as they are now, and of nothing else.

Where it changes, every contact is judged anew. Secrets, addresses, limits, the mode, the schedule and the examples change no judgement.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime, time
from enum import Enum
from typing import Any

import orjson
from pydantic import BaseModel

from connector.conditions import Condition
from connector.config.business_time import Calendar, zone_digest
from connector.config.tables import Config
from connector.model.durations import Duration

_SAYS_NOTHING = frozenset({"source", "text", "version", "rules", "mode", "database", "crm", "schedule", "retention", "examples", "ignored"})


def version_of(config: Config) -> str:
    """16 hexadecimal digits."""
    said = _said(config)
    said["zone"] = zone_digest(config.timezone)
    said["calendars_now"] = [Calendar.of(rule, config.timezone).version for rule in config.calendars]
    return _digest(said)


def rules_of(config: Config) -> str:
    """16 hexadecimal digits: what the file's rules say, whatever calendars and zone data are now. By it an older file is known again."""
    return _digest(_said(config))


def _said(config: Config) -> dict[str, Any]:
    said = {name: _plain(getattr(config, name)) for name in Config.model_fields if name not in _SAYS_NOTHING}
    return said | {"crms": [*config.crms, config.crm.native_sync]}


def _digest(said: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """A value as JSON has it. The order of lists counts: the first rule that fits wins."""
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Condition):
        return value.text
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
