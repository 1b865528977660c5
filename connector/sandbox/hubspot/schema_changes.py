"""Schema changes of the sandbox's HubSpot under a running connector: for tests and `sandbox --fault` only.

Definitions are replaced, never changed in place: a request that is being answered keeps the one it has.
"""

from __future__ import annotations

from typing import Any

from connector.sandbox.hubspot.catalogue import Property
from connector.sandbox.hubspot.records import Records


class SchemaChanges:
    """Actions of an administrator, from any thread. Raises KeyError for a property that is not there."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def add_property(
        self, object_name: str, name: str, type_: str = "string", field_type: str = "text", *, options: tuple[str, ...] = ()
    ) -> None:
        """A new property of the account's own, without values."""
        with self._records.lock:
            self._definitions(object_name)[name] = Property(
                name=name, type=type_, field_type=field_type, options=options, own=False
            ).definition()

    def remove_property(self, object_name: str, name: str) -> None:
        """Archives a property: it is neither answered nor listed any more; the values stay until it comes back."""
        with self._records.lock:
            gone = self._definitions(object_name).pop(name)
            self._records.world.hubspot_archived_properties.setdefault(object_name, {})[name] = {**gone, "archived": True}

    def restore_property(self, object_name: str, name: str) -> None:
        """Brings a removed property back, with its values."""
        with self._records.lock:
            back = self._records.world.hubspot_archived_properties[object_name].pop(name)
            self._definitions(object_name)[name] = {**back, "archived": False}

    def rename_property(self, object_name: str, name: str, new: str) -> None:
        """Another property has the values now; the old one is gone for good."""
        with self._records.lock:
            definitions = self._definitions(object_name)
            definitions[new] = {**definitions.pop(name), "name": new}
            for row in self._records.world.hubspot[object_name].values():
                if name in row["properties"]:
                    row["properties"][new] = row["properties"].pop(name)

    def change_type(self, object_name: str, name: str, type_: str, field_type: str) -> None:
        """The property has another type; its values stay as they are."""
        self._change(object_name, name, type=type_, fieldType=field_type)

    def drop_option(self, object_name: str, name: str, value: str) -> None:
        """Nobody can choose this value any more; records keep it."""
        with self._records.lock:
            options = self._definitions(object_name)[name]["options"]
            self._change(object_name, name, options=[option for option in options if option["value"] != value])

    def add_option(self, object_name: str, name: str, value: str) -> None:
        """One more value to choose, the last in order."""
        with self._records.lock:
            options = self._definitions(object_name)[name]["options"]
            new = {"label": value, "value": value, "displayOrder": len(options), "hidden": False, "description": ""}
            self._change(object_name, name, options=[*options, new])

    def set_calculated(self, object_name: str, name: str, calculated: bool = True) -> None:
        """HubSpot works the values out from now on, or does so no more."""
        with self._records.lock:
            metadata = self._definitions(object_name)[name]["modificationMetadata"]
            self._change(object_name, name, calculated=calculated, modificationMetadata={**metadata, "readOnlyValue": calculated})

    def hide_property(self, object_name: str, name: str) -> None:
        """The token may not see the property any more: neither answered nor listed."""
        with self._records.lock:
            if name not in self._definitions(object_name):
                raise KeyError(name)
            self._records.world.hubspot_hidden.add((object_name, name))

    def show_property(self, object_name: str, name: str) -> None:
        """The token sees the property again."""
        with self._records.lock:
            self._records.world.hubspot_hidden.discard((object_name, name))

    def _change(self, object_name: str, name: str, **changes: Any) -> None:
        with self._records.lock:
            definitions = self._definitions(object_name)
            definitions[name] = {**definitions[name], **changes}

    def _definitions(self, object_name: str) -> dict[str, dict[str, Any]]:
        return self._records.world.hubspot_properties[object_name]
