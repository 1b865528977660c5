"""What the tests of recorded Salesforce answers share: addresses, refusals in the service's words, an adapter that does not sleep."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import responses

from connector.adapters import client
from connector.adapters.salesforce import SalesforceCrm
from connector.adapters.salesforce.wire import requests as wire
from connector.errors import ConnectorError
from connector.model import SalesforceAccess
from tests.adapters.salesforce.fake_org import Budget, access_to

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


def mocked() -> Iterator[responses.RequestsMock]:
    """Answers in place of the network; one that is not asked for is no failure."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def granted(org: responses.RequestsMock) -> responses.BaseResponse:
    """A login that works, with an instance of its own."""
    answer: responses.BaseResponse = org.post(TOKEN_URL, json={"access_token": "token-1", "instance_url": HOST, "token_type": "Bearer"})
    return answer


def crm(
    settings: SalesforceAccess | None = None,
    *,
    budget: client.Budget | None = None,
    slept: list[float] | None = None,
    wanted: dict[str, list[str]] | None = None,
) -> SalesforceCrm:
    """The adapter; it sleeps into a list."""
    return SalesforceCrm(
        settings or access_to(HOST),
        wanted={"Lead": ["Email"]} if wanted is None else wanted,
        budget=budget or Budget(),
        sleep=(slept if slept is not None else []).append,
        timeout=5.0,
    )


def users(*rows: dict[str, Any]) -> dict[str, Any]:
    """A page of a query."""
    return {"totalSize": len(rows), "done": True, "records": list(rows)}


def refusal(code: str, message: str = "x") -> list[dict[str, str]]:
    """The body of an error."""
    return [{"message": message, "errorCode": code}]


def pulled(one: SalesforceCrm) -> bool:
    """Pulls one stream to its end."""
    return list(one.pull("User", None, now=NOW))[-1].last


def findings(one: SalesforceCrm) -> str:
    """What `check` says is not right."""
    return "\n".join(f"{finding.message} {finding.advice}" for finding in one.check(now=NOW) if not finding.ok)


def at_once(work: Sequence[Callable[[], None]]) -> None:
    """Runs these side by side; what one raises, this raises."""
    problems: list[Exception] = []

    def run(one: Callable[[], None]) -> None:
        try:
            one()
        except (AssertionError, ConnectorError, threading.BrokenBarrierError) as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    if problems:
        raise problems[0]
