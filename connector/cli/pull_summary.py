"""What several commands say of a pull: what was read, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.cli.output import Output
from connector.cli.progress import NAMES
from connector.errors import ConnectorError
from connector.pipeline.pull.streams import StreamPull


def show_pulled(output: Output, pulled: Mapping[str, Mapping[str, StreamPull]]) -> None:
    """What was read, per CRM and object."""
    rows = [
        (NAMES[crm], stream, result.seen, result.stored, result.set_aside, result.calls, "" if result.whole else "stopped")
        for crm, streams in pulled.items()
        for stream, result in streams.items()
    ]
    numbers = ("Seen", "New or changed", "Set aside", "Calls")
    output.table(("CRM", "Object", *numbers, ""), rows, right=numbers, title="Pulled")


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
