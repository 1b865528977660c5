"""What is counted of the shadow plan, so that a pass need not count its rows."""

from __future__ import annotations

from sqlmodel import Field

from connector.store.tables.columns import OfNobody, Table, id_column


class StandingCount(Table, table=True):
    """How often something stands in the shadow plan; changed in the transaction that changes its rows (`connector.store.shadow`).

    what: "bundle SHAPE", how many bundles of the rule have these parts; "contacts KIND", how many contacts have one of this kind.
    """

    __tablename__ = "standing"
    rule: OfNobody[str] = id_column()
    what: OfNobody[str] = id_column()
    number: OfNobody[int] = Field(default=0)
