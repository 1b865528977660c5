"""The writing half of the sandbox's Salesforce: single records, upserts, and collections of up to 200.

A collection answers 200 whatever becomes of its rows
(https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_sobjects_collections.htm).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connector.sandbox.salesforce import fields as known
from connector.sandbox.salesforce.errors import Refused, RowRefused, SeveralMatch
from connector.sandbox.salesforce.http import NOT_FOUND, answer, base_of, json_body, key_of, object_of, org_of, writer_of
from connector.sandbox.salesforce.schema import Schema
from connector.sandbox.salesforce.writes import Writer

_MOST = 200
_MOST_CHUNKS = 10

Values = dict[str, Any]


def _values(record: Values, *apart: str) -> Values:
    """A record's fields, without what only names it."""
    return {name: value for name, value in record.items() if name not in ("attributes", *apart)}


# ── One record ──


async def create(request: Request) -> Response:
    """POST /sobjects/{object}."""
    object_name, values = object_of(request), await json_body(request)
    try:
        record_id = writer_of(request).create(object_name, _values(values))
    except RowRefused as problem:
        raise problem.alone() from problem
    return answer({"id": record_id, "success": True, "errors": []}, 201)


def _unmodified_since(request: Request) -> datetime | None:
    try:
        moment = parsedate_to_datetime(request.headers["if-unmodified-since"])
    except (KeyError, ValueError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


async def update(request: Request) -> Response:
    """PATCH /sobjects/{object}/{id}; 412 where it was modified after If-Unmodified-Since."""
    object_name, values = object_of(request), await json_body(request)
    writer = writer_of(request)
    try:
        row = writer.existing(object_name, request.path_params["id"])
        since = _unmodified_since(request)
        if since is not None and row["LastModifiedDate"].replace(microsecond=0) > since:
            return Response(status_code=412)
        writer.update(object_name, row["Id"], _values(values))
    except RowRefused as problem:
        raise _gone(problem) from problem
    return Response(status_code=204)


async def delete(request: Request) -> Response:
    """DELETE /sobjects/{object}/{id}."""
    try:
        writer_of(request).delete(object_of(request), request.path_params["id"])
    except RowRefused as problem:
        raise _gone(problem) from problem
    return Response(status_code=204)


def _gone(problem: RowRefused) -> Refused:
    """A record addressed by the URL that is not there is 404, not a refused value."""
    of_the_url = {"MALFORMED_ID": ["Id"], "INVALID_CROSS_REFERENCE_KEY": []}
    if of_the_url.get(problem.code) == problem.fields:
        return Refused(404, "NOT_FOUND", NOT_FOUND)
    return problem.alone()


async def upsert(request: Request) -> Response:
    """PATCH /sobjects/{object}/{external id field}/{value}; `?updateOnly=true` creates nothing."""
    object_name, values = object_of(request), _values(await json_body(request))
    key = key_of(request, object_name)
    if any(name.lower() == key.name.lower() for name in values):
        raise Refused(400, "INVALID_FIELD", f"The {key.name} field should not be specified in the sobject data.", [key.name])
    update_only = request.query_params.get("updateOnly", "").lower() == "true"
    try:
        record_id, created = writer_of(request).upsert(object_name, key, request.path_params["value"], values, update_only=update_only)
    except SeveralMatch as several:
        return answer([f"{base_of(request)}/sobjects/{object_name}/{match_id}" for match_id in several.ids], 300)
    except RowRefused as problem:
        raise problem.alone() from problem
    return answer({"id": record_id, "success": True, "errors": [], "created": created}, 201 if created else 200)


# ── Collections ──


def _records(body: Values) -> list[Values]:
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise Refused(400, "JSON_PARSER_ERROR", "records must be a list of objects")
    _not_too_many(len(records))
    return records


def _not_too_many(count: int) -> None:
    if count > _MOST:
        message = f"record limit reached. cannot submit more than {_MOST} records in this request"
        raise Refused(400, "LIMIT_EXCEEDED", message)


def _types(schema: Schema, records: list[Values]) -> list[str]:
    """Each record's object; the service cuts a request where it changes, and takes ten pieces at most."""
    names = []
    for record in records:
        attributes = record.get("attributes")
        wanted = attributes.get("type") if isinstance(attributes, dict) else None
        if not isinstance(wanted, str):
            raise Refused(400, "INVALID_FIELD", "attributes.type must be given for every record", ["attributes"])
        found = schema.object_name(wanted)
        if found is None:
            raise Refused(400, "INVALID_TYPE", f"sObject type '{wanted}' is not supported.")
        names.append(found)
    pieces = sum(1 for at, name in enumerate(names) if at == 0 or names[at - 1] != name)
    if pieces > _MOST_CHUNKS:
        message = f"Cannot have more than {_MOST_CHUNKS} chunks in a single operation. Please rearrange the data to reduce chunking."
        raise Refused(400, "LIMIT_EXCEEDED", message)
    return names


def _run(writer: Writer, count: int, write: Callable[[int], Values], *, all_or_none: bool) -> Response:
    """Does the rows in order. A value that cannot be read spoils the whole request; nothing of it is kept then."""
    try:
        results = [_row(write, at) for at in range(count)]
    except Refused:
        writer.roll_back()
        raise
    if all_or_none and not all(result["success"] for result in results):
        writer.roll_back()
        message = "Record rolled back because not all records were valid and the request was using AllOrNone header"
        undone = RowRefused("ALL_OR_NONE_OPERATION_ROLLED_BACK", message).row()
        results = [undone if result["success"] else result for result in results]
    return answer(results)


def _row(write: Callable[[int], Values], at: int) -> Values:
    try:
        return {**write(at), "success": True, "errors": []}
    except RowRefused as problem:
        return problem.row()
    except SeveralMatch as several:
        message = f"more than one record found for external id field: {several.ids}"
        return RowRefused("DUPLICATE_EXTERNAL_ID", message).row()


async def create_collection(request: Request) -> Response:
    """POST /composite/sobjects."""
    body = await json_body(request)
    records, writer = _records(body), writer_of(request)
    types = _types(writer.schema, records)

    def write(at: int) -> Values:
        return {"id": writer.create(types[at], _values(records[at]))}

    return _run(writer, len(records), write, all_or_none=body.get("allOrNone") is True)


async def update_collection(request: Request) -> Response:
    """PATCH /composite/sobjects: each record names itself by `id`."""
    body = await json_body(request)
    records, writer = _records(body), writer_of(request)
    types = _types(writer.schema, records)

    def write(at: int) -> Values:
        record_id = records[at].get("id")
        if not isinstance(record_id, str):
            raise RowRefused("MISSING_ARGUMENT", "Id not specified in an update call", ["Id"])
        return {"id": writer.update(types[at], record_id, _values(records[at], "id"))}

    return _run(writer, len(records), write, all_or_none=body.get("allOrNone") is True)


async def delete_collection(request: Request) -> Response:
    """DELETE /composite/sobjects?ids=…&allOrNone=…"""
    ids = [record_id for record_id in request.query_params.get("ids", "").split(",") if record_id]
    _not_too_many(len(ids))
    writer = writer_of(request)
    by_prefix = {prefix: name for name, prefix in known.PREFIXES.items()}

    def write(at: int) -> Values:
        object_name = by_prefix.get(ids[at][:3])
        if object_name is None:
            raise RowRefused("MALFORMED_ID", f"malformed id {ids[at]}")
        return {"id": writer.delete(object_name, ids[at])}

    return _run(writer, len(ids), write, all_or_none=request.query_params.get("allOrNone", "").lower() == "true")


async def upsert_collection(request: Request) -> Response:
    """PATCH /composite/sobjects/{object}/{external id field}: all records of one object; a row tells whether it was created."""
    body, object_name = await json_body(request), object_of(request)
    key = key_of(request, object_name)
    records, writer, org = _records(body), writer_of(request), org_of(request)
    if any(name != object_name for name in _types(org.schema, records)):
        raise Refused(400, "INVALID_TYPE", f"every record must be a {object_name}, as the URL says")
    seen: set[str] = set()

    def write(at: int) -> Values:
        value = next((held for name, held in records[at].items() if name.lower() == key.name.lower()), None)
        if value is not None and str(value).casefold() in seen:
            raise RowRefused("DUPLICATE_VALUE", f"Duplicate external id specified: {value}", [key.name])
        seen.add(str(value).casefold())
        apart = [name for name in records[at] if name.lower() == key.name.lower()]
        record_id, created = writer.upsert(object_name, key, value, _values(records[at], *apart))
        return {"id": record_id, "created": created}

    return _run(writer, len(records), write, all_or_none=body.get("allOrNone") is True)
