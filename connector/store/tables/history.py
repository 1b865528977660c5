"""The past as the CRMs tell it, beside versions of records and histories of fields in `mirror`: versions of activities and deals, which
links began and ended when, since when a property was known of every record, and whose history is to be read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index
from sqlmodel import Field

from connector.store.tables.columns import Moment, OfContact, OfNobody, Privacy, Table, id_column, json_column, moment_column


class HistoryDue(Table, table=True):
    """A record of which the CRM's history of fields is to be read by id: something that rules watch changed in it."""

    __tablename__ = "history_due"
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    noted_at: OfNobody[datetime] = moment_column(nullable=False)


class ActivityVersion(Table, table=True):
    """One change of an activity, as of a record (`RecordVersion`): which columns of `activity`, from what to what."""

    __tablename__ = "activity_version"
    privacy = Privacy(deletes_row=True, id_of="activity")
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    number: OfNobody[int] = Field(primary_key=True)
    changed: OfContact[dict[str, Any]] = json_column(nullable=False)
    at: OfNobody[datetime | None] = moment_column()
    seen_at: OfNobody[datetime] = moment_column(nullable=False)
    unchanged_at: OfNobody[datetime | None] = moment_column()


class DealVersion(Table, table=True):
    """One change of a deal, likewise: stage, amount, dates, owner; nothing of a person's."""

    __tablename__ = "deal_version"
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    number: OfNobody[int] = Field(primary_key=True)
    changed: OfNobody[dict[str, Any]] = json_column(nullable=False)
    at: OfNobody[datetime | None] = moment_column()
    seen_at: OfNobody[datetime] = moment_column(nullable=False)
    unchanged_at: OfNobody[datetime | None] = moment_column()


class LinkChange(Table, table=True):
    """A link of an activity or deal that began after it was first seen here, or ended. A link without a row is as old as its activity.

    source: of a deal's link what told so (see `deal_link`), else "". at: by the CRM's word, None where no date tells it.
    """

    __tablename__ = "link_change"
    privacy = Privacy(deletes_row=True)
    __table_args__ = (Index("ix_link_change_record", "crm", "record_object", "record_id"),)
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfNobody[str] = id_column()
    source: OfNobody[str] = id_column()
    record_object: OfNobody[str] = id_column()
    record_id: OfContact[str] = id_column()
    number: OfNobody[int] = Field(primary_key=True)
    linked: OfNobody[bool] = Field()  # it began; else it ended
    role: OfContact[str | None] = Field(default=None)  # of the person in a deal
    at: OfNobody[datetime | None] = moment_column()
    seen_at: OfNobody[datetime] = moment_column(nullable=False)


class PropertyKnown(Table, table=True):
    """A span in which every change of a property came here: from when each record was read with it until pulls brought it no more."""

    __tablename__ = "property_known"
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    property: OfNobody[str] = id_column()
    since: OfNobody[datetime] = Field(sa_column=Column(Moment, primary_key=True))
    until: OfNobody[datetime | None] = moment_column()  # None: it is known
