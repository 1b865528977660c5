"""The search index: each record in the version that the index has, and the records' orders by id and by date.

The index may lag: a write becomes visible when its time has come, and until then the record is found, and shown, as it was. Windows, their
totals and pages in them cost little however many records there are.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from connector.sandbox.sorted_index import Entry, SortedIndex
from connector.sandbox.state import HubSpotRow

Axis = Literal["id", "id as text", "modified", "created"]
Test = Callable[[HubSpotRow], bool]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KEPT_ANSWERS = 12


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


_VALUES: Mapping[Axis, Callable[[HubSpotRow], int]] = {
    "id": lambda row: int(row["id"]),
    "modified": lambda row: microseconds(row["updatedAt"]),
    "created": lambda row: microseconds(row["createdAt"]),
}


def entry(axis: Axis, row: HubSpotRow) -> Entry:
    """A record's entry in the order of an axis; what has one value is in the order of the ids' numbers."""
    return (row["id"], row["id"]) if axis == "id as text" else (_VALUES[axis](row), int(row["id"]))


@dataclass(frozen=True)
class Span:
    """A filter as a stretch of an axis. Bounds are numbers, microseconds or (of the id as text) texts; None: no bound."""

    axis: Axis
    low: Any = None
    high: Any = None
    low_open: bool = False
    high_open: bool = False

    def within(self, index: SortedIndex) -> range:
        """The places of this stretch in an index of this axis."""
        return index.window(self.low, self.high, low_open=self.low_open, high_open=self.high_open)


@dataclass(frozen=True)
class Query:
    """A search without its page.

    axis: the order it wants; None: by `sort_key`. spans: stretches of that axis. others: stretches of other axes, each of which is among
    `tests` too. key: tells queries apart that differ in more than `spans`; None: nothing but the spans matters.
    """

    axis: Axis | None
    descending: bool
    spans: Sequence[Span]
    others: Sequence[Span]
    tests: Sequence[Test]
    key: bytes | None
    sort_key: Callable[[HubSpotRow], Any] | None = None


class Index:
    """The search index of one object. Not for several threads at once."""

    def __init__(self, rows: Mapping[str, HubSpotRow], now: Callable[[], datetime], lag: Callable[[], timedelta]) -> None:
        self._rows = rows
        self._now = now
        self._lag = lag
        self._seen: dict[str, HubSpotRow] = {}
        self._known = -1  # how many rows there are, archived ones too: told apart from what somebody put into the world by hand
        self._orders: dict[Axis, SortedIndex] = {}
        self._waiting: deque[tuple[datetime, HubSpotRow]] = deque()
        self._answers: OrderedDict[tuple[Any, ...], SortedIndex] = OrderedDict()

    @contextmanager
    def changing(self, row: HubSpotRow) -> Iterator[None]:
        """Around every change of a record, its creation, its way into the bin and back."""
        self._catch_up()
        lag = self._lag()
        if lag and self._seen.get(row["id"]) is row:
            self._seen[row["id"]] = _copy(row)
        elif not lag:
            self._drop(row["id"])
            self._forget_waiting(row["id"])
        yield
        if row["archived"]:  # what is deleted is gone at once
            self.remove(row["id"])
        elif lag:
            self._waiting.append((self._now() + lag, _copy(row)))
        else:
            self._put(row)
        self._known = len(self._rows)

    def remove(self, record_id: str) -> None:
        """The record is found no more."""
        if self._known < 0:  # nobody has searched yet: what is there is taken in first, else it would pass for all there is
            self._catch_up()
        self._forget_waiting(record_id)
        self._drop(record_id)
        self._known = len(self._rows)

    def find(self, query: Query, start: int, limit: int) -> tuple[list[HubSpotRow], int]:
        """The page's records as the index has them, and how many match in all."""
        self._catch_up()
        matches = self._matches(query)
        places = matches.window()
        for span in query.spans:
            stretch = span.within(matches)
            places = range(max(places.start, stretch.start), min(places.stop, stretch.stop))
        ordered = places[::-1] if query.descending and query.axis is not None else places
        return self._records(matches, ordered[start : start + limit]), len(places)

    def _records(self, index: SortedIndex, places: range) -> list[HubSpotRow]:
        return [self._seen[str(record_id)] for record_id in index.ids(places)]

    # ── What the index holds ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _catch_up(self) -> None:
        """Takes in what has become visible; begins anew where records came or went behind its back."""
        if self._known != len(self._rows):
            self._seen = {record_id: row for record_id, row in self._rows.items() if not row["archived"]}
            self._orders.clear()
            self._answers.clear()
            self._waiting.clear()
            self._known = len(self._rows)
        now = self._now()
        while self._waiting and self._waiting[0][0] <= now:
            _, row = self._waiting.popleft()
            self._drop(row["id"])
            self._put(row)

    def _put(self, row: HubSpotRow) -> None:
        self._seen[row["id"]] = row
        self._answers.clear()
        for axis, order in self._orders.items():
            order.add(entry(axis, row))

    def _drop(self, record_id: str) -> None:
        row = self._seen.pop(record_id, None)
        if row is None:
            return
        self._answers.clear()
        for axis, order in list(self._orders.items()):
            if not order.remove(entry(axis, row)):
                del self._orders[axis]  # somebody changed the row by hand: the order is made anew

    def _forget_waiting(self, record_id: str) -> None:
        if self._waiting:
            self._waiting = deque((due, row) for due, row in self._waiting if row["id"] != record_id)

    # ── Finding ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _order(self, axis: Axis) -> SortedIndex:
        if axis not in self._orders:
            self._orders[axis] = SortedIndex(entry(axis, row) for row in self._seen.values())
        return self._orders[axis]

    def _matches(self, query: Query) -> SortedIndex:
        """All that match, in the order asked for, whatever the stretch of its axis."""
        if query.key is None and query.axis is not None:
            return self._order(query.axis)
        key = (query.axis, query.descending and query.axis is None, query.key)
        if key in self._answers:
            self._answers.move_to_end(key)
            return self._answers[key]
        found = [row for row in self._candidates(query.others) if all(test(row) for test in query.tests)]
        if query.axis is not None:
            axis = query.axis
            matches = SortedIndex(entry(axis, row) for row in found)
        else:
            matches = SortedIndex(enumerate(_ranked(found, query)))
        self._answers[key] = matches
        if len(self._answers) > _KEPT_ANSWERS:
            self._answers.popitem(last=False)
        return matches

    def _candidates(self, spans: Sequence[Span]) -> Iterable[HubSpotRow]:
        """The records of the shortest stretch, or all."""
        if not spans:
            return self._seen.values()
        shortest = min(spans, key=lambda span: len(span.within(self._order(span.axis))))
        order = self._order(shortest.axis)
        return self._records(order, shortest.within(order))


def _ranked(rows: list[HubSpotRow], query: Query) -> list[str]:
    """The ids of these rows in the order of the query's sort key; what has one key is in the order of the ids' numbers."""
    rows.sort(key=lambda row: int(row["id"]))
    if query.sort_key is not None:
        rows.sort(key=query.sort_key, reverse=query.descending)
    return [row["id"] for row in rows]


def _copy(row: HubSpotRow) -> HubSpotRow:
    return {**row, "properties": dict(row["properties"])}
