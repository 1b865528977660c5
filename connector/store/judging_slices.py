"""The slices of a pass that several processes judge, on PostgreSQL: each is claimed, judged and marked as judged in one transaction.

Who claims a slice holds its row's lock (`SKIP LOCKED` passes over it). Where its process dies, the database rolls all of it back and the
slice is free again; where its machine does, the database ends the transaction after `SILENCE`. So none is judged twice, and none is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, delete, func, insert, select, text, update

from connector.store.bulk import plain, upsert
from connector.store.database import Store
from connector.store.tables import metadata

_SLICE = metadata.tables["judging_slice"]
_META = plain("meta")
#: The name in `meta` of the pass that several may judge.
_ANNOUNCED = "judging"
#: After so long without a word the database ends the transaction of a process that holds a slice.
SILENCE = text("SET LOCAL idle_in_transaction_session_timeout = '60s'")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedPass:
    """A pass that several processes may judge. now: its moment. terms: a digest of all that its conclusions depend on beside the contacts;
    who comes to another one by himself must keep away.
    """

    run: int
    now: datetime
    terms: str


class ClaimedSlice(NamedTuple):
    """A slice in somebody's hand: the contacts whose numbers lie between first and last."""

    number: int
    first: int
    last: int


class JudgedSlice(NamedTuple):
    """What one slice came to. evaluated: how many contacts; saved: what was handed over when it was judged."""

    evaluated: int
    saved: Any


def clear(store: Store) -> None:
    """Nobody may judge for a pass any more; waits for the slices in hand."""

    def work(connection: Connection) -> None:
        connection.execute(delete(_SLICE))
        connection.execute(delete(_META).where(_META.c.name == _ANNOUNCED))

    store.write(work)


def announce(store: Store, announced: AnnouncedPass, contacts: Sequence[int], size: int) -> None:
    """From now on others may judge, too. contacts: all that are due, in order; size: how many a slice has."""
    parts = [contacts[start : start + size] for start in range(0, len(contacts), size)]
    rows = [{"run": announced.run, "number": number, "first": part[0], "last": part[-1]} for number, part in enumerate(parts)]

    def work(connection: Connection) -> None:
        connection.execute(insert(_SLICE), rows)
        upsert(connection, _META, [{"name": _ANNOUNCED, "value": orjson.dumps(asdict(announced)).decode()}], keys=("name",))

    store.write(work)


def announced(store: Store) -> AnnouncedPass | None:
    """The pass that may be judged now; None: there is none."""
    with store.read() as connection:
        value = connection.scalar(select(_META.c.value).where(_META.c.name == _ANNOUNCED))
    if value is None:
        return None
    kept = orjson.loads(value)
    return AnnouncedPass(run=kept["run"], now=datetime.fromisoformat(kept["now"]), terms=kept["terms"])


# ── Within the transaction that judges a slice ───────────────────────────────────────────────────────────────────────────────────────


def claim(connection: Connection, run: int) -> ClaimedSlice | None:
    """The first slice of the pass that nobody judged or holds; None where there is none. It is held until the transaction ends."""
    connection.execute(SILENCE)
    free = select(_SLICE.c.number, _SLICE.c.first, _SLICE.c.last).where(_SLICE.c.run == run, _SLICE.c.evaluated.is_(None))
    row = connection.execute(free.order_by(_SLICE.c.number).limit(1).with_for_update(skip_locked=True)).one_or_none()
    return None if row is None else ClaimedSlice(*row)


def all_before_judged(connection: Connection, run: int, number: int) -> bool:
    """Waits for those who hold slices before this one. False: one is free, since who held it gave it up.

    Nobody waits in a circle: each waits for slices before his own.
    """
    before = select(_SLICE.c.number).where(_SLICE.c.run == run, _SLICE.c.number < number, _SLICE.c.evaluated.is_(None))
    return not connection.execute(before.order_by(_SLICE.c.number).with_for_update(read=True)).all()


def companies_before(connection: Connection, run: int, number: int) -> dict[tuple[str, str], str]:
    """Who got leads of which company in the slices before this one: (rule, company) → e-mail."""
    given = select(_SLICE.c.companies).where(_SLICE.c.run == run, _SLICE.c.number < number, _SLICE.c.companies.is_not(None))
    slices = connection.scalars(given.order_by(_SLICE.c.number)).all()
    return {(rule, company): email for companies in slices for rule, company, email in companies}


def judged(
    connection: Connection, run: int, number: int, *, evaluated: int, saved: Any, companies: Mapping[tuple[str, str], str]
) -> None:
    """The slice is judged, once the transaction is through."""
    given: Iterable[list[str]] = ([rule, company, email] for (rule, company), email in companies.items())
    values = {"evaluated": evaluated, "saved": saved, "companies": list(given) or None}
    connection.execute(update(_SLICE).where(_SLICE.c.run == run, _SLICE.c.number == number).values(values))


def take_turns(connection: Connection) -> None:
    """Of those who come here, one at a time goes on; until his transaction ends."""
    connection.execute(select(_META.c.name).where(_META.c.name == _ANNOUNCED).with_for_update())


# ── For who leads the pass ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def progress(store: Store, run: int) -> tuple[int, bool]:
    """How many contacts of the pass were judged by all, and whether that is all of them."""
    open_slices = func.count().filter(_SLICE.c.evaluated.is_(None))
    with store.read() as connection:
        query = select(func.coalesce(func.sum(_SLICE.c.evaluated), 0), open_slices).where(_SLICE.c.run == run)
        done, left = connection.execute(query).one()
    return int(done), left == 0


def judged_slices(store: Store, run: int) -> list[JudgedSlice]:
    """What the slices that were judged came to, in their order."""
    query = select(_SLICE.c.evaluated, _SLICE.c.saved).where(_SLICE.c.run == run, _SLICE.c.evaluated.is_not(None))
    with store.read() as connection:
        return [JudgedSlice(*row) for row in connection.execute(query.order_by(_SLICE.c.number))]
