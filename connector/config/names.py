"""What names a file may use: the computed values that conditions read, what the file itself declares, and the nearest name to a wrong one.

`Known` is gathered from the raw file before anything in it is checked, and handed to every validator, so that one pass finds every problem.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from types import MappingProxyType

from connector.model import CrmName, FieldType

#: The values that the connector computes for each contact, and conditions read beside the fields.
COMPUTED: Mapping[str, FieldType] = MappingProxyType(
    {
        "stage": FieldType.CHOICE,
        "stage_since": FieldType.DATETIME,
        "attempt": FieldType.INTEGER,
        "score": FieldType.NUMBER,
        "criteria_met": FieldType.INTEGER,
        "qualified": FieldType.BOOLEAN,
        "owner": FieldType.TEXT,
        "owner_queue": FieldType.TEXT,
        "assigned_at": FieldType.DATETIME,
        "first_touch_at": FieldType.DATETIME,
        "last_touch_at": FieldType.DATETIME,
        "touch_count": FieldType.INTEGER,
        "touch_channels": FieldType.INTEGER,
        "rejected_before": FieldType.BOOLEAN,
        "in_hubspot": FieldType.BOOLEAN,
        "in_salesforce": FieldType.BOOLEAN,
    }
)
#: What judging brings about; nothing that stands before it in a pass may read it.
JUDGED = frozenset({"score", "criteria_met", "qualified"})
#: The one field that is read by side only, as hubspot.lead_status and salesforce.lead_status: two vocabularies.
ONE_SIDED = "lead_status"

_FEW = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What one file declares. conditions: every name a condition may read; unsure: those whose own declaration is wrong."""

    crms: frozenset[CrmName] = frozenset()
    stages: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    assigns: tuple[str, ...] = ()
    calendars: tuple[str, ...] = ()
    transitions: tuple[str, ...] = ()
    conditions: Mapping[str, FieldType] = field(default_factory=dict)
    unsure: frozenset[str] = frozenset()
    zone: tzinfo = UTC


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like this one, None where none is."""
    names = {candidate.casefold(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.casefold(), list(names), n=1, cutoff=0.6)
    return names[matches[0]] if matches else None


def suggestion(name: str, known: Iterable[str], *, quoted: bool = True, otherwise: str = "leave it out") -> str:
    """What would be right in the place of an unknown name: the nearest one, else the few there are, else what `otherwise` says."""
    names = list(known)
    show = json.dumps if quoted else str
    close = nearest(name, names)
    if close is not None:
        return f"did you mean {show(close)}?"
    return f"one of {', '.join(show(known_name) for known_name in names)}" if 0 < len(names) <= _FEW else otherwise
