"""JSON values of a write → values of the world, or the refusal the service gives."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from connector.sandbox.salesforce.errors import Refused, RowRefused
from connector.sandbox.salesforce.fields import Field
from connector.sandbox.salesforce.schema import IDS, NUMBERS, TEXTS


def _unreadable(field: Field, value: Any) -> Refused:
    """A value of the wrong JSON type spoils the whole request, not only its row."""
    kind = {"datetime": "datetime", "date": "date", "boolean": "boolean", "int": "int"}.get(field.type, "double")
    source = "VALUE_STRING" if isinstance(value, str) else "VALUE_TRUE" if isinstance(value, bool) else "VALUE_NUMBER_INT"
    message = f"Cannot deserialize instance of {kind} from {source} value {value} or request may be missing a required field at"
    return Refused(400, "JSON_PARSER_ERROR", f"{message} [line:1, column:1]")


def _moment(field: Field, value: Any) -> datetime:
    """A datetime of a body: ISO 8601 with or without milliseconds; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as problem:
        raise _unreadable(field, value) from problem
    if "T" not in value:
        raise _unreadable(field, value)
    zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return zoned.astimezone(UTC).replace(microsecond=0)


def _day(field: Field, value: Any) -> date:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError as problem:
        raise _unreadable(field, value) from problem


def _text(field: Field, value: Any) -> str | None:
    if not isinstance(value, str):
        value = str(value).lower() if isinstance(value, bool) else str(value)
    text = str(value).strip()
    if field.length and len(text) > field.length:
        message = f"{field.name}: data value too large: {text[:300]} (max length={field.length})"
        raise RowRefused("STRING_TOO_LONG", message, [field.name])
    if field.type == "email" and text:
        local, at, domain = text.rpartition("@")
        if not (local and at and "." in domain) or any(letter.isspace() for letter in text):
            raise RowRefused("INVALID_EMAIL_ADDRESS", f"{field.name}: invalid email address: {text}", [field.name])
    return text or None


def convert(field: Field, value: Any) -> Any:
    """The value as the field holds it; None and empty text are empty.

    Raises `RowRefused` for a value that this row may not have, `Refused` for one that is no value of the field's type at all.
    """
    if value is None or value == "":
        return False if field.type == "boolean" and value is None else None
    if isinstance(value, dict | list):
        raise _unreadable(field, "{}" if isinstance(value, dict) else "[]")
    if field.type == "datetime":
        return _moment(field, value)
    if field.type == "date":
        return _day(field, value)
    if field.type == "boolean":
        return _boolean(field, value)
    if field.type in NUMBERS:
        return _number(field, value)
    if field.type in TEXTS or field.type in IDS:
        return _text(field, value)
    raise AssertionError(f"the field type {field.type} has no conversion")


def _boolean(field: Field, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _unreadable(field, value)


def _number(field: Field, value: Any) -> int | float:
    if isinstance(value, bool):
        raise _unreadable(field, value)
    try:
        return int(value) if field.type == "int" else float(value)
    except (TypeError, ValueError) as problem:
        raise _unreadable(field, value) from problem
