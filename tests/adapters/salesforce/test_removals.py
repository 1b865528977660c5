"""What no modified date of Salesforce tells: deletions for good, merges, what became of a record.

Against the sandbox's Salesforce, while other people work in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
import responses
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.adapters.salesforce import SalesforceCrm
from connector.adapters.salesforce.wire import requests as wire
from connector.errors import ObjectStopped
from connector.model import Cursor, Fate, RemovalPage, long_id
from connector.sandbox.salesforce.actions import SalesforceActions
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.salesforce.answers import HOST, NOW, QUERY_URL, crm, granted, mocked, refusal, users
from tests.adapters.salesforce.fake_org import START, Budget, Clock, Org


@pytest.fixture(scope="module")
def running() -> Iterator[Org]:
    """A small org, pages of 20."""
    clock = Clock()
    world = make_world(now=START, hubspot_contacts=20, salesforce_leads=90)
    with Sandbox(world, now=clock, hubspot=None, salesforce=SalesforceOptions(page_size=20)) as box:
        yield Org(box, clock)


@pytest.fixture
def box(running: Org) -> Iterator[Org]:
    """The org, as each test finds it; its log of deletions is whole, and its time goes on."""
    options = deeds(running).options
    yield running
    running.reset()
    running.state.org.options = options
    running.state.org.log_from = None


def deeds(box: Org) -> SalesforceActions:
    found: SalesforceActions = box.state.actions
    return found


def lead(box: Org, name: str = "Ada") -> str:
    return deeds(box).create("Lead", LastName=name, Company="Kunde", Email=f"{name.lower()}@kunde.example")


def looked(box: Org, cursor: Cursor | None, crm: SalesforceCrm | None = None, name: str = "Lead") -> list[RemovalPage]:
    return list((crm or box.crm()).removals(name, cursor, now=box.clock.now))


def told(pages: list[RemovalPage]) -> dict[str, tuple[Fate, str | None]]:
    return {removal.record.id: (removal.fate, removal.into) for page in pages for removal in page.removals}


def since(box: Org) -> Cursor:
    """A cursor at this moment."""
    box.clock.now += timedelta(minutes=5)
    cursor = looked(box, None)[-1].cursor
    box.clock.now += timedelta(minutes=5)
    return cursor


# ── Removals ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_way_to_go_is_told_apart(box: Org) -> None:
    binned, purged, direct, loser, winner, back = (lead(box, name) for name in ("Ann", "Ben", "Cleo", "Dan", "Eve", "Flo"))
    cursor = since(box)
    for one in (binned, purged, back):
        deeds(box).delete("Lead", one)
    deeds(box).merge("Lead", winner, loser)
    at = box.clock.now
    box.clock.now += timedelta(minutes=5)
    deeds(box).hard_delete("Lead", purged)
    deeds(box).hard_delete("Lead", direct)
    deeds(box).undelete("Lead", back)
    box.clock.now += timedelta(minutes=5)
    (page,) = looked(box, cursor)
    assert told([page]) == {
        binned: (Fate.ARCHIVED, None),
        purged: (Fate.DELETED, None),
        direct: (Fate.DELETED, None),
        loser: (Fate.MERGED, winner),
    }
    assert {removal.record.id: removal.at for removal in page.removals}[binned] == at
    assert (page.last, page.cursor) == (True, {"covered": wire.literal(box.clock.now)})
    assert page.calls == 3  # the log, the rows, and whether the winner lost a merge too


def test_nothing_is_told_twice_and_a_quiet_look_is_one_call(box: Org) -> None:
    cursor = since(box)
    deeds(box).delete("Lead", lead(box))
    box.clock.now += timedelta(minutes=5)
    cursor = looked(box, cursor)[-1].cursor
    box.clock.now += timedelta(minutes=5)
    (page,) = looked(box, cursor)
    assert (page.removals, page.calls, page.last) == ([], 1, True)


def test_within_a_minute_nothing_is_asked(box: Org) -> None:
    """Salesforce cuts seconds off and wants more than a minute between: the cursor stays."""
    cursor = looked(box, None)[-1].cursor
    box.clock.now += timedelta(seconds=70)
    (page,) = looked(box, cursor)
    assert (page.cursor, page.calls, page.last) == (cursor, 0, True)


def test_the_first_look_goes_back_as_far_as_the_log(box: Org) -> None:
    old = lead(box)
    deeds(box).hard_delete("Lead", old)
    box.clock.now += timedelta(days=14)
    young = lead(box)
    deeds(box).hard_delete("Lead", young)
    box.clock.now += timedelta(minutes=5)
    assert told(looked(box, None)).keys() >= {old, young}
    deeds(box).forget_deletions(box.clock.now - timedelta(days=1))
    found = told(looked(box, None))
    assert young in found
    assert old not in found


@pytest.mark.parametrize("away", ["too long away", "log cut"])
def test_a_cursor_the_log_does_not_reach_back_to_is_told_before_any_page(box: Org, away: str) -> None:
    cursor = since(box)
    box.clock.now += timedelta(days=16 if away == "too long away" else 2)
    if away == "log cut":
        deeds(box).forget_deletions(box.clock.now - timedelta(days=1))
    shared = box.crm()
    with pytest.raises(ObjectStopped) as caught:
        next(shared.removals("Lead", cursor, now=box.clock.now))
    assert caught.value.code == "TOO_LONG_AGO"
    assert "compares all ids" in caught.value.advice


def test_too_many_for_one_answer_are_asked_for_in_shorter_windows(box: Org) -> None:
    cursor = since(box)
    gone = []
    for _ in range(12):
        gone.append(lead(box))
        deeds(box).hard_delete("Lead", gone[-1])
        box.clock.now += timedelta(minutes=30)
    deeds(box).change_options(most_ids=3)
    pages = looked(box, cursor)
    assert sorted(told(pages)) == sorted(gone)
    assert len(pages) >= 4
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    for stop, page in enumerate(pages[:-1], 1):  # from each page's cursor on, the rest
        assert {*told(pages[:stop]), *told(looked(box, page.cursor))} == set(gone)


def test_more_in_a_minute_than_an_answer_holds_stops_the_object(box: Org) -> None:
    cursor = since(box)
    for _ in range(5):
        deeds(box).hard_delete("Lead", lead(box))
    box.clock.now += timedelta(minutes=30)
    deeds(box).change_options(most_ids=3)
    with pytest.raises(ObjectStopped) as caught:
        looked(box, cursor)
    assert caught.value.code == "EXCEEDED_ID_LIMIT"


def test_a_deletion_that_is_committed_late_is_not_missed(box: Org) -> None:
    """The next window begins where Salesforce says that this one was whole, not where it ended."""
    late, other = lead(box, "Late"), lead(box, "Other")
    cursor = since(box)
    deeds(box).delete("Lead", late, late=20 * 60)
    box.clock.now += timedelta(minutes=10)
    deeds(box).delete("Lead", other)
    box.clock.now += timedelta(minutes=5)
    pages = looked(box, cursor)
    assert told(pages) == {other: (Fate.ARCHIVED, None)}
    assert wire.moment_of(pages[-1].cursor["covered"]) <= box.clock.now - timedelta(minutes=15)
    box.clock.now += timedelta(minutes=15)
    assert late in told(looked(box, pages[-1].cursor))


def test_many_removals_come_in_pages_and_the_cursor_moves_with_the_last(box: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.adapters.salesforce.removals._A_PAGE", 2)
    cursor = since(box)
    gone = [lead(box) for _ in range(5)]
    for one in gone:
        deeds(box).hard_delete("Lead", one)
    box.clock.now += timedelta(minutes=5)
    pages = looked(box, cursor)
    assert [len(page.removals) for page in pages] == [2, 2, 1]
    assert [page.cursor == cursor for page in pages] == [True, True, False]
    assert sorted(told(pages)) == sorted(gone)


def test_whose_removals_are_told(box: Org) -> None:
    shared = box.crm()
    assert [name for name in shared.streams() if not shared.tells_removals(name)] == ["User", "Group", "LeadHistory", "OpportunityHistory"]
    assert looked(box, None, shared, "LeadHistory") == []
    assert not shared.countable("Lead")
    assert shared.relink("Task", ["00Tgg000000001AEAQ"]) == {}


@pytest.mark.parametrize("name", sorted(wire.DELETABLE - {"Lead"}))
def test_every_object_tells(box: Org, name: str) -> None:
    cursor = since(box)
    one = next(row["Id"] for row in box.rows[name].values() if not row["IsDeleted"])
    deeds(box).hard_delete(name, one)
    box.clock.now += timedelta(minutes=5)
    assert told(looked(box, cursor, name=name))[one] == (Fate.DELETED, None)


def test_an_object_that_keeps_no_log_has_none() -> None:
    for org in mocked():
        granted(org)
        org.get(f"{HOST}{wire.BASE}/sobjects/Event/deleted/", status=400, json=refusal("INVALID_TYPE"))
        org.get(f"{HOST}{wire.BASE}/sobjects/Event/describe", json={"name": "Event", "replicateable": False, "fields": []})
        assert list(crm().removals("Event", None, now=NOW)) == []


def test_an_object_that_may_not_be_read_is_no_empty_log() -> None:
    for org in mocked():
        granted(org)
        org.get(f"{HOST}{wire.BASE}/sobjects/Event/deleted/", status=403, json=refusal("INSUFFICIENT_ACCESS"))
        org.get(f"{HOST}{wire.BASE}/sobjects/Event/describe", json={"name": "Event", "replicateable": True, "fields": []})
        with pytest.raises(ObjectStopped, match="INSUFFICIENT_ACCESS"):
            list(crm().removals("Event", None, now=NOW))


def test_the_window_is_asked_for_in_whole_minutes() -> None:
    for org in mocked():
        granted(org)
        log: dict[str, Any] = {"deletedRecords": [], "earliestDateAvailable": None, "latestDateCovered": "2026-12-02T08:59:00.000+0000"}
        org.get(f"{HOST}{wire.BASE}/sobjects/Lead/deleted/", json=log)
        (page,) = crm().removals("Lead", {"covered": "2026-12-02T08:00:41Z"}, now=NOW + timedelta(seconds=17))
        asked = org.calls[-1].request.url or ""
        assert unquote(asked).endswith("deleted/?start=2026-12-02T08:00:00+00:00&end=2026-12-02T09:00:00+00:00")
        assert "%2B00:00" in asked  # a bare + would be a space
        assert page.cursor == {"covered": "2026-12-02T08:59:00Z"}


@pytest.mark.parametrize(
    "body", [{"deletedRecords": None}, {"deletedRecords": [{"id": 5}]}, [], {"deletedRecords": [], "latestDateCovered": "x"}]
)
def test_a_log_of_a_strange_shape_stops_the_object(body: Any) -> None:
    for org in mocked():
        granted(org)
        org.get(f"{HOST}{wire.BASE}/sobjects/Lead/deleted/", json=body)
        with pytest.raises(ObjectStopped, match="unknown shape"):
            list(crm().removals("Lead", None, now=NOW))


# ── Fates ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fates_by_ids_of_either_length(box: Org) -> None:
    live, binned, purged = (lead(box, name) for name in ("Ann", "Ben", "Cleo"))
    deeds(box).delete("Lead", binned)
    deeds(box).hard_delete("Lead", purged)
    found = box.crm().fates("Lead", [live, live[:15], binned[:15], binned, purged, "no id"])
    assert {name: removal.fate for name, removal in found.items()} == {
        binned[:15]: Fate.ARCHIVED,
        binned: Fate.ARCHIVED,
        purged: Fate.DELETED,
        "no id": Fate.DELETED,
    }
    assert all(removal.record.id == name for name, removal in found.items())


def test_a_chain_of_merges_leads_to_the_last_survivor(box: Org) -> None:
    first, second, third, last = (lead(box, name) for name in ("Ann", "Ben", "Cleo", "Dan"))
    deeds(box).merge("Lead", second, first)
    deeds(box).merge("Lead", third, second)
    deeds(box).merge("Lead", last, third)
    found = box.crm().fates("Lead", [first, second, third, last])
    assert {name: (removal.fate, removal.into) for name, removal in found.items()} == dict.fromkeys(
        (first, second, third), (Fate.MERGED, last)
    )
    deeds(box).delete("Lead", last)
    assert box.crm().fates("Lead", [first, last])[first].into == last
    deeds(box).hard_delete("Lead", second)  # a link of the chain is gone for good: as far as it still can be followed
    assert box.crm().fates("Lead", [first])[first].into == second


def test_a_circle_of_winners_ends() -> None:
    """Salesforce has none; a loop here would never end."""
    one, other = "00Qgg0000000001EAA", "00Qgg0000000002EAA"
    for org in mocked():
        granted(org)
        rows = [{"Id": a, "IsDeleted": True, "MasterRecordId": b} for a, b in ((one, other), (other, one))]
        org.get(f"{QUERY_URL}All", json=users(*rows))
        assert {removal.fate for removal in crm().fates("Lead", [one, other]).values()} == {Fate.MERGED}


def test_converted_leads_are_alive(box: Org) -> None:
    one = lead(box)
    deeds(box).convert(one)
    assert box.crm().fates("Lead", [one]) == {}


def test_many_ids_are_asked_for_in_few_calls_that_fit(box: Org) -> None:
    """The live ones 2,000 to a call; only what is not among them is looked for among the deleted."""
    leads = list(box.rows["Lead"])
    invented = [long_id(f"00Qzz{number:010d}") for number in range(1500)]
    binned = lead(box)
    deeds(box).delete("Lead", binned)
    deleted = {row["Id"] for row in box.rows["Lead"].values() if row["IsDeleted"]}
    shared = box.crm()
    shared.fates("Lead", leads[:1])
    before = shared.calls()
    found = shared.fates("Lead", [*leads, *invented, binned])
    assert {name for name, removal in found.items() if removal.fate is Fate.DELETED} == set(invented)
    assert {name for name, removal in found.items() if removal.fate is not Fate.DELETED} == deleted
    assert shared.calls() - before <= 5


_DEEDS = st.sampled_from(["delete", "hard_delete", "undelete", "merge", "wait"])
_STEPS = st.lists(st.tuples(_DEEDS, st.integers(0, 4), st.integers(0, 4)), max_size=9)


@settings(max_examples=12)
@given(steps=_STEPS)
def test_whatever_people_did_the_removals_and_the_fates_agree(running: Org, steps: list[tuple[str, int, int]]) -> None:
    """A mirror that applies the log to what it had holds what the org holds."""
    box = running
    leads = [lead(box, f"Lead{number}") for number in range(5)]
    shared, cursor = box.crm(), since(box)
    mirror: dict[str, tuple[Fate, str | None]] = {}
    for what, first, second in [*steps, ("wait", 0, 0)]:
        rows: Mapping[str, Any] = box.rows["Lead"]
        row = rows.get(leads[first])
        alive = row is not None and not row["IsDeleted"]
        other = rows.get(leads[second])
        if what == "wait":
            box.clock.now += timedelta(minutes=3)
            pages = looked(box, cursor, shared)
            cursor = pages[-1].cursor
            mirror |= told(pages)
        elif (what == "delete" and alive) or (what == "hard_delete" and row is not None):
            getattr(deeds(box), what)("Lead", leads[first])
        elif what == "undelete" and row is not None and row["IsDeleted"]:
            deeds(box).undelete("Lead", leads[first])
            mirror.pop(leads[first], None)  # the pull brings it back: its stamp moved
        elif what == "merge" and alive and other is not None and not other["IsDeleted"] and first != second:
            deeds(box).merge("Lead", leads[first], leads[second])
        box.clock.now += timedelta(seconds=20)
    fates = {name: (removal.fate, removal.into) for name, removal in shared.fates("Lead", leads).items()}
    assert mirror.keys() == fates.keys()
    assert {name for name in leads if name in box.rows["Lead"] and not box.rows["Lead"][name]["IsDeleted"]} == set(leads) - set(fates)
    shared.close()


# ── Lanes ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ask", "lane"),
    [
        (lambda one: list(one.removals("Lead", None, now=NOW)), "backfill"),
        (lambda one: one.fates("Lead", ["00Qgg0000000001EAA"]), "backfill"),
        (lambda one: list(one.refill("Lead", ["Email"], None, now=NOW)), "backfill"),
        (lambda one: one.activities_of("Lead", ["00Qgg0000000001EAA"]), "urgent"),
        (lambda one: one.read("Lead", ["00Qgg0000000001EAA"], ["Email"]), "urgent"),
        (lambda one: one.read("Lead", ["00Qgg0000000001EAA"], ["Email"], lane="backfill"), "backfill"),
        (lambda one: one.schema(["Lead"]), "normal"),
    ],
)
def test_who_goes_first(ask: Callable[[SalesforceCrm], object], lane: str) -> None:
    for org in mocked():
        granted(org)
        org.get(f"{HOST}{wire.BASE}/sobjects/Lead/deleted/", json={"deletedRecords": []})
        org.get(f"{HOST}{wire.BASE}/sobjects/Lead/describe", json={"fields": []})
        org.add(responses.GET, QUERY_URL, json=users())
        org.add(responses.GET, f"{QUERY_URL}All", json=users())
        org.post(f"{HOST}{wire.BASE}/composite/sobjects/Lead", json=[])
        budget = Budget()
        ask(crm(budget=budget))
        assert set(budget.lanes) == {lane}
