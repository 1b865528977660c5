"""Schema changes of the sandbox's Salesforce under a running connector: for tests and `sandbox --fault` only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from connector.sandbox.salesforce.fields import Field
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import NUMBERS


class SchemaChanges:
    """Actions of an administrator, from any thread. Raises KeyError for a field that is not there."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def add_field(self, object_name: str, name: str, kind: str = "string", *, length: int = 255) -> None:
        """A new field; every record has it empty."""
        with self._org.lock:
            self._org.schema.put_field(object_name, Field(name=name, type=kind, length=length if kind not in NUMBERS else 0))

    def remove_field(self, object_name: str, name: str) -> None:
        """Deletes a field, with its values."""
        with self._org.lock:
            self._org.schema.drop_field(object_name, name)

    def change_type(self, object_name: str, name: str, kind: str) -> None:
        """The field has another type; values that do not fit are emptied."""
        with self._org.lock:
            field = self._field(object_name, name)
            self._org.schema.put_field(object_name, replace(field, type=kind, length=field.length or 255))
            for row in self._org.schema.rows[object_name].values():
                row[field.name] = _converted(row.get(field.name), kind)

    def remove_option(self, object_name: str, name: str, value: str) -> None:
        """Deactivates a picklist's value; records keep it. A Lead's status leaves LeadStatus too."""
        with self._org.lock:
            self._org.schema.retired.add((object_name, self._field(object_name, name).name, value))
            if (object_name, name) == ("Lead", "Status"):
                statuses = self._org.schema.rows["LeadStatus"]
                for status_id in [row["Id"] for row in statuses.values() if row["ApiName"] == value]:
                    del statuses[status_id]

    def hide_field(self, object_name: str, name: str) -> None:
        """The connector's user may not see the field any more: it answers like one that is not there."""
        with self._org.lock:
            self._org.schema.hidden.add((object_name, self._field(object_name, name).name))

    def show_field(self, object_name: str, name: str) -> None:
        """The connector's user sees the field again."""
        with self._org.lock:
            self._org.schema.hidden.discard((object_name, name))

    def _field(self, object_name: str, name: str) -> Field:
        field = self._org.schema.field(object_name, name)
        if field is None:
            raise KeyError(f"{object_name}.{name}")
        return field


def _converted(value: Any, kind: str) -> Any:
    if value is None or kind not in NUMBERS:
        return None if value is None else str(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
