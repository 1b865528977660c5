"""What was deleted and what was updated in a span of time: GET /sobjects/{object}/deleted and …/updated.

https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_getdeleted.htm, …/resources_getupdated.htm, and for the
limits …/api.meta/api/sforce_api_calls_getdeleted.htm: seconds are cut off, the span is longer than a minute, deletions are told for 15 days
and updates for 30, both up to 600,000 ids.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from connector.sandbox.salesforce.errors import Refused
from connector.sandbox.salesforce.http import answer, object_of, org_of
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import describe_object

_DELETED_FOR = timedelta(days=15)
_UPDATED_FOR = timedelta(days=30)


async def deleted(request: Request) -> Response:
    """GET /sobjects/{object}/deleted/?start=&end=: ids of what is in the bin, was merged away, or is gone for good."""
    org, name = org_of(request), _replicated(request)
    start, end = _span(request, org, _DELETED_FOR)
    if org.log_from is not None and start < org.log_from:
        raise _invalid("startDate is before the earliest date available")
    found = [(row["SystemModstamp"], row["Id"]) for row in org.schema.rows[name].values() if row.get("IsDeleted")]
    found += [(at, record_id) for record_id, at in org.gone.get(name, {}).items()]
    deletions = sorted(deletion for deletion in found if start <= deletion[0] < end)
    _not_too_many(org, len(deletions))
    earliest = max(filter(None, (org.log_from, _minute(org.now() - _DELETED_FOR))))
    return answer(
        {
            "deletedRecords": [{"id": record_id, "deletedDate": at} for at, record_id in deletions],
            "earliestDateAvailable": earliest,
            "latestDateCovered": _covered(org, end),
        }
    )


async def updated(request: Request) -> Response:
    """GET /sobjects/{object}/updated/?start=&end=: ids of what is alive and was created or changed then."""
    org, name = org_of(request), _replicated(request)
    start, end = _span(request, org, _UPDATED_FOR)
    rows = org.indexes.of(name, "SystemModstamp").between(start, end)
    ids = [row["Id"] for row in rows if row["SystemModstamp"] < end and not row.get("IsDeleted")]
    _not_too_many(org, len(ids))
    return answer({"ids": ids, "latestDateCovered": _covered(org, end)})


def _replicated(request: Request) -> str:
    name = object_of(request)
    if not describe_object(name, "")["replicateable"]:
        raise Refused(400, "INVALID_TYPE", f"{name} is not replicateable")
    return name


def _span(request: Request, org: Org, most: timedelta) -> tuple[datetime, datetime]:
    start, end = (_moment(request, name) for name in ("start", "end"))
    if end - start <= timedelta(minutes=1):
        raise _invalid("endDate must be more than one minute after startDate")
    if start < _minute(org.now() - most):
        raise _invalid(f"startDate cannot be more than {most.days} days ago")
    return start, end


def _moment(request: Request, name: str) -> datetime:
    text = request.query_params.get(name)
    if not text:
        raise Refused(400, "MISSING_ARGUMENT", f"the parameter {name} is missing")
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a + that nobody encoded
    except ValueError as problem:
        raise Refused(400, "INVALID_FIELD", f"{name} is no dateTime: {text}") from problem
    return _minute(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def _minute(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _covered(org: Org, end: datetime) -> datetime:
    """Up to where the answer is whole: what began earlier and is not committed yet would be missing."""
    begun = min((late.begun for late in org.late), default=end)
    return _minute(min(end, begun, org.now()))


def _not_too_many(org: Org, count: int) -> None:
    if count > org.options.most_ids:
        raise Refused(400, "EXCEEDED_ID_LIMIT", f"too many ids: {count}; limit is {org.options.most_ids}. Choose a shorter span.")


def _invalid(message: str) -> Refused:
    return Refused(400, "INVALID_REPLICATION_DATE", message)
