"""Counts of a pull: each record once, however its pages bring it, and seen = stored + unchanged + set aside at every moment."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.model import RecordRef, SetAside
from connector.store.database import Store
from connector.store.mirror import pages, tally
from connector.store.mirror.pages import PageResult
from connector.store.mirror.rows import Key
from connector.store.mirror.tally import Tally, TallyCounts
from tests.store.support import LATER, NOW, kept_store, page, person, store

__all__ = ["kept_store", "store"]  # fixtures

FATES = ("stored", "unchanged", "aside")
_pages = st.lists(st.dictionaries(st.integers(0, 9), st.sampled_from(FATES), max_size=6), max_size=8)


def result(fates: dict[int, str], nameless: int = 0) -> PageResult:
    def keys(*wanted: str) -> frozenset[Key]:
        return frozenset(("contacts", str(number)) for number, fate in fates.items() if fate in wanted)

    return PageResult(keys=keys(*FATES), stored_keys=keys("stored"), aside_keys=keys("aside"), nameless=nameless)


@given(_pages, st.sampled_from([0, 1, 3, 5_000]))
def test_each_counts_once_as_what_became_of_it_last(brought: list[dict[int, str]], kept: int) -> None:
    """kept: how many are held in memory; the others come from the temporary database."""
    with pytest.MonkeyPatch.context() as patched, Tally() as counts:
        patched.setattr(tally, "_KEPT", kept)
        total, known = [0, 0, 0], dict[int, str]()
        for fates in brought:
            counted = counts.add(result(fates))
            known |= {number: fate for number, fate in fates.items() if (known.get(number), fate) != ("stored", "unchanged")}
            total = [before + more for before, more in zip(total, astuple(counted), strict=True)]
            assert total == [list(known.values()).count(fate) for fate in FATES]


def test_what_has_no_id_counts_each_time() -> None:
    with Tally() as counts:
        assert counts.add(result({}, nameless=2)) == TallyCounts(set_aside=2)
        assert counts.add(result({1: "stored"}, nameless=1)) == TallyCounts(stored=1, set_aside=1)


def test_more_than_are_kept_in_memory_are_known_too() -> None:
    with Tally() as counts:
        for start in (0, 6_000, 3_000, 0):
            counted = counts.add(result(dict.fromkeys(range(start, start + 6_000), "unchanged")))
            assert counted.seen == {0: 6_000, 6_000: 6_000}.get(start, 0) or start in (0, 3_000)
        assert counts.add(result({0: "stored", 11_999: "stored", 12_000: "stored"})) == TallyCounts(stored=3, unchanged=-2)


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

#: A record on a page: its number and what it holds: a text, nothing that can be stored, deleted, or what the adapter could not read.
_things = st.tuples(st.integers(1, 6), st.sampled_from(["a", "b", "bad", "archived", "unreadable"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(_things, max_size=5), min_size=1, max_size=5), st.booleans())
def test_pages_add_up_whatever_they_bring(store: Store, brought: list[list[tuple[int, str]]], twice: bool) -> None:
    """The oracle knows a record by what it was stored with. twice: the whole pull comes again, which changes nothing more."""
    for table in ("record", "record_version", "set_aside", "cursor"):
        store.write(lambda connection, table=table: connection.exec_driver_sql(f"DELETE FROM {table}"))  # type: ignore[misc]
    holds: dict[int, str] = {}
    for at in (NOW, LATER)[: 1 + twice]:
        totals, fates = TallyCounts(), dict[int, str]()
        with Tally() as counts:
            for things in brought:
                totals = plus(totals, counts.add(pages.commit_page(store, made(things), now=at)))
                for number, fate in fates_of(things, holds).items():
                    if (fates.get(number), fate) != ("stored", "unchanged"):
                        fates[number] = fate
                assert totals.seen == len(fates) == totals.stored + totals.unchanged + totals.set_aside
                assert astuple(totals) == tuple(list(fates.values()).count(fate) for fate in FATES)


def plus(one: TallyCounts, other: TallyCounts) -> TallyCounts:
    return TallyCounts(*(a + b for a, b in zip(astuple(one), astuple(other), strict=True)))


def made(things: list[tuple[int, str]]) -> Any:
    aside = [
        SetAside(record=RecordRef(crm="hubspot", object="contacts", id=str(number)), reason="no date", next_step="look")
        for number, what in things
        if what == "unreadable"
    ]
    people = [
        person(number, {"jobtitle": "\x00" if what == "bad" else what}, archived=what == "archived")
        for number, what in things
        if what != "unreadable"
    ]
    return page(*people, set_aside=aside)


def fates_of(things: list[tuple[int, str]], holds: dict[int, str]) -> dict[int, str]:
    """What becomes of a page's records; of one that comes twice the last counts, and what the adapter could not read comes last."""
    last = {number: what for number, what in things if what != "unreadable"}
    fates = {}
    for number, what in last.items():
        fates[number] = "aside" if what == "bad" else "unchanged" if holds.get(number) == what else "stored"
        if what != "bad":
            holds[number] = what
    return fates | {number: "aside" for number, what in things if what == "unreadable"}
