"""HubSpot's records over the made-up world: reading, and what a write brings about by itself.

Sources: developers.hubspot.com/docs/guides/api/crm/using-object-apis; the lifecycle stage, which moves only forward and ignores a backward
write in silence: /docs/guides/api/crm/objects/contacts and the threads of HubSpot's community about it; 90 days in the recycle bin:
knowledge.hubspot.com/records/restore-deleted-activity-in-a-record.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import RLock
from typing import Any, NamedTuple

from connector.sandbox.hubspot.answers import missing_page, refused, stamp
from connector.sandbox.hubspot.catalogue import CREATED, DEAL_STAGES, DEFAULT_PROPERTIES, MODIFIED
from connector.sandbox.hubspot.index import Index
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.hubspot.validation import Values
from connector.sandbox.state import Edit, HubSpotRow, PastValue, World

_IN_BIN = timedelta(days=90)
Show = Callable[[HubSpotRow], dict[str, Any]]


class Author(NamedTuple):
    """Who writes. by_hand: in HubSpot's own screens, where the stage may also be moved back. user_id: of a person."""

    by_hand: bool = False
    user_id: int | None = None

    def past(self, value: str | None, at: datetime) -> PastValue:
        """The entry of the history."""
        if not self.by_hand:
            return PastValue(value, at, "INTEGRATION", _APP)
        return PastValue(value, at, "CRM_UI", None if self.user_id is None else f"userId:{self.user_id}", self.user_id)


#: The number of the connector's private app.
_APP = "2811042"
THE_API = Author()


class Records:
    """Reads and writes the records of a world. Whoever uses it holds `lock`: the server's requests and a test's actions take turns."""

    def __init__(self, world: World, now: Callable[[], datetime], options: HubSpotOptions) -> None:
        self.world = world
        self.options = options
        self.lock = RLock()
        self.refusals: dict[tuple[str, str], int] = {}  # (object, id) → how many writes to it are still to be refused
        self._now = now
        self._order: dict[str, list[int]] = {}
        self._indexes: dict[str, Index] = {}

    def now(self) -> datetime:
        """The server's clock, to the millisecond, as HubSpot keeps moments."""
        moment = self._now()
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def index(self, name: str) -> Index:
        """What search sees of an object."""
        if name not in self._indexes:
            rows = self.world.hubspot[name]
            self._indexes[name] = Index(rows, self._now, lambda: timedelta(seconds=self.options.search_lag_seconds))
        return self._indexes[name]

    def known(self, name: str) -> Mapping[str, dict[str, Any]]:
        """The properties of an object that the token sees."""
        definitions = self.world.hubspot_properties[name]
        hidden = {property_name for object_name, property_name in self.world.hubspot_hidden if object_name == name}
        if not hidden:
            return definitions
        return {property_name: found for property_name, found in definitions.items() if property_name not in hidden}

    def claim(self, name: str, record_id: str) -> None:
        """Somebody writes to this record, or links something to it. Raises the 400 of a rule of the account that refuses it."""
        left = self.refusals.get((name, record_id), 0)
        if left > 0:
            self.refusals[name, record_id] = left - 1
            raise refused("VALIDATION_ERROR", "A validation rule of this account does not allow this change.")

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, name: str, record_id: str, *, id_property: str = "", archived: bool = False, merged: bool = False) -> HubSpotRow:
        """The record, by id or by the value of a unique property; `merged`: the id of one that was merged into it will do.

        Raises the 404 that HubSpot answers: HTML for a numeric id, else JSON.
        """
        if id_property and id_property != "hs_object_id":
            row = self.find_by(name, id_property, archived=archived).get(record_id.casefold())
            if row is None:
                raise refused("OBJECT_NOT_FOUND", f"Object not found. {id_property} names none", status=404)
            return row
        if not record_id.isdigit() or int(record_id) == 0:
            raise refused("OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.", status=404)
        rows = self.world.hubspot[name]
        row = rows.get(self.survivor(name, record_id) if merged else record_id)
        if row is None or row["archived"] is not archived or (archived and not self.in_bin(row)):
            raise missing_page()
        return row

    def find_by(self, name: str, id_property: str, *, archived: bool = False) -> Mapping[str, HubSpotRow]:
        """All records by the value of this property, folded; contacts also by their further addresses."""
        found: dict[str, HubSpotRow] = {}
        for row in self.world.hubspot[name].values():
            if row["archived"] is not archived or (archived and not self.in_bin(row)):
                continue
            values = [row["properties"].get(id_property)]
            if name == "contacts" and id_property == "email":
                values += (row["properties"].get("hs_additional_emails") or "").split(";")
            for value in values:
                if value:
                    found.setdefault(value.casefold(), row)
        return found

    def survivor(self, name: str, record_id: str) -> str:
        """The record that stands for this id, through any chain of merges."""
        merged = self.world.hubspot_merged.get(name, {})
        while record_id in merged:
            record_id = merged[record_id]
        return record_id

    def in_bin(self, row: HubSpotRow) -> bool:
        """Whether a deleted record can still be seen and restored."""
        return _archived_at(row) > self._now() - _IN_BIN

    def page(self, name: str, after: str | None, limit: int, *, archived: bool) -> tuple[list[HubSpotRow], str | None]:
        """Rows in the order of their ids from `after` on, and the id that the next page begins with."""
        rows, order = self.world.hubspot[name], self._order.get(name, [])
        if len(order) != len(rows):
            order = self._order[name] = sorted(map(int, rows))
        at = bisect_left(order, int(after)) if after and after.isdigit() else 0
        found: list[HubSpotRow] = []
        while at < len(order):
            row = rows[str(order[at])]
            if row["archived"] is archived and (not archived or self.in_bin(row)):
                if len(found) == limit:
                    return found, row["id"]
                found.append(row)
            at += 1
        return found, None

    def showing(self, name: str, wanted: Sequence[str], history: Sequence[str] = ()) -> Show:
        """How records are sent: with what was asked for (None where it has no value); unknown names are left out in silence."""
        known = self.known(name)
        asked = (*DEFAULT_PROPERTIES[name][-3:], *wanted, *history) if wanted or history else DEFAULT_PROPERTIES[name]
        names = [property_name for property_name in dict.fromkeys(asked) if property_name in known]
        past = [property_name for property_name in history if property_name in known]

        def show(row: HubSpotRow) -> dict[str, Any]:
            own = row["properties"]
            sent = {
                "id": row["id"],
                "properties": {property_name: own.get(property_name) for property_name in names},
                "createdAt": stamp(row["createdAt"]),
                "updatedAt": stamp(row["updatedAt"]),
                "archived": row["archived"],
            }
            if row["archived"]:
                sent["archivedAt"] = stamp(_archived_at(row))
            if history:
                sent["propertiesWithHistory"] = {property_name: self._history(name, row, property_name) for property_name in past}
            return sent

        return show

    def _history(self, name: str, row: HubSpotRow, property_name: str) -> list[dict[str, Any]]:
        entries = self.world.hubspot_history.get((name, row["id"]), {}).get(property_name)
        if not entries:
            value = row["properties"].get(property_name)
            entries = [] if value is None else [PastValue(value, row["createdAt"])]
        return [_shown(entry) for entry in entries]

    # ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, name: str, values: Mapping[str, str | None]) -> HubSpotRow:
        """A new record of checked values."""
        now = self.now()
        record_id = self.new_id(name)
        own = {"hs_object_id": record_id, CREATED[name]: stamp(now)}
        row: HubSpotRow = {"id": record_id, "properties": own, "createdAt": now, "updatedAt": now, "archived": False}
        with self.index(name).changing(row):
            self.add(name, row)
            self._apply(name, row, values, THE_API, new=True)
        return row

    def update(self, name: str, row: HubSpotRow, values: Mapping[str, str | None], author: Author = THE_API) -> HubSpotRow:
        """Sets checked values."""
        with self.index(name).changing(row):
            self._apply(name, row, values, author)
        return row

    def new_id(self, name: str) -> str:
        """An id that was never given before."""
        rows, last_ids = self.world.hubspot[name], self.world.hubspot_last_ids
        if name not in last_ids:
            last_ids[name] = max(map(int, rows), default=100)
        last_ids[name] += 1
        while str(last_ids[name]) in rows:
            last_ids[name] += 1
        return str(last_ids[name])

    def add(self, name: str, row: HubSpotRow) -> None:
        """Puts a new record into the world; within `index(name).changing(row)`."""
        self.world.hubspot[name][row["id"]] = row
        self._order.pop(name, None)

    def take_out(self, name: str, record_id: str) -> HubSpotRow:
        """Takes a record out of the world for good, its history too; its associations are the caller's."""
        row = self.world.hubspot[name].pop(record_id)
        self.world.hubspot_history.pop((name, record_id), None)
        self._order.pop(name, None)
        self.index(name).remove(record_id)
        return row

    def archive(self, name: str, row: HubSpotRow) -> None:
        """Puts the record into the recycle bin; its modified date stays."""
        with self.index(name).changing(row):
            row["archived"] = True
            row["archivedAt"] = self.now()

    def restore(self, name: str, row: HubSpotRow) -> None:
        """Takes the record out of the bin again; its modified date stays."""
        with self.index(name).changing(row):
            row["archived"] = False
            row.pop("archivedAt", None)

    def touch(self, name: str, row: HubSpotRow, moment: datetime) -> None:
        """Sets the modified date."""
        with self.index(name).changing(row):
            _stamp_modified(name, row, moment)

    def set_quietly(self, name: str, row: HubSpotRow, values: Mapping[str, str | None]) -> None:
        """Sets what HubSpot works out by itself: the modified date stays."""
        with self.index(name).changing(row):
            row["properties"].update(values)

    def _apply(self, name: str, row: HubSpotRow, values: Mapping[str, str | None], author: Author, *, new: bool = False) -> None:
        own, now = row["properties"], self.now()
        for property_name, value in values.items():
            before = own.get(property_name)
            if property_name == "lifecyclestage" and not author.by_hand and self._goes_back(name, before, value):
                continue  # and the answer is a success all the same
            if before == value:
                continue
            own[property_name] = value
            history = self.world.hubspot_history.setdefault((name, row["id"]), {})
            history.setdefault(property_name, _before(before, row)).insert(0, author.past(value, now))
            if not new:
                user = None if author.user_id is None else str(author.user_id)
                self.world.edits.append(Edit("hubspot", name, row["id"], property_name, before, value, now, user))
            _follow(own, property_name, value, stamp(now))
        _stamp_modified(name, row, now)

    def _goes_back(self, name: str, before: str | None, after: str | None) -> bool:
        if not before or not after:
            return False
        order = [option["value"] for option in self.world.hubspot_properties[name]["lifecyclestage"]["options"]]
        return before in order and after in order and order.index(after) < order.index(before)


def _archived_at(row: HubSpotRow) -> datetime:
    moment: datetime = row["archivedAt"] if "archivedAt" in row else row["updatedAt"]
    return moment


def _stamp_modified(name: str, row: HubSpotRow, moment: datetime) -> None:
    row["updatedAt"] = moment
    row["properties"][MODIFIED[name]] = stamp(moment)


def _follow(own: dict[str, str | None], name: str, value: str | None, moment: str) -> None:
    """What HubSpot sets by itself when this property changes."""
    if name == "lifecyclestage" and value:
        own[f"hs_v2_date_entered_{value}"] = moment
    elif name == "hubspot_owner_id":
        own["hubspot_owner_assigneddate"] = moment if value else None
    elif name == "hs_task_status":
        own["hs_task_completion_date"] = moment if value == "COMPLETED" else None
    elif name == "dealstage":
        own.update(closing(value or ""))


def closing(stage: str) -> Values:
    """What a deal's stage says of its end."""
    found = DEAL_STAGES.get(stage)
    closed, won = (found.closed, found.won) if found is not None else (False, False)
    return {"hs_is_closed": str(closed).lower(), "hs_is_closed_won": str(won).lower()}


def _before(value: str | None, row: HubSpotRow) -> list[PastValue]:
    return [] if value is None else [PastValue(value, row["createdAt"])]


def _shown(entry: PastValue) -> dict[str, Any]:
    """As `propertiesWithHistory` has it (HubSpot's OpenAPI files: ValueWithTimestamp)."""
    sent = {"value": entry.value or "", "timestamp": stamp(entry.at), "sourceType": entry.source}
    optional = {"sourceId": entry.source_id, "updatedByUserId": entry.user_id}
    return sent | {name: value for name, value in optional.items() if value is not None}


def split_names(values: Iterable[str]) -> list[str]:
    """Names given once, several times, or separated by commas."""
    return [name.strip() for value in values for name in value.split(",") if name.strip()]
