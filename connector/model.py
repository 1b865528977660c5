"""The values that cross rooms: what an adapter reads, what a rule wants, what became of it.

All are frozen; all moments are aware and in UTC. Nothing here does I/O. Tables are in `connector.store.tables`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

CrmName = Literal["hubspot", "salesforce"]
CRMS: tuple[CrmName, ...] = ("hubspot", "salesforce")

#: What a cursor holds is the adapter's own business; the mirror stores it as JSON beside the page it belongs to.
Cursor = Mapping[str, Any]


class ActivityKind(StrEnum):
    """What happened with a contact."""

    CALL = "call"
    EMAIL = "email"
    MEETING = "meeting"
    TASK = "task"


class Direction(StrEnum):
    """Who reached out: we to the contact, or the contact to us."""

    OUTGOING = "outgoing"
    INCOMING = "incoming"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRef:
    """A record by its CRM's own names: ("hubspot", "contacts", "151")."""

    crm: CrmName
    object: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a CRM as it came: a person, a company or an account.

    properties: exactly the properties asked for, as JSON values (HubSpot: text or None), absent ones as None.
    company_id: a person's primary company (HubSpot association type 1, Salesforce AccountId).
    converted_to: the Salesforce Contact that a Lead was converted into; converted_deal: the Opportunity that came of it.
    merged_into: the record that this one was merged into (Salesforce's MasterRecordId). merged_ids: records that were merged into this one
    (HubSpot's hs_merged_object_ids). emails: further e-mail addresses of the person (HubSpot's hs_additional_emails).
    """

    crm: CrmName
    object: str
    id: str
    properties: Mapping[str, Any]
    created_at: datetime | None
    modified_at: datetime | None
    owner_id: str | None = None
    company_id: str | None = None
    converted_to: str | None = None
    converted_deal: str | None = None
    merged_into: str | None = None
    merged_ids: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """A call, e-mail, meeting or task of either CRM, in one vocabulary.

    at: when it happened (a meeting's start; a task's completion, None while open).
    happened: sent, held, answered or not: not a draft, scheduled, cancelled, bounced or failed one. A meeting in the future has
        happened = True with `at` in the future; whoever counts compares `at` with now.
    automatic: sent by a sequence or a marketing tool, where the record tells.
    channel: for a task, the way it asks for: "call", "email" or None ("todo").
    key: the connector's own marker on a task it created, "" elsewhere.
    contacts: the records it is about.
    """

    crm: CrmName
    object: str
    id: str
    kind: ActivityKind
    at: datetime | None
    contacts: Sequence[RecordRef]
    direction: Direction | None = None
    happened: bool = True
    automatic: bool = False
    channel: str | None = None
    owner_id: str | None = None
    outcome: str | None = None
    duration_seconds: float | None = None
    due_at: datetime | None = None
    done: bool = False
    key: str = ""
    created_at: datetime | None = None
    modified_at: datetime | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A person or queue that may own records. `id` is what the CRM's owner field holds; teams: the names of the CRM's own teams."""

    crm: CrmName
    id: str
    email: str | None
    name: str
    active: bool
    queue: bool = False
    teams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A HubSpot deal or a Salesforce Opportunity.

    amount: in `currency` (ISO 4217; None: the account's own). closed_at: when it was closed, or is to be. closed, won: as the CRM's own
    pipeline says. contacts: the people it belongs to where the record itself tells all of them (HubSpot's associations), else None
    (Salesforce: `DealContact`).
    """

    crm: CrmName
    object: str
    id: str
    stage: str | None
    amount: float | None = None
    currency: str | None = None
    pipeline: str | None = None
    closed_at: datetime | None = None
    closed: bool = False
    won: bool = False
    owner_id: str | None = None
    company_id: str | None = None
    contacts: Sequence[RecordRef] | None = None
    created_at: datetime | None = None
    modified_at: datetime | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DealContact:
    """A person's part in a deal, told apart from the deal (Salesforce's OpportunityContactRole)."""

    crm: CrmName
    object: str
    id: str
    deal_id: str
    record: RecordRef
    role: str | None = None
    primary: bool = False
    modified_at: datetime | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A marketing campaign of a CRM. begins_at, ends_at: its planned days."""

    crm: CrmName
    object: str
    id: str
    name: str
    kind: str | None = None
    status: str | None = None
    active: bool = False
    begins_at: datetime | None = None
    ends_at: datetime | None = None
    modified_at: datetime | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignMember:
    """A person in a campaign, since `joined_at`. responded: as the campaign's own statuses say."""

    crm: CrmName
    object: str
    id: str
    campaign_id: str
    record: RecordRef
    status: str | None = None
    responded: bool = False
    joined_at: datetime | None = None
    modified_at: datetime | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One entry of a CRM's own history of a field (Salesforce LeadHistory): what changed when."""

    record: RecordRef
    id: str
    property: str
    before: str | None
    after: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A record that cannot be mirrored or written now, why, and what would help."""

    record: RecordRef
    reason: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one step of a pull brought, and the cursor that is true once it is stored.

    seen counts what the CRM sent (all the lists below together, when the page is whole); calls is how many requests it took. `total` is the
    stream's size where the CRM tells it (progress). `last` is True on the final page of a stream. `full` is True while the stream is read
    from its beginning (a first pull), False for an incremental window. absent: properties that were asked for and that no record of the
    page had, not even empty: perhaps the CRM has them no more (`Crm.schema` tells).
    """

    crm: CrmName
    object: str
    cursor: Cursor
    seen: int
    calls: int
    records: Sequence[Record] = ()
    activities: Sequence[Activity] = ()
    owners: Sequence[Owner] = ()
    changes: Sequence[FieldChange] = ()
    deals: Sequence[Deal] = ()
    deal_contacts: Sequence[DealContact] = ()
    campaigns: Sequence[Campaign] = ()
    campaign_members: Sequence[CampaignMember] = ()
    set_aside: Sequence[SetAside] = ()
    total: int | None = None
    last: bool = False
    full: bool = False
    absent: frozenset[str] = frozenset()


class Fate(StrEnum):
    """What became of a record that the CRM does not show any more."""

    ARCHIVED = "archived"  # deleted; it still can be restored
    MERGED = "merged"  # another record stands for it
    DELETED = "deleted"  # deleted for good
    PURGED = "purged"  # deleted for privacy: nothing of the person may stay here


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A record that is gone from the CRM. into: the survivor's id where it was merged; at: when, where the CRM tells."""

    record: RecordRef
    fate: Fate
    into: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalPage:
    """One step of a look for removed records, and the cursor that is true once it is applied."""

    crm: CrmName
    object: str
    cursor: Cursor
    calls: int
    removals: Sequence[Removal]
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyFacts:
    """What a CRM says of one of its fields. type: its own word for it; options: the values of a picklist, in its order, None elsewhere.

    calculated: a formula or roll-up, whose changes no modified date tells; writable: with these credentials. means: the type as the file
    would write it, None where none fits. labels: what people see in place of each option; hidden: options that nobody can choose any more.
    """

    object: str
    name: str
    label: str
    type: str
    options: tuple[str, ...] | None = None
    calculated: bool = False
    writable: bool = True
    means: FieldType | None = None
    labels: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()


#: Object → name → what the CRM says of it. Salesforce's names keep their case; a missing name does not exist, or is not shown to us.
Schema = Mapping[str, Mapping[str, PropertyFacts]]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Something that the connector's credentials must be allowed, by the CRM's own name for it. has: None where the CRM does not tell.

    to_write: needed before the mode is live, not before.
    """

    name: str
    why: str
    has: bool | None = None
    to_write: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """What a configuration does in one CRM, for `Crm.check`.

    written: object → the properties that rules set. tasks: rules create tasks. native_sync: HubSpot's own Salesforce integration is said
    to run. passes_a_day: as the schedule has it. live: the mode. per_10_seconds, daily_requests, headroom: the file's limits, 0 where it
    has none. backward: the rules that may move a stage down. id_field: the field that is to hold the other CRM's id of a person.
    """

    written: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tasks: bool = False
    native_sync: bool = False
    passes_a_day: float = 0.0
    live: bool = False
    per_10_seconds: int = 0
    daily_requests: int = 0
    headroom: float = 0.0
    backward: tuple[str, ...] = ()
    id_field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `connector check`: what was looked at, whether it is right, and what to do where it is not.

    permissions: all that this configuration needs of a CRM, where that was looked at.
    """

    topic: str
    ok: bool
    message: str
    advice: str = ""
    warning: bool = False  # True: not right, but nothing stops for it
    permissions: tuple[Permission, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a CRM's own set-up means for rules.

    defaults: property → the value it puts on every new record of a person. own_users: owner ids that are the connector itself.
    locked: property → values that no write may set, since they come of something else (a conversion).
    links: object → the address at which a person opens a record, with "{id}" in it.
    """

    defaults: Mapping[str, str] = field(default_factory=dict)
    own_users: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    locked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class FieldType(StrEnum):
    """The types of fields, as the file writes them."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    CHOICE = "choice"
    CHOICES = "choices"

    @property
    def textual(self) -> bool:
        """Whether values are text: stored as they came, compared by their folded twin."""
        return self in (FieldType.TEXT, FieldType.CHOICE, FieldType.CHOICES)


def fold(text: str) -> str:
    """The form in which texts are compared and e-mail addresses are told apart: neither case nor an accent's encoding matters.

    Folding twice is folding once, and canonically equivalent texts fold alike (Unicode's canonical caseless matching, in NFC).
    """
    if text.isascii():
        return text.lower()
    # Decomposed before: some letters fold otherwise than their parts (the Greek iota below). No character needs a second round.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
