"""Plans and the ledger, and the state that all processes share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, PrimaryKeyConstraint, text, true
from sqlmodel import Field

from connector.store.tables.columns import OfNobody, Table, id_column, json_column, moment_column, serial

#: The states of the ledger that are not at their end, as the condition of its partial index.
_OPEN = "state IN ('planned', 'waiting', 'held', 'approved', 'sending', 'unknown', 'parked')"


class Run(Table, table=True):
    """One run of a command that works on the mirror."""

    __tablename__ = "run"
    id: int | None = Field(default=None, sa_column=Column(serial(), primary_key=True))
    command: str = Field()
    mode: str = Field()
    started_at: datetime = moment_column(nullable=False)
    finished_at: datetime | None = moment_column()
    state: str = Field(default="running")  # running, done, failed
    summary: dict[str, Any] | None = json_column()
    problem: str | None = Field(default=None)
    config_version: str = Field(default="")


class PlanRow(Table, table=True):
    """A saved plan: what one pass wanted; of a shadow plan, what it wanted otherwise than the passes before."""

    __tablename__ = "plan"
    __table_args__ = (Index("ix_plan_mode", "mode", "id"),)
    id: int | None = Field(default=None, sa_column=Column(serial(), primary_key=True))
    run: int = Field(index=True)
    mode: str = Field()
    created_at: datetime = moment_column(nullable=False)
    config_version: str = Field(default="")
    guard: dict[str, Any] | None = json_column()
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
    id: int = Field(sa_column=Column(serial(), nullable=False, autoincrement=False))
    plan: int = Field()
    bundle: str = id_column(primary_key=False)
    position: int = Field()  # its place in the bundle
    key: str = id_column(primary_key=False)
    kind: str = Field()
    rule: str = Field()
    contact_id: int = Field(sa_column=Column(BigInteger, nullable=False, autoincrement=False))
    crm: str = Field()
    object: str = Field()
    record_id: str = id_column(primary_key=False)
    target: str = Field()
    state: str = Field()
    backward: bool = Field(default=False)
    new: bool = Field(default=True)  # shadow: not there before the plan that saved it
    urgency: float = Field(default=0.0)
    planned_at: datetime = moment_column(nullable=False)
    sent_at: datetime | None = moment_column()
    settled_at: datetime | None = moment_column()
    retry_at: datetime | None = moment_column()  # parked and waiting rows: not before
    fence: int = Field(default=0)  # the claim's fencing number
    tries: int = Field(default=0)
    config_version: str = Field(default="")
    result_id: str | None = Field(default=None)  # the created task's id
    code: str = Field(default="")
    message: str = Field(default="")
    next_step: str = Field(default="")
    correlation_id: str = Field(default="")
    read_back: bool | None = Field(default=None)  # the CRM held what was written when read again


class ActionValue(Table, table=True):
    """The values of one action; a privacy deletion empties them, the ledger's figures stay."""

    __tablename__ = "action_value"
    __table_args__ = (PrimaryKeyConstraint("contact_id", "ledger"),)
    ledger: int = Field(sa_column=Column(BigInteger, nullable=False, autoincrement=False))
    contact_id: int = Field(sa_column=Column(BigInteger, nullable=False, autoincrement=False))
    before: str | None = Field(default=None)
    after: str | None = Field(default=None)
    found: str | None = Field(default=None)  # what the CRM held when read again
    why: dict[str, Any] | None = json_column()
    task: dict[str, Any] | None = json_column()


class Turn(Table, table=True):
    """Whose turn it is in a round robin."""

    __tablename__ = "turn"
    name: str = id_column()
    position: int = Field(default=0)


class BudgetRow(Table, table=True):
    """How much of a limit is used in its present window."""

    __tablename__ = "budget"
    account: str = id_column()
    bucket: str = id_column()
    window_start: float = Field(default=0.0)  # seconds since 1970, the wall clock's
    used: int = Field(default=0)
    not_before: float = Field(default=0.0)
    grants: list[list[int]] | None = json_column()  # [slot, permits] of the window, so that no rolling window holds more than the limit
    told_used: int | None = Field(default=None)  # what the CRM itself counted, all integrations together
    told_of: int | None = Field(default=None)  # … of so many
    told_at: float | None = Field(default=None)


class Lease(Table, table=True):
    """Who does a job now. `fence` goes up with each taking."""

    __tablename__ = "lease"
    name: str = id_column()
    holder: str = Field(default="")
    fence: int = Field(default=0)
    until: float = Field(default=0.0)  # seconds since 1970, the wall clock's


class Pause(Table, table=True):
    """What is paused: everything ("all"), a CRM, a job, a rule."""

    __tablename__ = "pause"
    scope: str = id_column()
    name: str = id_column()
    since: datetime = moment_column(nullable=False)


class FieldRow(Table, table=True):
    """The catalogue of field columns: the truth about them. state: filling, present, gone."""

    __tablename__ = "field"
    name: str = id_column()  # the column, without its twin
    type: str = Field()
    state: str = Field(default="filling")


class Meta(Table, table=True):
    """Single values: the applied configuration's version, the first live pass, …"""

    __tablename__ = "meta"
    name: str = id_column()
    value: str = Field()
