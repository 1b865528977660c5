"""The mirror: what the CRMs hold, what they say of themselves, and where the reading of them stands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, LargeBinary, text
from sqlmodel import Field

from connector.store.tables.columns import (
    OfContact,
    OfEmployee,
    OfNobody,
    Privacy,
    Table,
    exact,
    id_column,
    json_column,
    moment_column,
    serial,
)


class RecordRow(Table, table=True):
    """A record of a CRM as it came. `fingerprint` is a digest of all that came: a record that did not change is not rewritten."""

    __tablename__ = "record"
    privacy = Privacy(deletes_row=True, id_of="record", unsearched="who has one of the addresses is found by their index")
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

    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    properties: OfContact[dict[str, Any]] = json_column(nullable=False)
    fingerprint: OfNobody[bytes] = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: OfNobody[datetime | None] = moment_column()
    modified_at: OfNobody[datetime | None] = moment_column()
    seen_at: OfNobody[datetime] = moment_column(nullable=False)
    owner_id: OfEmployee[str | None] = id_column(primary_key=False, nullable=True, index=True)
    company_id: OfNobody[str | None] = id_column(primary_key=False, nullable=True)
    converted_to: OfNobody[str | None] = id_column(primary_key=False, nullable=True)
    # the other CRM's id stored in it; unify fills it
    linked_id: OfNobody[str | None] = id_column(primary_key=False, nullable=True, index=True)
    email: OfContact[str | None] = id_column(primary_key=False, nullable=True, index=True)  # normalised, for identity
    archived: OfNobody[bool] = Field(default=False)
    contact_id: OfNobody[int | None] = Field(default=None, sa_column=Column(BigInteger, nullable=True, index=True))
    role: OfNobody[str | None] = Field(default=None)  # "main", "duplicate", "ambiguous"; None: a company, an account, not yet unified
    unify: OfNobody[bool] = Field(default=True)  # changed since it was last unified
    converted_deal: OfNobody[str | None] = id_column(primary_key=False, nullable=True)  # the Opportunity that came of a Lead
    merged_into: OfNobody[str | None] = id_column(primary_key=False, nullable=True)  # the record of the same object that stands for it now


class RecordVersion(Table, table=True):
    """One change of a record: which properties, from what to what. Keyed by contact through its record; personal.

    The change lies between `unchanged_at` (it was still as before then; None: nobody knows) and `at`, or `seen_at` where the CRM tells no
    date, or an older one.
    """

    __tablename__ = "record_version"
    privacy = Privacy(deletes_row=True, id_of="record")
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    number: OfNobody[int] = Field(primary_key=True)
    changed: OfContact[dict[str, Any]] = json_column(nullable=False)  # property → [before, after]
    at: OfNobody[datetime | None] = moment_column()  # the CRM's modified date
    seen_at: OfNobody[datetime] = moment_column(nullable=False)
    unchanged_at: OfNobody[datetime | None] = moment_column()


class FieldHistory(Table, table=True):
    """The CRM's own history of a field (HubSpot's property history, Salesforce's LeadHistory and OpportunityHistory).

    source: what changed it, as the CRM names it ("CRM_UI", "INTEGRATION"). who: the user, by the CRM's own id of users.
    """

    __tablename__ = "field_history"
    privacy = Privacy(deletes_row=True)
    crm: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column(primary_key=False)
    record_id: OfNobody[str] = id_column(primary_key=False, index=True)
    property: OfNobody[str] = Field()
    before: OfContact[str | None] = Field(default=None)
    after: OfContact[str | None] = Field(default=None)
    at: OfNobody[datetime] = moment_column(nullable=False)
    source: OfNobody[str | None] = Field(default=None)
    who: OfEmployee[str | None] = id_column(primary_key=False, nullable=True)


class ActivityRow(Table, table=True):
    """A call, e-mail, meeting or task; the words are those of `model.Activity`."""

    __tablename__ = "activity"
    privacy = Privacy(id_of="activity", unsearched="a note on somebody else's call; there are many, and the writer would wait")
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    fingerprint: OfNobody[bytes] = Field(sa_column=Column(LargeBinary, nullable=False))
    kind: OfNobody[str] = Field()
    at: OfNobody[datetime | None] = moment_column()
    direction: OfNobody[str | None] = Field(default=None)
    happened: OfNobody[bool] = Field(default=True)
    automatic: OfNobody[bool] = Field(default=False)
    channel: OfNobody[str | None] = Field(default=None)
    owner_id: OfEmployee[str | None] = id_column(primary_key=False, nullable=True)
    outcome: OfContact[str | None] = Field(default=None)
    duration_seconds: OfNobody[float | None] = Field(default=None)
    due_at: OfNobody[datetime | None] = moment_column()
    done: OfNobody[bool] = Field(default=False)
    key: OfNobody[str] = Field(default="", index=True)
    created_at: OfNobody[datetime | None] = moment_column()
    modified_at: OfNobody[datetime | None] = moment_column()
    archived: OfNobody[bool] = Field(default=False)


class ActivityLink(Table, table=True):
    """Which record an activity is about, with what conditions count by copied beside it (kind, at, counts)."""

    __tablename__ = "activity_link"
    privacy = Privacy(deletes_row=True)
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
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    record_object: OfNobody[str] = id_column()
    record_id: OfContact[str] = id_column()
    contact_id: OfNobody[int | None] = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    kind: OfNobody[str] = Field()
    at: OfNobody[datetime | None] = moment_column()
    counts: OfNobody[bool] = Field(default=True)  # happened, and not archived


class OwnerRow(Table, table=True):
    """A person or queue that may own records."""

    __tablename__ = "owner"
    crm: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    email: OfEmployee[str | None] = id_column(primary_key=False, nullable=True, index=True)  # folded
    name: OfEmployee[str] = Field()
    active: OfNobody[bool] = Field()
    queue: OfNobody[bool] = Field(default=False)
    teams: OfEmployee[list[str] | None] = json_column()  # the CRM's own teams, by name
    user_id: OfEmployee[str | None] = id_column(primary_key=False, nullable=True)  # of the user who he is, where it is another id


class RecordEmail(Table, table=True):
    """A further e-mail address of a person, normalised; the first is on the record."""

    __tablename__ = "record_email"
    privacy = Privacy(deletes_row=True, id_of="record", unsearched="as record")
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    email: OfContact[str] = Field(sa_column=Column(exact(), primary_key=True, index=True))


class Merged(Table, table=True):
    """A record that another one stands for since a merge in its CRM, whether or not the mirror ever held it. Chains are followed."""

    __tablename__ = "merged"
    __table_args__ = (Index("ix_merged_into", "crm", "object", "into_id"),)
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    into_id: OfNobody[str] = id_column(primary_key=False)
    seen_at: OfNobody[datetime] = moment_column(nullable=False)  # of the merge, where the loser told it; else when it was noticed here


class DealRow(Table, table=True):
    """A HubSpot deal or a Salesforce Opportunity; the words are those of `model.Deal`."""

    __tablename__ = "deal"
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    fingerprint: OfNobody[bytes] = Field(sa_column=Column(LargeBinary, nullable=False))
    stage: OfNobody[str | None] = Field(default=None)
    pipeline: OfNobody[str | None] = Field(default=None)
    amount: OfNobody[float | None] = Field(default=None)
    currency: OfNobody[str | None] = Field(default=None)
    closed_at: OfNobody[datetime | None] = moment_column()
    closed: OfNobody[bool] = Field(default=False)
    won: OfNobody[bool] = Field(default=False)
    owner_id: OfEmployee[str | None] = id_column(primary_key=False, nullable=True)
    company_id: OfNobody[str | None] = id_column(primary_key=False, nullable=True)
    created_at: OfNobody[datetime | None] = moment_column()
    modified_at: OfNobody[datetime | None] = moment_column()
    archived: OfNobody[bool] = Field(default=False)


class DealLink(Table, table=True):
    """A person's part in a deal. source: what told so: "" the deal itself, "conversion" of a Lead, else the id of a contact role."""

    __tablename__ = "deal_link"
    privacy = Privacy(deletes_row=True)
    __table_args__ = (Index("ix_deal_link_record", "crm", "record_object", "record_id"),)
    crm: OfNobody[str] = id_column()
    deal_id: OfNobody[str] = id_column()
    source: OfNobody[str] = id_column()
    record_object: OfNobody[str] = id_column()
    record_id: OfContact[str] = id_column()
    role: OfContact[str | None] = Field(default=None)
    main: OfNobody[bool] = Field(default=False)


class CampaignRow(Table, table=True):
    """A marketing campaign; the words are those of `model.Campaign`."""

    __tablename__ = "campaign"
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    fingerprint: OfNobody[bytes] = Field(sa_column=Column(LargeBinary, nullable=False))
    name: OfNobody[str] = Field()
    kind: OfNobody[str | None] = Field(default=None)
    status: OfNobody[str | None] = Field(default=None)
    active: OfNobody[bool] = Field(default=False)
    begins_at: OfNobody[datetime | None] = moment_column()
    ends_at: OfNobody[datetime | None] = moment_column()
    modified_at: OfNobody[datetime | None] = moment_column()
    archived: OfNobody[bool] = Field(default=False)


class CampaignMemberRow(Table, table=True):
    """A person in a campaign; the words are those of `model.CampaignMember`."""

    __tablename__ = "campaign_member"
    privacy = Privacy(deletes_row=True)
    __table_args__ = (Index("ix_campaign_member_record", "crm", "record_object", "record_id"),)
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    fingerprint: OfNobody[bytes] = Field(sa_column=Column(LargeBinary, nullable=False))
    campaign_id: OfNobody[str] = id_column(primary_key=False, index=True)
    record_object: OfNobody[str] = id_column(primary_key=False)
    record_id: OfContact[str] = id_column(primary_key=False)
    status: OfContact[str | None] = Field(default=None)
    responded: OfContact[bool] = Field(default=False)
    joined_at: OfContact[datetime | None] = moment_column()
    modified_at: OfNobody[datetime | None] = moment_column()
    archived: OfNobody[bool] = Field(default=False)


class Property(Table, table=True):
    """A field of a CRM that the file uses, as the CRM last described it in a form that the file can read.

    gone_at: since when it is not described so any more.
    """

    __tablename__ = "property"
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    name: OfNobody[str] = id_column()
    label: OfNobody[str] = Field(default="")
    type: OfNobody[str] = Field(default="")
    options: OfNobody[list[str] | None] = json_column()
    calculated: OfNobody[bool] = Field(default=False)
    writable: OfNobody[bool] = Field(default=True)
    seen_at: OfNobody[datetime] = moment_column(nullable=False)
    gone_at: OfNobody[datetime | None] = moment_column()


class Drift(Table, table=True):
    """A change of a CRM's set-up that concerns the file. what: appeared, vanished, type, options, permission."""

    __tablename__ = "drift"
    id: OfNobody[int | None] = Field(default=None, sa_column=Column(serial(), primary_key=True))
    crm: OfNobody[str] = Field()
    object: OfNobody[str] = Field()
    property: OfNobody[str] = Field()
    what: OfNobody[str] = Field()
    before: OfNobody[str | None] = Field(default=None)
    after: OfNobody[str | None] = Field(default=None)
    at: OfNobody[datetime] = moment_column(nullable=False)
    ended_at: OfNobody[datetime | None] = moment_column()  # when it was put right again


class Forgotten(Table, table=True):
    """A salted hash of a record's key or of an e-mail address that was deleted for privacy: what it hits never comes back."""

    __tablename__ = "forgotten"
    hash: OfNobody[bytes] = Field(sa_column=Column(LargeBinary, primary_key=True))
    at: OfNobody[datetime] = moment_column(nullable=False)


class Seen(Table, table=True):
    """Ids that a comparison with a CRM, under way now, has met."""

    __tablename__ = "seen"
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()


class CursorRow(Table, table=True):
    """Where a stream's pull stands."""

    __tablename__ = "cursor"
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    state: OfNobody[dict[str, Any]] = json_column(nullable=False)
    complete: OfNobody[bool] = Field(default=False)  # the stream was once read to its end
    seen: OfNobody[int] = Field(default=0)  # records seen by the read now under way
    last_seen: OfNobody[int | None] = Field(default=None)  # … by the last whole read
    updated_at: OfNobody[datetime] = moment_column(nullable=False)
    whole_at: OfNobody[datetime | None] = moment_column()  # when the last read that came to its end began


class SetAsideRow(Table, table=True):
    """A record that could not be mirrored or written, with the next step."""

    __tablename__ = "set_aside"
    privacy = Privacy(deletes_row=True, id_of="record")
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    reason: OfContact[str] = Field()
    next_step: OfContact[str] = Field()
    at: OfNobody[datetime] = moment_column(nullable=False)
