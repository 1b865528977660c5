"""Tasks and Events about several people (Shared Activities): all of them are told, by REST, by a job, and to the fast lane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from connector.model import Activity, Page
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.salesforce.fake_org import START, Clock, Org


@pytest.fixture(scope="module")
def running() -> Iterator[Org]:
    """A small org."""
    clock = Clock()
    with Sandbox(make_world(now=START, hubspot_contacts=20, salesforce_leads=120), now=clock, hubspot=None) as box:
        yield Org(box, clock)


@pytest.fixture
def org(running: Org) -> Iterator[Org]:
    """The org as each test finds it."""
    yield running
    running.state.actions.change_options(page_size=2_000, cursor_pages=None)
    running.reset()


def contacts(org: Org, count: int) -> list[str]:
    return [row["Id"] for row in org.rows["Contact"].values() if not row["IsDeleted"]][:count]


def shared(org: Org, stream: str, people: Sequence[str]) -> str:
    deeds: Any = org.state.actions
    made: str = deeds.log_call(people[0]) if stream == "Task" else deeds.event(people[0])
    deeds.share(stream, made, people)
    return made


def people_of(activities: Sequence[Activity]) -> dict[str, set[str]]:
    return {one.id: {who.id for who in one.contacts} for one in activities}


def told(pages: Sequence[Page]) -> dict[str, set[str]]:
    return people_of([one for page in pages for one in page.activities])


@pytest.mark.parametrize("stream", ["Task", "Event"])
@pytest.mark.parametrize("page_size", [2, 2_000])
def test_everybody_who_has_a_part_is_told(org: Org, stream: str, page_size: int) -> None:
    """By a job where pages are small; the relations' own cursors vanish all the time."""
    people = contacts(org, 5)
    before = org.pages(stream)[-1].cursor
    org.clock.now += timedelta(hours=1)
    one, other = shared(org, stream, people), shared(org, stream, people[:2])
    alone = org.state.actions.task(people[0]) if stream == "Task" else org.state.actions.event(people[0])
    org.clock.now += timedelta(minutes=1)
    expected = {one: set(people), other: set(people[:2]), alone: {people[0]}}
    org.state.actions.change_options(page_size=page_size, cursor_pages=None if page_size > 2 else 2)
    for cursor in (None, before):
        pages = org.pages(stream, cursor)
        found = told(pages)
        assert {name: found[name] for name in expected} == expected
        assert sorted(found) == sorted({one.id for page in pages for one in page.activities})


@pytest.mark.parametrize("stream", ["Task", "Event"])
def test_who_is_taken_away_has_no_part_any_more(org: Org, stream: str) -> None:
    people = contacts(org, 4)
    made = shared(org, stream, people)
    cursor = org.pages(stream)[-1].cursor
    org.clock.now += timedelta(hours=1)
    org.state.actions.share(stream, made, people[1:3])
    assert told(org.pages(stream, cursor))[made] == set(people[1:3])
    org.clock.now += timedelta(hours=1)
    org.state.actions.share(stream, made, people[3:])
    assert told(org.pages(stream, cursor))[made] == set(people[3:])


@pytest.mark.parametrize("stream", ["Task", "Event"])
def test_the_fast_lane_sees_a_touch_of_the_second_contact(org: Org, stream: str) -> None:
    people = contacts(org, 3)
    made = shared(org, stream, people)
    seen = people_of(org.crm().activities_of("Contact", [people[2]]))
    assert seen[made] == set(people)
    assert all(people[2] in who for who in seen.values())
    org.state.actions.delete(stream, made)
    assert made not in people_of(org.crm().activities_of("Contact", [people[2]]))


@pytest.mark.parametrize("stream", ["Task", "Event"])
def test_a_deleted_shared_activity_is_archived(org: Org, stream: str) -> None:
    people = contacts(org, 3)
    made = shared(org, stream, people)
    cursor = org.pages(stream)[-1].cursor
    org.clock.now += timedelta(hours=1)
    org.state.actions.delete(stream, made)
    (gone,) = [one for page in org.pages(stream, cursor) for one in page.activities if one.id == made]
    assert gone.archived
    assert not gone.happened


@pytest.mark.parametrize("stream", ["Task", "Event"])
def test_an_org_without_shared_activities_is_asked_once(org: Org, stream: str) -> None:
    org.state.hidden.add((stream, "WhoCount"))
    crm = org.crm()
    pages = org.pages(stream, crm=crm)
    assert "WhoCount" in pages[-1].cursor["columns"]["lacking"]
    org.clock.now += timedelta(minutes=30)
    (page,) = org.pages(stream, pages[-1].cursor)
    assert page.calls == 1
    before = crm.calls()
    crm.activities_of("Contact", contacts(org, 9)[8:])
    assert crm.calls() - before == 3  # the other object is shared among several people, and asked for those too


def test_many_shared_ones_take_few_calls(org: Org) -> None:
    """Some hundreds to a call."""
    cursor = org.pages("Task")[-1].cursor
    org.clock.now += timedelta(hours=1)
    people = contacts(org, 2)
    made = {shared(org, "Task", people) for _ in range(700)}
    pages = org.pages("Task", cursor)
    assert {name: who for name, who in told(pages).items() if name in made} == {name: set(people) for name in made}
    assert sum(page.calls for page in pages) <= 3
