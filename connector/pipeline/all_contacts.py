"""What is done to every contact at once, in slices with pages in between: after a changed file, at the first live pass.

How far it went stands in `meta`, in the same transactions: a crash resumes there, and what it was done for counts only once it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import orjson
from sqlalchemy import ColumnElement, Connection, and_, select, update

from connector.store import runs
from connector.store import tables as t
from connector.store.bulk import plain, upsert
from connector.store.database import Store

record = t.metadata.tables["record"]
contact = t.metadata.tables["contact"]
attempt = t.metadata.tables["attempt"]
_META = plain("meta")

#: Contacts of one transaction: some 50 ms of the writer.
SLICE = 2_000

_NAMES = ("anew", "agree")

#: What is done to the contacts with these numbers: from, to.
Work = Callable[[Connection, int, int], None]


@dataclass(frozen=True, slots=True)
class _Place:
    """How far it went. reason: for what; after: the last contact done, None where all are."""

    reason: str
    after: int | None


def make_anew(store: Store, *, reason: str, now: datetime) -> None:
    """Every contact is made anew of its records, and judged. reason: what for; one that was broken off for the same goes on."""
    _go_through(store, "anew", reason, partial(_make_anew, now=now))


def go_on(store: Store, *, now: datetime) -> None:
    """Ends what `make_anew` began before this process."""
    place = _place(store, "anew")
    if place is not None and place.after is not None:
        make_anew(store, reason=place.reason, now=now)


def asked_for(store: Store, work: Callable[[], object]) -> bool:
    """Whether something is under way, or `work` does something to all contacts. What was done before is forgotten: asked of a copy."""
    if any(place is not None and place.after is not None for place in (_place(store, name) for name in _NAMES)):
        return True
    for name in _NAMES:
        runs.set_meta(store, _named(name), None)
    work()
    return any(_place(store, name) is not None for name in _NAMES)


def agree_anew(store: Store, *, clocks_from: datetime) -> None:
    """The first live pass: what was agreed in shadow was agreed with nobody, and what began before is found. Done once."""
    place = _place(store, "agree")
    if place is None or place.after is not None:
        _go_through(store, "agree", "live", partial(_agree_anew, clocks_from=clocks_from))


def _make_anew(connection: Connection, first: int, last: int, *, now: datetime) -> None:
    connection.execute(update(record).where(record.c.contact_id.between(first, last), ~record.c.unify).values(unify=True))
    connection.execute(update(contact).where(contact.c.id.between(first, last), ~contact.c.gone).values(due_at=now, decide_at=now))


def _agree_anew(connection: Connection, first: int, last: int, *, clocks_from: datetime) -> None:
    def these(number: ColumnElement[int]) -> ColumnElement[bool]:
        return number.between(first, last)

    nothing = {"agreed_number": 0, "agreed_hubspot": None, "agreed_salesforce": None}
    connection.execute(update(contact).where(these(contact.c.id)).values(**nothing))
    connection.execute(update(record).where(these(record.c.contact_id)).values(unify=True))
    begun = and_(these(attempt.c.contact_id), attempt.c.outcome == "open", attempt.c.began_at < clocks_from)
    connection.execute(update(attempt).where(begun).values(found=True))


def _go_through(store: Store, name: str, reason: str, work: Work) -> None:
    place = _place(store, name)
    if place is None or place.reason != reason or place.after is None:
        store.write(lambda connection: _keep(connection, name, _Place(reason, 0)))
    while store.write(partial(_slice, name=name, work=work)):
        pass


def _slice(connection: Connection, name: str, work: Work) -> bool:
    """The next contacts; whether there were any."""
    place = _read(connection, name)
    if place is None or place.after is None:
        return False  # another process came to the end
    ids = connection.scalars(select(contact.c.id).where(contact.c.id > place.after).order_by(contact.c.id).limit(SLICE)).all()
    if ids:
        work(connection, ids[0], ids[-1])
    _keep(connection, name, _Place(place.reason, ids[-1] if ids else None))
    return bool(ids)


def _place(store: Store, name: str) -> _Place | None:
    return _parsed(runs.get_meta(store, _named(name)))


def _read(connection: Connection, name: str) -> _Place | None:
    return _parsed(connection.scalar(select(_META.c.value).where(_META.c.name == _named(name))))


def _keep(connection: Connection, name: str, place: _Place) -> None:
    value = orjson.dumps([place.reason, place.after]).decode()
    upsert(connection, _META, [{"name": _named(name), "value": value}], keys=("name",))


def _named(name: str) -> str:
    return f"all contacts:{name}"


def _parsed(value: str | None) -> _Place | None:
    return None if value is None else _Place(*orjson.loads(value))
