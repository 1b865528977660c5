"""The context of a pass, and of every job like it: configuration, store, CRMs, clock, and who receives its progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from connector.adapters.port import Crm
from connector.config.tables import Config
from connector.model import UNNAMED, Actor, CrmName
from connector.store.database import Store

Step = Literal["backfill", "removals", "compare", "unify", "evaluate", "write back"]


class Progress(Protocol):
    """The receiver of a pass's progress. Called from several threads at once; `total` is None where nobody knows."""

    def pulled(self, crm: CrmName, stream: str, seen: int, total: int | None) -> None:
        """Another page of a stream is stored. seen counts from the stream's beginning, earlier passes that were broken off included.

        With a stream's last page, total is what was seen.
        """
        ...

    def step(self, name: Step, done: int, total: int | None) -> None:
        """A step went on."""
        ...


class Unwatched:
    """A receiver that does nothing."""

    def pulled(self, crm: CrmName, stream: str, seen: int, total: int | None) -> None:
        """Nothing."""

    def step(self, name: Step, done: int, total: int | None) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassContext:
    """The context of a pass. now: the clock (aware). stopped: asked between pages, slices and batches; True ends the pass in good order.

    holder: who this process is, for leases; actor: who started it. judging: entered for unifying, judging and writing back, which one at a
    time does; pulling needs no such turn. May raise `LeaseLost`.
    """

    config: Config
    store: Store
    crms: Mapping[CrmName, Crm]
    now: Callable[[], datetime]
    holder: str
    stopped: Callable[[], bool] = lambda: False
    progress: Progress = field(default_factory=Unwatched)
    judging: Callable[[], AbstractContextManager[None]] = nullcontext
    actor: Actor = UNNAMED
