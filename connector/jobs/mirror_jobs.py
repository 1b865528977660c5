"""The jobs that see to the mirror and to nothing else: a pull, a look for what was removed, a comparison with the CRMs.

They read the CRMs and make contacts of the people they brought; they conclude nothing and write nothing there. What they changed here is
judged by the next pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from connector.errors import ConnectorError
from connector.jobs.retention import LetGo, let_go
from connector.pipeline.context import PassContext
from connector.pipeline.evaluate import several
from connector.pipeline.installation import Installation, read_crms
from connector.pipeline.pull.backfill import refresh_calculated
from connector.pipeline.pull.reconcile import Compared, compare
from connector.pipeline.pull.removals import Looked, look
from connector.pipeline.pull.streams import Pulled, distinct, errors_of, pulled_document, streams_of
from connector.pipeline.recorded_run import errors_document, recorded_run
from connector.pipeline.unify.unify import unify
from connector.reports.buckets import buckets


@dataclass(slots=True, kw_only=True)
class Mirrored:
    """The result of a pull or a look for removals.

    removed: by CRM and object, None where nobody looked; let_go: what was older than the file keeps; errors: what stopped a stream.
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
            document["removed"] = _by_object(self.removed)
        if self.let_go is not None:
            document["let_go"] = asdict(self.let_go)
        return document | {"interrupted": self.interrupted, "errors": errors_document(self.errors)}


@dataclass(slots=True, kw_only=True)
class Reconciled:
    """The result of a comparison. buckets: see `connector.reports.buckets`."""

    run: int
    pulled: Pulled = field(default_factory=dict)
    objects: dict[str, dict[str, Compared]] = field(default_factory=dict)
    buckets: Mapping[str, Any] = field(default_factory=dict)
    errors: list[ConnectorError] = field(default_factory=list)
    interrupted: bool = False

    def document(self) -> dict[str, Any]:
        """As `reconcile --json` prints it."""
        document = {"run": self.run, **self.buckets, "objects": _by_object(self.objects)}
        return document | {"interrupted": self.interrupted, "errors": errors_document(self.errors)}


def _by_object(results: Mapping[str, Mapping[str, Looked]] | Mapping[str, Mapping[str, Compared]]) -> dict[str, dict[str, Any]]:
    """What became of each object, by CRM and object."""
    return {crm: {name: result.document() for name, result in objects.items()} for crm, objects in results.items()}


def pull_only(context: PassContext, *, full: bool = False) -> Mirrored:
    """What changed since the last pull; whom it brought is a contact afterwards. full: everything from the beginning.

    Errors of a CRM are in the result; those of the store and bugs come out, with the run marked failed.
    """
    now = context.now()
    with recorded_run(context, "pull", lambda run: Mirrored(run=run), now=now) as result:
        caught_up = read_crms(context, result, now=now, full=full)
        if not caught_up.stops and not context.stopped():
            with context.judging():
                _unify(context, caught_up.installation, now)
    return result


def look_for_removals(context: PassContext, *, full: bool = False) -> Mirrored:
    """A pull, then the look for what no modified date tells, then what is older than is to be kept. As `pull_only` for the rest."""
    now = context.now()
    with recorded_run(context, "deletes", lambda run: Mirrored(run=run), now=now) as result:
        caught_up = read_crms(context, result, now=now, full=full)
        installation = caught_up.installation
        if not context.stopped():
            result.removed = look(context, installation.fields, now, leave_out=_unread(result.pulled))
            result.errors += errors_of(result.removed)
        if not context.stopped():
            result.errors = distinct([*result.errors, *errors_of(refresh_calculated(context, now))])
        if not context.stopped():
            with context.judging():
                if not caught_up.stops:
                    _unify(context, installation, now)
                result.let_go = let_go(context.store, context.config, now=now, stopped=context.stopped)
    return result


def reconcile(context: PassContext) -> Reconciled:
    """A pull, then every object against the CRMs, then who is where. As `pull_only` for the rest."""
    now = context.now()
    with recorded_run(context, "reconcile", lambda run: Reconciled(run=run), now=now) as result:
        installation = read_crms(context, result, now=now).installation
        if not context.stopped():
            result.objects = compare(context, installation.fields, now, leave_out=_unread(result.pulled))
            result.errors += errors_of(result.objects)
        if not context.stopped():
            with context.judging():
                _unify(context, installation, now)
            result.buckets = buckets(context.store)
    return result


def _unify(context: PassContext, installation: Installation, now: datetime) -> None:
    if installation.suspended.blind or installation.older:
        return
    progress = context.progress
    several.nobody_helps(context.store)
    unify(context.store, installation.writer, now=now, stopped=context.stopped, progress=lambda done: progress.step("unify", done, None))


def _unread(pulled: Pulled) -> list[tuple[str, str]]:
    """The streams, (CRM, object), that were not read to their end: what is missing there means nothing."""
    return [(crm, name) for crm, name, stream in streams_of(pulled) if not stream.whole]
