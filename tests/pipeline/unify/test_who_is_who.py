"""Who is one person does not depend on the order in which records arrive, nor on the slices in which they are linked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from connector.model import Page, Record, whole_id
from connector.pipeline.unify import linking
from connector.pipeline.unify.identity import Key, Trace, one_person
from connector.store.database import Store
from connector.store.mirror import pages
from connector.store.tables import metadata

NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)
HUBSPOT = ("1", "2", "3", "4")
LEADS = ("00Q000000000001AAA", "00Q000000000002AAA", "00Q000000000003AAA")
CONTACTS = ("003000000000001AAA", "003000000000002AAA")
NEVER_HERE = "00Q000000000009AAA"
ADDRESSES = ("a@x.example", "b@x.example", "c@x.example", "d@x.example")
MERGES = {"contacts": HUBSPOT, "Lead": LEADS, "Contact": CONTACTS}


@dataclass(frozen=True)
class People:
    """Records by key, with whom each was merged into, in the order of their arrival; and after which of them they are linked."""

    records: Mapping[Key, Record]
    merged: Mapping[Key, Key]
    stops: frozenset[int]
    slice: int

    def end(self, key: Key) -> Key:
        while key in self.merged:
            key = self.merged[key]
        return key


@st.composite
def people(draw: st.DrawFn) -> People:
    maybe: Any = st.one_of(st.none(), st.sampled_from(ADDRESSES))
    merged: dict[Key, Key] = {}
    for object_name, ids in MERGES.items():
        crm = "hubspot" if object_name == "contacts" else "salesforce"
        for place, one in enumerate(ids[:-1]):  # into a later one: chains, and no circles
            if draw(st.integers(0, 3)) == 0:
                merged[crm, object_name, one] = (crm, object_name, draw(st.sampled_from(ids[place + 1 :])))
    found: dict[Key, Record] = {}
    for key in draw(
        st.permutations([(("hubspot" if o == "contacts" else "salesforce"), o, one) for o, ids in MERGES.items() for one in ids])
    ):
        if key in merged and key[0] == "hubspot" and draw(st.booleans()):
            continue  # merged before anybody looked: the survivor alone tells of it
        found[key] = _record(draw, key, maybe, merged)
    stops = draw(st.frozensets(st.integers(0, len(found))))
    return People(found, merged, stops, draw(st.sampled_from((1, 2, 500))))


def _record(draw: st.DrawFn, key: Key, maybe: Any, merged: Mapping[Key, Key]) -> Record:
    crm, object_name, one = key
    properties: dict[str, Any] = {"email" if crm == "hubspot" else "Email": draw(maybe)}
    if crm == "hubspot":
        told = draw(st.sampled_from((None, None, *LEADS, *CONTACTS, NEVER_HERE)))
        if told is not None:
            told = told[:15] if draw(st.booleans()) else told
        properties["salesforcecontactid" if told and told.startswith("003") else "salesforceleadid"] = told
        further = draw(maybe)
        losers = tuple(sorted(loser[2] for loser in merged if loser[0] == crm and _leads_to(merged, loser, key)))
        more: dict[str, Any] = {"emails": () if further is None else (further,), "merged_ids": losers}
    else:
        properties["HubSpot_Id__c"] = draw(st.sampled_from((None, None, *HUBSPOT)))
        became = draw(st.sampled_from((None, None, *CONTACTS))) if object_name == "Lead" else None
        into = merged.get(key)
        more = {"converted_to": became, "merged_into": None if into is None else into[2], "archived": into is not None}
    return Record(crm=crm, object=object_name, id=one, properties=properties, created_at=NOW, modified_at=NOW, **more)  # type: ignore[arg-type]


def _leads_to(merged: Mapping[Key, Key], key: Key, end: Key) -> bool:
    while key in merged:
        key = merged[key]
        if key == end:
            return True
    return False


# ── Plainly ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def expected(world: People) -> set[frozenset[str]]:
    """Every pair by itself, then whoever hangs together."""
    keys = list(world.records)
    groups = {key: {key} for key in keys}
    for one in keys:
        for other in keys:
            if one != other and groups[one] is not groups[other] and _same(world, one, other):
                groups[one] |= groups[other]
                for each in groups[one]:
                    groups[each] = groups[one]
    return {frozenset(key[2] for key in group) for group in groups.values()}


def _same(world: People, one: Key, other: Key) -> bool:
    if _names(world, one) & _names(world, other):
        return True
    if not _addresses(world.records[one]) & _addresses(world.records[other]):
        return False
    tells = [_stored(world.records[key]) is not None for key in (one, other)]
    return not any(tells) or (one[0] == other[0] and not all(tells))


def _names(world: People, key: Key) -> set[Key]:
    row = world.records[key]
    names = [key, *([] if row.converted_to is None else [("salesforce", "Contact", row.converted_to)])]
    stored = _stored(row)
    if stored is not None:
        names.append(("hubspot", "contacts", stored) if key[0] == "salesforce" else ("salesforce", _object(stored), stored))
    return {world.end(name) for name in names}


def _object(salesforce_id: str) -> str:
    return "Contact" if salesforce_id.startswith("003") else "Lead"


def _stored(row: Record) -> str | None:
    names = ("salesforcecontactid", "salesforceleadid", "HubSpot_Id__c")
    return next((whole_id(row.properties[name]) for name in names if row.properties.get(name) is not None), None)


def _addresses(row: Record) -> set[str]:
    return {each for each in (row.properties.get("email"), row.properties.get("Email"), *row.emails) if each is not None}


# ── Through the store ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path_factory.mktemp('who') / 'who.db'}") as made:
        made.upgrade()
        yield made


def link_all(store: Store) -> None:
    after: Key | None = ("", "", "")
    while after is not None:
        after = store.write(partial(linking.link_slice, now=NOW, after=after, id_field="HubSpot_Id__c"))
    store.write(lambda connection: connection.execute(text("UPDATE record SET unify = false")))


def found(store: Store) -> set[frozenset[str]]:
    with store.read() as connection:
        rows = connection.execute(text("SELECT id, contact_id FROM record")).all()
    groups: dict[int, set[str]] = {}
    for row in rows:
        groups.setdefault(row.contact_id, set()).add(row.id)
    return {frozenset(group) for group in groups.values()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(world=people())
def test_the_order_of_arrival_does_not_matter(store: Store, world: People) -> None:
    store.write(lambda connection: [connection.execute(table.delete()) for table in metadata.sorted_tables])
    before = linking.SLICE
    linking.SLICE = 2 * world.slice
    try:
        for place, (key, row) in enumerate(world.records.items()):
            page = Page(crm=row.crm, object=key[1], cursor={"at": place}, seen=1, calls=1, records=(row,))
            pages.commit_page(store, page, now=NOW + timedelta(seconds=place))
            if place in world.stops:
                link_all(store)
        link_all(store)
    finally:
        linking.SLICE = before
    assert found(store) == expected(world)


def test_an_address_joins_no_two_records_whose_ids_differ() -> None:
    one, other = (Trace(("salesforce", "Lead", name), (("hubspot", "contacts", name),), ("a@x.example",), claims=True) for name in "12")
    assert len(one_person([one, other])) == 2


@pytest.mark.parametrize(
    ("stored", "whole"),
    [
        ("00Q5e00000AbCdE", "00Q5e00000AbCdEEAV"),
        ("00Q5e00000AbCdEEAV", "00Q5e00000AbCdEEAV"),
        (" 123 ", "123"),
        (123.0, "123"),
        ("123456789012345", "123456789012345"),
        ("003000000000123", "003000000000123AAA"),
        ("", None),
        (None, None),
    ],
)
def test_ids_as_they_are_stored(stored: object, whole: str | None) -> None:
    assert whole_id(stored) == whole
