"""Single runs of the jobs: each once at a time among all processes, as `connector.jobs.exclusive` has it.

`pass` brings the mirror up to date, judges and acts; `fast` does so for a few contacts alone, beside it; `deletes` looks for what no
modified date tells, `reconcile` compares the mirror with the CRMs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from connector.app import App
from connector.engine import PassResult, help_judging, run_pass
from connector.jobs.exclusive import LeaseKeeper, exclusive_run, refuse_paused
from connector.jobs.fast_lane import run_fast
from connector.jobs.mirror_jobs import Mirrored, Reconciled, look_for_removals, pull_only, reconcile
from connector.jobs.names import DELETES, FAST, JUDGING, PASS, RECONCILE
from connector.pipeline.context import PassContext, Progress
from connector.pipeline.recorded_run import RunResult
from connector.store import judging_slices

R = TypeVar("R", bound=RunResult)


def run_pass_once(
    app: App,
    *,
    progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
    work: Callable[[PassContext], PassResult] = run_pass,
) -> PassResult:
    """One pass, unless another process runs one or it is paused.

    Raises `LeaseLost`, naming who runs, and `Paused`. Where either came up while it ran, the pass ends in good order and says so among
    its errors.
    """
    with exclusive_run(app, stopped) as keeper:
        return _once(app, keeper, progress, work)


def pull_once(
    app: App,
    *,
    full: bool = False,
    deletes: bool = False,
    progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
    patient: bool = False,
) -> Mirrored:
    """The mirror only. full: from the beginning, whatever was read already; deletes: and what no modified date tells.

    patient: waits for a pass that runs. Raises as `run_pass_once` does.
    """
    work = look_for_removals if deletes else pull_only
    with exclusive_run(app, stopped, job=DELETES if deletes else PASS, patient=patient) as keeper:
        return _once(app, keeper, progress, partial(work, full=full))


def reconcile_once(
    app: App, *, progress: Progress | None = None, stopped: Callable[[], bool] = lambda: False, patient: bool = False
) -> Reconciled:
    """The mirror against the CRMs. patient: waits for a pass that runs. Raises as `run_pass_once` does."""
    with exclusive_run(app, stopped, job=RECONCILE, patient=patient) as keeper:
        return _once(app, keeper, progress, reconcile)


def fast_once(app: App, *, stopped: Callable[[], bool] = lambda: False) -> PassResult:
    """The few contacts for whom minutes count, beside a pull that runs. Raises `LeaseLost` while a pass judges and writes, and `Paused`."""
    with exclusive_run(app, stopped, job=FAST, lease=JUDGING) as keeper:
        return _once(app, keeper, None, run_fast)


def help_once(app: App, *, stopped: Callable[[], bool] = lambda: False) -> int:
    """Judges slices of a pass that another process leads, while there are any (PostgreSQL); how many slices.

    Raises `Paused`, and what ended it before its time: the slice in hand was finished then.
    """
    turn = app.turns[JUDGING]
    if app.store.dialect != "postgresql" or judging_slices.announced(app.store) is None or not turn.acquire(blocking=False):
        return 0  # the turn is taken: this very process leads
    try:
        refuse_paused(app.store, PASS)
        keeper = LeaseKeeper(app, PASS, stopped)
        with keeper.running():
            slices = help_judging(app.context(stopped=keeper.stopped))
    finally:
        turn.release()
    if keeper.problem is not None:
        raise keeper.problem
    return slices


def _once(app: App, keeper: LeaseKeeper, progress: Progress | None, work: Callable[[PassContext], R]) -> R:
    """Does the work under its leases; where a pause or another's lease ended it, that is among its errors."""
    result = work(app.context(progress=progress, stopped=keeper.stopped, judging=keeper.judging))
    if keeper.problem is not None:
        result.errors.append(keeper.problem)
    return result
