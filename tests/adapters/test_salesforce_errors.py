"""What Salesforce's refusals lead to: each recorded answer to its kind of error, with the way out, and nothing lost or done twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
import requests
import responses

from connector.adapters.calling import Answer, Bucket, NoBudget
from connector.adapters.salesforce import SalesforceCrm, wire, wire_errors, wire_login, wire_tasks
from connector.errors import CrmError, ObjectStopped, PassStopped, RateLimited, Retriable
from connector.model import FieldWrite, Page, RecordRef, TaskSpec, TaskWrite, WriteState

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


class Value:
    """A secret."""

    def __init__(self, value: str) -> None:
        self._value = value

    def read(self) -> str:
        return self._value


@dataclass(frozen=True)
class Settings:
    """[crm.salesforce] of these tests."""

    auth: str = "client-credentials"
    instance_url: str = HOST
    client_id: Any = field(default_factory=lambda: Value("3MVG9.key"))
    client_secret: Any = field(default_factory=lambda: Value("the-secret"))
    username: str | None = "bot@acme.example"
    private_key: Any = None
    password: Any = None
    security_token: Any = None
    refresh_token: Any = None
    ca_bundle: str | None = None
    daily_requests: int = 100_000
    headroom: float = 0.2
    run_assignment_rules: bool = False
    task_key_field: str = "Handoff_Key__c"


class Budget(NoBudget):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.cooled: list[float] = []
        self.taken: list[str] = []

    def take(self, bucket: Bucket) -> None:
        self.taken.append(bucket)

    def cool_down(self, seconds: float) -> None:
        self.cooled.append(seconds)


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
        settings or Settings(),
        wanted={"Lead": ["Email"]},
        expected={},
        budget=budget or Budget(),
        sleep=(slept if slept is not None else []).append,
        timeout=5.0,
    )


def users(*rows: dict[str, Any]) -> dict[str, Any]:
    """A page of a query."""
    return {"totalSize": len(rows), "done": True, "records": list(rows)}


def a_task(key: str = "k1") -> TaskWrite:
    spec = TaskSpec(purpose="call", subject="Call", body="b", due_at=NOW, priority="low", type="call", owner_id=None)
    return TaskWrite(key=key, record=RecordRef(crm="salesforce", object="Lead", id="00Qgg000000001AAAQ"), task=spec)


def a_change(record_id: str = "00Qgg000000001AAAQ", **values: str) -> FieldWrite:
    return FieldWrite(record=RecordRef(crm="salesforce", object="Lead", id=record_id), properties=values or {"Status": "Qualified"})


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
        list(crm(Settings(auth="jwt")).pull("User", None, now=NOW))


def test_credentials_never_go_over_plain_http() -> None:
    with pytest.raises(PassStopped, match="not https"):
        list(crm(Settings(instance_url="http://acme.my.salesforce.com")).pull("User", None, now=NOW))


def test_a_key_that_is_none_is_told(org: responses.RequestsMock) -> None:
    with pytest.raises(PassStopped, match="private_key"):
        list(crm(Settings(auth="jwt", private_key=Value("no key"))).pull("User", None, now=NOW))


def test_refresh_tokens_that_rotate_are_followed_and_told(org: responses.RequestsMock) -> None:
    org.post(TOKEN_URL, json={"access_token": "t1", "instance_url": HOST, "refresh_token": "second"})
    org.post(TOKEN_URL, json={"access_token": "t2", "instance_url": HOST})
    org.get(QUERY_URL, status=401, json=EXPIRED)
    org.get(QUERY_URL, json=users())
    rotating = crm(Settings(auth="refresh-token", refresh_token=Value("first")))
    list(rotating.pull("User", None, now=NOW))
    bodies = [str(call.request.body) for call in org.calls if call.request.method == "POST"]
    assert "refresh_token=first" in bodies[0]
    assert "refresh_token=second" in bodies[1]


def test_soap_logins_still_work(org: responses.RequestsMock) -> None:
    answer = f"<r><sessionId>soap-token</sessionId><serverUrl>{HOST}/services/Soap/u/64.0/00D</serverUrl></r>"
    org.post(f"{HOST}/services/Soap/u/{wire.API_VERSION}", body=answer)
    org.get(QUERY_URL, json=users())
    list(crm(Settings(auth="password", password=Value("p&w"), security_token=Value("tok"))).pull("User", None, now=NOW))
    assert org.calls[1].request.headers["Authorization"] == "Bearer soap-token"


def test_a_soap_fault_names_the_way_out(org: responses.RequestsMock) -> None:
    fault = "<s><faultcode>sf:INVALID_LOGIN</faultcode><faultstring>INVALID_LOGIN: bot@acme.example</faultstring></s>"
    org.post(f"{HOST}/services/Soap/u/{wire.API_VERSION}", status=500, body=fault)
    with pytest.raises(PassStopped) as caught:
        list(crm(Settings(auth="password", password=Value("pw"), security_token=Value("tok"))).pull("User", None, now=NOW))
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
    org.patch(COLLECTIONS, json=[{"id": "00Qgg000000001AAAQ", "success": True, "errors": []}])
    budget = Budget()
    outcomes = crm(budget=budget).update("Lead", [a_change()])
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


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_outcomes_stand_in_the_order_of_the_writes(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.patch(
        COLLECTIONS,
        json=[
            {"success": False, "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain", "fields": []}]},
            {"id": "00Qgg000000002AAAQ", "success": True, "errors": []},
        ],
    )
    writes = [a_change(Status="A"), a_change("00Qgg000000002AAAQ", Status="B"), a_change(OwnerId="005gg000000001AAAQ")]
    outcomes = crm().update("Lead", writes)
    assert [outcome.state for outcome in outcomes] == [WriteState.LATER, WriteState.WRITTEN, WriteState.LATER]
    assert outcomes[0].id == "00Qgg000000001AAAQ"
    sent = orjson.loads(org.calls[-1].request.body or b"")["records"]
    assert [(row["id"], row.get("Status"), row.get("OwnerId")) for row in sent] == [
        ("00Qgg000000001AAAQ", "A", "005gg000000001AAAQ"),
        ("00Qgg000000002AAAQ", "B", None),
    ]


@pytest.mark.parametrize("failure", [requests.exceptions.ReadTimeout(), requests.exceptions.ConnectionError("reset")])
def test_an_update_whose_answer_never_came_is_unknown(
    org: responses.RequestsMock, login: responses.BaseResponse, failure: Exception
) -> None:
    org.patch(COLLECTIONS, body=failure)
    assert [outcome.state for outcome in crm().update("Lead", [a_change()])] == [WriteState.UNKNOWN]


def test_an_update_that_a_limit_kept_out_is_for_later(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.patch(COLLECTIONS, status=403, json=TOO_MANY_AT_ONCE)
    assert [outcome.state for outcome in crm().update("Lead", [a_change()])] == [WriteState.LATER]


def test_one_lost_try_makes_a_batch_unknown_whatever_came_last(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.patch(COLLECTIONS, body=requests.exceptions.ReadTimeout())
    org.patch(COLLECTIONS, status=403, json=DAY_USED_UP)
    assert [outcome.state for outcome in crm().update("Lead", [a_change()])] == [WriteState.UNKNOWN]


def test_an_answer_with_too_few_rows_is_unknown(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.patch(COLLECTIONS, json=[])
    assert [outcome.state for outcome in crm().update("Lead", [a_change()])] == [WriteState.UNKNOWN]


def test_a_task_that_an_earlier_try_made_is_found(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    """The first answer was lost; the second try may not change TaskSubtype, so the row is refused although the task is there."""
    url = f"{COLLECTIONS}/Task/Handoff_Key__c"
    org.patch(url, body=requests.exceptions.ReadTimeout())
    refused = {"statusCode": "INVALID_FIELD_FOR_INSERT_UPDATE", "message": "Unable to create/update fields", "fields": ["TaskSubtype"]}
    org.patch(url, json=[{"success": False, "errors": [refused]}])
    org.get(f"{QUERY_URL}All", json=users({"Id": "00Tgg000000001AAAQ", "Handoff_Key__c": wire_tasks.task_marker("k1")}))
    outcomes = crm().create_tasks([a_task()])
    assert [(outcome.state, outcome.id) for outcome in outcomes] == [(WriteState.WRITTEN, "00Tgg000000001AAAQ")]


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 400, "json": [{"message": "No such column 'Handoff_Key__c' on sobject of type Task", "errorCode": "INVALID_FIELD"}]},
        {"status": 404, "json": [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]},
        {"status": 200, "json": [{"success": False, "errors": [{"statusCode": "INVALID_FIELD", "message": "x", "fields": []}]}]},
    ],
)
def test_without_the_key_field_tasks_are_created_plainly(
    org: responses.RequestsMock, login: responses.BaseResponse, refusal: dict[str, Any]
) -> None:
    org.patch(f"{COLLECTIONS}/Task/Handoff_Key__c", **refusal)
    org.get(f"{HOST}{wire.BASE}/sobjects/Task/describe", json={"name": "Task", "fields": [{"name": "Subject"}]})
    org.post(COLLECTIONS, json=[{"id": "00Tgg000000001AAAQ", "success": True, "errors": []}])
    shared = crm()
    assert shared.create_tasks([a_task()])[0].state is WriteState.WRITTEN
    sent = orjson.loads(org.calls[-1].request.body or b"")["records"][0]
    assert "Handoff_Key__c" not in sent
    assert wire_tasks.marker_of(sent, None) == wire_tasks.task_marker("k1")
    org.get(f"{QUERY_URL}All", json=users({"Id": "00Tgg000000001AAAQ", "Description": sent["Description"]}))
    assert shared.find_tasks([a_task()]) == {"k1": "00Tgg000000001AAAQ"}
    assert "WhoId" in (org.calls[-1].request.url or "")


def test_a_plain_create_is_never_sent_twice(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.patch(f"{COLLECTIONS}/Task/Handoff_Key__c", status=404, json=[{"message": "x", "errorCode": "NOT_FOUND"}])
    org.get(f"{HOST}{wire.BASE}/sobjects/Task/describe", json={"name": "Task", "fields": []})
    created = org.post(COLLECTIONS, body=requests.exceptions.ReadTimeout())
    assert [outcome.state for outcome in crm().create_tasks([a_task(), a_task("k2")])] == [WriteState.UNKNOWN] * 2
    assert created.call_count == 1


def test_another_missing_field_is_told_and_not_worked_around(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    column = [{"message": "No such column 'TaskSubtype' on sobject of type Task", "errorCode": "INVALID_FIELD"}]
    org.patch(f"{COLLECTIONS}/Task/Handoff_Key__c", status=400, json=column)
    described = {"name": "Task", "fields": [{"name": "Handoff_Key__c", "externalId": True}]}
    org.get(f"{HOST}{wire.BASE}/sobjects/Task/describe", json=described)
    with pytest.raises(ObjectStopped, match="TaskSubtype"):
        crm().create_tasks([a_task()])


# ── Pulling ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def lead(number: int, stamp: str = "2026-11-30T10:00:00.000+0000", **values: Any) -> dict[str, Any]:
    return {"Id": f"00Qgg0000000{number:03d}AAA", "IsDeleted": False, "CreatedDate": stamp, "SystemModstamp": stamp, **values}


def asked(call: responses.Call) -> str:
    return unquote(call.request.url or "")


def test_a_vanished_cursor_goes_on_from_the_last_row(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    url, more = f"{QUERY_URL}All", f"{QUERY_URL}/0r8xx-2"
    org.get(url, json={"totalSize": 2, "done": False, "nextRecordsUrl": f"{wire.BASE}/query/0r8xx-2", "records": [lead(1)]})
    org.get(more, status=400, json=[{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}])
    org.get(url, json=users(lead(2)))
    pages = list(crm().pull("Lead", None, now=NOW))
    assert [record.id for page in pages for record in page.records] == ["00Qgg0000000001AAA"[:18], "00Qgg0000000002AAA"[:18]]
    assert "Id > '00Qgg0000000001AAA'" in asked(org.calls[-1])
    assert pages[0].total == 2
    assert pages[-1].cursor == {"since": "2026-12-02T09:00:00Z"}


def test_a_query_that_is_too_heavy_is_halved_until_it_passes(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    url = f"{QUERY_URL}All"
    for _ in range(2):
        org.get(url, status=400, json=[{"message": "too long", "errorCode": "QUERY_TIMEOUT"}])
    org.get(url, json=users(lead(1)))
    org.get(url, json=users(lead(2)))
    pages = list(crm().pull("Lead", {"since": "2026-12-01T09:10:00Z"}, now=NOW))
    queries = [asked(call) for call in org.calls if "queryAll" in asked(call)]
    assert [record.id[-5:-3] for page in pages for record in page.records] == ["01", "02"]
    assert "SystemModstamp <= 2026-12-01T15:00:00Z" in queries[2]
    assert "SystemModstamp >= 2026-12-01T15:00:00Z" in queries[3]
    assert "SystemModstamp <= 2026-12-02T09:00:00Z" in queries[3]
    assert [page.last for page in pages] == [False, True]


def test_a_wanted_field_that_is_missing_stops_its_object(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(f"{QUERY_URL}All", status=400, json=NO_COLUMN)
    with pytest.raises(ObjectStopped, match="Budgte__c on Lead"):
        list(crm().pull("Lead", None, now=NOW))


def test_fields_that_a_task_can_do_without_are_left_out(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    for column in ("Handoff_Key__c", "Type"):
        hidden = [{"message": f"No such column '{column}' on entity 'Task'.", "errorCode": "INVALID_FIELD"}]
        org.get(f"{QUERY_URL}All", status=400, json=hidden)
    marker = wire_tasks.task_marker("k1")
    row = {"Id": "00Tgg000000001AAAQ", "IsClosed": False, "Description": f"b\n\n[handoff:{marker}]"}
    org.get(f"{QUERY_URL}All", json=users(row))
    shared = crm()
    (page,) = shared.pull("Task", None, now=NOW)
    assert page.activities[0].key == marker
    query = asked(org.calls[-1])
    assert "Handoff_Key__c" not in query
    assert "Description" in query
    list(shared.pull("Task", page.cursor, now=NOW))
    assert len(org.calls) == 5  # the login, two refusals, two queries: what was found out is remembered


def test_history_that_may_not_be_read_is_an_empty_stream(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(QUERY_URL, status=400, json=[{"message": "sObject type 'LeadHistory' is not supported.", "errorCode": "INVALID_TYPE"}])
    (page,) = crm().pull("LeadHistory", {"since": "2026-12-02T08:00:00Z"}, now=NOW)
    assert (page.seen, page.last, page.cursor) == (0, True, {"since": "2026-12-02T08:00:00Z"})


def test_rows_that_cannot_be_read_are_set_aside_and_counted(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(f"{QUERY_URL}All", json={"totalSize": 3, "done": True, "records": [lead(1), lead(2, OwnerId=5), None]})
    (page,) = crm().pull("Lead", None, now=NOW)
    assert page.seen == 3 == len(page.records) + len(page.set_aside)
    assert {aside.record.id for aside in page.set_aside} == {"00Qgg0000000002AAA", ""}
    assert "OwnerId is not text" in page.set_aside[-1].reason


def test_a_clock_of_theirs_that_lags_ends_the_window(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(QUERY_URL, json=users(), headers={"Date": "Wed, 02 Dec 2026 08:58:30 GMT"})
    (page,) = crm().pull("User", {"since": "2026-12-02T08:50:00Z"}, now=NOW)
    assert page.cursor == {"since": "2026-12-02T08:58:30Z"}


def test_a_row_that_moved_while_read_does_not_carry_the_cursor_away(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    """The page's last row was changed a minute ago: from its new stamp on, the rows between would be lost."""
    moved = lead(2, "2026-12-02T08:59:00.000+0000")
    first = {"totalSize": 9, "done": False, "nextRecordsUrl": f"{wire.BASE}/query/0r8xx-2", "records": [lead(1), moved]}
    org.get(f"{QUERY_URL}All", json=first)
    page = next(iter(crm().pull("Lead", None, now=NOW)))
    assert page.cursor["id"] == "00Qgg0000000001AAA"


def test_wide_objects_are_read_in_two_parts(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    wanted = [f"A_Field_With_A_Rather_Long_Name_{n:03d}__c" for n in range(400)]
    org.get(f"{QUERY_URL}All", json=users(lead(1, **{wanted[0]: "a"}), lead(2, IsDeleted=True)))
    org.post(f"{COLLECTIONS}/Lead", json=[{"Id": "00Qgg0000000001AAA", wanted[-1]: "z"}])
    wide = SalesforceCrm(Settings(), wanted={"Lead": wanted}, expected={}, budget=NoBudget(), sleep=lambda _: None)
    (page,) = wide.pull("Lead", None, now=NOW)
    assert page.records[0].properties[wanted[0]] == "a"
    assert page.records[0].properties[wanted[-1]] == "z"
    assert page.calls == 2
    assert all(len(call.request.url or "") + 2000 < 16_384 for call in org.calls)


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_records_that_are_not_there_are_left_out(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.post(f"{COLLECTIONS}/Lead", json=[lead(1, Email="a@b.example"), None, lead(3, IsDeleted=True)])
    found = crm().read("Lead", ["00Qgg0000000001", "00Qgg0000000002AAA", "00Qgg0000000003AAA", "no id"], ["Email"])
    assert {name: record.properties for name, record in found.items()} == {"00Qgg0000000001": {"Email": "a@b.example"}}
    assert len(orjson.loads(org.calls[-1].request.body or b"")["ids"]) == 3


def test_tasks_are_read_back(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    row = {"Id": "00Tgg000000001AAAQ", "Subject": "Call", "OwnerId": "005", "ActivityDate": "2026-12-02", "WhoId": "00Q"}
    org.post(f"{COLLECTIONS}/Task", json=[{**row, "Handoff_Key__c": "m"}])
    assert crm().read_tasks(["00Tgg000000001AAAQ"]) == {
        "00Tgg000000001AAAQ": {"subject": "Call", "owner_id": "005", "due_at": "2026-12-02", "key": "m", "record_id": "00Q"}
    }


# ── Checking ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_check_tells_what_is_wrong_and_what_to_do(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    limits = {"DailyApiRequests": {"Max": 15000, "Remaining": 14000}}
    org.get(f"{HOST}{wire.BASE}/limits", json=limits, headers={"Date": "Wed, 02 Dec 2026 09:10:00 GMT"})
    status = {"name": "Status", "type": "picklist", "updateable": True}
    email = {"name": "Email", "type": "email"}
    formula = {"name": "Score__c", "type": "double", "calculated": True}
    for name in ("Lead", "Contact", "Account"):
        described = {"name": name, "updateable": True, "fields": [status, email, formula, {"name": "OwnerId", "updateable": False}]}
        org.get(f"{HOST}{wire.BASE}/sobjects/{name}/describe", json=described)
    org.get(f"{HOST}{wire.BASE}/sobjects/Task/describe", json={"name": "Task", "createable": True, "fields": []})
    labels = users({"ApiName": "Qualified", "MasterLabel": "Qualified"}, {"ApiName": "Nurturing", "MasterLabel": "Nurturing"})
    statuses = responses.matchers.query_param_matcher({"q": "SELECT ApiName, MasterLabel, IsConverted FROM LeadStatus"})
    org.get(QUERY_URL, json=labels, match=[statuses])
    org.get(QUERY_URL, status=400, json=[{"message": "x", "errorCode": "INVALID_TYPE"}])
    shared = SalesforceCrm(
        Settings(), wanted={"Lead": ["Emial", "Score__c"]}, expected={"Status": ["Qualifed"]}, budget=NoBudget(), sleep=lambda _: None
    )
    wrong = [finding for finding in shared.check(now=NOW) if not finding.ok]
    told = "\n".join(f"{finding.message} {finding.advice}" for finding in wrong)
    assert "the org allows 15000" in told
    assert "600 s behind" in told
    assert "Did you mean Email?" in told
    assert "Score__c is a formula" in told
    assert "may not write Lead.OwnerId" in told
    assert "Did you mean 'Qualified'?" in told
    assert "Handoff_Key__c" in told
    assert "history of Leads cannot be read" in told
    assert all(finding.advice for finding in wrong)


def test_check_raises_nothing_where_the_login_fails(org: responses.RequestsMock) -> None:
    org.post(TOKEN_URL, status=400, json={"error": "invalid_grant", "error_description": "no client credentials user enabled"})
    (finding,) = crm().check(now=NOW)
    assert not finding.ok
    assert "Run As" in finding.advice


def test_nothing_secret_and_nothing_personal_is_told(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(f"{QUERY_URL}All", status=400, json=[{"message": "bad value ada@acme.example token-1", "errorCode": "INVALID_FILTER_VALUE"}])
    with pytest.raises(ObjectStopped) as caught:
        list(crm().pull("Lead", None, now=NOW + timedelta(days=1)))
    for text in (str(caught.value), caught.value.advice):
        assert "ada@" not in text
        assert "token-1" not in text
