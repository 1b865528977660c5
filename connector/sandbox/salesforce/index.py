"""Sorted indexes over the world's tables, so that a window of a large one is found without looking at every row.

Rows are plain dicts that anybody may change; before each use an index compares its column with the table's and mends itself, which costs
some milliseconds for a hundred thousand rows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from operator import itemgetter, ne
from typing import Any

from connector.sandbox.salesforce.errors import RowRefused
from connector.sandbox.salesforce.schema import Rows, long_id
from connector.sandbox.salesforce.soql import Combination, Comparison, Condition, Query

Row = dict[str, Any]
Bounds = tuple[Any, Any]

#: The columns that have an index; the first whose bounds are narrow is used.
COLUMNS = ("Id", "SystemModstamp", "LastModifiedDate", "CreatedDate")
_HIGHEST = "\uffff"
#: More differences than this are sorted anew.
_FEW = 2000


class SortedRows:
    """A table's ids in the order of (column, Id)."""

    def __init__(self, table: dict[str, Row], column: str) -> None:
        self._table = table
        self._column = column
        self._ids: list[str] = []
        self._held: list[Any] = []
        self._order: list[tuple[Any, str]] = []

    def between(self, low: Any, high: Any) -> Iterator[Row]:
        """The rows whose column lies there, bounds included, None meaning none; in order. Rows without a value are left out."""
        self._mend()
        start = 0 if low is None else bisect_left(self._order, (low, ""))
        end = len(self._order) if high is None else bisect_right(self._order, (high, _HIGHEST))
        table, order = self._table, self._order
        return (table[order[at][1]] for at in range(start, end))

    def _mend(self) -> None:
        ids, held = list(self._table), self._values()
        if held == self._held and ids == self._ids:
            return
        known = len(self._ids)
        if len(ids) - known > _FEW or len(ids) < known or ids[:known] != self._ids or not self._move(held[:known]):
            self._order = sorted((value, row_id) for value, row_id in zip(held, ids, strict=True) if value is not None)
        else:
            for value, row_id in zip(held[known:], ids[known:], strict=True):
                if value is not None:
                    insort(self._order, (value, row_id))
        self._ids, self._held = ids, held

    def _values(self) -> list[Any]:
        rows = self._table.values()
        try:
            return list(map(itemgetter(self._column), rows))
        except KeyError:  # a row that somebody put without it
            return [row.get(self._column) for row in rows]

    def _move(self, held: list[Any]) -> bool:
        """Takes changed values to their new places; False where they are many."""
        changed = [at for at, differs in enumerate(map(ne, self._held, held)) if differs]
        if len(changed) > _FEW:
            return False
        for at in changed:
            row_id, before = self._ids[at], self._held[at]
            if before is not None:
                del self._order[bisect_left(self._order, (before, row_id))]
            if held[at] is not None:
                insort(self._order, (held[at], row_id))
        return True


class Indexes:
    """The indexes of all tables, made when first asked for."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._made: dict[tuple[str, str], SortedRows] = {}

    def of(self, object_name: str, column: str) -> SortedRows:
        """The index of this column."""
        table = self._rows[object_name]
        found = self._made.get((object_name, column))
        if found is None:
            found = self._made[object_name, column] = SortedRows(table, column)
        return found

    def candidates(self, object_name: str, query: Query) -> tuple[Iterable[Row], bool]:
        """Rows among which are all that the query finds, and whether they come in the order it wants."""
        for column in COLUMNS:
            low, high = (None, None) if query.where is None else bounds(query.where, column)
            if column == "Id" and low is not None and low == high:
                row = self._rows[object_name].get(low)
                return ([] if row is None else [row]), True
            ordered = _ordered_by(query, column)
            if ordered or low is not None or high is not None:
                return self.of(object_name, column).between(low, high), ordered
        return self._rows[object_name].values(), not query.order


def _ordered_by(query: Query, column: str) -> bool:
    wanted = [column.lower()] if column == "Id" else [column.lower(), "id"]
    given = [order.path.parts[-1].lower() for order in query.order]
    plain = all(len(order.path.parts) == 1 and not order.descending for order in query.order)
    return plain and bool(given) and given == wanted[: len(given)]


def bounds(condition: Condition, column: str) -> Bounds:
    """The least and the greatest value that the column can have where the condition holds, as far as it tells; None: any."""
    if isinstance(condition, Comparison):
        return _bounds_of_one(condition, column)
    if condition.how == "not":
        return None, None
    return _joined(condition, column)


def _joined(condition: Combination, column: str) -> Bounds:
    each = [bounds(part, column) for part in condition.parts]
    lows, highs = [low for low, _ in each if low is not None], [high for _, high in each if high is not None]
    if condition.how == "and":
        return max(lows, default=None), min(highs, default=None)
    return min(lows) if len(lows) == len(each) else None, max(highs) if len(highs) == len(each) else None


def _bounds_of_one(comparison: Comparison, column: str) -> Bounds:
    fits = len(comparison.path.parts) == 1 and comparison.path.parts[0].lower() == column.lower()
    values = list(_values(comparison, column)) if fits else []
    if not values:
        return None, None
    if comparison.operator in ("=", "in"):
        return min(values), max(values)
    if comparison.operator in (">", ">="):
        return values[0], None
    if comparison.operator in ("<", "<="):
        return None, values[0]
    return None, None


def _values(comparison: Comparison, column: str) -> Iterator[Any]:
    """The literals as the column holds them; nothing at all where one of them is of another kind."""
    wanted = "string" if column == "Id" else "datetime"
    if comparison.subquery is not None or any(one.kind != wanted or not one.value for one in comparison.values):
        return
    for one in comparison.values:
        try:
            yield long_id(one.value) if column == "Id" else one.value
        except RowRefused:
            return  # the check of the query has said so already
