"""Slices of the contacts that a pass judges, which several processes claim."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds their table; it is empty but while a pass judges."""
    op.create_table(
        "judging_slice",
        *(sa.Column(name, sa.BigInteger(), primary_key=True, autoincrement=False) for name in ("run", "number")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("first", "last")),
        sa.Column("evaluated", sa.BigInteger(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("saved", "companies")),
        sa.PrimaryKeyConstraint("run", "number", name="pk_judging_slice"),
    )


def downgrade() -> None:
    """Takes it away."""
    op.drop_table("judging_slice")
