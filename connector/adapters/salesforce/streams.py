"""What is pulled of Salesforce: the streams in their order, the fields of each, and how its rows become the model's values.

`Columns` knows which fields a pull asks for at the moment: what the org turned out not to have is left out, and what does not go into one
query is read by id afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

from connector.adapters.salesforce.wire import errors as wire_errors
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire import sales as wire_sales
from connector.adapters.salesforce.wire import tasks as wire_tasks
from connector.adapters.salesforce.wire.requests import Row
from connector.errors import ObjectStopped
from connector.model import Activity, Campaign, CampaignMember, Cursor, Deal, DealContact, FieldChange, Owner, Record

STREAMS = (
    "User", "Group", "Account", "Lead", "Contact", "Opportunity", "OpportunityContactRole", "Campaign", "CampaignMember", "Task", "Event",
    "LeadHistory", "OpportunityHistory",
)  # fmt: skip
#: Orgs without them, and users who may not see them, are served all the same.
OPTIONAL = frozenset({"Opportunity", "OpportunityContactRole", "Campaign", "CampaignMember", "LeadHistory", "OpportunityHistory"})

#: What a row becomes; None: a row that says nothing of its own.
Value = Record | Activity | Owner | FieldChange | Deal | DealContact | Campaign | CampaignMember | None

#: Room in the URI for the names of fields; the rest is the window's conditions, with the key twice.
_ROOM = wire.LONGEST_TARGET - 1_000
#: How long the org is believed not to have an optional field.
_FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What to read of one object. others: the fields that the configuration wants.

    optional: fields that the pull can do without where the org has them not; instead: what is read in the place of one that is lacking.
    """

    object: str
    fields: Sequence[str]
    read: Callable[[Row], Value]
    others: Sequence[str] = ()
    instead: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    stamp: str = "SystemModstamp"
    all_rows: bool = True
    where: str = ""
    all_told: bool = True  # False: some rows say nothing of their own, so that the query's size is not the stream's


def stream(name: str, *, wanted: Sequence[str], zone: tzinfo, key_field: str) -> Stream:
    """One of `STREAMS`. wanted: the configuration's fields of this object; zone: of days without an hour; key_field: of our Tasks."""
    if name in wire_records.OWN_FIELDS:
        own = wire_records.OWN_FIELDS[name]
        return Stream(
            object=name,
            fields=(*wire_records.RECORD_FIELDS, *own),
            optional=wire_records.RECORD_OPTIONAL.intersection(own),
            others=wanted,
            read=wire_records.reader(name, wanted),
        )
    return _OTHERS[name](zone, key_field)


def _users(_zone: tzinfo, _key_field: str) -> Stream:
    return Stream(
        object="User", fields=wire_records.USER_FIELDS, optional=wire_records.USER_OPTIONAL, read=wire_records.user, all_rows=False
    )


def _groups(_zone: tzinfo, _key_field: str) -> Stream:
    return Stream(object="Group", fields=wire_records.GROUP_FIELDS, read=wire_records.queue, all_rows=False, where="Type = 'Queue'")


def _tasks(zone: tzinfo, key_field: str) -> Stream:
    return Stream(
        object="Task",
        fields=(*wire_records.TASK_FIELDS, key_field),
        instead={key_field: "Description"},
        optional=wire_records.TASK_OPTIONAL | {key_field},
        read=lambda row: wire_records.task(row, key=wire_tasks.marker_of(row, key_field if key_field in row else None), zone=zone),
    )


def _events(zone: tzinfo, _key_field: str) -> Stream:
    return Stream(
        object="Event",
        fields=wire_records.EVENT_FIELDS,
        optional=wire_records.EVENT_OPTIONAL,
        read=lambda row: wire_records.event(row, zone=zone),
    )


def _history(_zone: tzinfo, _key_field: str) -> Stream:
    asked = ", ".join(wire_query.quoted(field) for field in wire_records.HISTORY_NAMES)
    return Stream(
        object="LeadHistory",
        fields=wire_records.HISTORY_FIELDS,
        read=wire_records.change,
        stamp="CreatedDate",
        all_rows=False,
        where=f"Field IN ({asked})",
        all_told=False,
    )


def _opportunities(zone: tzinfo, _key_field: str) -> Stream:
    return Stream(
        object="Opportunity",
        fields=wire_sales.OPPORTUNITY_FIELDS,
        optional=wire_sales.OPPORTUNITY_OPTIONAL,
        read=lambda row: wire_sales.deal(row, zone=zone),
    )


def _deal_history(_zone: tzinfo, _key_field: str) -> Stream:
    return Stream(
        object="OpportunityHistory",
        fields=wire_sales.DEAL_HISTORY_FIELDS,
        read=wire_sales.deal_change,
        stamp="CreatedDate",
        all_rows=False,
    )


def _roles(_zone: tzinfo, _key_field: str) -> Stream:
    return Stream(object="OpportunityContactRole", fields=wire_sales.ROLE_FIELDS, optional=wire_sales.ROLE_OPTIONAL, read=wire_sales.role)


def _campaigns(zone: tzinfo, _key_field: str) -> Stream:
    return Stream(
        object="Campaign",
        fields=wire_sales.CAMPAIGN_FIELDS,
        optional=wire_sales.CAMPAIGN_OPTIONAL,
        read=lambda row: wire_sales.campaign(row, zone=zone),
    )


def _members(_zone: tzinfo, _key_field: str) -> Stream:
    return Stream(
        object="CampaignMember",
        fields=wire_sales.MEMBER_FIELDS,
        optional=wire_sales.MEMBER_OPTIONAL,
        read=wire_sales.member,
        where=wire_sales.MEMBER_WHERE,
    )


_OTHERS: Mapping[str, Callable[[tzinfo, str], Stream]] = {
    "User": _users,
    "Group": _groups,
    "Task": _tasks,
    "Event": _events,
    "LeadHistory": _history,
    "OpportunityHistory": _deal_history,
    "Opportunity": _opportunities,
    "OpportunityContactRole": _roles,
    "Campaign": _campaigns,
    "CampaignMember": _members,
}


class Columns:
    """The fields that a pull of one stream asks for.

    lacking: optional fields that the org does not have, for all pulls of the process. A cursor remembers them for a day, so that a quiet
    pull of a new process need not find them out again, and one that comes to be is seen. gone: wanted fields that this pull did without.
    """

    def __init__(self, stream: Stream, lacking: set[str], cursor: Cursor | None, now: datetime) -> None:
        self._stream = stream
        self._lacking = lacking
        self._share: int | None = None
        self._since = now
        self.gone: set[str] = set()
        known = cursor.get("columns") if cursor else None
        if known:
            since = wire.moment_of(known["since"])
            if now - since < _FORGOTTEN:
                self._since, self._share = since, known.get("share")
                lacking.update(name for name in known["lacking"] if name in stream.optional)
            else:
                lacking.difference_update(stream.optional)
        self._split()

    def remembered(self) -> dict[str, Any]:
        """What of this belongs into the cursor."""
        lacking = sorted(self._lacking & self._stream.optional)
        if not lacking and self._share is None:
            return {}
        share = {} if self._share is None else {"share": self._share}
        return {"columns": {"lacking": lacking, "since": wire.literal(self._since), **share}}

    def everything(self) -> list[str]:
        """All of them, for a query that no URI has to hold."""
        return [*self.in_query, *(name for part in self.by_id for name in part)]

    def _split(self) -> None:
        stream = self._stream
        asked = (stream.instead.get(name) if name in self._lacking else name for name in stream.fields)
        first = [name for name in asked if name]
        # What is related cannot be read by id, so it comes first.
        others = sorted((name for name in stream.others if name not in self.gone), key=lambda name: "." not in name)
        self.in_query, left = wire_query.split_fields(first, others, room=_ROOM)
        if self._share is not None:
            taken = len(set(first)) + self._share
            self.in_query, left = self.in_query[:taken], self.in_query[taken:] + left
        size = self._share or len(left) or 1
        self.by_id = [left[start : start + size] for start in range(0, len(left), size)]

    def without(self, error: ObjectStopped) -> bool:
        """Leaves out what the org does not have; whether there was anything to leave out."""
        if isinstance(error, wire_errors.NoSuchColumn):
            found = self._drop(name for name in self.everything() if error.concerns(self._stream.object, name))
        else:
            found = False
        # Words that are new to us: what is related is the likelier to be meant.
        if not found and error.code == "INVALID_FIELD":
            found = self._drop(name for name in self.everything() if "." in name)
        return found

    def _drop(self, names: Iterable[str]) -> bool:
        found = False
        for name in list(names):
            optional, other = name in self._stream.optional, name in self._stream.others
            if optional:
                self._lacking.add(name)
            if other:
                self.gone.add(name)
            found = found or optional or other
        self._split()
        return found

    def lighten(self) -> bool:
        """Asks for half as many of the configuration's fields at once: formulas count towards a query's size; whether that is possible."""
        must = {name for name in self._stream.fields if name}
        most = max([len([name for name in self.in_query if name not in must]), *map(len, self.by_id)])
        if most <= 1:
            return False
        self._share = most // 2
        self._split()
        return True
