"""Removals of HubSpot's records: into the recycle bin and back, merged into another one, forgotten for privacy.

Sources: developers.hubspot.com/changelog/updated-merge-functionality-for-contacts-and-companies (a merged record has a new id; single reads
and writes by the old ids go on), /docs/api-reference/crm-contacts-v3 (merge, gdpr-delete), knowledge.hubspot.com/records/merge-records
(whose values stay).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connector.sandbox.hubspot.answers import invalid, missing_page, stamp
from connector.sandbox.hubspot.associations import Associations
from connector.sandbox.hubspot.catalogue import CREATED, MODIFIED, STAGES
from connector.sandbox.hubspot.records import Records
from connector.sandbox.state import HubSpotRow

_MERGEABLE = ("contacts", "companies", "deals")
_MOST_IDENTITIES = 250
#: object → the property that identifies it, and the one where the identities of merged ones go
_IDENTITIES = {"contacts": ("email", "hs_additional_emails"), "companies": ("domain", "hs_additional_domains")}


class Removals:
    """Archives, merges and forgets. Whoever uses it holds the records' lock."""

    def __init__(self, records: Records, associations: Associations) -> None:
        self._records = records
        self._associations = associations

    def archive(self, name: str, record_id: str) -> None:
        """Into the recycle bin; an id that names nothing is no error. The links stay and are not shown."""
        row = self._records.world.hubspot[name].get(record_id)
        if row is not None and not row["archived"]:
            self._records.archive(name, row)

    def restore(self, name: str, record_id: str) -> None:
        """Out of the bin. Raises KeyError where the record is not there (any more)."""
        row = self._records.world.hubspot[name][record_id]
        if not row["archived"] or not self._records.in_bin(row):
            raise KeyError(f"{name} {record_id} is not in the recycle bin")
        self._records.restore(name, row)

    def merge(self, name: str, primary_id: str, other_id: str) -> HubSpotRow:
        """Makes one record of two and gives it; both ids, or the second alone, name it from now on. Raises Refusal."""
        records = self._records
        if name not in _MERGEABLE:
            raise invalid(f"{name} cannot be merged")
        primary = records.find(name, primary_id, merged=True)
        other = records.find(name, other_id, merged=True)
        if primary is other:
            raise invalid("Cannot merge a record with itself")
        consumed = [*_listed(primary, "hs_merged_object_ids"), primary["id"], *_listed(other, "hs_merged_object_ids"), other["id"]]
        new_id = primary["id"] if records.options.merge_keeps_id else records.new_id(name)
        consumed = [record_id for record_id in dict.fromkeys(consumed) if record_id != new_id]
        if len(consumed) > _MOST_IDENTITIES:
            raise invalid(f"Cannot have more than {_MOST_IDENTITIES} identities")
        properties = self._merged_properties(name, primary, other)
        properties |= {"hs_object_id": new_id, "hs_merged_object_ids": ";".join(consumed)}
        return self._replace(name, (primary, other), new_id, properties)

    def forget(self, contact_id: str) -> None:
        """Deletes a contact for privacy: it is nowhere any more, in the bin neither. Raises Refusal where there is none."""
        records = self._records
        row = records.world.hubspot["contacts"].get(records.survivor("contacts", contact_id))
        if row is None:
            raise missing_page()
        self._associations.remove_all(("contacts", row["id"]))
        records.take_out("contacts", row["id"])
        merged = records.world.hubspot_merged.get("contacts", {})
        for old_id in [old for old, new in merged.items() if row["id"] in (old, new)]:
            del merged[old_id]

    def _merged_properties(self, name: str, primary: HubSpotRow, other: HubSpotRow) -> dict[str, str | None]:
        """The primary's values, the other's where it has none; the stage further along; the earlier creation."""
        properties = {**other["properties"], **{key: value for key, value in primary["properties"].items() if value is not None}}
        stages = [stage for row in (primary, other) if (stage := row["properties"].get("lifecyclestage"))]
        if stages:
            properties["lifecyclestage"] = max(stages, key=lambda stage: STAGES.index(stage) if stage in STAGES else -1)
        properties[CREATED[name]] = stamp(min(primary["createdAt"], other["createdAt"]))
        if name in _IDENTITIES:
            own, further = _IDENTITIES[name]
            identities = [*_listed(primary, further), *_listed(other, own), *_listed(other, further)]
            left = [identity for identity in dict.fromkeys(identities) if identity != properties.get(own)]
            properties[further] = ";".join(left) or None
        return properties

    def _replace(self, name: str, pair: tuple[HubSpotRow, HubSpotRow], new_id: str, properties: Mapping[str, Any]) -> HubSpotRow:
        records, world, now = self._records, self._records.world, self._records.now()
        created = min(row["createdAt"] for row in pair)
        history = _merged_history(world.hubspot_history.get((name, record["id"]), {}) for record in pair)
        row = next((record for record in pair if record["id"] == new_id), None)
        for record in pair:
            if record is not row:
                self._associations.move(name, record["id"], new_id)
                records.take_out(name, record["id"])
        kept = row if row is not None else {"id": new_id, "archived": False}
        with records.index(name).changing(kept):
            kept.update(properties={**properties, MODIFIED[name]: stamp(now)}, createdAt=created, updatedAt=now)
            records.add(name, kept)
        if history:
            world.hubspot_history[name, new_id] = history
        merged = world.hubspot_merged.setdefault(name, {})
        merged.update({record["id"]: new_id for record in pair if record["id"] != new_id})
        return kept


def _listed(row: HubSpotRow, name: str) -> list[str]:
    return [value for value in (row["properties"].get(name) or "").split(";") if value]


def _merged_history(histories: Iterable[Mapping[str, list[Any]]]) -> dict[str, list[Any]]:
    """The primary's history of each property; the other's where it has none."""
    found: dict[str, list[Any]] = {}
    for history in histories:
        for name, entries in history.items():
            found.setdefault(name, list(entries))
    return found
