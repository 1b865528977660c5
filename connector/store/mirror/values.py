"""Single values on their way into a row: checked for what one of the two databases could not hold, and normalised. Pure.

A NUL character, half a character, an integer beyond 64 bit or a moment without a zone raise `Unstorable`: their record is set aside.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from connector.model import fold
from connector.store.tables import to_micros

_LARGEST = 2**63 - 1
_SMALLEST = -(2**63)
_MAY_BE_LARGE = frozenset({int, dict, list})
STABLE = orjson.OPT_SORT_KEYS


class Unstorable(Exception):
    """A value that cannot be stored; `reason` and `next_step` are for people and hold no value."""

    def __init__(self, reason: str, next_step: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.next_step = next_step


def normalised_email(value: object) -> str | None:
    """An address as identities compare it; None where there is none."""
    return (fold(value.strip()) or None) if isinstance(value, str) else None


def to_json(values: Mapping[str, Any]) -> bytes:
    """The values as stable JSON. Raises `Unstorable` for what a database could not hold."""
    try:
        made = orjson.dumps(values, option=STABLE)
    except (TypeError, ValueError) as problem:
        if any(_beyond_64_bit(value) for value in values.values()):
            raise _too_large() from problem
        raise Unstorable(
            "a value is no plain text or number", "Look for half a character (an emoji cut in two) in its fields, in the CRM."
        ) from problem
    if any(_beyond_64_bit(value) for value in values.values() if type(value) in _MAY_BE_LARGE):
        raise _too_large()  # orjson itself goes up to 2**64 - 1
    if b"\\u0000" in made and _has_nul(values):
        raise _nul("a value")
    return made


def text(value: str | None, label: str) -> str | None:
    """The text as it came. Raises `Unstorable`, naming it by its label, for one that a database could not hold."""
    if value is None:
        return None
    if "\x00" in value:
        raise _nul(label)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as problem:
            raise Unstorable(f"{label} holds half a character", "Correct the text in the CRM.") from problem
    return value


#: What a column holds, in words.
_WORDS = {
    "id": "the id", "owner_id": "the owner's id", "company_id": "the company's id", "converted_to": "the id it was converted to",
    "converted_deal": "the id of the deal it was converted to", "merged_into": "the id it was merged into", "outcome": "the outcome",
    "key": "the key",
}  # fmt: skip


def texts(values: dict[str, str | None]) -> dict[str, str | None]:
    """Several columns' texts as `text` checks each. Looks at all of them at once: nearly always they are plain."""
    together = "".join([value for value in values.values() if value is not None])
    if not together.isascii() or "\x00" in together:
        for name, value in values.items():
            text(value, _WORDS[name])
    return values


def moment(value: datetime | None) -> int | None:
    """Whole microseconds since 1970. Raises `Unstorable` for a moment without a zone."""
    if value is None:
        return None
    try:
        return to_micros(value)
    except ValueError as problem:
        raise Unstorable("a moment came without a time zone", "Report it: the adapter must give every moment its zone.") from problem


def _nul(label: str) -> Unstorable:
    return Unstorable(f"{label} holds a NUL character, which databases refuse", "Remove it from the record in the CRM.")


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
