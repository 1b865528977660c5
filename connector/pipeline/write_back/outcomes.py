"""What a row of the ledger becomes by what the CRM held before, what it answered, and what it holds now. No I/O.

Values are compared as they are, letter by letter; only "" and nothing are the same.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from connector.model import FieldWrite, Record, State, TaskReadBack, TaskWrite, WriteOutcome, WriteState, own_rules
from connector.store.claims import Settlement
from connector.store.ledger import Entry

#: How often a row that the CRM does not take now is tried, and how long it waits first; each time twice as long.
MOST_TRIES = 5
FIRST_WAIT = timedelta(minutes=2)


def same(value: str | None, other: str | None) -> bool:
    """Whether two values of a CRM are the same."""
    return (value or None) == (other or None)


def held_value(record: Record, name: str) -> str | None:
    """What a record holds, as the text that the ledger keeps."""
    value = record.properties.get(name)
    return None if value is None else str(value)


def marker(row: Entry) -> str:
    """By which a task is found again in the CRM: 32 hexadecimal digits.

    A digest, since a CRM's field is short and keys are not; of the record too, so that a database begun anew, which numbers its contacts
    differently, never takes another person's task for its own. The colon before the program's own rules is left out, so that tasks which
    were created before these had one are found.
    """
    about = f"{row.key.removeprefix(own_rules.OWN)}|{row.record.crm}|{row.record.object}|{row.record.id}"
    return hashlib.sha256(about.encode()).hexdigest()[:32]


def task_write(row: Entry) -> TaskWrite:
    """The task of a row."""
    if row.task is None:
        raise ValueError(f"row {row.id} of the ledger creates a task and has none")
    return TaskWrite(key=marker(row), record=row.record, task=row.task)


def field_write(row: Entry) -> FieldWrite:
    """The value to set."""
    return FieldWrite(record=row.record, properties={row.target: row.after}, clear_first=row.backward)


def emptied(row: Entry) -> Settlement:
    """A task whose text was deleted with the person it was about."""
    return Settlement(entry=row, state=State.SUPERSEDED, message="its values were deleted with the person's data")


def before_write(row: Entry, record: Record | None) -> Settlement | None:
    """What a row ends as by what the CRM holds now; None where it is to be written."""
    if record is None or record.archived:
        return Settlement(
            entry=row,
            state=State.REFUSED,
            code="NO_RECORD",
            message=f"the record is not in {row.record.crm} any more",
            next_step="Nothing to do: the next look for deleted records takes it out of the mirror.",
            due=True,
        )
    found = held_value(record, row.target)
    if same(found, row.after):
        return _holds_it(row, found)
    if same(found, row.before) or (row.backward and row.maybe_written and not found):
        return None  # the second: an earlier try of ours emptied it first, and did not come to write it
    return Settlement(
        entry=row,
        state=State.SUPERSEDED,
        found=found or "",
        message="somebody changed the value after the decision; the contact is judged again",
        due=True,
    )


def _holds_it(row: Entry, found: str | None) -> Settlement:
    if row.maybe_written:
        message = "an earlier try was written, and its answer was lost"
        return Settlement(entry=row, state=State.APPLIED, found=found or "", read_back=True, message=message, due=True)
    return Settlement(entry=row, state=State.ALREADY_SO, found=found or "", read_back=True, due=True)


def not_written(row: Entry, outcome: WriteOutcome, *, now: datetime) -> Settlement | None:
    """What a row becomes by an answer that was no success; None where it was written."""
    if outcome.state is WriteState.WRITTEN:
        return None
    state = {WriteState.REFUSED: State.REFUSED, WriteState.LATER: State.PARKED, WriteState.UNKNOWN: State.UNKNOWN}[outcome.state]
    message, next_step, retry_at = outcome.message, outcome.advice, None
    if state is State.PARKED and row.tries >= MOST_TRIES:
        state, message = State.REFUSED, f"not taken in {row.tries} tries; the last time: {outcome.message}"
    elif state is State.PARKED:
        retry_at = now + FIRST_WAIT * 2 ** (row.tries - 1)
    return Settlement(
        entry=row,
        state=state,
        retry_at=retry_at,
        code=outcome.code,
        message=message,
        next_step=next_step or _NEXT_STEP[state],
        correlation_id=outcome.correlation_id,
        due=row.backward and state is State.REFUSED,  # it may have been emptied before
    )


_NEXT_STEP = {
    State.REFUSED: "Mend the record, or the permission, in the CRM; the rest of the bundle is blocked until then.",
    State.PARKED: "Nothing to do: it is tried again.",
    State.UNKNOWN: "Nothing to do: it is looked up before it is tried again.",
}


def after_write(row: Entry, record: Record | None, outcome: WriteOutcome) -> Settlement:
    """What a written row ends as by what the CRM holds when read again."""
    found = None if record is None else held_value(record, row.target)
    if record is not None and same(found, row.after):
        return Settlement(
            entry=row, state=State.APPLIED, found=found or "", read_back=True, correlation_id=outcome.correlation_id, due=True
        )
    if record is not None and same(found, row.before):
        return Settlement(
            entry=row,
            state=State.REFUSED,
            found=found or "",
            read_back=False,
            code="NOT_TAKEN",
            message=f"{row.record.crm} answered with success and holds the former value",
            next_step="Look for a workflow or a rule of the CRM that sets the value back.",
            correlation_id=outcome.correlation_id,
            due=True,
        )
    gone = "the record was deleted" if record is None else "another value was set"
    return Settlement(
        entry=row,
        state=State.COLLIDED,
        found=found or "",
        read_back=False,
        message=f"{gone} in the moment of our write",
        next_step="Look at the record's history; the contact is judged again.",
        correlation_id=outcome.correlation_id,
        due=True,
    )


def task_found(row: Entry, task_id: str, values: TaskReadBack | None) -> Settlement:
    """What a created task's row ends as by the task as it is in the CRM (None: it is not there)."""
    differs = [] if values is None else _differences(row, values)
    if values is not None and not differs:
        return Settlement(entry=row, state=State.APPLIED, result_id=task_id, read_back=True, due=True)
    problem = "is gone" if values is None else f"has another {' and another '.join(differs)}"
    return Settlement(
        entry=row,
        state=State.COLLIDED,
        result_id=task_id,
        read_back=False,
        message=f"the task was created and, read again, {problem}",
        next_step="Look at the task in the CRM, and for an automation there that changes tasks.",
        due=True,
    )


def _differences(row: Entry, values: TaskReadBack) -> list[str]:
    """key is the adapter's own mark, made from ours: that it is there is what counts."""
    task = task_write(row).task
    differs = {
        "record": not same(values.get("record_id"), row.record.id),
        "owner": task.owner_id is not None and not same(values.get("owner_id"), task.owner_id),
        "key": not values.get("key"),
    }
    return [word for word, other in differs.items() if other]
