"""Bulk API 2.0 query jobs: created, asked after until they are done, then read as pages of CSV.

https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/queries.htm: a job's results are read in the API version that
made it (409), by `Sforce-Locator` until that is the text "null"; a locator stays good as long as the job.
"""

from __future__ import annotations

import base64
import binascii
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import StringIO
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connector.sandbox.salesforce.errors import Refused
from connector.sandbox.salesforce.http import NOT_FOUND, answer, json_body, org_of
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.query import Evaluator, utc_text
from connector.sandbox.salesforce.schema import long_id
from connector.sandbox.salesforce.soql import Query, parse

#: Objects that only REST reads (as simple-salesforce and others list them).
_NOT_IN_BULK = frozenset({"TaskStatus", "TaskPriority", "TaskWhoRelation", "EventWhoRelation", "LeadStatus"})
_DELIMITERS = {"COMMA": ",", "SEMICOLON": ";", "TAB": "\t", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
_ENDED = ("JobComplete", "Failed", "Aborted")
_KEPT = timedelta(days=7)


@dataclass(kw_only=True)
class Job:
    """A query job. rows: the results, as the CSV has them, once it is done."""

    id: str
    operation: str
    version: str
    created: datetime
    evaluator: Evaluator
    delimiter: str
    line_ending: str
    state: str = "UploadComplete"
    polls: int = 0
    error: str | None = None
    rows: Sequence[tuple[str, ...]] = ()

    def document(self, user: str) -> dict[str, Any]:
        """The job as the service shows it."""
        shown: dict[str, Any] = {
            "id": self.id,
            "operation": self.operation,
            "object": self.evaluator.object,
            "createdById": user,
            "createdDate": self.created,
            "systemModstamp": self.created,
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.version),
            "lineEnding": self.line_ending,
            "columnDelimiter": self.delimiter,
        }
        if self.polls:
            shown |= {"jobType": "V2Query", "numberRecordsProcessed": len(self.rows), "retries": 0, "totalProcessingTime": 90}
        return shown | ({"errorMessage": self.error} if self.error else {})


# ── Handlers ──


async def create(request: Request) -> Response:
    """POST /jobs/query with {operation, query}."""
    org, body = org_of(request), await json_body(request)
    operation, text = body.get("operation"), body.get("query")
    if operation not in ("query", "queryAll"):
        raise Refused(400, "INVALIDJOB", f"Operation not allowed: {operation}")
    if not isinstance(text, str) or not text.strip():
        raise Refused(400, "INVALIDJOB", "query must be specified")
    if org.jobs_made >= org.options.bulk_jobs:
        raise Refused(400, "EXCEEDEDQUOTA", "Max query jobs per day exceeded")
    query = parse(text)
    evaluator = Evaluator(org.schema, query, everything=operation == "queryAll", base="", indexes=org.indexes)
    _check(query, evaluator.object)
    org.jobs_made += 1
    job = Job(
        id=long_id(f"750gR{org.jobs_made:010d}"),
        operation=operation,
        version=request.path_params["version"],
        created=org.now().replace(microsecond=0),
        evaluator=evaluator,
        delimiter=_one_of(body, "columnDelimiter", "COMMA", _DELIMITERS),
        line_ending=_one_of(body, "lineEnding", "LF", ("LF", "CRLF")),
    )
    org.jobs[job.id] = job
    return answer(job.document(org.world.connector_user_id))


async def list_jobs(request: Request) -> Response:
    """GET /jobs/query: all jobs that are kept."""
    org = org_of(request)
    jobs = [job.document(org.world.connector_user_id) for job in org.jobs.values()]
    return answer({"done": True, "records": jobs, "nextRecordsUrl": None})


async def show(request: Request) -> Response:
    """GET /jobs/query/{job}: how far it is; asking takes it a step on."""
    org = org_of(request)
    job = _job(request, org)
    _go_on(org, job)
    return answer(job.document(org.world.connector_user_id))


async def abort(request: Request) -> Response:
    """PATCH /jobs/query/{job} with {"state": "Aborted"}."""
    org, body = org_of(request), await json_body(request)
    job = _job(request, org)
    if body.get("state") != "Aborted" or job.state in _ENDED:
        raise Refused(400, "INVALIDJOBSTATE", f"a job that is {job.state} cannot become {body.get('state')}")
    job.state = "Aborted"
    return answer(job.document(org.world.connector_user_id))


async def delete(request: Request) -> Response:
    """DELETE /jobs/query/{job}: only what has ended."""
    org = org_of(request)
    job = _job(request, org)
    if job.state not in _ENDED:
        raise Refused(400, "INVALIDJOBSTATE", "only jobs that are done, failed or aborted can be deleted")
    del org.jobs[job.id]
    return Response(status_code=204)


async def results(request: Request) -> Response:
    """GET /jobs/query/{job}/results?locator=&maxRecords=: a page of CSV, its names first."""
    org = org_of(request)
    job = _job(request, org)
    if job.version != request.path_params["version"]:
        raise Refused(409, "API_VERSION_MISMATCH", f"the job was made with API version {job.version}")
    if job.state != "JobComplete":
        raise Refused(400, "INVALIDJOBSTATE", f"the job is {job.state}; there are no results")
    start = _place(request.query_params.get("locator"), job)
    asked = request.query_params.get("maxRecords", "")
    if asked and not (asked.isdigit() and int(asked)):
        raise Refused(400, "INVALID_FIELD", f"maxRecords is no number: {asked}")
    end = start + min(int(asked or org.options.bulk_page), org.options.bulk_page)
    page = job.rows[start:end]
    locator = base64.urlsafe_b64encode(str(end).encode()).decode().rstrip("=") if end < len(job.rows) else "null"
    headers = {"Sforce-Locator": locator, "Sforce-NumberOfRecords": str(len(page)), "Content-Type": "text/csv"}
    return Response(_csv(job, page), headers=headers)


# ── Jobs ──


def _one_of(body: dict[str, Any], name: str, standard: str, allowed: Any) -> str:
    value = body.get(name, standard)
    if value not in allowed:
        raise Refused(400, "INVALIDJOB", f"{name} cannot be {value}")
    return str(value)


def _check(query: Query, object_name: str) -> None:
    """What the Bulk API does not read. GROUP BY and queries of children are refused as the grammar is read."""
    if query.count:
        raise Refused(400, "API_ERROR", "Aggregate Relationships not supported in Bulk Query")
    if query.offset:
        raise Refused(400, "API_ERROR", "OFFSET is not supported in Bulk Query")
    if object_name in _NOT_IN_BULK:
        raise Refused(400, "INVALIDENTITY", f"Entity '{object_name}' is not supported by the Bulk API.")


def _job(request: Request, org: Org) -> Job:
    job: Job | None = org.jobs.get(request.path_params["job"])
    if job is None or org.now() - job.created > _KEPT:
        raise Refused(404, "NOT_FOUND", NOT_FOUND)
    return job


def _go_on(org: Org, job: Job) -> None:
    if job.state in _ENDED:
        return
    job.polls += 1
    job.state = "InProgress"
    if job.polls < org.options.bulk_polls or (org.now() - job.created).total_seconds() < org.options.bulk_seconds:
        return
    if org.failing_jobs:
        job.state, job.error = "Failed", org.failing_jobs.pop(0)
        return
    job.rows = list(_rows(job.evaluator))
    job.state = "JobComplete"


def _place(locator: str | None, job: Job) -> int:
    if locator is None:
        return 0
    try:
        place = int(base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)))
    except (ValueError, binascii.Error) as problem:
        raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator") from problem
    if not 0 < place < len(job.rows):
        raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return place


# ── CSV ──


def _rows(evaluator: Evaluator) -> Iterator[tuple[str, ...]]:
    """All rows as they are at this moment: later edits do not change a job's results."""
    getters = [column.get for column in evaluator.columns]
    for row in evaluator.rows():
        yield tuple([_cell(get(row)) for get in getters])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return utc_text(value) + "Z"
    return value.isoformat() if isinstance(value, date) else str(value)


def _csv(job: Job, page: Sequence[tuple[str, ...]]) -> bytes:
    out = StringIO(newline="")
    ending = {"LF": "\n", "CRLF": "\r\n"}[job.line_ending]
    writer = csv.writer(out, delimiter=_DELIMITERS[job.delimiter], quoting=csv.QUOTE_ALL, lineterminator=ending)
    writer.writerow([column.name for column in job.evaluator.columns])
    writer.writerows(page)
    return out.getvalue().encode()
