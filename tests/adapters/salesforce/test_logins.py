"""Logging in to Salesforce: each flow's refusals with their way out, sessions that end in the middle, refresh tokens that change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
import responses
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connector.adapters.salesforce.wire import login as wire_login
from connector.adapters.salesforce.wire import requests as wire
from connector.config.secrets import Secret
from connector.errors import PassStopped
from connector.model import Page, WriteState
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.salesforce.answers import (
    COLLECTIONS,
    EXPIRED,
    HOST,
    NOW,
    QUERY_URL,
    TOKEN_URL,
    at_once,
    crm,
    findings,
    granted,
    mocked,
    pulled,
    users,
)
from tests.adapters.salesforce.fake_org import START, Budget, Clock, Org, Settings, Value, change


@pytest.fixture
def org() -> Iterator[responses.RequestsMock]:
    """Answers in place of the network."""
    yield from mocked()


@pytest.fixture
def login(org: responses.RequestsMock) -> responses.BaseResponse:
    """A login that works."""
    return granted(org)


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


SOAP_SESSION = f"<r><sessionId>soap-token</sessionId><serverUrl>{HOST}/services/Soap/u/64.0/00D</serverUrl></r>"


def by_password() -> Settings:
    return Settings(instance_url=HOST, auth="password", username="bot@acme.example", password=Value("p&w"), security_token=Value("tok"))


def test_soap_logins_still_work(org: responses.RequestsMock) -> None:
    org.post(f"{HOST}/services/Soap/u/{wire.API_VERSION}", body=SOAP_SESSION[:-4])  # cut off: asked for again
    org.post(f"{HOST}/services/Soap/u/{wire.API_VERSION}", body=SOAP_SESSION)
    org.get(QUERY_URL, json=users())
    list(crm(by_password()).pull("User", None, now=NOW))
    assert org.calls[-1].request.headers["Authorization"] == "Bearer soap-token"


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


def test_threads_that_ask_while_a_login_goes_on_take_its_refusal() -> None:
    """A user is locked out after a few wrong logins."""
    asked, go_on, logins = threading.Event(), threading.Event(), []

    def refuse(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        logins.append(request.url)
        asked.set()
        go_on.wait(timeout=10)
        return 400, {}, orjson.dumps({"error": "invalid_grant", "error_description": "authentication failure"}).decode()

    with responses.RequestsMock() as org:
        org.add_callback(responses.POST, TOKEN_URL, refuse)
        shared = crm()
        refused: list[PassStopped] = []

        def ask() -> None:
            with pytest.raises(PassStopped) as told:
                list(shared.pull("User", None, now=NOW))
            refused.append(told.value)

        threads = [threading.Thread(target=ask) for _ in range(5)]
        threads[0].start()
        assert asked.wait(timeout=10)
        for thread in threads[1:]:
            thread.start()
        time.sleep(1.0)  # all of them stand before the login, on a busy machine too
        go_on.set()
        for thread in threads:
            thread.join(timeout=30)
    assert (len(refused), len(logins)) == (5, 1)


def test_lanes_reach_the_replay_and_its_login(org: responses.RequestsMock) -> None:
    """What a person waits for does not stand behind a backfill because its session ended."""
    org.post(TOKEN_URL, json={"access_token": "token-1", "instance_url": HOST})
    org.post(f"{COLLECTIONS}/Lead", status=401, json=EXPIRED)
    org.post(f"{COLLECTIONS}/Lead", json=[None])
    budget = Budget()
    assert crm(budget=budget).read("Lead", ["00Qgg000000001AEAQ"], ["Email"]) == {}
    assert budget.lanes == ["urgent"] * 4


def test_the_orgs_own_count_is_told_to_the_budget(org: responses.RequestsMock, login: responses.BaseResponse) -> None:
    org.get(QUERY_URL, json=users(), headers={"Sforce-Limit-Info": "api-usage=18/5000; per-app-api-usage=17/250(appName=x)"})
    budget = Budget()
    list(crm(budget=budget).pull("User", None, now=NOW))
    assert budget.learnt == [("day", 18, 5000)]


def test_an_instance_that_moved_is_followed_at_the_next_login(org: responses.RequestsMock) -> None:
    """The page's own address is a path: the rest of the query is asked of the new instance."""
    moved = "https://other.my.salesforce.com"
    org.post(TOKEN_URL, json={"access_token": "t1", "instance_url": HOST})
    org.post(TOKEN_URL, json={"access_token": "t2", "instance_url": moved})
    locator = f"{wire.BASE}/query/0r8xx-2000"
    org.get(QUERY_URL, json={"totalSize": 1, "done": False, "nextRecordsUrl": locator, "records": []})
    org.get(f"{HOST}{locator}", status=401, json=EXPIRED)
    org.get(f"{moved}{locator}", json=users({"Id": "005gg000000001AAAQ", "Name": "Ada", "IsActive": True}))
    shared = crm()
    pages = list(shared.pull("User", None, now=NOW))
    assert [owner.name for page in pages for owner in page.owners] == ["Ada"]
    assert shared.record_url("Lead", "00Q1").startswith(moved)


# ── Sessions that end, on a real server ──────────────────────────────────────────────────────────────────────────────────────────────────

_THREADS = 8


@pytest.fixture(scope="module")
def running() -> Iterator[Org]:
    """The sandbox, pages of 20."""
    clock = Clock()
    world = make_world(now=START, hubspot_contacts=20, salesforce_leads=90)
    with Sandbox(world, now=clock, hubspot=None, salesforce=SalesforceOptions(page_size=20)) as box:
        yield Org(box, clock)


@pytest.fixture
def box(running: Org) -> Iterator[Org]:
    """The sandbox, as each test finds it."""
    yield running
    running.reset()


def test_a_session_that_ends_in_eight_pulls_is_renewed_once(box: Org) -> None:
    shared, read = box.crm(), threading.Barrier(_THREADS + 1, timeout=30)
    ended = threading.Barrier(_THREADS + 1, timeout=30)
    found: list[list[str]] = []

    def pull() -> None:
        pages = shared.pull("Task", None, now=box.clock.now)
        ids = [one.id for one in next(pages).activities]
        read.wait()
        ended.wait()
        ids += [one.id for page in pages for one in page.activities]
        found.append(ids)

    def end() -> None:
        read.wait()
        box.state.expire_sessions()
        ended.wait()

    at_once([*[pull] * _THREADS, end])
    assert [sorted(ids) for ids in found] == [sorted(box.rows["Task"])] * _THREADS
    assert box.state.org.logins == 2


def test_a_session_that_ends_in_eight_writes_is_renewed_once_and_moves_no_lead(box: Org) -> None:
    """A replay without Sforce-Auto-Assign: FALSE would hand the Leads to the org's queue."""
    leads = box.open_leads()[:_THREADS]
    owners = {lead: box.rows["Lead"][lead]["OwnerId"] for lead in leads}
    shared = box.crm()
    shared.read("Lead", leads[:1], ["Status"])
    box.state.expire_sessions()
    before, logins = shared.calls(), box.state.org.logins
    together = threading.Barrier(_THREADS, timeout=30)
    states: list[WriteState] = []

    def write(lead: str) -> None:
        together.wait()
        states.extend(outcome.state for outcome in shared.update("Lead", [change(lead, Status="Nurturing")]))

    at_once([lambda lead=lead: write(lead) for lead in leads])  # type: ignore[misc]  # bound now, not at the end of the loop
    assert states == [WriteState.WRITTEN] * _THREADS
    assert box.state.org.logins == logins + 1
    assert shared.calls() - before <= 2 * _THREADS + 1  # each once refused, each replayed once, one login
    assert {lead: box.rows["Lead"][lead]["Status"] for lead in leads} == dict.fromkeys(leads, "Nurturing")
    assert {lead: box.rows["Lead"][lead]["OwnerId"] for lead in leads} == owners


def pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


@pytest.mark.parametrize(
    "values",
    [
        lambda: {"auth": "client-credentials"},
        lambda: {"auth": "jwt", "username": "bot@acme.example", "private_key": Value(pem())},
        lambda: {"auth": "refresh-token", "refresh_token": Value("granted")},
        lambda: {"auth": "password", "username": "bot@acme.example", "password": Value("p"), "security_token": Value("t")},  # SOAP
        lambda: {"auth": "password", "username": "bot@acme.example", "password": Value("p")},  # OAuth
    ],
    ids=["client-credentials", "jwt", "refresh-token", "password-soap", "password-oauth"],
)
def test_every_flow_goes_on_where_its_session_ended(box: Org, values: Callable[[], dict[str, Any]]) -> None:
    logins, shared = box.state.org.logins, box.crm(**values())
    pages = shared.pull("Lead", None, now=box.clock.now)
    ids = [record.id for record in next(pages).records]
    box.state.expire_sessions()
    ids += [record.id for page in pages for record in page.records]
    assert sorted(ids) == sorted(box.rows["Lead"])
    lead = box.open_leads()[0]
    owner = box.rows["Lead"][lead]["OwnerId"]
    box.state.expire_sessions()
    (outcome,) = shared.update("Lead", [change(lead, Status="Qualified")])
    assert (outcome.state, box.rows["Lead"][lead]["Status"], box.rows["Lead"][lead]["OwnerId"]) == (WriteState.WRITTEN, "Qualified", owner)
    assert box.state.org.logins == logins + 3


def test_a_login_that_is_revoked_in_the_middle_stops_with_the_place_kept(box: Org) -> None:
    shared = box.crm()
    pages = shared.pull("Lead", None, now=box.clock.now)
    first = next(pages)
    box.state.expire_sessions()
    box.state.actions.refuse_logins(1)
    with pytest.raises(PassStopped, match="refused the login"):
        list(pages)
    rest = [record.id for page in shared.pull("Lead", first.cursor, now=box.clock.now) for record in page.records]
    assert sorted([*rest, *(record.id for record in first.records)]) == sorted(box.rows["Lead"])


def test_a_rotating_refresh_token_lasts_from_start_to_start(box: Org, tmp_path: Path) -> None:
    path = tmp_path / "refresh-token"
    path.write_text("granted")
    box.state.actions.change_options(rotate_refresh_tokens=True)
    try:
        for _ in range(3):
            shared = box.crm(auth="refresh-token", refresh_token=Secret("file", str(path)))
            for _ in range(2):
                assert pulled(shared)
                box.state.expire_sessions()
        with pytest.raises(PassStopped, match="invalid_grant"):
            pulled(box.crm(auth="refresh-token", refresh_token=Value("granted")))  # good once
    finally:
        box.state.actions.change_options(rotate_refresh_tokens=False)


def test_check_says_when_logins_by_password_end(org: responses.RequestsMock) -> None:
    org.post(f"{HOST}/services/Soap/u/{wire.API_VERSION}", body=SOAP_SESSION)
    org.get(f"{HOST}{wire.BASE}/limits", json={})
    told = findings(crm(by_password()))
    assert "Summer '27" in told
    assert "client-credentials" in told
