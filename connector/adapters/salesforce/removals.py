"""What the pull does not see go: records that were deleted for good, and what became of records that should be there.

The log of deletions names ids and times only; what each means is asked of the rows themselves: still in the recycle bin, merged into
another, restored since, or not there at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connector.adapters.client import Caller
from connector.adapters.salesforce.client import SalesforceClient, batches, rows_of
from connector.adapters.salesforce.read_by_id import read_rows
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Deletions, Row
from connector.errors import ObjectStopped
from connector.model import Cursor, Fate, RecordRef, Removal, RemovalPage, long_id

#: The code of the error where the log does not reach back to the cursor.
TOO_LONG_AGO = "TOO_LONG_AGO"
#: Removals a page at most; the log of one window may name 600,000.
_A_PAGE = 2_000
#: Off from the 15 days, for clocks that differ.
_MARGIN = timedelta(minutes=10)
_NOT_SO_FAR = "INVALID_REPLICATION_DATE"
_TOO_MANY = "EXCEEDED_ID_LIMIT"


def removals(client: SalesforceClient, object_name: str, cursor: Cursor | None, *, now: datetime) -> Iterator[RemovalPage]:
    """What was deleted since the cursor, window by window; nothing for an object that has no such log.

    The cursor is {"covered": moment}: where Salesforce says that the next window begins. Raises `ObjectStopped` (TOO_LONG_AGO) where the
    log does not reach back to it.
    """
    if object_name in wire.DELETABLE:
        yield from _LogReading(caller=client.caller("backfill"), object=object_name, now=now).pages(cursor)


@dataclass(kw_only=True)
class _LogReading:
    """One reading of one object's log of deletions. caller: its own, so that its count tells what a page cost."""

    caller: Caller
    object: str
    now: datetime
    _counted: int = 0

    def pages(self, cursor: Cursor | None) -> Iterator[RemovalPage]:
        end = _minute(self.now)
        oldest = end - wire.DELETIONS_KEPT + _MARGIN
        start = oldest if cursor is None else wire.moment_of(cursor["covered"])
        if start < oldest:
            raise self._too_long_ago(start)
        known, first = cursor is not None, cursor is None
        while end - _minute(start) > wire.SHORTEST_DELETIONS:
            try:
                log, until = self._window(_minute(start), end)
            except ObjectStopped as error:
                if self._has_no_log(error):
                    return
                if error.code != _NOT_SO_FAR:
                    raise
                if known:
                    raise self._too_long_ago(start) from error
                start, known = self._earliest(end, error), True
                continue
            if known and cursor is not None and log.earliest is not None and log.earliest > start:
                raise self._too_long_ago(start)
            known, cursor = True, None  # from here on the log is known to reach back
            covered = log.covered or until
            last = until >= end or covered <= start  # a transaction that began before `start` is still open: later
            pages = self._pages_of(log, start, covered, last=last)
            if first:
                yield replace(next(pages), since=start)
                first = False
            yield from pages
            if last:
                return
            start = covered
        yield self._page({"covered": wire.literal(start)}, (), last=True)

    def _window(self, start: datetime, end: datetime) -> tuple[Deletions, datetime]:
        """The log from `start` on, as far towards `end` as it goes into one answer."""
        while True:
            request = wire.deleted(self.object, start, end)
            try:
                return wire.deletions(self.caller.call(request), request.about), end
            except ObjectStopped as error:
                half = _minute(start + (end - start) / 2)
                if error.code != _TOO_MANY or half - start <= wire.SHORTEST_DELETIONS:
                    raise
                end = half

    def _earliest(self, end: datetime, error: ObjectStopped) -> datetime:
        """How far the log reaches back, which every good answer tells."""
        log, _ = self._window(end - 2 * wire.SHORTEST_DELETIONS, end)
        if log.earliest is None or log.earliest > end:
            raise error
        return _minute(log.earliest) + timedelta(minutes=1)

    def _has_no_log(self, error: ObjectStopped) -> bool:
        """Whether the object is one that cannot be replicated, whatever the error is called."""
        if error.code in (_NOT_SO_FAR, _TOO_MANY, wire.STRANGE_ANSWER):
            return False
        described = wire.value_of(self.caller.call(wire.describe(self.object)))
        return isinstance(described, dict) and described.get("replicateable") is False

    def _pages_of(self, log: Deletions, start: datetime, covered: datetime, *, last: bool) -> Iterator[RemovalPage]:
        """The window's removals; the cursor moves on with the last of its pages."""
        parts = list(batches(log.rows, _A_PAGE)) or [()]
        for number, part in enumerate(parts, 1):
            when = dict(part)
            found = [replace(removal, at=when[name]) for name, removal in _fates(self.caller, self.object, list(when)).items()]
            done = number == len(parts)
            yield self._page({"covered": wire.literal(covered if done else start)}, found, last=last and done)

    def _page(self, cursor: Cursor, found: Sequence[Removal], *, last: bool) -> RemovalPage:
        calls, self._counted = self.caller.count - self._counted, self.caller.count
        return RemovalPage(crm="salesforce", object=self.object, cursor=cursor, calls=calls, removals=found, last=last)

    def _too_long_ago(self, start: datetime) -> ObjectStopped:
        return ObjectStopped(
            f"salesforce's log of deleted {self.object} does not reach back to {start:%Y-%m-%d %H:%M} UTC",
            crm="salesforce",
            code=TOO_LONG_AGO,
            advice="Nothing to do: the connector compares all ids instead. Looking for deletions more often keeps to the log, which holds "
            "15 days at most.",
        )


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


# ── What became of a record ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def fates(client: SalesforceClient, object_name: str, ids: Sequence[str]) -> dict[str, Removal]:
    """What became of records that should be there, by the ids asked for; live ones are left out.

    Most are live where there are many: those are found 2,000 to a call, and only the rest is looked for among the deleted.
    """
    caller = client.caller("backfill")
    wanted = {wire.same(record_id): record_id for record_id in ids}
    asked = [record_id for record_id in wanted.values() if wire.is_id(record_id)]
    if sum(1 for _ in _queries(object_name, asked[: wire.READ_BATCH])) > 1:
        existing = read_rows(caller, object_name, asked, _fields(object_name))
        live = {wire.same(str(row.get("Id"))) for row in existing if not _gone(row)}
        asked = [record_id for record_id in asked if wire.same(record_id) not in live]
    found = _fates(caller, object_name, asked)
    no_ids = {text: _removal(object_name, text, Fate.DELETED) for text in wanted.values() if not wire.is_id(text)}
    by_name = {wire.same(name): removal for name, removal in found.items()} | {wire.same(name): removal for name, removal in no_ids.items()}
    return {
        record_id: replace(removal, record=replace(removal.record, id=record_id))
        for record_id in ids
        if (removal := by_name.get(wire.same(record_id))) is not None
    }


def _fates(caller: Caller, object_name: str, ids: Sequence[str]) -> dict[str, Removal]:
    """Those of `ids` that are gone, by the ids as they stand there."""
    if not ids:
        return {}
    rows = _rows(caller, object_name, ids)
    masters = _survivors(caller, object_name, rows)
    gone: dict[str, Removal] = {}
    for record_id in ids:
        row = rows.get(wire.same(record_id))
        if row is None:
            gone[record_id] = _removal(object_name, record_id, Fate.DELETED)
        elif _gone(row):
            master = masters.get(wire.same(record_id))
            gone[record_id] = _removal(object_name, record_id, Fate.MERGED if master else Fate.ARCHIVED, master)
    return gone


def _survivors(caller: Caller, object_name: str, rows: dict[str, Row]) -> dict[str, str]:
    """For each row that was merged, the record at the end of the chain of winners, which may have lost a merge themselves."""
    known = dict(rows)
    while unknown := sorted({master for row in known.values() if (master := _master(row)) and wire.same(master) not in known}):
        known |= {wire.same(master): {"Id": master} for master in unknown}  # one that is gone for good ends its chain
        known |= _rows(caller, object_name, unknown)
    survivors: dict[str, str] = {}
    for name, row in rows.items():
        passed, master = {name}, _master(row)
        while master is not None and wire.same(master) not in passed and (further := _master(known[wire.same(master)])) is not None:
            passed.add(wire.same(master))
            master = further
        if master is not None:
            survivors[name] = long_id(master)
    return survivors


def _master(row: Row) -> str | None:
    master = row.get("MasterRecordId")
    return master if _gone(row) and isinstance(master, str) and wire.is_id(master) else None


def _gone(row: Row) -> bool:
    return row.get("IsDeleted") is True


def _rows(caller: Caller, object_name: str, ids: Sequence[str]) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for soql in _queries(object_name, ids):
        found = rows_of(caller, soql, about=f"asking what became of {object_name}", all_rows=True)
        rows.update((wire.same(str(row.get("Id"))), row) for row in found)
    return rows


def _queries(object_name: str, ids: Sequence[str]) -> Iterator[str]:
    return wire_query.by_values(object_name, _fields(object_name), "Id", [wire.same(record_id) for record_id in ids])


def _fields(object_name: str) -> tuple[str, ...]:
    return ("Id", "IsDeleted", "MasterRecordId") if object_name in wire.MERGEABLE else ("Id", "IsDeleted")


def _removal(object_name: str, record_id: str, fate: Fate, into: str | None = None) -> Removal:
    return Removal(record=RecordRef(crm="salesforce", object=object_name, id=record_id), fate=fate, into=into)
