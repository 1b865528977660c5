"""Of which records the CRM's own history is to be read by id: those in which something that rules watch changed since it was read.

Noted in the transaction of the change, taken off in that of the history: whatever breaks off in between, it is read once more. Which
properties are watched says the file (`watch`); a record that comes for the first time is not noted, unless it shows something already of
which the moment must be known (`telling`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, and_, delete, select, tuple_

from connector.store import runs
from connector.store.bulk import find, plain, put
from connector.store.database import Store
from connector.store.mirror.keys import by_object
from connector.store.mirror.rows import Key, Row
from connector.store.mirror.values import STABLE
from connector.store.tables import to_micros

_DUE = plain("history_due")
_META = plain("meta")
_RECORD = plain("record")
_COLUMNS = ("crm", "object", "id", "noted_at")
#: Records noted in one transaction.
SLICE = 5_000
#: The name in `meta` under which stands what is watched, by CRM.
_WATCHED = "history:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is watched of one object. properties: a change of one of these is noted.

    telling: groups of (property, value): a new record is noted that shows one of each group; none: no new record is.
    """

    properties: tuple[str, ...]
    telling: tuple[tuple[tuple[str, str], ...], ...] = ()


class Noted(NamedTuple):
    """A record whose history is to be read. noted_at: in microseconds since 1970."""

    id: str
    noted_at: int


def watch(store: Store, crm: str, watched: Mapping[str, Watched]) -> None:
    """From now on changes of these are noted, by object; none: nothing is."""
    value = {name: {"properties": of.properties, "telling": of.telling} for name, of in watched.items()}
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if runs.get_meta(store, f"{_WATCHED}{crm}") != text:
        runs.set_meta(store, f"{_WATCHED}{crm}", text)


def note(
    connection: Connection,
    crm: str,
    fresh: Sequence[Row],
    changes: Mapping[Key, tuple[Mapping[str, Any], int | None]],
    now: datetime,
) -> None:
    """Notes the records that this concerns, of those that are new and those that changed: key → (property → [before, after], moment)."""
    if not fresh and not changes:
        return
    watched = _watched(connection, crm)
    due = [key for key, (changed, _) in changes.items() if key[0] in watched and not changed.keys().isdisjoint(watched[key[0]].properties)]
    due += [(row["object"], row["id"]) for row in fresh if row["object"] in watched and _tells(row, watched[row["object"]].telling)]
    rows = [{"crm": crm, "object": name, "id": row_id, "noted_at": to_micros(now)} for name, row_id in sorted(due)]
    put(connection, "history_due", rows, _COLUMNS, keys=_COLUMNS[:3])


def note_slice(store: Store, crm: str, object_name: str, modified_since: datetime, after: str, now: datetime) -> str | None:
    """Notes the live records of an object that were modified since a moment, 5,000 after this id; where to go on, None at the end."""
    of_object = (_RECORD.c.crm == crm, _RECORD.c.object == object_name, _RECORD.c.id > after)
    wanted = and_(_RECORD.c.modified_at >= to_micros(modified_since), ~_RECORD.c.archived)

    def work(connection: Connection) -> str | None:
        rows = connection.execute(select(_RECORD.c.id, wanted).where(*of_object).order_by(_RECORD.c.id).limit(SLICE)).all()
        due_rows = [
            {"crm": crm, "object": object_name, "id": row_id, "noted_at": to_micros(now)} for row_id, is_wanted in rows if is_wanted
        ]
        put(connection, "history_due", due_rows, _COLUMNS, keys=_COLUMNS[:3])
        return str(rows[-1][0]) if len(rows) == SLICE else None

    return store.write(work)


def due(connection: Connection, crm: str, object_name: str, *, after: str, limit: int, only: Collection[str] | None = None) -> list[Noted]:
    """The next records, after this id, whose history is to be read; of these alone where `only` names them."""
    if only is not None:
        ids = sorted(row_id for row_id in only if row_id > after)[:limit]
        return [Noted(*row) for row in find(connection, "history_due", ("id", "noted_at"), ids, crm=crm, object=object_name)]
    where = (_DUE.c.crm == crm, _DUE.c.object == object_name, _DUE.c.id > after)
    rows = connection.execute(select(_DUE.c.id, _DUE.c.noted_at).where(*where).order_by(_DUE.c.id).limit(limit))
    return [Noted(*row) for row in rows]


def take_off(connection: Connection, crm: str, object_name: str, noted: Iterable[Noted]) -> None:
    """Their history was read; one that changed again meanwhile stays."""
    of_object = and_(_DUE.c.crm == crm, _DUE.c.object == object_name)
    rows = [tuple(row) for row in noted]
    for start in range(0, len(rows), 400):  # two values a row, in one statement
        connection.execute(delete(_DUE).where(of_object, tuple_(_DUE.c.id, _DUE.c.noted_at).in_(rows[start : start + 400])))


def is_due(connection: Connection, crm: str, keys: Iterable[Key]) -> set[Key]:
    """Of these records, those whose history is not read yet."""
    return {
        (name, row_id) for name, ids in by_object(keys) for (row_id,) in find(connection, "history_due", ("id",), ids, crm=crm, object=name)
    }


def _watched(connection: Connection, crm: str) -> dict[str, Watched]:
    text = connection.scalar(select(_META.c.value).where(_META.c.name == f"{_WATCHED}{crm}"))
    stored = {} if text is None else orjson.loads(text)
    return {
        name: Watched(
            properties=tuple(of["properties"]),
            telling=tuple(tuple((of_property, value) for of_property, value in group) for group in of["telling"]),
        )
        for name, of in stored.items()
    }


def _tells(row: Row, telling: tuple[tuple[tuple[str, str], ...], ...]) -> bool:
    """Whether it shows one of each group. In the text, whose writing is one for each value, since most records show none."""
    written: str = row["properties"]
    return bool(telling) and all(any(_pair(*pair) in written for pair in group) for group in telling)


@cache
def _pair(name: str, value: str) -> str:
    return orjson.dumps({name: value}, option=STABLE).decode()[1:-1]
