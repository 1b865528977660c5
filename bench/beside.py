"""Pages that are committed beside whatever is measured, and how long the longest had to wait."""

from __future__ import annotations

import threading
import time
from itertools import count
from types import TracebackType
from typing import Self

import world
from world import NOW, Wanted

from connector.store.database import Store
from connector.store.mirror import pages

#: Seconds from one page to the next, and how many are committed alone before, to know what they cost.
_PAUSE = 0.1
_ALONE = 10
#: So that no two processes of a bench make the same company.
_numbers = count(int(time.time() * 10) % 1_000_000)


class PagesBeside:
    """Commits a page of a hundred new companies every tenth of a second, in a thread of this process, while the `with` block runs.

    longest: seconds that a page waited for its turn and its commit, at most. cost: processor time, in seconds, that all of them took:
    as many times what one took while nothing else ran.
    """

    def __init__(self, store: Store, wanted: Wanted) -> None:
        self._store, self._wanted = store, wanted
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pages-beside")
        self._waits: list[float] = []
        self._each = 0.0

    def __enter__(self) -> Self:
        for _ in range(_ALONE):
            self._commit()
        began = time.process_time()
        for _ in range(_ALONE):
            self._commit()
        self._each = (time.process_time() - began) / _ALONE
        self._waits.clear()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    @property
    def longest(self) -> float:
        """In seconds; raises ValueError where no page came beside at all."""
        return max(self._waits)

    @property
    def cost(self) -> float:
        """Seconds of processor time."""
        return self._each * len(self._waits)

    def _run(self) -> None:
        while True:
            self._waits.append(self._commit())
            if self._over.wait(_PAUSE):
                return

    def _commit(self) -> float:
        page = world.strangers(next(_numbers), self._wanted)
        began = time.perf_counter()
        pages.commit_page(self._store, page, now=NOW)
        return time.perf_counter() - began
