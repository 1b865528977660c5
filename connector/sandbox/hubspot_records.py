"""HubSpot's records over the made-up world: reading, checking what is written, and what a write brings about by itself.

Sources: developers.hubspot.com/docs/guides/api/crm/using-object-apis; the lifecycle stage, which moves only forward and ignores a backward
write in silence: /docs/guides/api/crm/objects/contacts and the threads of HubSpot's community about it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.sandbox.hubspot_answers import Refusal, invalid_properties, missing_page, refused, stamp
from connector.sandbox.hubspot_catalogue import CREATED, DEFAULT_PROPERTIES, MODIFIED
from connector.sandbox.hubspot_search import to_moment
from connector.sandbox.world import HubSpotRow, World

_MAX_TEXT = 65_536
Values = dict[str, str | None]


class Records:
    """Reads and writes the records of a world. Not for several threads at once: one server's loop owns it."""

    def __init__(self, world: World, now: Callable[[], datetime]) -> None:
        self.world = world
        self._now = now
        self._order: dict[str, list[int]] = {}

    def now(self) -> datetime:
        """The server's clock, to the millisecond, as HubSpot keeps moments."""
        moment = self._now()
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, name: str, record_id: str, *, id_property: str = "", archived: bool = False) -> HubSpotRow:
        """The record, by id or by the value of a unique property. Raises the 404 that HubSpot answers: HTML for a numeric id, else JSON."""
        rows = self.world.hubspot[name]
        if id_property and id_property != "hs_object_id":
            wanted = record_id.casefold()
            values = (row for row in rows.values() if row["archived"] is archived)
            row = next((each for each in values if (each["properties"].get(id_property) or "").casefold() == wanted), None)
            if row is None:
                raise refused("OBJECT_NOT_FOUND", f"Object not found. {id_property} names none", status=404)
            return row
        if not record_id.isdigit() or int(record_id) == 0:
            raise refused("OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.", status=404)
        row = rows.get(record_id)
        if row is None or row["archived"] is not archived:
            raise missing_page()
        return row

    def page(self, name: str, after: str | None, limit: int, *, archived: bool) -> tuple[list[HubSpotRow], str | None]:
        """Rows in the order of their ids from `after` on, and the id that the next page begins with."""
        rows, order = self.world.hubspot[name], self._order.get(name, [])
        if len(order) != len(rows):
            order = self._order[name] = sorted(map(int, rows))
        start = bisect_left(order, int(after)) if after and after.isdigit() else 0
        found: list[HubSpotRow] = []
        for number in order[start:]:
            row = rows[str(number)]
            if row["archived"] is archived:
                if len(found) == limit:
                    return found, row["id"]
                found.append(row)
        return found, None

    def show(self, name: str, row: HubSpotRow, wanted: Sequence[str], history: Sequence[str] = ()) -> dict[str, Any]:
        """The record as it is sent: what was asked for (None where it has no value), unknown names left out."""
        own = row["properties"]
        if wanted or history:
            known = self.world.hubspot_properties[name]
            names = [*DEFAULT_PROPERTIES[name][-3:], *(each for each in (*wanted, *history) if each in known)]
        else:
            names = list(DEFAULT_PROPERTIES[name])
        sent = {
            "id": row["id"],
            "properties": {each: own.get(each) for each in names},
            "createdAt": row["createdAt"],
            "updatedAt": row["updatedAt"],
            "archived": row["archived"],
        }
        if row["archived"]:
            sent["archivedAt"] = row.get("archivedAt", row["updatedAt"])
        if history:
            sent["propertiesWithHistory"] = {each: self._history(name, row, each) for each in history}
        return sent

    def _history(self, name: str, row: HubSpotRow, property_name: str) -> list[dict[str, Any]]:
        entries = self.world.hubspot_history.get((name, row["id"]), {}).get(property_name)
        if not entries:
            value = row["properties"].get(property_name)
            entries = [] if value is None else [(value, row["createdAt"])]
        return [{"value": value or "", "timestamp": at, "sourceType": "CRM_UI"} for value, at in entries]

    # ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def check(self, name: str, properties: Mapping[str, Any], row: HubSpotRow | None) -> Values:
        """The properties as they would be kept on the record (None: a new one).

        Raises one Refusal for all that is wrong with them, 409 for a contact's address that exists already.
        """
        values = self._checked(name, properties, row)
        if row is None and name in ("calls", "emails", "meetings", "tasks") and not values.get("hs_timestamp"):
            raise invalid_properties([("hs_timestamp", "REQUIRED_FIELD", "hs_timestamp is required")])
        return values

    def create(self, name: str, values: Values) -> HubSpotRow:
        """A new record of checked values."""
        rows, now = self.world.hubspot[name], self.now()
        record_id = str(max(map(int, rows), default=100) + 1)
        own = {"hs_object_id": record_id, CREATED[name]: stamp(now)}
        row: HubSpotRow = {"id": record_id, "properties": own, "createdAt": now, "updatedAt": now, "archived": False}
        rows[record_id] = row
        self._apply(name, row, values)
        return row

    def update(self, name: str, row: HubSpotRow, values: Values) -> HubSpotRow:
        """Sets checked values."""
        self._apply(name, row, values)
        return row

    def archive(self, row: HubSpotRow) -> None:
        """Puts the record into the recycle bin."""
        row["archived"] = True
        row["archivedAt"] = self.now()

    def _apply(self, name: str, row: HubSpotRow, values: Values) -> None:
        own, now = row["properties"], self.now()
        for each, value in values.items():
            before = own.get(each)
            if each == "lifecyclestage" and self._goes_back(name, before, value):
                continue  # and the answer is a success all the same
            if before == value:
                continue
            own[each] = value
            self.world.hubspot_history.setdefault((name, row["id"]), {}).setdefault(each, _before(before, row)).insert(0, (value, now))
            self._follow(own, each, value, stamp(now))
        own[MODIFIED[name]] = stamp(now)
        row["updatedAt"] = now

    def _goes_back(self, name: str, before: str | None, after: str | None) -> bool:
        if not before or not after:
            return False
        order = [option["value"] for option in self.world.hubspot_properties[name]["lifecyclestage"]["options"]]
        return before in order and after in order and order.index(after) < order.index(before)

    def _follow(self, own: dict[str, str | None], name: str, value: str | None, moment: str) -> None:
        """What HubSpot sets by itself when this property changes."""
        if name == "lifecyclestage" and value:
            own[f"hs_v2_date_entered_{value}"] = moment
        elif name == "hubspot_owner_id":
            own["hubspot_owner_assigneddate"] = moment if value else None
        elif name == "hs_task_status":
            own["hs_task_completion_date"] = moment if value == "COMPLETED" else None

    def _checked(self, name: str, properties: Mapping[str, Any], row: HubSpotRow | None) -> Values:
        known = self.world.hubspot_properties[name]
        problems: list[tuple[str, str, str]] = []
        values: Values = {}
        for each, given in properties.items():
            if each not in known:
                problems.append((each, "PROPERTY_DOESNT_EXIST", f'Property "{each}" does not exist'))
                continue
            text = "" if given is None else str(given).lower() if isinstance(given, bool) else str(given)
            problem = self._problem(known[each], text)
            if problem is not None:
                problems.append((each, *problem))
            else:
                values[each] = self._kept(known[each], text, row)
        if problems:
            raise invalid_properties(problems)
        self._keep_unique(name, values, row)
        return values

    def _problem(self, definition: Mapping[str, Any], text: str) -> tuple[str, str] | None:
        name, kind = definition["name"], definition["type"]
        if definition["modificationMetadata"]["readOnlyValue"]:
            return "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.'
        if not text:
            return None
        if name == "hubspot_owner_id":
            owners = {owner["id"] for owner in self.world.hubspot_owners if not owner["archived"]}
            return None if text in owners else ("INVALID_OWNER_ID", f"{text} is not a valid owner id")
        if kind == "enumeration" and definition["options"]:
            allowed = [option["value"] for option in definition["options"]]
            parts = text.removeprefix(";").split(";") if definition["fieldType"] == "checkbox" else [text]
            wrong = [part for part in parts if part not in allowed]
            return ("INVALID_OPTION", f"{wrong[0]} was not one of the allowed options: {allowed}") if wrong else None
        if kind == "number":
            return None if _is_number(text) else ("INVALID_INTEGER", f"{text} was not a valid number.")
        if kind == "datetime":
            return None if _is_moment(text) else ("INVALID_DATE", f"{text} was not a valid date.")
        return ("STRING_TOO_LONG", f"{name} takes {_MAX_TEXT} characters") if len(text) > _MAX_TEXT else None

    def _kept(self, definition: Mapping[str, Any], text: str, row: HubSpotRow | None) -> str | None:
        if not text:
            return None
        if definition["type"] == "datetime":
            return stamp(to_moment(text))
        if definition["fieldType"] == "checkbox" and text.startswith(";"):
            already = ((row["properties"].get(definition["name"]) if row else None) or "").split(";")
            return ";".join(dict.fromkeys(part for part in (*already, *text.split(";")) if part))
        return text.lower() if definition["name"] == "email" else text

    def _keep_unique(self, name: str, values: Values, row: HubSpotRow | None) -> None:
        known = self.world.hubspot_properties[name]
        for each, value in values.items():
            is_email = name == "contacts" and each == "email"
            if value is None or not (is_email or known[each]["hasUniqueValue"]):
                continue
            others = (other for other in self.world.hubspot[name].values() if other is not row and not other["archived"])
            other = next((found for found in others if found["properties"].get(each) == value), None)
            if other is not None and is_email:
                raise refused("CONFLICT", f"Contact already exists. Existing ID: {other['id']}", status=409)
            if other is not None:
                raise invalid_properties([(each, "CONFLICTING_UNIQUE_VALUE", f"{each} is already used by object {other['id']}")])


def _before(value: str | None, row: HubSpotRow) -> list[tuple[str | None, datetime]]:
    return [] if value is None else [(value, row["createdAt"])]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_moment(text: str) -> bool:
    try:
        to_moment(text)
    except Refusal:
        return False
    return True


def split_names(values: Iterable[str]) -> list[str]:
    """Names given once, several times, or separated by commas."""
    return [name.strip() for value in values for name in value.split(",") if name.strip()]
