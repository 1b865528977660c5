"""Acts of people are written with their deed, and found by what they concern."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import Connection

from connector.model import Actor, Deed
from connector.store import acts, pauses
from connector.store.database import Store
from tests.store.support import LATER, NOW, kept_store, store

__all__ = ["kept_store", "store"]

ANNA = Actor("anna")


def test_a_pause_and_its_end_are_acts(store: Store) -> None:
    assert pauses.pause(store, "rule", "went cold", now=NOW, by=ANNA)
    assert not pauses.pause(store, "rule", "went cold", now=LATER, by=Actor("ben"))
    assert pauses.resume(store, "rule", "went cold", now=LATER, by=Actor("ben", "console"))
    assert not pauses.resume(store, "rule", "went cold", now=LATER)
    store.write(partial(acts.note, deed=Deed.LOOKED, about="contact", name="7", actor=ANNA, now=LATER))
    with store.read() as connection:
        assert acts.latest(connection, 9) == [
            acts.Done(LATER, "resumed", "rule", "went cold", "ben", "console"),
            acts.Done(NOW, "paused", "rule", "went cold", "anna", "command"),
        ]
        assert [act.deed for act in acts.concerning(connection, [("contact", "7"), ("rule", "other")], 9)] == ["looked"]
        assert acts.last_of(connection, Deed.PAUSED, [("rule", "went cold"), ("all", "")]) == {("rule", "went cold"): "anna"}
        assert acts.concerning(connection, [], 9) == []


def test_a_deed_that_fails_leaves_no_act(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(connection: Connection, *facts: object) -> None:
        raise RuntimeError(f"{connection.dialect.name} died")

    monkeypatch.setattr(acts, "note", lost)
    with pytest.raises(RuntimeError, match="died"):
        pauses.pause(store, now=NOW, by=ANNA)
    assert pauses.list_pauses(store) == []
