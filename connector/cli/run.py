"""`run`: one pass over both CRMs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select

from connector.app import App, open_app
from connector.cli.actor import AsName, actor_of
from connector.cli.common import DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, Interruption, command, logging_to_stderr, orderly
from connector.cli.output import Output
from connector.cli.planned import KIND_NAMES, show_planned
from connector.cli.progress import pass_progress
from connector.cli.pull_summary import show_errors, show_pulled
from connector.cli.store import make_tables
from connector.config.load import load
from connector.config.tables import Config
from connector.engine import PassResult
from connector.jobs.once import run_pass_once
from connector.model import Kind, State
from connector.store import ledger
from connector.store.tables import metadata

_LEDGER = metadata.tables["ledger"]

#: Ends for which a command says "refused" with its exit code; a person's edit (collided) is no failure.
_REFUSED = (State.REFUSED, State.BLOCKED)
_NOT_DONE = (*_REFUSED, State.COLLIDED)
_NOT_YET = (State.PARKED, State.UNKNOWN)


def run(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, as_name: AsName = "") -> int:
    """One pass: pull, evaluate, plan, write back (in shadow: up to the plan)."""
    settings, output = load(config), Output(as_json=as_json)
    make_tables(settings)
    with logging_to_stderr(), orderly() as asked, open_app(settings, stop=asked.event, actor=actor_of(as_name)) as app:
        began = app.now()
        with pass_progress(output.console, watched=output.watched) as progress:
            result = run_pass_once(app, progress=progress, stopped=asked)
        output.document(result.document())
        held = _held(app)
        refused = _not_done(app, began)
        _show_run(output, app, result, refused, held)
        return _run_exit(result, asked, held=held)


def _run_exit(result: PassResult, asked: Interruption, *, held: int) -> int:
    if asked():
        return asked.exit_code
    if result.errors or any(result.outcomes.get(state) for state in _REFUSED):
        return ExitCode.FAILED
    return ExitCode.HELD if result.mode == "live" and held else ExitCode.DONE


def _held(app: App) -> int:
    with app.store.read() as connection:
        return ledger.counts(connection)[State.HELD]


def _not_done(app: App, since: datetime) -> list[tuple[Any, ...]]:
    """What was not done in this pass and why, by outcome, rule, kind and reason."""
    columns = (_LEDGER.c.state, _LEDGER.c.rule, _LEDGER.c.kind, _LEDGER.c.message, _LEDGER.c.next_step)
    concerned = or_(and_(_LEDGER.c.state.in_(_NOT_DONE), _LEDGER.c.settled_at >= since), _LEDGER.c.state.in_(_NOT_YET))
    query = select(*columns, func.count()).where(concerned).group_by(*columns).order_by(*columns)
    with app.store.read() as connection:
        rows = connection.execute(query).all()
    return [(state, rule, KIND_NAMES[Kind(kind)], message, advice, count) for state, rule, kind, message, advice, count in rows]


# ── What is shown ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _show_run(output: Output, app: App, result: PassResult, refused: list[tuple[Any, ...]], held: int) -> None:
    show_pulled(output, result.pulled)
    if result.plan is not None:
        output.line(f"\n{result.evaluated:,} contacts were due and judged.")
        show_planned(output, result.plan)
    if result.outcomes:
        output.table(("Outcome", "Actions"), sorted(result.outcomes.items()), right=["Actions"], title="What became of them")
    output.table(("Outcome", "Rule", "What", "Reason", "Next step", "Actions"), refused, right=["Actions"], title="Not done")
    suspended = [(field["field"], field["state"], ", ".join(field["rules"])) for field in result.suspended]
    output.table(("Field", "State", "Rules that wait for it"), suspended, title="Suspended")
    if result.halted is not None:
        output.line(f"Nobody was judged: {result.halted}.", style="yellow")
    for scope, name in result.paused:
        paused = "All writing" if scope == "all" else f"The {scope} {name}"
        called = f'"{name}"' if " " in name else name
        lets_go = command(f"resume {scope} {called}" if name else "resume", app.config)
        output.line(f"{paused} is paused, and actions wait for it: `{lets_go}` lets them go.", style="yellow")
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
