"""The program's own rules bear a colon, clocks say what came up before going live, and when that was is kept; an index of what was refused.

Rows of the program's own rules are told from those of a file's rule of the same name by their causes, which no other rule has: an agreement
of the stages; an attempt as a whole, or the reason that is asked for.
"""

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
_SET = sa.text("before_live IS NOT NULL")
_STOPPED = sa.text("state IN ('refused', 'blocked')")


def upgrade() -> None:
    """Names them anew, in the ledger, plans and pauses; adds the column. An installation that is live went so with its first live pass."""
    op.add_column("clock", sa.Column("before_live", sa.String(), nullable=True))
    op.create_index("ix_clock_before_live", "clock", ["state"], sqlite_where=_SET, postgresql_where=_SET)
    op.create_index("ix_ledger_stopped", "ledger", ["plan"], sqlite_where=_STOPPED, postgresql_where=_STOPPED)
    named = {column.name: _COLON + column for column in _LEDGER.c}
    op.execute(sa.update(_LEDGER).where(_ours("")).values(named))
    for name in _NAMES:
        op.execute(sa.update(_PLAN).values(guard=sa.func.replace(_PLAN.c.guard, f'"{name}/', f'"{_COLON}{name}/')))
    op.execute(sa.update(_PAUSE).where(_PAUSE.c.scope == "rule", _PAUSE.c.name.in_(_NAMES)).values(name=_COLON + _PAUSE.c.name))
    adopted = _META.alias("adopted")
    went_live = sa.select(sa.literal("live_since"), _META.c.value).where(
        _META.c.name == "first_pass:live", sa.exists().where(adopted.c.name == "adopted:live")
    )
    op.execute(sa.insert(_META).from_select(["name", "value"], went_live))


def downgrade() -> None:
    """Takes colons and column away again."""
    op.execute(sa.delete(_META).where(_META.c.name == "live_since"))
    names = [_COLON + name for name in _NAMES]
    op.execute(sa.update(_PAUSE).where(_PAUSE.c.scope == "rule", _PAUSE.c.name.in_(names)).values(name=sa.func.substr(_PAUSE.c.name, 2)))
    for name in _NAMES:
        op.execute(sa.update(_PLAN).values(guard=sa.func.replace(_PLAN.c.guard, f'"{_COLON}{name}/', f'"{name}/')))
    bare = {column.name: sa.func.substr(column, 2) for column in _LEDGER.c}
    op.execute(sa.update(_LEDGER).where(_ours(_COLON)).values(bare))
    op.drop_index("ix_ledger_stopped", "ledger")
    op.drop_index("ix_clock_before_live", "clock")
    op.drop_column("clock", "before_live")


def _ours(colon: str) -> sa.ColumnElement[bool]:
    """Which rows of the ledger are of the program's own rules."""
    rule, bundle = _LEDGER.c.rule, _LEDGER.c.bundle
    stages, rejection = (colon + name for name in _NAMES)
    whole_or_reason = sa.or_(bundle.not_like("%/%"), bundle.like("%/reason"))
    return sa.or_(
        sa.and_(rule == stages, bundle.like(f"{stages}|%|agreement:%")),
        sa.and_(rule == rejection, bundle.like(f"{rejection}|%|attempt:%"), whole_or_reason),
    )
