"""What Salesforce's refusals mean, and what helps. No I/O.

Error bodies are a list [{message, errorCode, fields?}] (REST:errorcodes); a row of a collections write has `statusCode` in place of
`errorCode`; OAuth answers an object {error, error_description}; edges answer HTML or nothing. Codes:
https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_concepts_core_data_objects.htm#exceptioncode
Vendor texts may hold personal data, so few are passed on, and those without addresses and numbers.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from connector.adapters.client import Answer, Request
from connector.adapters.salesforce.wire import requests as wire
from connector.errors import CrmError, ObjectStopped, PassStopped, RateLimited, Rejected, Retriable
from connector.model import WriteOutcome, WriteState

#: Somebody else holds the record, or its account.
LOCKED = "UNABLE_TO_LOCK_ROW"
#: Too much for one query: a shorter window may pass (QUERY_TIMEOUT after 120 s of SOQL).
TOO_HEAVY = frozenset({"QUERY_TIMEOUT", "QUERY_TOO_COMPLICATED", "OPERATION_TOO_LARGE", "REQUEST_RUNNING_TOO_LONG", "EXCEEDED_ID_LIMIT"})
#: The cursor of a query is gone: after two days, after 15 idle minutes, or since ten newer ones exist. Ask again from the last row.
LOST_CURSOR = "INVALID_QUERY_LOCATOR"


class NoSuchColumn(ObjectStopped):
    """A field that is not there, or that field-level security hides: Salesforce tells them apart for nobody."""

    def __init__(self, message: str, *, column: str, entity: str, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.column = column
        self.entity = entity

    def concerns(self, object_name: str, name: str) -> bool:
        """Whether this is the field, by the name that a query over `object_name` has for it ("Industry", "Account.Industry").

        A relationship that is not understood is column and entity both: all that is read over it is concerned.
        """
        path, _, last = name.lower().rpartition(".")
        if self.column == self.entity:
            return self.column.lower() in path.split(".")
        return last == self.column.lower().rpartition(".")[2] and (path == "") == (self.entity.lower() == object_name.lower())


#: Statuses that a later try may not meet. 420 and 429 are limits of the edge; 406 and empty 5xx answers come from instances that restart.
_TRANSIENT = frozenset({406, 408, 420, 429, 500, 502, 503, 504})
#: Codes that a later try may not meet.
_TRANSIENT_CODES = frozenset({"SERVER_UNAVAILABLE", LOCKED, "UNKNOWN_EXCEPTION", "TXN_SECURITY_METERING_ERROR"})
#: URI, headers or body were longer than Salesforce takes: that is the request's fault, and of its object alone.
_TOO_LONG = frozenset({413, 414, 431})
#: Resources that every org has: where one of them is not found, the version is not (REST:api_rest_eol).
_ALWAYS_THERE = frozenset(f"{wire.BASE}/{name}" for name in ("query", "queryAll", "limits", "composite/sobjects"))

_STOPS_ALL = {
    "API_DISABLED_FOR_ORG": "Give the connector's user the permission API Enabled; editions below Enterprise need the API add-on.",
    "API_CURRENTLY_DISABLED": "Ask Salesforce's support: the API is switched off for this org.",
    "FUNCTIONALITY_NOT_ENABLED": "Give the connector's user the permission API Enabled; editions below Enterprise need the API add-on.",
    "INVALID_SESSION_ID": "The access token was refused twice, a fresh one too: in Setup, look at the External Client App's policies "
    "(IP relaxation, session policies) and at the login history of its run-as user.",
    "UNSUPPORTED_API_VERSION": "Update the connector: it asks for a version of the API that this org does not serve.",
    "INSTANCE_NOT_FOUND": "Set crm.salesforce.instance_url to the org's My Domain address.",
    "ORG_LOCKED": "Ask the org's administrator: the org is locked.",
    "PASSWORD_LOCKOUT": "Unlock the connector's user in Setup.",
    "INVALID_LOGIN": "Check the credentials in crm.salesforce.",
    "LOGIN_CHALLENGE_ISSUED": "Add the connector's address to the trusted IP ranges in Setup.",
}
_STOPS_OBJECT = {
    "INVALID_TYPE": "Give the connector's user read access to this object (Setup, Permission Sets, Object Settings).",
    "INSUFFICIENT_ACCESS": "Give the connector's user access to this object (Setup, Permission Sets, Object Settings).",
    "MALFORMED_QUERY": "Report this: the connector wrote a query that Salesforce does not read.",
    "QUERY_TIMEOUT": "Ask for fewer fields, or ask Salesforce's support for an index on SystemModstamp.",
    "REQUEST_RUNNING_TOO_LONG": "Ask for fewer fields, or look for an automation of the org that takes minutes.",
    "OPERATION_TOO_LARGE": "Give the connector's user View All on this object: sharing is too much to reckon for one query.",
    "QUERY_TOO_COMPLICATED": "Ask for fewer formula fields of this object.",
    "EXCEEDED_ID_LIMIT": "Look for deletions more often: more records were deleted within minutes than one answer holds.",
    "NOT_FOUND": "Check crm.salesforce.instance_url, and that the connector's user may see this object.",
}


def judge(request: Request, answer: Answer) -> CrmError | None:
    """None where the answer is good, else what it means for the one who asked."""
    answer = answer if isinstance(answer, wire.JsonAnswer) else wire.opened(answer)
    if 200 <= answer.status < 300:
        return None if answer.readable or answer.status == 204 else _unreadable(request, answer)
    code, message = first_error(answer.value)
    facts = _facts(answer, code)
    where = f"{_called(answer, code)} while {request.about}"
    if code == "REQUEST_LIMIT_EXCEEDED":
        return _limit(where, message, answer, facts)
    if code == "INVALID_FIELD":
        return _no_column(request, message, facts)
    if code in _STOPS_ALL:
        return PassStopped(where, advice=_STOPS_ALL[code], **facts)
    if code in _TRANSIENT_CODES or (answer.status in _TRANSIENT and code not in _STOPS_OBJECT):
        return _transient(where, answer, facts)
    return _stopped(request, where, answer, code, facts)


def _stopped(request: Request, where: str, answer: wire.JsonAnswer, code: str, facts: dict[str, Any]) -> CrmError:
    if answer.status == 300:
        # A list of their addresses (REST:dome-upsert); which of them is meant, nobody can say.
        return Rejected(f"{where}: several records have this external id", advice="Tick Unique on the External Id field.", **facts)
    if 300 <= answer.status < 400:
        return PassStopped(
            f"{where}: the address points elsewhere", advice="Set crm.salesforce.instance_url to the org's My Domain address.", **facts
        )
    if answer.status == 401:
        return PassStopped(where, advice=_STOPS_ALL["INVALID_SESSION_ID"], **facts)
    if answer.status == 410 or (answer.status == 404 and code and request.path in _ALWAYS_THERE):
        return PassStopped(
            f"{where}: version {wire.API_VERSION} of the API is not served there", advice=_STOPS_ALL["UNSUPPORTED_API_VERSION"], **facts
        )
    if answer.status in _TOO_LONG:
        return ObjectStopped(f"{where}: the request was too long", advice="Name fewer fields of this object in the configuration.", **facts)
    if isinstance(answer.value, dict) and "error" in answer.value:
        return PassStopped(where, advice="Check the connector's External Client App: its OAuth settings, scopes and policies.", **facts)
    if not code:
        return PassStopped(
            f"{where}, with a body that is not Salesforce's",
            advice="Check crm.salesforce.instance_url (the org's My Domain), proxies in between, and the login IP ranges of the user.",
            **facts,
        )
    if code.startswith("INSUFFICIENT_ACCESS"):
        return ObjectStopped(where, advice=_STOPS_OBJECT["INSUFFICIENT_ACCESS"], **facts)
    return ObjectStopped(where, advice=_STOPS_OBJECT.get(code, "Look the code up in Salesforce's API reference."), **facts)


def _limit(where: str, message: str, answer: Answer, facts: dict[str, Any]) -> CrmError:
    # One code, two meanings, told apart by the message alone: "ConcurrentRequests (Concurrent API Requests) Limit exceeded." passes within
    # seconds, "TotalRequests Limit exceeded." only as the rolling 24 hours go on. Neither comes with Retry-After.
    if "concurrent" in message.lower():
        return RateLimited(
            f"{where}: too many long requests at once", advice="Other integrations are busy; the connector waits and asks again.", **facts
        )
    usage, server = wire.api_usage(answer.headers), wire.server_date(answer.headers)
    count = f" ({usage[0]} of {usage[1]})" if usage else ""
    latest = f", the last of them at {server + timedelta(hours=24):%Y-%m-%d %H:%M} UTC" if server else ""
    return PassStopped(
        f"{where}: the org's API calls of the last 24 hours are used up{count}",
        advice=f"Nothing is lost: the next passes go on from here as calls become free, each 24 hours after it was made{latest}. Lower "
        "crm.salesforce.daily_requests, raise headroom, or find the integration that uses them up (Setup, System Overview, API Usage).",
        **facts,
    )


def _no_column(request: Request, message: str, facts: dict[str, Any]) -> CrmError:
    match = re.search(r"[Nn]o such column '([\w.]+)' on (?:entity|sobject of type) '?(\w+)", message)
    match = match or re.search(r"[Dd]idn't understand relationship '((\w+))' in field path", message)
    if match is None:
        return ObjectStopped(
            f"salesforce refused a field while {request.about}: {scrubbed(message)}",
            advice="Check the fields of the configuration against the object, and that the connector's user may use them.",
            **facts,
        )
    related = match[1] == match[2]
    called = f"relationship {match[1]}" if related else f"field {match[1]} on {match[2]}"
    seen = f"the field behind {match[1]}" if related else f"{match[2]}.{match[1]}"
    return NoSuchColumn(
        f"salesforce has no {called}, or hides it from the connector's user, while {request.about}",
        column=match[1],
        entity=match[2],
        advice=f"Check the name in the configuration, or give the connector's user access to {seen} "
        "(Setup, Permission Sets, Object Settings, Field Permissions).",
        **facts,
    )


def _transient(where: str, answer: wire.JsonAnswer, facts: dict[str, Any]) -> Retriable:
    asked = answer.headers.get("retry-after", "").strip()
    retry_after = float(asked) if re.fullmatch(r"\d{1,6}(\.\d+)?", asked) else None  # Salesforce sends none; a proxy may
    kind = RateLimited if answer.status in (420, 429) else Retriable
    return kind(
        where,
        retry_after=retry_after,
        advice="The next pass goes on where this one stopped. If it lasts, see https://status.salesforce.com.",
        **facts,
    )


def _unreadable(request: Request, answer: wire.JsonAnswer) -> Retriable:
    return Retriable(
        f"{_called(answer, '')} with a body that is no JSON ({_kind_of_body(answer)}) while {request.about}",
        advice="The next pass goes on where this one stopped. If it lasts, look for a proxy, or a login page at "
        "crm.salesforce.instance_url.",
        **_facts(answer, "NOT_JSON"),
    )


def _kind_of_body(answer: wire.JsonAnswer) -> str:
    body = answer.body.lstrip()[:1]
    return {b"": "nothing", b"<": "HTML or XML", b"{": "cut off", b"[": "cut off"}.get(body, "text")


def _called(answer: Answer, code: str) -> str:
    return f"salesforce answered {answer.status}{' ' + code if code else ''}"


def _facts(answer: Answer, code: str) -> dict[str, Any]:
    return {"crm": "salesforce", "status": answer.status, "code": code, "correlation_id": wire.correlation_id(answer.headers)}


def first_error(value: Any) -> tuple[str, str]:
    """Code and message of an error body of any of Salesforce's shapes; ("", "") where it is none of them."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0]
    if not isinstance(value, dict):
        return "", ""
    code = value.get("errorCode") or value.get("statusCode") or value.get("error") or value.get("exceptionCode") or ""
    message = value.get("message") or value.get("error_description") or value.get("exceptionMessage") or ""
    return (code if isinstance(code, str) and re.fullmatch(r"\w{1,80}", code) else ""), (message if isinstance(message, str) else "")


def scrubbed(message: str) -> str:
    """An administrator's own text (a validation rule's) without what may name a person: addresses, long numbers, quoted values."""
    text = re.sub(r"\S+@\S+", "…", message)
    text = re.sub(r"\+?\d[\d\s/().-]{5,}\d", "…", text)
    text = re.sub(r"\"[^\"]*\"", '"…"', text)
    return " ".join(text.split())[:200]


# ── Rows of a write ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

#: Not now; certainly not written. Salesforce has waited 10 s for the lock before it says so.
_LATER = {
    LOCKED: "Nothing to do: somebody else was writing this record or its account; the next pass tries again.",
    "SERVER_UNAVAILABLE": "Nothing to do: the next pass tries again.",
    "REQUEST_LIMIT_EXCEEDED": "Nothing to do: the next pass tries again.",
    "REQUEST_RUNNING_TOO_LONG": "An automation of the org runs too long on this record; the next pass tries again.",
    "PROCESSING_HALTED": "Nothing to do: the next pass tries again.",
}
_REFUSED = {
    "CANNOT_UPDATE_CONVERTED_LEAD": "The Lead was converted: the next pull brings its Contact, and the contact is judged again.",
    "ENTITY_IS_DELETED": "The record was deleted: the next pull removes it here.",
    "INVALID_CROSS_REFERENCE_KEY": "A record named here is gone, or the connector's user cannot see it: check the owner and the record.",
    "NOT_FOUND": "The record is gone: the next pull removes it here.",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "Give the connector's user edit access to this record and to the new owner.",
    "INSUFFICIENT_ACCESS_OR_READONLY": "Give the connector's user edit access to this record (sharing rules, or Modify All on the object).",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "Give the connector's user edit access to the field (Setup, Permission Sets, Field Permissions).",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "Add the value to the field in Setup, or use one that exists in the configuration.",
    "REQUIRED_FIELD_MISSING": "The record lacks a field that the org requires: fill it in Salesforce.",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "A validation rule of the org refused it: exempt the connector's user, or fix the record.",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": "A trigger of the org refused it: ask the org's developers.",
    "CANNOT_EXECUTE_FLOW_TRIGGER": "A flow of the org failed on it: ask the org's administrator.",
    "STRING_TOO_LONG": "The value is longer than the field takes.",
    "INVALID_EMAIL_ADDRESS": "Correct the e-mail address in Salesforce.",
    "DUPLICATES_DETECTED": "A duplicate rule of the org refused it: merge the duplicates in Salesforce.",
    "DUPLICATE_VALUE": "Another record has this value already.",
    "INACTIVE_OWNER_OR_USER": "The owner is deactivated: take the person out of the team in the configuration, or activate the user.",
    "OP_WITH_INVALID_USER_TYPE_EXCEPTION": "The owner cannot own this kind of record: name a licensed user in the team.",
    "TRANSFER_REQUIRES_READ": "The new owner may not read this kind of record: widen that user's profile.",
    "INVALID_STATUS": "This status is reached by converting the Lead in Salesforce only: give the stage write = false.",
}
#: Written by the org's own administrators, so worth showing.
_TELLS = frozenset({"FIELD_CUSTOM_VALIDATION_EXCEPTION", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "CANNOT_EXECUTE_FLOW_TRIGGER"})


def outcome(row: wire.Row, correlation_id: str = "") -> WriteOutcome:
    """What became of one row of a collections write: {id, success, errors: [{statusCode, message, fields}]}
    (REST:resources-composite-sobjects-collections)."""
    if row.get("success") is True:
        return WriteOutcome(state=WriteState.WRITTEN, id=str(row.get("id") or ""))
    errors = row.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    code, message = first_error(first)
    named = first.get("fields")
    fields = f" ({', '.join(str(name) for name in named)})" if isinstance(named, list) and named else ""
    told = f": {scrubbed(message)}" if code in _TELLS and message else ""
    return WriteOutcome(
        state=WriteState.LATER if code in _LATER else WriteState.REFUSED,
        id=str(row.get("id") or ""),
        code=code,
        message=f"salesforce refused it: {code or 'without a reason'}{fields}{told}",
        advice=_LATER.get(code) or _REFUSED.get(code, "Look the code up in Salesforce's API reference, and try the change by hand."),
        correlation_id=correlation_id,
    )
