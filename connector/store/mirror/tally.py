"""What one pull has met, each record once, however often its pages bring it; memory does not grow with how many there are.

A record comes twice where windows of a read overlap, where two readers meet, and where it changes while it is read. Up to some thousand
keys are kept in memory; beyond that in a temporary database of SQLite that goes with the tally. It holds ids, and no value of anybody.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import orjson

from connector.store.mirror.pages import PageResult
from connector.store.mirror.rows import Key

#: How many keys are kept in memory.
_KEPT = 5_000
_STORED, _UNCHANGED, _ASIDE = "stored", "unchanged", "aside"


@dataclass(frozen=True, slots=True)
class TallyCounts:
    """By how much the counts of a pull go up with a page. unchanged may go down: a record changed that came as it was before."""

    stored: int = 0
    unchanged: int = 0
    set_aside: int = 0

    @property
    def seen(self) -> int:
        """How many records came that had not come before."""
        return self.stored + self.unchanged + self.set_aside


class Tally:
    """The fates of all that a pull met. Of one thread; to be closed."""

    def __init__(self) -> None:
        self._recent: dict[Key, str] = {}
        self._older: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._older is not None:
            self._older.close()

    def add(self, result: PageResult) -> TallyCounts:
        """Takes a page in. Of one that came before, the last fate counts; "unchanged" says nothing against that it was stored."""
        fates = dict.fromkeys(result.keys, _UNCHANGED)
        fates |= dict.fromkeys(result.stored_keys, _STORED)
        fates |= dict.fromkeys(result.aside_keys, _ASIDE)
        before = self._known(fates)
        changes = dict.fromkeys((_STORED, _UNCHANGED, _ASIDE), 0)
        changes[_ASIDE] += result.nameless
        for key, fate in fates.items():
            earlier = before.get(key)
            if earlier is None or (fate != earlier and (earlier, fate) != (_STORED, _UNCHANGED)):
                changes[fate] += 1
                self._recent[key] = fate
                if earlier is not None:
                    changes[earlier] -= 1
        if len(self._recent) > _KEPT:
            self._put_away()
        return TallyCounts(stored=changes[_STORED], unchanged=changes[_UNCHANGED], set_aside=changes[_ASIDE])

    def _known(self, keys: Iterable[Key]) -> Mapping[Key, str]:
        known = {key: self._recent[key] for key in keys if key in self._recent}
        if self._older is None:
            return known
        unknown = [f"{name}\t{row_id}" for name, row_id in keys if (name, row_id) not in known]
        query = "SELECT key, fate FROM met WHERE key IN (SELECT value FROM json_each(?))"
        for text, fate in self._older.execute(query, (orjson.dumps(unknown).decode(),)):
            name, _, row_id = text.partition("\t")
            known[name, row_id] = fate
        return known

    def _put_away(self) -> None:
        if self._older is None:
            self._older = sqlite3.connect("", isolation_level=None)  # a file of its own in the system's temporary folder, gone when closed
            for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1024"):
                with closing(self._older.execute(f"PRAGMA {setting}")):
                    pass
            self._older.execute("CREATE TABLE met (key TEXT PRIMARY KEY, fate TEXT NOT NULL) WITHOUT ROWID")
        rows = sorted((f"{name}\t{row_id}", fate) for (name, row_id), fate in self._recent.items())
        self._older.execute("BEGIN")
        self._older.executemany("INSERT INTO met VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET fate = excluded.fate", rows)
        self._older.execute("COMMIT")
        self._recent.clear()
