"""What Salesforce's refusals lead to: each recorded answer to its kind of error, with the way out, and nothing lost or done twice."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import requests
import responses

from connector.adapters.client import Answer, Request
from connector.adapters.salesforce.wire import errors as wire_errors
from connector.adapters.salesforce.wire import requests as wire
from connector.errors import CrmError, ObjectStopped, PassStopped, RateLimited, Rejected, Retriable
from connector.model import WriteState
from connector.store.budget import SharedBudget, salesforce_limits
from connector.store.database import Store
from tests.adapters.salesforce.answers import (
    DAY_USED_UP,
    EXPIRED,
    NO_COLUMN,
    NOW,
    QUERY_URL,
    TOKEN_URL,
    TOO_MANY_AT_ONCE,
    crm,
    refusal,
    users,
)

# ── Judgement ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def judged(status: int, body: object, headers: dict[str, str] | None = None, request: Request | None = None) -> CrmError | None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    request = request or wire.query("SELECT Id FROM Lead", all_rows=True, about="reading Lead")
    return wire_errors.judge(request, wire.opened(Answer(status=status, headers=headers or {}, body=content)))


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "way_out"),
    [
        (401, EXPIRED, PassStopped, "INVALID_SESSION_ID", "External Client App"),
        (401, b"<html>", PassStopped, "", "External Client App"),
        (403, DAY_USED_UP, PassStopped, "REQUEST_LIMIT_EXCEEDED", "daily_requests"),
        (403, TOO_MANY_AT_ONCE, RateLimited, "REQUEST_LIMIT_EXCEEDED", "asks again"),
        (403, [{"message": "x", "errorCode": "API_DISABLED_FOR_ORG"}], PassStopped, "API_DISABLED_FOR_ORG", "API Enabled"),
        (403, [{"message": "x", "errorCode": "INSUFFICIENT_ACCESS"}], ObjectStopped, "INSUFFICIENT_ACCESS", "Permission Sets"),
        (403, b"<html>Forbidden</html>", PassStopped, "", "IP ranges"),
        (404, [{"message": "x", "errorCode": "NOT_FOUND"}], PassStopped, "NOT_FOUND", "Update the connector"),
        (404, b"", PassStopped, "", "instance_url"),
        (410, [{"message": "x", "errorCode": "GONE"}], PassStopped, "GONE", "Update the connector"),
        (400, [{"message": "x", "errorCode": "UNSUPPORTED_API_VERSION"}], PassStopped, "UNSUPPORTED_API_VERSION", "Update the connector"),
        (400, NO_COLUMN, wire_errors.NoSuchColumn, "INVALID_FIELD", "Lead.Budgte__c"),
        (400, [{"message": "x", "errorCode": "INVALID_TYPE"}], ObjectStopped, "INVALID_TYPE", "read access"),
        (400, [{"message": "x", "errorCode": "MALFORMED_QUERY"}], ObjectStopped, "MALFORMED_QUERY", "Report this"),
        (400, [{"message": "x", "errorCode": "QUERY_TIMEOUT"}], ObjectStopped, "QUERY_TIMEOUT", "fewer fields"),
        (400, [{"message": "x", "errorCode": "INVALID_QUERY_LOCATOR"}], ObjectStopped, "INVALID_QUERY_LOCATOR", ""),
        (400, [{"message": "x", "errorCode": "UNABLE_TO_LOCK_ROW"}], Retriable, "UNABLE_TO_LOCK_ROW", "next pass"),
        (400, {"error": "invalid_grant", "error_description": "x"}, PassStopped, "invalid_grant", "External Client App"),
        (302, b"", PassStopped, "", "My Domain"),
        (300, ["/services/data/v64.0/sobjects/Task/00T1", "/services/data/v64.0/sobjects/Task/00T2"], Rejected, "", "Unique"),
        (413, [{"message": "x", "errorCode": "REQUEST_TOO_LARGE"}], ObjectStopped, "REQUEST_TOO_LARGE", "fewer fields"),
        (414, b"<html>414</html>", ObjectStopped, "", "fewer fields"),
        (431, b"", ObjectStopped, "", "fewer fields"),
        (406, b"", Retriable, "", "next pass"),
        (420, b"", RateLimited, "", "next pass"),
        (429, b"", RateLimited, "", "next pass"),
        (500, [{"message": "x", "errorCode": "UNKNOWN_EXCEPTION"}], Retriable, "UNKNOWN_EXCEPTION", "status.salesforce.com"),
        (500, {"exceptionCode": "InvalidSession", "exceptionMessage": "x"}, Retriable, "InvalidSession", "next pass"),
        (502, b"<html>", Retriable, "", "next pass"),
        (503, b"", Retriable, "", "next pass"),
        (503, [{"message": "x", "errorCode": "SERVER_UNAVAILABLE"}], Retriable, "SERVER_UNAVAILABLE", "next pass"),
        (200, b"<html>login</html>", Retriable, "NOT_JSON", "login page"),
        (200, b"", Retriable, "NOT_JSON", "proxy"),
        (200, b'{"totalSize": 2, "records": [{"Id"', Retriable, "NOT_JSON", "proxy"),
    ],
)
def test_what_an_answer_means(status: int, body: object, kind: type[CrmError], code: str, way_out: str) -> None:
    error = judged(status, body)
    assert type(error) is kind
    assert (error.status, error.code) == (status, code)
    assert "reading Lead" in error.message
    assert way_out in error.advice


def test_an_object_that_is_not_found_concerns_it_alone() -> None:
    error = judged(404, refusal("NOT_FOUND"), request=wire.describe("Campaign"))
    assert type(error) is ObjectStopped
    assert "may see this object" in error.advice


def test_a_spent_day_says_when_calls_become_free() -> None:
    """Rolling hours: the answer tells how many were used and what time it is there."""
    headers = {"sforce-limit-info": "api-usage=100000/100000; api-bursts=1/750", "date": "Wed, 02 Dec 2026 09:10:00 GMT"}
    error = judged(403, DAY_USED_UP, headers)
    assert isinstance(error, PassStopped)
    assert "(100000 of 100000)" in error.message
    assert "2026-12-03 09:10 UTC" in error.advice
    silent = judged(403, DAY_USED_UP)
    assert silent is not None
    assert "24 hours after it was made." in silent.advice


@pytest.mark.parametrize(
    ("info", "usage"),
    [
        ("api-usage=18/5000", (18, 5000)),
        ("api-usage=10018/100000; api-bursts=1/750", (10018, 100000)),
        ("api-usage=25/5000; per-app-api-usage=17/250(appName=sample-connected-app)", (25, 5000)),
        ("per-app-api-usage=17/250(appName=x),api-usage=25/5000", (25, 5000)),
        ("api-bursts=1/750", None),
        ("", None),
    ],
)
def test_how_many_calls_the_org_counted(info: str, usage: tuple[int, int] | None) -> None:
    assert wire.api_usage({"sforce-limit-info": info}) == usage


def test_good_answers_are_good() -> None:
    assert judged(200, {"records": []}) is None
    assert judged(204, b"") is None


def test_retry_after_is_obeyed_where_a_proxy_sends_one() -> None:
    error = judged(503, b"", {"retry-after": "17"})
    assert isinstance(error, Retriable)
    assert error.retry_after == 17


def test_a_column_that_is_missing_is_named() -> None:
    error = judged(400, NO_COLUMN)
    assert isinstance(error, wire_errors.NoSuchColumn)
    assert error.column == "Budgte__c"


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("UNABLE_TO_LOCK_ROW", WriteState.LATER),
        ("CANNOT_UPDATE_CONVERTED_LEAD", WriteState.REFUSED),
        ("ENTITY_IS_DELETED", WriteState.REFUSED),
        ("INVALID_CROSS_REFERENCE_KEY", WriteState.REFUSED),
        ("DUPLICATES_DETECTED", WriteState.REFUSED),
        ("INVALID_FIELD", WriteState.REFUSED),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", WriteState.REFUSED),
        ("INACTIVE_OWNER_OR_USER", WriteState.REFUSED),
        ("SOMETHING_NEW", WriteState.REFUSED),
    ],
)
def test_rows_are_judged_one_by_one(code: str, state: WriteState) -> None:
    error = {"statusCode": code, "message": "ada@acme.example +49 170 1234567", "fields": []}
    outcome = wire_errors.outcome({"success": False, "errors": [error]})
    assert (outcome.state, outcome.code) == (state, code)
    assert outcome.advice
    assert "ada" not in outcome.message
    assert "1234567" not in outcome.message


def test_a_validation_rules_own_words_are_shown() -> None:
    error = {"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "Set a reason first.", "fields": ["Reason__c"]}
    row = {"success": False, "errors": [error]}
    assert "Set a reason first." in wire_errors.outcome(row).message
    assert "Reason__c" in wire_errors.outcome(row).message


# ── Limits and lost answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_days_limit_stops_the_pass_without_asking_again(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    slept: list[float] = []
    org.get(QUERY_URL, status=403, json=DAY_USED_UP)
    with pytest.raises(PassStopped):
        list(crm(slept=slept).pull("User", None, now=NOW))
    assert slept == []
    assert len(org.calls) == 2


def test_too_many_at_once_is_waited_out(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    slept: list[float] = []
    org.get(QUERY_URL, status=403, json=TOO_MANY_AT_ONCE)
    org.get(QUERY_URL, json=users())
    assert list(crm(slept=slept).pull("User", None, now=NOW))[-1].last
    assert len(slept) == 1


def test_what_is_kept_for_other_integrations_stays_theirs(
    org: responses.RequestsMock, login: responses.BaseResponse, tmp_path: Path
) -> None:
    """The org counts all integrations; at 80% we stop, and some time later a request learns the count anew."""
    org.get(QUERY_URL, json=users(), headers={"Sforce-Limit-Info": "api-usage=80001/100000"})
    at = [NOW.timestamp()]
    with Store.open(f"sqlite:///{tmp_path / 'c.db'}") as store:
        store.upgrade()
        limits = salesforce_limits(daily_requests=100_000)
        budget = SharedBudget(store, "org", limits, crm="salesforce", headroom=0.2, clock=lambda: at[0], sleep=lambda _: None)
        shared = crm(budget=budget)
        list(shared.pull("User", None, now=NOW))
        with pytest.raises(PassStopped, match="80,001 of its 100,000"):
            list(shared.pull("Group", None, now=NOW))
        at[0] += 1000
        assert list(shared.pull("Group", None, now=NOW))[-1].last


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (requests.exceptions.SSLError("certificate verify failed"), "certificate"),
        (requests.exceptions.InvalidURL("no host"), "instance_url"),
        (OSError("Could not find a suitable TLS CA certificate bundle"), "ca_bundle"),
    ],
)
def test_what_no_retry_cures_stops_at_once(org: responses.RequestsMock, failure: Exception, message: str) -> None:
    org.post(TOKEN_URL, body=failure)
    slept: list[float] = []
    with pytest.raises(PassStopped, match=message):
        list(crm(slept=slept).pull("User", None, now=NOW))
    assert slept == []


def test_no_answer_is_retried_for_reads(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(QUERY_URL, body=requests.exceptions.ReadTimeout())
    org.get(QUERY_URL, body=requests.exceptions.ChunkedEncodingError())
    org.get(QUERY_URL, body=b'{"totalSize": 0, "done": tr')
    org.get(QUERY_URL, json=users())
    slept: list[float] = []
    page = list(crm(slept=slept).pull("User", None, now=NOW))[-1]
    assert (page.last, page.calls, len(slept)) == (True, 4, 3)
