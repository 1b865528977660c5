"""Threads held at known places, so that no test has to sleep until they are surely there."""

from __future__ import annotations

from threading import Event, Lock
from types import TracebackType


class CountedLock:
    """A lock that tells when so many threads have come to it, whether they hold it or wait for it."""

    def __init__(self, expected: int) -> None:
        self.all_there = Event()
        self._expected = expected
        self._counting = Lock()
        self._lock = Lock()

    def __enter__(self) -> None:
        with self._counting:
            self._expected -= 1
            if self._expected == 0:
                self.all_there.set()
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()
