"""`run`, `pull`, `plan`: a pass, a part of one, and what one would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import and_, func, or_, select

from connector.app import App, open_app
from connector.cli.common import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    ExitCode,
    Interruption,
    NotBuilt,
    command,
    logging_to_stderr,
    make_tables,
    offline,
    orderly,
    read_config,
)
from connector.cli.names import Person, people
from connector.cli.output import Output, moment, values
from connector.cli.progress import NAMES, pass_progress
from connector.cli.pull_summary import show_errors, show_pulled
from connector.cli.reconcile import show_removed
from connector.config.tables import Config
from connector.engine import PassResult, preview
from connector.jobs.mirror_jobs import Mirrored
from connector.jobs.once import pull_once, run_pass_once
from connector.model import Kind, State
from connector.pipeline.plan.plan import Plan, PlannedAction, actions_json
from connector.store import ledger
from connector.store.tables import metadata

_LEDGER = metadata.tables["ledger"]

#: What an action does, for people.
WHAT: Mapping[Kind, str] = {
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
#: Ends for which a command says "refused" with its exit code; a person's edit (collided) is no failure.
_REFUSED = (State.REFUSED, State.BLOCKED)
_NOT_DONE = (*_REFUSED, State.COLLIDED)
_NOT_YET = (State.PARKED, State.UNKNOWN)


def run(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """One pass: pull, evaluate, plan, write back (in shadow: up to the plan)."""
    settings, output = read_config(config), Output(as_json=as_json)
    make_tables(settings)
    with logging_to_stderr(), orderly() as asked, open_app(settings, stop=asked.event) as app:
        began = app.now()
        with pass_progress(output.console, watched=output.watched) as progress:
            result = run_pass_once(app, progress=progress, stopped=asked)
        output.document(result.document())
        held = _held(app)
        refused = _unhappy(app, began)
        _show_run(output, app, result, refused, held)
        return _run_exit(result, asked, held=held)


def _run_exit(result: PassResult, asked: Interruption, *, held: int) -> int:
    if asked():
        return asked.exit_code
    if result.errors or any(result.outcomes.get(state) for state in _REFUSED):
        return ExitCode.FAILED
    return ExitCode.HELD if result.mode == "live" and held else ExitCode.DONE


def pull(
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    full: Annotated[bool, typer.Option("--full", help="Read everything again from the beginning.")] = False,
    deletes: Annotated[
        bool, typer.Option("--deletes", help="And what no modified date tells: what was deleted, merged, restored, linked anew.")
    ] = False,
) -> int:
    """The mirror only: what changed in the CRMs since the last pull."""
    settings, output = read_config(config), Output(as_json=as_json)
    make_tables(settings)
    with logging_to_stderr(), orderly() as asked, open_app(settings, stop=asked.event) as app:
        with pass_progress(output.console, watched=output.watched) as progress:
            result = pull_once(app, full=full, deletes=deletes, progress=progress, stopped=asked)
        output.document(result.document())
        show_pulled(output, result.pulled)
        if result.removed is not None:
            show_removed(output, result.removed)
        show_errors(output, result.errors)
        _say_after_pull(output, result, settings, asked)
        return asked.exit_code if asked() else ExitCode.FAILED if result.errors else ExitCode.DONE


def _say_after_pull(output: Output, result: Mirrored, config: Config, asked: Interruption) -> None:
    if asked():
        output.heading("Stopped as asked: what was read is stored, and the next pull goes on from there.")
    elif result.errors:
        output.heading("Nothing was lost: what was read is stored, and the next pull goes on from there.")
    else:
        output.line(f"\nNext: `{command('plan', config)}` shows what a pass would do now.")


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
    settings, output = read_config(config), Output(as_json=as_json)
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


# ── What is shown ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _show_run(output: Output, app: App, result: PassResult, refused: list[tuple[Any, ...]], held: int) -> None:
    show_pulled(output, result.pulled)
    if result.plan is not None:
        output.line(f"\n{result.evaluated:,} contacts were due and judged.")
        show_planned(output, result.plan)
    if result.outcomes:
        output.table(("Outcome", "Actions"), sorted(result.outcomes.items()), right=["Actions"], title="What became of them")
    output.table(("Outcome", "Rule", "What", "Reason", "Next step", "Actions"), refused, right=["Actions"], title="Not done")
    suspended = [(one["field"], one["state"], ", ".join(one["rules"])) for one in result.suspended]
    output.table(("Field", "State", "Rules that wait for it"), suspended, title="Suspended")
    if result.halted is not None:
        output.line(f"Nobody was judged: {result.halted}.", style="yellow")
    for scope, name in result.paused:
        what = "All writing" if scope == "all" else f"The {scope} {name}"
        called = f'"{name}"' if " " in name else name
        lets_go = command(f"resume {scope} {called}" if name else "resume", app.config)
        output.line(f"{what} is paused, and actions wait for it: `{lets_go}` lets them go.", style="yellow")
    show_errors(output, result.errors)
    output.heading(_next_step(app.config, result, held))


def _next_step(config: Config, result: PassResult, held: int) -> str:
    if result.errors:
        return "Nothing was lost: what was read is stored, and the next run goes on from there."
    if result.interrupted:
        return "Stopped as asked: what was done is on record, and the next run goes on from there."
    if result.mode == "live" and held:
        return (
            f"{held:,} actions are beyond their guard rails and wait for approval; nothing of them is written. They lapse after "
            f"{config.guard.hold_for} and are judged anew. How much one rule may want is said in [guard]."
        )
    if result.mode == "shadow":
        plan_it = command("plan", config)
        return f'Shadow mode: nothing was written. `{plan_it}` lists what would be; mode = "live" in {config.source} lets it be written.'
    if not result.planned and not result.outcomes:
        return "Nothing was left to do."
    return f"Next: `{command('status', config)}`, or `{command('explain WHO', config)}` for one contact."


def show_planned(output: Output, plan: Plan) -> None:
    """What is wanted, per rule, kind and state."""
    counted = Counter((action.rule, action.kind, action.crm, action.state) for action in plan.actions)
    rows = [(rule, WHAT[kind], NAMES[crm], state, count) for (rule, kind, crm, state), count in sorted(counted.items())]
    output.table(("Rule", "What", "In", "State", "Actions"), rows, right=["Actions"], title="Planned")


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
    what = f"{WHAT[action.kind]} in {NAMES[action.crm]}"
    change = action.after or "" if action.kind is Kind.CREATE_TASK else f"{action.before or '–'} → {action.after or '–'}"
    name = f"{action.object} {action.id}" if person is None else person.label
    why = values({key: value for key, value in action.why.items() if key != "rule"}, zone)
    return name, action.rule, what, change, why, f"{action.state}{'' if action.new else ', as before'}"


def _held(app: App) -> int:
    with app.store.read() as connection:
        return ledger.counts(connection)[State.HELD]


def _unhappy(app: App, since: datetime) -> list[tuple[Any, ...]]:
    """What was not done in this pass and why, by outcome, rule, kind and reason."""
    columns = (_LEDGER.c.state, _LEDGER.c.rule, _LEDGER.c.kind, _LEDGER.c.message, _LEDGER.c.next_step)
    told = or_(and_(_LEDGER.c.state.in_(_NOT_DONE), _LEDGER.c.settled_at >= since), _LEDGER.c.state.in_(_NOT_YET))
    query = select(*columns, func.count()).where(told).group_by(*columns).order_by(*columns)
    with app.store.read() as connection:
        rows = connection.execute(query).all()
    return [(state, rule, WHAT[Kind(kind)], message, advice, count) for state, rule, kind, message, advice, count in rows]
