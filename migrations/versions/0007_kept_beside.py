"""What bundles, clocks and unification keep beside: the program's own rules bear a colon, clocks say what came up before going live, an
index finds what was refused, and the contacts to make are found by one of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NAMES = ("stages", "rejection")
_COLON = ":"
_LEDGER = sa.table("ledger", *(sa.column(name, sa.String()) for name in ("rule", "key", "bundle")))
_PLAN = sa.table("plan", sa.column("guard", sa.String()))
_PAUSE = sa.table("pause", sa.column("scope", sa.String()), sa.column("name", sa.String()))
_META = sa.table("meta", sa.column("name", sa.String()), sa.column("value", sa.String()))
_MARKED = sa.text("before_live IS NOT NULL")
_STOPPED = sa.text("state IN ('refused', 'blocked')")
_LINKED = sa.text("contact_id IS NOT NULL")
_TO_MAKE = sa.text("unify AND contact_id IS NOT NULL")


def upgrade() -> None:
    """Changes what unify needs; names the program's own rules anew; keeps when it went live, and finds what was refused."""
    _index_what_has_a_contact()
    _name_own_rules_anew()
    _keep_going_live()
    op.create_index("ix_ledger_stopped", "ledger", ["plan"], sqlite_where=_STOPPED, postgresql_where=_STOPPED)


def downgrade() -> None:
    """Takes it back."""
    op.drop_index("ix_ledger_stopped", "ledger")
    _forget_going_live()
    _name_own_rules_as_before()
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


def _name_own_rules_anew() -> None:
    """In the ledger, plans and pauses.

    Rows of the program's own rules are told from those of a file's rule of the same name by their causes, which no other rule has: an
    agreement of the stages; an attempt as a whole, or the reason that is asked for.
    """
    op.execute(sa.update(_LEDGER).where(_ours("")).values({column.name: _COLON + column for column in _LEDGER.c}))
    for name in _NAMES:
        op.execute(sa.update(_PLAN).values(guard=sa.func.replace(_PLAN.c.guard, f'"{name}/', f'"{_COLON}{name}/')))
    op.execute(sa.update(_PAUSE).where(_PAUSE.c.scope == "rule", _PAUSE.c.name.in_(_NAMES)).values(name=_COLON + _PAUSE.c.name))


def _name_own_rules_as_before() -> None:
    names = [_COLON + name for name in _NAMES]
    op.execute(sa.update(_PAUSE).where(_PAUSE.c.scope == "rule", _PAUSE.c.name.in_(names)).values(name=sa.func.substr(_PAUSE.c.name, 2)))
    for name in _NAMES:
        op.execute(sa.update(_PLAN).values(guard=sa.func.replace(_PLAN.c.guard, f'"{_COLON}{name}/', f'"{name}/')))
    op.execute(sa.update(_LEDGER).where(_ours(_COLON)).values({column.name: sa.func.substr(column, 2) for column in _LEDGER.c}))


def _ours(colon: str) -> sa.ColumnElement[bool]:
    """Which rows of the ledger are of the program's own rules."""
    rule, bundle = _LEDGER.c.rule, _LEDGER.c.bundle
    stages, rejection = (colon + name for name in _NAMES)
    whole_or_reason = sa.or_(bundle.not_like("%/%"), bundle.like("%/reason"))
    return sa.or_(
        sa.and_(rule == stages, bundle.like(f"{stages}|%|agreement:%")),
        sa.and_(rule == rejection, bundle.like(f"{rejection}|%|attempt:%"), whole_or_reason),
    )


def _keep_going_live() -> None:
    """What came up before it is marked at clocks; an installation that is live went so with its first live pass."""
    op.add_column("clock", sa.Column("before_live", sa.String(), nullable=True))
    op.create_index("ix_clock_before_live", "clock", ["state"], sqlite_where=_MARKED, postgresql_where=_MARKED)
    adopted = _META.alias("adopted")
    went_live = sa.select(sa.literal("live_since"), _META.c.value).where(
        _META.c.name == "first_pass:live", sa.exists().where(adopted.c.name == "adopted:live")
    )
    op.execute(sa.insert(_META).from_select(["name", "value"], went_live))


def _forget_going_live() -> None:
    op.execute(sa.delete(_META).where(_META.c.name == "live_since"))
    op.drop_index("ix_clock_before_live", "clock")
    op.drop_column("clock", "before_live")
