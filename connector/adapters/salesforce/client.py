"""Salesforce's client, through which every part of the adapter asks: requests signed, counted and judged, each in its lane."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TypeVar

from connector.adapters.client import Answer, Budget, Caller, Lane, Request, Unreachable
from connector.adapters.salesforce.login import SalesforceLogin
from connector.adapters.salesforce.transport import SalesforceTransport
from connector.adapters.salesforce.wire import errors as wire_errors
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Row
from connector.errors import ObjectStopped
from connector.model import SalesforceAccess

T = TypeVar("T")


class SalesforceClient:
    """Threads may share it. access: as it was configured.

    sleep: how to wait, in seconds, between retries. timeout, patience: see `SalesforceTransport`.
    """

    def __init__(
        self, access: SalesforceAccess, *, budget: Budget, sleep: Callable[[float], None], timeout: float, patience: float
    ) -> None:
        self.access = access
        self.sleep = sleep
        self._budget = budget
        self._transport = SalesforceTransport(access, timeout=timeout, patience=patience)
        self._login = SalesforceLogin(access, self._transport, budget)

    @property
    def instance(self) -> str:
        """The org's address: the one that the login told, before it the configured one."""
        return self._login.instance

    @property
    def user_id(self) -> str:
        """The user that the connector is, once it is logged in; "" where the login did not tell."""
        return self._login.user_id

    @property
    def unkept(self) -> str:
        """Why a newer refresh token is lost when this process ends; "" where none is."""
        return self._login.unkept

    @property
    def sent(self) -> int:
        """How many requests went out, logins included."""
        return self._transport.sent

    def caller(self, lane: Lane = "normal", send: Callable[[Request], Answer] | None = None) -> Caller:
        """A caller of its own each time: its count is then that of one pull, whatever other threads send."""
        return Caller(
            crm="salesforce",
            send=send or partial(self.send, lane=lane),
            judge=wire_errors.judge,
            budget=self._budget,
            sleep=self.sleep,
            lane=lane,
        )

    def send(self, request: Request, *, lane: Lane) -> wire.JsonAnswer:
        """The answer, parsed; with a fresh login and one replay where the session had ended, or the org has moved from the instance that
        the last login named. Both wait in the request's lane.

        Raises `Unreachable`; `PassStopped` where a login is refused; `Retriable` where logging in may work later.
        """
        token = self._login.token(lane)
        try:
            answer = self._exchange(request, token)
        except Unreachable as problem:
            if problem.sent or not self._login.moved:
                raise
        else:
            moved = answer.status in wire.MOVED and self._login.moved
            if answer.status != 401 and not moved:
                return wire.opened(answer)
        token = self._login.renewed(token, lane)  # whichever it was, nothing was done, so a create may be replayed too
        self._budget.take(request.bucket, lane)
        return wire.opened(self._exchange(request, token))

    def close(self) -> None:
        """Gives back connections."""
        self._transport.close()

    def _exchange(self, request: Request, token: str) -> Answer:
        """The answer; the budget learns the org's own count of calls, by all integrations, which is on every answer."""
        answer = self._transport.exchange(self._login.instance, request, token)
        usage = wire.api_usage(answer.headers)
        if usage is not None:
            self._budget.learn("day", *usage)
        return answer


def rows_of(caller: Caller, soql: str, *, about: str, all_rows: bool) -> Iterator[Row]:
    """Every row of a query, once, page by page. soql: asks for Id, in no order of its own; where its cursor vanishes, a query goes on
    behind the last row."""
    last, got_on = "", True
    request: Request | None = wire.query(wire_query.by_id(soql), all_rows=all_rows, about=about)
    while request is not None:
        try:
            page = wire.query_page(caller.call(request), about)
        except ObjectStopped as error:
            if error.code != wire_errors.LOST_CURSOR or not got_on:
                raise
            got_on, request = False, wire.query(wire_query.by_id(soql, behind=last), all_rows=all_rows, about=about)
            continue
        rows = [row for row in page.rows if isinstance(row, dict)]
        last, got_on = (str(rows[-1].get("Id") or last), True) if rows else (last, got_on)
        yield from rows
        request = wire.more(page.locator, about=about) if page.locator is not None else None


def without_lacking(ask: Callable[[], T], optional: Collection[str], lacking: set[str]) -> T:
    """What was asked for, without each optional field that the org turns out not to have; `lacking` then names them."""
    while True:
        try:
            return ask()
        except wire_errors.NoSuchColumn as error:
            name = next((name for name in optional if name.lower() == error.column.lower()), None)
            if name is None or name in lacking:
                raise
            lacking.add(name)


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items, at most `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
