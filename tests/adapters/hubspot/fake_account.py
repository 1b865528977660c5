"""A HubSpot account in memory, one function away from the adapter (its `send`): lists, searches, batches, associations.

Smaller and quicker than the sandbox, and it can be edited between two requests of a pull (`before`) or made to answer anything (`answers`).
"""

from __future__ import annotations

import operator
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import nsmallest
from threading import RLock
from typing import Any

import orjson

from connector.adapters.client import Answer, Request, Unreachable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
#: The family before the version, as the dated paths have it.
DATED = re.compile(r"^/crm/(objects|properties|associations|owners)/20\d\d-\d\d(?=/|$)")
NO_PAGING = "Paging through deleted objects is not yet supported for object type 0-47 (MEETING_EVENT)"


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {"GTE": operator.ge, "LTE": operator.le, "GT": operator.gt, "LT": operator.lt}


def millis(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def stamp(at: int) -> str:
    return (EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reply(content: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=orjson.dumps(content))


@dataclass
class Told:
    """What the next requests that fit are answered. lost: it takes effect, and no answer comes."""

    match: str
    answer: Answer | Unreachable
    times: int = 1
    lost: bool = False


@dataclass
class Account:
    """stages: lifecyclestage values in their order; a write backward is ignored unless the value is empty.

    ids_as_text: search compares and sorts ids as text; ids_sort_as_text: it sorts them so, and filters by number. unseen: ids of records
    that search does not find yet. pipelines: of deals.
    """

    ids_as_text: bool = False
    ids_sort_as_text: bool = False
    unseen: set[str] = field(default_factory=set)
    pipelines: list[dict[str, Any]] = field(default_factory=list)
    stages: tuple[str, ...] = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead")
    records: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    links: dict[tuple[str, str], dict[str, list[tuple[str, int]]]] = field(default_factory=lambda: defaultdict(dict))
    owners: list[dict[str, Any]] = field(default_factory=list)
    properties: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    scopes: list[str] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    before: Callable[[Request], None] = lambda request: None
    log: list[Request] = field(default_factory=list)
    clock: int = millis(START)
    links_a_page: int = 500
    archived: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    merged: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    _last_id: int = 1000
    _lock: RLock = field(default_factory=RLock)

    def put(self, name: str, record_id: str, at: int | None = None, **properties: str | None) -> None:
        moment = self.clock if at is None else at
        known = self.records[name].get(record_id, {"id": record_id, "created": moment, "properties": {}})
        self.records[name][record_id] = {**known, "modified": moment, "properties": {**known["properties"], **properties}}

    def link(self, one: tuple[str, str], other: tuple[str, str], kind: int) -> None:
        for (name, start), (other_name, end) in ((one, other), (other, one)):
            self.links[name, other_name].setdefault(start, []).append((end, kind))

    def archive(self, name: str, record_id: str, at: int) -> None:
        """A person deletes the record: it lies in the recycle bin."""
        self.archived[name][record_id] = {**self.records[name].pop(record_id), "archived": at}

    def merge(self, name: str, one: str, other: str, survivor: str) -> None:
        """Two become a third, under a new id or one of theirs; the others answer to theirs by single requests alone."""
        kept = {**self.records[name].pop(one), **self.records[name].pop(other), "id": survivor}
        gone = [each for each in (one, other) if each != survivor]
        kept["properties"] = {**kept["properties"], "hs_merged_object_ids": ";".join(gone)}
        self.records[name][survivor] = kept
        self.merged[name] |= dict.fromkeys(gone, survivor)

    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.log]

    def send(self, request: Request) -> Answer:
        with self._lock:  # a first read sends from several threads
            return self._send(request)

    def _send(self, request: Request) -> Answer:
        self.before(request)
        self.log.append(request)
        for told in self.told:
            if told.times and told.match in f"{request.method} {request.path}":
                told.times -= 1
                if told.lost:
                    self._answer(request)
                if isinstance(told.answer, Unreachable):
                    raise told.answer
                return told.answer
        return self._answer(request)

    def _answer(self, request: Request) -> Answer:
        path = DATED.sub(r"/crm/v3/\1", request.path)
        body = orjson.loads(request.body) if request.body else {}
        if path == "/crm/v3/owners":
            archived = request.query.get("archived") == "true"
            return reply({"results": [owner for owner in self.owners if owner["archived"] is archived]})
        if path.startswith("/account-info/"):
            account = {"portalId": 4711, "accountType": "STANDARD", "timeZone": "Europe/Berlin", "uiDomain": "app-eu1.hubspot.com"}
            return reply(account, x_hubspot_ratelimit_daily="1000", x_hubspot_ratelimit_daily_remaining="990")
        if path.endswith("/access-token-info"):
            return reply({"userId": 1, "hubId": 4711, "appId": 2, "scopes": self.scopes})
        parts = path.removeprefix("/crm/v3/").removeprefix("/crm/v4/").split("/")
        if parts[0] == "properties":
            return reply({"results": self.properties.get(parts[1], [])})
        if parts[0] == "pipelines":
            return reply({"results": self.pipelines})
        if parts[0] == "associations":
            return self._associations(parts[1], parts[2], body)
        if len(parts) == 2:
            return self._list(parts[1], request)
        if len(parts) == 3 and parts[2].isdecimal():
            return self._single(parts[1], parts[2], archived=request.query.get("archived") == "true")
        route = {"search": self._search, "read": self._read, "update": self._update, "create": self._create}
        if request.query.get("archived") == "true":
            return self._read(parts[1], body, archived=True)
        return route[parts[-1]](parts[1], body)

    def _shown(self, name: str, row: dict[str, Any], asked: list[str]) -> dict[str, Any]:
        own = {"hs_object_id": row["id"], "lastmodifieddate": stamp(row["modified"]), "hs_lastmodifieddate": stamp(row["modified"])}
        values = {**own, **row["properties"]}
        return {
            "id": row["id"],
            "properties": {key: values.get(key) for key in asked},
            "createdAt": stamp(row["created"]),
            "updatedAt": stamp(row["modified"]),
            "archived": "archived" in row,
            **({"archivedAt": stamp(row["archived"])} if "archived" in row else {}),
        }

    def _single(self, name: str, record_id: str, *, archived: bool) -> Answer:
        found = (self.archived if archived else self.records)[name].get(self.merged[name].get(record_id, record_id))
        if found is None:
            return Answer(status=404, headers={"content-type": "text/html;charset=iso-8859-1"}, body=b"<html>Resource not found</html>")
        return reply(self._shown(name, found, []))

    def _list(self, name: str, request: Request) -> Answer:
        asked = [key for key in request.query.get("properties", "").split(",") if key]
        after, limit = int(request.query.get("after", "0")), int(request.query["limit"])
        bin_ = request.query.get("archived") == "true"
        if bin_ and name == "meetings":
            return reply({"status": "error", "message": NO_PAGING, "correlationId": "c-2"}, 400)
        held = (self.archived if bin_ else self.records)[name]
        rows = nsmallest(limit + 1, (row for row in held.values() if int(row["id"]) >= after), key=lambda row: int(row["id"]))
        shown = []
        for row in rows[:limit]:
            one = self._shown(name, row, asked)
            linked = self.links[name, "contacts"].get(row["id"], []) if request.query.get("associations") else []
            if linked:
                one["associations"] = {"contacts": {"results": [{"id": end, "type": "x"} for end, _ in linked for _ in (1, 2)]}}
            shown.append(one)
        paging = {"paging": {"next": {"after": rows[limit]["id"]}}} if len(rows) > limit else {}
        return reply({"results": shown, **paging})

    def _search(self, name: str, body: Any) -> Answer:
        modified = "lastmodifieddate" if name == "contacts" else "hs_lastmodifieddate"

        def reader(key: str) -> Callable[[dict[str, Any]], Any]:
            assert key in (modified, "hs_object_id"), f"the account does not know {key} of {name}"
            return (lambda row: row["modified"]) if key == modified else (lambda row: self._id(row["id"]))

        rows = [row for row in self.records[name].values() if row["id"] not in self.unseen]
        by_group = []
        for group in body.get("filterGroups") or [{"filters": []}]:
            fitting = rows
            for rule in group["filters"]:
                limit = int(rule["value"]) if rule["propertyName"] == modified else self._id(rule["value"])
                compare, read = COMPARISONS[rule["operator"]], reader(rule["propertyName"])
                fitting = [row for row in fitting if compare(read(row), limit)]
            by_group.append(fitting)
        rows = by_group[0] if len(by_group) == 1 else list({row["id"]: row for fitting in by_group for row in fitting}.values())
        order = (body.get("sorts") or [{"propertyName": "hs_object_id"}])[0]
        by_text = self.ids_sort_as_text and order["propertyName"] == "hs_object_id"
        key = (lambda row: row["id"]) if by_text else reader(order["propertyName"])
        rows = sorted(rows, key=key, reverse=order.get("direction") == "DESCENDING")
        size = body["limit"]
        assert size <= 200
        paging = {"paging": {"next": {"after": str(size)}}} if len(rows) > size else {}
        return reply({"total": len(rows), "results": [self._shown(name, row, body["properties"]) for row in rows[:size]], **paging})

    def _id(self, text: str) -> Any:
        return text if self.ids_as_text else int(text)

    def _read(self, name: str, body: Any, *, archived: bool = False) -> Answer:
        ids = [row["id"] for row in body["inputs"]]
        assert len(ids) <= 100
        assert len(set(ids)) == len(ids)
        held = (self.archived if archived else self.records)[name]
        found = [self._shown(name, held[each], body["properties"]) for each in ids if each in held]
        missing = [each for each in ids if each not in held]
        errors = [{"status": "error", "category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": missing}}] if missing else []
        return reply({"status": "COMPLETE", "results": found, **({"errors": errors} if errors else {})}, 207 if errors else 200)

    def _update(self, name: str, body: Any) -> Answer:
        refused = self._invalid(name, body)
        if refused is not None:
            return refused
        results, errors = [], []
        for row in body["inputs"]:
            if row["id"] not in self.records[name]:
                errors.append({"status": "error", "category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"id": [row["id"]]}})
                continue
            self.put(name, row["id"], None, **self._allowed(self.records[name][row["id"]], row["properties"]))
            results.append(self._shown(name, self.records[name][row["id"]], list(row["properties"])))
        return reply({"status": "COMPLETE", "results": results, **({"errors": errors} if errors else {})}, 207 if errors else 200)

    def _invalid(self, name: str, body: Any) -> Answer | None:
        """One row with a property that does not exist, or a value "bad…", sinks the batch."""
        for row in body["inputs"]:
            for key, value in row["properties"].items():
                code = "PROPERTY_DOESNT_EXIST" if key == "nonsense" else "INVALID_OPTION" if value.startswith("bad") else None
                if code is not None:
                    message = f'Property values were not valid: [{{"isValid":false,"message":"{value}","error":"{code}","name":"{key}"}}]'
                    return reply({"status": "error", "category": "VALIDATION_ERROR", "message": message, "correlationId": "c-1"}, 400)
        return None

    def _allowed(self, row: dict[str, Any], properties: dict[str, str]) -> dict[str, str]:
        now, wanted = row["properties"].get("lifecyclestage") or "", properties.get("lifecyclestage", "")
        if now in self.stages and wanted in self.stages and self.stages.index(wanted) < self.stages.index(now):
            return {**properties, "lifecyclestage": now}
        return properties

    def _create(self, name: str, body: Any) -> Answer:
        results: list[Any] = []
        errors: list[Any] = []
        for row in body["inputs"]:
            if row["properties"].get("hubspot_owner_id") == "0":
                context = {"objectWriteTraceId": [row["objectWriteTraceId"]]}
                errors.append({"status": "error", "category": "VALIDATION_ERROR", "message": "no owner", "context": context})
                continue
            self._last_id += 1
            created = str(self._last_id)
            self.put(name, created, **row["properties"])
            for association in row["associations"]:
                contact = association["to"]["id"]
                self.link((name, created), ("contacts", contact), association["types"][0]["associationTypeId"])
            shown = self._shown(name, self.records[name][created], list(row["properties"]))
            results.insert(0, {**shown, "objectWriteTraceId": row["objectWriteTraceId"]})
        return reply({"status": "COMPLETE", "results": results, **({"errors": errors} if errors else {})}, 207 if errors else 201)

    def _associations(self, name: str, other: str, body: Any) -> Answer:
        assert len(body["inputs"]) <= 1000
        results, without = [], []
        for row in body["inputs"]:
            ends = self.links[name, other].get(row["id"], [])
            if not ends:
                without.append(row["id"])
                continue
            start = int(row.get("after", "0"))
            to = [
                {"toObjectId": int(end), "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": kind, "label": None}]}
                for end, kind in ends[start : start + self.links_a_page]
            ]
            more = start + self.links_a_page < len(ends)
            paging = {"paging": {"next": {"after": str(start + self.links_a_page)}}} if more else {}
            results.append({"from": {"id": row["id"]}, "to": to, **paging})
        errors = [
            {"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND", "context": {"fromObjectId": [each]}}
            for each in without
        ]
        return reply({"status": "COMPLETE", "results": results, **({"errors": errors} if errors else {})}, 207 if errors else 200)
