"""Records of one person in two CRMs become one contact: first who is who, then the contact's fields, owner and stage.

Works through the records marked `unify`, in slices of one transaction each; a crash between slices resumes where it stopped.
Linking comes first for all records, so that a contact is judged with everything known of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, and_, false, insert, or_, select, update

from connector.model import CRM_FACTS, CRMS, PEOPLE_OBJECTS, CrmName, whole_id
from connector.pipeline.unify import ContactWriter
from connector.pipeline.unify.identity import Key, Trace, one_person
from connector.pipeline.unify.merge import merge_contacts
from connector.store import tables as t
from connector.store.bulk import add_missing, change, chunks, find, plain
from connector.store.database import Store

record = plain("record")
contact = t.metadata.tables["contact"]
_CURSOR = t.metadata.tables["cursor"]
_META = t.metadata.tables["meta"]

#: People in one slice: about 100 ms of the writer.
SLICE = 500
_FIRST: Key = ("", "", "")
_COLUMNS = ("crm", "object", "id", "email", "contact_id", "linked_id", "converted_to", "merged_into", "archived")
_CONTACT = _COLUMNS.index("contact_id")


def unify(
    store: Store,
    writer: ContactWriter,
    *,
    now: datetime,
    only: Collection[int] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Links and makes all contacts whose records changed; how many records. Contacts are made only once all records are linked.

    only: these contacts are made of their records as they are, and stay marked: who is who is told by the next pass, which reads the rest.
    """
    if only is not None:
        return sum(_made(store, writer, some, now) for some in _slices(sorted(only)) if not stopped())
    store.write(_once_read_whole)
    after: Key | None = _FIRST
    while after is not None:
        if stopped():
            return 0
        after = store.write(partial(link_slice, now=now, after=after, id_field=writer.hubspot_id_field))
    total = 0
    while not stopped() and (done := store.write(lambda connection: writer.write_slice(connection, now, SLICE))):
        total += done
        if progress is not None:
            progress(total)
    return total


def _made(store: Store, writer: ContactWriter, contacts: list[int], now: datetime) -> int:
    return store.write(lambda connection: writer.write_slice(connection, now, SLICE, only=contacts))


def _slices(contacts: list[int]) -> Iterator[list[int]]:
    return (contacts[start : start + SLICE] for start in range(0, len(contacts), SLICE))


def link_slice(connection: Connection, now: datetime, after: Key, *, id_field: str | None = None) -> Key | None:
    """Gives the next changed records their contact; where to go on, None at the end.

    A record may show that contacts which were there already are one person: then they are merged. id_field: where Salesforce's records
    hold the id of their HubSpot contact.
    """
    people = _people_to_link(connection, after, id_field)
    if not people:
        return None
    around = _Around(connection, people)
    numbers: dict[Key, int] = {}
    fresh: list[list[Key]] = []
    same: list[list[int]] = []
    for group in one_person(around.traces()):
        contacts = sorted({one.contact for one in group if one.contact is not None})
        if not contacts:
            fresh.append([one.key for one in group])
            continue
        numbers |= dict.fromkeys((one.key for one in group), contacts[0])
        if len(contacts) > 1:
            same.append(contacts)
    for contact_id, keys in zip(_new_contacts(connection, len(fresh), now), fresh, strict=True):
        numbers |= dict.fromkeys(keys, contact_id)
    kept = merge_contacts(connection, same, now)
    _store_links(connection, people, {key: kept.get(number, number) for key, number in numbers.items()}, around.losers)
    return _FIRST if _look_again(connection, around) else people[-1].key


# ── The records that changed ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Person:
    """A record, as far as linking needs it. linked: the id of the other CRM that it stores."""

    key: Key
    email: str | None
    contact: int | None
    linked: str | None
    linked_before: str | None
    converted_to: str | None
    merged_into: str | None
    archived: bool

    @property
    def gone(self) -> bool:
        """Deleted, and no other record stands for it."""
        return self.archived and self.merged_into is None


def _people_to_link(connection: Connection, after: Key, id_field: str | None) -> list[_Person]:
    rows = connection.execute(
        select(*(record.c[name] for name in (*_COLUMNS, "properties")))
        .where(
            record.c.unify,
            record.c.object.in_(PEOPLE_OBJECTS),
            or_(
                record.c.crm > after[0],
                and_(record.c.crm == after[0], record.c.object > after[1]),
                and_(record.c.crm == after[0], record.c.object == after[1], record.c.id > after[2]),
            ),
        )
        .order_by(record.c.crm, record.c.object, record.c.id)
        .limit(2 * SLICE)
    ).all()
    return [replace(_person(row), linked=_stored_id(row.crm, row.properties, id_field)) for row in rows]


def _person(row: Sequence[Any]) -> _Person:
    """From columns in the order of `_COLUMNS`."""
    crm, object_name, row_id, email, number, linked, converted, merged, archived = row[: len(_COLUMNS)]
    return _Person((crm, object_name, row_id), email, number, linked, linked, converted, merged, bool(archived))


def _stored_id(crm: str, properties: str, id_field: str | None) -> str | None:
    """The id of its other half that a record stores: of two, the Contact's goes before the Lead's."""
    names = CRM_FACTS["hubspot"].other_id if crm == "hubspot" else (id_field,)
    return next((found for name in names if name and (found := whole_id(_value(properties, name))) is not None), None)


def _value(properties: str, name: str) -> Any:
    """One property out of JSON, which is read only where the property is there and has a value."""
    marker = f'"{name}":'
    at = properties.find(marker)
    if at < 0 or properties.startswith("null", at + len(marker)):
        return None
    return orjson.loads(properties).get(name)


# ── What is known around them ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Around:
    """The changed records, and all others that an id or an address of theirs leads to. losers: who was merged into whom."""

    def __init__(self, connection: Connection, people: Sequence[_Person]) -> None:
        self._connection = connection
        self.people = people
        self.records = {person.key: person for person in people}
        self._ends: dict[Key, str] = {}
        self.losers: dict[Key, list[str]] = {}
        self._emails: dict[Key, list[str]] = {}
        self._merges = connection.execute(select(plain("merged").c.id).limit(1)).first() is not None
        self._read_emails(self.records)
        names = {name for person in people for name in self._raw_names(person)}
        self._follow(names)
        names |= {(crm, object_name, one) for (crm, object_name, _), ones in self.losers.items() for one in ones}
        self._add_by_name(names | {(*key[:2], end) for key, end in self._ends.items()})
        self._add_by_email()
        targets = {name for one in self.records.values() for name in _claimed(one)} - names
        self._follow(targets)
        self.states = self._states({self._end(name) for one in self.records.values() for name in _claimed(one)})
        self.whole = _read_whole(connection)

    def traces(self) -> list[Trace]:
        """What all of them tell of who they are."""
        return [
            Trace(
                key=one.key,
                names=tuple(self._end(name) for name in self._own_names(one)),
                emails=() if one.gone else tuple({*([] if one.email is None else [one.email]), *self._emails.get(one.key, ())}),
                contact=one.contact,
                claims=self._claims(one),
            )
            for one in self.records.values()
        ]

    def claimants(self) -> list[Key]:
        """Records outside of the slice that store the id of one inside that is deleted: addresses of theirs may say more now."""
        slice_keys = {person.key for person in self.people}
        gone = {person.key[2] for person in self.people if person.gone}
        return [key for key, one in self.records.items() if key not in slice_keys and one.linked in gone]

    def _own_names(self, one: _Person) -> list[Key]:
        """Itself, what it became, and what it stores the id of: of the objects that are possible the one that is here."""
        names = [one.key]
        if one.converted_to is not None:
            names.append(("salesforce", "Contact", one.converted_to))
        claimed = _claimed(one)
        if claimed:
            known = (name for name in claimed if self._end(name) in self.states)
            names.append(next(known, claimed[0]))
        return names

    @staticmethod
    def _raw_names(one: _Person) -> list[Key]:
        became = [] if one.converted_to is None else [("salesforce", "Contact", one.converted_to)]
        return [one.key, *became, *_claimed(one)]

    def _claims(self, one: _Person) -> bool:
        """Whether the id that it stores decides: it names a living record, or one that may still come."""
        names = [self._end(name) for name in _claimed(one)]
        if not names:
            return False
        known = [self.states[name] for name in names if name in self.states]
        return any(known) if known else names[0][0] not in self.whole

    def _end(self, name: Key) -> Key:
        end = self._ends.get(name)
        return name if end is None else (name[0], name[1], end)

    def _follow(self, names: Iterable[Key]) -> None:
        """Learns which records stand for these, and for which others those stand."""
        if not self._merges:
            return
        for crm, object_name, ids in _by_object(names):
            for row_id, into in find(self._connection, "merged", ("id", "into_id"), ids, crm=crm, object=object_name):
                self._ends[crm, object_name, row_id] = into
        for crm, object_name, ids in _by_object({self._end(name) for name in names}):
            for row_id, into in find(self._connection, "merged", ("id", "into_id"), ids, by="into_id", crm=crm, object=object_name):
                self._ends[crm, object_name, row_id] = into
                self.losers.setdefault((crm, object_name, into), []).append(row_id)

    def _add_by_name(self, names: AbstractSet[Key]) -> None:
        """Records that these names are of, that store one of them, or became one of them."""
        rows: list[Any] = []
        for crm, object_name, ids in _by_object(names - self.records.keys()):
            rows += find(self._connection, "record", _COLUMNS, ids, crm=crm, object=object_name)
        rows += find(self._connection, "record", _COLUMNS, sorted({name[2] for name in names}), by="linked_id")
        became = sorted({name[2] for name in names if name[1] == "Contact"})
        rows += find(self._connection, "record", _COLUMNS, became, by="converted_to", crm="salesforce")
        self._add(rows)

    def _add_by_email(self) -> None:
        emails = {person.email for person in self.people if person.email is not None and not person.gone}
        emails |= {email for person in self.people if not person.gone for email in self._emails.get(person.key, ())}
        self._add(find(self._connection, "record", _COLUMNS, sorted(emails), by="email"))
        further = find(self._connection, "record_email", ("crm", "object", "id", "email"), sorted(emails), by="email")
        for crm, object_name, row_id, email in further:
            known = self._emails.setdefault((crm, object_name, row_id), [])
            if email not in known:
                known.append(email)
        for crm, object_name, ids in _by_object({(row[0], row[1], row[2]) for row in further} - self.records.keys()):
            self._add(find(self._connection, "record", _COLUMNS, ids, crm=crm, object=object_name))

    def _add(self, rows: Iterable[Any]) -> None:
        """Records that belong to a contact already; others are not linked yet, and will find these."""
        for row in rows:
            key = (row[0], row[1], row[2])
            if key not in self.records and row[_CONTACT] is not None and row[1] in PEOPLE_OBJECTS:
                self.records[key] = _person(row)

    def _read_emails(self, keys: Iterable[Key]) -> None:
        for crm, object_name, ids in _by_object(keys):
            for row_id, email in find(self._connection, "record_email", ("id", "email"), ids, crm=crm, object=object_name):
                self._emails.setdefault((crm, object_name, row_id), []).append(email)

    def _states(self, names: Iterable[Key]) -> dict[Key, bool]:
        """Which of these are here: whether they live."""
        return {
            (crm, object_name, row_id): not archived
            for crm, object_name, ids in _by_object(names)
            for row_id, archived in find(self._connection, "record", ("id", "archived"), ids, crm=crm, object=object_name)
        }


def _claimed(one: _Person) -> list[Key]:
    """The records that the id stored in it may be of: ids tell Salesforce's Leads and Contacts apart, and we do not."""
    if one.linked is None:
        return []
    other: CrmName = "salesforce" if one.key[0] == "hubspot" else "hubspot"
    return [(other, object_name, one.linked) for object_name in reversed(CRM_FACTS[other].people)]


def _by_object(names: Iterable[Key]) -> Iterable[tuple[str, str, list[str]]]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for crm, object_name, row_id in sorted(names):
        grouped.setdefault((crm, object_name), []).append(row_id)
    for (crm, object_name), ids in grouped.items():
        for some in chunks(ids):
            yield crm, object_name, some


def _read_whole(connection: Connection) -> frozenset[str]:
    """The CRMs whose people were all read once: an id that is not here then names nobody."""
    told: dict[str, list[bool]] = {}
    for row in connection.execute(select(_CURSOR.c.crm, _CURSOR.c.complete).where(_CURSOR.c.object.in_(PEOPLE_OBJECTS))):
        told.setdefault(row.crm, []).append(row.complete)
    return frozenset(crm for crm, each in told.items() if all(each))


def _once_read_whole(connection: Connection) -> None:
    """When a CRM's people have all been read for the first time, what stores ids of its records is linked anew."""
    for crm in CRMS:
        name = f"people_read_whole:{crm}"
        if crm in _read_whole(connection) and connection.scalar(select(_META.c.value).where(_META.c.name == name)) is None:
            add_missing(connection, _META, [{"name": name, "value": "yes"}])
            stores = and_(record.c.crm != crm, record.c.linked_id.is_not(None), record.c.unify == false())
            connection.execute(update(record).where(stores).values(unify=True))


# ── Storing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

_EMPTY_CONTACT: Mapping[str, Any] = {
    "gone": False, "in_hubspot": False, "in_salesforce": False, "stage_differs": False, "agreed_number": 0, "spell": 0,
    "touch_count": 0, "touch_channels": 0, "rejected_before": False, "excluded": False,
}  # fmt: skip


def _new_contacts(connection: Connection, count: int, now: datetime) -> list[int]:
    if not count:
        return []
    statement = insert(contact).returning(contact.c.id, sort_by_parameter_order=True)
    rows = [{"first_seen_at": now, "due_at": now, **_EMPTY_CONTACT} for _ in range(count)]
    return list(connection.execute(statement, rows).scalars())


def _store_links(connection: Connection, people: Sequence[_Person], chosen: Mapping[Key, int], losers: Mapping[Key, Sequence[str]]) -> None:
    keys = ("crm", "object", "id")
    changed = [one for one in people if (chosen[one.key], one.linked) != (one.contact, one.linked_before)]
    rows = [dict(zip(keys, one.key, strict=True), contact_id=chosen[one.key], linked_id=one.linked) for one in changed]
    change(connection, "record", rows, ("contact_id", "linked_id"), keys=keys)
    moved = {one.key: chosen[one.key] for one in changed if chosen[one.key] != one.contact}
    for key, ones in losers.items():  # what is told of a record that was never here belongs to the one that stands for it
        moved |= {(*key[:2], one): chosen[key] for one in ones if key in chosen and (*key[:2], one) not in chosen}
    links = [{"crm": key[0], "record_object": key[1], "record_id": key[2], "contact_id": number} for key, number in moved.items()]
    change(connection, "activity_link", links, ("contact_id",), keys=("crm", "record_object", "record_id"))


def _look_again(connection: Connection, around: _Around) -> bool:
    """Marks records outside of the slice about which it says something; whether there are any."""
    marked = 0
    for crm, object_name, ids in _by_object(around.claimants()):
        where = and_(record.c.crm == crm, record.c.object == object_name, record.c.id.in_(ids), record.c.unify == false())
        marked += connection.execute(update(record).where(where).values(unify=True)).rowcount
    return marked > 0
