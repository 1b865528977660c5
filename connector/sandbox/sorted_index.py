"""A sorted index: ids in the order of one of their records' values, so that a window of many records is found without looking at each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

#: A value and the id of the record that has it. Values compare with one another, and so do ids.
Entry = tuple[Any, Any]

_value_of = itemgetter(0)


class SortedIndex:
    """Entries in the order of (value, id). Places are positions in that order, from 0."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = sorted(entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Puts one more entry in its place."""
        insort(self._entries, entry)

    def remove(self, entry: Entry) -> bool:
        """Takes an entry out. False where it is not there: somebody changed the record behind the index's back."""
        place = bisect_left(self._entries, entry)
        if place == len(self._entries) or self._entries[place] != entry:
            return False
        del self._entries[place]
        return True

    def window(self, low: Any = None, high: Any = None, *, low_open: bool = False, high_open: bool = False) -> range:
        """The places of the values between two bounds; None: no bound, open: the bound itself is left out."""
        start = 0 if low is None else (bisect_right if low_open else bisect_left)(self._entries, low, key=_value_of)
        stop = len(self._entries) if high is None else (bisect_left if high_open else bisect_right)(self._entries, high, key=_value_of)
        return range(start, max(start, stop))

    def ids(self, places: range) -> Iterator[Any]:
        """The ids at these places, one after the other."""
        entries = self._entries
        return (entries[place][1] for place in places)
