"""One batch of tasks to create. A create is not safe to repeat: what may have been sent before is looked up first."""

from __future__ import annotations

from collections.abc import Sequence

from connector.errors import AnswerLost, CrmError, Retriable
from connector.model import WriteState
from connector.pipeline.write_back.batch import BatchContext, unknown
from connector.pipeline.write_back.outcomes import emptied, marker, not_written, task_found, task_write
from connector.store.claims import Settlement
from connector.store.ledger import Entry


def create_tasks(context: BatchContext, batch: Sequence[Entry]) -> None:
    """Looks up, claims, creates, reads again, settles."""
    without_task = [row for row in batch if row.task is None]
    if without_task:
        context.settle([emptied(row) for row in context.take_in_hand(without_task)])
    rows = [row for row in batch if row.task is not None]
    if rows:
        _look_up_and_create(context, rows)


def _look_up_and_create(context: BatchContext, batch: Sequence[Entry]) -> None:
    earlier = [row for row in batch if row.maybe_written]
    again = _look_up(context, earlier) if earlier else []
    fresh = [row for row in batch if not row.maybe_written]
    if context.is_shut(batch[0]):
        context.give_back(again)
        return
    rows = context.claim([*again, *fresh])
    if rows:
        context.settle(_create(context, [*earlier, *fresh], rows))


def _look_up(context: BatchContext, batch: Sequence[Entry]) -> list[Entry]:
    """Settles the tasks that are there, or that may yet come up; returns the rows that certainly have none."""
    rows = context.take_in_hand(batch)
    unnamed = [row for row in rows if row.result_id is None]
    try:
        found = context.crms[batch[0].record.crm].find_tasks([task_write(row) for row in unnamed]) if unnamed else {}
    except CrmError as error:
        context.stop_for(error, batch[0])
        context.give_back(batch)
        return []
    looked_up = [(row, row.result_id or found.get(marker(row))) for row in rows]
    made = [(row, task_id) for row, task_id in looked_up if task_id is not None]
    missing = [row for row, task_id in looked_up if task_id is None]
    too_early = [row for row in missing if row.sent_at is not None and context.now() < row.sent_at + context.task_lookup_wait]
    context.settle([*_read_again(context, made), *(unknown(row) for row in too_early)])
    return [row for row in missing if row not in too_early]


def _create(context: BatchContext, batch: Sequence[Entry], rows: Sequence[Entry]) -> list[Settlement]:
    crm = context.crms[rows[0].record.crm]
    try:
        outcomes = context.send(crm.create_tasks, [task_write(row) for row in rows])
    except (Retriable, AnswerLost) as error:
        context.stop_for(error, rows[0])
        return [unknown(row, error) for row in rows]
    except CrmError as error:
        context.stop_for(error, rows[0])
        context.give_back_sent(batch, rows)
        return []
    answered = list(zip(rows, outcomes, strict=True))
    failed = [end for row, outcome in answered if (end := not_written(row, outcome, now=context.now())) is not None]
    return failed + _read_again(context, [(row, outcome.id) for row, outcome in answered if outcome.state is WriteState.WRITTEN])


def _read_again(context: BatchContext, made: Sequence[tuple[Entry, str]]) -> list[Settlement]:
    """What the rows of these tasks, (row, task id), end as by the tasks as they are in the CRM."""
    if not made:
        return []
    try:
        tasks = context.crms[made[0][0].record.crm].read_tasks([task_id for _, task_id in made])
    except CrmError as error:
        context.stop_for(error, made[0][0])
        return [unknown(row, error, task_id=task_id) for row, task_id in made]
    return [task_found(row, task_id, tasks.get(task_id)) for row, task_id in made]
