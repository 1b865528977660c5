"""[retention] and scope.keep_activities: what is past leaves the database in slices, and no figure changes.

Touches are kept when the activities that they were made of go. A run of activities that are one touch goes as a whole, or not yet.
Stopped between two slices, the next run goes on where this one ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection

from connector.config.tables import Config
from connector.store import retention, runs
from connector.store.database import Store
from connector.store.ledger import BACKLOG
from connector.store.mirror import privacy_forget
from connector.store.retention import RetentionSlice
from connector.workflows import touches

#: Where a slice ended: JSON that the step of its kind alone understands; None at the beginning.
Position = Any
#: One slice from a position on.
Step = Callable[[Position], RetentionSlice]


@dataclass(frozen=True, slots=True, kw_only=True)
class LetGo:
    """How many rows went. complete: False where it was stopped before the end."""

    versions: int = 0
    ledger: int = 0
    plans: int = 0
    activities: int = 0
    complete: bool = True

    @property
    def total(self) -> int:
        """All rows together."""
        return self.versions + self.ledger + self.plans + self.activities


def let_go(store: Store, config: Config, *, now: datetime, stopped: Callable[[], bool] = lambda: False) -> LetGo:
    """Lets go of all that is older than the file keeps; also finishes privacy deletions whose traces could not be looked for at once."""
    privacy_forget.finish(store)
    dropped: dict[str, int] = {}
    for name, step in _steps(store, config, now).items():
        if stopped() or not _walk(store, name, step, stopped, dropped):
            return _result(dropped, complete=False)
    return _result(dropped, complete=True)


def _steps(store: Store, config: Config, now: datetime) -> dict[str, Step]:
    kept = config.retention
    steps: dict[str, Step] = {}
    if kept.versions is not None:
        before_then = now - kept.versions.elapsed
        steps["versions"] = partial(retention.drop_versions, store, before_then)
        steps["versions of activities"] = partial(retention.drop_versions, store, before_then, table="activity_version")
        steps["versions of deals"] = partial(retention.drop_versions, store, before_then, table="deal_version")
        steps["versions of links"] = partial(retention.drop_link_changes, store, before_then)
    if kept.ledger is not None:
        before = now - max(kept.ledger.elapsed, config.guard.window.elapsed, BACKLOG)  # guard rails and waiting tasks look back so far
        steps["ledger"] = partial(retention.drop_ledger, store, before)
    if kept.plans is not None:
        steps["plans"] = partial(retention.drop_plans, store, now - max(kept.plans.elapsed, BACKLOG))
    since = None if config.scope.keep_activities is None else now - config.scope.keep_activities.elapsed
    retention.keep_since(store, since)
    if since is not None:
        steps["activities"] = partial(_activities, store, config, since)
        steps["activities about nobody"] = partial(retention.drop_unlinked, store, since)
    return steps


def _walk(store: Store, name: str, step: Step, stopped: Callable[[], bool], dropped: dict[str, int]) -> bool:
    """Goes through one kind from where the last run was stopped; whether it came to the end."""
    place = f"retention:{name}"
    known = runs.get_meta(store, place)
    after = None if known is None else orjson.loads(known)
    while True:
        done = step(after)
        dropped[name] = dropped.get(name, 0) + done.dropped
        after = done.after
        if after is None:
            if known is not None:
                runs.set_meta(store, place, None)
            return True
        if stopped():
            runs.set_meta(store, place, orjson.dumps(after).decode())
            return False


def _activities(store: Store, config: Config, since: datetime, after: int | None) -> RetentionSlice:
    """The next contacts' old activities: their touches are kept first, in the same transaction."""
    contacts = retention.contacts_with_old(store, since, after)
    if not contacts:
        return RetentionSlice(0, None)

    def work(connection: Connection) -> int:
        held = touches.keep(connection, contacts, config.sales_members, since)
        return retention.drop_activities(connection, contacts, since, held)

    return RetentionSlice(store.write(work), contacts[-1])


def _result(dropped: dict[str, int], *, complete: bool) -> LetGo:
    return LetGo(
        versions=sum(count for name, count in dropped.items() if name.startswith("versions")),
        ledger=dropped.get("ledger", 0),
        plans=dropped.get("plans", 0),
        activities=dropped.get("activities", 0) + dropped.get("activities about nobody", 0),
        complete=complete,
    )
