"""`plan`: what a pass would do now, or at another moment; nothing of it is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from connector.app import App
from connector.cli.common import CRM_NAMES, DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, NotBuilt, logging_to_stderr
from connector.cli.names import Person, people
from connector.cli.output import Output, moment, values
from connector.cli.planned import WHAT, show_planned
from connector.cli.store import offline
from connector.config.load import load
from connector.model import Kind
from connector.pipeline.plan.plan import Plan, PlannedAction, actions_json
from connector.preview import preview


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
        found = preview(app.context(), when)
        output.document(actions_json(found))
        _show_plan(output, app, found, when or app.now(), limit)
    return ExitCode.DONE


def _moment(text: str, zone: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no moment; write it like 2026-12-01T10:00", param_hint="--at") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=ZoneInfo(zone))


def _not_built(option: str, what: str) -> NotBuilt:
    return NotBuilt(f"{option} ({what}) is not built yet in this version", advice="Leave it out.")


# ── What is shown ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _show_plan(output: Output, app: App, plan: Plan, at: datetime, limit: int) -> None:
    zone = app.config.timezone
    if not plan.actions:
        output.line(f"On {moment(at, zone)} a pass would do nothing.")
        return
    show_planned(output, plan)
    shown = plan.actions[:limit] if limit else plan.actions
    known = people(app.store, app.config, {action.contact for action in shown})
    columns = ("Contact", "Rule", "What", "Before → after", "Why", "State")
    rows = [_action(action, known.get(action.contact), zone) for action in shown]
    output.table(columns, rows, title=f"On {moment(at, zone)} a pass would do this")
    if len(shown) < len(plan.actions):
        output.line(f"… and {len(plan.actions) - len(shown):,} more: --limit 0 lists all.", style="dim")
    for name, rail in plan.guard.items():
        if rail["held"]:
            output.line(f"{name}: {rail['wanted']:,} wanted, {rail['rail']:,} allowed: held for approval.", style="yellow")


def _action(action: PlannedAction, person: Person | None, zone: str) -> tuple[Any, ...]:
    what = f"{WHAT[action.kind]} in {CRM_NAMES[action.crm]}"
    change = action.after or "" if action.kind is Kind.CREATE_TASK else f"{action.before or '–'} → {action.after or '–'}"
    name = f"{action.object} {action.id}" if person is None else person.label
    why = values({key: value for key, value in action.why.items() if key != "rule"}, zone)
    return name, action.rule, what, change, why, f"{action.state}{'' if action.new else ', as before'}"
