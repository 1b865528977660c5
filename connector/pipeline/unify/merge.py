"""Contacts that turn out to be one person: one of them is kept and goes on, the others' records, activities and tasks go to it.

What was concluded of a lost contact (spells, attempts, clocks, rejections) keeps its numbers under the old id, so that keys hold and
figures count it once; `contact.merged_into` leads from there to the contact that was kept, however long the chain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, select, update

from connector.model import State
from connector.store import tables as t
from connector.store.ledger import KEYLESS
from connector.store.mirror.privacy_erase import empty_contacts
from connector.workflows import touches
from connector.workflows.sla import TICKING

record = t.metadata.tables["record"]
contact = t.metadata.tables["contact"]
link = t.metadata.tables["activity_link"]
attempt = t.metadata.tables["attempt"]
clock = t.metadata.tables["clock"]
evidence = t.metadata.tables["evidence"]
ledger = t.metadata.tables["ledger"]
action_value = t.metadata.tables["action_value"]

#: Actions that nobody has begun: the contact that is kept is judged anew, and wants them itself where they still hold.
_NOT_BEGUN = (State.PLANNED, State.WAITING, State.HELD, State.APPROVED)
_ENDED = "the contact turned out to be another one, which is judged anew"


def merge_contacts(connection: Connection, groups: Iterable[Sequence[int]], now: datetime) -> dict[int, int]:
    """Makes one contact of each group: lost → kept.

    Kept is the one with an open attempt; else the one for which a transition of its present spell is under way, so that the key of its
    cause goes on; else one with any attempt; else the one seen first. Its history goes on. An open attempt of the others is withdrawn,
    and their clocks end. What their transitions were taken on counts as taken for it too: evidence is used once. Of what the ledger has of
    them, tasks that are open and all that was done or sent go to it; what was not begun is superseded.
    """
    survivors: dict[int, int] = {}
    for group in groups:
        kept = _kept(connection, group)
        for lost in group:
            if lost != kept:
                _move(connection, lost, kept, now)
                survivors[lost] = kept
        connection.execute(update(record).where(record.c.contact_id == kept).values(unify=True))
    return survivors


def aliases(connection: Connection, contact_id: int) -> list[int]:
    """The contacts that turned out to be this one, the oldest first: what was concluded of them stands under their own ids."""
    return list(connection.scalars(select(contact.c.id).where(contact.c.merged_into == contact_id).order_by(contact.c.id)))


def _kept(connection: Connection, group: Sequence[int]) -> int:
    rows = connection.execute(select(attempt.c.contact_id, attempt.c.outcome).where(attempt.c.contact_id.in_(group))).all()
    selling, sold = {row.contact_id for row in rows if row.outcome == "open"}, {row.contact_id for row in rows}
    acting = _acting(connection, group)
    return min(group, key=lambda number: (number not in selling, number not in acting, number not in sold, number))


def _acting(connection: Connection, group: Collection[int]) -> set[int]:
    """Those for which the ledger holds an action whose cause is the spell they are in."""
    rows = connection.execute(
        select(ledger.c.contact_id, ledger.c.bundle, contact.c.spell)
        .join(contact, contact.c.id == ledger.c.contact_id)
        .where(ledger.c.contact_id.in_(group), ledger.c.state.not_in(KEYLESS))
    )
    return {row.contact_id for row in rows if row.bundle.endswith(f"|spell:{row.spell}")}


def _move(connection: Connection, lost: int, kept: int, now: datetime) -> None:
    connection.execute(update(record).where(record.c.contact_id == lost).values(contact_id=kept, role=None, unify=True))
    open_rows = and_(ledger.c.contact_id == lost, ledger.c.state.in_(_NOT_BEGUN))
    connection.execute(update(ledger).where(open_rows).values(state=State.SUPERSEDED, settled_at=now, message=_ENDED))
    for table in (link, ledger, action_value):
        connection.execute(update(table).where(table.c.contact_id == lost).values(contact_id=kept))
    _join_evidence(connection, lost, kept)
    still = and_(attempt.c.contact_id == lost, attempt.c.outcome == "open")
    connection.execute(update(attempt).where(still).values(outcome="withdrawn", ended_at=now))
    ticking = and_(clock.c.contact_id == lost, clock.c.state.in_(TICKING))
    connection.execute(update(clock).where(ticking).values(state="ended", ended_at=now))
    touches.hand_over(connection, lost, kept)
    empty_contacts(connection, [lost])
    connection.execute(update(contact).where(contact.c.merged_into == lost).values(merged_into=kept))
    connection.execute(update(contact).where(contact.c.id == lost).values(gone=True, due_at=None, merged_into=kept))


def _join_evidence(connection: Connection, lost: int, kept: int) -> None:
    """What the lost contact's transitions were taken on is the kept one's; of two the one that keeps a transition longer."""
    rows = connection.execute(select(evidence).where(evidence.c.contact_id.in_((lost, kept)))).all()
    theirs: dict[str, list[Any]] = {}
    for row in rows:
        theirs.setdefault(row.rule, []).append(row)
    for both in theirs.values():
        hold = max(both, key=lambda row: (row.barred, row.contact_id == kept))
        drop = [row for row in both if row is not hold]
        for row in drop:
            connection.execute(delete(evidence).where(evidence.c.contact_id == row.contact_id, evidence.c.rule == row.rule))
        if hold.contact_id == lost:
            mine = and_(evidence.c.contact_id == lost, evidence.c.rule == hold.rule)
            connection.execute(update(evidence).where(mine).values(contact_id=kept, spell=0))
