"""The backfill: properties that were named newly, or are back, are read of every record that no pull brings by itself.

A pull brings every wanted property of what changes; of what does not, a refill brings those that were not read yet, page by page with its
own cursor, so that a large account goes on where it stopped. Formula and roll-up fields, whose changes no modified date tells, are read
again the same way on the schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import blake2b

from connector.adapters.port import Crm
from connector.errors import ConnectorError
from connector.pipeline.context import PassContext
from connector.pipeline.pull import schema_drift
from connector.pipeline.pull.field_state import FieldState, note_filled
from connector.pipeline.pull.streams import each_stream
from connector.store.mirror import pages


@dataclass(slots=True, kw_only=True)
class Filled:
    """The backfill of one object. properties: those that every record has now; error: what stopped it."""

    seen: int = 0
    changed: int = 0
    calls: int = 0
    properties: tuple[str, ...] = ()
    error: ConnectorError | None = None


def fill(context: PassContext, state: FieldState, now: datetime) -> dict[str, dict[str, Filled]]:
    """Reads what is wanted and was not read of every record yet, of each object that was once read to its end. Goes on where it stopped."""
    unread = {crm: state.unread(crm) for crm in context.crms}
    if not any(unread.values()):
        return {}

    def fill_stream(crm: Crm, stream: str, result: Filled, stopped: Callable[[], bool]) -> None:
        names = unread[crm.name].get(stream, ())
        under = f"fill:{stream}:{_digest(names)}"
        refill = _Refill(context=context, crm=crm, object=stream, names=names, under=under, result=result, now=now)
        if names and refill.run(stopped):
            context.store.write(partial(note_filled, crm=crm.name, object_name=stream, names=names, under=under))
            result.properties = names

    return each_stream(context, Filled, fill_stream)


def refresh_calculated(context: PassContext, now: datetime) -> dict[str, dict[str, Filled]]:
    """Reads the formula and roll-up fields of the file again, of all live records. Goes on where it stopped."""
    formulas = {crm: schema_drift.calculated_properties(context.store, context.config, crm) for crm in context.crms}
    if not any(formulas.values()):
        return {}

    def refresh_stream(crm: Crm, stream: str, result: Filled, stopped: Callable[[], bool]) -> None:
        names = formulas[crm.name].get(stream, ())
        under = f"formula:{stream}"
        refill = _Refill(context=context, crm=crm, object=stream, names=names, under=under, result=result, now=now)
        if names and refill.run(stopped):
            pages.drop_cursor(context.store, crm.name, under)
            result.properties = names

    return each_stream(context, Filled, refresh_stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refill:
    """A reading of some properties of every live record of an object. under: the name of its cursor."""

    context: PassContext
    crm: Crm
    object: str
    names: Sequence[str]
    under: str
    result: Filled
    now: datetime

    def run(self, stopped: Callable[[], bool]) -> bool:
        """Whether it came to its end."""
        store = self.context.store
        for page in self.crm.refill(self.object, self.names, pages.get_cursor(store, self.crm.name, self.under), now=self.now):
            if page.absent & set(self.names):  # gone since the last look: what is told of it is not to be believed
                schema_drift.demand(store)
                return False
            stored = pages.commit_partial(store, page, under=self.under, now=self.now)
            self.result.seen += stored.seen
            self.result.changed += stored.stored
            self.result.calls += page.calls
            self.context.progress.step("backfill", self.result.seen, page.total)
            if page.last:
                return True
            if stopped():
                return False
        return True


def _digest(names: Sequence[str]) -> str:
    return blake2b(" ".join(names).encode(), digest_size=8).hexdigest()
