"""Who owned a contact from when to when, in each CRM, and since which rule or person: one row a stay, kept for good.

A stay is with the owner of the record that stands for the contact there. What differs from the last stay is found by one statement a slice;
a contact whose owner is the same writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from connector.model import CRM_FACTS, CrmName, Kind
from connector.pipeline.unify.identity import Key
from connector.store.bulk import AMONG, asked, change, put_values, told
from connector.store.mirror.past_changes import changes_of
from connector.store.tables import from_micros, to_micros
from connector.store.tables.rows import PastChange
from connector.workflows.fields import moment_micros

#: When HubSpot says that the present owner was set.
ASSIGNED = "hubspot_owner_assigneddate"
#: How far a CRM's time for our own write may lie from ours.
_APART = timedelta(minutes=5)
STAY = ("contact_id", "crm", "number", "owner_id", "owner", "since", "stated", "until", "rule", "by")
STAY_KEYS = ("contact_id", "crm", "number")

# ── Deciding ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class OwnerSeen(NamedTuple):
    """A record that stands for a contact, whose owner is another than that of the last stay.

    owner_id: the owner now, None for nobody. assigned: since when, by the record's own word, as the CRM writes it. number, since, until: of
    the last stay; no number where there was none yet. Moments are microseconds since 1970.
    """

    contact_id: int
    crm: CrmName
    object: str
    record_id: str
    owner_id: str | None
    assigned: str | None
    modified_at: int | None
    number: int | None
    since: int | None
    until: int | None

    @property
    def changed_after(self) -> datetime | None:
        """Before this moment nothing is told anew."""
        last = self.since if self.until is None else self.until
        return None if last is None else from_micros(last)


class OwnerWrite(NamedTuple):
    """That the connector wrote an owner into a record, or is about to have done so."""

    rule: str
    owner_id: str
    at: datetime
    settled_at: datetime


class Stay(NamedTuple):
    """Who owns a contact since when; nobody where owner_id is None. stated: by the word of the CRM or of the ledger, else since it was
    seen."""

    owner_id: str | None
    since: datetime
    stated: bool
    rule: str | None = None
    by: str | None = None


def stays_since(seen: OwnerSeen, changes: Sequence[PastChange], written: Sequence[OwnerWrite], zone: ZoneInfo, now: datetime) -> list[Stay]:
    """The stays that began since the last one, in order. changes: of the record's owner; written: assignments of the connector to it.

    Of what was before a record came for the first time, only the present owner is told.
    """
    after = seen.changed_after
    later = [past for past in changes if past.at <= now and (after is None or past.at > after)]
    stays = [Stay(past.after, past.at, past.known_by == "history", by=past.by) for past in sorted(later, key=lambda past: past.at)]
    if seen.number is None:
        stays = [stay for stay in stays[-1:] if stay.owner_id == seen.owner_id]
    last = stays[-1] if stays else None
    if last is None or last.owner_id != seen.owner_id:
        stays.append(_now(seen, last, written, zone, now))
    elif not last.stated:
        stays[-1] = _now(seen, stays[-2] if len(stays) > 1 else None, written, zone, now, at_latest=last.since)
    return [_by_rule(stay, written) for stay in stays]


def _now(
    seen: OwnerSeen, before: Stay | None, written: Sequence[OwnerWrite], zone: ZoneInfo, now: datetime, *, at_latest: datetime | None = None
) -> Stay:
    """The present owner's stay, of which no history tells: by the record's own date, else by our write, else when it was seen."""
    earliest = before.since if before is not None else seen.changed_after

    def possible(moment: datetime | None) -> bool:
        return moment is not None and moment <= now and (earliest is None or moment > earliest)

    micros = None if seen.assigned is None or seen.owner_id is None else moment_micros(seen.assigned, zone)
    stated = None if micros is None else from_micros(micros)
    if stated is not None and possible(stated):
        return Stay(seen.owner_id, stated, stated=True)
    ours = [write for write in written if write.owner_id == seen.owner_id and possible(write.at)]
    if ours:
        return Stay(seen.owner_id, ours[-1].at, stated=True, rule=ours[-1].rule)
    edited = None if seen.number is None or seen.modified_at is None else from_micros(seen.modified_at)
    moments = [moment for moment in (edited if possible(edited) else None, at_latest) if moment is not None]
    return Stay(seen.owner_id, min(moments, default=now), stated=False)


def _by_rule(stay: Stay, written: Sequence[OwnerWrite]) -> Stay:
    """The stay, by the rule whose write it was: then it was no person."""
    for write in written:
        if stay.owner_id == write.owner_id and write.at - _APART <= stay.since <= write.settled_at + _APART:
            return stay._replace(rule=write.rule, by=None)
    return stay if stay.rule is None else stay._replace(by=None)


def first_stay(assigned: Any, zone: ZoneInfo, now: int) -> tuple[int, bool]:
    """Since when the first owner of a contact has it in HubSpot, and whether that is stated. assigned: by the record's own word; now:
    microseconds since 1970, as the answer. What `stays_since` says where nothing is told but the record.
    """
    stated = None if assigned is None else moment_micros(assigned, zone)
    return (now, False) if stated is None or stated > now else (stated, True)


# ── Reading and writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

_PROPERTY = {"sqlite": f"json_extract(r.properties, '$.{ASSIGNED}')", "postgresql": f"r.properties::json ->> '{ASSIGNED}'"}
_DIFFERS = {"sqlite": "IS NOT", "postgresql": "IS DISTINCT FROM"}


def follow_owners(connection: Connection, contacts: Sequence[int], zone: ZoneInfo, now: datetime) -> None:
    """Books the owners of these contacts that changed since they were looked at last. zone: the business's, for days without a time."""
    told(connection, _END_WITHOUT_RECORD, to_micros(now), contacts)
    seen = [OwnerSeen._make(row) for row in asked(connection, _changed(connection.dialect.name), contacts)]
    if not seen:
        return
    people = {(crm, row_id): email for crm, row_id, email in asked(connection, "SELECT crm, id, email FROM owner WHERE NOT queue")}
    changes, written = _changes(connection, seen), _owner_writes(connection, seen)
    ended: list[dict[str, Any]] = []
    begun: list[tuple[Any, ...]] = []
    for each in seen:
        changed, writes = changes.get((each.crm, each.object, each.record_id), ()), written.get((each.contact_id, each.record_id), ())
        if each.number is None and not changed and not writes:
            begun.append(_first(each, people, zone, now))
            continue
        stays = stays_since(each, changed, writes, zone, now)
        if each.number is not None and each.until is None:
            ended.append({"contact_id": each.contact_id, "crm": each.crm, "number": each.number, "until": to_micros(stays[0].since)})
        begun += _rows(each, stays, people)
    change(connection, "ownership", ended, ("until",), keys=STAY_KEYS)
    put_values(connection, "ownership", begun, STAY, keys=STAY_KEYS)


def end_stays(connection: Connection, contacts: Iterable[int], now: datetime) -> None:
    """Nobody owns these contacts any more: they are no more."""
    told(connection, f"UPDATE ownership SET until = ? WHERE contact_id {AMONG} AND until IS NULL", to_micros(now), list(contacts))  # noqa: S608


#: Where no live record stands for the contact in a CRM any more, nobody owns it there.
_END_WITHOUT_RECORD = f"""
    UPDATE ownership SET until = ? WHERE contact_id {AMONG} AND until IS NULL AND NOT EXISTS
    (SELECT 1 FROM record r WHERE r.contact_id = ownership.contact_id AND r.crm = ownership.crm AND r.role = 'main' AND NOT r.archived)
"""  # noqa: S608 - names of our own


@cache
def _changed(dialect: str) -> str:
    """The records that stand for contacts and whose owner is another than that of their last stay: the fields of `OwnerSeen`."""
    return f"""
        SELECT r.contact_id, r.crm, r.object, r.id, r.owner_id, CASE WHEN r.crm = 'hubspot' THEN {_PROPERTY[dialect]} END,
               r.modified_at, o.number, o.since, o.until
        FROM record r LEFT JOIN ownership o ON o.contact_id = r.contact_id AND o.crm = r.crm AND o.number =
             (SELECT max(e.number) FROM ownership e WHERE e.contact_id = r.contact_id AND e.crm = r.crm)
        WHERE r.contact_id {AMONG} AND r.role = 'main' AND NOT r.archived
          AND r.owner_id {_DIFFERS[dialect]} CASE WHEN o.until IS NULL THEN o.owner_id END
        ORDER BY r.contact_id, r.crm"""  # noqa: S608 - names of our own


def _first(seen: OwnerSeen, people: Mapping[tuple[str, str], str | None], zone: ZoneInfo, now: datetime) -> tuple[Any, ...]:
    """The row of the first stay of a record of which nothing else is told: since its own date, else since it was seen."""
    moment, owner_id = to_micros(now), str(seen.owner_id)
    assigned = None if seen.assigned is None else moment_micros(seen.assigned, zone)
    stated = assigned is not None and assigned <= moment
    since = assigned if stated else moment
    return (seen.contact_id, seen.crm, 1, owner_id, people.get((seen.crm, owner_id)), since, stated, None, None, None)


def _changes(connection: Connection, seen: Sequence[OwnerSeen]) -> dict[Key, list[PastChange]]:
    """The changes of owner that the CRM's history or our pulls tell, by record. A HubSpot record that is new has none yet."""
    keys = [(each.crm, each.object, each.record_id) for each in seen if each.number is not None or each.crm != "hubspot"]
    found: dict[Key, list[PastChange]] = {}
    for past in changes_of(connection, keys) if keys else ():
        if past.property == CRM_FACTS[past.crm].owner_property:
            found.setdefault((past.crm, past.object, past.record_id), []).append(past)
    return found


_WRITES = f"""
    SELECT l.contact_id, l.record_id, l.rule, v.after, l.sent_at, l.settled_at
    FROM ledger l JOIN action_value v ON v.contact_id = l.contact_id AND v.ledger = l.id
    WHERE l.contact_id {AMONG} AND l.kind = '{Kind.ASSIGN}' AND l.state IN ('applied', 'already_so', 'sending', 'unknown')
      AND l.sent_at IS NOT NULL AND v.after IS NOT NULL
    ORDER BY l.id"""  # noqa: S608 - names of our own


def _owner_writes(connection: Connection, seen: Sequence[OwnerSeen]) -> Mapping[tuple[int, str], list[OwnerWrite]]:
    """What the connector wrote or is writing, by contact and record, the oldest first."""
    found: dict[tuple[int, str], list[OwnerWrite]] = {}
    for contact_id, record_id, rule, owner_id, sent, settled in asked(connection, _WRITES, [each.contact_id for each in seen]):
        write = OwnerWrite(rule, owner_id, from_micros(sent), from_micros(settled or sent))
        found.setdefault((contact_id, record_id), []).append(write)
    return found


def _rows(seen: OwnerSeen, stays: Sequence[Stay], people: Mapping[tuple[str, str], str | None]) -> list[tuple[Any, ...]]:
    """Rows of the stays with somebody; each lasts until the next begins."""
    number = seen.number or 0
    rows: list[tuple[Any, ...]] = []
    for place, stay in enumerate(stays):
        if stay.owner_id is None:
            continue
        number += 1
        until = to_micros(stays[place + 1].since) if place + 1 < len(stays) else None
        who = (stay.owner_id, people.get((seen.crm, stay.owner_id)))
        rows.append((seen.contact_id, seen.crm, number, *who, to_micros(stay.since), stay.stated, until, stay.rule, stay.by))
    return rows
