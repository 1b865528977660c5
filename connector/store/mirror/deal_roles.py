"""The deals and campaigns in which contacts have a part, through any of their records, duplicates and former ones among them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, select

from connector.store.bulk import chunks
from connector.store.tables import metadata

_RECORD = metadata.tables["record"]
_DEAL = metadata.tables["deal"]
_LINK = metadata.tables["deal_link"]
_CAMPAIGN = metadata.tables["campaign"]
_MEMBER = metadata.tables["campaign_member"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DealOf:
    """A deal of a contact; the words are those of `model.Deal`. role, main: the contact's part in it, as the CRM tells."""

    crm: str
    object: str
    id: str
    stage: str | None
    pipeline: str | None
    amount: float | None
    currency: str | None
    created_at: datetime | None
    closed_at: datetime | None
    closed: bool
    won: bool
    role: str | None
    main: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOf:
    """A contact's part in a campaign; the words are those of `model.CampaignMember`."""

    crm: str
    id: str
    name: str
    status: str | None
    responded: bool
    joined_at: datetime | None


def deals_of(connection: Connection, contacts: Collection[int]) -> dict[int, list[DealOf]]:
    """The deals with which these contacts themselves are linked, each once, the oldest first; not those of their companies alone."""
    names = tuple(name for name in DealOf.__dataclass_fields__ if name not in ("role", "main"))
    by_contact: dict[int, dict[tuple[str, str], DealOf]] = {}
    for ids in chunks(sorted(contacts)):
        rows = connection.execute(
            select(_RECORD.c.contact_id, *(_DEAL.c[name] for name in names), _LINK.c.role, _LINK.c.main)
            .join(_LINK, and_(_LINK.c.crm == _RECORD.c.crm, _LINK.c.record_object == _RECORD.c.object, _LINK.c.record_id == _RECORD.c.id))
            .join(_DEAL, and_(_DEAL.c.crm == _LINK.c.crm, _DEAL.c.id == _LINK.c.deal_id))
            .where(_RECORD.c.contact_id.in_(ids), ~_DEAL.c.archived)
            .order_by(_DEAL.c.created_at, _DEAL.c.crm, _DEAL.c.id, _LINK.c.main.desc(), _LINK.c.role.is_(None), _LINK.c.source)
        )
        for row in rows.mappings():
            deal = DealOf(**{name: value for name, value in row.items() if name != "contact_id"})
            by_contact.setdefault(row["contact_id"], {}).setdefault((deal.crm, deal.id), deal)
    return {number: list(deals.values()) for number, deals in by_contact.items()}


def campaigns_of(connection: Connection, contact: int) -> list[CampaignOf]:
    """The campaigns that a contact joined, the latest first."""
    names = ("status", "responded", "joined_at")
    rows = connection.execute(
        select(_CAMPAIGN.c.crm, _CAMPAIGN.c.id, _CAMPAIGN.c.name, *(_MEMBER.c[name] for name in names))
        .select_from(_RECORD)
        .join(_MEMBER, _about())
        .join(_CAMPAIGN, _its_campaign())
        .where(_RECORD.c.contact_id == contact, ~_MEMBER.c.archived, ~_CAMPAIGN.c.archived)
        .order_by(_MEMBER.c.joined_at.is_(None), _MEMBER.c.joined_at.desc(), _MEMBER.c.id.desc())
    )
    return [CampaignOf(**row) for row in rows.mappings()]


def latest_campaigns(connection: Connection, contacts: Collection[int]) -> dict[int, str]:
    """The name of the campaign that each of these contacts joined last."""
    if connection.execute(select(_MEMBER.c.id).limit(1)).first() is None:
        return {}
    latest: dict[int, str] = {}
    for ids in chunks(sorted(contacts)):
        newest = func.row_number().over(
            partition_by=_RECORD.c.contact_id,
            order_by=(_MEMBER.c.joined_at.is_(None), _MEMBER.c.joined_at.desc(), _MEMBER.c.id.desc()),
        )
        ranked = (
            select(_RECORD.c.contact_id, _CAMPAIGN.c.name, newest.label("place"))
            .select_from(_RECORD)
            .join(_MEMBER, _about())
            .join(_CAMPAIGN, _its_campaign())
            .where(_RECORD.c.contact_id.in_(ids), ~_MEMBER.c.archived, ~_CAMPAIGN.c.archived)
            .subquery()
        )
        rows = connection.execute(select(ranked.c.contact_id, ranked.c.name).where(ranked.c.place == 1))
        latest |= {row.contact_id: row.name for row in rows}
    return latest


def _about() -> ColumnElement[bool]:
    return and_(_MEMBER.c.crm == _RECORD.c.crm, _MEMBER.c.record_object == _RECORD.c.object, _MEMBER.c.record_id == _RECORD.c.id)


def _its_campaign() -> ColumnElement[bool]:
    return and_(_CAMPAIGN.c.crm == _MEMBER.c.crm, _CAMPAIGN.c.id == _MEMBER.c.campaign_id)
