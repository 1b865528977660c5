"""Scenarios of access, limits and answers: what the CRMs refuse, and what comes in place of a good answer.

Shapes of refusals: https://developers.hubspot.com/docs/api-reference/error-handling and
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from connector.sandbox.fault_injection import Fault, FaultKind
from connector.sandbox.hubspot.actions import HubSpotActions
from connector.sandbox.salesforce.actions import SalesforceActions
from connector.sandbox.scenarios.stage import Stage

_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html"}
#: Requests that write, as they stand in a fault's `match`.
_WRITES = {
    "hubspot": ("PATCH ", "/batch/update", "/batch/create", "POST /crm/v3/objects/tasks"),
    "salesforce": ("PATCH /services/data", "POST /services/data"),
}
#: So many that nobody sees the end.
_ALWAYS = 1_000_000

# ── Access and limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def expiring_tokens(stage: Stage) -> None:
    """Tokens and sessions end; new ones are given."""
    if (hubspot := stage.hubspot) is not None:
        stage.meanwhile(stage.box.hubspot_faults, hubspot.tokens.expire)
    if stage.salesforce is not None:
        stage.salesforce.change_options(session_calls=stage.every)


def revoked(stage: Stage) -> None:
    """After so many calls nothing opens the door any more: an administrator took the app's rights away."""
    if stage.hubspot is not None:
        body = {"status": "error", "message": "The access token is invalid, expired or was revoked.", "category": "INVALID_AUTHENTICATION"}
        refusal = Fault("hubspot", "/crm/", _ALWAYS, after=stage.every, status=401, headers=_JSON, body=json.dumps(body).encode())
        stage.box.hubspot_faults.add(refusal)
    if (people := stage.salesforce) is not None:

        def end() -> None:
            people.refuse_logins(_ALWAYS)
            people.expire_sessions()

        stage.meanwhile(stage.box.salesforce_faults, end, times=1)


def no_account(stage: Stage) -> None:
    """Cloudflare's 530, in front of HubSpot: the token leads to no account."""
    if stage.hubspot is not None:
        page = b"<html><head><title>530</title></head><body>error code: 1016</body></html>"
        stage.now_and_then(stage.box.hubspot_faults, status=530, headers=_HTML, body=page)


def account_moves(stage: Stage) -> None:
    """477, once with hours to wait: longer than a pass does."""
    if stage.hubspot is not None:
        injector = stage.box.hubspot_faults
        stage.now_and_then(injector, status=477, headers={"retry-after": "2"})
        injector.add(Fault(injector.crm, "", 1, after=stage.every * stage.times, status=477, headers={"retry-after": "7200"}))


def _limit(policy: str, status: int = 429) -> dict[str, Any]:
    words = f"You have reached your {policy.lower()} limit."
    body = {"status": "error", "message": words, "errorType": "RATE_LIMIT", "policyName": policy}
    return {"status": status, "headers": {**_JSON, "retry-after": "1"}, "body": json.dumps(body).encode()}


def limits(stage: Stage) -> None:
    """Limits that pass within seconds."""
    if stage.hubspot is not None:
        stage.now_and_then(stage.box.hubspot_faults, "/search", **_limit("SECONDLY"))
        stage.now_and_then(stage.box.hubspot_faults, **_limit("TEN_SECONDLY_ROLLING"))
    if (people := stage.salesforce) is not None:
        stage.meanwhile(stage.box.salesforce_faults, lambda: people.crowd(2))


def day_limit(stage: Stage) -> None:
    """A limit that lasts."""
    left = stage.every * stage.times
    if stage.hubspot is not None:
        injector = stage.box.hubspot_faults
        injector.add(Fault(injector.crm, "", _ALWAYS, after=left, **_limit("DAILY")))
    if stage.salesforce is not None:
        stage.salesforce.spend_calls(leave=left)


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def lost_answers(stage: Stage) -> None:
    """The write took effect, and nobody hears of it."""
    for injector in stage.injectors():
        for match in _WRITES[injector.crm]:
            stage.now_and_then(injector, match, kind="lost")


def html_errors(stage: Stage) -> None:
    """Pages of proxies and edges in place of the CRM's answer."""
    for injector in stage.injectors():
        stage.now_and_then(injector, status=503, headers=_HTML, body=b"<html><body><h1>Service Unavailable</h1></body></html>")
        stage.now_and_then(injector, status=502, headers=_HTML, body=b"")
        stage.now_and_then(injector, status=200, headers=_HTML, body=b"<html><body>Please log in to the network</body></html>")
        stage.now_and_then(injector, status=200, headers=_JSON, body=b"")


def cut(kind: FaultKind, **more: Any) -> Callable[[Stage], None]:
    """Every so many-th answer fares like this."""

    def play(stage: Stage) -> None:
        for injector in stage.injectors():
            stage.now_and_then(injector, kind=kind, **more)

    return play


def locked_rows(stage: Stage) -> None:
    """Somebody else holds the record."""
    if stage.hubspot is not None:
        body = json.dumps({"status": "error", "message": "The record is locked.", "category": "LOCKED"}).encode()
        for match in _WRITES["hubspot"]:
            stage.now_and_then(stage.box.hubspot_faults, match, status=423, headers={**_JSON, "retry-after": "2"}, body=body)
    if stage.salesforce is not None:
        stage.salesforce.lock_rows([*stage.salesforce.live("Lead"), *stage.salesforce.live("Contact")], times=2)


def refused_rows(stage: Stage) -> None:
    """Row by row: HubSpot answers 207 with errors, Salesforce 200 in which every row failed."""
    if (hubspot := stage.hubspot) is not None:
        hubspot.refuse_rows("contacts", hubspot.live("contacts"), times=2)
    if (salesforce := stage.salesforce) is not None:
        salesforce.refuse_rows([*salesforce.live("Lead"), *salesforce.live("Contact")], times=2)


def slow_queries(stage: Stage) -> None:
    """The same query may pass a moment later; a shorter one passes sooner."""
    if stage.salesforce is not None:
        body = json.dumps([{"errorCode": "QUERY_TIMEOUT", "message": "Your query request was running for too long."}]).encode()
        stage.now_and_then(stage.box.salesforce_faults, "?q=SELECT", status=400, headers=_JSON, body=body)


def lost_cursors(stage: Stage) -> None:
    """Others of the same user open queries, and ours is closed for them."""
    if (people := stage.salesforce) is not None:
        stage.meanwhile(stage.box.salesforce_faults, people.drop_cursors)


def schema_drift(stage: Stage) -> None:
    """An administrator changes fields, once."""

    def in_hubspot(people: HubSpotActions) -> None:
        people.schema.remove_property("contacts", "competitor_in_use")
        people.schema.change_type("contacts", "pain_point", "number", "number")
        people.schema.drop_option("contacts", "hs_lead_status", "UNQUALIFIED")
        people.schema.hide_property("contacts", "budget_amount")
        people.schema.add_property("contacts", "second_pain_point")

    def in_salesforce(people: SalesforceActions) -> None:
        people.schema.remove_field("Lead", "Budget__c")
        people.schema.hide_field("Lead", "NumberOfEmployees")
        people.schema.change_type("Lead", "NAICS__c", "double")
        people.schema.remove_option("Lead", "Rejection_Reason__c", "Bad timing")
        people.schema.add_field("Lead", "Second_Reason__c")

    if (hubspot := stage.hubspot) is not None:
        stage.meanwhile(stage.box.hubspot_faults, lambda: in_hubspot(hubspot), times=1)
    if (salesforce := stage.salesforce) is not None:
        stage.meanwhile(stage.box.salesforce_faults, lambda: in_salesforce(salesforce), times=1)
