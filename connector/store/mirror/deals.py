"""Deals and campaigns into the mirror, with the people who have a part in them.

A deal's links come from the deal itself (source ""), from a Lead that was converted into it ("conversion"), or from a contact role
(its id). A change makes the contacts concerned due; one of a campaign, out of which a field is made, has them unified again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from connector.store.bulk import find, plain, put, remove
from connector.store.mirror import cursors, merges
from connector.store.mirror.keys import by_object, contacts_of, fingerprints, make_due, unify_records
from connector.store.mirror.link_changes import deal_links_noted
from connector.store.mirror.rows import Key, Row
from connector.store.mirror.versions import add_versions, note_differences
from connector.store.tables import to_micros

_DEAL = plain("deal")
_LINK = plain("deal_link")
_CAMPAIGN = plain("campaign")
_MEMBER = plain("campaign_member")
_KEYS = ("crm", "object", "id")
_DEAL_COLUMNS = (
    "crm", "object", "id", "fingerprint", "stage", "pipeline", "amount", "currency", "closed_at", "closed", "won", "owner_id", "company_id",
    "created_at", "modified_at", "archived",
)  # fmt: skip
#: What of a deal leaves a version behind where it changes.
_VERSIONED = ("stage", "pipeline", "amount", "currency", "closed_at", "closed", "won", "owner_id", "company_id", "archived")
_LINK_COLUMNS = ("crm", "deal_id", "source", "record_object", "record_id", "role", "main")
_CAMPAIGN_COLUMNS = (
    "crm", "object", "id", "fingerprint", "name", "kind", "status", "active", "begins_at", "ends_at", "modified_at", "archived",
)  # fmt: skip
_MEMBER_COLUMNS = (
    "crm", "object", "id", "fingerprint", "campaign_id", "record_object", "record_id", "status", "responded", "joined_at", "modified_at",
    "archived",
)  # fmt: skip
#: What told a link: the deal itself, and a Lead that was converted into it.
ITSELF = ""
CONVERSION = "conversion"


def store_deals(connection: Connection, crm: str, rows: Mapping[Key, Row], now: datetime) -> set[Key]:
    """Stores what is new or changed; the links that a deal tells of itself are replaced. Returns which.

    A deal that was merged into another counts no more, whichever of the two comes first, or on the same page.
    """
    _archive_losers(connection, crm, rows, now)
    rows = merges.standing_deals(connection, crm, rows)
    stored = fingerprints(connection, "deal", crm, rows)
    wanted = {key: row for key, row in rows.items() if stored.get(key) != row["fingerprint"]}
    if not wanted:
        return set()
    changed = {key: row for key, row in wanted.items() if key in stored}
    note_differences(connection, crm, "deal", _VERSIONED, changed, now)
    put(connection, "deal", list(wanted.values()), _DEAL_COLUMNS, keys=_KEYS, guard="fingerprint")
    people = _people(connection, crm, [key[1] for key in wanted])
    links = {key[1]: row["links"] for key, row in wanted.items() if row["links"] is not None}
    with deal_links_noted(connection, crm, [row_id for _, row_id in changed], now):
        people |= _replace(connection, crm, ITSELF, links)
    _due(connection, crm, people, now)
    return set(wanted)


def _archive_losers(connection: Connection, crm: str, rows: Mapping[Key, Row], now: datetime) -> None:
    pairs: dict[str, dict[str, str]] = {}
    for (object_name, survivor), row in rows.items():
        for loser in row["merged_ids"]:
            if loser != survivor:
                pairs.setdefault(object_name, {})[loser] = survivor
    for object_name, losers in sorted(pairs.items()):
        merges.note(connection, crm, object_name, losers, now)
        rows_here = find(connection, "deal", ("id", "archived"), sorted(losers), crm=crm, object=object_name)
        if live := sorted(row_id for row_id, archived in rows_here if not archived):
            archive_deals(connection, crm, object_name, live, now)


def relink(connection: Connection, crm: str, object_name: str, wanted: Mapping[str, list[Key]], now: datetime) -> int:
    """Puts the people that deals tell now in the place of those stored; returns how many changed."""
    ids_here = [row_id for (row_id,) in find(connection, "deal", ("id",), sorted(wanted), crm=crm, object=object_name)]
    before: dict[str, list[Key]] = {row_id: [] for row_id in ids_here}
    for deal_id, record_object, record_id in find(
        connection, "deal_link", ("deal_id", "record_object", "record_id"), ids_here, by="deal_id", crm=crm, source=ITSELF
    ):
        before[deal_id].append((record_object, record_id))
    moved = {row_id: wanted[row_id] for row_id, links in before.items() if sorted(links) != wanted[row_id]}
    for _, ids in by_object((object_name, row_id) for row_id in moved):  # no digest: what the CRM says next goes in
        same = (_DEAL.c.crm == crm, _DEAL.c.object == object_name, _DEAL.c.id.in_(ids))
        connection.execute(update(_DEAL).where(*same).values(fingerprint=b""))
    with deal_links_noted(connection, crm, moved, now):
        _due(connection, crm, _replace(connection, crm, ITSELF, moved), now)
    return len(moved)


def store_deal_contacts(connection: Connection, crm: str, rows: Mapping[Key, Row], now: datetime) -> set[Key]:
    """Stores what is new or changed; a deleted role takes its link with it. Returns which."""
    stored: dict[str, Any] = {}
    for _, ids in by_object(("", row["deal_id"]) for row in rows.values()):
        for row in find(connection, "deal_link", _LINK_COLUMNS, sorted(set(ids)), by="deal_id", crm=crm):
            stored[row[2]] = (*row[:-1], bool(row[-1]))
    as_is = {row["source"]: tuple(row[name] for name in _LINK_COLUMNS) for row in rows.values() if not row["archived"]}
    gone = {key: row for key, row in rows.items() if row["archived"] and row["source"] in stored}
    changed = {key: row for key, row in rows.items() if not row["archived"] and stored.get(row["source"]) != as_is[row["source"]]}
    moved = [*gone.values(), *changed.values()]
    people = {(stored[row["source"]][3], stored[row["source"]][4]) for row in moved if row["source"] in stored}
    read_before = {name for name in {key[0] for key in rows} if cursors.was_read_whole(connection, crm, name)}
    news = [row for key, row in (*gone.items(), *changed.items()) if key[0] in read_before]
    with deal_links_noted(connection, crm, [row["deal_id"] for row in news], now, {row["deal_id"]: row["modified_at"] for row in news}):
        remove(connection, "deal_link", [(crm, row["deal_id"], row["source"]) for row in moved], ("crm", "deal_id", "source"))
        put(connection, "deal_link", list(changed.values()), _LINK_COLUMNS)
    _due(connection, crm, people | {(row["record_object"], row["record_id"]) for row in changed.values()}, now)
    return gone.keys() | changed.keys()


def link_conversions(connection: Connection, crm: str, leads: Sequence[Row], stored: Mapping[Key, Row], now: datetime) -> None:
    """Links Leads with the deals that came of them."""
    moved = [row for row in leads if stored.get((row["object"], row["id"]), {}).get("converted_deal") != row["converted_deal"]]
    rows = [_link(crm, row["converted_deal"], CONVERSION, (row["object"], row["id"])) for row in moved]
    known = [row for row in moved if (row["object"], row["id"]) in stored]
    concerned = {stored[row["object"], row["id"]]["converted_deal"] for row in known} | {row["converted_deal"] for row in known}
    with deal_links_noted(connection, crm, concerned - {None}, now, {row["converted_deal"]: row["modified_at"] for row in known}):
        for object_name, ids in by_object((row["object"], row["id"]) for row in moved):
            about = (_LINK.c.crm == crm, _LINK.c.record_object == object_name, _LINK.c.record_id.in_(ids))
            connection.execute(delete(_LINK).where(*about, _LINK.c.source == CONVERSION))
        put(connection, "deal_link", rows, _LINK_COLUMNS)
    _due(connection, crm, {(row["object"], row["id"]) for row in moved}, now)


def store_campaigns(connection: Connection, crm: str, rows: Mapping[Key, Row]) -> set[Key]:
    """Stores what is new or changed; the members of one with another name are unified again. Returns which."""
    stored = fingerprints(connection, "campaign", crm, rows)
    wanted = {key: row for key, row in rows.items() if stored.get(key) != row["fingerprint"]}
    before: dict[Key, tuple[str, bool]] = {}
    for object_name, ids in by_object(key for key in wanted if key in stored):
        for row_id, name, archived in find(connection, "campaign", ("id", "name", "archived"), ids, crm=crm, object=object_name):
            before[object_name, row_id] = (name, bool(archived))
    put(connection, "campaign", list(wanted.values()), _CAMPAIGN_COLUMNS, keys=_KEYS, guard="fingerprint")
    renamed = [key[1] for key, row in wanted.items() if before.get(key) != (row["name"], row["archived"])]
    unify_records(connection, crm, _members(connection, crm, renamed))
    return set(wanted)


def store_members(connection: Connection, crm: str, rows: Mapping[Key, Row]) -> set[Key]:
    """Stores what is new or changed; the people concerned are unified again. Returns which."""
    stored = fingerprints(connection, "campaign_member", crm, rows)
    wanted = {key: row for key, row in rows.items() if stored.get(key) != row["fingerprint"]}
    people = {(row["record_object"], row["record_id"]) for row in wanted.values()}
    for object_name, ids in by_object(key for key in wanted if key in stored):
        rows_here = find(connection, "campaign_member", ("record_object", "record_id"), ids, crm=crm, object=object_name)
        people |= {(record_object, record_id) for record_object, record_id in rows_here}
    put(connection, "campaign_member", list(wanted.values()), _MEMBER_COLUMNS, keys=_KEYS, guard="fingerprint")
    unify_records(connection, crm, people)
    return set(wanted)


def archive_deals(connection: Connection, crm: str, object_name: str, ids: Sequence[str], now: datetime) -> None:
    """These are deleted in the CRM, which is their last change (`known.gone_lately`); the contacts concerned become due."""
    add_versions(connection, crm, {(object_name, row_id): ({"archived": [False, True]}, None) for row_id in ids}, now, "deal_version")
    same = (_DEAL.c.crm == crm, _DEAL.c.object == object_name, _DEAL.c.id.in_(ids))
    connection.execute(update(_DEAL).where(*same).values(archived=True, modified_at=to_micros(now), fingerprint=b""))
    _due(connection, crm, _people(connection, crm, ids), now)


def archive_campaigns(connection: Connection, crm: str, object_name: str, ids: Sequence[str]) -> None:
    """These are deleted in the CRM; their members are unified again."""
    same = (_CAMPAIGN.c.crm == crm, _CAMPAIGN.c.object == object_name, _CAMPAIGN.c.id.in_(ids))
    connection.execute(update(_CAMPAIGN).where(*same).values(archived=True, fingerprint=b""))
    unify_records(connection, crm, _members(connection, crm, ids))


def archive_members(connection: Connection, crm: str, object_name: str, ids: Sequence[str]) -> None:
    """These people are in their campaigns no more."""
    same = (_MEMBER.c.crm == crm, _MEMBER.c.object == object_name, _MEMBER.c.id.in_(ids))
    people = connection.execute(select(_MEMBER.c.record_object, _MEMBER.c.record_id).where(*same)).all()
    connection.execute(update(_MEMBER).where(*same).values(archived=True, fingerprint=b""))
    unify_records(connection, crm, {(record_object, record_id) for record_object, record_id in people})


def drop_roles(connection: Connection, crm: str, ids: Sequence[str], now: datetime) -> set[str]:
    """Contact roles that are deleted in the CRM, known by their own ids alone; returns those that were here."""
    rows = find(connection, "deal_link", ("source", "record_object", "record_id", "deal_id"), ids, by="source", crm=crm)
    with deal_links_noted(connection, crm, [deal_id for *_, deal_id in rows], now):
        for _, sources in by_object(("", source) for source, *_ in rows):
            connection.execute(delete(_LINK).where(_LINK.c.crm == crm, _LINK.c.source.in_(sources)))
    _due(connection, crm, {(record_object, record_id) for _, record_object, record_id, _ in rows}, now)
    return {source for source, *_ in rows}


def _replace(connection: Connection, crm: str, source: str, wanted: Mapping[str, Sequence[Key]]) -> set[Key]:
    """Puts links of one source in the place of those that deals had of it; the people of both."""
    people = {link for links in wanted.values() for link in links}
    for _, ids in by_object((source, deal_id) for deal_id in wanted):
        same = (_LINK.c.crm == crm, _LINK.c.deal_id.in_(ids), _LINK.c.source == source)
        before = connection.execute(select(_LINK.c.record_object, _LINK.c.record_id).where(*same)).all()
        people |= {(record_object, record_id) for record_object, record_id in before}
        connection.execute(delete(_LINK).where(*same))
    rows = [_link(crm, deal_id, source, link) for deal_id, links in wanted.items() for link in links]
    put(connection, "deal_link", rows, _LINK_COLUMNS)
    return people


def _link(crm: str, deal_id: str, source: str, record: Key) -> Row:
    return {
        "crm": crm, "deal_id": deal_id, "source": source, "record_object": record[0], "record_id": record[1], "role": None, "main": False,
    }  # fmt: skip


def _people(connection: Connection, crm: str, deal_ids: Iterable[str]) -> set[Key]:
    rows = find(connection, "deal_link", ("record_object", "record_id"), sorted(set(deal_ids)), by="deal_id", crm=crm)
    return {(record_object, record_id) for record_object, record_id in rows}


def _members(connection: Connection, crm: str, campaigns: Iterable[str]) -> set[Key]:
    rows = find(connection, "campaign_member", ("record_object", "record_id"), sorted(set(campaigns)), by="campaign_id", crm=crm)
    return {(record_object, record_id) for record_object, record_id in rows}


def _due(connection: Connection, crm: str, people: Iterable[Key], now: datetime) -> None:
    make_due(connection, set(contacts_of(connection, crm, people).values()), now)
