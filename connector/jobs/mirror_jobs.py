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
from connector.pipeline.context import PassContext
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


def pull_only(context: PassContext, *, full: bool = False) -> Mirrored:
    """What changed since the last pull. full: everything from the beginning, whatever was read already.

    Errors of a CRM are in the result; those of the store and bugs come out, with the run marked failed.
    """
    result = Mirrored(run=_begin(context, "pull"))
    with _on_record(context, result):
        _pull(context, result, full=full)
    return result


def look_for_removals(context: PassContext, *, full: bool = False) -> Mirrored:
    """A pull, then the look for what no modified date tells, then what is older than is to be kept. As `pull_only` for the rest."""
    result = Mirrored(run=_begin(context, "deletes"))
    with _on_record(context, result):
        now = context.now()
        _pull(context, result, full=full)
        if not context.stopped():
            result.removed = look(context, now, leave_out=_failed(result.pulled))
            result.errors += errors_of(result.removed)
        if not context.stopped():
            result.errors = once([*result.errors, *errors_of(refresh_calculated(context, now))])
        if not context.stopped():
            with context.judging():
                result.let_go = let_go(context.store, context.config, now=now, stopped=context.stopped)
    return result


def reconcile(context: PassContext) -> Reconciled:
    """A pull, then every object against the CRMs, then who is where. As `pull_only` for the rest."""
    result = Reconciled(run=_begin(context, "reconcile"))
    with _on_record(context, result):
        now = context.now()
        installation = _pull(context, result, full=False)
        if not context.stopped():
            result.objects = compare(context, now, leave_out=_failed(result.pulled))
            result.errors += errors_of(result.objects)
        if not context.stopped():
            with context.judging():
                watch, writer = context.progress, installation.writer
                if not installation.suspended.blind:
                    unify(context.store, writer, now=now, stopped=context.stopped, progress=lambda done: watch.step("unify", done, None))
            result.buckets = buckets(context.store)
    return result


def _pull(context: PassContext, result: Mirrored | Reconciled, *, full: bool) -> Installation:
    now = context.now()
    prepared = prepare(context.store, context.config, context.crms, now=now)
    if full:
        pages.reset_cursors(context.store)
    result.pulled = pull(context, now, silent=prepared.silent)
    caught_up = catch_up(context, result.pulled, now=now)
    result.errors += caught_up.errors
    return caught_up.installation


def _failed(pulled: Pulled) -> list[tuple[str, str]]:
    """The streams, (CRM, object), that were not read to their end: what is missing there means nothing."""
    return [(crm, name) for crm, streams in pulled.items() for name, stream in streams.items() if not stream.whole]


def _begin(context: PassContext, command: str) -> int:
    return runs.start_run(context.store, command, context.config.mode, now=context.now(), config_version=context.config.version)


@contextmanager
def _on_record(context: PassContext, result: Mirrored | Reconciled) -> Iterator[None]:
    """Errors go into the result, and how it ended into the record of runs, whatever happens."""
    try:
        yield
    except Interrupted:
        result.interrupted = True
    except ConnectorError as error:
        result.errors.append(error)
    finally:
        result.interrupted = result.interrupted or context.stopped()
        problem = problem_of(result.errors)
        state: Literal["failed", "done"] = "failed" if problem else "done"
        runs.finish_run(context.store, result.run, state, now=context.now(), summary=result.document(), problem=problem)
