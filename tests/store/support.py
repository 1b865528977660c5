"""What tests of the mirror share: an empty store, made-up rows of a HubSpot account, and pages of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlmodel import Session, select

from connector.model import Activity, ActivityKind, CrmName, Direction, Page, Record, RecordRef
from connector.store.database import Store
from connector.store.mirror.rows import Brought
from connector.store.tables import ContactRow, RecordRow, metadata

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    """A store on each of the databases, with its address: opened once for the tests of a module, since its tables take long to make."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('mirror') / 'database.db'}"
    else:
        fresh: Callable[[], str] = request.getfixturevalue("fresh_postgres")
        url = fresh()
    with Store.open(url) as store:
        store.upgrade()
        yield store, url


@pytest.fixture
def store(kept_store: tuple[Store, str]) -> Store:
    """It, emptied; columns of fields stay."""
    kept_store[0].write(_empty)
    return kept_store[0]


def _empty(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        if table.name != "field":
            connection.execute(table.delete())


def person(number: int, properties: Mapping[str, Any] | None = None, **more: Any) -> Record:
    values = {"email": f"P{number}@Example.org ", "jobtitle": "Director", "lifecyclestage": "lead"} | dict(properties or {})
    facts: dict[str, Any] = {"created_at": NOW, "modified_at": NOW, "owner_id": "7"} | more
    return Record(crm="hubspot", object="contacts", id=str(number), properties=values, **facts)


def page(*records: Record, crm: CrmName = "hubspot", object_name: str = "contacts", cursor: int = 1, **more: Any) -> Page:
    parts = [each.name for each in fields(Brought)] + ["set_aside"]
    seen = more.pop("seen", len(records) + sum(len(more.get(part, ())) for part in parts))
    return Page(crm=crm, object=object_name, cursor={"after": cursor}, seen=seen, calls=1, records=records, **more)


def call(number: int, *people: int, **more: Any) -> Activity:
    facts: dict[str, Any] = {"kind": ActivityKind.CALL, "at": NOW, "direction": Direction.OUTGOING, "owner_id": "7"} | more
    contacts = [RecordRef(crm="hubspot", object="contacts", id=str(each)) for each in people]
    return Activity(crm="hubspot", object="calls", id=str(number), contacts=contacts, **facts)


def rows(store: Store, kind: type[Any]) -> list[Any]:
    with store.read() as connection, Session(bind=connection) as session:
        return list(session.exec(select(kind)))


def record(store: Store, number: int, object_name: str = "contacts") -> RecordRow:
    found: RecordRow = next(row for row in rows(store, RecordRow) if (row.object, row.id) == (object_name, str(number)))
    return found


def mark_unified(store: Store) -> None:
    """As if everything had been unified: record N belongs to contact N."""

    def work(connection: Connection) -> None:
        connection.execute(text("UPDATE record SET unify = false, contact_id = CAST(id AS INTEGER) WHERE object = 'contacts'"))
        connection.execute(text("UPDATE record SET unify = false WHERE object <> 'contacts'"))

    store.write(work)


def add_contact(store: Store, number: int, due_at: datetime | None) -> None:
    def work(connection: Connection) -> None:
        with Session(bind=connection) as session:
            session.add(ContactRow(id=number, due_at=due_at, first_seen_at=NOW))
            session.flush()

    store.write(work)


def ref(number: int, object_name: str = "contacts") -> RecordRef:
    return RecordRef(crm="hubspot", object=object_name, id=str(number))


def due(store: Store) -> dict[int, datetime | None]:
    """Every contact's `due_at`."""
    return {row.id: row.due_at for row in rows(store, ContactRow)}
