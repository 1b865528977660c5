"""When a contact's touches are to be counted anew, and when to decide anew; criteria by id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns. Everybody is counted and judged anew once: the file counts as not applied yet."""
    op.add_column("contact", sa.Column("recount_at", sa.BigInteger(), nullable=True))
    op.add_column("contact", sa.Column("decide_at", sa.BigInteger(), nullable=True))
    op.add_column("contact", sa.Column("answers", sa.String(), nullable=True))
    op.add_column("contact", sa.Column("fast", sa.Boolean(), nullable=True))
    op.create_index("ix_contact_fast", "contact", ["due_at", "id"], sqlite_where=sa.text("fast = 1"), postgresql_where=sa.text("fast"))
    op.execute(sa.text("UPDATE contact SET recount_at = 0, decide_at = 0 WHERE NOT gone"))
    op.execute(sa.text("UPDATE contact SET criteria = NULL"))
    op.execute(sa.text("DELETE FROM meta WHERE name = 'config'"))


def downgrade() -> None:
    """Drops it."""
    op.drop_index("ix_contact_fast", "contact")
    for name in ("fast", "answers", "decide_at", "recount_at"):
        op.drop_column("contact", name)
