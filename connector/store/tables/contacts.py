"""Contacts, and what is concluded about them. The fields of the file are columns of `contact` too: `connector.store.fields` makes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, false, text
from sqlmodel import Field

from connector.store.tables.columns import (
    Moment,
    OfContact,
    OfEmployee,
    OfNobody,
    Privacy,
    Table,
    id_column,
    json_column,
    moment_column,
    serial,
)


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
        Index("ix_contact_fast", "due_at", "id", sqlite_where=text("fast = 1"), postgresql_where=text("fast")),
    )
    id: OfNobody[int | None] = Field(default=None, sa_column=Column(serial(), primary_key=True))
    due_at: OfNobody[datetime | None] = moment_column(index=True)  # the first moment at which any rule could say something else
    first_seen_at: OfNobody[datetime] = moment_column(nullable=False)
    judged_at: OfNobody[datetime | None] = moment_column()
    gone: OfNobody[bool] = Field(default=False)  # no live record is left
    ambiguous: OfNobody[str | None] = Field(default=None)  # why nothing is written to it
    in_hubspot: OfNobody[bool] = Field(default=False)
    in_salesforce: OfNobody[bool] = Field(default=False)
    stage: OfNobody[str | None] = Field(default=None)
    stage_since: OfNobody[datetime | None] = moment_column()
    stage_hubspot: OfNobody[str | None] = Field(default=None)  # what each side says, by the file's names
    stage_salesforce: OfNobody[str | None] = Field(default=None)
    stage_differs: OfNobody[bool] = Field(default=False)  # a difference found when it was adopted: reported, not written
    agreed_number: OfNobody[int] = Field(default=0)  # agreements so far; 0: nothing agreed yet
    agreed_hubspot: OfNobody[str | None] = Field(default=None)  # what each side said at the last agreement
    agreed_salesforce: OfNobody[str | None] = Field(default=None)
    spell: OfNobody[int] = Field(default=0)  # the number of the present spell
    attempt: OfNobody[int | None] = Field(default=None)  # the number of the present or last attempt
    owner: OfEmployee[str | None] = Field(default=None)  # folded e-mail; NULL: nobody, a queue, ourselves, deactivated
    owner_queue: OfEmployee[str | None] = Field(default=None)
    assigned_at: OfNobody[datetime | None] = moment_column()
    first_touch_at: OfNobody[datetime | None] = moment_column()
    last_touch_at: OfNobody[datetime | None] = moment_column()
    touch_count: OfNobody[int] = Field(default=0)
    touch_channels: OfNobody[int] = Field(default=0)
    rejected_before: OfNobody[bool] = Field(default=False)
    rejecting: OfNobody[bool | None] = Field(default=None)  # what rejection.when said when last judged
    excluded: OfNobody[bool] = Field(default=False)
    criteria: OfNobody[str | None] = Field(default=None)  # the ids of those met, as JSON, in the order of the ids
    criteria_met: OfNobody[int | None] = Field(default=None)
    qualified: OfNobody[bool | None] = Field(default=None)
    score: OfNobody[float | None] = Field(default=None)
    # the contact that it turned out to be; chains are followed to their end
    merged_into: OfNobody[int | None] = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    recount_at: OfNobody[datetime | None] = moment_column()  # the first moment at which its touches are to be counted anew
    decide_at: OfNobody[datetime | None] = moment_column()  # … at which something else could be decided, though the rules answer the same
    answers: OfNobody[str | None] = Field(default=None)  # what the rules answered after the score when last judged, 1 or 0 each
    fast: OfNobody[bool | None] = Field(default=None)  # whether [schedule] fast named it when last judged


class Touch(Table, table=True):
    """An outgoing attempt by a member of a sales team; one row however often it was logged."""

    __tablename__ = "touch"
    contact_id: OfNobody[int] = Field(sa_column=Column(BigInteger, primary_key=True))
    at: OfNobody[datetime] = Field(sa_column=Column(Moment, primary_key=True))
    person: OfEmployee[str] = id_column()
    channel: OfNobody[str] = id_column()
    # its activities left the mirror
    kept: OfNobody[bool] = Field(sa_column=Column(Boolean, nullable=False, server_default=false(), default=False))
    outcome: OfContact[str | None] = Field(default=None)  # of one that is kept: what its activity told, in the CRM's words
    seconds: OfNobody[float | None] = Field(default=None)  # … and how long it was


class Spell(Table, table=True):
    """One stay in a stage. by: "crm" (a person or another tool), "connector", "found" (there at the first live pass)."""

    __tablename__ = "spell"
    contact_id: OfNobody[int] = Field(sa_column=Column(BigInteger, primary_key=True))
    number: OfNobody[int] = Field(primary_key=True)
    stage: OfNobody[str | None] = Field(default=None)
    entered_at: OfNobody[datetime] = moment_column(nullable=False)
    left_at: OfNobody[datetime | None] = moment_column()
    by: OfNobody[str] = Field()


class Attempt(Table, table=True):
    """One go at selling. outcome: open, accepted, rejected, disqualified, ignored, expired, withdrawn."""

    __tablename__ = "attempt"
    contact_id: OfNobody[int] = Field(sa_column=Column(BigInteger, primary_key=True))
    number: OfNobody[int] = Field(primary_key=True)
    spell: OfNobody[int] = Field()
    began_at: OfNobody[datetime] = moment_column(nullable=False)
    ended_at: OfNobody[datetime | None] = moment_column()
    outcome: OfNobody[str] = Field(default="open", index=True)
    skipped: OfNobody[bool] = Field(default=False)
    late: OfNobody[bool] = Field(default=False)
    found: OfNobody[bool] = Field(default=False)
    rejectable: OfNobody[bool | None] = Field(default=None)  # rejection.when has been false once since it began; None: not yet asked
    ignored_at: OfNobody[datetime | None] = moment_column()  # when it ends as ignored, without a touch


class Rejection(Table, table=True):
    """A rejection by sales, for the review by both teams."""

    __tablename__ = "rejection"
    privacy = Privacy(kept_unless_named=("reason",))  # most are the file's own words, and figures count by them
    contact_id: OfNobody[int] = Field(sa_column=Column(BigInteger, primary_key=True))
    attempt: OfNobody[int] = Field(primary_key=True)
    at: OfNobody[datetime] = moment_column(nullable=False)
    kind: OfNobody[str] = Field()  # rejected, disqualified
    reason: OfContact[str | None] = Field(default=None)  # by the file's names; None: not given yet
    reason_at: OfNobody[datetime | None] = moment_column()
    accepted: OfNobody[bool] = Field(default=False)  # the reason is one of the file's, with the touches it needs
    reason_by: OfNobody[datetime | None] = moment_column()  # then it goes back all the same
    sent_back: OfNobody[bool] = Field(default=False)
    run: OfNobody[int] = Field(default=0)  # the pass that logged it; it goes back in a later one
    owner: OfEmployee[str | None] = Field(default=None)
    touches: OfNobody[int] = Field(default=0)
    channels: OfNobody[int] = Field(default=0)
    criteria_met: OfNobody[int | None] = Field(default=None)
    score: OfNobody[float | None] = Field(default=None)
    crm: OfNobody[str | None] = Field(default=None)  # the side that said so
    by: OfEmployee[str | None] = Field(default=None)  # who: an owner's e-mail or name, else the CRM's id of the user
    known_by: OfNobody[str | None] = Field(default=None)  # how the moment is known: history, seen (the change was), record (its last edit)


class Clock(Table, table=True):
    """An SLA clock. state: running, warned, met, breached, ended, waived, paused."""

    __tablename__ = "clock"
    __table_args__ = (
        Index("ix_clock_open", "state", "due_at"),
        Index(
            "ix_clock_before_live",
            "state",
            sqlite_where=text("before_live IS NOT NULL"),
            postgresql_where=text("before_live IS NOT NULL"),
        ),
    )
    contact_id: OfNobody[int] = Field(sa_column=Column(BigInteger, primary_key=True))
    attempt: OfNobody[int] = Field(primary_key=True)
    kind: OfNobody[str] = id_column()
    number: OfNobody[int] = Field(primary_key=True)  # 1, and one more for each new owner
    sla: OfNobody[str] = Field()
    owner: OfEmployee[str | None] = Field(default=None)
    started_at: OfNobody[datetime] = moment_column(nullable=False)
    warn_at: OfNobody[datetime | None] = moment_column()
    due_at: OfNobody[datetime] = moment_column(nullable=False)
    state: OfNobody[str] = Field(default="running")
    met_at: OfNobody[datetime | None] = moment_column()
    ended_at: OfNobody[datetime | None] = moment_column()
    touches: OfNobody[int] = Field(default=0)
    channels: OfNobody[int] = Field(default=0)
    calendar: OfNobody[str] = Field()  # the calendar's version that the deadline was computed with
    config_version: OfNobody[str | None] = Field(default=None)  # the file's, under which it started; NULL: before that was kept
    before_live: OfNobody[str | None] = Field(default=None)  # "warn", "breach": came up before the first live pass; never acted on


class Evidence(Table, table=True):
    """What a transition was taken on: it is used once. moved_back_at: when the contact left the stage downwards."""

    __tablename__ = "evidence"
    contact_id: OfNobody[int] = Field(sa_column=Column(BigInteger, primary_key=True))
    rule: OfNobody[str] = id_column()
    spell: OfNobody[int] = Field()  # the spell that the transition began
    taken_at: OfNobody[datetime] = moment_column(nullable=False)
    moved_back_at: OfNobody[datetime | None] = moment_column()
    again_at: OfNobody[datetime | None] = moment_column()  # moved back, from then on it may fire again
    barred: OfNobody[bool] = Field(default=False)  # rejected with a reason: only a person moves it
    basis: OfContact[dict[str, Any] | None] = json_column()  # the fields of again_if_changed when it was moved back
