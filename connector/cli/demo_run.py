"""The demo: a sandbox, the example's rules in live mode, passes until nothing is left to do.

The sandbox runs in threads of this process: a process of its own was measured too and is no faster, since the first pass waits for
HubSpot's limits and not for a processor. Everything is made anew in one folder: configuration, database, the sandbox's secrets. The
sandbox is gone afterwards; the database stays, so that what happened can be looked at.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from connector.app import open_app, open_store, utc_now
from connector.config.load import load
from connector.config.tables import Config
from connector.engine import PassResult, Progress
from connector.errors import ConnectorError
from connector.jobs.once import run_pass_once
from connector.sandbox.configuration import SECRETS, Place, configuration
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world

#: More passes than this are not tried; three are usual.
MOST_PASSES = 8
_HEADING = "# Made by `connector demo`, which makes it anew each time: the example's rules, live, with rails wide enough for all of them."
_CONFIG = "config.toml"
_DATABASE = "connector.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the sandbox is."""

    contacts: int = 5000
    leads: int = 2000
    seed: int = 7


@dataclass(slots=True, kw_only=True)
class Demo:
    """What the demo did. calls: requests a CRM was asked, over all passes. interrupted: somebody ended it before it was quiet."""

    config: Config
    passes: list[PassResult] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def errors(self) -> list[ConnectorError]:
        """What went wrong in the last pass."""
        return self.passes[-1].errors if self.passes else []

    @property
    def quiet(self) -> bool:
        """Whether nothing is left to do."""
        return bool(self.passes) and is_quiet(self.passes[-1])


def run_demo(
    folder: Path,
    *,
    size: Size,
    watch: Callable[[], AbstractContextManager[Progress]],
    pass_ended: Callable[[int, PassResult, float], None],
    stopped: Callable[[], bool] = lambda: False,
) -> Demo:
    """Runs it whole. watch: shows one pass on its way; pass_ended: is given the number, result and seconds of each pass.

    Raises `ConnectorError` where the folder holds somebody's own file.
    """
    began = time.monotonic()
    make_folder(folder)
    with Sandbox(make_world(seed=size.seed, now=utc_now(), hubspot_contacts=size.contacts, salesforce_leads=size.leads)) as box:
        config = write_configuration(folder, box, now=utc_now())
        with open_store(config) as store:
            store.upgrade()
        demo = Demo(config=config)
        with open_app(config) as app:
            while len(demo.passes) < MOST_PASSES and not demo.quiet and not demo.errors and not stopped():
                start = time.monotonic()
                with watch() as progress:
                    demo.passes.append(run_pass_once(app, progress=progress, stopped=stopped))
                pass_ended(len(demo.passes), demo.passes[-1], time.monotonic() - start)
            demo.calls.update({str(name): crm.calls() for name, crm in app.crms.items()})
    demo.interrupted = stopped()
    demo.seconds = time.monotonic() - began
    return demo


def is_quiet(result: PassResult) -> bool:
    """A pass that planned nothing and wrote nothing."""
    return not result.planned and not result.outcomes and not result.errors and not result.interrupted


def make_folder(folder: Path) -> None:
    """An empty place; what an earlier demo left there goes. Raises `ConnectorError` where something else stands there."""
    file = folder / _CONFIG
    if file.exists() and not file.read_text(encoding="utf-8", errors="replace").startswith(_HEADING):
        raise ConnectorError(f"{file} is not the demo's", advice="Name another folder: `connector demo --folder DIR`.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (_CONFIG, *(f"{_DATABASE}{ending}" for ending in ("", "-wal", "-shm"))):
            (folder / name).unlink(missing_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise ConnectorError(f"the folder {folder} cannot be used: {error.strerror}", advice="Name another one with --folder.") from error


def write_configuration(folder: Path, box: Sandbox, *, now: datetime) -> Config:
    """The demo's file, and the sandbox's secrets in files beside it."""
    home = folder.resolve()
    secrets = {}
    for name, value in SECRETS.items():
        file = home / name.lower()
        file.write_text(f"{value}\n", encoding="utf-8")
        secrets[name] = f"file:{file}"
    text = configuration(
        Place(
            hubspot_url=box.hubspot_url,
            salesforce_url=box.salesforce_url,
            ca_bundle=box.ca_bundle,
            database=f"sqlite:///{home / _DATABASE}",
            mode="live",
            secrets=secrets,
            heading=_HEADING,
        ),
        now=now,
    )
    (folder / _CONFIG).write_text(text, encoding="utf-8")
    return load(folder / _CONFIG)
