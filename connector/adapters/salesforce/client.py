"""One way to ask an org, for every part of the adapter: each request in its lane, whole queries, records by id.

Requests go out through `calling.Caller` (budget, judgement, retries) and the one session.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from connector.adapters.client import Answer, Budget, Caller, Lane, Request
from connector.adapters.salesforce.session import SalesforceSession
from connector.adapters.salesforce.wire import errors as wire_errors
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Row
from connector.errors import ObjectStopped

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What it takes to ask. sleep: seconds."""

    session: SalesforceSession
    budget: Budget
    sleep: Callable[[float], None]

    def caller(self, lane: Lane = "normal", send: Callable[[Request], Answer] | None = None) -> Caller:
        """A caller of its own each time: its count is then that of one pull, whatever other threads send."""
        return Caller(
            crm="salesforce",
            send=send or partial(self.send, lane=lane),
            judge=wire_errors.judge,
            budget=self.budget,
            sleep=self.sleep,
            lane=lane,
        )

    def send(self, request: Request, *, lane: Lane) -> Answer:
        """The answer, parsed; see `SalesforceSession.send`."""
        return wire.opened(self.session.send(request, lane))


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


def retrieved_by_id(caller: Caller, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Row]:
    """The rows that exist, as many to a request as it takes."""
    for batch in batches(ids, wire.READ_BATCH):
        request = wire.retrieve(object_name, batch, fields)
        yield from wire.retrieved(caller.call(request), request.about)


def without_lacking(ask: Callable[[], T], optional: Collection[str], lacking: set[str]) -> T:
    """Asks, and again without each optional field that the org turns out not to have; `lacking` then names them."""
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
