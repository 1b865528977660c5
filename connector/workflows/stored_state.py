"""What is on record of contacts, read in sets: attempts, evidence, rejections, and the stages that the connector wrote itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select

from connector.config.columns import name_of
from connector.config.names import COMPUTED
from connector.store import tables as t
from connector.store.among import among
from connector.workflows.attempts import AttemptState, EvidenceState

attempt = t.metadata.tables["attempt"]
evidence = t.metadata.tables["evidence"]
rejection = t.metadata.tables["rejection"]
ledger = t.metadata.tables["ledger"]
action_value = t.metadata.tables["action_value"]


@dataclass(frozen=True, slots=True)
class StoredWrite:
    """A stage that the connector wrote: the CRM's value, for which cause, when. applied: it was there when read again."""

    value: str
    cause: str
    at: datetime | None
    applied: bool


def basis_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that evidence may look at, fields and computed ones, by the names of the file, as JSON holds them."""
    computed = {name: values[name] for name in COMPUTED if name in values}
    basis = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in computed.items()}
    for column, value in values.items():
        name = name_of(column)
        if name is not None:
            basis[name] = value
    return basis


_ATTEMPT = tuple(AttemptState.__dataclass_fields__)
_EVIDENCE = tuple(EvidenceState.__dataclass_fields__)


def evidence_row(contact_id: int, state: EvidenceState) -> dict[str, Any]:
    """Evidence as its table has it."""
    return {"contact_id": contact_id, **{name: getattr(state, name) for name in _EVIDENCE}}


def attempt_row(contact_id: int, state: AttemptState) -> dict[str, Any]:
    """An attempt as its table has it."""
    return {"contact_id": contact_id, **{name: getattr(state, name) for name in _ATTEMPT}}


def attempts_of(connection: Connection, ids: Sequence[int]) -> dict[int, dict[int, AttemptState]]:
    """The attempts of each contact by number, in order."""
    found: dict[int, dict[int, AttemptState]] = {}
    names = AttemptState.__dataclass_fields__
    for row in connection.execute(select(attempt).where(among(attempt.c.contact_id, ids)).order_by(attempt.c.contact_id, attempt.c.number)):
        found.setdefault(row.contact_id, {})[row.number] = AttemptState(**{name: getattr(row, name) for name in names})
    return found


def evidence_of(connection: Connection, ids: Sequence[int]) -> dict[int, list[EvidenceState]]:
    """What the transitions of each contact were taken on."""
    found: dict[int, list[EvidenceState]] = {}
    names = EvidenceState.__dataclass_fields__
    for row in connection.execute(select(evidence).where(among(evidence.c.contact_id, ids))):
        found.setdefault(row.contact_id, []).append(EvidenceState(**{name: getattr(row, name) for name in names}))
    return found


def rejected_with_reason(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Those whose last attempt sales rejected with an accepted reason."""
    last = select(func.max(attempt.c.number)).where(attempt.c.contact_id == rejection.c.contact_id).scalar_subquery()
    given = and_(among(rejection.c.contact_id, ids), rejection.c.accepted, rejection.c.attempt == last)
    return set(connection.execute(select(rejection.c.contact_id).where(given)).scalars())


def written_stages(connection: Connection, ids: Sequence[int]) -> dict[tuple[int, str], StoredWrite]:
    """The stage that the connector wrote last, by contact and CRM."""
    columns = [ledger.c[name] for name in ("contact_id", "crm", "bundle", "state", "sent_at", "settled_at")]
    rows = connection.execute(
        select(*columns, action_value.c.after)
        .join(action_value, and_(action_value.c.contact_id == ledger.c.contact_id, action_value.c.ledger == ledger.c.id))
        .where(
            among(ledger.c.contact_id, ids),
            ledger.c.kind == "set_stage",
            ledger.c.state.in_(("applied", "already_so", "sending", "unknown")),
        )
        .order_by(ledger.c.id)
    )
    return {
        (row.contact_id, row.crm): StoredWrite(
            row.after or "", row.bundle.rpartition("|")[2], row.sent_at or row.settled_at, row.state in ("applied", "already_so")
        )
        for row in rows
    }
