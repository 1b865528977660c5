"""Rows that several steps read, as values: the columns that rules look at, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from connector.model import CrmName


class PersonRecord(NamedTuple):
    """A contact's record in a CRM. role: "main" (the contact's own) or "duplicate". converted_to: the Contact that a Lead became."""

    crm: CrmName
    object: str
    id: str
    role: str | None
    owner_id: str | None
    company_id: str | None
    converted_to: str | None
    modified_at: datetime | None
    properties: Mapping[str, Any]


class PropertyChange(NamedTuple):
    """A change of a record's property, by the CRM's own history."""

    record_id: str
    property: str
    at: datetime
    after: str | None


class Engagement(NamedTuple):
    """Something that happened with a contact, as a task tells it. who: the name of the person, where it is known."""

    at: datetime
    kind: str
    direction: str | None
    who: str | None
