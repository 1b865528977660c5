"""How the CRM in memory is made to misbehave: what it is told happens to the next calls that it concerns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from connector.adapters.memory.account import MemoryHolding
from connector.errors import CrmError

#: The calls that can be told to fail.
Call = Literal[
    "pull", "read", "update", "create_tasks", "find_tasks", "read_tasks", "removals", "fates", "count", "refill", "relink", "activities_of",
    "schema", "how_many", "bring", "history",
]  # fmt: skip


@dataclass(slots=True)
class _Fault:
    """error: what the call raises; done: after it took effect, else before."""

    error: CrmError
    done: bool


@dataclass(kw_only=True)
class MemoryFaults(MemoryHolding):
    """What goes wrong, call by call. requests: how many calls of each kind there were."""

    requests: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._forgotten: set[str] = set()
        self._refused: dict[str, tuple[str, str]] = {}
        self._busy: Counter[str] = Counter()
        self._ignored: set[str] = set()
        self._lost = 0
        self._faults: dict[Call, list[_Fault]] = {}
        self._between: list[tuple[Call, Callable[[], object]]] = []

    def refuse(self, record_id: str, message: str, *, code: str = "VALIDATION", times: int | None = None) -> None:
        """Writes to this record are refused for good. times=0 takes it back."""
        if times == 0:
            self._refused.pop(record_id, None)
        else:
            self._refused[record_id] = (code, message)

    def busy(self, record_id: str, times: int) -> None:
        """The next so many writes to this record are not taken now (a lock)."""
        self._busy[record_id] = times

    def ignore(self, record_id: str) -> None:
        """Writes to this record are answered with success and not done (a workflow takes them back)."""
        self._ignored.add(record_id)

    def lose_answers(self, calls: int) -> None:
        """The next so many write calls take effect and answer `unknown` for every row."""
        self._lost = calls

    def fail(self, call: Call, error: CrmError, *, done: bool = False, times: int = 1) -> None:
        """The next so many such calls raise; done: after they took effect."""
        self._faults.setdefault(call, []).extend(_Fault(error, done) for _ in range(times))

    def forget_removals(self, object_name: str) -> None:
        """It does not remember any more what of this object was removed when a cursor was given out."""
        self._forgotten.add(object_name)

    def between(self, call: Call, deed: Callable[[], object]) -> None:
        """Does something right after the next such call: `between("read", …)` is an edit between read and write."""
        self._between.append((call, deed))

    def _begin(self, call: Call) -> None:
        with self._lock:
            self.requests[call] += 1
        faults = self._faults.get(call, [])
        if faults and not faults[0].done:
            raise faults.pop(0).error

    def _end(self, call: Call) -> None:
        due = next((place for place, (name, _) in enumerate(self._between) if name == call), None)
        if due is not None:
            self._between.pop(due)[1]()
        faults = self._faults.get(call, [])
        if faults:
            raise faults.pop(0).error
