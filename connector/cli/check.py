"""`check`: the file and its examples, then what the CRMs' accounts have of what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from connector.app import open_each, utc_now
from connector.cli.accounts import permissions_needed
from connector.cli.common import CRM_NAMES, DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, command, logging_to_stderr
from connector.cli.output import Output
from connector.cli.store import make_tables
from connector.config.load import load
from connector.config.tables import Config
from connector.model import CrmName, Finding, Permission
from connector.reports.checks.check import check as findings_of
from connector.reports.checks.examples import run_examples

Document = dict[str, Any]
#: When a permission is needed, by whether it is one to write; and whether it is there (None: the CRM does not tell).
_WHEN = {True: "before going live", False: "now"}
_HAS = {True: "yes", False: "no", None: "not told"}


def check(
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    offline: Annotated[bool, typer.Option("--offline", help="Only the file and its examples: no CRM and no database is asked.")] = False,
) -> int:
    """The file and its examples; then credentials, permissions, fields, stages, owners and limits."""
    settings, output = load(config), Output(as_json=as_json)
    with logging_to_stderr():
        findings = run_examples(settings)
        if offline:
            findings += findings_of(settings, {}, None, now=utc_now())
        else:
            make_tables(settings)
            with open_each(settings) as (app, unready):
                findings += [*unready, *findings_of(settings, app.crms, app.store, now=app.now())]
    failed = [finding for finding in findings if not finding.ok and not finding.warning]
    needed = _permissions(settings, findings)
    output.document(
        {
            "ok": not failed,
            "requires": {crm: [asdict(permission) for permission in permissions] for crm, permissions in needed.items()},
            "findings": [_plain(finding) for finding in findings],
        }
    )
    _show_permissions(output, needed)
    _show_findings(output, findings, failed, settings, offline=offline)
    return ExitCode.FAILED if failed else ExitCode.DONE


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
