"""`check`: the file and its examples, then what the CRMs' accounts have of what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import typer
from rich.text import Text

from connector.app import App, open_each, utc_now
from connector.cli.accounts import permissions_needed
from connector.cli.actor import AsName, actor_of
from connector.cli.common import CRM_NAMES, DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, command, logging_to_stderr
from connector.cli.output import Output
from connector.cli.store import make_tables
from connector.config.load import load
from connector.config.tables import Config
from connector.model import Actor, CrmName, Finding, Permission
from connector.pipeline.older_file import file_of, older_file
from connector.reports.checks.check import check as findings_of
from connector.reports.checks.examples import run_examples
from connector.store import rule_texts

Document = dict[str, Any]
#: When a permission is needed, by whether it is one to write; and whether it is there (None: the CRM does not tell).
_WHEN = {True: "before going live", False: "now"}
_HAS = {True: "yes", False: "no", None: "not told"}


def check(
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    offline: Annotated[bool, typer.Option("--offline", help="Only the file and its examples: no CRM and no database is asked.")] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="And, where nothing is wrong: says that this file is meant, though another replaced it.")
    ] = False,
    as_name: AsName = "",
) -> int:
    """The file and its examples; then credentials, permissions, fields, stages, owners and limits."""
    if apply and offline:
        raise typer.BadParameter("--apply writes into the database, and --offline asks none")
    settings, output = load(config), Output(as_json=as_json)
    applied: bool | None = None
    with logging_to_stderr():
        findings = run_examples(settings)
        if offline:
            findings += findings_of(settings, {}, None, now=utc_now())
        else:
            make_tables(settings)
            with open_each(settings) as (app, unready):
                findings += [*unready, *findings_of(settings, app.crms, app.store, now=app.now())]
                findings += [] if apply else _older(app)
                if apply and not _failed(findings):
                    applied = _apply(app, actor_of(as_name))
    failed = _failed(findings)
    needed = _permissions(settings, findings)
    output.document(
        {
            "ok": not failed,
            "applied": applied,
            "requires": {crm: [asdict(permission) for permission in permissions] for crm, permissions in needed.items()},
            "findings": [_plain(finding) for finding in findings],
        }
    )
    _show_permissions(output, needed)
    _show_findings(output, findings, failed, settings, offline=offline)
    if apply:
        output.line(_APPLIED[applied])
    return ExitCode.FAILED if failed else ExitCode.DONE


def _failed(findings: Sequence[Finding]) -> list[Finding]:
    """What must be mended."""
    return [finding for finding in findings if not finding.ok and not finding.warning]


def _older(app: App) -> list[Finding]:
    """That the file is not the one in force, but one that it replaced."""
    older = older_file(app.store, app.config)
    if older is None:
        return []
    return [Finding(topic="file in force", ok=False, warning=True, message=older.message, advice=older.advice)]


def _apply(app: App, by: Actor) -> bool:
    """Says that this file is meant; False where it is in force already."""
    return app.store.write(partial(rule_texts.mean, file=file_of(app.config), by=by, now=app.now()))


#: What is said of --apply: whether the file was put in force, None where something is wrong with it.
_APPLIED = {
    True: "This file is in force from now on: the next pass goes by it, and refuses the one before.",
    False: "This file is in force already.",
    None: "It was not applied: mend what is wrong first.",
}


def _permissions(config: Config, findings: list[Finding]) -> dict[CrmName, tuple[Permission, ...]]:
    """What each CRM must allow; as the CRM told it, where it did."""
    answered = {finding.topic.partition(":")[0]: finding.permissions for finding in findings if finding.permissions}
    return {crm: answered.get(crm, needed) for crm, needed in permissions_needed(config, now=utc_now()).items()}


def _plain(finding: Finding) -> Document:
    return {name: value for name, value in asdict(finding).items() if name != "permissions"}


def _show_permissions(output: Output, needed: Mapping[CrmName, tuple[Permission, ...]]) -> None:
    """All of it, so that whoever sets up the account has one list."""
    for crm, permissions in needed.items():
        rows = [(permission.name, permission.why, _WHEN[permission.to_write], _HAS[permission.has]) for permission in permissions]
        output.table(("Needs", "For", "When", "Has"), rows, title=f"What the connector must be allowed in {CRM_NAMES[crm]}")


def _show_findings(output: Output, findings: list[Finding], failed: list[Finding], config: Config, *, offline: bool) -> None:
    for finding in findings:
        mark, style = ("✓", "green") if finding.ok else ("!", "yellow") if finding.warning else ("✗", "red")
        output.line(Text(mark, style=style), f" {finding.topic}: {finding.message}")
        if finding.advice and not finding.ok:
            output.line("    ", finding.advice)
    warnings = sum(1 for finding in findings if finding.warning and not finding.ok)
    if failed:
        wrong = f"{len(failed)} of {len(findings)} {'is' if len(failed) == 1 else 'are'} wrong (✗)"
        output.heading(f"{wrong}. Mend what they name, then run `{command('check', config)}` again.")
    else:
        more = f" `{command('check', config)}` asks the CRMs too." if offline else f" Next: `{command('run', config)}`."
        noted = f", {warnings} to be noted" if warnings else ""
        output.heading(f"{config.source} is right: {len(findings)} looked at{noted}.{more}")
