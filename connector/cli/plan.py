"""`plan`: what a pass would do now, or at another moment; nothing of it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from connector.app import App
from connector.cli.common import CRM_NAMES, DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, NotBuilt, logging_to_stderr
from connector.cli.names import Person, owner_names, people
from connector.cli.older_file import show_older_file
from connector.cli.output import Output, moment, values
from connector.cli.planned import KIND_NAMES, show_planned
from connector.cli.store import offline
from connector.config.load import load
from connector.engine import previewing
from connector.model import Kind
from connector.pipeline.plan.plan import Plan, PlannedAction, plan_document, task_document


def plan(
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="WHEN", help="Another moment: 2026-12-01T10:00, in the file's time zone where it names none."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many actions to list; 0: all. --json has them all.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", help="Not built yet.")] = False,
) -> int:
    """What a pass would do now, without pulling; nothing of it is kept."""
    if follow:
        raise _not_built("--follow", "carrying the shadow on as if its writes had been made")
    settings, output = load(config), Output(as_json=as_json)
    when = None if at is None else _moment(at, settings.timezone)
    with logging_to_stderr(), offline(settings) as app, previewing(app.context(), when) as planned:
        output.long_document(plan_document(planned), "actions", (action.document() for action in planned.read(None)))
        show_older_file(output, app)
        _show_plan(output, app, planned, when or app.now(), limit)
    return ExitCode.DONE


def _moment(text: str, zone: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no moment; write it like 2026-12-01T10:00", param_hint="--at") from error
    return at if at.tzinfo is not None else at.replace(tzinfo=ZoneInfo(zone))


def _not_built(option: str, purpose: str) -> NotBuilt:
    return NotBuilt(f"{option} ({purpose}) is not built yet in this version", advice="Leave it out.")


# ── What is shown ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _show_plan(output: Output, app: App, plan: Plan, at: datetime, limit: int) -> None:
    zone = app.config.timezone
    if output.as_json:
        return
    if not plan.planned:
        output.line(f"On {moment(at, zone)} a pass would do nothing.")
        return
    show_planned(output, plan)
    listed = list(plan.read(limit or None))
    contacts = people(app.store, app.config, {action.contact for action in listed})
    columns = ("Contact", "Rule", "What", "Before → after", "Why", "State")
    tasks = [(action.crm, action.task.get("owner_id")) for action in listed if action.task is not None]
    owners = owner_names(app.store, {(crm, owner) for crm, owner in tasks if owner is not None})
    rows = [_action(action, contacts.get(action.contact), owners, zone) for action in listed]
    output.table(columns, rows, title=f"On {moment(at, zone)} a pass would do this")
    if len(listed) < plan.planned:
        output.line(f"… and {plan.planned - len(listed):,} more: --limit 0 lists all.", style="dim")
    for name, rail in plan.guard.items():
        if rail["held"]:
            output.line(f"{name}: {rail['wanted']:,} wanted, {rail['rail']:,} allowed: held for approval.", style="yellow")


def _task(task: dict[str, Any], owners: Mapping[tuple[str, str], str], crm: str, zone: str) -> list[str]:
    """What will be written, a line each: the subject; for whom; until when."""
    owner = "nobody" if task["owner"] is None else owners.get((crm, task["owner"]), task["owner"])
    due = task["due_at"]
    return [task["subject"], f"for {owner}", "" if due is None else f"due {moment(datetime.fromisoformat(due), zone)}"]


def _action(action: PlannedAction, person: Person | None, owners: Mapping[tuple[str, str], str], zone: str) -> tuple[Any, ...]:
    deed = f"{KIND_NAMES[action.kind]} in {CRM_NAMES[action.crm]}"
    change: Any = f"{action.before or '–'} → {action.after or '–'}"
    if action.kind is Kind.CREATE_TASK:
        change = action.after or "" if action.task is None else _task(task_document(action.task), owners, action.crm, zone)
    name = f"{action.object} {action.id}" if person is None else person.label
    why = values({key: value for key, value in action.why.items() if key != "rule"}, zone)
    return name, action.rule, deed, change, why, f"{action.state}{'' if action.new else ', as before'}"
