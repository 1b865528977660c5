"""What a page brought, made into rows: checked, normalised, fingerprinted. Pure, so that it happens outside of the writer's turn.

A record with a value that cannot be stored (`connector.store.mirror.values`) is set aside; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar

import orjson

from connector.model import (
    COMPANY_OBJECTS,
    CRM_FACTS,
    Activity,
    Campaign,
    CampaignMember,
    CrmName,
    Deal,
    DealContact,
    FieldChange,
    Owner,
    Page,
    Record,
    RecordRef,
    SetAside,
)
from connector.store.mirror.values import STABLE, Unstorable, moment, normalised_email, text, texts, to_json
from connector.store.tables import to_micros

__all__ = ["Unstorable", "normalised_email"]

#: The property that holds a person's e-mail address, by CRM and object.
EMAIL_PROPERTY = {(str(crm), name): prop for crm, facts in CRM_FACTS.items() for name, prop in facts.email_property.items()}

#: Objects whose records are people's companies, and no people themselves.
COMPANIES = frozenset(COMPANY_OBJECTS)

#: Where a record's own columns also come as properties: a read of a part of the properties says something about the column only with these.
_COLUMN_PROPERTY = {str(crm): facts.column_property for crm, facts in CRM_FACTS.items()}

#: The columns of table `record` that a page brings; a row also has "emails" and "merged_ids".
RECORD_COLUMNS = (
    "crm", "object", "id", "properties", "fingerprint", "created_at", "modified_at", "seen_at", "owner_id", "company_id", "converted_to",
    "converted_deal", "merged_into", "email", "archived", "unify",
)  # fmt: skip
#: Of these, what a read of a part of the properties may leave out.
_FILLED_UP = ("owner_id", "company_id", "converted_to", "converted_deal", "merged_into", "created_at", "modified_at")
#: A record's own columns whose changes its versions tell.
_TOLD = ("owner_id", "company_id", "converted_to", "converted_deal", "merged_into", "archived")

#: The object's name and the id: what tells rows of one CRM apart.
Key = tuple[str, str]
Row = dict[str, Any]
_Maker = tuple[CrmName, str, str, Callable[[], Row]]
_Keyed = TypeVar("_Keyed", Activity, Deal, DealContact, Campaign, CampaignMember)


@dataclass(frozen=True, slots=True)
class Sorted:
    """Rows by object and id (of an id that came twice the last one), and what cannot be stored."""

    rows: dict[Key, Row]
    set_aside: list[SetAside]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """All rows of a page, by kind."""

    records: Mapping[Key, Row] = field(default_factory=dict)
    activities: Mapping[Key, Row] = field(default_factory=dict)
    owners: Mapping[Key, Row] = field(default_factory=dict)
    changes: Mapping[Key, Row] = field(default_factory=dict)
    deals: Mapping[Key, Row] = field(default_factory=dict)
    deal_contacts: Mapping[Key, Row] = field(default_factory=dict)
    campaigns: Mapping[Key, Row] = field(default_factory=dict)
    campaign_members: Mapping[Key, Row] = field(default_factory=dict)

    def keys(self) -> Iterator[Key]:
        """Every row's object and id."""
        for kind in fields(self):
            yield from getattr(self, kind.name)

    def gone(self) -> Iterator[Key]:
        """Of these, what the CRM shows as deleted."""
        for kind in fields(self):
            yield from (key for key, row in getattr(self, kind.name).items() if row.get("archived"))


def page_rows(page: Page, *, now: datetime) -> tuple[Brought, list[SetAside]]:
    """All that a page brought, and what of it cannot be stored."""
    kinds = {
        "records": record_rows(page.records, now=now),
        "activities": _keyed_rows(page.activities, _activity_row),
        "owners": _sorted((owner.crm, page.object, owner.id, partial(_owner_row, owner)) for owner in page.owners),
        "changes": _sorted((change.record.crm, page.object, change.id, partial(_change_row, change)) for change in page.changes),
        "deals": _keyed_rows(page.deals, _deal_row),
        "deal_contacts": _keyed_rows(page.deal_contacts, _deal_contact_row),
        "campaigns": _keyed_rows(page.campaigns, _campaign_row),
        "campaign_members": _keyed_rows(page.campaign_members, _member_row),
    }
    set_aside = [*page.set_aside, *(item for kind in kinds.values() for item in kind.set_aside)]
    return Brought(**{name: kind.rows for name, kind in kinds.items()}), set_aside


def record_rows(records: Iterable[Record], *, now: datetime) -> Sorted:
    """Rows of table `record`, ready for the driver."""
    seen_at = to_micros(now)
    return _sorted((record.crm, record.object, record.id, partial(_record_row, record, seen_at)) for record in records)


def _keyed_rows(items: Iterable[_Keyed], make: Callable[[_Keyed], Row]) -> Sorted:
    """Rows of what names its own object and id."""
    return _sorted((item.crm, item.object, item.id, partial(make, item)) for item in items)


def _sorted(makers: Iterable[_Maker]) -> Sorted:
    rows: dict[Key, Row] = {}
    aside: dict[Key, SetAside] = {}
    for crm, object_name, key, make in makers:
        at = (object_name, key)
        try:
            rows[at] = make()
            if aside:
                aside.pop(at, None)
        except Unstorable as problem:
            rows.pop(at, None)
            ref = RecordRef(crm=crm, object=object_name, id=key.replace("\x00", "?"))
            aside[at] = SetAside(record=ref, reason=problem.reason, next_step=problem.next_step)
    return Sorted(rows, list(aside.values()))


# ── Records ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _record_row(record: Record, seen_at: int) -> Row:
    properties = to_json(record.properties)
    email_property = EMAIL_PROPERTY.get((record.crm, record.object))
    email = normalised_email(record.properties.get(email_property)) if email_property else None
    row: Row = {
        "crm": record.crm,
        "object": record.object,
        "properties": properties.decode(),
        "created_at": moment(record.created_at),
        "modified_at": moment(record.modified_at),
        "email": email,
        "archived": record.archived,
        "seen_at": seen_at,
        "unify": record.object not in COMPANIES,
        "emails": _further_emails(record.emails, email) if record.emails else (),
        "merged_ids": record.merged_ids,
    } | texts(
        {
            "id": record.id,
            "owner_id": record.owner_id,
            "company_id": record.company_id,
            "converted_to": record.converted_to,
            "converted_deal": record.converted_deal,
            "merged_into": record.merged_into,
        }
    )
    row["fingerprint"] = _digest(properties, row)
    return row


def _further_emails(emails: Iterable[str], first: str | None) -> tuple[str, ...]:
    """The addresses beside the first, normalised, each once, in a stable order."""
    return tuple(sorted({address for email in emails if (address := normalised_email(text(email, "an e-mail address")))} - {first}))


def record_fingerprint(row: Mapping[str, Any]) -> bytes:
    """A digest of all that came of a record."""
    return _digest(row["properties"].encode(), row)


def _digest(properties: bytes, row: Mapping[str, Any]) -> bytes:
    own = [row["created_at"], row["modified_at"], row["owner_id"], row["company_id"], row["converted_to"], row["archived"]]
    if row["converted_deal"] or row["merged_into"] or row["emails"]:
        own += [row["converted_deal"], row["merged_into"], row["emails"]]
    return blake2b(properties + orjson.dumps(own), digest_size=16).digest()


def merged(row: Row, stored: Mapping[str, Any]) -> Row:
    """The row of a read that asked for a part of the properties only, filled up from what is stored.

    A column such as owner_id follows the read where its property was asked for, or where the read has a value; else it stays. stored: the
    record's columns, and its further addresses under "emails".
    """
    read = orjson.loads(row["properties"])
    properties = orjson.loads(stored["properties"]) | read
    result = dict(row)
    result["properties"] = orjson.dumps(properties, option=STABLE).decode()
    by_property = _COLUMN_PROPERTY[row["crm"]]
    for name in (*_FILLED_UP, "emails"):
        if not result[name] and by_property.get(name) not in read:
            result[name] = stored[name]
    email_property = EMAIL_PROPERTY.get((row["crm"], row["object"]))
    result["email"] = normalised_email(properties.get(email_property)) if email_property else None
    result["fingerprint"] = record_fingerprint(result)
    return result


def gone_row(row: Row, into: str) -> Row:
    """The row of a record that another one stands for."""
    result = {**row, "archived": True, "merged_into": into}
    result["fingerprint"] = record_fingerprint(result)
    return result


def changes_between(stored: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What differs, as property → [before, after]; the record's own columns as "record.owner_id" and so on.

    A property that was not asked for before, or is not asked for any more, did not change.
    """
    before, after = orjson.loads(stored["properties"]), orjson.loads(row["properties"])
    changed = {name: [before[name], value] for name, value in after.items() if name in before and before[name] != value}
    for name in _TOLD:
        if stored[name] != row[name]:
            changed[f"record.{name}"] = [stored[name], row[name]]
    return changed


def other_values(stored: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a property differs from what is stored; one that was never read before counts where it is not empty."""
    before, after = orjson.loads(stored["properties"]), orjson.loads(row["properties"])
    return any(before.get(name) != value for name, value in after.items())


def says_something_new(stored: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a property, one of the record's own columns or an address differs from what is stored."""
    own = any(stored[name] != row[name] for name in _TOLD) or tuple(stored["emails"]) != tuple(row["emails"])
    return own or other_values(stored, row)


# ── Everything else ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _activity_row(activity: Activity) -> Row:
    row: Row = {
        "crm": activity.crm,
        "object": activity.object,
        "kind": activity.kind.value,
        "at": moment(activity.at),
        "direction": None if activity.direction is None else activity.direction.value,
        "happened": activity.happened,
        "automatic": activity.automatic,
        "channel": None if activity.channel is None else str(activity.channel),
        "duration_seconds": None if activity.duration_seconds is None else float(activity.duration_seconds),
        "due_at": moment(activity.due_at),
        "done": activity.done,
        "created_at": moment(activity.created_at),
        "modified_at": moment(activity.modified_at),
        "archived": activity.archived,
    } | texts({"id": activity.id, "owner_id": activity.owner_id, "outcome": activity.outcome, "key": activity.key})
    links = _links(activity.contacts)
    row["fingerprint"] = _fingerprint(row, links)
    row["links"] = links
    return row


def _links(refs: Iterable[RecordRef]) -> list[Key]:
    links = {(ref.object, text(ref.id, "a record's id") or "") for ref in refs}
    return sorted(links) if len(links) > 1 else list(links)


def _fingerprint(row: Row, links: list[Key] | None = None) -> bytes:
    try:
        return blake2b(orjson.dumps([list(row.values()), links]), digest_size=16).digest()
    except (TypeError, ValueError) as problem:
        raise Unstorable("a value is no plain text or number", "Look for half a character in its fields, in the CRM.") from problem


def _owner_row(owner: Owner) -> Row:
    return {
        "crm": owner.crm,
        "id": text(owner.id, "the id"),
        "email": normalised_email(text(owner.email, "the e-mail address")),
        "name": text(owner.name, "the name"),
        "active": owner.active,
        "queue": owner.queue,
        "teams": orjson.dumps([text(name, "a team's name") for name in owner.teams]).decode() if owner.teams else None,
        "user_id": text(owner.user_id, "the user's id"),
    }


def _change_row(change: FieldChange) -> Row:
    return {
        "crm": change.record.crm,
        "id": text(change.id, "the id"),
        "object": change.record.object,
        "record_id": text(change.record.id, "the record's id"),
        "property": text(change.property, "the property"),
        "before": text(change.before, "the value before"),
        "after": text(change.after, "the value after"),
        "at": moment(change.at),
        "source": text(change.source, "the source"),
        "who": text(change.who, "the user's id"),
    }


def _deal_row(deal: Deal) -> Row:
    row: Row = {
        "crm": deal.crm,
        "object": deal.object,
        "id": text(deal.id, "the id"),
        "stage": text(deal.stage, "the stage"),
        "pipeline": text(deal.pipeline, "the pipeline"),
        "amount": None if deal.amount is None else float(deal.amount),
        "currency": text(deal.currency, "the currency"),
        "closed_at": moment(deal.closed_at),
        "closed": deal.closed,
        "won": deal.won,
        "owner_id": text(deal.owner_id, "the owner's id"),
        "company_id": text(deal.company_id, "the company's id"),
        "created_at": moment(deal.created_at),
        "modified_at": moment(deal.modified_at),
        "archived": deal.archived,
    }
    links = None if deal.contacts is None else _links(deal.contacts)
    row["fingerprint"] = _fingerprint(row, links)
    row["links"], row["merged_ids"] = links, deal.merged_ids
    return row


def _deal_contact_row(role: DealContact) -> Row:
    return {
        "crm": role.crm,
        "deal_id": text(role.deal_id, "the deal's id"),
        "source": text(role.id, "the id"),
        "record_object": role.record.object,
        "record_id": text(role.record.id, "the record's id"),
        "role": text(role.role, "the role"),
        "main": role.primary,
        "modified_at": moment(role.modified_at),
        "archived": role.archived,
    }


def _campaign_row(campaign: Campaign) -> Row:
    row: Row = {
        "crm": campaign.crm,
        "object": campaign.object,
        "id": text(campaign.id, "the id"),
        "name": text(campaign.name, "the name"),
        "kind": text(campaign.kind, "the kind"),
        "status": text(campaign.status, "the status"),
        "active": campaign.active,
        "begins_at": moment(campaign.begins_at),
        "ends_at": moment(campaign.ends_at),
        "modified_at": moment(campaign.modified_at),
        "archived": campaign.archived,
    }
    row["fingerprint"] = _fingerprint(row)
    return row


def _member_row(member: CampaignMember) -> Row:
    row: Row = {
        "crm": member.crm,
        "object": member.object,
        "id": text(member.id, "the id"),
        "campaign_id": text(member.campaign_id, "the campaign's id"),
        "record_object": member.record.object,
        "record_id": text(member.record.id, "the record's id"),
        "status": text(member.status, "the status"),
        "responded": member.responded,
        "joined_at": moment(member.joined_at),
        "modified_at": moment(member.modified_at),
        "archived": member.archived,
    }
    row["fingerprint"] = _fingerprint(row)
    return row
