"""Touches: what one person does on one contact and channel within ten minutes of the first is one; read against a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert, select

from connector.model import ActivityKind, Owner
from connector.store.database import Store
from connector.store.tables import metadata
from connector.workflows import touches
from tests.support.company import NOW, config_of, new_company, running_company
from tests.support.stores import empty_store

activity, link, owner, touch = (metadata.tables[name] for name in ("activity", "activity_link", "owner", "touch"))
PEOPLE = {"1": "anna@acme.example", "2": "ben@acme.example"}
MEMBERS = frozenset(PEOPLE.values())

Logged = tuple[int, str, str]
logged = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(sorted(PEOPLE)), st.sampled_from(["call", "email"])), max_size=14)


def begun(minutes: list[int]) -> list[int]:
    """The minutes at which a touch begins, one after the other."""
    found: list[int] = []
    for minute in sorted(minutes):
        if not found or minute - found[-1] > 10:
            found.append(minute)
    return found


def expected(history: list[Logged]) -> set[tuple[str, str, int]]:
    by_chain: dict[tuple[str, str], list[int]] = {}
    for minute, person, channel in history:
        by_chain.setdefault((PEOPLE[person], channel), []).append(minute)
    return {(*chain, minute) for chain, minutes in by_chain.items() for minute in begun(minutes)}


def log(connection: Connection, history: list[Logged]) -> None:
    for table in (activity, link, owner, touch):
        connection.execute(delete(table))
    people = [{"crm": "hubspot", "id": one, "email": email, "name": one, "active": True, "queue": False} for one, email in PEOPLE.items()]
    connection.execute(insert(owner), people)
    rows = [_activity(number, *each) for number, each in enumerate(history)]
    links = [{**_key(row), "record_object": "contacts", "record_id": "1", "contact_id": 1, "kind": row["kind"], "at": row["at"],
              "counts": True} for row in rows]  # fmt: skip
    if rows:
        connection.execute(insert(activity), rows)
        connection.execute(insert(link), links)


def _activity(number: int, minute: int, person: str, channel: str) -> dict[str, Any]:
    return {
        "crm": "hubspot", "object": f"{channel}s", "id": str(number), "fingerprint": b"", "kind": channel, "at": NOW + minutes(minute),
        "direction": "outgoing", "happened": True, "automatic": False, "owner_id": person, "done": False, "key": "", "archived": False,
    }  # fmt: skip


def _key(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("crm", "object", "id")}


def minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


@settings(max_examples=60)
@given(history=logged)
def test_touches_are_those_of_a_plain_loop(kept_databases: Callable[[str], str], history: list[Logged]) -> None:
    with empty_store(kept_databases("touches")) as store:
        store.write(lambda connection: log(connection, history))
        store.write(lambda connection: touches.refresh(connection, [1], MEMBERS, NOW + minutes(100)))
        assert _found(store) == expected(history)


def _found(store: Store) -> set[tuple[str, str, int]]:
    with store.read() as connection:
        rows = connection.execute(select(touch.c.person, touch.c.channel, touch.c.at))
        return {(row.person, row.channel, (row.at - NOW) // minutes(1)) for row in rows}


@pytest.mark.parametrize(
    ("called", "count"), [((0, 9, 18), 2), ((0, 5, 10), 1), ((0, 11), 2), ((0, 9, 18, 27, 36), 3), ((0, 0), 1)], ids=str
)
def test_what_comes_within_ten_minutes_of_the_first_is_one_touch(url: str, called: tuple[int, ...], count: int) -> None:
    with running_company(url, "") as company:
        company.person(stage="lead")
        for minute in called:
            company.touch(NOW + minutes(minute), by="ben")
        company.run(timedelta(hours=2))
        assert company.contact().touch_count == count


class TestRecount:
    """Touches are counted anew where they can come out otherwise, and nowhere else."""

    def test_a_meeting_to_come_counts_from_its_start_on(self, url: str) -> None:
        with running_company(url, "") as company:
            company.person(stage="lead")
            company.touch(NOW + minutes(90), kind=ActivityKind.MEETING, by="ben")
            company.run(minutes(60))
            assert company.contact().touch_count == 0
            company.run(minutes(60))
            assert company.contact().touch_count == 1

    def test_who_joins_the_team_has_touched_before(self, url: str) -> None:
        with running_company(url, "") as company:
            company.person(stage="lead")
            company.touch(NOW, by="desk")
            company.run(minutes(30))
            assert company.contact().touch_count == 0
            company.config = config_of("", edit=(('"chiara@acme.example"]', '"chiara@acme.example", "desk@acme.example"]'),))
            company.run(minutes(5))
            assert company.contact().touch_count == 1

    def test_a_member_whose_user_comes_later_has_touched_before(self, url: str) -> None:
        edit = (('"chiara@acme.example"]', '"chiara@acme.example", "nora@acme.example"]'),)
        with new_company(url, config_of("", edit=edit)) as company:
            company.run()
            company.person(stage="lead")
            company.touch(NOW, by="nora")
            company.run(minutes(30))
            company.hubspot.put(Owner(crm="hubspot", id="nora", email="nora@acme.example", name="Nora", active=True))
            company.run(minutes(5))
            company.all_due()
            company.run(minutes(5))
            assert company.contact().touch_count == 1

    def test_nobody_else_is_counted(self, url: str) -> None:
        with running_company(url, "") as company:
            company.person(stage="lead")
            company.touch(NOW, by="ben")
            company.run(minutes(30))
            assert company.rows("SELECT id FROM contact WHERE recount_at IS NOT NULL") == []
            company.store.write(lambda connection: connection.execute(delete(touch)))  # whoever counts again sees it
            company.all_due()
            company.run(minutes(5))
            assert company.contact().touch_count == 1
