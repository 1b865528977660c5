"""What was deleted for privacy stays away: whatever hits a salted hash of a record's key or of an e-mail address is not stored again.

Where nothing was ever deleted so, this costs one query a page. `connector.store.mirror.privacy_forget` does the deleting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from secrets import token_hex

from sqlalchemy import Connection, select

from connector.model import RecordRef, SetAside
from connector.store.bulk import add_missing, chunks, plain, put
from connector.store.mirror.privacy_erase import take_away
from connector.store.mirror.rows import Brought, Key, Row
from connector.store.tables import to_micros

_FORGOTTEN = plain("forgotten")
_META = plain("meta")
_SALT = "privacy_salt"

REASON = "deleted for privacy"
_NEXT_STEP = "Nothing of this person is kept here. Where the record still stands in the CRM, delete it there too."


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A page without what must not be stored. Records among that are set aside; what was only about them is left out."""

    brought: Brought
    set_aside: list[SetAside] = field(default_factory=list)


def hold_back(connection: Connection, brought: Brought, now: datetime) -> HeldBack:
    """Takes out of a page what was deleted for privacy; deleted records among it are left out without a word: they are gone there too.

    A record that got such an address since it was last read does not stay here as it was then.
    """
    if connection.scalar(select(_FORGOTTEN.c.hash).limit(1)) is None:
        return HeldBack(brought)
    hashes = _Hashes(connection)
    away = hashes.hit({key: [hashes.record(row["crm"], *key), *_addresses(row, hashes)] for key, row in brought.records.items()})
    take_away(connection, {(brought.records[key]["crm"], *key) for key in away}, now)
    crm = _crm_of(brought)
    people = {link for row in (*brought.activities.values(), *brought.deals.values()) for link in row["links"] or ()}
    about = (*brought.deal_contacts.values(), *brought.campaign_members.values())
    people |= {(row["record_object"], row["record_id"]) for row in about}
    people |= {(row["object"], row["record_id"]) for row in brought.changes.values()}
    gone = hashes.hit({key: [hashes.record(crm, *key)] for key in people}) if crm is not None else set()
    held = [_aside(brought.records[key]) for key in sorted(away) if not brought.records[key]["archived"]]
    return HeldBack(_without(brought, away, gone), held)


def remember(connection: Connection, keys: Iterable[tuple[str, str, str]], emails: Iterable[str], now: datetime) -> None:
    """From now on these records (CRM, object, id) and these addresses (normalised) are held back."""
    hashes = _Hashes(connection)
    hashed = {hashes.record(*key) for key in keys} | {hashes.email(email) for email in emails}
    put(connection, "forgotten", [{"hash": digest, "at": to_micros(now)} for digest in sorted(hashed)], ("hash", "at"))


class _Hashes:
    """Salted hashes, and which of them are known. The salt is made once, and never leaves the database."""

    def __init__(self, connection: Connection) -> None:
        add_missing(connection, _META, [{"name": _SALT, "value": token_hex(32)}])
        self._connection = connection
        self._salt = bytes.fromhex(str(connection.scalar(select(_META.c.value).where(_META.c.name == _SALT))))

    def record(self, crm: str, object_name: str, row_id: str) -> bytes:
        return self._hash(f"record\x00{crm}\x00{object_name}\x00{row_id}")

    def email(self, address: str) -> bytes:
        return self._hash(f"email\x00{address}")

    def _hash(self, text: str) -> bytes:
        return blake2b(text.encode(), key=self._salt, digest_size=16).digest()

    def hit(self, hashes: Mapping[Key, list[bytes]]) -> set[Key]:
        """The keys of which at least one hash is known."""
        forgotten: set[bytes] = set()
        for piece in chunks(sorted({digest for digests in hashes.values() for digest in digests})):
            rows = self._connection.scalars(select(_FORGOTTEN.c.hash).where(_FORGOTTEN.c.hash.in_(piece)))
            forgotten |= {bytes(digest) for digest in rows}
        return {key for key, digests in hashes.items() if not forgotten.isdisjoint(digests)}


def _addresses(row: Row, hashes: _Hashes) -> list[bytes]:
    return [hashes.email(email) for email in (row["email"], *row["emails"]) if email is not None]


def _crm_of(brought: Brought) -> str | None:
    kinds = (brought.activities, brought.deals, brought.deal_contacts, brought.campaign_members, brought.changes)
    return next((str(row["crm"]) for rows in kinds for row in rows.values()), None)


def _aside(row: Row) -> SetAside:
    return SetAside(record=RecordRef(crm=row["crm"], object=row["object"], id=row["id"]), reason=REASON, next_step=_NEXT_STEP)


def _without(brought: Brought, away: set[Key], gone: set[Key]) -> Brought:
    """A page without these records, and without what tells of people who were deleted before."""

    def cut(row: Row) -> Row:
        links = None if row["links"] is None else [link for link in row["links"] if link not in gone]
        return row if links == row["links"] else {**row, "links": links} | ({"outcome": None} if "outcome" in row else {})

    def told(rows: Mapping[Key, Row], object_name: str) -> dict[Key, Row]:
        return {key: row for key, row in rows.items() if (row[object_name], row["record_id"]) not in gone}

    return replace(
        brought,
        records={key: row for key, row in brought.records.items() if key not in away},
        activities={key: cut(row) for key, row in brought.activities.items()},
        deals={key: cut(row) for key, row in brought.deals.items()},
        deal_contacts=told(brought.deal_contacts, "record_object"),
        campaign_members=told(brought.campaign_members, "record_object"),
        changes=told(brought.changes, "object"),
    )
