"""Activities into the mirror, with the records they are about; the contacts concerned become due.

What was let go because it is older than what is kept (`connector.store.retention`) does not come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from connector.model import CrmName, RecordRef
from connector.store.bulk import find, plain, put, put_values
from connector.store.database import Store
from connector.store.mirror import cursors, deals, link_changes
from connector.store.mirror.keys import by_object, contacts_of, fingerprints, recount
from connector.store.mirror.link_changes import Linked
from connector.store.mirror.rows import Key, Row
from connector.store.mirror.versions import add_versions, note_differences
from connector.store.tables import to_micros

_ACTIVITY = plain("activity")
_LINK = plain("activity_link")
_META = plain("meta")
_COLUMNS = (
    "crm", "object", "id", "fingerprint", "kind", "at", "direction", "happened", "automatic", "channel", "owner_id", "outcome",
    "duration_seconds", "due_at", "done", "key", "created_at", "modified_at", "archived",
)  # fmt: skip
_LINK_COLUMNS = ("crm", "object", "id", "record_object", "record_id", "contact_id", "kind", "at", "counts")

#: What of an activity leaves a version behind where it changes.
_VERSIONED = (
    "kind", "at", "direction", "happened", "automatic", "channel", "owner_id", "outcome", "duration_seconds", "due_at", "done", "archived",
)  # fmt: skip

#: The name in `meta` under which the moment stands before which activities were let go, in microseconds since 1970.
KEPT_SINCE = "activities_kept_since"


def store_activities(connection: Connection, crm: str, stream: str, rows: Mapping[Key, Row], now: datetime) -> set[Key]:
    """Stores what is new or changed, with its links; the contacts concerned become due. Returns which."""
    stored = fingerprints(connection, "activity", crm, rows)
    wanted = {key: row for key, row in rows.items() if stored.get(key) != row["fingerprint"]}
    if wanted:
        wanted = _still_kept(connection, crm, stream, wanted, stored)
    if not wanted:
        return set()
    changed = {key: row for key, row in wanted.items() if key in stored}
    _note(connection, crm, changed, now)
    concerned = _drop_links(connection, crm, changed)
    put(connection, "activity", list(wanted.values()), _COLUMNS, keys=("crm", "object", "id"), guard="fingerprint")
    concerned |= _add_links(connection, crm, {key: row["links"] for key, row in wanted.items()}, wanted)
    recount(connection, concerned, now)
    return set(wanted)


def _note(connection: Connection, crm: str, changed: Mapping[Key, Row], now: datetime) -> None:
    """What changed in activities that were here leaves versions, and links that began and ended."""
    note_differences(connection, crm, "activity", _VERSIONED, changed, now)
    for object_name, ids in by_object(changed):
        after = {row_id: {Linked("", *link): None for link in changed[object_name, row_id]["links"]} for row_id in ids}
        moments = {row_id: changed[object_name, row_id]["modified_at"] for row_id in ids}
        before = link_changes.activity_links(connection, crm, object_name, ids)
        link_changes.note(connection, crm, object_name, (before, after), now, moments)


def _still_kept(connection: Connection, crm: str, stream: str, rows: dict[Key, Row], stored: Mapping[Key, bytes]) -> dict[Key, Row]:
    """Without what is older than all that is kept and not here, once the stream was read whole: it was here, and counts already."""
    stated = connection.scalar(select(_META.c.value).where(_META.c.name == KEPT_SINCE))
    if stated is None or not cursors.was_read_whole(connection, crm, stream):
        return rows
    since = int(stated)
    return {key: row for key, row in rows.items() if key in stored or row["at"] is None or row["at"] >= since}


def relink(store: Store, crm: CrmName, object_name: str, links: Mapping[str, Sequence[RecordRef]], now: datetime) -> int:
    """Puts the people that activities or deals are about now in the place of those stored; returns how many changed.

    What is not here is passed over. The contacts concerned, before and after, become due.
    """
    wanted = {row_id: sorted({(ref.object, ref.id) for ref in refs}) for row_id, refs in links.items()}

    def work(connection: Connection) -> int:
        changed = deals.relink(connection, crm, object_name, wanted, now)
        return changed + _relink(connection, crm, object_name, wanted, now)

    return store.write(work)


def _relink(connection: Connection, crm: str, object_name: str, wanted: Mapping[str, list[Key]], now: datetime) -> int:
    names = ("id", "kind", "at", "happened", "archived")
    stored = {row[0]: row for row in find(connection, "activity", names, sorted(wanted), lock=True, crm=crm, object=object_name)}
    before: dict[str, list[Key]] = {}
    for row_id, record_object, record_id in find(
        connection, "activity_link", ("id", "record_object", "record_id"), sorted(stored), crm=crm, object=object_name
    ):
        before.setdefault(row_id, []).append((record_object, record_id))
    moved = {(object_name, row_id): wanted[row_id] for row_id in stored if sorted(before.get(row_id, [])) != wanted[row_id]}
    if not moved:
        return 0
    had = {row_id: {Linked("", *link): None for link in before.get(row_id, ())} for _, row_id in moved}
    has = {row_id: {Linked("", *link): None for link in links} for (_, row_id), links in moved.items()}
    link_changes.note(connection, crm, object_name, (had, has), now, None)
    concerned = _drop_links(connection, crm, moved)
    facts = {key: dict(zip(names, stored[key[1]], strict=True)) for key in moved}
    concerned |= _add_links(connection, crm, moved, facts)
    for _, ids in by_object(moved):  # no digest: the next sight of it in a pull puts in what the CRM says then
        same = (_ACTIVITY.c.crm == crm, _ACTIVITY.c.object == object_name, _ACTIVITY.c.id.in_(ids))
        connection.execute(update(_ACTIVITY).where(*same).values(fingerprint=b""))
    recount(connection, concerned, now)
    return len(moved)


def archive(connection: Connection, crm: str, object_name: str, ids: Sequence[str], now: datetime) -> None:
    """These are deleted in the CRM: they count no more. That is their last change (`known.gone_lately`)."""
    add_versions(connection, crm, {(object_name, row_id): ({"archived": [False, True]}, None) for row_id in ids}, now, "activity_version")
    same = (_ACTIVITY.c.crm == crm, _ACTIVITY.c.object == object_name, _ACTIVITY.c.id.in_(ids))
    connection.execute(update(_ACTIVITY).where(*same).values(archived=True, modified_at=to_micros(now), fingerprint=b""))
    about = (_LINK.c.crm == crm, _LINK.c.object == object_name, _LINK.c.id.in_(ids))
    contacts = connection.scalars(select(_LINK.c.contact_id).where(*about, _LINK.c.contact_id.is_not(None)))
    recount(connection, set(contacts), now)
    connection.execute(update(_LINK).where(*about).values(counts=False))


def _drop_links(connection: Connection, crm: str, keys: Iterable[Key]) -> set[int]:
    """Removes the links of activities and tells which contacts they led to."""
    contacts: set[int] = set()
    for object_name, ids in by_object(keys):
        where = (_LINK.c.crm == crm, _LINK.c.object == object_name, _LINK.c.id.in_(ids))
        contacts |= set(connection.scalars(select(_LINK.c.contact_id).where(*where, _LINK.c.contact_id.is_not(None))))
        connection.execute(delete(_LINK).where(*where))
    return contacts


def _add_links(connection: Connection, crm: str, links: Mapping[Key, Sequence[Key]], facts: Mapping[Key, Row]) -> set[int]:
    contacts = contacts_of(connection, crm, {link for people in links.values() for link in people})
    rows = [
        (crm, *key, *link, contacts.get(link), fact["kind"], fact["at"], bool(fact["happened"] and not fact["archived"]))
        for key, people in links.items()
        if people and (fact := facts[key])
        for link in people
    ]
    put_values(connection, "activity_link", rows, _LINK_COLUMNS)
    return set(contacts.values())
