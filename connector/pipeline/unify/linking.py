"""Gives the records that changed their contact.

`related_records` reads what tells who they are, `identity` decides, `merge` makes one contact of several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, and_, false, insert, or_, select, update

from connector.model import CRMS, PEOPLE_OBJECTS, whole_id
from connector.pipeline.unify.identity import Key, assign_contacts, one_person
from connector.pipeline.unify.merge import merge_contacts
from connector.pipeline.unify.related_records import PERSON_COLUMNS, IdentityRecord, RelatedRecords, crms_read_whole
from connector.store import tables as t
from connector.store.bulk import add_missing, change, plain
from connector.store.mirror.keys import by_crm_and_object
from connector.workflows import touch_counts

record = plain("record")
contact = t.metadata.tables["contact"]
_META = t.metadata.tables["meta"]

#: Before the first record.
FIRST: Key = ("", "", "")
#: Records of one slice: about 100 ms of the writer.
SLICE = 1000
_KEYS = ("crm", "object", "id")
#: The properties of a HubSpot contact that hold its Salesforce id: of two, the Contact's goes before the Lead's.
_SALESFORCE_IDS = ("salesforcecontactid", "salesforceleadid")


def link_slice(connection: Connection, now: datetime, after: Key, *, id_field: str | None = None) -> Key | None:
    """Gives the next changed records their contact; where to go on, None at the end.

    A record may show that contacts which were there already are one person: then they are merged. id_field: where Salesforce's records
    hold the id of their HubSpot contact.
    """
    people = _people_to_link(connection, after, id_field)
    if not people:
        return None
    related = RelatedRecords(connection, people)
    assignment = assign_contacts(one_person(related.traces()))
    chosen = dict(assignment.contacts)
    for contact_id, keys in zip(_new_contacts(connection, len(assignment.fresh), now), assignment.fresh, strict=True):
        chosen |= dict.fromkeys(keys, contact_id)
    kept = merge_contacts(connection, assignment.merges, now)
    moved = _store_links(connection, people, {key: kept.get(contact_id, contact_id) for key, contact_id in chosen.items()}, related.losers)
    touch_counts.count_anew(connection, moved, now)
    return FIRST if _unify_again(connection, related.claimants()) else people[-1].key


def relink_once_read_whole(connection: Connection) -> None:
    """When a CRM's people have all been read for the first time, what stores ids of its records is linked anew."""
    for crm in CRMS:
        name = f"people_read_whole:{crm}"
        if crm in crms_read_whole(connection) and connection.scalar(select(_META.c.value).where(_META.c.name == name)) is None:
            add_missing(connection, _META, [{"name": name, "value": "yes"}])
            stores = and_(record.c.crm != crm, record.c.linked_id.is_not(None), record.c.unify == false())
            connection.execute(update(record).where(stores).values(unify=True))


# ── The records that changed ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _people_to_link(connection: Connection, after: Key, id_field: str | None) -> list[IdentityRecord]:
    rows = connection.execute(
        select(*(record.c[name] for name in PERSON_COLUMNS), record.c.properties)
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
        .limit(SLICE)
    )
    return [_with_stored_id(IdentityRecord(*row[:-1]), row.properties, id_field) for row in rows]


def _with_stored_id(person: IdentityRecord, properties: str, id_field: str | None) -> IdentityRecord:
    return person._replace(linked_id=stored_id(person.crm, properties, id_field), linked_before=person.linked_id)


def stored_id(crm: str, properties: str, id_field: str | None) -> str | None:
    """The id of its other half that a record stores in one of its properties (JSON); id_field: where Salesforce's records do."""
    for name in _SALESFORCE_IDS if crm == "hubspot" else (id_field,):
        found = None if name is None else whole_id(_value(properties, name))
        if found is not None:
            return found
    return None


def _value(properties: str, name: str) -> Any:
    """One property out of JSON, which is read only where the property is there and has a value."""
    marker = f'"{name}":'
    at = properties.find(marker)
    if at < 0 or properties.startswith("null", at + len(marker)):
        return None
    return orjson.loads(properties).get(name)


# ── Storing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

_EMPTY_CONTACT: Mapping[str, bool | int] = {
    "gone": False, "in_hubspot": False, "in_salesforce": False, "stage_differs": False, "agreed_number": 0, "spell": 0,
    "touch_count": 0, "touch_channels": 0, "rejected_before": False, "excluded": False,
}  # fmt: skip


def _new_contacts(connection: Connection, count: int, now: datetime) -> list[int]:
    if not count:
        return []
    statement = insert(contact).returning(contact.c.id, sort_by_parameter_order=True)
    rows = [{"first_seen_at": now, "due_at": now, "recount_at": now, **_EMPTY_CONTACT} for _ in range(count)]
    return list(connection.execute(statement, rows).scalars())


def _store_links(
    connection: Connection, people: Sequence[IdentityRecord], chosen: Mapping[Key, int], losers: Mapping[Key, Sequence[str]]
) -> set[int]:
    """Stores which contact each record belongs to, its activities with it; the contacts that got activities."""
    changed = [person for person in people if (chosen[person.key], person.linked_id) != (person.contact_id, person.linked_before)]
    rows = [dict(zip(_KEYS, person.key, strict=True), contact_id=chosen[person.key], linked_id=person.linked_id) for person in changed]
    change(connection, "record", rows, ("contact_id", "linked_id"), keys=_KEYS)
    moved = {person.key: chosen[person.key] for person in changed if chosen[person.key] != person.contact_id}
    for key, ids in losers.items():  # what is told of a record that was never here belongs to the one that stands for it
        loser_keys = [(*key[:2], loser) for loser in ids]
        moved |= {loser: chosen[key] for loser in loser_keys if key in chosen and loser not in chosen}
    links = [{"crm": key[0], "record_object": key[1], "record_id": key[2], "contact_id": number} for key, number in moved.items()]
    change(connection, "activity_link", links, ("contact_id",), keys=("crm", "record_object", "record_id"))
    return set(moved.values())


def _unify_again(connection: Connection, claimants: Sequence[Key]) -> bool:
    """Marks records outside of the slice about which it says something; whether there are any."""
    marked = 0
    for crm, object_name, ids in by_crm_and_object(claimants):
        where = and_(record.c.crm == crm, record.c.object == object_name, record.c.id.in_(ids), record.c.unify == false())
        marked += connection.execute(update(record).where(where).values(unify=True)).rowcount
    return marked > 0
