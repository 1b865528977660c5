"""The tables of the file that are put together of more than their own keys: fields, stages, calendars, qualification, rejection."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from connector import conditions
from connector.config.builtin import BUILTIN, FIXED
from connector.config.kinds import shown
from connector.config.names import COMPUTED
from connector.config.problems import Location
from connector.config.reading import CALENDAR_KEYS, Raw, Reading
from connector.config.tables import CalendarRule, Criterion, FieldRule, Qualification, ReasonRule, RejectionRule, Stage
from connector.model import CRMS

_FIELD_NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}$")


def fields(reading: Reading) -> tuple[FieldRule, ...]:
    """Declared and built-in fields."""
    declared_rules = reading.each_named("fields", partial(_field, reading))
    taken = {rule.name for rule in declared_rules}
    builtin = [_without_absent(reading, rule) for rule in BUILTIN if rule.name not in taken]
    return (*builtin, *declared_rules)


def _without_absent(reading: Reading, rule: FieldRule) -> FieldRule:
    absent = rule.sides - reading.known.crms
    return rule.model_copy(update={**dict.fromkeys(absent), "absent": absent}) if absent else rule


def _field(reading: Reading, name: str, raw: object) -> FieldRule | None:
    location: Location = ("fields", name)
    if name in COMPUTED or name in FIXED or name in CRMS:
        reading.problem(location, "a name that the connector itself gives", "another name")
    elif not _FIELD_NAME.match(name) or not _readable(name):
        reading.problem(location, "no name for a field", "small letters, digits and _, at most 40, and no word of the condition language")
    hidden = frozenset({"name", "builtin", "absent"})
    if not isinstance(raw, dict):
        return reading.value(FieldRule, raw, location)
    absent = frozenset(crm for crm in CRMS if crm in raw and crm not in reading.known.crms)
    return reading.value(FieldRule, _field_of_present(reading, location, raw), location, hidden, name=name, absent=absent)


def _field_of_present(reading: Reading, location: Location, raw: Raw) -> Raw:
    """The table without what it says of a CRM that the file does not have."""
    kept = _of_present(reading, location, raw)
    if kept.get("read") in CRMS and kept["read"] not in reading.known.crms:
        reading.ignore((*location, "read"))
        del kept["read"]
    if isinstance(kept.get("values"), dict):
        kept["values"] = {
            choice: _of_present(reading, (*location, "values", choice), sides) if isinstance(sides, dict) else sides
            for choice, sides in kept["values"].items()
        }
    return kept


def _of_present(reading: Reading, location: Location, raw: Raw) -> dict[str, Any]:
    absent = {crm for crm in CRMS if crm in raw and crm not in reading.known.crms}
    for crm in sorted(absent):
        reading.ignore((*location, crm))
    return {key: value for key, value in raw.items() if key not in absent}


def stages(reading: Reading) -> tuple[Stage, ...]:
    """The stages, lowest first, without the values of a CRM that the file does not have."""
    raw = reading.root.get("stages", [])
    if not isinstance(raw, list):
        reading.problem(("stages",), shown(raw), "tables [[stages]]")
        return ()
    values = []
    for place, entry in enumerate(raw):
        location: Location = ("stages", place)
        present = _of_present(reading, location, entry) if isinstance(entry, dict) else entry
        values.append(reading.value(Stage, present, location))
    return tuple(stage for stage in values if stage is not None)


def calendars(reading: Reading) -> tuple[CalendarRule, ...]:
    """[calendar] first, then each [calendar.NAME]."""
    raw = reading.root.get("calendar")
    if raw is None:
        return ()
    if not isinstance(raw, dict):
        reading.problem(("calendar",), shown(raw), "a table")
        return ()
    others = {name: table for name, table in raw.items() if isinstance(table, dict) and name not in CALENDAR_KEYS}
    own = {key: value for key, value in raw.items() if key not in others}
    hidden = frozenset({"name"})
    rules = [reading.value(CalendarRule, own, ("calendar",), hidden, name="")]
    rules += [reading.value(CalendarRule, table, ("calendar", name), hidden, name=name) for name, table in others.items()]
    return tuple(rule for rule in rules if rule is not None)


def qualification(reading: Reading) -> Qualification | None:
    """[qualification] with its criteria."""
    raw = reading.root.get("qualification")
    if not isinstance(raw, dict):
        return reading.table("qualification", Qualification)
    criteria = reading.listed(Criterion, "qualification", "criteria")
    kept = {key: value for key, value in raw.items() if key != "criteria"}
    return reading.value(Qualification, kept, ("qualification",), criteria=criteria)


def rejection(reading: Reading) -> RejectionRule | None:
    """[rejection] with its reasons."""
    raw = reading.root.get("rejection")
    if not isinstance(raw, dict):
        return reading.table("rejection", RejectionRule)
    if not isinstance(raw.get("reasons", {}), dict):
        reading.problem(("rejection", "reasons"), shown(raw["reasons"]), 'a table, like "No budget" = {}')
        raw = {**raw, "reasons": {}}
    reasons = [
        reading.value(ReasonRule, table, ("rejection", "reasons", name), frozenset({"name"}), name=name)
        for name, table in raw.get("reasons", {}).items()
    ]
    kept = tuple(rule for rule in reasons if rule is not None)
    return reading.value(RejectionRule, {key: value for key, value in raw.items() if key != "reasons"}, ("rejection",), reasons=kept)


def _readable(name: str) -> bool:
    """Whether a condition can read this name: not a word of the language itself."""
    try:
        return conditions.parse(f"{name} IS NULL").names == {name}
    except conditions.ConditionError:
        return False
