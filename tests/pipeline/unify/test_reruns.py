"""Unify where every transaction is run again, as after a lost deadlock: the contacts, and all that is booked of them, are the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from connector.config.load import loads
from connector.config.tables import Config
from connector.model import CrmName, Owner, Page, Record
from connector.pipeline.unify import ContactWriter, UnifySettings
from connector.pipeline.unify.unify import unify
from connector.store.database import Store
from connector.store.fields import contact_table, ensure_fields
from connector.store.mirror import pages
from connector.store.tables import metadata
from connector.workflows.fields import columns_needed
from tests.support.stores import empty_store, rerunning

NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)
RULES = """
mode = "live"
timezone = "UTC"
[database]
url = "sqlite:///never.db"
[crm.hubspot]
access_token = "env:RULES_TOKEN"
[[stages]]
name = "lead"
hubspot = "lead"
[[stages]]
name = "mql"
hubspot = "mql"
salesforce = { lead_status = "Open" }
[[stages]]
name = "sql"
hubspot = "sql"
salesforce = { lead_status = "Qualified" }
[[transition]]
name = "qualify"
from = ["lead"]
to = "mql"
when = "touch_count > 1"
"""
WHAT_IS_BOOKED = ("contact", "record", "spell", "attempt", "evidence")


def brought(store: Store, crm: CrmName, object_name: str, cursor: int, at: datetime, **more: Any) -> None:
    seen = sum(map(len, more.values()))
    pages.commit_page(store, Page(crm=crm, object=object_name, cursor={"at": cursor}, seen=seen, calls=1, **more), now=at)


def person(record_id: str, at: datetime, **properties: str | None) -> Record:
    return Record(crm="hubspot", object="contacts", id=record_id, properties=properties, created_at=NOW, modified_at=at, owner_id="7")


def lead(record_id: str, at: datetime, **properties: str | None) -> Record:
    return Record(crm="salesforce", object="Lead", id=record_id, properties=properties, created_at=NOW, modified_at=at)


def contacts_made(store: Store, config: Config) -> dict[str, list[Any]]:
    """Two pulls with a pass of unify behind each: new contacts first, then a change of stage, a new record and two that become one."""
    columns = columns_needed(config)
    ensure_fields(store, columns)
    later = NOW + timedelta(hours=1)
    brought(store, "hubspot", "owners", 1, NOW, owners=(Owner(crm="hubspot", id="7", email="anna@acme.example", name="Anna", active=True),))
    brought(store, "hubspot", "contacts", 1, NOW, records=(
        person("1", NOW, email="p1@kunde.example", lifecyclestage="lead"), person("2", NOW, email="p2@kunde.example", lifecyclestage="mql"),
        person("3", NOW, email="p3@kunde.example", lifecyclestage="mql"),
    ))  # fmt: skip
    settings = UnifySettings(adopting=False, clocks_from=NOW - timedelta(days=1))
    writer = ContactWriter(config, columns, contact_table(columns), settings)
    counts = [unify(store, writer, now=NOW)]
    brought(store, "hubspot", "contacts", 2, later, records=(
        person("1", later, email="p1@kunde.example", lifecyclestage="mql"),
        person("3", later, email="p2@kunde.example", lifecyclestage="lead"),
    ))  # fmt: skip
    brought(store, "salesforce", "Lead", 1, later, records=(lead("00Q1", later, Email="p1@kunde.example", Status="Qualified"),))
    counts.append(unify(store, writer, now=later))
    with store.read() as connection:
        rows = {
            name: [tuple(row) for row in connection.execute(select(metadata.tables[name]).order_by(*metadata.tables[name].primary_key))]
            for name in WHAT_IS_BOOKED
        }
    return {**rows, "counts": counts}


def test_contacts_are_the_same_where_every_transaction_is_run_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULES_TOKEN", "x")
    config = loads(RULES, source="rules.toml")
    with empty_store(url) as store:
        once = contacts_made(store, config)
    with empty_store(url) as store:
        again = contacts_made(rerunning(store), config)
    assert again == once
    assert len(once["contact"]) == 3
    assert len(once["spell"]) > 3  # there was something to book twice
    assert once["attempt"]
    assert once["evidence"]
