"""The file's past: each text that was applied, kept once, and from when to when it was in force, by whom.

An older file is one that was in force and has been replaced by another since: whoever starts the program with it may not know. It is told
by what its rules say, so that a comment or a mode makes no other file of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from connector.model import Actor, Deed
from connector.store import acts
from connector.store.bulk import add_missing, upsert
from connector.store.tables import metadata

_TEXT = metadata.tables["rule_text"]
_USE = metadata.tables["rule_use"]
_META = metadata.tables["meta"]

#: The name in `meta` of the version that everybody was judged by last.
APPLIED = "config"


class File(NamedTuple):
    """A file as it is applied. version, rules: see `connector.config.tables.Config`."""

    text: str
    version: str
    rules: str

    @property
    def digest(self) -> str:
        """Of the text."""
        return sha256(self.text.encode()).hexdigest()


class Use(NamedTuple):
    """A text's time in force. until: None for the one that is."""

    digest: str
    version: str
    rules: str
    since: datetime
    until: datetime | None
    by: str
    way: str


class Replaced(NamedTuple):
    """An older file: when it was in force last, and what came instead."""

    use: Use
    successor: Use


# ── Deciding ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def replaced(uses: Sequence[Use], file: File) -> Replaced | None:
    """Where a file is an older one: its last use, and the first one after it that says otherwise. uses: the oldest first."""
    if not uses or _same(uses[-1], file):
        return None
    theirs = [place for place, use in enumerate(uses) if _same(use, file)]
    if not theirs:
        return None
    last = theirs[-1]
    return Replaced(uses[last], uses[last + 1])


def _same(use: Use, file: File) -> bool:
    return use.rules == file.rules or use.digest == file.digest


# ── Reading and writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

_COLUMNS = [_USE.c[name] for name in Use._fields]


def in_force(connection: Connection) -> Use | None:
    """The use of the file that is in force; None where none was kept yet."""
    row = connection.execute(select(*_COLUMNS).order_by(_USE.c.number.desc()).limit(1)).first()
    return None if row is None else Use._make(row)


def older(connection: Connection, file: File) -> Replaced | None:
    """What replaced a file that was in force before; None where it is in force, or new."""
    present = in_force(connection)
    if present is None or _same(present, file):
        return None
    return replaced([Use._make(row) for row in connection.execute(select(*_COLUMNS).order_by(_USE.c.number))], file)


def uses_of(connection: Connection, versions: Sequence[str]) -> dict[str, Use]:
    """The first use of each of these versions."""
    first = select(func.min(_USE.c.number)).where(_USE.c.version.in_(versions)).group_by(_USE.c.version)
    rows = connection.execute(select(*_COLUMNS).where(_USE.c.number.in_(first)))
    return {use.version: use for use in map(Use._make, rows)}


def put_in_force(connection: Connection, file: File, by: Actor, now: datetime) -> bool:
    """The file is in force from now on; whether it was not before, by its text and version."""
    present = in_force(connection)
    if present is not None and (present.digest, present.version) == (file.digest, file.version):
        return False
    connection.execute(update(_USE).where(_USE.c.until.is_(None)).values(until=now))
    add_missing(connection, _TEXT, [{"digest": file.digest, "text": file.text}])
    use = Use(file.digest, file.version, file.rules, now, None, by.name, by.way)
    connection.execute(insert(_USE).values(use._asdict()))
    return True


def applied(connection: Connection, file: File, by: Actor, now: datetime) -> None:
    """A pass applied the file: everybody is to be judged by it from now on."""
    put_in_force(connection, file, by, now)
    upsert(connection, _META, [{"name": APPLIED, "value": file.version}])


def mean(connection: Connection, file: File, by: Actor, now: datetime) -> bool:
    """Somebody says that this file is meant, an older one or not: the next pass applies it. False where it is in force already."""
    if not put_in_force(connection, file, by, now):
        return False
    acts.note(connection, Deed.APPLIED, "file", file.version, by, now)
    return True
