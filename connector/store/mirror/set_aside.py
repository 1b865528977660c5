"""What is set aside: records that could not be mirrored or written, each with its reason and the next step, by id alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, delete, func, select
from sqlmodel import Session
from sqlmodel import select as select_rows

from connector.model import SetAside
from connector.store.bulk import plain, put
from connector.store.database import Store
from connector.store.mirror.keys import by_object
from connector.store.mirror.rows import Key
from connector.store.tables import SetAsideRow, to_micros

_ASIDE = plain("set_aside")
_COLUMNS = ("crm", "object", "id", "reason", "next_step", "at")


def list_set_aside(store: Store, *, limit: int = 100) -> list[SetAsideRow]:
    """What could not be mirrored or written, the latest first."""
    with store.read() as connection, Session(bind=connection) as session:
        columns = SetAsideRow.metadata.tables["set_aside"].c
        return list(session.exec(select_rows(SetAsideRow).order_by(columns.at.desc(), columns.id).limit(limit)))


def count_set_aside(store: Store) -> int:
    """How many records are set aside."""
    with store.read() as connection:
        return connection.scalar(select(func.count()).select_from(_ASIDE)) or 0


def settle(connection: Connection, crm: str, whole: Iterable[Key], items: Iterable[SetAside], now: datetime) -> None:
    """Takes from the list what came whole now, and adds what did not."""
    take_off(connection, crm, whole)
    add(connection, items, now)


def take_off(connection: Connection, crm: str, keys: Iterable[Key]) -> None:
    """These are not on the list any more."""
    if connection.scalar(select(_ASIDE.c.id).where(_ASIDE.c.crm == crm).limit(1)) is None:
        return
    for object_name, ids in by_object(keys):
        connection.execute(delete(_ASIDE).where(_ASIDE.c.crm == crm, _ASIDE.c.object == object_name, _ASIDE.c.id.in_(ids)))


def add(connection: Connection, items: Iterable[SetAside], now: datetime) -> None:
    """These are on the list from now on."""
    rows = {
        (item.record.object, item.record.id): {
            "crm": item.record.crm,
            "object": item.record.object,
            "id": item.record.id,
            "reason": item.reason,
            "next_step": item.next_step,
            "at": to_micros(now),
        }
        for item in items
    }
    put(connection, "set_aside", list(rows.values()), _COLUMNS, keys=("crm", "object", "id"))
