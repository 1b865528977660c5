"""The records of a slice that are a new person each: nothing leads from them to another record, and nothing from another one to them.

Found by a few questions about the whole slice. All others are read one by one, by what each tells of who it is (`related_records`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from connector.model import PEOPLE_OBJECTS
from connector.pipeline.unify.related_records import IdentityRecord
from connector.store.bulk import find
from connector.store.mirror.keys import by_crm_and_object

_OBJECTS = f"object IN ({', '.join(repr(name) for name in PEOPLE_OBJECTS)})"


def plain_records(connection: Connection, people: Sequence[IdentityRecord]) -> list[IdentityRecord]:
    """Those of a slice that are a new person each, in their order. people: all records of the slice."""
    candidates = [person for person in people if _says_nothing_of_others(person)]
    if not candidates:
        return []
    emails = Counter(person.email for person in people if person.email is not None)
    named = {name for person in people for name in (person.linked_id, person.linked_before, person.converted_to) if name is not None}
    addresses = [person.email for person in candidates if person.email is not None]
    shared = {email for email in addresses if emails[email] > 1} | _borne_elsewhere(connection, addresses)
    named |= _named_elsewhere(connection, candidates)
    return [person for person in candidates if person.email not in shared and person.id not in named]


def _says_nothing_of_others(person: IdentityRecord) -> bool:
    return (
        person.contact_id is None
        and person.linked_id is None
        and person.linked_before is None
        and person.converted_to is None
        and person.merged_into is None
        and not person.archived
    )


def _borne_elsewhere(connection: Connection, emails: Collection[str]) -> set[str]:
    """Of these addresses those that a record with a contact has, or any record as a further one."""
    linked = find(connection, "record", ("email",), emails, by="email", where=f"contact_id IS NOT NULL AND {_OBJECTS}")
    further = find(connection, "record_email", ("email",), emails, by="email")
    return {email for (email,) in (*linked, *further)}


def _named_elsewhere(connection: Connection, people: Sequence[IdentityRecord]) -> set[str]:
    """The ids of those that a record with a contact stores, or was converted into; that have further addresses, or a part in a merge."""
    rows: list[tuple[str]] = []
    for name in ("linked_id", "converted_to"):
        ids = [person.id for person in people if name == "linked_id" or person.object == "Contact"]
        rows += find(connection, "record", (name,), ids, by=name, where="contact_id IS NOT NULL")
    for crm, object_name, ids in by_crm_and_object(person.key for person in people):
        for table, name in (("record_email", "id"), ("merged", "id"), ("merged", "into_id")):
            rows += find(connection, table, (name,), ids, by=name, crm=crm, object=object_name)
    return {row_id for (row_id,) in rows}
