"""The shadow plan that stands: what every contact's rules want as of when it was judged last. One plan, kept as a difference.

A pass replaces the rows of the contacts that it judged; the others stand as they are. How often what stands is counted in `standing` in the
same transactions, so that neither the guard nor a pass without a change reads the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, delete, select, text, true, update

from connector.model import CrmName, Kind, RecordRef, State
from connector.store.bulk import chunks
from connector.store.ledger import VALUES_OF, make_due, these
from connector.store.tables import metadata

_LEDGER = metadata.tables["ledger"]
_VALUE = metadata.tables["action_value"]
_STANDING = metadata.tables["standing"]
_TURN = metadata.tables["turn"]

#: Before the name of a turn that was taken in shadow: going live, it is everybody's turn as it was before.
SHADOW_TURN = ":shadow:"

#: A row of the shadow plan. Written out in the statement, not bound: SQLite uses a partial index only for the very same text.
STANDS = _LEDGER.c.state == bindparam("shadow", State.SHADOW, literal_execute=True)

_ADD = text(
    "INSERT INTO standing (rule, what, number) VALUES (:rule, :what, :number)"
    " ON CONFLICT (rule, what) DO UPDATE SET number = standing.number + excluded.number"
)

#: (rule, what) → how often; see `tables.plans.StandingCount`.
Counts = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingRow:
    """A row of the shadow plan, with its values. new: not there before the plan that saved it."""

    id: int
    plan: int
    contact: int
    key: str
    bundle: str
    position: int
    rule: str
    kind: Kind
    crm: CrmName
    record: RecordRef
    backward: bool
    new: bool
    before: str | None
    after: str | None
    why: Mapping[str, Any] | None
    task: Mapping[str, Any] | None


class CountedRow(Protocol):
    """What is counted of a row, saved or to be saved."""

    @property
    def contact(self) -> int: ...
    @property
    def rule(self) -> str: ...
    @property
    def bundle(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def record(self) -> RecordRef: ...
    @property
    def backward(self) -> bool: ...


def standing(connection: Connection, contacts: Collection[int], *, kind: Kind | None = None) -> list[StandingRow]:
    """What stands for these contacts, of this kind where one is named."""
    names = ("id", "plan", "key", "bundle", "position", "rule", "crm", "backward", "new")
    found: list[StandingRow] = []
    for ids in chunks(sorted(contacts)):
        query = (
            select(_LEDGER, _VALUE.c.before, _VALUE.c.after, _VALUE.c.why, _VALUE.c.task)
            .select_from(_LEDGER.outerjoin(_VALUE, VALUES_OF))
            .where(_LEDGER.c.contact_id.in_(ids), STANDS, true() if kind is None else _LEDGER.c.kind == kind)
        )
        found += [
            StandingRow(
                **{name: row[name] for name in (*names, "before", "after", "why", "task")},
                contact=row["contact_id"],
                kind=Kind(row["kind"]),
                record=RecordRef(crm=row["crm"], object=row["object"], id=row["record_id"]),
            )
            for row in connection.execute(query).mappings()
        ]
    return found


def take_away(connection: Connection, rows: Sequence[StandingRow]) -> None:
    """These rows stand no more. What is counted of them is the caller's to change (`change_counts`)."""
    for part in chunks(rows):
        numbers = [(row.contact, row.id) for row in part]
        connection.execute(delete(_VALUE).where(these(_VALUE.c.contact_id, _VALUE.c.ledger, numbers)))
        connection.execute(delete(_LEDGER).where(these(_LEDGER.c.contact_id, _LEDGER.c.id, numbers)))


def no_longer_new(connection: Connection, rows: Sequence[StandingRow]) -> None:
    """These were there before the pass."""
    for part in chunks([row for row in rows if row.new]):
        numbers = [(row.contact, row.id) for row in part]
        connection.execute(update(_LEDGER).where(these(_LEDGER.c.contact_id, _LEDGER.c.id, numbers)).values(new=False))


def drop(connection: Connection, contacts: Collection[int]) -> None:
    """Nothing stands for these contacts any more: they are gone, or became another one."""
    rows = standing(connection, contacts)
    take_away(connection, rows)
    change_counts(connection, rows, [])


def end(connection: Connection, *, now: datetime, size: int) -> bool:
    """Ends the shadow plan for so many contacts, who are judged again: from now on it is live. Whether there was anything to end."""
    contacts = connection.scalars(select(_LEDGER.c.contact_id).where(STANDS).distinct().order_by(_LEDGER.c.contact_id).limit(size)).all()
    make_due(connection, contacts, now=now)
    drop(connection, contacts)
    connection.execute(delete(_TURN).where(_TURN.c.name.startswith(SHADOW_TURN)))
    return bool(contacts)


# ── What is counted ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def counted(rows: Iterable[CountedRow]) -> Counts:
    """What these rows come to: bundles by the shape of their parts, contacts by kind. Of a contact all rows are among them, or none."""
    counts: Counts = Counter()
    ordered = sorted(rows, key=lambda row: (row.contact, row.rule, row.bundle, row.position))
    for (_, rule), of_contact in groupby(ordered, key=lambda row: (row.contact, row.rule)):
        members = list(of_contact)
        for _, bundle in groupby(members, key=lambda row: row.bundle):
            counts[rule, f"bundle {' '.join(map(_part, bundle))}"] += 1
        kinds = {str(row.kind) for row in members} | {"backward" for row in members if row.backward}
        counts.update((rule, f"contacts {kind}") for kind in kinds)
    return counts


def _part(row: CountedRow) -> str:
    return f"{row.kind}:{row.record.crm}{'-' if row.backward else ''}"


def change_counts(connection: Connection, before: Sequence[CountedRow], after: Sequence[CountedRow]) -> None:
    """The rows of some contacts were these and are those."""
    change = counted(after)
    change.subtract(counted(before))
    rows = [{"rule": rule, "what": what, "number": number} for (rule, what), number in sorted(change.items()) if number]
    if rows:
        connection.execute(_ADD, rows)


def counts(connection: Connection) -> Counts:
    """What stands, as it is counted."""
    rows = connection.execute(select(_STANDING).where(_STANDING.c.number > 0))
    return Counter({(row.rule, row.what): row.number for row in rows})
