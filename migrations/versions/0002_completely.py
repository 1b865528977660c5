"""Merges, deals, campaigns, further e-mail addresses, what CRMs say of their fields, and what was deleted for privacy."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = (
    "record_email", "merged", "deal", "deal_link", "campaign", "campaign_member", "property", "drift", "forgotten", "seen",
)  # fmt: skip
_TOLD = ("told_used", "told_of", "told_at")


def _serial() -> sa.types.TypeEngine[int]:
    """A number given by the database; SQLite counts up only an INTEGER."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _exact() -> sa.types.TypeEngine[str]:
    """Text compared byte by byte."""
    return sa.String().with_variant(sa.String(collation="C"), "postgresql").with_variant(sa.String(collation="BINARY"), "sqlite")


def _ids(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, _exact(), primary_key=True) for name in names]


def _moments(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=True) for name in names]


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=True) for name in names]


def _flags(*names: str) -> list[sa.Column[bool]]:
    return [sa.Column(name, sa.Boolean(), nullable=False) for name in names]


def _fingerprint() -> sa.Column[bytes]:
    return sa.Column("fingerprint", sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    """Adds columns and tables; what is there stays."""
    op.add_column("record", sa.Column("converted_deal", _exact(), nullable=True))
    op.add_column("record", sa.Column("merged_into", _exact(), nullable=True))
    op.add_column("owner", sa.Column("teams", sa.Text(), nullable=True))
    op.add_column("touch", sa.Column("kept", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name in _TOLD:
        op.add_column("budget", sa.Column(name, sa.Float() if name == "told_at" else sa.Integer(), nullable=True))
    _identity()
    _deals()
    _campaigns()
    _set_up()
    _keeping()


def downgrade() -> None:
    """Drops what `upgrade` added, with its data."""
    op.drop_index("ix_contact_merged_into", "contact")
    op.drop_column("contact", "merged_into")
    op.drop_index("ix_record_converted", "record")
    for table in _TABLES:
        op.drop_table(table)
    for name in reversed(_TOLD):
        op.drop_column("budget", name)
    op.drop_column("touch", "kept")
    op.drop_column("owner", "teams")
    op.drop_column("record", "merged_into")
    op.drop_column("record", "converted_deal")


def _identity() -> None:
    op.add_column("contact", sa.Column("merged_into", sa.BigInteger(), nullable=True))
    for table, column, index in (("record", "converted_to", "ix_record_converted"), ("contact", "merged_into", "ix_contact_merged_into")):
        there = sa.text(f"{column} IS NOT NULL")
        op.create_index(index, table, [column], sqlite_where=there, postgresql_where=there)
    op.create_table("record_email", *_ids("crm", "object", "id", "email"))
    op.create_index("ix_record_email_email", "record_email", ["email"])
    op.create_table(
        "merged",
        *_ids("crm", "object", "id"),
        sa.Column("into_id", _exact(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_merged_into", "merged", ["crm", "object", "into_id"])


def _deals() -> None:
    op.create_table(
        "deal",
        *_ids("crm", "object", "id"),
        _fingerprint(),
        *_texts("stage", "pipeline"),
        sa.Column("amount", sa.Float(), nullable=True),
        *_texts("currency"),
        *_moments("closed_at"),
        *_flags("closed", "won"),
        sa.Column("owner_id", _exact(), nullable=True),
        sa.Column("company_id", _exact(), nullable=True),
        *_moments("created_at", "modified_at"),
        *_flags("archived"),
    )
    op.create_table(
        "deal_link",
        *_ids("crm", "deal_id", "source", "record_object", "record_id"),
        *_texts("role"),
        *_flags("main"),
    )
    op.create_index("ix_deal_link_record", "deal_link", ["crm", "record_object", "record_id"])


def _campaigns() -> None:
    op.create_table(
        "campaign",
        *_ids("crm", "object", "id"),
        _fingerprint(),
        sa.Column("name", sa.String(), nullable=False),
        *_texts("kind", "status"),
        *_flags("active"),
        *_moments("begins_at", "ends_at", "modified_at"),
        *_flags("archived"),
    )
    op.create_table(
        "campaign_member",
        *_ids("crm", "object", "id"),
        _fingerprint(),
        sa.Column("campaign_id", _exact(), nullable=False),
        sa.Column("record_object", _exact(), nullable=False),
        sa.Column("record_id", _exact(), nullable=False),
        *_texts("status"),
        *_flags("responded"),
        *_moments("joined_at", "modified_at"),
        *_flags("archived"),
    )
    op.create_index("ix_campaign_member_campaign_id", "campaign_member", ["campaign_id"])
    op.create_index("ix_campaign_member_record", "campaign_member", ["crm", "record_object", "record_id"])


def _set_up() -> None:
    op.create_table(
        "property",
        *_ids("crm", "object", "name"),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("options", sa.Text(), nullable=True),
        *_flags("calculated", "writable"),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        *_moments("gone_at"),
    )
    op.create_table(
        "drift",
        sa.Column("id", _serial(), primary_key=True),
        sa.Column("crm", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("property", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        *_texts("before", "after"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *_moments("ended_at"),
    )


def _keeping() -> None:
    op.create_table(
        "forgotten",
        sa.Column("hash", sa.LargeBinary(), primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_table("seen", *_ids("crm", "object", "id"))
