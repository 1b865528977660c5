"""Pulls, unifies and judges as the connector does, and kills its process (SIGKILL) at a given instruction. Started by test_killed_pulls.py.

An order (see `forking`): the configuration file (path), the moment (ISO), the job ("pull" or "look": a pull and the look for removals),
and the place to end at: phase, where and how many go by there (see `Places`), or null. The last line tells what it met and did.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

from connector.app import App, Pacing, open_app
from connector.config.load import load
from connector.engine import evaluate
from connector.jobs.mirror_jobs import look_for_removals, pull_only
from connector.pipeline.installation import catch_up, prepare
from connector.pipeline.pull.streams import streams_of
from connector.pipeline.unify import ContactWriter, linking
from connector.store.database import Store
from connector.store.mirror import pages
from tests.system.crash.forking import serve
from tests.system.crash.kill_switch import KillSwitch


class Places:
    """Tells the switch what goes by in the store's transactions.

    ("page", "statement"): before and after each statement of the commit of a page that brought something; ("page", "commit"): before its
    COMMIT; ("page", "committed"): right after it. ("cursor", "before" / "after" / "commit"): around the statement that moves a cursor, and
    before the COMMIT behind it. ("unify", "link" / "contact"): before and after each statement of a slice; ("unify", "between"): after the
    slice's COMMIT.
    """

    def __init__(self, switch: KillSwitch) -> None:
        self._switch = switch
        self._here = threading.local()

    @property
    def _doing(self) -> str:
        return getattr(self._here, "doing", "")

    def wire(self) -> None:
        """Puts the switch in place."""
        commit_page, link, slice_, write = pages.commit_page, linking.link_slice, ContactWriter.write_slice, Store._once

        def page_committed(store: Store, page: Any, **options: Any) -> Any:
            self._here.doing = "page" if page.seen else ""
            try:
                return commit_page(store, page, **options)
            finally:
                self._here.doing = ""

        def in_slice(place: str, work: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **options: Any) -> Any:
                self._here.doing = place
                return work(*args, **options)

            return run

        def once(store: Store, work: Callable[[Connection], Any]) -> Any:
            result = write(store, work)
            place = {"page": ("page", "committed"), "link": ("unify", "between"), "contact": ("unify", "between")}.get(self._doing)
            self._here.doing, self._here.moved = "", False
            if place is not None:
                self._switch.passes(*place, "right after COMMIT")
            return result

        def handed_over(store: Store, work: Callable[[Connection], Any]) -> Any:
            doing = self._doing  # of this thread; the work may be done by the store's own

            def inside(connection: Connection) -> Any:
                self._here.doing, self._here.moved = doing, False
                return work(connection)

            return submit(store, inside)

        submit = Store.write
        pages.commit_page = page_committed
        linking.link_slice = in_slice("link", link)
        ContactWriter.write_slice = in_slice("contact", slice_)  # type: ignore[method-assign]  # the test's own process
        Store._once, Store.write = once, handed_over  # type: ignore[method-assign, assignment]  # as above
        event.listen(Engine, "before_cursor_execute", lambda *args: self._statement("before", args[2]))
        event.listen(Engine, "after_cursor_execute", lambda *args: self._statement("after", args[2]))
        event.listen(Engine, "commit", lambda _: self._commit())

    def _statement(self, when: str, statement: str) -> None:
        told = f"{when} {' '.join(statement.split()[:4])}"
        if statement.startswith("INSERT INTO cursor"):
            self._here.moved = True
            self._switch.passes("cursor", when, told)
        elif self._doing == "page":
            self._switch.passes("page", "statement", told)
        elif self._doing:
            self._switch.passes("unify", self._doing, told)

    def _commit(self) -> None:
        if self._doing == "page":
            self._switch.passes("page", "commit", "before COMMIT")
        if getattr(self._here, "moved", False):
            self._switch.passes("cursor", "commit", "before COMMIT")


def work(app: App, job: str) -> dict[str, Any]:
    """The whole job; what became of it."""
    context = app.context()
    done = (look_for_removals if job == "look" else pull_only)(context)
    prepared = prepare(app.store, app.config, app.crms, now=app.now())
    caught_up = catch_up(context, prepared, done.pulled, now=app.now())
    evaluate(context, caught_up.installation, now=app.now(), run=done.run)
    streams = {f"{crm} {name}": [one.seen, one.stored, one.set_aside, one.whole] for crm, name, one in streams_of(done.pulled)}
    return {"errors": [error.message for error in [*done.errors, *caught_up.errors]], "streams": streams}


def obey(order: dict[str, Any]) -> None:
    """One job in a process of its own; its last line tells what it met and did."""
    switch = KillSwitch(*order["place"]) if order["place"] else KillSwitch("", "", None)
    now = datetime.fromisoformat(order["moment"])
    shortly = Pacing(sleep=lambda seconds: time.sleep(min(seconds, 0.01)))
    with open_app(load(Path(order["path"])), now=lambda: now, waiting=shortly) as app:
        Places(switch).wire()
        result = work(app, order["job"])
    met = {" ".join(place): count for place, count in switch.met.items()}
    sys.stdout.write(json.dumps({**result, "met": met}) + "\n")


if __name__ == "__main__":
    serve(obey)
