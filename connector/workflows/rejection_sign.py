"""What makes [rejection] when true: which value, on which side, since when, and by whom. Pure.

The CRM's own history of the values says so: gone back through it, the change without which the condition was not met yet is the one. Where
a field keeps no history, the change that a pull saw stands for it, at the moment when it was seen; and where nobody ever saw it change, the
record's last edit. How the moment is known goes on record with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.conditions import Condition, fold
from connector.conditions.told import told
from connector.config.columns import column_of
from connector.config.tables import Config, FieldRule, RejectionRule
from connector.model import CrmName
from connector.store.tables.rows import KnownBy, PastChange, PersonRecord
from connector.workflows.fields import FieldReader, PropertyPlace, Sides, Value, believed, compared, from_campaigns, places

#: A person's record: its CRM, its object.
_Key = tuple[str, str]
_PERSONS: Mapping[CrmName, tuple[str, ...]] = {"hubspot": ("contacts",), "salesforce": ("Lead", "Contact")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What a CRM says: rejecting now, since when, on which side, and by whom (None: no person, or none is told).

    known_by: how the moment is known: the CRM's own history, the change was seen, or the record's last edit.
    """

    rejecting: bool
    at: datetime
    crm: CrmName | None
    by: str | None = None
    known_by: KnownBy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SideValues:
    """What the sides say, and said. values: the contact's values by column. past: changes of its records, in any order."""

    values: Mapping[str, Any]
    past: Sequence[PastChange] = ()

    def named_for(self, crm: CrmName, when: Condition) -> bool:
        """Whether a side shows a value with which the condition compares a field of that side."""
        return any(name.startswith(f"{crm}.") and self._shows(name, value) for name, value in compared(when))

    def _shows(self, name: str, value: str) -> bool:
        shown = str(self.values.get(column_of(name)) or "")
        return fold(value) in fold(shown).strip(";").split(";")


def sign_of(
    config: Config, rule: RejectionRule, sides: Mapping[CrmName, PersonRecord], said: SideValues, *, rejecting: bool, now: datetime
) -> Sign:
    """Which side rejects, since when and by whom. rejecting: what `when` says. sides: the contact's record in each CRM."""
    if not rejecting:
        return Sign(rejecting=False, at=now, crm=None)
    change = made_true(config, rule.when, sides, said.past)
    if change is not None:
        return Sign(rejecting=True, at=min(change.at, now), crm=change.crm, by=change.by, known_by=change.known_by)
    hubspot, salesforce = sides.get("hubspot"), sides.get("salesforce")
    by_hubspot = hubspot is not None and (salesforce is None or said.named_for("hubspot", rule.when))
    record = hubspot if by_hubspot else salesforce
    if record is None:
        return Sign(rejecting=True, at=now, crm=None)
    return Sign(rejecting=True, at=min(record.modified_at or now, now), crm=record.crm, known_by="record")


def made_true(config: Config, when: Condition, sides: Mapping[CrmName, PersonRecord], past: Sequence[PastChange]) -> PastChange | None:
    """The latest change before which the condition was not met; None where no change on record tells it."""
    own = {(record.crm, record.object, record.id): (record.crm, record.object) for record in sides.values()}
    properties: dict[_Key, dict[str, Value]] = {(record.crm, record.object): dict(record.properties) for record in sides.values()}
    values = _ValuesRead(config, when)
    for change in sorted(past, key=lambda change: change.at, reverse=True):
        key = own.get((change.crm, change.object, change.record_id))
        if key is None or change.property not in values.properties:
            continue
        properties[key][change.property] = change.before
        if told(when.tree, values.read(properties)) in (False, None):
            return change
    return None


class _ValuesRead:
    """Reads what a condition names of a person's own records; what companies, campaigns or the connector itself say of it is not known."""

    def __init__(self, config: Config, when: Condition) -> None:
        self._reader = FieldReader(config, ())
        self._names = {name: rule for name in when.names if (rule := _rule_of(config, name)) is not None and _personal(rule)}
        self.properties = {place.name for rule in self._names.values() for crm in _PERSONS for place in places(rule, crm)}

    def read(self, properties: Mapping[_Key, Mapping[str, Value]]) -> dict[str, Any]:
        """The values by the names of the condition."""
        sides = Sides(
            hubspot=properties.get(("hubspot", "contacts"), {}),
            lead=properties.get(("salesforce", "Lead")),
            contact=properties.get(("salesforce", "Contact")),
        )
        return {name: self._value(name, rule, sides) for name, rule in self._names.items()}

    def _value(self, name: str, rule: FieldRule, sides: Sides) -> Value:
        side = name.partition(".")[0] if "." in name else None
        first = believed(rule)
        order: list[CrmName] = [first, "salesforce" if first == "hubspot" else "hubspot"]
        found = (self._reader.value(rule, crm, sides.raw(rule, crm)) for crm in order if side in (None, crm))
        return next((value for value in found if value is not None), None)


def _rule_of(config: Config, name: str) -> FieldRule | None:
    bare = name.rpartition(".")[2]
    return next((rule for rule in config.fields if rule.name == bare and rule.name != "owner"), None)


def _personal(rule: FieldRule) -> bool:
    """Whether it lives on persons' own records alone."""
    lives = [(crm, place.object) for crm in _PERSONS for place in places(rule, crm)]
    return not from_campaigns(rule) and bool(lives) and all(name in _PERSONS[crm] for crm, name in lives)


# ── What is watched for it ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def watched_places(config: Config, rule: RejectionRule, crm: CrmName) -> Iterator[PropertyPlace]:
    """Where the fields live in a CRM that the condition reads, and the reason."""
    for name in (*sorted(rule.when.names), rule.reason):
        field_rule = _rule_of(config, name)
        if field_rule is not None and name.partition(".")[0] in (name, crm):
            yield from places(field_rule, crm)


def rejecting_values(config: Config, rule: RejectionRule, crm: CrmName) -> Iterator[tuple[PropertyPlace, str]]:
    """The values for which the condition asks, as this CRM writes them, with the property that holds them."""
    for name, value in compared(rule.when):
        field_rule = _rule_of(config, name)
        if field_rule is None or name.partition(".")[0] not in (name, crm):
            continue
        written = next((sides[crm] for mapped, sides in field_rule.values.items() if fold(mapped) == fold(value) and crm in sides), value)
        yield from ((place, written) for place in places(field_rule, crm))
