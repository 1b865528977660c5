"""HubSpot's associations over the made-up world: the v4 shapes, and the inline ones of the object API.

Source: developers.hubspot.com/docs/api-reference/crm-associations-v4/guide. In v4 `toObjectId` is a number; ids elsewhere are text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connector.sandbox.hubspot.answers import Refusal, invalid
from connector.sandbox.hubspot.catalogue import ASSOCIATION_TYPES, OBJECTS, PRIMARY_COMPANY, object_name, opposite
from connector.sandbox.hubspot.records import Records
from connector.sandbox.state import World

PAGE = 500
Shown = dict[str, Any]


class Associations:
    """Reads and writes the links of a world; every link stands in both directions."""

    def __init__(self, world: World, records: Records) -> None:
        self._world = world
        self._records = records

    def of(self, from_type: str, record_id: str, to_type: str) -> list[tuple[str, int]]:
        """(to id, type id) of a record, without those to archived records."""
        targets = self._world.hubspot[to_type]
        links = self._world.hubspot_associations.get((from_type, to_type), {}).get(record_id, [])
        return [(to_id, type_id) for to_id, type_id in links if to_id in targets and not targets[to_id]["archived"]]

    def inline(self, from_type: str, record_id: str, to_types: Sequence[str]) -> dict[str, Any]:
        """As the object API shows them: one entry a type, so that an id may stand there twice."""
        shown: dict[str, Any] = {}
        for to_type in to_types:
            links = self.of(from_type, record_id, to_type)
            if links:
                kind = f"{OBJECTS[from_type][0]}_to_{OBJECTS[to_type][0]}"
                labels = dict(ASSOCIATION_TYPES[(from_type, to_type)])
                plain = f"{kind}_unlabeled" if len(labels) > 1 else kind
                results = [{"id": to_id, "type": plain if labels[type_id] is None else kind} for to_id, type_id in links]
                shown[to_type] = {"results": results}
        return shown

    def page(self, from_type: str, record_id: str, to_type: str, after: int = 0, limit: int = PAGE) -> tuple[list[Shown], int | None]:
        """As v4 shows them, one entry a record with all its types; and the offset of the next page."""
        labels = dict(ASSOCIATION_TYPES.get((from_type, to_type), ()))
        grouped: dict[str, list[dict[str, Any]]] = {}
        for to_id, type_id in self.of(from_type, record_id, to_type):
            grouped.setdefault(to_id, []).append({"category": "HUBSPOT_DEFINED", "typeId": type_id, "label": labels.get(type_id)})
        shown = [{"toObjectId": int(to_id), "associationTypes": types} for to_id, types in grouped.items()]
        return shown[after : after + limit], after + limit if after + limit < len(shown) else None

    def batch_read(self, from_type: str, to_type: str, inputs: Sequence[Mapping[str, Any]]) -> tuple[list[Shown], list[Shown]]:
        """Results and errors of v4 batch/read."""
        results, errors = [], []
        for record in inputs:
            record_id = str(record.get("id", ""))
            shown, following = self.page(from_type, record_id, to_type, int(record.get("after") or 0))
            if shown:
                result: dict[str, Any] = {"from": {"id": record_id}, "to": shown}
                if following is not None:
                    result["paging"] = {"next": {"after": str(following)}}
                results.append(result)
            else:
                errors.append(
                    {
                        "status": "error",
                        "category": "OBJECT_NOT_FOUND",
                        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
                        "message": f"No {OBJECTS[to_type][0]} is associated with {OBJECTS[from_type][0]} {record_id}.",
                        "context": {"fromObjectId": [record_id], "fromObjectType": [from_type], "toObjectType": [to_type]},
                    }
                )
        return results, errors

    def wanted(self, from_type: str, associations: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
        """(to object, to id, type id) of the associations given when a record is created. Raises Refusal."""
        found = []
        for association in associations:
            to_id = str(association.get("to", {}).get("id", ""))
            for type_ in association.get("types", []):
                type_id = int(type_.get("associationTypeId", 0))
                ends = [to for start, to in ASSOCIATION_TYPES if start == from_type]
                to_type = next((to for to in ends if opposite(from_type, to, type_id) is not None), None)
                if to_type is None:
                    raise invalid(f"Association type {type_id} does not exist from {from_type}")
                self.check(to_type, to_id)
                found.append((to_type, to_id, type_id))
        return found

    def check(self, name: str, record_id: str) -> None:
        """Raises the 400 of a link to a record that is not there."""
        row = self._world.hubspot[name].get(record_id)
        if row is None or row["archived"]:
            raise invalid(f"Some associated objects do not exist: {OBJECTS[name][0]}={record_id} is not valid")

    def put(self, record: tuple[str, str], other: tuple[str, str], type_ids: Sequence[int] = (), *, replace: bool = False) -> None:
        """Links (object, id) with (object, id); without types by the unlabelled one, which every link has. Raises Refusal.

        A contact or deal has one primary company: another becomes an ordinary one. replace: these types alone, instead of those so far.
        """
        types = ASSOCIATION_TYPES.get((record[0], other[0]))
        if types is None:
            raise invalid(f"{record[0]} and {other[0]} cannot be associated")
        self.check(*record)
        self.check(*other)
        wanted = dict.fromkeys((types[0][0], *type_ids))
        pairs = [(type_id, opposite(record[0], other[0], type_id)) for type_id in wanted]
        wrong = next((type_id for type_id, back in pairs if back is None), None)
        if wrong is not None:
            raise invalid(f"Association type {wrong} does not exist between {record[0]} and {other[0]}")
        if replace:
            self._cut(record, other)
        for type_id, back in pairs:
            if type_id in PRIMARY_COMPANY:
                self._move_primary(record, other)
            self._add(record, other, type_id)
            self._add(other, record, back or 0)
        self._after(record, other)

    def remove(self, record: tuple[str, str], other: tuple[str, str], type_ids: Sequence[int] = ()) -> None:
        """Takes the link between the two away, or only labels of it; without the unlabelled type nothing of a link is left."""
        plain = ASSOCIATION_TYPES.get((record[0], other[0]), ((0, None),))[0][0]
        self._cut(record, other, () if plain in type_ids else type_ids)
        self._after(record, other)

    def remove_all(self, record: tuple[str, str]) -> None:
        """Takes every link of a record away, without a trace on the others."""
        for (start, end), table in self._world.hubspot_associations.items():
            if start == record[0]:
                for to_id, _ in table.pop(record[1], []):
                    self._cut_direction((end, to_id), record)

    def move(self, name: str, old: str, new: str) -> None:
        """Hangs every link of a record on another one, which may have some of them already; its primary company stays."""
        for (start, end), table in list(self._world.hubspot_associations.items()):
            if start != name or old == new:
                continue
            for to_id, type_id in table.pop(old, []):
                self._cut_direction((end, to_id), (name, old))
                has_primary = type_id in PRIMARY_COMPANY and any(known == type_id for _, known in table.get(new, []))
                if not (has_primary and end == "companies"):
                    self._add((name, new), (end, to_id), type_id)
                    self._add((end, to_id), (name, new), opposite(name, end, type_id) or 0)
                if (name, end) == ("companies", "contacts"):
                    self._name_company(to_id)

    def _name_company(self, contact_id: str) -> None:
        """A contact's `associatedcompanyid` follows its primary company."""
        links = self._world.hubspot_associations.get(("contacts", "companies"), {}).get(contact_id, [])
        company = next((to_id for to_id, type_id in links if type_id in PRIMARY_COMPANY), None)
        self._records.set_quietly("contacts", self._world.hubspot["contacts"][contact_id], {"associatedcompanyid": company})

    def _add(self, record: tuple[str, str], other: tuple[str, str], type_id: int) -> None:
        links = self._world.hubspot_associations.setdefault((record[0], other[0]), {}).setdefault(record[1], [])
        if (other[1], type_id) not in links:
            links.append((other[1], type_id))

    def _cut(self, record: tuple[str, str], other: tuple[str, str], type_ids: Sequence[int] = ()) -> None:
        """Both directions; without types the whole link."""
        self._cut_direction(record, other, type_ids)
        self._cut_direction(other, record, [opposite(record[0], other[0], type_id) or 0 for type_id in type_ids])

    def _cut_direction(self, record: tuple[str, str], other: tuple[str, str], type_ids: Sequence[int] = ()) -> None:
        table = self._world.hubspot_associations.get((record[0], other[0]), {})
        left = [link for link in table.get(record[1], []) if link[0] != other[1] or (type_ids and link[1] not in type_ids)]
        if left:
            table[record[1]] = left
        else:
            table.pop(record[1], None)

    def _move_primary(self, record: tuple[str, str], other: tuple[str, str]) -> None:
        """The company of a contact or deal that was its primary one is so no more."""
        owner, company = (other, record) if record[0] == "companies" else (record, other)
        for to_id, type_id in list(self._world.hubspot_associations.get((owner[0], "companies"), {}).get(owner[1], [])):
            if type_id in PRIMARY_COMPANY and to_id != company[1]:
                self._cut(owner, ("companies", to_id), [type_id])

    def _after(self, record: tuple[str, str], other: tuple[str, str]) -> None:
        """What follows: a contact's `associatedcompanyid`, and the modified dates where this account moves them."""
        for (name, record_id), (end, _) in ((record, other), (other, record)):
            row = self._world.hubspot[name].get(record_id)
            if row is None:
                continue
            if name == "contacts" and end == "companies":
                self._name_company(record_id)
            if self._records.options.links_touch:
                self._records.touch(name, row, self._records.now())


def type_named(text: str) -> str:
    """The object named in a path. Raises the 400 without a category that HubSpot answers for an unknown one."""
    name = object_name(text)
    if name is None:
        raise Refusal(400, {"status": "error", "message": f"Unable to infer object type from: {text}"})
    return name
