"""HubSpot's object API: list, search, single and batch reads and writes, and associations.

Sources: developers.hubspot.com/docs/guides/api/crm/using-object-apis, /docs/api-reference/crm-contacts-v3 (limits), /docs/api-reference/
error-handling (207 and objectWriteTraceId).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connector.sandbox.hubspot_answers import Refusal, answer, batch, invalid
from connector.sandbox.hubspot_associations import PAGE, Associations, type_named
from connector.sandbox.hubspot_catalogue import OBJECTS
from connector.sandbox.hubspot_records import Records, split_names
from connector.sandbox.hubspot_search import Searcher
from connector.sandbox.world import HubSpotRow

_BATCH = 100
_ASSOCIATION_BATCH = 1000
_LIST_MAX = 100
_HISTORY_MAX = 50
Write = Callable[[], dict[str, Any]]


class Objects:
    """Handlers: (request, body) → answer. They raise `Refusal`."""

    def __init__(self, records: Records, associations: Associations, *, ids_as_text: bool, search_lag_seconds: float) -> None:
        self._records = records
        self._associations = associations
        self._ids_as_text = ids_as_text
        self._lag = timedelta(seconds=search_lag_seconds)

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def list(self, request: Request, body: Any) -> Response:  # noqa: ARG002 - one signature for all handlers
        """One page in the order of ids. `limit` is cut to 100; with history more than 50 is refused."""
        name, query = type_named(request.path_params["type"]), request.query_params
        archived = _is_true(query.get("archived"))
        if archived and name == "meetings":
            raise invalid("Paging through deleted objects is not yet supported for object type 0-47 (MEETING_EVENT)")
        history = split_names(query.getlist("propertiesWithHistory"))
        limit = _whole(query.get("limit"), 10)
        if history and limit > _HISTORY_MAX:
            raise invalid(f"limit is at most {_HISTORY_MAX} with propertiesWithHistory")
        rows, following = self._records.page(name, query.get("after"), max(1, min(limit, _LIST_MAX)), archived=archived)
        content: dict[str, Any] = {"results": [self._shown(request, name, row) for row in rows]}
        if following is not None:
            content["paging"] = {"next": {"after": following, "link": f"{request.url.path}?after={following}"}}
        return answer(content)

    def read(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """One record, by id or by idProperty."""
        name, row = self._addressed(request, archived=_is_true(request.query_params.get("archived")))
        return answer(self._shown(request, name, row))

    def search(self, request: Request, body: Any) -> Response:
        """A search; it never sees archived records, nor (with a lag) what was just written."""
        name = type_named(request.path_params["type"])
        world = self._records.world
        rows = world.hubspot[name].values()
        searcher = Searcher(name, world.hubspot_properties[name], ids_as_text=self._ids_as_text)
        if self._lag:
            visible = self._records.now() - self._lag
            found, total, following = searcher.search([row for row in rows if row["updatedAt"] <= visible], body)
        else:
            found, total, following = searcher.search(rows, body)
        wanted = body.get("properties") or []
        content: dict[str, Any] = {"total": total, "results": [self._records.show(name, row, wanted) for row in found]}
        if following is not None:
            content["paging"] = {"next": {"after": str(following)}}
        return answer(content)

    def batch_read(self, request: Request, body: Any) -> Response:
        """Records by id or idProperty; those that are missing are one error of a 207."""
        name, inputs = type_named(request.path_params["type"]), _inputs(body, _BATCH)
        archived = _is_true(request.query_params.get("archived"))
        wanted, history = body.get("properties") or [], body.get("propertiesWithHistory") or []
        rows, missing = [], []
        for record_id in dict.fromkeys(str(each.get("id", "")) for each in inputs):
            try:
                rows.append(self._records.find(name, record_id, id_property=body.get("idProperty") or "", archived=archived))
            except Refusal:
                missing.append(record_id)
        rows.sort(key=lambda row: int(row["id"]))
        results = [self._records.show(name, row, wanted, history) for row in rows]
        return batch(results, [_not_found(missing)] if missing else [], self._records.now())

    # ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, request: Request, body: Any) -> Response:
        """One new record, with its associations."""
        name = type_named(request.path_params["type"])
        return answer(self._to_create(name, body)(), 201)

    def update(self, request: Request, body: Any) -> Response:
        """Sets properties of one record."""
        name, row = self._addressed(request)
        return answer(self._to_update(name, row, body)())

    def archive(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """Into the recycle bin; an id that names nothing is no error."""
        name = type_named(request.path_params["type"])
        row = self._records.world.hubspot[name].get(request.path_params["id"])
        if row is not None and not row["archived"]:
            self._records.archive(row)
        return Response(status_code=204)

    def batch_archive(self, request: Request, body: Any) -> Response:
        """Many into the recycle bin."""
        name = type_named(request.path_params["type"])
        rows = self._records.world.hubspot[name]
        for each in _inputs(body, _BATCH):
            row = rows.get(str(each.get("id", "")))
            if row is not None and not row["archived"]:
                self._records.archive(row)
        return Response(status_code=204)

    def batch_create(self, request: Request, body: Any) -> Response:
        """New records. Only where every input has an objectWriteTraceId of its own do the good ones go on without the bad."""
        name = type_named(request.path_params["type"])
        return self._each(_inputs(body, _BATCH), lambda each: self._to_create(name, each), good=201)

    def batch_update(self, request: Request, body: Any) -> Response:
        """Sets properties of many records; a missing id is an error of a 207, an id given twice one of the whole."""
        name = type_named(request.path_params["type"])
        inputs = _inputs(body, _BATCH)
        ids = [(str(each.get("id", "")), each.get("idProperty")) for each in inputs]
        if len(set(ids)) != len(ids):
            raise invalid("Duplicate IDs found in batch input")

        def prepare(each: Mapping[str, Any]) -> Write:
            record_id = str(each.get("id", ""))
            try:
                row = self._records.find(name, record_id, id_property=each.get("idProperty") or "")
            except Refusal as refusal:
                raise _Missing(record_id) from refusal
            return self._to_update(name, row, each)

        return self._each(inputs, prepare, good=200)

    def _each(self, inputs: Sequence[Mapping[str, Any]], prepare: Callable[[Mapping[str, Any]], Write], *, good: int) -> Response:
        """Checks and writes one by one where the inputs can be told apart; else checks all, and one that is wrong fails the whole."""
        traces = [each.get("objectWriteTraceId") for each in inputs]
        one_by_one = all(traces) and len(set(traces)) == len(traces)
        results, errors, writes = [], [], []
        for trace, each in zip(traces, inputs, strict=True):
            try:
                write = prepare(each)
            except _Missing as missing:
                errors.append(_not_found([missing.record_id], trace))
            except Refusal as refusal:
                if not one_by_one:
                    raise
                errors.append(_failed(refusal, trace, each))
            else:
                if one_by_one:
                    results.append({**write(), "objectWriteTraceId": trace})
                else:
                    writes.append(write)
        results.extend(write() for write in writes)
        return batch(results, errors, self._records.now(), good=good)

    def _to_create(self, name: str, given: Mapping[str, Any]) -> Write:
        wanted = self._associations.wanted(name, given.get("associations") or [])
        properties = given.get("properties") or {}
        values = self._records.check(name, properties, None)

        def write() -> dict[str, Any]:
            row = self._records.create(name, values)
            for to_type, to_id, type_id in wanted:
                self._associations.put((name, row["id"]), (to_type, to_id), [type_id])
            return self._records.show(name, row, list(properties))

        return write

    def _to_update(self, name: str, row: HubSpotRow, given: Mapping[str, Any]) -> Write:
        properties = given.get("properties") or {}
        values = self._records.check(name, properties, row)
        return lambda: self._records.show(name, self._records.update(name, row, values), list(properties))

    # ── Associations ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def associations_read(self, request: Request, body: Any) -> Response:
        """v4 batch/read: 207 where records have no association."""
        from_type, to_type = type_named(request.path_params["from"]), type_named(request.path_params["to"])
        results, errors = self._associations.batch_read(from_type, to_type, _inputs(body, _ASSOCIATION_BATCH))
        return batch(results, errors, self._records.now())

    def associations_create(self, request: Request, body: Any) -> Response:
        """v4 batch/create."""
        from_type, to_type = type_named(request.path_params["from"]), type_named(request.path_params["to"])
        results = []
        for each in _inputs(body, 2 * _ASSOCIATION_BATCH):
            one, other = str(each.get("from", {}).get("id", "")), str(each.get("to", {}).get("id", ""))
            self._associations.put((from_type, one), (to_type, other), _type_ids(each.get("types")))
            results.append({"fromObjectId": int(one), "toObjectId": int(other), "labels": []})
        return batch(results, [], self._records.now(), good=201)

    def associations_of(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """One record's links, 500 a page."""
        name, row = self._addressed(request)
        query = request.query_params
        limit = min(_whole(query.get("limit"), PAGE), PAGE)
        to_type, after = type_named(request.path_params["to"]), _whole(query.get("after"), 0)
        shown, following = self._associations.page(name, row["id"], to_type, after, limit)
        content: dict[str, Any] = {"results": shown}
        if following is not None:
            content["paging"] = {"next": {"after": str(following)}}
        return answer(content)

    def associate_by_default(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """Links two records without a label."""
        name, row = self._addressed(request)
        to_type, to_id = type_named(request.path_params["to"]), request.path_params["to_id"]
        self._associations.put((name, row["id"]), (to_type, to_id))
        return batch([{"from": {"id": row["id"]}, "to": {"id": to_id}}], [], self._records.now())

    def associate(self, request: Request, body: Any) -> Response:
        """Links two records by the types of the body."""
        name, row = self._addressed(request)
        to_type, to_id = type_named(request.path_params["to"]), request.path_params["to_id"]
        self._associations.put((name, row["id"]), (to_type, to_id), _type_ids(body))
        return answer({"fromObjectTypeId": OBJECTS[name][1], "fromObjectId": int(row["id"]), "toObjectTypeId": OBJECTS[to_type][1],
                       "toObjectId": int(to_id), "labels": []}, 201)  # fmt: skip

    def dissociate(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """Takes all links between two records away."""
        name, row = self._addressed(request)
        self._associations.remove((name, row["id"]), (type_named(request.path_params["to"]), request.path_params["to_id"]))
        return Response(status_code=204)

    # ── What they share ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _addressed(self, request: Request, *, archived: bool = False) -> tuple[str, HubSpotRow]:
        name = type_named(request.path_params["type"])
        id_property = request.query_params.get("idProperty") or ""
        return name, self._records.find(name, request.path_params["id"], id_property=id_property, archived=archived)

    def _shown(self, request: Request, name: str, row: HubSpotRow) -> dict[str, Any]:
        query = request.query_params
        history = split_names(query.getlist("propertiesWithHistory"))
        shown = self._records.show(name, row, split_names(query.getlist("properties")), history)
        to_types = [type_named(each) for each in split_names(query.getlist("associations"))]
        inline = self._associations.inline(name, row["id"], to_types) if to_types else {}
        return {**shown, "associations": inline} if inline else shown


class _Missing(Exception):
    """An input of a batch update names no record."""

    def __init__(self, record_id: str) -> None:
        super().__init__(record_id)
        self.record_id = record_id


def _not_found(ids: Sequence[str], trace: str | None = None) -> dict[str, Any]:
    context: dict[str, Any] = {"ids": list(ids)} | ({"objectWriteTraceId": [trace]} if trace else {})
    return {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Could not get some objects, they may be deleted or not exist. "
            "Check that ids are valid.", "context": context}  # fmt: skip


def _failed(refusal: Refusal, trace: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    body = refusal.body or {"message": "Resource not found", "category": "OBJECT_NOT_FOUND"}
    context = {"objectWriteTraceId": [trace]} | ({"ids": [str(given["id"])]} if "id" in given else {})
    return {"status": "error", **body, "context": context}


def _inputs(body: Any, most: int) -> list[Mapping[str, Any]]:
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list) or not inputs:
        raise invalid("inputs is required")
    if len(inputs) > most:
        raise invalid(f"The maximum number of inputs supported in a batch request is {most}, got {len(inputs)}")
    return inputs


def _type_ids(types: Any) -> list[int]:
    return [int(each["associationTypeId"]) for each in types or []]


def _is_true(text: str | None) -> bool:
    return (text or "").lower() == "true"


def _whole(text: str | None, default: int) -> int:
    if not text:
        return default
    if not text.isdigit():
        raise invalid(f"{text!r} is not a whole number")
    return int(text)
