"""What every batch needs: the store, its CRM, the lease; claiming, giving back, sending, settling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection

from connector.adapters.port import Crm
from connector.errors import ConnectorError, CrmError, LeaseLost, PassStopped, Rejected, Retriable
from connector.model import CrmName, Kind, Record, State, WriteOutcome, WriteState
from connector.store import claims, leases
from connector.store.claims import Settlement
from connector.store.database import Store
from connector.store.ledger import Entry
from connector.store.mirror import pages

T = TypeVar("T")
W = TypeVar("W")

#: What ends the rows behind a row that ended so, as what, and why.
_FALLOUT = {
    State.SUPERSEDED: (State.SUPERSEDED, "a part of the bundle before it was superseded; the contact is judged again"),
    State.REFUSED: (State.BLOCKED, "a part of the bundle before it was refused"),
    State.COLLIDED: (State.BLOCKED, "a part of the bundle before it collided with another's edit"),
}


class HeldLease:
    """The write-back lease, in this process's hand: one process at a time writes to the CRMs."""

    def __init__(self, store: Store, holder: str, *, seconds: float, clock: leases.Clock) -> None:
        self._store = store
        self._holder = holder
        self._seconds = seconds
        self._clock = clock
        self._held: leases.LeaseGrant | None = None

    @property
    def held(self) -> leases.LeaseGrant:
        if self._held is None:
            raise RuntimeError("the write-back lease was not taken")
        return self._held

    @property
    def fence(self) -> int:
        """The fencing number of this taking: higher than those of all before."""
        return self.held.fence

    def take(self, name: str) -> None:
        """Raises `LeaseLost` while another process holds it."""
        self._held = leases.take(self._store, name, self._holder, self._seconds, self._clock)

    def keep(self) -> None:
        """Renews it where half of it is over. Raises `LeaseLost`."""
        if self._clock() > self.held.until - self._seconds / 2:
            self._held = leases.renew(self._store, self.held, self._seconds, self._clock)

    def release(self) -> None:
        leases.release(self._store, self.held)


@dataclass(kw_only=True)
class BatchContext:
    """One run of write-back. outcomes counts what was settled; errors holds what stopped a CRM or an object; shut is what they stopped."""

    store: Store
    crms: Mapping[CrmName, Crm]
    lease: HeldLease
    now: Callable[[], datetime]
    task_lookup_wait: timedelta
    outcomes: Counter[State] = field(default_factory=Counter)
    errors: list[ConnectorError] = field(default_factory=list)
    _shut: set[tuple[CrmName, Kind | None, str | None]] = field(default_factory=set)

    def is_shut(self, row: Entry) -> bool:
        """Whether nothing more of this row's sort goes out in this run."""
        crm = row.record.crm
        return crm not in self.crms or (crm, None, None) in self._shut or (crm, row.kind, row.record.object) in self._shut

    def stop_for(self, error: CrmError, row: Entry) -> None:
        """Keeps the error, and sends nothing more of what it concerns in this run; all else goes on."""
        self.errors.append(error)
        whole = isinstance(error, PassStopped | Retriable)
        self._shut.add((row.record.crm, None, None) if whole else (row.record.crm, row.kind, row.record.object))

    def claim(self, rows: Sequence[Entry]) -> list[Entry]:
        """Marks rows as being sent; those that another process or person changed in between are left out. Raises `LeaseLost`."""
        now = self.now()
        return self._in_hand(lambda connection: claims.claim(connection, rows, fence=self.lease.fence, now=now))

    def take_in_hand(self, rows: Sequence[Entry]) -> list[Entry]:
        """Claims rows to look up what became of an earlier try. Raises `LeaseLost`."""
        return self._in_hand(lambda connection: claims.take_in_hand(connection, rows, fence=self.lease.fence))

    def _in_hand(self, work: Callable[[Connection], T]) -> T:
        """One transaction under the lease: another process cannot take it before this commits."""
        self.lease.keep()

        def guarded(connection: Connection) -> T:
            leases.require(connection, self.lease.held)
            return work(connection)

        return self.store.write(guarded)

    def give_back(self, rows: Sequence[Entry]) -> None:
        """Rows as they were before they were claimed: nothing was sent."""
        self.store.write(lambda connection: claims.release(connection, rows, fence=self.lease.fence))

    def give_back_sent(self, rows: Sequence[Entry], claimed: Sequence[Entry]) -> None:
        """The same, after a request that the CRM turned away as a whole: they keep when they were sent, and are looked up first."""
        sent = {row.id: row.sent_at for row in claimed}
        self.give_back([replace(row, sent_at=sent[row.id]) for row in rows if row.id in sent])

    def send(self, call: Callable[[Sequence[W]], list[WriteOutcome]], writes: Sequence[W]) -> list[WriteOutcome]:
        """One outcome a write. Where the CRM rejects a batch for one of its rows, its halves are sent, down to that row alone."""
        try:
            outcomes = call(writes)
        except Rejected as error:
            if len(writes) > 1:
                half = len(writes) // 2
                return self.send(call, writes[:half]) + self.send(call, writes[half:])
            return [_refusal(error)]
        if len(outcomes) != len(writes):
            raise ValueError(f"{len(writes)} writes were answered with {len(outcomes)} outcomes")
        return outcomes

    def settle(self, settlements: Sequence[Settlement], records: Sequence[Record] = ()) -> None:
        """Writes down a batch's end, what falls with it, and what the CRM holds, in one transaction.

        Raises `LeaseLost` where another process has taken the rows meanwhile: it finds out about them by itself.
        """
        if not settlements:
            return
        now = self.now()

        def work(connection: Connection) -> tuple[int, Counter[State]]:
            done = claims.settle(connection, settlements, fence=self.lease.fence, now=now)
            counted = Counter(settlement.state for settlement in done)
            for settlement in done:
                if settlement.state in _FALLOUT:
                    state, why = _FALLOUT[settlement.state]
                    row = settlement.entry
                    counted[state] += claims.end_behind(connection, row, row.position, state=state, message=why, now=now)
            pages.apply_records(connection, records, now=now)
            return len(done), counted

        number, counted = self.store.write(work)
        self.outcomes.update(+counted)
        if number < len(settlements):
            raise LeaseLost("another process took over rows that were being sent", advice="Nothing to do: it looks up what became of them.")

    def block(self, bundles: Mapping[str, tuple[Entry, int]]) -> None:
        """Ends what stands behind a part that failed earlier: bundle → (one of its rows, the failed part's position)."""
        if not bundles:
            return
        now, why = self.now(), "a part of the bundle before it failed"

        def work(connection: Connection) -> int:
            ends = (claims.end_behind(connection, row, place, state=State.BLOCKED, message=why, now=now) for row, place in bundles.values())
            return sum(ends)

        self.outcomes[State.BLOCKED] += self.store.write(work)


def unknown(row: Entry, error: CrmError | None = None, *, task_id: str | None = None) -> Settlement:
    """A row of which nobody knows whether it took effect; the next run looks it up."""
    return Settlement(
        entry=row,
        state=State.UNKNOWN,
        result_id=task_id,
        code="" if error is None else error.code,
        message="whether an earlier try took effect is not known yet" if error is None else error.message,
        next_step="Nothing to do: it is looked up before it is tried again.",
        correlation_id="" if error is None else error.correlation_id,
    )


def _refusal(error: Rejected) -> WriteOutcome:
    return WriteOutcome(
        state=WriteState.REFUSED, code=error.code, message=error.message, advice=error.advice, correlation_id=error.correlation_id
    )
