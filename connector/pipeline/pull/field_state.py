"""The field state: which properties of the file can be read, which were read of every record, and what is suspended for the others.

One frozen value, made once a pass (`brought_in_line`) and handed down; after the pull `refreshed` makes it anew only where what it was made
of is another: a first read came to its end, a backfill too, schema drift was found, by this pass or by the fast lane beside it.

A field is *filling* (named, and not read of every record yet), *present*, or *gone* (the CRM does not answer it any more).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, and_, delete, select

from connector.adapters.port import Crm
from connector.config.tables import Config
from connector.model import CRM_FACTS, CrmName
from connector.store import tables as t
from connector.store.bulk import plain, upsert
from connector.store.database import Store
from connector.store.fields import FieldColumn, FieldStatus, stored_fields
from connector.store.mirror import known_properties
from connector.workflows import suspension
from connector.workflows.fields import ColumnSource, PropertyPlace, column_sources, columns_needed, properties_wanted
from connector.workflows.suspension import Suspended

cursor = t.metadata.tables["cursor"]
known_property = t.metadata.tables["property"]
_META = plain("meta")

#: Properties by object.
Properties = Mapping[str, tuple[str, ...]]

#: Single values of the store, by CRM: the properties that every record of an object was read with, and those that pulls bring.
_READ, _WANTED = "read", "wanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyStock:
    """What the store knows of one CRM's properties.

    gone: those that cannot be read now; read: those that every record was read with; brought: those that pulls bring, as last noted;
    streams: whether an object's pull was once read to its end, missing where nothing was read of it yet.
    """

    gone: frozenset[PropertyPlace]
    read: Properties
    brought: Properties
    streams: Mapping[str, bool]

    def status(self, place: PropertyPlace) -> FieldStatus:
        """How it stands with one property."""
        if place in self.gone:
            return "gone"
        whole = self.streams.get(place.object, False)
        return "present" if whole and place.name in self.read.get(place.object, ()) else "filling"

    def noted(self, wanted: Properties) -> Properties:
        """What every record was read with once these are wanted: before a first read begins, it will be all of them; of the others what
        is not wanted any more is missing in what changes from now on."""
        return {
            object_name: tuple(name for name in names if object_name not in self.streams or name in self.read.get(object_name, ()))
            for object_name, names in wanted.items()
        }


Stock = Mapping[CrmName, PropertyStock]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldState:
    """The fields of the file as they stand.

    columns: the typed columns of the contact table; wanted: the properties to ask each CRM for, without those that are gone; states: by
    column; lacking: the properties that everything rests on ("hubspot contacts.lifecyclestage"), as far as they are gone, or filling after
    a first read; suspended: what says nothing for it. stock: what all this was made of.
    """

    columns: Sequence[FieldColumn]
    wanted: Mapping[CrmName, Properties]
    states: Mapping[str, FieldStatus]
    lacking: Mapping[str, FieldStatus]
    suspended: Suspended
    stock: Stock

    def unread(self, crm: CrmName) -> dict[str, tuple[str, ...]]:
        """What is wanted and was not read of every record, of each object that was once read to its end."""
        stock = self.stock[crm]
        missing: dict[str, tuple[str, ...]] = {}
        for object_name, names in self.wanted[crm].items():
            unread = tuple(name for name in names if name not in stock.read.get(object_name, ()))
            if unread and stock.streams.get(object_name):
                missing[object_name] = unread
        return missing


    def present(self) -> list[tuple[str, str, str]]:
        """The properties, (CRM, object, name), that every record was read with, and that pulls bring."""
        return [
            (crm, object_name, name)
            for crm, objects in self.wanted.items()
            for object_name, names in objects.items()
            for name in names
            if self.stock[crm].status(PropertyPlace(object_name, name)) == "present"
        ]


# ── Making it ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def brought_in_line(store: Store, config: Config, columns: Sequence[FieldColumn], crms: Mapping[CrmName, Crm]) -> FieldState:
    """The field state as it is now. From now on the pulls of these CRMs bring what is wanted, and what was read is noted accordingly."""
    stock = _read_stock(store, config)
    for name, crm in crms.items():
        crm.want(_wanted(config, name, stock[name]))
    if _note_wanted(store, config, stock):
        stock = _read_stock(store, config)
    return _field_state(config, columns, stock)


def refreshed(store: Store, config: Config, state: FieldState) -> FieldState:
    """The field state as it is now: the same value where nothing changed."""
    stock = _read_stock(store, config)
    return state if stock == state.stock else _field_state(config, state.columns, stock)


def as_stored(store: Store, config: Config) -> FieldState:
    """The field state as it is now; nothing is brought in line for it."""
    return _field_state(config, columns_needed(config), _read_stock(store, config))


def suspended_by_last_pass(store: Store, config: Config) -> Suspended:
    """What is suspended as the last pass left it; a field that no pass has seen yet is to be filled."""
    kept = stored_fields(store)
    states: dict[str, FieldStatus] = {column.name: kept.get(column, "filling") for column in columns_needed(config)}
    return suspension.of(config, states, _lacking(_read_stock(store, config)))


def _field_state(config: Config, columns: Sequence[FieldColumn], stock: Stock) -> FieldState:
    states = {column: _column_status(sources, stock) for column, sources in column_sources(config, columns).items()}
    lacking = _lacking(stock)
    return FieldState(
        columns=columns,
        wanted={crm: _wanted(config, crm, stock[crm]) for crm in config.crms},
        states=states,
        lacking=lacking,
        suspended=suspension.of(config, states, lacking),
        stock=stock,
    )


def _wanted(config: Config, crm: CrmName, stock: PropertyStock) -> Properties:
    """The properties of the file, without those that are gone."""
    return {
        object_name: tuple(name for name in names if PropertyPlace(object_name, name) not in stock.gone)
        for object_name, names in properties_wanted(config, crm).items()
    }


def _column_status(sources: Iterable[ColumnSource], stock: Stock) -> FieldStatus:
    """Gone where any of its sources is, present where all are."""
    statuses = {stock[source.crm].status(source.place) for source in sources}
    if "gone" in statuses:
        return "gone"
    return "filling" if "filling" in statuses else "present"


def _lacking(stock: Stock) -> dict[str, FieldStatus]:
    """The properties that everything rests on, as far as they are gone, or filling after a first read."""
    lacking: dict[str, FieldStatus] = {}
    for crm, of_crm in stock.items():
        for place in (PropertyPlace(object_name, name) for object_name, names in CRM_FACTS[crm].essential.items() for name in names):
            status = of_crm.status(place)
            if status == "gone" or (status == "filling" and of_crm.streams.get(place.object)):
                lacking[f"{crm} {place.object}.{place.name}"] = status
    return lacking


# ── What it is made of ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_stock(store: Store, config: Config) -> dict[CrmName, PropertyStock]:
    """What the store knows of all CRMs' properties at one moment: three statements."""
    with store.read() as connection:
        gone, streams, notes = _gone(connection), _streams(connection), _notes(connection, config.crms)
    return {
        crm: PropertyStock(gone=frozenset(gone[crm]), read=notes[crm].read, brought=notes[crm].brought, streams=streams[crm])
        for crm in config.crms
    }


def _gone(connection: Connection) -> Mapping[str, set[PropertyPlace]]:
    gone: defaultdict[str, set[PropertyPlace]] = defaultdict(set)
    columns = select(known_property.c.crm, known_property.c.object, known_property.c.name)
    for row in connection.execute(columns.where(known_property.c.gone_at.is_not(None))):
        gone[row.crm].add(PropertyPlace(row.object, row.name))
    return gone


def _streams(connection: Connection) -> Mapping[str, dict[str, bool]]:
    """Each object whose pull has begun, with whether it was once read to its end. Cursors of other jobs have a colon in their name."""
    streams: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    query = select(cursor.c.crm, cursor.c.object, cursor.c.complete, cursor.c.state)
    for row in connection.execute(query.where(cursor.c.object.not_like("%:%"))):
        if row.complete or row.state:
            streams[row.crm][row.object] = bool(row.complete)
    return streams


class _Notes(NamedTuple):
    """What is noted of one CRM: the properties that every record of an object was read with, and those that pulls bring."""

    read: Properties
    brought: Properties


def _notes(connection: Connection, crms: Collection[CrmName]) -> dict[CrmName, _Notes]:
    names = [f"{topic}:{crm}" for topic in (_READ, _WANTED) for crm in crms]
    values = dict(connection.execute(select(_META.c.name, _META.c.value).where(_META.c.name.in_(names))).tuples().all())
    return {crm: _Notes(_parsed(values.get(f"{_READ}:{crm}")), _parsed(values.get(f"{_WANTED}:{crm}"))) for crm in crms}


def _parsed(text: str | None) -> dict[str, tuple[str, ...]]:
    return {} if text is None else {object_name: tuple(names) for object_name, names in orjson.loads(text).items()}


# ── Keeping it ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _note_wanted(store: Store, config: Config, stock: Stock) -> bool:
    """Notes what pulls bring from now on, and what was read; whether anything of it was news."""
    news = False
    for crm in config.crms:
        wanted = _wanted(config, crm, stock[crm])
        if wanted != stock[crm].brought or stock[crm].noted(wanted) != stock[crm].read:
            store.write(partial(_note, crm=crm, wanted=wanted))
            news = True
    return news


def _note(connection: Connection, *, crm: CrmName, wanted: Properties) -> None:
    read, brought = _notes(connection, [crm])[crm]
    now = PropertyStock(gone=frozenset(), read=read, brought=brought, streams=_streams(connection)[crm])
    for object_name, names in brought.items():
        if set(names) - set(wanted.get(object_name, ())):  # what changed since was stored without it: a refill under way begins anew
            fills = and_(cursor.c.crm == crm, cursor.c.object.like(f"fill:{object_name}:%"))
            connection.execute(delete(cursor).where(fills))
    _keep(connection, _READ, crm, now.noted(wanted))
    _keep(connection, _WANTED, crm, wanted)


def note_known(store: Store, state: FieldState, now: datetime) -> None:
    """Keeps since when each property is known of every record, and until when it was. now: when what was read last was read."""
    present = state.present()

    def work(connection: Connection) -> None:
        known_properties.keep(connection, list(state.wanted), present, now)

    with store.read() as connection:
        changed = known_properties.differs(connection, list(state.wanted), present)
    if changed:
        store.write(work)


def note_filled(connection: Connection, *, crm: CrmName, object_name: str, names: Sequence[str], under: str) -> None:
    """Every record was read with these now; the place where the refill stood is forgotten."""
    read = _notes(connection, [crm])[crm].read
    _keep(connection, _READ, crm, {**read, object_name: tuple(sorted({*read.get(object_name, ()), *names}))})
    connection.execute(delete(cursor).where(cursor.c.crm == crm, cursor.c.object == under))


def _keep(connection: Connection, topic: str, crm: str, properties: Properties) -> None:
    value = orjson.dumps(properties, option=orjson.OPT_SORT_KEYS).decode()
    upsert(connection, _META, [{"name": f"{topic}:{crm}", "value": value}], keys=("name",))
