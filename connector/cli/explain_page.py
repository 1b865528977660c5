"""What `explain` found, as a page: who it is, where it stands, what the rules say of it and why, and what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from connector.cli.common import CRM_NAMES
from connector.cli.output import Output, cell, moment, number
from connector.config.tables import Config

Document = Mapping[str, Any]


def show_contact(output: Output, found: Document, config: Config) -> None:
    """The whole page. Moments in the business's own time zone."""
    zone = config.timezone
    _head(output, found, zone)
    records = [(CRM_NAMES[row["crm"]], row["object"], row["id"], row["role"], row["url"]) for row in found["records"]]
    output.table(("CRM", "Object", "Id", "Role", "Address"), records, title="Records")
    fields = []
    for name, one in found["fields"].items():
        said = [_value(one[side], zone) for side in ("value", "hubspot", "salesforce")]
        if any(value is not None for value in said):
            fields.append((name, *said))
    output.table(("Field", "Value", "HubSpot", "Salesforce"), fields, title="Fields")
    _judged(output, found, config)
    _transitions(output, found, zone)
    _clocks(output, found, zone)
    _history(output, found, zone)


def _head(output: Output, found: Document, zone: str) -> None:
    fields = found["fields"]

    def said(name: str) -> str:
        return str(fields.get(name, {}).get("value") or "")

    name = " ".join(part for part in (said("first_name"), said("last_name")) if part) or said("email") or f"Contact {found['contact']}"
    output.heading(", ".join(part for part in (name, said("job_title"), said("company")) if part))
    since = "" if found["stage_since"] is None else f" since {moment(found['stage_since'], zone)}"
    output.line(f"Stage {found['stage'] or 'none'}{since}. Owner: {found['owner'] or found['owner_queue'] or 'nobody'}.")
    if found["stage_differs"]:
        output.line("The CRMs told different stages when it was adopted.", style="yellow")
    for condition, text in (
        (found["gone"], "No record of it is left in the CRMs."),
        (found["excluded"], "Excluded by [scope]: judged by no rule, never written to."),
        (found["ambiguous"], f"Ambiguous, never written to: {found['ambiguous']}."),
    ):
        if condition:
            output.line(text, style="yellow")
    judged = moment(found["judged_at"], zone)
    output.line(f"Last judged by a pass: {judged or 'never'}. What follows is as of now.", style="dim")


# ── What the rules say ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _judged(output: Output, found: Document, config: Config) -> None:
    criteria = found["criteria"]
    if criteria:
        needed = config.qualification.minimum if config.qualification is not None else 0
        output.heading(
            f"Qualification: {found['criteria_met']} of {len(criteria)} criteria met, {needed} needed: "
            f"{'qualified' if found['qualified'] else 'not qualified'}"
        )
        for criterion in criteria:
            output.line(_mark(criterion["met"]), f" {criterion['name']}")
            _parts(output, criterion["parts"], config.timezone)
    if found["scores"]:
        output.heading(f"Score: {number(found['score'])}")
        for score in found["scores"]:
            output.line(_mark(score["met"]), f" {number(score['points']):>6}  {score['name']}")


def _transitions(output: Output, found: Document, zone: str) -> None:
    output.heading("Transitions")
    for step in found["transitions"]:
        verdict = step["waits"] or ("fires" if step["fires"] else "its condition is not met")
        output.line(_mark(step["fires"] and not step["waits"]), f" {step['name']} → {step['to']}: {verdict}")
        _parts(output, step["parts"], zone)


def _parts(output: Output, parts: Sequence[Document], zone: str) -> None:
    """Each part of a condition, with what stands there now."""
    for part in parts:
        value = part["value"]
        shown = Text.assemble("      ", _mark(part["met"]), f" {part['text']}")
        if not isinstance(value, bool):
            shown.append_text(Text.assemble(("   is ", "dim"), cell(_value(value, zone))))
        output.line(shown)


def _value(value: Any, zone: str) -> Any:
    """A value for people: moments in the business's own zone, several values in one line."""
    if isinstance(value, datetime):
        return moment(value, zone)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_value(one, zone)}" for name, one in value.items())
    return ", ".join(str(_value(one, zone)) for one in value) if isinstance(value, list | tuple) else value


def _mark(met: bool | None) -> Text:
    return Text("✓", style="green") if met else Text("✗", style="red") if met is not None else Text("?", style="dim")


# ── What happened ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _clocks(output: Output, found: Document, zone: str) -> None:
    rows = []
    for one in found["slas"]:
        started, due, met = (moment(one[name], zone) for name in ("started_at", "due_at", "met_at"))
        rows.append((one["name"], one["state"], started, due, one["touches"], met))
    output.table(("Clock", "State", "Started", "Due", "Touches", "Met"), rows, right=["Touches"], title="SLA clocks")
    for one in found["sla_waits"]:
        output.line(f"No clock {one['name']}: {one['waits']}.", style="dim")


def _history(output: Output, found: Document, zone: str) -> None:
    rows = [(moment(one["at"], zone), one["what"], _change(one), one["by"], one.get("outcome", "")) for one in found["history"]]
    output.table(("When", "What", "Before → after", "By", "Outcome"), rows, title="History")


def _change(entry: Document) -> str:
    before, after = entry["before"], entry["after"]
    if before is None:
        return "" if after is None else str(after)
    return f"{before} → {after if after is not None else '–'}"
