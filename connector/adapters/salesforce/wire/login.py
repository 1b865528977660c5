"""Logging in to Salesforce: what a flow needs, where it asks, and what its refusals mean. No I/O.

Flows: https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_flows.htm; errors:
https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_flow_errors.htm.
New apps are External Client Apps: connected apps can no longer be created since Spring '26.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from connector.adapters.client import Answer
from connector.adapters.salesforce.wire import errors as wire_errors
from connector.adapters.salesforce.wire import requests as wire
from connector.errors import CrmError, PassStopped, Retriable
from connector.model import long_id

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105  # a path
SOAP_PATH = "/services/Soap/u/"

#: What each flow cannot do without, by the names in [crm.salesforce].
NEEDED = {
    "client-credentials": ("client_id", "client_secret"),
    "jwt": ("client_id", "username", "private_key"),
    "refresh-token": ("client_id", "refresh_token"),
    "password": ("username", "password"),
}

#: SOAP login() is retired with Summer '27; orgs made lately have it and the OAuth password grant switched off
#: (https://help.salesforce.com/s/articleView?id=005132110&type=1).
ENDING = {"password": "logins by password end: SOAP login() with Summer '27, and the OAuth password grant is off in newer orgs"}

_APP = "In Setup, External Client App Manager, the connector's app: "
#: By OAuth's error; a text in parentheses narrows it by the description.
_ADVICE: tuple[tuple[str, str, str], ...] = (
    ("invalid_client_id", "", _APP + "compare its consumer key with crm.salesforce.client_id; a new app takes ten minutes to be known."),
    ("invalid_client", "", _APP + "compare its consumer key and secret with crm.salesforce.client_id and client_secret."),
    (
        "invalid_grant",
        "no client credentials user",
        _APP + "under Policies, OAuth Policies, enable the client credentials flow and name its Run As user.",
    ),
    (
        "invalid_grant",
        "not supported on this domain",
        "Set crm.salesforce.instance_url to the org's My Domain (https://….my.salesforce.com).",
    ),
    (
        "invalid_grant",
        "hasn't approved this consumer",
        _APP + "under Policies, let Permitted Users be 'Admin approved users are pre-authorized' and add the user's permission set.",
    ),
    ("invalid_grant", "audience", "Use the My Domain of the right org: sandboxes have .sandbox. in theirs."),
    ("invalid_grant", "expired", "The refresh token or assertion is no longer good: authorise the app again, check this machine's clock."),
    ("invalid_grant", "ip restricted", _APP + "under Policies relax IP restrictions, or trust the connector's address."),
    ("invalid_grant", "", _APP + "check the flow's user, its policies and its credentials; the user's login history in Setup says more."),
    ("unsupported_grant_type", "", _APP + "under Settings, OAuth Settings, Flow Enablement, enable the flow of crm.salesforce.auth."),
    ("unauthorized_client", "", _APP + "under Settings, OAuth Settings, Flow Enablement, enable the flow of crm.salesforce.auth."),
    ("invalid_app_access", "", _APP + "under Policies give the flow's user access to the app (profiles or permission sets)."),
    ("inactive_user", "", "Activate the connector's user in Setup."),
    ("inactive_org", "", "The org is closed or locked: ask Salesforce's support."),
    ("invalid_scope", "", _APP + "under OAuth Settings add the scope 'Manage user data via APIs (api)'."),
)
_SOAP_ADVICE = {
    "INVALID_LOGIN": "Check username, password and security_token; better, move to client-credentials, since this flow ends in Summer '27.",
    "LOGIN_MUST_USE_SECURITY_TOKEN": "Set crm.salesforce.security_token, or move to client-credentials.",
    "INVALID_OPERATION": "The org has switched SOAP login off: move to client-credentials.",
    "UNSUPPORTED_API_VERSION": "The org has switched SOAP login off: move to client-credentials.",
    "PASSWORD_LOCKOUT": "Unlock the connector's user in Setup; better, move to client-credentials.",
}


def domain_of(instance_url: str) -> str:
    """The sub-domain by which simple-salesforce names a host: "acme.my" for https://acme.my.salesforce.com.

    A host outside salesforce.com (a sandbox on loopback) has none: any name but login and test will do, since the session sends logins to
    the instance whatever the name.
    """
    host = urlsplit(instance_url).hostname or ""
    return host.removesuffix(".salesforce.com") if host.endswith(".salesforce.com") else "instance.my"


def audience_of(instance_url: str) -> str:
    """The audience of a JWT: "login" in production, "test" in a sandbox, whatever the My Domain is
    (https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_jwt_flow.htm)."""
    host = urlsplit(instance_url).hostname or ""
    return "test" if ".sandbox." in host or host == "test.salesforce.com" else "login"


def is_login(path: str) -> bool:
    """Whether this path of a URL takes credentials."""
    return path == TOKEN_PATH or path.startswith(SOAP_PATH)


def judge(answer: Answer, *, path: str) -> CrmError | None:
    """None where the answer holds a session, else what it means."""
    return _judge_soap(answer) if path.startswith(SOAP_PATH) else _judge_token(wire.opened(answer))


def user_of(answer: Answer, *, path: str) -> str:
    """The user whom a login made us: the end of the token's `id` URL (…/id/00D…/005…), or a SOAP login's userId; "" if not told."""
    if path.startswith(SOAP_PATH):
        told = re.search(rb"<userId>(\w+)</userId>", answer.body)
        text = told[1].decode("ascii", "replace") if told else ""
    else:
        value = wire.opened(answer).value
        text = str(value.get("id") or "").rpartition("/")[2] if isinstance(value, dict) else ""
    return long_id(text) if wire.is_id(text) else ""


def _judge_token(answer: wire.JsonAnswer) -> CrmError | None:
    value = answer.value
    if answer.status == 200 and isinstance(value, dict):
        good = all(isinstance(value.get(name), str) and value[name] for name in ("access_token", "instance_url"))
        return None if good else _refused(answer, "NO_TOKEN", "Check crm.salesforce.instance_url: the answer holds no token.")
    code, message = wire_errors.first_error(value)
    if code in ("rate_limit_exceeded", "login_rate_exceeded") or answer.status in (408, 420, 429, 500, 502, 503, 504):
        return _later(answer, code)
    for error, part, advice in _ADVICE:
        if code == error and part in message.lower():
            return _refused(answer, code, advice)
    return _refused(
        answer, code, "Check crm.salesforce.instance_url (the org's My Domain) and the External Client App; look for proxies in between."
    )


def _judge_soap(answer: Answer) -> CrmError | None:
    # A SOAP fault comes with 500; its code is <faultcode>sf:INVALID_LOGIN</faultcode>.
    if answer.status == 200 and b"<sessionId>" in answer.body and b"<serverUrl>" in answer.body:
        return None
    fault = re.search(rb"<faultcode>(?:\w+:)?(\w+)</faultcode>", answer.body)
    code = fault[1].decode("ascii") if fault else ""
    if code == "SERVER_UNAVAILABLE" or (not code and answer.status >= 500):
        return _later(answer, code)
    return _refused(answer, code, _SOAP_ADVICE.get(code, "Check crm.salesforce.instance_url; better, move to client-credentials."))


def _refused(answer: Answer, code: str, advice: str) -> PassStopped:
    return PassStopped(
        f"salesforce refused the login: {answer.status}{' ' + code if code else ''}",
        crm="salesforce",
        status=answer.status,
        code=code,
        advice=advice,
        correlation_id=wire.correlation_id(answer.headers),
    )


def _later(answer: Answer, code: str) -> Retriable:
    return Retriable(
        f"salesforce could not log us in now: {answer.status}{' ' + code if code else ''}",
        crm="salesforce",
        status=answer.status,
        code=code,
        advice="The next pass tries again. If it lasts, see https://status.salesforce.com.",
        correlation_id=wire.correlation_id(answer.headers),
    )


def cut_off() -> Retriable:
    """A SOAP login whose answer is no whole XML."""
    return Retriable(
        "salesforce's answer to the login was cut off",
        crm="salesforce",
        code="NOT_XML",
        advice="The next pass tries again. If it lasts, look for a proxy; better, move to client-credentials.",
    )


def incomplete(auth: str, missing: list[str]) -> PassStopped:
    """The configuration lacks what the flow needs."""
    return PassStopped(
        f"salesforce login by {auth} lacks {', '.join(missing)}",
        crm="salesforce",
        code="INCOMPLETE",
        advice=f"Set {', '.join(f'crm.salesforce.{name}' for name in missing)}.",
    )
