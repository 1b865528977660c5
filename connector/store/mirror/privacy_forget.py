"""Deletes persons for privacy: afterwards no personal value of theirs stands in the database, nor in its files.

Gone are their records in both CRMs, versions, histories, addresses, values of actions and all fields. Plans, ledger, spells, attempts,
rejections, clocks and touches keep key, rule, times and outcome, so that no figure changes. Salted hashes keep the person away
(`connector.store.mirror.privacy_hashes`). What SQLite leaves behind in its file and log is looked for, not believed to be gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select

from connector.model import RecordRef
from connector.store.bulk import chunks, find, plain, put
from connector.store.database import Store
from connector.store.marks import CONTACT, personal_tables
from connector.store.mirror import privacy_hashes, privacy_mentions
from connector.store.mirror.keys import FullKey, by_crm_and_object
from connector.store.mirror.privacy_erase import delete_mirrored, forget_contacts, take_away
from connector.store.mirror.privacy_residue import still_there
from connector.store.mirror.rows import EMAIL_PROPERTY, normalised_email
from connector.store.tables import metadata

_T = metadata.tables
_META = plain("meta")
#: The name in `meta` that stands from a deletion until its traces were looked for.
_DUE = "privacy_scrub"
#: How often SQLite is asked to empty its log while others read it.
_CHECKPOINTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetResult:
    """What was deleted. clean: no address or telephone number of theirs is left in the database's files.

    False where another process kept SQLite's log busy, and on PostgreSQL (`finish` does the rest later), or where an address also stands in
    what stays (an owner's, a company's own).
    """

    records: int
    contacts: int
    clean: bool


@dataclass(slots=True, kw_only=True)
class Erased:
    """Deleted rows, and the texts that must be found nowhere any more: never stored, never logged."""

    records: int = 0
    contacts: int = 0
    texts: set[str] = field(default_factory=set)


def forget(store: Store, refs: Sequence[RecordRef], *, now: datetime) -> ForgetResult:
    """Deletes everything personal of the persons behind these records, whether or not the mirror holds them. May be repeated."""
    erased = store.write(lambda connection: erase(connection, refs, now))
    return ForgetResult(records=erased.records, contacts=erased.contacts, clean=scrub(store, erased))


def erase(connection: Connection, refs: Sequence[RecordRef], now: datetime) -> Erased:
    """`forget` inside a transaction; call `scrub` once it is committed."""
    if not refs:
        return Erased()
    persons = _Persons.of(connection, refs)
    delete_mirrored(connection, persons.keys)
    beside = take_away(connection, persons.bearers, now)
    forget_contacts(connection, persons.contacts, now)
    privacy_mentions.empty_where_named(connection, persons.contacts, persons.mention)
    privacy_mentions.redact(connection, persons.emails | persons.as_came)
    privacy_mentions.strike_out(connection, persons.emails | persons.as_came)
    privacy_hashes.remember(connection, persons.keys, persons.emails, now)
    put(connection, "meta", [{"name": _DUE, "value": "due"}], ("name", "value"))
    return Erased(
        records=len(persons.records) + beside, contacts=len(persons.contacts), texts=persons.emails | persons.as_came | persons.phones
    )


def scrub(store: Store, erased: Erased) -> bool:
    """Empties SQLite's log, looks through the files, and rebuilds the database where something is left; whether all is clean."""
    if store.dialect == "postgresql":
        for name in _touched():
            store.apart(f"VACUUM {name}")
        return False  # nobody can read it any more, but its pages and indexes keep the bytes until `finish` writes them anew
    clean = _emptied_log(store)
    if clean and still_there(store.files(), erased.texts):
        _rebuild(store)
        clean = _emptied_log(store)
        if clean and still_there(store.files(), erased.texts):
            _scrubbed(store)
            return False
    if clean:
        _scrubbed(store)
    return clean


def finish(store: Store) -> bool:
    """Does what a deletion could not do at once (the log was busy, the process died; all tables on PostgreSQL): rebuilds the database.

    Whether nothing is left to do. PostgreSQL locks each table while it is written anew.
    """
    with store.read() as connection:
        if connection.scalar(select(_META.c.value).where(_META.c.name == _DUE)) is None:
            return True
    if store.dialect == "postgresql":
        for name in _touched():
            store.apart(f"VACUUM (FULL) {name}")
    else:
        _rebuild(store)
        if not _emptied_log(store):
            return False
    _scrubbed(store)
    return True


# ── Who ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Persons:
    """Who is to be forgotten, and what tells of them.

    emails are normalised; as_came: as the CRMs spelt them; names: to look for in texts that people wrote. bearers: records of others that
    have one of the addresses: not joined with them yet, or of somebody who shares it.
    """

    keys: set[FullKey]
    records: set[FullKey] = field(default_factory=set)
    contacts: set[int] = field(default_factory=set)
    emails: set[str] = field(default_factory=set)
    as_came: set[str] = field(default_factory=set)
    phones: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    bearers: set[FullKey] = field(default_factory=set)

    @classmethod
    def of(cls, connection: Connection, refs: Sequence[RecordRef]) -> _Persons:
        persons = cls({(ref.crm, ref.object, ref.id) for ref in refs})
        for crm, object_name, ids in by_crm_and_object(persons.keys):
            rows = find(connection, "record", ("id", "contact_id"), ids, crm=crm, object=object_name)
            persons.contacts |= {contact for _, contact in rows if contact is not None}
        record = _T["record"]
        columns = (record.c.crm, record.c.object, record.c.id, record.c.email, record.c.properties)
        for piece in chunks(sorted(persons.contacts)):
            persons._take(connection.execute(select(*columns).where(record.c.contact_id.in_(piece))))
        for crm, object_name, ids in by_crm_and_object(persons.keys - persons.records):
            same = (record.c.crm == crm, record.c.object == object_name, record.c.id.in_(ids))
            persons._take(connection.execute(select(*columns).where(*same)))
        persons.keys |= persons.records
        persons._take_past(connection)
        persons._take_bearers(connection)
        contact = _T["contact"]
        for piece in chunks(sorted(persons.contacts)):  # contacts that turned out to be one of these
            persons.contacts |= set(connection.scalars(select(contact.c.id).where(contact.c.merged_into.in_(piece))))
        return persons

    def _take(self, rows: Iterable[Any]) -> None:
        for crm, object_name, row_id, email, properties in rows:
            self.records.add((crm, object_name, row_id))
            self._address(email)
            for name, value in properties.items():
                self._value(crm, object_name, name, value)

    def _value(self, crm: str, object_name: str, name: str, value: object) -> None:
        if not isinstance(value, str) or not value.strip():
            return
        if name == EMAIL_PROPERTY.get((crm, object_name)):
            self._address(value)
        elif "phone" in name.casefold() and len(value) >= 7:
            self.phones.add(value)
        elif "name" in name.casefold() and len(value) >= 3:
            self.names.add(value)

    def _address(self, value: object) -> None:
        address = normalised_email(value)
        if address is not None:
            self.emails.add(address)
            self.as_came.add(str(value).strip())

    def _take_past(self, connection: Connection) -> None:
        """Further addresses, those of before, and the losers of merges."""
        version = _T["record_version"]
        for crm, object_name, ids in by_crm_and_object(self.keys):
            for (email,) in find(connection, "record_email", ("email",), ids, crm=crm, object=object_name):
                self._address(email)
            same = (version.c.crm == crm, version.c.object == object_name, version.c.id.in_(ids))
            for changed in connection.scalars(select(version.c.changed).where(*same)):
                for name, pair in changed.items():
                    for value in pair:
                        self._value(crm, object_name, name, value)
        for crm, object_name, ids in by_crm_and_object(set(self.keys)):
            losers = find(connection, "merged", ("id",), ids, by="into_id", crm=crm, object=object_name)
            self.keys |= {(crm, object_name, row_id) for (row_id,) in losers}

    def _take_bearers(self, connection: Connection) -> None:
        emails = sorted(self.emails)
        columns = ("crm", "object", "id")
        keys = {*map(tuple, find(connection, "record", columns, emails, by="email"))}
        keys |= {*map(tuple, find(connection, "record_email", columns, emails, by="email"))}
        self.bearers = keys - self.keys
        for crm, object_name, ids in by_crm_and_object(self.bearers):
            for (properties,) in find(connection, "record", ("properties",), ids, crm=crm, object=object_name):
                spelt = str(orjson.loads(properties).get(EMAIL_PROPERTY.get((crm, object_name), "")) or "").strip()
                self.as_came |= {spelt} if normalised_email(spelt) in self.emails else set()

    def mention(self, text: str) -> bool:
        """Whether a text that a person wrote names one of them."""
        plain_text = text.casefold()
        return any(word.casefold() in plain_text for words in (self.emails, self.as_came, self.phones, self.names) for word in words)


# ── The files ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _emptied_log(store: Store) -> bool:
    """Whether SQLite's log was put into the database and cut to nothing; another process that reads may keep it."""
    return any(store.apart("PRAGMA wal_checkpoint(TRUNCATE)")[0][0] == 0 for _ in range(_CHECKPOINTS))


def _rebuild(store: Store) -> None:
    """Writes the database anew without what deleted rows left behind. Beside the file: the memory for all of it may not be there."""
    store.apart("PRAGMA temp_store = FILE")
    try:
        store.apart("VACUUM")
    finally:
        store.apart("PRAGMA temp_store = MEMORY")


def _touched() -> list[str]:
    """The tables that a deletion writes to."""
    return [*(personal.name for personal in personal_tables()), CONTACT, privacy_mentions.STRUCK_OUT]


def _scrubbed(store: Store) -> None:
    def work(connection: Connection) -> None:
        connection.execute(delete(_META).where(_META.c.name == _DUE))

    store.write(work)
