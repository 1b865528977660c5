"""Fields that were named newly, or are back: which have been read of every record, and how the others are filled.

A pull brings every wanted property of what changes; of what does not, a refill brings those that were not read yet, page by page with its
own cursor, so that a large account goes on where it stopped. Until then the field is *filling* and concludes nothing. Formula and roll-up
fields, whose changes no modified date tells, are read again the same way on the schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any

import orjson
from sqlalchemy import Connection, and_, delete, select

from connector.adapters.port import Reads
from connector.config.tables import Config
from connector.errors import ConnectorError
from connector.model import CRM_FACTS, CrmName
from connector.pipeline.context import PassContext
from connector.pipeline.pull import schema_drift
from connector.pipeline.pull.streams import each_stream
from connector.store import tables as t
from connector.store.bulk import plain, upsert
from connector.store.database import Store
from connector.store.fields import FieldState, stored_fields
from connector.store.mirror import pages
from connector.workflows import suspension
from connector.workflows.fields import column_places, columns_needed
from connector.workflows.suspension import Suspended

cursor = t.metadata.tables["cursor"]
_META = plain("meta")


@dataclass(slots=True, kw_only=True)
class Filled:
    """What became of one object. properties: those that every record has now; error: what stopped it."""

    seen: int = 0
    changed: int = 0
    calls: int = 0
    properties: tuple[str, ...] = ()
    error: ConnectorError | None = None


# ── What has been read ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def note_wanted(store: Store, config: Config) -> None:
    """Keeps in line what has been read with what is wanted: before a first read begins, it will be all; what is not wanted any more is
    missing in what changes from now on."""
    for crm in config.crms:
        wanted, streams = schema_drift.wanted(store, config, crm), _streams(store, crm)
        store.write(partial(_note, crm=crm, wanted=wanted, streams=streams))


def _note(connection: Connection, *, crm: CrmName, wanted: Mapping[str, Sequence[str]], streams: Mapping[str, bool | None]) -> None:
    read, before = _kept(connection, _READ, crm), _kept(connection, _WANTED, crm)
    after = {
        object_name: sorted(names if streams.get(object_name) is None else set(names) & set(read.get(object_name, ())))
        for object_name, names in wanted.items()
    }
    for object_name, names in before.items():
        if set(names) - set(wanted.get(object_name, ())):  # what changed since was stored without it: a refill under way begins anew
            fills = and_(cursor.c.crm == crm, cursor.c.object.like(f"fill:{object_name}:%"))
            connection.execute(delete(cursor).where(fills))
    _keep(connection, _READ, crm, read, after)
    _keep(connection, _WANTED, crm, before, {object_name: sorted(names) for object_name, names in wanted.items()})


def _streams(store: Store, crm: CrmName) -> dict[str, bool | None]:
    """Each stream's pull: whether it was once read to its end; None (or missing) where nothing was read yet."""
    query = select(cursor.c.object, cursor.c.complete, cursor.c.state).where(cursor.c.crm == crm)
    with store.read() as connection:
        return {row.object: True if row.complete else (False if row.state else None) for row in connection.execute(query)}


#: Single values of the store, by CRM: the properties that every record of an object was read with, and those that pulls bring.
_READ, _WANTED = "read", "wanted"


def _kept(connection: Connection, what: str, crm: str) -> dict[str, list[str]]:
    text = connection.scalar(select(_META.c.value).where(_META.c.name == f"{what}:{crm}"))
    found: dict[str, list[str]] = {} if text is None else orjson.loads(text)
    return found


def _keep(connection: Connection, what: str, crm: str, before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> None:
    if after != before:
        value = orjson.dumps(after, option=orjson.OPT_SORT_KEYS).decode()
        upsert(connection, _META, [{"name": f"{what}:{crm}", "value": value}], keys=("name",))


def _filled(connection: Connection, *, crm: CrmName, object_name: str, names: Sequence[str], under: str) -> None:
    """Every record has them now; the place where the refill stood is forgotten."""
    read = _kept(connection, _READ, crm)
    _keep(connection, _READ, crm, read, {**read, object_name: sorted({*read.get(object_name, ()), *names})})
    connection.execute(delete(cursor).where(cursor.c.crm == crm, cursor.c.object == under))


@dataclass(frozen=True, slots=True)
class _Stock:
    """What is at hand of one CRM: properties that are gone, those that were read of every record, and the streams read to their end."""

    gone: frozenset[tuple[str, str]]
    read: Mapping[str, Sequence[str]]
    streams: Mapping[str, bool | None]

    def state(self, object_name: str, name: str) -> FieldState:
        """How it stands with one property."""
        if (object_name, name) in self.gone:
            return "gone"
        return "present" if self.streams.get(object_name) and name in self.read.get(object_name, ()) else "filling"


def _stock(store: Store, config: Config) -> dict[CrmName, _Stock]:
    with store.read() as connection:
        read = {crm: _kept(connection, _READ, crm) for crm in config.crms}
    return {crm: _Stock(schema_drift.gone_properties(store, crm), read[crm], _streams(store, crm)) for crm in config.crms}


def states(store: Store, config: Config) -> dict[str, FieldState]:
    """The state of every column that the file needs: gone where any of its places is, present where all are."""
    stock = _stock(store, config)
    found: dict[str, FieldState] = {}
    for column, where in column_places(config).items():
        each = {stock[crm].state(object_name, name) for crm, object_name, name in where}
        found[column] = "gone" if "gone" in each else "filling" if "filling" in each else "present"
    return found


def blind(store: Store, config: Config) -> dict[str, FieldState]:
    """The properties that everything rests on, "hubspot contacts.lifecyclestage", as far as they are gone or not read of every record."""
    stock = _stock(store, config)
    lacking: dict[str, FieldState] = {}
    for crm in config.crms:
        for object_name, names in CRM_FACTS[crm].essential.items():
            for name in names:
                state = stock[crm].state(object_name, name)
                if state == "gone" or (state == "filling" and stock[crm].streams.get(object_name)):
                    lacking[f"{crm} {object_name}.{name}"] = state
    return lacking


def suspended(store: Store, config: Config) -> Suspended:
    """What is suspended as the last pass left it; a field that no pass has seen yet is to be filled."""
    kept = stored_fields(store)
    found: dict[str, FieldState] = {column.name: kept.get(column, "filling") for column in columns_needed(config)}
    return suspension.of(config, found, blind(store, config))


# ── Filling ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def fill(context: PassContext, now: datetime) -> dict[str, dict[str, Filled]]:
    """Reads what is wanted and was not read of every record yet, of each object that was once read to its end. Goes on where it stopped."""
    lacking = {crm: _lacking(context.store, context.config, crm) for crm in context.crms}
    if not any(lacking.values()):
        return {}

    def one(crm: Reads, stream: str, result: Filled, stopped: Callable[[], bool]) -> None:
        names = lacking[crm.name].get(stream, ())
        under = f"fill:{stream}:{_digest(names)}"
        if names and _refill(context, crm, stream, names, under, result, stopped, now):
            context.store.write(partial(_filled, crm=crm.name, object_name=stream, names=names, under=under))
            result.properties = names

    return each_stream(context, Filled, one)


def refresh_calculated(context: PassContext, now: datetime) -> dict[str, dict[str, Filled]]:
    """Reads the formula and roll-up fields of the file again, of all live records. Goes on where it stopped."""
    formulas = {crm: schema_drift.calculated_properties(context.store, context.config, crm) for crm in context.crms}
    if not any(formulas.values()):
        return {}

    def one(crm: Reads, stream: str, result: Filled, stopped: Callable[[], bool]) -> None:
        names = formulas[crm.name].get(stream, ())
        under = f"formula:{stream}"
        if names and _refill(context, crm, stream, names, under, result, stopped, now):
            pages.drop_cursor(context.store, crm.name, under)
            result.properties = names

    return each_stream(context, Filled, one)


def _lacking(store: Store, config: Config, crm: CrmName) -> dict[str, tuple[str, ...]]:
    streams = _streams(store, crm)
    with store.read() as connection:
        read = _kept(connection, _READ, crm)
    missing = {
        object_name: tuple(name for name in names if name not in read.get(object_name, ()))
        for object_name, names in schema_drift.wanted(store, config, crm).items()
        if streams.get(object_name)
    }
    return {object_name: names for object_name, names in missing.items() if names}


def _refill(
    context: PassContext,
    crm: Reads,
    object_name: str,
    names: Sequence[str],
    under: str,
    result: Filled,
    stopped: Callable[[], bool],
    now: datetime,
) -> bool:
    """Reads these properties of every live record; whether it came to its end."""
    store = context.store
    for page in crm.refill(object_name, names, pages.get_cursor(store, crm.name, under), now=now):
        lost = page.absent & set(names)
        if lost:  # gone since the last look: what is told of it is not to be believed
            schema_drift.demand(store)
            return False
        stored = pages.commit_partial(store, page, under=under, now=now)
        result.seen += stored.seen
        result.changed += stored.stored
        result.calls += page.calls
        context.progress.step("backfill", result.seen, page.total)
        if page.last:
            break
        if stopped():
            return False
    return True


def _digest(names: Sequence[str]) -> str:
    return blake2b(" ".join(names).encode(), digest_size=8).hexdigest()


def document(filled: Mapping[str, Mapping[str, Filled]]) -> dict[str, Any]:
    """What was filled, as JSON prints it: CRM → object → {"seen", "changed", "calls", "properties"}."""
    names = ("seen", "changed", "calls", "properties")
    told = {
        crm: {name: {one: getattr(result, one) for one in names} for name, result in objects.items() if result.calls}
        for crm, objects in filled.items()
    }
    return {crm: objects for crm, objects in told.items() if objects}
