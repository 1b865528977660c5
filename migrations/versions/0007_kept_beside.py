"""What bundles, clocks and unification keep beside."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_LINKED = sa.text("contact_id IS NOT NULL")
_TO_MAKE = sa.text("unify AND contact_id IS NOT NULL")


def upgrade() -> None:
    """Changes what unify needs."""
    _index_what_has_a_contact()


def downgrade() -> None:
    """Takes it back."""
    _index_every_link()


def _index_what_has_a_contact() -> None:
    """The contacts to make are found by an index of their own; links without a contact are in none."""
    op.create_index("ix_record_to_make", "record", ["contact_id"], sqlite_where=_TO_MAKE, postgresql_where=_TO_MAKE)
    op.drop_index("ix_activity_link_contact", table_name="activity_link")
    linked = ["contact_id", "kind", "at"]
    op.create_index("ix_activity_link_contact", "activity_link", linked, sqlite_where=_LINKED, postgresql_where=_LINKED)


def _index_every_link() -> None:
    op.drop_index("ix_activity_link_contact", table_name="activity_link")
    op.create_index("ix_activity_link_contact", "activity_link", ["contact_id", "kind", "at"])
    op.drop_index("ix_record_to_make", table_name="record")
