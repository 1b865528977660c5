"""What a CRM in memory holds, and what people do to it: edits, archiving, deletions, merges, privacy deletions, changes of its set-up.

Each CRM tells of these what its real one tells: HubSpot hides what is archived from its lists and tells it apart, and says nothing of
merged, deleted and purged records; Salesforce shows what is deleted among what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import RLock
from typing import Any

from connector.model import (
    CRM_FACTS,
    Activity,
    Campaign,
    CampaignMember,
    CrmName,
    Deal,
    DealContact,
    Fate,
    FieldChange,
    Owner,
    PropertyFacts,
    Record,
    RecordRef,
    Removal,
    TaskReadBack,
)

#: Fields of a Lead whose history Salesforce keeps here.
_TRACKED = ("Status", "OwnerId")

Thing = Record | Activity | Owner | Deal | DealContact | Campaign | CampaignMember | FieldChange

#: Of these HubSpot tells nothing when they are deleted.
SILENT = frozenset({"meetings"})


class DescribedProperties(dict[str, PropertyFacts]):
    """The properties of an object: those that it was told of, and a text for any other name, but the dropped ones."""

    def __init__(self, object_name: str, told: Mapping[str, PropertyFacts], dropped: Collection[str]) -> None:
        super().__init__(told)
        self._object = object_name
        self._dropped = frozenset(dropped)

    def __contains__(self, name: object) -> bool:
        return name not in self._dropped

    def __missing__(self, name: str) -> PropertyFacts:
        if name in self._dropped:
            raise KeyError(name)
        return PropertyFacts(object=self._object, name=name, label=name, type="string")

    def get(self, name: str, default: Any = None) -> Any:
        """As `[]`, but for the dropped ones."""
        return default if name in self._dropped else self[name]


@dataclass(kw_only=True)
class MemoryHolding:
    """Dictionaries, and everything that a person may do to what is in them. clock: the CRM's own time, for what it stamps.

    user: the CRM's id of the user whose edits they are; None: no user's.
    """

    name: CrmName
    clock: Callable[[], datetime]
    facts: dict[tuple[str, str], PropertyFacts] = field(default_factory=dict)
    user: str | None = None

    def __post_init__(self) -> None:
        self._stored: dict[str, dict[str, tuple[int, Thing]]] = {}
        self._removed: dict[str, dict[str, tuple[int, Removal]]] = {}
        self._dropped: set[tuple[str, str]] = set()
        self._past: dict[tuple[str, str], list[FieldChange]] = {}
        self._by_hand = True
        self._changes = 0
        self._lock = RLock()

    # What people do ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, *things: Thing) -> None:
        """Adds or replaces records, activities, owners, deals and campaigns, as if a person had."""
        for thing in things:
            self._store(_stream_of(thing), thing)

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
                owner_id=properties.get(CRM_FACTS[self.name].owner_property),
            )
        )
        return RecordRef(crm=self.name, object=object_name, id=record_id)

    def edit(self, object_name: str, record_id: str, /, **properties: str | None) -> None:
        """A person's edit of a record."""
        self._set(object_name, record_id, properties)

    def change_silently(self, object_name: str, record_id: str, /, **properties: str | None) -> None:
        """A change that no modified date tells: a formula, whose other end is on another record."""
        with self._lock:
            number, record = self._stored[object_name][record_id]
            changed = replace(self._record(object_name, record_id), properties={**getattr(record, "properties", {}), **properties})
            self._stored[object_name][record_id] = (number, changed)

    def archive(self, object_name: str, record_id: str) -> None:
        """A person deletes it, and may restore it: it goes to the recycle bin."""
        self._bin(object_name, record_id, Fate.ARCHIVED)

    def restore(self, object_name: str, record_id: str) -> None:
        """It comes back as it was. HubSpot's modified date does not tell."""
        with self._lock:
            number, thing = self._stored[object_name][record_id]
            self._removed[object_name].pop(record_id)
            self._stored[object_name][record_id] = (number, replace(thing, archived=False))  # type: ignore[arg-type]  # owners are not archived
            if self.name == "salesforce":
                self._store(object_name, self._stored[object_name][record_id][1])

    def delete(self, object_name: str, record_id: str) -> None:
        """It is deleted for good."""
        self._remove(object_name, record_id, Fate.DELETED)

    def purge(self, object_name: str, record_id: str) -> None:
        """It is deleted for privacy."""
        self._remove(object_name, record_id, Fate.PURGED)

    def merge(self, object_name: str, loser: str, survivor: str) -> None:
        """Two records become one, which bears the survivor's id. Activities go with it."""
        with self._lock:
            kept = self._record(object_name, survivor)
            gone = self._record(object_name, loser)
            self._store(object_name, replace(kept, merged_ids=(*kept.merged_ids, *gone.merged_ids, loser), modified_at=self.clock()))
            self._bin(object_name, loser, Fate.MERGED, into=survivor)
            self._move_activities(gone, survivor)

    def link(self, object_name: str, thing_id: str, *records: RecordRef) -> None:
        """These are the people that an activity or deal is about now; no modified date tells."""
        with self._lock:
            number, thing = self._stored[object_name][thing_id]
            self._stored[object_name][thing_id] = (number, replace(thing, contacts=records))  # type: ignore[arg-type]

    def drop_property(self, object_name: str, name: str) -> None:
        """An admin deletes a property, or takes away the right to see it."""
        self._dropped.add((object_name, name))
        self.facts.pop((object_name, name), None)

    def make_property(self, facts: PropertyFacts) -> None:
        """An admin makes a property, or changes it."""
        self._dropped.discard((facts.object, facts.name))
        self.facts[facts.object, facts.name] = facts

    def furnish(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """It has these properties, as texts, but for those that an admin deleted."""
        for object_name, names in wanted.items():
            for name in names:
                if (object_name, name) not in self._dropped:
                    text = PropertyFacts(object=object_name, name=name, label=name, type="string")
                    self.facts.setdefault((object_name, name), text)

    def value(self, object_name: str, record_id: str, name: str) -> Any:
        """What a property of a record holds now."""
        return self._record(object_name, record_id).properties.get(name)

    def ids(self, object_name: str) -> list[str]:
        """What is there now, archived ones left out."""
        return sorted(thing.id for thing in self._live(object_name))

    def tasks(self) -> list[Activity]:
        """Every task, the oldest first."""
        found = [thing for _, thing in self._stored.get(CRM_FACTS[self.name].tasks, {}).values()]
        return sorted((task for task in found if isinstance(task, Activity)), key=lambda task: int(task.id))

    def complete(self, task_id: str) -> None:
        """A person closes a task."""
        task = next(task for task in self.tasks() if task.id == task_id)
        self.put(replace(task, done=True, at=self.clock(), modified_at=self.clock()))

    # Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def _read_back(task: Activity) -> TaskReadBack:
        """A task as `port.Writes.read_tasks` has it."""
        return {
            "subject": task.outcome,
            "owner_id": task.owner_id,
            "due_at": None if task.due_at is None else task.due_at.isoformat(),
            "key": task.key,
            "record_id": task.contacts[0].id if task.contacts else None,
        }

    def _live(self, object_name: str) -> list[Thing]:
        with self._lock:
            return [thing for _, thing in self._stored.get(object_name, {}).values() if not getattr(thing, "archived", False)]

    def _numbered(self, stream: str) -> list[tuple[int, Thing]]:
        """What a list shows: HubSpot's leaves out what is archived."""
        with self._lock:
            rows = list(self._stored.get(stream, {}).values())
        return [row for row in rows if self.name == "salesforce" or not getattr(row[1], "archived", False)]

    def _number(self) -> int:
        with self._lock:
            self._changes += 1
            return self._changes

    def _store(self, object_name: str, thing: Thing) -> None:
        with self._lock:
            if isinstance(thing, Record):
                self._remember(thing)
            self._stored.setdefault(object_name, {})[thing.id] = (self._number(), thing)

    def _remember(self, record: Record) -> None:
        """What its history keeps: HubSpot of every property, from the creation on; Salesforce of a Lead's status and owner's changes."""
        _, held = self._stored.get(record.object, {}).get(record.id, (0, None))
        before = held.properties if isinstance(held, Record) else {}
        told = _TRACKED if self.name == "salesforce" else tuple(record.properties)
        if self.name == "salesforce" and (held is None or record.object != "Lead"):
            return
        for name in told:
            old, new = before.get(name), record.properties.get(name)
            if old != new:
                change = FieldChange(
                    record=RecordRef(crm=self.name, object=record.object, id=record.id),
                    id=f"{record.id}/{self._number()}",
                    property=name,
                    before=old,
                    after=new,
                    at=record.modified_at or self.clock(),
                    source=None if self.name == "salesforce" else "CRM_UI" if self._by_hand else "INTEGRATION",
                    who=self.user if self._by_hand else None,
                )
                self._past.setdefault((record.object, record.id), []).append(change)
                if self.name == "salesforce":
                    self._store("LeadHistory", change)

    def _record(self, object_name: str, record_id: str) -> Record:
        _, record = self._stored[object_name][record_id]
        if not isinstance(record, Record):
            raise TypeError(f"{object_name} {record_id} is no record")
        return record

    def _set(self, object_name: str, record_id: str, properties: Mapping[str, str | None]) -> None:
        record = self._record(object_name, record_id)
        merged = {**record.properties, **properties}
        owner = merged.get(CRM_FACTS[self.name].owner_property, record.owner_id)
        self._store(object_name, replace(record, properties=merged, owner_id=owner, modified_at=self.clock()))

    def _bin(self, object_name: str, thing_id: str, fate: Fate, into: str | None = None) -> None:
        """Out of sight, but still there; Salesforce's modified date tells, HubSpot's does not."""
        with self._lock:
            number, thing = self._stored[object_name][thing_id]
            if self.name == "hubspot":
                self._stored[object_name][thing_id] = (number, replace(thing, archived=True))  # type: ignore[arg-type]
            else:
                changes: dict[str, Any] = {"archived": True, **({} if into is None else {"merged_into": into})}
                self._store(object_name, _changed(thing, **changes))
            self._note(object_name, thing_id, fate, into)

    def _remove(self, object_name: str, thing_id: str, fate: Fate) -> None:
        with self._lock:
            del self._stored[object_name][thing_id]
            self._note(object_name, thing_id, fate)

    def _note(self, object_name: str, thing_id: str, fate: Fate, into: str | None = None) -> None:
        ref = RecordRef(crm=self.name, object=object_name, id=thing_id)
        removal = Removal(record=ref, fate=fate, into=into, at=self.clock())
        self._removed.setdefault(object_name, {})[thing_id] = (self._number(), removal)

    def _move_activities(self, gone: Record, survivor: str) -> None:
        old = RecordRef(crm=self.name, object=gone.object, id=gone.id)
        new = replace(old, id=survivor)
        for object_name, held in self._stored.items():
            for thing_id, (number, thing) in list(held.items()):
                if isinstance(thing, Activity) and old in thing.contacts:
                    contacts = tuple(new if ref == old else ref for ref in thing.contacts)
                    self._stored[object_name][thing_id] = (number, replace(thing, contacts=contacts))

    def _seen_with(self, record: Record, names: Sequence[str] | None) -> Record:
        """A record as a reader sees it: of these properties (None: all) those that there are."""
        shown = record.properties if names is None else {name: record.properties.get(name) for name in names}
        return replace(record, properties={name: value for name, value in shown.items() if (record.object, name) not in self._dropped})


def _changed(thing: Any, **changes: Any) -> Thing:
    """The same with these values; of what kind it is, who calls knows."""
    changed: Thing = replace(thing, **changes)
    return changed


def _stream_of(thing: Thing) -> str:
    if isinstance(thing, Owner):
        return CRM_FACTS[thing.crm].owners
    return "LeadHistory" if isinstance(thing, FieldChange) else thing.object
