"""Where each stream's pull stands. A cursor moves in the transaction of the page that it belongs to.

Other reads that have to find their place again (removals, a comparison, a refill) keep theirs beside them, under a name with a colon:
"removals:contacts", "reconcile:contacts".
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import orjson
from sqlalchemy import Connection, bindparam, delete, select, update
from sqlmodel import Session
from sqlmodel import select as select_rows

from connector.errors import SafetyStop
from connector.model import CrmName, Cursor, Page
from connector.store.bulk import plain, put
from connector.store.database import Store
from connector.store.tables import CursorRow, to_micros

_CURSOR = plain("cursor")
_STREAMS = _CURSOR.c.object.not_like("%:%")
# Made once, since it runs for every page.
_PLACE = select(_CURSOR.c.seen, _CURSOR.c.last_seen, _CURSOR.c.complete, _CURSOR.c.whole_at).where(
    _CURSOR.c.crm == bindparam("of_crm"), _CURSOR.c.object == bindparam("of_object")
)
_KEYS = ("crm", "object")
_MOVED = (*_KEYS, "state", "complete", "seen", "updated_at")


def get_cursor(store: Store, crm: CrmName, object_name: str) -> Cursor | None:
    """Where the stream's pull stands; None: from the beginning."""
    with store.read() as connection:
        text = connection.scalar(select(_CURSOR.c.state).where(_CURSOR.c.crm == crm, _CURSOR.c.object == object_name))
    state: Cursor | None = None if text is None else orjson.loads(text)
    return state or None


def reset_cursors(store: Store, crm: CrmName | None = None) -> None:
    """The next pull reads everything again (of one CRM, or of all). What is stored stays; the shrink check still knows the last read."""
    statement = update(_CURSOR).values(state="{}", seen=0).where(_STREAMS)
    if crm is not None:
        statement = statement.where(_CURSOR.c.crm == crm)

    def work(connection: Connection) -> None:
        connection.execute(statement)

    store.write(work)


def drop_cursor(store: Store, crm: CrmName, name: str) -> None:
    """Forgets where a read stands: the next one by this name begins anew."""

    def work(connection: Connection) -> None:
        connection.execute(delete(_CURSOR).where(_CURSOR.c.crm == crm, _CURSOR.c.object == name))

    store.write(work)


def cursors(store: Store) -> list[CursorRow]:
    """Every stream's cursor, for status."""
    with store.read() as connection, Session(bind=connection) as session:
        streams = CursorRow.metadata.tables["cursor"].c.object.not_like("%:%")
        return list(session.exec(select_rows(CursorRow).where(streams).order_by(CursorRow.crm, CursorRow.object)))


def was_read_whole(connection: Connection, crm: str, object_name: str) -> bool:
    """Whether the stream was once read to its end."""
    where = (_CURSOR.c.crm == crm, _CURSOR.c.object == object_name)
    return bool(connection.scalar(select(_CURSOR.c.complete).where(*where)))


def whole_at(connection: Connection, crm: str, objects: Collection[str]) -> dict[str, int | None]:
    """When the last read of each stream that came to its end began, in microseconds: what changed before is here, unless shown late."""
    columns = select(_CURSOR.c.object, _CURSOR.c.whole_at).where(_CURSOR.c.crm == crm, _CURSOR.c.object.in_(sorted(objects)))
    return dict(connection.execute(columns).tuples().all())


def counted(connection: Connection, crm: str, name: str) -> int:
    """How many the read now under way has seen so far."""
    return connection.scalar(select(_CURSOR.c.seen).where(_CURSOR.c.crm == crm, _CURSOR.c.object == name)) or 0


def move(connection: Connection, crm: str, name: str, cursor: Cursor, *, seen: int, last: bool, now: datetime) -> None:
    """Puts the cursor of a read other than a stream's pull behind its page."""
    before = counted(connection, crm, name)
    state = orjson.dumps(dict(cursor), option=orjson.OPT_SORT_KEYS).decode()
    row = {"crm": crm, "object": name, "state": state, "complete": last, "seen": 0 if last else before + seen, "updated_at": to_micros(now)}
    put(connection, "cursor", [row], _MOVED, keys=_KEYS)


def advance(connection: Connection, page: Page, now: datetime, shrink: float | None, under: str | None = None) -> None:
    """Moves the cursor to behind the page, and looks at the stream's size at the end of a whole read.

    under: the name that the cursor stands under, where it is not the stream's. Raises `SafetyStop` where the stream shrank beyond `shrink`.
    """
    name = under or page.object
    before = connection.execute(_PLACE, {"of_crm": page.crm, "of_object": name}).one_or_none()
    seen = page.seen + (before.seen if before else 0)
    last_seen = before.last_seen if before else None
    if page.last and page.full:
        _check_size(page, seen, last_seen, shrink)
        last_seen = seen
    row = {
        "crm": page.crm,
        "object": name,
        "state": orjson.dumps(dict(page.cursor), option=orjson.OPT_SORT_KEYS).decode(),
        "complete": page.last or bool(before and before.complete),
        "seen": 0 if page.last else seen,
        "last_seen": last_seen,
        "updated_at": to_micros(now),
        "whole_at": to_micros(now) if page.last else before.whole_at if before else None,
    }
    put(connection, "cursor", [row], (*_MOVED, "last_seen", "whole_at"), keys=_KEYS)


def _check_size(page: Page, seen: int, last_seen: int | None, shrink: float | None) -> None:
    if shrink is None or last_seen is None or seen >= last_seen * (1 - shrink):
        return
    raise SafetyStop(
        f"{page.crm} has {seen} {page.object} now, {last_seen} when they were last read as a whole: more than {shrink:.0%} are missing",
        advice="Check the credentials' permissions first. If so many were really deleted, raise `shrink` in [guard] and pull again.",
    )
