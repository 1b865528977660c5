"""The day's tasks: an owner gets so many a day, the most urgent first; the rest waits for the next day, when it is ranked again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from connector.model import CrmName
from connector.pipeline.plan.parts import PlanTerms
from connector.store import ledger

#: An owner of records: the CRM, his id there.
OwnerKey = tuple[CrmName, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTask:
    """A task that wants a place in its owner's day."""

    owner: OwnerKey
    urgency: float
    key: str


def share_out_the_day(connection: Connection, terms: PlanTerms) -> None:
    """Tasks that waited for today are planned, or wait for tomorrow: those of the pass, and those of earlier ones."""
    limit = terms.task_limits.a_day_an_owner
    waiting = ledger.waiting_tasks(connection, now=terms.now)
    tasks = [
        DayTask(owner=(row.record.crm, row.task.owner_id), urgency=row.urgency, key=row.key)
        for row in waiting
        if row.task is not None and row.task.owner_id
    ]
    if not tasks:
        return
    given = ledger.tasks_of_day(connection, start=terms.day_start, end=terms.next_day) if limit is not None else {}
    fitting = fitting_the_day(tasks, given, limit)
    late = {task.key for task in tasks} - fitting
    ledger.free_waiting(connection, [row for row in waiting if row.key in fitting])
    ledger.postpone_waiting(connection, [row for row in waiting if row.key in late], until=terms.next_day)


def fitting_the_day(tasks: Iterable[DayTask], given: Mapping[OwnerKey, int], limit: int | None) -> set[str]:
    """The keys of the tasks that find a place today. given: how many each owner has of the day already; limit None: all fit."""
    count = Counter(given)
    fitting: set[str] = set()
    for task in sorted(tasks, key=lambda task: (-task.urgency, task.key)):
        if limit is None or count[task.owner] < limit:
            count[task.owner] += 1
            fitting.add(task.key)
    return fitting
