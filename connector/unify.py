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

from sqlalchemy import Connection, and_, bindparam, delete, insert, or_, select, update

from connector.contacts import ContactWriter
from connector.store import tables as t
from connector.store.database import Store
from connector.workflows.sla import TICKING

record = t.metadata.tables["record"]
contact = t.metadata.tables["contact"]
link = t.metadata.tables["activity_link"]
attempt = t.metadata.tables["attempt"]
clock = t.metadata.tables["clock"]
evidence = t.metadata.tables["evidence"]
ledger = t.metadata.tables["ledger"]
touch = t.metadata.tables["touch"]
action_value = t.metadata.tables["action_value"]

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
    archived: bool


def link_slice(connection: Connection, now: datetime, after: Key) -> Key | None:
    """Gives the next changed records their contact; where to go on, None at the end.

    A record may show that contacts which were there already are one person: then they are merged.
    """
    people = _people_to_link(connection, after)
    if not people:
        return None
    known, same = _known_links(connection, people), _Same()
    for person in people:
        if person.contact_id is not None and not person.archived:
            known.learn(person, person.contact_id)
    chosen: dict[Key, int] = {}
    for place, person in enumerate(people, start=1):
        own = -place if person.contact_id is None else person.contact_id  # negative: not in the store yet
        same.join([own, *([] if person.archived and own > 0 else known.contacts(person))])
        known.learn(person, own)
        chosen[person.key] = own
    numbers = _new_contacts(connection, same, set(chosen.values()), now) | _merge(connection, same, now)
    _store_links(connection, people, {key: numbers.get(own, own) for key, own in chosen.items()})
    return people[-1].key


class _Same:
    """Numbers of contacts that turned out to be one person, in groups."""

    def __init__(self) -> None:
        self._group: dict[int, set[int]] = {}

    def join(self, numbers: Sequence[int]) -> None:
        """These are one person."""
        whole: set[int] = set().union(*(self._group.get(number, {number}) for number in numbers))
        self._group.update(dict.fromkeys(whole, whole))

    def group(self, number: int) -> set[int]:
        """Everybody who is this one."""
        return self._group.get(number, {number})

    @property
    def merged(self) -> list[list[int]]:
        """The groups in which more than one contact of the store is."""
        stored = {tuple(sorted(one for one in group if one > 0)) for group in self._group.values()}
        return sorted(list(numbers) for numbers in stored if len(numbers) > 1)


def _people_to_link(connection: Connection, after: Key) -> list[_Person]:
    names = ("crm", "object", "id", "email", "contact_id", "properties", "converted_to", "archived")
    rows = connection.execute(
        select(*(record.c[name] for name in names))
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
        _Person(
            key=(row.crm, row.object, row.id),
            email=row.email,
            contact_id=row.contact_id,
            linked=_stored_link(row.crm, row.properties, row.converted_to),
            archived=row.archived,
        )
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
        self.by_email: dict[str, list[int]] = {}

    def contacts(self, person: _Person) -> list[int]:
        """The contacts this person is, by the ids stored in the CRMs and by e-mail."""
        found = []
        if person.linked is not None and person.linked in self.by_key:
            found.append(self.by_key[person.linked])
        if person.key[0] == "salesforce" and person.key[2] in self.by_stored:
            found.append(self.by_stored[person.key[2]])
        if person.email is not None:
            found += self.by_email.get(person.email, [])
        return found

    def learn(self, person: _Person, number: int) -> None:
        """The person is this contact."""
        self.by_key[person.key] = number
        if person.linked is not None:
            self.by_stored[person.linked[2]] = number
        if person.email is not None:
            self.has_email(person.email, number)

    def has_email(self, email: str, number: int) -> None:
        """A record of this contact has this address."""
        there = self.by_email.setdefault(email, [])
        if number not in there:
            there.append(number)


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
        known.has_email(row.email, row.contact_id)
    return known


def _new_contacts(connection: Connection, same: _Same, numbers: set[int], now: datetime) -> dict[int, int]:
    """One contact for each group that has none in the store yet: the number it had so far → its own."""
    groups = {max(same.group(number)): same.group(number) for number in numbers if number < 0}
    known = {one: contact_id for contact_id, group in groups.items() if contact_id > 0 for one in group if one < 0}
    fresh = [group for first, group in sorted(groups.items(), reverse=True) if first < 0]
    if not fresh:
        return known
    ids = connection.execute(
        insert(contact).returning(contact.c.id, sort_by_parameter_order=True),
        [{"first_seen_at": now, "due_at": now, **_EMPTY_CONTACT} for _ in fresh],
    ).scalars()
    return known | {one: contact_id for contact_id, group in zip(ids, fresh, strict=True) for one in group}


_EMPTY_CONTACT: Mapping[str, Any] = {
    "gone": False, "in_hubspot": False, "in_salesforce": False, "stage_differs": False, "agreed_number": 0, "spell": 0,
    "touch_count": 0, "touch_channels": 0, "rejected_before": False, "excluded": False,
}  # fmt: skip


def _merge(connection: Connection, same: _Same, now: datetime) -> dict[int, int]:
    """Makes one contact of each group: lost → kept. Kept is the one with an open attempt, else with any, else the one seen first.

    Its history goes on. The others' records, activities and what the ledger has of them (open tasks among it) go to it, and what their
    transitions were taken on; an attempt of theirs that is open is withdrawn.
    """
    survivors: dict[int, int] = {}
    for group in same.merged:
        rows = connection.execute(select(attempt.c.contact_id, attempt.c.outcome).where(attempt.c.contact_id.in_(group))).all()
        selling, sold = {row.contact_id for row in rows if row.outcome == "open"}, {row.contact_id for row in rows}
        kept = min(group, key=lambda number: (number not in selling, number not in sold, number))
        for lost in group:
            if lost != kept:
                _move(connection, lost, kept, now)
        survivors |= dict.fromkeys(same.group(kept) - {kept}, kept)
    return survivors


def _move(connection: Connection, lost: int, kept: int, now: datetime) -> None:
    connection.execute(update(record).where(record.c.contact_id == lost).values(contact_id=kept, role=None, unify=True))
    connection.execute(update(record).where(record.c.contact_id == kept).values(unify=True))
    for table in (link, ledger, action_value):
        connection.execute(update(table).where(table.c.contact_id == lost).values(contact_id=kept))
    known = select(evidence.c.rule).where(evidence.c.contact_id == kept)
    taken = update(evidence).where(evidence.c.contact_id == lost, evidence.c.rule.not_in(known.scalar_subquery()))
    connection.execute(taken.values(contact_id=kept, spell=0))
    still = and_(attempt.c.contact_id == lost, attempt.c.outcome == "open")
    connection.execute(update(attempt).where(still).values(outcome="withdrawn", ended_at=now))
    ticking = and_(clock.c.contact_id == lost, clock.c.state.in_(TICKING))
    connection.execute(update(clock).where(ticking).values(state="ended", ended_at=now))
    connection.execute(delete(touch).where(touch.c.contact_id == lost))
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
