"""Schema drift: what changed in the CRMs' own set-up that concerns the file, and which fields can therefore not be read now.

`look` asks each CRM for its fields and compares them with what they were (table `property`); changes become rows of `drift`, which end when
they are put right. A property that is not there, may not be read, or no longer reads as the file means it, is not wanted from the CRM any
more (`wanted`), so that everything else goes on; `connector.pipeline.pull.backfill` fills it when it is back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from sqlalchemy import Connection, and_, delete, insert, select, update

from connector.adapters.port import Describes
from connector.conditions import fold
from connector.config.tables import Config
from connector.errors import CrmError, Interrupted, ObjectStopped
from connector.model import CRM_FACTS, CrmName, FieldType, PropertyFacts
from connector.store import runs
from connector.store import tables as t
from connector.store.bulk import upsert
from connector.store.database import Store
from connector.workflows.fields import options_asked, options_used, places, properties_wanted

known = t.metadata.tables["property"]
drift = t.metadata.tables["drift"]

#: How often the CRMs are asked, unless a pull finds something missing or the file changes.
OFTEN = timedelta(hours=1)
#: The file's version and the moment of the last look; without the moment where the next pass has to look again.
_LOOKED = "drift:looked"
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)

What = Literal["vanished", "appeared", "type", "options", "permission"]
Place = tuple[str, str]  # object, property; the property is empty where the whole object is meant


@dataclass(frozen=True, slots=True)
class Change:
    """One change, before it is a row. open: it holds on."""

    place: Place
    what: What
    before: str | None
    after: str | None
    open: bool = True


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


def look(store: Store, config: Config, crms: Mapping[CrmName, Describes], *, now: datetime) -> dict[CrmName, CrmError]:
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


def _describe(crm: Describes, wanted: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, Mapping[str, PropertyFacts] | None]]:
    """The fields of each object that the file uses; None where the object may not be seen."""
    for object_name, names in wanted.items():
        if not names:
            continue
        try:
            yield object_name, crm.schema([object_name])[object_name]
        except ObjectStopped:
            yield object_name, None


# ── What holds ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def wanted(store: Store, config: Config, crm: CrmName) -> dict[str, tuple[str, ...]]:
    """The properties to ask a CRM for, by object: those of the file, without what is not there."""
    gone = gone_properties(store, crm)
    return {
        object_name: tuple(name for name in names if (object_name, name) not in gone)
        for object_name, names in properties_wanted(config, crm).items()
    }


def gone_properties(store: Store, crm: CrmName) -> frozenset[Place]:
    """The properties that cannot be read now."""
    query = select(known.c.object, known.c.name).where(known.c.crm == crm, known.c.gone_at.is_not(None))
    with store.read() as connection:
        return frozenset((row.object, row.name) for row in connection.execute(query))


def calculated_properties(store: Store, config: Config, crm: CrmName) -> dict[str, tuple[str, ...]]:
    """The formula and roll-up fields of the file that are there, by object: no modified date tells of their changes."""
    read = {place for rule in config.fields for place in places(rule, crm)}
    query = select(known.c.object, known.c.name).where(known.c.crm == crm, known.c.calculated, known.c.gone_at.is_(None))
    found: dict[str, tuple[str, ...]] = {}
    with store.read() as connection:
        for row in connection.execute(query.order_by(known.c.object, known.c.name)):
            if (row.object, row.name) in read:
                found[row.object] = (*found.get(row.object, ()), row.name)
    return found


def hidden_objects(store: Store) -> frozenset[tuple[str, str]]:
    """The objects, (CRM, object), that the credentials may not see: that they cannot be pulled is known, and their fields are gone."""
    hidden = and_(drift.c.what == "permission", drift.c.property == "", drift.c.ended_at.is_(None))
    with store.read() as connection:
        return frozenset((row.crm, row.object) for row in connection.execute(select(drift.c.crm, drift.c.object).where(hidden)))


def open_rows(connection: Connection) -> list[dict[str, Any]]:
    """What is not as it was, the latest first: {"crm", "object", "property", "what", "before", "after", "at"}."""
    columns = [drift.c[name] for name in ("crm", "object", "property", "what", "before", "after", "at")]
    query = select(*columns).where(drift.c.ended_at.is_(None)).order_by(drift.c.at.desc(), drift.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


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
    of_crm = connection.execute(select(known).where(known.c.crm == crm)).mappings()
    before = {(row["object"], row["name"]): row for row in of_crm}
    comparison = _Comparison(config, crm, before, anew=anew)
    properties = properties_wanted(config, crm)
    rows, changes = [], []
    for object_name, facts in described.items():
        if facts is None:
            changes.append(Change((object_name, ""), "permission", "readable", None))
        folded = {} if facts is None else {name.casefold(): fact for name, fact in facts.items()}  # some CRMs regard no case
        for name in properties[object_name]:
            place = (object_name, name)
            fact = None if facts is None else facts.get(name) or folded.get(name.casefold())
            found = list(comparison.changes(place, fact, hidden=facts is None))
            changes += found
            rows.append(_row(crm, place, fact, before.get(place), found, now))
    upsert(connection, known, rows, keys=("crm", "object", "name"))
    for object_name, name in before.keys() - {(row["object"], row["name"]) for row in rows}:
        connection.execute(delete(known).where(known.c.crm == crm, known.c.object == object_name, known.c.name == name))
    _keep(connection, crm, changes, now)


def _row(crm: CrmName, place: Place, fact: PropertyFacts | None, before: Any, changes: Iterable[Change], now: datetime) -> dict[str, Any]:
    """What is kept of a property. Where it cannot be used as before, what it was is kept, to tell when it is put right."""
    held = {change.what for change in changes if change.open}
    unread = fact is None or "type" in held
    row = {"crm": crm, "object": place[0], "name": place[1], "seen_at": now}
    gone_at = None if not unread else (before["gone_at"] if before is not None and before["gone_at"] is not None else now)
    if fact is None:
        kept = {name: before[name] for name in ("label", "type", "options", "calculated", "writable", "seen_at")} if before else _NEVER_SEEN
        return {**row, **kept, "gone_at": gone_at}
    return row | {
        "label": fact.label,
        "type": before["type"] if before and before["type"] and "type" in held else fact.type,
        "options": _options(fact, before, held),
        "calculated": fact.calculated,
        "writable": fact.writable or "permission" in held,
        "gone_at": gone_at,
    }


def _options(fact: PropertyFacts, before: Any, held: Collection[str]) -> list[str] | None:
    """The options; while one is lost that the file needs, also those of before, to tell when it is back."""
    if fact.options is None:
        return None
    kept = (before["options"] or ()) if before is not None and "options" in held else ()
    return list(dict.fromkeys([*fact.options, *kept]))


_NEVER_SEEN: Mapping[str, Any] = {"label": "", "type": "", "options": None, "calculated": False, "writable": True}


class _Comparison:
    """What the file needs of a CRM's fields, against what they were."""

    def __init__(self, config: Config, crm: CrmName, before: Mapping[Place, Any], *, anew: bool) -> None:
        self._before = before
        self._anew = anew
        self._types = {place: rule.type for rule in config.fields for place in places(rule, crm)}
        facts = CRM_FACTS[crm]
        stages = {(facts.stage_object, facts.stage_property)}
        self._used = {place: set(values) for place, values in options_used(config, crm).items()}
        self._asked = options_asked(config, crm)
        self._written = stages
        self._concerned = {*self._types, *stages, *((name, each) for name, all_ in facts.essential.items() for each in all_)}

    def changes(self, place: Place, fact: PropertyFacts | None, *, hidden: bool) -> Iterator[Change]:
        """What concerns the file. hidden: the whole object is, which is told once."""
        if place not in self._concerned or hidden:
            return
        row = self._before.get(place)
        was = None if row is None or not row["type"] else row["type"]
        if fact is None:
            yield Change(place, "vanished", was, None)
            return
        yield from self._type(place, fact, was)
        lost = self._lost(place, fact.options, row) if fact.options else set()  # a picklist that lists none tells nothing
        if lost:
            yield Change(place, "options", ", ".join(sorted(lost)), None)
        if place in self._written and row is not None and row["writable"] and not fact.writable:
            yield Change(place, "permission", "writable", "read only")

    def _lost(self, place: Place, options: Collection[str], row: Any) -> set[str]:
        """What the file writes and maps must be there; for what conditions ask, it is enough not to have lost it."""
        lost = self._used.get(place, set()) - set(options)
        there, asked = {fold(option) for option in options}, self._asked.get(place, frozenset())
        had = () if row is None or self._anew else row["options"] or ()
        gone = {fold(option): option for option in had if fold(option) in asked and fold(option) not in there}
        return lost | set(gone.values())

    def _type(self, place: Place, fact: PropertyFacts, was: str | None) -> Iterator[Change]:
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
    holding = {(*change.place, change.what, change.before, change.after) for change in listed if change.open}
    rows = connection.execute(select(drift).where(drift.c.crm == crm, drift.c.ended_at.is_(None))).all()
    standing = {(row.object, row.property, row.what, row.before, row.after): row.id for row in rows}
    hidden = {change.place[0] for change in listed if change.place[1] == ""}
    for (object_name, name, what, *said), number in standing.items():
        if (object_name, name, what, *said) not in holding:
            connection.execute(update(drift).where(drift.c.id == number).values(ended_at=now))
            if what == "vanished" and object_name not in hidden:
                listed.append(Change((object_name, name), "appeared", None, None, open=False))
    new = [
        {
            "crm": crm,
            "object": change.place[0],
            "property": change.place[1],
            "what": change.what,
            "before": change.before,
            "after": change.after,
            "at": now,
            "ended_at": None if change.open else now,
        }
        for change in listed
        if not change.open or (*change.place, change.what, change.before, change.after) not in standing
    ]
    if new:
        connection.execute(insert(drift), new)
