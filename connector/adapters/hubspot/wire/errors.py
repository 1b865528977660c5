"""What HubSpot's answers mean when they are no success: every status and body becomes one typed error, or None.

The pages: https://developers.hubspot.com/docs/api-reference/error-handling (statuses, envelope) and
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines (limits). "Treat every field as optional": bodies may
be HTML, empty or cut, so nothing here relies on JSON. HubSpot's `message` is repeated only where it cannot hold a record's values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from connector.adapters.client import Answer, Request
from connector.adapters.hubspot.wire.limits import next_midnight
from connector.errors import CrmError, ObjectStopped, PassStopped, RateLimited, Rejected, Retriable

#: Longer than this nobody waits inside a pass: it stops, and the next one goes on.
LONGEST_WAIT: Final = 60.0
#: The code of an answer that says that an object's recycle bin cannot be listed.
NO_BIN: Final = "ARCHIVED_NOT_LISTED"

_CREDENTIALS_ADVICE = (
    "Put a valid access token (a service key, or an existing private app's token) where crm.hubspot.access_token points; "
    "of an OAuth app, install it again and put its refresh token where crm.hubspot.refresh_token points. Then run `connector check`."
)
_WAIT_ADVICE = "Nothing to do: the next pass goes on where this one stopped."
_STATUS_ADVICE = "If it lasts, see https://status.hubspot.com; the next pass goes on where this one stopped."
_ADDRESS_ADVICE = "Check crm.hubspot.base_url, and any proxy on the way; HubSpot's own is https://api.hubapi.com."
_SUPPORT_ADVICE = "Contact HubSpot's support with the correlation id; see https://status.hubspot.com first."
_VERSION_ADVICE = "crm.hubspot.api_version may be wrong, or a version that HubSpot no longer supports."


class RefusedWrite(Rejected):
    """HubSpot refused what was to be written. `properties` names those it complained about, `reason` its code for why."""

    def __init__(self, message: str, *, properties: tuple[str, ...] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.properties = properties


def judge(request: Request, answer: Answer, zone: ZoneInfo | None = None) -> CrmError | None:
    """The error that an answer means, or None where it is good. zone: the account's, where it is known: its day ends at midnight there."""
    if 200 <= answer.status < 300:
        return None
    body = envelope(answer)
    facts: dict[str, Any] = {
        "crm": "hubspot",
        "status": answer.status,
        "code": code_of(body),
        "correlation_id": _correlation_id(answer, body),
    }
    what = _what(request, facts)
    if answer.status == 429:
        return _limit(request, answer, body, what, facts, zone)
    if answer.status in _RETRIABLE:
        return _retriable(answer, what, facts)
    return _final(request, answer, body, what, facts)


# 423 Locked ("wait at least 2 seconds"), 477 account migration (Retry-After, up to 24 hours), 502 to 504, 521, 523, 524 (Cloudflare: pause
# and retry) and 522 ("contact support", but a connection that timed out once need not do so again): same page as above. 408 and 520 are
# not named there: a proxy's and Cloudflare's. 500 is retried by HubSpot's own client for Node as well.
_RETRIABLE = frozenset({408, 423, 477, 500, 502, 503, 504, 520, 521, 522, 523, 524})


def _retriable(answer: Answer, what: str, facts: dict[str, Any]) -> CrmError:
    asked = retry_after(answer)
    if asked is not None and asked > LONGEST_WAIT:
        why = "the account is being moved to another data centre" if answer.status == 477 else "it is not available"
        return PassStopped(f"{what}: {why}, {_until(answer, asked)}", advice=_WAIT_ADVICE, **facts)
    if answer.status == 423:
        return Retriable(f"{what}: the record is locked", retry_after=max(2.0, asked or 0.0), advice=_WAIT_ADVICE, **facts)
    if answer.status == 477:
        why = "the account is being moved to another data centre, which takes up to 24 hours"
        return Retriable(f"{what}: {why}", retry_after=asked, advice=_WAIT_ADVICE, **facts)
    advice = f"If it lasts: {_SUPPORT_ADVICE}" if answer.status == 522 else _STATUS_ADVICE
    return Retriable(f"{what}: HubSpot is not well", retry_after=asked, advice=advice, **facts)


def _limit(request: Request, answer: Answer, body: Mapping[str, Any], what: str, facts: dict[str, Any], zone: ZoneInfo | None) -> CrmError:
    """429. The body has a shape of its own (github.com/HGData/mk-node-hubspot/issues/89): policyName tells which limit.

    Waits where Retry-After is missing, as HubSpot's client for Node does: 10 s for the limit of ten seconds, 1 s for search's.
    The day ends at midnight in the account's time zone.
    """
    policy = _text(body.get("policyName")).upper() or _policy_of_message(_text(body.get("message")))
    facts["code"] = policy or "RATE_LIMIT"
    if "DAILY" in policy:
        until = f"until midnight in the HubSpot account's time zone{_midnight(answer, zone)}"
        return PassStopped(
            f"{what}: the account's requests of today are used up, {until}",
            advice="Lower crm.hubspot.daily_requests or raise headroom, and see which integrations use the account's requests.",
            **facts,
        )
    asked = retry_after(answer)
    if asked is not None and asked > LONGEST_WAIT:
        return PassStopped(f"{what}: HubSpot asks to wait, {_until(answer, asked)}", advice=_WAIT_ADVICE, **facts)
    usual = 1.0 if policy.startswith("SECOND") or (not policy and request.bucket == "search") else 10.0
    return RateLimited(
        f"{what}: a limit was reached",
        retry_after=usual if asked is None else asked,
        advice="Nothing to do; if it happens often, lower crm.hubspot.requests_per_10_seconds or raise headroom.",
        **facts,
    )


def _midnight(answer: Answer, zone: ZoneInfo | None) -> str:
    """Which zone that is, and when it is midnight there, as far as is known: the answer's own date is the clock."""
    if zone is None:
        return ""
    sent = http_date(answer.headers.get("date", ""))
    return f" ({zone.key})" if sent is None else f" ({zone.key}): {_moment(next_midnight(sent, zone))}"


def _until(answer: Answer, seconds: float) -> str:
    sent = http_date(answer.headers.get("date", ""))
    # More than a year is no time that anybody means, and may lie outside the calendar.
    until = "" if sent is None or seconds > 366 * 86_400 else f", until {_moment(sent + timedelta(seconds=seconds))}"
    return f"for {_duration(seconds)} more{until}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _policy_of_message(message: str) -> str:
    lowered = message.lower()
    if "daily" in lowered:
        return "DAILY"
    if "ten_secondly" in lowered:
        return "TEN_SECONDLY_ROLLING"
    return "SECONDLY" if "secondly" in lowered else ""


def _final(request: Request, answer: Answer, body: Mapping[str, Any], what: str, facts: dict[str, Any]) -> CrmError:
    status = answer.status
    if status == 401:
        expired = "EXPIRED" in facts["code"]
        return PassStopped(f"{what}: the access token {'has expired' if expired else 'is not valid'}", advice=_CREDENTIALS_ADVICE, **facts)
    if status == 403:
        return _forbidden(body, what, facts)
    if status == 530:  # Cloudflare: a token so malformed that no account can be found for it (airbyte, source-hubspot), or a wrong host
        return PassStopped(f"{what}: no account is found for this token", advice=f"{_CREDENTIALS_ADVICE} {_ADDRESS_ADVICE}", **facts)
    if 300 <= status < 400:
        return PassStopped(f"{what}: it is redirected elsewhere", advice=_ADDRESS_ADVICE, **facts)
    if status >= 500:  # 525 and 526, Cloudflare's words for a broken certificate behind it: "contact support"
        return PassStopped(what, advice=_SUPPORT_ADVICE, **facts)
    if status == 414:  # also "Cannot have more than 250 identities": nobody here merges
        return ObjectStopped(f"{what}: the address is too long", advice="Name fewer HubSpot properties under [fields].", **facts)
    return _not_so(request, body, what, facts)


def _not_so(request: Request, body: Mapping[str, Any], what: str, facts: dict[str, Any]) -> CrmError:
    """A 4xx that says something of what was asked for."""
    status = facts["status"]
    if status == 404 and _names_one(request):  # HTML for an id that names nothing or an archived record, JSON for one that is none
        facts["code"] = facts["code"] or "OBJECT_NOT_FOUND"
        return Rejected(f"{what}: there is no such record", advice="Nothing to do: it was deleted, or merged into another.", **facts)
    if status == 410 or (status == 404 and not (body and _is_write(request))):
        return ObjectStopped(f"{what}: there is nothing at this address", advice=f"{_VERSION_ADVICE} {_ADDRESS_ADVICE}", **facts)
    if not body:  # 405 and 406 answer with HTML or nothing
        return ObjectStopped(f"{what}, and not with JSON", advice=_ADDRESS_ADVICE, **facts)
    if _is_write(request) and status in {400, 404, 409}:
        return _refused(body, what, facts)
    if status == 400 and _PAGING_THE_BIN in _text(body.get("message")).lower():
        facts["code"] = NO_BIN
    return ObjectStopped(
        f"{what}{_explained(body)}", advice="Run `connector check`: it compares the configured names with the account's.", **facts
    )


#: "Paging through deleted objects is not yet supported for object type 0-47 (MEETING_EVENT)", as seen live.
_PAGING_THE_BIN = "paging through deleted objects"


def _names_one(request: Request) -> bool:
    """Whether the request's address is that of a single record."""
    return request.method == "GET" and request.path.rsplit("/", 1)[-1].isdecimal()


def _forbidden(body: Mapping[str, Any], what: str, facts: dict[str, Any]) -> CrmError:
    if not body:
        return PassStopped(f"{what}, and not with JSON: something on the way refused the request", advice=_ADDRESS_ADVICE, **facts)
    scopes = sorted(set(_scopes(body)))
    if scopes:
        named = ", ".join(scopes)
        advice = f"Give the access token these scopes in HubSpot: {named}; then run `connector check`."
        return ObjectStopped(f"{what}: the access token lacks the scopes {named}", advice=advice, **facts)
    advice = "Run `connector check`: it names the scopes needed."
    return ObjectStopped(f"{what}: the access token lacks a permission", advice=advice, **facts)


def _scopes(body: Mapping[str, Any]) -> Iterator[str]:
    """errors[].context.requiredGranularScopes, or requiredScopes; in one body also `context` itself."""
    contexts = [body.get("context"), *[error.get("context") for error in dicts(body.get("errors"))]]
    for context in contexts:
        if isinstance(context, dict):
            for name in ("requiredGranularScopes", "requiredScopes"):
                yield from texts(context.get(name))


def _refused(body: Mapping[str, Any], what: str, facts: dict[str, Any]) -> RefusedWrite:
    """A write that HubSpot did not accept. Its message repeats the values, so only codes and names of properties are told."""
    names, codes = complaints(body)
    facts["code"] = codes[0] if codes else facts["code"]
    about = f" of {', '.join(names)}" if names else ""
    why = f" ({', '.join(codes)})" if codes else ""
    advice = "Run `connector check`: it compares properties and options with the account's."
    return RefusedWrite(f"{what}: the value{about} was refused{why}", properties=tuple(names), advice=advice, **facts)


_EMBEDDED_NAME = re.compile(r'"name"\s*:\s*"([A-Za-z0-9_]{1,100})"')
_EMBEDDED_CODE = re.compile(r'"error"\s*:\s*"([A-Z_]{1,60})"')


def complaints(error: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Which properties a refusal names, and HubSpot's codes for why, each once. A validation message embeds its own JSON."""
    names: list[str] = []
    codes: list[str] = []
    for part in [error, *dicts(error.get("errors"))]:
        context = part.get("context")
        if isinstance(context, dict):
            names += [name for key in ("propertyName", "name") for name in texts(context.get(key))]
        code = _text(part.get("code")) or (_text(part.get("subCategory")).rsplit(".", 1)[-1] if part is error else "")
        codes += [code] if code else []
        names += _EMBEDDED_NAME.findall(_text(part.get("message")))
        codes += _EMBEDDED_CODE.findall(_text(part.get("message")))
    plain = [name for name in names if re.fullmatch(r"[A-Za-z0-9_]{1,100}", name)]
    return list(dict.fromkeys(plain)), list(dict.fromkeys(code for code in codes if re.fullmatch(r"[A-Za-z0-9_.]{1,80}", code)))


def _is_write(request: Request) -> bool:
    return request.path.endswith(("/batch/update", "/batch/create"))


def _explained(body: Mapping[str, Any]) -> str:
    """HubSpot's words to a request that only reads, without anything that could be a value of a record."""
    message = scrub(_text(body.get("message")))
    return f": {message}" if message else ""


_MAIL = re.compile(r"[^\s@'\"<>]+@[^\s@'\"<>]+")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|\[[^\]]*\]")
_DIGITS = re.compile(r"\+?\d[\d ()/.-]{5,}\d")


def scrub(message: str) -> str:
    """A vendor's message without e-mail addresses, quoted values and long numbers, at most 200 characters."""
    for pattern in (_MAIL, _QUOTED, _DIGITS):
        message = pattern.sub("…", message)
    return " ".join(message.split())[:200]


def _what(request: Request, facts: Mapping[str, Any]) -> str:
    code = f" {facts['code']}" if facts["code"] else ""
    correlation = f" (correlation id {facts['correlation_id']})" if facts["correlation_id"] else ""
    return f"HubSpot answered {facts['status']}{code} while {request.about}{correlation}"


def envelope(answer: Answer) -> dict[str, Any]:
    """The JSON object of an error's body; empty where it is none."""
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def code_of(body: Mapping[str, Any]) -> str:
    """HubSpot's category of an error; 429 has `errorType` in its place."""
    found = _text(body.get("category")) or _text(body.get("errorType"))
    return found if re.fullmatch(r"[A-Za-z0-9_.]{1,80}", found) else ""


def _correlation_id(answer: Answer, body: Mapping[str, Any]) -> str:
    found = _text(body.get("correlationId")) or answer.headers.get("x-hubspot-correlation-id", "")
    return found if re.fullmatch(r"[A-Za-z0-9-]{1,64}", found) else ""


def retry_after(answer: Answer) -> float | None:
    """Seconds to wait as the header says, in seconds or as a date; None where it does not or says nothing sensible.

    Nought is not sensible either: who repeats at once meets the same answer, and soon has no attempt left.
    """
    value = answer.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until, sent = http_date(value), http_date(answer.headers.get("date", ""))
        seconds = (until - sent).total_seconds() if until and sent else 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def http_date(value: str) -> datetime | None:
    """A moment in the form of HTTP's headers, aware; None where it is none."""
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    # A clock that far off says nothing, and reckoning with it would leave the calendar.
    return moment if moment.tzinfo is not None and 1970 <= moment.year < 2200 else None


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{max(1, round(seconds / 60))} minutes"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def texts(value: Any) -> list[str]:
    """The texts of a JSON list (numbers as text); a lone text is a list of one."""
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value if isinstance(item, str | int)] if isinstance(value, list) else []


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a JSON list, whatever else stands there."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
