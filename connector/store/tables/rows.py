"""Rows that several steps read, as values: the columns that rules look at, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypedDict

from connector.model import CrmName


class PersonRecord(NamedTuple):
    """A contact's record in a CRM. role: "main" (the contact's own) or "duplicate". converted_to: the Contact that a Lead became.

    linked_id: the id of the other CRM's record that is stored in it. merged_into: the record that stands for it since a merge.
    """

    crm: CrmName
    object: str
    id: str
    role: str | None
    owner_id: str | None
    company_id: str | None
    converted_to: str | None
    modified_at: datetime | None
    properties: Mapping[str, Any]
    created_at: datetime | None = None
    linked_id: str | None = None
    merged_into: str | None = None
    email: str | None = None
    archived: bool = False


class PropertyChange(NamedTuple):
    """A change of a record's property, by the CRM's own history."""

    record_id: str
    property: str
    at: datetime
    after: str | None


#: How a moment is known: by the CRM's own history, since the change was seen, or by the record's last edit.
KnownBy = Literal["history", "seen", "record"]


class PastChange(NamedTuple):
    """A change of a record's property. at: by the CRM's history, or when it was seen (`known_by`). by: an owner's e-mail or name, else the
    CRM's id of the user; None where no person did it, or none is told.
    """

    crm: CrmName
    object: str
    record_id: str
    property: str
    before: Any
    after: Any
    at: datetime
    by: str | None
    known_by: KnownBy


class Engagement(NamedTuple):
    """Something that happened with a contact, as a task tells it. who: the name of the person, where it is known."""

    at: datetime
    kind: str
    direction: str | None
    who: str | None


class StoredOwner(NamedTuple):
    """A person or a queue that may own records. email: folded."""

    crm: CrmName
    id: str
    email: str | None
    name: str
    active: bool
    queue: bool


#: What a field's column of `contact` holds: a moment as microseconds since 1970, several choices as ";a;b;".
FieldValue = str | int | float | bool | None
#: What any column of `contact` holds.
ContactValue = FieldValue | datetime


class StoredContact(TypedDict):
    """A row of `contact` as it is read and stored again. The columns of the file's fields stand beside these (`FieldValue`)."""

    id: int
    judged_at: datetime | None
    gone: bool
    ambiguous: str | None
    in_hubspot: bool
    in_salesforce: bool
    stage: str | None
    stage_since: datetime | None
    stage_hubspot: str | None
    stage_salesforce: str | None
    stage_differs: bool
    agreed_number: int
    agreed_hubspot: str | None
    agreed_salesforce: str | None
    spell: int
    attempt: int | None
    owner: str | None
    assigned_at: datetime | None
