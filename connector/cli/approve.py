"""`approve`: what a CRM refused of a plan is tried again, or given up. What a guard rail holds is not freed by it yet."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Connection

from connector.cli.actor import AsName, actor_of
from connector.cli.common import DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, command, logging_to_stderr
from connector.cli.output import Output
from connector.cli.store import make_tables, offline
from connector.config.load import load
from connector.config.tables import Config
from connector.model import Deed, State
from connector.store import acts, ledger, refused


def approve(
    plan: Annotated[int, typer.Argument(metavar="PLAN", help="Its number, as `status` lists it.")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    drop: Annotated[bool, typer.Option("--drop", help="Give up what was refused, for this cause for good.")] = False,
    as_name: AsName = "",
) -> int:
    """Tries again what a CRM refused of a plan, once it is mended; --drop gives it up."""
    settings, output = load(config), Output(as_json=as_json)
    make_tables(settings)
    with logging_to_stderr(), offline(settings) as app:
        now, actor = app.now(), actor_of(as_name)

        def work(connection: Connection) -> tuple[int, int, int]:
            bundles = refused.stopped_bundles(connection, plan=plan)
            counts = ledger.figures(connection, plan)
            no_longer = counts[State.REFUSED] + counts[State.BLOCKED] - sum(len(bundle.ids) for bundle in bundles)
            held = counts[State.HELD]
            if bundles:
                acts.note(connection, Deed.DROPPED if drop else Deed.APPROVED, "plan", str(plan), actor, now)
            end = refused.drop if drop else refused.try_again
            return end(connection, bundles, now=now), no_longer, held

        changed, no_longer, held = app.store.write(work)
    output.document({"plan": plan, "freed": 0 if drop else changed, "dropped": changed if drop else 0, "no_longer_true": no_longer})
    _say(output, settings, plan, changed, held, drop=drop)
    return ExitCode.DONE if changed else ExitCode.FAILED


def _say(output: Output, config: Config, plan: int, changed: int, held: int, *, drop: bool) -> None:
    if not changed:
        output.line(f"Nothing of plan {plan} waits for somebody to mend it: `{command('status', config)}` lists what does.")
    elif drop:
        output.line(f"{changed:,} actions of plan {plan} are given up.")
    else:
        output.line(f"{changed:,} actions of plan {plan} go again with the next `{command('run', config)}`.")
    if held:
        output.line(f"{held:,} actions of it are held by a guard rail: freeing those is not built yet; they lapse after `hold_for`.")
