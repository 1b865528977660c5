"""What a pass would do now, or at another moment, without pulling: the same judging and planning, and everything taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from connector.engine import PassContext, evaluate, plan
from connector.pipeline.installation import prepare
from connector.pipeline.plan.plan import Plan
from connector.store.database import Store
from connector.store.scratch import in_scratch


def preview(context: PassContext, at: datetime | None = None) -> Plan:
    """The plan of a pass over the mirror as it is, at this moment or another (aware). Nothing of it is kept."""
    now = at or context.now()

    def look(scratch: Store) -> Plan:
        inside = replace(context, store=scratch)
        installation = prepare(scratch, inside.config, {}, now=now)
        _, judged = evaluate(inside, installation, now=now, run=0)
        return plan(inside, judged, run=0, mode="shadow", now=now, undecided=installation.suspended.undecided)

    return in_scratch(context.store, look)
