"""What stands in quotes: folded text, durations, dates and moments, patterns."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from connector.conditions.tree import ConditionError, quoted
from connector.model import fold
from connector.model.durations import Duration

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST = timedelta(days=100 * 365)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII)
_MOMENT_SHAPE = "a date or a moment like '2026-12-01', '2026-12-01 09:30' or '2026-12-01T09:30:00+01:00'"

#: What LIKE takes as itself where this stands before it. The language has no escapes; the databases' defaults differ, so one is named.
ESCAPE = "/"


def length(text: str) -> timedelta:
    """The plain length of a duration such as '30 days'. Raises ConditionError where it has none."""
    try:
        duration = Duration.parse(text)
    except ValueError as problem:
        raise ConditionError(f"the duration {quoted(text)}", f"expected {problem}") from problem
    if duration.business:
        raise ConditionError(f"the duration {quoted(text)}", "conditions count elapsed time only, like '30 days'")
    if duration.elapsed > _LONGEST:
        raise ConditionError(f"the duration {quoted(text)}", "expected at most 100 years")
    return duration.elapsed


def micros(text: str) -> int:
    """The length of a duration in microseconds."""
    return length(text) // _MICROSECOND


def moment(text: str, timezone: str) -> int:
    """The moment of a quoted date or time, in microseconds since 1970; without an offset in `timezone`, a date as its midnight there.

    Raises ConditionError where the text is neither.
    """
    if not _MOMENT.fullmatch(text):
        raise ConditionError(quoted(text), f"expected {_MOMENT_SHAPE}")
    try:
        value = datetime.fromisoformat(text)
    except ValueError as problem:
        raise ConditionError(quoted(text), f"there is no such day or time; expected {_MOMENT_SHAPE}") from problem
    aware = value if value.tzinfo else value.replace(tzinfo=ZoneInfo(timezone))
    return (aware - _EPOCH) // _MICROSECOND


def escaped(text: str) -> str:
    """A text that LIKE ... ESCAPE '/' takes literally."""
    return re.sub(r"([%_/])", r"/\1", text)


def pattern(text: str) -> str:
    """A LIKE pattern of the language, folded, for LIKE ... ESCAPE '/': % and _ are wildcards, everything else is itself."""
    return fold(text).replace(ESCAPE, ESCAPE * 2)
