"""The day's tasks: an owner gets so many a day, the most urgent first; the rest waits for the next day, when it is ranked again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from connector.model import CrmName, Kind, State
from connector.pipeline.plan.parts import PlanPart, PlanTerms
from connector.store import ledger

#: An owner of records: the CRM, his id there.
OwnerKey = tuple[CrmName, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTask:
    """A task that wants a place in its owner's day: a new one, or one that waited for today."""

    owner: OwnerKey
    urgency: float
    key: str


def share_out_the_day(connection: Connection, parts: Sequence[PlanPart], terms: PlanTerms) -> list[PlanPart]:
    """The parts; tasks whose owner's day is full wait for the next. Rows of the ledger that waited for today are ranked among them."""
    limit = terms.task_limits.a_day_an_owner
    waiting = ledger.waiting_tasks(connection, now=terms.now)
    tasks = [*_new_tasks(parts), *_waiting_tasks(waiting)]
    if not tasks:
        return list(parts)
    given = ledger.tasks_of_day(connection, start=terms.day_start, end=terms.next_day) if limit is not None else {}
    fitting = fitting_the_day(tasks, given, limit)
    late = {task.key for task in tasks} - fitting
    ledger.free_waiting(connection, [row.id for row in waiting if row.key in fitting])
    ledger.postpone_waiting(connection, [row.id for row in waiting if row.key in late], until=terms.next_day)
    return [replace(part, state=State.WAITING, retry_at=terms.next_day) if part.key in late else part for part in parts]


def fitting_the_day(tasks: Iterable[DayTask], given: Mapping[OwnerKey, int], limit: int | None) -> set[str]:
    """The keys of the tasks that find a place today. given: how many each owner has of the day already; limit None: all fit."""
    count = Counter(given)
    fitting: set[str] = set()
    for task in sorted(tasks, key=lambda task: (-task.urgency, task.key)):
        if limit is None or count[task.owner] < limit:
            count[task.owner] += 1
            fitting.add(task.key)
    return fitting


def _new_tasks(parts: Iterable[PlanPart]) -> Iterator[DayTask]:
    for part in parts:
        task = part.action.task
        if part.state is State.PLANNED and part.action.kind is Kind.CREATE_TASK and task is not None and task.owner_id:
            yield DayTask(owner=(part.action.record.crm, task.owner_id), urgency=part.proposal.urgency, key=part.key)


def _waiting_tasks(rows: Iterable[ledger.Entry]) -> Iterator[DayTask]:
    for row in rows:
        if row.task is not None and row.task.owner_id:
            yield DayTask(owner=(row.record.crm, row.task.owner_id), urgency=row.urgency, key=row.key)
