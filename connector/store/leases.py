"""Leases: a job runs once among all processes. Each taking raises the fence; a write that bears an older fence comes too late.

Moments are seconds since 1970 of the wall clock that the caller passes in, the same for all processes of a database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Update, select, update

from connector.errors import LeaseLost
from connector.store.bulk import add_missing, plain
from connector.store.database import Store

_LEASE = plain("lease")
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseGrant:
    """A lease in somebody's hand. until: seconds since 1970."""

    name: str
    holder: str
    fence: int
    until: float


def take(store: Store, name: str, holder: str, seconds: float, clock: Clock) -> LeaseGrant:
    """Takes the lease where it is free or ran out; raises `LeaseLost`, naming the holder, where it is not.

    Its own holder may take it again (a process that started anew under the same name): the fence goes up all the same.
    """

    def work(connection: Connection) -> LeaseGrant:
        _make_row(connection, name)
        now = clock()
        row = connection.execute(select(_LEASE).where(_LEASE.c.name == name).with_for_update()).one()
        if row.holder not in ("", holder) and row.until > now:
            raise LeaseLost(
                f"{name} is being done by {row.holder}, for {row.until - now:.0f} s at least",
                advice="Wait for it, or stop that process; a lease of a process that died runs out by itself.",
            )
        held = LeaseGrant(name=name, holder=holder, fence=row.fence + 1, until=now + seconds)
        connection.execute(update(_LEASE).where(_LEASE.c.name == name).values(holder=holder, fence=held.fence, until=held.until))
        return held

    return store.write(work)


def renew(store: Store, held: LeaseGrant, seconds: float, clock: Clock) -> LeaseGrant:
    """Holds it `seconds` from now on; raises `LeaseLost` where another took it."""

    def work(connection: Connection) -> LeaseGrant:
        renewed = LeaseGrant(name=held.name, holder=held.holder, fence=held.fence, until=clock() + seconds)
        if connection.execute(_mine(held).values(until=renewed.until)).rowcount != 1:
            raise _lost(held)
        return renewed

    return store.write(work)


def release(store: Store, held: LeaseGrant) -> None:
    """Gives it back; nothing happens where another took it meanwhile."""

    def work(connection: Connection) -> None:
        connection.execute(_mine(held).values(holder="", until=0.0))

    store.write(work)


def require(connection: Connection, held: LeaseGrant) -> None:
    """Within a write: raises `LeaseLost` unless the lease is still this one, and keeps it so until the transaction ends."""
    query = select(_LEASE.c.fence).where(_LEASE.c.name == held.name, _LEASE.c.holder == held.holder).with_for_update()
    if connection.scalar(query) != held.fence:
        raise _lost(held)


def held_by(store: Store, name: str, clock: Clock) -> LeaseGrant | None:
    """Who holds it now; None: nobody."""
    with store.read() as connection:
        row = connection.execute(select(_LEASE).where(_LEASE.c.name == name)).one_or_none()
    if row is None or not row.holder or row.until <= clock():
        return None
    return LeaseGrant(name=row.name, holder=row.holder, fence=row.fence, until=row.until)


@contextmanager
def lease(store: Store, name: str, holder: str, seconds: float, clock: Clock) -> Iterator[LeaseGrant]:
    """Takes the lease for the block and gives it back at its end, whatever happened. Renew it inside where the work takes longer."""
    held = take(store, name, holder, seconds, clock)
    try:
        yield held
    finally:
        release(store, held)


def _make_row(connection: Connection, name: str) -> None:
    """A row to lock; where two processes make it at once, one waits for the other."""
    if connection.scalar(select(_LEASE.c.name).where(_LEASE.c.name == name)) is None:
        add_missing(connection, _LEASE, [{"name": name, "holder": "", "fence": 0, "until": 0.0}])


def _mine(held: LeaseGrant) -> Update:
    return update(_LEASE).where(_LEASE.c.name == held.name, _LEASE.c.holder == held.holder, _LEASE.c.fence == held.fence)


def _lost(held: LeaseGrant) -> LeaseLost:
    return LeaseLost(f"the lease of {held.name} was lost to another process", advice="Nothing to do: the other process goes on.")
