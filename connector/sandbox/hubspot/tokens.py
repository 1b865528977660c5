"""Access tokens: the account's access token, and the OAuth tokens that HubSpot gives for a refresh token, which expire.

Sources: developers.hubspot.com/docs/api-reference/auth-oauth-v1 (form body, 1,800 seconds), /docs/apps/developer-platform/build-apps/
authentication/oauth/working-with-oauth (refusals BAD_REFRESH_TOKEN and BAD_HUB; a new refresh token may come with each answer).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from connector.sandbox.hubspot.answers import answer, refused
from connector.sandbox.hubspot.options import HubSpotOptions

PORTAL = 4_711_001
USER = 5_200_050
CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-secret"  # noqa: S105 - opens nothing but this sandbox
REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105 - as above
SCOPES = (
    "crm.objects.companies.read", "crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.deals.read",
    "crm.objects.owners.read", "crm.schemas.companies.read", "crm.schemas.contacts.read", "crm.schemas.contacts.write",
    "crm.schemas.deals.read", "oauth", "sales-email-read",
)  # fmt: skip


class Tokens:
    """The tokens of one account. What is public may be changed while the server runs.

    options: gives those that hold now. scopes: what every token may do. hub_gone: the account was closed. refreshed: how often a token was
    given.
    """

    def __init__(self, options: Callable[[], HubSpotOptions], now: Callable[[], datetime]) -> None:
        self._options = options
        self._now = now
        self.refresh_token = REFRESH_TOKEN
        self.scopes: tuple[str, ...] = SCOPES
        self.hub_gone = False
        self.refreshed = 0
        self._issued: dict[str, datetime] = {}

    def enter(self, header: str) -> bool:
        """Whether the header's token is one of OAuth's. Raises the 401 of one that opens nothing."""
        if not header.startswith("Bearer ") or header[7:8] == " ":
            message = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
            raise refused("INVALID_AUTHENTICATION", message, status=401)
        token = header[7:]
        if token == self._options().token:
            return False
        expires = self._issued.get(token)
        if expires is None:
            raise refused("INVALID_AUTHENTICATION", "The access token is invalid, expired or was revoked.", status=401)
        if expires <= self._now():
            late = int((self._now() - expires).total_seconds())
            message = f"The OAuth token used to make this call expired {late} second(s) ago."
            raise refused("EXPIRED_AUTHENTICATION", message, status=401, context={"expire time": [expires.isoformat()]})
        return True

    def expire(self) -> None:
        """Ends every OAuth token now; the refresh token stays."""
        self._issued = dict.fromkeys(self._issued, self._now())

    def revoke(self) -> None:
        """Ends every OAuth token and the refresh token: the app was uninstalled."""
        self._issued.clear()
        self.refresh_token = ""

    def token(self, request: Request, body: Any) -> Response:  # noqa: ARG002 - one signature for all handlers
        """A new access token for the refresh token."""
        form = _form(body)
        refusal = self._refusal(form)
        if refusal is not None:
            return answer(refusal, 400)
        options = self._options()
        access = f"sandbox-oauth-{secrets.token_hex(16)}"
        self._issued[access] = self._now() + timedelta(seconds=options.token_seconds)
        self.refreshed += 1
        if options.rotate_refresh_tokens:
            self.refresh_token = f"sandbox-refresh-{secrets.token_hex(8)}"
        content = {
            "access_token": access,
            "refresh_token": self.refresh_token,
            "expires_in": int(options.token_seconds),
            "token_type": "bearer",
        }
        return answer({**content, "token_use": "access_token", "hub_id": PORTAL, "scopes": list(self.scopes), "user_id": USER})

    def _refusal(self, form: Mapping[str, str]) -> dict[str, str] | None:
        if form.get("grant_type") != "refresh_token":
            text = "grant_type must be refresh_token"
            return {"error": "unsupported_grant_type", "error_description": text, "status": "BAD_GRANT_TYPE", "message": text}
        if form.get("client_id") != CLIENT_ID:
            text = "missing or unknown client id"
            return {"error": "invalid_client", "error_description": text, "status": "BAD_CLIENT_ID", "message": text}
        if form.get("client_secret") != CLIENT_SECRET:
            text = "missing or invalid client secret"
            return {"error": "invalid_client", "error_description": text, "status": "BAD_CLIENT_SECRET", "message": text}
        if self.hub_gone:
            return {"status": "BAD_HUB", "message": "missing or unknown hub id", "error": "access_denied"}
        if not self.refresh_token or form.get("refresh_token") != self.refresh_token:
            text = "refresh token is invalid, expired or revoked"
            return {"error": "invalid_grant", "error_description": text, "status": "BAD_REFRESH_TOKEN", "message": text}
        return None

    def introspect(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """What an OAuth token is and may do; one that is none any more is only not active."""
        form = _form(body)
        token = form.get("token", "")
        known = {"hub_id": PORTAL, "user_id": USER, "client_id": CLIENT_ID, "scopes": list(self.scopes), "token_type": "bearer"}
        if token and token == self.refresh_token:
            return answer({"active": True, "token_use": "refresh_token", **known})
        left = (self._issued[token] - self._now()).total_seconds() if token in self._issued else 0.0
        if left <= 0:
            return answer({"active": False})
        return answer({"active": True, "token_use": "access_token", "expires_in": int(left), **known})

    def info(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """Whose private token it is and what it may do."""
        if not isinstance(body, dict) or body.get("tokenKey") != self._options().token:
            raise refused("INVALID_AUTHENTICATION", "The access token is invalid, expired or was revoked.", status=401)
        return answer({"userId": USER, "hubId": PORTAL, "appId": 990_001, "scopes": list(self.scopes)})


def _form(body: Any) -> dict[str, str]:
    """The fields of a form; {} for a body of another kind."""
    return {name: values[0] for name, values in parse_qs(body.decode()).items()} if isinstance(body, bytes) else {}
