"""An explanation of a contact as a page: who it is, where it stands, what the rules say of it and why, and what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from connector.cli.common import CRM_NAMES
from connector.cli.explain_past import show_past
from connector.cli.output import Output, cell, moment, number
from connector.config.tables import Config
from connector.workflows.sla import EVENTS

Document = Mapping[str, Any]


def show_contact(output: Output, explanation: Document, config: Config) -> None:
    """The whole page. Moments in the business's own time zone."""
    zone = config.timezone
    _head(output, explanation, zone)
    records = [(CRM_NAMES[row["crm"]], row["object"], row["id"], row["role"], row["url"]) for row in explanation["records"]]
    output.table(("CRM", "Object", "Id", "Role", "Address"), records, title="Records")
    fields = []
    for name, field in explanation["fields"].items():
        values = [_value(field[side], zone) for side in ("value", "hubspot", "salesforce")]
        if any(value is not None for value in values):
            fields.append((name, *values))
    output.table(("Field", "Value", "HubSpot", "Salesforce"), fields, title="Fields")
    _judged(output, explanation, config)
    _transitions(output, explanation, zone)
    _clocks(output, explanation, zone)
    show_past(output, explanation, zone)
    _history(output, explanation, zone)


def _head(output: Output, explanation: Document, zone: str) -> None:
    fields = explanation["fields"]

    def value(name: str) -> str:
        return str(fields.get(name, {}).get("value") or "")

    full_name = " ".join(part for part in (value("first_name"), value("last_name")) if part)
    name = full_name or value("email") or f"Contact {explanation['contact']}"
    output.heading(", ".join(part for part in (name, value("job_title"), value("company")) if part))
    since = "" if explanation["stage_since"] is None else f" since {moment(explanation['stage_since'], zone)}"
    output.line(f"Stage {explanation['stage'] or 'none'}{since}. Owner: {explanation['owner'] or explanation['owner_queue'] or 'nobody'}.")
    if explanation["stage_differs"]:
        output.line("The CRMs told different stages when it was adopted.", style="yellow")
    for condition, text in (
        (explanation["gone"], "No record of it is left in the CRMs."),
        (explanation["excluded"], "Excluded by [scope]: judged by no rule, never written to."),
        (explanation["ambiguous"], f"Ambiguous, never written to: {explanation['ambiguous']}."),
    ):
        if condition:
            output.line(text, style="yellow")
    judged = moment(explanation["judged_at"], zone)
    output.line(f"Last judged by a pass: {judged or 'never'}. What follows is as of now.", style="dim")


# ── What the rules say ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _judged(output: Output, explanation: Document, config: Config) -> None:
    criteria = explanation["criteria"]
    if criteria:
        needed = config.qualification.minimum if config.qualification is not None else 0
        output.heading(
            f"Qualification: {explanation['criteria_met']} of {len(criteria)} criteria met, {needed} needed: "
            f"{'qualified' if explanation['qualified'] else 'not qualified'}"
        )
        for criterion in criteria:
            output.line(_mark(criterion["met"]), f" {criterion['name']}")
            _parts(output, criterion["parts"], config.timezone)
    if explanation["scores"]:
        output.heading(f"Score: {number(explanation['score'])}")
        for score in explanation["scores"]:
            output.line(_mark(score["met"]), f" {number(score['points']):>6}  {score['name']}")


def _transitions(output: Output, explanation: Document, zone: str) -> None:
    output.heading("Transitions")
    for step in explanation["transitions"]:
        verdict = step["waits"] or ("fires" if step["fires"] else "its condition is not met")
        output.line(_mark(step["fires"] and not step["waits"]), f" {step['name']} → {step['to']}: {verdict}")
        _parts(output, step["parts"], zone)


def _parts(output: Output, parts: Sequence[Document], zone: str) -> None:
    """Each part of a condition, with what stands there now."""
    for part in parts:
        value = part["value"]
        line = Text.assemble("      ", _mark(part["met"]), f" {part['text']}")
        if not isinstance(value, bool):
            line.append_text(Text.assemble(("   is ", "dim"), cell(_value(value, zone))))
        output.line(line)


def _value(value: Any, zone: str) -> Any:
    """A value for people: moments in the business's own zone, several values in one line."""
    if isinstance(value, datetime):
        return moment(value, zone)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_value(item, zone)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(_value(item, zone)) for item in value)
    return value


def _mark(met: bool | None) -> Text:
    """Met, not met, or (None) nobody knows."""
    if met is None:
        return Text("?", style="dim")
    return Text("✓", style="green") if met else Text("✗", style="red")


# ── What happened ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _clocks(output: Output, explanation: Document, zone: str) -> None:
    rows = []
    for clock in explanation["slas"]:
        started, due, met = (moment(clock[name], zone) for name in ("started_at", "due_at", "met_at"))
        early = clock["before_live"] is not None and clock["before_live"] == EVENTS.get(clock["state"])
        state = f"{clock['state']} before going live: nothing follows" if early else clock["state"]
        rows.append((clock["name"], state, started, due, clock["touches"], met))
    output.table(("Clock", "State", "Started", "Due", "Touches", "Met"), rows, right=["Touches"], title="SLA clocks")
    for rule in explanation["sla_waits"]:
        output.line(f"No clock {rule['name']}: {rule['waits']}.", style="dim")


def _history(output: Output, explanation: Document, zone: str) -> None:
    rows = [
        (moment(entry["at"], zone), entry["what"], _change(entry), entry["by"], entry.get("outcome", ""))
        for entry in explanation["history"]
    ]
    output.table(("When", "What", "Before → after", "By", "Outcome"), rows, title="History")


def _change(entry: Document) -> str:
    before, after = entry["before"], entry["after"]
    if before is None:
        return "" if after is None else str(after)
    return f"{before} → {after if after is not None else '–'}"
