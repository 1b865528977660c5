"""Who owned a contact from when to when, in each CRM, and since which rule or person: one row a stay, kept for good.

A stay is with the owner of the record that stands for the contact there. What differs from the last stay is found by one statement a slice;
a contact whose owner is the same writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Select, Text, and_, case, cast, exists, func, null, select, type_coerce
from sqlalchemy.dialects.postgresql import JSON

from connector.model import CRM_FACTS, CrmName, Kind
from connector.pipeline.unify.identity import Key
from connector.store import tables as t
from connector.store.among import among
from connector.store.bulk import change, put
from connector.store.mirror.past_changes import changes_of
from connector.store.tables import from_micros, to_micros
from connector.store.tables.rows import PastChange
from connector.workflows.fields import moment_micros

record = t.metadata.tables["record"]
owner = t.metadata.tables["owner"]
ledger = t.metadata.tables["ledger"]
action_value = t.metadata.tables["action_value"]
ownership = t.metadata.tables["ownership"]

#: When HubSpot says that the present owner was set.
_ASSIGNED = "hubspot_owner_assigneddate"
#: States of an assignment that was sent, whatever is known of it by now.
_SENT = ("applied", "already_so", "sending", "unknown")
#: How far a CRM's time for our own write may lie from ours.
_APART = timedelta(minutes=5)
_COLUMNS = ("contact_id", "crm", "number", "owner_id", "owner", "since", "stated", "until", "rule", "by")
_KEYS = ("contact_id", "crm", "number")

# ── Deciding ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class OwnerSeen(NamedTuple):
    """A record that stands for a contact, whose owner is another than that of the last stay.

    owner_id: the owner now, None for nobody. assigned: since when, by the record's own word, as the CRM writes it. number, last_owner,
    since, until: the last stay, all None where there was none yet.
    """

    contact_id: int
    crm: CrmName
    object: str
    record_id: str
    owner_id: str | None
    assigned: str | None
    modified_at: datetime | None
    number: int | None
    last_owner: str | None
    since: datetime | None
    until: datetime | None

    @property
    def changed_after(self) -> datetime | None:
        """Before this moment nothing is told anew."""
        return self.since if self.until is None else self.until


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


def stays_since(
    seen: OwnerSeen, changes: Sequence[PastChange], written: Sequence[OwnerWrite], zone: ZoneInfo, now: datetime
) -> list[Stay]:
    """The stays that began since the last one, in order. changes: of the record's owner; written: assignments of the connector to it.

    Of what was before a record came for the first time, only the present owner is told.
    """
    after = seen.changed_after
    told = sorted((change for change in changes if change.at <= now and (after is None or change.at > after)), key=lambda change: change.at)
    stays = [Stay(change.after, change.at, change.known_by == "history", by=change.by) for change in told]
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
    edited = seen.modified_at if seen.number is not None and possible(seen.modified_at) else None
    moments = [moment for moment in (edited, at_latest) if moment is not None]
    return Stay(seen.owner_id, min(moments, default=now), stated=False)


def _by_rule(stay: Stay, written: Sequence[OwnerWrite]) -> Stay:
    """The stay, by the rule whose write it was: then it was no person."""
    for write in written:
        if stay.owner_id == write.owner_id and write.at - _APART <= stay.since <= write.settled_at + _APART:
            return stay._replace(rule=write.rule, by=None)
    return stay if stay.rule is None else stay._replace(by=None)


# ── Reading and writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def follow_owners(connection: Connection, contacts: Sequence[int], zone: ZoneInfo, now: datetime) -> None:
    """Books the owners of these contacts that changed since they were looked at last. zone: the business's, for days without a time."""
    _end_without_record(connection, contacts, now)
    seen = [OwnerSeen._make(row) for row in connection.execute(_changed(connection, contacts))]
    if not seen:
        return
    changes, written = _changes(connection, seen), _owner_writes(connection, seen)
    emails = _emails(connection)
    ended: list[dict[str, Any]] = []
    begun: list[dict[str, Any]] = []
    for each in seen:
        key = (each.crm, each.object, each.record_id)
        stays = stays_since(each, changes.get(key, ()), written.get((each.contact_id, each.crm, each.record_id), ()), zone, now)
        if each.number is not None and each.until is None:
            ended.append({"contact_id": each.contact_id, "crm": each.crm, "number": each.number, "until": to_micros(stays[0].since)})
        begun += _rows(each, stays, emails)
    change(connection, "ownership", ended, ("until",), keys=_KEYS)
    put(connection, "ownership", begun, _COLUMNS, keys=_KEYS)


def end_stays(connection: Connection, contacts: Iterable[int], now: datetime) -> None:
    """Nobody owns these contacts any more: they are no more."""
    open_stays = and_(among(ownership.c.contact_id, list(contacts)), ownership.c.until.is_(None))
    connection.execute(ownership.update().where(open_stays).values(until=now))


def _end_without_record(connection: Connection, contacts: Sequence[int], now: datetime) -> None:
    """Where no live record stands for the contact in a CRM any more, nobody owns it there."""
    same = (record.c.contact_id == ownership.c.contact_id, record.c.crm == ownership.c.crm)
    main = exists().where(*same, record.c.role == "main", ~record.c.archived)
    gone = and_(among(ownership.c.contact_id, contacts), ownership.c.until.is_(None), ~main.correlate(ownership))
    connection.execute(ownership.update().where(gone).values(until=now))


def _changed(connection: Connection, contacts: Sequence[int]) -> Select[Any]:
    """The records that stand for these contacts and whose owner is another than that of their last stay."""
    earlier = ownership.alias("earlier")
    newest = select(func.max(earlier.c.number)).where(earlier.c.contact_id == record.c.contact_id, earlier.c.crm == record.c.crm)
    last = and_(
        ownership.c.contact_id == record.c.contact_id,
        ownership.c.crm == record.c.crm,
        ownership.c.number == newest.correlate(record).scalar_subquery(),
    )
    owned = case((ownership.c.until.is_(None), ownership.c.owner_id))
    of_last = (ownership.c.number, ownership.c.owner_id.label("last_owner"), ownership.c.since, ownership.c.until)
    main = (among(record.c.contact_id, contacts), record.c.role == "main", ~record.c.archived)
    return (
        select(
            record.c.contact_id,
            record.c.crm,
            record.c.object,
            record.c.id,
            record.c.owner_id,
            case((record.c.crm == "hubspot", _property(connection, _ASSIGNED)), else_=null()),
            record.c.modified_at,
            *of_last,
        )
        .select_from(record.outerjoin(ownership, last))
        .where(*main, record.c.owner_id.is_distinct_from(owned))
        .order_by(record.c.contact_id, record.c.crm)
    )


def _property(connection: Connection, name: str) -> ColumnElement[str]:
    """A property of a record, as text."""
    properties = type_coerce(record.c.properties, Text)
    in_postgresql: ColumnElement[str] = cast(properties, JSON)[name].astext
    in_sqlite: ColumnElement[str] = func.json_extract(properties, f'$."{name}"')
    return in_postgresql if connection.dialect.name == "postgresql" else in_sqlite


def _changes(connection: Connection, seen: Sequence[OwnerSeen]) -> dict[Key, list[PastChange]]:
    """The changes of owner that the CRM's history or our pulls tell, by record. A HubSpot record that is new has none yet."""
    keys = [(each.crm, each.object, each.record_id) for each in seen if each.number is not None or each.crm != "hubspot"]
    found: dict[Key, list[PastChange]] = {}
    for told in changes_of(connection, keys):
        if told.property == CRM_FACTS[told.crm].owner_property:
            found.setdefault((told.crm, told.object, told.record_id), []).append(told)
    return found


def _owner_writes(connection: Connection, seen: Sequence[OwnerSeen]) -> Mapping[tuple[int, str, str], list[OwnerWrite]]:
    """What the connector wrote, by contact, CRM and record, the oldest first."""
    names = ("contact_id", "crm", "record_id", "rule", "sent_at", "settled_at")
    assigned = (among(ledger.c.contact_id, [each.contact_id for each in seen]), ledger.c.kind == Kind.ASSIGN, ledger.c.state.in_(_SENT))
    rows = connection.execute(
        select(*(ledger.c[name] for name in names), action_value.c.after)
        .join(action_value, action_value.c.ledger == ledger.c.id)
        .where(*assigned, ledger.c.sent_at.is_not(None), action_value.c.after.is_not(None))
        .order_by(ledger.c.id)
    )
    found: dict[tuple[int, str, str], list[OwnerWrite]] = {}
    for row in rows:
        write = OwnerWrite(row.rule, row.after, row.sent_at, row.settled_at or row.sent_at)
        found.setdefault((row.contact_id, row.crm, row.record_id), []).append(write)
    return found


def _emails(connection: Connection) -> dict[tuple[str, str], str | None]:
    """The folded e-mail of each person, by CRM and id."""
    rows = connection.execute(select(owner.c.crm, owner.c.id, owner.c.email).where(~owner.c.queue))
    return {(row.crm, row.id): row.email for row in rows}


def _rows(seen: OwnerSeen, stays: Sequence[Stay], emails: Mapping[tuple[str, str], str | None]) -> list[dict[str, Any]]:
    """Rows of the stays with somebody; each lasts until the next begins."""
    number = seen.number or 0
    rows = []
    for place, stay in enumerate(stays):
        if stay.owner_id is None:
            continue
        number += 1
        until = to_micros(stays[place + 1].since) if place + 1 < len(stays) else None
        person = emails.get((seen.crm, stay.owner_id))
        values = (seen.contact_id, seen.crm, number, stay.owner_id, person, to_micros(stay.since), stay.stated, until, stay.rule, stay.by)
        rows.append(dict(zip(_COLUMNS, values, strict=True)))
    return rows
