"""Salesforce's REST API: the requests that go out and the shapes that come back. No I/O.

Errors are judged in `errors`, logins in `login`, rows read in `records`, SOQL built in `query`, tasks in `tasks`.
Base of the links: https://developer.salesforce.com/docs/platform/api-rest/guide/ (cited as REST:page).
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from connector.adapters.client import Answer, Request
from connector.errors import ObjectStopped
from connector.model import long_id

#: SOAP login() exists only in versions 31.0 to 64.0 and ends with Summer '27 (https://help.salesforce.com/s/articleView?id=005132110&type=1);
#: REST versions live for at least three years (REST:api_rest_eol). 64.0 is good for every login flow and every call here.
API_VERSION = "64.0"
BASE = f"/services/data/v{API_VERSION}"

#: sObject Collections take 200 records a write (REST:resources-composite-sobjects-collections-update), and 2,000 ids a read
#: (REST:resources-composite-sobjects-collections-retrieve).
WRITE_BATCH = 200
READ_BATCH = 2000

#: URI and headers together stay below 16,384 bytes, else 414 or 431 (REST:resources-query). The rest is left to the headers, an access
#: token among them.
LONGEST_TARGET = 12_000

#: Seconds after which Salesforce gives up a query and says so, QUERY_TIMEOUT; whoever hangs up earlier never hears that it was too heavy
#: (https://developer.salesforce.com/docs/atlas.en-us.salesforce_app_limits_cheatsheet.meta/salesforce_app_limits_cheatsheet/salesforce_app_limits_platform_soslsoql.htm).
SLOWEST_QUERY = 120.0

#: Statuses by which an address says that what it served is elsewhere (REST:errorcodes). An org moves from instance to instance; a login
#: tells where it is.
MOVED = frozenset({301, 302, 303, 307, 308})

#: What logs of the org show as the client of each call (REST:headers-calloptions).
CLIENT = "crm-handoff-connector"

#: Objects whose rows have IsDeleted and go through the recycle bin. Users cannot be deleted, and queues only when they own nothing any more
#: (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_user.htm, …_group.htm).
DELETABLE = frozenset(
    {"Lead", "Contact", "Account", "Task", "Event", "Opportunity", "OpportunityContactRole", "Campaign", "CampaignMember"}
)
#: Objects whose rows can be merged; the loser names the winner in MasterRecordId
#: (https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_merge.htm).
MERGEABLE = frozenset({"Lead", "Contact", "Account"})

#: The log of deletions reaches back 15 days, and less where the org purged it; its window must be longer than a minute, and its seconds
#: are cut off (REST:resources-getdeleted,
#: https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_getdeleted.htm).
DELETIONS_KEPT = timedelta(days=15)
SHORTEST_DELETIONS = timedelta(minutes=1)

#: The code of an answer of a shape that Salesforce does not send.
STRANGE_ANSWER = "STRANGE_ANSWER"

Row = Mapping[str, Any]

#: Characters that a query string may hold as they are, so that more of it fits.
_LEGAL = "(),:'"
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


def session_headers(*, run_assignment_rules: bool) -> dict[str, str]:
    """What every request carries; kept on the HTTP session, so that a login in the middle of a write cannot lose them.

    Sforce-Auto-Assign is TRUE where it is left out, and then an update of a Lead can change its owner (REST:headers-autoassign).
    X-PrettyPrint is off: an indented page is 29% larger. batchSize is a hint of 200 to 2,000 rows a page (REST:headers-queryoptions).
    """
    return {
        "Accept": "application/json",
        "Sforce-Auto-Assign": "TRUE" if run_assignment_rules else "FALSE",
        "Sforce-Call-Options": f"client={CLIENT}",
        "Sforce-Query-Options": "batchSize=2000",
        "User-Agent": CLIENT,
        "X-PrettyPrint": "0",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonAnswer(Answer):
    """An answer whose body was parsed once, for the judge and the reader both. readable: the body is JSON."""

    value: Any
    readable: bool


def opened(answer: Answer) -> JsonAnswer:
    """The answer with its body parsed; HTML, nothing, or half a body are not readable."""
    try:
        value, readable = orjson.loads(answer.body), True
    except orjson.JSONDecodeError:
        value, readable = None, False
    return JsonAnswer(status=answer.status, headers=answer.headers, body=answer.body, value=value, readable=readable)


def value_of(answer: Answer) -> Any:
    """The parsed body of an answer that was judged good."""
    return answer.value if isinstance(answer, JsonAnswer) else orjson.loads(answer.body)


def target(request: Request) -> str:
    """Path and query as they go over the wire; `+` becomes %2B, a space %20, so that SOQL arrives as it was written."""
    return f"{request.path}?{urlencode(request.query, quote_via=quote, safe=_LEGAL)}" if request.query else request.path


def encoded_length(text: str) -> int:
    """How many bytes a part of a query takes in the URI."""
    return len(quote(text, safe=_LEGAL))


# ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def query(soql: str, *, all_rows: bool, about: str) -> Request:
    """all_rows: deleted rows too, and activities archived after a year, which `query` does not show (REST:resources-queryall)."""
    return Request(method="GET", path=f"{BASE}/{'queryAll' if all_rows else 'query'}", query={"q": soql}, about=about)


def is_query(request: Request) -> bool:
    """Whether Salesforce may work on it as long as it gives a query. Nothing else may: a write ends within half the lease of who writes."""
    return request.method == "GET" and request.path.startswith(f"{BASE}/query")


def more(locator: str, *, about: str) -> Request:
    """The next page: nextRecordsUrl, verbatim, a path on the same host (REST:resources-query-more-results).

    Raises `ObjectStopped` for one that is no such path: the access token goes to no other host.
    """
    if not locator.startswith("/services/data/"):
        raise ObjectStopped(
            f"salesforce named a next page outside its API while {about}",
            crm="salesforce",
            code="STRANGE_LOCATOR",
            advice="Look for a proxy between the connector and Salesforce that changes answers.",
        )
    return Request(method="GET", path=locator, about=about)


def retrieve(object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Request:
    """Records by id, up to 2,000, null for each that is not there (REST:resources-composite-sobjects-collections-retrieve)."""
    return Request(
        method="POST",
        path=f"{BASE}/composite/sobjects/{object_name}",
        body=orjson.dumps({"ids": list(ids), "fields": list(fields)}),
        about=f"reading {object_name} by id",
    )


def update(object_name: str, rows: Sequence[Row]) -> Request:
    """Sets fields on up to 200 records, each by itself (REST:resources-composite-sobjects-collections-update). Safe: it sets values."""
    return Request(
        method="PATCH", path=f"{BASE}/composite/sobjects", body=_records(object_name, rows), about=f"updating {object_name}", safe=True
    )


def upsert(object_name: str, key_field: str, rows: Sequence[Row]) -> Request:
    """Creates what is not there yet by its external id (REST:resources-composite-sobjects-collections-upsert).

    Safe: the second time finds what the first made.
    """
    return Request(
        method="PATCH",
        path=f"{BASE}/composite/sobjects/{object_name}/{key_field}",
        body=_records(object_name, rows),
        about=f"creating {object_name}",
        safe=True,
    )


def create(object_name: str, rows: Sequence[Row]) -> Request:
    """Creates up to 200 records (REST:resources-composite-sobjects-collections-create). Not safe: the second time creates them again."""
    return Request(
        method="POST", path=f"{BASE}/composite/sobjects", body=_records(object_name, rows), about=f"creating {object_name}", safe=False
    )


def describe(object_name: str) -> Request:
    """What an object is made of, as this user sees it (REST:resources-sobject-describe)."""
    return Request(method="GET", path=f"{BASE}/sobjects/{object_name}/describe", about=f"describing {object_name}")


def deleted(object_name: str, start: datetime, end: datetime) -> Request:
    """The log of deletions between two whole minutes, also of what the recycle bin holds no more (REST:resources-getdeleted).

    At most 600,000 ids, else EXCEEDED_ID_LIMIT; INVALID_REPLICATION_DATE where the log does not reach back to `start`.
    """
    window = {name: f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}+00:00" for name, moment in (("start", start), ("end", end))}
    return Request(method="GET", path=f"{BASE}/sobjects/{object_name}/deleted/", query=window, about=f"looking for deleted {object_name}")


def limits() -> Request:
    """The org's limits and what is left of them (REST:resources-limits)."""
    return Request(method="GET", path=f"{BASE}/limits", about="reading the org's limits")


def _records(object_name: str, rows: Sequence[Row]) -> bytes:
    # allOrNone is false by default; said all the same, since one bad row must not take 199 good ones with it.
    return orjson.dumps({"allOrNone": False, "records": [{"attributes": {"type": object_name}, **row} for row in rows]})


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPage:
    """One page of a query. Its end is told by `locator` alone, never by a short page. total: rows of the whole query."""

    rows: Sequence[Any]
    locator: str | None
    total: int | None


def query_page(answer: Answer, about: str) -> QueryPage:
    """Reads {totalSize, done, nextRecordsUrl, records} (REST:resources-query). Raises `ObjectStopped` for anything else."""
    value = value_of(answer)
    if not isinstance(value, dict) or not isinstance(value.get("records"), list) or not isinstance(value.get("done"), bool):
        raise strange(about)
    locator = value.get("nextRecordsUrl")
    if not value["done"] and not isinstance(locator, str):
        raise strange(about)
    total = value.get("totalSize")
    return QueryPage(rows=value["records"], locator=None if value["done"] else locator, total=total if isinstance(total, int) else None)


def retrieved(answer: Answer, about: str) -> list[Row]:
    """The records of a collections read, without the nulls."""
    value = value_of(answer)
    if not isinstance(value, list):
        raise strange(about)
    return [row for row in value if isinstance(row, dict)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletions:
    """The log of deletions of a window: (18-character id, when). earliest: how far it reaches back; covered: where the next window begins,
    since what was under way then may not be in this answer."""

    rows: Sequence[tuple[str, datetime | None]]
    earliest: datetime | None
    covered: datetime | None


def deletions(answer: Answer, about: str) -> Deletions:
    """Reads {deletedRecords: [{id, deletedDate}], earliestDateAvailable, latestDateCovered}. Raises `ObjectStopped` for anything else."""
    value = value_of(answer)
    rows = value.get("deletedRecords") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        raise strange(about)
    try:
        return Deletions(
            rows=[(long_id(row["id"]), _maybe_moment(row.get("deletedDate"))) for row in rows],
            earliest=_maybe_moment(value.get("earliestDateAvailable")),
            covered=_maybe_moment(value.get("latestDateCovered")),
        )
    except ValueError as error:
        raise strange(about) from error


def _maybe_moment(text: object) -> datetime | None:
    return moment_of(text) if isinstance(text, str) and text else None


def results(answer: Answer, expected: int, about: str) -> list[Row]:
    """The rows of a collections write, in the order of the request. The HTTP status is 200 even where every row failed."""
    value = value_of(answer)
    if not isinstance(value, list) or len(value) != expected or not all(isinstance(row, dict) for row in value):
        raise strange(about)
    return value


def strange(about: str) -> ObjectStopped:
    """An answer of a shape that Salesforce does not send."""
    return ObjectStopped(
        f"salesforce sent an answer of an unknown shape while {about}",
        crm="salesforce",
        code=STRANGE_ANSWER,
        advice="Look for a proxy between the connector and Salesforce; if there is none, report this.",
    )


def api_usage(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """Calls used and allowed in the rolling 24 hours, for the whole org (REST:headers-api-usage): "api-usage=10018/100000; …"."""
    match = re.search(r"(?:^|[\s;,])api-usage=(\d+)/(\d+)", headers.get("sforce-limit-info", ""))
    return (int(match[1]), int(match[2])) if match else None


def correlation_id(headers: Mapping[str, str]) -> str:
    """The request's id for Salesforce's support, where an answer carries one (not documented; seen on live answers)."""
    return headers.get("x-sfdc-request-id") or headers.get("x-request-id") or ""


# ── Moments and ids ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def server_date(headers: Mapping[str, str]) -> datetime | None:
    """Salesforce's own clock, by its Date header; None where there is none."""
    try:
        moment = email.utils.parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def moment_of(text: str) -> datetime:
    """REST's 2020-10-22T21:03:23.000+0000 and Bulk's 2020-10-22T21:03:23.000Z, in UTC. Raises ValueError for anything else, and for one
    without an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment without an offset")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)  # read twice for every record, and nearly always in UTC already


def literal(moment: datetime) -> str:
    """A datetime in SOQL: unquoted, with Z (https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_dateformats.htm)."""
    in_utc = moment.astimezone(UTC)
    milliseconds = f".{in_utc.microsecond // 1000:03d}" if in_utc.microsecond >= 1000 else ""
    return f"{in_utc:%Y-%m-%dT%H:%M:%S}{milliseconds}Z"


def is_id(text: str) -> bool:
    """Whether this is shaped like a record's id: 15 characters, or 18 with the suffix that encodes their case.

    Salesforce refuses a whole request (MALFORMED_ID) for one that is not.
    """
    return _ID.fullmatch(text) is not None and (len(text) == 15 or text[15:].upper() == long_id(text[:15])[15:])


def same(record_id: str) -> str:
    """The part of an id that tells records apart: its first 15 characters, exactly, case and all."""
    return record_id[:15]


#: A record's object, by the first three characters of its id (https://help.salesforce.com/s/articleView?id=000385203&type=1).
PREFIXES = {"00Q": "Lead", "003": "Contact", "001": "Account", "005": "User", "00G": "Group", "00T": "Task", "00U": "Event"}
