"""HubSpot's object API: list, search, single and batch reads and writes, deletion and merging.

Sources: developers.hubspot.com/docs/guides/api/crm/using-object-apis, /docs/api-reference/crm-contacts-v3 (limits), /docs/api-reference/
error-handling (207 and objectWriteTraceId).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connector.sandbox.hubspot.answers import Refusal, answer, batch, invalid
from connector.sandbox.hubspot.associations import Associations, type_named
from connector.sandbox.hubspot.records import Records, split_names
from connector.sandbox.hubspot.removals import Removals
from connector.sandbox.hubspot.search import Searcher
from connector.sandbox.hubspot.validation import check
from connector.sandbox.state import HubSpotRow

_BATCH = 100
_LIST_MAX = 100
_HISTORY_MAX = 50
#: Objects of HubSpot's own that others may ask to see linked; there are none here.
_EMPTY = frozenset({"line_items", "products", "quotes", "tickets"})
Write = Callable[[], dict[str, Any]]


class Objects:
    """Handlers of requests about records: (request, body) → answer. They raise `Refusal`."""

    def __init__(self, records: Records, associations: Associations, removals: Removals) -> None:
        self._records = records
        self._associations = associations
        self._removals = removals
        self._pages = 0  # list pages so far

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def list(self, request: Request, body: Any) -> Response:  # noqa: ARG002 - one signature for all handlers
        """One page in the order of ids. `limit` is cut to 100; with history more than 50 is refused."""
        name, query = type_named(request.path_params["type"]), request.query_params
        archived = _is_true(query.get("archived"))
        if archived and name == "meetings":
            raise invalid("Paging through deleted objects is not yet supported for object type 0-47 (MEETING_EVENT)")
        history = split_names(query.getlist("propertiesWithHistory"))
        limit = whole(query.get("limit"), 10)
        if history and limit > _HISTORY_MAX:
            raise invalid(f"limit is at most {_HISTORY_MAX} with propertiesWithHistory")
        rows, following = self._page(name, query.get("after"), max(1, min(limit, _LIST_MAX)), archived=archived)
        show = self._shown(request, name)
        content: dict[str, Any] = {"results": [show(row) for row in rows]}
        if following is not None:
            link = request.url.include_query_params(after=following)
            content["paging"] = {"next": {"after": following, "link": str(link)}}
        return answer(content)

    def _page(self, name: str, after: str | None, limit: int, *, archived: bool) -> tuple[Sequence[HubSpotRow], str | None]:
        """As asked for; with `short_pages` every third brings half as much and every fifth nothing, and more is to come all the same.

        Nothing twice at one place: that is how a list looks that never ends.
        """
        self._pages += 1
        short = self._records.options.short_pages
        if short and self._pages % 3 == 0:
            limit = max(1, limit // 2)
        rows, following = self._records.page(name, after, limit, archived=archived)
        if short and self._pages % 5 == 0 and rows and not (after or "").startswith("0"):
            return [], f"0{rows[0]['id']}"  # the same place in other words: what `after` looks like is HubSpot's own business
        return rows, following

    def read(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """One record, by id (that of a merged one too) or by idProperty."""
        name, row = self._addressed(request, archived=_is_true(request.query_params.get("archived")))
        return answer(self._shown(request, name)(row))

    def search(self, request: Request, body: Any) -> Response:
        """A search; it never sees archived records, and what was just written only when its index has it."""
        name, options = type_named(request.path_params["type"]), self._records.options
        as_text = options.ids_as_text
        id_order = {"filter_as_text": as_text, "sort_as_text": as_text or options.ids_sort_as_text}
        searcher = Searcher(name, self._records.known(name), **id_order, most=options.search_page)
        found, total, following = searcher.search(self._records.index(name), body)
        show = self._records.showing(name, body.get("properties") or [])
        content: dict[str, Any] = {"total": total, "results": [show(row) for row in found]}
        if following is not None:
            content["paging"] = {"next": {"after": str(following)}}
        return answer(content)

    def batch_read(self, request: Request, body: Any) -> Response:
        """Records by id or idProperty; those that are missing are one error of a 207."""
        name, inputs = type_named(request.path_params["type"]), inputs_of(body, _BATCH)
        if body.get("propertiesWithHistory") and len(inputs) > _HISTORY_MAX:
            raise invalid(f"The maximum number of inputs supported in a batch request for property histories is {_HISTORY_MAX}")
        archived = _is_true(request.query_params.get("archived"))
        show = self._records.showing(name, body.get("properties") or [], body.get("propertiesWithHistory") or [])
        ids = list(dict.fromkeys(str(record.get("id", "")) for record in inputs))
        rows = self._found(name, ids, body.get("idProperty") or "", archived=archived)
        missing = [record_id for record_id in ids if record_id not in rows]
        results = [show(row) for row in sorted(rows.values(), key=lambda row: int(row["id"]))]
        return batch(results, [_not_read(missing)] if missing else [], self._records.now())

    def _found(self, name: str, ids: Sequence[str], id_property: str, *, archived: bool) -> dict[str, HubSpotRow]:
        """Those that are there; unlike single reads, a batch does not know the ids of merged records."""
        if id_property and id_property != "hs_object_id":
            by_value = self._records.find_by(name, id_property, archived=archived)
            return {value: by_value[value.casefold()] for value in ids if value.casefold() in by_value}
        found = {}
        for record_id in ids:
            row = self._records.world.hubspot[name].get(record_id)
            if row is not None and row["archived"] is archived and (not archived or self._records.in_bin(row)):
                found[record_id] = row
        return found

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
        self._removals.archive(type_named(request.path_params["type"]), request.path_params["id"])
        return Response(status_code=204)

    def batch_archive(self, request: Request, body: Any) -> Response:
        """Many into the recycle bin."""
        name = type_named(request.path_params["type"])
        for record in inputs_of(body, _BATCH):
            self._removals.archive(name, str(record.get("id", "")))
        return Response(status_code=204)

    def merge(self, request: Request, body: Any) -> Response:
        """One record of two; the answer is the one that stands for both."""
        name = type_named(request.path_params["type"])
        missing = [field for field in ("primaryObjectId", "objectIdToMerge") if not body.get(field)]
        if missing:
            raise invalid(f"Some required fields were not set: {missing}")
        row = self._removals.merge(name, str(body["primaryObjectId"]), str(body["objectIdToMerge"]))
        return answer(self._records.showing(name, ())(row))

    def gdpr_delete(self, request: Request, body: Any) -> Response:
        """Forgets a contact, by id or by address; an address that nobody has is no error."""
        name = type_named(request.path_params["type"])
        if name != "contacts":
            raise invalid(f"{name} cannot be deleted for privacy")
        contact_id = str(body.get("objectId", ""))
        if body.get("idProperty") == "email":
            row = self._records.find_by(name, "email").get(contact_id.casefold())
            if row is None:
                return Response(status_code=204)
            contact_id = row["id"]
        self._removals.forget(contact_id)
        return Response(status_code=204)

    def batch_create(self, request: Request, body: Any) -> Response:
        """New records. Only where every input has an objectWriteTraceId of its own do the good ones go on without the bad."""
        name = type_named(request.path_params["type"])
        return self._write_batch(inputs_of(body, _BATCH), lambda record: self._to_create(name, record), good=201)

    def batch_update(self, request: Request, body: Any) -> Response:
        """Sets properties of many records; a missing id is an error of a 207, an id given twice one of the whole."""
        name = type_named(request.path_params["type"])
        inputs = inputs_of(body, _BATCH)
        ids = [(str(record.get("id", "")), record.get("idProperty")) for record in inputs]
        if len(set(ids)) != len(ids):
            raise invalid("Duplicate IDs found in batch input")

        def prepare(record: Mapping[str, Any]) -> Write:
            record_id = str(record.get("id", ""))
            try:
                row = self._records.find(name, record_id, id_property=record.get("idProperty") or "")
            except Refusal as refusal:
                raise _Missing(record_id) from refusal
            return self._to_update(name, row, record)

        return self._write_batch(inputs, prepare, good=200)

    def _write_batch(self, inputs: Sequence[Mapping[str, Any]], prepare: Callable[[Mapping[str, Any]], Write], *, good: int) -> Response:
        """Checks and writes one by one where the inputs can be told apart; else checks all, and one that is wrong fails the whole."""
        traces = [record.get("objectWriteTraceId") for record in inputs]
        one_by_one = all(traces) and len(set(traces)) == len(traces)
        results, errors, writes = [], [], []
        for trace, record in zip(traces, inputs, strict=True):
            try:
                write = prepare(record)
            except _Missing as missing:
                errors.append(_not_found([missing.record_id], trace))
            except Refusal as refusal:
                if not one_by_one:
                    raise
                errors.append(_failed(refusal, trace, record))
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
        values = check(self._records.world, self._records.known(name), name, properties, None)
        for to_type, to_id, _ in wanted:
            self._records.claim(to_type, to_id)
        show = self._records.showing(name, list(properties))

        def write() -> dict[str, Any]:
            row = self._records.create(name, values)
            for to_type, to_id, type_id in wanted:
                self._associations.put((name, row["id"]), (to_type, to_id), [type_id])
            return show(row)

        return write

    def _to_update(self, name: str, row: HubSpotRow, given: Mapping[str, Any]) -> Write:
        properties = given.get("properties") or {}
        values = check(self._records.world, self._records.known(name), name, properties, row)
        self._records.claim(name, row["id"])
        show = self._records.showing(name, list(properties))
        return lambda: show(self._records.update(name, row, values))

    # ── What they share ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _addressed(self, request: Request, *, archived: bool = False) -> tuple[str, HubSpotRow]:
        name = type_named(request.path_params["type"])
        id_property = request.query_params.get("idProperty") or ""
        return name, self._records.find(name, request.path_params["id"], id_property=id_property, archived=archived, merged=True)

    def _shown(self, request: Request, name: str) -> Callable[[HubSpotRow], dict[str, Any]]:
        """How the request wants records shown."""
        query = request.query_params
        history = split_names(query.getlist("propertiesWithHistory"))
        show = self._records.showing(name, split_names(query.getlist("properties")), history)
        to_types = [type_named(type_name) for type_name in split_names(query.getlist("associations")) if type_name not in _EMPTY]
        if not to_types:
            return show

        def with_links(row: HubSpotRow) -> dict[str, Any]:
            inline = self._associations.inline(name, row["id"], to_types)
            return {**show(row), "associations": inline} if inline else show(row)

        return with_links


class _Missing(Exception):
    """An input of a batch update names no record."""

    def __init__(self, record_id: str) -> None:
        super().__init__(record_id)
        self.record_id = record_id


def _not_found(ids: Sequence[str], trace: str | None = None) -> dict[str, Any]:
    context: dict[str, Any] = {"ids": list(ids)} | ({"objectWriteTraceId": [trace]} if trace else {})
    return {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Could not get some objects, they may be deleted or not exist. "
            "Check that ids are valid.", "context": context}  # fmt: skip


def _not_read(ids: Sequence[str]) -> dict[str, Any]:
    """As batch/read says it: the ids stand under `id`, in live answers at least."""
    return {**_not_found(ids), "context": {"id": list(ids)}}


def _failed(refusal: Refusal, trace: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    body = refusal.body or {"message": "Resource not found", "category": "OBJECT_NOT_FOUND"}
    context = {"objectWriteTraceId": [trace]} | ({"ids": [str(given["id"])]} if "id" in given else {})
    return {"status": "error", **body, "context": context}


def inputs_of(body: Any, most: int) -> list[Mapping[str, Any]]:
    """The inputs of a batch. Raises Refusal where there are none, or too many."""
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list) or not inputs:
        raise invalid("inputs is required")
    if len(inputs) > most:
        raise invalid(f"The maximum number of inputs supported in a batch request is {most}, got {len(inputs)}")
    return inputs


def _is_true(text: str | None) -> bool:
    return (text or "").lower() == "true"


def whole(text: str | None, default: int) -> int:
    """A number of a query. Raises Refusal."""
    if not text:
        return default
    if not text.isdigit():
        raise invalid(f"{text!r} is not a whole number")
    return int(text)
