"""Planned actions as tables: what `run` and `plan` both show."""

from __future__ import annotations

from collections.abc import Mapping

from connector.cli.common import CRM_NAMES
from connector.cli.output import Output
from connector.model import Kind
from connector.pipeline.plan.plan import Plan

#: The kinds of actions as people read them.
KIND_NAMES: Mapping[Kind, str] = {
    Kind.SET_STAGE: "set stage",
    Kind.SET_FIELD: "set field",
    Kind.CREATE_LEAD: "create Lead",
    Kind.ASSIGN: "assign",
    Kind.CREATE_TASK: "create task",
    Kind.UPDATE_TASK: "update task",
    Kind.CLOSE_TASK: "close task",
    Kind.NOTIFY: "notify",
    Kind.MAIL: "mail",
}


def show_planned(output: Output, plan: Plan) -> None:
    """What is wanted, per rule, kind and state."""
    rows = [(rule, KIND_NAMES[kind], CRM_NAMES[crm], state, count) for (rule, kind, crm, state), count in sorted(plan.counts.items())]
    output.table(("Rule", "What", "In", "State", "Actions"), rows, right=["Actions"], title="Planned")
