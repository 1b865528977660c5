"""The sandbox's HubSpot searched: operators, windows, totals, pages, bounds, and an index that lags."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from operator import eq, ge, gt, le, lt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.state import World
from connector.sandbox.world.make import make_world
from tests.sandbox.hubspot.client import MQL, NOW, OBJECTS, Api, Stage, found_ids, rule, running, search


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with running(contacts=400) as found:
        yield found


@pytest.fixture
def api(stage: Stage) -> Api:
    return stage.api


@pytest.fixture
def world(stage: Stage) -> World:
    return stage.world


def test_search_pages_by_offset_in_the_order_asked_for(api: Api, world: World) -> None:
    since = NOW - timedelta(days=200)
    millis = str(int(since.timestamp() * 1000))
    body: dict[str, Any] = {
        "filterGroups": [{"filters": [rule("lastmodifieddate", "GTE", millis)]}],
        "sorts": [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}],
        "limit": 150,
    }
    first = search(api, **body)
    expected = [row for row in world.hubspot["contacts"].values() if row["updatedAt"] >= since and not row["archived"]]
    assert first["total"] == len(expected)
    assert first["paging"]["next"]["after"] == "150"
    moments = [row["updatedAt"] for row in first["results"]]
    assert moments == sorted(moments)
    second = search(api, **body, after="150")
    assert not {row["id"] for row in first["results"]} & {row["id"] for row in second["results"]}
    iso = search(api, **{**body, "filterGroups": [{"filters": [rule("lastmodifieddate", "GTE", since.isoformat())]}]})
    assert iso["total"] == first["total"]


def test_every_operator_means_what_it_says(api: Api, world: World) -> None:
    rows = {row["id"]: row["properties"] for row in world.hubspot["contacts"].values() if not row["archived"]}

    def those(test: Callable[[dict[str, Any]], bool]) -> set[str]:
        return {record_id for record_id, own in rows.items() if test(own)}

    stage, budget, country = "lifecyclestage", "budget_amount", "country"
    assert found_ids(api, rule(stage, "EQ", MQL)) == those(lambda own: own[stage] == MQL)
    assert found_ids(api, rule(stage, "NEQ", MQL)) == those(lambda own: own[stage] != MQL)
    assert found_ids(api, rule(stage, "IN", MQL, "lead")) == those(lambda own: own[stage] in (MQL, "lead"))
    assert found_ids(api, rule(stage, "NOT_IN", MQL)) == those(lambda own: own[stage] != MQL)
    assert found_ids(api, rule(budget, "HAS_PROPERTY")) == those(lambda own: bool(own[budget]))
    assert found_ids(api, rule(budget, "NOT_HAS_PROPERTY")) == those(lambda own: not own[budget])
    for operator, test in (("GT", float.__gt__), ("GTE", float.__ge__), ("LT", float.__lt__), ("LTE", float.__le__)):
        expected = {record_id for record_id, own in rows.items() if own[budget] and test(float(own[budget]), 40_000.0)}
        assert found_ids(api, rule(budget, operator, "40000")) == expected
    assert found_ids(api, rule(budget, "BETWEEN", "20000", "40000")) == those(lambda own: 20_000 <= float(own[budget] or 0) <= 40_000)
    assert found_ids(api, rule(country, "EQ", "GERMANY")) == those(lambda own: own[country] == "Germany")
    assert found_ids(api, rule(country, "CONTAINS_TOKEN", "states")) == those(lambda own: own[country] == "United States")
    assert found_ids(api, rule(country, "EQ", "germany"), rule(stage, "EQ", MQL)) == those(
        lambda own: own[country] == "Germany" and own[stage] == MQL
    )


def test_the_wrong_modified_date_finds_nothing_and_no_property_is_an_error(api: Api) -> None:
    assert search(api, filterGroups=[{"filters": [rule("hs_lastmodifieddate", "GTE", "0")]}])["total"] == 0
    assert search(api, "calls", filterGroups=[{"filters": [rule("hs_lastmodifieddate", "GTE", "0")]}])["total"] > 0
    response = api("POST", "/crm/v3/objects/contacts/search", {"filterGroups": [{"filters": [rule("nonsense", "EQ", "1")]}]})
    assert response.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"limit": 200, "after": "9900"},
        {"filterGroups": [{"filters": [rule("email", "EQ", "x")] * 7}]},
        {"filterGroups": [{"filters": []}] * 6},
        {"sorts": ["email", "country"]},
        {"filterGroups": [{"filters": [rule("email", "LIKE", "x")]}]},
    ],
)
def test_search_keeps_its_bounds(api: Api, body: dict[str, Any]) -> None:
    response = api("POST", "/crm/v3/objects/contacts/search", body)
    assert response.status_code == 400
    assert response.json()["category"] == "VALIDATION_ERROR"


def test_searching_twenty_thousand_by_date_is_quick() -> None:
    world = make_world(now=NOW, hubspot_contacts=100, salesforce_leads=10)
    template = next(iter(world.hubspot["contacts"].values()))
    for number in range(100_000, 120_000):
        world.hubspot["contacts"][str(number)] = {**template, "id": str(number), "updatedAt": NOW - timedelta(seconds=number % 3600)}
    with Sandbox(world, now=lambda: NOW, hubspot=HubSpotOptions(searches_per_second=10**6), salesforce=None) as sandbox:
        api = Api(sandbox.hubspot_url)
        millis = str(int((NOW - timedelta(minutes=10)).timestamp() * 1000))
        spent = []
        for _ in range(5):
            begun = time.perf_counter()
            search(api, filterGroups=[{"filters": [rule("lastmodifieddate", "GTE", millis)]}], sorts=["lastmodifieddate"], limit=200)
            spent.append(time.perf_counter() - begun)
        api.session.close()
    assert min(spent) < 0.05


# ── The index ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_late_index_finds_a_record_as_it_was() -> None:
    with running(search_lag_seconds=30) as stage:
        api, actions = stage.api, stage.actions
        contact = next(iter(actions.live("contacts")))
        before = actions.live("contacts")[contact]
        actions.edit("contacts", contact, city="Old")
        assert found_ids(api, rule("city", "EQ", "Old")) == set()
        stage.clock.now = NOW + timedelta(minutes=5)
        actions.edit("contacts", contact, city="New")
        born = actions.create("contacts", lastname="Born", city="New")
        since = str(int(NOW.timestamp() * 1000) + 60_000)
        window = [rule("lastmodifieddate", "GTE", since)]
        assert found_ids(api, rule("city", "EQ", "Old")) == {contact}, "the first edit is in, the second is not"
        assert found_ids(api, *window) == set()
        stage.clock.now += timedelta(seconds=29)
        assert found_ids(api, rule("hs_object_id", "GTE", born)) == set()
        assert api.json("GET", f"{OBJECTS}/contacts/{contact}", params={"properties": "city"})["properties"]["city"] == "New"
        stage.clock.now += timedelta(seconds=1)
        assert found_ids(api, *window) == found_ids(api, rule("city", "EQ", "New")) == {contact, born}
        assert found_ids(api, rule("city", "EQ", "Old")) == set()
        assert before["properties"]["city"] not in ("Old", "New")
        actions.edit("contacts", contact, city="Newer")
        actions.delete("contacts", contact)
        stage.clock.now += timedelta(minutes=1)
        assert found_ids(api, *window) == {born}, "what is deleted is found no more"


def keyset(api: Api, **body: Any) -> list[str]:
    """All ids, asked for by "greater than the last one" in the order of search."""
    ids: list[str] = []
    while True:
        filters = [rule("hs_object_id", "GT", ids[-1] if ids else "0")]
        page = search(api, sorts=["hs_object_id"], filterGroups=[{"filters": filters}], limit=7, **body)["results"]
        if not page:
            return ids
        ids += [row["id"] for row in page]


def test_ids_sort_and_compare_as_numbers_or_as_text() -> None:
    with running(contacts=40) as stage:
        for _ in range(30):  # over the edge from four digits to five
            stage.world.hubspot_last_ids["contacts"] = max(9_990, stage.world.hubspot_last_ids.get("contacts", 0))
            stage.actions.create("contacts", lastname="x")
        live = set(stage.actions.live("contacts"))
        assert {len(each) for each in live} == {4, 5}
        assert keyset(stage.api) == sorted(live, key=int)
        stage.actions.change_options(ids_as_text=True)
        assert keyset(stage.api) == sorted(live)
        stage.actions.change_options(ids_as_text=False, ids_sort_as_text=True)
        found = keyset(stage.api)
        assert found == sorted(found, key=int), "sorted as text and compared as numbers, this way of paging loses some"
        assert len(found) < len(live)


def test_pages_may_be_smaller_than_asked_for() -> None:
    with running(contacts=25) as stage:
        stage.actions.change_options(search_page=10)
        sizes, after = [], None
        while True:
            page = search(stage.api, limit=100, **({} if after is None else {"after": after}))
            sizes.append(len(page["results"]))
            if "paging" not in page:
                break
            after = page["paging"]["next"]["after"]
        assert sizes == [10, 10, 5]


NAMES = {"lastmodifieddate": "modified", "createdate": "created"}
MOMENTS = st.integers(0, 12).map(lambda step: NOW - timedelta(hours=step))
CHANGES = st.lists(
    st.tuples(st.sampled_from(("edit", "create", "delete", "stamp", "merge")), st.integers(0, 11), MOMENTS), min_size=1, max_size=12
)
DATES = st.tuples(st.sampled_from(sorted(NAMES)), st.sampled_from(("GT", "GTE", "LT", "LTE", "EQ")), MOMENTS)
SORTS = st.sampled_from(("hs_object_id", "lastmodifieddate", "createdate", "city"))


@pytest.fixture(scope="module")
def changed() -> Iterator[Stage]:
    with running(contacts=30) as found:
        yield found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=CHANGES, dates=st.lists(DATES, max_size=3), low=st.integers(0, 80), sort=SORTS, down=st.booleans())
def test_whatever_happened_search_finds_what_a_look_at_every_record_finds(
    changed: Stage, changes: list[tuple[str, int, datetime]], dates: list[tuple[str, str, datetime]], low: int, sort: str, down: bool
) -> None:
    actions = changed.actions
    for what, number, moment in changes:
        ids = list(actions.live("contacts"))
        one, other = ids[number % len(ids)], ids[(number + 1) % len(ids)]
        if what == "edit":
            actions.edit("contacts", one, city=f"{number % 3}")
        elif what == "stamp":
            actions.stamp_alike("contacts", ids[number : number + 3], moment)
        elif what == "create" or len(ids) < 20:
            actions.create("contacts", city="2")
        elif what == "delete":
            actions.delete("contacts", one)
        else:
            actions.merge("contacts", one, other)
    live = actions.live("contacts")
    bound = sorted(live, key=int)[low % len(live)]
    compare = {"GT": gt, "GTE": ge, "LT": lt, "LTE": le, "EQ": eq}
    expected = {
        each for each, row in live.items()
        if int(each) > int(bound) and all(compare[sign](row[NAMES[name]], moment) for name, sign, moment in dates)
    }  # fmt: skip
    filters = [rule(name, sign, str(int(moment.timestamp() * 1000))) for name, sign, moment in dates]
    groups = [{"filters": [*filters, rule("hs_object_id", "GT", bound)]}]
    order = {"propertyName": sort, "direction": "DESCENDING" if down else "ASCENDING"}
    rows: list[dict[str, Any]] = []
    while len(rows) % 9 == 0:
        page = search(changed.api, filterGroups=groups, sorts=[order], limit=9, after=str(len(rows)), properties=["city"])
        assert page["total"] == len(expected)
        rows += page["results"]
        if not page["results"]:
            break
    assert len(rows) == len(expected)
    assert {row["id"] for row in rows} == expected
    values = [int(row["id"]) if sort == "hs_object_id" else (row["properties"][sort] or "").casefold() for row in rows]
    assert values == sorted(values, reverse=down)


def test_what_was_deleted_before_the_first_search_hides_nobody_else() -> None:
    with running(contacts=30) as found:
        gone, *others = found.world.hubspot["contacts"]
        found.actions.purge("contacts", gone)
        assert search(found.api, filterGroups=[], limit=1)["total"] == len(others)
