"""What the connector's user must be allowed in an org, and how to see whether it is. No I/O.

Rights on objects and fields show in descriptions, as this user has them (REST:resources-sobject-describe). Rights that see past sharing do
not: they stand in the permission sets of the user, its profile being one of them
(https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_objectpermissions.htm,
…/sforce_api_objects_permissionsetassignment.htm); to read those takes the right View Setup and Configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connector.adapters.client import Answer, Request
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire import sales as wire_sales
from connector.model import Permission, Uses

#: Object → what it is read for.
READ: Mapping[str, str] = {
    "Lead": "leads", "Contact": "people who were converted, and their owners", "Account": "their companies",
    "Task": "calls, e-mails and tasks", "Event": "meetings", "User": "who owns what; View All Users, where sharing hides them",
    "Opportunity": "deals", "Campaign": "campaigns",
}  # fmt: skip
#: Orgs that do not use these are served all the same.
SPARE = frozenset({"Opportunity", "Campaign"})
#: Of these a record that sharing hides looks like one that was deleted.
SHARED = ("Lead", "Contact", "Account")
VIEW_ALL = "View All Records"
#: Without it only owners, and those above them, hand a Lead on, unless sharing makes Leads public with transfer
#: (https://help.salesforce.com/s/articleView?id=xcloud.data_about_transfer.htm).
TRANSFER_LEADS = "Transfer Leads"
#: What brings it along, as it stands in permission sets.
TRANSFERS = "(PermissionsTransferAnyLead = true OR PermissionsTransferAnyEntity = true OR PermissionsModifyAllData = true)"
#: Object → what is read of it where it can be seen, and what it tells. A pull does without, and says nothing: so the check does.
OPTIONAL: Mapping[str, tuple[frozenset[str], str]] = {
    "Lead": (wire_records.RECORD_OPTIONAL, "the deals of converted leads are found by it"),
    "Task": (wire_records.TASK_OPTIONAL - {wire_records.SHARED}, "calls and e-mails, ours and theirs, are told apart by them"),
    "Event": (wire_records.EVENT_OPTIONAL - {wire_records.SHARED}, "meetings are told apart from copies and series by them"),
    # CurrencyIsoCode is there in orgs with several currencies only, WhoCount in those with Shared Activities.
    "Opportunity": (wire_sales.OPPORTUNITY_OPTIONAL - {"CurrencyIsoCode"}, "deals have them from there alone"),
    "Campaign": (wire_sales.CAMPAIGN_OPTIONAL, "campaigns have them from there alone"),
}
#: The package of HubSpot's own integration, by the prefix of its objects (seen in public code of orgs that have it).
HUBSPOT_PACKAGE = "HubSpot_Inc__"


#: Of these no permission set knows a right of their own: one of the system opens both.
_ACTIVITIES = ("Task", "Event")
ACCESS_ACTIVITIES = "Access Activities"


def right_to_read(name: str) -> str:
    """What permission sets call the right to read an object."""
    return ACCESS_ACTIVITIES if name in _ACTIVITIES else f"{name}: Read"


def objects(uses: Uses) -> tuple[str, ...]:
    """The objects to describe."""
    return tuple(dict.fromkeys((*READ, *uses.written)))


def needed(
    uses: Uses,
    wanted: Mapping[str, Sequence[str]],
    described: Mapping[str, Any] | None,
    *,
    key_field: str,
    view_all: Mapping[str, bool | None] | None = None,
    transfers: bool | None = None,
) -> Iterator[Permission]:
    """All that this configuration needs. described: object → its description, None where it is hidden; None: nothing was asked yet.

    view_all, transfers: what permission sets say; None where the user may not read them.
    """
    known, all_seen = described is not None, view_all or {}
    described = described or {}
    yield Permission(name="API Enabled", why="every request", has=True if known else None)
    readable = [_may(described, name, "queryable", known=known) for name in _ACTIVITIES]
    yield Permission(name=ACCESS_ACTIVITIES, why="calls, e-mails, tasks and meetings", has=all(readable) if known else None)
    for name, why in READ.items():
        if name not in _ACTIVITIES:
            yield Permission(name=right_to_read(name), why=why, has=_may(described, name, "queryable", known=known))
    for name in SHARED:
        yield Permission(name=f"{name}: {VIEW_ALL}", why="what sharing hides looks deleted", has=all_seen.get(name))
    for name, fields in wanted.items():
        for field in fields:
            yield Permission(name=f"{name}.{field}: Read", why="the file reads it", has=_sees(described, name, field, known=known))
    for name, fields in uses.written.items():
        has = _may(described, name, "updateable", known=known)
        yield Permission(name=f"{name}: Edit", why=f"to write {', '.join(fields)}", has=has, to_write=True)
        for field in fields:
            has = _sees(described, name, field, known=known, right="updateable")
            yield Permission(name=f"{name}.{field}: Edit", why="rules write it", has=has, to_write=True)
    if "OwnerId" in uses.written.get("Lead", ()):
        yield Permission(name=TRANSFER_LEADS, why="to give a Lead of somebody else to its owner", has=transfers, to_write=True)
    if uses.tasks:
        has = _may(described, "Task", "createable", known=known)
        yield Permission(name="Edit Tasks", why="to create tasks", has=has, to_write=True)
        has = _sees(described, "Task", key_field, known=known, right="createable")
        yield Permission(name=f"Task.{key_field}: Edit", why="each task exactly once", has=has, to_write=True)


def _may(described: Mapping[str, Any], name: str, right: str, *, known: bool) -> bool | None:
    if not known:
        return None
    value = described.get(name)
    # A right that a description does not name is not in doubt: there would be no description of an object that may not be read.
    return isinstance(value, dict) and value.get(right, right == "queryable") is True


def _sees(described: Mapping[str, Any], name: str, field: str, *, known: bool, right: str | None = None) -> bool | None:
    if not known or (name not in described and name not in READ):
        return None
    found = fields_of(described.get(name)).get(field.lower())
    return found is not None and (right is None or found.get(right) is True)


def hidden(described: Mapping[str, Any], name: str) -> list[str]:
    """The optional fields of an object that is seen, which are not."""
    known = described.get(name)
    return [field for field in sorted(OPTIONAL[name][0]) if field.lower() not in fields_of(known)] if isinstance(known, dict) else []


def fields_of(described: Any) -> Mapping[str, Mapping[str, Any]]:
    """The fields of a description by their folded names."""
    listed = described.get("fields") if isinstance(described, dict) else None
    return {str(field.get("name")).lower(): field for field in listed or () if isinstance(field, dict)}


def external_id(described: Any, name: str) -> Mapping[str, Any] | None:
    """The field of this name, where it is an External Id."""
    field = fields_of(described).get(name.lower())
    return field if field is not None and field.get("externalId") is True else None


def all_objects() -> Request:
    """Every object that there is, those of installed packages among them (REST:resources-describeGlobal)."""
    return Request(method="GET", path=f"{wire.BASE}/sobjects", about="listing the org's objects")


def hubspot_objects(answer: Answer) -> list[str]:
    """Of those, what HubSpot's own package brought."""
    value = wire.value_of(answer)
    listed = value.get("sobjects") if isinstance(value, dict) else None
    names = [str(listed_object.get("name")) for listed_object in listed or () if isinstance(listed_object, dict)]
    return [name for name in names if name.startswith(HUBSPOT_PACKAGE)]


def record_counts(names: Sequence[str]) -> Request:
    """How many records there are, some hours old (REST:resources-record-count)."""
    return Request(method="GET", path=f"{wire.BASE}/limits/recordCount", query={"sObjects": ",".join(names)}, about="counting records")


def counted(answer: Answer) -> dict[str, int]:
    """Object → records; what is not told is left out."""
    value = wire.value_of(answer)
    listed = value.get("sObjects") if isinstance(value, dict) else None
    rows = [row for row in listed or () if isinstance(row, dict) and isinstance(row.get("count"), int)]
    return {str(row.get("name")): row["count"] for row in rows}


#: Which fields of Leads their history tracks, at most 20 of an object
#: (https://developer.salesforce.com/docs/atlas.en-us.api_tooling.meta/api_tooling/tooling_api_objects_fielddefinition.htm: the object
#: must be filtered by, and IsFieldHistoryTracked tells).
LEADS_TRACKED = "SELECT QualifiedApiName, IsFieldHistoryTracked FROM FieldDefinition WHERE EntityDefinitionId = 'Lead'"

_USER = re.compile(r"[A-Za-z0-9]{15,18}")


def assignments(user_id: str) -> str | None:
    """SOQL for the permission sets of a user, its profile's among them; None where the user is not known."""
    if _USER.fullmatch(user_id) is None:
        return None
    return f"SELECT PermissionSetId FROM PermissionSetAssignment WHERE AssigneeId = '{user_id}'"  # noqa: S608 - matched above
