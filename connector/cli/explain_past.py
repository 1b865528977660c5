"""The part of an explanation that tells what was: owners, what attempts looked like, which files it was judged by, what people did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connector.cli.common import CRM_NAMES
from connector.cli.output import Output, moment, number

Document = Mapping[str, Any]


def show_past(output: Output, explanation: Document, zone: str) -> None:
    """Its tables, those that have rows. Moments in the business's own time zone."""
    owners = [_owner(stay, zone) for stay in explanation["owners"]]
    output.table(("CRM", "Owner", "Since", "Until", "By"), owners, title="Owners")
    columns = ("Attempt", "", "At", "Stage", "Owner", "Source", "Criteria", "Score", "Touches", "File")
    output.table(columns, list(_snapshots(explanation, zone)), right=["Score", "Touches"], title="What its attempts looked like")
    files = [(version, moment(file["since"], zone), file["by"]) for version, file in explanation["files"].items()]
    output.table(("File", "In force since", "Applied by"), files, title="The files that it was judged by")
    acts = [(moment(act["at"], zone), act["deed"], f"{act['about']} {act['name']}".strip(), act["by"]) for act in explanation["acts"]]
    output.table(("When", "Deed", "What", "By"), acts, title="What people did")


def _owner(stay: Document, zone: str) -> tuple[Any, ...]:
    """A moment that nobody told is when it was seen."""
    since = moment(stay["since"], zone)
    by = f"rule {stay['rule']}" if stay["rule"] else stay["by"]
    owner = stay["owner"] or stay["owner_id"]
    return CRM_NAMES[stay["crm"]], owner, since if stay["stated"] else f"{since} (seen)", moment(stay["until"], zone), by


def _snapshots(explanation: Document, zone: str) -> Iterator[tuple[Any, ...]]:
    for attempt in explanation["attempts"]:
        for which, look in sorted(attempt["snapshots"].items()):
            what = look["outcome"] or (f"{which}, seen later" if look["late"] else which)
            criteria = None if look["criteria"] is None else ", ".join(look["criteria"])
            yield (
                attempt["number"],
                what,
                moment(look["at"], zone),
                look["stage"],
                look["owner"],
                look["lead_source"],
                criteria,
                None if look["score"] is None else number(look["score"]),
                look["touch_count"],
                look["config_version"],
            )
