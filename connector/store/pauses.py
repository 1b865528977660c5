"""The kill switch: what is paused, for every process at once. Scopes: "all", "crm", "job", "rule"; the name within it ("" for all)."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, delete, or_, select
from sqlmodel import Session
from sqlmodel import select as select_rows

from connector.model import UNNAMED, Actor, Deed
from connector.store import acts
from connector.store.bulk import plain, upsert
from connector.store.database import Store
from connector.store.tables import Pause, to_micros

_PAUSE = plain("pause")
Scope = Literal["all", "crm", "job", "rule"]


def pause(store: Store, scope: Scope = "all", name: str = "", *, now: datetime, by: Actor = UNNAMED) -> bool:
    """Pauses, and notes who did; True where it was not paused before (whose moment stays)."""
    _check(scope, name)

    def work(connection: Connection) -> bool:
        if connection.scalar(select(_PAUSE.c.since).where(_PAUSE.c.scope == scope, _PAUSE.c.name == name)) is not None:
            return False
        upsert(connection, _PAUSE, [{"scope": scope, "name": name, "since": to_micros(now)}], keys=("scope", "name"))
        acts.note(connection, Deed.PAUSED, scope, name, by, now)
        return True

    return store.write(work)


def resume(store: Store, scope: Scope = "all", name: str = "", *, now: datetime, by: Actor = UNNAMED) -> bool:
    """Ends one pause, and notes who did; True where there was one. Resuming all does not end the pause of one rule: that was somebody's
    own decision."""
    _check(scope, name)

    def work(connection: Connection) -> bool:
        if connection.execute(delete(_PAUSE).where(_PAUSE.c.scope == scope, _PAUSE.c.name == name)).rowcount == 0:
            return False
        acts.note(connection, Deed.RESUMED, scope, name, by, now)
        return True

    return store.write(work)


def is_paused(store: Store, scope: Scope = "all", name: str = "") -> bool:
    """Whether this is paused, by itself or since everything is."""
    with store.read() as connection:
        which = or_(_PAUSE.c.scope == "all", (_PAUSE.c.scope == scope) & (_PAUSE.c.name == name))
        return connection.scalar(select(_PAUSE.c.scope).where(which).limit(1)) is not None


def list_pauses(store: Store) -> list[Pause]:
    """All that is paused, the oldest first."""
    with store.read() as connection, Session(bind=connection) as session:
        columns = Pause.metadata.tables["pause"].c
        return list(session.exec(select_rows(Pause).order_by(columns.since, columns.scope, columns.name)))


def _check(scope: Scope, name: str) -> None:
    if (scope == "all") != (name == ""):
        raise ValueError("all is paused without a name, a CRM, a job or a rule by its name")
