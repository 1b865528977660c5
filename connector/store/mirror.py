"""The mirror: a page and its cursor go in together, in one transaction, or not at all.

Rows that did not change are not rewritten; those that did leave a version behind (which properties, from what to what) and are marked
for `unify`. `commit_page` takes what a pull brought, `apply_records` what was read back after our own writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, or_, select, update
from sqlmodel import Session
from sqlmodel import select as select_rows

from connector.errors import SafetyStop
from connector.model import CrmName, Cursor, Page, Record, SetAside
from connector.store import intake
from connector.store.bulk import add_missing, chunks, plain, upsert
from connector.store.database import Store
from connector.store.intake import Key
from connector.store.tables import CursorRow, SetAsideRow, to_micros

_RECORD = plain("record")
_VERSION = plain("record_version")
_ACTIVITY = plain("activity")
_LINK = plain("activity_link")
_OWNER = plain("owner")
_HISTORY = plain("field_history")
_CURSOR = plain("cursor")
_ASIDE = plain("set_aside")
_CONTACT = plain("contact")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageResult:
    """What became of a page: seen = stored (new or changed) + unchanged + set aside."""

    seen: int
    stored: int
    set_aside: int

    @property
    def unchanged(self) -> int:
        """What was there already, as it is."""
        return self.seen - self.stored - self.set_aside


@dataclass(frozen=True, slots=True)
class _Intake:
    """A page as rows, and all that is set aside of it."""

    records: dict[Key, Row]
    activities: dict[Key, Row]
    owners: dict[Key, Row]
    changes: dict[Key, Row]
    set_aside: list[SetAside]


def commit_page(store: Store, page: Page, *, now: datetime, shrink: float | None = None) -> PageResult:
    """Stores a page and its cursor in one transaction.

    shrink: the share of the last whole read by which a whole read may see less (0.1: a tenth); None: no limit.
    Raises `SafetyStop`, and stores nothing of the page, where the page is not whole or the stream shrank beyond that.
    """
    _check_whole(page)
    taken = _take_in(page, now)

    def work(connection: Connection) -> PageResult:
        stored = _store_records(connection, page.crm, taken.records, now)
        stored += _store_activities(connection, page.crm, taken.activities, now)
        stored += _store_owners(connection, page.crm, taken.owners)
        stored += _store_changes(connection, page.crm, taken.changes)
        _settle_set_aside(connection, page.crm, taken, now)
        _advance(connection, page, now, shrink)
        return PageResult(seen=page.seen, stored=stored, set_aside=len(taken.set_aside))

    return store.write(work)


def apply_records(connection: Connection, records: Sequence[Record], *, now: datetime) -> int:
    """Merges what was read again (all or a part of the properties) into stored records; no cursor moves.

    Records that the mirror does not hold are passed over: the next pull brings them whole. Returns how many changed.
    """
    taken = intake.record_rows(records, now=now)
    changed = 0
    for crm in sorted({record.crm for record in records}):
        rows = {key: row for key, row in taken.rows.items() if row["crm"] == crm}
        stored = _stored_records(connection, crm, rows)
        whole = {key: intake.merged(row, stored[key]) for key, row in rows.items() if key in stored}
        changed += _store_records(connection, crm, whole, now)
    _set_aside(connection, taken.set_aside, now)
    return changed


def get_cursor(store: Store, crm: CrmName, object_name: str) -> Cursor | None:
    """Where the stream's pull stands; None: from the beginning."""
    with store.read() as connection:
        text = connection.scalar(select(_CURSOR.c.state).where(_CURSOR.c.crm == crm, _CURSOR.c.object == object_name))
    state: Cursor | None = None if text is None else orjson.loads(text)
    return state or None


def reset_cursors(store: Store, crm: CrmName | None = None) -> None:
    """The next pull reads everything again (of one CRM, or of all). What is stored stays; the shrink check still knows the last read."""
    statement = update(_CURSOR).values(state="{}", seen=0)
    if crm is not None:
        statement = statement.where(_CURSOR.c.crm == crm)

    def work(connection: Connection) -> None:
        connection.execute(statement)

    store.write(work)


def cursors(store: Store) -> list[CursorRow]:
    """Every stream's cursor, for status."""
    with store.read() as connection, Session(bind=connection) as session:
        return list(session.exec(select_rows(CursorRow).order_by(CursorRow.crm, CursorRow.object)))


def list_set_aside(store: Store, *, limit: int = 100) -> list[SetAsideRow]:
    """What could not be mirrored or written, the latest first."""
    with store.read() as connection, Session(bind=connection) as session:
        columns = SetAsideRow.metadata.tables["set_aside"].c
        return list(session.exec(select_rows(SetAsideRow).order_by(columns.at.desc(), columns.id).limit(limit)))


def count_set_aside(store: Store) -> int:
    """How many records are set aside."""
    with store.read() as connection:
        return connection.scalar(select(func.count()).select_from(_ASIDE)) or 0


# ── A page, before the transaction ───────────────────────────────────────────────────────────────────────────────────────────────────


def _check_whole(page: Page) -> None:
    brought = sum(map(len, (page.records, page.activities, page.owners, page.changes, page.set_aside)))
    if page.seen != brought:
        raise SafetyStop(
            f"{page.crm} sent {page.seen} {page.object}, {brought} arrived; nothing of this page was stored",
            advice="Run the pull again: it resumes at this page. Where it stays so, report it with the numbers.",
        )


def _take_in(page: Page, now: datetime) -> _Intake:
    records = intake.record_rows(page.records, now=now)
    activities = intake.activity_rows(page.activities)
    owners = intake.owner_rows(page.owners, page.object)
    changes = intake.change_rows(page.changes, page.object)
    aside = [*page.set_aside, *records.set_aside, *activities.set_aside, *owners.set_aside, *changes.set_aside]
    return _Intake(records.rows, activities.rows, owners.rows, changes.rows, aside)


# ── Records ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _store_records(connection: Connection, crm: str, rows: dict[Key, Row], now: datetime) -> int:
    """Stores what is new or changed, with versions; marks the people of a company. Returns how many."""
    known = _fingerprints(connection, _RECORD, crm, rows)
    suspects = {key: row for key, row in rows.items() if key in known and known[key] != row["fingerprint"]}
    stored = _stored_records(connection, crm, suspects)
    changed = {key: row for key, row in suspects.items() if key in stored and stored[key]["fingerprint"] != row["fingerprint"]}
    _add_versions(connection, crm, stored, changed, now)
    fresh = [row for key, row in rows.items() if key not in known]
    upsert(connection, _RECORD, [*fresh, *changed.values()], keys=("crm", "object", "id"), guard="fingerprint")
    companies = [row["id"] for row in (*fresh, *changed.values()) if row["object"] in intake.COMPANIES]
    for some in chunks(companies):
        people = (_RECORD.c.crm == crm, _RECORD.c.company_id.in_(some), ~_RECORD.c.unify)
        connection.execute(update(_RECORD).where(*people).values(unify=True))
    return len(fresh) + len(changed)


def _stored_records(connection: Connection, crm: str, keys: Iterable[Key]) -> dict[Key, Row]:
    """The records as they are stored, kept from other writers until the transaction ends."""
    names = ("object", "id", "properties", "fingerprint", "owner_id", "company_id", "converted_to", "created_at", "modified_at", "archived")
    found: dict[Key, Row] = {}
    for object_name, ids in _by_object(keys):
        where = (_RECORD.c.crm == crm, _RECORD.c.object == object_name, _RECORD.c.id.in_(ids))
        query = select(*(_RECORD.c[name] for name in names)).where(*where).order_by(_RECORD.c.id).with_for_update()
        for row in connection.execute(query).mappings():
            found[row["object"], row["id"]] = dict(row) | {"archived": bool(row["archived"]), "fingerprint": bytes(row["fingerprint"])}
    return found


def _add_versions(connection: Connection, crm: str, stored: dict[Key, Row], changed: dict[Key, Row], now: datetime) -> None:
    differences = {key: intake.changes_between(stored[key], row) for key, row in changed.items()}
    differences = {key: difference for key, difference in differences.items() if difference}
    last: dict[Key, int] = {}
    for object_name, ids in _by_object(differences):
        where = (_VERSION.c.crm == crm, _VERSION.c.object == object_name, _VERSION.c.id.in_(ids))
        for record_id, number in connection.execute(
            select(_VERSION.c.id, func.max(_VERSION.c.number)).where(*where).group_by(_VERSION.c.id)
        ):
            last[object_name, record_id] = number
    rows = [
        {
            "crm": crm,
            "object": key[0],
            "id": key[1],
            "number": last.get(key, 0) + 1,
            "changed": orjson.dumps(difference, option=orjson.OPT_SORT_KEYS).decode(),
            "at": changed[key]["modified_at"],
            "seen_at": to_micros(now),
        }
        for key, difference in differences.items()
    ]
    if rows:
        connection.execute(insert(_VERSION), rows)


# ── Activities ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _store_activities(connection: Connection, crm: str, rows: dict[Key, Row], now: datetime) -> int:
    """Stores what is new or changed, with its links; the contacts concerned become due."""
    known = _fingerprints(connection, _ACTIVITY, crm, rows)
    wanted = {key: row for key, row in rows.items() if known.get(key) != row["fingerprint"]}
    if not wanted:
        return 0
    concerned = _drop_links(connection, crm, [key for key in wanted if key in known])
    values = [{name: value for name, value in row.items() if name != "links"} for row in wanted.values()]
    upsert(connection, _ACTIVITY, values, keys=("crm", "object", "id"), guard="fingerprint")
    concerned |= _add_links(connection, crm, wanted)
    _make_due(connection, concerned, now)
    return len(wanted)


def _drop_links(connection: Connection, crm: str, keys: Iterable[Key]) -> set[int]:
    """Removes the links of activities and tells which contacts they led to."""
    contacts: set[int] = set()
    for object_name, ids in _by_object(keys):
        where = (_LINK.c.crm == crm, _LINK.c.object == object_name, _LINK.c.id.in_(ids))
        contacts |= set(connection.scalars(select(_LINK.c.contact_id).where(*where, _LINK.c.contact_id.is_not(None))))
        connection.execute(delete(_LINK).where(*where))
    return contacts


def _add_links(connection: Connection, crm: str, rows: dict[Key, Row]) -> set[int]:
    contacts: dict[Key, int] = {}
    for object_name, ids in _by_object({link for row in rows.values() for link in row["links"]}):
        where = (_RECORD.c.crm == crm, _RECORD.c.object == object_name, _RECORD.c.id.in_(ids), _RECORD.c.contact_id.is_not(None))
        for record_id, contact in connection.execute(select(_RECORD.c.id, _RECORD.c.contact_id).where(*where)):
            contacts[object_name, record_id] = contact
    links = [
        {
            "crm": crm,
            "object": key[0],
            "id": key[1],
            "record_object": link[0],
            "record_id": link[1],
            "contact_id": contacts.get(link),
            "kind": row["kind"],
            "at": row["at"],
            "counts": row["happened"] and not row["archived"],
        }
        for key, row in rows.items()
        for link in row["links"]
    ]
    if links:
        connection.execute(insert(_LINK), links)
    return set(contacts.values())


def _make_due(connection: Connection, contacts: set[int], now: datetime) -> None:
    moment = to_micros(now)
    for some in chunks(sorted(contacts)):
        later = or_(_CONTACT.c.due_at.is_(None), _CONTACT.c.due_at > moment)
        connection.execute(update(_CONTACT).where(_CONTACT.c.id.in_(some), later).values(due_at=moment))


# ── Owners and the CRM's own history ─────────────────────────────────────────────────────────────────────────────────────────────────


def _store_owners(connection: Connection, crm: str, rows: dict[Key, Row]) -> int:
    """Stores what is new or changed; whoever is owned by one whose address or state changed is unified again."""
    known: dict[str, Row] = {}
    for some in chunks([row["id"] for row in rows.values()]):
        query = select(*_OWNER.c).where(_OWNER.c.crm == crm, _OWNER.c.id.in_(some))
        for row in connection.execute(query).mappings():
            known[row["id"]] = dict(row) | {"active": bool(row["active"]), "queue": bool(row["queue"])}
    wanted = [row for row in rows.values() if known.get(row["id"]) != row]
    upsert(connection, _OWNER, wanted, keys=("crm", "id"))
    telling = ("email", "active", "queue")
    moved = [row["id"] for row in wanted if row["id"] not in known or any(known[row["id"]][name] != row[name] for name in telling)]
    for some in chunks(moved):
        owned = (_RECORD.c.crm == crm, _RECORD.c.owner_id.in_(some), ~_RECORD.c.unify, _RECORD.c.object.not_in(intake.COMPANIES))
        connection.execute(update(_RECORD).where(*owned).values(unify=True))
    return len(wanted)


def _store_changes(connection: Connection, crm: str, rows: dict[Key, Row]) -> int:
    """Stores the entries not yet there; the records they tell of are unified again."""
    known: set[str] = set()
    for some in chunks([row["id"] for row in rows.values()]):
        known |= set(connection.scalars(select(_HISTORY.c.id).where(_HISTORY.c.crm == crm, _HISTORY.c.id.in_(some))))
    fresh = [row for row in rows.values() if row["id"] not in known]
    add_missing(connection, _HISTORY, fresh)
    for object_name, ids in _by_object({(row["object"], row["record_id"]) for row in fresh}):
        told_of = (_RECORD.c.crm == crm, _RECORD.c.object == object_name, _RECORD.c.id.in_(ids), ~_RECORD.c.unify)
        connection.execute(update(_RECORD).where(*told_of).values(unify=True))
    return len(fresh)


# ── What is set aside, and the cursor ────────────────────────────────────────────────────────────────────────────────────────────────


def _settle_set_aside(connection: Connection, crm: str, taken: _Intake, now: datetime) -> None:
    """Takes from the list what came whole now, and adds what did not."""
    if connection.scalar(select(_ASIDE.c.id).where(_ASIDE.c.crm == crm).limit(1)) is not None:
        for object_name, ids in _by_object((*taken.records, *taken.activities, *taken.owners, *taken.changes)):
            connection.execute(delete(_ASIDE).where(_ASIDE.c.crm == crm, _ASIDE.c.object == object_name, _ASIDE.c.id.in_(ids)))
    _set_aside(connection, taken.set_aside, now)


def _set_aside(connection: Connection, items: Iterable[SetAside], now: datetime) -> None:
    rows = {
        (item.record.object, item.record.id): {
            "crm": item.record.crm,
            "object": item.record.object,
            "id": item.record.id,
            "reason": item.reason,
            "next_step": item.next_step,
            "at": to_micros(now),
        }
        for item in items
    }
    upsert(connection, _ASIDE, list(rows.values()), keys=("crm", "object", "id"))


def _advance(connection: Connection, page: Page, now: datetime, shrink: float | None) -> None:
    """Moves the cursor to behind the page, and looks at the stream's size at the end of a whole read."""
    where = (_CURSOR.c.crm == page.crm, _CURSOR.c.object == page.object)
    before = connection.execute(select(_CURSOR.c.seen, _CURSOR.c.last_seen, _CURSOR.c.complete).where(*where)).one_or_none()
    seen = page.seen + (before.seen if before else 0)
    last_seen = before.last_seen if before else None
    if page.last and page.full:
        _check_size(page, seen, last_seen, shrink)
        last_seen = seen
    row = {
        "crm": page.crm,
        "object": page.object,
        "state": orjson.dumps(dict(page.cursor), option=orjson.OPT_SORT_KEYS).decode(),
        "complete": page.last or bool(before and before.complete),
        "seen": 0 if page.last else seen,
        "last_seen": last_seen,
        "updated_at": to_micros(now),
    }
    upsert(connection, _CURSOR, [row], keys=("crm", "object"))


def _check_size(page: Page, seen: int, last_seen: int | None, shrink: float | None) -> None:
    if shrink is None or last_seen is None or seen >= last_seen * (1 - shrink):
        return
    raise SafetyStop(
        f"{page.crm} has {seen} {page.object} now, {last_seen} when they were last read as a whole: more than {shrink:.0%} are missing",
        advice="Check the credentials' permissions first. If so many were really deleted, raise `shrink` in [guard] and pull again.",
    )


# ── Common ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _fingerprints(connection: Connection, table: Any, crm: str, keys: Iterable[Key]) -> dict[Key, bytes]:
    found: dict[Key, bytes] = {}
    for object_name, ids in _by_object(keys):
        where = (table.c.crm == crm, table.c.object == object_name, table.c.id.in_(ids))
        for row_id, fingerprint in connection.execute(select(table.c.id, table.c.fingerprint).where(*where)):
            found[object_name, row_id] = bytes(fingerprint)
    return found


def _by_object(keys: Iterable[Key]) -> Iterator[tuple[str, list[str]]]:
    """Ids of each object, in pieces that one statement takes, in the order in which every process locks them."""
    grouped: dict[str, list[str]] = {}
    for object_name, row_id in sorted(keys):
        grouped.setdefault(object_name, []).append(row_id)
    for object_name, ids in grouped.items():
        for some in chunks(ids):
            yield object_name, some
