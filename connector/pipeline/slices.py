"""How many rows a slice takes: as many as the writer does in a fraction of a second, so that a page of a pull never waits long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from connector.store.database import Store

T = TypeVar("T")

#: Seconds that a slice is to take before it is committed; the commit comes on top.
SLICE_SECONDS = 0.15
#: Rows that a slice has at most, however fast they go.
MOST = 5_000
#: Rows that a slice has at least, however slow: what each costs beside its rows would be more than they do.
LEAST = 250
#: How much larger than the one before a slice may be: the one before may have been an easy one.
_GROWTH = 2.0


class Slices:
    """Runs slices as transactions of their own, each as large as the time that the one before took allows.

    first: rows of the first one. monotonic: gives seconds.
    """

    def __init__(self, store: Store, first: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self.size = first

    def run(self, work: Callable[[Connection, int], T]) -> T:
        """What the next slice returns. work: takes at most so many rows."""
        size = self.size

        def timed(connection: Connection) -> tuple[T, float]:
            start = self._monotonic()  # in the transaction: the wait for the writer's turn is not the slice's
            return work(connection, size), self._monotonic() - start

        result, seconds = self._store.write(timed)
        wanted = int(size * min(_GROWTH, SLICE_SECONDS / max(seconds, 1e-6)))
        self.size = min(max(wanted, min(LEAST, size)), MOST)
        return result
