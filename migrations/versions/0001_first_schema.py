"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    "record", "record_version", "field_history", "activity", "activity_link", "owner", "cursor", "set_aside", "contact",
    "touch", "spell", "attempt", "rejection", "clock", "evidence", "run", "plan", "ledger", "action_value", "turn",
    "budget", "lease", "pause", "field", "meta",
)  # fmt: skip


def _serial() -> sa.types.TypeEngine[int]:
    """A number given by the database; SQLite counts up only an INTEGER."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _exact() -> sa.types.TypeEngine[str]:
    """Text compared byte by byte."""
    return sa.String().with_variant(sa.String(collation="C"), "postgresql").with_variant(sa.String(collation="BINARY"), "sqlite")


def upgrade() -> None:
    """Makes every table."""
    _records()
    _streams()
    _activities()
    _contacts()
    _attempts()
    _clocks()
    _plans()
    _ledger()
    _shared()


def downgrade() -> None:
    """Drops every table; all data is lost."""
    for table in _TABLES:
        op.drop_table(table)


def _records() -> None:
    """What the CRMs hold, and how it changed."""
    op.create_table(
        "record",
        sa.Column("crm", _exact(), primary_key=True),
        sa.Column("object", _exact(), primary_key=True),
        sa.Column("id", _exact(), primary_key=True),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=True),
        sa.Column("modified_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("owner_id", _exact(), nullable=True),
        sa.Column("company_id", _exact(), nullable=True),
        sa.Column("converted_to", _exact(), nullable=True),
        sa.Column("linked_id", _exact(), nullable=True),
        sa.Column("email", _exact(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("role", sa.String(), nullable=True),
        sa.Column("unify", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_record_company", "record", ["crm", "company_id"])
    op.create_index("ix_record_contact_id", "record", ["contact_id"])
    op.create_index("ix_record_email", "record", ["email"])
    op.create_index("ix_record_linked_id", "record", ["linked_id"])
    op.create_index("ix_record_owner_id", "record", ["owner_id"])
    op.create_index(
        "ix_record_to_unify", "record", ["crm", "object", "id"], sqlite_where=sa.text("unify"), postgresql_where=sa.text("unify")
    )
    op.create_table(
        "record_version",
        sa.Column("crm", _exact(), primary_key=True),
        sa.Column("object", _exact(), primary_key=True),
        sa.Column("id", _exact(), primary_key=True),
        sa.Column("number", sa.Integer(), autoincrement=False, primary_key=True),
        sa.Column("changed", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "field_history",
        sa.Column("crm", _exact(), primary_key=True),
        sa.Column("id", _exact(), primary_key=True),
        sa.Column("object", _exact(), nullable=False),
        sa.Column("record_id", _exact(), nullable=False),
        sa.Column("property", sa.String(), nullable=False),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("after", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_field_history_record_id", "field_history", ["record_id"])


def _streams() -> None:
    """Owners, cursors, and what could not be read."""
    op.create_table(
        "owner",
        sa.Column("crm", _exact(), primary_key=True),
        sa.Column("id", _exact(), primary_key=True),
        sa.Column("email", _exact(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("queue", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_owner_email", "owner", ["email"])
    op.create_table(
        "cursor",
        sa.Column("crm", _exact(), primary_key=True),
        sa.Column("object", _exact(), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("last_seen", sa.Integer(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "set_aside",
        sa.Column("crm", _exact(), primary_key=True),
        sa.Column("object", _exact(), primary_key=True),
        sa.Column("id", _exact(), primary_key=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("next_step", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )


def _activities() -> None:
    """What happened with contacts."""
    op.create_table(
        "activity",
        sa.Column("crm", _exact(), primary_key=True),
        sa.Column("object", _exact(), primary_key=True),
        sa.Column("id", _exact(), primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("direction", sa.String(), nullable=True),
        sa.Column("happened", sa.Boolean(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("channel", sa.String(), nullable=True),
        sa.Column("owner_id", _exact(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("duration_seconds", sa.Float(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=True),
        sa.Column("modified_at", sa.BigInteger(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_activity_key", "activity", ["key"])
    op.create_table(
        "activity_link",
        sa.Column("crm", _exact(), primary_key=True),
        sa.Column("object", _exact(), primary_key=True),
        sa.Column("id", _exact(), primary_key=True),
        sa.Column("record_object", _exact(), primary_key=True),
        sa.Column("record_id", _exact(), primary_key=True),
        sa.Column("contact_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("counts", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_activity_link_contact", "activity_link", ["contact_id", "kind", "at"])
    op.create_index("ix_activity_link_record", "activity_link", ["crm", "record_object", "record_id"])
    op.create_table(
        "touch",
        sa.Column("contact_id", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("at", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("person", _exact(), primary_key=True),
        sa.Column("channel", _exact(), primary_key=True),
    )


def _contacts() -> None:
    """People, and what was concluded about them."""
    op.create_table(
        "contact",
        sa.Column("id", _serial(), autoincrement=True, primary_key=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("judged_at", sa.BigInteger(), nullable=True),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("ambiguous", sa.String(), nullable=True),
        sa.Column("in_hubspot", sa.Boolean(), nullable=False),
        sa.Column("in_salesforce", sa.Boolean(), nullable=False),
        sa.Column("stage", sa.String(), nullable=True),
        sa.Column("stage_since", sa.BigInteger(), nullable=True),
        sa.Column("stage_hubspot", sa.String(), nullable=True),
        sa.Column("stage_salesforce", sa.String(), nullable=True),
        sa.Column("stage_differs", sa.Boolean(), nullable=False),
        sa.Column("agreed_number", sa.Integer(), nullable=False),
        sa.Column("agreed_hubspot", sa.String(), nullable=True),
        sa.Column("agreed_salesforce", sa.String(), nullable=True),
        sa.Column("spell", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("owner_queue", sa.String(), nullable=True),
        sa.Column("assigned_at", sa.BigInteger(), nullable=True),
        sa.Column("first_touch_at", sa.BigInteger(), nullable=True),
        sa.Column("last_touch_at", sa.BigInteger(), nullable=True),
        sa.Column("touch_count", sa.Integer(), nullable=False),
        sa.Column("touch_channels", sa.Integer(), nullable=False),
        sa.Column("rejected_before", sa.Boolean(), nullable=False),
        sa.Column("rejecting", sa.Boolean(), nullable=True),
        sa.Column("excluded", sa.Boolean(), nullable=False),
        sa.Column("criteria", sa.String(), nullable=True),
        sa.Column("criteria_met", sa.Integer(), nullable=True),
        sa.Column("qualified", sa.Boolean(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
    )
    op.create_index("ix_contact_due_at", "contact", ["due_at"])


def _attempts() -> None:
    """Stays in stages and goes at selling."""
    op.create_table(
        "spell",
        sa.Column("contact_id", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("number", sa.Integer(), autoincrement=False, primary_key=True),
        sa.Column("stage", sa.String(), nullable=True),
        sa.Column("entered_at", sa.BigInteger(), nullable=False),
        sa.Column("left_at", sa.BigInteger(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
    )
    op.create_table(
        "attempt",
        sa.Column("contact_id", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("number", sa.Integer(), autoincrement=False, primary_key=True),
        sa.Column("spell", sa.Integer(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("skipped", sa.Boolean(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("found", sa.Boolean(), nullable=False),
        sa.Column("rejectable", sa.Boolean(), nullable=True),
        sa.Column("ignored_at", sa.BigInteger(), nullable=True),
        sa.Column("snapshot", sa.Text(), nullable=True),
    )
    op.create_index("ix_attempt_outcome", "attempt", ["outcome"])
    op.create_table(
        "rejection",
        sa.Column("contact_id", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("attempt", sa.Integer(), autoincrement=False, primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("reason_at", sa.BigInteger(), nullable=True),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("reason_by", sa.BigInteger(), nullable=True),
        sa.Column("sent_back", sa.Boolean(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("touches", sa.Integer(), nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("criteria_met", sa.Integer(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("crm", sa.String(), nullable=True),
    )


def _clocks() -> None:
    """Clocks, and the evidence that transitions used."""
    op.create_table(
        "clock",
        sa.Column("contact_id", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("attempt", sa.Integer(), autoincrement=False, primary_key=True),
        sa.Column("kind", _exact(), primary_key=True),
        sa.Column("number", sa.Integer(), autoincrement=False, primary_key=True),
        sa.Column("sla", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("warn_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("met_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("touches", sa.Integer(), nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("calendar", sa.String(), nullable=False),
    )
    op.create_index("ix_clock_open", "clock", ["state", "due_at"])
    op.create_table(
        "evidence",
        sa.Column("contact_id", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("rule", _exact(), primary_key=True),
        sa.Column("spell", sa.Integer(), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.Column("moved_back_at", sa.BigInteger(), nullable=True),
        sa.Column("again_at", sa.BigInteger(), nullable=True),
        sa.Column("barred", sa.Boolean(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=True),
    )


def _plans() -> None:
    """Runs, plans, and whose turn it is."""
    op.create_table(
        "run",
        sa.Column("id", _serial(), autoincrement=True, primary_key=True),
        sa.Column("command", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("config_version", sa.String(), nullable=False),
    )
    op.create_table(
        "plan",
        sa.Column("id", _serial(), autoincrement=True, primary_key=True),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("config_version", sa.String(), nullable=False),
        sa.Column("guard", sa.Text(), nullable=True),
    )
    op.create_index("ix_plan_run", "plan", ["run"])
    op.create_table(
        "turn",
        sa.Column("name", _exact(), primary_key=True),
        sa.Column("position", sa.Integer(), nullable=False),
    )


def _ledger() -> None:
    """Actions and their values."""
    op.create_table(
        "ledger",
        sa.Column("id", _serial(), autoincrement=True, primary_key=True),
        sa.Column("plan", sa.Integer(), nullable=False),
        sa.Column("bundle", _exact(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("key", _exact(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
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
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("retry_at", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("config_version", sa.String(), nullable=False),
        sa.Column("result_id", sa.String(), nullable=True),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("next_step", sa.String(), nullable=False),
        sa.Column("correlation_id", sa.String(), nullable=False),
        sa.Column("read_back", sa.Boolean(), nullable=True),
    )
    op.create_index("ix_ledger_contact_id", "ledger", ["contact_id"])
    op.create_index("ix_ledger_guard", "ledger", ["rule", "kind", "planned_at"])
    op.create_index(
        "ix_ledger_open",
        "ledger",
        ["state"],
        sqlite_where=sa.text("state IN ('planned', 'waiting', 'held', 'approved', 'sending', 'unknown', 'parked')"),
        postgresql_where=sa.text("state IN ('planned', 'waiting', 'held', 'approved', 'sending', 'unknown', 'parked')"),
    )
    op.create_index("ix_ledger_plan", "ledger", ["plan"])
    op.create_index(
        "uq_ledger_key",
        "ledger",
        ["key"],
        unique=True,
        sqlite_where=sa.text("state NOT IN ('shadow', 'superseded')"),
        postgresql_where=sa.text("state NOT IN ('shadow', 'superseded')"),
    )
    op.create_table(
        "action_value",
        sa.Column("ledger", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("after", sa.String(), nullable=True),
        sa.Column("found", sa.String(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("task", sa.Text(), nullable=True),
    )
    op.create_index("ix_action_value_contact_id", "action_value", ["contact_id"])


def _shared() -> None:
    """What all processes share."""
    op.create_table(
        "budget",
        sa.Column("account", _exact(), primary_key=True),
        sa.Column("bucket", _exact(), primary_key=True),
        sa.Column("window_start", sa.Float(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Float(), nullable=False),
        sa.Column("grants", sa.Text(), nullable=True),
    )
    op.create_table(
        "lease",
        sa.Column("name", _exact(), primary_key=True),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
    )
    op.create_table(
        "pause",
        sa.Column("scope", _exact(), primary_key=True),
        sa.Column("name", _exact(), primary_key=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "field",
        sa.Column("name", _exact(), primary_key=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
    )
    op.create_table(
        "meta",
        sa.Column("name", _exact(), primary_key=True),
        sa.Column("value", sa.String(), nullable=False),
    )
