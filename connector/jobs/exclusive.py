"""Leases of the jobs: each runs once at a time among all processes and threads, and ends when it is paused or its lease is lost.

Two leases. `PASS`: a pass, a look for removals, a comparison: whatever reads the CRMs into the mirror; held from beginning to end.
`JUDGING`: unifying, judging and writing back; a pass takes it when it has pulled, the fast lane at once, so that it need not wait for a
long pull. A lease is kept alive while the work goes on; what a process left behind that died on this machine is free at once, elsewhere it
runs out within a minute. A pause ends what runs, in good order, and keeps the next from beginning.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connector.app import App, holder
from connector.errors import ConnectorError, LeaseLost, Paused
from connector.jobs.names import JUDGING, PASS
from connector.pipeline.write_back.executor import LEASE as WRITE_BACK_LEASE
from connector.store import leases, pauses
from connector.store.database import Store

#: For how long a lease is taken.
LEASE_SECONDS = 60.0
#: How soon a pause reaches what runs; at every so manieth look the leases are renewed.
LOOK_SECONDS = 1.0
LOOKS_A_RENEWAL = 15
#: How many looks the judging of a pass waits for the fast lane to end.
JUDGING_LOOKS = 600


class LeaseKeeper:
    """Keeps the leases of what runs, and looks whether somebody paused it. problem: why it is to end, None while all is well."""

    def __init__(self, app: App, job: str, stopped: Callable[[], bool]) -> None:
        self.problem: ConnectorError | None = None
        self._app = app
        self._job = job
        self._asked = stopped
        self._over = threading.Event()
        self._held: dict[str, leases.LeaseGrant] = {}
        self._turn = threading.Lock()

    def stopped(self) -> bool:
        """Whether to end: asked from outside, paused, or a lease is another's."""
        return self.problem is not None or self._asked()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watches for as long as the block lasts."""
        thread = threading.Thread(target=self._watch, name=f"{self._job}-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    @contextmanager
    def holding(self, name: str, *, looks: int | None = 0) -> Iterator[None]:
        """Holds a lease for the block. looks: how often to look again, a second between, where another has it (None: until asked to stop).

        Raises `LeaseLost`, naming who holds it.
        """
        turn = self._app.turns[name]
        held = self._take(name, turn, looks)
        with self._turn:
            self._held[name] = held
        try:
            yield
        finally:
            with self._turn:
                held = self._held.pop(name)
            leases.release(self._app.store, held)
            turn.release()

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Holds the lease for unifying, judging and writing back; the fast lane has it for seconds only."""
        with self.holding(JUDGING, looks=JUDGING_LOOKS):
            yield

    def _take(self, name: str, turn: threading.Lock, looks: int | None) -> leases.LeaseGrant:
        """The lease, and this process's own turn with it."""
        while True:
            try:
                return self._try(name, turn)
            except LeaseLost:
                if looks == 0 or self.stopped():
                    raise
            looks = None if looks is None else looks - 1
            self._over.wait(LOOK_SECONDS)

    def _try(self, name: str, turn: threading.Lock) -> leases.LeaseGrant:
        if not turn.acquire(blocking=False):
            raise LeaseLost(f"{name} is being done by {holder()} already", advice="Wait for it.")
        try:
            _release_leases_of_the_dead(self._app.store, name, clock(self._app))
            return leases.take(self._app.store, name, holder(), LEASE_SECONDS, clock(self._app))
        except BaseException:
            turn.release()
            raise

    def _watch(self) -> None:
        try:
            self._look_and_renew()
        except ConnectorError as problem:
            self.problem = problem
        finally:
            if self.problem is None and not self._over.is_set():  # a bug: without its lease it must not go on
                self.problem = LeaseLost(f"the lease of the {self._job} could not be kept", advice="Run it again.")

    def _look_and_renew(self) -> None:
        looks = 0
        while not self._over.wait(LOOK_SECONDS):
            looks += 1
            refuse_paused(self._app.store, self._job)
            if looks % LOOKS_A_RENEWAL == 0:
                with self._turn:
                    for name, held in self._held.items():
                        self._held[name] = leases.renew(self._app.store, held, LEASE_SECONDS, clock(self._app))


@contextmanager
def exclusive_run(
    app: App, stopped: Callable[[], bool] = lambda: False, *, job: str = PASS, lease: str = PASS, patient: bool = False
) -> Iterator[LeaseKeeper]:
    """Holds a job's lease, and keeps it alive, for the block. patient: waits for whoever has it. Raises `LeaseLost` and `Paused`."""
    refuse_paused(app.store, job)
    keeper = LeaseKeeper(app, job, stopped)
    with keeper.holding(lease, looks=None if patient else 0):
        refuse_paused(app.store, job)  # it may have waited for long
        with keeper.running():
            yield keeper


def refuse_paused(store: Store, job: str) -> None:
    """Raises `Paused` where everything is paused, or this job."""
    for pause in pauses.list_pauses(store):
        if (pause.scope, pause.name) in (("all", ""), ("job", job)):
            paused, argument = ("everything", "") if pause.scope == "all" else (f"the job {job}", f" job {job}")
            since = f"{pause.since:%Y-%m-%d %H:%M} UTC"
            raise Paused(f"{paused} is paused since {since}", advice=f"`connector resume{argument}` lets it go on.")


def clock(app: App) -> leases.Clock:
    """The wall clock of leases."""
    return lambda: app.now().timestamp()


def _release_leases_of_the_dead(store: Store, name: str, clock: leases.Clock) -> None:
    """Gives back the lease, and that of write-back, of processes of this machine that are no more."""
    for lease in (name, WRITE_BACK_LEASE):
        held = leases.held_by(store, lease, clock)
        if held is not None and _died_here(held.holder):
            leases.release(store, held)


def _died_here(name: str) -> bool:
    machine, _, process = name.rpartition("/")
    if os.name != "posix" or machine != holder().rpartition("/")[0] or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)  # asks only
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # it lives, as another user's
    return False
