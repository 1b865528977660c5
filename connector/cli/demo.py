"""`demo`: the whole way on made-up people, told as a story, and the commands to try next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from connector.app import open_store, utc_now
from connector.cli.common import AsJson, ExitCode, command, logging_to_stderr, orderly
from connector.cli.demo_run import MOST_PASSES, Demo, Size, run_demo
from connector.cli.demo_story import tell_story
from connector.cli.output import Output, moment, values
from connector.cli.progress import pass_progress
from connector.cli.pull_summary import show_errors, show_pulled
from connector.config.tables import Config
from connector.engine import PassResult, pulled_document

Document = Mapping[str, Any]


def demo(
    as_json: AsJson = False,
    folder: Annotated[Path, typer.Option("--folder", metavar="DIR", help="Where its files go; made anew each time.")] = Path("demo"),
    contacts: Annotated[int, typer.Option(min=1, hidden=True)] = Size().contacts,
    leads: Annotated[int, typer.Option(min=1, hidden=True)] = Size().leads,
    seed: Annotated[int, typer.Option(hidden=True)] = Size().seed,
) -> int:
    """Sandbox CRMs with made-up people, the example's rules, live passes until nothing is left to do. No account is needed."""
    output = Output(as_json=as_json)
    output.line(f"Making up a HubSpot with {contacts:,} contacts and a Salesforce with {leads:,} Leads, 90 days of history in both …")
    with logging_to_stderr(), orderly() as asked:
        done = run_demo(
            folder,
            size=Size(contacts=contacts, leads=leads, seed=seed),
            watch=lambda: pass_progress(output.console, watched=output.watched),
            pass_ended=lambda number, result, seconds: _show_pass(output, number, result, seconds),
            stopped=asked,
        )
    with open_store(done.config) as store:
        story = tell_story(store, done.config)
    next_commands = _next_commands(done.config, story)
    output.document(_document(done, story, next_commands))
    _show(output, done, story, next_commands)
    if asked():
        return asked.exit_code
    return ExitCode.DONE if done.quiet else ExitCode.FAILED


def _document(done: Demo, story: Document, next_commands: Sequence[tuple[str, str]]) -> dict[str, Any]:
    first = done.passes[0] if done.passes else None
    return {
        "config": done.config.source,
        "quiet": done.quiet,
        "passes": [result.document() for result in done.passes],
        "pulled": {} if first is None else pulled_document(first.pulled),
        **{name: story[name] for name in ("moved", "tasks", "slas", "rejections")},
        "calls": dict(done.calls),
        "seconds": round(done.seconds, 1),
        "try": [line for line, _ in next_commands],
    }


def _next_commands(config: Config, story: Document) -> list[tuple[str, str]]:
    """Commands that work on what the demo leaves behind, and what each is for."""
    later = (utc_now().astimezone(ZoneInfo(config.timezone)) + timedelta(days=3)).replace(hour=12, minute=0)
    next_commands = [
        (command("status", config), "how it all stands"),
        (command(f"plan --at {later:%Y-%m-%dT%H:%M}", config), "what a pass would do in three days, if nobody did anything"),
    ]
    if story["try_email"]:
        next_commands.insert(0, (command(f"explain {story['try_email']}", config), "one lead: what is known, what was decided, and why"))
    return next_commands


# ── The story ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _show_pass(output: Output, number: int, result: PassResult, seconds: float) -> None:
    written = sum(result.outcomes.values())
    seen = sum(stream.seen for streams in result.pulled.values() for stream in streams.values())
    deeds = f"{result.planned:,} actions planned, {written:,} carried out" if result.planned or written else "nothing left to do"
    if result.interrupted or result.errors:
        deeds = "stopped as asked" if result.interrupted else "stopped by an error"
    output.line(f"Pass {number} ({seconds:.1f} s): {seen:,} records read, {result.evaluated:,} contacts judged, {deeds}.")


def _show(output: Output, done: Demo, story: Document, next_commands: Sequence[tuple[str, str]]) -> None:
    if done.passes:
        show_pulled(output, done.passes[0].pulled)
    _show_moved(output, story["moved"], done.config.timezone)
    _show_tasks(output, story["tasks"], done.config.timezone)
    _show_slas(output, story["slas"], done.config.timezone)
    _show_rejections(output, story["rejections"])
    show_errors(output, done.errors)
    calls = ", ".join(f"{count:,} to {name}" for name, count in sorted(done.calls.items()))
    output.heading(f"{len(done.passes)} passes in {done.seconds:.0f} s, with the sandbox's start; calls: {calls or 'none'}.")
    if done.interrupted:
        output.line("Stopped as asked; the next demo begins anew.")
        return
    if not done.quiet and not done.errors:
        output.line(f"There was still something to do after {MOST_PASSES} passes.", style="yellow")
    output.line("The sandbox is gone; what the connector knows is kept. Try next:")
    for line, meaning in next_commands:
        output.line(f"\n  # {meaning}", style="dim")
        output.line("  ", line)
    output.line(f"\nThe rules are in {done.config.source}.")


def _show_moved(output: Output, lines: Sequence[Document], zone: str) -> None:
    rows = []
    for line in lines:
        step = f"{line['from'] or 'none'} → {line['to'] or 'none'}"
        rows.append((line["rule"], step, line["contacts"], _named(line["examples"], lambda person: _why(person, zone))))
    output.table(("Rule", "From → to", "Contacts", "For example, and why"), rows, right=["Contacts"], title="Who moved")


def _show_tasks(output: Output, lines: Sequence[Document], zone: str) -> None:
    rows = [
        (line["task"], line["owner"], line["created"], line["waiting"], [_task(task, zone) for task in line["examples"][:2]])
        for line in lines
    ]
    numbers = ("Created", "For another day")
    output.table(("Task", "Owner", *numbers, "For example"), rows, right=numbers, title="Tasks")


def _task(task: Document, zone: str) -> str:
    return f"{task['subject']} (due {moment(datetime.fromisoformat(task['due_at']), zone)})"


def _show_slas(output: Output, lines: Sequence[Document], zone: str) -> None:
    numbers = ("Breached", "Warned", "Running", "Met", "Ended")
    rows = [
        (line["name"], line["owner"], *(line[name.lower()] for name in numbers), _named(line["examples"], lambda clock: _due(clock, zone)))
        for line in lines
    ]
    output.table(("SLA", "Owner", *numbers, "Breached, for example"), rows, right=numbers, title="SLA clocks")


def _due(clock: Document, zone: str) -> str:
    return f"due {moment(clock['due_at'], zone)}"


def _show_rejections(output: Output, lines: Sequence[Document]) -> None:
    rows = [
        (line["reason"] or "none given", line["rejected"], line["disqualified"], line["sent_back"], _named(line["examples"], _by))
        for line in lines
    ]
    numbers = ("Before a touch", "After one", "Sent back")
    output.table(("Reason", *numbers, "For example"), rows, right=numbers, title="Rejected by sales")


def _by(rejection: Document) -> str:
    return f"{rejection['touches']} touches by {rejection['owner'] or 'nobody'}"


def _why(person: Document, zone: str) -> str:
    return values({name: value for name, value in person["why"].items() if name != "rule" and value is not None}, zone)


def _named(examples: Sequence[Document], say: Callable[[Document], str | None]) -> list[str]:
    return [f"{person['name'] or person['email'] or 'somebody'}: {say(person)}" for person in examples]
