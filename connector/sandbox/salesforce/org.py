"""The state of the sandbox's Salesforce beside its records: sessions, the day's calls, open cursors, what is locked, late or gone."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import RLock
from typing import Any

from connector.sandbox.salesforce.errors import Refused, RowRefused
from connector.sandbox.salesforce.index import Indexes
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.salesforce.schema import Schema, long_id
from connector.sandbox.salesforce.writes import STAMPS, Change, Writer
from connector.sandbox.state import Edit, World

#: A session dies when it was idle for so long (a common setting: https://help.salesforce.com/s/articleView?id=sf.admin_sessions.htm).
SESSION_IDLE = timedelta(hours=2)
#: Two official texts disagree on cursors; this is the stricter: 15 minutes idle, ten a user, the oldest goes first
#: (https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_query_querylocator.htm).
CURSOR_IDLE = timedelta(minutes=15)
CURSORS = 10
#: The largest page, and the bounds of what `batchSize` may ask for.
BATCH_SIZES = (200, 2000)
#: What lies longer in the recycle bin is gone (https://help.salesforce.com/s/articleView?id=sf.home_delete.htm).
BIN_KEEPS = timedelta(days=15)
_TIDY_EVERY = timedelta(hours=1)

ORG_ID = long_id("00DgR0000000001")


@dataclass
class Session:
    """One access token's life."""

    used: datetime
    calls: int = 0


@dataclass
class Cursor:
    """The rest of a query's answer."""

    rows: list[dict[str, Any]]
    render: Callable[[dict[str, Any]], dict[str, Any]]
    size: int
    used: datetime
    pages: int = 1


@dataclass(frozen=True)
class Late:
    """A transaction of somebody else: its stamp stands, its commit is to come."""

    begun: datetime
    visible: datetime
    changes: Sequence[Change]


@dataclass(kw_only=True)
class Org:
    """What all handlers and actions share; `lock` is held by whoever reads or changes it. now: aware.

    gone: object → id → when it was deleted, of what is in no bin any more. log_from: what was deleted earlier, the log of deletions has
    forgotten. locks: id → how many writes to it are still to be refused (UNABLE_TO_LOCK_ROW); triggers: the same, by a trigger of
    the org. crowded, closed: how many requests, logins are still to be refused.
    """

    world: World
    now: Callable[[], datetime]
    schema: Schema
    options: SalesforceOptions
    sessions: dict[str, Session] = field(default_factory=dict)
    calls: deque[datetime] = field(default_factory=deque)
    cursors: OrderedDict[str, Cursor] = field(default_factory=OrderedDict)
    jobs: dict[str, Any] = field(default_factory=dict)
    jobs_made: int = 0
    failing_jobs: list[str] = field(default_factory=list)
    gone: dict[str, dict[str, datetime]] = field(default_factory=dict)
    log_from: datetime | None = None
    locks: dict[str, int] = field(default_factory=dict)
    triggers: dict[str, int] = field(default_factory=dict)
    late: list[Late] = field(default_factory=list)
    spent_refresh_tokens: set[str] = field(default_factory=set)
    crowded: int = 0
    closed: int = 0
    logins: int = 0
    opened: int = 0
    lock: RLock = field(default_factory=RLock)

    def __post_init__(self) -> None:
        self.indexes = Indexes(self.schema.rows)
        self._tidied = self.now()

    # ── Sessions and calls ──

    def expire_sessions(self) -> None:
        """Ends every session: the next request of each is answered INVALID_SESSION_ID."""
        with self.lock:
            self.sessions.clear()

    def drop_cursors(self) -> None:
        """Forgets every open query: its next page is answered INVALID_QUERY_LOCATOR."""
        with self.lock:
            self.cursors.clear()

    def sign_in(self) -> str:
        """A new session's access token."""
        self.logins += 1
        token = f"{ORG_ID[:15]}!AQ{secrets.token_urlsafe(48)}"
        self.sessions[token] = Session(self.now())
        return token

    def signed_in(self, authorization: str) -> bool:
        """Whether the header names a living session, which then lives on."""
        scheme, _, token = authorization.partition(" ")
        session, now, most = self.sessions.get(token), self.now(), self.options.session_calls
        if scheme.lower() not in ("bearer", "oauth") or session is None:
            return False
        if now - session.used > SESSION_IDLE or (most is not None and session.calls >= most):
            del self.sessions[token]
            return False
        session.used = now
        session.calls += 1
        return True

    def used(self) -> int:
        """Calls of the last 24 hours."""
        begin = self.now() - timedelta(hours=24)
        while self.calls and self.calls[0] <= begin:
            self.calls.popleft()
        return len(self.calls)

    def count_call(self) -> None:
        """Counts one call. Raises `Refused` where the day's are spent, or where too many run at once; only the message tells which."""
        if self.crowded:
            self.crowded -= 1
            raise Refused(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
        if self.used() >= self.options.daily:
            raise Refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self.calls.append(self.now())

    # ── Cursors ──

    def open_cursor(self, cursor: Cursor) -> str:
        """Keeps a query open; returns its locator."""
        self.opened += 1
        locator = long_id(f"0r8gR{self.opened:010d}")
        self.cursors[locator] = cursor
        while len(self.cursors) > CURSORS:
            self.cursors.popitem(last=False)
        return locator

    def cursor(self, text: str) -> tuple[str, Cursor, int]:
        """`<locator>-<offset>` → locator, cursor, offset. Raises `Refused` where it is not open (any more)."""
        locator, _, offset = text.partition("-")
        found, now, most = self.cursors.get(locator), self.now(), self.options.cursor_pages
        spent = found is not None and (now - found.used > CURSOR_IDLE or (most is not None and found.pages >= most))
        if found is None or spent or not offset.isdigit() or int(offset) >= len(found.rows):
            self.cursors.pop(locator, None)
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        found.used = now
        found.pages += 1
        return locator, found, int(offset)

    # ── Writes ──

    def writer(self, *, user: str = "", assign: bool = False, api: bool = True) -> Writer:
        """Writes at this moment. api: by a request, to which locked rows are locked; else by a person, who waits for them."""
        claim = self._claim if api else self.commit_first
        return Writer(self.schema, user=user or self.world.connector_user_id, now=self.now(), assign=assign, claim=claim)

    def _claim(self, object_name: str, record_id: str) -> None:
        self.commit_first(object_name, record_id)
        if self.locks.get(record_id, 0) > 0:
            self.locks[record_id] -= 1
            raise RowRefused("UNABLE_TO_LOCK_ROW", f"unable to obtain exclusive access to this record or 1 records: {record_id}")
        if self.triggers.get(record_id, 0) > 0:
            self.triggers[record_id] -= 1
            raise RowRefused("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "HandoffTrigger: execution of BeforeUpdate: not in this quarter")

    def commit_first(self, object_name: str, record_id: str) -> None:
        """Who writes to a row that another transaction holds waits for that to end."""
        held = [late for late in self.late if any((change.object, change.id) == (object_name, record_id) for change in late.changes)]
        for late in held:
            self._commit(late)

    # ── Time goes on ──

    def settle(self) -> None:
        """Does what is due by now: late commits, and, every hour, the emptying of what lay too long in the bin."""
        now = self.now()
        for late in [late for late in self.late if late.visible <= now]:
            self._commit(late)
        if now - self._tidied >= _TIDY_EVERY:
            self._tidied = now
            self._empty_bin(now - BIN_KEEPS)

    def postpone(self, changes: Sequence[Change], seconds: float) -> None:
        """A transaction that began now and that others see later."""
        begun = self.now()
        self.late.append(Late(begun.replace(microsecond=0), begun + timedelta(seconds=seconds), changes))

    def _commit(self, late: Late) -> None:
        self.late.remove(late)
        for change in late.changes:
            table = self.schema.rows[change.object]
            if change.new:
                table[change.id] = change.values
            elif (row := table.get(change.id)) is not None:  # not emptied from the bin meanwhile
                self._note(late, change, row)
                stamp = max(row["SystemModstamp"], change.values.get("SystemModstamp", row["SystemModstamp"]))
                row.update({**change.values, "SystemModstamp": stamp})

    def _note(self, late: Late, change: Change, row: dict[str, Any]) -> None:
        """Late edits, at the moment that they are stamped with."""
        user = change.values.get("LastModifiedById")
        for name, value in change.values.items():
            if name not in STAMPS and row.get(name) != value:
                self.schema.edits.append(Edit("salesforce", change.object, change.id, name, row.get(name), value, late.begun, user))

    def _empty_bin(self, before: datetime) -> None:
        for object_name, table in self.schema.rows.items():
            for row in [row for row in table.values() if row.get("IsDeleted") and row["SystemModstamp"] <= before]:
                self.remove(object_name, row["Id"])

    def remove(self, object_name: str, record_id: str) -> None:
        """The record is nowhere any more but in the log of deletions."""
        row = self.schema.rows[object_name].pop(record_id)
        deleted = row["SystemModstamp"] if row.get("IsDeleted") else self.now().replace(microsecond=0)
        self.gone.setdefault(object_name, {})[record_id] = deleted
