"""What the tests of the Salesforce adapter share: its settings with made-up secrets, and a running sandbox with adapters for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connector.adapters.client import Bucket, Lane, NoBudget
from connector.adapters.salesforce import SalesforceCrm
from connector.model import Cursor, FieldWrite, Page, RecordRef, TaskSpec, TaskWrite
from connector.sandbox.serve import Sandbox

START = datetime(2026, 12, 2, 9, 0, tzinfo=UTC)
WANTED = {
    "Lead": ("Email", "FirstName", "LastName", "Status", "Rejection_Reason__c"),
    "Contact": ("Email", "LastName"),
    "Account": ("Name", "Industry", "NumberOfEmployees"),
}


class Value:
    """A secret."""

    def __init__(self, value: str) -> None:
        self._value = value

    def read(self) -> str:
        return self._value


@dataclass(frozen=True, kw_only=True)
class Settings:
    """[crm.salesforce] of these tests."""

    auth: str = "client-credentials"
    instance_url: str
    client_id: Any = field(default_factory=lambda: Value("sandbox-client"))
    client_secret: Any = field(default_factory=lambda: Value("sandbox-secret"))
    username: str | None = None
    private_key: Any = None
    password: Any = None
    security_token: Any = None
    refresh_token: Any = None
    ca_bundle: str | None = None
    daily_requests: int = 100_000
    headroom: float = 0.2
    run_assignment_rules: bool = False
    task_key_field: str = "Handoff_Key__c"


class Budget(NoBudget):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.cooled: list[float] = []
        self.taken: list[str] = []
        self.lanes: list[str] = []
        self.learnt: list[tuple[str, int, int]] = []

    def take(self, bucket: Bucket, lane: Lane = "normal") -> None:
        self.taken.append(bucket)
        self.lanes.append(lane)

    def learn(self, limit: str, used: int, of: int) -> None:
        self.learnt.append((limit, used, of))

    def cool_down(self, seconds: float) -> None:
        self.cooled.append(seconds)


class Clock:
    """The one clock of both sides; moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Org:
    """A sandbox with its clock, and adapters for it."""

    def __init__(self, box: Sandbox, clock: Clock) -> None:
        self.box = box
        self.clock = clock
        self.rows = box.world.salesforce
        self.state: Any = box._apps["salesforce"].state
        self._made: list[SalesforceCrm] = []

    def crm(
        self, *, timeout: float = 10.0, patience: float = 10.0, wanted: dict[str, Sequence[str]] | None = None, **values: Any
    ) -> SalesforceCrm:
        """An adapter that knows this sandbox and does not sleep."""
        crm = SalesforceCrm(
            Settings(**{"instance_url": self.box.salesforce_url, "ca_bundle": self.box.ca_bundle, **values}),
            wanted=WANTED if wanted is None else wanted,
            budget=NoBudget(),
            sleep=lambda _: None,
            timeout=timeout,
            patience=patience,
            zone=ZoneInfo("Europe/Berlin"),
        )
        self._made.append(crm)
        return crm

    def pages(self, stream: str, cursor: Cursor | None = None, crm: SalesforceCrm | None = None) -> list[Page]:
        """A whole pull."""
        return list((crm or self.crm()).pull(stream, cursor, now=self.clock.now))

    def open_leads(self) -> list[str]:
        """Leads that may be written."""
        return [row["Id"] for row in self.rows["Lead"].values() if not row["IsDeleted"] and not row["IsConverted"]]

    def task(self, key: str) -> TaskWrite:
        """A task on the first open Lead, due at 23:30 in UTC."""
        spec = TaskSpec(
            purpose="first-call",
            subject="Call Zoë",
            body="Why: score 80",
            due_at=START.replace(hour=23, minute=30),
            priority="high",
            type="call",
            owner_id=self.box.world.connector_user_id,
            reminder_at=START,
        )
        return TaskWrite(key=key, record=RecordRef(crm="salesforce", object="Lead", id=self.open_leads()[0]), task=spec)

    def reset(self) -> None:
        """What a test may have left behind; records stay as they were changed."""
        self.clock.now += timedelta(hours=1)
        self.box.salesforce_faults.clear()
        self.state.hidden.clear()
        for crm in self._made:
            crm.close()
        self._made.clear()


def change(record_id: str, **values: str | None) -> FieldWrite:
    """A write to one Lead."""
    return FieldWrite(record=RecordRef(crm="salesforce", object="Lead", id=record_id), properties=values)
