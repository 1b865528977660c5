"""What the connector is told of an account (`HubSpotAccess`, `SalesforceAccess`) and what the account says of itself: its fields and their
types, what it allows, its own set-up, and what `connector check` found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class SecretReference(Protocol):
    """A secret by reference: the variable or file that it stands in. source: "env" or "file"; name: the variable, or the path."""

    @property
    def source(self) -> str: ...
    @property
    def name(self) -> str: ...

    def read(self) -> str:
        """The secret as it stands there now; of a file, its first line."""
        ...

    def read_all(self) -> str:
        """All lines of it: a key in PEM has several."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSpotAccess:
    """How to reach a HubSpot account: by an access token, or by an app's three credentials.

    ca_bundle: a PEM file in place of the usual certificates. api_version: "v3", or a dated one ("2026-03").
    """

    base_url: str
    access_token: SecretReference | None = None
    client_id: SecretReference | None = None
    client_secret: SecretReference | None = None
    refresh_token: SecretReference | None = None
    ca_bundle: str | None = None
    api_version: str = "v3"


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesforceAccess:
    """How to reach a Salesforce org. auth: the way to log in, which says which of the credentials are needed.

    ca_bundle: a PEM file in place of the usual certificates. daily_requests, headroom: the file's limit of calls, and the share of it that
    is left to others. task_key_field: the External Id field of our tasks.
    """

    auth: str
    instance_url: str
    client_id: SecretReference | None = None
    client_secret: SecretReference | None = None
    username: str | None = None
    private_key: SecretReference | None = None
    password: SecretReference | None = None
    security_token: SecretReference | None = None
    refresh_token: SecretReference | None = None
    ca_bundle: str | None = None
    daily_requests: int
    headroom: float
    run_assignment_rules: bool
    task_key_field: str


class FieldType(StrEnum):
    """The types of fields, as the file writes them."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    CHOICE = "choice"
    CHOICES = "choices"

    @property
    def textual(self) -> bool:
        """Whether values are text: stored as they came, compared by their folded twin."""
        return self in (FieldType.TEXT, FieldType.CHOICE, FieldType.CHOICES)


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyFacts:
    """What a CRM says of one of its fields. type: its own word for it; options: the values of a picklist, in its order, None elsewhere.

    calculated: a formula or roll-up, whose changes no modified date tells; writable: with these credentials. means: the type as the file
    would write it, None where none fits. labels: what people see in place of each option; hidden: options that nobody can choose any more.
    """

    object: str
    name: str
    label: str
    type: str
    options: tuple[str, ...] | None = None
    calculated: bool = False
    writable: bool = True
    means: FieldType | None = None
    labels: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()


#: Object → name → what the CRM says of it. Salesforce's names keep their case; a missing name does not exist, or is not shown to us.
Schema = Mapping[str, Mapping[str, PropertyFacts]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Something that the connector's credentials must be allowed, by the CRM's own name for it. has: None where the CRM does not tell.

    to_write: needed before the mode is live, not before.
    """

    name: str
    why: str
    has: bool | None = None
    to_write: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """What a configuration does in one CRM, for `Crm.check`.

    written: object → the properties that rules set. tasks: rules create tasks. native_sync: HubSpot's own Salesforce integration is said
    to run. passes_a_day: as the schedule has it. live: the mode. per_10_seconds, daily_requests, headroom: the file's limits, 0 where it
    has none. backward: the rules that may move a stage down. id_field: the field that is to hold the other CRM's id of a person.
    """

    written: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tasks: bool = False
    native_sync: bool = False
    passes_a_day: float = 0.0
    live: bool = False
    per_10_seconds: int = 0
    daily_requests: int = 0
    headroom: float = 0.0
    backward: tuple[str, ...] = ()
    id_field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `connector check`: what was looked at, whether it is right, and what to do where it is not.

    permissions: all that this configuration needs of a CRM, where that was looked at.
    """

    topic: str
    ok: bool
    message: str
    advice: str = ""
    warning: bool = False  # True: not right, but nothing stops for it
    permissions: tuple[Permission, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a CRM's own set-up means for rules.

    defaults: property → the value it puts on every new record of a person. own_users: owner ids that are the connector itself.
    locked: property → values that no write may set, since they come of something else (a conversion).
    links: object → the address at which a person opens a record, with "{id}" in it.
    """

    defaults: Mapping[str, str] = field(default_factory=dict)
    own_users: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    locked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
