"""The records that changed, and all others that tell who their people are: an id, an address, a merge or a conversion leads to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from connector.model import CrmName
from connector.pipeline.unify.identity import PEOPLE, Key, Trace
from connector.store import tables as t
from connector.store.bulk import find, plain
from connector.store.mirror.keys import by_crm_and_object

_CURSOR = t.metadata.tables["cursor"]

#: The objects that are people, in both CRMs.
PEOPLE_OBJECTS = tuple(name for names in PEOPLE.values() for name in names)


class IdentityRecord(NamedTuple):
    """A person's record, as far as linking needs it. linked_id: the id of the other CRM that it stores; linked_before: as it is stored."""

    crm: str
    object: str
    id: str
    email: str | None
    contact_id: int | None
    linked_id: str | None
    converted_to: str | None
    merged_into: str | None
    archived: bool
    linked_before: str | None = None

    @property
    def key(self) -> Key:
        return self.crm, self.object, self.id

    @property
    def gone(self) -> bool:
        """Deleted, and no other record stands for it."""
        return bool(self.archived) and self.merged_into is None

    @property
    def claimed(self) -> list[Key]:
        """The records that the id stored in it may be of: ids tell Salesforce's Leads and Contacts apart, and we do not."""
        if self.linked_id is None:
            return []
        other: CrmName = "salesforce" if self.crm == "hubspot" else "hubspot"
        return [(other, object_name, self.linked_id) for object_name in PEOPLE[other]]

    @property
    def became(self) -> list[Key]:
        """The Salesforce Contact that a Lead was converted into."""
        return [] if self.converted_to is None else [("salesforce", "Contact", self.converted_to)]


#: The columns of `record` of which one is made, in its order.
PERSON_COLUMNS = IdentityRecord._fields[:-1]


class RelatedRecords:
    """The records of a slice, and all others that an id or an address of theirs leads to. losers: survivor → who was merged into it."""

    def __init__(self, connection: Connection, people: Sequence[IdentityRecord]) -> None:
        self._connection = connection
        self._people = people
        self._records = {person.key: person for person in people}
        self._ends: dict[Key, str] = {}
        self.losers: dict[Key, list[str]] = {}
        self._emails: dict[Key, list[str]] = {}
        self._merges = connection.execute(select(plain("merged").c.id).limit(1)).first() is not None
        self._read_emails(self._records)
        names = {name for person in people for name in (person.key, *person.became, *person.claimed)}
        self._follow(names)
        names |= {(crm, object_name, loser) for (crm, object_name, _), losers in self.losers.items() for loser in losers}
        self._add_by_name(names | {(*key[:2], end) for key, end in self._ends.items()})
        self._add_by_email()
        targets = {name for record in self._records.values() for name in record.claimed} - names
        self._follow(targets)
        self._living = self._read_living({self._end(name) for record in self._records.values() for name in record.claimed})
        self._read_whole = crms_read_whole(connection)

    def traces(self) -> list[Trace]:
        """What all of them tell of who they are."""
        return [
            Trace(
                key=record.key,
                names=tuple(self._end(name) for name in self._own_names(record)),
                emails=self._addresses(record),
                contact=record.contact_id,
                claims=self._claims(record),
            )
            for record in self._records.values()
        ]

    def claimants(self) -> list[Key]:
        """Records outside of the slice that store the id of one inside that is deleted: addresses of theirs may say more now."""
        slice_keys = {person.key for person in self._people}
        gone = {person.id for person in self._people if person.gone}
        return [key for key, record in self._records.items() if key not in slice_keys and record.linked_id in gone]

    def _addresses(self, record: IdentityRecord) -> tuple[str, ...]:
        if record.gone:
            return ()
        first = [] if record.email is None else [record.email]
        return tuple({*first, *self._emails.get(record.key, ())})

    def _own_names(self, record: IdentityRecord) -> list[Key]:
        """Itself, what it became, and what it stores the id of: of the objects that are possible the one that is here."""
        names = [record.key, *record.became]
        claimed = record.claimed
        if claimed:
            here = (name for name in claimed if self._end(name) in self._living)
            names.append(next(here, claimed[0]))
        return names

    def _claims(self, record: IdentityRecord) -> bool:
        """Whether the id that it stores decides: it names a living record, or one that may still come."""
        names = [self._end(name) for name in record.claimed]
        if not names:
            return False
        living = [self._living[name] for name in names if name in self._living]
        return any(living) if living else names[0][0] not in self._read_whole

    def _end(self, name: Key) -> Key:
        end = self._ends.get(name)
        return name if end is None else (name[0], name[1], end)

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _follow(self, names: Iterable[Key]) -> None:
        """Learns which records stand for these, and for which others those stand."""
        if not self._merges:
            return
        for crm, object_name, ids in by_crm_and_object(names):
            for row_id, into in find(self._connection, "merged", ("id", "into_id"), ids, crm=crm, object=object_name):
                self._ends[crm, object_name, row_id] = into
        for crm, object_name, ids in by_crm_and_object({self._end(name) for name in names}):
            for row_id, into in find(self._connection, "merged", ("id", "into_id"), ids, by="into_id", crm=crm, object=object_name):
                self._ends[crm, object_name, row_id] = into
                self.losers.setdefault((crm, object_name, into), []).append(row_id)

    def _add_by_name(self, names: AbstractSet[Key]) -> None:
        """Records that these names are of, that store one of them, or became one of them."""
        for crm, object_name, ids in by_crm_and_object(names - self._records.keys()):
            self._add(find(self._connection, "record", PERSON_COLUMNS, ids, crm=crm, object=object_name))
        self._add(find(self._connection, "record", PERSON_COLUMNS, sorted({name[2] for name in names}), by="linked_id"))
        contacts = sorted({name[2] for name in names if name[1] == "Contact"})
        self._add(find(self._connection, "record", PERSON_COLUMNS, contacts, by="converted_to", crm="salesforce"))

    def _add_by_email(self) -> None:
        emails = {person.email for person in self._people if person.email is not None and not person.gone}
        emails |= {email for person in self._people if not person.gone for email in self._emails.get(person.key, ())}
        self._add(find(self._connection, "record", PERSON_COLUMNS, sorted(emails), by="email"))
        further = find(self._connection, "record_email", ("crm", "object", "id", "email"), sorted(emails), by="email")
        for crm, object_name, row_id, email in further:
            addresses = self._emails.setdefault((crm, object_name, row_id), [])
            if email not in addresses:
                addresses.append(email)
        for crm, object_name, ids in by_crm_and_object({(row[0], row[1], row[2]) for row in further} - self._records.keys()):
            self._add(find(self._connection, "record", PERSON_COLUMNS, ids, crm=crm, object=object_name))

    def _add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Takes records that belong to a contact already; others are not linked yet, and will find these. rows: as `PERSON_COLUMNS`."""
        for row in rows:
            record = IdentityRecord(*row)
            if record.contact_id is not None and record.object in PEOPLE_OBJECTS:
                self._records.setdefault(record.key, record)

    def _read_emails(self, keys: Iterable[Key]) -> None:
        for crm, object_name, ids in by_crm_and_object(keys):
            for row_id, email in find(self._connection, "record_email", ("id", "email"), ids, crm=crm, object=object_name):
                self._emails.setdefault((crm, object_name, row_id), []).append(email)

    def _read_living(self, names: Iterable[Key]) -> dict[Key, bool]:
        """Which of these are here: whether they live."""
        return {
            (crm, object_name, row_id): not archived
            for crm, object_name, ids in by_crm_and_object(names)
            for row_id, archived in find(self._connection, "record", ("id", "archived"), ids, crm=crm, object=object_name)
        }


def crms_read_whole(connection: Connection) -> frozenset[str]:
    """The CRMs whose people were all read once: an id that is not here then names nobody."""
    complete: dict[str, list[bool]] = {}
    for row in connection.execute(select(_CURSOR.c.crm, _CURSOR.c.complete).where(_CURSOR.c.object.in_(PEOPLE_OBJECTS))):
        complete.setdefault(row.crm, []).append(row.complete)
    return frozenset(crm for crm, streams in complete.items() if all(streams))
