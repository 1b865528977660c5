"""What a page brought, made into rows: checked, normalised, fingerprinted. Pure, so that it happens outside of the writer's turn.

A value that one of the two databases cannot hold (a NUL character, half a character, an integer beyond 64 bit) sets its record aside; the
others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any

import orjson

from connector.model import Activity, FieldChange, Owner, Record, RecordRef, SetAside, fold
from connector.store.tables import to_micros

_LARGEST = 2**63 - 1
_SMALLEST = -(2**63)
_MAY_BE_LARGE = frozenset({int, dict, list})
_STABLE = orjson.OPT_SORT_KEYS

#: The property that holds a person's e-mail address, by CRM and object.
EMAIL_PROPERTY = {("hubspot", "contacts"): "email", ("salesforce", "Lead"): "Email", ("salesforce", "Contact"): "Email"}

#: Objects whose records are people's companies, and no people themselves.
COMPANIES = frozenset({"companies", "Account"})

#: Where a record's own columns also come as properties: a read of a part of the properties says something about the column only with these.
_COLUMN_PROPERTY = {
    "hubspot": {"owner_id": "hubspot_owner_id", "company_id": "associatedcompanyid"},
    "salesforce": {"owner_id": "OwnerId", "company_id": "AccountId", "converted_to": "ConvertedContactId"},
}


class Unstorable(Exception):
    """A value that cannot be stored; `reason` and `next_step` are for people and hold no value."""

    def __init__(self, reason: str, next_step: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.next_step = next_step


#: The object's name and the id: what tells rows of one CRM apart.
Key = tuple[str, str]
_Maker = tuple[Any, str, str, Callable[[], dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Sorted:
    """Rows by object and id (of an id that came twice the last one), and what cannot be stored."""

    rows: dict[Key, dict[str, Any]]
    set_aside: list[SetAside]


def record_rows(records: Iterable[Record], *, now: datetime) -> Sorted:
    """Rows of table `record`, ready for the driver."""
    seen_at = to_micros(now)
    return _sorted((each.crm, each.object, each.id, partial(_record_row, each, seen_at)) for each in records)


def activity_rows(activities: Iterable[Activity]) -> Sorted:
    """Rows of table `activity`, each with the records it is about under "links"."""
    return _sorted((each.crm, each.object, each.id, partial(_activity_row, each)) for each in activities)


def owner_rows(owners: Iterable[Owner], object_name: str) -> Sorted:
    """Rows of table `owner`; `object_name` is the stream's, for what is set aside."""
    return _sorted((each.crm, object_name, each.id, partial(_owner_row, each)) for each in owners)


def change_rows(changes: Iterable[FieldChange], object_name: str) -> Sorted:
    """Rows of table `field_history`; `object_name` is the stream's."""
    return _sorted((each.record.crm, object_name, each.id, partial(_change_row, each)) for each in changes)


def _sorted(makers: Iterable[_Maker]) -> Sorted:
    rows: dict[Key, dict[str, Any]] = {}
    aside: dict[Key, SetAside] = {}
    for crm, object_name, key, make in makers:
        at = (object_name, key)
        try:
            rows[at] = make()
            aside.pop(at, None)
        except Unstorable as problem:
            rows.pop(at, None)
            ref = RecordRef(crm=crm, object=object_name, id=key.replace("\x00", "?"))
            aside[at] = SetAside(record=ref, reason=problem.reason, next_step=problem.next_step)
    return Sorted(rows, list(aside.values()))


def _record_row(record: Record, seen_at: int) -> dict[str, Any]:
    properties = to_json(record.properties)
    email_property = EMAIL_PROPERTY.get((record.crm, record.object))
    row: dict[str, Any] = {
        "crm": record.crm,
        "object": record.object,
        "id": _text(record.id, "the id"),
        "properties": properties.decode(),
        "created_at": _moment(record.created_at),
        "modified_at": _moment(record.modified_at),
        "owner_id": _text(record.owner_id, "the owner's id"),
        "company_id": _text(record.company_id, "the company's id"),
        "converted_to": _text(record.converted_to, "the id it was converted to"),
        "email": normalised_email(record.properties.get(email_property)) if email_property else None,
        "archived": record.archived,
        "seen_at": seen_at,
        "unify": record.object not in COMPANIES,
    }
    row["fingerprint"] = record_fingerprint(row)
    return row


def record_fingerprint(row: Mapping[str, Any]) -> bytes:
    """A digest of all that came of a record."""
    names = ("created_at", "modified_at", "owner_id", "company_id", "converted_to", "archived")
    digest = blake2b(row["properties"].encode(), digest_size=16)
    digest.update(orjson.dumps([row[name] for name in names]))
    return digest.digest()


def merged(row: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a read that asked for a part of the properties only, filled up from what is stored.

    A column such as owner_id follows the read where its property was asked for, or where the read has a value; else it stays.
    """
    read = orjson.loads(row["properties"])
    properties = orjson.loads(stored["properties"]) | read
    result = dict(row)
    result["properties"] = orjson.dumps(properties, option=_STABLE).decode()
    by_property = _COLUMN_PROPERTY[row["crm"]]
    for name in ("owner_id", "company_id", "converted_to", "created_at", "modified_at"):
        if result[name] is None and by_property.get(name) not in read:
            result[name] = stored[name]
    email_property = EMAIL_PROPERTY.get((row["crm"], row["object"]))
    result["email"] = normalised_email(properties.get(email_property)) if email_property else None
    result["fingerprint"] = record_fingerprint(result)
    return result


def changes_between(stored: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What differs, as property → [before, after]; the record's own columns as "record.owner_id" and so on.

    A property that was not asked for before, or is not asked for any more, did not change.
    """
    before, after = orjson.loads(stored["properties"]), orjson.loads(row["properties"])
    changed = {name: [before[name], value] for name, value in after.items() if name in before and before[name] != value}
    for name in ("owner_id", "company_id", "converted_to", "archived"):
        if stored[name] != row[name]:
            changed[f"record.{name}"] = [stored[name], row[name]]
    return changed


def normalised_email(value: object) -> str | None:
    """An address as identities compare it; None where there is none."""
    return (fold(value.strip()) or None) if isinstance(value, str) else None


def to_json(values: Mapping[str, Any]) -> bytes:
    """The values as stable JSON. Raises `Unstorable` for what a database could not hold."""
    try:
        made = orjson.dumps(values, option=_STABLE)
    except (TypeError, ValueError) as problem:
        if any(_beyond_64_bit(value) for value in values.values()):
            raise _too_large() from problem
        raise Unstorable(
            "a value is no plain text or number", "Look for half a character (an emoji cut in two) in its fields, in the CRM."
        ) from problem
    if any(type(value) in _MAY_BE_LARGE and _beyond_64_bit(value) for value in values.values()):
        raise _too_large()  # orjson itself goes up to 2**64 - 1
    if b"\\u0000" in made and _has_nul(values):
        raise _nul("a value")
    return made


def _activity_row(activity: Activity) -> dict[str, Any]:
    row: dict[str, Any] = {
        "crm": activity.crm,
        "object": activity.object,
        "id": _text(activity.id, "the id"),
        "kind": activity.kind.value,
        "at": _moment(activity.at),
        "direction": None if activity.direction is None else activity.direction.value,
        "happened": activity.happened,
        "automatic": activity.automatic,
        "channel": activity.channel,
        "owner_id": _text(activity.owner_id, "the owner's id"),
        "outcome": _text(activity.outcome, "the outcome"),
        "duration_seconds": activity.duration_seconds,
        "due_at": _moment(activity.due_at),
        "done": activity.done,
        "key": _text(activity.key, "the key"),
        "created_at": _moment(activity.created_at),
        "modified_at": _moment(activity.modified_at),
        "archived": activity.archived,
    }
    links = sorted({(ref.object, _text(ref.id, "a record's id")) for ref in activity.contacts})
    try:
        row["fingerprint"] = blake2b(orjson.dumps([list(row.values()), links]), digest_size=16).digest()
    except (TypeError, ValueError) as problem:
        raise Unstorable("a value is no plain text or number", "Look for half a character in its fields, in the CRM.") from problem
    row["links"] = links
    return row


def _owner_row(owner: Owner) -> dict[str, Any]:
    return {
        "crm": owner.crm,
        "id": _text(owner.id, "the id"),
        "email": normalised_email(_text(owner.email, "the e-mail address")),
        "name": _text(owner.name, "the name"),
        "active": owner.active,
        "queue": owner.queue,
    }


def _change_row(change: FieldChange) -> dict[str, Any]:
    return {
        "crm": change.record.crm,
        "id": _text(change.id, "the id"),
        "object": change.record.object,
        "record_id": _text(change.record.id, "the record's id"),
        "property": _text(change.property, "the property"),
        "before": _text(change.before, "the value before"),
        "after": _text(change.after, "the value after"),
        "at": _moment(change.at),
    }


def _text(value: str | None, what: str) -> str | None:
    if value is None or value.isascii():
        if value is not None and "\x00" in value:
            raise _nul(what)
        return value
    if "\x00" in value:
        raise _nul(what)
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        raise Unstorable(f"{what} holds half a character", "Correct the text in the CRM.") from problem
    return value


def _moment(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    try:
        return to_micros(moment)
    except ValueError as problem:
        raise Unstorable("a moment came without a time zone", "Report it: the adapter must give every moment its zone.") from problem


def _nul(what: str) -> Unstorable:
    return Unstorable(f"{what} holds a NUL character, which databases refuse", "Remove it from the record in the CRM.")


def _too_large() -> Unstorable:
    return Unstorable("a number is larger than 64 bits hold", "Correct the number in the CRM, or make the property a text.")


def _beyond_64_bit(value: Any) -> bool:
    if isinstance(value, dict | list | tuple):
        return any(_beyond_64_bit(part) for part in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and not _SMALLEST <= value <= _LARGEST


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, Mapping):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list | tuple) and any(_has_nul(part) for part in value)
