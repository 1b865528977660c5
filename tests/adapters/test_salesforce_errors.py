"""What Salesforce's refusals lead to: each recorded answer to its kind of error, with the way out, and nothing lost or done twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import requests
import responses
from salesforce_org import Budget, Settings, Value, change

from connector.adapters.calling import Answer
from connector.adapters.salesforce import SalesforceCrm, wire, wire_errors, wire_login
from connector.errors import CrmError, ObjectStopped, PassStopped, RateLimited, Retriable
from connector.model import Page, WriteState

HOST = "https://acme.my.salesforce.com"
TOKEN_URL = f"{HOST}/services/oauth2/token"
QUERY_URL = f"{HOST}{wire.BASE}/query"
COLLECTIONS = f"{HOST}{wire.BASE}/composite/sobjects"
NOW = datetime(2026, 12, 2, 9, 0, tzinfo=UTC)
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
DAY_USED_UP = [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
TOO_MANY_AT_ONCE = [{"message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
NO_COLUMN = [
    {
        "message": "\nSELECT Id, Budgte__c FROM Lead\n           ^\nERROR at Row:1:Column:12\nNo such column 'Budgte__c' on entity 'Lead'. "
        "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name.",
        "errorCode": "INVALID_FIELD",
    }
]


@pytest.fixture
def org() -> Iterator[responses.RequestsMock]:
    """Answers in place of the network; one that is not asked for is no failure."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def login(org: responses.RequestsMock) -> responses.BaseResponse:
    """A login that works, with an instance of its own."""
    granted: responses.BaseResponse = org.post(TOKEN_URL, json={"access_token": "token-1", "instance_url": HOST, "token_type": "Bearer"})
    return granted


def crm(settings: Settings | None = None, *, budget: Budget | None = None, slept: list[float] | None = None) -> SalesforceCrm:
    """The adapter; it sleeps into a list."""
    return SalesforceCrm(
        settings or Settings(instance_url=HOST),
        wanted={"Lead": ["Email"]},
        expected={},
        budget=budget or Budget(),
        sleep=(slept if slept is not None else []).append,
        timeout=5.0,
    )


def users(*rows: dict[str, Any]) -> dict[str, Any]:
    """A page of a query."""
    return {"totalSize": len(rows), "done": True, "records": list(rows)}



# ── Judgement ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def judged(status: int, body: object, headers: dict[str, str] | None = None) -> CrmError | None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    request = wire.query("SELECT Id FROM Lead", all_rows=True, about="reading Lead")
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
        (404, [{"message": "x", "errorCode": "NOT_FOUND"}], ObjectStopped, "NOT_FOUND", "instance_url"),
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
        (414, b"", PassStopped, "", ""),
        (406, b"", Retriable, "", "next pass"),
        (420, b"", RateLimited, "", "next pass"),
        (429, b"", RateLimited, "", "next pass"),
        (500, [{"message": "x", "errorCode": "UNKNOWN_EXCEPTION"}], Retriable, "UNKNOWN_EXCEPTION", "status.salesforce.com"),
        (502, b"<html>", Retriable, "", "next pass"),
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


# ── Logins ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "description", "way_out"),
    [
        ("invalid_client_id", "client identifier invalid", "consumer key"),
        ("invalid_client", "invalid client credentials", "consumer key and secret"),
        ("invalid_grant", "no client credentials user enabled", "Run As user"),
        ("invalid_grant", "request not supported on this domain", "My Domain"),
        ("invalid_grant", "user hasn't approved this consumer", "pre-authorized"),
        ("invalid_grant", "authentication failure", "login history"),
        ("unsupported_grant_type", "grant type not supported", "Flow Enablement"),
        ("inactive_user", "user is inactive", "Activate"),
        ("something_new", "", "External Client App"),
    ],
)
def test_a_refused_login_names_the_setting(org: responses.RequestsMock, error: str, description: str, way_out: str) -> None:
    org.post(TOKEN_URL, status=400, json={"error": error, "error_description": description})
    with pytest.raises(PassStopped, match="refused the login") as caught:
        list(crm().pull("User", None, now=NOW))
    assert caught.value.code == error
    assert way_out in caught.value.advice
    assert len(org.calls) == 1


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (404, ""), (200, '["no"]'), (200, '{"access_token": "t"}'), (302, "")])
def test_a_login_at_the_wrong_place_is_no_puzzle(org: responses.RequestsMock, status: int, body: str) -> None:
    org.post(TOKEN_URL, status=status, body=body)
    with pytest.raises(PassStopped) as caught:
        list(crm().pull("User", None, now=NOW))
    assert "instance_url" in caught.value.advice


def test_a_login_that_may_work_later_is_tried_again(org: responses.RequestsMock) -> None:
    slept: list[float] = []
    org.post(TOKEN_URL, status=503)
    org.post(TOKEN_URL, json={"access_token": "t", "instance_url": HOST})
    org.get(QUERY_URL, json=users())
    assert list(crm(slept=slept).pull("User", None, now=NOW))[-1].last
    assert len(slept) == 1


def test_the_instance_that_the_login_names_is_used(org: responses.RequestsMock) -> None:
    org.post(TOKEN_URL, json={"access_token": "t", "instance_url": "https://other.my.salesforce.com"})
    org.get(f"https://other.my.salesforce.com{wire.BASE}/query", json=users())
    with_login = crm()
    list(with_login.pull("User", None, now=NOW))
    assert with_login.record_url("Lead", "00Q1") == "https://other.my.salesforce.com/lightning/r/Lead/00Q1/view"
    assert with_login.calls() == 2


def test_what_a_flow_lacks_is_named() -> None:
    with pytest.raises(PassStopped, match="private_key"):
        list(crm(Settings(instance_url=HOST, auth="jwt")).pull("User", None, now=NOW))


def test_credentials_never_go_over_plain_http() -> None:
    with pytest.raises(PassStopped, match="not https"):
        list(crm(Settings(instance_url="http://acme.my.salesforce.com")).pull("User", None, now=NOW))


def test_a_key_that_is_none_is_told(org: responses.RequestsMock) -> None:
    no_key = Settings(instance_url=HOST, auth="jwt", username="bot@acme.example", private_key=Value("no key"))
    with pytest.raises(PassStopped, match="private_key"):
        list(crm(no_key).pull("User", None, now=NOW))


def test_refresh_tokens_that_rotate_are_followed_and_told(org: responses.RequestsMock) -> None:
    org.post(TOKEN_URL, json={"access_token": "t1", "instance_url": HOST, "refresh_token": "second"})
    org.post(TOKEN_URL, json={"access_token": "t2", "instance_url": HOST})
    org.get(QUERY_URL, status=401, json=EXPIRED)
    org.get(QUERY_URL, json=users())
    rotating = crm(Settings(instance_url=HOST, auth="refresh-token", refresh_token=Value("first")))
    list(rotating.pull("User", None, now=NOW))
    bodies = [str(call.request.body) for call in org.calls if call.request.method == "POST"]
    assert "refresh_token=first" in bodies[0]
    assert "refresh_token=second" in bodies[1]


def by_password() -> Settings:
    return Settings(instance_url=HOST, auth="password", username="bot@acme.example", password=Value("p&w"), security_token=Value("tok"))


def test_soap_logins_still_work(org: responses.RequestsMock) -> None:
    answer = f"<r><sessionId>soap-token</sessionId><serverUrl>{HOST}/services/Soap/u/64.0/00D</serverUrl></r>"
    org.post(f"{HOST}/services/Soap/u/{wire.API_VERSION}", body=answer)
    org.get(QUERY_URL, json=users())
    list(crm(by_password()).pull("User", None, now=NOW))
    assert org.calls[1].request.headers["Authorization"] == "Bearer soap-token"


def test_a_soap_fault_names_the_way_out(org: responses.RequestsMock) -> None:
    fault = "<s><faultcode>sf:INVALID_LOGIN</faultcode><faultstring>INVALID_LOGIN: bot@acme.example</faultstring></s>"
    org.post(f"{HOST}/services/Soap/u/{wire.API_VERSION}", status=500, body=fault)
    with pytest.raises(PassStopped) as caught:
        list(crm(by_password()).pull("User", None, now=NOW))
    assert caught.value.code == "INVALID_LOGIN"
    assert "client-credentials" in caught.value.advice
    assert "bot@" not in str(caught.value)


def test_where_a_jwt_is_for() -> None:
    assert wire_login.audience_of("https://acme.my.salesforce.com") == "login"
    assert wire_login.audience_of("https://acme--uat.sandbox.my.salesforce.com") == "test"
    assert wire_login.domain_of("https://acme--uat.sandbox.my.salesforce.com") == "acme--uat.sandbox.my"
    assert wire_login.domain_of("https://127.0.0.1:8443") not in ("login", "test")


# ── Sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_ended_session_is_renewed_once_and_the_headers_stay(org: responses.RequestsMock) -> None:
    org.post(TOKEN_URL, json={"access_token": "token-1", "instance_url": HOST})
    org.post(TOKEN_URL, json={"access_token": "token-2", "instance_url": HOST})
    org.patch(COLLECTIONS, status=401, json=EXPIRED)
    org.patch(COLLECTIONS, json=[{"id": "00Qgg000000001AEAQ", "success": True, "errors": []}])
    budget = Budget()
    outcomes = crm(budget=budget).update("Lead", [change("00Qgg000000001A", Status="Qualified")])
    assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN]
    first, second = (call.request for call in org.calls if call.request.method == "PATCH")
    assert (first.headers["Authorization"], second.headers["Authorization"]) == ("Bearer token-1", "Bearer token-2")
    for sent in (first, second):
        assert sent.headers["Sforce-Auto-Assign"] == "FALSE"
        assert sent.headers["X-PrettyPrint"] == "0"
        assert sent.headers["Sforce-Call-Options"] == "client=crm-handoff-connector"
    assert budget.taken == ["call", "login", "login", "call"]


def test_a_session_that_is_refused_twice_stops(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(QUERY_URL, status=401, body="<html>no json</html>")
    with pytest.raises(PassStopped) as caught:
        list(crm().pull("User", None, now=NOW))
    assert "External Client App" in caught.value.advice
    assert len(org.calls) == 4  # two logins, two tries


def test_many_threads_and_one_ended_session_make_one_login() -> None:
    """Each thread has a session of its own; all share one token."""
    lock, tokens, together = threading.Lock(), ["old"], threading.Barrier(6)

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        if request.url == TOKEN_URL:
            with lock:
                tokens.append(f"new-{len(tokens)}")
            return 200, {}, orjson.dumps({"access_token": tokens[-1], "instance_url": HOST}).decode()
        if request.headers["Authorization"] == "Bearer new-1":
            together.wait(timeout=10)  # all have the dead token in hand
            return 401, {}, orjson.dumps(EXPIRED).decode()
        return 200, {}, orjson.dumps(users()).decode()

    with responses.RequestsMock() as org:
        org.add_callback(responses.POST, TOKEN_URL, answer)
        org.add_callback(responses.GET, QUERY_URL, answer)
        shared = crm()
        done: list[Page] = []
        threads = [threading.Thread(target=lambda: done.extend(shared.pull("User", None, now=NOW))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
    assert len(done) == 6
    assert tokens == ["old", "new-1", "new-2"]


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


def test_what_is_kept_for_other_integrations_stays_theirs(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    """The org counts all integrations; at 80% we stop, and the next request learns the count anew."""
    org.get(QUERY_URL, json=users(), headers={"Sforce-Limit-Info": "api-usage=80001/100000"})
    shared = crm()
    list(shared.pull("User", None, now=NOW))
    with pytest.raises(PassStopped, match="80001 of its 100000"):
        list(shared.pull("Group", None, now=NOW))
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
