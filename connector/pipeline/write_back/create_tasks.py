"""One batch of tasks to create. A create is not safe to repeat: what may have been sent before is looked up first."""

from __future__ import annotations

from collections.abc import Sequence

from connector.errors import AnswerLost, CrmError, Retriable
from connector.model import WriteState
from connector.pipeline.write_back import outcomes as judge
from connector.pipeline.write_back.batch import BatchContext, unknown
from connector.store.claims import Settlement
from connector.store.ledger import Entry


def create_tasks(work: BatchContext, batch: Sequence[Entry]) -> None:
    """Looks up, claims, creates, reads again, settles."""
    emptied = [row for row in batch if row.task is None]
    if emptied:
        work.settle([judge.emptied(row) for row in work.take_in_hand(emptied)])
    batch = [row for row in batch if row.task is not None]
    if batch:
        _look_up_and_create(work, batch)


def _look_up_and_create(work: BatchContext, batch: Sequence[Entry]) -> None:
    earlier = [row for row in batch if row.maybe_written]
    again = _look_up(work, earlier) if earlier else []
    fresh = [row for row in batch if not row.maybe_written]
    if work.is_shut(batch[0]):
        work.give_back(again)
        return
    rows = work.claim([*again, *fresh])
    if rows:
        work.settle(_create(work, [*earlier, *fresh], rows))


def _look_up(work: BatchContext, batch: Sequence[Entry]) -> list[Entry]:
    """Settles the tasks that are there, or that may yet come up; returns the rows that certainly have none."""
    rows = work.take_in_hand(batch)
    unnamed = [row for row in rows if row.result_id is None]
    try:
        found = dict(work.crms[batch[0].record.crm].find_tasks([judge.task_write(row) for row in unnamed])) if unnamed else {}
    except CrmError as error:
        work.stop_for(error, batch[0])
        work.give_back(batch)
        return []
    there = [(row, task_id) for row in rows if (task_id := row.result_id or found.get(judge.marker(row))) is not None]
    missing = [row for row in rows if row.result_id is None and judge.marker(row) not in found]
    too_early = [row for row in missing if row.sent_at is not None and work.now() < row.sent_at + work.task_lookup_wait]
    work.settle([*_read_again(work, there), *(unknown(row) for row in too_early)])
    return [row for row in missing if row not in too_early]


def _create(work: BatchContext, batch: Sequence[Entry], rows: Sequence[Entry]) -> list[Settlement]:
    crm = work.crms[rows[0].record.crm]
    try:
        outcomes = work.send(crm.create_tasks, [judge.task_write(row) for row in rows])
    except (Retriable, AnswerLost) as error:
        work.stop_for(error, rows[0])
        return [unknown(row, error) for row in rows]
    except CrmError as error:
        work.stop_for(error, rows[0])
        work.give_back_sent(batch, rows)
        return []
    answered = list(zip(rows, outcomes, strict=True))
    failed = [end for row, outcome in answered if (end := judge.not_written(row, outcome, now=work.now())) is not None]
    return failed + _read_again(work, [(row, outcome.id) for row, outcome in answered if outcome.state is WriteState.WRITTEN])


def _read_again(work: BatchContext, made: Sequence[tuple[Entry, str]]) -> list[Settlement]:
    """What the rows of these tasks, (row, task id), end as by the tasks as they are in the CRM."""
    if not made:
        return []
    try:
        tasks = work.crms[made[0][0].record.crm].read_tasks([task_id for _, task_id in made])
    except CrmError as error:
        work.stop_for(error, made[0][0])
        return [unknown(row, error, task_id=task_id) for row, task_id in made]
    return [judge.task_found(row, task_id, tasks.get(task_id)) for row, task_id in made]
