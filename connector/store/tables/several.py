"""What several processes share that judge one pass."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column
from sqlmodel import Field

from connector.store.tables.columns import OfEmployee, OfNobody, Table, json_column


class JudgingSlice(Table, table=True):
    """A slice of the contacts that a pass judges, by several processes; gone when the pass is over (`connector.store.judging_slices`).

    first, last: its contacts' numbers lie between. evaluated: how many were judged, NULL until it is done. saved: what the leader is
    told of the plan. companies: who got leads of which company, [rule, company, e-mail].
    """

    __tablename__ = "judging_slice"
    run: OfNobody[int] = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    number: OfNobody[int] = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    first: OfNobody[int] = Field(sa_column=Column(BigInteger, nullable=False))
    last: OfNobody[int] = Field(sa_column=Column(BigInteger, nullable=False))
    evaluated: OfNobody[int | None] = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    saved: OfNobody[Any] = json_column()
    companies: OfEmployee[Any] = json_column()
