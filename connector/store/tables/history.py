"""The past as the CRMs tell it, beside versions (`record_version`) and histories of fields (`field_history`) in `mirror`: whose history
is to be read, which links began and ended when, and since when a property was known of every record.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Index
from sqlmodel import Field

from connector.store.tables.columns import Moment, OfContact, OfNobody, Table, id_column, moment_column


class HistoryDue(Table, table=True):
    """A record of which the CRM's history of fields is to be read by id: something that rules watch changed in it."""

    __tablename__ = "history_due"
    crm: OfNobody[str] = id_column()
    object: OfNobody[str] = id_column()
    id: OfContact[str] = id_column()
    noted_at: OfNobody[datetime] = moment_column(nullable=False)


class LinkChange(Table, table=True):
    """A link of an activity or deal that began after it was first seen here, or ended. A link without a row is as old as its activity.

    source: of a deal's link what told so (see `deal_link`), else "". at: by the CRM's word, None where no date tells it.
    """

    __tablename__ = "link_change"
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
