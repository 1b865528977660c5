"""What a rule wants, what is written for it, and what became of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict

from connector.model.records import RecordRef


class Kind(StrEnum):
    """What an action does."""

    SET_STAGE = "set_stage"
    SET_FIELD = "set_field"
    CREATE_LEAD = "create_lead"
    ASSIGN = "assign"
    CREATE_TASK = "create_task"
    UPDATE_TASK = "update_task"
    CLOSE_TASK = "close_task"
    NOTIFY = "notify"
    MAIL = "mail"


#: The order of the parts of a bundle, whatever the file's order; each part waits for those before it.
BUNDLE_ORDER: tuple[Kind, ...] = (
    Kind.CREATE_LEAD, Kind.SET_STAGE, Kind.ASSIGN, Kind.SET_FIELD,
    Kind.CREATE_TASK, Kind.UPDATE_TASK, Kind.CLOSE_TASK, Kind.NOTIFY, Kind.MAIL,
)  # fmt: skip


class State(StrEnum):
    """Where an action stands; the outcomes of the ledger."""

    SHADOW = "shadow"
    PLANNED = "planned"
    WAITING = "waiting"
    HELD = "held"
    APPROVED = "approved"
    SENDING = "sending"
    UNKNOWN = "unknown"
    APPLIED = "applied"
    ALREADY_SO = "already_so"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    COLLIDED = "collided"
    PARKED = "parked"
    BLOCKED = "blocked"
    DROPPED = "dropped"
    UNDONE = "undone"


#: States in which an action has come to its end.
ENDED = frozenset(
    {State.APPLIED, State.ALREADY_SO, State.REFUSED, State.SUPERSEDED, State.COLLIDED, State.PARKED, State.BLOCKED, State.DROPPED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """A task to create, rendered.

    due_at: UTC. reminder_at: UTC or None. type: "call", "email" or "todo". priority: "low", "medium" or "high".
    purpose: the task's name in the file; one open task a contact and purpose.
    """

    purpose: str
    subject: str
    body: str
    due_at: datetime
    priority: str
    type: str
    owner_id: str | None
    reminder_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One write to one CRM that a rule wants.

    target names what is written: a property ("lifecyclestage", "Status", "hubspot_owner_id", "OwnerId") or a task's name.
    before is the value that the decision was made on, after the value to write (both in the CRM's own vocabulary; for a task:
    before None, after the task's name, and `task` holds it). backward: a stage that goes down (HubSpot wants it cleared first).
    """

    kind: Kind
    record: RecordRef
    target: str
    before: str | None
    after: str | None
    backward: bool = False
    task: TaskSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One bundle: what one rule wants for one contact, for one cause.

    rule: the rule's id. cause: what it is keyed by (DESIGN: the spell's number, the attempt, clock and event, …).
    why: values that met the rule, name → value (personal values: stored keyed by contact).
    urgency: tasks beyond a limit wait, highest first (the score).
    effect: what the store does when the bundle is saved (a transition's name for evidence, …), None where nothing.
    """

    rule: str
    contact: int
    cause: str
    actions: tuple[Action, ...]
    why: Mapping[str, Any] = field(default_factory=dict)
    urgency: float = 0.0


def bundle_name(rule: str, contact: int, cause: str) -> str:
    """What a bundle is called in the ledger."""
    return f"{key_part(rule)}|{contact}|{key_part(cause)}"


def key_part(text: str) -> str:
    """A text as a part of a key: the separator does not come up in it."""
    return text.replace("%", "%25").replace("|", "%7C")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldWrite:
    """Properties to set on one record. clear_first: empty them in a request of its own before (HubSpot's backward stage)."""

    record: RecordRef
    properties: Mapping[str, str | None]
    clear_first: bool = False


class TaskReadBack(TypedDict):
    """A task as its CRM shows it, in the CRM's own words; key: the mark by which it is found again; None: it shows none."""

    subject: str | None
    owner_id: str | None
    due_at: str | None
    key: str | None
    record_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWrite:
    """A task to create on one record, with the key by which it is found again."""

    key: str
    record: RecordRef
    task: TaskSpec


class WriteState(StrEnum):
    """What became of one write of a batch."""

    WRITTEN = "written"
    REFUSED = "refused"  # for good: the record, the value or a permission
    LATER = "later"  # not now: a lock, a limit; it was certainly not written
    UNKNOWN = "unknown"  # the answer was lost; it may have been written


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOutcome:
    """One row of a batch's answer, in the order of the writes. id: the record's or the new task's. message and advice: for people."""

    state: WriteState
    id: str = ""
    code: str = ""
    message: str = ""
    advice: str = ""
    correlation_id: str = ""
