"""Where the two chains of a first read stand, and when they have met. Threads share it; it sends nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Lock
from typing import Any

from connector.model import Cursor

#: How many of the search chain's lowest ids are remembered: more than the list chain can run on before it sees one of them.
_REMEMBERED = 2000


class ChainMeeting:
    """The state of both chains. Ids are numbers; a *quiet* record is one that the changes afterwards will not bring.

    high: the highest id that the list chain has read. below: the lowest that the search chain has yielded. over: the list chain has ended.
    single: the search chain does not count, and the list goes on to its end. total: how many records there are, where known.
    """

    def __init__(self, cursor: Cursor) -> None:
        top: Mapping[str, Any] | None = cursor.get("top")
        self.single = top is None
        self.over = False
        self.total: int | None = None
        self.high = int(cursor.get("high") or 0)
        self.below: int | None = None if top is None else top.get("below")
        #: Where a search chain that goes on begins: it sees again what it needs to remember.
        self.resume_from: int | None = None if top is None else top.get("from")
        self._seen = 0 if top is None else int(top.get("seen", 0))
        self._remembered: deque[tuple[int, bool]] = deque()
        self._shown: dict[int, bool] = {}
        self._shown_seen = self._seen
        self._recalled = Event()
        self._begun = Event()
        self._lock = Lock()

    # ── The search chain ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def came_down(self, read: Sequence[tuple[int, bool]]) -> dict[str, Any]:
        """The search chain read these ids (and whether each is quiet), downwards; what a cursor says of it once they are stored."""
        self._remembered.extend(read)
        while len(self._remembered) > _REMEMBERED:
            self._seen += self._remembered.popleft()[1]
        if not self._remembered:
            return {}
        return {"top": {"from": self._remembered[0][0], "below": self._remembered[-1][0], "seen": self._seen}}

    def show(self) -> None:
        """What came down is on its way to be stored: from now on the list chain may stop at it."""
        with self._lock:
            self._shown = dict(self._remembered)
            self._shown_seen = self._seen
            self.below = self._remembered[-1][0] if self._remembered else self.below

    def recalled(self) -> None:
        """A search chain that goes on remembers again what it had seen last (or never will)."""
        self._recalled.set()

    def give_up(self) -> None:
        """The search chain, or an order, turned out to be not what it must be."""
        self.single = True

    def wait_for_list(self) -> None:
        """Returns when the list chain has read its first page, or has ended."""
        self._begun.wait()

    # ── The list chain ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def begun(self) -> None:
        """The list chain has read its first page, or has ended."""
        self._begun.set()

    def came_up(self, ids: Sequence[int | None], count_quiet_above: Callable[[int], int]) -> bool:
        """The list chain read these ids, upwards: whether it has met the search chain, so that nothing is missing.

        It has where it saw an id that the search chain had seen, and where no more quiet records lie above its place than the search
        chain brought from there (`count_quiet_above` asks); else the list goes on, in the second case to its end.
        """
        numbers = [number for number in ids if number is not None]
        if self.single or not numbers:
            return False
        if numbers != sorted(set(numbers)) or numbers[0] <= self.high:  # no order, no meeting
            self.give_up()
            return False
        self.high = numbers[-1]
        if self.below is None or self.high < self.below:
            return False
        self._recalled.wait()
        with self._lock:
            met = any(number in self._shown for number in numbers)
            brought = self._shown_seen + sum(quiet for number, quiet in self._shown.items() if number > self.high)
        if not met or self.single:
            return False
        if count_quiet_above(self.high) > brought:
            self.give_up()
            return False
        return True
