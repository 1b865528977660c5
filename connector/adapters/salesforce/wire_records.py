"""Rows of Salesforce → the values of the model. No I/O.

What a row must have and has not makes it `Unreadable`: the pull sets it aside and goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any

from connector.adapters.salesforce import wire
from connector.adapters.salesforce.wire import Row
from connector.model import Activity, ActivityKind, Direction, FieldChange, Owner, Record, RecordRef

#: Read of every person and account, whatever the configuration wants.
RECORD_FIELDS = ("Id", "IsDeleted", "OwnerId", "CreatedDate", "SystemModstamp")
#: And of one object more than of another.
OWN_FIELDS = {"Lead": ("ConvertedContactId",), "Contact": ("AccountId",), "Account": ()}

USER_FIELDS = ("Id", "Email", "Name", "IsActive", "SystemModstamp")
GROUP_FIELDS = ("Id", "Email", "Name", "SystemModstamp")
TASK_FIELDS = (
    "Id", "IsDeleted", "OwnerId", "WhoId", "Status", "IsClosed", "TaskSubtype", "Type", "CallType", "CallDisposition",
    "CallDurationInSeconds", "ActivityDate", "CompletedDateTime", "CreatedDate", "SystemModstamp",
)  # fmt: skip
#: Field-level security hides these in many orgs; without them an activity is still one.
TASK_OPTIONAL = frozenset({"TaskSubtype", "Type", "CallType", "CallDisposition", "CallDurationInSeconds", "CompletedDateTime"})
EVENT_FIELDS = (
    "Id", "IsDeleted", "OwnerId", "WhoId", "StartDateTime", "ActivityDate", "IsAllDayEvent", "DurationInMinutes", "IsChild", "CreatedDate",
    "SystemModstamp",
)  # fmt: skip
EVENT_OPTIONAL = frozenset({"DurationInMinutes", "IsAllDayEvent", "IsChild"})
#: LeadHistory has no SystemModstamp, and OldValue and NewValue can be read but not filtered
#: (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_leadhistory.htm).
HISTORY_FIELDS = ("Id", "LeadId", "Field", "OldValue", "NewValue", "CreatedDate")
#: History names a look-up by its relationship.
HISTORY_PROPERTIES = {"Status": "Status", "Owner": "OwnerId"}


class Unreadable(ValueError):
    """A row lacks what every row of its object has, or holds what cannot be read. Its text names fields, no values."""


def record(object_name: str, row: Row, wanted: Sequence[str]) -> Record:
    """A Lead, Contact or Account; properties are those wanted, absent ones None."""
    return Record(
        crm="salesforce",
        object=object_name,
        id=_text(row, "Id"),
        properties=_named(row, wanted),
        created_at=_moment(row, "CreatedDate"),
        # SystemModstamp, not LastModifiedDate: the latter stands still when a roll-up, a bounce or an activity changes the record.
        modified_at=_moment(row, "SystemModstamp"),
        owner_id=_maybe(row, "OwnerId"),
        company_id=_maybe(row, "AccountId"),
        converted_to=_maybe(row, "ConvertedContactId"),
        archived=row.get("IsDeleted") is True,
    )


def _named(row: Row, wanted: Sequence[str]) -> dict[str, Any]:
    """The fields by the names that were asked for: Salesforce takes names in any case, and answers in its own."""
    try:
        return {name: row[name] for name in wanted}
    except KeyError:
        folded = {name.lower(): value for name, value in row.items()}
        return {name: folded.get(name.lower()) for name in wanted}


def user(row: Row) -> Owner:
    """A person who may own records; deactivated ones still own theirs."""
    return Owner(
        crm="salesforce",
        id=_text(row, "Id"),
        email=_maybe(row, "Email"),
        name=_maybe(row, "Name") or "",
        active=row.get("IsActive") is True,
    )


def queue(row: Row) -> Owner:
    """A queue is a Group of the type Queue; Leads and Tasks may belong to one, Contacts and Accounts not."""
    return Owner(crm="salesforce", id=_text(row, "Id"), email=_maybe(row, "Email"), name=_maybe(row, "Name") or "", active=True, queue=True)


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
        id=_text(row, "Id"),
        kind=kind,
        at=_completed(row, zone) if closed else None,
        contacts=_who(row),
        direction=None if kind is ActivityKind.TASK else _direction(row),
        happened=closed and not archived,
        automatic=row.get("TaskSubtype") in ("ListEmail", "Cadence"),
        channel=channel,
        owner_id=_maybe(row, "OwnerId"),
        outcome=_maybe(row, "CallDisposition") or _maybe(row, "Status"),
        duration_seconds=_number(row, "CallDurationInSeconds"),
        due_at=_day(row, "ActivityDate", zone),
        done=closed,
        key=key,
        created_at=_moment(row, "CreatedDate"),
        modified_at=_moment(row, "SystemModstamp"),
        archived=archived,
    )


def event(row: Row, *, zone: tzinfo) -> Activity:
    """An Event: a meeting, held once its start has passed. Salesforce knows no cancelled one but a deleted one.

    An event for the whole day has a date and no hour: it starts with the day, in the business's zone. IsChild marks an invitee's copy.
    """
    archived = row.get("IsDeleted") is True
    all_day = row.get("IsAllDayEvent") is True
    minutes = _number(row, "DurationInMinutes")
    start = _day(row, "ActivityDate", zone) if all_day else _moment(row, "StartDateTime")
    return Activity(
        crm="salesforce",
        object="Event",
        id=_text(row, "Id"),
        kind=ActivityKind.MEETING,
        at=start or _day(row, "ActivityDate", zone),
        contacts=_who(row),
        direction=Direction.OUTGOING,
        happened=not archived and row.get("IsChild") is not True,
        owner_id=_maybe(row, "OwnerId"),
        duration_seconds=None if minutes is None else minutes * 60,
        created_at=_moment(row, "CreatedDate"),
        modified_at=_moment(row, "SystemModstamp"),
        archived=archived,
    )


def change(row: Row) -> FieldChange | None:
    """An entry of LeadHistory; None for an owner's name, since a look-up is logged twice, once by ids and once by names."""
    field, before, after = _text(row, "Field"), _maybe(row, "OldValue"), _maybe(row, "NewValue")
    if field not in HISTORY_PROPERTIES:
        raise Unreadable("Field is not one that was asked for")
    if field == "Owner" and not all(value is None or wire.is_id(value) for value in (before, after)):
        return None
    moment = _moment(row, "CreatedDate")
    if moment is None:
        raise Unreadable("CreatedDate is missing")
    return FieldChange(
        record=RecordRef(crm="salesforce", object="Lead", id=_text(row, "LeadId")),
        id=_text(row, "Id"),
        property=HISTORY_PROPERTIES[field],
        before=before,
        after=after,
        at=moment,
    )


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
    completed = _moment(row, "CompletedDateTime")
    if completed is not None:
        return completed
    created, day = _moment(row, "CreatedDate"), _day(row, "ActivityDate", zone)
    if day is None:
        return created
    # A call logged on its own day was made when it was logged; of another day no hour is known, and its beginning stands for it.
    return created if created is not None and created.astimezone(zone).date() == day.astimezone(zone).date() else day


def _who(row: Row) -> tuple[RecordRef, ...]:
    who = _maybe(row, "WhoId")
    kind = wire.PREFIXES.get(who[:3]) if who else None
    return (RecordRef(crm="salesforce", object=kind, id=who),) if who and kind in ("Lead", "Contact") else ()


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"{name} is missing")
    return value


def _maybe(row: Row, name: str) -> str | None:
    value = row.get(name)
    if value is None or isinstance(value, str):
        return value or None
    raise Unreadable(f"{name} is not text")


def _number(row: Row, name: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable(f"{name} is not a number")
    return float(value)


def _moment(row: Row, name: str) -> datetime | None:
    text = _maybe(row, name)
    try:
        return None if text is None else wire.moment_of(text)
    except ValueError as error:
        raise Unreadable(f"{name} is not a moment") from error


def _day(row: Row, name: str, zone: tzinfo) -> datetime | None:
    text = _maybe(row, name)
    try:
        return None if text is None else datetime.combine(date.fromisoformat(text), time(), tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"{name} is not a day") from error
