"""HubSpot behind the port: start here. Pulling, reading, writing and checking have modules of their own; vendor facts are in `wire*`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from threading import Lock

from connector.adapters.client import Answer, Budget, Caller, Lane, Request
from connector.adapters.hubspot import activities_of_people, read_by_id, write
from connector.adapters.hubspot import removals as removing
from connector.adapters.hubspot import schema as describing
from connector.adapters.hubspot.check import Check
from connector.adapters.hubspot.id_order import Order
from connector.adapters.hubspot.oauth import OAuthToken, Renewing
from connector.adapters.hubspot.pages import Gathered, Pages
from connector.adapters.hubspot.pull import Pull, under_way
from connector.adapters.hubspot.refill import Refill
from connector.adapters.hubspot.removals import Bins, Look
from connector.adapters.hubspot.transport import Meter, Settings, Transport
from connector.adapters.hubspot.wire import checks as wire_checks
from connector.adapters.hubspot.wire.account import Account, read_account
from connector.adapters.hubspot.wire.errors import judge
from connector.adapters.hubspot.wire.records import read_total
from connector.adapters.hubspot.wire.requests import BATCH_LIMIT, OBJECT_TYPE_IDS, STREAMS, Api, properties_to_ask
from connector.errors import CrmError
from connector.model import (
    Activity,
    CrmName,
    Cursor,
    FieldWrite,
    Finding,
    Page,
    Record,
    RecordRef,
    Removal,
    RemovalPage,
    Schema,
    Surroundings,
    TaskWrite,
    Uses,
    WriteOutcome,
)


class HubSpotCrm:
    """Implements `connector.adapters.port.Crm`. Different streams may be pulled by different threads at once.

    wanted: object ("contacts", "companies") → the properties that records carry. sleep: how to wait, in seconds, between retries; clock:
    seconds, for the age of an OAuth token. overlap: an incremental pull begins so long before the last one ended, since HubSpot's search
    lags "a few moments" behind (https://developers.hubspot.com/docs/api-reference/search/guide). timeout: seconds without an answer.
    send: how requests go out, in place of HTTP.
    """

    name: CrmName = "hubspot"

    def __init__(
        self,
        settings: Settings,
        *,
        wanted: Mapping[str, Sequence[str]],
        budget: Budget,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        overlap: timedelta = timedelta(minutes=10),
        timeout: float = 30.0,
        send: Callable[[Request], Answer] | None = None,
    ) -> None:
        self._token = settings.access_token.read() if settings.access_token is not None else None
        self._transport = Transport(base_url=settings.base_url, token=self._token, ca_bundle=settings.ca_bundle, timeout=timeout)
        self._meter = Meter(send or self._transport, budget)
        self._oauth: OAuthToken | None = None
        self._renewing: Renewing | None = None
        if self._token is None:
            self._oauth = OAuthToken(settings, send=self._meter, budget=budget, sleep=sleep, clock=clock)
            self._renewing = Renewing(self._meter, self._oauth, budget)
        self._wanted = {name: tuple(dict.fromkeys(properties)) for name, properties in wanted.items()}
        self._budget = budget
        self._sleep = sleep
        self._overlap = overlap
        self._api = Api(settings.api_version)
        self._order = Order(self._api)
        self._bins = Bins()
        # What somebody waits for: reads by id, writes, the fast lane.
        self._caller = self._new_caller("urgent")
        self._account: Account | None = None
        self._account_lock = Lock()

    def _new_caller(self, lane: Lane = "normal") -> Caller:
        send: Callable[[Request], Answer] = self._meter if self._renewing is None else partial(self._renewing, lane=lane)
        return Caller(crm="hubspot", send=send, judge=self._judge, budget=self._budget, sleep=self._sleep, lane=lane)

    def _judge(self, request: Request, answer: Answer) -> CrmError | None:
        return judge(request, answer, self._account.zone if self._account is not None else None)

    def streams(self) -> Sequence[str]:
        """Owners and companies before contacts, contacts before what happened with them."""
        return STREAMS

    def want(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """See the port."""
        self._wanted = {name: tuple(dict.fromkeys(names)) for name, names in wanted.items()}

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """See the port. First everything, by pages of 1,000; then closed windows of what changed. Close it where it is left before its end.

        Callers of its own: their counts tell what a page cost, whatever other threads do.
        """
        pull = Pull(
            api=self._api,
            caller=self._new_caller(),
            backfill=self._new_caller("backfill"),
            stream=stream,
            wanted=self._wanted.get(stream, ()),
            overlap=self._overlap,
            now=now,
        )
        return pull.pages(cursor)

    def under_way(self, cursor: Cursor) -> bool:
        """See the port."""
        return under_way(cursor)

    def read(self, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane = "urgent") -> Mapping[str, Record]:
        """See the port. `company_id` is not read: it is an association, and stays as the last pull brought it."""
        return read_by_id.read_records(self._api, self._new_caller(lane), object_name, ids, properties)

    def bring(self, object_name: str, ids: Sequence[str]) -> Page:
        """See the port. A request for 100 ids, and one for 1,000 links."""
        caller = self._new_caller("backfill")
        wanted = self._wanted.get(object_name, ())
        raws = read_by_id.read_raw(self._api, caller, object_name, ids, properties_to_ask(object_name, wanted))
        gathered = Gathered()
        gathered.add(list(raws.values()))
        pages = Pages(api=self._api, caller=caller, stream=object_name, wanted=wanted)
        return pages.page(gathered, {}, calls=caller.count, last=False, full=False)

    def removals(self, object_name: str, cursor: Cursor | None, *, now: datetime) -> Iterator[RemovalPage]:
        """See the port. The whole recycle bin each time, which holds 90 days; what the last look told is left out."""
        look = Look(api=self._api, caller=self._new_caller("backfill"), object_name=object_name, bins=self._bins, now=now)
        return look.pages(cursor)

    def tells_removals(self, object_name: str) -> bool:
        """Owners by the pull, meetings never, others by `removals` unless HubSpot turned out to refuse that."""
        return object_name not in self._bins.closed

    def fates(self, object_name: str, ids: Sequence[str]) -> Mapping[str, Removal]:
        """See the port. A request for 100 ids, a second for those missing in it, and one each for what is unclear then."""
        return removing.fates(self._api, self._new_caller("backfill"), object_name, ids)

    def tells_restored(self, object_name: str) -> bool:  # noqa: ARG002 - of no object
        """False: no modified date tells it, so that `bring` has to."""
        return False

    def countable(self, object_name: str) -> bool:
        """See the port. Two searches the first time; True while there is no record to tell by."""
        return self._order.numeric(object_name, self._new_caller("backfill")) is not False

    def count(self, object_name: str, first: int, last: int) -> int:
        """See the port. One search."""
        return self._order.count(object_name, first, last, self._new_caller("backfill"))

    def refill(self, object_name: str, properties: Sequence[str], cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:  # noqa: ARG002
        """See the port. `company_id` is not read: it is an association."""
        caller = self._new_caller("backfill")
        return Refill(api=self._api, caller=caller, object_name=object_name, properties=tuple(dict.fromkeys(properties))).pages(cursor)

    def relink(self, object_name: str, ids: Sequence[str]) -> Mapping[str, Sequence[RecordRef]]:
        """See the port. A changed association does not bump the date by which the pull goes."""
        return activities_of_people.relink(self._api, self._new_caller(), object_name, ids)

    def activities_of(self, object_name: str, ids: Sequence[str]) -> Sequence[Activity]:
        """See the port. Contacts alone are people here."""
        return activities_of_people.activities_of(self._api, self._caller, ids) if object_name == "contacts" else ()

    def schema(self, objects: Sequence[str]) -> Schema:
        """See the port. Raises `ObjectStopped` (code MISSING_SCOPES) for an object whose properties may not be read."""
        return describing.schema(self._api, self._new_caller(), objects)

    def batch_size(self, object_name: str) -> int:  # noqa: ARG002 - the same for all objects of HubSpot
        """100."""
        return BATCH_LIMIT

    def update(self, object_name: str, writes: Sequence[FieldWrite]) -> list[WriteOutcome]:
        """See the port. A stage that HubSpot silently left as it was is refused with code IGNORED."""
        return write.update(self._api, self._caller, object_name, writes)

    def create_tasks(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        """See the port. The key goes into the body as `wire.task_marker(key)`; pulled activities carry that mark in `key`."""
        return write.create_tasks(self._api, self._caller, writes)

    def find_tasks(self, writes: Sequence[TaskWrite]) -> Mapping[str, str]:
        """See the port. Keys are those of the writes, not their marks."""
        return read_by_id.find_tasks(self._api, self._caller, writes)

    def read_tasks(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:
        """See the port. `key` is the mark (`wire.task_marker`), `due_at` ISO 8601 in UTC."""
        return read_by_id.read_tasks(self._api, self._caller, ids)

    def check(self, *, now: datetime, uses: Uses | None = None) -> list[Finding]:
        """See the port."""
        check = Check(
            api=self._api,
            caller=self._new_caller(),
            token_info=self._token_info,
            uses=uses or Uses(),
            now=now,
            oauth=self._oauth is not None,
            unkept=lambda: self._oauth.unkept if self._oauth is not None else "",
        )
        return check.findings()

    def _token_info(self) -> Request:
        return self._oauth.introspection() if self._oauth is not None else self._api.token_info(self._token or "")

    def how_many(self, object_name: str, name: str | None = None, value: str | None = None) -> int | None:
        """See the port. One search."""
        return self._new_caller().ask(wire_checks.count(self._api, object_name, name, value), read_total)

    def surroundings(self) -> Surroundings:
        """Where records are opened.

        No defaults: which stage a new contact gets is a setting that no API tells, and a property's definition has no default value. No
        own users: a token is no owner; the `userId` that HubSpot names with it is the person's who made it.
        """
        links = {name: self.record_url(name, "{id}") for name in OBJECT_TYPE_IDS}
        return Surroundings(links=links)

    def record_url(self, object_name: str, record_id: str) -> str:
        """The record's page. Account number and host of the user interface (it differs by region) are asked for once."""
        with self._account_lock:
            if self._account is None:
                self._account = self._new_caller().ask(self._api.account(), read_account)
            account = self._account
        return f"https://{account.host}/contacts/{account.portal}/record/{OBJECT_TYPE_IDS[object_name]}/{record_id}"

    def calls(self) -> int:
        """Requests sent so far, repeated ones counted each time."""
        return self._meter.count

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()
