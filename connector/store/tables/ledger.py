"""Plans and the ledger, and the state that all processes share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, PrimaryKeyConstraint, text, true
from sqlmodel import Field

from connector.store.tables.columns import OfContact, OfNobody, Table, id_column, json_column, moment_column, serial

#: The states of the ledger that are not at their end, as the condition of its partial index.
_STOPPED = "state IN ('refused', 'blocked')"
_OPEN = "state IN ('planned', 'waiting', 'held', 'approved', 'sending', 'unknown', 'parked')"


class Run(Table, table=True):
    """One run of a command that works on the mirror."""

    __tablename__ = "run"
    id: OfNobody[int | None] = Field(default=None, sa_column=Column(serial(), primary_key=True))
    command: OfNobody[str] = Field()
    mode: OfNobody[str] = Field()
    started_at: OfNobody[datetime] = moment_column(nullable=False)
    finished_at: OfNobody[datetime | None] = moment_column()
    state: OfNobody[str] = Field(default="running")  # running, done, failed
    summary: OfContact[dict[str, Any] | None] = json_column()
    problem: OfContact[str | None] = Field(default=None)
    config_version: OfNobody[str] = Field(default="")


class PlanRow(Table, table=True):
    """A saved plan: what one pass wanted; of a shadow plan, what it wanted otherwise than the passes before."""

    __tablename__ = "plan"
    __table_args__ = (Index("ix_plan_mode", "mode", "id"),)
    id: OfNobody[int | None] = Field(default=None, sa_column=Column(serial(), primary_key=True))
    run: OfNobody[int] = Field(index=True)
    mode: OfNobody[str] = Field()
    created_at: OfNobody[datetime] = moment_column(nullable=False)
    config_version: OfNobody[str] = Field(default="")
    guard: OfNobody[dict[str, Any] | None] = json_column()
    # False: not all of it is saved yet, or it is not yet counted what is beyond a rail: nothing of it goes
    decided: OfNobody[bool] = Field(default=True, sa_column=Column(Boolean, nullable=False, server_default=true(), default=True))


class Ledger(Table, table=True):
    """One action: its cause, its state. Values that may be personal stand in `action_value`, keyed by contact.

    key, in which the contact stands, is unique among rows that hold it: all but shadow and superseded ones. id is given by
    `connector.store.numbers`: no other row has it, whatever its contact.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        PrimaryKeyConstraint("contact_id", "id"),
        Index("ix_ledger_plan", "plan", "contact_id"),
        Index(
            "uq_ledger_key",
            "contact_id",
            "key",
            unique=True,
            sqlite_where=text("state NOT IN ('shadow', 'superseded')"),
            postgresql_where=text("state NOT IN ('shadow', 'superseded')"),
        ),
        Index("ix_ledger_open", "state", sqlite_where=text(_OPEN), postgresql_where=text(_OPEN)),
        Index("ix_ledger_guard", "rule", "kind", "planned_at"),
        Index("ix_ledger_stopped", "plan", sqlite_where=text(_STOPPED), postgresql_where=text(_STOPPED)),
        # what waits for approval is counted by rule without a look at its rows; and it lapses by its age
        Index("ix_ledger_lapse", "planned_at", sqlite_where=text("state = 'held'"), postgresql_where=text("state = 'held'")),
        Index(
            "ix_ledger_held",
            "rule",
            "kind",
            "contact_id",
            "backward",
            "plan",
            "state",
            sqlite_where=text("state = 'held'"),
            postgresql_where=text("state = 'held'"),
        ),
        Index("ix_ledger_shadow", "contact_id", sqlite_where=text("state = 'shadow'"), postgresql_where=text("state = 'shadow'")),
    )
    id: OfNobody[int] = Field(sa_column=Column(serial(), nullable=False, autoincrement=False))
    plan: OfNobody[int] = Field()
    bundle: OfNobody[str] = id_column(primary_key=False)
    position: OfNobody[int] = Field()  # its place in the bundle
    key: OfNobody[str] = id_column(primary_key=False)
    kind: OfNobody[str] = Field()
    rule: OfNobody[str] = Field()
    contact_id: OfNobody[int] = Field(sa_column=Column(BigInteger, nullable=False, autoincrement=False))
    crm: OfNobody[str] = Field()
    object: OfNobody[str] = Field()
    record_id: OfNobody[str] = id_column(primary_key=False)
    target: OfNobody[str] = Field()
    state: OfNobody[str] = Field()
    backward: OfNobody[bool] = Field(default=False)
    new: OfNobody[bool] = Field(default=True)  # shadow: not there before the plan that saved it
    urgency: OfNobody[float] = Field(default=0.0)
    planned_at: OfNobody[datetime] = moment_column(nullable=False)
    sent_at: OfNobody[datetime | None] = moment_column()
    settled_at: OfNobody[datetime | None] = moment_column()
    retry_at: OfNobody[datetime | None] = moment_column()  # parked and waiting rows: not before
    fence: OfNobody[int] = Field(default=0)  # the claim's fencing number
    tries: OfNobody[int] = Field(default=0)
    config_version: OfNobody[str] = Field(default="")
    result_id: OfNobody[str | None] = Field(default=None)  # the created task's id
    code: OfNobody[str] = Field(default="")
    message: OfContact[str] = Field(default="")
    next_step: OfContact[str] = Field(default="")
    correlation_id: OfNobody[str] = Field(default="")
    read_back: OfNobody[bool | None] = Field(default=None)  # the CRM held what was written when read again


class ActionValue(Table, table=True):
    """The values of one action; a privacy deletion empties them, the ledger's figures stay."""

    __tablename__ = "action_value"
    __table_args__ = (PrimaryKeyConstraint("contact_id", "ledger"),)
    ledger: OfNobody[int] = Field(sa_column=Column(BigInteger, nullable=False, autoincrement=False))
    contact_id: OfNobody[int] = Field(sa_column=Column(BigInteger, nullable=False, autoincrement=False))
    before: OfContact[str | None] = Field(default=None)
    after: OfContact[str | None] = Field(default=None)
    found: OfContact[str | None] = Field(default=None)  # what the CRM held when read again
    why: OfContact[dict[str, Any] | None] = json_column()
    task: OfContact[dict[str, Any] | None] = json_column()


class Turn(Table, table=True):
    """Whose turn it is in a round robin."""

    __tablename__ = "turn"
    name: OfNobody[str] = id_column()
    position: OfNobody[int] = Field(default=0)


class BudgetRow(Table, table=True):
    """How much of a limit is used in its present window."""

    __tablename__ = "budget"
    account: OfNobody[str] = id_column()
    bucket: OfNobody[str] = id_column()
    window_start: OfNobody[float] = Field(default=0.0)  # seconds since 1970, the wall clock's
    used: OfNobody[int] = Field(default=0)
    not_before: OfNobody[float] = Field(default=0.0)
    # [slot, permits] of the window, so that no rolling window holds more than the limit
    grants: OfNobody[list[list[int]] | None] = json_column()
    told_used: OfNobody[int | None] = Field(default=None)  # what the CRM itself counted, all integrations together
    told_of: OfNobody[int | None] = Field(default=None)  # … of so many
    told_at: OfNobody[float | None] = Field(default=None)


class Lease(Table, table=True):
    """Who does a job now. `fence` goes up with each taking."""

    __tablename__ = "lease"
    name: OfNobody[str] = id_column()
    holder: OfNobody[str] = Field(default="")
    fence: OfNobody[int] = Field(default=0)
    until: OfNobody[float] = Field(default=0.0)  # seconds since 1970, the wall clock's


class Pause(Table, table=True):
    """What is paused: everything ("all"), a CRM, a job, a rule."""

    __tablename__ = "pause"
    scope: OfNobody[str] = id_column()
    name: OfNobody[str] = id_column()
    since: OfNobody[datetime] = moment_column(nullable=False)


class FieldRow(Table, table=True):
    """The catalogue of field columns: the truth about them. state: filling, present, gone."""

    __tablename__ = "field"
    name: OfNobody[str] = id_column()  # the column, without its twin
    type: OfNobody[str] = Field()
    state: OfNobody[str] = Field(default="filling")


class Meta(Table, table=True):
    """Single values: the applied configuration's version, the first live pass, …"""

    __tablename__ = "meta"
    name: OfNobody[str] = id_column()
    value: OfNobody[str] = Field()
