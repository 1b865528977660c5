"""The fields of contacts that have one record a CRM at most, read column by column: each field of many contacts at once.

The same values as `FieldReader` gives, which reads any contact; a test compares the two. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from connector.conditions import fold
from connector.config.columns import field_column, side_column
from connector.config.tables import Config, FieldRule
from connector.model import CRMS, CrmName, FieldType, folded_twin
from connector.store.fields import FieldColumn
from connector.workflows.fields import FieldReader, Value, believed, from_campaigns, moment_micros, number_of, one_sided, places

_Properties = Mapping[str, Any]


@dataclass(slots=True)
class ManySides:
    """What contacts are read from: the properties of their own records and of the companies of these, {} where there is none.

    count: how many contacts. hubspot, hubspot_company: of each. leads, contacts, accounts: of those that have a Salesforce record of this
    kind (accounts: the company of such a Contact); lead_places, contact_places: which of the contacts those are. campaigns: of each the
    latest that it joined in Salesforce, where it has a record there.
    """

    count: int = 0
    hubspot: list[_Properties] = field(default_factory=list)
    hubspot_company: list[_Properties] = field(default_factory=list)
    leads: list[_Properties] = field(default_factory=list)
    lead_places: list[int] = field(default_factory=list)
    contacts: list[_Properties] = field(default_factory=list)
    accounts: list[_Properties] = field(default_factory=list)
    contact_places: list[int] = field(default_factory=list)
    campaigns: list[str | None] = field(default_factory=list)


_Column = list[Value]
_Convert = Callable[[Sequence[Any]], _Column]
#: How many values of a field with choices are remembered.
_REMEMBERED = 1_000


class CompiledFields:
    """Reads fields; made once a pass. columns: those that the file needs; unread: those of them that stay as they are, twins among them."""

    def __init__(self, config: Config, columns: Sequence[FieldColumn], unread: Collection[str]) -> None:
        reader = FieldReader(config, columns)
        single = {column.name for column in columns if not column.name.startswith("f_")}
        rules = [rule for rule in config.fields if rule.name != "owner"]
        self._fields = [_Field.of(rule, reader, single, unread) for rule in rules]
        self.columns = tuple(name for each in self._fields for name in each.names)

    def read(self, sides: ManySides) -> list[_Column]:
        """The values of `columns`, column by column."""
        return [column for each in self._fields for column in each.read(sides)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """How one field is read, found out once. columns: each with the CRMs it is read from, the one that is believed first.

    hubspot, lead, contact: the property in the CRM's object and whether it is the company's; None where the field does not live there.
    """

    columns: Sequence[tuple[str, tuple[CrmName, ...]]]
    textual: bool
    hubspot: tuple[str, bool] | None
    lead: str | None
    contact: tuple[str, bool] | None
    campaign: bool
    converters: Mapping[CrmName, _Convert]

    @classmethod
    def of(cls, rule: FieldRule, reader: FieldReader, single: Collection[str], unread: Collection[str]) -> _Field:
        named = {place.object: place.name for crm in CRMS for place in places(rule, crm)}
        return cls(
            columns=[(name, crms) for name, crms in _columns(rule, single) if name not in unread],
            textual=rule.type.textual,
            hubspot=_either(named, "contacts", "companies"),
            lead=named.get("Lead"),
            contact=_either(named, "Contact", "Account"),
            campaign=rule.salesforce is None and from_campaigns(rule),
            converters={crm: _converter(rule, crm, reader) for crm in CRMS},
        )

    @property
    def names(self) -> list[str]:
        """Its columns, each text with its folded twin behind it."""
        return [each for name, _ in self.columns for each in ((name, folded_twin(name)) if self.textual else (name,))]

    def read(self, sides: ManySides) -> list[_Column]:
        """Its columns, as `names` has them."""
        of_crm: dict[CrmName, _Column | None] = {"hubspot": self._in_hubspot(sides), "salesforce": self._in_salesforce(sides)}
        made: list[_Column] = []
        for _, crms in self.columns:
            known = [column for crm in crms if (column := of_crm[crm]) is not None]
            values: _Column = known[0] if known else [None] * sides.count
            if len(known) > 1:
                values = [second if first is None else first for first, second in zip(*known, strict=True)]
            made.append(values)
            if self.textual:
                made.append(_folded(values))
        return made

    def _in_hubspot(self, sides: ManySides) -> _Column | None:
        if self.hubspot is None:
            return None
        name, companys = self.hubspot
        return self.converters["hubspot"]([row.get(name) for row in (sides.hubspot_company if companys else sides.hubspot)])

    def _in_salesforce(self, sides: ManySides) -> _Column | None:
        convert = self.converters["salesforce"]
        if self.campaign:
            return convert(sides.campaigns)
        if self.lead is None and self.contact is None:
            return None
        values: _Column = [None] * sides.count
        if self.lead is not None:
            found = convert([row.get(self.lead) for row in sides.leads])
            for place, value in zip(sides.lead_places, found, strict=True):
                values[place] = value
        if self.contact is not None:
            name, companys = self.contact
            found = convert([row.get(name) for row in (sides.accounts if companys else sides.contacts)])
            for place, value in zip(sides.contact_places, found, strict=True):
                values[place] = value
        return values


def _either(named: Mapping[str, str], own: str, companys: str) -> tuple[str, bool] | None:
    if own in named:
        return named[own], False
    return (named[companys], True) if companys in named else None


def _columns(rule: FieldRule, single: Collection[str]) -> list[tuple[str, tuple[CrmName, ...]]]:
    sides: list[tuple[str, tuple[CrmName, ...]]] = [(side_column(crm, rule.name), (crm,)) for crm in CRMS]
    sides = [(name, crms) for name, crms in sides if name in single]
    if one_sided(rule):
        return sides
    first = believed(rule)
    return [*sides, (field_column(rule.name), (first, *(crm for crm in CRMS if crm != first)))]


def _converter(rule: FieldRule, crm: CrmName, reader: FieldReader) -> _Convert:
    """What makes a column of a CRM's values into one of the file's."""

    def one(raw: Any) -> Value:
        return reader.value(rule, crm, raw)

    if rule.type is FieldType.TEXT and not rule.values:
        return _texts
    if rule.type is FieldType.DATETIME:
        return lambda raws: [None if raw is None or raw == "" else moment_micros(raw, reader.zone) for raw in raws]
    if rule.type in (FieldType.INTEGER, FieldType.NUMBER):
        whole = rule.type is FieldType.INTEGER
        return lambda raws: [None if raw is None or raw == "" else number_of(raw, whole=whole) for raw in raws]
    if not rule.type.textual:
        return lambda raws: [None if raw is None or raw == "" else one(raw) for raw in raws]
    remembered = lru_cache(_REMEMBERED)(one)
    return lambda raws: [None if raw is None or raw == "" else remembered(str(raw)) for raw in raws]


def _folded(values: Sequence[Any]) -> _Column:
    if not any(values):
        return [None] * len(values)  # nobody has one: no text is empty
    return [value if value is None else value.lower() if value.isascii() else fold(value) for value in values]  # as `fold`, without a call


def _texts(raws: Sequence[Any]) -> _Column:
    return [None if raw is None else (str(raw).strip() or None) for raw in raws]
