"""Gives the records that changed their contact.

`related_records` reads what tells who they are, `identity` decides, `merge` makes one contact of several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, and_, false, select, update

from connector.model import CRM_FACTS, CRMS, whole_id
from connector.pipeline.unify.identity import Key, assign_contacts, one_person
from connector.pipeline.unify.merge import merge_contacts
from connector.pipeline.unify.plain_records import plain_records
from connector.pipeline.unify.related_records import PERSON_COLUMNS, IdentityRecord, RelatedRecords, crms_read_whole
from connector.store import tables as t
from connector.store.bulk import AMONG, add_missing, asked, change_values, plain, told
from connector.store.mirror.keys import by_crm_and_object, recount
from connector.store.tables import to_micros

record = plain("record")
_META = t.metadata.tables["meta"]

#: Before the first record.
FIRST: Key = ("", "", "")
#: Records of one slice: about 100 ms of the writer.
SLICE = 1000
_KEYS = ("crm", "object", "id")
#: The properties of a HubSpot contact that hold its Salesforce id: of two, the Contact's goes before the Lead's.
_SALESFORCE_IDS = ("salesforcecontactid", "salesforceleadid")


def link_slice(connection: Connection, now: datetime, after: Key, *, size: int | None = None, id_field: str | None = None) -> Key | None:
    """Gives the next changed records their contact; where to go on, None at the end.

    A record may show that contacts which were there already are one person: then they are merged. size: how many records, `SLICE` unless
    said otherwise. id_field: where Salesforce's records hold the id of their HubSpot contact.
    """
    people = _people_to_link(connection, after, size or SLICE, id_field)
    if not people:
        return None
    plain_people = plain_records(connection, people)
    others = [person for person in people if person.key not in plain_people]
    related = RelatedRecords(connection, others)
    assignment = assign_contacts(one_person(related.traces()))
    chosen = {**assignment.contacts, **{key: contact_id for key, contact_id in plain_people.items() if contact_id is not None}}
    fresh = _in_order(people, [key for key, contact_id in plain_people.items() if contact_id is None], assignment.fresh)
    begun = _new_contacts(connection, len(fresh), now)
    for contact_id, keys in zip(begun, fresh, strict=True):
        chosen |= dict.fromkeys(keys, contact_id)
    kept = merge_contacts(connection, assignment.merges, now)
    if kept:
        chosen = {key: kept.get(contact_id, contact_id) for key, contact_id in chosen.items()}
    concerned = _store_links(connection, people, chosen, related.losers)
    recount(connection, concerned.difference(begun), now)
    return FIRST if _unify_again(connection, related.claimants()) else people[-1].key


def _in_order(people: Sequence[IdentityRecord], alone: Iterable[Key], others: Sequence[Sequence[Key]]) -> list[Sequence[Key]]:
    """The persons without a contact yet, by the records of theirs that come first: contacts are numbered in that order."""
    first: dict[Key, Sequence[Key]] = {key: (key,) for key in alone} | {keys[0]: keys for keys in others}
    return [first[person.key] for person in people if person.key in first]


def relink_once_read_whole(connection: Connection) -> None:
    """When a CRM's people have all been read for the first time, what stores ids of its records is linked anew."""
    for crm in CRMS:
        name = f"people_read_whole:{crm}"
        if crm in crms_read_whole(connection) and connection.scalar(select(_META.c.value).where(_META.c.name == name)) is None:
            add_missing(connection, _META, [{"name": name, "value": "yes"}])
            stores = and_(record.c.crm != crm, record.c.linked_id.is_not(None), record.c.unify == false())
            connection.execute(update(record).where(stores).values(unify=True))


# ── The records that changed ─────────────────────────────────────────────────────────────────────────────────────────────────────────


#: One object after the other: a search over all three parts of the key would sort all that is left, for each slice.
_TO_LINK = f"""
    SELECT {", ".join(PERSON_COLUMNS)}, properties FROM record
    WHERE unify AND crm = ? AND object = ? AND id > ? ORDER BY id LIMIT ?"""  # noqa: S608 - names of our own
_OBJECTS = sorted((crm, object_name) for crm in CRMS for object_name in CRM_FACTS[crm].people)


def _people_to_link(connection: Connection, after: Key, size: int, id_field: str | None) -> list[IdentityRecord]:
    people: list[IdentityRecord] = []
    for crm, object_name in _OBJECTS:
        if (crm, object_name) < after[:2] or len(people) >= size:
            continue
        first = after[2] if (crm, object_name) == after[:2] else ""
        rows = asked(connection, _TO_LINK, crm, object_name, first, size - len(people))
        people += [_identity_record(*row, id_field=id_field) for row in rows]
    return people


def _identity_record(*columns: Any, id_field: str | None) -> IdentityRecord:
    """Of `PERSON_COLUMNS` and the properties, with the id that these hold."""
    crm, name, row_id, email, contact_id, before, converted_to, merged_into, archived, text = columns
    linked_id = stored_id(crm, text, id_field)
    return IdentityRecord(crm, name, row_id, email, contact_id, linked_id, converted_to, merged_into, archived, before)


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

#: What a contact begins with. Its moments (first seen, due, to be counted anew, to be decided on) come before.
_EMPTY_CONTACT: Mapping[str, bool | int] = {
    "gone": False, "in_hubspot": False, "in_salesforce": False, "stage_differs": False, "agreed_number": 0, "spell": 0,
    "touch_count": 0, "touch_channels": 0, "rejected_before": False, "excluded": False,
}  # fmt: skip
_BEGUN = ("first_seen_at", "due_at", "recount_at", "decide_at", *_EMPTY_CONTACT)
_NUMBERS = {"sqlite": "json_each(?)", "postgresql": "unnest(?)"}


def _new_contacts(connection: Connection, count: int, now: datetime) -> list[int]:
    if not count:
        return []
    marks = ", ".join("?" * 4) + "".join(f", {str(value).upper()}" for value in _EMPTY_CONTACT.values())
    statement = f"INSERT INTO contact ({', '.join(_BEGUN)}) SELECT {marks} FROM {_NUMBERS[connection.dialect.name]} RETURNING id"  # noqa: S608
    return sorted(row[0] for row in asked(connection, statement, *(to_micros(now),) * 4, range(count)))


def _store_links(
    connection: Connection, people: Sequence[IdentityRecord], chosen: Mapping[Key, int], losers: Mapping[Key, Sequence[str]]
) -> set[int]:
    """The records' contacts, and the ids stored in them. The activities go along with the records: to which contacts."""
    moved = {person.key: chosen[person.key] for person in people if chosen[person.key] != person.contact_id}
    rows = [(contact_id, *key) for key, contact_id in moved.items()]
    change_values(connection, "record", rows, ("contact_id",), keys=_KEYS)
    linked = [(person.linked_id, *person.key) for person in people if person.linked_id != person.linked_before]
    change_values(connection, "record", linked, ("linked_id",), keys=_KEYS)
    for key, ids in losers.items():  # what is told of a record that was never here belongs to the one that stands for it
        loser_keys = [(*key[:2], loser) for loser in ids]
        moved |= {loser: chosen[key] for loser in loser_keys if key in chosen and loser not in chosen}
    links = [(contact_id, *key) for key, contact_id in moved.items()]
    change_values(connection, "activity_link", links, ("contact_id",), keys=("crm", "record_object", "record_id"))
    return set(moved.values())


def _unify_again(connection: Connection, claimants: Sequence[Key]) -> bool:
    """Marks records outside of the slice about which it says something; whether there are any."""
    statement = f"UPDATE record SET unify = ? WHERE crm = ? AND object = ? AND NOT unify AND id {AMONG}"  # noqa: S608 - nothing from outside
    marked = [told(connection, statement, True, crm, object_name, ids) for crm, object_name, ids in by_crm_and_object(claimants)]
    return any(marked)
