"""`HubSpotCrm`: the port, over one client. Start here: each part of the port has a module of its own; vendor facts are in `wire`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from connector.adapters.client import Answer, Budget, Lane, Request
from connector.adapters.hubspot import activities_of_people, check, history, pull, read_by_id, refill, removals, schema, surroundings, write
from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.id_order import IdOrder
from connector.adapters.hubspot.removals import RecycleBins
from connector.adapters.hubspot.tasks import Tasks
from connector.adapters.hubspot.wire.requests import BATCH_LIMIT, OBJECT_TYPE_IDS, STREAMS
from connector.model import (
    Activity,
    CrmName,
    Cursor,
    FieldWrite,
    Finding,
    HubSpotAccess,
    Page,
    Record,
    RecordRef,
    Removal,
    RemovalPage,
    Schema,
    Surroundings,
    TaskReadBack,
    TaskWrite,
    Uses,
    WriteOutcome,
)


class HubSpotCrm:
    """Implements `connector.adapters.port.Crm`, where each method is described.

    wanted: object → the properties that records carry. overlap: so long before the last one ended an incremental pull begins: the search
    lags "a few moments" (https://developers.hubspot.com/docs/api-reference/search/guide). The others are as `HubSpotClient` has them.
    """

    name: CrmName = "hubspot"
    histories = frozenset({"contacts"})

    def __init__(
        self,
        access: HubSpotAccess,
        *,
        wanted: Mapping[str, Sequence[str]],
        budget: Budget,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        overlap: timedelta = timedelta(minutes=10),
        timeout: float = 30.0,
        send: Callable[[Request], Answer] | None = None,
    ) -> None:
        self._client = HubSpotClient(access, budget=budget, sleep=sleep, clock=clock, timeout=timeout, send=send)
        self._overlap = overlap
        self._order = IdOrder(self._client)
        self._bins = RecycleBins()
        self._tasks = Tasks(self._client)
        self.want(wanted)

    # ── Reads ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def streams(self) -> Sequence[str]:
        """Owners and companies before contacts, contacts before what happened with them."""
        return STREAMS

    def want(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """Object → properties, each once."""
        self._wanted = {name: tuple(dict.fromkeys(names)) for name, names in wanted.items()}

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """First everything, by pages of 1,000; then closed windows of what changed. Close it where it is left before its end."""
        wanted = self._wanted.get(stream, ())
        return pull.Pull(client=self._client, stream=stream, wanted=wanted, cursor=cursor, overlap=self._overlap, now=now).pages()

    def under_way(self, cursor: Cursor) -> bool:
        """Inside the first read, and inside a window of what changed."""
        return pull.under_way(cursor)

    def read(self, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane = "urgent") -> Mapping[str, Record]:
        """Without `company_id`: it is an association, and stays as the last pull brought it."""
        return read_by_id.read_records(self._client, object_name, ids, properties, lane=lane)

    def refill(self, object_name: str, properties: Sequence[str], cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:  # noqa: ARG002
        """By the list."""
        return refill.refill(self._client, object_name, properties, cursor)

    def activities_of(self, object_name: str, ids: Sequence[str]) -> Sequence[Activity]:
        """Contacts alone are people here."""
        return activities_of_people.activities_of(self._client, object_name, ids)

    def history(self, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane = "normal") -> Page:
        """A request for 50 ids."""
        return history.history(self._client, object_name, ids, properties, lane=lane)

    def calls(self) -> int:
        """Repeated ones are counted each time."""
        return self._client.sent

    # ── Removals ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def removals(self, object_name: str, cursor: Cursor | None, *, now: datetime) -> Iterator[RemovalPage]:
        """The whole recycle bin each time, which holds 90 days; what the last look told is left out."""
        return removals.removals(self._client, object_name, cursor, bins=self._bins, now=now)

    def tells_removals(self, object_name: str) -> bool:
        """Owners by the pull, meetings never, others by `removals` unless HubSpot turned out to refuse that."""
        return object_name not in self._bins.closed

    def fates(self, object_name: str, ids: Sequence[str]) -> Mapping[str, Removal]:
        """A request for 100 ids, a second for those missing in it, and one each for what is unclear then."""
        return removals.fates(self._client, object_name, ids)

    def tells_restored(self, object_name: str) -> bool:  # noqa: ARG002 - of no object
        """False: no modified date tells it, so that `bring` has to."""
        return False

    def bring(self, object_name: str, ids: Sequence[str]) -> Page:
        """A request for 100 ids, and one for 1,000 links."""
        return read_by_id.bring(self._client, object_name, ids, self._wanted.get(object_name, ()))

    def countable(self, object_name: str) -> bool:
        """Two searches the first time; True while there is no record to tell by."""
        return self._order.numeric(object_name) is not False

    def count(self, object_name: str, first: int, last: int) -> int:
        """One search."""
        return self._order.count(object_name, first, last)

    def relink(self, object_name: str, ids: Sequence[str]) -> Mapping[str, Sequence[RecordRef]]:
        """A changed association does not bump the date by which the pull goes."""
        return activities_of_people.relink(self._client, object_name, ids)

    # ── Writes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def batch_size(self, object_name: str) -> int:  # noqa: ARG002 - the same for all objects of HubSpot
        """100."""
        return BATCH_LIMIT

    def update(self, object_name: str, writes: Sequence[FieldWrite]) -> list[WriteOutcome]:
        """A stage that HubSpot silently left as it was is refused with code IGNORED."""
        return write.update(self._client, object_name, writes)

    def create_tasks(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        """The key goes into the body as `task_marker(key)`; pulled activities carry that mark in `key`."""
        return self._tasks.create(writes)

    def find_tasks(self, writes: Sequence[TaskWrite]) -> Mapping[str, str]:
        """Keys are those of the writes, not their marks."""
        return self._tasks.find(writes)

    def read_tasks(self, ids: Sequence[str]) -> Mapping[str, TaskReadBack]:
        """`key` is the mark (`task_marker`), `due_at` ISO 8601 in UTC."""
        return self._tasks.read_back(ids)

    # ── Describes ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def schema(self, objects: Sequence[str]) -> Schema:
        """Raises `ObjectStopped` (code MISSING_SCOPES) for an object whose properties may not be read."""
        return schema.schema(self._client, objects)

    def check(self, *, now: datetime, uses: Uses | None = None) -> list[Finding]:
        """Token, scopes, account, clock, limits, what can be read, HubSpot's own Salesforce integration."""
        return check.check(self._client, uses or Uses(), now=now)

    def how_many(self, object_name: str, name: str | None = None, value: str | None = None) -> int | None:
        """One search."""
        return surroundings.how_many(self._client, object_name, name, value)

    def surroundings(self) -> Surroundings:
        """Where records are opened."""
        return surroundings.surroundings(self.record_url)

    def record_url(self, object_name: str, record_id: str) -> str:
        """The record's page. Account number and host are asked for once."""
        account = self._client.account()
        return f"https://{account.host}/contacts/{account.portal}/record/{OBJECT_TYPE_IDS[object_name]}/{record_id}"

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
