"""OAuth of HubSpot on the wire, without I/O: asking for an access token by a refresh token, and what the answers mean.

https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/guide and HubSpot's OpenAPI file of oauth: a form in the body; the answer
has `expires_in` seconds (1,800), and perhaps a newer refresh token, of which the latest is always to be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from connector.adapters.client import Answer, Request
from connector.adapters.hubspot.wire import errors as wire_errors
from connector.adapters.hubspot.wire.records import decode
from connector.errors import CrmError, PassStopped, Retriable

FORM = "application/x-www-form-urlencoded"
#: The part of a token's life after which it is renewed; "401 is not a valid indicator that a new access token must be retrieved"
#: (https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/oauth/oauth-quickstart-guide).
RENEW_AFTER = 0.75

_AUTHORISE = "Install the app in the account again and put its new refresh token where crm.hubspot.refresh_token points."
_REFUSALS = {
    "BAD_REFRESH_TOKEN": ("the refresh token is invalid, expired or revoked", _AUTHORISE),
    "BAD_HUB": ("the account that the refresh token belongs to is not there any more", _AUTHORISE),
    # No sign of a revoked token (same page): the app's own credentials are wrong.
    "BAD_CLIENT_ID": ("the app's client id is not known", "Look at what crm.hubspot.client_id points to."),
    "BAD_CLIENT_SECRET": ("the app's client secret is wrong", "Look at what crm.hubspot.client_secret points to."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """An access token and for how many seconds it is good. refresh_token: the one to use next, None where the same stays."""

    access_token: str
    seconds: float
    refresh_token: str | None


def renewal(version: str, *, client_id: str, client_secret: str, refresh_token: str) -> Request:
    """Asks for an access token. /oauth/v1/token ends on 2027-02-16, so that a dated path serves the undated API as well."""
    form = {"grant_type": "refresh_token", "client_id": client_id, "client_secret": client_secret, "refresh_token": refresh_token}
    dated = version if version[:2] == "20" else "2026-03"
    return Request(
        method="POST",
        path=f"/oauth/{dated}/token",
        body=urlencode(form).encode(),
        headers={"Content-Type": FORM},
        about="asking for an access token",
        bucket="login",
    )


def introspection(version: str, *, token: str, client_id: str, client_secret: str) -> Request:
    """What an OAuth access token may do."""
    form = {"token": token, "client_id": client_id, "client_secret": client_secret}
    dated = version if version[:2] == "20" else "2026-09"
    about = "reading what the access token may do"
    return Request(
        method="POST", path=f"/oauth/{dated}/token/introspect", body=urlencode(form).encode(), headers={"Content-Type": FORM}, about=about
    )


def judge(request: Request, answer: Answer) -> CrmError | None:
    """Refusals of the token endpoint, which have a shape of their own; everything else as for other requests."""
    if 200 <= answer.status < 300:
        return None
    body = wire_errors.envelope(answer)
    status = str(body.get("status") or "")
    known = _REFUSALS.get(status)
    if known is not None or 400 <= answer.status < 404:
        why, advice = known or ("the request was refused", "Check client_id, client_secret and refresh_token in [crm.hubspot].")
        return PassStopped(f"HubSpot gave no access token: {why}", crm="hubspot", status=answer.status, code=status, advice=advice)
    return wire_errors.judge(request, answer)


def read_grant(answer: Answer) -> Grant:
    """What was granted. Raises `Retriable` where the answer is no grant."""
    body: dict[str, Any] = decode(answer)
    token, seconds, refresh = body.get("access_token"), body.get("expires_in"), body.get("refresh_token")
    if not isinstance(token, str) or not token or isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
        advice = "If it lasts, look for a proxy that changes answers, and check crm.hubspot.base_url."
        raise Retriable("HubSpot's answer holds no access token", crm="hubspot", status=answer.status, code="UNREADABLE", advice=advice)
    return Grant(access_token=token, seconds=float(seconds), refresh_token=refresh if isinstance(refresh, str) and refresh else None)
