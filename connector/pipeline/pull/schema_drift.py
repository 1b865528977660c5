"""Schema drift: what changed in the CRMs' own set-up that concerns the file, and which fields can therefore not be read now.

`look` asks each CRM for its fields and compares them with what they were (table `property`); changes become rows of `drift`, which end when
they are put right. A property that is not there, may not be read, or no longer reads as the file means it, is gone: the CRM is not asked
for it any more (`field_state`), so that everything else goes on, and it is filled when it is back (`backfill`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, NamedTuple, TypedDict

from sqlalchemy import Connection, and_, delete, insert, select, update

from connector.adapters.port import Crm
from connector.conditions import fold
from connector.config.tables import Config
from connector.errors import CrmError, Interrupted, ObjectStopped
from connector.model import CrmName, FieldType, PropertyFacts
from connector.store import runs
from connector.store import tables as t
from connector.store.bulk import upsert
from connector.store.database import Store
from connector.workflows.fields import ESSENTIAL, PropertyPlace, options_asked, options_used, places, properties_wanted, stage_places

known = t.metadata.tables["property"]
drift = t.metadata.tables["drift"]

#: How often the CRMs are asked, unless a pull finds something missing or the file changes.
OFTEN = timedelta(hours=1)
#: The file's version and the moment of the last look; without the moment where the next pass has to look again.
_LOOKED = "drift:looked"
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)

Kind = Literal["vanished", "appeared", "type", "options", "permission"]


class KnownProperty(NamedTuple):
    """A property as its CRM last described it in a form that the file can read: a row of `property`. gone_at: since when it is not so."""

    crm: CrmName
    object: str
    name: str
    label: str
    type: str
    options: list[str] | None
    calculated: bool
    writable: bool
    seen_at: datetime
    gone_at: datetime | None

    @property
    def place(self) -> PropertyPlace:
        """Object and name."""
        return PropertyPlace(self.object, self.name)


class DriftRow(TypedDict):
    """An open change, as `status` shows it; the property is empty where the whole object is meant."""

    crm: CrmName
    object: str
    property: str
    what: Kind
    before: str | None
    after: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """One change, before it is a row. place: its name is empty where the whole object is meant; open: it holds on."""

    place: PropertyPlace
    what: Kind
    before: str | None
    after: str | None
    open: bool = True

    @property
    def key(self) -> tuple[str, str, str, str | None, str | None]:
        """What tells it from other changes of its CRM."""
        return (*self.place, self.what, self.before, self.after)


# ── When ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def due(store: Store, config: Config, now: datetime) -> bool:
    """Whether it is time to look: never done, another file, or an hour ago."""
    version, _, moment = (runs.get_meta(store, _LOOKED) or "").partition(" ")
    return version != config.version or not moment or now - datetime.fromisoformat(moment) >= OFTEN


def demand(store: Store) -> None:
    """Something turned out to be missing: the next pass looks before it concludes anything, whatever becomes of this one."""
    version, _, moment = (runs.get_meta(store, _LOOKED) or "").partition(" ")
    if moment:
        runs.set_meta(store, _LOOKED, f"{version} ")  # the file was not changed by it: which one it was stays known


def look(store: Store, config: Config, crms: Mapping[CrmName, Crm], *, now: datetime) -> dict[CrmName, CrmError]:
    """Compares the CRMs' fields with what they were, and keeps what changed. One call an object.

    An object that the credentials may not see is a change like any other. Any other error of a CRM is in the answer: nothing is stored of
    this CRM then, and the next pass looks again.
    """
    version, _, _ = (runs.get_meta(store, _LOOKED) or "").partition(" ")
    failed: dict[CrmName, CrmError] = {}
    for name, crm in crms.items():
        try:
            objects = dict(_describe(crm, properties_wanted(config, name)))
        except Interrupted:
            raise
        except CrmError as error:
            failed[name] = error
            continue
        store.write(partial(_compare, config=config, crm=name, described=objects, now=now, anew=version != config.version))
    if failed:
        demand(store)
    else:
        runs.set_meta(store, _LOOKED, f"{config.version} {now.isoformat()}")
    return failed


def _describe(crm: Crm, wanted: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, Mapping[str, PropertyFacts] | None]]:
    """The fields of each object that the file uses; None where the object may not be seen."""
    for object_name, names in wanted.items():
        if not names:
            continue
        try:
            yield object_name, crm.schema([object_name])[object_name]
        except ObjectStopped:
            yield object_name, None


# ── What holds ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def calculated_properties(store: Store, config: Config, crm: CrmName) -> dict[str, tuple[str, ...]]:
    """The formula and roll-up fields of the file that are there, by object: no modified date tells of their changes."""
    read = {place for rule in config.fields for place in places(rule, crm)}
    query = select(known.c.object, known.c.name).where(known.c.crm == crm, known.c.calculated, known.c.gone_at.is_(None))
    calculated: dict[str, tuple[str, ...]] = {}
    with store.read() as connection:
        for row in connection.execute(query.order_by(known.c.object, known.c.name)):
            if (row.object, row.name) in read:
                calculated[row.object] = (*calculated.get(row.object, ()), row.name)
    return calculated


def hidden_objects(store: Store) -> frozenset[tuple[str, str]]:
    """The objects, (CRM, object), that the credentials may not see: that they cannot be pulled is known, and their fields are gone."""
    hidden = and_(drift.c.what == "permission", drift.c.property == "", drift.c.ended_at.is_(None))
    with store.read() as connection:
        return frozenset((row.crm, row.object) for row in connection.execute(select(drift.c.crm, drift.c.object).where(hidden)))


def open_rows(connection: Connection) -> list[DriftRow]:
    """What is not as it was, the latest first."""
    query = select(drift).where(drift.c.ended_at.is_(None)).order_by(drift.c.at.desc(), drift.c.id)
    rows = connection.execute(query)
    return [
        DriftRow(crm=row.crm, object=row.object, property=row.property, what=row.what, before=row.before, after=row.after, at=row.at)
        for row in rows
    ]


# ── The comparison ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _compare(
    connection: Connection,
    *,
    config: Config,
    crm: CrmName,
    described: Mapping[str, Mapping[str, PropertyFacts] | None],
    now: datetime,
    anew: bool,
) -> None:
    """anew: the file was changed since the last look: what the CRM has now is what it means."""
    columns = [known.c[name] for name in KnownProperty._fields]
    rows = (KnownProperty(*row) for row in connection.execute(select(*columns).where(known.c.crm == crm)))
    before = {row.place: row for row in rows}
    comparison = _Comparison(config, crm, before, anew=anew)
    properties = properties_wanted(config, crm)
    after: dict[PropertyPlace, KnownProperty] = {}
    changes: list[Change] = []
    for object_name, facts in described.items():
        if facts is None:
            changes.append(Change(PropertyPlace(object_name, ""), "permission", "readable", None))
        for place, fact in _facts_by_place(object_name, properties[object_name], facts or {}):
            of_place = list(comparison.changes(place, fact, hidden=facts is None))
            changes += of_place
            after[place] = _known_now(crm, place, fact, before.get(place), of_place, now)
    upsert(connection, known, [row._asdict() for row in after.values()], keys=("crm", "object", "name"))
    for object_name, name in before.keys() - after.keys():
        connection.execute(delete(known).where(known.c.crm == crm, known.c.object == object_name, known.c.name == name))
    _keep(connection, crm, changes, now)


def _facts_by_place(
    object_name: str, names: Iterable[str], facts: Mapping[str, PropertyFacts]
) -> Iterator[tuple[PropertyPlace, PropertyFacts | None]]:
    """The properties of an object that the file uses, as they are described: None where they are not."""
    folded = {name.casefold(): fact for name, fact in facts.items()}  # some CRMs regard no case
    for name in names:
        yield PropertyPlace(object_name, name), facts.get(name) or folded.get(name.casefold())


def _known_now(
    crm: CrmName, place: PropertyPlace, fact: PropertyFacts | None, before: KnownProperty | None, changes: Iterable[Change], now: datetime
) -> KnownProperty:
    """What is kept of a property. Where it cannot be used as before, what it was is kept, to tell when it is put right."""
    open_kinds = {change.what for change in changes if change.open}
    gone_since = now if before is None or before.gone_at is None else before.gone_at
    if fact is None:
        return (before or _never_described(crm, place, now))._replace(gone_at=gone_since)
    changed_type = "type" in open_kinds
    return KnownProperty(
        crm=crm,
        object=place.object,
        name=place.name,
        label=fact.label,
        type=before.type if changed_type and before is not None and before.type else fact.type,
        options=_options(fact, before, open_kinds),
        calculated=fact.calculated,
        writable=fact.writable or "permission" in open_kinds,
        seen_at=now,
        gone_at=gone_since if changed_type else None,
    )


def _options(fact: PropertyFacts, before: KnownProperty | None, open_kinds: Collection[Kind]) -> list[str] | None:
    """The options; while one is lost that the file needs, also those of before, to tell when it is back."""
    if fact.options is None:
        return None
    if before is None or before.options is None or "options" not in open_kinds:
        return list(dict.fromkeys(fact.options))
    return list(dict.fromkeys([*fact.options, *before.options]))


def _never_described(crm: CrmName, place: PropertyPlace, now: datetime) -> KnownProperty:
    return KnownProperty(crm, *place, label="", type="", options=None, calculated=False, writable=True, seen_at=now, gone_at=None)


class _Comparison:
    """What the file needs of a CRM's fields, against what they were."""

    def __init__(self, config: Config, crm: CrmName, before: Mapping[PropertyPlace, KnownProperty], *, anew: bool) -> None:
        self._before = before
        self._anew = anew
        self._types = {place: rule.type for rule in config.fields for place in places(rule, crm)}
        self._used = {place: set(values) for place, values in options_used(config, crm).items()}
        self._asked = options_asked(config, crm)
        self._written = set(stage_places(crm))
        essential = {PropertyPlace(object_name, name) for object_name, names in ESSENTIAL[crm].items() for name in names}
        self._concerned = {*self._types, *self._written, *essential}

    def changes(self, place: PropertyPlace, fact: PropertyFacts | None, *, hidden: bool) -> Iterator[Change]:
        """What concerns the file. hidden: the whole object is, which is told once."""
        if place not in self._concerned or hidden:
            return
        row = self._before.get(place)
        was = None if row is None else row.type or None
        if fact is None:
            yield Change(place, "vanished", was, None)
            return
        yield from self._type(place, fact, was)
        lost = self._lost(place, fact.options, row) if fact.options else set()  # a picklist that lists none tells nothing
        if lost:
            yield Change(place, "options", ", ".join(sorted(lost)), None)
        if place in self._written and row is not None and row.writable and not fact.writable:
            yield Change(place, "permission", "writable", "read only")

    def _lost(self, place: PropertyPlace, options: Collection[str], row: KnownProperty | None) -> set[str]:
        """What the file writes and maps must be there; for what conditions ask, it is enough not to have lost it."""
        lost = self._used.get(place, set()) - set(options)
        there, asked = {fold(option) for option in options}, self._asked.get(place, frozenset())
        had: Sequence[str] = () if row is None or self._anew else row.options or ()
        gone = {fold(option): option for option in had if fold(option) in asked and fold(option) not in there}
        return lost | set(gone.values())

    def _type(self, place: PropertyPlace, fact: PropertyFacts, was: str | None) -> Iterator[Change]:
        """Another type than before, or one that cannot be read as the file means it."""
        changed = was is not None and fact.type != was
        reads = reads_as(fact.means, self._types.get(place, FieldType.TEXT))
        if reads == "no" or (changed and reads == "perhaps" and not self._anew):
            yield Change(place, "type", was if changed else None, fact.type)
        elif changed:
            yield Change(place, "type", was, fact.type, open=False)


def reads_as(means: FieldType | None, declared: FieldType) -> Literal["yes", "perhaps", "no"]:
    """Whether values of a CRM's field read as the type that the file declares; perhaps: a text may hold numbers, or may not."""
    if declared.textual:
        return "yes"
    if means is None or means.textual:
        return "perhaps"
    if declared in _NUMBERS:
        return "yes" if means in _NUMBERS else "no"
    if declared is FieldType.DATETIME and means in _NUMBERS:  # milliseconds since 1970
        return "perhaps"
    return "yes" if means is declared else "no"


def _keep(connection: Connection, crm: CrmName, changes: Iterable[Change], now: datetime) -> None:
    """Rows for what is new; those that do not hold any more end."""
    listed = list(changes)
    holding = {change.key for change in listed if change.open}
    hidden = {change.place.object for change in listed if change.place.name == ""}
    columns = select(drift.c.object, drift.c.property, drift.c.what, drift.c.before, drift.c.after, drift.c.id)
    standing = {tuple(row[:5]): row.id for row in connection.execute(columns.where(drift.c.crm == crm, drift.c.ended_at.is_(None)))}
    ended = [key for key in standing if key not in holding]
    for key in ended:
        connection.execute(update(drift).where(drift.c.id == standing[key]).values(ended_at=now))
    listed += [
        Change(PropertyPlace(object_name, name), "appeared", None, None, open=False)
        for object_name, name, kind, *_ in ended
        if kind == "vanished" and object_name not in hidden
    ]
    rows = [_row(crm, change, now) for change in listed if not change.open or change.key not in standing]
    if rows:
        connection.execute(insert(drift), rows)


def _row(crm: CrmName, change: Change, now: datetime) -> dict[str, object]:
    """The row of `drift` of a new change."""
    ended_at = None if change.open else now
    place, content = change.place, {"what": change.what, "before": change.before, "after": change.after}
    return {"crm": crm, "object": place.object, "property": place.name, **content, "at": now, "ended_at": ended_at}
