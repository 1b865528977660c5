"""The past of contacts: texts of the file, snapshots, ownership, acts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _serial() -> sa.types.TypeEngine[int]:
    """A number given by the database; SQLite counts up only an INTEGER."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _exact() -> sa.types.TypeEngine[str]:
    """Text compared byte by byte."""
    return sa.String().with_variant(sa.String(collation="C"), "postgresql").with_variant(sa.String(collation="BINARY"), "sqlite")


def _columns(kind: sa.types.TypeEngine[Any], *names: str, nullable: bool = True) -> Iterator[sa.Column[Any]]:
    return (sa.Column(name, kind, nullable=nullable) for name in names)


def upgrade() -> None:
    """Adds tables, and fills in what is known today; from here on they grow by themselves."""
    op.add_column("clock", sa.Column("config_version", sa.String(), nullable=True))
    op.add_column("touch", sa.Column("outcome", sa.String(), nullable=True))
    op.add_column("touch", sa.Column("seconds", sa.Float(), nullable=True))
    _file()
    _acts()
    _ownership()
    _snapshots()
    _fill_ownership()
    _fill_snapshots()
    op.drop_column("attempt", "snapshot")


def downgrade() -> None:
    """Drops what `upgrade` added, with its data."""
    op.add_column("attempt", sa.Column("snapshot", sa.Text(), nullable=True))
    op.execute(sa.text("DELETE FROM meta WHERE name = 'snapshots_from'"))
    for table in ("snapshot", "ownership", "act", "rule_use", "rule_text"):
        op.drop_table(table)
    op.drop_column("touch", "seconds")
    op.drop_column("touch", "outcome")
    op.drop_column("clock", "config_version")


def _file() -> None:
    """Texts of the file, and when each was in force: the text is not known here, and comes with the next pass."""
    op.create_table(
        "rule_text",
        sa.Column("digest", _exact(), primary_key=True),
        *_columns(sa.String(), "text", nullable=False),
    )
    op.create_table(
        "rule_use",
        sa.Column("number", _serial(), primary_key=True),
        *_columns(_exact(), "digest", nullable=False),
        *_columns(sa.String(), "version", "rules", nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        *_columns(sa.String(), "by", "way", nullable=False),
    )
    op.create_index("ix_rule_use_version", "rule_use", ["version"])


def _acts() -> None:
    op.create_table(
        "act",
        sa.Column("id", _serial(), primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *_columns(sa.String(), "deed", "about", nullable=False),
        *_columns(_exact(), "name", nullable=False),
        *_columns(sa.String(), "by", "way", nullable=False),
    )
    op.create_index("ix_act_about", "act", ["about", "name", "id"])


def _ownership() -> None:
    op.create_table(
        "ownership",
        sa.Column("contact_id", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("crm", _exact(), primary_key=True),
        sa.Column("number", sa.Integer(), autoincrement=False, primary_key=True),
        *_columns(_exact(), "owner_id", nullable=False),
        *_columns(_exact(), "owner"),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("stated", sa.Boolean(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        *_columns(sa.String(), "rule", "by"),
    )


def _snapshots() -> None:
    op.create_table(
        "snapshot",
        sa.Column("contact_id", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("attempt", sa.Integer(), autoincrement=False, primary_key=True),
        sa.Column("which", _exact(), primary_key=True),
        *_columns(sa.BigInteger(), "at", "taken_at", nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        *_columns(sa.String(), "config_version", nullable=False),
        *_columns(sa.String(), "stage", "outcome", "owner", "lead_source", "campaign"),
        sa.Column("conversion_at", sa.BigInteger(), nullable=True),
        sa.Column("criteria_met", sa.Integer(), nullable=True),
        sa.Column("qualified", sa.Boolean(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        *_columns(sa.Integer(), "touch_count", "touch_channels", nullable=False),
        *_columns(sa.Text(), "criteria", "points", "touches", "outcomes"),
    )


def _fill_ownership() -> None:
    """Who owns whom now: since the moment that is kept of the contact's owner, perhaps a guess, else since the contact was first seen."""
    op.execute(
        sa.text(
            """
            INSERT INTO ownership (contact_id, crm, number, owner_id, owner, since, stated)
            SELECT r.contact_id, r.crm, 1, r.owner_id, CASE WHEN o.queue THEN NULL ELSE o.email END,
                   CASE WHEN c.owner = o.email AND c.assigned_at IS NOT NULL THEN c.assigned_at ELSE c.first_seen_at END, FALSE
            FROM record r
            JOIN contact c ON c.id = r.contact_id
            LEFT JOIN owner o ON o.crm = r.crm AND o.id = r.owner_id
            WHERE r.role = 'main' AND r.owner_id IS NOT NULL AND NOT r.archived AND NOT c.gone
            ON CONFLICT DO NOTHING
            """
        )
    )


def _fill_snapshots() -> None:
    """What was kept of an attempt's beginning. Attempts that are open get theirs at the next look, marked as late: whatever began before
    the last run did was judged already."""
    connection = op.get_bind()
    kept = connection.execute(
        sa.text("SELECT contact_id, number, began_at, snapshot FROM attempt WHERE snapshot IS NOT NULL ORDER BY contact_id, number")
    ).all()
    rows = [
        {"contact": row.contact_id, "attempt": row.number, "at": row.began_at, "met": said.get("criteria_met"), "score": said.get("score")}
        for row in kept
        if isinstance(said := json.loads(row.snapshot), dict)
    ]
    if rows:
        connection.execute(
            sa.text(
                "INSERT INTO snapshot (contact_id, attempt, which, at, taken_at, late, config_version, criteria_met, score, touch_count,"
                " touch_channels) VALUES (:contact, :attempt, 'begin', :at, :at, FALSE, '', :met, :score, 0, 0)"
            ),
            rows,
        )
    op.execute(
        sa.text(
            "INSERT INTO meta (name, value) SELECT 'snapshots_from', CAST(MAX(started_at) AS VARCHAR) FROM run"
            " HAVING MAX(started_at) IS NOT NULL"
        )
    )
