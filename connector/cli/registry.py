"""The commands by name: the module of each, and its line in `connector --help`.

A command's module is imported when the command runs or its own options are asked for: each loads what it needs (the store, the CRMs'
clients, the sandbox), and `connector --help` nothing of it.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class CommandEntry(NamedTuple):
    """Where a command is, in `connector.cli`, and the first line of its help."""

    module: str
    summary: str


#: In the order of `connector --help`. The summary is the docstring's; a test compares them.
COMMANDS: Mapping[str, CommandEntry] = {
    "demo": CommandEntry(
        "demo", "Sandbox CRMs with made-up people, the example's rules, live passes until nothing is left to do. No account is needed."
    ),
    "sandbox": CommandEntry(
        "sandbox",
        "A HubSpot and a Salesforce with made-up people on this machine, until Ctrl-C, and a configuration that points at them.",
    ),
    "init": CommandEntry(
        "init", "A starter file from the CRMs' own fields and stages; without any credentials the example, to be filled in."
    ),
    "check": CommandEntry("check", "The file and its examples; then credentials, permissions, fields, stages, owners and limits."),
    "run": CommandEntry("run", "One pass: pull, evaluate, plan, write back (in shadow: up to the plan)."),
    "pull": CommandEntry("pull", "The mirror only: what changed in the CRMs since the last pull, and whose records belong together."),
    "plan": CommandEntry("plan", "What a pass would do now, without pulling; nothing of it is kept."),
    "reconcile": CommandEntry(
        "reconcile", "Compares every record of the CRMs with the mirror, puts right what differs, and says who is where."
    ),
    "explain": CommandEntry("explain", "Everything known and decided about one contact, and why; also why not."),
    "status": CommandEntry("status", "The last runs, the mirror's age, the CRMs' limits, and everything that waits for somebody."),
    "approve": CommandEntry("approve", "Tries again what a CRM refused of a plan, once it is mended; --drop gives it up."),
    "pause": CommandEntry("pause", "Stops all passes and all writing, or one CRM's, a job, a rule: at once, for every process."),
    "resume": CommandEntry("pause", "Ends a pause. What is paused by itself stays so when everything else goes on."),
    "serve": CommandEntry("serve", "The jobs of [schedule], a pass at once, until Ctrl-C or SIGTERM; what is in hand is finished then."),
    "db": CommandEntry("db", "The connector's own database."),
}


def import_command(name: str) -> Any:
    """The command or group of this name, with its options: a function of its module, or a Typer with commands of its own.

    Any: Typer has no public name for the class of both.
    """
    target: Callable[..., Any] | typer.Typer = getattr(import_module(f"connector.cli.{COMMANDS[name].module}"), name)
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name)(target)
    return typer.main.get_command(single)


class ImportedCommands(UserDict[str, Any]):
    """The commands by name; each is imported when it is looked up first."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(COMMANDS))

    def __getitem__(self, name: str) -> Any:
        if super().__getitem__(name) is None:
            self[name] = import_command(name)
        return super().__getitem__(name)


class LazyGroup(TyperGroup):
    """The group of all commands: it lists them without importing any, and imports the one that is meant.

    Any, here too, is what Typer has no public name for: its context of a command line, its commands.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = ImportedCommands()
        self._listed = {name: TyperCommand(name, help=entry.summary) for name, entry in COMMANDS.items()}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's
        """The names, in order."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002 - Typer's
        """A command as it is listed: its name and one line of help."""
        return self._listed.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that is meant, imported; its name before, what follows it after."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else self.commands[name], rest
