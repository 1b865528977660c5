"""`pause` and `resume`: the kill switch, for everything or a part of it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from connector.cli.actor import AsName, actor_of
from connector.cli.common import DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, command, logging_to_stderr
from connector.cli.output import Output, moment
from connector.cli.store import make_tables, offline
from connector.config.load import load
from connector.config.names import suggestion
from connector.config.tables import Config
from connector.jobs.names import JOBS
from connector.model import own_rules
from connector.reports.paused import paused_now
from connector.store import pauses
from connector.store.database import Store

Scope = Literal["all", "crm", "job", "rule"]
KindArgument = Annotated[
    str,
    typer.Argument(metavar="[crm|job|rule]", help="What is meant; left out: everything.", show_default=False),
]
NameArgument = Annotated[str, typer.Argument(metavar="[NAME]", help='Which one: "hubspot", "pass", "first touch".', show_default=False)]


def pause(
    kind: KindArgument = "",
    name: NameArgument = "",
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    as_name: AsName = "",
) -> int:
    """Stops all passes and all writing, or one CRM's, a job, a rule: at once, for every process."""
    settings, output = load(config), Output(as_json=as_json)
    make_tables(settings)
    with logging_to_stderr(), offline(settings) as app:
        scope = _scope(kind, name, _pausable(settings))
        changed = pauses.pause(app.store, scope, name, now=app.now(), by=actor_of(as_name))
        _show(output, app.store, settings, changed=changed)
        words = f"resume {kind} {_quoted(name)}".strip()
        output.line(f"{'Paused' if changed else 'It was paused already'}. `{command(words, settings)}` lets it go on.")
    return ExitCode.DONE


def resume(
    kind: KindArgument = "",
    name: NameArgument = "",
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    as_name: AsName = "",
) -> int:
    """Ends a pause. What is paused by itself stays so when everything else goes on."""
    settings, output = load(config), Output(as_json=as_json)
    make_tables(settings)
    with logging_to_stderr(), offline(settings) as app:
        names = _pausable(settings)
        for row in pauses.list_pauses(app.store):
            if row.scope in names:  # a pause of what the file no longer has can be ended too
                names[row.scope].append(row.name)
        changed = pauses.resume(app.store, _scope(kind, name, names), name, now=app.now(), by=actor_of(as_name))
        output.line("It goes on." if changed else "It was not paused.")
        _show(output, app.store, settings, changed=changed)
    return ExitCode.DONE


def _scope(kind: str, name: str, names: dict[str, list[str]]) -> Scope:
    """What is meant. Raises BadParameter, with what would be right."""
    if kind in ("", "all"):
        if name:
            raise typer.BadParameter("everything is paused without a name")
        return "all"
    if kind not in names:
        raise typer.BadParameter(f"{kind!r} is none of crm, job, rule; left out, everything is meant")
    if not name:
        raise typer.BadParameter(f"which {kind}? {', '.join(names[kind])}")
    if name not in names[kind]:
        raise typer.BadParameter(f"there is no {kind} {name!r}: {suggestion(name, names[kind])}")
    scopes: dict[str, Scope] = {"crm": "crm", "job": "job", "rule": "rule"}
    return scopes[kind]


def _pausable(config: Config) -> dict[str, list[str]]:
    """What can be paused, by the ids under which the ledger keeps it."""
    rules = [*(rule.id for rule in config.transitions), *(rule.id for rule in config.slas), own_rules.STAGES]
    if config.rejection is not None:
        rules.append(own_rules.REJECTION)
    return {"crm": list(config.crms), "job": list(JOBS), "rule": rules}


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name


def _show(output: Output, store: Store, config: Config, *, changed: bool) -> None:
    standing = paused_now(store)
    output.document({"changed": changed, "paused": standing})
    rows = [(pause["scope"], pause["name"], moment(pause["since"], config.timezone), pause["by"]) for pause in standing]
    output.table(("Paused", "Name", "Since", "By"), rows)
