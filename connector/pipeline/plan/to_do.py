"""What is still to do of what is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from connector.model import Kind
from connector.pipeline.plan.parts import PlanPart
from connector.store import ledger


def still_to_do(connection: Connection, wanted: Sequence[PlanPart], *, now: datetime) -> list[PlanPart]:
    """Without what the ledger has had already, what is so already, and tasks for which one of the same purpose is open.

    wanted: all parts of their contacts.
    """
    differing = [part for part in wanted if not part.already_so]
    standing = ledger.standing(connection, {part.proposal.contact for part in differing})
    fresh = [part for part in differing if part.key not in standing]
    contacts = [part.proposal.contact for part in fresh if part.action.kind is Kind.CREATE_TASK]
    open_tasks = ledger.open_tasks(connection, contacts, now=now)
    to_do = []
    for part in fresh:
        if part.action.kind is Kind.CREATE_TASK:
            if part.purpose in open_tasks:
                continue
            open_tasks.add(part.purpose)
        to_do.append(part)
    return to_do
