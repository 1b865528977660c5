"""Runs one pass and kills its process (SIGKILL) at a given instruction of it. Started by test_killed_passes.py.

An order (see `forking`): the configuration file (path), the moment (ISO), and the place: the phase (one of PHASES), where ("before",
"inside" or "after" the commit of a write, or "acted": a CRM acted and its answer was not yet settled), and how many go by.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection

from connector import engine
from connector.app import open_app
from connector.config.load import load
from connector.pipeline import installation
from connector.store.database import Store
from tests.system.crash.forking import serve
from tests.system.crash.kill_switch import KillSwitch

#: Each phase, and the function of which module it is.
PHASES: Mapping[str, tuple[ModuleType, str]] = {
    "pull": (installation, "pull"),
    "unify": (engine, "unify"),
    "evaluate": (engine, "evaluate_due"),
    "plan": (engine, "plan"),
    "write_back": (engine, "write_back"),
}


class InPhase:
    """Knows which phase is under way, and tells the switch what goes by in it."""

    def __init__(self, switch: KillSwitch) -> None:
        self.switch = switch
        self.now_in = ""

    def passes(self, where: str) -> None:
        if self.now_in:
            self.switch.passes(self.now_in, where)


def wire(switch: InPhase) -> None:
    """Puts the switch into the phases, the store's writes and the CRMs' write calls."""
    for phase, (module, name) in PHASES.items():
        setattr(module, name, during(switch, phase, getattr(module, name)))
    write = Store.write

    def watched(store: Store, work: Callable[[Connection], Any]) -> Any:
        def inside(connection: Connection) -> Any:
            result = work(connection)
            switch.passes("inside")
            return result

        switch.passes("before")
        result = write(store, inside)
        switch.passes("after")
        return result

    Store.write = watched  # type: ignore[method-assign, assignment]  # the test's own process


def during(switch: InPhase, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **options: Any) -> Any:
        around, switch.now_in = switch.now_in, phase  # a slice is planned before the next is judged
        try:
            return function(*args, **options)
        finally:
            switch.now_in = around

    return run


def obey(order: dict[str, Any]) -> None:
    """One pass, with the switch in place."""
    phase, where, count = order["place"]
    switch = InPhase(KillSwitch(phase, where, count))
    now = datetime.fromisoformat(order["moment"])
    with open_app(load(Path(order["path"])), now=lambda: now) as app:
        for crm in app.crms.values():
            for name in ("update", "create_tasks"):
                setattr(crm, name, acting(switch, getattr(crm, name)))
        wire(switch)
        result = engine.run_pass(app.context())
        sys.exit(1 if result.errors else 0)


def acting(switch: InPhase, call: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        answer = call(*args)
        switch.passes("acted")
        return answer

    return run


if __name__ == "__main__":
    serve(obey)
