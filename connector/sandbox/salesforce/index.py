"""Indexes over Salesforce's tables, and which of them serves a query.

Rows are plain dicts that anybody may change; before each use an index compares its column with the table's and mends itself, which costs
some milliseconds for a hundred thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter, ne
from typing import Any

from connector.sandbox.salesforce.errors import RowRefused
from connector.sandbox.salesforce.schema import Rows, long_id
from connector.sandbox.salesforce.soql import Combination, Comparison, Condition, Query
from connector.sandbox.sorted_index import Entry, SortedIndex

Row = dict[str, Any]
Bounds = tuple[Any, Any]

#: The columns that have an index; the first whose bounds are narrow is used.
COLUMNS = ("Id", "SystemModstamp", "LastModifiedDate", "CreatedDate")
#: More differences than this are sorted anew.
_FEW = 2000


class SortedColumn:
    """A table's rows in the order of (column, Id)."""

    def __init__(self, table: dict[str, Row], column: str) -> None:
        self._table = table
        self._column = column
        self._ids: list[str] = []
        self._values: list[Any] = []
        self._index = SortedIndex()

    def between(self, low: Any, high: Any) -> Iterator[Row]:
        """The rows whose column lies there, bounds included, None meaning none; in order. Rows without a value are left out."""
        self._mend()
        table = self._table
        return (table[row_id] for row_id in self._index.ids(self._index.window(low, high)))

    def _mend(self) -> None:
        """Takes in what changed in the table since."""
        ids, values = list(self._table), self._read()
        if values == self._values and ids == self._ids:
            return
        known = len(self._ids)
        grown = len(ids) >= known and ids[:known] == self._ids and len(ids) - known <= _FEW
        if grown and self._move(values[:known]):
            for entry in _entries(values[known:], ids[known:]):
                self._index.add(entry)
        else:
            self._index = SortedIndex(_entries(values, ids))
        self._ids, self._values = ids, values

    def _read(self) -> list[Any]:
        rows = self._table.values()
        try:
            return list(map(itemgetter(self._column), rows))
        except KeyError:  # a row that somebody put without it
            return [row.get(self._column) for row in rows]

    def _move(self, values: list[Any]) -> bool:
        """Takes changed values to their new places; False where they are many."""
        changed = [at for at, differs in enumerate(map(ne, self._values, values)) if differs]
        if len(changed) > _FEW:
            return False
        for at in changed:
            row_id, before, after = self._ids[at], self._values[at], values[at]
            if before is not None:
                self._index.remove((before, row_id))
            if after is not None:
                self._index.add((after, row_id))
        return True


def _entries(values: Sequence[Any], ids: Sequence[str]) -> Iterator[Entry]:
    return ((value, row_id) for value, row_id in zip(values, ids, strict=True) if value is not None)


class Indexes:
    """The indexes of all tables, made when first asked for."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._made: dict[tuple[str, str], SortedColumn] = {}

    def of(self, object_name: str, column: str) -> SortedColumn:
        """The index of this column."""
        table = self._rows[object_name]
        index = self._made.get((object_name, column))
        if index is None:
            index = self._made[object_name, column] = SortedColumn(table, column)
        return index

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
        return _bounds_of_comparison(condition, column)
    if condition.how == "not":
        return None, None
    return _joined(condition, column)


def _joined(condition: Combination, column: str) -> Bounds:
    parts = [bounds(part, column) for part in condition.parts]
    lows, highs = [low for low, _ in parts if low is not None], [high for _, high in parts if high is not None]
    if condition.how == "and":
        return max(lows, default=None), min(highs, default=None)
    return min(lows) if len(lows) == len(parts) else None, max(highs) if len(highs) == len(parts) else None


def _bounds_of_comparison(comparison: Comparison, column: str) -> Bounds:
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
    if comparison.subquery is not None or any(literal.kind != wanted or not literal.value for literal in comparison.values):
        return
    for literal in comparison.values:
        try:
            yield long_id(literal.value) if column == "Id" else literal.value
        except RowRefused:
            return  # the check of the query has said so already
