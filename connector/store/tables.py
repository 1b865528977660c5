"""Every table of the store, declared once.

Moments are whole microseconds since 1970 (UTC) in a BIGINT, so that SQLite and PostgreSQL compute with them alike; `Moment` turns
them into aware datetimes for code that reads small rows. The fields of the file are columns of `contact` beside those here: they are
made by `connector.store.fields`, not by Alembic.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import BigInteger, Boolean, Column, Dialect, Index, Integer, LargeBinary, MetaData, String, Text, TypeDecorator, false, text
from sqlalchemy.types import TypeEngine
from sqlmodel import Field, SQLModel

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Whole microseconds since 1970 of an aware moment."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware moment (UTC) of whole microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        return None if value is None else from_micros(value)


class Json(TypeDecorator[Any]):
    """JSON as text, by orjson, in both databases alike."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - the signature is SQLAlchemy's
        return None if value is None else orjson.loads(value)


#: The states of the ledger that are not at their end, as the condition of its partial index.
_OPEN = "state IN ('planned', 'waiting', 'held', 'approved', 'sending', 'unknown', 'parked')"


def _serial() -> TypeEngine[int]:
    """A number given by the database; SQLite counts up only an INTEGER."""
    return BigInteger().with_variant(Integer(), "sqlite")


def exact() -> String:
    """Text compared byte by byte in both databases: ids, keys, folded twins."""
    return String().with_variant(String(collation="C"), "postgresql").with_variant(String(collation="BINARY"), "sqlite")


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Table(SQLModel):
    """The base of every table."""

    metadata = metadata


def _id(*, primary_key: bool = True, nullable: bool = False, index: bool = False) -> Any:
    return Field(sa_column=Column(exact(), primary_key=primary_key, nullable=nullable and not primary_key, index=index or None))


def _moment(*, nullable: bool = True, index: bool = False) -> Any:
    return Field(default=None, sa_column=Column(Moment, nullable=nullable, index=index or None))


def _json(*, nullable: bool = True) -> Any:
    return Field(default=None, sa_column=Column(Json, nullable=nullable))


# ── The mirror: what the CRMs hold ───────────────────────────────────────────────────────────────────────────────────────────────────


class RecordRow(Table, table=True):
    """A record of a CRM as it came. `fingerprint` is a digest of all that came: a record that did not change is not rewritten."""

    __tablename__ = "record"
    __table_args__ = (
        Index("ix_record_to_unify", "crm", "object", "id", sqlite_where=text("unify"), postgresql_where=text("unify")),
        Index("ix_record_company", "crm", "company_id"),
        Index(
            "ix_record_converted",
            "converted_to",
            sqlite_where=text("converted_to IS NOT NULL"),
            postgresql_where=text("converted_to IS NOT NULL"),
        ),
    )

    crm: str = _id()
    object: str = _id()
    id: str = _id()
    properties: dict[str, Any] = _json(nullable=False)
    fingerprint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime | None = _moment()
    modified_at: datetime | None = _moment()
    seen_at: datetime = _moment(nullable=False)
    owner_id: str | None = _id(primary_key=False, nullable=True, index=True)
    company_id: str | None = _id(primary_key=False, nullable=True)
    converted_to: str | None = _id(primary_key=False, nullable=True)
    linked_id: str | None = _id(primary_key=False, nullable=True, index=True)  # the other CRM's id stored in it; unify fills it
    email: str | None = _id(primary_key=False, nullable=True, index=True)  # normalised, for identity
    archived: bool = Field(default=False)
    contact_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True, index=True))
    role: str | None = Field(default=None)  # "main", "duplicate", "ambiguous"; None: a company, an account, not yet unified
    unify: bool = Field(default=True)  # changed since it was last unified
    converted_deal: str | None = _id(primary_key=False, nullable=True)  # the Opportunity that came of a Lead
    merged_into: str | None = _id(primary_key=False, nullable=True)  # the record of the same object that stands for it now


class RecordVersion(Table, table=True):
    """One change of a record: which properties, from what to what. Keyed by contact through its record; personal."""

    __tablename__ = "record_version"
    crm: str = _id()
    object: str = _id()
    id: str = _id()
    number: int = Field(primary_key=True)
    changed: dict[str, Any] = _json(nullable=False)  # property → [before, after]
    at: datetime | None = _moment()  # the CRM's modified date
    seen_at: datetime = _moment(nullable=False)


class FieldHistory(Table, table=True):
    """The CRM's own history of a field (Salesforce LeadHistory)."""

    __tablename__ = "field_history"
    crm: str = _id()
    id: str = _id()
    object: str = _id(primary_key=False)
    record_id: str = _id(primary_key=False, index=True)
    property: str = Field()
    before: str | None = Field(default=None)
    after: str | None = Field(default=None)
    at: datetime = _moment(nullable=False)


class ActivityRow(Table, table=True):
    """A call, e-mail, meeting or task; the words are those of `model.Activity`."""

    __tablename__ = "activity"
    crm: str = _id()
    object: str = _id()
    id: str = _id()
    fingerprint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    kind: str = Field()
    at: datetime | None = _moment()
    direction: str | None = Field(default=None)
    happened: bool = Field(default=True)
    automatic: bool = Field(default=False)
    channel: str | None = Field(default=None)
    owner_id: str | None = _id(primary_key=False, nullable=True)
    outcome: str | None = Field(default=None)
    duration_seconds: float | None = Field(default=None)
    due_at: datetime | None = _moment()
    done: bool = Field(default=False)
    key: str = Field(default="", index=True)
    created_at: datetime | None = _moment()
    modified_at: datetime | None = _moment()
    archived: bool = Field(default=False)


class ActivityLink(Table, table=True):
    """Which record an activity is about, with what conditions count by copied beside it (kind, at, counts)."""

    __tablename__ = "activity_link"
    __table_args__ = (
        Index("ix_activity_link_contact", "contact_id", "kind", "at"),
        Index("ix_activity_link_record", "crm", "record_object", "record_id"),
    )
    crm: str = _id()
    object: str = _id()
    id: str = _id()
    record_object: str = _id()
    record_id: str = _id()
    contact_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    kind: str = Field()
    at: datetime | None = _moment()
    counts: bool = Field(default=True)  # happened, and not archived


class OwnerRow(Table, table=True):
    """A person or queue that may own records."""

    __tablename__ = "owner"
    crm: str = _id()
    id: str = _id()
    email: str | None = _id(primary_key=False, nullable=True, index=True)  # folded
    name: str = Field()
    active: bool = Field()
    queue: bool = Field(default=False)
    teams: list[str] | None = _json()  # the CRM's own teams, by name


class RecordEmail(Table, table=True):
    """A further e-mail address of a person, normalised; the first is on the record."""

    __tablename__ = "record_email"
    crm: str = _id()
    object: str = _id()
    id: str = _id()
    email: str = Field(sa_column=Column(exact(), primary_key=True, index=True))


class Merged(Table, table=True):
    """A record that another one stands for since a merge in its CRM, whether or not the mirror ever held it. Chains are followed."""

    __tablename__ = "merged"
    __table_args__ = (Index("ix_merged_into", "crm", "object", "into_id"),)
    crm: str = _id()
    object: str = _id()
    id: str = _id()
    into_id: str = _id(primary_key=False)
    seen_at: datetime = _moment(nullable=False)


class DealRow(Table, table=True):
    """A HubSpot deal or a Salesforce Opportunity; the words are those of `model.Deal`."""

    __tablename__ = "deal"
    crm: str = _id()
    object: str = _id()
    id: str = _id()
    fingerprint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    stage: str | None = Field(default=None)
    pipeline: str | None = Field(default=None)
    amount: float | None = Field(default=None)
    currency: str | None = Field(default=None)
    closed_at: datetime | None = _moment()
    closed: bool = Field(default=False)
    won: bool = Field(default=False)
    owner_id: str | None = _id(primary_key=False, nullable=True)
    company_id: str | None = _id(primary_key=False, nullable=True)
    created_at: datetime | None = _moment()
    modified_at: datetime | None = _moment()
    archived: bool = Field(default=False)


class DealLink(Table, table=True):
    """A person's part in a deal. source: what told so: "" the deal itself, "conversion" of a Lead, else the id of a contact role."""

    __tablename__ = "deal_link"
    __table_args__ = (Index("ix_deal_link_record", "crm", "record_object", "record_id"),)
    crm: str = _id()
    deal_id: str = _id()
    source: str = _id()
    record_object: str = _id()
    record_id: str = _id()
    role: str | None = Field(default=None)
    main: bool = Field(default=False)


class CampaignRow(Table, table=True):
    """A marketing campaign; the words are those of `model.Campaign`."""

    __tablename__ = "campaign"
    crm: str = _id()
    object: str = _id()
    id: str = _id()
    fingerprint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    name: str = Field()
    kind: str | None = Field(default=None)
    status: str | None = Field(default=None)
    active: bool = Field(default=False)
    begins_at: datetime | None = _moment()
    ends_at: datetime | None = _moment()
    modified_at: datetime | None = _moment()
    archived: bool = Field(default=False)


class CampaignMemberRow(Table, table=True):
    """A person in a campaign; the words are those of `model.CampaignMember`."""

    __tablename__ = "campaign_member"
    __table_args__ = (Index("ix_campaign_member_record", "crm", "record_object", "record_id"),)
    crm: str = _id()
    object: str = _id()
    id: str = _id()
    fingerprint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    campaign_id: str = _id(primary_key=False, index=True)
    record_object: str = _id(primary_key=False)
    record_id: str = _id(primary_key=False)
    status: str | None = Field(default=None)
    responded: bool = Field(default=False)
    joined_at: datetime | None = _moment()
    modified_at: datetime | None = _moment()
    archived: bool = Field(default=False)


class Property(Table, table=True):
    """A field of a CRM that the file uses, as the CRM last described it in a form that the file can read.

    gone_at: since when it is not described so any more.
    """

    __tablename__ = "property"
    crm: str = _id()
    object: str = _id()
    name: str = _id()
    label: str = Field(default="")
    type: str = Field(default="")
    options: list[str] | None = _json()
    calculated: bool = Field(default=False)
    writable: bool = Field(default=True)
    seen_at: datetime = _moment(nullable=False)
    gone_at: datetime | None = _moment()


class Drift(Table, table=True):
    """A change of a CRM's set-up that concerns the file. what: appeared, vanished, type, options, permission."""

    __tablename__ = "drift"
    id: int | None = Field(default=None, sa_column=Column(_serial(), primary_key=True))
    crm: str = Field()
    object: str = Field()
    property: str = Field()
    what: str = Field()
    before: str | None = Field(default=None)
    after: str | None = Field(default=None)
    at: datetime = _moment(nullable=False)
    ended_at: datetime | None = _moment()  # when it was put right again


class Forgotten(Table, table=True):
    """A salted hash of a record's key or of an e-mail address that was deleted for privacy: what it hits never comes back."""

    __tablename__ = "forgotten"
    hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    at: datetime = _moment(nullable=False)


class Seen(Table, table=True):
    """Ids that a comparison with a CRM, under way now, has met."""

    __tablename__ = "seen"
    crm: str = _id()
    object: str = _id()
    id: str = _id()


class CursorRow(Table, table=True):
    """Where a stream's pull stands."""

    __tablename__ = "cursor"
    crm: str = _id()
    object: str = _id()
    state: dict[str, Any] = _json(nullable=False)
    complete: bool = Field(default=False)  # the stream was once read to its end
    seen: int = Field(default=0)  # records seen by the read now under way
    last_seen: int | None = Field(default=None)  # … by the last whole read
    updated_at: datetime = _moment(nullable=False)


class SetAsideRow(Table, table=True):
    """A record that could not be mirrored or written, with the next step."""

    __tablename__ = "set_aside"
    crm: str = _id()
    object: str = _id()
    id: str = _id()
    reason: str = Field()
    next_step: str = Field()
    at: datetime = _moment(nullable=False)


# ── Contacts and what is concluded about them ────────────────────────────────────────────────────────────────────────────────────────


class ContactRow(Table, table=True):
    """A person. The fields of the file stand beside these columns as `f_<name>`, `h_<name>`, `s_<name>` (see `connector.store.fields`)."""

    __tablename__ = "contact"
    __table_args__ = (
        Index(
            "ix_contact_merged_into",
            "merged_into",
            sqlite_where=text("merged_into IS NOT NULL"),
            postgresql_where=text("merged_into IS NOT NULL"),
        ),
    )
    id: int | None = Field(default=None, sa_column=Column(_serial(), primary_key=True))
    due_at: datetime | None = _moment(index=True)  # the first moment at which any rule could say something else
    first_seen_at: datetime = _moment(nullable=False)
    judged_at: datetime | None = _moment()
    gone: bool = Field(default=False)  # no live record is left
    ambiguous: str | None = Field(default=None)  # why nothing is written to it
    in_hubspot: bool = Field(default=False)
    in_salesforce: bool = Field(default=False)
    stage: str | None = Field(default=None)
    stage_since: datetime | None = _moment()
    stage_hubspot: str | None = Field(default=None)  # what each side says, by the file's names
    stage_salesforce: str | None = Field(default=None)
    stage_differs: bool = Field(default=False)  # a difference found when it was adopted: reported, not written
    agreed_number: int = Field(default=0)  # agreements so far; 0: nothing agreed yet
    agreed_hubspot: str | None = Field(default=None)  # what each side said at the last agreement
    agreed_salesforce: str | None = Field(default=None)
    spell: int = Field(default=0)  # the number of the present spell
    attempt: int | None = Field(default=None)  # the number of the present or last attempt
    owner: str | None = Field(default=None)  # folded e-mail; NULL: nobody, a queue, ourselves, deactivated
    owner_queue: str | None = Field(default=None)
    assigned_at: datetime | None = _moment()
    first_touch_at: datetime | None = _moment()
    last_touch_at: datetime | None = _moment()
    touch_count: int = Field(default=0)
    touch_channels: int = Field(default=0)
    rejected_before: bool = Field(default=False)
    rejecting: bool | None = Field(default=None)  # what rejection.when said when last judged
    excluded: bool = Field(default=False)
    criteria: str | None = Field(default=None)  # one character a criterion, in the file's order: 1 met, 0 not
    criteria_met: int | None = Field(default=None)
    qualified: bool | None = Field(default=None)
    score: float | None = Field(default=None)
    merged_into: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))  # turned out to be this one; chains ended


class Touch(Table, table=True):
    """An outgoing attempt by a member of a sales team; one row however often it was logged."""

    __tablename__ = "touch"
    contact_id: int = Field(sa_column=Column(BigInteger, primary_key=True))
    at: datetime = Field(sa_column=Column(Moment, primary_key=True))
    person: str = _id()
    channel: str = _id()
    kept: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=false(), default=False))  # its activities left the mirror


class Spell(Table, table=True):
    """One stay in a stage. by: "crm" (a person or another tool), "connector", "found" (there at the first live pass)."""

    __tablename__ = "spell"
    contact_id: int = Field(sa_column=Column(BigInteger, primary_key=True))
    number: int = Field(primary_key=True)
    stage: str | None = Field(default=None)
    entered_at: datetime = _moment(nullable=False)
    left_at: datetime | None = _moment()
    by: str = Field()


class Attempt(Table, table=True):
    """One go at selling. outcome: open, accepted, rejected, disqualified, ignored, expired, withdrawn."""

    __tablename__ = "attempt"
    contact_id: int = Field(sa_column=Column(BigInteger, primary_key=True))
    number: int = Field(primary_key=True)
    spell: int = Field()
    began_at: datetime = _moment(nullable=False)
    ended_at: datetime | None = _moment()
    outcome: str = Field(default="open", index=True)
    skipped: bool = Field(default=False)
    late: bool = Field(default=False)
    found: bool = Field(default=False)
    rejectable: bool | None = Field(default=None)  # rejection.when has been false once since it began; None: not yet asked
    ignored_at: datetime | None = _moment()  # when it ends as ignored, without a touch
    snapshot: dict[str, Any] | None = _json()  # criteria_met and score on the day it began


class Rejection(Table, table=True):
    """A rejection by sales, for the review by both teams."""

    __tablename__ = "rejection"
    contact_id: int = Field(sa_column=Column(BigInteger, primary_key=True))
    attempt: int = Field(primary_key=True)
    at: datetime = _moment(nullable=False)
    kind: str = Field()  # rejected, disqualified
    reason: str | None = Field(default=None)  # by the file's names; None: not given yet
    reason_at: datetime | None = _moment()
    accepted: bool = Field(default=False)  # the reason is one of the file's, with the touches it needs
    reason_by: datetime | None = _moment()  # then it goes back all the same
    sent_back: bool = Field(default=False)
    run: int = Field(default=0)  # the pass that logged it; it goes back in a later one
    owner: str | None = Field(default=None)
    touches: int = Field(default=0)
    channels: int = Field(default=0)
    criteria_met: int | None = Field(default=None)
    score: float | None = Field(default=None)
    crm: str | None = Field(default=None)  # the side that said so


class Clock(Table, table=True):
    """An SLA clock. state: running, warned, met, breached, ended, waived, paused."""

    __tablename__ = "clock"
    __table_args__ = (Index("ix_clock_open", "state", "due_at"),)
    contact_id: int = Field(sa_column=Column(BigInteger, primary_key=True))
    attempt: int = Field(primary_key=True)
    kind: str = _id()
    number: int = Field(primary_key=True)  # 1, and one more for each new owner
    sla: str = Field()
    owner: str | None = Field(default=None)
    started_at: datetime = _moment(nullable=False)
    warn_at: datetime | None = _moment()
    due_at: datetime = _moment(nullable=False)
    state: str = Field(default="running")
    met_at: datetime | None = _moment()
    ended_at: datetime | None = _moment()
    touches: int = Field(default=0)
    channels: int = Field(default=0)
    calendar: str = Field()  # the calendar's version that the deadline was computed with


class Evidence(Table, table=True):
    """What a transition was taken on: it is used once. moved_back_at: when the contact left the stage downwards."""

    __tablename__ = "evidence"
    contact_id: int = Field(sa_column=Column(BigInteger, primary_key=True))
    rule: str = _id()
    spell: int = Field()  # the spell that the transition began
    taken_at: datetime = _moment(nullable=False)
    moved_back_at: datetime | None = _moment()
    again_at: datetime | None = _moment()  # moved back, from then on it may fire again
    barred: bool = Field(default=False)  # rejected with a reason: only a person moves it
    basis: dict[str, Any] | None = _json()  # the fields of again_if_changed when it was moved back


# ── Plans and the ledger ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Run(Table, table=True):
    """One run of a command that works on the mirror."""

    __tablename__ = "run"
    id: int | None = Field(default=None, sa_column=Column(_serial(), primary_key=True))
    command: str = Field()
    mode: str = Field()
    started_at: datetime = _moment(nullable=False)
    finished_at: datetime | None = _moment()
    state: str = Field(default="running")  # running, done, failed
    summary: dict[str, Any] | None = _json()
    problem: str | None = Field(default=None)
    config_version: str = Field(default="")


class PlanRow(Table, table=True):
    """A saved plan: what one pass wanted."""

    __tablename__ = "plan"
    id: int | None = Field(default=None, sa_column=Column(_serial(), primary_key=True))
    run: int = Field(index=True)
    mode: str = Field()
    created_at: datetime = _moment(nullable=False)
    config_version: str = Field(default="")
    guard: dict[str, Any] | None = _json()


class Ledger(Table, table=True):
    """One action: its cause, its state. Values that may be personal stand in `action_value`, keyed by contact.

    key is unique among rows that hold it: all but shadow and superseded ones.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        Index(
            "uq_ledger_key",
            "key",
            unique=True,
            sqlite_where=text("state NOT IN ('shadow', 'superseded')"),
            postgresql_where=text("state NOT IN ('shadow', 'superseded')"),
        ),
        Index("ix_ledger_open", "state", sqlite_where=text(_OPEN), postgresql_where=text(_OPEN)),
        Index("ix_ledger_guard", "rule", "kind", "planned_at"),
    )
    id: int | None = Field(default=None, sa_column=Column(_serial(), primary_key=True))
    plan: int = Field(index=True)
    bundle: str = _id(primary_key=False)
    position: int = Field()  # its place in the bundle
    key: str = _id(primary_key=False)
    kind: str = Field()
    rule: str = Field()
    contact_id: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    crm: str = Field()
    object: str = Field()
    record_id: str = _id(primary_key=False)
    target: str = Field()
    state: str = Field()
    backward: bool = Field(default=False)
    new: bool = Field(default=True)  # shadow: not in the plan before
    urgency: float = Field(default=0.0)
    planned_at: datetime = _moment(nullable=False)
    sent_at: datetime | None = _moment()
    settled_at: datetime | None = _moment()
    retry_at: datetime | None = _moment()  # parked and waiting rows: not before
    fence: int = Field(default=0)  # the claim's fencing number
    tries: int = Field(default=0)
    config_version: str = Field(default="")
    result_id: str | None = Field(default=None)  # the created task's id
    code: str = Field(default="")
    message: str = Field(default="")
    next_step: str = Field(default="")
    correlation_id: str = Field(default="")
    read_back: bool | None = Field(default=None)  # the CRM held what was written when read again


class ActionValue(Table, table=True):
    """The values of one action; a privacy deletion empties them, the ledger's figures stay."""

    __tablename__ = "action_value"
    ledger: int = Field(sa_column=Column(BigInteger, primary_key=True))
    contact_id: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    before: str | None = Field(default=None)
    after: str | None = Field(default=None)
    found: str | None = Field(default=None)  # what the CRM held when read again
    why: dict[str, Any] | None = _json()
    task: dict[str, Any] | None = _json()


class Turn(Table, table=True):
    """Whose turn it is in a round robin."""

    __tablename__ = "turn"
    name: str = _id()
    position: int = Field(default=0)


# ── Shared state of all processes ────────────────────────────────────────────────────────────────────────────────────────────────────


class BudgetRow(Table, table=True):
    """How much of a limit is used in its present window."""

    __tablename__ = "budget"
    account: str = _id()
    bucket: str = _id()
    window_start: float = Field(default=0.0)  # seconds since 1970, the wall clock's
    used: int = Field(default=0)
    not_before: float = Field(default=0.0)
    grants: list[list[int]] | None = _json()  # [slot, permits] of the window, so that no rolling window holds more than the limit
    told_used: int | None = Field(default=None)  # what the CRM itself counted, all integrations together
    told_of: int | None = Field(default=None)  # … of so many
    told_at: float | None = Field(default=None)


class Lease(Table, table=True):
    """Who does a job now. `fence` goes up with each taking."""

    __tablename__ = "lease"
    name: str = _id()
    holder: str = Field(default="")
    fence: int = Field(default=0)
    until: float = Field(default=0.0)  # seconds since 1970, the wall clock's


class Pause(Table, table=True):
    """What is paused: everything ("all"), a CRM, a job, a rule."""

    __tablename__ = "pause"
    scope: str = _id()
    name: str = _id()
    since: datetime = _moment(nullable=False)


class FieldRow(Table, table=True):
    """The catalogue of field columns: the truth about them. state: filling, present, gone."""

    __tablename__ = "field"
    name: str = _id()  # the column, without its twin
    type: str = Field()
    state: str = Field(default="filling")


class Meta(Table, table=True):
    """Single values: the applied configuration's version, the first live pass, …"""

    __tablename__ = "meta"
    name: str = _id()
    value: str = Field()
