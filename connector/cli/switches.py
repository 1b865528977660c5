"""`pause`, `resume`, `db upgrade`: the kill switch, and the database's schema."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from connector.app import open_store
from connector.cli.common import DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, command, logging_to_stderr, make_tables, offline, read_config
from connector.cli.output import Output, moment
from connector.config.names import suggestion
from connector.config.tables import Config
from connector.jobs.names import JOBS
from connector.pipeline.evaluate.decide import STAGES_RULE
from connector.store import pauses, schema
from connector.store.database import Store
from connector.workflows import rejection

Scope = Literal["all", "crm", "job", "rule"]
What = Annotated[
    str,
    typer.Argument(metavar="[crm|job|rule]", help="What is meant; left out: everything.", show_default=False),
]
Name = Annotated[str, typer.Argument(metavar="[NAME]", help='Which one: "hubspot", "pass", "first touch".', show_default=False)]


def pause(what: What = "", name: Name = "", config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Stops all passes and all writing, or one CRM's, a job, a rule: at once, for every process."""
    settings, output = read_config(config), Output(as_json=as_json)
    make_tables(settings)
    with logging_to_stderr(), offline(settings) as app:
        scope = _scope(what, name, _known(settings))
        changed = pauses.pause(app.store, scope, name, now=app.now())
        _show(output, app.store, settings, changed=changed)
        words = f"resume {what} {_quoted(name)}".strip()
        output.line(f"{'Paused' if changed else 'It was paused already'}. `{command(words, settings)}` lets it go on.")
    return ExitCode.DONE


def resume(what: What = "", name: Name = "", config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Ends a pause. What is paused by itself stays so when everything else goes on."""
    settings, output = read_config(config), Output(as_json=as_json)
    make_tables(settings)
    with logging_to_stderr(), offline(settings) as app:
        stand = {(row.scope, row.name) for row in pauses.list_pauses(app.store)}
        known = {kind: [*names, *(name for scope, name in stand if scope == kind)] for kind, names in _known(settings).items()}
        changed = pauses.resume(app.store, _scope(what, name, known), name)
        output.line("It goes on." if changed else "It was not paused.")
        _show(output, app.store, settings, changed=changed)
    return ExitCode.DONE


def _scope(what: str, name: str, known: dict[str, list[str]]) -> Scope:
    """What is meant. Raises BadParameter, with what would be right."""
    if what in ("", "all"):
        if name:
            raise typer.BadParameter("everything is paused without a name")
        return "all"
    if what not in known:
        raise typer.BadParameter(f"{what!r} is none of crm, job, rule; left out, everything is meant")
    if not name:
        raise typer.BadParameter(f"which {what}? {', '.join(known[what])}")
    if name not in known[what]:
        raise typer.BadParameter(f"there is no {what} {name!r}: {suggestion(name, known[what])}")
    scopes: dict[str, Scope] = {"crm": "crm", "job": "job", "rule": "rule"}
    return scopes[what]


def _known(config: Config) -> dict[str, list[str]]:
    """What can be paused, by the ids under which the ledger keeps it."""
    rules = [*(rule.id for rule in config.transitions), *(rule.id for rule in config.slas), STAGES_RULE]
    if config.rejection is not None:
        rules.append(rejection.RULE)
    return {"crm": list(config.crms), "job": list(JOBS), "rule": rules}


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name


def _show(output: Output, store: Store, config: Config, *, changed: bool) -> None:
    rows = pauses.list_pauses(store)
    standing = [{"scope": row.scope, "name": row.name, "since": row.since} for row in rows]
    output.document({"changed": changed, "paused": standing})
    output.table(("Paused", "Name", "Since"), [(row.scope, row.name, moment(row.since, config.timezone)) for row in rows])


def upgrade(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Makes the database's tables, or brings them to this program's version."""
    settings, output = read_config(config), Output(as_json=as_json)
    with logging_to_stderr(), open_store(settings) as store:
        with store.read() as connection:
            before = schema.current(connection)
        store.upgrade()
        with store.read() as connection:
            after = schema.current(connection)
    output.document({"before": before, "after": after})
    if before == after:
        output.line(f"The database is up to date: schema {after}.")
    else:
        output.line(f"The database has schema {after} now{'' if before is None else f', it had {before}'}.")
    return ExitCode.DONE
