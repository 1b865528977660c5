"""Records of one person in two CRMs become one contact: first who is who, then the contact's fields, owner and stage.

Works through the records marked `unify`, in slices of one transaction each; a crash between slices resumes where it stopped.
Linking comes first for all records, so that a contact is judged with everything known of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update

from connector.contacts import ContactWriter
from connector.store import tables as t
from connector.store.database import Store

record = t.metadata.tables["record"]
contact = t.metadata.tables["contact"]
link = t.metadata.tables["activity_link"]

#: The objects that are people.
_PEOPLE_OBJECTS = ("contacts", "Lead", "Contact")
#: People in one slice: about 100 ms of the writer.
SLICE = 500

Key = tuple[str, str, str]


def unify(
    store: Store,
    writer: ContactWriter,
    *,
    now: datetime,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Links and makes all contacts whose records changed; how many records. Contacts are made only once all records are linked."""
    after: Key | None = ("", "", "")
    while after is not None:
        if stopped():
            return 0
        after = store.write(partial(link_slice, now=now, after=after))
    total = 0
    while not stopped() and (done := store.write(lambda connection: writer.write_slice(connection, now, SLICE))):
        total += done
        if progress is not None:
            progress(total)
    return total


@dataclass(frozen=True, slots=True)
class _Person:
    """A record that changed, as far as linking needs it."""

    key: Key
    email: str | None
    contact_id: int | None
    linked: Key | None  # the record whose id is stored in it


def link_slice(connection: Connection, now: datetime, after: Key) -> Key | None:
    """Gives the next changed records their contact; where to go on, None at the end."""
    people = _people_to_link(connection, after)
    if not people:
        return None
    known = _known_links(connection, people)
    fresh: list[_Person] = []
    chosen: dict[Key, int] = {}
    merged: dict[int, int] = {}
    for person in people:
        number = _choose(person, known, merged)
        if number is None:
            fresh.append(person)
        else:
            chosen[person.key] = number
            known.learn(person, number)
    chosen.update(_new_contacts(connection, fresh, now))
    for lost in merged:
        _merge(connection, lost, _final(merged, lost))
    _store_links(connection, people, {key: _final(merged, number) for key, number in chosen.items()})
    return people[-1].key


def _choose(person: _Person, known: _Links, merged: dict[int, int]) -> int | None:
    """The contact that this person is, None for a new one. A stored id may show that two contacts are one: the one seen first stays."""
    found = [_final(merged, number) for number in known.contacts(person)]
    if person.contact_id is None:
        return min(found, default=None)
    own = _final(merged, person.contact_id)
    if person.linked is None:
        return own
    kept = min([own, *found])
    for number in (own, *found):
        if number != kept:
            merged[number] = kept
    return kept


def _final(merged: Mapping[int, int], number: int) -> int:
    while number in merged:
        number = merged[number]
    return number


def _people_to_link(connection: Connection, after: Key) -> list[_Person]:
    rows = connection.execute(
        select(record.c.crm, record.c.object, record.c.id, record.c.email, record.c.contact_id, record.c.properties, record.c.converted_to)
        .where(
            record.c.unify,
            record.c.object.in_(_PEOPLE_OBJECTS),
            or_(
                record.c.crm > after[0],
                and_(record.c.crm == after[0], record.c.object > after[1]),
                and_(record.c.crm == after[0], record.c.object == after[1], record.c.id > after[2]),
            ),
        )
        .order_by(record.c.crm, record.c.object, record.c.id)
        .limit(2 * SLICE)
    ).all()
    return [
        _Person((row.crm, row.object, row.id), row.email, row.contact_id, _stored_link(row.crm, row.properties, row.converted_to))
        for row in rows
    ]


def _stored_link(crm: str, properties: Mapping[str, Any], converted_to: str | None) -> Key | None:
    """The id that HubSpot's integration stored in its contact (salesforcecontactid before salesforceleadid), or what a Lead became."""
    if crm == "salesforce":
        return None if converted_to is None else ("salesforce", "Contact", converted_to)
    if properties.get("salesforcecontactid"):
        return ("salesforce", "Contact", properties["salesforcecontactid"])
    if properties.get("salesforceleadid"):
        return ("salesforce", "Lead", properties["salesforceleadid"])
    return None


class _Links:
    """What is known of who is who: by record, by the id stored in others, by e-mail."""

    def __init__(self) -> None:
        self.by_key: dict[Key, int] = {}
        self.by_stored: dict[str, int] = {}
        self.by_email: dict[str, int] = {}

    def contacts(self, person: _Person) -> list[int]:
        """The contacts this person may be, the stored id before the e-mail."""
        found = []
        if person.linked is not None and person.linked in self.by_key:
            found.append(self.by_key[person.linked])
        if person.key[0] == "salesforce" and person.key[2] in self.by_stored:
            found.append(self.by_stored[person.key[2]])
        if not found and person.email is not None and person.email in self.by_email:
            found.append(self.by_email[person.email])
        return found

    def learn(self, person: _Person, number: int) -> None:
        """The person is this contact."""
        self.by_key[person.key] = number
        if person.linked is not None:
            self.by_stored[person.linked[2]] = number
        if person.email is not None:
            self.by_email.setdefault(person.email, number)


def _known_links(connection: Connection, people: Sequence[_Person]) -> _Links:
    known = _Links()
    columns = select(record.c.crm, record.c.object, record.c.id, record.c.linked_id, record.c.email, record.c.contact_id)
    has_contact = and_(record.c.contact_id.is_not(None), ~record.c.archived, record.c.object.in_(_PEOPLE_OBJECTS))
    linked = sorted({person.linked[2] for person in people if person.linked is not None})
    ids = sorted({person.key[2] for person in people if person.key[0] == "salesforce"})
    emails = sorted({person.email for person in people if person.email is not None})
    for row in connection.execute(columns.where(has_contact, record.c.crm == "salesforce", record.c.id.in_(linked))):
        known.by_key[(row.crm, row.object, row.id)] = row.contact_id
    for row in connection.execute(columns.where(has_contact, record.c.linked_id.in_(ids))):
        known.by_stored[row.linked_id] = row.contact_id
    for row in connection.execute(columns.where(has_contact, record.c.email.in_(emails)).order_by(record.c.contact_id)):
        known.by_email.setdefault(row.email, row.contact_id)
    return known


def _new_contacts(connection: Connection, people: Sequence[_Person], now: datetime) -> dict[Key, int]:
    """One contact for each person not known yet; people of one slice may be the same person."""
    groups: list[list[_Person]] = []
    known = _Links()
    for person in people:
        found = known.contacts(person)
        if found:
            groups[found[0]].append(person)
        else:
            groups.append([person])
        known.learn(person, found[0] if found else len(groups) - 1)
    if not groups:
        return {}
    numbers = connection.execute(
        insert(contact).returning(contact.c.id, sort_by_parameter_order=True),
        [{"first_seen_at": now, "due_at": now, **_EMPTY_CONTACT} for _ in groups],
    ).scalars()
    return {person.key: number for number, group in zip(numbers, groups, strict=True) for person in group}


_EMPTY_CONTACT: Mapping[str, Any] = {
    "gone": False, "in_hubspot": False, "in_salesforce": False, "stage_differs": False, "agreed_number": 0, "spell": 0,
    "touch_count": 0, "touch_channels": 0, "rejected_before": False, "excluded": False,
}  # fmt: skip


def _merge(connection: Connection, lost: int, kept: int) -> None:
    """Two contacts turned out to be one person: the records go to the one seen first."""
    connection.execute(update(record).where(record.c.contact_id == lost).values(contact_id=kept, unify=True))
    connection.execute(update(link).where(link.c.contact_id == lost).values(contact_id=kept))
    connection.execute(update(contact).where(contact.c.id == lost).values(gone=True, due_at=None))


def _store_links(connection: Connection, people: Sequence[_Person], chosen: Mapping[Key, int]) -> None:
    changed = [person for person in people if chosen[person.key] != person.contact_id or person.linked is not None]
    moved = [person for person in changed if chosen[person.key] != person.contact_id]
    here: dict[str, Any] = {"crm": bindparam("b_crm"), "object": bindparam("b_object"), "id": bindparam("b_id")}
    rows = {
        person.key: {
            "b_crm": person.key[0],
            "b_object": person.key[1],
            "b_id": person.key[2],
            "b_contact": chosen[person.key],
            "b_linked": None if person.linked is None else person.linked[2],
        }
        for person in changed
    }
    if changed:
        same = and_(*(record.c[name] == value for name, value in here.items()))
        statement = update(record).where(same).values(contact_id=bindparam("b_contact"), linked_id=bindparam("b_linked"))
        connection.execute(statement, [rows[person.key] for person in changed])
    if moved:
        about = and_(link.c.crm == here["crm"], link.c.record_object == here["object"], link.c.record_id == here["id"])
        connection.execute(update(link).where(about).values(contact_id=bindparam("b_contact")), [rows[person.key] for person in moved])
