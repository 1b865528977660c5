"""`plan`: what a pass would do now, or at another moment; nothing of it is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from connector.app import App
from connector.cli.common import CRM_NAMES, DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, NotBuilt, logging_to_stderr
from connector.cli.names import Person, people
from connector.cli.older_file import show_older_file
from connector.cli.output import Output, moment, values
from connector.cli.planned import KIND_NAMES, show_planned
from connector.cli.store import offline
from connector.config.load import load
from connector.engine import preview
from connector.model import Kind
from connector.pipeline.plan.plan import Plan, PlannedAction, actions_json


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
    with logging_to_stderr(), offline(settings) as app:
        planned = preview(app.context(), when)
        output.document(actions_json(planned))
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
    if not plan.actions:
        output.line(f"On {moment(at, zone)} a pass would do nothing.")
        return
    show_planned(output, plan)
    listed = plan.actions[:limit] if limit else plan.actions
    contacts = people(app.store, app.config, {action.contact for action in listed})
    columns = ("Contact", "Rule", "What", "Before → after", "Why", "State")
    rows = [_action(action, contacts.get(action.contact), zone) for action in listed]
    output.table(columns, rows, title=f"On {moment(at, zone)} a pass would do this")
    if len(listed) < len(plan.actions):
        output.line(f"… and {len(plan.actions) - len(listed):,} more: --limit 0 lists all.", style="dim")
    for name, rail in plan.guard.items():
        if rail["held"]:
            output.line(f"{name}: {rail['wanted']:,} wanted, {rail['rail']:,} allowed: held for approval.", style="yellow")


def _action(action: PlannedAction, person: Person | None, zone: str) -> tuple[Any, ...]:
    deed = f"{KIND_NAMES[action.kind]} in {CRM_NAMES[action.crm]}"
    change = action.after or "" if action.kind is Kind.CREATE_TASK else f"{action.before or '–'} → {action.after or '–'}"
    name = f"{action.object} {action.id}" if person is None else person.label
    why = values({key: value for key, value in action.why.items() if key != "rule"}, zone)
    return name, action.rule, deed, change, why, f"{action.state}{'' if action.new else ', as before'}"
