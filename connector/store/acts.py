"""Acts of people: who paused, resumed, applied, looked, when, and by which way. Kept for good.

An act is written in the transaction of its deed, so that there is neither without the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select

from connector.model import Actor, Deed
from connector.store.tables import metadata

_ACT = metadata.tables["act"]

#: What an act concerns: a part of the connector, a file, a contact (by its number), a plan, a run.
About = Literal["all", "crm", "job", "rule", "file", "contact", "plan", "run"]


class Done(NamedTuple):
    """An act: what somebody did, when, to what. by: the login, or the name that he gave."""

    at: datetime
    deed: str
    about: str
    name: str
    by: str
    way: str


_COLUMNS = [_ACT.c[name] for name in Done._fields]


def note(connection: Connection, deed: Deed, about: About, name: str, actor: Actor, now: datetime) -> None:
    """Notes an act, in the transaction of what was done."""
    values = {"at": now, "deed": deed, "about": about, "name": name, "by": actor.name, "way": actor.way}
    connection.execute(insert(_ACT).values(values))


def latest(connection: Connection, limit: int) -> list[Done]:
    """The last acts by which something changed, the newest first: not who looked."""
    return _acts(connection, _ACT.c.deed != Deed.LOOKED, limit)


def concerning(connection: Connection, subjects: Sequence[tuple[About, str]], limit: int) -> list[Done]:
    """The last acts that concern one of these (what, name), the newest first."""
    if not subjects:
        return []
    return _acts(connection, or_(*(and_(_ACT.c.about == about, _ACT.c.name == name) for about, name in subjects)), limit)


def last_of(connection: Connection, deed: Deed, subjects: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Who did this last to each of these (what, name)."""
    if not subjects:
        return {}
    which = or_(*(and_(_ACT.c.about == about, _ACT.c.name == name) for about, name in subjects))
    rows = connection.execute(select(_ACT.c.about, _ACT.c.name, _ACT.c.by).where(_ACT.c.deed == deed, which).order_by(_ACT.c.id))
    return {(row.about, row.name): row.by for row in rows}


def _acts(connection: Connection, which: ColumnElement[bool], limit: int) -> list[Done]:
    rows = connection.execute(select(*_COLUMNS).where(which).order_by(_ACT.c.id.desc()).limit(limit))
    return [Done._make(row) for row in rows]
