"""The summary of a pull, as several commands show it: what was read, what was removed, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.cli.common import CRM_NAMES
from connector.cli.output import Output
from connector.errors import ConnectorError
from connector.pipeline.pull.removals import Looked
from connector.pipeline.pull.streams import StreamPull


def show_pulled(output: Output, pulled: Mapping[str, Mapping[str, StreamPull]]) -> None:
    """What was read, per CRM and object."""
    counts = ("seen", "stored", "unchanged", "set_aside", "calls")
    rows = [
        (CRM_NAMES[crm], stream, *(getattr(result, count) for count in counts), "" if result.whole else "stopped")
        for crm, streams in pulled.items()
        for stream, result in streams.items()
    ]
    numbers = ("Seen", "New or changed", "Unchanged", "Set aside", "Calls")
    output.table(("CRM", "Object", *numbers, ""), rows, right=numbers, title="Pulled")


def show_removed(output: Output, removed: Mapping[str, Mapping[str, Looked]]) -> None:
    """What was found gone, back again, missing here or about other people, per CRM and object; quiet objects are left out."""
    counts = ("archived", "merged", "deleted", "purged", "restored", "found", "relinked")
    rows = [
        (CRM_NAMES[crm], name, *(getattr(looked, count) for count in counts), _extent(looked))
        for crm, objects in removed.items()
        for name, looked in objects.items()
        if _extent(looked) or any(getattr(looked, count) for count in counts)
    ]
    numbers = tuple(count.capitalize() for count in counts)
    output.table(("CRM", "Object", *numbers, ""), rows, right=numbers, title="What no modified date tells")
    if not rows:
        output.line("\nNothing was removed, restored or linked anew.")


def _extent(looked: Looked) -> str:
    return "stopped" if looked.error else "compared whole" if looked.compared else ""


def show_errors(output: Output, errors: Sequence[ConnectorError]) -> None:
    """What went wrong, and the way out; where it is the same for several, once, after them."""
    if errors:
        output.heading("Errors")
    by_advice: dict[str, list[ConnectorError]] = {}
    for error in errors:
        by_advice.setdefault(error.advice, []).append(error)
    for advice, alike in by_advice.items():
        for error in alike:
            output.line("✗ ", error.message, style="red")
        if advice:
            output.line("  ", advice)
