"""The records of a slice that lead to no other record but by an address, and to which no other one leads: most of a first pass.

Found by a few questions about the whole slice: such a record is a new person, or one who has a single record with that address already. All
others are read one by one, by what each tells of who it is (`related_records`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from connector.model import PEOPLE_OBJECTS
from connector.pipeline.unify.identity import Key
from connector.pipeline.unify.related_records import IdentityRecord
from connector.store.bulk import find
from connector.store.mirror.keys import by_crm_and_object

_WITH_CONTACT = f"contact_id IS NOT NULL AND object IN ({', '.join(repr(name) for name in PEOPLE_OBJECTS)})"


#: What is known of those who bear an address: the contact that all of them belong to; None where that is to be read one by one.
_Bearers = dict[str, int | None]


def plain_records(connection: Connection, people: Sequence[IdentityRecord]) -> dict[Key, int | None]:
    """Those of a slice, in their order, with the contact they belong to: None for a new person. people: all records of the slice."""
    candidates = [person for person in people if _says_nothing_of_others(person)]
    if not candidates:
        return {}
    emails = Counter(person.email for person in people if person.email is not None)
    named = {name for person in people for name in (person.linked_id, person.linked_before, person.converted_to) if name is not None}
    named |= _named_elsewhere(connection, candidates)
    bearers = _bearers(connection, [person.email for person in candidates if person.email is not None])
    bearers |= {email: None for email, count in emails.items() if count > 1}
    return {
        person.key: None if person.email is None else bearers.get(person.email)
        for person in candidates
        if person.id not in named and (person.email not in bearers or bearers[person.email] is not None)
    }


def _says_nothing_of_others(person: IdentityRecord) -> bool:
    return (
        person.contact_id is None
        and person.linked_id is None
        and person.linked_before is None
        and person.converted_to is None
        and person.merged_into is None
        and not person.archived
    )


def _bearers(connection: Connection, emails: Collection[str]) -> _Bearers:
    """The addresses that a record with a contact has, or any record as a further one.

    One lives that stores no id: who has its address is the same person, whatever else it says.
    """
    columns = ("email", "contact_id", "linked_id", "archived")
    found: _Bearers = {}
    for email, contact_id, linked_id, archived in find(connection, "record", columns, emails, by="email", where=_WITH_CONTACT):
        alone = email not in found and linked_id is None and not archived
        found[email] = contact_id if alone else None
    return found | dict.fromkeys(email for (email,) in find(connection, "record_email", ("email",), emails, by="email"))


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
