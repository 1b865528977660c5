"""Creating tasks, each once, and finding and reading back those that an earlier try may have made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TypeVar

from connector.adapters.salesforce.client import SalesforceClient, batches, rows_of, without_lacking
from connector.adapters.salesforce.read_by_id import rows_by_id
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire import tasks as wire_tasks
from connector.adapters.salesforce.wire.access import external_id
from connector.adapters.salesforce.wire.requests import Row
from connector.adapters.salesforce.write import BatchSender
from connector.errors import ObjectStopped
from connector.model import TaskReadBack, TaskWrite, WriteOutcome, WriteState

T = TypeVar("T")

#: Codes by which an org says that it knows no such External Id field, before a description settles it.
_NO_KEY_FIELD = frozenset({"INVALID_FIELD", "NOT_FOUND", "INVALID_TYPE"})
#: Codes of a row that an earlier try, or another process, may have created already.
_PERHAPS_THERE = frozenset({"DUPLICATE_VALUE", "INVALID_FIELD_FOR_INSERT_UPDATE", "DUPLICATE_EXTERNAL_ID"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """Tasks by their External Id field. lacking: fields that the org turned out not to have; shared with the pull of tasks."""

    client: SalesforceClient
    key_field: str
    zone: tzinfo
    lacking: set[str]

    def create(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        """Creates tasks by upsert on the External Id: however often sent, each once. Without that field a lost answer is `unknown`."""
        return [outcome for batch in batches(writes, wire.WRITE_BATCH) for outcome in self._create(batch)]

    def _create(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        once = list({write.key: write for write in writes}.values())  # a marker that comes twice in a request is refused twice
        key_field = self.usable_key_field()
        if key_field is not None:
            try:
                sent = self._upsert(once, key_field)
            except ObjectStopped as error:
                if error.code not in _NO_KEY_FIELD or self._has_key_field():
                    raise
                self.lacking.add(self.key_field)
                return self._create(writes)
            if all(outcome.code == "INVALID_FIELD" for outcome in sent) and sent and not self._has_key_field():
                self.lacking.add(self.key_field)
                return self._create(writes)
        else:
            rows = [wire_tasks.fields(write, zone=self.zone, key_field=None) for write in once]
            sent = BatchSender(client=self.client, build=lambda some: wire.create("Task", some), key="WhoId").send(rows)
        by_key = {write.key: outcome for write, outcome in zip(once, sent, strict=True)}
        return [by_key[write.key] for write in writes]

    def _upsert(self, writes: Sequence[TaskWrite], key_field: str) -> list[WriteOutcome]:
        rows = [wire_tasks.fields(write, zone=self.zone, key_field=key_field) for write in writes]
        outcomes = BatchSender(client=self.client, build=lambda some: wire.upsert("Task", key_field, some), key="WhoId").send(rows)
        doubtful = [write for write, outcome in zip(writes, outcomes, strict=True) if outcome.code in _PERHAPS_THERE]
        existing = self.find(doubtful) if doubtful else {}
        return [
            WriteOutcome(state=WriteState.WRITTEN, id=existing[write.key]) if write.key in existing else outcome
            for write, outcome in zip(writes, outcomes, strict=True)
        ]

    def find(self, writes: Sequence[TaskWrite]) -> dict[str, str]:
        """Which tasks exist, by the External Id; without one by the tasks of their Leads and Contacts. Deleted ones do not."""

        def ask() -> dict[str, str]:
            key_field, caller = self.usable_key_field(), self.client.caller("urgent")
            rows: list[Row] = []
            for soql in _looking_for(writes, key_field):
                rows.extend(rows_of(caller, soql, about="looking for tasks", all_rows=True))
            return dict(wire_tasks.found(rows, writes, key_field))

        return self._learning(ask)

    def read_back(self, ids: Sequence[str]) -> dict[str, TaskReadBack]:
        """Tasks by id, as `port.Writes.read_tasks` says."""
        plain = ("Id", "IsDeleted", "Subject", "OwnerId", "ActivityDate", "WhoId")

        def ask() -> dict[str, Row]:
            return rows_by_id(self.client.caller("urgent"), "Task", ids, (*plain, self.usable_key_field() or "Description"))

        rows = self._learning(ask)
        return {asked: wire_tasks.read_back(row, self.usable_key_field()) for asked, row in rows.items()}

    def usable_key_field(self) -> str | None:
        """The External Id field; None once the org turned out not to have it."""
        return None if self.key_field in self.lacking else self.key_field

    def _learning(self, ask: Callable[[], T]) -> T:
        """Asks, and once more without the key field where the org turns out not to have it."""
        return without_lacking(ask, (self.key_field,), self.lacking)

    def _has_key_field(self) -> bool:
        described = wire.value_of(self.client.caller("urgent").call(wire.describe("Task")))
        return external_id(described, self.key_field) is not None


def _looking_for(writes: Sequence[TaskWrite], key_field: str | None) -> Iterator[str]:
    alive = "IsDeleted = false"
    if key_field is not None:
        markers = [wire_tasks.task_marker(write.key) for write in writes]
        return wire_query.by_values("Task", ("Id", key_field), key_field, markers, where=alive)
    about = list(dict.fromkeys(write.record.id for write in writes))
    return wire_query.by_values("Task", ("Id", "Description"), "WhoId", about, where=alive)
