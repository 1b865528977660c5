"""Marking all contacts goes in slices, and where it is broken off it goes on there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, insert, text, update

from connector.pipeline import all_contacts
from connector.pipeline.installation import prepare
from connector.store import runs
from connector.store.database import Store
from connector.store.tables import RecordRow, metadata
from tests.support.actions import NOW, add_contacts, due, opened_for
from tests.support.company import config_of

T = TypeVar("T")


class Killed(Exception):
    """The process ended here."""


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(all_contacts, "SLICE", 3)
    with opened_for(request) as store:
        add_contacts(store, *range(1, 11))
        rows = [
            RecordRow(crm="hubspot", object="contacts", id=str(n), properties={}, fingerprint=b"", seen_at=NOW, contact_id=n, unify=False)
            for n in range(1, 11)
        ]
        store.write(lambda connection: connection.execute(insert(metadata.tables["record"]), [row.model_dump() for row in rows]))
        yield store


def marked(store: Store) -> set[int]:
    with store.read() as connection:
        return set(connection.scalars(text("SELECT contact_id FROM record WHERE unify")))


def killed_after(monkeypatch: pytest.MonkeyPatch, slices: int, work: Callable[[], Any]) -> None:
    """Ends the process behind so many slices."""
    left = iter(range(slices))
    one = all_contacts._slice

    def counted(connection: Connection, name: str, work: all_contacts.Work) -> bool:
        if next(left, None) is None:
            raise Killed
        return one(connection, name, work)

    with monkeypatch.context() as patched:
        patched.setattr(all_contacts, "_slice", counted)
        with pytest.raises(Killed):
            work()


def test_all_are_marked_a_slice_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for slices, done in ((0, 0), (1, 3), (2, 9)):
        killed_after(monkeypatch, slices, lambda: all_contacts.make_anew(store, reason="file a", now=NOW))
        assert len(marked(store)) == len(due(store)) == done
    all_contacts.make_anew(store, reason="file a", now=NOW)
    assert marked(store) == due(store) == set(range(1, 11))


def test_the_gone_are_made_anew_and_not_judged(store: Store) -> None:
    gone = metadata.tables["contact"]
    store.write(lambda connection: connection.execute(update(gone).where(gone.c.id == 4).values(gone=True, due_at=None)))
    all_contacts.make_anew(store, reason="file a", now=NOW)
    assert marked(store) - due(store) == {4}


def test_it_goes_on_where_it_ended_and_for_another_reason_begins_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_after(monkeypatch, 2, lambda: all_contacts.make_anew(store, reason="file a", now=NOW))
    store.write(lambda connection: connection.execute(text("UPDATE record SET unify = :no"), {"no": False}))
    all_contacts.go_on(store, now=NOW)
    assert marked(store) == set(range(7, 11))
    killed_after(monkeypatch, 2, lambda: all_contacts.make_anew(store, reason="file a", now=NOW))
    store.write(lambda connection: connection.execute(text("UPDATE record SET unify = :no"), {"no": False}))
    all_contacts.make_anew(store, reason="file b", now=NOW)
    assert marked(store) == set(range(1, 11))
    store.write(lambda connection: connection.execute(text("UPDATE record SET unify = :no"), {"no": False}))
    all_contacts.go_on(store, now=NOW)
    assert marked(store) == set(), "it was ended"


def test_a_file_counts_as_applied_once_all_are_marked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of()
    killed_after(monkeypatch, 2, lambda: prepare(store, config, {}, now=NOW))
    assert runs.get_meta(store, "config") is None
    prepare(store, config, {}, now=NOW + timedelta(minutes=5))
    assert runs.get_meta(store, "config") == config.version
    assert marked(store) == set(range(1, 11))


def test_what_was_agreed_in_shadow_is_agreed_with_nobody_and_that_is_done_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def agreed() -> int:
        with store.read() as connection:
            return int(connection.scalar(text("SELECT count(*) FROM contact WHERE agreed_number > 0")) or 0)

    store.write(lambda connection: connection.execute(text("UPDATE contact SET agreed_number = 2")))
    killed_after(monkeypatch, 2, lambda: all_contacts.agree_anew(store, clocks_from=NOW))
    assert agreed() == 4
    all_contacts.agree_anew(store, clocks_from=NOW)
    assert (agreed(), marked(store)) == (0, set(range(1, 11)))
    store.write(lambda connection: connection.execute(text("UPDATE contact SET agreed_number = 1")))
    all_contacts.agree_anew(store, clocks_from=NOW)
    assert agreed() == 10
