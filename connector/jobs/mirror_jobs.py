"""The jobs that see to the mirror and to nothing else: a pull, a look for what was removed, a comparison with the CRMs.

They read the CRMs, conclude nothing and write nothing there; what they changed here is judged by the next pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from connector.errors import ConnectorError, Interrupted
from connector.jobs.retention import LetGo, let_go
from connector.pipeline.context import Rooms
from connector.pipeline.installation import Installation, catch_up, prepare
from connector.pipeline.pull.backfill import refresh_calculated
from connector.pipeline.pull.reconcile import Compared, compare
from connector.pipeline.pull.removals import Looked, look
from connector.pipeline.pull.streams import Pulled, errors_document, errors_of, once, problem_of, pull, pulled_document
from connector.pipeline.unify.unify import unify
from connector.reports.buckets import buckets
from connector.store import runs
from connector.store.mirror import pages


@dataclass(slots=True, kw_only=True)
class Mirrored:
    """What became of it. removed: by CRM and object, None where nobody looked; let_go: what was older than the file keeps.

    errors: what stopped a stream.
    """

    run: int
    pulled: Pulled = field(default_factory=dict)
    removed: dict[str, dict[str, Looked]] | None = None
    let_go: LetGo | None = None
    errors: list[ConnectorError] = field(default_factory=list)
    interrupted: bool = False

    def document(self) -> dict[str, Any]:
        """As `pull --json` prints it."""
        document: dict[str, Any] = {"run": self.run, "pulled": pulled_document(self.pulled)}
        if self.removed is not None:
            document["removed"] = {crm: {name: one.document() for name, one in objects.items()} for crm, objects in self.removed.items()}
        if self.let_go is not None:
            document["let_go"] = asdict(self.let_go)
        return document | {"interrupted": self.interrupted, "errors": errors_document(self.errors)}


@dataclass(slots=True, kw_only=True)
class Reconciled:
    """What a comparison found. buckets: see `connector.reports.buckets`."""

    run: int
    pulled: Pulled = field(default_factory=dict)
    objects: dict[str, dict[str, Compared]] = field(default_factory=dict)
    buckets: Mapping[str, Any] = field(default_factory=dict)
    errors: list[ConnectorError] = field(default_factory=list)
    interrupted: bool = False

    def document(self) -> dict[str, Any]:
        """As `reconcile --json` prints it."""
        objects = {crm: {name: one.document() for name, one in found.items()} for crm, found in self.objects.items()}
        ended = {"interrupted": self.interrupted, "errors": errors_document(self.errors)}
        return {"run": self.run, **self.buckets, "objects": objects} | ended


def pull_only(rooms: Rooms, *, full: bool = False) -> Mirrored:
    """What changed since the last pull. full: everything from the beginning, whatever was read already.

    Errors of a CRM are in the result; those of the store and bugs come out, with the run marked failed.
    """
    result = Mirrored(run=_begin(rooms, "pull"))
    with _on_record(rooms, result):
        _pull(rooms, result, full=full)
    return result


def look_for_removals(rooms: Rooms, *, full: bool = False) -> Mirrored:
    """A pull, then the look for what no modified date tells, then what is older than is to be kept. As `pull_only` for the rest."""
    result = Mirrored(run=_begin(rooms, "deletes"))
    with _on_record(rooms, result):
        now = rooms.now()
        _pull(rooms, result, full=full)
        if not rooms.stopped():
            result.removed = look(rooms, now, leave_out=_failed(result.pulled))
            result.errors += errors_of(result.removed)
        if not rooms.stopped():
            result.errors = once([*result.errors, *errors_of(refresh_calculated(rooms, now))])
        if not rooms.stopped():
            with rooms.judging():
                result.let_go = let_go(rooms.store, rooms.config, now=now, stopped=rooms.stopped)
    return result


def reconcile(rooms: Rooms) -> Reconciled:
    """A pull, then every object against the CRMs, then who is where. As `pull_only` for the rest."""
    result = Reconciled(run=_begin(rooms, "reconcile"))
    with _on_record(rooms, result):
        now = rooms.now()
        installation = _pull(rooms, result, full=False)
        if not rooms.stopped():
            result.objects = compare(rooms, now, leave_out=_failed(result.pulled))
            result.errors += errors_of(result.objects)
        if not rooms.stopped():
            with rooms.judging():
                watch, writer = rooms.progress, installation.writer
                if not installation.suspended.blind:
                    unify(rooms.store, writer, now=now, stopped=rooms.stopped, progress=lambda done: watch.step("unify", done, None))
            result.buckets = buckets(rooms.store)
    return result


def _pull(rooms: Rooms, result: Mirrored | Reconciled, *, full: bool) -> Installation:
    now = rooms.now()
    prepared = prepare(rooms.store, rooms.config, rooms.crms, now=now)
    if full:
        pages.reset_cursors(rooms.store)
    result.pulled = pull(rooms, now, silent=prepared.silent)
    caught_up = catch_up(rooms, result.pulled, now=now)
    result.errors += caught_up.errors
    return caught_up.installation


def _failed(pulled: Pulled) -> list[tuple[str, str]]:
    """The streams, (CRM, object), that were not read to their end: what is missing there means nothing."""
    return [(crm, name) for crm, streams in pulled.items() for name, stream in streams.items() if not stream.whole]


def _begin(rooms: Rooms, command: str) -> int:
    return runs.start_run(rooms.store, command, rooms.config.mode, now=rooms.now(), config_version=rooms.config.version)


@contextmanager
def _on_record(rooms: Rooms, result: Mirrored | Reconciled) -> Iterator[None]:
    """Errors go into the result, and how it ended into the record of runs, whatever happens."""
    try:
        yield
    except Interrupted:
        result.interrupted = True
    except ConnectorError as error:
        result.errors.append(error)
    finally:
        result.interrupted = result.interrupted or rooms.stopped()
        problem = problem_of(result.errors)
        state: Literal["failed", "done"] = "failed" if problem else "done"
        runs.finish_run(rooms.store, result.run, state, now=rooms.now(), summary=result.document(), problem=problem)
