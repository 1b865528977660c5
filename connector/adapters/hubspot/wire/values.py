"""Single values of HubSpot's records: texts, numbers, moments, ids; and what to say of a record that cannot be read."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.adapters import set_aside as adapters_set_aside
from connector.adapters.set_aside import Unreadable
from connector.model import SetAside

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def record_id(raw: Any) -> str:
    """A record's id, "" where it has none."""
    found = raw.get("id") if isinstance(raw, dict) else None
    if type(found) is str:  # nearly always
        return found
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def parse_moment(text: str) -> datetime:
    """A date or moment of HubSpot: ISO 8601, a day (midnight UTC) or milliseconds since 1970. Aware, UTC. Raises ValueError."""
    plain = text.strip()
    if plain.removeprefix("-").isdecimal() and plain.isascii():
        try:
            return _EPOCH + timedelta(milliseconds=int(plain))
        except OverflowError as problem:
            raise ValueError("outside the calendar") from problem
    moment = datetime.fromisoformat(plain)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC)
    except OverflowError as problem:
        raise ValueError("outside the calendar") from problem


def id_of(raw: Any) -> str:
    """A record's id. Raises `Unreadable` where it is no number of 64 bit."""
    found = record_id(raw)
    if not found.isascii() or not found.isdecimal():
        raise Unreadable("it has no id" if not found else "its id is no number")
    if len(found) > 18 and int(found[:20]) >= 2**63:
        raise Unreadable("its id is beyond 64 bit")
    return found


def properties_of(raw: Any) -> Mapping[str, Any]:
    """A record's properties. Raises `Unreadable` where there are none."""
    properties = raw.get("properties") if isinstance(raw, dict) else None
    if not isinstance(properties, dict):
        raise Unreadable("it has no properties")
    return properties


def texts_of(properties: Mapping[str, Any], names: Collection[str]) -> dict[str, str | None]:
    """Several properties as `text_of` reads them. Looks at all of them at once: nearly always they are plain text."""
    values = {name: properties.get(name) for name in names}
    try:
        together = "".join([value for value in values.values() if value is not None])
    except TypeError:  # not all are text
        return {name: text_of(properties, name) for name in names}
    if "\x00" in together or not _storable(together):
        return {name: text_of(properties, name) for name in names}
    return values


def text_of(properties: Mapping[str, Any], name: str) -> str | None:
    """A property as text; other JSON is put down as HubSpot writes it in text. Raises `Unreadable` where no database could hold it."""
    value = properties.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        if "\x00" in value or not _storable(value):
            raise Unreadable(f"{name} holds a character that is none")
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        # A JSON number beyond 64 bit comes as a float that has lost its last digits.
        if not math.isfinite(value) or abs(value) >= 2**63:
            raise Unreadable(f"{name} is a number beyond 64 bit")
        return str(value)
    raise Unreadable(f"{name} is neither text nor number")


def _storable(value: str) -> bool:
    """False where half a surrogate pair stands in it: no database stores that."""
    return value.isascii() or value.encode(errors="replace").decode() == value


def upper_of(properties: Mapping[str, Any], name: str) -> str:
    """A property whose values are names of HubSpot's, in capitals; "" where it is empty."""
    return (text_of(properties, name) or "").upper()


def number_of(properties: Mapping[str, Any], name: str) -> float | None:
    """A property as a number. Raises `Unreadable` where it is none, or beyond 64 bit."""
    text = text_of(properties, name)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        raise Unreadable(f"{name} is no number") from None
    if not math.isfinite(number) or abs(number) >= 2**63:
        raise Unreadable(f"{name} is a number beyond 64 bit")
    return number


def moment_of(properties: Mapping[str, Any], name: str) -> datetime | None:
    """A property as an aware moment in UTC. Raises `Unreadable` where it is none."""
    value = properties.get(name)
    if value is None:
        return None
    if type(value) is str and value.endswith("Z") and value[:1].isdecimal():  # nearly always, and up to five times a record
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            raise Unreadable(f"{name} is no moment") from None
    text = text_of(properties, name)
    if not text:
        return None
    try:
        return parse_moment(text)
    except ValueError:
        raise Unreadable(f"{name} is no moment") from None


def set_aside(object_name: str, raw: Any, reason: str) -> SetAside:
    """What to say of a record that could not be read."""
    found = record_id(raw)
    if not found:  # a name of its own, the same each time, so that two of them do not fall together
        found = f"no-id-{hashlib.blake2b(repr(raw).encode(errors='replace'), digest_size=4).hexdigest()}"
    next_step = "Correct this value in HubSpot; the change brings the record in by itself."
    return adapters_set_aside.set_aside("hubspot", object_name, found, reason=reason, next_step=next_step)
