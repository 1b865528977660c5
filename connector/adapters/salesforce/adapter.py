"""`SalesforceCrm`: the port, over one client. Start here: each part of the port has a module of its own; vendor facts are in `wire`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from connector.adapters.client import Budget, Lane
from connector.adapters.salesforce import activities_of_people, check, pull, read_by_id, refill, removals, schema, surroundings, write
from connector.adapters.salesforce.client import SalesforceClient
from connector.adapters.salesforce.streams import STREAMS, Stream, stream
from connector.adapters.salesforce.tasks import Tasks
from connector.adapters.salesforce.told_by_pull import ToldByPull
from connector.adapters.salesforce.wire import requests as wire
from connector.model import (
    Activity,
    CrmName,
    Cursor,
    FieldWrite,
    Finding,
    Page,
    Record,
    Removal,
    RemovalPage,
    SalesforceAccess,
    Schema,
    Surroundings,
    TaskReadBack,
    TaskWrite,
    Uses,
    WriteOutcome,
)


class SalesforceCrm(ToldByPull):
    """Implements `connector.adapters.port.Crm`, where each method is described.

    wanted: object ("Lead", "Contact", "Account") → the fields that become a record's properties. sleep: how to wait, in seconds, between
    retries. overlap: how far an incremental pull reaches back (rows are committed late). timeout, patience: see `SalesforceTransport`.
    zone: the business's, in which a task's day is reckoned.
    """

    name: CrmName = "salesforce"

    def __init__(
        self,
        access: SalesforceAccess,
        *,
        wanted: Mapping[str, Sequence[str]],
        budget: Budget,
        sleep: Callable[[float], None] = time.sleep,
        overlap: timedelta = timedelta(minutes=10),
        timeout: float = 30.0,
        patience: float = wire.SLOWEST_QUERY + 30.0,
        zone: tzinfo = UTC,
    ) -> None:
        self._client = SalesforceClient(access, budget=budget, sleep=sleep, timeout=timeout, patience=patience)
        self._overlap, self._zone, self._key_field = overlap, zone, access.task_key_field
        #: Optional fields that the org turned out not to have, by object.
        self._lacking: dict[str, set[str]] = {name: set() for name in STREAMS}
        self._tasks = Tasks(client=self._client, key_field=self._key_field, zone=zone, lacking=self._lacking["Task"])
        self.want(wanted)

    # ── Reads ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def streams(self) -> Sequence[str]:
        """Owners, accounts, people, deals, campaigns, what happened with people, and the histories of Leads and Opportunities."""
        return STREAMS

    def want(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """Object → fields, each once."""
        self._wanted = {name: tuple(dict.fromkeys(names)) for name, names in wanted.items()}

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """A quiet incremental pull is one query. Deleted rows come as archived ones."""
        lacking = self._lacking[stream]
        return pull.pull(self._client, self._stream(stream), cursor, overlap=self._overlap, now=now, lacking=lacking)

    def under_way(self, cursor: Cursor) -> bool:
        """True inside a window."""
        return pull.under_way(cursor)

    def read(self, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane = "urgent") -> Mapping[str, Record]:
        """By the ids asked for; deleted and unknown ones are left out."""
        lacking = self._lacking.setdefault(object_name, set())
        return read_by_id.read_records(self._client, object_name, ids, properties, lacking=lacking, lane=lane)

    def refill(self, object_name: str, properties: Sequence[str], cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:  # noqa: ARG002
        """In the order of their ids. Raises `ObjectStopped` (INVALID_FIELD) for a field that is not there."""
        return refill.refill(self._client, object_name, properties, cursor)

    def activities_of(self, object_name: str, ids: Sequence[str]) -> Sequence[Activity]:  # noqa: ARG002 - ids tell their objects
        """Tasks and Events of these Leads or Contacts, archived ones too, deleted ones not."""
        return activities_of_people.activities_of(self._client, [self._stream(name) for name in ("Task", "Event")], ids, self._lacking)

    def calls(self) -> int:
        """Logins are counted, too."""
        return self._client.sent

    # ── Removals ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def removals(self, object_name: str, cursor: Cursor | None, *, now: datetime) -> Iterator[RemovalPage]:
        """What was deleted, also for good, in the last 15 days: the pull sees a row only while it is in the recycle bin."""
        return removals.removals(self._client, object_name, cursor, now=now)

    def tells_removals(self, object_name: str) -> bool:
        """True for what goes through the recycle bin; users stay, a deleted queue owns nothing, histories go with their records."""
        return object_name in wire.DELETABLE

    def fates(self, object_name: str, ids: Sequence[str]) -> Mapping[str, Removal]:
        """A record that is hidden from the connector's user looks like one that is deleted for good."""
        return removals.fates(self._client, object_name, ids)

    # ── Writes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def batch_size(self, object_name: str) -> int:  # noqa: ARG002 - the same for every object
        """200: sObject Collections."""
        return wire.WRITE_BATCH

    def update(self, object_name: str, writes: Sequence[FieldWrite]) -> list[WriteOutcome]:
        """Each record by itself; rows that are locked are sent again, twice at most."""
        return write.update(self._client, object_name, writes)

    def create_tasks(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        """By upsert on the External Id: however often sent, each once. Without that field a lost answer is `unknown`."""
        return self._tasks.create(writes)

    def find_tasks(self, writes: Sequence[TaskWrite]) -> Mapping[str, str]:
        """By the External Id; without one by the tasks of their Leads and Contacts. Deleted ones do not exist."""
        return self._tasks.find(writes)

    def read_tasks(self, ids: Sequence[str]) -> Mapping[str, TaskReadBack]:
        """due_at is a day ("2026-12-02"): Salesforce keeps no hour; key is the mark (`task_marker`)."""
        return self._tasks.read_back(ids)

    # ── Describes ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def schema(self, objects: Sequence[str]) -> Schema:
        """As the connector's user sees them; "Account.Industry" is Industry of Account."""
        return schema.schema(self._client, objects)

    def check(self, *, now: datetime, uses: Uses | None = None) -> list[Finding]:
        """Login, permissions, limits, clock, tasks, who else writes."""
        return check.check(self._client, uses or Uses(), self._wanted, now=now)

    def how_many(self, object_name: str, name: str | None = None, value: str | None = None) -> int | None:
        """A COUNT() query."""
        return surroundings.how_many(self._client, object_name, name, value)

    def surroundings(self) -> Surroundings:
        """The status that a new Lead has by itself, those that only a conversion gives, the connector's user, where records are opened."""
        return surroundings.surroundings(self._client, self.record_url)

    def record_url(self, object_name: str, record_id: str) -> str:
        """The record in Lightning; My Domain leads there from the API's host."""
        return f"{self._client.instance}/lightning/r/{object_name}/{record_id}/view"

    def close(self) -> None:
        """Gives back connections."""
        self._client.close()

    def _stream(self, name: str) -> Stream:
        return stream(name, wanted=self._wanted.get(name, ()), zone=self._zone, key_field=self._key_field)
