"""HubSpot's calls, e-mails, meetings and tasks in the one vocabulary of `connector.model.Activity`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connector.adapters.hubspot.wire.requests import find_marker
from connector.adapters.hubspot.wire.values import id_of, moment_of, number_of, properties_of, set_aside, text_of, upper_of
from connector.adapters.set_aside import Unreadable
from connector.model import Activity, ActivityKind, Direction, RecordRef, SetAside, TaskReadBack


def read_activity(object_name: str, raw: Any, contacts: Sequence[str]) -> Activity | SetAside:
    """A call, e-mail, meeting or task about these contacts."""
    try:
        properties = properties_of(raw)
        own = READERS[object_name](properties)
        return Activity(
            crm="hubspot",
            object=object_name,
            id=id_of(raw),
            contacts=tuple(RecordRef(crm="hubspot", object="contacts", id=contact) for contact in contacts),
            owner_id=text_of(properties, "hubspot_owner_id") or None,
            created_at=moment_of(raw, "createdAt"),
            modified_at=moment_of(raw, "updatedAt"),
            archived=raw.get("archived") is True,
            **own,
        )
    except Unreadable as problem:
        return set_aside(object_name, raw, str(problem))


# Prefixes of hs_call_disposition, whose values are GUIDs: https://developers.hubspot.com/docs/guides/api/crm/engagements/calls
_DISPOSITIONS = {
    "f240bbac": "connected", "73a0d17f": "no answer", "9d9162e7": "busy", "b2cf5968": "left voicemail", "a4c4c377": "left live message",
    "17b47fee": "wrong number",
}  # fmt: skip
# The same page: statuses before a call has rung, or where it could not be made.
_CALL_NOT_MADE = frozenset({"QUEUED", "CALLING_CRM_USER", "CONNECTING", "CANCELED", "CANCELLED", "FAILED"})


def _call(properties: Mapping[str, Any]) -> dict[str, Any]:
    direction = {"OUTBOUND": Direction.OUTGOING, "INBOUND": Direction.INCOMING}.get(upper_of(properties, "hs_call_direction"))
    disposition = text_of(properties, "hs_call_disposition") or ""
    millis = number_of(properties, "hs_call_duration")
    return {
        "kind": ActivityKind.CALL,
        "at": moment_of(properties, "hs_timestamp"),
        "direction": direction,
        "happened": upper_of(properties, "hs_call_status") not in _CALL_NOT_MADE,
        "outcome": _DISPOSITIONS.get(disposition[:8].lower(), disposition) or None,
        "duration_seconds": None if millis is None else millis / 1000,
    }


# https://developers.hubspot.com/docs/guides/api/crm/engagements/email: EMAIL was sent from the CRM or logged by its sender;
# FORWARDED_EMAIL was forwarded to the CRM and says nothing about who wrote to whom.
_EMAIL_DIRECTIONS = {"EMAIL": Direction.OUTGOING, "INCOMING_EMAIL": Direction.INCOMING}
_EMAIL_NOT_SENT = frozenset({"BOUNCED", "FAILED", "SCHEDULED", "SENDING"})
# Names of the tools that make records by themselves; an account without them never shows one [seen in public code, not in the guides].
_AUTOMATIC_SOURCES = frozenset({"SEQUENCES", "AUTOMATION_PLATFORM", "MARKETING_EMAIL", "EMAIL_MARKETING"})


def _email(properties: Mapping[str, Any]) -> dict[str, Any]:
    direction = _EMAIL_DIRECTIONS.get(upper_of(properties, "hs_email_direction"))
    status = upper_of(properties, "hs_email_status")
    sent = status == "SENT" if direction is Direction.OUTGOING else status not in _EMAIL_NOT_SENT
    return {
        "kind": ActivityKind.EMAIL,
        "at": moment_of(properties, "hs_timestamp"),
        "direction": direction,
        "happened": sent,
        "automatic": bool(text_of(properties, "hs_sequence_id")) or upper_of(properties, "hs_object_source") in _AUTOMATIC_SOURCES,
        "outcome": status.lower() or None,
    }


def _meeting(properties: Mapping[str, Any]) -> dict[str, Any]:
    """A meeting; one to which the contact did not come (NO_SHOW) was an attempt all the same, a cancelled one was none."""
    start = moment_of(properties, "hs_meeting_start_time") or moment_of(properties, "hs_timestamp")
    end = moment_of(properties, "hs_meeting_end_time")
    outcome = upper_of(properties, "hs_meeting_outcome")
    return {
        "kind": ActivityKind.MEETING,
        "at": start,
        "direction": Direction.OUTGOING,
        "happened": outcome not in {"CANCELED", "CANCELLED"},
        "outcome": outcome.lower() or None,
        "duration_seconds": (end - start).total_seconds() if start is not None and end is not None and end >= start else None,
    }


def _task(properties: Mapping[str, Any]) -> dict[str, Any]:
    """A task: hs_timestamp is when it is due. https://developers.hubspot.com/docs/guides/api/crm/engagements/tasks"""
    done = upper_of(properties, "hs_task_status") == "COMPLETED"
    return {
        "kind": ActivityKind.TASK,
        "at": moment_of(properties, "hs_task_completion_date") if done else None,
        "happened": done,
        "channel": {"CALL": "call", "EMAIL": "email"}.get(upper_of(properties, "hs_task_type")),
        "outcome": (text_of(properties, "hs_task_status") or "").lower() or None,
        "due_at": moment_of(properties, "hs_timestamp"),
        "done": done,
        "key": find_marker(text_of(properties, "hs_task_body") or ""),
    }


READERS = {"calls": _call, "emails": _email, "meetings": _meeting, "tasks": _task}


def read_task_back(raw: Any, contacts: Sequence[str]) -> TaskReadBack:
    """A task as it is now, for comparing with what was to be created. due_at: ISO 8601, UTC. Raises `Unreadable`."""
    properties = properties_of(raw)
    due = moment_of(properties, "hs_timestamp")
    return {
        "subject": text_of(properties, "hs_task_subject"),
        "owner_id": text_of(properties, "hubspot_owner_id") or None,
        "due_at": None if due is None else due.isoformat(),
        "key": find_marker(text_of(properties, "hs_task_body") or ""),
        "record_id": contacts[0] if contacts else None,
    }
