"""The loop of write-back: read it top to bottom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.adapters.port import Crm
from connector.errors import ConnectorError, LeaseLost
from connector.model import CrmName, Kind, State
from connector.pipeline.write_back import queue
from connector.pipeline.write_back.batch import BatchContext, HeldLease
from connector.pipeline.write_back.create_tasks import create_tasks
from connector.pipeline.write_back.updates import set_values
from connector.store import claims, leases, pauses
from connector.store.database import Store
from connector.store.ledger import Entry

#: The lease under which one process at a time writes to the CRMs.
LEASE = "write_back"
#: For how long; it is renewed before each batch, and one request is to last at most half of it.
LEASE_SECONDS = 120.0
#: How long a task whose answer was lost may take to come up in a look-up, before it is created again.
TASK_LOOKUP_WAIT = timedelta(seconds=60)

_CARRY_OUT: Mapping[Kind, Callable[[BatchContext, Sequence[Entry]], None]] = {
    Kind.SET_STAGE: set_values,
    Kind.ASSIGN: set_values,
    Kind.SET_FIELD: set_values,
    Kind.CREATE_TASK: create_tasks,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenBack:
    """What one run of write-back did: how many rows ended (or stand) how, and what stopped a CRM, an object or the whole run.

    paused: what somebody paused that rows wait for, (scope, name). A row that a pause or an error kept from being sent is in no outcome: it
    stands as it stood.
    """

    outcomes: Counter[State] = field(default_factory=Counter)
    errors: tuple[ConnectorError, ...] = ()
    paused: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBackTerms:
    """What a run of write-back goes by.

    holder: who this process is, for the lease. stopped: asked before each batch. progress: gets (rows done, rows due). clock: the wall
    clock of leases in seconds since 1970, where `now` is another.
    """

    now: Callable[[], datetime]
    holder: str
    stopped: Callable[[], bool] = lambda: False
    progress: Callable[[int, int], None] = lambda _done, _due: None
    task_lookup_wait: timedelta = TASK_LOOKUP_WAIT
    lease_seconds: float = LEASE_SECONDS
    clock: leases.Clock | None = None


def write_back(store: Store, crms: Mapping[CrmName, Crm], terms: WriteBackTerms) -> WrittenBack:
    """Carries out every row of the ledger that is free to go, and finds out about those whose answer was lost.

    An error of one CRM stops that CRM, or that object, for this run, and is in the result; errors that are none of a CRM's (a bug, the
    database) come out.
    """
    clock = terms.clock or (lambda: terms.now().timestamp())
    lease = HeldLease(store, terms.holder, seconds=terms.lease_seconds, clock=clock)
    try:
        lease.take(LEASE)
    except LeaseLost as busy:
        return WrittenBack(errors=(busy,))
    context = BatchContext(store=store, crms=crms, lease=lease, now=terms.now, task_lookup_wait=terms.task_lookup_wait)
    rounds = _Rounds(context, terms)
    try:
        rounds.run()
    except LeaseLost as lost:
        context.errors.append(lost)
    finally:
        lease.release()
    return WrittenBack(outcomes=context.outcomes, errors=tuple(context.errors), paused=frozenset(rounds.paused))


class _Rounds:
    """Rounds over the ledger: each takes the rows whose bundles have come to them; a row is taken up once in a run."""

    def __init__(self, context: BatchContext, terms: WriteBackTerms) -> None:
        self.paused: set[tuple[str, str]] = set()
        self._context = context
        self._terms = terms
        self._taken: set[int] = set()
        self._due = 0

    def run(self) -> None:
        while batches := self._next_round():
            for batch in batches:
                rows = self._allowed(batch)
                if ("all", "") in self.paused or self._terms.stopped():
                    return
                self._taken.update(row.id for row in batch)
                if rows:
                    _CARRY_OUT[rows[0].kind](self._context, rows)
                self._terms.progress(len(self._taken), self._due)

    def _next_round(self) -> list[list[Entry]]:
        """The batches that are free to go now. What stands behind a failed part of its bundle ends here."""
        context = self._context
        with context.store.read() as connection:
            entries = claims.due_entries(connection, now=context.now())
            due = [row for row in entries if row.id not in self._taken and not context.is_shut(row)]
            parts = claims.parts_of(connection, due)
        self._due = max(self._due, len(self._taken) + len(due))
        context.block(queue.blocked(due, parts))
        return list(queue.batches(queue.free(due, parts), lambda row: context.crms[row.record.crm].batch_size(row.record.object)))

    def _allowed(self, batch: Sequence[Entry]) -> list[Entry]:
        """The rows of a batch that nobody paused and whose CRM still answers."""
        pauses_now = {(pause.scope, pause.name) for pause in pauses.list_pauses(self._context.store)}
        allowed = []
        for row in batch:
            if self._context.is_shut(row):
                continue
            waits_for = pauses_now & {("all", ""), ("crm", row.record.crm), ("rule", row.rule)}
            self.paused |= waits_for
            if not waits_for:
                allowed.append(row)
        return allowed
