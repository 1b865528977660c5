"""The past of the CRMs: versions with who and when, stage history from before us, since when properties are whole."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = ("activity_version", "deal_version", "history_due", "link_change", "property_known")


def _exact() -> sa.types.TypeEngine[str]:
    """Text compared byte by byte."""
    return sa.String().with_variant(sa.String(collation="C"), "postgresql").with_variant(sa.String(collation="BINARY"), "sqlite")


def _ids(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, _exact(), primary_key=True) for name in names]


def upgrade() -> None:
    """Adds columns and tables; what is there stays. Of versions made before nobody knows until when it was as before."""
    op.add_column("record_version", sa.Column("unchanged_at", sa.BigInteger(), nullable=True))
    op.add_column("field_history", sa.Column("source", sa.String(), nullable=True))
    op.add_column("field_history", sa.Column("who", _exact(), nullable=True))
    op.add_column("owner", sa.Column("user_id", _exact(), nullable=True))
    op.add_column("cursor", sa.Column("whole_at", sa.BigInteger(), nullable=True))
    op.add_column("rejection", sa.Column("by", sa.String(), nullable=True))
    op.add_column("rejection", sa.Column("known_by", sa.String(), nullable=True))
    for table in ("activity_version", "deal_version"):
        op.create_table(
            table,
            *_ids("crm", "object", "id"),
            sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
            sa.Column("changed", sa.Text(), nullable=False),
            sa.Column("at", sa.BigInteger(), nullable=True),
            sa.Column("seen_at", sa.BigInteger(), nullable=False),
            sa.Column("unchanged_at", sa.BigInteger(), nullable=True),
        )
    op.create_table("history_due", *_ids("crm", "object", "id"), sa.Column("noted_at", sa.BigInteger(), nullable=False))
    op.create_table(
        "link_change",
        *_ids("crm", "object", "id", "source", "record_object", "record_id"),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("linked", sa.Boolean(), nullable=False),
        sa.Column("role", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_link_change_record", "link_change", ["crm", "record_object", "record_id"])
    op.create_table(
        "property_known",
        *_ids("crm", "object", "property"),
        sa.Column("since", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
    )


def downgrade() -> None:
    """Drops what `upgrade` added, with its data."""
    for table in _TABLES:
        op.drop_table(table)
    for table, column in (
        ("rejection", "known_by"), ("rejection", "by"), ("cursor", "whole_at"), ("owner", "user_id"), ("field_history", "who"),
        ("field_history", "source"), ("record_version", "unchanged_at"),
    ):  # fmt: skip
        op.drop_column(table, column)
