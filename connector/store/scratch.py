"""A store whose writes are all taken back: for looking at what would be. It offers what a `Store` offers to those who judge and plan.

One transaction from beginning to end, so nobody else sees a thing; in SQLite other writers wait as long as it is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

from sqlalchemy import Connection

from connector.store.database import Dialect, Store

T = TypeVar("T")


class ScratchStore(Store):
    """A store inside one transaction of another; made by `scratch`."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:  # the engines are the other store's
        self.dialect = dialect
        self._connection = connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` inside the transaction; what fails takes back its own writes alone."""
        with self._connection.begin_nested():
            return work(self._connection)

    @contextmanager
    def read(self, *, time_limit: float | None = None) -> Iterator[Connection]:  # noqa: ARG002 - the store's signature
        """The same connection: it sees what was written in here."""
        yield self._connection

    def close(self) -> None:
        """Nothing of its own to give back."""


class _TakenBack(Exception):
    """Ends the transaction without keeping it; bears what was found in it."""

    def __init__(self, result: object) -> None:
        super().__init__()
        self.result = result


def in_scratch(store: Store, work: Callable[[Store], T]) -> T:
    """What `work` returns on a scratch copy of the store's state; everything it wrote is taken back."""

    def inside(connection: Connection) -> None:
        raise _TakenBack(work(ScratchStore(connection, store.dialect)))

    try:
        store.write(inside)
    except _TakenBack as end:
        return cast(T, end.result)
    raise AssertionError("a scratch store was kept")
