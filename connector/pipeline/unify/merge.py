"""Contacts that turn out to be one person: one of them is kept and goes on, the others' records, activities and tasks go to it.

What was concluded of a lost contact (spells, attempts, clocks, rejections) keeps its numbers under the old id, so that keys hold and
figures count it once; `contact.merged_into` leads from there to the contact that was kept, however long the chain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, select, tuple_, update

from connector.model import State
from connector.pipeline.unify.owner_history import end_stays
from connector.store import shadow
from connector.store import tables as t
from connector.store.ledger import KEYLESS
from connector.store.mirror.keys import recount
from connector.store.mirror.privacy_erase import empty_fields
from connector.store.snapshots import Look, freeze_withdrawn
from connector.store.tables import EPOCH
from connector.workflows import touches
from connector.workflows.attempts import OPEN
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


# ── Deciding ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class AttemptOutcome(NamedTuple):
    """That a contact had an attempt, when it began, and how it ended ("open": it goes on)."""

    contact_id: int
    outcome: str
    began_at: datetime


class StageAction(NamedTuple):
    """An action that the ledger holds for a contact. spell: the spell that the contact is in now."""

    contact_id: int
    bundle: str
    spell: int

    @property
    def of_this_spell(self) -> bool:
        """Whether the spell that the contact is in is its cause."""
        return self.bundle.endswith(f"|spell:{self.spell}")


class EvidenceHold(NamedTuple):
    """That a contact's transition was taken. barred: only a person moves the contact."""

    contact_id: int
    rule: str
    barred: bool


def kept_contact(group: Collection[int], attempts: Iterable[AttemptOutcome], actions: Iterable[StageAction]) -> int:
    """Which of the contacts that are one person is kept; its history goes on.

    The one with an open attempt, of several the one begun first; else the one for which a transition of its present spell is under way, so
    that the key of its cause goes on; else one with any attempt; else the one seen first.
    """
    attempts = list(attempts)
    begun = {row.contact_id: row.began_at for row in attempts if row.outcome == OPEN}
    sold = {row.contact_id for row in attempts}
    acting = {row.contact_id for row in actions if row.of_this_spell}
    return min(
        group,
        key=lambda number: (number not in begun, begun.get(number, EPOCH), number not in acting, number not in sold, number),
    )


@dataclass(frozen=True, slots=True)
class JoinedEvidence:
    """What becomes of the evidence of two contacts: rows that go, by (contact, rule), and the lost one's that the kept one takes over."""

    drop: frozenset[tuple[int, str]]
    take_over: frozenset[str]


def joined_evidence(held: Iterable[EvidenceHold], kept: int) -> JoinedEvidence:
    """What the lost contact's transitions were taken on is the kept one's; of two the one that keeps a transition longer."""
    by_rule: dict[str, list[EvidenceHold]] = {}
    for hold in held:
        by_rule.setdefault(hold.rule, []).append(hold)
    stays = {rule: max(holds, key=lambda hold: (hold.barred, hold.contact_id == kept)) for rule, holds in by_rule.items()}
    return JoinedEvidence(
        drop=frozenset((hold.contact_id, rule) for rule, holds in by_rule.items() for hold in holds if hold is not stays[rule]),
        take_over=frozenset(rule for rule, hold in stays.items() if hold.contact_id != kept),
    )


# ── Reading and writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def merge_contacts(connection: Connection, groups: Iterable[Sequence[int]], now: datetime) -> dict[int, int]:
    """Makes one contact of each group: lost → kept (`kept_contact`).

    An open attempt of the others is withdrawn, and their clocks end. What their transitions were taken on counts as taken for the one that
    is kept too: evidence is used once. Of what the ledger has of them, tasks that are open and all that was done or sent go to it; what was
    not begun is superseded.
    """
    survivors: dict[int, int] = {}
    for group in groups:
        kept = kept_contact(group, _attempts(connection, group), _actions(connection, group))
        for lost in group:
            if lost != kept:
                _move(connection, lost, kept, now)
                survivors[lost] = kept
        connection.execute(update(record).where(record.c.contact_id == kept).values(unify=True))
    recount(connection, set(survivors.values()), now)
    return survivors


def aliases(connection: Connection, contact_id: int) -> list[int]:
    """The contacts that turned out to be this one, the oldest first: what was concluded of them stands under their own ids."""
    return list(connection.scalars(select(contact.c.id).where(contact.c.merged_into == contact_id).order_by(contact.c.id)))


def _attempts(connection: Connection, group: Collection[int]) -> list[AttemptOutcome]:
    rows = connection.execute(select(attempt.c.contact_id, attempt.c.outcome, attempt.c.began_at).where(attempt.c.contact_id.in_(group)))
    return [AttemptOutcome(*row) for row in rows]


def _actions(connection: Connection, group: Collection[int]) -> list[StageAction]:
    rows = connection.execute(
        select(ledger.c.contact_id, ledger.c.bundle, contact.c.spell)
        .join(contact, contact.c.id == ledger.c.contact_id)
        .where(ledger.c.contact_id.in_(group), ledger.c.state.not_in(KEYLESS))
    )
    return [StageAction(*row) for row in rows]


def _move(connection: Connection, lost: int, kept: int, now: datetime) -> None:
    freeze_withdrawn(connection, [lost], Look(now=now))  # while what it was made of is its own
    connection.execute(update(record).where(record.c.contact_id == lost).values(contact_id=kept, role=None, unify=True))
    open_rows = and_(ledger.c.contact_id == lost, ledger.c.state.in_(_NOT_BEGUN))
    connection.execute(update(ledger).where(open_rows).values(state=State.SUPERSEDED, settled_at=now, message=_ENDED))
    shadow.drop(connection, [lost])
    for table in (link, ledger, action_value):
        connection.execute(update(table).where(table.c.contact_id == lost).values(contact_id=kept))
    _join_evidence(connection, lost, kept)
    selling = and_(attempt.c.contact_id == lost, attempt.c.outcome == OPEN)
    connection.execute(update(attempt).where(selling).values(outcome="withdrawn", ended_at=now))
    ticking = and_(clock.c.contact_id == lost, clock.c.state.in_(TICKING))
    connection.execute(update(clock).where(ticking).values(state="ended", ended_at=now))
    end_stays(connection, [lost], now)
    touches.hand_over(connection, lost, kept)
    empty_fields(connection, [lost])
    connection.execute(update(contact).where(contact.c.merged_into == lost).values(merged_into=kept))
    connection.execute(update(contact).where(contact.c.id == lost).values(gone=True, due_at=None, decide_at=None, merged_into=kept))


def _join_evidence(connection: Connection, lost: int, kept: int) -> None:
    columns = (evidence.c.contact_id, evidence.c.rule, evidence.c.barred)
    rows = connection.execute(select(*columns).where(evidence.c.contact_id.in_((lost, kept))))
    joined = joined_evidence([EvidenceHold(*row) for row in rows], kept)
    if joined.drop:
        dropped = tuple_(evidence.c.contact_id, evidence.c.rule).in_(sorted(joined.drop))
        connection.execute(delete(evidence).where(dropped))
    if joined.take_over:
        taken_over = and_(evidence.c.contact_id == lost, evidence.c.rule.in_(sorted(joined.take_over)))
        connection.execute(update(evidence).where(taken_over).values(contact_id=kept, spell=0))
