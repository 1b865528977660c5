"""The ledger's side of write-back: rows that may go, claims, and what became of them.

A row is claimed (state `sending`, with the fencing number of the write-back lease) in a transaction of its own before a request leaves,
and settled in one after it was read back. Only rows that still bear the claim's number are settled: whoever lost the lease in between
changes nothing here any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, or_, select, update

from connector.model import State
from connector.store.ledger import HOLDS_KEY, IS_OPEN, OPEN, Entry, entries, make_due, sliced, these
from connector.store.tables import metadata

_LEDGER = metadata.tables["ledger"]
_VALUE = metadata.tables["action_value"]

#: What write-back may take up. `sending` rows are those of a process that is gone: only the holder of the lease asks.
CLAIMABLE = (State.PLANNED, State.APPROVED, State.WAITING, State.PARKED, State.SENDING, State.UNKNOWN)
#: Certainly not on their way to a CRM: what falls with an earlier part of its bundle.
UNSENT = (State.PLANNED, State.APPROVED, State.WAITING, State.PARKED, State.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of one claimed row. found: what the CRM held when read again. due: the contact is to be judged again."""

    entry: Entry
    state: State
    found: str | None = None
    read_back: bool | None = None
    result_id: str | None = None
    retry_at: datetime | None = None
    code: str = ""
    message: str = ""
    next_step: str = ""
    correlation_id: str = ""
    due: bool = False


def due_entries(connection: Connection, *, now: datetime) -> list[Entry]:
    """Rows that may be taken up now, whether or not those before them in their bundles are done (see `parts_of`)."""
    at_once = (State.PLANNED, State.APPROVED, State.SENDING, State.UNKNOWN)
    later = and_(_LEDGER.c.state.in_((State.WAITING, State.PARKED)), _LEDGER.c.retry_at <= now)
    return entries(connection, and_(IS_OPEN, or_(_LEDGER.c.state.in_(at_once), later)))


def parts_of(connection: Connection, rows: Iterable[Entry]) -> dict[str, list[tuple[int, State]]]:
    """The parts of these rows' bundles as (position, state) in order, without those that hold no key: they say nothing any more."""
    wanted = {row.bundle: row.contact for row in rows}
    parts: dict[str, list[tuple[int, State]]] = {}
    for slice_ in sliced(sorted(wanted)):
        query = (
            select(_LEDGER.c.bundle, _LEDGER.c.position, _LEDGER.c.state)
            .where(_LEDGER.c.contact_id.in_({wanted[bundle] for bundle in slice_}), _LEDGER.c.bundle.in_(slice_), HOLDS_KEY)
            .order_by(_LEDGER.c.bundle, _LEDGER.c.position)
        )
        for bundle, position, state in connection.execute(query):
            parts.setdefault(bundle, []).append((position, State(state)))
    return parts


def claim(connection: Connection, rows: Sequence[Entry], *, fence: int, now: datetime) -> list[Entry]:
    """Marks rows as being sent under a fencing number; returns those that could be, as they are now."""
    taken = _take(connection, rows, fence, {"sent_at": now, "tries": _LEDGER.c.tries + 1})
    return [replace(row, state=State.SENDING, fence=fence, sent_at=now, tries=row.tries + 1) for row in rows if row.id in taken]


def take_in_hand(connection: Connection, rows: Sequence[Entry], *, fence: int) -> list[Entry]:
    """Claims rows only to look up what became of an earlier try: when they were sent, and how often, stays."""
    taken = _take(connection, rows, fence, {})
    return [replace(row, state=State.SENDING, fence=fence) for row in rows if row.id in taken]


def _take(connection: Connection, rows: Sequence[Entry], fence: int, more: dict[str, Any]) -> set[int]:
    values = {"state": State.SENDING, "fence": fence, **more}
    taken: set[int] = set()
    for part in sliced(rows):
        free = and_(_these(part), _LEDGER.c.state.in_(CLAIMABLE), _LEDGER.c.fence <= fence)
        taken.update(connection.execute(update(_LEDGER).where(free).values(values).returning(_LEDGER.c.id)).scalars())
    return taken


def release(connection: Connection, rows: Sequence[Entry], *, fence: int) -> None:
    """Gives claimed rows back as `rows` says they were. What a process that is gone left behind becomes `unknown`."""
    ours = _still_ours(connection, rows, fence)
    changes = [
        {
            "row": row.id,
            "of": row.contact,
            "state": State.UNKNOWN if row.state is State.SENDING else row.state,
            "sent_at": row.sent_at,
            "tries": row.tries,
        }
        for row in rows
        if row.id in ours
    ]
    _update(connection, changes)


def settle(connection: Connection, settlements: Sequence[Settlement], *, fence: int, now: datetime) -> list[Settlement]:
    """Writes down what became of claimed rows; returns those that were still this claim's to settle. Contacts become due as they say."""
    ours = _still_ours(connection, [settlement.entry for settlement in settlements], fence)
    done = [settlement for settlement in settlements if settlement.entry.id in ours]
    _update(connection, [_changes(settlement, now) for settlement in done])
    found = [settlement for settlement in done if settlement.found is not None]
    if found:
        values = [{"row": each.entry.id, "of": each.entry.contact, "found": each.found} for each in found]
        same = and_(_VALUE.c.contact_id == bindparam("of"), _VALUE.c.ledger == bindparam("row"))
        connection.execute(update(_VALUE).where(same), values)
    make_due(connection, {settlement.entry.contact for settlement in done if settlement.due}, now=now)
    return done


def end_behind(connection: Connection, row: Entry, position: int, *, state: State, message: str, now: datetime) -> int:
    """Ends what stands behind this position in the row's bundle and was not sent yet; returns how many rows."""
    bundle = and_(_LEDGER.c.contact_id == row.contact, _LEDGER.c.bundle == row.bundle)
    behind = and_(bundle, _LEDGER.c.position > position, _LEDGER.c.state.in_(UNSENT))
    next_step = "See the part of the bundle before it." if state is State.BLOCKED else ""
    values = {"state": state, "settled_at": now, "message": message, "next_step": next_step}
    return connection.execute(update(_LEDGER).where(behind).values(values)).rowcount


def _changes(settlement: Settlement, now: datetime) -> dict[str, Any]:
    same = ("state", "read_back", "retry_at", "code", "message", "next_step", "correlation_id")
    return {
        "row": settlement.entry.id,
        "of": settlement.entry.contact,
        **{name: getattr(settlement, name) for name in same},
        "retry_at": settlement.retry_at or settlement.entry.retry_at,
        "sent_at": None if settlement.state is State.PARKED else settlement.entry.sent_at,  # parked: it was certainly not done
        "settled_at": None if settlement.state in OPEN else now,
        "result_id": settlement.result_id or settlement.entry.result_id,
    }


def _these(rows: Sequence[Entry]) -> ColumnElement[bool]:
    return these(_LEDGER.c.contact_id, _LEDGER.c.id, [(row.contact, row.id) for row in rows])


def _still_ours(connection: Connection, rows: Sequence[Entry], fence: int) -> set[int]:
    ours: set[int] = set()
    for part in sliced(rows):
        sending = and_(_these(part), _LEDGER.c.state == State.SENDING, _LEDGER.c.fence == fence)
        ours.update(connection.execute(select(_LEDGER.c.id).where(sending).with_for_update()).scalars())
    return ours


def _update(connection: Connection, changes: Sequence[dict[str, Any]]) -> None:
    if changes:  # every key but "of" and "row" is a column to set
        same = and_(_LEDGER.c.contact_id == bindparam("of"), _LEDGER.c.id == bindparam("row"))
        connection.execute(update(_LEDGER).where(same), list(changes))
