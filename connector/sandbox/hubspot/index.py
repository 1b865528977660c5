"""What search sees: each record in the version that the index has, and the records' orders by id and by date.

The index may lag: a write becomes visible when its time has come, and until then the record is found, and shown, as it was. Orders are
sorted lists, so that windows, their totals and pages in them cost little however many records there are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from connector.sandbox.state import HubSpotRow

Axis = Literal["id", "id as text", "modified", "created"]
Test = Callable[[HubSpotRow], bool]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ID_BITS = 64
_ID_MASK = (1 << _ID_BITS) - 1
_KEPT_ANSWERS = 12


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


_VALUES: Mapping[Axis, Callable[[HubSpotRow], int]] = {
    "id": lambda row: int(row["id"]),
    "modified": lambda row: microseconds(row["updatedAt"]),
    "created": lambda row: microseconds(row["createdAt"]),
}


def entry(axis: Axis, row: HubSpotRow) -> Any:
    """A record's place in an order: for numbers and moments one integer of value and id, for text the id itself."""
    return row["id"] if axis == "id as text" else _VALUES[axis](row) << _ID_BITS | int(row["id"])


def id_of(found: Any) -> str:
    """The id of an entry."""
    return found if isinstance(found, str) else str(found & _ID_MASK)


@dataclass(frozen=True)
class Span:
    """A filter as a stretch of an axis. Bounds are numbers, microseconds or (of the id as text) texts; None: no bound."""

    axis: Axis
    low: Any = None
    high: Any = None
    low_open: bool = False
    high_open: bool = False

    def within(self, order: Sequence[Any]) -> tuple[int, int]:
        """From where to where in an order of this axis."""
        start = 0 if self.low is None else self._place(order, self.low, beyond=self.low_open)
        end = len(order) if self.high is None else self._place(order, self.high, beyond=not self.high_open)
        return start, max(start, end)

    def _place(self, order: Sequence[Any], bound: Any, *, beyond: bool) -> int:
        if self.axis == "id as text":
            return (bisect_right if beyond else bisect_left)(order, bound)
        return bisect_left(order, bound + (1 if beyond else 0) << _ID_BITS)


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
    """One object's. Not for several threads at once."""

    def __init__(self, rows: Mapping[str, HubSpotRow], now: Callable[[], datetime], lag: Callable[[], timedelta]) -> None:
        self._rows = rows
        self._now = now
        self._lag = lag
        self._seen: dict[str, HubSpotRow] = {}
        self._known = -1  # how many rows there are, archived ones too: told apart from what somebody put into the world by hand
        self._orders: dict[Axis, list[Any]] = {}
        self._waiting: deque[tuple[datetime, HubSpotRow]] = deque()
        self._answers: OrderedDict[tuple[Any, ...], Sequence[Any]] = OrderedDict()

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
        base = self._base(query)
        first, last = 0, len(base)
        for span in query.spans:
            begin, end = span.within(base)
            first, last = max(first, begin), min(last, end)
        total = max(0, last - first)
        if query.descending and query.axis is not None:
            page: Sequence[Any] = base[max(first, last - start - limit) : max(first, last - start)][::-1]
        else:
            page = base[min(first + start, last) : min(first + start + limit, last)] if total else []
        return [self._seen[id_of(each)] for each in page], total

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
            insort(order, entry(axis, row))

    def _drop(self, record_id: str) -> None:
        row = self._seen.pop(record_id, None)
        if row is None:
            return
        self._answers.clear()
        for axis, order in list(self._orders.items()):
            wanted = entry(axis, row)
            at = bisect_left(order, wanted)
            if at < len(order) and order[at] == wanted:
                del order[at]
            else:
                del self._orders[axis]  # somebody changed the row by hand: the order is made anew

    def _forget_waiting(self, record_id: str) -> None:
        if self._waiting:
            self._waiting = deque(each for each in self._waiting if each[1]["id"] != record_id)

    # ── Finding ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _order(self, axis: Axis) -> list[Any]:
        if axis not in self._orders:
            self._orders[axis] = sorted(entry(axis, row) for row in self._seen.values())
        return self._orders[axis]

    def _base(self, query: Query) -> Sequence[Any]:
        """All that match, in the order asked for, whatever the stretch of its axis."""
        if query.key is None and query.axis is not None:
            return self._order(query.axis)
        key = (query.axis, query.descending and query.axis is None, query.key)
        if key in self._answers:
            self._answers.move_to_end(key)
            return self._answers[key]
        found = [row for row in self._candidates(query.others) if all(test(row) for test in query.tests)]
        base: Sequence[Any]
        if query.axis is not None:
            axis = query.axis
            base = sorted(entry(axis, row) for row in found)
        else:
            found.sort(key=lambda row: int(row["id"]))
            if query.sort_key is not None:
                found.sort(key=query.sort_key, reverse=query.descending)
            base = [row["id"] for row in found]
        self._answers[key] = base
        if len(self._answers) > _KEPT_ANSWERS:
            self._answers.popitem(last=False)
        return base

    def _candidates(self, spans: Sequence[Span]) -> Iterable[HubSpotRow]:
        """The records of the shortest stretch, or all."""
        stretches = []
        for span in spans:
            order = self._order(span.axis)
            start, end = span.within(order)
            stretches.append((end - start, start, order))
        if not stretches:
            return self._seen.values()
        length, start, order = min(stretches, key=lambda each: each[0])
        return (self._seen[id_of(each)] for each in order[start : start + length])


def _copy(row: HubSpotRow) -> HubSpotRow:
    return {**row, "properties": dict(row["properties"])}
