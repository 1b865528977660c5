"""[fields]: where a field lives in each CRM, what its value means, and which side rules believe.

Nothing here does I/O: `connector.pipeline.unify.unify` hands in the records of one contact and stores what comes out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from connector.conditions import Condition, fold
from connector.conditions.tree import Comparison, Has, In, Name, Text, walk
from connector.config.columns import field_column, side_column
from connector.config.rule_conditions import judging_conditions, rule_conditions
from connector.config.tables import Config, FieldRule
from connector.model import CRM_FACTS, CRMS, CrmName, FieldType
from connector.store.fields import FieldColumn
from connector.store.tables import to_micros

_BIGGEST_INTEGER = 2**63 - 1


#: A value of a property, as a CRM has it in JSON, and of a column of `contact`.
Value = str | int | float | bool | None


class PropertyPlace(NamedTuple):
    """A property of a CRM's object: "contacts", "lifecyclestage"."""

    object: str
    name: str


class ColumnSource(NamedTuple):
    """Where a value of a typed column comes from."""

    crm: CrmName
    place: PropertyPlace


def date_entered(stage_value: str) -> str:
    """HubSpot's property with the moment at which a contact entered a lifecycle stage (seen in public code: `hs_v2_date_entered_…`)."""
    return f"{CRM_FACTS['hubspot'].stage_entered}{stage_value}"


def properties_wanted(config: Config, crm: CrmName) -> dict[str, tuple[str, ...]]:
    """The properties to ask a CRM for, by object: those the file names, and those that identity, owners and stages need."""
    facts = CRM_FACTS[crm]
    wanted = {object_name: set(names) for object_name, names in facts.base.items()}
    for rule in config.fields:
        for object_name, property_name in places(rule, crm):
            wanted[object_name].add(property_name)
    if crm == "salesforce" and config.crm.salesforce is not None and config.crm.salesforce.hubspot_id_field is not None:
        for object_name in facts.people:
            wanted[object_name].add(config.crm.salesforce.hubspot_id_field)
    if crm == "hubspot":
        wanted[facts.stage_object].update(date_entered(value) for stage in config.stages for value in stage.hubspot)
    return {object_name: tuple(sorted(names)) for object_name, names in wanted.items()}


def options_used(config: Config, crm: CrmName) -> dict[PropertyPlace, tuple[str, ...]]:
    """The values of a CRM's own fields that the file names, by their place: those of stages and of value maps."""
    used: defaultdict[PropertyPlace, list[str]] = defaultdict(list)
    for place in stage_places(crm):
        for stage in config.stages:
            used[place] += stage.hubspot if crm == "hubspot" else stage.salesforce.lead_status
    for rule in config.fields:
        mapped = [sides[crm] for sides in rule.values.values() if crm in sides]
        for place in places(rule, crm) if mapped else ():
            used[place] += mapped
    return {place: tuple(dict.fromkeys(values)) for place, values in used.items()}


def stage_places(crm: CrmName) -> list[PropertyPlace]:
    """The properties of a CRM that carry the stage."""
    return [PropertyPlace(CRM_FACTS[crm].stage_object, CRM_FACTS[crm].stage_property)]


def options_asked(config: Config, crm: CrmName) -> dict[PropertyPlace, frozenset[str]]:
    """The folded values for which conditions and reasons ask by the CRM's own word, by their place.

    Text is compared without regard to case. Whether they are options of this CRM is not known: a field may have them of the other one.
    """
    asked = [pair for _, condition in judging_conditions(config) for pair in compared(condition)]
    if config.rejection is not None:
        asked += [(config.rejection.reason, reason.name) for reason in config.rejection.reasons]
    rules = {rule.name: rule for rule in config.fields if rule.type.textual}
    folded: defaultdict[PropertyPlace, set[str]] = defaultdict(set)
    for name, value in asked:
        side, dot, bare = name.partition(".")
        rule = rules.get(bare if dot else name)
        if rule is None or (dot and side != crm) or fold(value) in map(fold, rule.values):
            continue
        for place in places(rule, crm):
            folded[place].add(fold(value))
    return {place: frozenset(values) for place, values in folded.items()}


def compared(condition: Condition) -> Iterator[tuple[str, str]]:
    """Each name that a condition compares with a text, and the text."""
    for node in walk(condition.tree):
        match node:
            case Comparison("=" | "!=", Name(name), Text(value)) | Comparison("=" | "!=", Text(value), Name(name)) | Has(Name(name), value):
                yield name, value
            case In(Name(name), items, _):
                yield from ((name, item.value) for item in items if isinstance(item, Text))


def places(rule: FieldRule, crm: CrmName) -> list[PropertyPlace]:
    """The properties in which a field lives in a CRM."""
    if rule.name == "owner":
        return []
    if crm == "hubspot":
        return [] if rule.hubspot is None else [_hubspot_place(rule.hubspot)]
    if rule.salesforce is None:
        return []
    places = []
    if rule.salesforce.lead is not None:
        places.append(PropertyPlace("Lead", rule.salesforce.lead))
    if rule.salesforce.contact is not None:
        places.append(_contact_place(rule.salesforce.contact))
    return places


def _hubspot_place(text: str) -> PropertyPlace:
    if text.startswith("company."):
        return PropertyPlace("companies", text.removeprefix("company."))
    return PropertyPlace("contacts", text)


def _contact_place(text: str) -> PropertyPlace:
    if text.startswith("Account."):
        return PropertyPlace("Account", text.removeprefix("Account."))
    return PropertyPlace("Contact", text)


def columns_needed(config: Config) -> list[FieldColumn]:
    """The typed columns of the contact table: each field as rules believe it, and single sides where a rule reads them."""
    merged = [rule for rule in config.fields if not one_sided(rule) and rule.name != "owner"]
    believed_columns = [FieldColumn(field_column(rule.name), rule.type) for rule in merged]
    columns = {column.name: column for column in believed_columns}
    types = config.condition_names()
    looked_at = {name for rule in config.transitions for name in rule.again_if_changed}
    asked = [asked.when.names for asked in rule_conditions(config) if asked.when is not None]
    for name in sorted(set().union(*asked) | looked_at | set(_LEAD_STATUS)):
        crm, dot, bare = name.partition(".")
        if dot and name in types:
            column = side_column(crm, bare)
            columns[column] = FieldColumn(column, types[name])
    return list(columns.values())


_LEAD_STATUS = ("hubspot.lead_status", "salesforce.lead_status")


def one_sided(rule: FieldRule) -> bool:
    """Whether the field is read by side only: the two lead statuses are two vocabularies."""
    return rule.name == "lead_status"


def column_sources(config: Config, columns: Iterable[FieldColumn]) -> dict[str, list[ColumnSource]]:
    """Where the value of each typed column comes from: a field of both CRMs has sources in both."""
    rules = {rule.name: rule for rule in config.fields}
    sources: dict[str, list[ColumnSource]] = {}
    for column in columns:
        rule = rules[column.name[2:]]
        crms = [crm for crm in config.crms if column.name[0] in ("f", crm[0])]
        sources[column.name] = [ColumnSource(crm, place) for crm in crms for place in places(rule, crm)]
    return sources


def from_campaigns(rule: FieldRule) -> bool:
    """Whether Salesforce's side of the field is the latest campaign joined, and no property."""
    return rule.builtin and rule.name == "campaign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The records of one contact that its fields are read from; properties by name, {} where there is none."""

    hubspot: Mapping[str, Value] = field(default_factory=dict)
    hubspot_company: Mapping[str, Value] = field(default_factory=dict)
    lead: Mapping[str, Value] | None = None
    contact: Mapping[str, Value] | None = None
    account: Mapping[str, Value] = field(default_factory=dict)
    campaign: str | None = None  # the latest one that the person joined in Salesforce

    def raw(self, rule: FieldRule, crm: CrmName) -> Value:
        """The field's value as the CRM has it, None where it is empty or does not live there."""
        if crm == "hubspot":
            if rule.hubspot is None:
                return None
            place = _hubspot_place(rule.hubspot)
            return (self.hubspot if place.object == "contacts" else self.hubspot_company).get(place.name)
        if rule.salesforce is None:
            return self.campaign if from_campaigns(rule) else None
        if self.contact is not None and rule.salesforce.contact is not None:
            place = _contact_place(rule.salesforce.contact)
            return (self.contact if place.object == "Contact" else self.account).get(place.name)
        if self.lead is not None and rule.salesforce.lead is not None:
            return self.lead.get(rule.salesforce.lead)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """How one field is read, found out once. hubspot: the contact's own property, where it is one. *_column: None where there is none."""

    rule: FieldRule
    no_hubspot: bool
    hubspot: str | None
    column: str | None
    hubspot_column: str | None
    salesforce_column: str | None
    hubspot_first: bool

    @classmethod
    def of(cls, rule: FieldRule, sides: Collection[str]) -> _Reading:
        own = [place.name for place in places(rule, "hubspot") if place.object == "contacts"]
        single = {crm: side_column(crm, rule.name) for crm in CRMS if side_column(crm, rule.name) in sides}
        return cls(
            rule=rule,
            no_hubspot=rule.hubspot is None,
            hubspot=own[0] if own else None,
            column=None if one_sided(rule) else field_column(rule.name),
            hubspot_column=single.get("hubspot"),
            salesforce_column=single.get("salesforce"),
            hubspot_first=believed(rule) == "hubspot",
        )

    def in_hubspot(self, sides: Sides) -> Any:
        """HubSpot's value as it has it, None where it is empty or the field does not live there."""
        if self.hubspot is not None:
            return sides.hubspot.get(self.hubspot)
        return None if self.no_hubspot else sides.raw(self.rule, "hubspot")


class FieldReader:
    """Reads the fields of contacts; made once a pass. columns: those that the file needs (`columns_needed`)."""

    def __init__(self, config: Config, columns: Iterable[FieldColumn]) -> None:
        self._rules = [rule for rule in config.fields if rule.name != "owner"]
        self.zone = ZoneInfo(config.timezone)
        self._names: dict[tuple[str, CrmName], dict[str, str]] = {}
        for rule in self._rules:
            for name, sides in rule.values.items():
                for crm, value in sides.items():
                    self._names.setdefault((rule.name, crm), {})[value] = name
        single = {column.name for column in columns if not column.name.startswith("f_")}
        self._plan = [_Reading.of(rule, single) for rule in self._rules]

    def read(self, sides: Sides) -> dict[str, Any]:
        """Column → value, ready to be stored (moments as microseconds); the folded twins are the store's own doing."""
        values: dict[str, Value] = {}
        alone = sides.lead is None and sides.contact is None
        for reading in self._plan:
            hubspot = reading.in_hubspot(sides)
            if hubspot is not None:
                hubspot = self.value(reading.rule, "hubspot", hubspot)
            salesforce = None if alone else sides.raw(reading.rule, "salesforce")
            if salesforce is not None:
                salesforce = self.value(reading.rule, "salesforce", salesforce)
            if reading.hubspot_column is not None:
                values[reading.hubspot_column] = hubspot
            if reading.salesforce_column is not None:
                values[reading.salesforce_column] = salesforce
            if reading.column is not None:
                first, second = (hubspot, salesforce) if reading.hubspot_first else (salesforce, hubspot)
                values[reading.column] = second if first is None else first
        return values

    def value(self, rule: FieldRule, crm: CrmName, raw: Value) -> Value:
        """A CRM's value as the file means it; None where it is empty or does not read as the field's type."""
        if raw is None or raw == "":
            return None
        if rule.type.textual:
            return self._text(rule, crm, str(raw))
        if rule.type is FieldType.BOOLEAN:
            return raw if isinstance(raw, bool) else {"true": True, "false": False}.get(str(raw).strip().lower())
        if rule.type is FieldType.DATETIME:
            return moment_micros(raw, self.zone)
        return number_of(raw, whole=rule.type is FieldType.INTEGER)

    def _text(self, rule: FieldRule, crm: CrmName, text: str) -> str | None:
        names = self._names.get((rule.name, crm), {})
        if rule.type is FieldType.CHOICES:
            parts = [part.strip() for part in text.split(";")]
            chosen = [names.get(part, part) for part in parts if part]
            return f";{';'.join(chosen)};" if chosen else None
        stripped = text.strip()
        return names.get(stripped, stripped) or None


def believed(rule: FieldRule) -> CrmName:
    """The CRM that rules believe where the two differ; an empty value gives way."""
    if rule.read is not None:
        return rule.read
    return "salesforce" if rule.salesforce is not None else "hubspot"


def number_of(raw: Value, *, whole: bool) -> int | float | None:
    """A CRM's number; None where it does not read as one, or is larger than a column holds."""
    if raw is None:
        return None
    try:
        number = float(raw)
        exact = int(raw) if whole and not isinstance(raw, float) and str(raw).strip().lstrip("+-").isdigit() else None
    except (TypeError, ValueError):
        return None
    if not math.isfinite(number):
        return None
    if not whole:
        return number
    integer = exact if exact is not None else round(number)
    return integer if abs(integer) <= _BIGGEST_INTEGER else None


def moment_micros(raw: Value, zone: ZoneInfo) -> int | None:
    """A CRM's moment as microseconds since 1970: ISO text, epoch milliseconds, or a date (its midnight in the business's zone)."""
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return int(raw) * 1000
    text = str(raw).strip()
    if text.lstrip("-").isdigit() and len(text) > 8:
        return int(text) * 1000
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            return to_micros(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC))
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return to_micros(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
