"""An adapter over an account in memory, and what a pull of it brought: for the tests of the HubSpot adapter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.adapters.client import NoBudget
from connector.adapters.hubspot import HubSpotCrm
from connector.model import Cursor, FieldWrite, HubSpotAccess, Page, RecordRef, TaskSpec, TaskWrite
from tests.adapters.hubspot.fake_account import START, Account
from tests.adapters.secrets import PlainSecret

NOW = START + timedelta(hours=1)
WANTED = {"contacts": ["email", "lifecyclestage", "hubspot_owner_id"], "companies": ["industry"]}


def crm_of(account: Account, **options: Any) -> HubSpotCrm:
    access = HubSpotAccess(access_token=PlainSecret("pat-eu1-test"), base_url="http://127.0.0.1:9")
    options = {"wanted": WANTED, "budget": NoBudget(), "sleep": lambda seconds: None, "send": account.send, **options}
    return HubSpotCrm(access, **options)


def pull(crm: HubSpotCrm, stream: str, cursor: Cursor | None = None, now: datetime = NOW) -> list[Page]:
    pages = list(crm.pull(stream, cursor, now=now))
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    return pages


def ids(pages: Sequence[Page]) -> list[str]:
    found: list[str] = []
    for page in pages:
        found += [record.id for record in page.records]
        found += [activity.id for activity in page.activities]
        found += [owner.id for owner in page.owners]
        found += [deal.id for deal in page.deals]
    return found


def contact(record_id: str) -> RecordRef:
    return RecordRef(crm="hubspot", object="contacts", id=record_id)


def write(record_id: str, clear_first: bool = False, **properties: str | None) -> FieldWrite:
    return FieldWrite(record=contact(record_id), properties=properties, clear_first=clear_first)


DUE = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)


def task(key: str, record_id: str = "7", owner_id: str | None = "11", body: str = "Ann <b> & Co\nSecond line") -> TaskWrite:
    spec = TaskSpec(
        purpose="mql-alert", subject="MQL: Ann", body=body, due_at=DUE, priority="high", type="call", owner_id=owner_id,
        reminder_at=DUE - timedelta(minutes=30),
    )  # fmt: skip
    return TaskWrite(key=key, record=contact(record_id), task=spec)
