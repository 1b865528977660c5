"""HubSpot behind the port: start here. Pulling, reading, writing and checking have modules of their own; vendor facts are in `wire*`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Lock

from connector.adapters.calling import Answer, Budget, Caller, Request
from connector.adapters.hubspot import reading, writing
from connector.adapters.hubspot.checking import Check, missing_properties
from connector.adapters.hubspot.pulling import Pull
from connector.adapters.hubspot.transport import Settings, Transport
from connector.adapters.hubspot.wire import BATCH_LIMIT, OBJECT_TYPE_IDS, STREAMS, Api
from connector.adapters.hubspot.wire_errors import judge
from connector.adapters.hubspot.wire_records import decode
from connector.model import CrmName, Cursor, FieldWrite, Finding, Page, Record, Surroundings, TaskWrite, WriteOutcome


class HubSpotCrm:
    """Implements `connector.adapters.port.Crm`. Different streams may be pulled by different threads at once.

    wanted: object ("contacts", "companies") → the properties that records carry. expected: contact property → the option values that the
    configuration reads or writes, for `check`. sleep, overlap: seconds between retries go through `sleep`; an incremental pull begins
    `overlap` before the last one ended, since HubSpot's search lags "a few moments" behind
    (https://developers.hubspot.com/docs/api-reference/search/guide). timeout: seconds without an answer.
    send: how requests go out, in place of HTTP.
    """

    name: CrmName = "hubspot"

    def __init__(
        self,
        settings: Settings,
        *,
        wanted: Mapping[str, Sequence[str]],
        expected: Mapping[str, Sequence[str]],
        budget: Budget,
        sleep: Callable[[float], None] = time.sleep,
        overlap: timedelta = timedelta(minutes=10),
        timeout: float = 30.0,
        send: Callable[[Request], Answer] | None = None,
    ) -> None:
        self._token = settings.access_token.read() if settings.access_token is not None else ""
        self._transport = Transport(base_url=settings.base_url, token=self._token, ca_bundle=settings.ca_bundle, timeout=timeout)
        self._send = send or self._transport
        self._wanted = {name: tuple(dict.fromkeys(properties)) for name, properties in wanted.items()}
        self._expected = expected
        self._budget = budget
        self._sleep = sleep
        self._overlap = overlap
        self._api = Api()
        self._caller = self._new_caller()
        # A caller a stream: its count tells what a page cost, whatever other threads do.
        self._stream_callers = {stream: self._new_caller() for stream in STREAMS}
        self._address: tuple[str, str] | None = None
        self._address_lock = Lock()

    def _new_caller(self) -> Caller:
        return Caller(crm="hubspot", send=self._send, judge=judge, budget=self._budget, sleep=self._sleep)

    def streams(self) -> Sequence[str]:
        """Owners and companies before contacts, contacts before what happened with them."""
        return STREAMS

    def want(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """See the port."""
        self._wanted = {name: tuple(dict.fromkeys(names)) for name, names in wanted.items()}

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """See the port. First the whole list, by pages of 1,000; then closed windows of what changed."""
        pull = Pull(
            api=self._api,
            caller=self._stream_callers[stream],
            stream=stream,
            wanted=self._wanted.get(stream, ()),
            overlap=self._overlap,
            now=now,
        )
        return pull.pages(cursor)

    def read(self, object_name: str, ids: Sequence[str], properties: Sequence[str]) -> Mapping[str, Record]:
        """See the port. `company_id` is not read: it is an association, and stays as the last pull brought it."""
        return reading.read_records(self._api, self._caller, object_name, ids, properties)

    def batch_size(self, object_name: str) -> int:  # noqa: ARG002 - the same for all objects of HubSpot
        """100."""
        return BATCH_LIMIT

    def update(self, object_name: str, writes: Sequence[FieldWrite]) -> list[WriteOutcome]:
        """See the port. A stage that HubSpot silently left as it was is refused with code IGNORED."""
        return writing.update(self._api, self._caller, object_name, writes)

    def create_tasks(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        """See the port. The key goes into the body as `wire.task_marker(key)`; pulled activities carry that mark in `key`."""
        return writing.create_tasks(self._api, self._caller, writes)

    def find_tasks(self, writes: Sequence[TaskWrite]) -> Mapping[str, str]:
        """See the port. Keys are those of the writes, not their marks."""
        return reading.find_tasks(self._api, self._caller, writes)

    def read_tasks(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:
        """See the port. `key` is the mark (`wire.task_marker`), `due_at` ISO 8601 in UTC."""
        return reading.read_tasks(self._api, self._caller, ids)

    def check(self, *, now: datetime) -> list[Finding]:
        """See the port."""
        check = Check(
            api=self._api, caller=self._caller, token=self._token, wanted=self._wanted, expected=self._expected, now=now
        )
        return check.findings()

    def surroundings(self) -> Surroundings:
        """Where records are opened.

        No defaults: which stage a new contact gets is a setting that no API tells, and a property's definition has no default value. No
        own users: a token is no owner; the `userId` that HubSpot names with it is the person's who made it.
        """
        links = {name: self.record_url(name, "{id}") for name in OBJECT_TYPE_IDS}
        return Surroundings(links=links, missing=missing_properties(self._api, self._caller, self._wanted))

    def record_url(self, object_name: str, record_id: str) -> str:
        """The record's page. Account number and host of the user interface (it differs by region) are asked for once."""
        with self._address_lock:
            if self._address is None:
                account = self._caller.ask(self._api.account(), decode)
                self._address = (str(account.get("uiDomain") or "app.hubspot.com"), str(account.get("portalId")))
            host, portal = self._address
        return f"https://{host}/contacts/{portal}/record/{OBJECT_TYPE_IDS[object_name]}/{record_id}"

    def calls(self) -> int:
        """Requests sent so far, repeated ones counted each time."""
        return self._caller.count + sum(caller.count for caller in self._stream_callers.values())

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()
