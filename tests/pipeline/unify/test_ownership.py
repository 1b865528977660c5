"""Who owns a contact: records and owners in, owner, queue and moment out; no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from connector.model import CrmName
from connector.pipeline.unify.contact_values import ContactBatch
from connector.pipeline.unify.ownership import ContactOwner, Ownership
from connector.store.tables.rows import PersonRecord, PropertyChange, StoredContact, StoredOwner

NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)
CREATED, MODIFIED = NOW - timedelta(days=9), NOW - timedelta(hours=1)
ANNA, BEN = "anna@acme.example", "ben@acme.example"
OBJECTS: Mapping[CrmName, str] = {"hubspot": "contacts", "salesforce": "Lead"}
OWNERS = [
    StoredOwner(crm=crm, id=owner_id, email=email, name=name, active=active, queue=queue)
    for crm in OBJECTS
    for owner_id, email, name, active, queue in (
        ("anna", ANNA, "Anna", True, False),
        ("ben", BEN, "Ben", True, False),
        ("left", "left@acme.example", "Somebody who left", False, False),
        ("queue", None, "Inbound QUEUE", True, True),
        ("connector", "connector@acme.example", "The connector", True, False),
    )
]


def batch(*history: PropertyChange) -> ContactBatch:
    return ContactBatch(
        contacts={}, records={}, companies={}, owners={(owner.crm, owner.id): owner for owner in OWNERS}, history={"1": history},
        attempts={}, evidence={}, touches={}, written={}, emails={}, ends={}, active={}, campaigns={}, rejected=set(),
    )  # fmt: skip


def owned(
    owner: Mapping[CrmName, str | None], *, first: CrmName = "salesforce", history: Sequence[PropertyChange] = (), **more: Any
) -> ContactOwner:
    before = {"owner": more.get("before"), "assigned_at": more.get("assigned_at"), "judged_at": more.get("judged_at")}
    main = {
        crm: PersonRecord(
            crm=crm, object=OBJECTS[crm], id="1", role="main", owner_id=owner_id, company_id=None, converted_to=None, modified_at=MODIFIED,
            properties=more.get("properties", {}), created_at=CREATED,
        )
        for crm, owner_id in owner.items()
    }  # fmt: skip
    ownership = Ownership(first, frozenset({("hubspot", "connector"), ("salesforce", "connector")}), ZoneInfo("UTC"))
    return ownership.of(cast(StoredContact, before), main, batch(*history), NOW)


@pytest.mark.parametrize(
    ("owner", "first", "person", "queue"),
    [
        ({}, "salesforce", None, None),
        ({"hubspot": None, "salesforce": None}, "salesforce", None, None),
        ({"hubspot": "anna", "salesforce": "ben"}, "salesforce", BEN, None),
        ({"hubspot": "anna", "salesforce": "ben"}, "hubspot", ANNA, None),
        # the second side where the first names no person
        ({"hubspot": "anna", "salesforce": None}, "salesforce", ANNA, None),
        ({"hubspot": "anna", "salesforce": "queue"}, "salesforce", ANNA, None),
        ({"hubspot": "anna", "salesforce": "left"}, "salesforce", ANNA, None),
        ({"hubspot": "anna", "salesforce": "connector"}, "salesforce", ANNA, None),
        ({"hubspot": "anna", "salesforce": "unheard of"}, "salesforce", ANNA, None),
        # a queue where neither does
        ({"hubspot": None, "salesforce": "queue"}, "salesforce", None, "inbound queue"),
        ({"hubspot": "queue", "salesforce": "left"}, "salesforce", None, "inbound queue"),
    ],
)
def test_the_owner(owner: dict[CrmName, str | None], first: CrmName, person: str | None, queue: str | None) -> None:
    result = owned(owner, first=first)
    assert (result.owner, result.owner_queue) == (person, queue)
    assert (result.assigned_at is None) is (person is None)


def changed(hours: int, name: str = "OwnerId") -> PropertyChange:
    return PropertyChange(record_id="1", property=name, at=NOW - timedelta(hours=hours), after="anna")


@pytest.mark.parametrize(
    ("crm", "more", "assigned_at"),
    [
        # it was so before: the moment stays
        ("salesforce", {"before": ANNA, "assigned_at": NOW - timedelta(days=3), "judged_at": NOW}, NOW - timedelta(days=3)),
        # the CRM's own date, or its history, the latest of it
        ("hubspot", {"properties": {"hubspot_owner_assigneddate": "2026-11-18T08:00:00Z"}}, NOW - timedelta(hours=2)),
        ("salesforce", {"history": [changed(5), changed(4), changed(3, "Status")]}, NOW - timedelta(hours=4)),
        # else the change that brought it; at first sight the record's beginning
        ("salesforce", {}, CREATED),
        ("salesforce", {"judged_at": NOW - timedelta(days=1)}, MODIFIED),
        ("hubspot", {"before": BEN, "judged_at": NOW - timedelta(days=1)}, MODIFIED),
    ],
)
def test_since_when(crm: CrmName, more: dict[str, Any], assigned_at: datetime) -> None:
    assert owned({crm: "anna"}, **more) == ContactOwner(ANNA, None, assigned_at)
