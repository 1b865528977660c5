"""HubSpot's search: filters with their operators, sorting, pages of at most 200 and never beyond 10,000.

Source: developers.hubspot.com/docs/api-reference/search/guide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.sandbox.hubspot_answers import invalid
from connector.sandbox.hubspot_catalogue import CREATED, MODIFIED
from connector.sandbox.world import HubSpotRow

MAX_LIMIT = 200
MAX_TOTAL = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Read = Callable[[HubSpotRow], Any]
Test = Callable[[HubSpotRow], bool]


class Searcher:
    """Searches one object. definitions: its properties. ids_as_text: compare and sort hs_object_id as text instead of as a number."""

    def __init__(self, name: str, definitions: Mapping[str, Mapping[str, Any]], *, ids_as_text: bool) -> None:
        self._name = name
        self._definitions = definitions
        self._ids_as_text = ids_as_text

    def search(self, rows: Iterable[HubSpotRow], body: Mapping[str, Any]) -> tuple[list[HubSpotRow], int, int | None]:
        """The page's rows, how many match in all, and the offset of the next page (None: no more). Raises Refusal."""
        limit, start = _number(body, "limit", 10), _number(body, "after", 0)
        if limit > MAX_LIMIT:
            raise invalid(f"limit must be at most {MAX_LIMIT}, got {limit}")
        if start + limit > MAX_TOTAL:
            raise invalid(f"Search results beyond {MAX_TOTAL} are not available: after {start}, limit {limit}")
        test = self._test(body)
        found = [row for row in rows if not row["archived"] and test(row)]
        self._sort(found, body.get("sorts") or [])
        following = start + limit if start + limit < len(found) else None
        return found[start : start + limit], len(found), following

    def _test(self, body: Mapping[str, Any]) -> Test:
        groups = body.get("filterGroups") or []
        if body.get("filters"):
            groups = [*groups, {"filters": body["filters"]}]
        sizes = [len(group.get("filters") or []) for group in groups]
        if len(groups) > 5 or any(size > 6 for size in sizes) or sum(sizes) > 18:
            raise invalid("A search takes at most 5 filterGroups of at most 6 filters, 18 filters in all")
        groups_of_tests = [[self._filter(each) for each in group.get("filters") or []] for group in groups]
        wanted = str(body.get("query") or "").casefold()

        def test(row: HubSpotRow) -> bool:
            if groups_of_tests and not any(all(each(row) for each in tests) for tests in groups_of_tests):
                return False
            return not wanted or any(wanted in value.casefold() for value in row["properties"].values() if value)

        if len(groups_of_tests) == 1 and len(groups_of_tests[0]) == 1 and not wanted:
            return groups_of_tests[0][0]
        return test

    def _sort(self, found: list[HubSpotRow], sorts: list[Any]) -> None:
        if len(sorts) > 1:
            raise invalid("A search takes one sort")
        name, down = "hs_object_id", False
        if sorts:
            rule = sorts[0]
            name = rule.lstrip("-") if isinstance(rule, str) else rule["propertyName"]
            down = rule.startswith("-") if isinstance(rule, str) else rule.get("direction", "ASCENDING") == "DESCENDING"
        read, _ = self._reader(name)
        found.sort(key=lambda row: (value is not None, value) if (value := read(row)) is not None else (False,), reverse=down)

    def _reader(self, name: str) -> tuple[Read, Callable[[str], Any]]:
        """How to read the property of a row, and how to read a filter's text, as values that compare."""
        if name == "hs_object_id":
            return (_id_text, str) if self._ids_as_text else (_id_number, _to_number)
        if name == MODIFIED[self._name]:
            return _updated, to_moment
        if name == CREATED[self._name]:
            return _created, to_moment
        if name not in self._definitions:
            details = [{"code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": [name]}}]
            raise invalid(f'Property "{name}" does not exist', errors=details)
        kind = self._definitions[name]["type"]
        convert: Callable[[str], Any] = str.casefold
        if kind in ("datetime", "date"):
            convert = to_moment
        elif kind == "number":
            convert = _to_number
        elif kind == "enumeration":
            convert = str  # the only values in which case matters

        def read(row: HubSpotRow) -> Any:
            value = row["properties"].get(name)
            return None if value is None or value == "" else convert(value)

        return read, convert

    def _filter(self, rule: Mapping[str, Any]) -> Test:
        operator = rule.get("operator", "")
        read, convert = self._reader(str(rule.get("propertyName", "")))
        if operator == "HAS_PROPERTY":
            return lambda row: read(row) is not None
        if operator == "NOT_HAS_PROPERTY":
            return lambda row: read(row) is None
        if operator in ("IN", "NOT_IN"):
            values = {convert(str(each)) for each in rule.get("values") or []}
            return (lambda row: read(row) in values) if operator == "IN" else (lambda row: read(row) not in values)
        if "value" not in rule:
            raise invalid(f"Filter of {rule.get('propertyName')} with operator {operator} has no value")
        if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
            return _token(read, str(rule["value"]).casefold(), wanted=operator == "CONTAINS_TOKEN")
        value = convert(str(rule["value"]))
        high = convert(str(rule["highValue"])) if operator == "BETWEEN" else None
        return _comparison(operator, read, value, high)


def _comparison(operator: str, read: Read, value: Any, high: Any) -> Test:
    match operator:
        case "EQ":
            return lambda row: bool(read(row) == value)
        case "NEQ":
            return lambda row: bool(read(row) != value)
        case "LT":
            return lambda row: (found := read(row)) is not None and found < value
        case "LTE":
            return lambda row: (found := read(row)) is not None and found <= value
        case "GT":
            return lambda row: (found := read(row)) is not None and found > value
        case "GTE":
            return lambda row: (found := read(row)) is not None and found >= value
        case "BETWEEN":
            return lambda row: (found := read(row)) is not None and value <= found <= high
    raise invalid(f"Unknown operator {operator!r}")


def _token(read: Read, wanted_text: str, *, wanted: bool) -> Test:
    """Whole words; a * stands for any letters at either end."""
    core = wanted_text.strip("*")

    def test(row: HubSpotRow) -> bool:
        text = str(read(row) or "").casefold()
        words = text.replace("@", " ").replace(".", " ").split()
        hit = core in text if "*" in wanted_text or " " in core or "@" in core or "." in core else core in words
        return hit is wanted

    return test


def _id_text(row: HubSpotRow) -> str:
    return str(row["id"])


def _id_number(row: HubSpotRow) -> int:
    return int(row["id"])


def _updated(row: HubSpotRow) -> datetime:
    moment: datetime = row["updatedAt"]
    return moment


def _created(row: HubSpotRow) -> datetime:
    moment: datetime = row["createdAt"]
    return moment


def _to_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise invalid(f"{text!r} is not a number") from None


def to_moment(text: str) -> datetime:
    """A moment from epoch milliseconds or ISO 8601 (a date: midnight UTC). Raises Refusal."""
    try:
        if text.lstrip("-").isdigit():
            return _EPOCH + timedelta(milliseconds=int(text))
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise invalid(f"{text!r} is neither milliseconds nor an ISO date") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _number(body: Mapping[str, Any], name: str, default: int) -> int:
    value = body.get(name)
    if value in (None, ""):
        return default
    try:
        number = int(str(value))
    except ValueError:
        raise invalid(f"{name} is not a whole number") from None
    if number < 0:
        raise invalid(f"{name} is negative")
    return number
