"""Tasks that the connector creates: their marker, their fields, and how they are found again. No I/O.

With an External Id field on Task a create is an upsert on it, and happens exactly once whatever answers are lost. Where the org has no such
field, the marker stands in the last line of the description, and a lost answer is looked up through the Lead or Contact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

from connector.adapters.salesforce.wire.requests import Row, literal
from connector.model import TaskReadBack, TaskSpec, TaskWrite

#: Subject takes 255 characters, Description 32,000
#: (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_task.htm).
LONGEST_SUBJECT = 255
LONGEST_DESCRIPTION = 32_000
#: What the External Id field must take at least.
MARKER_LENGTH = 40

_PRIORITY = {"low": "Low", "medium": "Normal", "high": "High"}
_SUBTYPE = {"call": "Call", "email": "Email", "todo": "Task"}
_LINE = "[handoff:"


def task_marker(key: str) -> str:
    """What stands in Salesforce for an action's key: 40 hexadecimal digits, always the same; a key itself may hold personal data."""
    return hashlib.blake2b(key.encode(), digest_size=MARKER_LENGTH // 2).hexdigest()


def fields(write: TaskWrite, *, zone: tzinfo, key_field: str | None) -> dict[str, Any]:
    """The fields of a new Task. key_field: None where the org has none.

    Status is left to the org's default: its values are the org's own. ActivityDate is a day, in the business's zone.
    A reminder needs both IsReminderSet and ReminderDateTime.
    """
    task, marker = write.task, task_marker(write.key)
    values: dict[str, Any] = {
        "WhoId": write.record.id,
        "Subject": task.subject[:LONGEST_SUBJECT],
        "Description": task.body[:LONGEST_DESCRIPTION] if key_field else _marked(task.body, marker),
        "Priority": _PRIORITY[task.priority],
        "ActivityDate": due_day(task, zone),
        "TaskSubtype": _SUBTYPE[task.type],
        "IsReminderSet": task.reminder_at is not None,
    }
    if task.owner_id is not None:
        values["OwnerId"] = task.owner_id
    if task.reminder_at is not None:
        values["ReminderDateTime"] = literal(task.reminder_at)
    if key_field:
        values[key_field] = marker
    return values


def due_day(task: TaskSpec, zone: tzinfo) -> str:
    """The day on which a task is due, as Salesforce keeps it."""
    return task.due_at.astimezone(zone).date().isoformat()


def _marked(body: str, marker: str) -> str:
    line = f"{_LINE}{marker}]"
    return f"{body[: LONGEST_DESCRIPTION - len(line) - 2]}\n\n{line}" if body else line


def marker_of(row: Row, key_field: str | None) -> str:
    """The marker of a Task that is ours, "" for others'."""
    if key_field:
        value = row.get(key_field)
        return value if isinstance(value, str) else ""
    description = row.get("Description")
    last = description.rstrip().rpartition("\n")[2].strip() if isinstance(description, str) else ""
    return last[len(_LINE) : -1] if last.startswith(_LINE) and last.endswith("]") else ""


def found(rows: Sequence[Row], writes: Sequence[TaskWrite], key_field: str | None) -> Mapping[str, str]:
    """Which of these tasks are among the rows: key → id. Of two with one marker the older, which has the lower id."""
    keys = {task_marker(write.key): write.key for write in writes}
    tasks: dict[str, str] = {}
    for row in sorted((row for row in rows if isinstance(row.get("Id"), str)), key=lambda row: str(row["Id"]), reverse=True):
        key = keys.get(marker_of(row, key_field).lower())
        if key is not None:
            tasks[key] = row["Id"]
    return tasks


def read_back(row: Row, key_field: str | None) -> TaskReadBack:
    """A Task as it is now. due_at is its day ("2026-12-02"): Salesforce keeps no hour. key is its marker."""
    return {
        "subject": row.get("Subject"),
        "owner_id": row.get("OwnerId"),
        "due_at": row.get("ActivityDate"),
        "key": marker_of(row, key_field),
        "record_id": row.get("WhoId"),
    }
