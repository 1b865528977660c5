"""Rows of Salesforce → the values of the model. No I/O.

What a row must have and has not makes it `Unreadable`: the pull sets it aside and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache
from typing import Any

from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Row
from connector.adapters.set_aside import Unreadable
from connector.model import Activity, ActivityKind, Direction, FieldChange, Owner, Record, RecordRef

#: Read of every person and account, whatever the configuration wants.
RECORD_FIELDS = ("Id", "IsDeleted", "OwnerId", "CreatedDate", "SystemModstamp")
#: And of one object more than of another. MasterRecordId: the winner of a merge, on the deleted loser
#: (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_lead.htm).
OWN_FIELDS = {
    "Lead": ("ConvertedContactId", "ConvertedOpportunityId", "MasterRecordId"),
    "Contact": ("AccountId", "MasterRecordId"),
    "Account": ("MasterRecordId",),
}
#: Whoever may not see Opportunities does not see this one either.
RECORD_OPTIONAL = frozenset({"ConvertedOpportunityId"})

USER_FIELDS = ("Id", "Email", "Name", "IsActive", "UserRole.Name", "SystemModstamp")
USER_OPTIONAL = frozenset({"UserRole.Name"})
GROUP_FIELDS = ("Id", "Email", "Name", "SystemModstamp")
TASK_FIELDS = (
    "Id", "IsDeleted", "OwnerId", "WhoId", "Status", "IsClosed", "TaskSubtype", "Type", "CallType", "CallDisposition",
    "CallDurationInSeconds", "ActivityDate", "CompletedDateTime", "IsRecurrence", "CreatedDate", "SystemModstamp", "WhoCount",
)  # fmt: skip
#: Field-level security hides these in many orgs; without them an activity is still one.
TASK_OPTIONAL = frozenset(
    {"TaskSubtype", "Type", "CallType", "CallDisposition", "CallDurationInSeconds", "CompletedDateTime", "IsRecurrence", "WhoCount"}
)
EVENT_FIELDS = (
    "Id", "IsDeleted", "OwnerId", "WhoId", "StartDateTime", "ActivityDate", "IsAllDayEvent", "DurationInMinutes", "IsChild", "IsRecurrence",
    "GroupEventType", "CreatedDate", "SystemModstamp", "WhoCount",
)  # fmt: skip
EVENT_OPTIONAL = frozenset({"DurationInMinutes", "IsAllDayEvent", "IsChild", "IsRecurrence", "GroupEventType", "WhoCount"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """What names everybody who has a part in an activity, by its fields."""

    object: str
    activity: str
    person: str


#: One Lead or up to 50 Contacts have a part in a Task or Event where the org has Shared Activities; there WhoCount tells how many
#: (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_taskwhorelation.htm,
#: …_eventwhorelation.htm).
RELATIONS = {
    "Task": Relation(object="TaskWhoRelation", activity="TaskId", person="RelationId"),
    "Event": Relation(object="EventWhoRelation", activity="EventId", person="RelationId"),
}
SHARED = "WhoCount"
#: Where a row has all of them, put there by the pull.
PEOPLE = "@people"
#: GroupEventType of the row that stands for a series of Lightning's; one of Salesforce Classic's, and of Tasks, has IsRecurrence. Each
#: occurrence is a row of its own (https://developer.salesforce.com/docs/atlas.en-us.change_data_capture.meta/change_data_capture/cdc_standard_objects_task_event_recurring.htm).
_SERIES = "3"
#: LeadHistory has no SystemModstamp, and OldValue and NewValue can be read but not filtered
#: (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_leadhistory.htm).
HISTORY_FIELDS = ("Id", "LeadId", "Field", "OldValue", "NewValue", "CreatedDate", "CreatedById")
#: History names a look-up by its relationship.
HISTORY_PROPERTIES = {"Status": "Status", "Owner": "OwnerId"}
#: And, in orgs with queues and assignment rules, an owner by the way that it came to be: accepted from a queue, given by a rule. These two
#: the reference does not name; where an org has them not, they are found nowhere.
HISTORY_NAMES = {**HISTORY_PROPERTIES, "ownerAccepted": "OwnerId", "ownerAssignment": "OwnerId"}


def record(object_name: str, row: Row, wanted: Sequence[str]) -> Record:
    """A Lead, Contact or Account; properties are those wanted, absent ones None."""
    return Record(
        crm="salesforce",
        object=object_name,
        id=text(row, "Id"),
        properties=_named(row, wanted),
        created_at=moment(row, "CreatedDate"),
        # SystemModstamp, not LastModifiedDate: the latter stands still when a roll-up, a bounce or an activity changes the record.
        modified_at=moment(row, "SystemModstamp"),
        owner_id=maybe(row, "OwnerId"),
        company_id=maybe(row, "AccountId"),
        converted_to=maybe(row, "ConvertedContactId"),
        converted_deal=maybe(row, "ConvertedOpportunityId"),
        merged_into=maybe(row, "MasterRecordId"),
        archived=row.get("IsDeleted") is True,
    )


def reader(object_name: str, wanted: Sequence[str]) -> Callable[[Row], Record]:
    """`record` for one object and these properties."""
    return lambda row: record(object_name, row, wanted)


def _named(row: Row, wanted: Sequence[str]) -> dict[str, Any]:
    """The fields by the names that were asked for: Salesforce takes names in any case, and answers in its own."""
    try:
        return {name: row[name] for name in wanted}
    except KeyError:
        folded = {name.lower(): value for name, value in row.items()}
        return {name: related(row, name) if "." in name else folded.get(name.lower()) for name in wanted}


def user(row: Row) -> Owner:
    """A person who may own records; deactivated ones still own theirs. The role in the org's hierarchy stands for a team."""
    role = related(row, "UserRole.Name")
    return Owner(
        crm="salesforce",
        id=text(row, "Id"),
        email=maybe(row, "Email"),
        name=maybe(row, "Name") or "",
        active=row.get("IsActive") is True,
        teams=(role,) if isinstance(role, str) and role else (),
    )


def queue(row: Row) -> Owner:
    """A queue is a Group of the type Queue; Leads and Tasks may belong to one, Contacts and Accounts not."""
    return Owner(crm="salesforce", id=text(row, "Id"), email=maybe(row, "Email"), name=maybe(row, "Name") or "", active=True, queue=True)


def task(row: Row, *, key: str, zone: tzinfo) -> Activity:
    """A Task: something to do while it is open, something done once it is closed.

    TaskSubtype says what kind (Task, Email, ListEmail, Call, Cadence); where an org logs calls by Type alone, Type does
    (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_task.htm).
    """
    closed = row.get("IsClosed") is True
    archived = row.get("IsDeleted") is True
    channel = _channel(row)
    kind = ActivityKind(channel) if closed and channel else ActivityKind.TASK
    return Activity(
        crm="salesforce",
        object="Task",
        id=text(row, "Id"),
        kind=kind,
        at=_completed(row, zone) if closed else None,
        contacts=_who(row),
        direction=None if kind is ActivityKind.TASK else _direction(row),
        happened=closed and not archived and row.get("IsRecurrence") is not True,
        automatic=row.get("TaskSubtype") in ("ListEmail", "Cadence"),
        channel=channel,
        owner_id=maybe(row, "OwnerId"),
        outcome=maybe(row, "CallDisposition") or maybe(row, "Status"),
        duration_seconds=number(row, "CallDurationInSeconds"),
        due_at=day(row, "ActivityDate", zone),
        done=closed,
        key=key,
        created_at=moment(row, "CreatedDate"),
        modified_at=moment(row, "SystemModstamp"),
        archived=archived,
    )


def event(row: Row, *, zone: tzinfo) -> Activity:
    """An Event: a meeting, held once its start has passed. Salesforce knows no cancelled one but a deleted one.

    An event for the whole day has a date and no hour: it starts with the day, in the business's zone.
    """
    archived = row.get("IsDeleted") is True
    all_day = row.get("IsAllDayEvent") is True
    minutes = number(row, "DurationInMinutes")
    start = day(row, "ActivityDate", zone) if all_day else moment(row, "StartDateTime")
    return Activity(
        crm="salesforce",
        object="Event",
        id=text(row, "Id"),
        kind=ActivityKind.MEETING,
        at=start or day(row, "ActivityDate", zone),
        contacts=_who(row),
        direction=Direction.OUTGOING,
        happened=not archived and not _stands_for_others(row),
        owner_id=maybe(row, "OwnerId"),
        duration_seconds=None if minutes is None else minutes * 60,
        created_at=moment(row, "CreatedDate"),
        modified_at=moment(row, "SystemModstamp"),
        archived=archived,
    )


def _stands_for_others(row: Row) -> bool:
    """Whether this Event is an invitee's copy of another one, or the row of a whole series."""
    return row.get("IsChild") is True or row.get("IsRecurrence") is True or row.get("GroupEventType") == _SERIES


def change(row: Row) -> FieldChange | None:
    """An entry of LeadHistory; None for an owner's name, since a look-up is logged twice, once by ids and once by names."""
    field, before, after = text(row, "Field"), maybe(row, "OldValue"), maybe(row, "NewValue")
    if field not in HISTORY_NAMES:
        raise Unreadable("Field is not one that was asked for")
    if HISTORY_NAMES[field] == "OwnerId" and not all(value is None or _owns(value) for value in (before, after)):
        return None
    at = moment(row, "CreatedDate")
    if at is None:
        raise Unreadable("CreatedDate is missing")
    return FieldChange(
        record=RecordRef(crm="salesforce", object="Lead", id=text(row, "LeadId")),
        id=text(row, "Id"),
        property=HISTORY_NAMES[field],
        before=before,
        after=after,
        at=at,
        who=maybe(row, "CreatedById"),
    )


def _owns(value: str) -> bool:
    """Whether this is the id of a user or a queue; a queue's name may be 15 letters and digits too."""
    return wire.PREFIXES.get(value[:3]) in ("User", "Group") and wire.is_id(value)


def _channel(row: Row) -> str | None:
    subtype, kind = row.get("TaskSubtype"), row.get("Type")
    if subtype in ("Call", "Email"):
        return str(subtype).lower()
    if subtype == "ListEmail":
        return "email"
    return kind.lower() if isinstance(kind, str) and kind.lower() in ("call", "email") else None


def _direction(row: Row) -> Direction:
    return Direction.INCOMING if row.get("CallType") == "Inbound" else Direction.OUTGOING


def _completed(row: Row, zone: tzinfo) -> datetime | None:
    completed = moment(row, "CompletedDateTime")
    if completed is not None:
        return completed
    created, due = moment(row, "CreatedDate"), day(row, "ActivityDate", zone)
    if due is None:
        return created
    # A call logged on its own day was made when it was logged; of another day no hour is known, and its beginning stands for it.
    return created if created is not None and created.astimezone(zone).date() == due.astimezone(zone).date() else due


def is_shared(row: Row) -> bool:
    """Whether an activity is about more people than WhoId names."""
    count = row.get(SHARED)
    return count is not None and isinstance(count, int) and count > 1 and row.get("IsDeleted") is not True


def _who(row: Row) -> tuple[RecordRef, ...]:
    who, more = maybe(row, "WhoId"), row.get(PEOPLE)
    if more:
        everyone = {wire.same(person): person for person in (*more, who) if person}
        return tuple(ref for person in everyone.values() for ref in _person(person))
    return _person(who) if who else ()


def _person(who: str) -> tuple[RecordRef, ...]:
    kind = wire.PREFIXES.get(who[:3])
    return (RecordRef(crm="salesforce", object=kind, id=who),) if kind in ("Lead", "Contact") else ()


def related(row: Row, name: str) -> Any:
    """A field, perhaps of a related record: REST nests these, Bulk API has columns of their whole names."""
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def text(row: Row, name: str) -> str:
    """A text that every row has."""
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"{name} is missing")
    return value


def maybe(row: Row, name: str) -> str | None:
    """A text, None where it is empty."""
    value = row.get(name)
    if value is None or isinstance(value, str):
        return value or None
    raise Unreadable(f"{name} is not text")


def number(row: Row, name: str) -> float | None:
    """A number."""
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable(f"{name} is not a number")
    return float(value)


def moment(row: Row, name: str) -> datetime | None:
    """A moment, in UTC."""
    stated = maybe(row, name)
    try:
        return None if stated is None else wire.moment_of(stated)
    except ValueError as error:
        raise Unreadable(f"{name} is not a moment") from error


def day(row: Row, name: str, zone: tzinfo) -> datetime | None:
    """The beginning of a day of this zone, in UTC."""
    stated = maybe(row, name)
    try:
        return None if stated is None else _beginning(stated, zone)
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"{name} is not a day") from error


@lru_cache(maxsize=4096)  # activities fall on few days, and each is asked for its day up to three times
def _beginning(text: str, zone: tzinfo) -> datetime:
    return datetime.combine(date.fromisoformat(text), time(), tzinfo=zone).astimezone(UTC)
