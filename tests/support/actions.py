"""Proposals, contacts and ledger rows for the tests of plan, ledger and write-back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from sqlalchemy import insert, select

from connector.config.tables import Guard, TaskLimits
from connector.model import Action, CrmName, Kind, Proposal, RecordRef, State, TaskSpec
from connector.pipeline.plan.parts import PlanTerms
from connector.pipeline.plan.plan import Plan, build_plan
from connector.store.database import Store
from connector.store.tables import ActivityRow, ContactRow, metadata
from tests.support.stores import empty_store

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
DAY_START = datetime(2026, 11, 19, 23, 0, tzinfo=UTC)
NEXT_DAY = DAY_START + timedelta(days=1)
PEOPLE: Mapping[CrmName, str] = {"hubspot": "contacts", "salesforce": "Lead"}
STAGE: Mapping[CrmName, str] = {"hubspot": "lifecyclestage", "salesforce": "Status"}
OWNER: Mapping[CrmName, str] = {"hubspot": "hubspot_owner_id", "salesforce": "OwnerId"}
LEDGER = metadata.tables["ledger"]


@contextmanager
def opened_for(request: pytest.FixtureRequest) -> Iterator[Store]:
    """For a fixture with the parameters "sqlite" and "postgresql": a kept store, empty."""
    with empty_store(request.getfixturevalue("url" if request.param == "sqlite" else "kept_postgres")) as store:
        yield store


def add_contacts(store: Store, *ids: int) -> None:
    """Contacts that are due in a year."""
    rows = [ContactRow(id=number, first_seen_at=NOW, due_at=NOW + timedelta(days=365)).model_dump() for number in ids]
    store.write(lambda connection: connection.execute(insert(metadata.tables["contact"]), rows))


def add_activity(store: Store, **values: Any) -> None:
    """A task in the mirror."""
    row = ActivityRow(**({"fingerprint": b"", "kind": "task"} | values)).model_dump()
    store.write(lambda connection: connection.execute(insert(metadata.tables["activity"]), [row]))


def record(contact: int, crm: CrmName = "hubspot") -> RecordRef:
    return RecordRef(crm=crm, object=PEOPLE[crm], id=f"{contact}")


def set_stage(contact: int, before: str | None = "lead", after: str = "mql", *, crm: CrmName = "hubspot", backward: bool = False) -> Action:
    return Action(kind=Kind.SET_STAGE, record=record(contact, crm), target=STAGE[crm], before=before, after=after, backward=backward)


def assign(contact: int, owner: str = "7", *, before: str | None = None, crm: CrmName = "hubspot") -> Action:
    return Action(kind=Kind.ASSIGN, record=record(contact, crm), target=OWNER[crm], before=before, after=owner)


def task(contact: int, purpose: str = "mql-alert", *, owner: str | None = "7", crm: CrmName = "hubspot") -> Action:
    spec = TaskSpec(
        purpose=purpose, subject="MQL: Ada", body="Call", due_at=NOW + timedelta(hours=4), priority="high", type="call", owner_id=owner
    )
    return Action(kind=Kind.CREATE_TASK, record=record(contact, crm), target=purpose, before=None, after=purpose, task=spec)


def proposal(contact: int, *actions: Action, rule: str = "qualified", cause: str = "spell 1", urgency: float = 0.0) -> Proposal:
    why = {"score": 61.5, "industry": "software"}
    return Proposal(rule=rule, contact=contact, cause=cause, actions=actions, why=why, urgency=urgency)


def handover(contact: int, **more: Any) -> Proposal:
    """A whole bundle: stage, owner, task; not in the order in which they go."""
    return proposal(contact, task(contact), assign(contact), set_stage(contact), **more)


def plan(
    store: Store,
    *proposals: Proposal,
    mode: Literal["shadow", "live"] = "live",
    contacts_in_scope: int = 10_000,
    judged: Collection[int] | None = None,
    **more: Any,
) -> Plan:
    """judged: also these contacts were judged, and nothing more is wanted for them."""
    terms: dict[str, Any] = {
        "run": 1,
        "guard": Guard(rule_share=1.0),
        "task_limits": TaskLimits(),
        "day_start": DAY_START,
        "next_day": NEXT_DAY,
        "config_version": "v1",
        "now": NOW,
    }
    return build_plan(store, proposals, PlanTerms(mode=mode, **(terms | more)), contacts_in_scope=contacts_in_scope, judged=judged)


def rows(store: Store) -> list[dict[str, Any]]:
    """The ledger, in the order in which it was written."""
    with store.read() as connection:
        return [dict(row) for row in connection.execute(select(LEDGER).order_by(LEDGER.c.id)).mappings()]


def states(store: Store) -> dict[str, str]:
    """key → state; of several rows with a key the last."""
    return {row["key"]: row["state"] for row in rows(store)}


def put_state(store: Store, key: str, state: State, **values: Any) -> None:
    """Moves a row on, as write-back or an approver would."""
    statement = LEDGER.update().where(LEDGER.c.key == key, LEDGER.c.state.not_in(["superseded", "shadow"]))
    store.write(lambda connection: connection.execute(statement.values(state=state, **values)))


def due(store: Store) -> set[int]:
    """The contacts that are to be judged now."""
    contact = metadata.tables["contact"]
    with store.read() as connection:
        return set(connection.execute(select(contact.c.id).where(contact.c.due_at <= NOW + timedelta(days=10))).scalars())
