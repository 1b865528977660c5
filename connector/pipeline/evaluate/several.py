"""Several processes judge one pass, on PostgreSQL: one leads it and announces what is due, in slices; all claim them in their order.

A slice is judged, put into the plan and settled in one transaction, so that a process that dies leaves nothing half done. Everything of it
goes on beside the others but one thing: before a lead is given to the next in turn, the slices before are waited for. So the turns go round
as if one process judged all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from connector.pipeline.evaluate.evaluate import Companies, Evaluated, EvaluationRun, SliceJudge, due_contacts
from connector.store import judging_slices
from connector.store.database import Store
from connector.store.judging_slices import AnnouncedPass, JudgedSlice

#: Contacts of a slice, and how many must be due for others to be asked for help: below it is over sooner than they come.
SLICE = 1_000
WORTH_IT = 5_000
#: Behind the last slice.
_END = 2**62

#: Puts what a slice concluded into the plan, within its transaction; what the leader is to be told of it, as JSON.
Keep = Callable[[Connection, Evaluated], Any]


class _GivenUp(Exception):
    """A slice before was given up while its turns were waited for: this one is given back, and that one judged first."""


def nobody_helps(store: Store) -> None:
    """A pass begins to judge: nobody goes on with one whose leader died. Waits for the slices in hand."""
    if store.dialect == "postgresql" and judging_slices.announced(store) is not None:
        judging_slices.clear(store)


def due_for_several(store: Store, run: EvaluationRun) -> Sequence[int]:
    """Who is due, in order, where it is worth it that several judge; else nobody."""
    if store.dialect != "postgresql" or run.only is not None:
        return ()
    with store.read() as connection:
        due = due_contacts(connection, run.table, run.now)
    return due if len(due) >= WORTH_IT else ()


def lead(
    store: Store,
    run: EvaluationRun,
    due: Sequence[int],
    *,
    terms: str,
    keep: Keep,
    stopped: Callable[[], bool],
    progress: Callable[[int, int], None],
) -> list[JudgedSlice]:
    """Judges these contacts with whoever helps; returns when all are judged, or when it was stopped, with what the slices came to.

    terms: what helpers must come to by themselves, too. Whatever happens, nobody helps any more when this ends.
    """
    judge = SliceJudge(run)
    try:
        judging_slices.announce(store, AnnouncedPass(run=run.run, now=run.now, terms=terms), due, SLICE)
        whole = False
        while not whole and not stopped():
            if not _judge_next(store, run, judge=judge, keep=keep):
                store.write(partial(judging_slices.all_before_judged, run=run.run, number=_END))
            done, whole = judging_slices.progress(store, run.run)
            progress(done, len(due))
        return judging_slices.judged_slices(store, run.run)
    finally:
        judging_slices.clear(store)


def lend_a_hand(store: Store, run: EvaluationRun, *, keep: Keep, stopped: Callable[[], bool]) -> int:
    """Judges slices of a pass that another process leads, as long as there are any that nobody has; how many slices."""
    judge = SliceJudge(run)
    slices = 0
    while not stopped() and _judge_next(store, run, judge=judge, keep=keep):
        slices += 1
    return slices


def _judge_next(store: Store, run: EvaluationRun, *, judge: SliceJudge, keep: Keep) -> bool:
    """Judges the next slice that is free; whether there was one."""
    while True:
        try:
            return store.write(partial(_judge_slice, run=run.run, judge=judge, keep=keep))
        except _GivenUp:
            continue


def _judge_slice(connection: Connection, run: int, judge: SliceJudge, keep: Keep) -> bool:
    claimed = judging_slices.claim(connection, run)
    if claimed is None:
        return False
    concluded = judge.judge(connection, claimed.first, claimed.last, partial(_companies, connection, run, claimed.number))
    saved = keep(connection, concluded)
    judging_slices.judged(
        connection, run, claimed.number, evaluated=concluded.evaluated, saved=saved, companies=concluded.companies
    )
    return True


def _companies(connection: Connection, run: int, number: int) -> Companies:
    if not judging_slices.all_before_judged(connection, run, number):
        raise _GivenUp
    return judging_slices.companies_before(connection, run, number)
