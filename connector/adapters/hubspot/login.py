"""The login of an OAuth app: its access token, renewed by its age before it ends, by one thread for all, and once more where it is refused.

An access token that does not end needs none of this: the client sends it as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from connector.adapters.client import Answer, Budget, Caller, Lane, Request
from connector.adapters.hubspot.wire import login as wire_login
from connector.adapters.refresh_token import KeptToken
from connector.adapters.shared_token import SharedToken
from connector.errors import ObjectStopped, PassStopped, Retriable
from connector.model import HubSpotAccess


class HubSpotLogin:
    """The token in use, and requests sent with it. Threads may share it.

    clock: seconds, of which only differences count. send: without credentials.
    """

    def __init__(
        self,
        access: HubSpotAccess,
        *,
        send: Callable[[Request], Answer],
        budget: Budget,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        if access.client_id is None or access.client_secret is None or access.refresh_token is None:
            raise ValueError("an OAuth app has a client_id, a client_secret and a refresh_token")
        self._app = (access.client_id, access.client_secret)
        self._version = access.api_version
        self._kept = KeptToken(access.refresh_token)
        self._send = send
        self._budget = budget
        self._caller = Caller(crm="hubspot", send=send, judge=wire_login.judge, budget=budget, sleep=sleep, lane="urgent")
        self._clock = clock
        self._token = SharedToken()
        self._renew_at = 0.0

    @property
    def unkept(self) -> str:
        """Why a newer refresh token is lost when this process ends; "" where none is."""
        return self._kept.unkept

    def send(self, request: Request, lane: Lane = "normal") -> Answer:
        """The answer, whatever its status; a 401 leads to one renewal and one replay, since nothing was done, not even of a create.

        The replay waits for its turn in the lane of the request. Raises `PassStopped` where HubSpot gives no token.
        """
        token = self._current()
        answer = self._send(_signed(request, token))
        if answer.status != 401:
            return answer
        token = self._token.other_than(token, self._renew)
        self._budget.take(request.bucket, lane)
        return self._send(_signed(request, token))

    def introspection(self) -> Request:
        """Asks what the token may do."""
        client_id, client_secret = self._app
        return wire_login.introspection(
            self._version, token=self._current(), client_id=client_id.read(), client_secret=client_secret.read()
        )

    def _current(self) -> str:
        """A token that is young enough."""
        token = self._token.value
        return token if token is not None and self._clock() < self._renew_at else self._token.other_than(token, self._renew)

    def _renew(self) -> str:
        client_id, client_secret = self._app
        with self._kept.renewing():
            before = self._kept.current()
            request = wire_login.renewal(
                self._version, client_id=client_id.read(), client_secret=client_secret.read(), refresh_token=before
            )
            asked_at = self._clock()
            grant = self._granted(request)
            if grant.refresh_token is not None and grant.refresh_token != before:
                self._kept.keep(grant.refresh_token)
        # Before the token itself: whoever looks between the two takes the old token, and not the new one for an old one.
        self._renew_at = asked_at + grant.seconds * wire_login.RENEW_AFTER
        return grant.access_token

    def _granted(self, request: Request) -> wire_login.Grant:
        """What HubSpot grants. Whatever fails stops the pass: it was tried often enough here, and no object can do without a token."""
        try:
            return self._caller.ask(request, wire_login.read_grant)
        except (Retriable, ObjectStopped) as error:
            raise PassStopped(
                error.message,
                crm="hubspot",
                advice=error.advice,
                status=error.status,
                code=error.code,
                correlation_id=error.correlation_id,
            ) from error


def _signed(request: Request, token: str) -> Request:
    return replace(request, headers={**request.headers, "Authorization": f"Bearer {token}"})
