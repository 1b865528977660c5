"""Bundles that a CRM refused, or that stopped on somebody's edit: they stand until somebody has dealt with them.

Dealt with is a bundle whose cause ended (the contact moved on, its attempt is over, another agreement was made), one that was tried again,
and one that somebody dropped. Whether a cause stands is derived from what is on record each time it is asked.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, select, update
from sqlalchemy.engine import RowMapping

from connector.model import State, bundle_name, own_rules
from connector.store.ledger import make_due, sliced
from connector.store.tables import metadata

_LEDGER, _CONTACT, _ATTEMPT, _REJECTION = (metadata.tables[name] for name in ("ledger", "contact", "attempt", "rejection"))
#: What stops a bundle, and what stands behind it.
STOPPED = (State.REFUSED, State.BLOCKED)
_COLUMNS = (
    "id", "plan", "bundle", "position", "kind", "rule", "contact_id", "crm", "object", "record_id", "target", "state", "code", "message",
    "next_step", "settled_at",
)  # fmt: skip
#: Written out in the statement, not bound, as the partial index has it: SQLite uses that only for the very same text.
_IS_STOPPED = _LEDGER.c.state.in_(bindparam("stopped", STOPPED, expanding=True, literal_execute=True))
#: What a cause begins with, and its number.
_CAUSE = re.compile(r"(spell|agreement|attempt):(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedBundle:
    """A bundle that somebody has to deal with. first: the part that says why; blocked: how many parts stand behind it."""

    plan: int
    bundle: str
    contact: int
    first: Mapping[str, Any]
    blocked: int
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """What causes are compared with. sent_back: attempts whose rejection went through; open: attempts that go on."""

    spells: Mapping[int, int]
    agreements: Mapping[int, int]
    attempts: Mapping[int, int | None]
    open: Collection[tuple[int, int]]
    sent_back: Collection[tuple[int, int]]


def stopped_bundles(connection: Connection, *, plan: int | None = None) -> list[StoppedBundle]:
    """Those that nobody has dealt with, the oldest first; of one plan alone."""
    which = _IS_STOPPED if plan is None else and_(_LEDGER.c.plan == plan, _IS_STOPPED)
    query = select(*(_LEDGER.c[name] for name in _COLUMNS)).where(which).order_by(_LEDGER.c.id)
    bundles: defaultdict[str, list[RowMapping]] = defaultdict(list)
    for row in connection.execute(query).mappings():
        bundles[row["bundle"]].append(row)
    standing = _standing(connection, {rows[0]["contact_id"] for rows in bundles.values()})
    return [_made(rows) for rows in bundles.values() if _still_wanted(rows[0], standing)]


def try_again(connection: Connection, bundles: Sequence[StoppedBundle], *, now: datetime) -> int:
    """These go again with the next pass, in their order; what was done of them stays. Returns how many actions."""
    again = {"state": State.PLANNED, "tries": 0, "sent_at": None, "retry_at": None, "settled_at": None, "read_back": None}
    return _set(connection, bundles, again | {"message": "tried again", "next_step": "", "code": ""}, now)


def drop(connection: Connection, bundles: Sequence[StoppedBundle], *, now: datetime) -> int:
    """These are not done, for this cause for good. Returns how many actions."""
    return _set(connection, bundles, {"state": State.DROPPED, "settled_at": now, "message": "somebody dropped it", "next_step": ""}, now)


def _set(connection: Connection, bundles: Sequence[StoppedBundle], values: Mapping[str, Any], now: datetime) -> int:
    changed = 0
    for part in sliced(number for bundle in bundles for number in bundle.ids):
        stopped = and_(_LEDGER.c.id.in_(part), _IS_STOPPED)
        changed += connection.execute(update(_LEDGER).where(stopped).values(dict(values))).rowcount
    make_due(connection, {bundle.contact for bundle in bundles}, now=now)
    return changed


def _made(rows: Sequence[RowMapping]) -> StoppedBundle:
    parts = sorted(rows, key=lambda row: (row["state"] != State.REFUSED, row["position"]))
    first = parts[0]
    return StoppedBundle(
        plan=first["plan"],
        bundle=first["bundle"],
        contact=first["contact_id"],
        first=dict(first),
        blocked=sum(row["state"] == State.BLOCKED for row in rows),
        ids=tuple(row["id"] for row in rows),
    )


# ── Whether the cause stands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _still_wanted(row: RowMapping, standing: _Standing) -> bool:
    """Whether a bundle's cause stands. One of a contact that turned out to be another has ended with it."""
    contact, rule = row["contact_id"], row["rule"]
    cause = row["bundle"].removeprefix(bundle_name(rule, contact, ""))
    if contact not in standing.spells or cause == row["bundle"]:
        return False
    known = _CAUSE.match(cause)
    if known is None:
        return True
    what, number = known[1], int(known[2])
    if what == "spell":  # the step itself was refused, or what follows it in the stage that it led to
        return standing.spells[contact] in (number, number + 1)
    if what == "agreement":
        return standing.agreements[contact] == number
    if rule == own_rules.REJECTION:
        return standing.attempts[contact] == number and (contact, number) not in standing.sent_back
    return (contact, number) in standing.open


def _standing(connection: Connection, contacts: Iterable[int]) -> _Standing:
    """Of those contacts that are live and within the scope."""
    rows, going_on, back = list[Any](), set[tuple[int, int]](), set[tuple[int, int]]()
    for part in sliced(sorted(contacts)):
        live = and_(_CONTACT.c.id.in_(part), ~_CONTACT.c.gone, ~_CONTACT.c.excluded)
        columns = (_CONTACT.c.id, _CONTACT.c.spell, _CONTACT.c.agreed_number, _CONTACT.c.attempt)
        rows += connection.execute(select(*columns).where(live)).all()
        attempts = select(_ATTEMPT.c.contact_id, _ATTEMPT.c.number, _ATTEMPT.c.outcome).where(_ATTEMPT.c.contact_id.in_(part))
        # the outcome is not asked of the database: SQLite would go through all attempts that are open
        going_on |= {(contact, number) for contact, number, outcome in connection.execute(attempts) if outcome == "open"}
        gone_back = (_REJECTION.c.contact_id.in_(part), _REJECTION.c.sent_back)
        rejections = select(_REJECTION.c.contact_id, _REJECTION.c.attempt).where(*gone_back)
        back |= {(contact, number) for contact, number in connection.execute(rejections)}
    return _Standing(
        spells={row.id: row.spell for row in rows},
        agreements={row.id: row.agreed_number for row in rows},
        attempts={row.id: row.attempt for row in rows},
        open=going_on,
        sent_back=back,
    )
