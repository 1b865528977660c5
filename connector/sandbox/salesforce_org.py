"""The state of the sandbox's Salesforce beside its records: sessions, the day's count of calls, open query cursors."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from connector.sandbox.salesforce_errors import Refused
from connector.sandbox.salesforce_schema import Schema, long_id
from connector.sandbox.world import World

#: A session dies when it was idle for so long (a common setting: https://help.salesforce.com/s/articleView?id=sf.admin_sessions.htm).
SESSION_IDLE = timedelta(hours=2)
#: Two official texts disagree on cursors; this is the stricter: 15 minutes idle, ten a user, the oldest goes first
#: (https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_query_querylocator.htm).
CURSOR_IDLE = timedelta(minutes=15)
CURSORS = 10
#: The largest page, and the bounds of what `batchSize` may ask for.
BATCH_SIZES = (200, 2000)

ORG_ID = long_id("00DgR0000000001")


@dataclass
class Cursor:
    """The rest of a query's answer."""

    rows: list[dict[str, Any]]
    render: Callable[[dict[str, Any]], dict[str, Any]]
    size: int
    used: datetime


@dataclass(kw_only=True)
class Org:
    """What all handlers share. now: aware. daily: calls in any 24 hours. page_size: rows a page at most."""

    world: World
    now: Callable[[], datetime]
    client_id: str
    client_secret: str
    daily: int
    page_size: int
    schema: Schema
    sessions: dict[str, datetime] = field(default_factory=dict)
    calls: deque[datetime] = field(default_factory=deque)
    cursors: OrderedDict[str, Cursor] = field(default_factory=OrderedDict)
    logins: int = 0
    opened: int = 0

    def expire_sessions(self) -> None:
        """Ends every session: the next request of each is answered INVALID_SESSION_ID."""
        self.sessions.clear()

    def drop_cursors(self) -> None:
        """Forgets every open query: its next page is answered INVALID_QUERY_LOCATOR."""
        self.cursors.clear()

    def sign_in(self) -> str:
        """A new session's access token."""
        self.logins += 1
        token = f"{ORG_ID[:15]}!AQ{secrets.token_urlsafe(48)}"
        self.sessions[token] = self.now()
        return token

    def signed_in(self, authorization: str) -> bool:
        """Whether the header names a living session, which then lives on."""
        scheme, _, token = authorization.partition(" ")
        used, now = self.sessions.get(token), self.now()
        if scheme.lower() not in ("bearer", "oauth") or used is None:
            return False
        if now - used > SESSION_IDLE:
            del self.sessions[token]
            return False
        self.sessions[token] = now
        return True

    def used(self) -> int:
        """Calls of the last 24 hours."""
        begin = self.now() - timedelta(hours=24)
        while self.calls and self.calls[0] <= begin:
            self.calls.popleft()
        return len(self.calls)

    def count_call(self) -> None:
        """Counts one call. Raises `Refused` where the day's are spent."""
        if self.used() >= self.daily:
            raise Refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self.calls.append(self.now())

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
        found = self.cursors.get(locator)
        now = self.now()
        if found is None or now - found.used > CURSOR_IDLE or not offset.isdigit() or int(offset) >= len(found.rows):
            self.cursors.pop(locator, None)
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        found.used = now
        return locator, found, int(offset)
