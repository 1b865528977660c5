"""Writing to HubSpot, without I/O: inputs of batches, and what became of each row of their answers.

https://developers.hubspot.com/docs/guides/api/crm/using-object-apis (batches, 207) and
https://developers.hubspot.com/docs/guides/api/crm/engagements/tasks. One bad row fails a whole batch, unless every input carries its own
`objectWriteTraceId`: then the answer is 207, with a result or an error for each row. All inputs here carry one.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from connector.adapters.client import Answer
from connector.adapters.hubspot.wire.errors import code_of, complaints, texts
from connector.adapters.hubspot.wire.records import Listing, read_listing
from connector.adapters.hubspot.wire.requests import find_marker, task_marker, to_millis
from connector.adapters.hubspot.wire.values import record_id
from connector.errors import AnswerLost, CrmError, RateLimited, Retriable
from connector.model import FieldWrite, TaskWrite, WriteOutcome, WriteState

# task → contact, company. https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide#association-type-id-values
_TASK_ASSOCIATIONS = {"contacts": 204, "companies": 192}
_TASK_TYPES = {"call": "CALL", "email": "EMAIL", "todo": "TODO"}
_PRIORITIES = {"low": "LOW", "medium": "MEDIUM", "high": "HIGH"}
_REFRESH_ADVICE = "Nothing to do: the connector reads the record again before it decides."


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """One input of a batch. trace: found again in the answer; number: which write it is of those that were asked for."""

    number: int
    trace: str
    input: Mapping[str, Any]
    properties: Mapping[str, str]


def update_rows(writes: Sequence[FieldWrite], numbers: Sequence[int]) -> list[BatchRow]:
    """Rows that set properties. None becomes "": that empties a property."""
    return [_update_row(number, writes[number], values_of(writes[number])) for number in numbers]


def values_of(write: FieldWrite) -> dict[str, str]:
    """What is sent for each property."""
    return {name: value or "" for name, value in write.properties.items()}


def clearing_rows(writes: Sequence[FieldWrite], numbers: Sequence[int]) -> list[BatchRow]:
    """Rows that empty the same properties.

    A lifecycle stage goes back only after it was emptied in a request of its own; two inputs of one batch keep no order
    (https://community.hubspot.com, "update lifecycle stage using api", 1333).
    """
    return [_update_row(number, writes[number], dict.fromkeys(writes[number].properties, "")) for number in numbers]


def restoring_rows(writes: Sequence[FieldWrite], former: Mapping[int, Mapping[str, str]]) -> list[BatchRow]:
    """Rows that put back what stood there: number of the write → property → value."""
    return [_update_row(number, writes[number], properties) for number, properties in former.items()]


def _update_row(number: int, write: FieldWrite, properties: Mapping[str, str]) -> BatchRow:
    trace = f"row-{number}"
    body = {"id": write.record.id, "properties": properties, "objectWriteTraceId": trace}
    return BatchRow(number=number, trace=trace, input=body, properties=properties)


def task_rows(writes: Sequence[TaskWrite]) -> list[BatchRow]:
    """Rows that create tasks, each associated with its record in the same request."""
    return [_task_row(number, write) for number, write in enumerate(writes)]


def _task_row(number: int, write: TaskWrite) -> BatchRow:
    task = write.task
    properties = {
        "hs_timestamp": str(to_millis(task.due_at)),  # required; of a task it is when it is due
        "hs_task_subject": task.subject,
        "hs_task_body": task_body(task.body, write.key),
        "hs_task_status": "NOT_STARTED",
        "hs_task_priority": _PRIORITIES[task.priority],
        "hs_task_type": _TASK_TYPES[task.type],
    }
    if task.owner_id is not None:
        properties["hubspot_owner_id"] = task.owner_id
    if task.reminder_at is not None:
        properties["hs_task_reminders"] = str(to_millis(task.reminder_at))
    kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": _TASK_ASSOCIATIONS[write.record.object]}
    marker = task_marker(write.key)
    body = {
        "properties": properties,
        "associations": [{"to": {"id": write.record.id}, "types": [kind]}],
        "objectWriteTraceId": marker,
    }
    return BatchRow(number=number, trace=marker, input=body, properties=properties)


# https://developers.hubspot.com/docs/guides/api/crm/properties: a text holds at most 65,536 characters.
_LONGEST_BODY = 65_000


def task_body(body: str, key: str) -> str:
    """The body as HTML, which HubSpot's bodies are; the last line holds the mark by which the task is found again."""
    lines = html.escape(body.strip()).splitlines()
    # Cut between lines, so that no entity is halved.
    fitting = sum(length <= _LONGEST_BODY for length in accumulate(len(line) + len("<br>") for line in lines))
    if fitting < len(lines):
        lines = [*lines[:fitting], "…"]
    return f"{'<br>'.join(lines)}<br>Ref: {task_marker(key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer:
    """A batch's answer by trace: results as they came, and what is known of the rows that have none."""

    results: Mapping[str, Mapping[str, Any]]
    refused: Mapping[str, WriteOutcome]


def read_batch(answer: Answer, rows: Sequence[BatchRow]) -> BatchAnswer:
    """Brings results and errors back to their rows: by trace id, else by record id, else by the mark in a task's body."""
    listing: Listing = read_listing(answer)
    by_id = {str(row.input["id"]): row.trace for row in rows if "id" in row.input}
    traces = {row.trace for row in rows}
    results: dict[str, Mapping[str, Any]] = {}
    for result in listing.results:
        if isinstance(result, dict):
            trace = _trace_of_result(result, traces, by_id)
            if trace is not None:
                results[trace] = result
    refused: dict[str, WriteOutcome] = {}
    unmatched: list[WriteOutcome] = []
    for error in listing.errors:
        outcome = _refusal(error, answer)
        named = _traces_of_error(error, traces, by_id)
        refused.update(dict.fromkeys(named, outcome))
        unmatched += [] if named else [outcome]
    silent = [row.trace for row in rows if row.trace not in results and row.trace not in refused]
    if len(silent) == len(unmatched):  # errors that name no row, as many as rows of which nothing is said: theirs
        refused.update(zip(silent, unmatched, strict=True))
    return BatchAnswer(results=results, refused=refused)


def _trace_of_result(result: Mapping[str, Any], traces: set[str], by_id: Mapping[str, str]) -> str | None:
    properties = result.get("properties")
    body = properties.get("hs_task_body") if isinstance(properties, dict) else None
    candidates = (result.get("objectWriteTraceId"), by_id.get(record_id(result)), find_marker(body) if isinstance(body, str) else None)
    return next((candidate for candidate in candidates if candidate in traces), None)


def _traces_of_error(error: Mapping[str, Any], traces: set[str], by_id: Mapping[str, str]) -> list[str]:
    """context names the rows: {"objectWriteTraceId": [..]}, {"id": [..]}, or {"ids": [..]} (seen so in the guides and in live answers)."""
    context = error.get("context")
    if not isinstance(context, dict):
        return []
    named = [trace for trace in texts(context.get("objectWriteTraceId")) if trace in traces]
    ids = [found for key in ("id", "ids") for found in texts(context.get(key))]
    return list(dict.fromkeys([*named, *[by_id[found] for found in ids if found in by_id]]))


def _refusal(error: Mapping[str, Any], answer: Answer) -> WriteOutcome:
    """A row's error, without HubSpot's message: it repeats values."""
    names, codes = complaints(error)
    code = codes[0] if codes else code_of(error) or "REFUSED"
    about = f" because of {', '.join(names)}" if names else ""
    gone = code_of(error) == "OBJECT_NOT_FOUND"
    return WriteOutcome(
        state=WriteState.LATER if code_of(error).startswith("RATE_LIMIT") else WriteState.REFUSED,
        code=code,
        message="the record is no longer there" if gone else f"HubSpot refused this row{about} ({code})",
        advice="Nothing to do: the next pull finds out." if gone else "Run `connector check`: it compares properties and options.",
        correlation_id=answer.headers.get("x-hubspot-correlation-id", "")[:64],
    )


def update_outcome(row: BatchRow, batch: BatchAnswer) -> WriteOutcome:
    """What became of one row that set properties."""
    result = batch.results.get(row.trace)
    if result is None:
        return _without_result(row, batch)
    ignored = _ignored(row, result)
    if ignored:
        return WriteOutcome(
            state=WriteState.REFUSED,
            id=record_id(result),
            code="IGNORED",
            message=f"HubSpot answered with success and left {ignored} as it was: this property goes forward only",
            advice="A stage moves backward only after it was emptied; see which of the account's own automations set it.",
        )
    return WriteOutcome(state=WriteState.WRITTEN, id=record_id(result))


def _ignored(row: BatchRow, result: Mapping[str, Any]) -> str:
    """lifecyclestage, where it was sent and something else came back.

    A backward move is answered with success and not made (https://community.hubspot.com, "update lifecycle stage using api", 1333). Other
    properties come back in HubSpot's own spelling (numbers, dates), and are compared by whoever reads the record again.
    """
    properties = result.get("properties")
    if "lifecyclestage" not in row.properties or not isinstance(properties, dict) or "lifecyclestage" not in properties:
        return ""
    return "" if (properties["lifecyclestage"] or "") == row.properties["lifecyclestage"] else "lifecyclestage"


def create_outcome(row: BatchRow, batch: BatchAnswer) -> WriteOutcome:
    """What became of one row that created a task."""
    result = batch.results.get(row.trace)
    if result is not None and record_id(result):
        return WriteOutcome(state=WriteState.WRITTEN, id=record_id(result))
    return _without_result(row, batch)


def _without_result(row: BatchRow, batch: BatchAnswer) -> WriteOutcome:
    unknown = WriteOutcome(
        state=WriteState.UNKNOWN, code="NO_RESULT", message="HubSpot's answer says nothing of this row", advice=_REFRESH_ADVICE
    )
    return batch.refused.get(row.trace, unknown)


def outcome_of_error(error: CrmError, *, creating: bool) -> WriteOutcome:
    """What an error of a whole batch means for each of its rows.

    Turned away before anything was done: later. An answer that never came, or a server that failed in the middle: unknown. Of a create
    the caller has told the two apart already: what may have been done is `AnswerLost`.
    """
    turned_away = isinstance(error, RateLimited) or (error.status is not None and 400 <= error.status < 500 and error.status != 408)
    lost = isinstance(error, AnswerLost) or (isinstance(error, Retriable) and not creating and not turned_away)
    state = WriteState.UNKNOWN if lost else WriteState.LATER
    return WriteOutcome(state=state, code=error.code, message=error.message, advice=error.advice, correlation_id=error.correlation_id)


def outcome_of_refusal(error: CrmError) -> WriteOutcome:
    """A row that was alone in its batch when the batch was refused."""
    return WriteOutcome(
        state=WriteState.REFUSED, code=error.code, message=error.message, advice=error.advice, correlation_id=error.correlation_id
    )
