"""What is paused now, since when, and by whom."""

from __future__ import annotations

from typing import Any

from connector.model import Deed
from connector.store import acts, pauses
from connector.store.database import Store


def paused_now(store: Store) -> list[dict[str, Any]]:
    """The oldest first: scope, name, since (UTC), by (None where nobody noted it: a pause from before acts were kept)."""
    standing = pauses.list_pauses(store)
    with store.read() as connection:
        paused = acts.last_of(connection, Deed.PAUSED, [(row.scope, row.name) for row in standing])
    return [{"scope": row.scope, "name": row.name, "since": row.since, "by": paused.get((row.scope, row.name))} for row in standing]
