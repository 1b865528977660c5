"""The mirror: what the CRMs hold, what they say of themselves, and where the reading of them stands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, LargeBinary, text
from sqlmodel import Field

from connector.store.tables.columns import Table, exact, id_column, json_column, moment_column, serial


class RecordRow(Table, table=True):
    """A record of a CRM as it came. `fingerprint` is a digest of all that came: a record that did not change is not rewritten."""

    __tablename__ = "record"
    __table_args__ = (
        Index("ix_record_to_unify", "crm", "object", "id", sqlite_where=text("unify"), postgresql_where=text("unify")),
        Index(
            "ix_record_to_make",
            "contact_id",
            sqlite_where=text("unify AND contact_id IS NOT NULL"),
            postgresql_where=text("unify AND contact_id IS NOT NULL"),
        ),
        Index("ix_record_company", "crm", "company_id"),
        Index(
            "ix_record_converted",
            "converted_to",
            sqlite_where=text("converted_to IS NOT NULL"),
            postgresql_where=text("converted_to IS NOT NULL"),
        ),
    )

    crm: str = id_column()
    object: str = id_column()
    id: str = id_column()
    properties: dict[str, Any] = json_column(nullable=False)
    fingerprint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime | None = moment_column()
    modified_at: datetime | None = moment_column()
    seen_at: datetime = moment_column(nullable=False)
    owner_id: str | None = id_column(primary_key=False, nullable=True, index=True)
    company_id: str | None = id_column(primary_key=False, nullable=True)
    converted_to: str | None = id_column(primary_key=False, nullable=True)
    linked_id: str | None = id_column(primary_key=False, nullable=True, index=True)  # the other CRM's id stored in it; unify fills it
    email: str | None = id_column(primary_key=False, nullable=True, index=True)  # normalised, for identity
    archived: bool = Field(default=False)
    contact_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True, index=True))
    role: str | None = Field(default=None)  # "main", "duplicate", "ambiguous"; None: a company, an account, not yet unified
    unify: bool = Field(default=True)  # changed since it was last unified
    converted_deal: str | None = id_column(primary_key=False, nullable=True)  # the Opportunity that came of a Lead
    merged_into: str | None = id_column(primary_key=False, nullable=True)  # the record of the same object that stands for it now


class RecordVersion(Table, table=True):
    """One change of a record: which properties, from what to what. Keyed by contact through its record; personal."""

    __tablename__ = "record_version"
    crm: str = id_column()
    object: str = id_column()
    id: str = id_column()
    number: int = Field(primary_key=True)
    changed: dict[str, Any] = json_column(nullable=False)  # property → [before, after]
    at: datetime | None = moment_column()  # the CRM's modified date
    seen_at: datetime = moment_column(nullable=False)


class FieldHistory(Table, table=True):
    """The CRM's own history of a field (Salesforce LeadHistory)."""

    __tablename__ = "field_history"
    crm: str = id_column()
    id: str = id_column()
    object: str = id_column(primary_key=False)
    record_id: str = id_column(primary_key=False, index=True)
    property: str = Field()
    before: str | None = Field(default=None)
    after: str | None = Field(default=None)
    at: datetime = moment_column(nullable=False)


class ActivityRow(Table, table=True):
    """A call, e-mail, meeting or task; the words are those of `model.Activity`."""

    __tablename__ = "activity"
    crm: str = id_column()
    object: str = id_column()
    id: str = id_column()
    fingerprint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    kind: str = Field()
    at: datetime | None = moment_column()
    direction: str | None = Field(default=None)
    happened: bool = Field(default=True)
    automatic: bool = Field(default=False)
    channel: str | None = Field(default=None)
    owner_id: str | None = id_column(primary_key=False, nullable=True)
    outcome: str | None = Field(default=None)
    duration_seconds: float | None = Field(default=None)
    due_at: datetime | None = moment_column()
    done: bool = Field(default=False)
    key: str = Field(default="", index=True)
    created_at: datetime | None = moment_column()
    modified_at: datetime | None = moment_column()
    archived: bool = Field(default=False)


class ActivityLink(Table, table=True):
    """Which record an activity is about, with what conditions count by copied beside it (kind, at, counts)."""

    __tablename__ = "activity_link"
    __table_args__ = (
        Index(  # not of links without a contact: that each leaves its place in a row of millions as it gets one, costs more than all else
            "ix_activity_link_contact",
            "contact_id",
            "kind",
            "at",
            sqlite_where=text("contact_id IS NOT NULL"),
            postgresql_where=text("contact_id IS NOT NULL"),
        ),
        Index("ix_activity_link_record", "crm", "record_object", "record_id"),
    )
    crm: str = id_column()
    object: str = id_column()
    id: str = id_column()
    record_object: str = id_column()
    record_id: str = id_column()
    contact_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    kind: str = Field()
    at: datetime | None = moment_column()
    counts: bool = Field(default=True)  # happened, and not archived


class OwnerRow(Table, table=True):
    """A person or queue that may own records."""

    __tablename__ = "owner"
    crm: str = id_column()
    id: str = id_column()
    email: str | None = id_column(primary_key=False, nullable=True, index=True)  # folded
    name: str = Field()
    active: bool = Field()
    queue: bool = Field(default=False)
    teams: list[str] | None = json_column()  # the CRM's own teams, by name


class RecordEmail(Table, table=True):
    """A further e-mail address of a person, normalised; the first is on the record."""

    __tablename__ = "record_email"
    crm: str = id_column()
    object: str = id_column()
    id: str = id_column()
    email: str = Field(sa_column=Column(exact(), primary_key=True, index=True))


class Merged(Table, table=True):
    """A record that another one stands for since a merge in its CRM, whether or not the mirror ever held it. Chains are followed."""

    __tablename__ = "merged"
    __table_args__ = (Index("ix_merged_into", "crm", "object", "into_id"),)
    crm: str = id_column()
    object: str = id_column()
    id: str = id_column()
    into_id: str = id_column(primary_key=False)
    seen_at: datetime = moment_column(nullable=False)  # of the merge, where the loser told it; else when it was noticed here


class DealRow(Table, table=True):
    """A HubSpot deal or a Salesforce Opportunity; the words are those of `model.Deal`."""

    __tablename__ = "deal"
    crm: str = id_column()
    object: str = id_column()
    id: str = id_column()
    fingerprint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    stage: str | None = Field(default=None)
    pipeline: str | None = Field(default=None)
    amount: float | None = Field(default=None)
    currency: str | None = Field(default=None)
    closed_at: datetime | None = moment_column()
    closed: bool = Field(default=False)
    won: bool = Field(default=False)
    owner_id: str | None = id_column(primary_key=False, nullable=True)
    company_id: str | None = id_column(primary_key=False, nullable=True)
    created_at: datetime | None = moment_column()
    modified_at: datetime | None = moment_column()
    archived: bool = Field(default=False)


class DealLink(Table, table=True):
    """A person's part in a deal. source: what told so: "" the deal itself, "conversion" of a Lead, else the id of a contact role."""

    __tablename__ = "deal_link"
    __table_args__ = (Index("ix_deal_link_record", "crm", "record_object", "record_id"),)
    crm: str = id_column()
    deal_id: str = id_column()
    source: str = id_column()
    record_object: str = id_column()
    record_id: str = id_column()
    role: str | None = Field(default=None)
    main: bool = Field(default=False)


class CampaignRow(Table, table=True):
    """A marketing campaign; the words are those of `model.Campaign`."""

    __tablename__ = "campaign"
    crm: str = id_column()
    object: str = id_column()
    id: str = id_column()
    fingerprint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    name: str = Field()
    kind: str | None = Field(default=None)
    status: str | None = Field(default=None)
    active: bool = Field(default=False)
    begins_at: datetime | None = moment_column()
    ends_at: datetime | None = moment_column()
    modified_at: datetime | None = moment_column()
    archived: bool = Field(default=False)


class CampaignMemberRow(Table, table=True):
    """A person in a campaign; the words are those of `model.CampaignMember`."""

    __tablename__ = "campaign_member"
    __table_args__ = (Index("ix_campaign_member_record", "crm", "record_object", "record_id"),)
    crm: str = id_column()
    object: str = id_column()
    id: str = id_column()
    fingerprint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    campaign_id: str = id_column(primary_key=False, index=True)
    record_object: str = id_column(primary_key=False)
    record_id: str = id_column(primary_key=False)
    status: str | None = Field(default=None)
    responded: bool = Field(default=False)
    joined_at: datetime | None = moment_column()
    modified_at: datetime | None = moment_column()
    archived: bool = Field(default=False)


class Property(Table, table=True):
    """A field of a CRM that the file uses, as the CRM last described it in a form that the file can read.

    gone_at: since when it is not described so any more.
    """

    __tablename__ = "property"
    crm: str = id_column()
    object: str = id_column()
    name: str = id_column()
    label: str = Field(default="")
    type: str = Field(default="")
    options: list[str] | None = json_column()
    calculated: bool = Field(default=False)
    writable: bool = Field(default=True)
    seen_at: datetime = moment_column(nullable=False)
    gone_at: datetime | None = moment_column()


class Drift(Table, table=True):
    """A change of a CRM's set-up that concerns the file. what: appeared, vanished, type, options, permission."""

    __tablename__ = "drift"
    id: int | None = Field(default=None, sa_column=Column(serial(), primary_key=True))
    crm: str = Field()
    object: str = Field()
    property: str = Field()
    what: str = Field()
    before: str | None = Field(default=None)
    after: str | None = Field(default=None)
    at: datetime = moment_column(nullable=False)
    ended_at: datetime | None = moment_column()  # when it was put right again


class Forgotten(Table, table=True):
    """A salted hash of a record's key or of an e-mail address that was deleted for privacy: what it hits never comes back."""

    __tablename__ = "forgotten"
    hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    at: datetime = moment_column(nullable=False)


class Seen(Table, table=True):
    """Ids that a comparison with a CRM, under way now, has met."""

    __tablename__ = "seen"
    crm: str = id_column()
    object: str = id_column()
    id: str = id_column()


class CursorRow(Table, table=True):
    """Where a stream's pull stands."""

    __tablename__ = "cursor"
    crm: str = id_column()
    object: str = id_column()
    state: dict[str, Any] = json_column(nullable=False)
    complete: bool = Field(default=False)  # the stream was once read to its end
    seen: int = Field(default=0)  # records seen by the read now under way
    last_seen: int | None = Field(default=None)  # … by the last whole read
    updated_at: datetime = moment_column(nullable=False)


class SetAsideRow(Table, table=True):
    """A record that could not be mirrored or written, with the next step."""

    __tablename__ = "set_aside"
    crm: str = id_column()
    object: str = id_column()
    id: str = id_column()
    reason: str = Field()
    next_step: str = Field()
    at: datetime = moment_column(nullable=False)
