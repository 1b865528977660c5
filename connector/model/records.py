"""What an adapter reads: records, activities, deals, campaigns, pages of them, and what became of those that are gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """A person or queue that may own records. `id` is what the CRM's owner field holds; teams: the names of the CRM's own teams.

    user_id: what the CRM's histories call the person, where that is another id.
    """

    crm: CrmName
    id: str
    email: str | None
    name: str
    active: bool
    queue: bool = False
    teams: tuple[str, ...] = ()
    user_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A HubSpot deal or a Salesforce Opportunity.

    amount: in `currency` (ISO 4217; None: the account's own). closed_at: when it was closed, or is to be. closed, won: as the CRM's own
    pipeline says. contacts: the people it belongs to where the record itself tells all of them (HubSpot's associations), else None
    (Salesforce: `DealContact`). merged_ids: the deals that were merged into this one, and are no more.
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
    merged_ids: Sequence[str] = ()
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
    """One entry of a CRM's own history of a field (HubSpot's property history, Salesforce's LeadHistory): what changed when.

    before: None where it was empty, or where the history does not tell. source: what changed it, by the CRM's own word ("CRM_UI",
    "INTEGRATION"). who: the user, as the CRM names users; None where no person did, or none is told.
    """

    record: RecordRef
    id: str
    property: str
    before: str | None
    after: str | None
    at: datetime
    source: str | None = None
    who: str | None = None


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
    """One step of a look for removed records, and the cursor that is true once it is applied.

    since: on the first page of a look without a cursor, from when on the CRM still tells of removals; None: of all. bin: the ids of
    all people that this page of the CRM's recycle bin holds, told before or not; None: no such page. begins: it is the bin's first page.
    """

    crm: CrmName
    object: str
    cursor: Cursor
    calls: int
    removals: Sequence[Removal]
    last: bool = False
    since: datetime | None = None
    bin: Sequence[str] | None = None
    begins: bool = False
