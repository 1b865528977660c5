"""Texts of the file: kept once, each use with its time and person; which file is an older one."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from connector.model import Actor, Deed
from connector.store import acts, rule_texts
from connector.store.database import Store
from connector.store.rule_texts import File, Use, replaced
from connector.store.tables import RuleText, RuleUse
from tests.store.support import LATER, NOW, kept_store, rows, store

__all__ = ["kept_store", "store"]

ANNA, BEN = Actor("anna"), Actor("ben", "console")
FIRST, SECOND, THIRD = (File(f"text {number}", f"v{number}", f"r{number}") for number in (1, 2, 3))


def use(file: File, day: int, *, ends: int | None = None) -> Use:
    until = None if ends is None else NOW + timedelta(days=ends)
    return Use(file.digest, file.version, file.rules, NOW + timedelta(days=day), until, "anna", "command")


@pytest.mark.parametrize(
    ("uses", "file", "older"),
    [
        ([], FIRST, None),
        ([use(FIRST, 0)], FIRST, None),
        ([use(FIRST, 0)], SECOND, None),
        ([use(FIRST, 0, ends=1), use(SECOND, 1)], SECOND, None),
        ([use(FIRST, 0, ends=1), use(SECOND, 1)], THIRD, None),
        ([use(FIRST, 0, ends=1), use(SECOND, 1)], FIRST, 0),
        ([use(FIRST, 0, ends=1), use(SECOND, 1, ends=2), use(THIRD, 2)], FIRST, 0),
        ([use(FIRST, 0, ends=1), use(SECOND, 1, ends=2), use(FIRST, 2, ends=3), use(THIRD, 3)], FIRST, 2),
        # the same rules in other words, or under other calendars, are the same file
        ([use(FIRST, 0, ends=1), use(SECOND, 1)], FIRST._replace(text="with a comment", version="v1 of new calendars"), 0),
        ([use(FIRST, 0, ends=1), use(FIRST._replace(text="with a comment"), 1)], FIRST, None),
        ([use(FIRST, 0, ends=1), use(FIRST._replace(version="v1 of new calendars"), 1)], FIRST, None),
    ],
)
def test_which_file_is_an_older_one(uses: list[Use], file: File, older: int | None) -> None:
    assert replaced(uses, file) == (None if older is None else (uses[older], uses[older + 1]))


def test_a_text_is_kept_once_and_each_use_of_it(store: Store) -> None:
    for day, (file, who) in enumerate([(FIRST, ANNA), (FIRST, BEN), (SECOND, BEN), (FIRST, ANNA)]):
        store.write(partial(rule_texts.applied, file=file, by=who, now=NOW + timedelta(days=day)))
    uses = [(row.version, row.since, row.until, row.by, row.way) for row in rows(store, RuleUse)]
    second, third = NOW + timedelta(days=2), NOW + timedelta(days=3)
    assert uses == [
        ("v1", NOW, second, "anna", "command"),
        ("v2", second, third, "ben", "console"),
        ("v1", third, None, "anna", "command"),
    ]
    assert sorted(row.text for row in rows(store, RuleText)) == ["text 1", "text 2"]
    with store.read() as connection:
        assert rule_texts.uses_of(connection, ["v1", "v9"]) == {"v1": use(FIRST, 0, ends=2)}


def test_who_says_that_an_older_file_is_meant(store: Store) -> None:
    for file in (FIRST, SECOND):
        store.write(partial(rule_texts.applied, file=file, by=ANNA, now=NOW))
    with store.read() as connection:
        assert rule_texts.older(connection, FIRST) is not None
    assert store.write(partial(rule_texts.mean, file=FIRST, by=BEN, now=LATER))
    assert not store.write(partial(rule_texts.mean, file=FIRST, by=BEN, now=LATER))
    with store.read() as connection:
        assert rule_texts.older(connection, FIRST) is None
        assert rule_texts.older(connection, SECOND) is not None
        assert acts.latest(connection, 9) == [acts.Done(LATER, Deed.APPLIED, "file", "v1", "ben", "console")]
