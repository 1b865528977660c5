"""What happened to one contact, in time order: stages, attempts, clocks, touches, rejections, owners, our own writes, edits in the CRMs.

Each entry: {"at" (UTC), "what", "by" (a person, by e-mail, name or the CRM's id of the user, where the CRM's own history tells who; else a
CRM, "crm" for a person or tool in one of them, "connector", "found", or a rule's id), "before", "after"}; what the ledger holds has its
"outcome" beside. Values of CRMs stand as the CRM has them, stages by the file's names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, select

from connector.config.tables import Config
from connector.model import CRM_FACTS
from connector.reports import past
from connector.store import ledger
from connector.store.mirror.keys import FullKey
from connector.store.mirror.past_changes import employees_of
from connector.store.tables import metadata

_SPELL = metadata.tables["spell"]
_ATTEMPT = metadata.tables["attempt"]
_REJECTION = metadata.tables["rejection"]
_CLOCK = metadata.tables["clock"]
_TOUCH = metadata.tables["touch"]
_VERSION = metadata.tables["record_version"]
_HISTORY = metadata.tables["field_history"]

#: The properties whose edits are told without a history of the CRM's: those that carry the stage, the lead status and the owner.
_TOLD: Mapping[str, frozenset[str]] = {
    crm: frozenset({facts.stage_property, facts.lead_status, facts.owner_property}) for crm, facts in CRM_FACTS.items()
}

#: How far a CRM's time for our own write may lie from ours.
_APART = timedelta(minutes=5)

Entry = dict[str, Any]


class _Edit(NamedTuple):
    """A change of a record's property that the CRM's own history tells."""

    crm: str
    object: str
    record_id: str
    property: str
    before: str | None
    after: str | None
    at: datetime
    who: str | None


class _Version(NamedTuple):
    """What a pull found changed in a record: property → [before, after]. at: by the CRM's word; seen_at: when it was pulled."""

    crm: str
    object: str
    id: str
    changed: Mapping[str, Sequence[Any]]
    at: datetime | None
    seen_at: datetime


def timeline(connection: Connection, config: Config, contacts: Sequence[int], records: Sequence[FullKey], now: datetime) -> list[Entry]:
    """Everything on record, the oldest first.

    contacts: the contact, then those that turned out to be this one. records: theirs, by their keys.
    """
    names = {rule.id: rule.name for rule in config.slas}
    written = ledger.rows_of_contact(connection, contacts[0])
    entries = [*_edits(connection, records, written)]
    for contact in contacts:
        entries += _stages(connection, contact)
        entries += _attempts(connection, contact)
        entries += _touches(connection, contact)
        entries += _clocks(connection, contact, names, now)
        entries += _rejections(connection, contact)
    entries += past.owner_entries(past.owner_stays(connection, contacts))
    entries += past.act_entries(past.acts_about(connection, contacts, written))
    entries += _actions(written)
    return sorted(entries, key=lambda entry: entry["at"])  # stable: at one moment the order above holds


def _entry(at: datetime, what: str, by: str, before: Any = None, after: Any = None, **more: Any) -> Entry:
    return {"at": at, "what": what, "by": by, "before": before, "after": after, **more}


def _stages(connection: Connection, contact: int) -> Iterator[Entry]:
    before = None
    for row in connection.execute(select(_SPELL).where(_SPELL.c.contact_id == contact).order_by(_SPELL.c.number)):
        yield _entry(row.entered_at, "stage", row.by, before, row.stage)
        before = row.stage


def _attempts(connection: Connection, contact: int) -> Iterator[Entry]:
    for row in connection.execute(select(_ATTEMPT).where(_ATTEMPT.c.contact_id == contact).order_by(_ATTEMPT.c.number)):
        marks = [name for name in ("found", "skipped", "late") if getattr(row, name)]
        begun = f"attempt {row.number} begins" + (f" ({', '.join(marks)})" if marks else "")
        yield _entry(row.began_at, begun, "connector", None, "open")
        if row.ended_at is not None:
            yield _entry(row.ended_at, f"attempt {row.number} ends", "connector", "open", row.outcome)


def _touches(connection: Connection, contact: int) -> Iterator[Entry]:
    for row in connection.execute(select(_TOUCH).where(_TOUCH.c.contact_id == contact).order_by(_TOUCH.c.at)):
        yield _entry(row.at, "touch", "crm", None, f"{row.channel} by {row.person}")


def _clocks(connection: Connection, contact: int, names: Mapping[str, str], now: datetime) -> Iterator[Entry]:
    order = (_CLOCK.c.attempt, _CLOCK.c.kind, _CLOCK.c.number)
    for row in connection.execute(select(_CLOCK).where(_CLOCK.c.contact_id == contact).order_by(*order)):
        what = f"clock {names.get(row.sla, row.sla)}"
        yield _entry(row.started_at, what, row.sla, None, "running")
        if row.warn_at is not None and row.warn_at <= min(now, row.met_at or now, row.ended_at or now):
            yield _entry(row.warn_at, what, row.sla, "running", "warned")
        if row.state == "breached":
            yield _entry(row.due_at, what, row.sla, "running", "breached")
        elif row.state == "met" and row.met_at is not None:
            yield _entry(row.met_at, what, row.sla, "running", "met")
        elif row.ended_at is not None:
            yield _entry(row.ended_at, what, row.sla, "running", row.state)


def _rejections(connection: Connection, contact: int) -> Iterator[Entry]:
    for row in connection.execute(select(_REJECTION).where(_REJECTION.c.contact_id == contact).order_by(_REJECTION.c.attempt)):
        yield _entry(row.at, f"{row.kind} by sales", row.by or row.crm or "crm", None, row.reason if row.reason_at == row.at else None)
        if row.reason is not None and row.reason_at is not None and row.reason_at != row.at:
            yield _entry(row.reason_at, "reason of the rejection", row.crm or "crm", None, row.reason)


def _actions(written: Sequence[Mapping[str, Any]]) -> Iterator[Entry]:
    for row in reversed(written):
        what = f"{row['kind'].replace('_', ' ')} {row['target']} in {row['crm']}"
        at = row["settled_at"] or row["sent_at"] or row["planned_at"]
        more = {name: row[name] for name in ("message", "next_step", "config_version") if row[name]}
        yield _entry(at, what, row["rule"], row["before"], row["after"], outcome=row["state"], **more)


# ── Edits in the CRMs ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _edits(connection: Connection, records: Sequence[FullKey], written: Sequence[Mapping[str, Any]]) -> Iterator[Entry]:
    """The CRM's own history where there is one, else the changes that pulls found; less what we wrote ourselves."""
    in_history: set[tuple[str, str, str, str | None]] = set()
    employees = employees_of(connection)
    for change in _histories(connection, records):
        edit = (change.crm, change.record_id, change.property, change.after)
        in_history.add(edit)
        if not _ours(written, edit, change.at):
            by = change.crm if change.who is None else employees.get((change.crm, change.who), f"{change.crm} user {change.who}")
            yield _entry(change.at, f"{change.object} {change.property}", by, change.before, change.after)
    for version in _versions(connection, records):
        at = version.seen_at if version.at is None else version.at
        for name, (before, after) in sorted(version.changed.items()):
            edit = (version.crm, version.id, name, after)
            if name in _TOLD[version.crm] and edit not in in_history and not _ours(written, edit, at):
                yield _entry(at, f"{version.object} {name}", version.crm, before, after)


def _ours(written: Sequence[Mapping[str, Any]], edit: tuple[str, str, str, str | None], at: datetime) -> bool:
    """Whether this is a write of our own, seen again."""
    return any(
        (row["crm"], row["record_id"], row["target"], row["after"]) == edit
        and row["state"] == "applied"
        and row["sent_at"] is not None
        and row["sent_at"] - _APART <= at <= (row["settled_at"] or row["sent_at"]) + _APART
        for row in written
    )


def _histories(connection: Connection, records: Iterable[FullKey]) -> Iterator[_Edit]:
    columns = [_HISTORY.c[name] for name in _Edit._fields]
    for crm, object_name, record_id in records:
        about = and_(_HISTORY.c.record_id == record_id, _HISTORY.c.crm == crm, _HISTORY.c.object == object_name)
        query = select(*columns).where(about).order_by(_HISTORY.c.at, _HISTORY.c.id)
        yield from map(_Edit._make, connection.execute(query))


def _versions(connection: Connection, records: Iterable[FullKey]) -> Iterator[_Version]:
    columns = [_VERSION.c[name] for name in _Version._fields]
    for crm, object_name, record_id in records:
        about = and_(_VERSION.c.crm == crm, _VERSION.c.object == object_name, _VERSION.c.id == record_id)
        yield from map(_Version._make, connection.execute(select(*columns).where(about).order_by(_VERSION.c.number)))
