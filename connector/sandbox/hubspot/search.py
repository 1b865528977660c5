"""HubSpot's search: filters with their operators, sorting, pages of at most 200 and never beyond 10,000.

Source: developers.hubspot.com/docs/api-reference/search/guide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from connector.sandbox.hubspot.answers import invalid
from connector.sandbox.hubspot.catalogue import CREATED, MODIFIED
from connector.sandbox.hubspot.index import Axis, Index, Query, Span, Test, microseconds
from connector.sandbox.state import HubSpotRow

MAX_LIMIT = 200
MAX_TOTAL = 10_000
_MAX_QUERY = 3_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Read = Callable[[HubSpotRow], Any]


@dataclass(frozen=True)
class _Rule:
    """One filter: how a record is tested, and which stretch of an axis it is, where it is one. text: what tells it from others."""

    test: Test
    span: Span | None
    text: bytes


class Searcher:
    """Searches one object. definitions: its properties. filter_as_text, sort_as_text: take hs_object_id for a text instead of a number.

    most: records of a page at most, whatever is asked for.
    """

    def __init__(
        self,
        name: str,
        definitions: Mapping[str, Mapping[str, Any]],
        *,
        filter_as_text: bool = False,
        sort_as_text: bool = False,
        most: int = MAX_LIMIT,
    ) -> None:
        self._name = name
        self._definitions = definitions
        self._filter_as_text = filter_as_text
        self._sort_as_text = sort_as_text
        self._most = most

    def search(self, index: Index, body: Mapping[str, Any]) -> tuple[list[HubSpotRow], int, int | None]:
        """The page's rows, how many match in all, and the offset of the next page (None: no more). Raises Refusal."""
        limit, start = _number(body, "limit", 10), _number(body, "after", 0)
        if limit > MAX_LIMIT:
            raise invalid(f"limit must be at most {MAX_LIMIT}, got {limit}")
        if start + limit > MAX_TOTAL:
            raise invalid(f"Search results beyond {MAX_TOTAL} are not available: after {start}, limit {limit}")
        limit = min(limit, self._most)
        found, total = index.find(self._query(body), start, limit)
        return found, total, start + limit if start + limit < total else None

    def _query(self, body: Mapping[str, Any]) -> Query:
        groups = [[self._filter(rule) for rule in group] for group in _groups(body)]
        name, descending = _sort(body.get("sorts") or [])
        axis = self._axis(name, as_text=self._sort_as_text)
        tests: list[Test] = []
        others: list[Span] = []
        spans: list[Span] = []
        if len(groups) == 1:
            spans = [rule.span for rule in groups[0] if rule.span is not None and rule.span.axis == axis]
            rest = [rule for rule in groups[0] if rule.span is None or rule.span.axis != axis]
            tests = [rule.test for rule in rest]
            others = [rule.span for rule in rest if rule.span is not None]
            groups = [rest] if rest else []
        elif groups:
            tests = [_any_of([[rule.test for rule in group] for group in groups])]
        words = str(body.get("query") or "")
        if len(words) > _MAX_QUERY:
            raise invalid(f"query takes {_MAX_QUERY} characters")
        if words:
            tests.append(_full_text(words.casefold()))
        key = orjson.dumps([[rule.text.decode() for rule in group] for group in groups] + [words]) if groups or words else None
        if axis is not None:
            return Query(axis, descending, spans, others, tests, key)
        read, _ = self._reader(name)
        return Query(None, descending, (), others, tests, (key or b"") + name.encode(), _ranked(read))

    def _axis(self, name: str, *, as_text: bool) -> Axis | None:
        if name == "hs_object_id":
            return "id as text" if as_text else "id"
        return "modified" if name == MODIFIED[self._name] else "created" if name == CREATED[self._name] else None

    def _reader(self, name: str) -> tuple[Read, Callable[[str], Any]]:
        """How to read the property of a row, and how to read a filter's text, as values that compare."""
        if name == "hs_object_id":
            return (_id_text, str) if self._filter_as_text else (_id_number, _to_number)
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

    def _filter(self, rule: Mapping[str, Any]) -> _Rule:
        name, operator = str(rule.get("propertyName", "")), rule.get("operator", "")
        return _Rule(self._test(name, operator, rule), self._span(name, operator, rule), orjson.dumps(rule, option=orjson.OPT_SORT_KEYS))

    def _test(self, name: str, operator: str, rule: Mapping[str, Any]) -> Test:
        read, convert = self._reader(name)
        if operator == "HAS_PROPERTY":
            return lambda row: read(row) is not None
        if operator == "NOT_HAS_PROPERTY":
            return lambda row: read(row) is None
        if operator in ("IN", "NOT_IN"):
            # texts are given in lower case here; another case matches nothing (search guide, "Filter search results")
            as_given = str if convert is str.casefold else convert
            values = {as_given(str(value)) for value in rule.get("values") or []}
            return (lambda row: read(row) in values) if operator == "IN" else (lambda row: read(row) not in values)
        if "value" not in rule:
            raise invalid(f"Filter of {name} with operator {operator} has no value")
        if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
            return _token(read, str(rule["value"]).casefold(), wanted=operator == "CONTAINS_TOKEN")
        value = convert(str(rule["value"]))
        high = convert(str(rule["highValue"])) if operator == "BETWEEN" else None
        return _comparison(operator, read, value, high)

    def _span(self, name: str, operator: str, rule: Mapping[str, Any]) -> Span | None:
        """The filter as a stretch of an axis, where it is one."""
        axis = self._axis(name, as_text=self._filter_as_text)
        if axis is None or operator not in ("EQ", "GT", "GTE", "LT", "LTE", "BETWEEN"):
            return None
        low, high = _bound(axis, str(rule["value"])), _bound(axis, str(rule.get("highValue", rule["value"])))
        if low is None or high is None:
            return None
        match operator:
            case "GT" | "GTE":
                return Span(axis, low=low, low_open=operator == "GT")
            case "LT" | "LTE":
                return Span(axis, high=low, high_open=operator == "LT")
        return Span(axis, low=low, high=high)


def _groups(body: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    groups = [list(group.get("filters") or []) for group in body.get("filterGroups") or []]
    if body.get("filters"):
        groups.append(list(body["filters"]))
    sizes = [len(group) for group in groups]
    if len(groups) > 5 or any(size > 6 for size in sizes) or sum(sizes) > 18:
        raise invalid("A search takes at most 5 filterGroups of at most 6 filters, 18 filters in all")
    return groups


def _sort(sorts: Sequence[Any]) -> tuple[str, bool]:
    """By which property, and whether downwards."""
    if len(sorts) > 1:
        raise invalid("A search takes one sort")
    if not sorts:
        return "hs_object_id", False
    rule = sorts[0]
    if isinstance(rule, str):
        return rule.lstrip("-"), rule.startswith("-")
    return str(rule["propertyName"]), rule.get("direction", "ASCENDING") == "DESCENDING"


def _ranked(read: Read) -> Callable[[HubSpotRow], Any]:
    """What has no value comes before what has one."""
    return lambda row: (True, value) if (value := read(row)) is not None else (False,)


def _any_of(groups: Sequence[Sequence[Test]]) -> Test:
    return lambda row: any(all(test(row) for test in group) for group in groups)


def _full_text(wanted: str) -> Test:
    return lambda row: any(wanted in value.casefold() for value in row["properties"].values() if value)


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


def _bound(axis: Axis, text: str) -> Any:
    """A filter's value as an order's; None where it lies between two of them."""
    if axis == "id as text":
        return text
    if axis == "id":
        return int(text) if text.lstrip("-").isdigit() else None
    return microseconds(to_moment(text))


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
