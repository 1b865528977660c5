"""HubSpot's property histories → changes with who. No I/O.

An entry is {value, timestamp, sourceType, sourceId, sourceLabel, updatedByUserId}, the newest first; updatedByUserId is a number, and is
there where a user did it (HubSpot's OpenAPI files: ValueWithTimestamp). Entries have no id of their own: record, property and moment make
one. How many of the oldest HubSpot leaves out is not documented, so that before the first one nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connector.adapters.hubspot.wire.errors import dicts
from connector.adapters.hubspot.wire.requests import to_millis
from connector.adapters.hubspot.wire.values import id_of, moment_of, set_aside, text_of
from connector.adapters.set_aside import Unreadable
from connector.model import FieldChange, RecordRef, SetAside


def read_history(object_name: str, raw: Any, properties: Sequence[str]) -> list[FieldChange] | SetAside:
    """The changes of these properties of one record, the oldest first; an entry that repeats the value before it is none."""
    try:
        ref = RecordRef(crm="hubspot", object=object_name, id=id_of(raw))
        histories = raw.get("propertiesWithHistory")
        if not isinstance(histories, dict):
            return []
        return [change for name in properties for change in _changes(ref, name, dicts(histories.get(name)))]
    except Unreadable as problem:
        return set_aside(object_name, raw, str(problem))


def _changes(ref: RecordRef, name: str, newest_first: Sequence[Mapping[str, Any]]) -> Iterator[FieldChange]:
    before: str | None = None
    taken: set[str] = set()
    for entry in reversed(newest_first):
        at = moment_of(entry, "timestamp")
        after = text_of(entry, "value") or None
        if at is None:
            raise Unreadable(f"an entry in the history of {name} has no timestamp")
        if after == before:
            continue
        key = f"{ref.id}/{name}/{to_millis(at)}"
        while key in taken:  # two changes in one millisecond
            key += "+"
        taken.add(key)
        yield FieldChange(
            record=ref,
            id=key,
            property=name,
            before=before,
            after=after,
            at=at,
            source=text_of(entry, "sourceType") or None,
            who=_who(entry),
        )
        before = after


def _who(entry: Mapping[str, Any]) -> str | None:
    """The user; older entries name him in `sourceId` alone ("userId:5200001", seen in answers)."""
    user = entry.get("updatedByUserId")
    if isinstance(user, int | str) and str(user):
        return str(user)
    source = str(entry.get("sourceId") or "")
    return source.removeprefix("userId:") if source.startswith("userId:") else None
