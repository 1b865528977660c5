"""The reading half of the sandbox's Salesforce: queries and their pages, descriptions, limits, records by id."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connector.sandbox.salesforce.errors import Refused, RowRefused
from connector.sandbox.salesforce.fields import Field
from connector.sandbox.salesforce.http import NOT_FOUND, answer, base_of, json_body, key_of, object_of, org_of, writer_of
from connector.sandbox.salesforce.org import BATCH_SIZES, Cursor, Org
from connector.sandbox.salesforce.query import Evaluator
from connector.sandbox.salesforce.schema import Schema, describe_field, describe_object, long_id
from connector.sandbox.salesforce.soql import parse

VERSIONS = range(31, 68)
_MOST_RETRIEVED = 2000


async def versions(_request: Request) -> Response:
    """GET /services/data: the API versions served; needs no session."""
    return answer([{"label": f"Version {n}", "url": f"/services/data/v{n}.0", "version": f"{n}.0"} for n in VERSIONS])


async def resources(request: Request) -> Response:
    """GET /services/data/vNN.0: what there is below it."""
    base = base_of(request)
    return answer({name: f"{base}/{name}" for name in ("sobjects", "query", "queryAll", "limits", "composite", "jobs")})


async def limits(request: Request) -> Response:
    """GET /limits. https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_limits.htm"""
    org = org_of(request)
    return answer(
        {
            "DailyApiRequests": {"Max": org.options.daily, "Remaining": max(0, org.options.daily - org.used())},
            "DailyAsyncApexExecutions": {"Max": 250_000, "Remaining": 250_000},
            "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
            "DailyBulkV2QueryJobs": {"Max": org.options.bulk_jobs, "Remaining": max(0, org.options.bulk_jobs - org.jobs_made)},
            "DataStorageMB": {"Max": 10_240, "Remaining": 9_000},
        }
    )


async def record_count(request: Request) -> Response:
    """GET /limits/recordCount?sObjects=Lead,Task. The service's figures are some hours old; these are exact.

    https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_record_count.htm
    """
    schema = org_of(request).schema
    asked = [part.strip() for part in request.query_params.get("sObjects", "").split(",") if part.strip()]
    names = [found for name in asked if (found := schema.object_name(name)) is not None] if asked else list(schema.rows)
    counts = [{"count": sum(1 for row in schema.rows[name].values() if not row.get("IsDeleted")), "name": name} for name in names]
    return answer({"sObjects": counts})


# ── Queries ──


async def query(request: Request) -> Response:
    """GET /query?q=: without deleted records and archived activities."""
    return _query(request, everything=False)


async def query_all(request: Request) -> Response:
    """GET /queryAll?q=: with them."""
    return _query(request, everything=True)


def _query(request: Request, *, everything: bool) -> Response:
    org, base = org_of(request), base_of(request)
    text = request.query_params.get("q")
    if not text:
        raise Refused(400, "MALFORMED_QUERY", "a query string has to be specified")
    parsed = parse(text)
    evaluator = Evaluator(org.schema, parsed, everything=everything, base=base, indexes=org.indexes)
    rows = evaluator.rows(most=org.options.query_timeout_rows)
    if parsed.count:
        return answer({"totalSize": len(rows), "done": True, "records": []})
    size = _page_size(request, org)
    cursor = Cursor(rows, evaluator.renderer(), size, org.now())
    locator = org.open_cursor(cursor) if len(rows) > size else ""
    return _page(cursor, locator, 0, base)


async def next_page(request: Request) -> Response:
    """GET a nextRecordsUrl."""
    locator, cursor, offset = org_of(request).cursor(request.path_params["locator"])
    return _page(cursor, locator, offset, base_of(request))


def _page(cursor: Cursor, locator: str, offset: int, base: str) -> Response:
    end = offset + cursor.size
    page: dict[str, Any] = {"totalSize": len(cursor.rows), "done": end >= len(cursor.rows)}
    if not page["done"]:
        page["nextRecordsUrl"] = f"{base}/query/{locator}-{end}"
    page["records"] = [cursor.render(row) for row in cursor.rows[offset:end]]
    return answer(page)


def _page_size(request: Request, org: Org) -> int:
    """`Sforce-Query-Options: batchSize=500`, a hint between 200 and 2,000."""
    asked = re.search(r"batchSize\s*=\s*(\d+)", request.headers.get("sforce-query-options", ""), re.IGNORECASE)
    smallest, largest = BATCH_SIZES
    wanted = largest if asked is None else min(largest, max(smallest, int(asked.group(1))))
    return min(org.options.page_size, wanted)


# ── Descriptions ──


async def list_objects(request: Request) -> Response:
    """GET /sobjects."""
    org = org_of(request)
    shown = [describe_object(name, base_of(request)) for name in org.schema.rows]
    return answer({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": shown})


async def basic(request: Request) -> Response:
    """GET /sobjects/{object}."""
    name = object_of(request)
    return answer({"objectDescribe": describe_object(name, base_of(request)), "recentItems": []})


async def describe(request: Request) -> Response:
    """GET /sobjects/{object}/describe."""
    schema, name = org_of(request).schema, object_of(request)
    fields = [describe_field(schema, name, field) for field in schema.fields(name)]
    return answer({**describe_object(name, base_of(request)), "fields": fields, "childRelationships": [], "recordTypeInfos": []})


# ── Records ──


def _named(schema: Schema, object_name: str, names: list[str]) -> list[Field]:
    found = []
    for name in names:
        field = schema.field(object_name, name)
        if field is None:
            raise Refused(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {object_name}")
        found.append(field)
    return found


def _record(row: dict[str, Any], object_name: str, fields: list[Field], base: str) -> dict[str, Any]:
    attributes = {"type": object_name, "url": f"{base}/sobjects/{object_name}/{row['Id']}"}
    return {"attributes": attributes, **{field.name: row.get(field.name) for field in fields}, "Id": row["Id"]}


def _one(request: Request, object_name: str, row: dict[str, Any]) -> Response:
    schema = org_of(request).schema
    asked = request.query_params.get("fields")
    fields = _named(schema, object_name, asked.split(",")) if asked else schema.fields(object_name)
    return answer(_record(row, object_name, fields, base_of(request)))


async def get_record(request: Request) -> Response:
    """GET /sobjects/{object}/{id}."""
    object_name = object_of(request)
    try:
        row = writer_of(request).existing(object_name, request.path_params["id"])
    except RowRefused as problem:
        if problem.code == "ENTITY_IS_DELETED":
            raise problem.alone() from problem
        raise Refused(404, "NOT_FOUND", NOT_FOUND) from problem
    return _one(request, object_name, row)


async def get_by_key(request: Request) -> Response:
    """GET /sobjects/{object}/{external id field}/{value}; 300 with their URLs where several match."""
    object_name = object_of(request)
    key = key_of(request, object_name)
    ids = writer_of(request).with_key(object_name, key, request.path_params["value"])
    if not ids:
        raise Refused(404, "NOT_FOUND", NOT_FOUND)
    if len(ids) > 1:
        return answer([f"{base_of(request)}/sobjects/{object_name}/{record_id}" for record_id in ids], 300)
    return _one(request, object_name, org_of(request).schema.rows[object_name][ids[0]])


def _retrieve(request: Request, ids: list[str], names: list[str]) -> Response:
    schema, object_name = org_of(request).schema, object_of(request)
    if not ids or not names:
        raise Refused(400, "MISSING_ARGUMENT", "ids and fields must be specified")
    if len(ids) > _MOST_RETRIEVED:
        raise Refused(400, "LIMIT_EXCEEDED", f"cannot retrieve more than {_MOST_RETRIEVED} records in one request")
    fields = _named(schema, object_name, names)
    base, found = base_of(request), []
    for record_id in ids:
        try:
            row = schema.rows[object_name].get(long_id(record_id))
        except RowRefused as problem:
            raise problem.alone() from problem
        found.append(None if row is None or row.get("IsDeleted") else _record(row, object_name, fields, base))
    return answer(found)


async def retrieve(request: Request) -> Response:
    """GET /composite/sobjects/{object}?ids=&fields=: the records in the order of the ids, null for those that are not there."""
    split = {name: [part for part in request.query_params.get(name, "").split(",") if part] for name in ("ids", "fields")}
    return _retrieve(request, split["ids"], split["fields"])


async def retrieve_by_body(request: Request) -> Response:
    """POST /composite/sobjects/{object} with {ids, fields}: the same, for more ids than a URL holds."""
    body = await json_body(request)
    lists = {name: body.get(name) for name in ("ids", "fields")}
    if not all(isinstance(value, list) and all(isinstance(item, str) for item in value) for value in lists.values()):
        raise Refused(400, "JSON_PARSER_ERROR", "ids and fields must be lists of strings")
    return _retrieve(request, body["ids"], body["fields"])
