"""Since when each property of a CRM is known of every record: from the end of the read that brought it of all, until no pull brings it.

Within such a span every change of the property came here. One that is dropped from the file and named again has two spans, and a gap.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, delete, select, update

from connector.store.bulk import add_missing
from connector.store.tables import metadata

_KNOWN = metadata.tables["property_known"]
_CURSOR = metadata.tables["cursor"]

#: CRM, object, property.
Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class KnownSpan:
    """until: None while it is known."""

    since: datetime
    until: datetime | None

    def holds(self, at: datetime) -> bool:
        """Whether every change up to this moment came here."""
        return self.since <= at and (self.until is None or at < self.until)


def keep(connection: Connection, crms: Collection[str], present: Collection[Place], now: datetime) -> None:
    """Notes which properties of these CRMs are known of every record now. Those that are no more were so when they were last pulled."""
    stored = _open(connection, crms)
    fresh = [place for place in present if place not in stored]
    rows = [{"crm": crm, "object": name, "property": of, "since": now, "until": None} for crm, name, of in sorted(fresh)]
    add_missing(connection, _KNOWN, rows)
    for crm, object_name, of in sorted(stored.keys() - set(present)):
        pulled = select(_CURSOR.c.whole_at).where(_CURSOR.c.crm == crm, _CURSOR.c.object == object_name)
        last: datetime | None = connection.scalar(pulled)
        same = and_(_KNOWN.c.until.is_(None), _KNOWN.c.crm == crm, _KNOWN.c.object == object_name, _KNOWN.c.property == of)
        until = now if last is None else max(min(last, now), stored[crm, object_name, of])
        connection.execute(update(_KNOWN).where(same).values(until=until))


def cut(connection: Connection, before: datetime) -> None:
    """What changed before a moment is let go: nothing is complete any more that lies before it."""
    connection.execute(delete(_KNOWN).where(_KNOWN.c.until <= before))
    connection.execute(update(_KNOWN).where(_KNOWN.c.since < before).values(since=before))


def differs(connection: Connection, crms: Collection[str], present: Collection[Place]) -> bool:
    """Whether other properties of these CRMs are known now."""
    return _open(connection, crms).keys() != set(present)


def _open(connection: Connection, crms: Collection[str]) -> dict[Place, datetime]:
    spans_now = select(_KNOWN).where(_KNOWN.c.crm.in_(sorted(crms)), _KNOWN.c.until.is_(None))
    return {(row.crm, row.object, row.property): row.since for row in connection.execute(spans_now)}


def spans(connection: Connection, crm: str, object_name: str, properties: Iterable[str]) -> dict[str, list[KnownSpan]]:
    """When each of these properties was known of every record, the oldest span first."""
    found: dict[str, list[KnownSpan]] = {name: [] for name in properties}
    wanted = (_KNOWN.c.crm == crm, _KNOWN.c.object == object_name, _KNOWN.c.property.in_(sorted(found)))
    for row in connection.execute(select(_KNOWN).where(*wanted).order_by(_KNOWN.c.property, _KNOWN.c.since)):
        found[row.property].append(KnownSpan(row.since, row.until))
    return found


def complete_from(connection: Connection) -> dict[Place, datetime]:
    """Since when each property that is known now was so without a gap."""
    rows = connection.execute(select(_KNOWN).where(_KNOWN.c.until.is_(None)))
    return {(row.crm, row.object, row.property): row.since for row in rows}
