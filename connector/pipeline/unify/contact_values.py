"""What holds for a whole pass, what is known of the contacts of a slice, and the rows that come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connector.model import CrmName
from connector.pipeline.unify.identity import Key
from connector.store.tables.rows import ContactValue, PersonRecord, PropertyChange, StoredContact, StoredOwner
from connector.workflows.attempts import AttemptState, EvidenceState
from connector.workflows.stored_state import StoredWrite
from connector.workflows.touches import Touched


@dataclass(frozen=True, slots=True, kw_only=True)
class UnifySettings:
    """What holds for a whole pass.

    adopting: what is there now was there before the connector came. clocks_from: attempts begun before are found.
    defaults: the value that a CRM puts on every new record, by the property that carries the stage. own_users: the connector's users.
    unread: columns whose fields cannot be read now, or not of every record: they stay as they are.
    """

    adopting: bool
    clocks_from: datetime
    defaults: Mapping[CrmName, str] = field(default_factory=dict)
    own_users: frozenset[tuple[str, str]] = frozenset()
    unread: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class ContactBatch:
    """All that is known of the contacts of a slice. attempts (the last of each) and evidence go on with what is booked."""

    contacts: Mapping[int, StoredContact]
    records: Mapping[int, Sequence[PersonRecord]]
    companies: Mapping[tuple[str, str], Mapping[str, Any]]  # the properties of people's companies, by (crm, id)
    owners: Mapping[tuple[str, str], StoredOwner]  # by (crm, id)
    history: Mapping[str, Sequence[PropertyChange]]  # by the record's id
    emails: Mapping[Key, Sequence[str]]  # further addresses of records
    ends: Mapping[tuple[str, str], str]  # what ids that records store, or became, stand for since merges: (crm, id) → id
    active: Mapping[Key, datetime]  # the latest activity of records among which one is to be chosen
    campaigns: Mapping[int, str]  # the latest campaign joined, by contact
    attempts: dict[int, AttemptState] = field(default_factory=dict)
    evidence: dict[int, list[EvidenceState]] = field(default_factory=dict)
    touches: Mapping[int, Sequence[Touched]] = field(default_factory=dict)
    written: Mapping[tuple[int, str], StoredWrite] = field(default_factory=dict)  # (contact, crm) → the stage that the connector wrote last
    rejected: set[int] = field(default_factory=set)  # contacts whose last attempt sales rejected with an accepted reason


@dataclass(slots=True)
class ContactRows:
    """The rows that a slice stores, each column → value; left: spells that ended."""

    contacts: list[Mapping[str, ContactValue]] = field(default_factory=list)
    roles: list[Mapping[str, str]] = field(default_factory=list)
    spells: list[Mapping[str, object]] = field(default_factory=list)
    left: list[Mapping[str, object]] = field(default_factory=list)
    attempts: list[Mapping[str, object]] = field(default_factory=list)
    evidence: list[Mapping[str, object]] = field(default_factory=list)
