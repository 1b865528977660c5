"""The access token of an OAuth app: renewed by its age before it ends, by one thread for all, and once more where HubSpot refuses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import Protocol

from connector.adapters.client import Answer, Budget, Caller, Lane, Request
from connector.adapters.hubspot.wire import tokens as wire_tokens
from connector.adapters.refresh_token import KeptToken, Reference
from connector.errors import ConnectorError, ObjectStopped, PassStopped, Retriable


class OAuthSettings(Protocol):
    """What of [crm.hubspot] an OAuth app needs."""

    @property
    def client_id(self) -> Reference | None: ...
    @property
    def client_secret(self) -> Reference | None: ...
    @property
    def refresh_token(self) -> Reference | None: ...
    @property
    def api_version(self) -> str: ...


def is_oauth(settings: OAuthSettings) -> bool:
    """Whether all three of an app's credentials are there."""
    return None not in (settings.client_id, settings.client_secret, settings.refresh_token)


class OAuthToken:
    """The token in use. Threads may share it. clock: seconds, of which only differences count. send: without credentials."""

    def __init__(
        self,
        settings: OAuthSettings,
        *,
        send: Callable[[Request], Answer],
        budget: Budget,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        if settings.client_id is None or settings.client_secret is None or settings.refresh_token is None:
            raise ValueError("an OAuth app has a client_id, a client_secret and a refresh_token")
        self._app = (settings.client_id, settings.client_secret)
        self._version = settings.api_version
        self._kept = KeptToken(settings.refresh_token)
        self._caller = Caller(crm="hubspot", send=send, judge=wire_tokens.judge, budget=budget, sleep=sleep, lane="urgent")
        self._clock = clock
        self._lock = Lock()
        self._token: str | None = None
        self._renew_at = 0.0
        self._renewals = 0
        self._failure: ConnectorError | None = None

    @property
    def unkept(self) -> str:
        """Why a newer refresh token is lost when this process ends; "" where none is."""
        return self._kept.unkept

    def current(self) -> str:
        """A token that is young enough. Raises `PassStopped` where HubSpot gives none."""
        token = self._token
        if token is not None and self._clock() < self._renew_at:
            return token
        return self.renewed(token)

    def renewed(self, refused: str | None) -> str:
        """A token other than the refused one. Of several threads that ask at once, one renews; the others take what came, also an error."""
        seen = self._renewals
        with self._lock:
            if self._token is not None and self._token != refused:
                return self._token
            if self._renewals != seen and self._failure is not None:
                raise self._failure
            self._failure = None
            try:
                return self._renew()
            except ConnectorError as error:
                self._failure = error
                raise
            finally:
                self._renewals += 1  # now, so that whoever asked while it went on takes what came of it

    def introspection(self) -> Request:
        """Asks what the token may do."""
        client_id, client_secret = self._app
        return wire_tokens.introspection(
            self._version, token=self.current(), client_id=client_id.read(), client_secret=client_secret.read()
        )

    def _renew(self) -> str:
        client_id, client_secret = self._app
        with self._kept.renewing():
            before = self._kept.current()
            request = wire_tokens.renewal(
                self._version, client_id=client_id.read(), client_secret=client_secret.read(), refresh_token=before
            )
            asked_at = self._clock()
            grant = self._granted(request)
            if grant.refresh_token is not None and grant.refresh_token != before:
                self._kept.keep(grant.refresh_token)
        # In this order: whoever looks between the two takes the old token, and not the new one for an old one.
        self._renew_at = asked_at + grant.seconds * wire_tokens.RENEW_AFTER
        self._token = grant.access_token
        return grant.access_token

    def _granted(self, request: Request) -> wire_tokens.Grant:
        """What HubSpot grants. Whatever fails stops the pass: it was tried often enough here, and no object can do without a token."""
        try:
            return self._caller.ask(request, wire_tokens.read_grant)
        except (Retriable, ObjectStopped) as error:
            raise PassStopped(
                error.message,
                crm="hubspot",
                advice=error.advice,
                status=error.status,
                code=error.code,
                correlation_id=error.correlation_id,
            ) from error


class Renewing:
    """Sends with the app's token; a 401 leads to one renewal and one replay (nothing was done, so that a create may be replayed too).

    The replay waits for its turn in the lane of the request.
    """

    def __init__(self, send: Callable[[Request], Answer], token: OAuthToken, budget: Budget) -> None:
        self._send = send
        self._token = token
        self._budget = budget

    def __call__(self, request: Request, lane: Lane = "normal") -> Answer:
        """The answer, whatever its status; the second 401 too. Raises as `OAuthToken.current` does."""
        token = self._token.current()
        answer = self._send(_signed(request, token))
        if answer.status != 401:
            return answer
        token = self._token.renewed(token)
        self._budget.take(request.bucket, lane)
        return self._send(_signed(request, token))


def _signed(request: Request, token: str) -> Request:
    return replace(request, headers={**request.headers, "Authorization": f"Bearer {token}"})
