"""A CRM in memory, as honest as a real one: it holds records, owners and tasks, pages what changed, and can be told to misbehave.

For tests of everything above the port. What is told to it (`refuse`, `busy`, `lose_answers`, `fail`, `between`) happens to the next calls
that it concerns; `log` says in order which writes took effect, so that a test can count effects instead of requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from connector.errors import CrmError
from connector.model import (
    Activity,
    ActivityKind,
    CrmName,
    Cursor,
    FieldWrite,
    Finding,
    Owner,
    Page,
    Record,
    RecordRef,
    Surroundings,
    TaskWrite,
    WriteOutcome,
    WriteState,
)

#: The property that holds a record's owner, and the object that tasks are, by each CRM's own names.
OWNER_PROPERTY: Mapping[CrmName, str] = {"hubspot": "hubspot_owner_id", "salesforce": "OwnerId"}
TASK_OBJECT: Mapping[CrmName, str] = {"hubspot": "tasks", "salesforce": "Task"}
_OWNER_OBJECT: Mapping[CrmName, str] = {"hubspot": "owners", "salesforce": "User"}
_PEOPLE: Mapping[CrmName, tuple[str, ...]] = {"hubspot": ("companies", "contacts"), "salesforce": ("Account", "Lead", "Contact")}

#: The calls that can be told to fail.
Call = Literal["pull", "read", "update", "create_tasks", "find_tasks", "read_tasks"]


@dataclass(frozen=True, slots=True)
class Effect:
    """A write that took effect: "set" (record, property, value) or "task" (record, key, task id)."""

    what: Literal["set", "task"]
    record: RecordRef
    name: str
    value: str | None


@dataclass(slots=True)
class _Fault:
    """error: what the call raises; done: after it took effect, else before."""

    error: CrmError
    done: bool


@dataclass(kw_only=True)
class MemoryCrm:
    """`connector.adapters.port.Crm` over dictionaries.

    clock: the CRM's own time, for what it stamps. lookup_lag: how long a new task is not found by `find_tasks` yet.
    """

    name: CrmName
    clock: Callable[[], datetime]
    page_size: int = 100
    writes_a_call: int = 100
    lookup_lag: timedelta = timedelta(0)
    set_up: Surroundings = field(default_factory=Surroundings)
    log: list[Effect] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._stored: dict[str, dict[str, tuple[int, Record | Activity | Owner]]] = {}
        self._changes = 0
        self._next_task = 1
        self._refused: dict[str, tuple[str, str]] = {}
        self._busy: Counter[str] = Counter()
        self._ignored: set[str] = set()
        self._lost = 0
        self._faults: dict[Call, list[_Fault]] = {}
        self._between: list[tuple[Call, Callable[[], object]]] = []

    # What it holds ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, *things: Record | Activity | Owner) -> None:
        """Adds or replaces records, activities and owners, as if a person had."""
        for thing in things:
            self._store(_OWNER_OBJECT[self.name] if isinstance(thing, Owner) else thing.object, thing)

    def person(self, object_name: str, record_id: str, /, **properties: str | None) -> RecordRef:
        """Adds a record with these properties; its owner is read from them."""
        moment = self.clock()
        self.put(
            Record(
                crm=self.name,
                object=object_name,
                id=record_id,
                properties=properties,
                created_at=moment,
                modified_at=moment,
                owner_id=properties.get(OWNER_PROPERTY[self.name]),
            )
        )
        return RecordRef(crm=self.name, object=object_name, id=record_id)

    def edit(self, object_name: str, record_id: str, /, **properties: str | None) -> None:
        """A person's edit of a record."""
        self._set(object_name, record_id, properties)

    def delete(self, object_name: str, record_id: str) -> None:
        """A person's deletion: the record is not there any more."""
        del self._stored[object_name][record_id]

    def value(self, object_name: str, record_id: str, name: str) -> Any:
        """What a property of a record holds now."""
        return self._record(object_name, record_id).properties.get(name)

    def tasks(self) -> list[Activity]:
        """Every task, the oldest first."""
        found = [thing for _, thing in self._stored.get(TASK_OBJECT[self.name], {}).values()]
        return sorted((task for task in found if isinstance(task, Activity)), key=lambda task: int(task.id))

    def complete(self, task_id: str) -> None:
        """A person closes a task."""
        task = next(task for task in self.tasks() if task.id == task_id)
        self.put(replace(task, done=True, at=self.clock(), modified_at=self.clock()))

    # How it misbehaves ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def refuse(self, record_id: str, message: str, *, code: str = "VALIDATION", times: int | None = None) -> None:
        """Writes to this record are refused for good. times=0 takes it back."""
        if times == 0:
            self._refused.pop(record_id, None)
        else:
            self._refused[record_id] = (code, message)

    def busy(self, record_id: str, times: int) -> None:
        """The next so many writes to this record are not taken now (a lock)."""
        self._busy[record_id] = times

    def ignore(self, record_id: str) -> None:
        """Writes to this record are answered with success and not done (a workflow takes them back)."""
        self._ignored.add(record_id)

    def lose_answers(self, calls: int) -> None:
        """The next so many write calls take effect and answer `unknown` for every row."""
        self._lost = calls

    def fail(self, call: Call, error: CrmError, *, done: bool = False, times: int = 1) -> None:
        """The next so many such calls raise; done: after they took effect."""
        self._faults.setdefault(call, []).extend(_Fault(error, done) for _ in range(times))

    def between(self, call: Call, what: Callable[[], object]) -> None:
        """Does something right after the next such call: `between("read", …)` is an edit between read and write."""
        self._between.append((call, what))

    # The port ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def streams(self) -> Sequence[str]:
        """Owners, then companies, people and whatever else is held."""
        first = (_OWNER_OBJECT[self.name], *_PEOPLE[self.name], TASK_OBJECT[self.name])
        return (*first, *sorted(set(self._stored) - set(first)))

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:  # noqa: ARG002 - the port's
        """What changed since the cursor, in the order in which it changed."""
        after = int(cursor["after"]) if cursor else 0
        full = bool(cursor["full"]) if cursor else True
        changed = sorted((number, thing) for number, thing in self._numbered(stream) if number > after)
        for start in range(0, max(len(changed), 1), self.page_size):
            self._begin("pull")
            rows = changed[start : start + self.page_size]
            last = start + self.page_size >= len(changed)
            after = rows[-1][0] if rows else after
            yield self._page(stream, [thing for _, thing in rows], {"after": after, "full": full and not last}, last=last, full=full)
            self._end("pull")

    def read(self, object_name: str, ids: Sequence[str], properties: Sequence[str]) -> Mapping[str, Record]:
        """Copies of the records as they are now."""
        self._begin("read")
        held = self._stored.get(object_name, {})
        found = {}
        for record_id in ids:
            _, record = held.get(record_id, (0, None))
            if isinstance(record, Record) and not record.archived:
                found[record_id] = replace(record, properties={name: record.properties.get(name) for name in properties})
        self._end("read")
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

    def read_tasks(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:
        """By id; due_at in ISO format."""
        self._begin("read_tasks")
        held = {task.id: _task_values(task) for task in self.tasks()}
        self._end("read_tasks")
        return {task_id: held[task_id] for task_id in ids if task_id in held}

    def check(self, *, now: datetime) -> list[Finding]:  # noqa: ARG002 - the port's
        """Everything is right."""
        return [Finding(topic="credentials", ok=True, message="in memory")]

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

    def _numbered(self, stream: str) -> Iterator[tuple[int, Any]]:
        yield from self._stored.get(stream, {}).values()

    def _page(self, stream: str, things: Sequence[Any], cursor: Cursor, *, last: bool, full: bool) -> Page:
        return Page(
            crm=self.name,
            object=stream,
            cursor=cursor,
            seen=len(things),
            calls=1,
            records=[thing for thing in things if isinstance(thing, Record)],
            activities=[thing for thing in things if isinstance(thing, Activity)],
            owners=[thing for thing in things if isinstance(thing, Owner)],
            total=len(self._stored.get(stream, {})),
            last=last,
            full=full,
        )

    def _store(self, object_name: str, thing: Record | Activity | Owner) -> None:
        self._changes += 1
        self._stored.setdefault(object_name, {})[thing.id] = (self._changes, thing)

    def _record(self, object_name: str, record_id: str) -> Record:
        _, record = self._stored[object_name][record_id]
        if not isinstance(record, Record):
            raise TypeError(f"{object_name} {record_id} is no record")
        return record

    def _set(self, object_name: str, record_id: str, properties: Mapping[str, str | None]) -> None:
        record = self._record(object_name, record_id)
        merged = {**record.properties, **properties}
        owner = merged.get(OWNER_PROPERTY[self.name], record.owner_id)
        self._store(object_name, replace(record, properties=merged, owner_id=owner, modified_at=self.clock()))

    def _judge(self, record: RecordRef) -> WriteOutcome | None:
        """Why a write to this record is not done; None where it is."""
        if record.id in self._refused:
            code, message = self._refused[record.id]
            return WriteOutcome(state=WriteState.REFUSED, id=record.id, code=code, message=message, advice="Mend the record.")
        if self._busy[record.id] > 0:
            self._busy[record.id] -= 1
            return WriteOutcome(state=WriteState.LATER, id=record.id, code="LOCKED", message="another change holds the record")
        if record.id not in self._stored.get(record.object, {}):
            return WriteOutcome(state=WriteState.REFUSED, id=record.id, code="NOT_FOUND", message="there is no such record")
        return None

    def _clear(self, object_name: str, write: FieldWrite) -> None:
        self._set(object_name, write.record.id, dict.fromkeys(write.properties))

    def _update_one(self, object_name: str, write: FieldWrite) -> WriteOutcome:
        trouble = self._judge(write.record)
        if trouble is not None:
            return trouble
        if write.record.id not in self._ignored:
            self._set(object_name, write.record.id, write.properties)
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
            object=TASK_OBJECT[self.name],
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

    def _begin(self, call: Call) -> None:
        self.requests[call] += 1
        faults = self._faults.get(call, [])
        if faults and not faults[0].done:
            raise faults.pop(0).error

    def _end(self, call: Call) -> None:
        due = next((place for place, (name, _) in enumerate(self._between) if name == call), None)
        if due is not None:
            self._between.pop(due)[1]()
        faults = self._faults.get(call, [])
        if faults:
            raise faults.pop(0).error


def _task_values(task: Activity) -> Mapping[str, str | None]:
    return {
        "subject": task.outcome,
        "owner_id": task.owner_id,
        "due_at": None if task.due_at is None else task.due_at.isoformat(),
        "key": task.key,
        "record_id": task.contacts[0].id if task.contacts else None,
    }
