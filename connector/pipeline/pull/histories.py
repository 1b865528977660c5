"""The histories of fields that no pull brings by itself: read by id, in batches, of the records in which something watched changed.

Watched are stage, lead status, owner, and what [rejection] asks and gives as its reason: whoever is judged by them is judged by what the
CRM itself tells of when and by whom. Records are noted as they are stored (`connector.store.mirror.history_due`); [adopt] history has the
others noted once, when the object was first read to its end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from connector.adapters.port import Reads
from connector.config.tables import Config
from connector.errors import ConnectorError, CrmError, Interrupted
from connector.model import CRM_FACTS, CrmName, Page
from connector.pipeline.context import PassContext
from connector.pipeline.pull.field_state import FieldState
from connector.store import runs
from connector.store.database import Store
from connector.store.mirror import cursors, history_due, pages
from connector.store.mirror.history_due import Noted, Watched
from connector.workflows.rejection_sign import rejecting_values, watched_places
from connector.workflows.stages import MQL

#: Records whose history is read and stored in one go.
BATCH = 500
#: The name in `meta` that tells how far back histories were asked for, by CRM and object.
_ASKED = "history asked"


@dataclass(slots=True, kw_only=True)
class HistoryRead:
    """What was read of one object. records: whose history was read. error: what stopped it."""

    records: int = 0
    entries: int = 0
    calls: int = 0
    error: ConnectorError | None = None

    def add(self, page: Page, records: int) -> None:
        """Another batch."""
        self.records += records
        self.entries += page.seen
        self.calls += page.calls


#: CRM → object → what was read.
Histories = dict[CrmName, dict[str, HistoryRead]]


def watch(store: Store, config: Config, crms: Mapping[CrmName, Reads]) -> None:
    """From now on changes of what the file watches are noted, of the objects whose history is read by id."""
    for name, crm in crms.items():
        history_due.watch(store, name, {object_name: _watched(config, name, object_name) for object_name in sorted(crm.histories)})


def _watched(config: Config, crm: CrmName, object_name: str) -> Watched:
    facts = CRM_FACTS[crm]
    names = {facts.lead_status, facts.owner_property, facts.stage_property if object_name == facts.stage_object else facts.lead_status}
    rule = config.rejection
    if rule is None:
        return Watched(properties=tuple(sorted(names)))
    names |= {place.name for place in watched_places(config, rule, crm) if place.object == object_name}
    selling = tuple((facts.stage_property, value) for stage in config.stages if stage.name == MQL for value in stage.hubspot)
    pairs = rejecting_values(config, rule, crm)
    rejecting = tuple((place.name, value) for place, value in pairs if place.object == object_name)
    return Watched(properties=tuple(sorted(names)), telling=(selling, rejecting) if selling and rejecting else ())


def read(
    context: PassContext, state: FieldState, now: datetime, *, only: Mapping[CrmName, Mapping[str, Collection[str]]] | None = None
) -> Histories:
    """Reads what is noted, of these records alone where `only` names them: CRM → object → ids. Goes on where it stopped.

    What stops one CRM is in its result.
    """
    results: Histories = {}
    for name, crm in context.crms.items():
        results[name] = {}
        for object_name in sorted(crm.histories):
            result = results[name][object_name] = HistoryRead()
            names = _readable(context.config, state, name, object_name)
            try:
                if only is None:
                    _note_asked(context, name, object_name, now)
                for noted in _batches(context.store, name, object_name, None if only is None else only.get(name, {}).get(object_name, ())):
                    page = crm.history(object_name, [record.id for record in noted], names)
                    result.add(page, len(noted))
                    _store(context.store, page, noted, now)
                    if context.stopped():
                        return results
            except Interrupted:
                return results
            except CrmError as error:
                result.error = error
                break
    return results


def errors_of(results: Histories) -> list[ConnectorError]:
    """What stopped them."""
    return [result.error for objects in results.values() for result in objects.values() if result.error is not None]


def _readable(config: Config, state: FieldState, crm: CrmName, object_name: str) -> tuple[str, ...]:
    """What is watched, without what the CRM has no more."""
    watched, wanted = _watched(config, crm, object_name), state.wanted[crm].get(object_name, ())
    return tuple(name for name in watched.properties if name in wanted)


def _batches(store: Store, crm: CrmName, object_name: str, only: Collection[str] | None) -> Iterator[list[Noted]]:
    after = ""
    while True:
        with store.read() as connection:
            noted = history_due.due(connection, crm, object_name, after=after, limit=BATCH, only=only)
        if not noted:
            return
        after = max(record.id for record in noted)
        yield noted


def _store(store: Store, page: Page, noted: list[Noted], now: datetime) -> None:
    """Entries first: whatever ends this in between, they are read once more, and are the same."""
    pages.commit_page(store, page, now=now, under=f"history:{page.object}")

    def work(connection: Connection) -> None:
        history_due.take_off(connection, page.crm, page.object, noted)

    store.write(work)


def _note_asked(context: PassContext, crm: CrmName, object_name: str, now: datetime) -> None:
    """[adopt] history: once the object was read to its end, all that was modified so lately is noted, once for what the file asks."""
    asked = context.config.adopt.history
    name = f"{_ASKED}:{crm}:{object_name}"
    if asked is None or runs.get_meta(context.store, name) == str(asked):
        return
    with context.store.read() as connection:
        if not cursors.was_read_whole(connection, crm, object_name):
            return
    after: str | None = ""
    while after is not None:
        after = history_due.note_slice(context.store, crm, object_name, now - asked.elapsed, after, now)
        if context.stopped():
            return
    runs.set_meta(context.store, name, str(asked))
