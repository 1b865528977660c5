"""`status`: how the installation stands, for people; with `--health`, for a health check."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from connector.cli.common import CRM_NAMES, DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, command, logging_to_stderr
from connector.cli.output import Output, moment
from connector.cli.store import offline
from connector.config.load import load
from connector.config.tables import Config
from connector.jobs.health import Health
from connector.jobs.health import health as health_of

Document = dict[str, Any]


def status(
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    health: Annotated[bool, typer.Option("--health", help="Only whether the service lives and does its work: exit code 0 or 1.")] = False,
) -> int:
    """The last runs, the mirror's age, the CRMs' limits, and everything that waits for somebody."""
    settings, output = load(config), Output(as_json=as_json)
    with logging_to_stderr(), offline(settings) as app:
        if health:
            return _show_health(output, health_of(app.store, settings, now=app.now()))
        from connector.reports.status import status as status_of  # a health check, each minute, does without the whole report

        report = status_of(app.store, settings, now=app.now())
    output.document(report)
    _show_status(output, report, settings)
    return ExitCode.DONE


def _show_health(output: Output, health: Health) -> int:
    output.document(health.document())
    output.line("well" if health.healthy else "; ".join(health.problems))
    return ExitCode.DONE if health.healthy else ExitCode.FAILED


def _show_status(output: Output, report: Document, config: Config) -> None:
    lag = report["lag_seconds"]
    age = "was never read whole" if lag is None else f"is as of {_span(lag)} ago"
    people = f"{report['contacts']:,} contacts, {report['excluded']:,} of them excluded by [scope]"
    output.line(f"Mode {report['mode']}. The mirror {age}. {people}.")
    if report["file"] is not None:
        file = report["file"]
        by = f" by {file['by']}" if file["by"] else ""
        output.line(f"The file in force is version {file['version']}, applied {moment(file['since'], config.timezone)}{by}.")
    for pause in report["paused"]:
        paused = "Everything" if pause["scope"] == "all" else f"{pause['scope']} {pause['name']}"
        by = f" by {pause['by']}" if pause["by"] else ""
        output.line(f"{paused} is paused since {moment(pause['since'], config.timezone)}{by}.", style="yellow")
    _show_runs(output, report, config)
    _show_budget(output, report)
    acts = [(moment(act["at"], config.timezone), act["deed"], act["about"], act["name"], act["by"], act["way"]) for act in report["acts"]]
    output.table(("When", "Deed", "What", "Name", "By", "Way"), acts, title="What people did last")
    _show_waiting(output, report, config)


def _show_runs(output: Output, report: Document, config: Config) -> None:
    rows = [
        (run["run"], run["command"], run["mode"], moment(run["started_at"], config.timezone), _length(run), run["state"], _summary(run))
        for run in report["runs"]
    ]
    output.table(("Run", "Command", "Mode", "Began", "Took", "State", ""), rows, right=["Run", "Took"], title="Last runs")


def _length(run: Document) -> str | None:
    return None if run["finished_at"] is None else _span((run["finished_at"] - run["started_at"]).total_seconds())


def _summary(run: Document) -> str:
    if run["problem"]:
        return str(run["problem"])
    summary = run["summary"] or {}
    parts = [f"{summary[name]:,} {name}" for name in ("evaluated", "planned", "held") if summary.get(name)]
    parts += [f"{count:,} {state}" for state, count in (summary.get("outcomes") or {}).items()]
    parts += [f"{pause['name'] or 'all writing'} was paused" for pause in summary.get("paused") or ()]
    return ", ".join(parts)


def _show_budget(output: Output, report: Document) -> None:
    rows = [
        (account, f"{limit} in {_span(use['seconds'])}", round(use["used"]), round(use["of"]))
        for account, limits in report["budget"].items()
        for limit, use in limits.items()
    ]
    output.table(("Account", "Limit", "Used", "Of"), rows, right=["Used", "Of"], title="The CRMs' limits, less what is left to others")


def _show_waiting(output: Output, report: Document, config: Config) -> None:
    zone = config.timezone
    output.table(("State", "Actions"), report["open"].items(), right=["Actions"], title="Actions by state")
    held = [
        (plan["plan"], rule, count, moment(plan["lapses_at"], zone))
        for plan in report["held"]["plans"]
        for rule, count in plan["rules"].items()
    ]
    output.table(("Plan", "Rule / what", "Actions", "Lapses"), held, right=["Plan", "Actions"], title="Held beyond a guard rail")
    parked = [
        (row["rule"], row["target"], f"{row['object']} {row['id']}", row["message"], row["next_step"]) for row in report["parked"]["rows"]
    ]
    output.table(("Rule", "Writes", "Record", "Reason", "Next step"), parked, title=f"Parked: {report['parked']['count']:,}")
    _show_refused(output, report, config)
    aside = [(CRM_NAMES[row["crm"]], row["object"], row["id"], row["reason"], row["next_step"]) for row in report["set_aside"]["rows"]]
    output.table(("CRM", "Object", "Id", "Reason", "Next step"), aside, title=f"Set aside: {report['set_aside']['count']:,}")
    output.table(("Reason", "Contacts"), report["ambiguous"]["reasons"].items(), right=["Contacts"], title="Ambiguous: never written to")
    differs = [(row["hubspot"], row["salesforce"], row["n"]) for row in report["differences"]["stages"]]
    columns = ("HubSpot", "Salesforce", "Contacts")
    output.table(columns, differs, right=["Contacts"], title="Stages that differed when they were adopted (not written)")
    suspended = [(field["field"], field["state"], ", ".join(field["rules"])) for field in report["suspended"]]
    output.table(("Field", "State", "Rules that wait for it"), suspended, title="Suspended")
    if report["halted"] is not None:
        output.line(f"Nobody is judged: {report['halted']}.", style="yellow")
    _show_drift(output, report, zone)
    output.line(f"\n{report['open_tasks']:,} tasks of the connector are open.")


def _show_refused(output: Output, report: Document, config: Config) -> None:
    """What a CRM refused and nobody has dealt with; and what came up before going live."""
    refused = report["refused"]
    rows = [
        (row["plan"], row["rule"], row["target"], f"{row['object']} {row['id']}", row["blocked"], row["message"], row["next_step"])
        for row in refused["rows"]
    ]
    columns = ("Plan", "Rule", "Writes", "Record", "Blocked behind it", "Reason", "Next step")
    output.table(columns, rows, right=["Plan", "Blocked behind it"], title=f"Refused: {refused['count']:,}")
    if rows:
        words = command(f"approve {rows[0][0]}", config)
        output.line(f"Once it is mended, `{words}` tries what was refused of a plan again; with --drop it is given up.", style="dim")
    passed, zone = report["before_live"]["rows"], config.timezone
    early = [(row["contact"], row["sla"], row["event"], moment(row["at"], zone), row["owner"]) for row in passed]
    title = f"From before going live, nothing follows: {report['before_live']['count']:,}"
    output.table(("Contact", "SLA", "Event", "At", "Owner"), early, right=["Contact"], title=title)


def _show_drift(output: Output, report: Document, zone: str) -> None:
    """What changed in the CRMs' set-up."""
    columns = ("CRM", "Object", "Field", "What", "Before", "Now", "Since", "Rules that read it")
    rows = [
        (
            CRM_NAMES[row["crm"]],
            row["object"],
            row["property"] or None,
            row["what"],
            row["before"],
            row["after"],
            moment(row["at"], zone),
            ", ".join(row["rules"]),
        )
        for row in report["drift"]
    ]
    output.table(columns, rows, title="Changed in the CRMs' set-up")


def _span(seconds: float) -> str:
    """A length of time in the largest unit that says something."""
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
