"""The past in the store: versions of deals and activities, links with since and until, since when properties are known, records as of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from connector.model import Activity, ActivityKind, Deal, DealContact, Page, Record, RecordRef
from connector.store.database import Store
from connector.store.mirror import activities, known_properties, link_changes, pages
from connector.store.mirror.as_of import records_as_of
from connector.store.mirror.known_properties import KnownSpan
from connector.store.mirror.link_changes import Linked, LinkSpan
from connector.store.tables import metadata
from tests.store.support import NOW
from tests.support.stores import empty_store

DAY = timedelta(days=1)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with empty_store(database_url) as opened:
        yield opened


def person(number: str) -> RecordRef:
    return RecordRef(crm="hubspot", object="contacts", id=number)


def call(*people: str, **more: Any) -> Activity:
    own = {"id": "7", "kind": ActivityKind.CALL, "at": NOW, "contacts": [person(one) for one in people], "modified_at": NOW}
    return Activity(crm="hubspot", object="calls", **{**own, **more})


def deal(*people: str, **more: Any) -> Deal:
    own = {"id": "5", "stage": "open", "amount": 100.0, "contacts": [person(one) for one in people], "modified_at": NOW}
    return Deal(crm="hubspot", object="deals", **{**own, **more})


def bring(store: Store, now: datetime, **lists: Any) -> None:
    """A page that ends a read."""
    (name, things) = next(iter(lists.items()))
    first = things[0]
    page = Page(crm=first.crm, object=first.object, cursor={"at": now.isoformat()}, seen=len(things), calls=1, last=True, **{name: things})
    pages.commit_page(store, page, now=now)


def versions(store: Store, object_name: str) -> list[tuple[dict[str, Any], Any, Any, Any]]:
    table = metadata.tables["deal_version" if object_name == "deals" else "activity_version"]
    with store.read() as connection:
        rows = connection.execute(table.select().where(table.c.object == object_name).order_by(table.c.number)).all()
    return [(row.changed, row.at, row.seen_at, row.unchanged_at) for row in rows]


def spans(store: Store, object_name: str, row_id: str, crm: str = "hubspot") -> list[LinkSpan]:
    with store.read() as connection:
        return link_changes.link_spans(connection, crm, object_name, [row_id])[row_id]


class TestVersions:
    def test_a_first_read_leaves_none(self, store: Store) -> None:
        bring(store, NOW, activities=[call("1", "2")])
        bring(store, NOW, deals=[deal("1")])
        bring(store, NOW + DAY, activities=[call("1", "2")])
        for table in ("record_version", "activity_version", "deal_version", "link_change"):
            with store.read() as connection:
                assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0

    def test_of_a_deal(self, store: Store) -> None:
        bring(store, NOW, deals=[deal("1")])
        bring(store, NOW + DAY, deals=[deal("1", stage="won", won=True, modified_at=NOW + DAY / 2)])
        (version,) = versions(store, "deals")
        assert version == ({"stage": ["open", "won"], "won": [False, True]}, NOW + DAY / 2, NOW + DAY, NOW)

    def test_of_an_activity(self, store: Store) -> None:
        bring(store, NOW, activities=[call("1", outcome="busy")])
        bring(store, NOW + DAY, activities=[call("1", outcome="connected", modified_at=NOW + DAY / 2)])
        assert [changed for changed, *_ in versions(store, "calls")] == [{"outcome": ["busy", "connected"]}]

    def test_what_is_archived_and_what_only_its_modified_date_tells(self, store: Store) -> None:
        bring(store, NOW, activities=[call("1")])
        bring(store, NOW + DAY, activities=[call("1", modified_at=NOW + DAY / 2)])
        assert versions(store, "calls") == []
        store.write(lambda connection: activities.archive(connection, "hubspot", "calls", ["7"], NOW + 2 * DAY))
        assert versions(store, "calls") == [({"archived": [False, True]}, None, NOW + 2 * DAY, NOW + DAY)]


class TestLinks:
    def test_since_and_until(self, store: Store) -> None:
        bring(store, NOW, activities=[call("1", "2")])
        assert spans(store, "calls", "7") == [LinkSpan(Linked("", "contacts", one), None, None, None) for one in ("1", "2")]
        bring(store, NOW + DAY, activities=[call("2", "3", modified_at=NOW + DAY / 2)])
        activities.relink(store, "hubspot", "calls", {"7": [person("1"), person("2")]}, NOW + 2 * DAY)
        assert spans(store, "calls", "7") == [
            LinkSpan(Linked("", "contacts", "1"), None, None, NOW + DAY),
            LinkSpan(Linked("", "contacts", "1"), None, NOW + 2 * DAY, None),
            LinkSpan(Linked("", "contacts", "2"), None, None, None),
            LinkSpan(Linked("", "contacts", "3"), None, NOW + DAY, NOW + 2 * DAY),
        ]

    def test_salesforces_modified_date_tells_when(self, store: Store) -> None:
        def task(who: str, modified_at: datetime) -> Activity:
            about = [RecordRef(crm="salesforce", object="Lead", id=who)]
            return replace(call(), crm="salesforce", object="Task", contacts=about, modified_at=modified_at)

        bring(store, NOW, activities=[task("00Q1", NOW)])
        bring(store, NOW + DAY, activities=[task("00Q2", NOW + DAY / 2)])
        assert {(span.linked.record_id, span.since, span.until) for span in spans(store, "Task", "7", "salesforce")} == {
            ("00Q1", None, NOW + DAY / 2),
            ("00Q2", NOW + DAY / 2, None),
        }

    def test_of_a_deal(self, store: Store) -> None:
        bring(store, NOW, deals=[deal("1")])
        bring(store, NOW + DAY, deals=[deal("2", modified_at=NOW + DAY / 2)])
        assert [(span.linked.record_id, span.since, span.until) for span in spans(store, "deals", "5")] == [
            ("1", None, NOW + DAY),
            ("2", NOW + DAY, None),
        ]

    def test_of_roles(self, store: Store) -> None:
        def role(which: str, title: str, **more: Any) -> DealContact:
            contact = RecordRef(crm="salesforce", object="Contact", id="0031")
            return DealContact(
                crm="salesforce", object="OpportunityContactRole", id=which, deal_id="0061", record=contact, role=title, **more
            )

        bring(store, NOW, deal_contacts=[role("1", "Evaluator")])
        assert [span.since for span in spans(store, "Opportunity", "0061", "salesforce")] == [None]
        bring(store, NOW + DAY, deal_contacts=[role("1", "Decision Maker", modified_at=NOW + DAY / 2)])
        bring(store, NOW + 2 * DAY, deal_contacts=[role("1", "Decision Maker", modified_at=NOW + DAY, archived=True)])
        assert [(span.role, span.since, span.until) for span in spans(store, "Opportunity", "0061", "salesforce")] == [
            ("Evaluator", None, NOW + DAY / 2),
            ("Decision Maker", NOW + DAY / 2, NOW + DAY),
        ]


class TestKnownProperties:
    def test_spans_with_a_gap(self, store: Store) -> None:
        title, mail = ("hubspot", "contacts", "jobtitle"), ("hubspot", "contacts", "email")

        def keep(now: datetime, *present: tuple[str, str, str]) -> None:
            store.write(lambda connection: known_properties.keep(connection, ["hubspot"], present, now))

        keep(NOW, title, mail)
        keep(NOW + DAY, title, mail)
        keep(NOW + 2 * DAY, mail)
        keep(NOW + 3 * DAY, title, mail)
        with store.read() as connection:
            found = known_properties.spans(connection, "hubspot", "contacts", ["jobtitle", "email", "city"])
            since = known_properties.complete_from(connection)
        assert found == {
            "jobtitle": [KnownSpan(NOW, NOW + 2 * DAY), KnownSpan(NOW + 3 * DAY, None)],
            "email": [KnownSpan(NOW, None)],
            "city": [],
        }
        assert since == {title: NOW + 3 * DAY, mail: NOW}


class TestAsOf:
    def test_between_two_looks_nothing_is_known_of_what_no_history_tells(self, store: Store) -> None:
        def record(title: str, modified_at: datetime) -> Record:
            return Record(
                crm="hubspot", object="contacts", id="1", properties={"jobtitle": title}, created_at=NOW - DAY, modified_at=modified_at
            )

        bring(store, NOW, records=[record("CTO", NOW - DAY)])
        store.write(lambda connection: connection.execute(text("UPDATE record SET contact_id = 9")))
        store.write(lambda connection: known_properties.keep(connection, ["hubspot"], [("hubspot", "contacts", "jobtitle")], NOW))
        bring(store, NOW + 4 * DAY, records=[record("CEO", NOW + 3 * DAY)])
        bring(store, NOW + 6 * DAY, records=[record("CEO", NOW + 3 * DAY)])

        def said(at: datetime) -> tuple[Any, bool]:
            with store.read() as connection:
                (found,) = records_as_of(connection, 9, at)
            value = found.properties["jobtitle"]
            assert found.complete_from == {"jobtitle": NOW}
            return value.value if value.known else None, value.known

        assert said(NOW - timedelta(hours=1)) == (None, False)  # before every record was read
        assert said(NOW + DAY) == (None, False)  # it changed at some time between the two looks
        assert said(NOW + 3 * DAY) == ("CEO", True)
        assert said(NOW + 5 * DAY) == ("CEO", True)
        assert said(NOW + 6 * DAY) == (None, False)  # who knows what the next look brings
        with store.read() as connection:
            assert records_as_of(connection, 9, NOW - 2 * DAY) == []  # it was not there yet
