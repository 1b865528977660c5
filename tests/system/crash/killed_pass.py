"""Runs one pass and kills this process (SIGKILL) at a given instruction of it. Started by test_killed.py as a process of its own.

Arguments: the configuration file, the moment (ISO), the phase (pull, unify, judge, plan, write_back), how many times to let it go by, and
where: "before", "inside" or "after" the commit of a write, or "acted": a CRM acted and its answer was not yet settled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from connector import engine
from connector.app import open_app
from connector.config.load import load
from connector.pipeline import installation
from connector.store.database import Store
from tests.system.crash.kill_switch import Bomb


class InPhase:
    """Knows which phase is under way, and tells the bomb what goes by in it."""

    def __init__(self, bomb: Bomb) -> None:
        self.bomb = bomb
        self.now_in = ""

    def passes(self, where: str) -> None:
        if self.now_in:
            self.bomb.passes(self.now_in, where)


def wire(bomb: InPhase) -> None:
    """Puts the bomb into the phases, the store's writes and the CRMs' write calls."""
    modules = {"pull": installation, "unify": engine, "judge": engine, "plan": engine, "write_back": engine}
    for phase, module in modules.items():
        setattr(module, phase, during(bomb, phase, getattr(module, phase)))
    write = Store.write

    def watched(store: Store, work: Callable[[Connection], Any]) -> Any:
        def inside(connection: Connection) -> Any:
            result = work(connection)
            bomb.passes("inside")
            return result

        bomb.passes("before")
        result = write(store, inside)
        bomb.passes("after")
        return result

    Store.write = watched  # type: ignore[method-assign, assignment]  # the test's own process


def during(bomb: InPhase, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **options: Any) -> Any:
        bomb.now_in = phase
        try:
            return function(*args, **options)
        finally:
            bomb.now_in = ""

    return run


def main() -> None:
    path, moment, phase, count, where = sys.argv[1:]
    bomb = InPhase(Bomb(phase, where, int(count)))
    now = datetime.fromisoformat(moment)
    with open_app(load(Path(path)), now=lambda: now) as app:
        for crm in app.crms.values():
            for name in ("update", "create_tasks"):
                setattr(crm, name, acting(bomb, getattr(crm, name)))
        wire(bomb)
        result = engine.run_pass(app.context())
        sys.exit(1 if result.errors else 0)


def acting(bomb: InPhase, call: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        answer = call(*args)
        bomb.passes("acted")
        return answer

    return run


if __name__ == "__main__":
    main()
