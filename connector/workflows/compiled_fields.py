"""The fields of contacts that have one record a CRM at most, read by functions made once a pass: one a field and kind of contact.

The same values as `FieldReader` gives, which reads any contact; a test compares the two. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any

from connector.conditions import fold
from connector.config.columns import field_column, side_column
from connector.config.tables import Config, FieldRule
from connector.model import CRMS, CrmName, FieldType, folded_twin
from connector.store.fields import FieldColumn
from connector.workflows.fields import FieldReader, Value, believed, from_campaigns, one_sided, places


@dataclass(frozen=True, slots=True)
class PlainSides:
    """What a contact is read from: the properties of its record in each CRM and of their companies, {} where there is none."""

    hubspot: Mapping[str, Any]
    hubspot_company: Mapping[str, Any]
    salesforce: Mapping[str, Any]
    account: Mapping[str, Any]
    campaign: str | None


#: A field's value, as its column holds it, and its folded twin: None where the field is no text.
_Pair = tuple[Value, str | None]
_ReadSide = Callable[[PlainSides], _Pair]
_NOTHING: _Pair = (None, None)
#: How many values of a field with choices are remembered.
_REMEMBERED = 1_000


class CompiledFields:
    """Reads fields; made once a pass. columns: those that the file needs; unread: those of them that stay as they are, twins among them."""

    def __init__(self, config: Config, columns: Sequence[FieldColumn], unread: Collection[str]) -> None:
        self._reader = FieldReader(config, columns)
        rules = [rule for rule in config.fields if rule.name != "owner"]
        single = {column.name for column in columns if not column.name.startswith("f_")}
        sources = [(rule, name, crms) for rule in rules for name, crms in _columns(rule, single) if name not in unread]
        self.columns = tuple(each for rule, name, _ in sources for each in ((name, folded_twin(name)) if rule.type.textual else (name,)))
        self._plans = {kind: [self._add(rule, crms, kind) for rule, _, crms in sources] for kind in _OBJECTS}

    def values(self, sides: PlainSides, kind: str | None) -> list[Value]:
        """The values of `columns`, in their order. kind: the object of the record in Salesforce, None where there is none."""
        values: list[Value] = []
        for add in self._plans[kind]:
            add(sides, values)
        return values

    def _add(self, rule: FieldRule, crms: Sequence[CrmName], kind: str | None) -> Callable[[PlainSides, list[Value]], None]:
        """Reads one column: of these CRMs the first that has a value."""
        readers = [reader for crm in crms if (reader := self._side(rule, crm, kind)) is not None]
        textual = rule.type.textual
        if not readers:
            nothing = _NOTHING if textual else (None,)
            return lambda _, values: values.extend(nothing)
        first, others = readers[0], readers[1:]

        def add(sides: PlainSides, values: list[Value]) -> None:
            pair = first(sides)
            if pair[0] is None:
                for read in others:
                    pair = read(sides)
            if textual:
                values += pair
            else:
                values.append(pair[0])

        return add

    def _side(self, rule: FieldRule, crm: CrmName, kind: str | None) -> _ReadSide | None:
        """Reads the value in one CRM; None where the field does not live there."""
        convert = self._converter(rule, crm)
        if crm == "salesforce" and rule.salesforce is None and kind is not None and from_campaigns(rule):
            return lambda sides: convert(sides.campaign) if sides.campaign else _NOTHING
        objects = ("contacts", "companies") if crm == "hubspot" else _OBJECTS[kind]
        place = next((place for place in places(rule, crm) if place.object in objects), None)
        return None if place is None else _reading(_SOURCES[place.object], place.name, convert)

    def _converter(self, rule: FieldRule, crm: CrmName) -> Callable[[Any], _Pair]:
        value = self._reader.value
        if not rule.type.textual:
            return lambda raw: (value(rule, crm, raw), None)

        def pair(text: str) -> _Pair:
            found = value(rule, crm, text)
            return (found, None) if found is None else (found, fold(str(found)))

        if rule.type is FieldType.TEXT and not rule.values:
            return _plain_text
        remembered = lru_cache(_REMEMBERED)(pair)
        return lambda raw: remembered(str(raw))


def _columns(rule: FieldRule, single: Collection[str]) -> list[tuple[str, tuple[CrmName, ...]]]:
    """The columns of a field, each with the CRMs that it is read from, the one that is believed first."""
    columns: list[tuple[str, tuple[CrmName, ...]]] = [(side_column(crm, rule.name), (crm,)) for crm in CRMS]
    columns = [(name, crms) for name, crms in columns if name in single]
    if one_sided(rule):
        return columns
    first = believed(rule)
    return [*columns, (field_column(rule.name), (first, *(crm for crm in CRMS if crm != first)))]


def _plain_text(raw: Any) -> _Pair:
    text = str(raw).strip()
    return (text, fold(text)) if text else _NOTHING


_Source = Callable[[PlainSides], Mapping[str, Any]]
_SOURCES: Mapping[str, _Source] = {
    "contacts": attrgetter("hubspot"),
    "companies": attrgetter("hubspot_company"),
    "Lead": attrgetter("salesforce"),
    "Contact": attrgetter("salesforce"),
    "Account": attrgetter("account"),
}
#: Where in Salesforce the fields of a person live, by the object of its record.
_OBJECTS: Mapping[str | None, tuple[str, ...]] = {None: (), "Lead": ("Lead",), "Contact": ("Contact", "Account")}


def _reading(source: _Source, name: str, convert: Callable[[Any], _Pair]) -> _ReadSide:
    def read(sides: PlainSides) -> _Pair:
        raw = source(sides).get(name)
        return _NOTHING if raw is None or raw == "" else convert(raw)

    return read
