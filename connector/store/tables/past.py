"""What is kept of the past of what we concluded: texts of the file and their use, what an attempt looked like when it began and ended,
who owned whom, and what people did to the connector. What was written here once is not made anew.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index
from sqlmodel import Field

from connector.store.tables.columns import (
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


class RuleText(Table, table=True):
    """A text of the file that was applied, kept once however often it was. It holds no secret: those stand in it by reference."""

    __tablename__ = "rule_text"
    digest: OfNobody[str] = id_column()  # of the text
    text: OfEmployee[str] = Field()  # teams name their members


class RuleUse(Table, table=True):
    """From when to when a text of the file was in force. What refers to a version finds its texts here."""

    __tablename__ = "rule_use"
    __table_args__ = (Index("ix_rule_use_version", "version"),)
    number: OfNobody[int | None] = Field(default=None, sa_column=Column(serial(), primary_key=True))
    digest: OfNobody[str] = id_column(primary_key=False)  # of the text
    version: OfNobody[str] = Field()  # of what its rules say, with the calendars and zone data of then
    rules: OfNobody[str] = Field()  # a digest of what its rules say alone: a file that says the same is the same
    since: OfNobody[datetime] = moment_column(nullable=False)
    until: OfNobody[datetime | None] = moment_column()  # None: in force
    by: OfEmployee[str] = Field()
    way: OfNobody[str] = Field()


class Act(Table, table=True):
    """What a person did to the connector, or with it: `model.Deed`. about, name: what it concerns ("rule", "first touch")."""

    __tablename__ = "act"
    __table_args__ = (Index("ix_act_about", "about", "name", "id"),)
    id: OfNobody[int | None] = Field(default=None, sa_column=Column(serial(), primary_key=True))
    at: OfNobody[datetime] = moment_column(nullable=False)
    deed: OfNobody[str] = Field()
    about: OfNobody[str] = Field()  # all, crm, job, rule, file, contact, plan, run
    name: OfNobody[str] = id_column(primary_key=False)  # of a contact its number; "" where there is only one
    by: OfEmployee[str] = Field()  # the login, or who he said he was
    way: OfNobody[str] = Field()  # command, console


class OwnershipRow(Table, table=True):
    """One stay of a contact with an owner in a CRM, by the record that stood for it there. Nobody: no row."""

    __tablename__ = "ownership"
    contact_id: OfNobody[int] = Field(sa_column=Column(BigInteger, primary_key=True))
    crm: OfNobody[str] = id_column()
    number: OfNobody[int] = Field(primary_key=True)
    owner_id: OfEmployee[str] = id_column(primary_key=False)  # the CRM's own id of a person or a queue
    owner: OfEmployee[str | None] = id_column(primary_key=False, nullable=True)  # the folded e-mail he had then; NULL: a queue, or unknown
    since: OfNobody[datetime] = moment_column(nullable=False)
    stated: OfNobody[bool] = Field()  # since is the CRM's or the ledger's moment; else when it was seen
    until: OfNobody[datetime | None] = moment_column()
    rule: OfNobody[str | None] = Field(default=None)  # of the connector, that assigned it
    by: OfEmployee[str | None] = Field(default=None)  # who set it in the CRM, where its history tells


class Snapshot(Table, table=True):
    """What an attempt looked like. which: "begin", "end", or "decided": of a move that was decided and has not been seen yet.

    What figures group by are columns. Once written, the first two are not made anew.
    """

    __tablename__ = "snapshot"
    privacy = Privacy(kept_unless_named=("lead_source", "campaign"))  # figures group by them, also when the person is gone
    contact_id: OfNobody[int] = Field(sa_column=Column(BigInteger, primary_key=True))
    attempt: OfNobody[int] = Field(primary_key=True)
    which: OfNobody[str] = id_column()
    at: OfNobody[datetime] = moment_column(nullable=False)  # when the attempt began or ended
    taken_at: OfNobody[datetime] = moment_column(nullable=False)  # when these were the values
    late: OfNobody[bool] = Field()  # nobody looked when it began: these are the values of the first look
    config_version: OfNobody[str] = Field()
    stage: OfNobody[str | None] = Field(default=None)
    outcome: OfNobody[str | None] = Field(default=None)  # at the end
    owner: OfEmployee[str | None] = Field(default=None)
    lead_source: OfContact[str | None] = Field(default=None)
    campaign: OfContact[str | None] = Field(default=None)
    conversion_at: OfNobody[datetime | None] = moment_column()
    criteria_met: OfNobody[int | None] = Field(default=None)
    qualified: OfNobody[bool | None] = Field(default=None)
    score: OfNobody[float | None] = Field(default=None)
    touch_count: OfNobody[int] = Field()
    touch_channels: OfNobody[int] = Field()
    criteria: OfNobody[list[str] | None] = json_column()  # the ids of those met; NULL: not known
    points: OfNobody[dict[str, float] | None] = json_column()  # by the score rule's id; NULL: not known
    touches: OfEmployee[list[dict[str, Any]] | None] = json_column()  # at, channel, person, seconds (its length), gap (seconds)
    outcomes: OfContact[list[str | None] | None] = json_column()  # what came of each, in the words of the CRM
