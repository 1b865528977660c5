"""`MemoryCrm`, a CRM for tests: it holds records, owners and tasks, pages what changed as a real one does, and can be made to misbehave.

Nothing of the product uses it; tests of everything above the port do. `log` says in order which writes took effect, so that a test can
count effects instead of requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from connector.adapters.client import Lane
from connector.adapters.memory.account import SILENT, DescribedProperties, Thing
from connector.adapters.memory.faults import Call, MemoryFaults
from connector.errors import ObjectStopped
from connector.model import (
    CRM_FACTS,
    Activity,
    ActivityKind,
    Campaign,
    CampaignMember,
    Cursor,
    Deal,
    DealContact,
    Fate,
    FieldChange,
    FieldWrite,
    Finding,
    Owner,
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
    WriteState,
)

__all__ = ["Call", "Effect", "MemoryCrm"]


@dataclass(frozen=True, slots=True)
class Effect:
    """A write that took effect: "set" (record, property, value) or "task" (record, key, task id)."""

    what: Literal["set", "task"]
    record: RecordRef
    name: str
    value: str | None


@dataclass(kw_only=True)
class MemoryCrm(MemoryFaults):
    """`connector.adapters.port.Crm` over dictionaries.

    lookup_lag: how long a new task is not found by `find_tasks` yet, a new record not counted by `count`.
    """

    page_size: int = 100
    writes_a_call: int = 100
    lookup_lag: timedelta = timedelta(0)
    set_up: Surroundings = field(default_factory=Surroundings)
    log: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._next_task = 1

    # The port ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def streams(self) -> Sequence[str]:
        """Owners, then companies, people and whatever else is held."""
        facts = CRM_FACTS[self.name]
        first = (facts.owners, facts.companies, *facts.people, facts.tasks)
        return (*first, *sorted(set(self._stored) - set(first)))

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:  # noqa: ARG002 - the port's
        """What changed since the cursor, in the order in which it changed."""
        after = int(cursor["after"]) if cursor else 0
        full = bool(cursor["full"]) if cursor else True
        changed = sorted((row for row in self._numbered(stream) if row[0] > after), key=lambda row: row[0])
        for start in range(0, max(len(changed), 1), self.page_size):
            self._begin("pull")
            rows = changed[start : start + self.page_size]
            last = start + self.page_size >= len(changed)
            after = rows[-1][0] if rows else after
            yield self._page(stream, [thing for _, thing in rows], {"after": after, "full": full and not last}, last=last, full=full)
            self._end("pull")

    def under_way(self, cursor: Cursor) -> bool:  # noqa: ARG002 - the port's
        """Never: what changed comes in its order, up to now."""
        return False

    def read(self, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane = "urgent") -> Mapping[str, Record]:  # noqa: ARG002
        """Copies of the records as they are now."""
        self._begin("read")
        held = self._stored.get(object_name, {})
        found = {}
        for record_id in ids:
            _, record = held.get(record_id, (0, None))
            if isinstance(record, Record) and not record.archived:
                found[record_id] = self._seen_with(record, properties)
        self._end("read")
        return found

    @property
    def histories(self) -> frozenset[str]:
        """Contacts of HubSpot; Salesforce has a stream of its own."""
        return frozenset({"contacts"}) if self.name == "hubspot" else frozenset()

    def history(self, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane = "normal") -> Page:  # noqa: ARG002
        """Of what is there now, of HubSpot's contacts."""
        self._begin("history")
        live = {thing.id for thing in self._live(object_name)} if object_name in self.histories else set()
        past = [change for number in dict.fromkeys(ids) if number in live for change in self._past.get((object_name, number), ())]
        changes = [change for change in past if change.property in properties]
        self._end("history")
        return Page(crm=self.name, object=object_name, cursor={}, seen=len(changes), calls=1, changes=changes)

    def tells_restored(self, object_name: str) -> bool:  # noqa: ARG002 - the port's
        """HubSpot's dates tell nothing of what is restored."""
        return self.name == "salesforce"

    def bring(self, object_name: str, ids: Sequence[str]) -> Page:
        """By id; nothing as Salesforce, whose pull brings what is restored."""
        if self.name == "salesforce":
            return self._page(object_name, (), {}, last=False, full=False)
        self._begin("bring")
        found = [thing for thing in self._live(object_name) if thing.id in set(ids)]
        self._end("bring")
        return self._page(object_name, found, {}, last=False, full=False)

    def want(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """Pulls bring these properties; of an object that nothing was said of, all that its records have."""
        self._wanted = {name: tuple(dict.fromkeys(names)) for name, names in wanted.items()}

    def removals(self, object_name: str, cursor: Cursor | None, *, now: datetime) -> Iterator[RemovalPage]:  # noqa: ARG002 - the port's
        """HubSpot: what was archived, but for meetings. Salesforce: what was deleted for good; the pull shows the rest."""
        if self.name == "hubspot" and object_name in SILENT:
            return
        if object_name in self._forgotten and cursor is not None:
            self._forgotten.discard(object_name)
            raise ObjectStopped(f"{self.name} does not remember so far back", crm=self.name, code="TOO_LONG_AGO")
        fates = (Fate.ARCHIVED,) if self.name == "hubspot" else (Fate.DELETED, Fate.PURGED, Fate.ARCHIVED)
        after = int(cursor["after"]) if cursor else 0
        with self._lock:
            held = self._removed.get(object_name, {}).values()
            rows = sorted((row for row in held if row[0] > after and row[1].fate in fates), key=lambda row: row[0])
        for start in range(0, max(len(rows), 1), self.page_size):
            self._begin("removals")
            some = rows[start : start + self.page_size]
            after = some[-1][0] if some else after
            yield RemovalPage(
                crm=self.name,
                object=object_name,
                cursor={"after": after},
                calls=1,
                removals=[removal for _, removal in some],
                last=start + self.page_size >= len(rows),
            )
            self._end("removals")

    def tells_removals(self, object_name: str) -> bool:
        """All but HubSpot's meetings."""
        return self.name == "salesforce" or object_name not in SILENT

    def fates(self, object_name: str, ids: Sequence[str]) -> Mapping[str, Removal]:
        """What is not there and never was, is deleted."""
        self._begin("fates")
        live = {thing.id for thing in self._live(object_name)}
        known = self._removed.get(object_name, {})
        found = {
            thing_id: known[thing_id][1]
            if thing_id in known
            else Removal(record=RecordRef(crm=self.name, object=object_name, id=thing_id), fate=Fate.DELETED)
            for thing_id in ids
            if thing_id not in live
        }
        self._end("fates")
        return found

    def countable(self, object_name: str) -> bool:  # noqa: ARG002 - the port's
        """HubSpot alone counts by number."""
        return self.name == "hubspot"

    def count(self, object_name: str, first: int, last: int) -> int:
        """By number, but for what is younger than `lookup_lag`."""
        self._begin("count")
        shown = self.clock() - self.lookup_lag
        live = [thing for thing in self._live(object_name) if (getattr(thing, "created_at", None) or shown) <= shown]
        number = sum(1 for thing in live if first <= int(thing.id) <= last)
        self._end("count")
        return number

    def refill(self, object_name: str, properties: Sequence[str], cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:  # noqa: ARG002
        """By id, as text."""
        after = str(cursor["id"]) if cursor else ""
        records = sorted(
            (record for record in self._live(object_name) if isinstance(record, Record) and record.id > after), key=lambda record: record.id
        )
        for start in range(0, max(len(records), 1), self.page_size):
            self._begin("refill")
            some = records[start : start + self.page_size]
            after = some[-1].id if some else after
            last = start + self.page_size >= len(records)
            yield self._page(object_name, some, {"id": after}, last=last, full=True, wanted=properties)
            self._end("refill")

    def relink(self, object_name: str, ids: Sequence[str]) -> Mapping[str, Sequence[RecordRef]]:
        """HubSpot's associations; Salesforce's links are fields, whose changes the pull brings."""
        if self.name == "salesforce":
            return {}
        self._begin("relink")
        held = {thing.id: thing for thing in self._live(object_name)}
        found = {number: tuple(getattr(held[number], "contacts", None) or ()) for number in ids if number in held}
        self._end("relink")
        return found

    def activities_of(self, object_name: str, ids: Sequence[str]) -> Sequence[Activity]:
        """Through their links."""
        self._begin("activities_of")
        asked = {RecordRef(crm=self.name, object=object_name, id=number) for number in ids}
        things = [thing for held in list(self._stored) for thing in self._live(held)]
        found = [thing for thing in things if isinstance(thing, Activity) and asked & set(thing.contacts)]
        self._end("activities_of")
        return found

    def schema(self, objects: Sequence[str]) -> Schema:
        """What it was told of its properties; every other that anybody asks for is a text, but those that were dropped."""
        self._begin("schema")
        found = {}
        for object_name in objects:
            known = {name: facts for (held, name), facts in self.facts.items() if held == object_name}
            found[object_name] = DescribedProperties(object_name, known, {name for held, name in self._dropped if held == object_name})
        self._end("schema")
        return found

    def batch_size(self, object_name: str) -> int:  # noqa: ARG002 - the port's
        """The same for all objects."""
        return self.writes_a_call

    def update(self, object_name: str, writes: Sequence[FieldWrite]) -> list[WriteOutcome]:
        """Sets properties, record by record; what is to be emptied first is emptied in a step of its own."""
        self._check_batch([write.record.id for write in writes])
        self._begin("update")
        for write in writes:
            if write.clear_first and write.record.id in self._stored.get(object_name, {}):
                self._clear(object_name, write)
        outcomes = [self._update_one(object_name, write) for write in writes]
        self._end("update")
        return self._answer(outcomes)

    def create_tasks(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        """Creates a task for each; creating the same key twice makes two, as a CRM without a unique property does."""
        self._check_batch([write.key for write in writes])
        self._begin("create_tasks")
        outcomes = [self._create_one(write) for write in writes]
        self._end("create_tasks")
        return self._answer(outcomes)

    def find_tasks(self, writes: Sequence[TaskWrite]) -> Mapping[str, str]:
        """By key."""
        self._begin("find_tasks")
        wanted = {write.key for write in writes}
        shown = self.clock() - self.lookup_lag
        tasks = [task for task in self.tasks() if task.created_at is not None and task.created_at <= shown]
        found = {task.key: task.id for task in reversed(tasks) if task.key in wanted}
        self._end("find_tasks")
        return found

    def read_tasks(self, ids: Sequence[str]) -> Mapping[str, TaskReadBack]:
        """By id; due_at in ISO format."""
        self._begin("read_tasks")
        held = {task.id: self._read_back(task) for task in self.tasks()}
        self._end("read_tasks")
        return {task_id: held[task_id] for task_id in ids if task_id in held}

    def check(self, *, now: datetime, uses: Uses | None = None) -> list[Finding]:  # noqa: ARG002 - the port's
        """Everything is right."""
        return [Finding(topic=f"{self.name}: credentials", ok=True, message="in memory")]

    def how_many(self, object_name: str, name: str | None = None, value: str | None = None) -> int | None:
        """Of the records that are there now."""
        self._begin("how_many")
        live = [
            thing
            for thing in self._live(object_name)
            if name is None or (isinstance(thing, Record) and thing.properties.get(name) == value)
        ]
        self._end("how_many")
        return len(live)

    def surroundings(self) -> Surroundings:
        """What the test gave it."""
        return self.set_up

    def record_url(self, object_name: str, record_id: str) -> str:
        """No person can open it."""
        return f"memory://{self.name}/{object_name}/{record_id}"

    def calls(self) -> int:
        """Every call of the port counts as a request."""
        return self.requests.total()

    def close(self) -> None:
        """Nothing to give back."""

    # Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _page(
        self, stream: str, things: Sequence[Thing], cursor: Cursor, *, last: bool, full: bool, wanted: Sequence[str] | None = None
    ) -> Page:
        wanted = self._wanted.get(stream) if wanted is None else wanted
        records = [self._seen_with(thing, wanted) for thing in things if isinstance(thing, Record)]
        shown = {name for record in records for name in record.properties}
        return Page(
            crm=self.name,
            object=stream,
            cursor=cursor,
            seen=len(things),
            calls=1,
            records=records,
            activities=[thing for thing in things if isinstance(thing, Activity)],
            owners=[thing for thing in things if isinstance(thing, Owner)],
            deals=[thing for thing in things if isinstance(thing, Deal)],
            deal_contacts=[thing for thing in things if isinstance(thing, DealContact)],
            campaigns=[thing for thing in things if isinstance(thing, Campaign)],
            campaign_members=[thing for thing in things if isinstance(thing, CampaignMember)],
            changes=[thing for thing in things if isinstance(thing, FieldChange)],
            total=len(self._numbered(stream)),
            last=last,
            full=full,
            absent=frozenset(wanted or ()) - shown if records else frozenset(),
        )

    def _judge(self, record: RecordRef) -> WriteOutcome | None:
        """Why a write to this record is not done; None where it is."""
        if record.id in self._refused:
            code, message = self._refused[record.id]
            return WriteOutcome(state=WriteState.REFUSED, id=record.id, code=code, message=message, advice="Mend the record.")
        if self._busy[record.id] > 0:
            self._busy[record.id] -= 1
            return WriteOutcome(state=WriteState.LATER, id=record.id, code="LOCKED", message="another change holds the record")
        _, held = self._stored.get(record.object, {}).get(record.id, (0, None))
        if held is None or getattr(held, "archived", False):
            return WriteOutcome(state=WriteState.REFUSED, id=record.id, code="NOT_FOUND", message="there is no such record")
        return None

    def _clear(self, object_name: str, write: FieldWrite) -> None:
        self._write(object_name, write.record.id, dict.fromkeys(write.properties))

    def _write(self, object_name: str, record_id: str, properties: Mapping[str, str | None]) -> None:
        with self._lock:
            self._by_hand = False
            self._set(object_name, record_id, properties)
            self._by_hand = True

    def _update_one(self, object_name: str, write: FieldWrite) -> WriteOutcome:
        trouble = self._judge(write.record)
        if trouble is not None:
            return trouble
        if write.record.id not in self._ignored:
            self._write(object_name, write.record.id, write.properties)
            self.log.extend(Effect("set", write.record, name, value) for name, value in write.properties.items())
        return WriteOutcome(state=WriteState.WRITTEN, id=write.record.id)

    def _create_one(self, write: TaskWrite) -> WriteOutcome:
        trouble = self._judge(write.record)
        if trouble is not None:
            return trouble
        task_id, self._next_task = str(self._next_task), self._next_task + 1
        moment = self.clock()
        task = Activity(
            crm=self.name,
            object=CRM_FACTS[self.name].tasks,
            id=task_id,
            kind=ActivityKind.TASK,
            at=None,
            contacts=(write.record,),
            channel=None if write.task.type == "todo" else write.task.type,
            owner_id=write.task.owner_id,
            outcome=write.task.subject,
            due_at=write.task.due_at,
            key=write.key,
            created_at=moment,
            modified_at=moment,
        )
        self._store(task.object, task)
        self.log.append(Effect("task", write.record, write.key, task_id))
        return WriteOutcome(state=WriteState.WRITTEN, id=task_id)

    def _check_batch(self, ids: Sequence[str]) -> None:
        if len(ids) > self.writes_a_call:
            raise ValueError(f"{len(ids)} writes in one call; {self.writes_a_call} are taken")
        if len(set(ids)) != len(ids):
            raise ValueError("a batch names the same record twice: which of the two stands would be chance")

    def _answer(self, outcomes: list[WriteOutcome]) -> list[WriteOutcome]:
        if self._lost <= 0:
            return outcomes
        self._lost -= 1
        return [WriteOutcome(state=WriteState.UNKNOWN, message="the answer was lost") for _ in outcomes]
