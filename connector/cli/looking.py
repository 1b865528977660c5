"""`explain`, `status`, `check`: what is known of one contact, how the whole stands, whether file and accounts are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from connector.app import open_each, permissions_needed, utc_now
from connector.cli.common import DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, command, logging_to_stderr, make_tables, offline, read_config
from connector.cli.explain_page import show_contact
from connector.cli.output import Output, moment
from connector.cli.progress import NAMES
from connector.config.tables import Config
from connector.jobs.health import health
from connector.model import CrmName, Finding, Permission
from connector.reports.checks.check import check as findings_of
from connector.reports.checks.examples import run_examples
from connector.reports.explain import explain as explained
from connector.reports.status import status as status_of

Document = dict[str, Any]


def explain(
    who: Annotated[str, typer.Argument(metavar="WHO", help="An e-mail address, a CRM's record id, or a record's address.")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> int:
    """Everything known and decided about one contact, and why; also why not."""
    settings, output = read_config(config), Output(as_json=as_json)
    with logging_to_stderr(), offline(settings) as app:
        found = explained(app.store, settings, who, now=app.now())
    output.document(found)
    show_contact(output, found, settings)
    return ExitCode.DONE


# ── Status ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def status(
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    health: Annotated[bool, typer.Option("--health", help="Only whether the service lives and does its work: exit code 0 or 1.")] = False,
) -> int:
    """The last runs, the mirror's age, the CRMs' limits, and everything that waits for somebody."""
    settings, output = read_config(config), Output(as_json=as_json)
    with logging_to_stderr(), offline(settings) as app:
        if health:
            return _health(output, app.store, settings)
        found = status_of(app.store, settings, now=app.now())
    output.document(found)
    _show_status(output, found, settings)
    return ExitCode.DONE


def _health(output: Output, store: Any, config: Config) -> int:
    found = health(store, config, now=utc_now())
    output.document(found.document())
    output.line("well" if found.healthy else "; ".join(found.problems))
    return ExitCode.DONE if found.healthy else ExitCode.FAILED


def _show_status(output: Output, found: Document, config: Config) -> None:
    lag = found["lag_seconds"]
    age = "was never read whole" if lag is None else f"is as of {_span(lag)} ago"
    people = f"{found['contacts']:,} contacts, {found['excluded']:,} of them excluded by [scope]"
    output.line(f"Mode {found['mode']}. The mirror {age}. {people}.")
    for pause in found["paused"]:
        what = "Everything" if pause["scope"] == "all" else f"{pause['scope']} {pause['name']}"
        output.line(f"{what} is paused since {moment(pause['since'], config.timezone)}.", style="yellow")
    _show_runs(output, found, config)
    _show_budget(output, found)
    _show_waiting(output, found, config)


def _show_runs(output: Output, found: Document, config: Config) -> None:
    rows = [
        (run["run"], run["command"], run["mode"], moment(run["started_at"], config.timezone), _length(run), run["state"], _summary(run))
        for run in found["runs"]
    ]
    output.table(("Run", "Command", "Mode", "Began", "Took", "State", ""), rows, right=["Run", "Took"], title="Last runs")


def _length(run: Document) -> str | None:
    return None if run["finished_at"] is None else _span((run["finished_at"] - run["started_at"]).total_seconds())


def _summary(run: Document) -> str:
    if run["problem"]:
        return str(run["problem"])
    summary = run["summary"] or {}
    told = [f"{summary[name]:,} {name}" for name in ("evaluated", "planned", "held") if summary.get(name)]
    told += [f"{count:,} {state}" for state, count in (summary.get("outcomes") or {}).items()]
    return ", ".join(told + [f"{pause['name'] or 'all writing'} was paused" for pause in summary.get("paused") or ()])


def _show_budget(output: Output, found: Document) -> None:
    rows = [
        (account, f"{limit} in {_span(use['seconds'])}", round(use["used"]), round(use["of"]))
        for account, limits in found["budget"].items()
        for limit, use in limits.items()
    ]
    output.table(("Account", "Limit", "Used", "Of"), rows, right=["Used", "Of"], title="The CRMs' limits, less what is left to others")


def _show_waiting(output: Output, found: Document, config: Config) -> None:
    zone = config.timezone
    output.table(("State", "Actions"), found["open"].items(), right=["Actions"], title="Actions by state")
    held = [
        (plan["plan"], rule, count, moment(plan["lapses_at"], zone))
        for plan in found["held"]["plans"]
        for rule, count in plan["rules"].items()
    ]
    output.table(("Plan", "Rule / what", "Actions", "Lapses"), held, right=["Plan", "Actions"], title="Held beyond a guard rail")
    parked = [
        (row["rule"], row["target"], f"{row['object']} {row['id']}", row["message"], row["next_step"]) for row in found["parked"]["rows"]
    ]
    output.table(("Rule", "Writes", "Record", "Reason", "Next step"), parked, title=f"Parked: {found['parked']['count']:,}")
    aside = [(NAMES[row["crm"]], row["object"], row["id"], row["reason"], row["next_step"]) for row in found["set_aside"]["rows"]]
    output.table(("CRM", "Object", "Id", "Reason", "Next step"), aside, title=f"Set aside: {found['set_aside']['count']:,}")
    output.table(("Reason", "Contacts"), found["ambiguous"]["reasons"].items(), right=["Contacts"], title="Ambiguous: never written to")
    differs = [(row["hubspot"], row["salesforce"], row["n"]) for row in found["differences"]["stages"]]
    columns = ("HubSpot", "Salesforce", "Contacts")
    output.table(columns, differs, right=["Contacts"], title="Stages that differed when they were adopted (not written)")
    suspended = [(one["field"], one["state"], ", ".join(one["rules"])) for one in found["suspended"]]
    output.table(("Field", "State", "Rules that wait for it"), suspended, title="Suspended")
    if found["halted"] is not None:
        output.line(f"Nobody is judged: {found['halted']}.", style="yellow")
    drifted = [
        (
            NAMES[row["crm"]],
            row["object"],
            row["property"] or None,
            row["what"],
            row["before"],
            row["after"],
            moment(row["at"], zone),
            ", ".join(row["rules"]),
        )
        for row in found["drift"]
    ]
    output.table(
        ("CRM", "Object", "Field", "What", "Before", "Now", "Since", "Rules that read it"), drifted, title="Changed in the CRMs' set-up"
    )
    output.line(f"\n{found['open_tasks']:,} tasks of the connector are open.")


def _span(seconds: float) -> str:
    """A length of time in the largest unit that says something."""
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


# ── Check ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def check(
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    offline: Annotated[bool, typer.Option("--offline", help="Only the file and its examples: no CRM and no database is asked.")] = False,
) -> int:
    """The file and its examples; then credentials, permissions, fields, stages, owners and limits."""
    settings, output = read_config(config), Output(as_json=as_json)
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
            "requires": {crm: [asdict(one) for one in permissions] for crm, permissions in needed.items()},
            "findings": [_plain(finding) for finding in findings],
        }
    )
    _show_permissions(output, needed)
    _show_findings(output, findings, failed, settings, offline=offline)
    return ExitCode.FAILED if failed else ExitCode.DONE


def _permissions(config: Config, findings: list[Finding]) -> dict[CrmName, tuple[Permission, ...]]:
    """What each CRM must allow; as the CRM told it, where it did."""
    told = {finding.topic.partition(":")[0]: finding.permissions for finding in findings if finding.permissions}
    return {crm: told.get(crm, needed) for crm, needed in permissions_needed(config, now=utc_now()).items()}


def _plain(finding: Finding) -> Document:
    return {name: value for name, value in asdict(finding).items() if name != "permissions"}


def _show_permissions(output: Output, needed: Mapping[CrmName, tuple[Permission, ...]]) -> None:
    """All of it, so that whoever sets up the account has one list."""
    for crm, permissions in needed.items():
        rows = [(one.name, one.why, "before going live" if one.to_write else "now", _HAS[one.has]) for one in permissions]
        output.table(("Needs", "For", "When", "Has"), rows, title=f"What the connector must be allowed in {NAMES[crm]}")


_HAS = {True: "yes", False: "no", None: "not told"}


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
