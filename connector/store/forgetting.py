"""Deletes persons for privacy: afterwards no personal value of theirs stands in the database, nor in its files.

Gone are their records in both CRMs, versions, histories, addresses, values of actions and all fields. Plans, ledger, spells, attempts,
rejections, clocks and touches keep key, rule, times and outcome, so that no figure changes. Salted hashes keep the person away
(`connector.store.privacy`). What SQLite leaves behind in its file and log is looked for, not believed to be gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, and_, delete, func, or_, select, update
from sqlalchemy import text as sql

from connector.model import FieldType, RecordRef, State
from connector.store import privacy
from connector.store.bulk import chunks, find, plain, put
from connector.store.database import Store
from connector.store.grouping import by_object
from connector.store.intake import EMAIL_PROPERTY, normalised_email
from connector.store.ledger import OPEN
from connector.store.tables import metadata
from connector.store.traces import still_there

_T = metadata.tables
_META = plain("meta")
#: The name in `meta` that stands from a deletion until its traces were looked for.
_DUE = "privacy_scrub"
_ENDED = "the person was deleted for privacy"
#: How often SQLite is asked to empty its log while others read it.
_CHECKPOINTS = 6
_TOUCHED = (
    "record", "record_version", "field_history", "record_email", "activity", "activity_link", "deal_link", "campaign_member", "set_aside",
    "contact", "evidence", "rejection", "action_value", "ledger", "run",
)  # fmt: skip

#: CRM, object, id.
FullKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was deleted. clean: no address or telephone number of theirs is left in the database's files. False where another process kept
    SQLite's log busy (`finish` does it later), or where an address also stands in what stays (an owner's, a company's own)."""

    records: int
    contacts: int
    clean: bool


@dataclass(slots=True, kw_only=True)
class Erased:
    """Deleted rows, and the texts that must be found nowhere any more: never stored, never logged."""

    records: int = 0
    contacts: int = 0
    texts: set[str] = field(default_factory=set)


def forget(store: Store, refs: Sequence[RecordRef], *, now: datetime) -> Forgotten:
    """Deletes everything personal of the persons behind these records, whether or not the mirror holds them. May be repeated."""
    erased = store.write(lambda connection: erase(connection, refs, now))
    return Forgotten(records=erased.records, contacts=erased.contacts, clean=scrub(store, erased))


def erase(connection: Connection, refs: Sequence[RecordRef], now: datetime) -> Erased:
    """`forget` inside a transaction; call `scrub` once it is committed."""
    if not refs:
        return Erased()
    persons = _Persons.of(connection, refs)
    _delete_mirrored(connection, persons)
    _empty_conclusions(connection, persons, now)
    empty_contacts(connection, persons.contacts)
    _redact(connection, persons.emails)
    privacy.remember(connection, persons.keys, persons.emails, now)
    put(connection, "meta", [{"name": _DUE, "value": "due"}], ("name", "value"))
    return Erased(records=len(persons.records), contacts=len(persons.contacts), texts=persons.emails | persons.as_came | persons.phones)


def scrub(store: Store, erased: Erased) -> bool:
    """Empties SQLite's log, looks through the files, and rebuilds the database where something is left; whether all is clean."""
    if store.dialect == "postgresql":
        for name in _TOUCHED:
            store.apart(f"VACUUM {name}")
        _scrubbed(store)
        return True
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
    """Does what a deletion could not do at once (the log was busy, the process died): rebuilds the database.

    Whether nothing is left to do.
    """
    with store.read() as connection:
        if connection.scalar(select(_META.c.value).where(_META.c.name == _DUE)) is None:
            return True
    if store.dialect == "sqlite":
        _rebuild(store)
        if not _emptied_log(store):
            return False
        _scrubbed(store)
        return True
    return scrub(store, Erased())


def empty_contacts(connection: Connection, contacts: Collection[int]) -> None:
    """Empties every field of these contacts, and the values that their evidence was kept with."""
    columns = [
        name
        for column, kind in connection.execute(select(_T["field"].c.name, _T["field"].c.type))
        for name in ((column, f"{column}_folded") if FieldType(kind).textual else (column,))
    ]
    for some in chunks(sorted(contacts)):
        listed = ", ".join(str(int(one)) for one in some)
        if columns:
            empty = ", ".join(f"{name} = NULL" for name in columns)  # names that connector.store.fields checked
            connection.execute(sql(f"UPDATE contact SET {empty} WHERE id IN ({listed})"))  # noqa: S608
        connection.execute(update(_T["evidence"]).where(_T["evidence"].c.contact_id.in_(some)).values(basis=None))


# ── Who ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Persons:
    """Who is to be forgotten, and what tells of them.

    emails are normalised; as_came: as the CRMs spelt them; names: to look for in texts that people wrote.
    """

    keys: set[FullKey]
    records: set[FullKey] = field(default_factory=set)
    contacts: set[int] = field(default_factory=set)
    emails: set[str] = field(default_factory=set)
    as_came: set[str] = field(default_factory=set)
    phones: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, connection: Connection, refs: Sequence[RecordRef]) -> _Persons:
        persons = cls({(ref.crm, ref.object, ref.id) for ref in refs})
        for crm, object_name, ids in _grouped(persons.keys):
            rows = find(connection, "record", ("id", "contact_id"), ids, crm=crm, object=object_name)
            persons.contacts |= {contact for _, contact in rows if contact is not None}
        record = _T["record"]
        columns = (record.c.crm, record.c.object, record.c.id, record.c.email, record.c.properties)
        for some in chunks(sorted(persons.contacts)):
            persons._take(connection.execute(select(*columns).where(record.c.contact_id.in_(some))))
        for crm, object_name, ids in _grouped(persons.keys - persons.records):
            same = (record.c.crm == crm, record.c.object == object_name, record.c.id.in_(ids))
            persons._take(connection.execute(select(*columns).where(*same)))
        persons.keys |= persons.records
        persons._take_past(connection)
        contact = _T["contact"]
        for some in chunks(sorted(persons.contacts)):  # contacts that turned out to be one of these
            persons.contacts |= set(connection.scalars(select(contact.c.id).where(contact.c.merged_into.in_(some))))
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
        for crm, object_name, ids in _grouped(self.keys):
            for (email,) in find(connection, "record_email", ("email",), ids, crm=crm, object=object_name):
                self._address(email)
            same = (version.c.crm == crm, version.c.object == object_name, version.c.id.in_(ids))
            for changed in connection.scalars(select(version.c.changed).where(*same)):
                for name, pair in changed.items():
                    for value in pair:
                        self._value(crm, object_name, name, value)
        for crm, object_name, ids in _grouped(set(self.keys)):
            losers = find(connection, "merged", ("id",), ids, by="into_id", crm=crm, object=object_name)
            self.keys |= {(crm, object_name, row_id) for (row_id,) in losers}

    def mention(self, text: str) -> bool:
        """Whether a text that a person wrote names one of them."""
        plain_text = text.casefold()
        return any(one.casefold() in plain_text for ones in (self.emails, self.as_came, self.phones, self.names) for one in ones)


def _grouped(keys: Iterable[FullKey]) -> list[tuple[str, str, list[str]]]:
    by_crm: dict[str, list[tuple[str, str]]] = {}
    for crm, object_name, row_id in keys:
        by_crm.setdefault(crm, []).append((object_name, row_id))
    return [(crm, object_name, ids) for crm in sorted(by_crm) for object_name, ids in by_object(by_crm[crm])]


# ── Deleting and emptying ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _delete_mirrored(connection: Connection, persons: _Persons) -> None:
    activity, link = _T["activity"], _T["activity_link"]
    for crm, object_name, ids in _grouped(persons.keys):
        about = (link.c.crm == crm, link.c.record_object == object_name, link.c.record_id.in_(ids))
        for told, some in by_object({(row.object, row.id) for row in connection.execute(select(link.c.object, link.c.id).where(*about))}):
            same = (activity.c.crm == crm, activity.c.object == told, activity.c.id.in_(some))
            connection.execute(update(activity).where(*same).values(outcome=None))
        connection.execute(delete(link).where(*about))
        for name in ("deal_link", "campaign_member"):
            table = _T[name]
            where = (table.c.crm == crm, table.c.record_object == object_name, table.c.record_id.in_(ids))
            connection.execute(delete(table).where(*where))
        history = _T["field_history"]
        told_of = (history.c.record_id.in_(ids), history.c.crm == crm, history.c.object == object_name)
        connection.execute(delete(history).where(*told_of))
        for name in ("record", "record_version", "record_email", "set_aside", "merged", "seen"):
            table = _T[name]
            connection.execute(delete(table).where(table.c.crm == crm, table.c.object == object_name, table.c.id.in_(ids)))


def _empty_conclusions(connection: Connection, persons: _Persons, now: datetime) -> None:
    """What was concluded and done keeps its figures; what is open ends."""
    ledger, value = _T["ledger"], _T["action_value"]
    attempt, clock, contact, touch = _T["attempt"], _T["clock"], _T["contact"], _T["touch"]
    for some in chunks(sorted(persons.contacts)):
        connection.execute(
            update(value).where(value.c.contact_id.in_(some)).values(before=None, after=None, found=None, why=None, task=None)
        )
        mine = ledger.c.contact_id.in_(some)
        connection.execute(update(ledger).where(mine).values(message="", next_step=""))
        ended = {"state": State.SUPERSEDED, "settled_at": now, "message": _ENDED}
        connection.execute(update(ledger).where(mine, ledger.c.state.in_(OPEN)).values(ended))
        selling = and_(attempt.c.contact_id.in_(some), attempt.c.outcome == "open")
        connection.execute(update(attempt).where(selling).values(outcome="withdrawn", ended_at=now))
        ticking = and_(clock.c.contact_id.in_(some), clock.c.state.in_(("running", "warned", "paused")))
        connection.execute(update(clock).where(ticking).values(state="ended", ended_at=now))
        connection.execute(update(touch).where(touch.c.contact_id.in_(some)).values(kept=True))
        gone = {"gone": True, "due_at": None, "ambiguous": None, "in_hubspot": False, "in_salesforce": False}
        connection.execute(update(contact).where(contact.c.id.in_(some)).values(gone))
        _empty_reasons(connection, persons, some)


def _empty_reasons(connection: Connection, persons: _Persons, contacts: Sequence[int]) -> None:
    """A rejection's reason that somebody typed may name the person; one of the file's stays, and is counted."""
    rejection = _T["rejection"]
    given = and_(rejection.c.contact_id.in_(contacts), rejection.c.reason.is_not(None), ~rejection.c.accepted)
    for row in connection.execute(select(rejection.c.contact_id, rejection.c.attempt, rejection.c.reason).where(given)).all():
        if persons.mention(row.reason):
            same = (rejection.c.contact_id == row.contact_id, rejection.c.attempt == row.attempt)
            connection.execute(update(rejection).where(*same).values(reason=None))


#: Texts about others, or about a whole run, that a CRM's message may have put an address into; the empty value of each.
_TEXTS = (
    ("ledger", "message", ""),
    ("ledger", "next_step", ""),
    ("set_aside", "reason", "it named a person who was deleted for privacy"),
    ("run", "problem", None),
)


def _redact(connection: Connection, emails: Collection[str]) -> None:
    """Takes messages away that name one of the addresses, whomever they are about."""
    for some in chunks(sorted(emails)):
        for name, column, empty in _TEXTS:
            table = _T[name]
            for part in _few(some):
                named = or_(*(func.lower(table.c[column]).contains(email, autoescape=True) for email in part))
                connection.execute(update(table).where(named).values({column: empty}))
        run = plain("run")
        for part in _few(some):
            named = or_(*(func.lower(run.c.summary).contains(email, autoescape=True) for email in part))
            for row in connection.execute(select(run.c.id, run.c.summary).where(named)).all():
                summary = orjson.dumps(_without(orjson.loads(row.summary), part)).decode()
                connection.execute(update(run).where(run.c.id == row.id).values(summary=summary))


def _few(emails: Sequence[str]) -> Iterable[Sequence[str]]:
    return (emails[start : start + 50] for start in range(0, len(emails), 50))


def _without(value: Any, emails: Iterable[str]) -> Any:
    """A run's summary without the texts that name one of the addresses; its figures stay."""
    if isinstance(value, dict):
        return {name: _without(part, emails) for name, part in value.items()}
    if isinstance(value, list):
        return [_without(part, emails) for part in value]
    return "" if isinstance(value, str) and any(email in value.casefold() for email in emails) else value


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


def _scrubbed(store: Store) -> None:
    def work(connection: Connection) -> None:
        connection.execute(delete(_META).where(_META.c.name == _DUE))

    store.write(work)
