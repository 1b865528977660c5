"""The ledger and its values by contact; the shadow plan as one that stands, with what is counted of it.

Numbers of the ledger stay what they are, and go on where they ended. Of the shadow plans the last one stands; rows of those before it are
kept as superseded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NO_KEY = "state NOT IN ('shadow', 'superseded')"
_OPEN = "state IN ('planned', 'waiting', 'held', 'approved', 'sending', 'unknown', 'parked')"
_REPLACED = "a later shadow plan took its place"
#: Rows of the shadow plan that are read at a time.
_PAGE = 5_000


def _exact() -> sa.types.TypeEngine[str]:
    """Text compared byte by byte."""
    return sa.String().with_variant(sa.String(collation="C"), "postgresql").with_variant(sa.String(collation="BINARY"), "sqlite")


def upgrade() -> None:
    """Changes the keys; adds what is counted."""
    op.add_column("plan", sa.Column("decided", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.create_index("ix_plan_mode", "plan", ["mode", "id"])
    op.create_table(
        "standing",
        sa.Column("rule", _exact(), primary_key=True),
        sa.Column("what", _exact(), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
    )
    if op.get_context().dialect.name == "sqlite":
        _copy_by_contact()
    else:
        _alter_to_contact()
    _index("ix_ledger_held", ["rule", "kind", "contact_id", "backward", "plan", "state"], "state = 'held'")
    _index("ix_ledger_lapse", ["planned_at"], "state = 'held'")
    _index("ix_ledger_shadow", ["contact_id"], "state = 'shadow'")
    op.execute("DELETE FROM meta WHERE name = 'retention:ledger'")  # where retention was stopped, told by the old key
    _one_shadow_plan()


def downgrade() -> None:
    """Gives the old keys back. What was counted of the shadow plan goes."""
    for name in ("ix_ledger_shadow", "ix_ledger_lapse", "ix_ledger_held"):
        op.drop_index(name, "ledger")
    if op.get_context().dialect.name == "sqlite":
        _copy_by_number()
    else:
        _alter_to_number()
    op.drop_table("standing")
    op.drop_index("ix_plan_mode", "plan")
    op.drop_column("plan", "decided")


def _index(name: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(name, "ledger", columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _alter_to_contact() -> None:
    op.execute("ALTER TABLE ledger ALTER COLUMN id DROP DEFAULT")  # its sequence stays: numbers are taken from it by name
    _rekey("ledger", ["contact_id", "id"])
    _rekey("action_value", ["contact_id", "ledger"])
    op.drop_index("uq_ledger_key", "ledger")
    _index("uq_ledger_key", ["contact_id", "key"], _NO_KEY, unique=True)
    op.drop_index("ix_ledger_contact_id", "ledger")
    op.drop_index("ix_ledger_plan", "ledger")
    op.create_index("ix_ledger_plan", "ledger", ["plan", "contact_id"])
    op.drop_index("ix_action_value_contact_id", "action_value")


def _alter_to_number() -> None:
    op.drop_index("ix_ledger_plan", "ledger")
    op.create_index("ix_ledger_plan", "ledger", ["plan"])
    op.create_index("ix_ledger_contact_id", "ledger", ["contact_id"])
    op.create_index("ix_action_value_contact_id", "action_value", ["contact_id"])
    op.drop_index("uq_ledger_key", "ledger")
    _index("uq_ledger_key", ["key"], _NO_KEY, unique=True)
    _rekey("ledger", ["id"])
    _rekey("action_value", ["ledger"])
    op.execute("ALTER TABLE ledger ALTER COLUMN id SET DEFAULT nextval('ledger_id_seq')")


def _rekey(table: str, columns: list[str]) -> None:
    name = sa.inspect(op.get_bind()).get_pk_constraint(table)["name"]
    op.drop_constraint(str(name), table, type_="primary")
    op.create_primary_key(str(name), table, columns)


# ── SQLite: a key is changed by a copy ───────────────────────────────────────────────────────────────────────────────────────────────


def _copy_by_contact() -> None:
    op.execute("INSERT INTO meta (name, value) SELECT 'ledger_id', CAST(COALESCE(MAX(id), 0) AS TEXT) FROM ledger")
    _replace("ledger", _ledger_columns(alone=False), sa.PrimaryKeyConstraint("contact_id", "id", name="pk_ledger"))
    _indexes(["contact_id", "key"], ["plan", "contact_id"])
    _replace("action_value", _value_columns(alone=False), sa.PrimaryKeyConstraint("contact_id", "ledger", name="pk_action_value"))


def _copy_by_number() -> None:
    _replace("ledger", _ledger_columns(alone=True))
    _indexes(["key"], ["plan"])
    op.create_index("ix_ledger_contact_id", "ledger", ["contact_id"])
    _replace("action_value", _value_columns(alone=True))
    op.create_index("ix_action_value_contact_id", "action_value", ["contact_id"])
    op.execute("DELETE FROM meta WHERE name = 'ledger_id'")


def _replace(name: str, columns: list[sa.Column[Any]], *constraints: sa.PrimaryKeyConstraint) -> None:
    """The table with these columns and its rows."""
    op.create_table(f"{name}_made", *columns, *constraints)
    named = ", ".join(f'"{column.name}"' for column in columns)
    op.execute(f"INSERT INTO {name}_made ({named}) SELECT {named} FROM {name}")  # noqa: S608 - names of this file
    op.drop_table(name)
    op.rename_table(f"{name}_made", name)


def _indexes(key: list[str], plan: list[str]) -> None:
    op.create_index("ix_ledger_guard", "ledger", ["rule", "kind", "planned_at"])
    _index("ix_ledger_open", ["state"], _OPEN)
    op.create_index("ix_ledger_plan", "ledger", plan)
    _index("uq_ledger_key", key, _NO_KEY, unique=True)


def _ledger_columns(*, alone: bool) -> list[sa.Column[Any]]:
    """alone: id is the key by itself."""
    texts, moments = ("rule",), ("sent_at", "settled_at", "retry_at")
    return [
        sa.Column("id", sa.Integer(), nullable=False, primary_key=alone),
        sa.Column("plan", sa.Integer(), nullable=False),
        sa.Column("bundle", _exact(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("key", _exact(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in texts),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("crm", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("record_id", _exact(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("backward", sa.Boolean(), nullable=False),
        sa.Column("new", sa.Boolean(), nullable=False),
        sa.Column("urgency", sa.Float(), nullable=False),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in moments),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("config_version", sa.String(), nullable=False),
        sa.Column("result_id", sa.String(), nullable=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("code", "message", "next_step", "correlation_id")),
        sa.Column("read_back", sa.Boolean(), nullable=True),
    ]


def _value_columns(*, alone: bool) -> list[sa.Column[Any]]:
    return [
        sa.Column("ledger", sa.BigInteger(), nullable=False, primary_key=alone, autoincrement=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=True) for name in ("before", "after", "found")),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("why", "task")),
    ]


# ── The shadow plan that stands ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _one_shadow_plan() -> None:
    """The last shadow plan stands; what plans before it wanted was superseded by it."""
    connection = op.get_bind()
    older = "state = 'shadow' AND plan < (SELECT MAX(id) FROM plan WHERE mode = 'shadow')"
    connection.execute(
        sa.text(f"UPDATE ledger SET state = 'superseded', settled_at = planned_at, message = :message WHERE {older}"),  # noqa: S608
        {"message": _REPLACED},
    )
    counts: Counter[tuple[str, str]] = Counter()
    for (rule, _), rows in groupby(_standing(connection), key=lambda row: (row.rule, row.contact_id)):
        counts.update(_counted(rule, list(rows)))
    values = [{"rule": rule, "what": what, "number": number} for (rule, what), number in sorted(counts.items())]
    if values:
        connection.execute(sa.text("INSERT INTO standing (rule, what, number) VALUES (:rule, :what, :number)"), values)


def _standing(connection: sa.Connection) -> Iterator[sa.Row[Any]]:
    """The rows of the shadow plan, rule by rule and contact by contact, in the order of their bundles."""
    query = sa.text(
        "SELECT rule, contact_id, bundle, position, kind, crm, backward FROM ledger WHERE state = 'shadow'"
        " ORDER BY rule, contact_id, bundle, position"
    )
    yield from connection.execute(query, execution_options={"yield_per": _PAGE})


def _counted(rule: str, rows: list[sa.Row[Any]]) -> Counter[tuple[str, str]]:
    """What one contact's rows of one rule add."""
    counts: Counter[tuple[str, str]] = Counter()
    for _, bundle in groupby(rows, key=lambda row: row.bundle):
        shape = " ".join(f"{row.kind}:{row.crm}{'-' if row.backward else ''}" for row in bundle)
        counts[rule, f"bundle {shape}"] += 1
    kinds = {str(row.kind) for row in rows} | {"backward" for row in rows if row.backward}
    counts.update((rule, f"contacts {kind}") for kind in kinds)
    return counts
