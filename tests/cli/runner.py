"""The command line beside a small sandbox: a configuration file that points at it, and a way to type commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from typer.testing import CliRunner, Result

from connector.cli.main import app
from connector.sandbox.configuration import SECRETS, Place, configuration, with_values
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world

#: Whom the small sandbox has.
CONTACTS, LEADS = 200, 80
#: Nobody waits for a limit here: what it costs to keep them is tested where time stands still.
LIMITS: dict[str, Any] = {"requests_per_10_seconds": 10_000, "searches_per_second": 1_000}
RUNNER = CliRunner(env={**SECRETS, "CONNECTOR_DEBUG": ""})


@dataclass(frozen=True)
class CommandLine:
    """One configuration file of a test."""

    config: Path

    def type(self, *words: str) -> Result:
        """A command within this process; `--config` goes after its words."""
        return RUNNER.invoke(app, [*words, "--config", str(self.config)])

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        """The document that a command prints with --json, and nothing else."""
        result = self.type(*words, "--json")
        assert result.exit_code == code, result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    def edit(self, values: Mapping[tuple[str, str], str]) -> None:
        """Sets values of the file: (table, key) → TOML."""
        self.config.write_text(with_values(self.config.read_text(encoding="utf-8"), values), encoding="utf-8")


def command_line(folder: Path, box: Sandbox | None = None, *, mode: Literal["shadow", "live"] = "shadow") -> CommandLine:
    """A file in a folder that points at a sandbox, or at nobody."""
    nobody = ("http://127.0.0.1:9", "https://127.0.0.1:9", str(folder / "no-ca.pem"))
    hubspot, salesforce, authority = nobody if box is None else (box.hubspot_url, box.salesforce_url, box.ca_bundle)
    place = Place(
        hubspot_url=hubspot,
        salesforce_url=salesforce,
        ca_bundle=authority,
        database=f"sqlite:///{folder / 'store.db'}",
        mode=mode,
    )
    file = folder / "config.toml"
    file.write_text(configuration(place, now=datetime.now(UTC)), encoding="utf-8")
    cli = CommandLine(file)
    cli.edit({("crm.hubspot", name): str(limit) for name, limit in LIMITS.items()})
    return cli


def small_sandbox() -> Sandbox:
    """A few people, by the real clock: commands know no other. Its limits are as wide as those of `command_line`."""
    world = make_world(now=datetime.now(UTC), hubspot_contacts=CONTACTS, salesforce_leads=LEADS)
    return Sandbox(world, hubspot=HubSpotOptions(**LIMITS))


def start(*words: str, **options: Any) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "connector", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **SECRETS},
        **options,
    )
