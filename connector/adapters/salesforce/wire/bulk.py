"""Bulk API 2.0 query jobs: the requests that go out, and their results, which are CSV. No I/O.

A job is created with a query, asked for until it is done, read page by page with the locator that each page names, and deleted. Pages can
be read again while the job lives, seven days. Base of the links: https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/
(cited as BULK:page).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from connector.adapters.client import Answer, Request
from connector.adapters.salesforce.wire import errors as wire_errors
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Row
from connector.errors import CrmError, ObjectStopped, PassStopped, Retriable
from connector.model import Cursor

JOBS = f"{wire.BASE}/jobs/query"
CSV = "text/csv"

#: Rows of one page of results. The most that Salesforce gives is bounded by time only (BULK:query_get_job_results); a page's whole body is
#: held in memory, so this is what bounds it.
PAGE = 10_000
#: Seconds between two looks at a job, the last for all that follow; 30 minutes are the most.
PAUSES = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 15.0)
LONGEST_WAIT = 1_800.0

#: What a job costs beside its pages: a description, its creation, three looks at it, its deletion.
_CALLS_A_JOB = 6


def calls(rows: int) -> int:
    """How many requests it takes to read so many rows by a job."""
    return _CALLS_A_JOB + -(-rows // PAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlace:
    """Where the reading of a job stands; part of a cursor.

    locator: of the page under way, "" for the first. skip: rows of that page that were read; read: rows of all pages that were. total: the
    stream's size, where known. ended: all is read, and the job need only be deleted.
    """

    job: str
    locator: str = ""
    skip: int = 0
    read: int = 0
    total: int | None = None
    ended: bool = False

    @classmethod
    def of(cls, cursor: Cursor | None) -> JobPlace | None:
        """The place that a cursor holds, if it holds one."""
        stands = cursor.get("bulk") if cursor else None
        return cls(**stands) if stands else None

    def cursor(self) -> dict[str, Any]:
        """For `of`."""
        stands = {name: getattr(self, name) for name in ("locator", "skip", "read", "total", "ended")}
        return {"job": self.job, **{name: value for name, value in stands.items() if value}}


# ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def create(soql: str, *, all_rows: bool, about: str) -> Request:
    """A new job (BULK:query_create_job). No ORDER BY, no LIMIT: they would keep Salesforce from reading in chunks (BULK:query_pk_chunking).

    Safe: a second job of a lost answer costs one of 10,000 a day, and vanishes by itself.
    """
    body = {"operation": "queryAll" if all_rows else "query", "query": soql, "columnDelimiter": "COMMA", "lineEnding": "LF"}
    return Request(method="POST", path=JOBS, body=orjson.dumps({**body, "contentType": "CSV"}), about=f"{about} by a bulk job")


def look(job: str, *, about: str) -> Request:
    """How far a job is (BULK:query_get_one_job)."""
    return Request(method="GET", path=f"{JOBS}/{job}", about=f"{about} by a bulk job")


def results(job: str, locator: str, *, about: str) -> Request:
    """A page of results (BULK:query_get_job_results)."""
    query = {"maxRecords": str(PAGE), **({"locator": locator} if locator else {})}
    return Request(method="GET", path=f"{JOBS}/{job}/results", query=query, headers={"Accept": CSV}, about=f"{about} by a bulk job")


def abort(job: str, *, about: str) -> Request:
    """Ends a job that still runs (BULK:query_abort_job)."""
    return Request(method="PATCH", path=f"{JOBS}/{job}", body=orjson.dumps({"state": "Aborted"}), about=f"{about} by a bulk job")


def delete(job: str, *, about: str) -> Request:
    """Deletes a job that has ended, and its results (BULK:query_delete_job)."""
    return Request(method="DELETE", path=f"{JOBS}/{job}", about=f"{about} by a bulk job")


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def judge(request: Request, answer: Answer) -> CrmError | None:
    """As `wire_errors.judge`, for pages of results too; and what bulk jobs alone cannot do stops nothing but the job."""
    if request.headers.get("Accept") == CSV and 200 <= answer.status < 300:
        return None if _is_csv(answer) else _unreadable("with a body that is no CSV", request.about)
    error = wire_errors.judge(request, answer)
    if request.path.startswith(JOBS) and isinstance(error, PassStopped) and error.code == "FUNCTIONALITY_NOT_ENABLED":
        # "Selecting compound data not supported in Bulk Query", and orgs without Bulk API.
        return ObjectStopped(error.message, crm="salesforce", status=error.status, code=error.code, advice=error.advice)
    return error


def _is_csv(answer: Answer) -> bool:
    return answer.status == 200 and answer.headers.get("content-type", "").lower().startswith(CSV)


def _unreadable(what: str, about: str) -> Retriable:
    return Retriable(
        f"salesforce answered {what} while {about}",
        crm="salesforce",
        code="NOT_CSV",
        advice="The next pass goes on where this one stopped. If it lasts, look for a proxy that changes answers.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A job as it stands. processed: rows of its results. error: Salesforce's own words where it failed, scrubbed."""

    id: str
    state: str
    processed: int
    error: str


def job_of(answer: Answer, about: str) -> JobStatus:
    """Reads {id, state, numberRecordsProcessed, errorMessage} (BULK:query_get_one_job). Raises `ObjectStopped` for anything else."""
    value = wire.value_of(answer)
    if not isinstance(value, dict) or not isinstance(value.get("id"), str) or not isinstance(value.get("state"), str):
        raise wire.strange(about)
    processed = value.get("numberRecordsProcessed")
    return JobStatus(
        id=value["id"],
        state=value["state"],
        processed=processed if isinstance(processed, int) else 0,
        error=wire_errors.scrubbed(str(value.get("errorMessage") or "")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A page of results: CSV, how many rows it holds by Salesforce's own count, and the next page's locator, None on the last."""

    body: bytes
    count: int
    locator: str | None


def results_of(answer: Answer) -> Results:
    """Reads Sforce-NumberOfRecords and Sforce-Locator, the text "null" on the last page (BULK:query_get_job_results).

    Raises `Retriable` for a page without them, or one whose last line does not end: it was cut.
    """
    count, locator = answer.headers.get("sforce-numberofrecords", ""), answer.headers.get("sforce-locator", "")
    if not count.isdecimal() or not locator or not answer.body.endswith(b"\n"):
        raise _unreadable("with a page of results that is not whole", "reading the results of a bulk job")
    return Results(body=answer.body, count=int(count), locator=None if locator == "null" else locator)


def _moment(text: str) -> str:
    return f"{text[:-1]}+0000" if text.endswith("Z") else text


def _number(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text  # whoever wants a number finds that it is none


def _decimal(text: str) -> Any:
    number = _number(text)
    return float(number) if isinstance(number, int) and not isinstance(number, bool) else number  # REST writes 7.0 where CSV may have 7


def _truth(text: str) -> bool:
    return text == "true"


#: What REST writes in JSON where CSV has text, by a field's type: numbers, true and false, and moments in another form.
_READ: Mapping[str, Callable[[str], Any]] = {
    "boolean": _truth,
    "int": _number,
    "long": _number,
    "double": _decimal,
    "currency": _decimal,
    "percent": _decimal,
    "datetime": _moment,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTypes:
    """Of a description, by names in lower case: types of fields, and the objects that a relationship leads to."""

    types: Mapping[str, str]
    targets: Mapping[str, Sequence[str]]


def described(answer: Answer, about: str) -> FieldTypes:
    """Reads {fields: [{name, type, relationshipName, referenceTo}]}. Raises `ObjectStopped` for what is no description."""
    value = wire.value_of(answer)
    listed = value.get("fields") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise wire.strange(about)
    fields = [field for field in listed if isinstance(field, dict) and field.get("name")]
    return FieldTypes(
        types={str(field["name"]).lower(): str(field.get("type")) for field in fields},
        targets={str(name).lower(): field.get("referenceTo") or () for field in fields if (name := field.get("relationshipName"))},
    )


def rows(body: bytes, types: Mapping[str, str], about: str) -> Iterator[Row]:
    """The rows of a page as REST would send them; empty cells are null, related fields stand under their whole name ("UserRole.Name").

    The body is decoded piece by piece. Raises `ObjectStopped` for what is no CSV in UTF-8.
    """
    # newline="": a cell may hold any line break; only csv tells which of them ends a row.
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")
    try:
        lines = csv.reader(text, strict=True)
        names = next(lines, [])
        read = [(at, _READ[kind]) for at, name in enumerate(names) if (kind := types.get(name.lower(), "")) in _READ]
        for cells in lines:
            if len(cells) != len(names):
                raise wire.strange(about)
            row: dict[str, Any] = {name: cell or None for name, cell in zip(names, cells, strict=True)}
            for at, convert in read:
                if cells[at]:
                    row[names[at]] = convert(cells[at])
            yield row
    except (csv.Error, UnicodeDecodeError) as error:
        raise wire.strange(about) from error
