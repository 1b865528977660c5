"""Merges in a CRM: which record stands for which since. Chains are followed to their end when they are stored.

Table `merged` holds losers whether or not the mirror ever held them. A loser that is here is archived and points at its survivor; both are
unified again. A survivor names its losers on every sight, so that what arrived in the wrong order mends itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from connector.store.bulk import chunks, find, plain, put
from connector.store.mirror.keys import by_object, unify_records
from connector.store.mirror.rows import COMPANIES, Key, Row, gone_row, record_fingerprint
from connector.store.mirror.versions import add_versions, stored_records
from connector.store.tables import to_micros

_MERGED = plain("merged")
_RECORD = plain("record")
_COLUMNS = ("crm", "object", "id", "into_id", "seen_at")


def standing(connection: Connection, crm: str, rows: Mapping[Key, Row]) -> Mapping[Key, Row]:
    """The rows as merges that are known have them: a loser that comes as if it lived, from a page older than the merge, is none.

    One that was changed after its merge was seen lives again: the merge was undone.
    """
    if not _any(connection, crm):
        return rows
    result = dict(rows)
    for key, into in _losers(connection, crm, rows).items():
        result[key] = gone_row(rows[key], into)
    return _with_companies(connection, crm, result)


def _any(connection: Connection, crm: str) -> bool:
    return connection.scalar(select(_MERGED.c.id).where(_MERGED.c.crm == crm).limit(1)) is not None


def _losers(connection: Connection, crm: str, rows: Mapping[Key, Row]) -> dict[Key, str]:
    """Which of these rows are of losers, and of whom; merges that were undone are forgotten."""
    losers: dict[Key, str] = {}
    undone: list[Key] = []
    for object_name, ids in by_object(key for key, row in rows.items() if not row["archived"]):
        for row_id, into, seen_at in find(connection, "merged", ("id", "into_id", "seen_at"), ids, crm=crm, object=object_name):
            modified_at = rows[object_name, row_id]["modified_at"]
            if modified_at is not None and modified_at > seen_at:
                undone.append((object_name, row_id))
            else:
                losers[object_name, row_id] = into
    _forget(connection, crm, undone)
    return losers


def standing_deals(connection: Connection, crm: str, deals: Mapping[Key, Row]) -> Mapping[Key, Row]:
    """The same of deals: a loser is stored as archived."""
    if not _any(connection, crm):
        return deals
    away = _losers(connection, crm, deals)
    return {**deals, **{key: {**deals[key], "archived": True, "fingerprint": b""} for key in away}}


def _with_companies(connection: Connection, crm: str, rows: dict[Key, Row]) -> dict[Key, Row]:
    """A person who is still shown with a company that was merged away belongs to the one that stands for it."""
    companies = sorted({row["company_id"] for row in rows.values() if row["company_id"] is not None})
    ends = {row_id: into for name in COMPANIES for row_id, into in _survivors(connection, crm, name, companies).items()}
    for key, row in rows.items() if ends else ():
        if row["company_id"] in ends:
            moved = {**row, "company_id": ends[row["company_id"]]}
            rows[key] = {**moved, "fingerprint": record_fingerprint(moved)}
    return rows


def note_of_rows(connection: Connection, crm: str, rows: Mapping[Key, Row], now: datetime) -> None:
    """Stores the merges that rows tell: of themselves (`merged_into`), and of others (`merged_ids`)."""
    pairs: dict[str, dict[str, str]] = {}
    stamps: dict[Key, int] = {}
    for (object_name, row_id), row in rows.items():
        if row["merged_into"] is not None:
            pairs.setdefault(object_name, {})[row_id] = row["merged_into"]
            if row["modified_at"] is not None:  # the CRM's clock, not ours: the merge is the record's last change
                stamps[object_name, row_id] = row["modified_at"]
        for loser in row["merged_ids"]:
            pairs.setdefault(object_name, {})[loser] = row_id
    for object_name, pairs_of_object in sorted(pairs.items()):
        stamps_of_object = {row_id: at for (name, row_id), at in stamps.items() if name == object_name}
        note(connection, crm, object_name, pairs_of_object, now, stamps=stamps_of_object)


def note(
    connection: Connection, crm: str, object_name: str, pairs: Mapping[str, str], now: datetime, *, stamps: Mapping[str, int] | None = None
) -> None:
    """Stores merges, loser → survivor, and puts them into effect on the records that are here.

    stamps: when losers were merged, where they tell it themselves (microseconds since 1970); of the others it is known that it is over now.
    """
    pairs = {loser: survivor for loser, survivor in pairs.items() if loser != survivor}
    stored = _survivors(connection, crm, object_name, {*pairs, *pairs.values()})
    ends, circles = _ends(pairs, stored)
    _forget(connection, crm, [(object_name, loser) for loser in circles])
    news = {loser: end for loser, end in ends.items() if stored.get(loser) != end}
    if not news:
        return
    behind = _behind(connection, crm, object_name, news)
    moments = {loser: seen_at for loser, (_, seen_at) in behind.items()} | dict(stamps or {})
    news |= {loser: end for loser, (end, _) in behind.items()}
    rows = [
        {"crm": crm, "object": object_name, "id": loser, "into_id": end, "seen_at": moments.get(loser, to_micros(now))}
        for loser, end in sorted(news.items())
    ]
    put(connection, "merged", rows, _COLUMNS, keys=("crm", "object", "id"))
    _archive(connection, crm, object_name, news, now)
    unify_records(connection, crm, [(object_name, end) for end in set(news.values())])


def _survivors(connection: Connection, crm: str, object_name: str, ids: Iterable[str]) -> dict[str, str]:
    rows = find(connection, "merged", ("id", "into_id"), sorted(ids), crm=crm, object=object_name)
    return {str(row_id): str(into) for row_id, into in rows}


def _ends(pairs: Mapping[str, str], stored: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """Where each loser's chain ends; and whose word is out of date, since a newer one makes a circle of it."""
    links = {**stored, **pairs}
    circles: set[str] = set()
    ends: dict[str, str] = {}
    for loser in pairs:
        end, passed = loser, {loser}
        while end in links:
            following = links[end]
            if following in passed:
                links.pop(end)
                circles.add(end)
                break
            passed.add(following)
            end = following
        ends[loser] = end
    return {loser: end for loser, end in ends.items() if loser != end}, circles & stored.keys()


def _behind(connection: Connection, crm: str, object_name: str, news: Mapping[str, str]) -> dict[str, tuple[str, int]]:
    """Those that had been merged into a loser: the survivor stands for them too. With when their own merge was seen."""
    rows = find(connection, "merged", ("id", "into_id", "seen_at"), sorted(news), by="into_id", crm=crm, object=object_name)
    return {row_id: (news[into], seen_at) for row_id, into, seen_at in rows if row_id not in news and row_id != news[into]}


def _archive(connection: Connection, crm: str, object_name: str, news: Mapping[str, str], now: datetime) -> None:
    """Losers that are here are archived, and point at their survivors."""
    stored = stored_records(connection, crm, [(object_name, loser) for loser in news])
    live = {key: ({"record.archived": [False, True]}, None) for key, row in stored.items() if not row["archived"]}
    add_versions(connection, crm, live, now)
    for (_, row_id), row in stored.items():
        values = {"merged_into": news[row_id], "unify": True}
        if not row["archived"]:
            values |= {"archived": True, "fingerprint": b""}  # whatever comes of it next is a change
        same = (_RECORD.c.crm == crm, _RECORD.c.object == object_name, _RECORD.c.id == row_id)
        connection.execute(update(_RECORD).where(*same).values(values))
    if object_name in COMPANIES:
        _hand_over_people(connection, crm, news, now)


def _hand_over_people(connection: Connection, crm: str, news: Mapping[str, str], now: datetime) -> None:
    """The people of lost companies are the survivors': no modified date of theirs tells (HubSpot moves associations alone)."""
    changes: dict[Key, tuple[dict[str, list[str]], None]] = {}
    for companies in chunks(sorted(news)):
        columns = (_RECORD.c.object, _RECORD.c.id, _RECORD.c.company_id)
        people = select(*columns).where(_RECORD.c.crm == crm, _RECORD.c.company_id.in_(companies))
        for name, row_id, company in connection.execute(people):
            changes[name, row_id] = ({"record.company_id": [company, news[company]]}, None)
    add_versions(connection, crm, changes, now)
    for (name, row_id), (changed, _) in changes.items():
        same = (_RECORD.c.crm == crm, _RECORD.c.object == name, _RECORD.c.id == row_id)
        company = changed["record.company_id"][1]
        connection.execute(update(_RECORD).where(*same).values(company_id=company, fingerprint=b"", unify=True))


def _forget(connection: Connection, crm: str, keys: Iterable[Key]) -> None:
    for object_name, ids in by_object(keys):
        connection.execute(delete(_MERGED).where(_MERGED.c.crm == crm, _MERGED.c.object == object_name, _MERGED.c.id.in_(ids)))
