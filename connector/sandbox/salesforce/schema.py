"""The schema of the sandbox's Salesforce: fields with their types and rights, by any spelling of their names.

A field that stands in the world's rows but in no table of `fields` is taken as a custom field of the type its values have.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from connector.sandbox.salesforce import fields as known
from connector.sandbox.salesforce.errors import RowRefused
from connector.sandbox.salesforce.fields import Field
from connector.sandbox.state import Edit

Rows = dict[str, dict[str, dict[str, Any]]]

TEXTS = frozenset({"string", "textarea", "email", "phone", "url", "picklist", "combobox"})
IDS = frozenset({"id", "reference"})
NUMBERS = frozenset({"int", "double", "currency", "percent"})

#: The fields of an object that `fields` does not know.
_NOTHING_BUT_ID = (Field(name="Id", type="id", createable=False, updateable=False),)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def long_id(text: str) -> str:
    """The 18-character form of an id: three letters that tell the case of five characters each. Raises `RowRefused` for what is no id."""
    if len(text) not in (15, 18) or not (text.isascii() and text.isalnum()):
        raise RowRefused("MALFORMED_ID", f"malformed id {text}", ["Id"])
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place, letter in enumerate(text[start : start + 5]) if "A" <= letter <= "Z")
        suffix += _LETTERS[bits]
    if len(text) == 18 and text[15:].upper() != suffix:
        raise RowRefused("MALFORMED_ID", f"malformed id {text}", ["Id"])
    return text[:15] + suffix


def _guess(name: str, value: Any) -> Field:
    if isinstance(value, bool):
        return Field(name=name, type="boolean")
    if isinstance(value, int | float):
        return Field(name=name, type="double")
    if isinstance(value, datetime):
        return Field(name=name, type="datetime")
    if isinstance(value, date):
        return Field(name=name, type="date")
    return Field(name=name, type="string", length=255)


@dataclass
class Schema:
    """The objects and fields of the world, without regard to the case of names.

    hidden: (object, field) pairs that the connector's user may not see; they answer like fields that do not exist. retired: (object, field,
    value) of picklists that an administrator took away; records may hold the value still. multi_currency: whether CurrencyIsoCode exists.
    numbers: object → the number of its next new id; none is given twice. edits: what was changed, in order.
    """

    rows: Rows
    multi_currency: bool = False
    hidden: set[tuple[str, str]] = field(default_factory=set)
    retired: set[tuple[str, str, str]] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._objects = {name.lower(): name for name in self.rows}
        self._fields = {name: self._read(name) for name in self.rows}

    def _read(self, object_name: str) -> dict[str, Field]:
        listed = known.FIELDS.get(object_name, _NOTHING_BUT_ID)
        fields = {field.name.lower(): field for field in listed if self.multi_currency or field.name != known.CURRENCY}
        for row in self.rows[object_name].values():
            self._learn(object_name, fields, row)
        return fields

    def _learn(self, object_name: str, fields: dict[str, Field], row: dict[str, Any]) -> None:
        apart = known.INTERNAL.get(object_name, frozenset()) | (set() if self.multi_currency else {known.CURRENCY})
        for name, value in row.items():
            if value is not None and name.lower() not in fields and name not in apart:
                fields[name.lower()] = _guess(name, value)

    def object_name(self, name: str) -> str | None:
        """The object's own spelling; None where there is no such object."""
        return self._objects.get(name.lower())

    def field(self, object_name: str, name: str) -> Field | None:
        """The field; None where there is none, or where the connector's user may not see it."""
        fields = self._fields[object_name]
        found = fields.get(name.lower())
        if found is None:  # the rows may have been given a new field since
            for row in self.rows[object_name].values():
                if name in row:
                    self._learn(object_name, fields, row)
            found = fields.get(name.lower())
        return None if found is None or (object_name, found.name) in self.hidden else found

    def fields(self, object_name: str) -> list[Field]:
        """All fields that the connector's user sees."""
        return [field for field in self._fields[object_name].values() if (object_name, field.name) not in self.hidden]

    def put_field(self, object_name: str, field: Field) -> None:
        """A field that is new, or another than it was."""
        self._fields[object_name][field.name.lower()] = field

    def drop_field(self, object_name: str, name: str) -> None:
        """The field is gone, with all its values. Raises KeyError where there is none."""
        gone = self._fields[object_name].pop(name.lower())
        for row in self.rows[object_name].values():
            row.pop(gone.name, None)

    def reference(self, object_name: str, relationship: str) -> Field | None:
        """The field behind a relationship's name: Owner → OwnerId."""
        found = self.field(object_name, relationship + "Id")
        return found if found is not None and found.targets else None

    def choices(self, object_name: str, field: Field) -> list[str]:
        """A picklist's values: what is known, then what the data holds besides."""
        if (object_name, field.name) == ("Lead", "Status"):
            statuses = sorted(self.rows["LeadStatus"].values(), key=lambda row: row.get("SortOrder") or 0)
            return [status["ApiName"] for status in statuses]
        known_values = list(known.PICKLISTS.get((object_name, field.name), ()))
        held = {row.get(field.name) for row in self.rows[object_name].values()} - {None, *known_values}
        shown = known_values + sorted(str(value) for value in held)
        return [value for value in shown if (object_name, field.name, value) not in self.retired]

    def allows(self, object_name: str, field: Field, value: Any) -> bool:
        """Whether a restricted picklist has this value."""
        if (object_name, field.name, value) in self.retired:
            return False
        return value in known.PICKLISTS.get((object_name, field.name), ()) or value in self.choices(object_name, field)

    def default(self, object_name: str, field: Field) -> Any:
        """What a new record's field holds where the request says nothing."""
        if (object_name, field.name) == ("Lead", "Status"):
            return next((row["ApiName"] for row in self.rows["LeadStatus"].values() if row.get("IsDefault")), None)
        standard: Any = False if field.type == "boolean" else known.CURRENCIES[0] if field.name == known.CURRENCY else None
        return known.DEFAULTS.get((object_name, field.name), standard)


def _label(name: str) -> str:
    plain = name.removesuffix("__c").removesuffix("Id") or name
    return "".join(f" {c}" if c.isupper() and at and not plain[at - 1].isupper() else c for at, c in enumerate(plain)).replace("_", "")


def describe_field(schema: Schema, object_name: str, field: Field) -> dict[str, Any]:
    """A field as a describe call shows it.

    https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_sobject_describe.htm
    """
    default = schema.default(object_name, field) if field.createable else None
    choices = schema.choices(object_name, field) if field.type in ("picklist", "combobox") else []
    return {
        "name": field.name,
        "label": _label(field.name),
        "type": field.type,
        "length": 18 if field.type in IDS else field.length,
        "createable": field.createable,
        "updateable": field.updateable,
        "nillable": not field.required and field.type not in ("boolean", "id") and (object_name, field.name) != ("Lead", "Status"),
        "defaultedOnCreate": default is not None,
        "calculated": field.calculated,
        "custom": field.name.endswith("__c"),
        "externalId": field.key,
        "unique": field.key,
        "idLookup": field.key or field.type == "id",
        "filterable": field.filterable,
        "sortable": field.filterable,
        "restrictedPicklist": (object_name, field.name) in known.RESTRICTED,
        "picklistValues": [
            {"active": True, "defaultValue": value == default, "label": value, "validFor": None, "value": value} for value in choices
        ],
        "referenceTo": list(field.targets),
        "relationshipName": field.relationship,
    }


def describe_object(object_name: str, base: str) -> dict[str, Any]:
    """An object as the list of objects shows it; `base` is the path of this API version."""
    writable = object_name not in known.READ_ONLY
    return {
        "name": object_name,
        "label": _label(object_name),
        "labelPlural": _label(object_name) + "s",
        "keyPrefix": known.PREFIXES.get(object_name),
        "custom": object_name.endswith("__c"),
        "createable": writable,
        "updateable": writable,
        "deletable": writable and object_name != "User",
        "queryable": True,
        "retrieveable": True,
        "replicateable": object_name not in ("LeadStatus", "UserRole", "TaskWhoRelation", "EventWhoRelation"),
        "urls": {"sobject": f"{base}/sobjects/{object_name}", "describe": f"{base}/sobjects/{object_name}/describe"},
    }
