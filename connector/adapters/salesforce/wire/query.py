"""SOQL for pulling: windows of time walked by the key (stamp, id), and look-ups by id that fit into a URI. No I/O.

Why SystemModstamp: it is indexed, read-only, and never behind LastModifiedDate, which imports can back-date
(https://help.salesforce.com/s/articleView?id=000387261&type=1). It has whole seconds, so ties are normal: the key needs the Id too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connector.adapters.salesforce.wire import requests as wire
from connector.errors import ObjectStopped
from connector.model import Cursor

#: queryAll shows deleted rows while they are in the recycle bin, 15 days; a longer silence needs a full read
#: (https://help.salesforce.com/s/articleView?id=xcloud.home_delete.htm).
RECYCLE_BIN = timedelta(days=15)

#: A field, perhaps of a related record, at most five relationships away
#: (https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_relationships_query_limits.htm).
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}(?:\.[A-Za-z][A-Za-z0-9_]{0,79}){0,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StampWindow:
    """Where a pull stands: rows stamped from `since` (None: the beginning) to `until`, those up to `key` (stamp, id) read already.

    upper: where `until` was too far for one query, the end of the part that is asked for now; span: how long that part is.
    """

    until: datetime
    since: datetime | None = None
    key: tuple[str, str] | None = None
    upper: datetime | None = None
    span: timedelta | None = None
    full: bool = False

    @classmethod
    def opened(cls, cursor: Cursor | None, *, now: datetime, overlap: timedelta) -> StampWindow:
        """The window to read next: the one under way, else what changed since the last, less the overlap; else everything.

        After a silence longer than the recycle bin keeps what was deleted, everything again.
        """
        if not cursor:
            return cls(until=now, full=True)
        if "until" in cursor:
            key = (cursor["stamp"], cursor["id"]) if cursor.get("id") else None
            since = wire.moment_of(cursor["since"]) if cursor.get("since") else None
            return cls(until=wire.moment_of(cursor["until"]), since=since, key=key, full=bool(cursor.get("full")))
        since = wire.moment_of(cursor["since"])
        if now - since > RECYCLE_BIN - overlap:
            return cls(until=now, full=True)
        return cls(until=now, since=since - overlap)

    def cursor(self) -> Cursor:
        """From here the window can be gone on with, by key; no cursor of Salesforce's is needed."""
        stands: dict[str, object] = {"until": wire.literal(self.until), "full": self.full}
        if self.since is not None:
            stands["since"] = wire.literal(self.since)
        if self.key is not None:
            stands["stamp"], stands["id"] = self.key
        return stands

    def done(self) -> Cursor:
        """The next window begins where this one ended (less the overlap)."""
        return {"since": wire.literal(self.until)}

    def halved(self) -> StampWindow | None:
        """Its first half, for a query that was too heavy; None where it is a minute short already."""
        low = wire.moment_of(self.key[0]) if self.key else self.since or datetime(2000, 1, 1, tzinfo=self.until.tzinfo)
        high = self.upper or self.until
        if high - low < timedelta(minutes=1):
            return None
        span = (high - low) / 2
        return replace(self, upper=low + span, span=span)

    def part_done(self) -> StampWindow:
        """What is left once the part up to `upper` was read; asked for in a part twice as long as the last that passed."""
        upper = None if self.upper is None or self.span is None else self.upper + 2 * self.span
        if upper is None or self.span is None or upper >= self.until:
            return replace(self, since=self.upper, key=None, upper=None, span=None)
        return replace(self, since=self.upper, key=None, upper=upper, span=2 * self.span)

    def where(self, stamp: str) -> str:
        """The conditions of this window on a stamp field; the key walks through ties without losing or repeating a row."""
        parts = [f"{stamp} <= {wire.literal(self.upper or self.until)}"]
        if self.since is not None and self.key is None:
            parts.append(f"{stamp} >= {wire.literal(self.since)}")
        if self.key is not None:
            at, record_id = wire.literal(wire.moment_of(self.key[0])), quoted(self.key[1])
            # The first line is implied by the second; it is what Salesforce's optimiser can use the index for.
            parts.append(f"{stamp} >= {at}")
            parts.append(f"(({stamp} = {at} AND Id > {record_id}) OR {stamp} > {at})")
        return " AND ".join(parts)


def select(object_name: str, fields: Sequence[str], *, where: str = "", order: str = "") -> str:
    """A query over one object. Raises `ObjectStopped` for a field name that is none."""
    for name in fields:
        if _NAME.fullmatch(name) is None:
            raise ObjectStopped(
                f"{name!r} is no name of a field of {object_name}",
                crm="salesforce",
                code="INVALID_FIELD",
                advice="Use the field's API name, as Setup, Object Manager shows it.",
            )
    text = f"SELECT {', '.join(fields)} FROM {object_name}"  # noqa: S608  # names are checked above, values quoted by their makers
    return text + (f" WHERE {where}" if where else "") + (f" ORDER BY {order}" if order else "")


def by_id(soql: str, *, behind: str = "") -> str:
    """This query in the order of its rows' ids, from behind one of them on. soql: without an order, its conditions joined by AND."""
    where = (" AND " if " WHERE " in soql else " WHERE ") + f"Id > {quoted(behind)}" if behind else ""
    return f"{soql}{where} ORDER BY Id"


def count(object_name: str, *, where: str = "") -> str:
    """A query that tells nothing but how many rows there are, in totalSize
    (https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_count.htm)."""
    return f"SELECT COUNT() FROM {object_name}" + (f" WHERE {where}" if where else "")  # noqa: S608  # values are quoted by their makers


def quoted(text: str) -> str:
    """A text in SOQL (https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_quotedstringescapes.htm)."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def split_fields(first: Sequence[str], others: Sequence[str], *, room: int) -> tuple[list[str], list[str]]:
    """Fields that go into the query (at most `room` bytes, encoded), and those to read by id afterwards."""
    taken = list(dict.fromkeys(first))
    known = {name.lower() for name in taken}  # a field that comes twice, in any case of letters, is an error
    left: list[str] = []
    size = sum(len(name) + 4 for name in taken)  # ", " is "%2C%20" at worst, "," and "%20" here
    for name in others:
        if name.lower() in known:
            continue
        known.add(name.lower())
        size += len(name) + 4
        (taken if size <= room else left).append(name)
    return taken, left


def by_values(object_name: str, fields: Sequence[str], field: str, values: Sequence[str], *, where: str = "") -> Iterator[str]:
    """Queries for rows whose `field` is one of `values`, as few as fit into a URI."""
    room = wire.LONGEST_TARGET - len(wire.target(wire.query(_in(object_name, fields, field, (), where), all_rows=True, about="")))
    chunk: list[str] = []
    left = room
    for value in values:
        size = wire.encoded_length(quoted(value)) + 1
        if chunk and size > left:
            yield _in(object_name, fields, field, chunk, where)
            chunk, left = [], room
        chunk.append(value)
        left -= size
    if chunk:
        yield _in(object_name, fields, field, chunk, where)


def _in(object_name: str, fields: Sequence[str], field: str, values: Sequence[str], where: str) -> str:
    listed = ",".join(quoted(value) for value in values)
    return select(object_name, fields, where=f"{field} IN ({listed})" + (f" AND {where}" if where else ""))
